//! What it costs to price a charge of 360 readings, and to keep the live figures of one status frame.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement reads the real clock, prints and may panic"
)]

use std::{hint::black_box, sync::Arc, time::Instant};

use domain::{PriceE4, StationId, Timestamp, UserId, WattHours, Watts};
use settlement::{
    pricing::{ChargeEnd, PriceInput, Reading, RecordTimes, RunningBill, price},
    tariff::{Period, Tariff},
};

const ROUNDS: u32 = 20_000;
const READINGS: u32 = 360;
const START_MS: i64 = 1_773_100_000_000;

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

fn main() {
    let tariff = tariff();
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
