//! After-sales refunds: asked for by service or finance, or by a rule, approved by another person, credited once.

use axum::{
    Json,
    extract::{Path, State},
};
use domain::{Fen, OrderNo, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use settlement::{
    adjustment::{Adjustment, AdjustmentError},
    approval::Actor,
    risk::Gate,
};
use store::{cases::Filed, money::Write};
use utoipa::ToSchema;

use super::{
    answer::{Answer, Listed},
    audit::audit_row,
    auth::By,
    idempotency::{Call, once},
    input::{Params, body, within, words},
    joint::{self, Rejection, Shape, found},
    orders::visible,
    problem::{Code, Problem},
    rights::{ADJUSTMENTS_APPROVE, ADJUSTMENTS_CREATE, ADJUSTMENTS_GET, ADJUSTMENTS_LIST, ADJUSTMENTS_REJECT},
    risk::may,
    state::App,
};
use crate::{ids::new_id, limits::TOPUP_FEN_MAX, risk::Filing};

const STATES: [&str; 4] = ["REQUESTED", "APPROVED", "CREDITED", "REJECTED"];
const SHAPE: Shape<Filing<Adjustment>> =
    Shape { answer: |adjustment| Answer::ok(&view(&adjustment.0)), unknown: Code::AdjustmentNotFound };

/// A refund asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewAdjustment {
    order_no: String,
    /// At most what was paid and not given back.
    refund_fen: i64,
    reason: String,
    /// What speaks for it.
    evidence: Option<String>,
}

/// A refund and where it is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AdjustmentView {
    adjustment_id: String,
    #[schema(value_type = String)]
    order_no: OrderNo,
    #[schema(value_type = String)]
    user_id: UserId,
    #[schema(value_type = i64)]
    refund_fen: Fen,
    /// `REQUESTED`, `APPROVED` (about to be credited), `CREDITED` or `REJECTED`.
    state: &'static str,
    reason: String,
    evidence: Option<String>,
    /// A person, or `rule:` and the name of a rule of compensation.
    author: String,
    #[schema(value_type = String, format = DateTime)]
    requested_at: Timestamp,
    /// Who approved or rejected it.
    decided_by: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    decided_at: Option<Timestamp>,
    /// Why it was rejected.
    rejection: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    credited_at: Option<Timestamp>,
}

/// Asks for a refund of what was paid for an order (service, finance).
#[utoipa::path(post, path = "/adjustments", tag = "adjustments", request_body = NewAdjustment,
    responses((status = 201, body = AdjustmentView)))]
pub(crate) async fn create(State(app): State<App>, by: By<ADJUSTMENTS_CREATE>, call: Call) -> Result<Answer, Problem> {
    let (task, caller) = (app.clone(), by.sub.clone());
    once(&app, &caller, call, move |key, bytes| async move {
        let new: NewAdjustment = body(&bytes)?;
        let amount = Fen(within("refundFen", new.refund_fen, 1, TOPUP_FEN_MAX)?);
        let reason = words("reason", &new.reason)?;
        let evidence = new.evidence.map(|text| words("evidence", &text)).transpose()?;
        let order = visible(&task, &by, &new.order_no).await?;
        may(&task, Gate::Refund, &order.user_id, Some(&order)).await?;
        let now = task.now();
        let (id, author) = (new_id("A", now)?, Actor::Person(by.sub.clone()));
        let asked = Adjustment::request(id, &order, amount, author, reason, now).map_err(|error| refused(&error))?;
        let filed = Filing(Adjustment { evidence, ..asked });
        let answer = Answer::created(&view(&filed.0));
        let audit = audit_row(&by, now, "ADJUSTMENT_REQUESTED", &filed.0.adjustment_id, &view(&filed.0));
        let mut writes = vec![Write::Case(Box::new(filed.case())), Write::Audit(Box::new(audit))];
        writes.extend(key.map(|key| Write::Once(Box::new(key.row(&answer, now)))));
        task.commit(writes).await?;
        Ok(answer)
    })
    .await
}

fn refused(error: &AdjustmentError) -> Problem {
    match error {
        AdjustmentError::NotOver(_) => Problem::new(Code::IllegalState, error.to_string()),
        AdjustmentError::MoreThanPaid { asked, .. } => Problem::invalid("refundFen", asked.0, error.to_string()),
        AdjustmentError::NotPositive(asked) => Problem::invalid("refundFen", asked.0, error.to_string()),
    }
}

/// Approves a refund, which credits it (finance up to its limit, admin; never its author).
#[utoipa::path(post, path = "/adjustments/{id}/approve", tag = "adjustments", params(("id" = String, Path)),
    responses((status = 200, body = AdjustmentView)))]
pub(crate) async fn approve(
    State(app): State<App>,
    by: By<ADJUSTMENTS_APPROVE>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Answer, Problem> {
    joint::approve(app, by, id, call, SHAPE).await
}

/// Rejects a refund (finance, admin).
#[utoipa::path(post, path = "/adjustments/{id}/reject", tag = "adjustments", params(("id" = String, Path)),
    request_body = Rejection, responses((status = 200, body = AdjustmentView)))]
pub(crate) async fn reject(
    State(app): State<App>,
    by: By<ADJUSTMENTS_REJECT>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Answer, Problem> {
    joint::reject(app, by, id, call, SHAPE).await
}

/// Refunds, newest first (staff).
#[utoipa::path(get, path = "/adjustments", tag = "adjustments",
    params(("state" = Option<String>, Query), ("orderNo" = Option<String>, Query),
        ("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query)),
    responses((status = 200, body = Listed<AdjustmentView>)))]
pub(crate) async fn list(
    State(app): State<App>,
    _by: By<ADJUSTMENTS_LIST>,
    params: Params,
) -> Result<Json<Listed<AdjustmentView>>, Problem> {
    joint::list(&app, &params, &STATES, |filed: &Filing<Adjustment>| view(&filed.0)).await
}

/// One refund (staff).
#[utoipa::path(get, path = "/adjustments/{id}", tag = "adjustments", params(("id" = String, Path)),
    responses((status = 200, body = AdjustmentView)))]
pub(crate) async fn get(
    State(app): State<App>,
    _by: By<ADJUSTMENTS_GET>,
    Path(id): Path<String>,
) -> Result<Json<AdjustmentView>, Problem> {
    let filed: Filing<Adjustment> = found(&app, &id, Code::AdjustmentNotFound).await?;
    Ok(Json(view(&filed.0)))
}

fn view(adjustment: &Adjustment) -> AdjustmentView {
    let approval = &adjustment.approval;
    AdjustmentView {
        adjustment_id: adjustment.adjustment_id.clone(),
        order_no: adjustment.order_no.clone(),
        user_id: adjustment.user_id.clone(),
        refund_fen: approval.amount_fen,
        state: adjustment.state_word(),
        reason: approval.reason.clone(),
        evidence: adjustment.evidence.clone(),
        author: approval.author.to_string(),
        requested_at: approval.requested_at,
        decided_by: approval.decided_by.as_ref().map(ToString::to_string),
        decided_at: approval.decided_at,
        rejection: approval.rejection.clone(),
        credited_at: approval.done_at,
    }
}
