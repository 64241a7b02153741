//! What it costs to close an order, printed: price its 360 readings by time of use, plan the money, and store record,
//! bill, entries, order, history and event in one commit that shares its disk write with those of other callers.
//! CPU is of the whole process, user + sys, from `/proc/self/stat`. `cargo bench -p store --bench settlements -- 128` measures 128 callers only.
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a bench measures real time and prints it")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "not production code")]

#[path = "../usage/mod.rs"]
mod usage;

use std::{sync::Arc, time::Instant};

use domain::{
    ConnectorId, Fen, Millis, OrderNo, PileCode, PileNo, PriceE4, StationId, StopReason, Timestamp, UserId, WattHours,
    Watts,
};
use settlement::{
    ledger::AccountState,
    order::{NewOrder, Order, OrderLimit, PayMode, RecordFacts},
    pricing::{self, ChargeEnd, PriceInput, Reading, RecordTimes},
    settle::{self, MoneyRules},
    tariff::{Period, Tariff},
};
use store::{
    cases::OutboxEvent,
    money::{Commit, CommitOutcome, LedgerWrite, Money, RecordRow, Standing, Write},
    sqlite::{self, Options},
};
use tokio::{runtime::Runtime, task::JoinSet};

/// As in the hub.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const START: i64 = 1_763_690_000_000;
const READINGS: u32 = 360;
const TOTAL: WattHours = WattHours(60_000);
/// A caller has one commit on its way, as a settlement actor has; the hub has 1,024 of them.
const CALLERS: [u32; 5] = [1, 8, 32, 128, 1_024];
const CALLERS_THAT_PLACE: u32 = 1_024;
const RULES: MoneyRules =
    MoneyRules { freeze_default: Fen(20_000), freeze_min: Fen(1_000), hold_over: Fen(20_000), suspect: None };

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    // `cargo test --benches` only wants to know that it runs.
    let orders = if std::env::args().any(|arg| arg == "--bench") { 10_000 } else { 200 };
    let only: Option<u32> = std::env::args().find_map(|arg| arg.parse().ok());
    for callers in CALLERS.into_iter().filter(|callers| only.is_none_or(|only| only == *callers)) {
        // One caller at a time waits for the disk each time: fewer will do.
        measure(&runtime, callers, if callers < 32 { orders / 10 } else { orders });
    }
}

struct World {
    money: Arc<dyn Money>,
    tariff: Tariff,
    readings: Vec<Reading>,
}

fn measure(runtime: &Runtime, callers: u32, orders: u32) {
    let dir = tempfile::tempdir().unwrap();
    let store = sqlite::open(dir.path(), Options::new(Box::new(|_| ()))).unwrap();
    let readings = (1..=READINGS).map(reading).collect();
    let world = Arc::new(World { money: store.money(), tariff: tariff(), readings });
    let charging = runtime.block_on(share(CALLERS_THAT_PLACE, (0..orders).collect(), {
        let world = Arc::clone(&world);
        move |n| charging(Arc::clone(&world), n)
    }));
    let (began, before, disk) = (Instant::now(), usage::cpu(), usage::written());
    runtime.block_on(share(callers, charging, move |(order, account)| close(Arc::clone(&world), order, account)));
    let (n, wall, used) = (f64::from(orders), began.elapsed().as_secs_f64(), usage::cpu() - before);
    println!(
        "{callers:5} callers: {:8.0} settlements/s, {:6.1} µs CPU and {:5.1} KiB written each",
        n / wall,
        used / n * 1e6,
        (usage::written() - disk) / n / 1024.0
    );
}

