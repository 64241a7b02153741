//! Orders: placing, stopping, looking. The decisions are the actors'; someone else's order does not exist for a driver.

use actors::api::{StartOrder, StopBy};
use axum::{
    Json,
    extract::{Path, State},
};
use domain::{ConnectorId, Fen, OrderNo, PileCode, SocTenths, Timestamp, UserId, WattHours};
use serde::{Deserialize, Serialize};
use settlement::{
    order::{HistoryRow, Order, OrderLimit, OrderStatus, Outcome, PayMode},
    risk::{Gate, Signal, SignalKind},
};
use store::money::OrderFilter;
use utoipa::ToSchema;

use super::{
    answer::{Answer, Listed},
    auth::{By, Role, Roles},
    idempotency::{Call, once},
    input::{Params, body, id, scaled, within},
    pay_modes::limit_for,
    problem::{Code, Problem},
    rights::{ORDERS_CREATE, ORDERS_GET, ORDERS_HISTORY, ORDERS_LIST, ORDERS_STOP},
    risk::may,
    state::App,
};
use crate::view::{OrderView, order_view};

/// A charge asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewOrder {
    pile_code: String,
    connector_id: u8,
    limit: Option<NewLimit>,
    /// `FREEZE` (the default), `PREPAID` (needs limit.amountFen) or `POSTPAID` (on credit, where there is any).
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pay_mode: PayMode,
}

/// How much at most; what is left out has no limit.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewLimit {
    amount_fen: Option<i64>,
    energy_wh: Option<i64>,
    #[serde(rename = "durationS")]
    duration_s: Option<u32>,
    soc_percent: Option<f64>,
}

/// A placed order.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Placed {
    #[schema(value_type = String)]
    order_no: OrderNo,
    #[schema(value_type = String, example = "STARTING")]
    status: OrderStatus,
    #[schema(value_type = i64)]
    frozen_fen: Fen,
}

/// What became of a stop.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stopped {
    #[schema(value_type = String)]
    order_no: OrderNo,
    #[schema(value_type = String)]
    status: OrderStatus,
    /// The stop waits for the pile to come back.
    stop_pending: bool,
}

/// One row of an order's history.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HistoryView {
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    #[schema(value_type = String)]
    from: OrderStatus,
    #[schema(value_type = String)]
    to: OrderStatus,
    event: String,
    /// `APPLIED` or `IGNORED`.
    #[schema(value_type = String)]
    outcome: Outcome,
}

/// Starts a charge (driver).
#[utoipa::path(post, path = "/orders", tag = "orders", request_body = NewOrder,
    responses((status = 201, body = Placed)))]
pub(crate) async fn create(State(app): State<App>, by: By<ORDERS_CREATE>, call: Call) -> Result<Answer, Problem> {
    let (task, caller) = (app.clone(), by.sub.clone());
    once(&app, &caller, call, move |key, bytes| async move {
        let new: NewOrder = body(&bytes)?;
        let pile_code: PileCode = id("pileCode", &new.pile_code)?;
        let limit = new.limit.map_or_else(|| Ok(OrderLimit::default()), |limit| limit_of(&limit))?;
        may(&task, Gate::Start, &by.sub, None).await?;
        let _turn = match new.pay_mode {
            PayMode::Postpaid => task.desk.turn(&by.sub).await,
            PayMode::Freeze | PayMode::Prepaid => None,
        };
        let limit = limit_for(&task, &by.sub, new.pay_mode, limit).await?;
        let ask = StartOrder {
            user_id: by.sub,
            pile_code,
            connector_id: ConnectorId(new.connector_id),
            limit,
            pay_mode: new.pay_mode,
            once: key.map(|key| key.with(placed)),
        };
        let order = task.actors.start_order(ask).await?;
        let start = Signal { name: order.order_no.to_string(), at: order.created_at, kind: SignalKind::Start };
        task.desk.risk.note_user(&order.user_id, start);
        Ok(placed(&order))
    })
    .await
}

fn placed(order: &Order) -> Answer {
    Answer::created(&Placed { order_no: order.order_no.clone(), status: order.status, frozen_fen: order.frozen_fen })
}

fn limit_of(limit: &NewLimit) -> Result<OrderLimit, Problem> {
    const MOST: i64 = 1_000_000_000;
    let positive = |field, value: Option<i64>| value.map(|value| within(field, value, 1, MOST)).transpose();
    let soc = limit.soc_percent.map(|percent| {
        let percent = within("limit.socPercent", percent, 1.0, 100.0)?;
        let rule = || Problem::invalid("limit.socPercent", percent, "must be a percentage");
        scaled(percent, 10.0).map(SocTenths).ok_or_else(rule)
    });
    let duration = limit.duration_s.map(|s| within("limit.durationS", s, 1, 30 * 86_400));
    Ok(OrderLimit {
        amount_fen: positive("limit.amountFen", limit.amount_fen)?.map(Fen),
        energy_wh: positive("limit.energyWh", limit.energy_wh)?.map(WattHours),
        duration_s: duration.transpose()?,
        soc: soc.transpose()?,
    })
}

