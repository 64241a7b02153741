//! Stations around a place, nearest first.

use std::collections::HashMap;

use actors::api::{LinkState, PileView};
use axum::{Json, extract::State};
use domain::{PileCode, StationId};
use serde::Serialize;
use store::registry::Station;
use utoipa::ToSchema;

use super::view::Prices;
use crate::{
    http::{
        answer::Listed,
        auth::By,
        input::{Params, scaled},
        problem::Problem,
        rights::PILES_NEARBY,
        state::App,
    },
    limits::{PAGE_LEN_MAX, RADIUS_M_DEFAULT, RADIUS_M_MAX},
};

/// Mean radius of the earth, in metres.
const EARTH_M: f64 = 6_371_008.8;

/// A station and what is free there.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Nearby {
    #[schema(value_type = String)]
    station_id: StationId,
    name: String,
    longitude: f64,
    latitude: f64,
    distance_m: i64,
    free_connectors: usize,
    /// Electricity and service together, 0.0001 yuan per kWh; `null` without a tariff in force.
    price_now: Option<i64>,
    piles: Vec<PileNearby>,
}

/// A pile of a station nearby.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PileNearby {
    #[schema(value_type = String)]
    pile_code: PileCode,
    state: &'static str,
    free_connectors: usize,
}

/// Stations by distance (anyone).
#[utoipa::path(get, path = "/piles/nearby", tag = "piles",
    params(("lon" = f64, Query), ("lat" = f64, Query), ("radiusM" = Option<i64>, Query), ("limit" = Option<u32>, Query)),
    responses((status = 200, body = Listed<Nearby>)))]
pub(crate) async fn nearby(
    State(app): State<App>,
    _by: By<PILES_NEARBY>,
    params: Params,
) -> Result<Json<Listed<Nearby>>, Problem> {
    let (lon, lat) = (params.degrees("lon", 180.0)?, params.degrees("lat", 90.0)?);
    let radius_m = params.int("radiusM", 1, RADIUS_M_MAX)?.unwrap_or(RADIUS_M_DEFAULT);
    let limit = params.limit()?;
    let mut found: Vec<(i64, Station)> = app
        .actors
        .stations()
        .into_iter()
        .filter_map(|station| Some((distance_m((lon, lat), place(&station))?, station)))
        .filter(|(distance, _)| *distance <= radius_m)
        .collect();
    found.sort_by(|a, b| (a.0, &a.1.station_id).cmp(&(b.0, &b.1.station_id)));
    found.truncate(limit);
    let mut prices = Prices::new(&app);
    let mut piles = piles_of(&app, &found);
    let items = found.into_iter().map(|(distance_m, station)| {
        let piles = piles.remove(&station.station_id).unwrap_or_default();
        let (longitude, latitude) = place(&station);
        Nearby {
            distance_m,
            free_connectors: piles.iter().map(|pile| pile.free_connectors).sum(),
            price_now: prices.at(&station.station_id).map(|now| now.electricity_e4.saturating_add(now.service_e4)),
            piles,
            station_id: station.station_id,
            name: station.name,
            longitude,
            latitude,
        }
    });
    Ok(Json(Listed::whole(items.collect())))
}

/// The piles of the stations found, at most a page of each.
fn piles_of(app: &App, found: &[(i64, Station)]) -> HashMap<StationId, Vec<PileNearby>> {
    let of =
        |station: &StationId| app.actors.piles(Some(station), None, PAGE_LEN_MAX).iter().map(pile_nearby).collect();
    found.iter().map(|(_, station)| (station.station_id.clone(), of(&station.station_id))).collect()
}

fn pile_nearby(pile: &PileView) -> PileNearby {
    let usable = pile.link == LinkState::Live && matches!(pile.state, "AVAILABLE" | "IN_USE");
    let free = pile.connectors.iter().filter(|gun| usable && matches!(gun.state, "AVAILABLE" | "PREPARING"));
    PileNearby { pile_code: pile.pile_code.clone(), state: pile.state, free_connectors: free.count() }
}

/// Degrees, longitude first.
fn place(station: &Station) -> (f64, f64) {
    (f64::from(station.longitude_e7) / 1e7, f64::from(station.latitude_e7) / 1e7)
}

/// Along the great circle (haversine), in metres.
fn distance_m(a: (f64, f64), b: (f64, f64)) -> Option<i64> {
    let half_chord = |degrees: f64| (degrees.to_radians() / 2.0).sin().powi(2);
    let across = half_chord(b.1 - a.1) + a.1.to_radians().cos() * b.1.to_radians().cos() * half_chord(b.0 - a.0);
    scaled(2.0 * EARTH_M * across.sqrt().min(1.0).asin(), 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_the_globe() {
        let (shanghai, beijing) = ((121.4737, 31.2304), (116.4074, 39.9042));
        let far = distance_m(shanghai, beijing).unwrap();
        assert!((1_066_000..1_070_000).contains(&far), "{far}");
        assert_eq!(distance_m(shanghai, shanghai), Some(0));
        assert_eq!(distance_m((0.0, 0.0), (180.0, 0.0)), Some(20_015_114));
        let over_the_date_line = distance_m((179.999, 0.0), (-179.999, 0.0)).unwrap();
        assert!((222..224).contains(&over_the_date_line), "{over_the_date_line}");
    }
}