/// Does the work with so many callers, each one piece after the other.
async fn share<T, R, F>(callers: u32, work: Vec<T>, each: impl Fn(T) -> F + Clone + Send + 'static) -> Vec<R>
where
    T: Send + 'static,
    R: Send + 'static,
    F: Future<Output = R> + Send,
{
    let mut shares: Vec<Vec<T>> = (0..callers).map(|_| Vec::new()).collect();
    let count = shares.len();
    for (n, piece) in work.into_iter().enumerate() {
        shares[n % count].push(piece);
    }
    let mut tasks = JoinSet::new();
    for share in shares {
        let each = each.clone();
        tasks.spawn(async move {
            let mut done = Vec::with_capacity(share.len());
            for piece in share {
                done.push(each(piece).await);
            }
            done
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}

fn at(seconds: u32) -> Timestamp {
    Timestamp::from_millis_clamped(START + i64::from(seconds) * 1_000)
}

fn reading(seq: u32) -> Reading {
    Reading { at: at(seq * 10), seq, energy: WattHours(i64::from(seq) * 166), total_time_s: Some(seq * 10) }
}

fn tariff() -> Tariff {
    let period = |from: u16| Period {
        from_min: from,
        to_min: from + 30,
        label: "平".to_owned(),
        electricity: PriceE4(6_000 + i64::from(from)),
        service: PriceE4(4_000),
    };
    let periods = (0..48).map(|n| period(n * 30)).collect();
    let (author, station) = (UserId::parse("author").unwrap(), StationId::parse("S1").unwrap());
    Tariff::draft("T1".to_owned(), station, "Asia/Shanghai".to_owned(), periods, author, at(0)).unwrap()
}

/// A driver with money whose charge runs.
async fn charging(world: Arc<World>, n: u32) -> (Order, AccountState) {
    let World { money, tariff, .. } = world.as_ref();
    let user_id = UserId::parse(&format!("user-{n}")).unwrap();
    let paid = settle::top_up(&AccountState::new(user_id.clone()), &format!("Y{n}"), Fen(50_000), at(0)).unwrap();
    commit(money.as_ref(), vec![Write::Ledger(Box::new(LedgerWrite::of(paid.clone()).unwrap()))]).await;
    let order = Order::new(NewOrder {
        order_no: OrderNo::parse(&format!("{}", 1_000_000_000 + n)).unwrap(),
        user_id,
        pile_code: PileCode::parse(&format!("P{:05}", n % 2_000)).unwrap(),
        pile_no: PileNo(n % 2_000 + 1),
        station_id: tariff.station_id.clone(),
        connector_id: ConnectorId(1),
        limit: OrderLimit::default(),
        pay_mode: PayMode::Freeze,
        tariff_id: tariff.tariff_id.clone(),
        tariff_version: tariff.version,
        created_at: at(0),
    });
    let placed = settle::place(&order, &paid.next, &RULES, at(0)).unwrap();
    commit(money.as_ref(), Commit::of(placed.steps).unwrap().writes).await;
    let begun = settle::evidence(&placed.order, &placed.account, at(1), None, at(1)).unwrap();
    commit(money.as_ref(), Commit::of(begun.steps).unwrap().writes).await;
    (begun.order, begun.account)
}

/// The charger's record came in.
async fn close(world: Arc<World>, order: Order, account: AccountState) {
    let World { money, tariff, readings } = world.as_ref();
    let end = at(READINGS * 10 + 10);
    let times = RecordTimes {
        start: Some(at(0)),
        end,
        total: TOTAL,
        total_time_s: Some(READINGS * 10 + 10),
        frames: Some(READINGS),
    };
    let bill = pricing::price(&PriceInput {
        tariff,
        created_at: order.created_at,
        rated_power: Watts(120_000),
        readings,
        readings_thinned: false,
        end: ChargeEnd::Record(times),
        clock_offset: Some(Millis(0)),
    })
    .unwrap();
    let facts = RecordFacts {
        stop_reason: StopReason::Full,
        fault_code: None,
        start_soc: None,
        end_soc: None,
        meter_start: Some(WattHours(0)),
        meter_end: Some(TOTAL),
    };
    let plan = settle::finish(&order, &account, &facts, &bill, &RULES, end).unwrap();
    assert!(plan.order.status.is_over(), "{:?}", plan.order);
    let mut content = [0; 32];
    content[..order.order_no.as_str().len()].copy_from_slice(order.order_no.as_str().as_bytes());
    let record = RecordRow {
        order_no: order.order_no.clone(),
        pile_no: order.pile_no,
        content,
        raw: vec![b'x'; 300],
        received: end,
        standing: Standing::Stands,
    };
    let told = OutboxEvent {
        event_id: format!("order.settled:{}:{}", order.order_no, plan.order.rev),
        name: "order.settled".to_owned(),
        at: end,
        subject: order.order_no.to_string(),
        data: serde_json::to_string(&bill).unwrap(),
    };
    let mut writes = Commit::of(plan.steps).unwrap().writes;
    writes.extend([Write::Outbox(Box::new(told)), Write::Record(Box::new(record))]);
    commit(money.as_ref(), writes).await;
}

async fn commit(money: &dyn Money, writes: Vec<Write>) {
    assert_eq!(money.commit(Commit { writes }).await, CommitOutcome::Applied);
}
