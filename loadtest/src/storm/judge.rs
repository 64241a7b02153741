//! What a storm is judged by: charges that run on, callers that are served, nobody called offline who was not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use crate::{
    api::{Api, Caller, OrderLimit, PileSecret},
    client::probes::{Latency, Percentiles},
    token::Role,
};

/// What a driver of a storm has, in fen.
const MONEY: i64 = 10_000;
/// How long a charge may take to begin.
const BEGIN: Duration = Duration::from_secs(30);
/// Time between two calls of the prober.
const PROBE_EVERY: Duration = Duration::from_millis(20);

/// A charge that runs.
pub(super) struct Charge {
    driver: Caller,
    order_no: String,
}

/// Starts charges at the first piles and waits until all of them run.
pub(super) async fn start_charges(api: &Api, piles: &[PileSecret], count: usize) -> anyhow::Result<Vec<Charge>> {
    let mut charges = Vec::with_capacity(count);
    for (n, pile) in piles.iter().take(count).enumerate() {
        let driver = api.caller(Role::Driver, &format!("storm-{n}"))?;
        driver.top_up(&format!("storm-{n}-money"), MONEY).await?;
        let placed = driver.start(&format!("storm-{n}"), pile.pile_code.as_str(), 1, OrderLimit::default()).await?;
        charges.push(Charge { driver, order_no: placed.order_no.to_string() });
    }
    let give_up = Instant::now() + BEGIN;
    for charge in &charges {
        while !charge.runs().await? {
            anyhow::ensure!(Instant::now() < give_up, "order {} did not begin", charge.order_no);
            sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(charges)
}

impl Charge {
    async fn runs(&self) -> anyhow::Result<bool> {
        let order = self.driver.order(&self.order_no).await.context("an order of the storm")?;
        Ok(order.status == "CHARGING")
    }
}

/// How many of them do not run any more.
pub(super) async fn lost_charges(charges: &[Charge]) -> anyhow::Result<usize> {
    let mut lost = 0_usize;
    for charge in charges {
        lost = lost.saturating_add(usize::from(!charge.runs().await?));
    }
    Ok(lost)
}

/// How many piles the hub called offline.
pub(super) async fn offline_alarms(api: &Api) -> anyhow::Result<usize> {
    Ok(api.caller(Role::Ops, "storm-ops")?.alarms("PILE_OFFLINE").await?)
}

/// Calls the hub all the time and measures how long it takes.
pub(super) struct Prober {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    latency: Arc<Latency>,
    failed: Arc<AtomicU64>,
}

impl Prober {
    pub(super) fn start(api: &Api) -> anyhow::Result<Self> {
        let driver = api.caller(Role::Driver, "storm-0")?;
        let (latency, failed) = (Arc::new(Latency::default()), Arc::new(AtomicU64::new(0)));
        let (stop, mut stopped) = watch::channel(false);
        let (noted, missed) = (Arc::clone(&latency), Arc::clone(&failed));
        let task = tokio::spawn(async move {
            let mut ticks = interval(PROBE_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                tokio::select! {
                    _ = ticks.tick() => {}
                    _ = stopped.changed() => return,
                }
                let began = Instant::now();
                match driver.wallet().await {
                    Ok(_) => noted.record(began.elapsed()),
                    Err(_) => {
                        missed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        });
        Ok(Self { stop, task, latency, failed })
    }

    pub(super) async fn stop(self) -> (Percentiles, u64) {
        self.stop.send_replace(true);
        // It ends with its last call; a panic shows as few calls.
        let _ = self.task.await;
        (self.latency.percentiles(), self.failed.load(Ordering::Relaxed))
    }
}
