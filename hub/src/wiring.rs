//! How the parts of a hub are put together and taken apart again. Nothing is decided here.
//!
//! Two runtimes: the *hot* one is a single thread with the gate and the actors of piles and sessions; the other has
//! HTTP, WebSockets, settlement and everything that may be slow.

use std::{collections::HashSet, net::TcpListener as StdListener, path::Path, sync::Arc, thread, time::Duration};

use actors::{
    Handle,
    api::{Ports, Timing},
};
use anyhow::Context;
use axum::Router;
use broker::{Gate, GateConfig, GateLimits, Identities, Identity, Pacing, Readers, Tls};
use domain::{Clock, Fen, Millis, StationId};
use metrics_exporter_prometheus::PrometheusHandle;
use settlement::{settle::MoneyRules, tariff::parse_minute};
use store::{
    money::Money,
    sqlite::{self, SqliteStore},
    telemetry::Telemetry,
};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Handle as RuntimeHandle, Runtime},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};

use crate::{
    audit_heads,
    config::Config,
    credentials::{self, Credentials},
    http::{self, App, Calls, Parts, auth::Tokens, integrations},
    keys::Keys,
    limits::DRAIN_S,
    links::{ToActors, ToPiles},
    live::{self, Door, Live, SeatLimits, Settings},
    pages,
    pay::{self, Pay, PayKeyError},
    ready::Readiness,
    reconcile::{self, Reconciler, Timetable},
    risk::{Desk, Risk},
    trail,
};

/// What a hub is made from.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) config: Config,
    pub(crate) keys: Keys,
    /// The time of the charging world.
    pub(crate) clock: Arc<dyn Clock>,
    /// The wall's time.
    pub(crate) wall: Arc<dyn Clock>,
    /// How many times as fast as the wall's the charging world's time runs.
    pub(crate) time_factor: u32,
    /// Where chargers connect; `None`: nowhere.
    pub(crate) mqtt: Option<StdListener>,
    /// Where chargers connect over TLS; `None`: nowhere.
    pub(crate) mqtts: Option<(StdListener, Tls)>,
    pub(crate) metrics: PrometheusHandle,
}

/// A running hub, without its HTTP listener.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) app: App,
    door: Door,
    gate: Gate,
    /// Ends when the gate has delivered everything.
    gate_run: JoinHandle<()>,
    beside: Vec<JoinHandle<()>>,
    hot: HotThread,
    hands: Option<Runtime>,
    store: Arc<SqliteStore>,
}

