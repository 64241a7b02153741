//! Unused money on its way back through the channel it came from: asking for it, looking at it, deciding what the channel
//! does not finish.

use axum::{
    Json,
    extract::{Path, State},
};
use domain::{Fen, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use settlement::{
    refund::{Refund, RefundDecision, RefundEvent, RefundOutcome, RefundSource, RefundState},
    risk::Gate,
};
use store::{
    cases::{CaseFilter, CaseKind},
    money::Write,
};
use utoipa::ToSchema;

use super::{
    answer::{Answer, Listed},
    audit::audit_row,
    auth::By,
    idempotency::{Call, once},
    input::{Params, body, within, words},
    payments::visible,
    problem::{Code, Problem},
    rights::{REFUNDS_CREATE, REFUNDS_GET, REFUNDS_LIST, REFUNDS_RESOLVE},
    risk::may,
    state::App,
};
use crate::{
    ids::{derived_id, new_id},
    limits::TOPUP_FEN_MAX,
    pay::{AskRefund, FiledRefund},
};

/// The only way money goes back without an adjustment.
const TO_CHANNEL: &str = "channel";

/// Money that shall go back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewRefund {
    amount_fen: i64,
    reason: String,
    /// `channel`.
    to: String,
}

/// What a person knows of a refund that the channel does not finish.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Resolution {
    /// `paid`: the money left; `back`: it is available again.
    #[schema(value_type = String)]
    outcome: RefundOutcome,
    reason: String,
}

/// A refund.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RefundView {
    refund_no: String,
    /// `REQUESTED`, `SENT`, `FAILED` (sent again), `MANUAL` (a person decides), `SUCCESS`, `RETURNED` or `REFUSED`.
    #[schema(value_type = String)]
    state: RefundState,
    payment_no: String,
    /// Whose money; `null` for money in suspense.
    #[schema(value_type = Option<String>)]
    user_id: Option<UserId>,
    /// The money in suspense that goes back, if it is such.
    suspense_id: Option<String>,
    channel: String,
    #[schema(value_type = i64)]
    amount_fen: Fen,
    reason: String,
    #[schema(value_type = String)]
    requested_by: UserId,
    #[schema(value_type = String, format = DateTime)]
    requested_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    next_try_at: Option<Timestamp>,
    /// How often the channel refused.
    tries: u32,
    channel_refund_id: Option<String>,
    last_words: Option<String>,
    #[schema(value_type = Option<Object>)]
    decision: Option<RefundDecision>,
}

impl RefundView {
    fn of(refund: &Refund) -> Self {
        let (user_id, suspense_id) = match &refund.source {
            RefundSource::Wallet { user_id } => (Some(user_id.clone()), None),
            RefundSource::Suspense { item } => (None, Some(item.clone())),
        };
        Self {
            refund_no: refund.refund_no.clone(),
            state: refund.state,
            payment_no: refund.payment_no.clone(),
            user_id,
            suspense_id,
            channel: refund.channel.clone(),
            amount_fen: refund.amount,
            reason: refund.reason.clone(),
            requested_by: refund.by.clone(),
            requested_at: refund.requested_at,
            updated_at: refund.updated_at,
            next_try_at: refund.due,
            tries: refund.tries,
            channel_refund_id: refund.channel_refund_id.clone(),
            last_words: refund.last_words.clone(),
            decision: refund.decision.clone(),
        }
    }
}

/// Asks for unused money of a payment back through its channel (its driver, finance).
#[utoipa::path(post, path = "/payments/{paymentNo}/refunds", tag = "finance", params(("paymentNo" = String, Path)),
    request_body = NewRefund, responses((status = 201, body = RefundView)))]
