//! Registering piles, one or many. The secret is in the answer and nowhere else: what is stored is a keyed verifier,
//! and the stored answer of an idempotent call holds the codes only; the secrets are derived again from the call.

use std::collections::HashSet;

use axum::{
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use broker::Identity;
use domain::{PileCode, PileNo, limits::CONNECTORS_MAX};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{
    money::Write,
    registry::{Pile, PileKind},
};
use utoipa::ToSchema;

use super::csv;
use crate::{
    http::{
        accept::prefers,
        answer::Answer,
        audit::audit_row,
        auth::By,
        idempotency::{Call, OnceKey, once},
        input::{body, id, scaled, within},
        problem::{Code, Problem},
        rights::{PILES_CREATE, PILES_IMPORT},
        state::App,
    },
    limits::IMPORT_LEN_MAX,
};

/// Highest rated power, in kW.
const POWER_KW_MAX: f64 = 10_000.0;

/// A new pile.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewPile {
    pile_code: String,
    station_id: String,
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "DC")]
    kind: PileKind,
    /// Number of guns.
    connectors: u8,
    /// Rated power in kW.
    max_power_kw: f64,
}

/// A registered pile with its secret, shown once.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Registered {
    #[schema(value_type = String)]
    pub(super) pile_code: PileCode,
    /// 64 hexadecimal digits: the MQTT password. Empty in what is stored.
    #[serde(default)]
    pub(super) secret: String,
}

/// Registers a pile (admin).
#[utoipa::path(post, path = "/piles", tag = "registry", request_body = NewPile,
    responses((status = 201, body = Registered)))]
pub(crate) async fn create(State(app): State<App>, by: By<PILES_CREATE>, call: Call) -> Result<Answer, Problem> {
    let (task, caller) = (app.clone(), by.sub.clone());
    let restore = app.clone();
    let seed = call.key_of(&caller);
    let answer = once(&app, &caller, call, move |key, bytes| async move {
        let pile: NewPile = body(&bytes)?;
        let done = register(&task, &by, vec![pile], key, one).await?;
        Ok(one(&done))
    })
    .await?;
    Ok(with_secrets(&restore, answer, seed.as_ref()))
}

/// Registers up to 50,000 piles at once, all or none (admin). With `Accept: text/csv` the same as a table to download.
#[utoipa::path(post, path = "/piles/import", tag = "registry", request_body = Vec<NewPile>,
    responses((status = 200, content(
        (Vec<Registered> = "application/json"),
        (String = "text/csv", example = "pileCode,secret\r\nP0001,5b…\r\n")))))]
pub(crate) async fn import(
    State(app): State<App>,
    by: By<PILES_IMPORT>,
    headers: HeaderMap,
    call: Call,
) -> Result<Response, Problem> {
    let (task, caller) = (app.clone(), by.sub.clone());
    let restore = app.clone();
    let seed = call.key_of(&caller);
    let answer = once(&app, &caller, call, move |key, bytes| async move {
        let piles: Vec<NewPile> = body(&bytes)?;
        within("body.length", piles.len(), 1, IMPORT_LEN_MAX)?;
        let done = register(&task, &by, piles, key, many).await?;
        Ok(many(&done))
    })
    .await?;
    let answer = with_secrets(&restore, answer, seed.as_ref());
    Ok(if prefers(&headers, "text/csv") { csv::download(answer) } else { answer.into_response() })
}

fn one(done: &[Registered]) -> Answer {
    Answer::created(&done.first())
}

fn many(done: &[Registered]) -> Answer {
    Answer::ok(&done)
}

/// Puts the secrets back into a stored answer.
fn with_secrets(app: &App, answer: Answer, key: Option<&OnceKey>) -> Answer {
    let Some(key) = key.filter(|_| answer.is_replayed()) else { return answer };
    let seed = key.seed();
    let fill = |mut done: Registered| {
        done.secret = app.keys.secret_from(&seed, &done.pile_code);
        done
    };
    let body = match serde_json::from_str::<Vec<Registered>>(&answer.body) {
        Ok(all) => serde_json::to_string(&all.into_iter().map(fill).collect::<Vec<_>>()),
        Err(_) => serde_json::from_str(&answer.body).and_then(|only| serde_json::to_string(&fill(only))),
    };
    answer.with_body(body.unwrap_or_default())
}

