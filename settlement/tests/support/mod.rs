//! Builders that every test of this crate shares.
#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod books;
pub(crate) mod random;

use domain::{
    ConnectorId, Fen, OrderNo, PileCode, PileNo, PriceE4, SocTenths, StationId, StopReason, Timestamp, UserId,
    WattHours,
};
use settlement::{
    ledger::{self, AccountState, Entry, LedgerOp},
    order::{NewOrder, Order, OrderLimit, PayMode, RecordFacts},
    pricing::{Bill, Segment},
    settle::{MoneyRules, Plan, Step},
    tariff::{Period, Tariff},
};

/// A time of day in UTC on 2026-03-10, or a full RFC 3339 time.
pub(crate) fn ts(text: &str) -> Timestamp {
    let full = if text.len() <= 12 { format!("2026-03-10T{text}Z") } else { text.to_owned() };
    Timestamp::parse_rfc3339(&full).unwrap()
}

pub(crate) fn user() -> UserId {
    UserId::parse("driver1").unwrap()
}

pub(crate) fn risk_officer() -> UserId {
    UserId::parse("risk1").unwrap()
}

pub(crate) fn no(text: &str) -> OrderNo {
    OrderNo::parse(text).unwrap()
}

pub(crate) fn new_order(order_no: &str) -> Order {
    Order::new(NewOrder {
        order_no: no(order_no),
        user_id: user(),
        pile_code: PileCode::parse("P0001").unwrap(),
        pile_no: PileNo(1),
        station_id: StationId::parse("S1").unwrap(),
        connector_id: ConnectorId(1),
        limit: OrderLimit::default(),
        pay_mode: PayMode::Freeze,
        tariff_id: "T1".to_owned(),
        tariff_version: 1,
        created_at: ts("08:00:00"),
    })
}

pub(crate) const RULES: MoneyRules =
    MoneyRules { freeze_default: Fen(5_000), freeze_min: Fen(1_000), hold_over: Fen(20_000), suspect: None };

/// A published tariff of (from, to, electricity, service) with the period's beginning as its label.
pub(crate) fn tariff(zone: &str, periods: &[(&str, &str, i64, i64)]) -> Tariff {
    let period = |(from, to, electricity, service): &(&str, &str, i64, i64)| Period {
        from_min: settlement::tariff::parse_minute(from).unwrap(),
        to_min: settlement::tariff::parse_minute(to).unwrap(),
        label: (*from).to_owned(),
        electricity: PriceE4(*electricity),
        service: PriceE4(*service),
    };
    let periods = periods.iter().map(period).collect();
    let author = UserId::parse("author").unwrap();
    let publisher = UserId::parse("publisher").unwrap();
    let draft = Tariff::draft(
        "T1".to_owned(),
        StationId::parse("S1").unwrap(),
        zone.to_owned(),
        periods,
        author,
        ts("00:00:00"),
    );
    draft.unwrap().publish(&publisher, None, 1, ts("00:00:00")).unwrap()
}

/// A bill whose fees are exactly these: one segment of so many kWh at prices that give them.
pub(crate) fn bill(electricity: i64, service: i64) -> Bill {
    // 100 kWh: 1 e4 is one fen.
    let segment = Segment {
        from: ts("08:01:00"),
        to: ts("09:00:00"),
        label: "flat".to_owned(),
        energy_wh: WattHours(100_000),
        electricity_e4: PriceE4(electricity),
        service_e4: PriceE4(service),
    };
    Bill {
        electricity_fen: Fen(electricity),
        service_fen: Fen(service),
        occupancy_fen: Fen::ZERO,
        total_fen: Fen(electricity + service),
        tariff_id: "T1".to_owned(),
        tariff_version: 1,
        segments: vec![segment],
        energy_wh: WattHours(100_000),
        started_at: ts("08:01:00"),
        ended_at: ts("09:00:00"),
        flags: Vec::new(),
    }
}

pub(crate) fn facts(stop_reason: StopReason) -> RecordFacts {
    RecordFacts {
        stop_reason,
        fault_code: None,
        start_soc: Some(SocTenths(200)),
        end_soc: Some(SocTenths(800)),
        meter_start: None,
        meter_end: None,
    }
}

/// An account after one top-up, and its entries.
pub(crate) fn account(available: i64) -> (AccountState, Vec<Entry>) {
    let empty = AccountState::new(user());
    if available == 0 {
        return (empty, Vec::new());
    }
    let op = LedgerOp::TopUp { payment_no: "P1".to_owned(), amount: Fen(available) };
    let change = ledger::apply(&empty, &op, ts("07:00:00")).unwrap();
    (change.next, change.entries)
}

/// What a store would hold, with the promises of the port: every step checked, whole, in order.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pub(crate) account: AccountState,
    pub(crate) entries: Vec<Entry>,
    pub(crate) ops: Vec<String>,
    pub(crate) orders: Vec<Order>,
    pub(crate) history: Vec<settlement::order::HistoryRow>,
}

impl Store {
    pub(crate) fn new(available: i64) -> Self {
        let (account, entries) = account(available);
        let ops = entries.iter().map(|entry| entry.op.clone()).collect();
        Self { account, entries, ops, orders: Vec::new(), history: Vec::new() }
    }

    pub(crate) fn order(&self, order_no: &str) -> &Order {
        self.orders.iter().find(|order| order.order_no.as_str() == order_no).unwrap()
    }

    pub(crate) fn store(&mut self, plan: &Plan) {
        plan.steps.iter().for_each(|step| self.step(step));
        assert_eq!(self.order(plan.order.order_no.as_str()), &plan.order, "the plan tells what the store holds");
        assert_eq!(self.account, plan.account, "the plan tells what the store holds");
    }

    pub(crate) fn step(&mut self, step: &Step) {
        match step {
            Step::NewOrder(order) => {
                assert!(self.orders.iter().all(|known| known.order_no != order.order_no));
                self.orders.push(Order::clone(order));
            }
            Step::Order(order) => {
                let stored = self.orders.iter_mut().find(|known| known.order_no == order.order_no).unwrap();
                assert_eq!(stored.rev + 1, order.rev, "revisions count by one");
                *stored = Order::clone(order);
            }
            Step::History(_, rows) => self.history.extend(rows.iter().cloned()),
            Step::Ledger(change) => self.ledger(change),
        }
    }

    pub(crate) fn ledger(&mut self, change: &ledger::LedgerChange) {
        assert_eq!(change.expect_version, self.account.version);
        assert!(!self.ops.contains(&change.op), "{} is done twice", change.op);
        self.ops.push(change.op.clone());
        self.entries.extend(change.entries.iter().cloned());
        self.account = change.next.clone();
    }

    pub(crate) fn breaches(&self) -> Vec<settlement::invariants::Breach> {
        let facts =
            settlement::invariants::Facts { account: &self.account, entries: &self.entries, orders: &self.orders };
        let mut all = settlement::invariants::Conservation::default();
        all.add(&facts);
        let mut breaches = settlement::invariants::check(&facts);
        let channel = self.entries.iter().filter(|e| e.op.starts_with("topup:")).map(|e| e.amount.0).sum();
        breaches.extend(all.check(Some(Fen(channel))));
        breaches
    }
}
