//! Money nobody knows the owner of: looking at it, saying where it belongs, agreeing to that.

use axum::{
    Json,
    extract::{Path, State},
};
use domain::{Fen, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use settlement::suspense::{Destination, Resolution, Suspense, SuspenseCause, SuspenseEvent, SuspenseState};
use store::{
    cases::{CaseFilter, CaseKind},
    money::Write,
};
use utoipa::ToSchema;

use super::{
    answer::{Answer, Listed},
    audit::audit_row,
    auth::By,
    idempotency::{Call, OnceKey, once},
    input::{Params, body, id, words},
    problem::Problem,
    rights::{SUSPENSE_APPROVE, SUSPENSE_LIST, SUSPENSE_RESOLVE},
    state::App,
};
use crate::pay::{FiledSuspense, refund_no_of};

/// Where the money belongs.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Belongs {
    /// `driver` or `channel`.
    to: String,
    /// The driver, when it is one.
    sub: Option<String>,
    reason: String,
}

/// Money in suspense.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SuspenseView {
    suspense_id: String,
    /// `OPEN`, `REQUESTED`, `APPROVED`, `RETURNING` or `RESOLVED`.
    #[schema(value_type = String)]
    state: SuspenseState,
    /// `UNKNOWN_PAYMENT` or `DUPLICATE_PAYMENT`.
    #[schema(value_type = String)]
    cause: SuspenseCause,
    channel: String,
    transaction_id: String,
    /// As the channel told.
    payment_no: String,
    #[schema(value_type = i64)]
    amount_fen: Fen,
    #[schema(value_type = Option<String>, format = DateTime)]
    paid_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    received_at: Timestamp,
    /// Whole days since then.
    age_days: i64,
    #[schema(value_type = Option<Object>)]
    resolution: Option<Resolution>,
    refund_no: Option<String>,
}

impl SuspenseView {
    fn of(suspense: &Suspense, now: Timestamp) -> Self {
        Self {
            suspense_id: suspense.item.clone(),
            state: suspense.state,
            cause: suspense.why,
            channel: suspense.channel.clone(),
            transaction_id: suspense.transaction_id.clone(),
            payment_no: suspense.payment_no.clone(),
            amount_fen: suspense.amount,
            paid_at: suspense.paid_at,
            received_at: suspense.received_at,
            age_days: suspense.age_days(now),
            resolution: suspense.resolution.clone(),
            refund_no: suspense.refund_no.clone(),
        }
    }
}

/// Money in suspense, newest first; only that in a state, or `open=true` (finance).
#[utoipa::path(get, path = "/suspense", tag = "finance",
    params(("state" = Option<String>, Query), ("open" = Option<bool>, Query), ("cursor" = Option<String>, Query),
        ("limit" = Option<u32>, Query)),
    responses((status = 200, body = Listed<SuspenseView>)))]
pub(crate) async fn list(
    State(app): State<App>,
    _by: By<SUSPENSE_LIST>,
    params: Params,
) -> Result<Json<Listed<SuspenseView>>, Problem> {
    let filter = CaseFilter {
        state: params.text("state").map(str::to_uppercase),
        open_only: params.text("open") == Some("true"),
        ..CaseFilter::all(CaseKind::Suspense)
    };
    let page = app.money.cases(&filter, params.cursor(), params.limit()?).await?;
    let now = app.now();
    let items = page.items.iter().map(|case| Ok(SuspenseView::of(&case.read::<FiledSuspense>()?.0, now)));
    let items = items.collect::<Result<_, Problem>>()?;
    Ok(Json(Listed { items, next_cursor: page.next_cursor }))
}

/// Says where money in suspense belongs: to a driver, or back to the channel (finance). Another person must agree; until
/// then it can be said anew.
#[utoipa::path(post, path = "/suspense/{suspenseId}/resolve", tag = "finance", params(("suspenseId" = String, Path)),
    request_body = Belongs, responses((status = 200, body = SuspenseView)))]
pub(crate) async fn resolve(
    State(app): State<App>,
    by: By<SUSPENSE_RESOLVE>,
    Path(item): Path<String>,
    call: Call,
) -> Result<Answer, Problem> {
    let (task, caller) = (app.clone(), by.sub.clone());
    once(&app, &caller, call, move |key, bytes| async move {
        let asked: Belongs = body(&bytes)?;
        let reason = words("reason", &asked.reason)?;
        let to = match (asked.to.as_str(), &asked.sub) {
            ("driver", Some(sub)) => Destination::Driver { sub: driver(sub)? },
            ("driver", None) => return Err(Problem::missing("sub")),
            ("channel", _) => Destination::Channel,
            _ => return Err(Problem::invalid("to", &asked.to, "must be driver or channel")),
        };
        let now = task.now();
        let audit = audit_row(&by, now, "SUSPENSE_RESOLVED", &item, &(&to, &reason));
        let event =
            |_: &Suspense| SuspenseEvent::Resolve { to: to.clone(), by: by.sub.clone(), reason: reason.clone() };
        let with = |next: &Suspense| written(Write::Audit(Box::new(audit.clone())), key.as_ref(), next, now);
        let next = task.pay.step_suspense(&item, event, with).await?;
        Ok(Answer::ok(&SuspenseView::of(&next, now)))
    })
    .await
}

/// Agrees to where money in suspense belongs; it goes there (finance, admin; not who said so).
#[utoipa::path(post, path = "/suspense/{suspenseId}/approve", tag = "finance", params(("suspenseId" = String, Path)),
    responses((status = 200, body = SuspenseView)))]
pub(crate) async fn approve(
    State(app): State<App>,
    by: By<SUSPENSE_APPROVE>,
    Path(item): Path<String>,
    call: Call,
) -> Result<Answer, Problem> {
    let (task, caller) = (app.clone(), by.sub.clone());
    once(&app, &caller, call, move |key, _| async move {
        let now = task.now();
        let audit = audit_row(&by, now, "SUSPENSE_APPROVED", &item, &());
        let event =
            |suspense: &Suspense| SuspenseEvent::Approve { by: by.sub.clone(), refund_no: refund_no_of(suspense) };
        let with = |next: &Suspense| written(Write::Audit(Box::new(audit.clone())), key.as_ref(), next, now);
        let next = task.pay.step_suspense(&item, event, with).await?;
        Ok(Answer::ok(&SuspenseView::of(&next, now)))
    })
    .await
}

fn driver(sub: &str) -> Result<UserId, Problem> {
    let sub: UserId = id("sub", sub)?;
    if sub == settlement::ledger::suspense_account() {
        return Err(Problem::invalid("sub", sub, "must be a driver"));
    }
    Ok(sub)
}

fn written(audit: Write, key: Option<&OnceKey>, next: &Suspense, now: Timestamp) -> Vec<Write> {
    let once = key.map(|key| Write::Once(Box::new(key.row(&Answer::ok(&SuspenseView::of(next, now)), now))));
    [audit].into_iter().chain(once).collect()
}