async fn register(
    app: &App,
    by: &By<PILES_IMPORT>,
    new: Vec<NewPile>,
    key: Option<OnceKey>,
    stored_answer: fn(&[Registered]) -> Answer,
) -> Result<Vec<Registered>, Problem> {
    let count = u32::try_from(new.len()).unwrap_or(u32::MAX);
    let many = count > 1;
    let _registry = app.registry.lock().await;
    let mut piles = checked(app, new, many)?;
    let seed = key.as_ref().map(OnceKey::seed);
    let done = with_verifiers(app, &mut piles, seed.as_deref())?;
    let PileNo(first) = app.money.reserve_pile_nos(count).await?;
    for (pile, no) in piles.iter_mut().zip(first..) {
        pile.pile_no = PileNo(no);
    }
    let now = app.now();
    let target = if many {
        format!("{count} piles")
    } else {
        piles.first().map_or_else(String::new, |p| p.pile_code.to_string())
    };
    let audit = audit_row(by, now, "PILES_REGISTERED", &target, &json!({ "piles": count }));
    let mut writes = vec![Write::Piles(piles.clone()), Write::Audit(Box::new(audit))];
    writes.extend(key.map(|key| Write::Once(Box::new(key.row(&stored_answer(&without_secrets(&done)), now)))));
    app.commit(writes).await?;
    app.readers.insert_piles(piles.iter().map(|pile| (pile.pile_no, pile.pile_code.clone(), pile.station_id.clone())));
    app.identities.extend(piles.iter().map(|pile| Identity {
        certificate_only: app.actors.station(&pile.station_id).is_some_and(|station| station.certificate_only),
        ..Identity::new(pile.pile_no, pile.pile_code.clone(), pile.verifier)
    }));
    app.actors.add_piles(&piles);
    Ok(done)
}

fn without_secrets(done: &[Registered]) -> Vec<Registered> {
    done.iter().map(|one| Registered { pile_code: one.pile_code.clone(), secret: String::new() }).collect()
}

/// Gives each pile its verifier, and answers the secrets.
fn with_verifiers(app: &App, piles: &mut [Pile], seed: Option<&[u8]>) -> Result<Vec<Registered>, Problem> {
    piles
        .iter_mut()
        .map(|pile| {
            let secret = match seed {
                Some(seed) => app.keys.secret_from(seed, &pile.pile_code),
                None => broker::new_secret().map_err(|error| {
                    tracing::error!(%error, "cannot make a secret");
                    Problem::new(Code::Internal, "")
                })?,
            };
            pile.verifier = app.identities.verifier_of(&pile.pile_code, &secret);
            Ok(Registered { pile_code: pile.pile_code.clone(), secret })
        })
        .collect()
}

/// Checks each pile and that no code is there twice; `many` puts the index into the names of fields.
fn checked(app: &App, new: Vec<NewPile>, many: bool) -> Result<Vec<Pile>, Problem> {
    let mut seen = HashSet::with_capacity(new.len());
    let mut piles = Vec::with_capacity(new.len());
    for (index, new) in new.into_iter().enumerate() {
        let field = |name: &str| if many { format!("[{index}].{name}") } else { name.to_owned() };
        let pile = Pile {
            pile_no: PileNo(0),
            pile_code: id(&field("pileCode"), &new.pile_code)?,
            station_id: id(&field("stationId"), &new.station_id)?,
            kind: new.kind,
            connectors: within(&field("connectors"), new.connectors, 1, CONNECTORS_MAX)?,
            max_power: power(&field("maxPowerKw"), new.max_power_kw)?,
            verifier: [0; 32],
        };
        if app.actors.station(&pile.station_id).is_none() {
            return Err(Problem::new(Code::StationNotFound, format!("there is no station {}", pile.station_id)));
        }
        if app.actors.pile_no(&pile.pile_code).is_some() {
            return Err(Problem::new(Code::PileExists, format!("pile {} is registered already", pile.pile_code)));
        }
        if !seen.insert(pile.pile_code.clone()) {
            return Err(Problem::invalid(field("pileCode"), &pile.pile_code, "must be there only once"));
        }
        piles.push(pile);
    }
    Ok(piles)
}

fn power(field: &str, kw: f64) -> Result<domain::Watts, Problem> {
    let watts = (kw > 0.0 && kw <= POWER_KW_MAX).then(|| scaled(kw, 1e3)).flatten().filter(|watts| *watts > 0);
    let rule = || Problem::invalid(field, kw, format!("must be more than 0 and at most {POWER_KW_MAX}"));
    watts.map(domain::Watts).ok_or_else(rule)
}