pub(crate) async fn create(
    State(app): State<App>,
    by: By<REFUNDS_CREATE>,
    Path(no): Path<String>,
    call: Call,
) -> Result<Answer, Problem> {
    let (task, caller) = (app.clone(), by.sub.clone());
    once(&app, &caller, call, move |key, bytes| async move {
        let new: NewRefund = body(&bytes)?;
        let amount = Fen(within("amountFen", new.amount_fen, 1, TOPUP_FEN_MAX)?);
        let reason = words("reason", &new.reason)?;
        if new.to != TO_CHANNEL {
            return Err(Problem::invalid("to", &new.to, format!("must be {TO_CHANNEL}")));
        }
        let payment = visible(&task, &by, &no).await?;
        may(&task, Gate::Refund, &payment.user_id, None).await?;
        let now = task.now();
        let refund_no = match &key {
            Some(key) => derived_id("R", &key.seed()),
            None => new_id("R", now)?,
        };
        let detail = serde_json::json!({ "paymentNo": no, "amountFen": amount, "reason": reason });
        let audit = audit_row(&by, now, "REFUND_REQUESTED", &refund_no, &detail);
        let ask = AskRefund {
            refund_no,
            payment,
            amount,
            reason,
            own: by.is_driver(),
            by: by.sub,
            with: vec![Write::Audit(Box::new(audit))],
        };
        let answer = |refund: &Refund| Answer::created(&RefundView::of(refund));
        let row = move |refund: &Refund| key.map(|key| key.row(&answer(refund), now));
        Ok(answer(&task.pay.request_refund(ask, row).await?))
    })
    .await
}

/// Refunds, newest first: in a state, or of a payment (finance, service).
#[utoipa::path(get, path = "/refunds", tag = "finance",
    params(("state" = Option<String>, Query), ("payment" = Option<String>, Query), ("cursor" = Option<String>, Query),
        ("limit" = Option<u32>, Query)),
    responses((status = 200, body = Listed<RefundView>)))]
pub(crate) async fn list(
    State(app): State<App>,
    _by: By<REFUNDS_LIST>,
    params: Params,
) -> Result<Json<Listed<RefundView>>, Problem> {
    let filter = CaseFilter {
        state: params.text("state").map(str::to_uppercase),
        about: params.text("payment").map(str::to_owned),
        ..CaseFilter::all(CaseKind::Refund)
    };
    let page = app.money.cases(&filter, params.cursor(), params.limit()?).await?;
    let items = page.items.iter().map(|case| Ok(RefundView::of(&case.read::<FiledRefund>()?.0)));
    let items = items.collect::<Result<_, Problem>>()?;
    Ok(Json(Listed { items, next_cursor: page.next_cursor }))
}

/// One refund (its driver, finance, service).
#[utoipa::path(get, path = "/refunds/{refundNo}", tag = "finance", params(("refundNo" = String, Path)),
    responses((status = 200, body = RefundView)))]
pub(crate) async fn get(
    State(app): State<App>,
    by: By<REFUNDS_GET>,
    Path(no): Path<String>,
) -> Result<Json<RefundView>, Problem> {
    let owned = |refund: &Refund| match &refund.source {
        RefundSource::Wallet { user_id } => *user_id == by.sub,
        RefundSource::Suspense { .. } => false,
    };
    let refund = app.pay.refund(&no).await?.filter(|refund| by.is_staff() || owned(refund));
    let unknown = || Problem::new(Code::RefundNotFound, format!("there is no refund {no}"));
    Ok(Json(RefundView::of(&refund.ok_or_else(unknown)?)))
}

/// Decides a refund that the channel does not finish (finance; not who asked for it).
#[utoipa::path(post, path = "/refunds/{refundNo}/resolve", tag = "finance", params(("refundNo" = String, Path)),
    request_body = Resolution, responses((status = 200, body = RefundView)))]
pub(crate) async fn resolve(
    State(app): State<App>,
    by: By<REFUNDS_RESOLVE>,
    Path(no): Path<String>,
    call: Call,
) -> Result<Answer, Problem> {
    let (task, caller) = (app.clone(), by.sub.clone());
    once(&app, &caller, call, move |key, bytes| async move {
        let asked: Resolution = body(&bytes)?;
        let reason = words("reason", &asked.reason)?;
        let now = task.now();
        let detail = serde_json::json!({ "outcome": asked.outcome, "reason": reason });
        let audit = audit_row(&by, now, "REFUND_RESOLVED", &no, &detail);
        let decision = RefundDecision { by: by.sub, outcome: asked.outcome, reason, at: now };
        let with = move |refund: &Refund| {
            let answer = Answer::ok(&RefundView::of(refund));
            let once = key.as_ref().map(|key| Write::Once(Box::new(key.row(&answer, now))));
            [Write::Audit(Box::new(audit.clone()))].into_iter().chain(once).collect()
        };
        let refund = task.pay.decide_refund(&no, RefundEvent::Decide(decision), with).await?;
        Ok(Answer::ok(&RefundView::of(&refund)))
    })
    .await
}
