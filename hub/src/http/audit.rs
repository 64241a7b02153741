//! Who did what, for ever.

use std::sync::Arc;

use axum::{Json, extract::State};
use domain::{Millis, Timestamp, UserId};
use serde::Serialize;
use serde_json::Value;
use settlement::reconcile::Day;
use store::{
    cases::{Case, CaseFilter, CaseKind},
    registry::AuditRow,
};
use utoipa::ToSchema;

use super::{
    answer::Listed,
    auth::{By, Roles},
    input::Params,
    problem::Problem,
    rights::{AUDIT_HEADS, AUDIT_LIST},
    sift::{Sift, sift},
    state::App,
};
use crate::{audit_heads::Head, limits::CLOCK_STEP_MS_MAX};

/// A row of the audit trail.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditView {
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    #[schema(value_type = String)]
    actor: UserId,
    role: String,
    /// What, in UPPER_SNAKE.
    action: String,
    target: String,
    /// Values, reasons.
    #[schema(value_type = Object)]
    detail: Value,
    /// Where the call came from; `null` for what the hub did by itself.
    address: Option<String>,
}

/// The audit trail, newest first (staff): all of it, or the rows of an actor, an action, a target, of `[from, to)`. A page
/// may be short while its cursor leads on.
#[utoipa::path(get, path = "/audit", tag = "operation",
    params(("actor" = Option<String>, Query), ("action" = Option<String>, Query), ("target" = Option<String>, Query),
        ("from" = Option<String>, Query), ("to" = Option<String>, Query), ("cursor" = Option<String>, Query),
        ("limit" = Option<u32>, Query)),
    responses((status = 200, body = Listed<AuditView>)))]
pub(crate) async fn list(
    State(app): State<App>,
    _by: By<AUDIT_LIST>,
    params: Params,
) -> Result<Json<Listed<AuditView>>, Problem> {
    let (from, to) = (params.time("from")?, params.time("to")?);
    let begins = from.map(|from| from.plus(Millis(-CLOCK_STEP_MS_MAX)));
    let is = |field: &str, text: &str| params.text(field).is_none_or(|wanted| wanted == text);
    let judge = |row: &AuditRow| {
        let named = is("actor", row.actor.as_str()) && is("action", &row.action) && is("target", &row.target);
        let timely = from.is_none_or(|from| row.at >= from) && to.is_none_or(|to| row.at < to);
        match begins {
            Some(begins) if row.at < begins => Sift::Stop,
            Some(_) | None if named && timely => Sift::Keep,
            Some(_) | None => Sift::Skip,
        }
    };
    let page = sift(params.cursor(), params.limit()?, judge, |cursor, max| {
        let money = Arc::clone(&app.money);
        async move { money.audit_rows(cursor.as_deref(), max).await }
    });
    Ok(Json(Listed::page(page.await?, view)))
}

/// The head of a day of the audit trail.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HeadView {
    #[schema(value_type = String, example = "2026-01-31")]
    day: Day,
    /// Number of the last row.
    last_id: i64,
    /// Rows since the head before.
    rows: u64,
    /// SHA-256 of the last row, which every row before it goes into.
    hash: String,
}

/// The heads of the days that are over, newest first (auditor, admin, finance): kept elsewhere, they prove every row before.
#[utoipa::path(get, path = "/audit/heads", tag = "operation",
    params(("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query)),
    responses((status = 200, body = Listed<HeadView>)))]
pub(crate) async fn heads(
    State(app): State<App>,
    _by: By<AUDIT_HEADS>,
    params: Params,
) -> Result<Json<Listed<HeadView>>, Problem> {
    let filter = CaseFilter::all(CaseKind::AuditHead);
    let page = app.money.cases(&filter, params.cursor(), params.limit()?).await?;
    let heads: Vec<Head> = page.items.iter().map(Case::read).collect::<Result<_, _>>()?;
    let items = heads.into_iter().map(|Head { day, last_id, rows, hash, at: _ }| HeadView { day, last_id, rows, hash });
    Ok(Json(Listed { items: items.collect(), next_cursor: page.next_cursor }))
}

/// The row that says that `by` did something.
pub(crate) fn audit_row<const ROLES: Roles>(
    by: &By<ROLES>,
    at: Timestamp,
    action: &str,
    target: &str,
    detail: &impl Serialize,
) -> AuditRow {
    AuditRow {
        at,
        actor: by.sub.clone(),
        role: by.role.as_str().to_owned(),
        address: by.address.map(|address| address.ip().to_string()),
        action: action.to_owned(),
        target: target.to_owned(),
        detail: serde_json::to_string(detail).unwrap_or_default(),
    }
}

fn view(row: AuditRow) -> AuditView {
    let detail = serde_json::from_str(&row.detail).unwrap_or_else(|_| Value::String(row.detail.clone()));
    let AuditRow { at, actor, role, action, target, detail: _, address } = row;
    AuditView { at, actor, role, action, target, detail, address }
}
