//! A pile as the outside sees it.

use std::collections::HashMap;

use actors::api::{LinkState, PileView};
use domain::{ConnectorId, OrderNo, PileCode, StationId, Timestamp, Watts};
use serde::Serialize;
use store::registry::PileKind;
use utoipa::ToSchema;

use crate::http::state::App;

/// A pile with its state and its price now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PileOut {
    #[schema(value_type = String)]
    pile_code: PileCode,
    #[schema(value_type = String)]
    station_id: StationId,
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "DC")]
    kind: PileKind,
    /// Rated power.
    #[schema(value_type = i32)]
    max_power_w: Watts,
    /// `AVAILABLE`, `IN_USE`, `FAULTED`, `MAINTENANCE` or `OFFLINE`: the worst that holds.
    state: &'static str,
    #[schema(value_type = String, example = "live")]
    link: LinkState,
    #[schema(value_type = Option<String>, format = DateTime)]
    last_seen: Option<Timestamp>,
    /// Reason of the maintenance mode; `null` when it is off.
    maintenance: Option<String>,
    faults: Vec<FaultOut>,
    connectors: Vec<ConnectorOut>,
    /// As of the last heartbeat.
    #[schema(value_type = Option<i32>)]
    power_w: Option<Watts>,
    firmware: Option<String>,
    /// The price in force; `null` without one.
    tariff: Option<TariffNow>,
    /// The pile's secret is being changed; for staff who look at this one pile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret_rotation: Option<SecretRotation>,
}

/// A change of a pile's secret that is under way.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SecretRotation {
    /// Both secrets are good until the pile uses the next one, at most until then.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) until: Timestamp,
}

/// A fault that holds.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FaultOut {
    /// 0: the pile as a whole.
    connector_id: u8,
    code: String,
}

/// A gun.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConnectorOut {
    #[schema(value_type = u8)]
    connector_id: ConnectorId,
    /// `AVAILABLE`, `PREPARING`, `STARTING`, `CHARGING`, `STOPPING`, `FINISHING`, `FAULTED` or `UNAVAILABLE`.
    state: &'static str,
    /// `null`: the pile never said.
    plugged: Option<bool>,
    /// The running order; for staff.
    #[schema(value_type = Option<String>)]
    order_no: Option<OrderNo>,
}

/// The price in force at a station.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TariffNow {
    pub(crate) tariff_id: String,
    pub(crate) tariff_version: u32,
    /// Label of the period.
    pub(crate) label: String,
    /// 0.0001 yuan per kWh.
    #[serde(rename = "electricityE4")]
    pub(crate) electricity_e4: i64,
    /// 0.0001 yuan per kWh.
    #[serde(rename = "serviceE4")]
    pub(crate) service_e4: i64,
}

/// Prices now, looked up once per station.
#[derive(Debug)]
pub(crate) struct Prices<'a> {
    app: &'a App,
    known: HashMap<StationId, Option<TariffNow>>,
}

impl<'a> Prices<'a> {
    pub(crate) fn new(app: &'a App) -> Self {
        Self { app, known: HashMap::new() }
    }

    /// The price in force at a station.
    pub(crate) fn at(&mut self, station: &StationId) -> Option<TariffNow> {
        if let Some(known) = self.known.get(station) {
            return known.clone();
        }
        let price = self.look_up(station);
        self.known.insert(station.clone(), price.clone());
        price
    }

    fn look_up(&self, station: &StationId) -> Option<TariffNow> {
        let tariff = self.app.actors.tariff_now(station)?;
        let period = tariff.period_at(self.app.now()).ok()?;
        Some(TariffNow {
            tariff_id: tariff.tariff_id.clone(),
            tariff_version: tariff.version,
            label: period.label.clone(),
            electricity_e4: period.electricity.0,
            service_e4: period.service.0,
        })
    }

    /// A pile with its price; `with_orders` shows who charges there.
    pub(crate) fn out(&mut self, pile: PileView, with_orders: bool) -> PileOut {
        let tariff = self.at(&pile.station_id);
        let connectors = pile.connectors.into_iter().map(|connector| ConnectorOut {
            connector_id: connector.connector_id,
            state: connector.state,
            plugged: connector.plugged,
            order_no: connector.order_no.filter(|_| with_orders),
        });
        PileOut {
            pile_code: pile.pile_code,
            station_id: pile.station_id,
            kind: pile.kind,
            max_power_w: pile.max_power,
            state: pile.state,
            link: pile.link,
            last_seen: pile.last_seen,
            maintenance: pile.maintenance,
            faults: pile.faults.into_iter().map(|(connector_id, code)| FaultOut { connector_id, code }).collect(),
            connectors: connectors.collect(),
            power_w: pile.power,
            firmware: pile.firmware,
            tariff,
            secret_rotation: None,
        }
    }
}
