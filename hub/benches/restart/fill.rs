//! A store as a large operator's would be: registered piles, closed orders, running charges with their readings.
//!
//! Every row is made by the planners of `settlement`, so the books balance and `pilehub audit` finds nothing.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, ensure};
use domain::{
    ConnectorId, Fen, Millis, OrderNo, PileCode, PileNo, PriceE4, SocTenths, StationId, StopReason, Timestamp, UserId,
    WattHours, Watts,
};
use settlement::{
    ledger::{AccountState, LedgerChange},
    order::{NewOrder, Order, OrderLimit, PayMode, RecordFacts},
    pricing::{self, ChargeEnd, PriceInput, RecordTimes},
    settle::{self, MoneyRules, Plan},
    tariff::{Period, Tariff},
};
use store::{
    money::{Commit, CommitOutcome, LedgerWrite, Money, Write},
    registry::{Pile, PileKind, Station},
    sqlite::{self, Options},
    telemetry::{Append, Sample, SampleKind, Telemetry},
};
use tokio::task::JoinSet;

/// How large it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) piles: u32,
    pub(crate) closed: u32,
    pub(crate) running: u32,
    /// Status frames of each running charge.
    pub(crate) readings: u32,
}

pub(crate) const STATION: &str = "S1";
/// Drivers that share the closed orders; each running charge has a driver of its own.
const DRIVERS: u32 = 2_000;
pub(crate) const RULES: MoneyRules =
    MoneyRules { freeze_default: Fen(5_000), freeze_min: Fen(1_000), hold_over: Fen(20_000), suspect: None };
const CHARGE: Millis = Millis(1_800_000);
/// What each charge delivers.
pub(crate) const DELIVERED: WattHours = WattHours(9_000);

/// Fills a new data directory; the charges run since ten minutes before `now`.
pub(crate) async fn fill(dir: &Path, size: Size, now: Timestamp) -> anyhow::Result<()> {
    let store = sqlite::open(dir, Options::new(Box::new(|_| {})))?;
    let money = store.money();
    let tariff = Arc::new(registry(money.as_ref(), size, now).await?);
    let mut drivers = JoinSet::new();
    for driver in 0..DRIVERS {
        let (money, tariff) = (Arc::clone(&money), Arc::clone(&tariff));
        let orders: Vec<u32> = (driver..size.closed).step_by(usize::try_from(DRIVERS)?).collect();
        drivers.spawn(async move { closed(money.as_ref(), &tariff, driver, &orders, size, now).await });
    }
    while let Some(done) = drivers.join_next().await {
        done??;
    }
    let began = now.plus(Millis(-600_000));
    let mut running = JoinSet::new();
    for n in 0..size.running {
        let (money, telemetry, tariff) = (Arc::clone(&money), store.telemetry(), Arc::clone(&tariff));
        running.spawn(async move {
            let facts = facts(&tariff, size.closed + n, &format!("R{n}"), n % size.piles + 1, began)?;
            let mut account = topped_up(money.as_ref(), &facts.user_id, began).await?;
            begin(money.as_ref(), facts.clone(), &mut account, began).await?;
            readings(telemetry.as_ref(), &facts, size.readings)
        });
    }
    while let Some(done) = running.join_next().await {
        done??;
    }
    store.telemetry().flush().await?;
    store.close();
    Ok(())
}

pub(crate) async fn registry(money: &dyn Money, size: Size, now: Timestamp) -> anyhow::Result<Tariff> {
    let station_id = StationId::parse(STATION)?;
    let station = Station {
        station_id: station_id.clone(),
        name: "benchmark".to_owned(),
        timezone: "Asia/Shanghai".to_owned(),
        longitude_e7: 1_214_700_000,
        latitude_e7: 312_300_000,
        certificate_only: false,
    };
    let period = |from_min, to_min, price| Period {
        from_min,
        to_min,
        label: format!("from {from_min}"),
        electricity: PriceE4(price),
        service: PriceE4(4_000),
    };
    let periods = vec![period(0, 480, 3_500), period(480, 1_440, 8_000)];
    let long_ago = now.plus(Millis(-90 * 86_400_000));
    let timezone = station.timezone.clone();
    let draft =
        Tariff::draft("T1".to_owned(), station_id.clone(), timezone, periods, UserId::parse("author")?, long_ago)?;
    let tariff = draft.publish(&UserId::parse("publisher")?, None, 1, long_ago)?;
    let PileNo(first) = money.reserve_pile_nos(size.piles).await?;
    let pile = |n: u32| {
        anyhow::Ok(Pile {
            pile_no: PileNo(first + n),
            pile_code: PileCode::parse(&format!("P{n:06}"))?,
            station_id: station_id.clone(),
            kind: PileKind::Dc,
            connectors: 1,
            max_power: Watts(120_000),
            verifier: [0; 32],
        })
    };
    let piles = (0..size.piles).map(pile).collect::<anyhow::Result<Vec<_>>>()?;
    let writes = vec![Write::Station(Box::new(station)), Write::Tariff(Box::new(tariff.clone())), Write::Piles(piles)];
    commit(money, writes).await?;
    Ok(tariff)
}

