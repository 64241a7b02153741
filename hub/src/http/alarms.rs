//! What a person should know of.

use axum::{
    Json,
    extract::{Path, State},
};
use domain::{ConnectorId, OrderNo, PileCode, Timestamp};
use serde::Serialize;
use serde_json::json;
use store::money::{Alarm, AlarmState, Severity, Write};
use utoipa::ToSchema;

use super::{
    answer::{Answer, Listed},
    audit::audit_row,
    auth::By,
    idempotency::{Call, once},
    input::Params,
    problem::{Code, Problem},
    rights::{ALARMS_ACK, ALARMS_LIST},
    state::App,
};

/// An alarm.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AlarmView {
    alarm_id: String,
    #[schema(value_type = String)]
    pile_code: PileCode,
    #[schema(value_type = u8)]
    connector_id: ConnectorId,
    code: String,
    /// `LOW`, `MEDIUM`, `HIGH` or `CRITICAL`.
    #[schema(value_type = String)]
    severity: Severity,
    /// Distinct events.
    count: u32,
    /// `RAISED`, `ACKED`, `CLEARED` or `CLOSED`.
    #[schema(value_type = String)]
    state: AlarmState,
    #[schema(value_type = String, format = DateTime)]
    raised_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    text: String,
    #[schema(value_type = Option<String>)]
    order_no: Option<OrderNo>,
}

/// Alarms, newest first (staff).
#[utoipa::path(get, path = "/alarms", tag = "operation",
    params(("state" = Option<String>, Query), ("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query)),
    responses((status = 200, body = Listed<AlarmView>)))]
pub(crate) async fn list(
    State(app): State<App>,
    _by: By<ALARMS_LIST>,
    params: Params,
) -> Result<Json<Listed<AlarmView>>, Problem> {
    let state = params.text("state").map(state_of).transpose()?;
    let page = app.money.alarms(state, params.cursor(), params.limit()?).await?;
    Ok(Json(Listed::page(page, view)))
}

/// Says that somebody looks after an alarm (ops). Repeating it changes nothing.
#[utoipa::path(post, path = "/alarms/{id}/ack", tag = "operation", params(("id" = String, Path)),
    responses((status = 200, body = AlarmView)))]
pub(crate) async fn ack(
    State(app): State<App>,
    by: By<ALARMS_ACK>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Answer, Problem> {
    let (task, caller) = (app.clone(), by.sub.clone());
    once(&app, &caller, call, move |key, _| async move {
        if task.money.alarm(&id).await?.is_none() {
            return Err(Problem::new(Code::AlarmNotFound, format!("there is no alarm {id}")));
        }
        let now = task.now();
        let audit = audit_row(&by, now, "ALARM_ACKED", &id, &json!({}));
        let answer = Answer::ok(&view(task.actors.ack_alarm(&id, audit).await?));
        // Acknowledging twice is the same as once, so its answer may be stored after it.
        if let Some(key) = key {
            task.commit(vec![Write::Once(Box::new(key.row(&answer, now)))]).await?;
        }
        Ok(answer)
    })
    .await
}

fn state_of(text: &str) -> Result<AlarmState, Problem> {
    match text.to_ascii_uppercase().as_str() {
        "RAISED" => Ok(AlarmState::Raised),
        "ACKED" => Ok(AlarmState::Acked),
        "CLEARED" => Ok(AlarmState::Cleared),
        "CLOSED" => Ok(AlarmState::Closed),
        _ => Err(Problem::invalid("state", text, "must be one of RAISED, ACKED, CLEARED, CLOSED")),
    }
}

fn view(alarm: Alarm) -> AlarmView {
    AlarmView {
        alarm_id: alarm.alarm_id,
        pile_code: alarm.pile_code,
        connector_id: alarm.connector_id,
        code: alarm.code,
        severity: alarm.severity,
        count: alarm.count,
        state: alarm.state,
        raised_at: alarm.raised_at,
        updated_at: alarm.updated_at,
        text: alarm.text,
        order_no: alarm.order_no,
    }
}
