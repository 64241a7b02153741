//! Prices of a station: a draft by one person, published by another, every version kept. The rules are settlement's.

pub(crate) mod carry;
mod change;
pub(crate) mod dry_run;
mod view;

use axum::{
    Json,
    extract::{Path, State},
};
use domain::StationId;
use serde::Deserialize;
use settlement::tariff::{Tariff, next_version};
use store::money::Write;
use utoipa::ToSchema;

use self::{
    change::{Change, Known},
    view::{PeriodView, PlanView, TariffView, periods_of, plans_of, refused, view},
};
use super::{
    answer::{Answer, Listed},
    audit::audit_row,
    auth::By,
    idempotency::{Call, once},
    input::{Params, When, body, id, words},
    problem::{Code, Problem},
    rights::{TARIFFS_CREATE, TARIFFS_GET, TARIFFS_LIST, TARIFFS_PUBLISH},
    state::App,
};
use crate::ids::new_id;

/// A draft of a station's prices.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewTariff {
    station_id: String,
    /// For days that no plan fits. Cover 00:00 to 24:00 without gap or overlap.
    periods: Vec<PeriodView>,
    /// Prices of certain days; the first plan that fits a day is used. At most 32.
    #[serde(default)]
    plans: Vec<PlanView>,
    /// Why, for whoever reads the audit trail.
    reason: Option<String>,
}

/// When a draft shall hold.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Publish {
    /// At once when left out; never in the past.
    #[schema(value_type = Option<String>, format = DateTime)]
    effective_at: Option<When>,
    /// Why, for whoever reads the audit trail; the draft's own reason when left out.
    reason: Option<String>,
}

/// Writes a draft (ops, finance).
#[utoipa::path(post, path = "/tariffs", tag = "tariffs", request_body = NewTariff,
    responses((status = 201, body = TariffView)))]
pub(crate) async fn create(State(app): State<App>, by: By<TARIFFS_CREATE>, call: Call) -> Result<Answer, Problem> {
    let (task, caller) = (app.clone(), by.sub.clone());
    once(&app, &caller, call, move |key, bytes| async move {
        let new: NewTariff = body(&bytes)?;
        let station_id: StationId = id("stationId", &new.station_id)?;
        let station = task.actors.station(&station_id).ok_or_else(|| no_station(&station_id))?;
        let (periods, plans) = (periods_of("periods", &new.periods)?, plans_of(&new.plans)?);
        let reason = why(new.reason.as_deref())?;
        let now = task.now();
        let draft = Tariff::draft(new_id("T", now)?, station_id, station.timezone, periods, by.sub.clone(), now)
            .and_then(|draft| draft.with_plans(plans))
            .map_err(refused)?;
        let tariff = Tariff { reason, ..draft };
        let answer = Answer::created(&view(&tariff));
        let audit = audit_row(&by, now, "TARIFF_DRAFTED", &tariff.tariff_id, &view(&tariff));
        let mut writes = vec![Write::Tariff(Box::new(tariff)), Write::Audit(Box::new(audit))];
        writes.extend(key.map(|key| Write::Once(Box::new(key.row(&answer, now)))));
        task.commit(writes).await?;
        Ok(answer)
    })
    .await
}

/// Puts a draft into force (ops, finance; never its author). The event `tariff.published` tells those affected.
#[utoipa::path(post, path = "/tariffs/{id}/publish", tag = "tariffs", params(("id" = String, Path)),
    request_body = Publish, responses((status = 200, body = TariffView)))]
pub(crate) async fn publish(
    State(app): State<App>,
    by: By<TARIFFS_PUBLISH>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Answer, Problem> {
    let (task, caller, tariff_id) = (app.clone(), by.sub.clone(), id.clone());
    let answer = once(&app, &caller, call, move |key, bytes| async move {
        let asked: Publish = body(&bytes)?;
        let effective_at = asked.effective_at.map(|when| when.read("effectiveAt")).transpose()?;
        let reason = why(asked.reason.as_deref())?;
        let _registry = task.registry.lock().await;
        let draft = stored(&task, &id).await?;
        // A publication whose answer was lost: whoever tries again must not meet the prices of before.
        task.actors.add_tariff(draft.clone());
        let versions = task.money.tariffs(Some(&draft.station_id)).await?;
        let now = task.now();
        let version = next_version(&versions, &draft.station_id);
        let tariff = draft.publish(&by.sub, effective_at, version, now).map_err(refused)?;
        let reason = reason.or_else(|| tariff.reason.clone());
        let change = Change { action: "TARIFF_PUBLISHED", before: Known::in_force(&versions, &tariff), tariff, reason };
        let answer = Answer::ok(&view(&change.tariff));
        let mut writes = change.writes(&by, now);
        writes.extend(key.map(|key| Write::Once(Box::new(key.row(&answer, now)))));
        task.commit(writes).await?;
        task.actors.add_tariff(change.tariff);
        Ok(answer)
    })
    .await?;
    learn(&app, &answer, [tariff_id]).await?;
    Ok(answer)
}

/// Drafts and versions (staff).
#[utoipa::path(get, path = "/tariffs", tag = "tariffs", params(("stationId" = Option<String>, Query)),
    responses((status = 200, body = Listed<TariffView>)))]
pub(crate) async fn list(
    State(app): State<App>,
    _by: By<TARIFFS_LIST>,
    params: Params,
) -> Result<Json<Listed<TariffView>>, Problem> {
    let station: Option<StationId> = params.id("stationId")?;
    let tariffs = app.money.tariffs(station.as_ref()).await?;
    Ok(Json(Listed::whole(tariffs.iter().map(view).collect())))
}

/// One draft or version (staff).
#[utoipa::path(get, path = "/tariffs/{id}", tag = "tariffs", params(("id" = String, Path)),
    responses((status = 200, body = TariffView)))]
pub(crate) async fn get(
    State(app): State<App>,
    _by: By<TARIFFS_GET>,
    Path(id): Path<String>,
) -> Result<Json<TariffView>, Problem> {
    Ok(Json(view(&stored(&app, &id).await?)))
}

/// A tariff of the store.
async fn stored(app: &App, tariff_id: &str) -> Result<Tariff, Problem> {
    let unknown = || Problem::new(Code::TariffNotFound, format!("there is no tariff {tariff_id}"));
    app.money.tariff(tariff_id).await?.ok_or_else(unknown)
}

/// Tells the actors of versions that an earlier try of a call put into force, if that try died before it could.
async fn learn(app: &App, answer: &Answer, tariffs: impl IntoIterator<Item = String>) -> Result<(), Problem> {
    if answer.is_replayed() {
        for tariff_id in tariffs {
            app.actors.add_tariff(stored(app, &tariff_id).await?);
        }
    }
    Ok(())
}

/// A reason, if one was given.
fn why(reason: Option<&str>) -> Result<Option<String>, Problem> {
    reason.map(|reason| words("reason", reason)).transpose()
}

fn no_station(station_id: &StationId) -> Problem {
    Problem::new(Code::StationNotFound, format!("there is no station {station_id}"))
}
