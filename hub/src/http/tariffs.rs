//! Prices of a station: a draft by one person, published by another, every version kept. The rules are settlement's.

use axum::{
    Json,
    extract::{Path, State},
};
use domain::{PriceE4, StationId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use settlement::tariff::{Period, Tariff, TariffError, format_minute, next_version, parse_minute};
use store::money::Write;
use utoipa::ToSchema;

use super::{
    answer::{Answer, Listed},
    audit::audit_row,
    auth::By,
    idempotency::{Call, once},
    input::{Params, When, body, id},
    problem::{Code, Problem},
    rights::{TARIFFS_CREATE, TARIFFS_GET, TARIFFS_LIST, TARIFFS_PUBLISH},
    state::App,
};
use crate::{ids::new_id, limits::TARIFF_PERIODS_MAX};

/// A draft of a station's prices.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewTariff {
    station_id: String,
    /// Cover 00:00 to 24:00 without gap or overlap.
    periods: Vec<PeriodView>,
}

/// One price between two times of day, half-open, in the station's time zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PeriodView {
    #[schema(example = "00:00")]
    from: String,
    #[schema(example = "08:00")]
    to: String,
    #[serde(default)]
    label: String,
    /// 0.0001 yuan per kWh, at most 50,000.
    #[serde(rename = "electricityE4")]
    electricity_e4: i64,
    /// 0.0001 yuan per kWh, at most 50,000.
    #[serde(rename = "serviceE4")]
    service_e4: i64,
}

/// When a draft shall hold.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Publish {
    /// At once when left out; never in the past.
    #[schema(value_type = Option<String>, format = DateTime)]
    effective_at: Option<When>,
}

/// A version of a station's prices, or a draft.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TariffView {
    tariff_id: String,
    #[schema(value_type = String)]
    station_id: StationId,
    /// 1, 2, 3 … per station; 0 while a draft.
    version: u32,
    /// `DRAFT` or `PUBLISHED`.
    status: &'static str,
    timezone: String,
    periods: Vec<PeriodView>,
    #[schema(value_type = String)]
    author: UserId,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>)]
    publisher: Option<UserId>,
    #[schema(value_type = Option<String>, format = DateTime)]
    effective_at: Option<Timestamp>,
}

/// Writes a draft (ops, finance).
#[utoipa::path(post, path = "/tariffs", tag = "tariffs", request_body = NewTariff,
    responses((status = 201, body = TariffView)))]
pub(crate) async fn create(State(app): State<App>, by: By<TARIFFS_CREATE>, call: Call) -> Result<Answer, Problem> {
    let (task, caller) = (app.clone(), by.sub.clone());
    once(&app, &caller, call, move |key, bytes| async move {
        let new: NewTariff = body(&bytes)?;
        let station_id: StationId = id("stationId", &new.station_id)?;
        let station = task
            .actors
            .station(&station_id)
            .ok_or_else(|| Problem::new(Code::StationNotFound, format!("there is no station {station_id}")))?;
        let periods = periods_of(&new.periods)?;
        let now = task.now();
        let tariff = Tariff::draft(new_id("T", now)?, station_id, station.timezone, periods, by.sub.clone(), now)
            .map_err(refused)?;
        let answer = Answer::created(&view(&tariff));
        let audit = audit_row(&by, now, "TARIFF_DRAFTED", &tariff.tariff_id, &view(&tariff));
        let mut writes = vec![Write::Tariff(Box::new(tariff)), Write::Audit(Box::new(audit))];
        writes.extend(key.map(|key| Write::Once(Box::new(key.row(&answer, now)))));
        task.commit(writes).await?;
        Ok(answer)
    })
    .await
}

/// Puts a draft into force (ops, finance; never its author).
#[utoipa::path(post, path = "/tariffs/{id}/publish", tag = "tariffs", params(("id" = String, Path)),
    request_body = Publish, responses((status = 200, body = TariffView)))]
