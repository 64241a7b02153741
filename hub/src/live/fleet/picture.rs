//! Drawing the fleet: six numbers, stations by their worst state, running orders, events.
//!
//! Reads the views that the actors publish; asks no actor and no store.

use std::collections::HashMap;

use actors::api::{ConnectorView, FleetEvent, LinkState, Live as Values, PileView};
use domain::{ConnectorId, Fen, OrderNo, PileCode, StationId, WattHours};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::value::RawValue;
use store::registry::Station;

use super::today::Today;
use crate::{
    live::{
        limits::{FLEET_ORDERS_MAX, FLEET_PAGE_LEN, FLEET_STATIONS_MAX},
        world::World,
    },
    view::percent,
};

/// What a dashboard shows.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Picture {
    numbers: Numbers,
    /// The worst first.
    stations: Vec<StationLine>,
    stations_total: usize,
    /// The newest first.
    orders: Vec<OrderLine>,
    orders_total: usize,
    /// The newest first.
    events: Vec<FleetEvent>,
}

/// The six numbers, three of them in two parts.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Numbers {
    piles_online: usize,
    piles_total: usize,
    /// Guns that charge.
    charging: usize,
    power_w: i64,
    energy_today_wh: i64,
    revenue_today_fen: i64,
    /// Whether the two sums are complete.
    today_complete: bool,
    alarms_open: usize,
    piles_faulted: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StationLine {
    station_id: StationId,
    name: String,
    /// Its worst: see [`Tally::state`].
    state: &'static str,
    #[serde(flatten)]
    tally: Tally,
}

/// Piles of a station by state.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Tally {
    available: usize,
    in_use: usize,
    faulted: usize,
    maintenance: usize,
    offline: usize,
    power_w: i64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct OrderLine {
    order_no: OrderNo,
    station_id: StationId,
    pile_code: PileCode,
    connector_id: ConnectorId,
    state: &'static str,
    link: LinkState,
    energy_wh: WattHours,
    amount_fen: Fen,
    power_w: Option<i32>,
    soc_percent: Option<f64>,
    duration_s: i64,
}

#[derive(Debug, Default)]
struct Sketch {
    numbers: Numbers,
    stations: HashMap<StationId, Tally>,
    orders: Vec<OrderLine>,
    running_wh: i64,
}

impl Picture {
    /// Draws everything anew, in steps between which other tasks run.
    pub(super) async fn draw(world: &dyn World, events: Vec<FleetEvent>, today: &Mutex<Today>) -> Self {
        let mut sketch = Sketch::default();
        let mut after: Option<PileCode> = None;
        loop {
            let page = world.piles(after.as_ref(), FLEET_PAGE_LEN);
            for pile in &page {
                sketch.add(pile, world, today);
            }
            match page.last() {
                Some(last) if page.len() >= FLEET_PAGE_LEN => after = Some(last.pile_code.clone()),
                Some(_) | None => break,
            }
            tokio::task::yield_now().await;
        }
        let sums = today.lock().sums(world.now());
        let mut numbers = sketch.numbers;
        numbers.energy_today_wh = sums.energy_wh.saturating_add(sketch.running_wh);
        numbers.revenue_today_fen = sums.revenue_fen;
        numbers.today_complete = sums.complete;
        numbers.alarms_open = world.alarms_open();
        let stations = world.stations();
        let (stations_total, orders_total) = (stations.len(), sketch.orders.len());
        sketch.orders.sort_unstable_by(|a, b| b.order_no.cmp(&a.order_no));
        sketch.orders.truncate(FLEET_ORDERS_MAX);
        Self {
            numbers,
            stations: worst_first(stations, &mut sketch.stations),
            stations_total,
            orders: sketch.orders,
            orders_total,
            events,
        }
    }

    /// The picture as text.
    pub(super) fn json(&self) -> Box<RawValue> {
        serde_json::value::to_raw_value(self).unwrap_or_default()
    }
}

impl Sketch {
    fn add(&mut self, pile: &PileView, world: &dyn World, today: &Mutex<Today>) {
        let online = pile.link == LinkState::Live;
        self.numbers.piles_total = self.numbers.piles_total.saturating_add(1);
        self.numbers.piles_online = self.numbers.piles_online.saturating_add(usize::from(online));
        let mut order_power: Option<i64> = None;
        for gun in &pile.connectors {
            self.numbers.charging = self.numbers.charging.saturating_add(usize::from(gun.state == "CHARGING"));
            let Some(order_no) = &gun.order_no else { continue };
            let values = world.values(order_no).unwrap_or_default();
            if let Some(power) = values.power.filter(|_| online) {
                order_power = Some(order_power.unwrap_or(0).saturating_add(power.0.into()));
            }
            if !today.lock().has(order_no) {
                self.running_wh = self.running_wh.saturating_add(values.energy.0);
            }
            self.orders.push(order_line(pile, gun, order_no, &values));
        }
        // What the orders report is newer than the last heartbeat.
        let heartbeat = pile.power.filter(|_| online).map_or(0, |power| power.0.into());
        let power_w = order_power.unwrap_or(heartbeat);
        self.numbers.power_w = self.numbers.power_w.saturating_add(power_w);
        let tally = self.stations.entry(pile.station_id.clone()).or_default();
        tally.power_w = tally.power_w.saturating_add(power_w);
        let count = match pile.state {
            "FAULTED" => &mut tally.faulted,
            "OFFLINE" => &mut tally.offline,
            "MAINTENANCE" => &mut tally.maintenance,
            "IN_USE" => &mut tally.in_use,
            _ => &mut tally.available,
        };
        *count = count.saturating_add(1);
        self.numbers.piles_faulted = self.numbers.piles_faulted.saturating_add(usize::from(pile.state == "FAULTED"));
    }
}

