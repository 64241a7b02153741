//! The demo's drivers: arrive, pay in, plug in, charge for a while, stop, pay, leave, come again.

use std::time::Duration;

use anyhow::Context as _;
use domain::{ConnectorId, Millis, OrderNo, SocTenths, Watts};

use super::{DEMO_DRIVER, DemoPile, World};
use crate::{
    api::{Caller, OrderLimit},
    pile::{Event, curve::Car},
    rng::Rng,
    token::Role,
};

/// How often a driver looks at the order, on the wall's clock.
const LOOK_EVERY: Duration = Duration::from_millis(1_500);
/// How long a driver tries to start, and waits for the bill.
const PATIENCE_LOOKS: u32 = 60;

/// One stay at a pile.
struct Visit {
    car: Car,
    /// How long to charge, by the world's clock.
    hold: Millis,
    limit: OrderLimit,
    /// What must be in the wallet.
    money_fen: i64,
}

/// The driver whose page is shown: always charging, at the first pile.
pub(super) async fn well_known(world: World) {
    let Some(pile) = world.piles.first() else { return };
    let Some(gun) = pile.take_gun() else { return };
    let Ok(caller) = world.api.caller(Role::Driver, DEMO_DRIVER) else { return };
    for round in 0_u32.. {
        let visit = Visit {
            // About an hour and a half at 60 kW: several minutes to watch at twenty times the speed.
            car: Car { battery_wh: 100_000, soc: SocTenths(80), max_power: Watts(120_000) },
            hold: Millis::from_secs(6 * 3600),
            limit: OrderLimit { amount_fen: Some(15_000), energy_wh: None },
            money_fen: 16_000,
        };
        come_and_go(&world, &caller, pile, gun, &visit, round).await;
        if !world.sleep(Duration::from_secs(1)).await {
            return;
        }
    }
}

/// A driver who comes and goes.
pub(super) async fn ordinary(world: World, n: usize) {
    let mut rng = Rng::for_part(world.seed, &format!("driver {n}"));
    let Ok(caller) = world.api.caller(Role::Driver, &format!("driver-{n:03}")) else { return };
    // Half of them arrive in the first seconds, so that there is something to see.
    let mut away = if n.is_multiple_of(2) { rng.range(200, 6_000) } else { rng.range(6_000, 90_000) };
    for round in 0_u32.. {
        if !world.sleep(Duration::from_millis(u64::try_from(away).unwrap_or(0))).await {
            return;
        }
        away = rng.range(5_000, 60_000);
        let Some(pile) = world.piles.get(rng.index(world.piles.len())) else { return };
        let Some(gun) = pile.take_gun() else { continue };
        let visit = Visit {
            car: Car {
                battery_wh: rng.range(40, 100).saturating_mul(1_000),
                soc: SocTenths(i16::try_from(rng.range(80, 600)).unwrap_or(300)),
                max_power: Watts(i32::try_from(rng.range(50, 200)).unwrap_or(60).saturating_mul(1_000)),
            },
            hold: Millis::from_secs(rng.range(600, 4_800)),
            limit: OrderLimit::default(),
            money_fen: rng.range(3_000, 12_000),
        };
        come_and_go(&world, &caller, pile, gun, &visit, round).await;
        pile.leave_gun(gun);
    }
}

async fn come_and_go(world: &World, caller: &Caller, pile: &DemoPile, gun: ConnectorId, visit: &Visit, round: u32) {
    pile.handle.tell(Event::Plug { connector: gun, car: visit.car }).await;
    if let Err(error) = Box::pin(charge(world, caller, pile, gun, visit, round)).await {
        tracing::debug!(driver = caller.sub(), error = format!("{error:#}"), "a visit came to nothing");
    }
    world.running.send_modify(|running| {
        running.remove(caller.sub());
    });
    pile.handle.tell(Event::Unplug { connector: gun }).await;
}

async fn charge(
    world: &World,
    caller: &Caller,
    pile: &DemoPile,
    gun: ConnectorId,
    visit: &Visit,
    round: u32,
) -> anyhow::Result<()> {
    // The world's time in the key: a demo that is started again on the same data is not the same visit.
    let key = format!("{}-{round}-{}", caller.sub(), world.pace.now().as_millis());
    fill_wallet(caller, &key, visit.money_fen).await?;
    let order_no = start(world, caller, pile, gun, visit, &key).await?;
    world.running.send_modify(|running| {
        running.insert(caller.sub().to_owned(), order_no.clone());
    });
    let leave_at = world.pace.now().plus(visit.hold);
    while world.pace.now() < leave_at {
        if !world.sleep(LOOK_EVERY).await || caller.order(order_no.as_str()).await?.is_over() {
            break;
        }
    }
    if *world.stop.borrow() {
        return Ok(());
    }
    if !caller.order(order_no.as_str()).await?.is_over() {
        caller.stop(&format!("{key}-stop"), order_no.as_str()).await?;
    }
    wait_for_bill(world, caller, &order_no, &key).await
}

async fn fill_wallet(caller: &Caller, key: &str, need_fen: i64) -> anyhow::Result<()> {
    let wallet = caller.wallet().await?;
    if wallet.available_fen.0 < need_fen {
        let fen = need_fen.saturating_sub(wallet.available_fen.0).saturating_add(5_000);
        caller.top_up(&format!("{key}-topup"), fen).await?;
    }
    if wallet.debt_fen.0 > 0 {
        for order in caller.orders().await? {
            if order.bill.is_some_and(|bill| bill.debt_fen.0 > 0) {
                caller.repay(&format!("{key}-repay-{}", order.order_no), order.order_no.as_str()).await?;
            }
        }
    }
    Ok(())
}

/// Tries until the hub knows that the car is plugged in.
async fn start(
    world: &World,
    caller: &Caller,
    pile: &DemoPile,
    gun: ConnectorId,
    visit: &Visit,
    key: &str,
) -> anyhow::Result<OrderNo> {
    let mut last = None;
    for attempt in 0..PATIENCE_LOOKS {
        let code = pile.installed.code.as_str();
        match caller.start(&format!("{key}-start-{attempt}"), code, gun.0, visit.limit).await {
            Ok(placed) => return Ok(placed.order_no),
            Err(error) if matches!(error.code(), "NOT_PLUGGED" | "PILE_OFFLINE" | "CONNECTOR_BUSY") => {
                last = Some(error)
            }
            Err(error) => return Err(error.into()),
        }
        anyhow::ensure!(world.sleep(Duration::from_millis(500)).await, "going home");
    }
    Err(last.map_or_else(|| anyhow::anyhow!("never tried"), anyhow::Error::from))
}

async fn wait_for_bill(world: &World, caller: &Caller, order_no: &OrderNo, key: &str) -> anyhow::Result<()> {
    for _ in 0..PATIENCE_LOOKS {
        let order = caller.order(order_no.as_str()).await?;
        if order.is_over() {
            if order.bill.is_some_and(|bill| bill.debt_fen.0 > 0) {
                fill_wallet(caller, &format!("{key}-after"), 5_000).await.context("paying a debt")?;
            }
            return Ok(());
        }
        if !world.sleep(LOOK_EVERY).await {
            return Ok(());
        }
    }
    anyhow::bail!("no bill for {order_no}")
}
