//! Bills that wait for a person: looking, approving, rejecting.

use axum::{
    Json,
    extract::{Path, State},
};
use domain::{Fen, OrderNo};
use serde::{Deserialize, Serialize};
use serde_json::json;
use settlement::order::{Order, OrderStatus, PaymentStatus};
use utoipa::ToSchema;

use super::{
    answer::{Answer, Listed},
    audit::audit_row,
    auth::By,
    idempotency::{Call, once},
    input::{body, words},
    orders::{shown, visible},
    problem::Problem,
    rights::{HOLDS_APPROVE, HOLDS_LIST, HOLDS_REJECT},
    state::App,
};
use crate::view::OrderView;

/// Why.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Decision {
    reason: Option<String>,
}

/// An order after the decision.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Decided {
    #[schema(value_type = String)]
    order_no: OrderNo,
    #[schema(value_type = String)]
    status: OrderStatus,
    #[schema(value_type = String)]
    payment_status: PaymentStatus,
    #[schema(value_type = i64)]
    paid_fen: Fen,
    #[schema(value_type = i64)]
    released_fen: Fen,
    #[schema(value_type = i64)]
    debt_fen: Fen,
}

/// Orders that wait for a person (risk).
#[utoipa::path(get, path = "/holds", tag = "risk", responses((status = 200, body = Listed<OrderView>)))]
pub(crate) async fn list(State(app): State<App>, _by: By<HOLDS_LIST>) -> Result<Json<Listed<OrderView>>, Problem> {
    let open = app.money.open_orders().await?;
    let held = open.iter().filter(|order| order.status == OrderStatus::Held);
    Ok(Json(Listed::whole(held.map(|order| shown(&app, order)).collect())))
}

/// Takes the money of a held order (risk).
#[utoipa::path(post, path = "/holds/{orderNo}/approve", tag = "risk", params(("orderNo" = String, Path)),
    request_body = Decision, responses((status = 200, body = Decided)))]
pub(crate) async fn approve(
    State(app): State<App>,
    by: By<HOLDS_APPROVE>,
    Path(no): Path<String>,
    call: Call,
) -> Result<Answer, Problem> {
    decide(app, by, no, call, true).await
}

/// Gives the money of a held order back (risk).
#[utoipa::path(post, path = "/holds/{orderNo}/reject", tag = "risk", params(("orderNo" = String, Path)),
    request_body = Decision, responses((status = 200, body = Decided)))]
pub(crate) async fn reject(
    State(app): State<App>,
    by: By<HOLDS_REJECT>,
    Path(no): Path<String>,
    call: Call,
) -> Result<Answer, Problem> {
    decide(app, by, no, call, false).await
}

async fn decide(app: App, by: By<HOLDS_APPROVE>, no: String, call: Call, approved: bool) -> Result<Answer, Problem> {
    let (task, caller) = (app.clone(), by.sub.clone());
    once(&app, &caller, call, move |key, bytes| async move {
        let decision: Decision = body(&bytes)?;
        let reason = decision.reason.map(|reason| words("reason", &reason)).transpose()?;
        let order = visible(&task, &by, &no).await?;
        let action = if approved { "HOLD_APPROVED" } else { "HOLD_REJECTED" };
        let total = order.bill.as_ref().map(|bill| bill.total_fen);
        let detail = json!({ "reason": reason, "totalFen": total });
        let audit = audit_row(&by, task.now(), action, order.order_no.as_str(), &detail);
        let once = key.map(|key| key.with(decided));
        let order = if approved {
            task.actors.approve(&order.order_no, audit, once).await?
        } else {
            task.actors.reject(&order.order_no, audit, once).await?
        };
        Ok(decided(&order))
    })
    .await
}

fn decided(order: &Order) -> Answer {
    Answer::ok(&Decided {
        order_no: order.order_no.clone(),
        status: order.status,
        payment_status: order.payment_status,
        paid_fen: order.paid_fen,
        released_fen: order.released_fen,
        debt_fen: order.debt_fen,
    })
}