fn order_line(pile: &PileView, gun: &ConnectorView, order_no: &OrderNo, values: &Values) -> OrderLine {
    OrderLine {
        order_no: order_no.clone(),
        station_id: pile.station_id.clone(),
        pile_code: pile.pile_code.clone(),
        connector_id: gun.connector_id,
        state: gun.state,
        link: pile.link,
        energy_wh: values.energy,
        amount_fen: values.amount,
        power_w: values.power.map(|power| power.0),
        soc_percent: values.soc.map(percent),
        duration_s: values.duration_s,
    }
}

impl Tally {
    /// The worst that holds for one of the piles; `IN_USE` when none is free.
    fn state(&self) -> &'static str {
        if self.faulted > 0 {
            "FAULTED"
        } else if self.offline > 0 {
            "OFFLINE"
        } else if self.maintenance > 0 {
            "MAINTENANCE"
        } else if self.available == 0 && self.in_use > 0 {
            "IN_USE"
        } else {
            "AVAILABLE"
        }
    }

    /// What the list is sorted by, the worst first.
    fn badness(&self) -> (usize, usize, usize) {
        (self.faulted, self.offline, self.maintenance)
    }
}

fn worst_first(stations: Vec<Station>, tallies: &mut HashMap<StationId, Tally>) -> Vec<StationLine> {
    let mut lines: Vec<_> = stations
        .into_iter()
        .map(|station| {
            let tally = tallies.remove(&station.station_id).unwrap_or_default();
            StationLine { station_id: station.station_id, name: station.name, state: tally.state(), tally }
        })
        .collect();
    lines.sort_unstable_by(|a, b| {
        b.tally.badness().cmp(&a.tally.badness()).then_with(|| a.station_id.cmp(&b.station_id))
    });
    lines.truncate(FLEET_STATIONS_MAX);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::samples::{FakeWorld, pile, station};

    #[tokio::test]
    async fn the_picture_counts_piles_guns_power_and_puts_the_worst_station_first() {
        let world = FakeWorld::default();
        world.stations.lock().extend([station("S1"), station("S2"), station("S3")]);
        let mut charging = pile("A1", "S1", "IN_USE");
        charging.connectors[0].state = "CHARGING";
        charging.connectors[0].order_no = Some(OrderNo::parse("1001").unwrap());
        let values = Values {
            energy: WattHours(3125),
            amount: Fen(312),
            power: Some(domain::Watts(47_800)),
            ..Values::default()
        };
        world.values.lock().insert(OrderNo::parse("1001").unwrap(), values);
        let mut offline = pile("B1", "S2", "OFFLINE");
        offline.link = LinkState::Offline;
        world.piles.lock().extend([charging, pile("A2", "S1", "AVAILABLE"), offline, pile("C1", "S3", "FAULTED")]);

        let picture = Picture::draw(&world, Vec::new(), &Mutex::default()).await;
        let json: serde_json::Value = serde_json::from_str(picture.json().get()).unwrap();
        let numbers = &json["numbers"];
        assert_eq!((&numbers["pilesOnline"], &numbers["pilesTotal"]), (&3.into(), &4.into()));
        assert_eq!((&numbers["charging"], &numbers["powerW"]), (&1.into(), &47_800.into()));
        assert_eq!((&numbers["energyTodayWh"], &numbers["pilesFaulted"]), (&3125.into(), &1.into()));
        let order: Vec<_> = json["stations"].as_array().unwrap().iter().map(|s| s["state"].as_str().unwrap()).collect();
        assert_eq!(order, ["FAULTED", "OFFLINE", "AVAILABLE"]);
        assert_eq!(json["orders"][0]["amountFen"], 312);
    }

    #[tokio::test]
    async fn a_fleet_of_more_than_one_page_is_drawn_whole_and_its_lists_are_cut() {
        let world = FakeWorld::default();
        for n in 0..FLEET_PAGE_LEN * 2 + 1 {
            let mut pile = pile(&format!("P{n:05}"), "S1", "IN_USE");
            pile.connectors[0].order_no = Some(OrderNo::parse(&format!("{:05}", n)).unwrap());
            world.piles.lock().push(pile);
        }
        let picture = Picture::draw(&world, Vec::new(), &Mutex::default()).await;
        assert_eq!((picture.numbers.piles_total, picture.orders_total), (2001, 2001));
        assert_eq!(picture.orders.len(), FLEET_ORDERS_MAX);
        assert_eq!(picture.orders[0].order_no.as_str(), "02000");
    }
}