pub(crate) async fn publish(
    State(app): State<App>,
    by: By<TARIFFS_PUBLISH>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Answer, Problem> {
    let (task, caller) = (app.clone(), by.sub.clone());
    once(&app, &caller, call, move |key, bytes| async move {
        let asked: Publish = body(&bytes)?;
        let effective_at = asked.effective_at.map(|when| when.read("effectiveAt")).transpose()?;
        let _registry = task.registry.lock().await;
        let draft = task.money.tariff(&id).await?.ok_or_else(|| unknown(&id))?;
        let versions = task.money.tariffs(Some(&draft.station_id)).await?;
        let now = task.now();
        let version = next_version(&versions, &draft.station_id);
        let tariff = draft.publish(&by.sub, effective_at, version, now).map_err(refused)?;
        let answer = Answer::ok(&view(&tariff));
        let detail = json!({ "version": version, "effectiveAt": tariff.effective_at });
        let audit = audit_row(&by, now, "TARIFF_PUBLISHED", &tariff.tariff_id, &detail);
        let mut writes = vec![Write::Tariff(Box::new(tariff.clone())), Write::Audit(Box::new(audit))];
        writes.extend(key.map(|key| Write::Once(Box::new(key.row(&answer, now)))));
        task.commit(writes).await?;
        task.actors.add_tariff(tariff);
        Ok(answer)
    })
    .await
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
    let tariff = app.money.tariff(&id).await?.ok_or_else(|| unknown(&id))?;
    Ok(Json(view(&tariff)))
}

fn unknown(id: &str) -> Problem {
    Problem::new(Code::TariffNotFound, format!("there is no tariff {id}"))
}

fn periods_of(periods: &[PeriodView]) -> Result<Vec<Period>, Problem> {
    if periods.len() > TARIFF_PERIODS_MAX {
        return Err(Problem::invalid(
            "periods",
            periods.len(),
            format!("must be at most {TARIFF_PERIODS_MAX} periods"),
        ));
    }
    let minute = |index: usize, name: &str, text: &str| {
        parse_minute(text)
            .map_err(|error| Problem::invalid(format!("periods[{index}].{name}"), text, error.to_string()))
    };
    periods
        .iter()
        .enumerate()
        .map(|(index, period)| {
            Ok(Period {
                from_min: minute(index, "from", &period.from)?,
                to_min: minute(index, "to", &period.to)?,
                label: period.label.clone(),
                electricity: PriceE4(period.electricity_e4),
                service: PriceE4(period.service_e4),
            })
        })
        .collect()
}

fn refused(error: TariffError) -> Problem {
    let rule = error.to_string();
    match error {
        TariffError::OwnDraft => Problem::new(Code::Forbidden, rule),
        TariffError::Published => Problem::new(Code::IllegalState, rule),
        TariffError::InThePast { effective_at } => Problem::invalid("effectiveAt", effective_at, rule),
        TariffError::UnknownTimezone { name } => Problem::invalid("timezone", name, rule),
        TariffError::NotATime { text } => Problem::invalid("periods", text, rule),
        TariffError::Price { price, .. } => Problem::invalid("periods", price.0, rule),
        TariffError::Empty => Problem::invalid("periods", "[]", rule),
        TariffError::Gap { from_min: at, .. }
        | TariffError::Overlap { at_min: at, .. }
        | TariffError::OverMidnight { from_min: at, .. }
        | TariffError::PastMidnight { minute: at }
        | TariffError::Label { from_min: at } => Problem::invalid("periods", format_minute(at), rule),
    }
}

fn view(tariff: &Tariff) -> TariffView {
    let period = |period: &Period| PeriodView {
        from: format_minute(period.from_min),
        to: format_minute(period.to_min),
        label: period.label.clone(),
        electricity_e4: period.electricity.0,
        service_e4: period.service.0,
    };
    TariffView {
        tariff_id: tariff.tariff_id.clone(),
        station_id: tariff.station_id.clone(),
        version: tariff.version,
        status: if tariff.effective_at.is_some() { "PUBLISHED" } else { "DRAFT" },
        timezone: tariff.timezone.clone(),
        periods: tariff.periods.iter().map(period).collect(),
        author: tariff.author.clone(),
        created_at: tariff.created_at,
        publisher: tariff.publisher.clone(),
        effective_at: tariff.effective_at,
    }
}
