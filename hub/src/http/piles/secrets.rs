//! Changing what a pile connects with: another secret, or a token for a pile that has none.
//!
//! No secret is in an answer here; the hub itself gives it to the pile. A token is shown once and kept nowhere: the
//! stored answer of an idempotent call has none, it is derived again from the call.

use axum::extract::{Path, State};
use domain::{Millis, PileCode, PileNo, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::money::Write;
use utoipa::ToSchema;

use super::code_of;
use crate::{
    http::{
        answer::Answer,
        audit::audit_row,
        auth::By,
        idempotency::{Call, once, refilled},
        problem::{Code, Problem},
        rights::{PILES_ENROLMENT, PILES_SECRET},
        state::App,
    },
    ids::random_bytes,
    limits::ENROLMENT_S,
};

/// A change of a pile's secret that has begun.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RotationView {
    #[schema(value_type = String)]
    pile_code: PileCode,
    /// Both secrets are good until the pile uses the next one, at most until then.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
}

/// A token that lets a pile in once.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EnrolmentView {
    /// 12 digits and letters, the MQTT password of one connection. Empty in what is stored.
    #[schema(example = "7K3MZQ0V5XWA")]
    token: String,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// Gives a pile another secret (admin). The hub pushes it to the pile as the command `setSecret`; the earlier one dies
/// when the pile first connects with it. 409 `ROTATION_RUNNING` while an earlier change is under way.
#[utoipa::path(post, path = "/piles/{code}/secret", tag = "registry", params(("code" = String, Path)),
    responses((status = 202, body = RotationView)))]
pub(crate) async fn rotate(
    State(app): State<App>,
    by: By<PILES_SECRET>,
    Path(code): Path<String>,
    call: Call,
) -> Result<Answer, Problem> {
    let (task, caller) = (app.clone(), by.sub.clone());
    once(&app, &caller, call, move |key, _| async move {
        let (code, pile_no) = pile_with_secret(&task, &code)?;
        let begun = task.credentials.begin(pile_no, &code).await.map_err(|error| {
            tracing::error!(%error, "no secret can be made");
            Problem::new(Code::Internal, "")
        })?;
        let running = || Problem::new(Code::RotationRunning, format!("the secret of pile {code} is being changed"));
        let begun = begun.ok_or_else(running)?;
        let answer = Answer::accepted(&RotationView { pile_code: code.clone(), until: begun.until() });
        let now = task.now();
        let audit = audit_row(&by, now, "PILE_SECRET_ROTATION", code.as_str(), &json!({ "until": begun.until() }));
        let mut writes = vec![begun.write(), Write::Audit(Box::new(audit))];
        writes.extend(key.map(|key| Write::Once(Box::new(key.row(&answer, now)))));
        match task.commit(writes).await {
            Ok(()) => begun.stored(),
            Err(problem) => {
                begun.in_doubt();
                return Err(problem);
            }
        }
        Ok(answer)
    })
    .await
}

/// Makes a token for a pile that has no secret (admin): it connects with it once, within 15 minutes, and is given a
/// secret by the command `setSecret`. An earlier token of the pile is dead; a restart of the hub forgets all tokens.
#[utoipa::path(post, path = "/piles/{code}/enrolment", tag = "registry", params(("code" = String, Path)),
    responses((status = 201, body = EnrolmentView)))]
pub(crate) async fn enrol(
    State(app): State<App>,
    by: By<PILES_ENROLMENT>,
    Path(code): Path<String>,
    call: Call,
) -> Result<Answer, Problem> {
    let (task, caller) = (app.clone(), by.sub.clone());
    let (restore, path) = (app.clone(), code.clone());
    let seed = call.key_of(&caller);
    let answer = once(&app, &caller, call, move |key, _| async move {
        let (code, _) = pile_with_secret(&task, &code)?;
        let token = match &key {
            Some(key) => task.keys.token_from(&key.seed(), &code),
            None => broker::token_from(random_bytes()?),
        };
        let now = task.now();
        let expires_at = now.plus(Millis::from_secs(ENROLMENT_S));
        let audit = audit_row(&by, now, "PILE_ENROLMENT", code.as_str(), &json!({ "expiresAt": expires_at }));
        let mut writes = vec![Write::Audit(Box::new(audit))];
        let stored = Answer::created(&EnrolmentView { token: String::new(), expires_at });
        writes.extend(key.map(|key| Write::Once(Box::new(key.row(&stored, now)))));
        task.commit(writes).await?;
        task.identities.enrol(&code, &token, expires_at, now);
        Ok(Answer::created(&EnrolmentView { token, expires_at }))
    })
    .await?;
    let code = code_of(&path)?;
    Ok(refilled(answer, seed.as_ref(), |view: &mut EnrolmentView, seed| {
        view.token = restore.keys.token_from(seed, &code);
    }))
}

/// A pile that may connect with a secret at all.
fn pile_with_secret(app: &App, code: &str) -> Result<(PileCode, PileNo), Problem> {
    let code = code_of(code)?;
    let none = || Problem::new(Code::PileNotFound, format!("there is no pile {code}"));
    let (pile, pile_no) = app.actors.pile(&code).zip(app.actors.pile_no(&code)).ok_or_else(none)?;
    if app.actors.station(&pile.station_id).is_some_and(|station| station.certificate_only) {
        let why = format!("station {} admits certificates only: its piles use no secret", pile.station_id);
        return Err(Problem::new(Code::IllegalState, why));
    }
    Ok((code, pile_no))
}
