//! Debts that are given up: asked for by finance, approved by another person, booked once.

use axum::{
    Json,
    extract::{Path, State},
};
use domain::{Fen, OrderNo, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use settlement::debt::{WriteOff, WriteOffError};
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
    rights::{WRITE_OFFS_APPROVE, WRITE_OFFS_CREATE, WRITE_OFFS_GET, WRITE_OFFS_LIST, WRITE_OFFS_REJECT},
    state::App,
};
use crate::{ids::new_id, limits::TOPUP_FEN_MAX, risk::Filing};

const STATES: [&str; 4] = ["REQUESTED", "APPROVED", "WRITTEN_OFF", "REJECTED"];
const SHAPE: Shape<Filing<WriteOff>> =
    Shape { answer: |write_off| Answer::ok(&view(&write_off.0)), unknown: Code::WriteOffNotFound };

/// A debt that shall be given up.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewWriteOff {
    /// The whole debt when left out.
    amount_fen: Option<i64>,
    reason: String,
}

/// A debt given up, and where it is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WriteOffView {
    write_off_id: String,
    #[schema(value_type = String)]
    order_no: OrderNo,
    #[schema(value_type = String)]
    user_id: UserId,
    #[schema(value_type = i64)]
    amount_fen: Fen,
    /// `REQUESTED`, `APPROVED` (about to be booked), `WRITTEN_OFF` or `REJECTED`.
    state: &'static str,
    reason: String,
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
    written_off_at: Option<Timestamp>,
}

/// Asks to give an order's debt up, in whole or in part (finance).
#[utoipa::path(post, path = "/debts/{orderNo}/write-off", tag = "debts", params(("orderNo" = String, Path)),
    request_body = NewWriteOff, responses((status = 201, body = WriteOffView)))]
pub(crate) async fn create(
    State(app): State<App>,
    by: By<WRITE_OFFS_CREATE>,
    Path(no): Path<String>,
    call: Call,
) -> Result<Answer, Problem> {
    let (task, caller) = (app.clone(), by.sub.clone());
    once(&app, &caller, call, move |key, bytes| async move {
        let new: NewWriteOff = body(&bytes)?;
        let amount = new.amount_fen.map(|fen| within("amountFen", fen, 1, TOPUP_FEN_MAX)).transpose()?;
        let reason = words("reason", &new.reason)?;
        let order = visible(&task, &by, &no).await?;
        let now = task.now();
        let asked = WriteOff::request(new_id("W", now)?, &order, amount.map(Fen), by.sub.clone(), reason, now);
        let filed = Filing(asked.map_err(|error| refused(&error))?);
        let answer = Answer::created(&view(&filed.0));
        let audit = audit_row(&by, now, "WRITE_OFF_REQUESTED", &filed.0.write_off_id, &view(&filed.0));
        let mut writes = vec![Write::Case(Box::new(filed.case())), Write::Audit(Box::new(audit))];
        writes.extend(key.map(|key| Write::Once(Box::new(key.row(&answer, now)))));
        task.commit(writes).await?;
        Ok(answer)
    })
    .await
}

fn refused(error: &WriteOffError) -> Problem {
    match error {
        WriteOffError::NoDebt(_) => Problem::new(Code::IllegalState, error.to_string()),
        WriteOffError::MoreThanDebt { asked, .. } | WriteOffError::NotPositive(asked) => {
            Problem::invalid("amountFen", asked.0, error.to_string())
        }
    }
}

/// Approves that a debt is given up, which books it (finance up to its limit, admin; never its author).
#[utoipa::path(post, path = "/write-offs/{id}/approve", tag = "debts", params(("id" = String, Path)),
    responses((status = 200, body = WriteOffView)))]
pub(crate) async fn approve(
    State(app): State<App>,
    by: By<WRITE_OFFS_APPROVE>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Answer, Problem> {
    joint::approve(app, by, id, call, SHAPE).await
}

/// Says that a debt is not given up (finance, admin).
#[utoipa::path(post, path = "/write-offs/{id}/reject", tag = "debts", params(("id" = String, Path)),
    request_body = Rejection, responses((status = 200, body = WriteOffView)))]
pub(crate) async fn reject(
    State(app): State<App>,
    by: By<WRITE_OFFS_REJECT>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Answer, Problem> {
    joint::reject(app, by, id, call, SHAPE).await
}

/// Debts given up or to be given up, newest first (staff).
#[utoipa::path(get, path = "/write-offs", tag = "debts",
    params(("state" = Option<String>, Query), ("orderNo" = Option<String>, Query),
        ("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query)),
    responses((status = 200, body = Listed<WriteOffView>)))]
pub(crate) async fn list(
    State(app): State<App>,
    _by: By<WRITE_OFFS_LIST>,
    params: Params,
) -> Result<Json<Listed<WriteOffView>>, Problem> {
    joint::list(&app, &params, &STATES, |filed: &Filing<WriteOff>| view(&filed.0)).await
}

/// One debt given up (staff).
#[utoipa::path(get, path = "/write-offs/{id}", tag = "debts", params(("id" = String, Path)),
    responses((status = 200, body = WriteOffView)))]
pub(crate) async fn get(
    State(app): State<App>,
    _by: By<WRITE_OFFS_GET>,
    Path(id): Path<String>,
) -> Result<Json<WriteOffView>, Problem> {
    let filed: Filing<WriteOff> = found(&app, &id, Code::WriteOffNotFound).await?;
    Ok(Json(view(&filed.0)))
}

fn view(write_off: &WriteOff) -> WriteOffView {
    let approval = &write_off.approval;
    WriteOffView {
        write_off_id: write_off.write_off_id.clone(),
        order_no: write_off.order_no.clone(),
        user_id: write_off.user_id.clone(),
        amount_fen: approval.amount_fen,
        state: write_off.state_word(),
        reason: approval.reason.clone(),
        author: approval.author.to_string(),
        requested_at: approval.requested_at,
        decided_by: approval.decided_by.as_ref().map(ToString::to_string),
        decided_at: approval.decided_at,
        rejection: approval.rejection.clone(),
        written_off_at: approval.done_at,
    }
}
