//! Integrations: other systems of the operator's that read what the piles send, with accounts of their own.

use std::collections::BTreeSet;

use axum::{
    Json,
    extract::{Path, State},
};
use broker::{Account, Grants};
use domain::{IntegrationName, StationId, Timestamp, wire::UpTopic};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{money::Write, registry::Integration};
use utoipa::ToSchema;

use super::{
    answer::{Answer, Listed},
    audit::audit_row,
    auth::By,
    idempotency::{Call, OnceKey, once, refilled},
    input::{body, id, within},
    problem::{Code, Problem},
    rights::{INTEGRATIONS_CREATE, INTEGRATIONS_LIST, INTEGRATIONS_REMOVE},
    state::App,
};
use crate::limits::{INTEGRATION_STATIONS_MAX, INTEGRATIONS_MAX};

/// Every station, those to come too.
const EVERY: &str = "*";

/// A new integration.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NewIntegration {
    name: String,
    /// Whose piles it reads; `["*"]`: of every station, those to come too.
    stations: Vec<String>,
    /// What it reads: `heartbeat`, `charging/status`, `charging/finished`, `command/ack`, `event`, `meter`.
    topics: Vec<String>,
}

/// A registered integration. The secret is shown once.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct IntegrationMade {
    #[schema(value_type = String)]
    name: IntegrationName,
    /// What it connects with over MQTT; its client id is its own affair.
    username: String,
    secret: String,
}

/// An integration.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IntegrationView {
    #[schema(value_type = String)]
    name: IntegrationName,
    username: String,
    stations: Vec<String>,
    topics: Vec<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Connections it has now.
    connections: usize,
}

/// Makes an account that reads, and only reads, what piles send (admin).
#[utoipa::path(post, path = "/integrations", tag = "registry", request_body = NewIntegration,
    responses((status = 201, body = IntegrationMade)))]
pub(crate) async fn create(State(app): State<App>, by: By<INTEGRATIONS_CREATE>, call: Call) -> Result<Answer, Problem> {
    let (task, caller) = (app.clone(), by.sub.clone());
    let seed = call.key_of(&caller);
    let answer = once(&app, &caller, call, move |key, bytes| async move { add(&task, &by, key, &bytes).await }).await?;
    Ok(refilled(answer, seed.as_ref(), |made: &mut IntegrationMade, seed| {
        made.secret = app.keys.integration_secret_from(seed, &made.name);
    }))
}

/// All integrations (staff).
#[utoipa::path(get, path = "/integrations", tag = "registry",
    responses((status = 200, body = Listed<IntegrationView>)))]
pub(crate) async fn list(
    State(app): State<App>,
    _by: By<INTEGRATIONS_LIST>,
) -> Result<Json<Listed<IntegrationView>>, Problem> {
    let all = app.money.integrations().await?;
    Ok(Json(Listed::whole(all.into_iter().map(|one| view(&app, one)).collect())))
}

/// Removes an account and closes its connections (admin).
#[utoipa::path(delete, path = "/integrations/{name}", tag = "registry", params(("name" = String, Path)),
    responses((status = 200, body = IntegrationView)))]
pub(crate) async fn remove(
    State(app): State<App>,
    by: By<INTEGRATIONS_REMOVE>,
    Path(name): Path<String>,
    call: Call,
) -> Result<Answer, Problem> {
    let (task, caller) = (app.clone(), by.sub.clone());
    once(&app, &caller, call, move |key, _| async move {
        let name: IntegrationName = id("name", &name)?;
        let _registry = task.registry.lock().await;
        let found = task.money.integrations().await?.into_iter().find(|one| one.name == name);
        let not_found = || Problem::new(Code::IntegrationNotFound, format!("there is no integration {name}"));
        let view = view(&task, found.ok_or_else(not_found)?);
        let answer = Answer::ok(&view);
        let now = task.now();
        let audit = audit_row(&by, now, "INTEGRATION_REMOVED", name.as_str(), &view);
        let mut writes = vec![Write::IntegrationRemoved(name.clone()), Write::Audit(Box::new(audit))];
        writes.extend(key.map(|key| Write::Once(Box::new(key.row(&answer, now)))));
        task.commit(writes).await?;
        task.readers.remove(&name);
        Ok(answer)
    })
    .await
}

