//! Piles: registering, looking, finding one nearby, taking one out of service.

mod csv;
pub(crate) mod nearby;
pub(crate) mod register;
pub(crate) mod secrets;
pub(crate) mod telemetry;
pub(crate) mod view;

use actors::api::Refusal;
use axum::{
    Json,
    extract::{Path, State},
};
use domain::{PileCode, StationId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use self::view::{PileOut, Prices, SecretRotation};
use super::{
    answer::{Answer, Listed},
    audit::audit_row,
    auth::By,
    idempotency::{Call, once},
    input::{Params, body, words},
    problem::{Code, Problem},
    rights::{PILES_GET, PILES_LIST, PILES_MAINTENANCE},
    state::App,
};

/// The states a pile can be listed by.
const STATES: [&str; 5] = ["AVAILABLE", "IN_USE", "FAULTED", "MAINTENANCE", "OFFLINE"];
/// Piles looked at in one step when only some states are wanted.
const STEP: usize = 500;

/// Reads a pile's code out of a path; one that cannot exist is one that does not exist.
pub(crate) fn code_of(text: &str) -> Result<PileCode, Problem> {
    PileCode::parse(text).map_err(|bad| Problem::new(Code::PileNotFound, format!("there is no pile {}", bad.text)))
}

/// Piles by code (staff).
#[utoipa::path(get, path = "/piles", tag = "piles",
    params(("station" = Option<String>, Query), ("state" = Option<String>, Query),
        ("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query)),
    responses((status = 200, body = Listed<PileOut>)))]
pub(crate) async fn list(
    State(app): State<App>,
    _by: By<PILES_LIST>,
    params: Params,
) -> Result<Json<Listed<PileOut>>, Problem> {
    let station: Option<StationId> = params.id("station")?;
    let state = params.text("state").map(state_of).transpose()?;
    let limit = params.limit()?;
    let mut after: Option<PileCode> = params.id("cursor")?;
    let mut prices = Prices::new(&app);
    let mut items: Vec<PileOut> = Vec::new();
    let mut more = true;
    while more && items.len() < limit {
        let step = if state.is_some() { STEP } else { limit };
        let piles = app.actors.piles(station.as_ref(), after.as_ref(), step);
        more = piles.len() == step;
        for pile in piles {
            if items.len() == limit {
                more = true;
                break;
            }
            after = Some(pile.pile_code.clone());
            if state.is_none_or(|state| state == pile.state) {
                items.push(prices.out(pile, true));
            }
        }
    }
    let next_cursor = after.filter(|_| more).map(|code| code.as_str().to_owned());
    Ok(Json(Listed { items, next_cursor }))
}

fn state_of(text: &str) -> Result<&'static str, Problem> {
    let known = STATES.into_iter().find(|state| state.eq_ignore_ascii_case(text));
    known.ok_or_else(|| Problem::invalid("state", text, format!("must be one of {}", STATES.join(", "))))
}

/// One pile, with its price now (anyone; orders of others are shown to staff only).
#[utoipa::path(get, path = "/piles/{code}", tag = "piles", params(("code" = String, Path)),
    responses((status = 200, body = PileOut)))]
pub(crate) async fn get(
    State(app): State<App>,
    by: By<PILES_GET>,
    Path(code): Path<String>,
) -> Result<Json<PileOut>, Problem> {
    let code = code_of(&code)?;
    let pile = app.actors.pile(&code).ok_or_else(|| Refusal::PileNotFound(code.clone()))?;
    let mut out = Prices::new(&app).out(pile, by.is_staff());
    if by.is_staff() {
        out.secret_rotation = rotation_of(&app, &code);
    }
    Ok(Json(out))
}

fn rotation_of(app: &App, code: &PileCode) -> Option<SecretRotation> {
    let until = app.credentials.until(app.actors.pile_no(code)?)?;
    Some(SecretRotation { until })
}

/// Whether a pile is out of service.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Maintenance {
    on: bool,
    /// Required when `on`.
    reason: Option<String>,
}

/// A pile's maintenance mode.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MaintenanceView {
    #[schema(value_type = String)]
    pile_code: PileCode,
    on: bool,
    reason: Option<String>,
}

/// Takes a pile out of service or back into it (ops). Running charges go on.
#[utoipa::path(put, path = "/piles/{code}/maintenance", tag = "piles", params(("code" = String, Path)),
    request_body = Maintenance, responses((status = 200, body = MaintenanceView)))]
pub(crate) async fn maintenance(
    State(app): State<App>,
    by: By<PILES_MAINTENANCE>,
    Path(code): Path<String>,
    call: Call,
) -> Result<Answer, Problem> {
    let (task, caller) = (app.clone(), by.sub.clone());
    once(&app, &caller, call, move |key, bytes| async move {
        let asked: Maintenance = body(&bytes)?;
        let pile_code = code_of(&code)?;
        let reason = match (asked.on, asked.reason) {
            (true, None) => return Err(Problem::missing("reason")),
            (true, Some(reason)) => Some(words("reason", &reason)?),
            (false, _) => None,
        };
        let answer =
            Answer::ok(&MaintenanceView { pile_code: pile_code.clone(), on: asked.on, reason: reason.clone() });
        let now = task.now();
        let detail = json!({ "on": asked.on, "reason": reason });
        let audit = audit_row(&by, now, "PILE_MAINTENANCE", pile_code.as_str(), &detail);
        let row = key.map(|key| key.row(&answer, now));
        task.actors.set_maintenance(&pile_code, reason, audit, row).await?;
        Ok(answer)
    })
    .await
}
