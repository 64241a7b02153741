//! What it costs to price a charge of 360 readings, to keep the live figures of one status frame, and to show a draft of
//! a tariff the sessions of a week.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement reads the real clock, prints and may panic"
)]

use std::{hint::black_box, sync::Arc, time::Instant};

use domain::{ConnectorId, Millis, OrderNo, PileCode, PileNo, PriceE4, StationId, Timestamp, UserId, WattHours, Watts};
use settlement::{
    dry_run::DryRun,
    order::{NewOrder, Order, OrderLimit, PayMode},
    pricing::{ChargeEnd, PriceInput, Reading, RecordTimes, RunningBill, price},
    tariff::{DayPlan, Period, Tariff, Weekdays},
};

const ROUNDS: u32 = 20_000;
const READINGS: u32 = 360;
const START_MS: i64 = 1_773_100_000_000;
const SESSIONS: u32 = 100_000;
const WEEK_S: u32 = 7 * 86_400;

fn at(seq: u32) -> Timestamp {
    Timestamp::from_millis(START_MS + i64::from(seq) * 10_000).unwrap()
}

fn tariff() -> Tariff {
    let period = |from: u16| Period {
        from_min: from,
        to_min: from + 30,
        label: "平".to_owned(),
        electricity: PriceE4(6_000),
        service: PriceE4(4_000),
    };
    let periods = (0..48).map(|n| period(n * 30)).collect();
    let author = UserId::parse("author").unwrap();
    let station = StationId::parse("S1").unwrap();
    Tariff::draft("T1".to_owned(), station, "Europe/Berlin".to_owned(), periods, author, at(0)).unwrap()
}

/// Another price every quarter of an hour, on weekends others than else.
fn draft() -> Tariff {
    let period = |from: u16, electricity| Period {
        from_min: from,
        to_min: from + 15,
        label: format!("{}", from % 4),
        electricity: PriceE4(electricity + i64::from(from)),
        service: PriceE4(3_000),
    };
    let weekend = DayPlan {
        name: "weekend".to_owned(),
        weekdays: Weekdays::of(&[6, 7]).unwrap(),
        from_date: None,
        to_date: None,
        periods: (0..96).map(|n| period(n * 15, 4_000)).collect(),
    };
    Tariff { periods: (0..96).map(|n| period(n * 15, 7_000)).collect(), plans: vec![weekend], ..tariff() }
}

/// Charges of half an hour to two hours, begun at any second of a week.
fn sessions(tariff: &Tariff) -> Vec<Order> {
    let facts = |n: u32| NewOrder {
        order_no: OrderNo::parse(&format!("O{n}")).unwrap(),
        user_id: UserId::parse("driver").unwrap(),
        pile_code: PileCode::parse("P1").unwrap(),
        pile_no: PileNo(1),
        station_id: tariff.station_id.clone(),
        connector_id: ConnectorId(1),
        limit: OrderLimit::default(),
        pay_mode: PayMode::Freeze,
        tariff_id: tariff.tariff_id.clone(),
        tariff_version: 1,
        created_at: at(0),
    };
    let session = |n: u32| {
        let start = at(0).plus(Millis(i64::from(n.wrapping_mul(2_654_435_761) % WEEK_S) * 1_000));
        let length = Millis(i64::from(1_800 + n % 5_400) * 1_000);
        let end = RecordTimes {
            start: Some(start),
            end: start.plus(length),
            total: WattHours(i64::from(n % 60_000)),
            total_time_s: None,
            frames: None,
        };
        let input = PriceInput {
            tariff,
            created_at: start,
            rated_power: Watts(120_000),
            readings: &[],
            readings_thinned: false,
            end: ChargeEnd::Record(end),
            clock_offset: None,
        };
        Order { bill: Some(price(&input).unwrap()), ..Order::new(facts(n)) }
    };
    (0..SESSIONS).map(session).collect()
}

fn dry_run(tariff: &Tariff) {
    let (draft, sessions) = (draft(), sessions(tariff));
    let began = Instant::now();
    let mut run = DryRun::new(&draft);
    sessions.iter().for_each(|order| run.add(black_box(order)).unwrap());
    let report = black_box(run.report().unwrap());
    assert_eq!(report.orders, u64::from(SESSIONS));
    println!(
        "dry run of {SESSIONS} sessions, 96 periods a day, a plan for weekends: {} ms (to be at most 5000)",
        began.elapsed().as_millis()
    );
}

fn main() {
    let tariff = tariff();
    dry_run(&tariff);
    let reading = |seq| Reading { at: at(seq), seq, energy: WattHours(i64::from(seq) * 166), total_time_s: None };
    let readings: Vec<Reading> = (1..=READINGS).map(reading).collect();
    let record = RecordTimes {
        start: Some(at(0)),
        end: at(READINGS + 1),
        total: WattHours(60_000),
        total_time_s: Some(3_610),
        frames: Some(READINGS),
    };
    let input = PriceInput {
        tariff: &tariff,
        created_at: at(0),
        rated_power: Watts(120_000),
        readings: &readings,
        readings_thinned: false,
        end: ChargeEnd::Record(record),
        clock_offset: None,
    };
    let began = Instant::now();
    for _ in 0..ROUNDS {
        black_box(price(black_box(&input)).unwrap());
    }
    println!(
        "price, {READINGS} readings, one hour, 48 periods a day: {} ns",
        began.elapsed().as_nanos() / u128::from(ROUNDS)
    );

    let tariff = Arc::new(tariff);
    let began = Instant::now();
    for _ in 0..ROUNDS / 10 {
        let mut running = RunningBill::new(Arc::clone(&tariff)).unwrap();
        for reading in &readings {
            black_box(running.add(black_box(reading.at), reading.energy, reading.total_time_s));
        }
    }
    let frames = u128::from(ROUNDS / 10) * u128::from(READINGS);
    println!("live figures of one status frame: {} ns", began.elapsed().as_nanos() / frames);
    println!("size of the live figures of one charge: {} bytes", size_of::<RunningBill>());
}
