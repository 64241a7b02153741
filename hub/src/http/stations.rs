//! Stations: where piles stand.

use axum::{
    Json,
    extract::{Path, State},
};
use domain::StationId;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{money::Write, registry::Station};
use utoipa::ToSchema;

use super::{
    answer::{Answer, Listed},
    audit::audit_row,
    auth::By,
    idempotency::{Call, once},
    input::{body, id, scaled, words},
    problem::{Code, Problem},
    rights::{STATIONS_ACCESS, STATIONS_CREATE, STATIONS_LIST},
    state::App,
};

/// A new station.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewStation {
    station_id: String,
    name: String,
    /// IANA name of the time zone its tariffs are read in.
    #[schema(example = "Asia/Shanghai")]
    timezone: String,
    /// Degrees, east positive.
    longitude: f64,
    /// Degrees, north positive.
    latitude: f64,
}

/// A station.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StationView {
    #[schema(value_type = String)]
    pub(crate) station_id: StationId,
    pub(crate) name: String,
    pub(crate) timezone: String,
    pub(crate) longitude: f64,
    pub(crate) latitude: f64,
    /// Its piles connect with a certificate only.
    pub(crate) certificate_only: bool,
}

/// Registers a station (admin).
#[utoipa::path(post, path = "/stations", tag = "registry", request_body = NewStation,
    responses((status = 201, body = StationView)))]
pub(crate) async fn create(State(app): State<App>, by: By<STATIONS_CREATE>, call: Call) -> Result<Answer, Problem> {
    let (task, caller) = (app.clone(), by.sub.clone());
    once(&app, &caller, call, move |key, bytes| async move {
        let station = checked(body(&bytes)?)?;
        let _registry = task.registry.lock().await;
        if task.actors.station(&station.station_id).is_some() {
            return Err(Problem::new(Code::StationExists, format!("station {} exists already", station.station_id)));
        }
        let answer = Answer::created(&view(&station));
        let now = task.now();
        let audit = audit_row(&by, now, "STATION_CREATED", station.station_id.as_str(), &view(&station));
        let mut writes = vec![Write::Station(Box::new(station.clone())), Write::Audit(Box::new(audit))];
        writes.extend(key.map(|key| Write::Once(Box::new(key.row(&answer, now)))));
        task.commit(writes).await?;
        task.actors.add_station(station);
        Ok(answer)
    })
    .await
}

/// With what the piles of a station may connect.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Access {
    /// `true`: no pile of the station is admitted with a secret.
    certificate_only: bool,
}

/// Says with what the piles of a station may connect (admin). Holds for their next connections; those they have stay.
#[utoipa::path(put, path = "/stations/{id}/access", tag = "registry", params(("id" = String, Path)),
    request_body = Access, responses((status = 200, body = StationView)))]
pub(crate) async fn access(
    State(app): State<App>,
    by: By<STATIONS_ACCESS>,
    Path(station_id): Path<String>,
    call: Call,
) -> Result<Answer, Problem> {
    let (task, caller) = (app.clone(), by.sub.clone());
    once(&app, &caller, call, move |key, bytes| async move {
        let Access { certificate_only } = body(&bytes)?;
        let none = || Problem::new(Code::StationNotFound, format!("there is no station {station_id}"));
        let id = StationId::parse(&station_id).map_err(|_| none())?;
        // New piles of the station wait: they must see the one or the other.
        let _registry = task.registry.lock().await;
        let station = Station { certificate_only, ..task.actors.station(&id).ok_or_else(none)? };
        let answer = Answer::ok(&view(&station));
        let now = task.now();
        let audit = audit_row(&by, now, "STATION_ACCESS", id.as_str(), &json!({ "certificateOnly": certificate_only }));
        let mut writes = vec![Write::Station(Box::new(station.clone())), Write::Audit(Box::new(audit))];
        writes.extend(key.map(|key| Write::Once(Box::new(key.row(&answer, now)))));
        task.commit(writes).await?;
        task.actors.add_station(station);
        if certificate_only && task.config.mqtt.client_ca.is_empty() {
            tracing::warn!(station = %id, "no pile of this station can connect: mqtt.client_ca is not set");
        }
        task.identities.set_certificate_only(&task.actors.codes_at(&id), certificate_only);
        Ok(answer)
    })
    .await
}

/// All stations (staff).
#[utoipa::path(get, path = "/stations", tag = "registry", responses((status = 200, body = Listed<StationView>)))]
pub(crate) async fn list(State(app): State<App>, _by: By<STATIONS_LIST>) -> Json<Listed<StationView>> {
    Json(Listed::whole(app.actors.stations().iter().map(view).collect()))
}

fn checked(new: NewStation) -> Result<Station, Problem> {
    settlement::tariff::check_timezone(&new.timezone)
        .map_err(|error| Problem::invalid("timezone", &new.timezone, error.to_string()))?;
    Ok(Station {
        station_id: id("stationId", &new.station_id)?,
        name: words("name", &new.name)?,
        timezone: new.timezone,
        longitude_e7: degrees("longitude", new.longitude, 180.0)?,
        latitude_e7: degrees("latitude", new.latitude, 90.0)?,
        certificate_only: false,
    })
}

fn degrees(field: &str, value: f64, most: f64) -> Result<i32, Problem> {
    let in_range = value.abs() <= most;
    let scaled = in_range.then(|| scaled(value, 1e7)).flatten();
    scaled.ok_or_else(|| Problem::invalid(field, value, format!("must be -{most} to {most}")))
}

fn view(station: &Station) -> StationView {
    StationView {
        station_id: station.station_id.clone(),
        name: station.name.clone(),
        timezone: station.timezone.clone(),
        longitude: f64::from(station.longitude_e7) / 1e7,
        latitude: f64::from(station.latitude_e7) / 1e7,
        certificate_only: station.certificate_only,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new() -> NewStation {
        NewStation {
            station_id: "S1".to_owned(),
            name: "人民广场".to_owned(),
            timezone: "Asia/Shanghai".to_owned(),
            longitude: 121.473_7,
            latitude: 31.230_4,
        }
    }

    #[test]
    fn a_station_keeps_its_place_to_the_seventh_decimal() {
        let station = checked(new()).unwrap();
        assert_eq!((station.longitude_e7, station.latitude_e7), (1_214_737_000, 312_304_000));
        assert_eq!((view(&station).longitude, view(&station).latitude), (121.473_7, 31.230_4));
    }

    #[test]
    fn a_bad_station_names_its_field() {
        let field = |new: NewStation| checked(new).unwrap_err().broken.unwrap().field;
        assert_eq!(field(NewStation { timezone: "Mars/Base".to_owned(), ..new() }), "timezone");
        assert_eq!(field(NewStation { longitude: 180.1, ..new() }), "longitude");
        assert_eq!(field(NewStation { latitude: f64::NAN, ..new() }), "latitude");
        assert_eq!(field(NewStation { station_id: "a b".to_owned(), ..new() }), "stationId");
        assert_eq!(field(NewStation { name: " ".to_owned(), ..new() }), "name");
    }
}
