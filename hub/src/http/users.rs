//! Who may not charge, why, and until when.

use axum::{
    Json,
    extract::{Path, State},
};
use domain::{Timestamp, UserId};
use serde::{Deserialize, Serialize};
use store::money::{BlacklistEntry, Commit, Write};
use utoipa::ToSchema;

use super::{
    answer::Answer,
    audit::audit_row,
    auth::By,
    idempotency::{Call, once},
    input::{When, body, id, words},
    problem::Problem,
    rights::{USERS_BLACKLIST, USERS_BLACKLISTED},
    state::App,
};

/// Whether a user is blocked.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Blacklist {
    on: bool,
    /// Required when `on`.
    reason: Option<String>,
    /// Until it is taken off when left out; in the future.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<When>,
}

/// A user's blacklist entry.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BlacklistView {
    #[schema(value_type = String)]
    sub: UserId,
    on: bool,
    reason: Option<String>,
    /// Who said so: a person, or `policy:debt`.
    by: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
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
        let now = task.now();
        let entry = entry_of(&asked, &by.sub, now)?;
        let view = view(&sub, entry.as_ref());
        let answer = Answer::ok(&view);
        let audit = audit_row(&by, now, "USER_BLACKLIST", sub.as_str(), &view);
        let mut writes = vec![Write::Blacklist(sub.clone(), entry), Write::Audit(Box::new(audit))];
        writes.extend(key.map(|key| Write::Once(Box::new(key.row(&answer, now)))));
        let _turn = task.desk.turn(&sub).await;
        // In turn with the user's orders, so that none starts past it.
        task.actors.write_for(&sub, Commit { writes }).await?;
        Ok(answer)
    })
    .await
}

/// Whether and why a user is blocked at present (risk, service).
#[utoipa::path(get, path = "/users/{sub}/blacklist", tag = "risk", params(("sub" = String, Path)),
    responses((status = 200, body = BlacklistView)))]
pub(crate) async fn blacklisted(
    State(app): State<App>,
    _by: By<USERS_BLACKLISTED>,
    Path(sub): Path<String>,
) -> Result<Json<BlacklistView>, Problem> {
    let sub: UserId = id("sub", &sub)?;
    let entry = app.money.blacklisted(&sub).await?.filter(|entry| entry.holds_at(app.now()));
    Ok(Json(view(&sub, entry.as_ref())))
}

fn entry_of(asked: &Blacklist, by: &UserId, now: Timestamp) -> Result<Option<BlacklistEntry>, Problem> {
    if !asked.on {
        return Ok(None);
    }
    let reason = asked.reason.as_deref().ok_or_else(|| Problem::missing("reason"))?;
    let until = asked.until.as_ref().map(|until| until.read("until")).transpose()?;
    if let Some(until) = until.filter(|until| *until <= now) {
        return Err(Problem::invalid("until", until, "must be in the future"));
    }
    Ok(Some(BlacklistEntry { reason: words("reason", reason)?, by: by.to_string(), at: now, until }))
}

fn view(sub: &UserId, entry: Option<&BlacklistEntry>) -> BlacklistView {
    BlacklistView {
        sub: sub.clone(),
        on: entry.is_some(),
        reason: entry.map(|entry| entry.reason.clone()),
        by: entry.map(|entry| entry.by.clone()),
        since: entry.map(|entry| entry.at),
        until: entry.and_then(|entry| entry.until),
    }
}
