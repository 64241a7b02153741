//! Paying what is owed.

use axum::extract::{Path, State};
use domain::{Fen, OrderNo};
use serde::{Deserialize, Serialize};
use settlement::order::{Order, PaymentStatus};
use utoipa::ToSchema;

use super::{
    answer::Answer,
    auth::By,
    idempotency::{Call, once},
    input::{body, within},
    orders::visible,
    problem::Problem,
    rights::DEBTS_REPAY,
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
