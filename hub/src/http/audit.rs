//! Who did what, for ever.

use axum::{Json, extract::State};
use domain::{Timestamp, UserId};
use serde::Serialize;
use serde_json::Value;
use store::registry::AuditRow;
use utoipa::ToSchema;

use super::{
    answer::Listed,
    auth::{By, Roles, STAFF},
    input::Params,
    problem::Problem,
    state::App,
};

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
}

/// The audit trail, newest first (staff).
#[utoipa::path(get, path = "/audit", tag = "operation",
    params(("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query)),
    responses((status = 200, body = Listed<AuditView>)))]
pub(crate) async fn list(
    State(app): State<App>,
    _by: By<STAFF>,
    params: Params,
) -> Result<Json<Listed<AuditView>>, Problem> {
    let page = app.money.audit_rows(params.cursor(), params.limit()?).await?;
    Ok(Json(Listed::page(page, view)))
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
        address: None,
        action: action.to_owned(),
        target: target.to_owned(),
        detail: serde_json::to_string(detail).unwrap_or_default(),
    }
}

fn view(row: AuditRow) -> AuditView {
    let detail = serde_json::from_str(&row.detail).unwrap_or(Value::String(row.detail));
    AuditView { at: row.at, actor: row.actor, role: row.role, action: row.action, target: row.target, detail }
}
