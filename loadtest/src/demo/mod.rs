//! The life of the demo: 200 piles at 10 stations over real MQTT, drivers who come and go, faults, a station that
//! drops off and back-fills. Runs in the hub's own process and still knows only its addresses.

mod driver;
pub mod place;
mod trouble;

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use domain::{Clock, ConnectorId, Millis, OrderNo};
use parking_lot::Mutex;
use tokio::{sync::watch, task::JoinSet};

use crate::{
    api::{Api, Http},
    client::{
        Driver, Endpoint,
        agent::{self, PileHandle, Shared},
    },
    pace::Pace,
    pile::{PileConfig, curve::Supply},
    rng::Rng,
    run::setup::Installed,
    token::Signer,
};

/// The driver who always has a running charge; its live page is the one to show.
pub const DEMO_DRIVER: &str = "demo-driver";

/// Tokens of the demo hold for a year of the hub's clock, which may run fast.
const TOKEN_TTL: Millis = Millis::from_secs(365 * 24 * 3600);

/// Where the demo's hub is and how fast its world runs.
#[derive(Debug, Clone)]
pub struct DemoConfig {
    /// `http://host:port`.
    pub http: String,
    /// Where piles connect.
    pub mqtt: SocketAddr,
    /// The hub's `auth.jwt_key`.
    pub jwt_key: String,
    /// The hub's clock.
    pub clock: Arc<dyn Clock>,
    /// How many times faster than the wall's clock that is.
    pub speed: u32,
    /// Seed of everything random.
    pub seed: u64,
    /// Drivers beside the well-known one.
    pub drivers: usize,
}

/// A running demo. Drop it and everything stops at once; [`Fleet::stop`] stops it cleanly.
#[derive(Debug)]
pub struct Fleet {
    stop: watch::Sender<bool>,
    piles: Arc<Vec<DemoPile>>,
    running: watch::Receiver<HashMap<String, OrderNo>>,
    tasks: JoinSet<()>,
}

/// A pile of the demo with its task.
#[derive(Debug)]
struct DemoPile {
    installed: Installed,
    handle: PileHandle,
    /// Guns that a driver is at.
    taken: Mutex<Vec<ConnectorId>>,
}

/// What drivers and troubles share.
#[derive(Debug, Clone)]
struct World {
    api: Api,
    pace: Pace,
    seed: u64,
    piles: Arc<Vec<DemoPile>>,
    stop: watch::Receiver<bool>,
    running: watch::Sender<HashMap<String, OrderNo>>,
}

impl DemoConfig {
    /// The hub's HTTP interface with tokens of the demo.
    #[must_use]
    pub fn api(&self) -> Api {
        Api::new(Http::new(&self.http), Signer::new(&self.jwt_key, self.clock.now(), TOKEN_TTL))
    }
}

impl Fleet {
    /// Registers the demo's stations, tariffs and piles at the hub, then starts them.
    ///
    /// # Errors
    /// When the hub refuses any of them.
    pub async fn furnish_and_start(config: &DemoConfig) -> anyhow::Result<Self> {
        let installed = place::furnish(&config.api()).await?;
        Ok(Self::start(config, installed))
    }

    /// Starts piles that the hub knows already, drivers and troubles. The first pile is the well-known driver's.
    #[must_use]
    pub fn start(config: &DemoConfig, installed: Vec<Installed>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (running_sender, running) = watch::channel(HashMap::new());
        let pace = Pace::new(Arc::clone(&config.clock), config.speed);
        let shared = Shared::new(pace.clone(), stopped.clone());
        let piles = installed.into_iter().enumerate().map(|(n, pile)| {
            let handle = agent::spawn(pile_config(config, n, &pile), endpoint(config, &pile), shared.clone());
            DemoPile { installed: pile, handle, taken: Mutex::default() }
        });
        let piles = Arc::new(piles.collect::<Vec<_>>());
        let world = World {
            api: config.api(),
            pace,
            seed: config.seed,
            piles: Arc::clone(&piles),
            stop: stopped,
            running: running_sender,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(Box::pin(driver::well_known(world.clone())));
        for n in 0..config.drivers {
            tasks.spawn(Box::pin(driver::ordinary(world.clone(), n)));
        }
        tasks.spawn(Box::pin(trouble::faults(world.clone())));
        tasks.spawn(Box::pin(trouble::dark_station(world)));
        Self { stop, piles, running, tasks }
    }

    /// The order that a driver is charging on, if any.
    #[must_use]
    pub fn running_order(&self, driver: &str) -> Option<OrderNo> {
        self.running.borrow().get(driver).cloned()
    }

    /// Waits until a driver is charging; `None` when that does not come within `patience`.
    pub async fn wait_for_order(&self, driver: &str, patience: Duration) -> Option<OrderNo> {
        let mut running = self.running.clone();
        let waited = tokio::time::timeout(patience, running.wait_for(|running| running.contains_key(driver))).await;
        waited.ok()?.ok()?.get(driver).cloned()
    }

    /// How many orders are running now.
    #[must_use]
    pub fn running_count(&self) -> usize {
        self.running.borrow().len()
    }

    /// Sends everybody home and waits for them; charges that run stay open at the hub.
    pub async fn stop(mut self) {
        // Without listeners everybody is home already.
        let _ = self.stop.send(true);
        while self.tasks.join_next().await.is_some() {}
        if let Some(piles) = Arc::into_inner(self.piles) {
            for pile in piles {
                pile.handle.join().await;
            }
        }
    }
}

fn pile_config(config: &DemoConfig, n: usize, pile: &Installed) -> PileConfig {
    let mut rng = Rng::for_part(config.seed, &format!("pile {n}"));
    let fast = i64::from(config.speed.max(1));
    let mut machine = PileConfig::dc(pile.code.clone(), pile.max_power, rng.next_u64());
    machine.supply = if pile.dc { Supply::Dc } else { Supply::Ac };
    machine.connectors = pile.connectors;
    // On the wall's clock: a heartbeat every three seconds at speed 20, a status frame every second.
    machine.heartbeat_every = Millis(rng.range(50_000, 70_000));
    machine.status_every = Millis(fast.saturating_mul(1_000).clamp(5_000, 30_000));
    machine.start_delay = Millis(rng.range(2_000, 6_000));
    machine.stop_delay = Millis(rng.range(1_000, 4_000));
    machine.record_resend_every = Millis(fast.saturating_mul(5_000));
    machine
}

fn endpoint(config: &DemoConfig, pile: &Installed) -> Endpoint {
    Endpoint {
        mqtt: config.mqtt,
        source: None,
        code: pile.code.clone(),
        secret: Some(pile.secret.clone()),
        driver: Driver::Lean,
    }
}

impl DemoPile {
    /// Takes a gun that nobody is at.
    fn take_gun(&self) -> Option<ConnectorId> {
        let mut taken = self.taken.lock();
        let free = (1..=self.installed.connectors).map(ConnectorId).find(|gun| !taken.contains(gun))?;
        taken.push(free);
        Some(free)
    }

    fn leave_gun(&self, gun: ConnectorId) {
        self.taken.lock().retain(|taken| *taken != gun);
    }
}

impl World {
    /// Waits on the wall's clock; false when everybody is to go home.
    async fn sleep(&self, span: Duration) -> bool {
        let mut stop = self.stop.clone();
        tokio::select! {
            () = tokio::time::sleep(span) => true,
            _ = stop.wait_for(|stop| *stop) => false,
        }
    }
}
