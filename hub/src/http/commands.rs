//! Commands to piles, other than starting and stopping charges (those are orders).

use actors::api::AskCommand;
use axum::{
    Json,
    extract::{Path, State},
};
use domain::{
    CommandId, ConnectorId, OrderNo, PileCode, Timestamp,
    command::{CommandKind, LockPosition},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::money::{CommandRow, CommandState};
use utoipa::ToSchema;

use super::{
    answer::Answer,
    auth::By,
    idempotency::{Call, once},
    input::{body, within},
    piles::code_of,
    problem::{Code, Problem},
    rights::{COMMANDS_CREATE, COMMANDS_GET},
    state::App,
};
use crate::ids::new_id;

/// Longest heartbeat interval that can be asked for, in seconds.
const INTERVAL_S_MAX: u32 = 3_600;

/// What a pile shall do.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewCommand {
    /// `reboot`, `unlockConnector`, `groundLock`, `syncTime` or `setHeartbeatInterval`.
    #[serde(rename = "type")]
    kind: String,
    /// For `unlockConnector` and `groundLock`; 1 when left out.
    connector_id: Option<u8>,
    /// For `groundLock`: `up` or `down`.
    #[schema(value_type = Option<String>)]
    position: Option<LockPosition>,
    /// For `setHeartbeatInterval`.
    seconds: Option<u32>,
}

/// A command and what became of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CommandView {
    #[schema(value_type = String)]
    command_id: CommandId,
    #[schema(value_type = String)]
    pile_code: PileCode,
    /// What was asked, as it was sent to the pile.
    #[schema(value_type = Object)]
    command: CommandKind,
    /// `QUEUED`, `SENT`, `ACKED`, `REJECTED` or `TIMEOUT`.
    #[schema(value_type = String)]
    status: CommandState,
    /// The same as `status`.
    #[schema(value_type = String)]
    state: CommandState,
    #[schema(value_type = Option<String>)]
    order_no: Option<OrderNo>,
    actor: String,
    tries: u32,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    sent_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    done_at: Option<Timestamp>,
    /// The pile's code and words.
    answer: Option<String>,
}

/// Sends a command to a pile (ops); it waits for a pile that is away.
#[utoipa::path(post, path = "/piles/{code}/commands", tag = "piles", params(("code" = String, Path)),
    request_body = NewCommand, responses((status = 202, body = Object, example = json!({"commandId": "C…"}))))]
pub(crate) async fn create(
    State(app): State<App>,
    by: By<COMMANDS_CREATE>,
    Path(code): Path<String>,
    call: Call,
) -> Result<Answer, Problem> {
    let task = app.clone();
    once(&app, &by.sub.clone(), call, move |key, bytes| async move {
        let pile_code = code_of(&code)?;
        let kind = kind_of(&body(&bytes)?)?;
        let now = task.now();
        let id = new_id("C", now)?;
        let command_id = CommandId::parse(&id).map_err(|bad| Problem::new(Code::Internal, bad.to_string()))?;
        let answer = Answer::accepted(&json!({ "commandId": id }));
        let once = key.map(|key| key.row(&answer, now));
        let actor = by.sub.to_string();
        task.actors.ask_command(AskCommand { pile_code, kind, command_id, actor, once }).await?;
        Ok(answer)
    })
    .await
}

/// What became of a command (ops).
#[utoipa::path(get, path = "/commands/{id}", tag = "piles", params(("id" = String, Path)),
    responses((status = 200, body = CommandView)))]
pub(crate) async fn get(
    State(app): State<App>,
    _by: By<COMMANDS_GET>,
    Path(id): Path<String>,
) -> Result<Json<CommandView>, Problem> {
    let unknown = || Problem::new(Code::CommandNotFound, format!("there is no command {id}"));
    let id = CommandId::parse(&id).map_err(|_| unknown())?;
    let row = app.money.command(&id).await?.ok_or_else(unknown)?;
    Ok(Json(view(row)))
}

fn kind_of(new: &NewCommand) -> Result<CommandKind, Problem> {
    let connector = || {
        let id = within("connectorId", new.connector_id.unwrap_or(1), 1, domain::limits::CONNECTORS_MAX)?;
        Ok::<_, Problem>(ConnectorId(id))
    };
    match new.kind.as_str() {
        "reboot" => Ok(CommandKind::Reboot),
        "syncTime" => Ok(CommandKind::SyncTime),
        "unlockConnector" => Ok(CommandKind::UnlockConnector { connector: connector()? }),
        "groundLock" => {
            let position = new.position.ok_or_else(|| Problem::missing("position"))?;
            Ok(CommandKind::GroundLock { connector: connector()?, position })
        }
        "setHeartbeatInterval" => {
            let seconds = new.seconds.ok_or_else(|| Problem::missing("seconds"))?;
            Ok(CommandKind::SetHeartbeatInterval { seconds: within("seconds", seconds, 1, INTERVAL_S_MAX)? })
        }
        "startCharging" | "stopCharging" => {
            let rule = "is sent by POST /orders and POST /orders/{no}/stop only, so that no charge is without an order";
            Err(Problem::invalid("type", &new.kind, rule))
        }
        "setSecret" => {
            let rule = "is sent by POST /piles/{code}/secret only, so that no secret is in a call";
            Err(Problem::invalid("type", &new.kind, rule))
        }
        _ => {
            let rule = "must be one of reboot, unlockConnector, groundLock, syncTime, setHeartbeatInterval";
            Err(Problem::invalid("type", &new.kind, rule))
        }
    }
}

fn view(row: CommandRow) -> CommandView {
    CommandView {
        order_no: row.command.kind.order_no().cloned(),
        command_id: row.command.command_id,
        pile_code: row.pile_code,
        command: row.command.kind,
        status: row.state,
        state: row.state,
        actor: row.actor,
        tries: row.tries,
        created_at: row.created_at,
        sent_at: row.sent_at,
        done_at: row.done_at,
        answer: row.answer,
    }
}
