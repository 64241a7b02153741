//! Frames that nobody understood: looking, and feeding them in again once the cause is gone.

use axum::{
    Json,
    extract::{Path, State},
};
use domain::{PileCode, Timestamp};
use serde::Serialize;
use serde_json::json;
use store::{money::Write, telemetry::Quarantined};
use utoipa::ToSchema;

use super::{
    answer::{Answer, Listed},
    audit::audit_row,
    auth::By,
    idempotency::{Call, once},
    input::Params,
    problem::{Code, Problem},
    rights::{QUARANTINE_GET, QUARANTINE_LIST, QUARANTINE_REPLAY},
    state::App,
};
use crate::ids::hex;

/// A frame that was not understood.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QuarantineView {
    quarantine_id: String,
    #[schema(value_type = String)]
    pile_code: PileCode,
    topic: String,
    /// Why, in UPPER_SNAKE.
    reason: String,
    /// Which field, which value, what to do.
    detail: String,
    /// Bytes kept of it.
    size: usize,
    /// Its bytes as text; what is no UTF-8 is replaced.
    payload: String,
    /// Its bytes as hexadecimal digits; only when a single frame is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_hex: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    received_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    replayed_at: Option<Timestamp>,
}

/// Quarantined frames, newest first (ops).
#[utoipa::path(get, path = "/quarantine", tag = "operation",
    params(("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query)),
    responses((status = 200, body = Listed<QuarantineView>)))]
pub(crate) async fn list(
    State(app): State<App>,
    _by: By<QUARANTINE_LIST>,
    params: Params,
) -> Result<Json<Listed<QuarantineView>>, Problem> {
    let limit = params.limit()?;
    let frames = app.telemetry.quarantine(params.int("cursor", 0, i64::MAX)?, limit).await?;
    let full = frames.len() == limit;
    let next_cursor = frames.last().filter(|_| full).map(|last| last.quarantine_id.to_string());
    Ok(Json(Listed { items: frames.into_iter().map(|frame| view(frame, false)).collect(), next_cursor }))
}

/// One quarantined frame with its bytes (ops).
#[utoipa::path(get, path = "/quarantine/{id}", tag = "operation", params(("id" = String, Path)),
    responses((status = 200, body = QuarantineView)))]
pub(crate) async fn get(
    State(app): State<App>,
    _by: By<QUARANTINE_GET>,
    Path(id): Path<String>,
) -> Result<Json<QuarantineView>, Problem> {
    Ok(Json(view(frame(&app, &id).await?, true)))
}

/// Feeds a frame to its pile's actor again (ops); refused when it is still not understood.
#[utoipa::path(post, path = "/quarantine/{id}/replay", tag = "operation", params(("id" = String, Path)),
    responses((status = 200, body = QuarantineView)))]
pub(crate) async fn replay(
    State(app): State<App>,
    by: By<QUARANTINE_REPLAY>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Answer, Problem> {
    let (task, caller) = (app.clone(), by.sub.clone());
    once(&app, &caller, call, move |key, _| async move {
        let mut frame = frame(&task, &id).await?;
        if let Some(at) = frame.replayed_at {
            return Err(Problem::new(Code::IllegalState, format!("the frame was replayed at {at}")));
        }
        task.actors.replay(frame.clone()).await?;
        let now = task.now();
        frame.replayed_at = Some(now);
        let answer = Answer::ok(&view(frame, false));
        // A frame is safe to repeat, so the trail and the answer may be stored after it.
        let mut writes = vec![Write::Audit(Box::new(audit_row(&by, now, "FRAME_REPLAYED", &id, &json!({}))))];
        writes.extend(key.map(|key| Write::Once(Box::new(key.row(&answer, now)))));
        task.commit(writes).await?;
        Ok(answer)
    })
    .await
}

async fn frame(app: &App, id: &str) -> Result<Quarantined, Problem> {
    let unknown = || Problem::new(Code::QuarantineNotFound, format!("there is no quarantined frame {id}"));
    let number: i64 = id.parse().map_err(|_| unknown())?;
    app.telemetry.quarantined(number).await?.ok_or_else(unknown)
}

fn view(frame: Quarantined, with_bytes: bool) -> QuarantineView {
    QuarantineView {
        quarantine_id: frame.quarantine_id.to_string(),
        pile_code: frame.pile_code,
        topic: frame.topic,
        reason: frame.reason,
        detail: frame.detail,
        size: frame.payload.len(),
        payload: String::from_utf8_lossy(&frame.payload).into_owned(),
        payload_hex: with_bytes.then(|| hex(&frame.payload)),
        received_at: frame.received,
        replayed_at: frame.replayed_at,
    }
}
