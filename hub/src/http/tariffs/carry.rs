//! A published version used again: back at its own station as a draft, or on at further stations at once.

use std::collections::BTreeSet;

use axum::extract::{Path, State};
use domain::{StationId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use settlement::tariff::{Tariff, TariffError, next_version};
use store::money::Write;
use utoipa::ToSchema;

use super::{
    super::{
        answer::Answer,
        audit::audit_row,
        auth::By,
        idempotency::{Call, once},
        input::{When, body, id, words},
        problem::Problem,
        rights::{TARIFFS_ROLLBACK, TARIFFS_ROLLOUT},
        state::App,
    },
    change::{Change, Known},
    learn, no_station, stored,
    view::{TariffView, refused, view},
    why,
};
use crate::{ids::new_id, limits::ROLLOUT_STATIONS_MAX};

/// Why to go back to a version.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct RollBack {
    reason: String,
}

/// Where a version shall hold as well.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RollOut {
    /// Further stations, at most 200; not the version's own.
    station_ids: Vec<String>,
    /// At once when left out; never in the past.
    #[schema(value_type = Option<String>, format = DateTime)]
    effective_at: Option<When>,
    /// Why, for whoever reads the audit trail.
    reason: Option<String>,
}

/// The versions that a rollout made.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RolledOut {
    /// The version they were copied from.
    based_on: String,
    stations: Vec<StationVersion>,
}

/// A station's new version.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StationVersion {
    #[schema(value_type = String)]
    station_id: StationId,
    tariff_id: String,
    version: u32,
    #[schema(value_type = Option<String>, format = DateTime)]
    effective_at: Option<Timestamp>,
}

/// Goes back to a published version: a new draft with its prices, to be published by another person as a new version
/// (ops, finance).
#[utoipa::path(post, path = "/tariffs/{id}/rollback", tag = "tariffs", params(("id" = String, Path)),
    request_body = RollBack, responses((status = 201, body = TariffView)))]
pub(crate) async fn roll_back(
    State(app): State<App>,
    by: By<TARIFFS_ROLLBACK>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Answer, Problem> {
    let (task, caller) = (app.clone(), by.sub.clone());
    once(&app, &caller, call, move |key, bytes| async move {
        let asked: RollBack = body(&bytes)?;
        let reason = words("reason", &asked.reason)?;
        let version = stored(&task, &id).await?;
        let now = task.now();
        let draft = version.roll_back(new_id("T", now)?, by.sub.clone(), reason, now).map_err(refused)?;
        let answer = Answer::created(&view(&draft));
        let audit = audit_row(&by, now, "TARIFF_ROLLBACK_DRAFTED", &draft.tariff_id, &view(&draft));
        let mut writes = vec![Write::Tariff(Box::new(draft)), Write::Audit(Box::new(audit))];
        writes.extend(key.map(|key| Write::Once(Box::new(key.row(&answer, now)))));
        task.commit(writes).await?;
        Ok(answer)
    })
    .await
}

/// Carries a published version on to further stations, each with its own time zone: a new version at every one of them,
/// or at none (ops, finance; never its author). The event `tariff.published` tells those affected.
#[utoipa::path(post, path = "/tariffs/{id}/rollout", tag = "tariffs", params(("id" = String, Path)),
    request_body = RollOut, responses((status = 200, body = RolledOut)))]
pub(crate) async fn roll_out(
    State(app): State<App>,
    by: By<TARIFFS_ROLLOUT>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Answer, Problem> {
    let (task, caller) = (app.clone(), by.sub.clone());
    let answer = once(&app, &caller, call, move |key, bytes| async move {
        let asked: RollOut = body(&bytes)?;
        let effective_at = asked.effective_at.map(|when| when.read("effectiveAt")).transpose()?;
        let reason = why(asked.reason.as_deref())?;
        let _registry = task.registry.lock().await;
        let source = stored(&task, &id).await?;
        let stations = further(&source, &asked.station_ids)?;
        let mut changes = Vec::new();
        let now = task.now();
        for station_id in stations {
            let next = NextVersion { source: &source, publisher: &by.sub, effective_at, now };
            let (tariff, before) = next.at(&task, station_id).await?;
            changes.push(Change { action: "TARIFF_ROLLED_OUT", before, tariff, reason: reason.clone() });
        }
        let answer = Answer::ok(&rolled_out(&source, &changes));
        let mut writes: Vec<Write> = changes.iter().flat_map(|change| change.writes(&by, now)).collect();
        writes.extend(key.map(|key| Write::Once(Box::new(key.row(&answer, now)))));
        task.commit(writes).await?;
        changes.into_iter().for_each(|change| task.actors.add_tariff(change.tariff));
        Ok(answer)
    })
    .await?;
    let made = serde_json::from_str::<RolledOut>(&answer.body).map(|made| made.stations).unwrap_or_default();
    learn(&app, &answer, made.into_iter().map(|station| station.tariff_id)).await?;
    Ok(answer)
}

/// The stations asked for, each once, none of them the version's own.
fn further(source: &Tariff, asked: &[String]) -> Result<Vec<StationId>, Problem> {
    if asked.is_empty() || asked.len() > ROLLOUT_STATIONS_MAX {
        let rule = format!("must be 1 to {ROLLOUT_STATIONS_MAX} stations");
        return Err(Problem::invalid("stationIds", asked.len(), rule));
    }
    let mut seen = BTreeSet::new();
    let station = |(index, text): (usize, &String)| {
        let field = format!("stationIds[{index}]");
        let station_id: StationId = id(&field, text)?;
        if station_id == source.station_id {
            return Err(Problem::invalid(field, text, "has this version already: leave it out"));
        }
        if !seen.insert(station_id.clone()) {
            return Err(Problem::invalid(field, text, "is named twice: leave it out"));
        }
        Ok(station_id)
    };
    asked.iter().enumerate().map(station).collect()
}

/// A version on its way to another station.
struct NextVersion<'a> {
    source: &'a Tariff,
    publisher: &'a UserId,
    effective_at: Option<Timestamp>,
    now: Timestamp,
}

impl NextVersion<'_> {
    /// What a station gets, and what it would have had instead. A refusal names the station.
    async fn at(&self, app: &App, station_id: StationId) -> Result<(Tariff, Option<Known>), Problem> {
        let station = app.actors.station(&station_id).ok_or_else(|| no_station(&station_id))?;
        let versions = app.money.tariffs(Some(&station_id)).await?;
        let version = next_version(&versions, &station_id);
        let refused = |error: TariffError| {
            let problem = refused(error);
            Problem { detail: format!("station {station_id}: {}", problem.detail), ..problem }
        };
        let tariff = self
            .source
            .carry_on(new_id("T", self.now)?, station_id.clone(), station.timezone, self.now)
            .and_then(|draft| draft.publish(self.publisher, self.effective_at, version, self.now))
            .map_err(refused)?;
        let before = Known::in_force(&versions, &tariff);
        Ok((tariff, before))
    }
}

fn rolled_out(source: &Tariff, changes: &[Change]) -> RolledOut {
    let station = |change: &Change| StationVersion {
        station_id: change.tariff.station_id.clone(),
        tariff_id: change.tariff.tariff_id.clone(),
        version: change.tariff.version,
        effective_at: change.tariff.effective_at,
    };
    RolledOut { based_on: source.tariff_id.clone(), stations: changes.iter().map(station).collect() }
}