impl Hub {
    /// Opens the store, recovers open orders, opens the gate.
    pub(crate) async fn start(setup: Setup) -> anyhow::Result<Self> {
        let Setup { config, keys, clock, wall, time_factor, mqtt, mqtts, metrics } = setup;
        let identities = Arc::new(Identities::new(&keys.master));
        let gate = Gate::new(gate_config(&config), Arc::clone(&identities), Arc::clone(&clock));
        let store = open_store(&config, &gate).await?;
        let money = store.money();
        let readers = gate.readers();
        admit_readers(&readers, money.as_ref()).await?;
        admit_all(&identities, money.as_ref()).await?;
        let live = Live::new(&live_settings(&config, &keys, time_factor))?;
        let risk = Arc::new(Risk::open(&config, Arc::clone(&clock))?);
        let piles = Arc::new(ToPiles::new(gate.outbound(), gate.acks()));
        let ports = Ports {
            clock: Arc::clone(&clock),
            money: Arc::clone(&money),
            telemetry: store.telemetry(),
            piles: Arc::<ToPiles>::clone(&piles),
            audience: Arc::<Live>::clone(&live),
            reviewer: Arc::<Risk>::clone(&risk),
        };
        let hot = HotThread::start(&gate, store.telemetry())?;
        let actors = Handle::start(ports, timing(&config), rules(&config), hot.handle.clone()).await?;
        let credentials = Credentials::open(credentials::Parts {
            keys: keys.clone(),
            clock: Arc::clone(&clock),
            money: Arc::clone(&money),
            identities: Arc::clone(&identities),
            actors: actors.clone(),
            piles: Arc::clone(&piles),
        })
        .await?;
        let sink = ToActors::new(actors.clone(), &piles, Arc::clone(&credentials));
        let running_gate = gate.clone();
        let gate_run = hot.handle.spawn(async move { running_gate.run(sink).await });
        let ready = Arc::new(Readiness::default());
        let world =
            live::world::Running { handle: actors.clone(), money: Arc::clone(&money), clock: Arc::clone(&clock) };
        let door = Door { live: Arc::clone(&live), world: Arc::new(world) };
        let mut beside = Vec::from(live::spawn(&door));
        let attempts = gate.attempts().context("the gate's attempts are taken once")?;
        beside.push(tokio::spawn(Arc::clone(&credentials).run()));
        beside.push(tokio::spawn(trail::keep(actors.clone(), Arc::clone(&money), Arc::clone(&clock), attempts)));
        let pay = open_pay(&config, &keys, &money, &actors, (&clock, &wall))?;
        let finance = Finance::start(&config, pay, risk, &actors, &money, &clock);
        beside.extend(finance.jobs);
        let hands = listen(mqtt, mqtts, &gate, &hot, &ready)?;
        let tokens = Tokens::new(&keys.jwt);
        let app = App::new(Parts {
            config,
            keys,
            tokens,
            clock,
            wall,
            actors,
            money,
            telemetry: store.telemetry(),
            identities,
            credentials,
            readers,
            live,
            pay: finance.pay,
            reconciler: finance.reconciler,
            desk: finance.desk,
            calls: Arc::new(Calls::default()),
            registry: tokio::sync::Mutex::default(),
            ready,
            metrics,
        });
        Ok(Self { app, door, gate, gate_run, beside, hot, hands, store })
    }

    /// Everything the hub answers over HTTP.
    pub(crate) fn router(&self) -> Router {
        let others = live::routes(self.door.clone()).merge(pages::routes(self.door.clone()));
        http::router(&self.app, others)
    }

    /// Takes no new work, finishes what is running, closes the store. HTTP should be listening no more.
    pub(crate) async fn stop(self) {
        let Self { app, door: _, gate, gate_run, beside, hot, hands, store } = self;
        let patience = Duration::from_secs(DRAIN_S);
        if timeout(patience, app.calls.drain()).await.is_err() {
            tracing::warn!("some calls did not end in time");
        }
        gate.stop();
        if let Some(hands) = hands {
            hands.shutdown_background();
        }
        if timeout(patience, gate_run).await.is_err() {
            tracing::warn!("the gate did not deliver everything in time; chargers send it again");
        }
        app.actors.stop().await;
        for task in beside {
            task.abort();
        }
        hot.stop();
        if tokio::task::spawn_blocking(move || store.close()).await.is_err() {
            tracing::warn!("the store did not close well");
        }
        tracing::info!("stopped");
    }
}

/// What finance and risk have beside the calls, and their jobs.
#[derive(Debug)]
struct Finance {
    pay: Arc<Pay>,
    reconciler: Arc<Reconciler>,
    desk: Arc<Desk>,
    jobs: Vec<JoinHandle<()>>,
}

impl Finance {
    fn start(
        config: &Config,
        pay: Arc<Pay>,
        risk: Arc<Risk>,
        actors: &Handle,
        money: &Arc<dyn Money>,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let desk = Arc::new(Desk::new(risk, actors.clone(), Arc::clone(money)));
        let reconciler = Arc::new(Reconciler::new(Arc::clone(money), actors.clone(), Arc::clone(clock)));
        let jobs = vec![
            tokio::spawn(audit_heads::keep(actors.clone(), Arc::clone(money), Arc::clone(clock))),
            tokio::spawn(reconcile::keep(Arc::clone(&reconciler), timetable(config))),
            tokio::spawn(Arc::clone(&desk).run()),
            tokio::spawn(Arc::clone(&pay).run()),
        ];
        Self { pay, reconciler, desk, jobs }
    }
}