async fn add(app: &App, by: &By<INTEGRATIONS_CREATE>, key: Option<OnceKey>, bytes: &[u8]) -> Result<Answer, Problem> {
    let new: NewIntegration = body(bytes)?;
    let now = app.now();
    let mut integration = checked(app, &new, now)?;
    let _registry = app.registry.lock().await;
    let known = app.money.integrations().await?;
    if known.iter().any(|one| one.name == integration.name) {
        let detail = format!("integration {} exists already", integration.name);
        return Err(Problem::new(Code::IntegrationExists, detail));
    }
    within("integrations", known.len() + 1, 1, INTEGRATIONS_MAX)?;
    let secret = match key.as_ref().map(OnceKey::seed) {
        Some(seed) => app.keys.integration_secret_from(&seed, &integration.name),
        None => broker::new_secret().map_err(|error| {
            tracing::error!(%error, "cannot make a secret");
            Problem::new(Code::Internal, "")
        })?,
    };
    integration.verifier = app.readers.verifier_of(&integration.name, &secret);
    let account = account(&integration);
    let facts = json!({ "stations": new.stations, "topics": new.topics });
    let audit = audit_row(by, now, "INTEGRATION_ADDED", integration.name.as_str(), &facts);
    let made = |secret| {
        Answer::created(&IntegrationMade {
            name: integration.name.clone(),
            username: broker::username(&integration.name),
            secret,
        })
    };
    let mut writes = vec![Write::Integration(Box::new(integration.clone())), Write::Audit(Box::new(audit))];
    writes.extend(key.map(|key| Write::Once(Box::new(key.row(&made(String::new()), now)))));
    app.commit(writes).await?;
    app.readers.insert(account);
    Ok(made(secret))
}

/// What the gate is told of an account. A topic that this release does not know is not granted.
pub(crate) fn account(integration: &Integration) -> Account {
    let topics = integration.topics.iter().filter_map(|text| topic(text));
    let grants = Grants::new(integration.stations.clone(), topics);
    Account::new(integration.name.clone(), integration.verifier, grants)
}

fn topic(text: &str) -> Option<UpTopic> {
    UpTopic::ALL.into_iter().find(|topic| topic.as_str() == text)
}

fn checked(app: &App, new: &NewIntegration, now: Timestamp) -> Result<Integration, Problem> {
    within("stations.length", new.stations.len(), 1, INTEGRATION_STATIONS_MAX)?;
    within("topics.length", new.topics.len(), 1, UpTopic::ALL.len())?;
    let stations = if new.stations.iter().any(|text| text == EVERY) {
        within("stations.length", new.stations.len(), 1, 1)?;
        None
    } else {
        let known = |(index, text): (usize, &String)| {
            let station: StationId = id(&format!("stations[{index}]"), text)?;
            match app.actors.station(&station) {
                Some(_) => Ok(station),
                None => Err(Problem::new(Code::StationNotFound, format!("there is no station {station}"))),
            }
        };
        Some(new.stations.iter().enumerate().map(known).collect::<Result<BTreeSet<_>, _>>()?.into_iter().collect())
    };
    for (index, text) in new.topics.iter().enumerate() {
        let names = UpTopic::ALL.map(UpTopic::as_str).join(", ");
        let rule = || Problem::invalid(format!("topics[{index}]"), text, format!("must be one of {names}"));
        topic(text).ok_or_else(rule)?;
    }
    let topics: BTreeSet<&String> = new.topics.iter().collect();
    Ok(Integration {
        name: id("name", &new.name)?,
        verifier: [0; 32],
        stations,
        topics: topics.into_iter().cloned().collect(),
        created_at: now,
    })
}

fn view(app: &App, integration: Integration) -> IntegrationView {
    let stations = integration.stations.map(|all| all.iter().map(ToString::to_string).collect());
    IntegrationView {
        username: broker::username(&integration.name),
        connections: app.readers.connections(&integration.name),
        name: integration.name,
        stations: stations.unwrap_or_else(|| vec![EVERY.to_owned()]),
        topics: integration.topics,
        created_at: integration.created_at,
    }
}
