//! Orders, piles and a world by hand, for the tests of this module.

use std::collections::HashMap;

use actors::api::{ConnectorView, LinkState, Live as Values, PileView, Refusal};
use async_trait::async_trait;
use domain::{ConnectorId, Fen, OrderNo, PileCode, PileNo, PriceE4, StationId, Timestamp, UserId, WattHours, Watts};
use parking_lot::Mutex;
use settlement::{
    order::{NewOrder, Order, OrderLimit, OrderStatus, PayMode, PaymentStatus},
    pricing::{Bill, Segment},
};
use store::{
    money::{Page, StoreError},
    registry::{PileKind, Station},
};

use super::world::World;

/// A charging order of `anna`.
pub(crate) fn order(no: &str) -> Order {
    let created = Timestamp::from_millis_clamped(1_763_690_000_000);
    let facts = NewOrder {
        order_no: OrderNo::parse(no).unwrap(),
        user_id: UserId::parse("anna").unwrap(),
        pile_code: PileCode::parse("P0001").unwrap(),
        pile_no: PileNo(1),
        station_id: StationId::parse("S1").unwrap(),
        connector_id: ConnectorId(1),
        limit: OrderLimit::default(),
        pay_mode: PayMode::Freeze,
        tariff_id: "T1".to_owned(),
        tariff_version: 1,
        created_at: created,
    };
    Order {
        status: OrderStatus::Charging,
        payment_status: PaymentStatus::Frozen,
        started_at: Some(created),
        frozen_fen: Fen(5000),
        ..Order::new(facts)
    }
}

/// The same order, one revision later.
pub(crate) fn changed(order: &Order, change: impl FnOnce(&mut Order)) -> Order {
    let mut next = order.clone();
    next.rev += 1;
    change(&mut next);
    next
}

/// A bill with that many segments.
pub(crate) fn bill(energy_wh: i64, total_fen: i64, segments: usize) -> Bill {
    let at = Timestamp::from_millis_clamped(1_763_690_000_000);
    let segment = Segment {
        from: at,
        to: at,
        label: "峰".to_owned(),
        energy_wh: WattHours(energy_wh),
        electricity_e4: PriceE4(10_000),
        service_e4: PriceE4(8_000),
    };
    Bill {
        electricity_fen: Fen(total_fen),
        service_fen: Fen(0),
        occupancy_fen: Fen(0),
        total_fen: Fen(total_fen),
        tariff_id: "T1".to_owned(),
        tariff_version: 1,
        segments: vec![segment; segments],
        energy_wh: WattHours(energy_wh),
        started_at: at,
        ended_at: at,
        flags: Vec::new(),
    }
}

/// The order with its bill paid and closed.
pub(crate) fn closed(order: &Order, energy_wh: i64, total_fen: i64) -> Order {
    changed(order, |o| {
        o.status = OrderStatus::Closed;
        o.payment_status = PaymentStatus::Paid;
        o.energy_wh = WattHours(energy_wh);
        o.ended_at = Some(o.created_at);
        o.paid_fen = Fen(total_fen);
        o.bill = Some(bill(energy_wh, total_fen, 2));
    })
}

/// A station in Shanghai.
pub(crate) fn station(id: &str) -> Station {
    Station {
        station_id: StationId::parse(id).unwrap(),
        name: format!("{id} 站"),
        timezone: "Asia/Shanghai".to_owned(),
        longitude_e7: 1_214_737_000,
        latitude_e7: 312_304_000,
        certificate_only: false,
    }
}

/// A connected pile with one gun.
pub(crate) fn pile(code: &str, station: &str, state: &'static str) -> PileView {
    PileView {
        pile_code: PileCode::parse(code).unwrap(),
        station_id: StationId::parse(station).unwrap(),
        kind: PileKind::Dc,
        max_power: Watts(60_000),
        state,
        link: LinkState::Live,
        last_seen: None,
        maintenance: None,
        faults: Vec::new(),
        connectors: vec![ConnectorView {
            connector_id: ConnectorId(1),
            state: "AVAILABLE",
            plugged: None,
            order_no: None,
        }],
        power: None,
        firmware: None,
    }
}

/// A world that says what a test put into it.
#[derive(Debug)]
pub(crate) struct FakeWorld {
    pub(crate) now: Mutex<Timestamp>,
    pub(crate) orders: Mutex<Vec<Order>>,
    pub(crate) values: Mutex<HashMap<OrderNo, Values>>,
    pub(crate) stations: Mutex<Vec<Station>>,
    pub(crate) piles: Mutex<Vec<PileView>>,
    pub(crate) stopped: Mutex<Vec<OrderNo>>,
    pub(crate) store_is_away: Mutex<bool>,
}

impl Default for FakeWorld {
    fn default() -> Self {
        Self::at(1_763_690_000_000)
    }
}

impl FakeWorld {
    pub(crate) fn at(now_ms: i64) -> Self {
        Self {
            now: Mutex::new(Timestamp::from_millis_clamped(now_ms)),
            orders: Mutex::default(),
            values: Mutex::default(),
            stations: Mutex::default(),
            piles: Mutex::default(),
            stopped: Mutex::default(),
            store_is_away: Mutex::default(),
        }
    }

    /// Stores an order, instead of an older revision of it.
    pub(crate) fn put(&self, order: &Order) {
        let mut orders = self.orders.lock();
        orders.retain(|known| known.order_no != order.order_no);
        orders.push(order.clone());
    }

    fn up(&self) -> Result<(), StoreError> {
        if *self.store_is_away.lock() { Err(StoreError::Unavailable("away".to_owned())) } else { Ok(()) }
    }
}

#[async_trait]
impl World for FakeWorld {
    fn now(&self) -> Timestamp {
        *self.now.lock()
    }
    async fn order(&self, order_no: &OrderNo) -> Result<Option<Order>, StoreError> {
        self.up()?;
        Ok(self.orders.lock().iter().find(|order| order.order_no == *order_no).cloned())
    }
    async fn orders(&self, cursor: Option<&str>, max: usize) -> Result<Page<Order>, StoreError> {
        self.up()?;
        let (orders, from) = (self.orders.lock(), cursor.map_or(0, |c| c.parse().unwrap()));
        let items: Vec<_> = orders.iter().skip(from).take(max).cloned().collect();
        let next = from + items.len();
        Ok(Page { next_cursor: (next < orders.len()).then(|| next.to_string()), items })
    }
    fn link_of(&self, _pile_no: PileNo) -> LinkState {
        LinkState::Live
    }
    fn values(&self, order_no: &OrderNo) -> Option<Values> {
        self.values.lock().get(order_no).cloned()
    }
    async fn stop(&self, order_no: &OrderNo) -> Result<Order, Refusal> {
        let orders = self.orders.lock();
        let found = orders.iter().find(|order| order.order_no == *order_no).cloned();
        self.stopped.lock().push(order_no.clone());
        found.ok_or_else(|| Refusal::OrderNotFound(order_no.clone()))
    }
    fn stations(&self) -> Vec<Station> {
        self.stations.lock().clone()
    }
    fn piles(&self, after: Option<&PileCode>, max: usize) -> Vec<PileView> {
        let mut piles = self.piles.lock().clone();
        piles.sort_by(|a, b| a.pile_code.cmp(&b.pile_code));
        piles.into_iter().filter(|pile| after.is_none_or(|after| pile.pile_code > *after)).take(max).collect()
    }
    fn alarms_open(&self) -> usize {
        2
    }
}
