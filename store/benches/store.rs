//! Figures of the embedded engine, printed; `cargo bench -p store`, with a name only that one. CPU is of the whole
//! process, user + sys, from `/proc/self/stat`.
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a bench measures real time and prints it")]
#![allow(clippy::as_conversions, clippy::unwrap_used, clippy::indexing_slicing, reason = "not production code")]

mod usage;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use domain::{
    ConnectorId, DeciCelsius, Fen, MilliAmps, MilliVolts, OrderNo, PileCode, PileNo, SocTenths, StationId, Timestamp,
    UserId, WattHours, Watts,
};
use settlement::{
    order::{NewOrder, Order, OrderLimit, OrderStatus, PayMode},
    pricing::{Bill, Segment},
};
use store::{
    money::{Commit, CommitOutcome, Write},
    registry::{Pile, PileKind},
    sqlite::{self, Options, SqliteStore, TELEMETRY_FILE},
    telemetry::{Append, Sample, SampleKind, TelemetryFull},
};
use tempfile::TempDir;

const START: i64 = 1_763_690_000_000;

fn main() {
    let only = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for (name, bench) in [
        ("telemetry", telemetry as fn(&tokio::runtime::Runtime)),
        ("paced", paced),
        ("reopen", reopen),
        ("restart", restart),
    ] {
        if only.as_ref().is_none_or(|only| only == name) {
            println!("\n== {name}");
            bench(&runtime);
        }
    }
}

fn at(n: i64) -> Timestamp {
    Timestamp::from_millis_clamped(START + n)
}

fn size(dir: &Path, file: &str) -> f64 {
    std::fs::metadata(dir.join(file)).map_or(0.0, |meta| meta.len() as f64)
}

fn open(dir: &TempDir) -> SqliteStore {
    sqlite::open(dir.path(), Options::new(Box::new(|_| ()))).unwrap()
}

/// The n-th order of a user. Numbers and times run as a hub gives them: orders that end together began together.
fn order(user: usize, n: i64) -> Order {
    Order::new(NewOrder {
        order_no: OrderNo::parse(&format!("{}", 1_000_000_000 + n * 10_000 + user as i64)).unwrap(),
        user_id: UserId::parse(&format!("user-{user}")).unwrap(),
        pile_code: PileCode::parse(&format!("P{:05}", user % 2000)).unwrap(),
        pile_no: PileNo((user % 2000) as u32 + 1),
        station_id: StationId::parse("S1").unwrap(),
        connector_id: ConnectorId(1),
        limit: OrderLimit { amount_fen: Some(Fen(5000)), ..OrderLimit::default() },
        pay_mode: PayMode::Freeze,
        tariff_id: "T-0001".to_owned(),
        tariff_version: 3,
        created_at: at(n * 1000 + user as i64),
    })
}

fn bill() -> Bill {
    let segment = |from: i64| Segment {
        from: at(from),
        to: at(from + 1_800_000),
        label: "平".to_owned(),
        energy_wh: WattHours(6240),
        electricity_e4: domain::PriceE4(6000),
        service_e4: domain::PriceE4(4000),
    };
    Bill {
        electricity_fen: Fen(749),
        service_fen: Fen(499),
        occupancy_fen: Fen(0),
        total_fen: Fen(1248),
        tariff_id: "T-0001".to_owned(),
        tariff_version: 3,
        segments: vec![segment(0), segment(1_800_000)],
        energy_wh: WattHours(12_480),
        started_at: at(0),
        ended_at: at(3_600_000),
        flags: Vec::new(),
    }
}

fn heartbeat(pile: u32, received: i64, n: i64) -> Append {
    Append::Sample(Sample {
        pile_no: PileNo(pile),
        connector: ConnectorId::PILE,
        received: at(received),
        device: at(received - 20 - n % 7),
        kind: SampleKind::Heartbeat { status: 1, temperature: Some(DeciCelsius(300 + (n % 9) as i16)) },
        voltage: Some(MilliVolts(220_000 + (n % 11) as i32 * 100)),
        current: Some(MilliAmps(0)),
        power: Some(Watts(0)),
    })
}

fn status(pile: u32, received: i64, seq: u32) -> Append {
    Append::Sample(Sample {
        pile_no: PileNo(pile),
        connector: ConnectorId(1),
        received: at(received),
        device: at(received - 20),
        kind: SampleKind::Charging {
            order_no: OrderNo::parse(&format!("{}", 1_000_000_000 + pile)).unwrap(),
            seq,
            energy: WattHours(i64::from(seq) * 130),
            total_time_s: Some(seq * 10),
            soc: Some(SocTenths(400 + (seq / 4) as i16)),
        },
        voltage: Some(MilliVolts(398_000 + (seq % 13) as i32 * 100)),
        current: Some(MilliAmps(120_000 - (seq % 17) as i32 * 10)),
        power: Some(Watts(47_800)),
    })
}

/// Pushes, and waits for the writer when the queue is full.
fn push(runtime: &tokio::runtime::Runtime, store: &SqliteStore, row: Append) {
    let telemetry = store.telemetry();
    while telemetry.push(row.clone(), None) == Err(TelemetryFull) {
        runtime.block_on(telemetry.flush()).unwrap();
    }
}

/// Rows of 50,000 piles as fast as they are taken, the last 2,000 of them charging.
fn fill(runtime: &tokio::runtime::Runtime, store: &SqliteStore, rows: i64) {
    for n in 0..rows {
        let pile = (n % 50_000) as u32 + 1;
        let received = n / 50_000 * 30_000 + n % 50_000 * 30_000 / 50_000;
        let row =
            if pile > 48_000 { status(pile, received, (n / 50_000) as u32 + 1) } else { heartbeat(pile, received, n) };
        push(runtime, store, row);
    }
    runtime.block_on(store.telemetry().flush()).unwrap();
}