fn gate_config(config: &Config) -> GateConfig {
    let count = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    GateConfig {
        connections_max: count(config.limits.mqtt_connections_max),
        strangers_max: count(config.limits.mqtt_strangers_max),
        keep_alive_max: Duration::from_secs(config.limits.mqtt_keep_alive_s_max.into()),
        limits: GateLimits {
            sockets_per_address_max: config.limits.mqtt_sockets_per_address_max,
            connects_per_address_per_min_max: config.limits.mqtt_connects_per_address_per_min_max,
            connects_per_pile_per_min_max: config.limits.mqtt_connects_per_pile_per_min_max,
            admissions_per_s_max: config.limits.mqtt_admissions_per_s_max,
            failures_per_pile_max: config.limits.mqtt_failures_per_pile_max,
            failures_per_address_max: config.limits.mqtt_failures_per_address_max,
            handshakes_max: config.limits.mqtt_handshakes_max,
            frames_per_pile_per_s_max: config.limits.mqtt_frames_per_pile_per_s_max,
            frames_surplus_per_s_max: config.limits.mqtt_frames_surplus_per_s_max,
            inbound_bytes_max: count(config.limits.mqtt_inbound_bytes_max),
        },
        frames_in_flight_max: count(config.limits.mqtt_frames_in_flight_max),
        pacing: Pacing { tick: Duration::from_micros(config.mqtt.tick_us), ..Pacing::default() },
        ..GateConfig::default()
    }
}

fn live_settings(config: &Config, keys: &Keys, time_factor: u32) -> Settings {
    Settings {
        ping_every: Duration::from_secs(config.live.ping_every_s.into()),
        ticket_ttl: Duration::from_secs(config.auth.ticket_ttl_s.into()),
        seats: SeatLimits {
            total_max: config.limits.ws_sockets_max,
            per_owner_max: config.limits.ws_sockets_per_owner_max,
            per_order_max: config.limits.ws_sockets_per_order_max,
        },
        demo_speed: (time_factor > 1).then_some(time_factor),
        ..Settings::new(&keys.jwt)
    }
}

fn timing(config: &Config) -> Timing {
    let span = |s: u32| Millis::from_secs(s.into());
    Timing {
        stale_after: span(config.pile.stale_after_s),
        offline_after: span(config.pile.offline_after_s),
        start_deadline: span(config.order.start_deadline_s),
        fault_wait: span(config.order.fault_wait_s),
        offline_grace: span(config.order.offline_grace_s),
    }
}

fn timetable(config: &Config) -> Timetable {
    let intraday_s = config.reconciliation.intraday_s;
    Timetable {
        // The configuration was checked before.
        at_min: parse_minute(&config.reconciliation.at).unwrap_or_default(),
        intraday: (intraday_s > 0).then(|| Millis::from_secs(intraday_s.into())),
    }
}

fn rules(config: &Config) -> MoneyRules {
    MoneyRules {
        freeze_default: Fen(config.money.freeze_default_fen),
        freeze_min: Fen(config.money.freeze_min_fen),
        hold_over: Fen(config.money.hold_over_fen),
        suspect: None,
    }
}

/// Frames are acknowledged by the writer's own thread, right after its commit.
async fn open_store(config: &Config, gate: &Gate) -> anyhow::Result<Arc<SqliteStore>> {
    let acks = gate.acks();
    let options = sqlite::Options::new(Box::new(move |tokens| acks.complete(tokens)));
    let dir = config.store.data_dir.clone();
    let opened = tokio::task::spawn_blocking(move || sqlite::open(Path::new(&dir), options)).await?;
    Ok(Arc::new(opened?))
}

