//! What is owed: looking, and paying it.

use axum::{
    Json,
    extract::{Path, State},
};
use domain::{Fen, OrderNo, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use settlement::{
    debt::{Debt, DebtState},
    order::{Order, PaymentStatus},
};
use store::cases::{CaseFilter, CaseKind};
use utoipa::ToSchema;

use super::{
    answer::{Answer, Listed},
    auth::By,
    idempotency::{Call, once},
    input::{Params, body, within},
    orders::visible,
    problem::Problem,
    rights::{DEBTS_LIST, DEBTS_REPAY},
    state::App,
};
use crate::limits::TOPUP_FEN_MAX;

/// How much to pay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Repayment {
    /// The whole debt when left out.
    amount_fen: Option<i64>,
}

/// What is paid and owed after a repayment.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Repaid {
    #[schema(value_type = String)]
    order_no: OrderNo,
    #[schema(value_type = String)]
    payment_status: PaymentStatus,
    #[schema(value_type = i64)]
    paid_fen: Fen,
    #[schema(value_type = i64)]
    debt_fen: Fen,
}

/// Pays an order's debt from the available balance (its driver).
#[utoipa::path(post, path = "/debts/{orderNo}/repay", tag = "wallet", params(("orderNo" = String, Path)),
    request_body = Repayment, responses((status = 200, body = Repaid)))]
pub(crate) async fn repay(
    State(app): State<App>,
    by: By<DEBTS_REPAY>,
    Path(no): Path<String>,
    call: Call,
) -> Result<Answer, Problem> {
    let (task, caller) = (app.clone(), by.sub.clone());
    once(&app, &caller, call, move |key, bytes| async move {
        let asked: Repayment = body(&bytes)?;
        let amount = asked.amount_fen.map(|fen| within("amountFen", fen, 1, TOPUP_FEN_MAX)).transpose()?;
        let order = visible(&task, &by, &no).await?;
        let once = key.map(|key| key.with(repaid));
        Ok(repaid(&task.actors.repay(&order.order_no, amount.map(Fen), once).await?))
    })
    .await
}

fn repaid(order: &Order) -> Answer {
    Answer::ok(&Repaid {
        order_no: order.order_no.clone(),
        payment_status: order.payment_status,
        paid_fen: order.paid_fen,
        debt_fen: order.debt_fen,
    })
}

const STATES: [&str; 4] = ["OPEN", "PARTLY", "CLEARED", "WRITTEN_OFF"];

/// A debt of an order.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DebtView {
    #[schema(value_type = String)]
    order_no: OrderNo,
    #[schema(value_type = String)]
    user_id: UserId,
    /// `OPEN`, `PARTLY`, `CLEARED` or `WRITTEN_OFF`.
    #[schema(value_type = String)]
    state: DebtState,
    /// What was missing when the order was settled and corrected.
    #[schema(value_type = i64)]
    owed_fen: Fen,
    #[schema(value_type = i64)]
    repaid_fen: Fen,
    #[schema(value_type = i64)]
    written_off_fen: Fen,
    /// What is still owed.
    #[schema(value_type = i64)]
    debt_fen: Fen,
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
}

/// Debts, newest first: a driver's own, all for finance and service. Without a state: those that are open.
#[utoipa::path(get, path = "/debts", tag = "debts",
    params(("state" = Option<String>, Query), ("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query)),
    responses((status = 200, body = Listed<DebtView>)))]
pub(crate) async fn list(
    State(app): State<App>,
    by: By<DEBTS_LIST>,
    params: Params,
) -> Result<Json<Listed<DebtView>>, Problem> {
    let state = params.one_of("state", &STATES)?;
    let over = state.as_deref().filter(|state| ["CLEARED", "WRITTEN_OFF"].contains(state));
    let (orders, next_cursor) = match over {
        Some(over) => closed(&app, &by, over, &params).await?,
        None => owing(&app, &by, &params).await?,
    };
    let mut items = Vec::new();
    for order in &orders {
        let debt = app.desk.debt_of(order).await?;
        let wanted = |debt: &Debt| state.as_deref().is_none_or(|state| state == debt.state.as_str());
        items.extend(debt.filter(wanted).map(|debt| debt_view(debt, order)));
    }
    Ok(Json(Listed { items, next_cursor }))
}

type Orders = (Vec<Order>, Option<String>);

/// Orders for which something is owed. A driver's own are few: the account names them.
async fn owing(app: &App, by: &By<DEBTS_LIST>, params: &Params) -> Result<Orders, Problem> {
    if !by.is_driver() {
        let page = app.money.owing_orders(params.cursor(), params.limit()?).await?;
        return Ok((page.items, page.next_cursor));
    }
    let account = app.money.account(&by.sub).await?;
    let mut orders = Vec::new();
    for order_no in account.iter().flat_map(|account| account.debts.keys().rev()) {
        orders.extend(app.money.order(order_no).await?);
    }
    Ok((orders, None))
}

/// Orders whose debt is over.
async fn closed(app: &App, by: &By<DEBTS_LIST>, state: &str, params: &Params) -> Result<Orders, Problem> {
    let about = by.is_driver().then(|| by.sub.to_string());
    let filter = CaseFilter { state: Some(state.to_owned()), about, ..CaseFilter::all(CaseKind::Debt) };
    let page = app.money.cases(&filter, params.cursor(), params.limit()?).await?;
    let mut orders = Vec::new();
    for case in &page.items {
        // A debt is filed under its order's number.
        let Ok(order_no) = OrderNo::parse(&case.id) else { continue };
        orders.extend(app.money.order(&order_no).await?);
    }
    Ok((orders, page.next_cursor))
}

fn debt_view(debt: Debt, order: &Order) -> DebtView {
    DebtView {
        order_no: debt.order_no,
        user_id: debt.user_id,
        state: debt.state,
        owed_fen: debt.owed,
        repaid_fen: debt.repaid,
        written_off_fen: debt.written_off,
        debt_fen: debt.left,
        ended_at: order.ended_at,
    }
}
