//! Who may not charge.

use axum::extract::{Path, State};
use domain::UserId;
use serde::{Deserialize, Serialize};
use store::money::{BlacklistEntry, Commit, Write};
use utoipa::ToSchema;

use super::{
    answer::Answer,
    audit::audit_row,
    auth::By,
    idempotency::{Call, once},
    input::{body, id, words},
    problem::Problem,
    rights::USERS_BLACKLIST,
    state::App,
};

/// Whether a user is blocked.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Blacklist {
    on: bool,
    /// Required when `on`.
    reason: Option<String>,
}

/// A user's blacklist entry.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BlacklistView {
    #[schema(value_type = String)]
    sub: UserId,
    on: bool,
    reason: Option<String>,
}

/// Blocks a user from starting charges, or lets them again (risk).
#[utoipa::path(put, path = "/users/{sub}/blacklist", tag = "risk", params(("sub" = String, Path)),
    request_body = Blacklist, responses((status = 200, body = BlacklistView)))]
pub(crate) async fn blacklist(
    State(app): State<App>,
    by: By<USERS_BLACKLIST>,
    Path(sub): Path<String>,
    call: Call,
) -> Result<Answer, Problem> {
    let (task, caller) = (app.clone(), by.sub.clone());
    once(&app, &caller, call, move |key, bytes| async move {
        let asked: Blacklist = body(&bytes)?;
        let sub: UserId = id("sub", &sub)?;
        let reason = match (asked.on, asked.reason) {
            (true, None) => return Err(Problem::missing("reason")),
            (true, Some(reason)) => Some(words("reason", &reason)?),
            (false, _) => None,
        };
        let view = BlacklistView { sub: sub.clone(), on: asked.on, reason: reason.clone() };
        let answer = Answer::ok(&view);
        let now = task.now();
        let audit = audit_row(&by, now, "USER_BLACKLIST", sub.as_str(), &view);
        let entry = reason.map(|reason| BlacklistEntry { reason, by: by.sub.to_string(), at: now, until: None });
        let mut writes = vec![Write::Blacklist(sub.clone(), entry), Write::Audit(Box::new(audit))];
        writes.extend(key.map(|key| Write::Once(Box::new(key.row(&answer, now)))));
        // In turn with the user's orders, so that none starts past it.
        task.actors.write_for(&sub, Commit { writes }).await?;
        Ok(answer)
    })
    .await
}