/// Stops a charge (its driver, ops, service). A second stop changes nothing.
#[utoipa::path(post, path = "/orders/{no}/stop", tag = "orders", params(("no" = String, Path)),
    responses((status = 202, body = Stopped)))]
pub(crate) async fn stop(
    State(app): State<App>,
    by: By<ORDERS_STOP>,
    Path(no): Path<String>,
    call: Call,
) -> Result<Answer, Problem> {
    let (task, caller) = (app.clone(), by.sub.clone());
    once(&app, &caller, call, move |key, _| async move {
        let order = visible(&task, &by, &no).await?;
        let on_behalf = if by.role == Role::Driver { StopBy::Driver } else { StopBy::Operator };
        let once = key.map(|key| key.with(stopped));
        Ok(stopped(&task.actors.stop_order(&order.order_no, on_behalf, once).await?))
    })
    .await
}

fn stopped(order: &Order) -> Answer {
    Answer::accepted(&Stopped {
        order_no: order.order_no.clone(),
        status: order.status,
        stop_pending: order.stop_pending,
    })
}

/// One order (its owner, staff).
#[utoipa::path(get, path = "/orders/{no}", tag = "orders", params(("no" = String, Path)),
    responses((status = 200, body = OrderView)))]
pub(crate) async fn get(
    State(app): State<App>,
    by: By<ORDERS_GET>,
    Path(no): Path<String>,
) -> Result<Json<OrderView>, Problem> {
    let order = visible(&app, &by, &no).await?;
    Ok(Json(shown(&app, &order)))
}

/// Orders, newest first: a driver's own, all for staff.
#[utoipa::path(get, path = "/orders", tag = "orders",
    params(("userId" = Option<String>, Query), ("pileCode" = Option<String>, Query),
        ("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query)),
    responses((status = 200, body = Listed<OrderView>)))]
pub(crate) async fn list(
    State(app): State<App>,
    by: By<ORDERS_LIST>,
    params: Params,
) -> Result<Json<Listed<OrderView>>, Problem> {
    let asked: Option<UserId> = params.id("userId")?;
    let filter = OrderFilter {
        user_id: if by.is_driver() { Some(by.sub.clone()) } else { asked },
        pile_code: params.id("pileCode")?,
    };
    let page = app.money.orders(&filter, params.cursor(), params.limit()?).await?;
    Ok(Json(Listed::page(page, |order| shown(&app, &order))))
}

/// Every transition of an order, ignored ones too (its owner, staff).
#[utoipa::path(get, path = "/orders/{no}/history", tag = "orders", params(("no" = String, Path)),
    responses((status = 200, body = Listed<HistoryView>)))]
pub(crate) async fn history(
    State(app): State<App>,
    by: By<ORDERS_HISTORY>,
    Path(no): Path<String>,
) -> Result<Json<Listed<HistoryView>>, Problem> {
    let order = visible(&app, &by, &no).await?;
    let rows = app.money.history(&order.order_no).await?;
    Ok(Json(Listed::whole(rows.into_iter().map(history_view).collect())))
}

fn history_view(row: HistoryRow) -> HistoryView {
    HistoryView { at: row.at, from: row.from, to: row.to, event: row.event, outcome: row.outcome }
}

/// An order with the link of its pile and the values of its session.
pub(crate) fn shown(app: &App, order: &Order) -> OrderView {
    order_view(order, app.actors.link_of(order.pile_no), app.actors.live(&order.order_no).as_ref())
}

/// The order, if there is one and the caller may see it: its owner or staff.
pub(crate) async fn visible<const ROLES: Roles>(app: &App, by: &By<ROLES>, no: &str) -> Result<Order, Problem> {
    let unknown = || Problem::new(Code::OrderNotFound, format!("there is no order {no}"));
    let order_no = OrderNo::parse(no).map_err(|_| unknown())?;
    let order = app.money.order(&order_no).await?.ok_or_else(unknown)?;
    if by.is_driver() && order.user_id != by.sub {
        return Err(unknown());
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(change: impl FnOnce(&mut NewLimit)) -> Result<OrderLimit, Problem> {
        let mut limit = NewLimit { amount_fen: None, energy_wh: None, duration_s: None, soc_percent: None };
        change(&mut limit);
        limit_of(&limit)
    }

    #[test]
    fn limits_are_positive_and_named_when_they_are_not() {
        assert_eq!(limit(|_| ()), Ok(OrderLimit::default()));
        assert_eq!(limit(|l| l.soc_percent = Some(80.5)).unwrap().soc, Some(SocTenths(805)));
        let field = |change: fn(&mut NewLimit)| limit(change).unwrap_err().broken.unwrap().field;
        assert_eq!(field(|l| l.amount_fen = Some(0)), "limit.amountFen");
        assert_eq!(field(|l| l.energy_wh = Some(-1)), "limit.energyWh");
        assert_eq!(field(|l| l.duration_s = Some(0)), "limit.durationS");
        assert_eq!(field(|l| l.soc_percent = Some(f64::NAN)), "limit.socPercent");
        assert_eq!(field(|l| l.soc_percent = Some(100.1)), "limit.socPercent");
    }
}