/// Opens the payment channels. `clocks`: the charging world's and the wall's.
fn open_pay(
    config: &Config,
    keys: &Keys,
    money: &Arc<dyn Money>,
    actors: &Handle,
    clocks: (&Arc<dyn Clock>, &Arc<dyn Clock>),
) -> Result<Arc<Pay>, PayKeyError> {
    let ports = pay::Ports {
        money: Arc::clone(money),
        actors: actors.clone(),
        clock: Arc::clone(clocks.0),
        wall: Arc::clone(clocks.1),
    };
    Pay::open(config, keys, ports).map(Arc::new)
}

/// Lets integrations in, served beside HTTP: one that reads much costs the hot thread nothing over plain TCP; over TLS it
/// encrypts what is sent.
async fn admit_readers(readers: &Readers, money: &dyn Money) -> anyhow::Result<()> {
    let piles = money.piles().await?;
    readers.insert_piles(piles.into_iter().map(|(pile, _)| (pile.pile_no, pile.pile_code, pile.station_id)));
    for integration in money.integrations().await? {
        readers.insert(integrations::account(&integration));
    }
    readers.serve_on(RuntimeHandle::current());
    Ok(())
}

/// Everybody who is registered may connect.
async fn admit_all(identities: &Identities, money: &dyn Money) -> anyhow::Result<()> {
    let stations = money.stations().await?;
    let only: HashSet<StationId> =
        stations.into_iter().filter(|station| station.certificate_only).map(|station| station.station_id).collect();
    identities.extend(money.piles().await?.into_iter().map(|(pile, _)| Identity {
        certificate_only: only.contains(&pile.station_id),
        ..Identity::new(pile.pile_no, pile.pile_code, pile.verifier)
    }));
    Ok(())
}

/// Opens the doors for chargers. TLS hands are shaken on threads of their own, so that a fleet that comes back at once
/// holds up neither the hot thread nor HTTP.
fn listen(
    mqtt: Option<StdListener>,
    mqtts: Option<(StdListener, Tls)>,
    gate: &Gate,
    hot: &HotThread,
    ready: &Readiness,
) -> anyhow::Result<Option<Runtime>> {
    if let Some(listener) = mqtt {
        let _on_hot = hot.handle.enter();
        let listener = TcpListener::from_std(listener).context("cannot listen for chargers")?;
        let gate = gate.clone();
        hot.handle.spawn(async move { gate.listen(listener).await });
    }
    let hands = mqtts.map(|(listener, tls)| shake_hands(listener, tls, gate, hot)).transpose()?;
    ready.broker_listens();
    Ok(hands)
}

fn shake_hands(listener: StdListener, tls: Tls, gate: &Gate, hot: &HotThread) -> anyhow::Result<Runtime> {
    let threads = thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1));
    let hands = Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("tls")
        .enable_all()
        .build()
        .context("cannot start the threads for TLS")?;
    let (gate, hot) = (gate.clone(), hot.handle.clone());
    let listener = {
        let _on_hands = hands.enter();
        TcpListener::from_std(listener).context("cannot listen for chargers over TLS")?
    };
    hands.spawn(async move { gate.listen_tls(listener, tls, hot).await });
    Ok(hands)
}

/// The thread of the gate and of the actors of piles and sessions.
#[derive(Debug)]
struct HotThread {
    handle: tokio::runtime::Handle,
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl HotThread {
    fn start(gate: &Gate, telemetry: Arc<dyn Telemetry>) -> anyhow::Result<Self> {
        let runtime = gate.hot_runtime(move || telemetry.hasten()).context("cannot start the hot runtime")?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new()
            .name("hot".to_owned())
            .spawn(move || {
                // An error means that the sender is gone, which is a stop as well.
                let _ = runtime.block_on(stopped);
            })
            .context("cannot start the hot thread")?;
        Ok(Self { handle, stop, thread })
    }

    fn stop(self) {
        // It may have ended already, by a panic.
        let _ = self.stop.send(());
        if self.thread.join().is_err() {
            tracing::error!("the hot thread panicked");
        }
    }
}
