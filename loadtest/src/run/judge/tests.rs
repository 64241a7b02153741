//! The judge must let a right hub go and must notice every single wrong figure.

use domain::{ConnectorId, Fen, Millis, OrderNo, PileCode, PriceE4, StopReason, Timestamp, WattHours, wire::Finished};

use super::*;
use crate::{
    api::{Segment, Wallet},
    oracle::Period,
    pile::truth::{Fate, Metered, Mischief},
};

fn order_no() -> OrderNo {
    OrderNo::parse("1001").unwrap()
}

fn time(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_763_690_000_000).unwrap().plus(Millis::from_secs(seconds))
}

fn tariff() -> Tariff {
    let period = Period {
        from: "00:00".to_owned(),
        to: "24:00".to_owned(),
        label: "flat".to_owned(),
        electricity_e4: 10_000,
        service_e4: 5_000,
    };
    Tariff::new("UTC", &[period]).unwrap()
}

/// 4 kWh at 1.50 yuan: 600 fen.
fn truth() -> ChargeTruth {
    let reading = Metered { seq: 1, at: time(100), energy: WattHours(1_000), total_time_s: 100, fate: Fate::Counts };
    let record = Finished {
        order_no: order_no(),
        connector: Some(ConnectorId(1)),
        seq: Some(2),
        energy: WattHours(4_000),
        total_time_s: Some(400),
        start_soc: None,
        end_soc: None,
        stop_reason: StopReason::User,
        start_time: Some(time(0)),
        end_time: time(400),
        meter_start: None,
        meter_end: None,
        fault_code: None,
        timestamp: None,
    };
    ChargeTruth {
        order_no: order_no(),
        pile_code: PileCode::parse("P0001").unwrap(),
        connector: ConnectorId(1),
        clock_offset: Millis(0),
        began: time(0),
        readings: vec![reading],
        record: Some(record),
        answers: vec![RecordAckResult::Stored],
        answers_to_conflict: Vec::new(),
        mischief: Mischief::default(),
    }
}

fn session() -> Session {
    let segment = Segment {
        label: "flat".to_owned(),
        energy_wh: WattHours(4_000),
        electricity_e4: PriceE4(10_000),
        service_e4: PriceE4(5_000),
    };
    let bill = Bill {
        electricity_fen: Fen(400),
        service_fen: Fen(200),
        total_fen: Fen(600),
        paid_fen: Fen(600),
        released_fen: Fen(900),
        debt_fen: Fen(0),
        segments: vec![segment],
    };
    let order = Order {
        order_no: order_no(),
        status: "CLOSED".to_owned(),
        payment_status: "PAID".to_owned(),
        provisional: false,
        stop_reason: Some(1),
        energy_wh: Some(WattHours(4_000)),
        started_at: Some(time(0)),
        ended_at: Some(time(400)),
        frozen_fen: Some(Fen(1_500)),
        bill: Some(bill),
    };
    Session {
        driver: "d1".to_owned(),
        top_ups: vec![2_000],
        placed: Some((order_no(), 1_500)),
        last: Some(order),
        wallet: Some(Wallet { available_fen: Fen(1_400), frozen_fen: Fen(0), debt_fen: Fen(0) }),
        orders: Some(vec!["1001".to_owned()]),
        ..Session::default()
    }
}

fn differences(session: &Session, truth: Option<&ChargeTruth>) -> Vec<String> {
    let tariff = tariff();
    judge(&Evidence { session, limit_fen: Some(1_500), truth, tariff: &tariff, rules: MoneyRules::default() })
}

#[test]
fn a_right_hub_is_let_go() {
    assert_eq!(differences(&session(), Some(&truth())), Vec::<String>::new());
}

#[test]
fn every_wrong_figure_of_an_order_is_noticed() {
    type Spoil = fn(&mut Order, &mut Bill);
    let table: [(&str, Spoil); 11] = [
        ("status", |order, _| order.status = "EXCEPTION_CLOSED".to_owned()),
        ("paymentStatus", |order, _| order.payment_status = "UNPAID".to_owned()),
        ("provisional", |order, _| order.provisional = true),
        ("stopReason", |order, _| order.stop_reason = Some(2)),
        ("energyWh", |order, _| order.energy_wh = Some(WattHours(3_999))),
        ("electricityFen", |_, bill| bill.electricity_fen = Fen(401)),
        ("serviceFen", |_, bill| bill.service_fen = Fen(199)),
        ("totalFen", |_, bill| bill.total_fen = Fen(599)),
        ("Wh by period", |_, bill| bill.segments[0].energy_wh = WattHours(3_999)),
        ("releasedFen", |_, bill| bill.released_fen = Fen(899)),
        ("debtFen", |_, bill| bill.debt_fen = Fen(1)),
    ];
    for (what, spoil) in table {
        let mut session = session();
        let order = session.last.as_mut().unwrap();
        let mut bill = order.bill.take().unwrap();
        spoil(order, &mut bill);
        order.bill = Some(bill);
        let found = differences(&session, Some(&truth()));
        assert_eq!(found.len(), 1, "{what}: {found:?}");
        assert!(found[0].starts_with(what), "{found:?}");
    }
}

#[test]
fn money_that_appears_or_vanishes_is_noticed() {
    let table = [(1_401, 0, 0), (1_400, 1, 0), (1_400, 0, 1), (2_000, 0, 0)];
    for (available, frozen, debt) in table {
        let mut session = session();
        session.wallet = Some(Wallet { available_fen: Fen(available), frozen_fen: Fen(frozen), debt_fen: Fen(debt) });
        let found = differences(&session, Some(&truth()));
        assert!(found.iter().any(|line| line.starts_with("wallet")), "{found:?}");
    }
}

#[test]
fn a_second_order_and_a_second_store_of_the_record_are_noticed() {
    let mut twice = session();
    twice.orders = Some(vec!["1001".to_owned(), "1002".to_owned()]);
    assert_eq!(differences(&twice, Some(&truth())).len(), 1);
    for answers in [vec![], vec![RecordAckResult::Stored; 2], vec![RecordAckResult::Quarantined]] {
        let truth = ChargeTruth { answers, ..truth() };
        assert_eq!(differences(&session(), Some(&truth)).len(), 1, "{:?}", truth.answers);
    }
}

#[test]
fn an_order_without_a_charge_and_a_session_without_an_order_are_noticed() {
    assert_eq!(differences(&session(), None).len(), 1);
    assert_eq!(differences(&Session::default(), None).len(), 1);
}

#[test]
fn what_a_phone_found_is_a_difference() {
    let mut session = session();
    let report = crate::phone::PhoneReport {
        findings: vec!["a gap".to_owned()],
        end: session.last.clone(),
        deltas: 1,
        resumed: 0,
        sockets: 1,
    };
    session.phones.push(report);
    assert_eq!(differences(&session, Some(&truth())), ["phone 0: a gap"]);
}