pub(crate) fn facts(tariff: &Tariff, n: u32, user: &str, pile: u32, at: Timestamp) -> anyhow::Result<NewOrder> {
    Ok(NewOrder {
        order_no: OrderNo::parse(&format!("{:018}", 260_101_000_000_000_000_u64 + u64::from(n)))?,
        user_id: UserId::parse(user)?,
        pile_code: PileCode::parse(&format!("P{:06}", pile - 1))?,
        pile_no: PileNo(pile),
        station_id: tariff.station_id.clone(),
        connector_id: ConnectorId(1),
        limit: OrderLimit::default(),
        pay_mode: PayMode::Freeze,
        tariff_id: tariff.tariff_id.clone(),
        tariff_version: tariff.version,
        created_at: at,
    })
}

/// One driver's orders, one after the other, as they would have happened.
async fn closed(
    money: &dyn Money,
    tariff: &Tariff,
    driver: u32,
    orders: &[u32],
    size: Size,
    now: Timestamp,
) -> anyhow::Result<()> {
    let user = format!("D{driver}");
    let mut account = topped_up(money, &UserId::parse(&user)?, now.plus(Millis(-80 * 86_400_000))).await?;
    for (age, n) in orders.iter().rev().enumerate() {
        let days = i64::try_from(age)?;
        let at = now.plus(Millis(-(days + 2) * 86_400_000));
        let order = begin(money, facts(tariff, *n, &user, n % size.piles + 1, at)?, &mut account, at).await?;
        end(money, tariff, &order, &mut account, None).await?;
    }
    Ok(())
}

/// Half an hour after the order was made its charge ended.
pub(crate) async fn end(
    money: &dyn Money,
    tariff: &Tariff,
    order: &Order,
    account: &mut AccountState,
    meter_start: Option<WattHours>,
) -> anyhow::Result<()> {
    let (at, end) = (order.created_at, order.created_at.plus(CHARGE));
    let times = RecordTimes { start: Some(at), end, total: DELIVERED, total_time_s: None, frames: None };
    let bill = pricing::price(&PriceInput {
        tariff,
        created_at: at,
        rated_power: Watts(120_000),
        readings: &[],
        readings_thinned: false,
        end: ChargeEnd::Record(times),
        clock_offset: None,
    })?;
    let record = RecordFacts {
        stop_reason: StopReason::Full,
        fault_code: None,
        start_soc: None,
        end_soc: None,
        meter_start,
        meter_end: meter_start.map(|before| WattHours(before.0 + DELIVERED.0)),
    };
    let plan = settle::finish(order, account, &record, &bill, &RULES, end)?;
    take(money, plan, account).await?;
    Ok(())
}

pub(crate) async fn topped_up(money: &dyn Money, user: &UserId, at: Timestamp) -> anyhow::Result<AccountState> {
    let change = settle::top_up(&AccountState::new(user.clone()), &format!("Y-{user}"), Fen(1_000_000), at)?;
    commit(money, vec![ledger(&change)?]).await?;
    Ok(change.next)
}

/// An order up to CHARGING.
pub(crate) async fn begin(
    money: &dyn Money,
    facts: NewOrder,
    account: &mut AccountState,
    at: Timestamp,
) -> anyhow::Result<Order> {
    let placed = take(money, settle::place(&Order::new(facts), account, &RULES, at)?, account).await?;
    take(money, settle::evidence(&placed, account, at, Some(SocTenths(380)), at)?, account).await
}

/// Stores a plan, as a settlement actor does.
pub(crate) async fn take(money: &dyn Money, plan: Plan, account: &mut AccountState) -> anyhow::Result<Order> {
    commit(money, Commit::of(plan.steps)?.writes).await?;
    *account = plan.account;
    Ok(plan.order)
}

pub(crate) fn ledger(change: &LedgerChange) -> anyhow::Result<Write> {
    Ok(Write::Ledger(Box::new(LedgerWrite::of(change.clone())?)))
}

pub(crate) async fn commit(money: &dyn Money, writes: Vec<Write>) -> anyhow::Result<()> {
    let outcome = money.commit(Commit { writes }).await;
    ensure!(outcome == CommitOutcome::Applied, "not stored: {outcome:?}");
    Ok(())
}

/// Status frames of a running charge, one every ten seconds.
fn readings(telemetry: &dyn Telemetry, facts: &NewOrder, count: u32) -> anyhow::Result<()> {
    ensure!(count > 0, "a running charge has readings");
    for seq in 1..=count {
        let at = facts.created_at.plus(Millis::from_secs(i64::from(seq) * 10));
        let sample = Sample {
            pile_no: facts.pile_no,
            connector: facts.connector_id,
            received: at,
            device: at,
            kind: SampleKind::Charging {
                order_no: facts.order_no.clone(),
                seq,
                energy: WattHours(i64::from(seq) * 100),
                total_time_s: Some(seq * 10),
                soc: None,
            },
            voltage: None,
            current: None,
            power: Some(Watts(36_000)),
        };
        telemetry.push(Append::Sample(sample), None).context("the readings of all running charges fit the queue")?;
    }
    Ok(())
}