/// Rows per CPU second and bytes per row, the writer never waiting.
fn telemetry(runtime: &tokio::runtime::Runtime) {
    let rows = 10_000_000;
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let (started, before, disk) = (Instant::now(), usage::cpu(), usage::written());
    fill(runtime, &store, rows);
    let (n, wall, used) = (rows as f64, started.elapsed().as_secs_f64(), usage::cpu() - before);
    println!("{:8.0} rows/s, {:8.0} rows per CPU second (making them included)", n / wall, n / used);
    store.close();
    let kept = size(dir.path(), TELEMETRY_FILE);
    println!("{:6.1} B written and {:5.1} B kept per row", (usage::written() - disk) / n, kept / n);
}

/// A hub's pace: 10,000 rows/s of 50,000 piles in small pushes, a flush each 5 ms.
fn paced(runtime: &tokio::runtime::Runtime) {
    let dir = tempfile::tempdir().unwrap();
    let latest = Arc::new(AtomicU64::new(0));
    let stored = Arc::clone(&latest);
    let store = sqlite::open(
        dir.path(),
        Options::new(Box::new(move |tokens| {
            if let Some(token) = tokens.last() {
                stored.store(u64::from(token.n), Ordering::Relaxed);
            }
        })),
    )
    .unwrap();
    let telemetry = store.telemetry();
    let (rate, seconds) = (10_000, 20);
    let (started, before, disk) = (Instant::now(), usage::cpu(), usage::written());
    let mut waits = Vec::new();
    for tick in 0..rate * seconds / 10 {
        let due = started + Duration::from_millis(tick as u64);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        for k in 0..10 {
            let n = tick * 10 + k;
            let token = domain::AckToken { conn: 0, epoch: 0, n: n as u32 };
            telemetry.push(heartbeat((n % 50_000) as u32 + 1, tick, n), Some(token)).unwrap();
        }
        waits.push(((tick * 10 + 9) as u64).saturating_sub(latest.load(Ordering::Relaxed)) as f64 / rate as f64 * 1e3);
    }
    runtime.block_on(telemetry.flush()).unwrap();
    let n = (rate * seconds) as f64;
    waits.sort_by(f64::total_cmp);
    println!(
        "{rate} rows/s: {:4.2} µs CPU per row, {:5.1} B written per row, durable after p50 {:4.1} ms, p99 {:4.1} ms",
        (usage::cpu() - before) / n * 1e6,
        (usage::written() - disk) / n,
        waits[waits.len() / 2],
        waits[waits.len() * 99 / 100]
    );
}

/// Opening after 5 million rows, and reading all running sessions back.
fn reopen(runtime: &tokio::runtime::Runtime) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    fill(runtime, &store, 5_000_000);
    drop(store);
    let started = Instant::now();
    let store = open(&dir);
    println!("reopened after 5,000,000 rows in {:4.2} s", started.elapsed().as_secs_f64());
    let telemetry = store.telemetry();
    let started = Instant::now();
    let found = runtime.block_on(async {
        let mut found = 0;
        for pile in 48_001..=50_000_u32 {
            let order = OrderNo::parse(&format!("{}", 1_000_000_000 + pile)).unwrap();
            found += telemetry.readings(PileNo(pile), &order, Timestamp::MIN).await.unwrap().len();
        }
        found
    });
    println!("2,000 sessions with {found} readings rebuilt in {:4.2} s", started.elapsed().as_secs_f64());
    let started = Instant::now();
    let calls = 2000;
    runtime.block_on(async {
        for pile in 1..=calls {
            let to = at(100 * 30_000 + 1);
            telemetry.samples(PileNo(pile), at(100 * 30_000 - 3_600_000), to, 1000).await.unwrap();
        }
    });
    println!("the last hour of a pile: {:5.1} µs", started.elapsed().as_secs_f64() / f64::from(calls) * 1e6);
}

/// What a hub reads at its start: 50,000 piles, 2,000 open orders among 100,000 closed ones.
fn restart(runtime: &tokio::runtime::Runtime) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    runtime.block_on(async {
        let money = store.money();
        let piles: Vec<Pile> = (1..=50_000_u32)
            .map(|no| Pile {
                pile_no: PileNo(no),
                pile_code: PileCode::parse(&format!("P{no:05}")).unwrap(),
                station_id: StationId::parse("S1").unwrap(),
                kind: PileKind::Dc,
                connectors: 2,
                max_power: Watts(60_000),
                verifier: [7; 32],
            })
            .collect();
        assert_eq!(money.commit(Commit { writes: vec![Write::Piles(piles)] }).await, CommitOutcome::Applied);
        for chunk in (0..102_000_i64).collect::<Vec<_>>().chunks(1000) {
            let writes = chunk.iter().map(|n| {
                let mut order = order((n % 5000) as usize, n / 5000);
                order.status = if *n >= 100_000 { OrderStatus::Charging } else { OrderStatus::Closed };
                order.bill = Some(bill());
                Write::NewOrder(Box::new(order))
            });
            let commit = Commit { writes: writes.collect() };
            assert_eq!(money.commit(commit).await, CommitOutcome::Applied);
        }
    });
    drop(store);
    let started = Instant::now();
    let store = open(&dir);
    let opened = started.elapsed().as_secs_f64();
    let piles = runtime.block_on(store.money().piles()).unwrap().len();
    let with_piles = started.elapsed().as_secs_f64();
    let orders = runtime.block_on(store.money().open_orders()).unwrap().len();
    println!(
        "opened in {opened:5.3} s, {piles} piles after {with_piles:5.3} s, {orders} open orders of 102,000 after {:5.3} s",
        started.elapsed().as_secs_f64()
    );
}
