//! The furnished hub with its connected piles, on which the sessions of a plan are played.

use std::sync::Arc;

use anyhow::Context as _;
use domain::{Clock as _, Millis};
use indicatif::ProgressBar;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{Duration, Instant, interval},
};

use super::{
    RunOptions, Target,
    plan::SessionPlan,
    session::{self, Scene, Session},
    setup::{self, Installed, Station, Wanted},
    status_every,
};
use crate::{
    api::{Api, Http},
    client::{
        Driver, Endpoint,
        agent::{self, PileHandle, Shared},
    },
    flood::crowd::source,
    limits,
    oracle::Tariff,
    pace::{Pace, WallClock},
    pile::PileConfig,
    rng::Rng,
    token::Signer,
};

/// How long all piles together may take to connect, at least; a thousand piles get ten seconds more.
const CONNECT_PATIENCE: Duration = Duration::from_secs(30);

/// A hub with stations, tariffs and connected piles.
#[derive(Debug)]
pub struct Stage {
    /// What the piles share.
    pub shared: Shared,
    api: Api,
    seed: u64,
    run_id: String,
    stations: Vec<Station>,
    piles: Vec<(Installed, Arc<PileHandle>)>,
    go_home: watch::Sender<bool>,
    interrupted: watch::Receiver<bool>,
}

impl Stage {
    /// Furnishes a hub and connects every pile.
    ///
    /// # Errors
    /// When the hub refuses something or not all piles get a connection in time.
    pub async fn build(
        options: &RunOptions,
        target: &Target,
        interrupted: watch::Receiver<bool>,
    ) -> anyhow::Result<Self> {
        let now = WallClock.now();
        let run_id = setup::run_id(now);
        let signer = Signer::new(&target.jwt_key, now, Millis::from_secs(24 * 3600));
        let api = Api::new(Http::new(&target.http), signer);
        let stations = setup::busy_stations(&run_id, now, options.load.duration)?;
        let mut rng = Rng::for_part(options.load.seed, "piles");
        let wanted: Vec<Wanted> = (0..options.load.piles)
            .map(|n| Wanted {
                station: n.checked_rem(stations.len()).unwrap_or(0),
                max_power_kw: u32::try_from(rng.range(60, 400)).unwrap_or(60),
                connectors: 1,
                dc: true,
            })
            .collect();
        let installed = setup::furnish(&api, &run_id, &stations, &wanted).await?;
        // Piles leave after the last session, not at the first sign of Ctrl-C: the bills are still to come.
        let (go_home, stop) = watch::channel(false);
        let shared = Shared::new(Pace::wall(), stop);
        let mut stage =
            Self { shared, api, seed: options.load.seed, run_id, stations, piles: Vec::new(), go_home, interrupted };
        stage.connect(options, target, installed).await?;
        Ok(stage)
    }

    async fn connect(
        &mut self,
        options: &RunOptions,
        target: &Target,
        installed: Vec<Installed>,
    ) -> anyhow::Result<()> {
        let rumqttc = options.rumqttc.min(limits::RUMQTTC_PILES_MAX);
        let mut dials = interval(Duration::from_secs(1) / limits::DIALS_PER_S);
        for (n, pile) in installed.into_iter().enumerate() {
            let mut rng = Rng::for_part(options.load.seed, &format!("pile {n}"));
            let mut config = PileConfig::dc(pile.code.clone(), pile.max_power, rng.next_u64());
            config.status_every = status_every(&options.load, options.rate);
            config.mischief_per_mille = options.mischief_per_mille;
            if rng.per_mille(options.mischief_per_mille) {
                config.clock_offset = Millis(rng.range(-900_000, 900_000));
            }
            let driver = if n < rumqttc { Driver::Rumqttc } else { Driver::Lean };
            let endpoint = Endpoint {
                mqtt: target.mqtt,
                source: source(n, options.sources, 0),
                code: pile.code.clone(),
                secret: Some(pile.secret.clone()),
                driver,
            };
            dials.tick().await;
            if *self.interrupted.borrow() {
                break;
            }
            let handle = agent::spawn(config, endpoint, self.shared.clone());
            self.piles.push((pile, Arc::new(handle)));
        }
        let extra = u32::try_from(self.piles.len() / 100).unwrap_or(u32::MAX);
        let patience = CONNECT_PATIENCE.saturating_add(Duration::from_millis(1000).saturating_mul(extra));
        let give_up = Instant::now().checked_add(patience).context("clock overflow")?;
        for (pile, handle) in &self.piles {
            let left = give_up.saturating_duration_since(Instant::now());
            anyhow::ensure!(handle.wait_for(left, |state| state.connected).await, "{} got no connection", pile.code);
        }
        Ok(())
    }

    /// Plays every session and waits for all of them.
    pub async fn play(&self, plan: &[SessionPlan], began: Instant, bar: &ProgressBar) -> Vec<Session> {
        let scene = Arc::new(Scene {
            seed: self.seed,
            run_id: self.run_id.clone(),
            api: self.api.clone(),
            probes: Arc::clone(&self.shared.probes),
            pace: self.shared.pace.clone(),
            began,
            http: Arc::new(Semaphore::new(limits::HTTP_IN_FLIGHT_MAX)),
            stop: self.interrupted.clone(),
        });
        let mut playing = JoinSet::new();
        for session in plan {
            let Some((pile, handle)) = self.piles.get(session.pile) else { continue };
            let (scene, handle, code) = (Arc::clone(&scene), Arc::clone(handle), pile.code.to_string());
            let session = session.clone();
            playing.spawn(Box::pin(async move { session::play(&scene, &session, &handle, &code).await }));
        }
        let mut sessions = Vec::with_capacity(plan.len());
        while let Some(session) = playing.join_next().await {
            match session {
                Ok(session) => sessions.push(session),
                Err(error) => tracing::warn!(%error, "a session broke down"),
            }
            bar.inc(1);
            let p = self.shared.probes.pile_to_phone.percentiles();
            bar.set_message(format!("· pile → phone p99 {} ms", super::report::millis(p.p99_us)));
        }
        sessions.sort_by_key(|session| session.index);
        sessions
    }

    /// The tariffs of the stations, as the oracle reads them.
    ///
    /// # Errors
    /// When a zone is unknown.
    pub fn tariffs(&self) -> anyhow::Result<Vec<Tariff>> {
        self.stations.iter().map(Station::tariff).collect()
    }

    /// The station's index of each pile.
    #[must_use]
    pub fn station_of_pile(&self) -> Vec<usize> {
        self.piles.iter().map(|(pile, _)| pile.station).collect()
    }

    /// Disconnects every pile and waits until all have handed over what they know.
    pub async fn go_home(self) {
        // Without listeners all piles are home already.
        let _ = self.go_home.send(true);
        for (_, handle) in self.piles {
            if let Some(handle) = Arc::into_inner(handle) {
                handle.join().await;
            }
        }
    }
}
