//! Deciding what another person has asked for: one way for refunds and for debts given up. The author never decides, a role
//! has its limit, and an answer that a crash cut off is given again.

use axum::Json;
use domain::Timestamp;
use serde::Deserialize;
use serde_json::json;
use settlement::approval::{Actor, ApprovalError, ApprovalEvent, ApprovalState};
use store::{cases::CaseFilter, money::Write};
use utoipa::ToSchema;

use super::{
    answer::{Answer, Listed},
    audit::audit_row,
    auth::{By, FINANCE_ADMIN, Role},
    idempotency::{Call, OnceKey, once},
    input::{Params, body, words},
    problem::{Code, Problem},
    state::App,
};
use crate::risk::Joint;

/// Why something is not done.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Rejection {
    reason: String,
}

/// How one kind of them is found and shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape<T> {
    pub(super) answer: fn(&T) -> Answer,
    pub(super) unknown: Code,
}

/// Approves one and does it.
pub(super) async fn approve<T: Joint>(
    app: App,
    by: By<FINANCE_ADMIN>,
    id: String,
    call: Call,
    shape: Shape<T>,
) -> Result<Answer, Problem> {
    let (task, caller) = (app.clone(), by.sub.clone());
    once(&app, &caller, call, move |key, _| async move {
        let seen: T = found(&task, &id, shape.unknown).await?;
        let _turn = task.desk.turn(seen.user_id()).await;
        let mut one: T = found(&task, &id, shape.unknown).await?;
        let (now, me) = (task.now(), Actor::Person(by.sub.clone()));
        let approval = one.approval();
        let was_mine = approval.state == ApprovalState::Done && approval.decided_by.as_ref() == Some(&me);
        if let Some(key) = key.as_ref().filter(|_| was_mine) {
            // Done by an earlier try of this call, whose answer was lost with the process.
            let answer = (shape.answer)(&one);
            task.commit(answers(Some(key), &answer, now)).await?;
            return Ok(answer);
        }
        let most = (by.role == Role::Finance).then_some(task.desk.risk.settings.finance_max);
        let detail = json!({ "amountFen": approval.amount_fen, "before": approval.state, "reason": approval.reason });
        let audit = audit_row(&by, now, &format!("{}_APPROVED", T::WORD), &id, &detail);
        let event = ApprovalEvent::Approve { by: me, most };
        let stored = task.desk.apply(&mut one, &event, vec![Write::Audit(Box::new(audit))]).await?;
        stored.map_err(|error| refused(&error))?;
        let done = task.desk.finish(one, |done| answers(key.as_ref(), &(shape.answer)(done), now)).await?;
        Ok((shape.answer)(&done))
    })
    .await
}

/// Says that one shall not be done.
pub(super) async fn reject<T: Joint>(
    app: App,
    by: By<FINANCE_ADMIN>,
    id: String,
    call: Call,
    shape: Shape<T>,
) -> Result<Answer, Problem> {
    let (task, caller) = (app.clone(), by.sub.clone());
    once(&app, &caller, call, move |key, bytes| async move {
        let asked: Rejection = body(&bytes)?;
        let reason = words("reason", &asked.reason)?;
        let mut one: T = found(&task, &id, shape.unknown).await?;
        let now = task.now();
        let detail =
            json!({ "amountFen": one.approval().amount_fen, "before": one.approval().state, "reason": reason });
        let audit = audit_row(&by, now, &format!("{}_REJECTED", T::WORD), &id, &detail);
        let event = ApprovalEvent::Reject { by: by.sub.clone(), reason };
        let mut after = one.clone();
        let (approval, rev) = after.parts();
        approval.apply(&event, now).map_err(|error| refused(&error))?;
        *rev = rev.saturating_add(1);
        let answer = (shape.answer)(&after);
        let mut writes = vec![Write::Audit(Box::new(audit))];
        writes.extend(answers(key.as_ref(), &answer, now));
        task.desk.apply(&mut one, &event, writes).await?.map_err(|error| refused(&error))?;
        Ok(answer)
    })
    .await
}

/// A page of them, newest first, by state and by order.
pub(super) async fn list<T: Joint, V>(
    app: &App,
    params: &Params,
    states: &[&str],
    view: impl Fn(&T) -> V,
) -> Result<Json<Listed<V>>, Problem> {
    let filter = CaseFilter {
        state: params.one_of("state", states)?,
        about: params.text("orderNo").map(str::to_owned),
        ..CaseFilter::all(T::KIND)
    };
    let page = app.money.cases(&filter, params.cursor(), params.limit()?).await?;
    let items = page.items.iter().map(|case| Ok(view(&case.read()?))).collect::<Result<_, Problem>>()?;
    Ok(Json(Listed { items, next_cursor: page.next_cursor }))
}

/// One of them, or that there is none.
pub(super) async fn found<T: Joint>(app: &App, id: &str, unknown: Code) -> Result<T, Problem> {
    let one = app.desk.joint::<T>(id).await?;
    one.ok_or_else(|| Problem::new(unknown, format!("there is no {id}")))
}

/// The answer as it is stored with its effect.
fn answers(key: Option<&OnceKey>, answer: &Answer, now: Timestamp) -> Vec<Write> {
    key.map(|key| Write::Once(Box::new(key.row(answer, now)))).into_iter().collect()
}

fn refused(error: &ApprovalError) -> Problem {
    let code = match error {
        ApprovalError::OwnRequest(_) => Code::Forbidden,
        ApprovalError::OverLimit { .. } => Code::ApprovalLimit,
        ApprovalError::Decided(_) | ApprovalError::NotApproved(_) => Code::IllegalState,
    };
    Problem::new(code, error.to_string())
}
