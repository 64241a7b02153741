//! `loadtest run`: furnishes a hub, lets piles charge and phones watch, judges everything, leaves a report.

pub mod hub;
pub mod judge;
pub mod plan;
pub mod report;
pub mod session;
pub mod setup;
pub mod stage;
pub mod summary;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
};

use anyhow::Context as _;
use domain::{Clock as _, Millis, Timestamp};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::{
    sync::watch,
    time::{Duration, Instant},
};

use self::{
    hub::{Hub, HubOptions},
    judge::{Evidence, MoneyRules, judge},
    plan::{Load, SessionPlan},
    session::Session,
    stage::Stage,
    summary::{Counts, Latencies, LoadFacts, Money, Story, Summary, Verdict},
};
use crate::{client::probes::Probes, limits, pace::WallClock};

/// What to run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// A hub that runs already: `http://host:port`, MQTT address, JWT key; `None` starts one.
    pub hub: Option<Target>,
    /// How to start one.
    pub own: HubOptions,
    /// How much load.
    pub load: Load,
    /// Status frames per second over all charges; `None`: one every two seconds per charge.
    pub rate: Option<u32>,
    /// How often out of 1,000 each kind of mischief happens, and piles whose clock is wrong.
    pub mischief_per_mille: u32,
    /// Piles that use `rumqttc`.
    pub rumqttc: usize,
    /// Loopback addresses that the other piles connect from.
    pub sources: u8,
    /// Where the report goes.
    pub out: PathBuf,
    /// Whether to show a progress bar on stderr.
    pub progress: bool,
}

/// A hub that runs already.
#[derive(Debug, Clone)]
pub struct Target {
    /// `http://host:port`.
    pub http: String,
    /// Where piles connect.
    pub mqtt: SocketAddr,
    /// The key its tokens are signed with.
    pub jwt_key: String,
}

/// Time between two status frames so that all charges together send `rate` per second.
#[must_use]
pub fn status_every(load: &Load, rate: Option<u32>) -> Millis {
    let charges = i64::try_from(load.sessions.min(load.piles)).unwrap_or(i64::MAX);
    let every = rate.map_or(2_000, |rate| charges.saturating_mul(1000) / i64::from(rate.max(1)));
    Millis(every.clamp(100, 60_000))
}

/// Runs and judges. The verdict is in the summary; an error means that there was nothing to judge.
///
/// # Errors
/// When no hub can be started or furnished, or the report cannot be written.
pub async fn run(options: RunOptions) -> anyhow::Result<Summary> {
    let own = match &options.hub {
        Some(_) => None,
        None => Some(Box::pin(Hub::start(&options.own)).await?),
    };
    let target = match (&options.hub, &own) {
        (Some(target), _) => target.clone(),
        (None, Some(hub)) => {
            tracing::info!(http = %hub.http, mqtt = %hub.mqtt, log = %hub.log.display(), "started a hub");
            Target { http: hub.http.clone(), mqtt: hub.mqtt, jwt_key: hub.jwt_key.clone() }
        }
        (None, None) => anyhow::bail!("there is no hub"),
    };
    let (stop, stopped) = watch::channel(false);
    let interrupt = tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            // Nobody listens any more when the run is just over.
            let _ = stop.send(true);
        }
        stop
    });
    let summary = Box::pin(drive(&options, &target, stopped)).await;
    interrupt.abort();
    let mut summary = summary?;
    if let Some(hub) = own
        && let Err(error) = hub.stop().await
    {
        summary.verdict = Verdict::Wrong;
        summary.differences.push(Story {
            session: 0,
            order_no: None,
            pile_code: String::new(),
            differences: vec![format!("{error:#}")],
            timeline: Vec::new(),
            metered: Vec::new(),
        });
    }
    summary.write(&options.out)?;
    Ok(summary)
}

async fn drive(options: &RunOptions, target: &Target, stop: watch::Receiver<bool>) -> anyhow::Result<Summary> {
    let started = WallClock.now();
    let plan = plan::draw(&options.load);
    let stage = Box::pin(Stage::build(options, target, stop.clone())).await.context("furnishing the hub")?;
    let began = Instant::now();
    let bar = bar(options.progress, plan.len());
    let sessions = Box::pin(stage.play(&plan, began, &bar)).await;
    let elapsed = began.elapsed();
    bar.finish_and_clear();
    let probes = Arc::clone(&stage.shared.probes);
    let tariffs = stage.tariffs()?;
    let piles = stage.station_of_pile();
    Box::pin(stage.go_home()).await;
    let court = Court { plan: &plan, sessions: &sessions, probes: &probes };
    let stories = court.differences(|pile| piles.get(pile).and_then(|station| tariffs.get(*station)));
    Ok(court.summary(options, started, elapsed, stories))
}

