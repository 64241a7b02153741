//! Bills that wait for a person: looking, approving, rejecting.

use axum::{
    Json,
    extract::{Path, State},
};
use domain::{Fen, OrderNo, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use settlement::{
    order::{Order, OrderStatus, PaymentStatus},
    pricing::{Bill, BillFlag},
    risk::Strike,
};
use store::cases::CaseKind;
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
use crate::{risk::HeldBill, view::OrderView};

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

/// An order that waits for a person, and why.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HoldView {
    #[serde(flatten)]
    order: OrderView,
    /// The rule that holds it; `LARGE_ORDER`: the threshold of the configuration.
    hold_reason: Option<String>,
    evidence: Evidence,
    #[schema(value_type = Option<String>, format = DateTime)]
    held_at: Option<Timestamp>,
    /// When somebody should have decided; past it an alarm calls, nothing is decided.
    #[schema(value_type = Option<String>, format = DateTime)]
    due_at: Option<Timestamp>,
}

/// What a person looks at before they decide.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Evidence {
    text_zh: Option<String>,
    text_en: Option<String>,
    #[schema(value_type = i64)]
    total_fen: Fen,
    #[schema(value_type = i64)]
    threshold_fen: Fen,
    /// Mean power of the charge in W, from its energy and time; `null` without time.
    mean_power_w: Option<i64>,
    /// By the pile's own register, when its record had one.
    meter_wh: Option<i64>,
    #[schema(value_type = Vec<String>)]
    flags: Vec<BillFlag>,
    /// What the rules counted or measured.
    strikes: Vec<StrikeView>,
}

/// A rule that strikes for the bill.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StrikeView {
    rule: String,
    what: String,
    value: i64,
    threshold: i64,
}

/// Orders that wait for a person (risk).
#[utoipa::path(get, path = "/holds", tag = "risk", responses((status = 200, body = Listed<HoldView>)))]
pub(crate) async fn list(State(app): State<App>, _by: By<HOLDS_LIST>) -> Result<Json<Listed<HoldView>>, Problem> {
    let open = app.money.open_orders().await?;
    let mut items = Vec::new();
    for order in open.iter().filter(|order| order.status == OrderStatus::Held) {
        let case = app.money.case(CaseKind::Hold, order.order_no.as_str()).await?;
        let held: Option<HeldBill> = case.map(|case| case.read()).transpose()?;
        items.push(HoldView {
            order: shown(&app, order),
            hold_reason: order.hold_reason.clone(),
            evidence: evidence(&app, order),
            held_at: held.as_ref().map(|held| held.held_at),
            due_at: held.as_ref().map(|held| held.due_at),
        });
    }
    Ok(Json(Listed::whole(items)))
}

fn evidence(app: &App, order: &Order) -> Evidence {
    let risk = &app.desk.risk;
    let rule = order.hold_reason.as_deref().and_then(|reason| risk.rule_of_hold(reason));
    let bill = order.bill.as_ref();
    let strikes = bill.map(|bill| risk.strikes_of_bill(order, bill)).unwrap_or_default();
    let strike = |strike: Strike<'_>| StrikeView {
        rule: strike.rule.name.clone(),
        what: strike.what,
        value: strike.value,
        threshold: strike.threshold,
    };
    Evidence {
        text_zh: rule.map(|rule| rule.text_zh.clone()),
        text_en: rule.map(|rule| rule.text_en.clone()),
        total_fen: bill.map_or(Fen::ZERO, |bill| bill.total_fen),
        threshold_fen: risk.settings.hold_over,
        mean_power_w: bill.and_then(mean_power),
        meter_wh: order.meter_start.zip(order.meter_end).and_then(|(start, end)| Some(end.checked_sub(start)?.0)),
        flags: bill.map(|bill| bill.flags.clone()).unwrap_or_default(),
        strikes: strikes.into_iter().map(strike).collect(),
    }
}

/// Wh over milliseconds, in W.
fn mean_power(bill: &Bill) -> Option<i64> {
    const HOUR_MS: i64 = 3_600_000;
    let ms = bill.ended_at.since(bill.started_at).0;
    bill.energy_wh.0.checked_mul(HOUR_MS)?.checked_div(ms)
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
