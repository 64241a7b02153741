//! Numbers of a span of time: orders, energy, money, and what the piles do now.

use std::collections::HashSet;

use axum::{Json, extract::State};
use domain::{Millis, Timestamp, UserId};
use serde::Serialize;
use settlement::order::{Order, OrderStatus};
use store::money::OrderFilter;
use utoipa::ToSchema;

use super::{auth::By, input::Params, problem::Problem, rights::STATS, state::App};
use crate::limits::{PAGE_LEN_MAX, STATS_ORDERS_MAX};

/// Numbers of the orders created in `[from, to)`, and the piles now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stats {
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    to: Timestamp,
    #[serde(flatten)]
    orders: OrderNumbers,
    /// Whether the span holds more orders than one answer is made from.
    truncated: bool,
    piles: PileNumbers,
    /// Charges running now.
    running: usize,
    alarms_open: usize,
}

/// Sums over orders.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrderNumbers {
    orders: u32,
    closed: u32,
    exception_closed: u32,
    start_failed: u32,
    canceled: u32,
    held: u32,
    open: u32,
    /// Drivers who placed them.
    users: usize,
    energy_wh: i64,
    electricity_fen: i64,
    service_fen: i64,
    total_fen: i64,
    paid_fen: i64,
    debt_fen: i64,
}

/// Piles by state, now.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PileNumbers {
    total: u32,
    available: u32,
    in_use: u32,
    faulted: u32,
    maintenance: u32,
    offline: u32,
}

/// Statistics (staff); the last day when no span is given.
#[utoipa::path(get, path = "/stats", tag = "operation",
    params(("from" = Option<String>, Query), ("to" = Option<String>, Query)),
    responses((status = 200, body = Stats)))]
pub(crate) async fn stats(State(app): State<App>, _by: By<STATS>, params: Params) -> Result<Json<Stats>, Problem> {
    let to = params.time("to")?.unwrap_or_else(|| app.now().plus(Millis(1)));
    let from = params.time("from")?.unwrap_or_else(|| to.plus(Millis::from_secs(-86_400)));
    if to <= from {
        return Err(Problem::invalid("to", to, "must be later than from"));
    }
    let (orders, truncated) = count(&app, from, to).await?;
    Ok(Json(Stats {
        from,
        to,
        orders,
        truncated,
        piles: piles(&app),
        running: app.actors.running().len(),
        alarms_open: app.actors.alarms_open(),
    }))
}

/// Reads orders newest first until they are older than the span.
async fn count(app: &App, from: Timestamp, to: Timestamp) -> Result<(OrderNumbers, bool), Problem> {
    let (mut numbers, mut users, mut read) = (OrderNumbers::default(), HashSet::new(), 0_usize);
    let mut cursor: Option<String> = None;
    loop {
        let page = app.money.orders(&OrderFilter::default(), cursor.as_deref(), PAGE_LEN_MAX).await?;
        for order in &page.items {
            if order.created_at < from {
                numbers.users = users.len();
                return Ok((numbers, false));
            }
            if order.created_at < to {
                numbers.add(order, &mut users);
            }
        }
        read = read.saturating_add(page.items.len());
        cursor = page.next_cursor;
        if cursor.is_none() || read >= STATS_ORDERS_MAX {
            numbers.users = users.len();
            return Ok((numbers, cursor.is_some()));
        }
    }
}

impl OrderNumbers {
    fn add(&mut self, order: &Order, users: &mut HashSet<UserId>) {
        users.insert(order.user_id.clone());
        let one_more = |n: &mut u32| *n = n.saturating_add(1);
        one_more(&mut self.orders);
        one_more(match order.status {
            OrderStatus::Closed => &mut self.closed,
            OrderStatus::ExceptionClosed => &mut self.exception_closed,
            OrderStatus::StartFailed => &mut self.start_failed,
            OrderStatus::Canceled => &mut self.canceled,
            OrderStatus::Held => &mut self.held,
            OrderStatus::Placed
            | OrderStatus::Starting
            | OrderStatus::Charging
            | OrderStatus::Stopping
            | OrderStatus::Settling => &mut self.open,
        });
        let sum = |total: &mut i64, more: i64| *total = total.saturating_add(more);
        sum(&mut self.energy_wh, order.energy_wh.0);
        sum(&mut self.paid_fen, order.paid_fen.0);
        sum(&mut self.debt_fen, order.debt_fen.0);
        if let Some(bill) = &order.bill {
            sum(&mut self.electricity_fen, bill.electricity_fen.0);
            sum(&mut self.service_fen, bill.service_fen.0);
            sum(&mut self.total_fen, bill.total_fen.0);
        }
    }
}

fn piles(app: &App) -> PileNumbers {
    let mut numbers = PileNumbers::default();
    let mut after = None;
    loop {
        let page = app.actors.piles(None, after.as_ref(), PAGE_LEN_MAX);
        for pile in &page {
            numbers.total = numbers.total.saturating_add(1);
            let of_state = match pile.state {
                "IN_USE" => &mut numbers.in_use,
                "FAULTED" => &mut numbers.faulted,
                "MAINTENANCE" => &mut numbers.maintenance,
                "OFFLINE" => &mut numbers.offline,
                _ => &mut numbers.available,
            };
            *of_state = of_state.saturating_add(1);
        }
        if page.len() < PAGE_LEN_MAX {
            return numbers;
        }
        after = page.last().map(|pile| pile.pile_code.clone());
    }
}