fn bar(show: bool, sessions: usize) -> ProgressBar {
    if !show {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(u64::try_from(sessions).unwrap_or(u64::MAX));
    let style = ProgressStyle::with_template("{elapsed_precise} [{bar:40}] {pos}/{len} sessions done {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

/// Everything that is known when the load is over.
struct Court<'a> {
    plan: &'a [SessionPlan],
    sessions: &'a [Session],
    probes: &'a Probes,
}

impl Court<'_> {
    fn differences<'t>(&self, tariff_of: impl Fn(usize) -> Option<&'t crate::oracle::Tariff>) -> Vec<Story> {
        let mut stories = Vec::new();
        for session in self.sessions {
            let Some(plan) = self.plan.iter().find(|plan| plan.index == session.index) else { continue };
            let Some(tariff) = tariff_of(plan.pile) else { continue };
            let truth = session.placed.as_ref().and_then(|(no, _)| self.probes.truth(no));
            let evidence = Evidence {
                session,
                limit_fen: plan.limit.amount_fen,
                truth: truth.as_ref(),
                tariff,
                rules: MoneyRules::default(),
            };
            let differences = judge(&evidence);
            if !differences.is_empty() {
                stories.push(Story::tell(session, truth.as_ref(), differences));
            }
        }
        stories
    }

    fn summary(&self, options: &RunOptions, started: Timestamp, elapsed: Duration, stories: Vec<Story>) -> Summary {
        let interrupted =
            self.sessions.iter().any(|session| session.interrupted) || self.sessions.len() < self.plan.len();
        let verdict = match (interrupted, stories.is_empty()) {
            (true, _) => Verdict::Interrupted,
            (false, true) => Verdict::Good,
            (false, false) => Verdict::Wrong,
        };
        let load = &options.load;
        Summary {
            verdict,
            seed: load.seed,
            started_at: started.to_string(),
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            load: LoadFacts {
                piles: load.piles,
                sessions: load.sessions,
                phones: load.phones,
                duration_s: load.duration.as_secs(),
                status_every_ms: status_every(load, options.rate).0,
            },
            counts: self.counts(),
            latency: Latencies {
                pile_to_phone: self.probes.pile_to_phone.percentiles(),
                puback: self.probes.puback.percentiles(),
                stop_to_bill: self.probes.stop_to_bill.percentiles(),
            },
            money: self.money(),
            sessions_wrong: stories.len(),
            differences: stories.into_iter().take(limits::STORIES_MAX).collect(),
        }
    }

    fn counts(&self) -> Counts {
        let phones = || self.sessions.iter().flat_map(|session| &session.phones);
        Counts {
            orders: self.sessions.iter().filter(|session| session.placed.is_some()).count(),
            bills: self.sessions.iter().filter(|s| s.last.as_ref().is_some_and(|order| order.bill.is_some())).count(),
            frames_published: self.probes.published.load(Ordering::Relaxed),
            connects: self.probes.connects.load(Ordering::Relaxed),
            connections_broken: self.probes.broken.load(Ordering::Relaxed),
            deltas: phones().map(|phone| phone.deltas).sum(),
            sockets: phones().map(|phone| phone.sockets).sum(),
            sockets_resumed: phones().map(|phone| phone.resumed).sum(),
        }
    }

    fn money(&self) -> Money {
        let mut money = Money::default();
        for session in self.sessions {
            let bill = session.last.as_ref().and_then(|order| order.bill.as_ref());
            money.topped_up = session.top_ups.iter().fold(money.topped_up, |sum, fen| sum.saturating_add(*fen));
            money.paid = money.paid.saturating_add(bill.map_or(0, |bill| bill.paid_fen.0));
            if let Some(wallet) = session.wallet {
                money.available = money.available.saturating_add(wallet.available_fen.0);
                money.frozen = money.frozen.saturating_add(wallet.frozen_fen.0);
                money.debt = money.debt.saturating_add(wallet.debt_fen.0);
            }
        }
        money
    }
}
