//! `pilehub demo`: a hub with simulated piles and drivers that come in over real MQTT and HTTP, twenty times as fast as
//! the clock. It is the hub of `serve` with another clock; the simulation knows only its addresses.

use std::{fmt::Write as _, net::TcpListener as StdListener, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use domain::UserId;
use loadtest::demo::{DEMO_DRIVER, DemoConfig, Fleet};
use store::sqlite::MONEY_FILE;
use tokio::sync::watch;

use crate::{
    cli::{Failure, print},
    clock::{ScaledClock, SystemClock},
    config::Config,
    http::auth::Role,
    keys::Keys,
    logging, metrics,
    serve::{answer_until_stopped, bind, runtime, start, stop_signal, stopped},
    token,
    wiring::{Hub, Setup},
};

/// How many times as fast as the wall's the demo's time runs.
const SPEED: u32 = 20;
/// Ports that are tried after a taken one.
const PORTS_TRIED: u16 = 50;
/// Drivers beside the one whose page is shown.
const DRIVERS: usize = 60;
/// Same seed, same demo.
const SEED: u64 = 1;
/// How long the first charge may take to begin.
const PATIENCE: Duration = Duration::from_secs(30);
/// Life of the printed tokens.
const TOKEN_TTL: Duration = Duration::from_secs(86_400);

/// Runs until Ctrl-C or SIGTERM.
pub(crate) fn run(data_dir: Option<PathBuf>) -> Result<(), Failure> {
    // Removed with everything in it when the demo ends.
    let temporary = tempfile::Builder::new().prefix("pilehub-demo-").tempdir().map_err(anyhow::Error::from)?;
    let dir = data_dir.unwrap_or_else(|| temporary.path().to_owned());
    let mut config = Config::default();
    config.store.data_dir = dir.display().to_string();
    config.log.filter = "warn".to_owned();
    // Everybody in the demo calls from the same address.
    config.limits.http_requests_per_address_per_s_max = 0;
    logging::install(&config.log)?;
    Ok(runtime()?.block_on(Box::pin(demo(config)))?)
}

async fn demo(mut config: Config) -> anyhow::Result<()> {
    if PathBuf::from(&config.store.data_dir).join(MONEY_FILE).exists() {
        bail!(
            "{} has a store already: the demo's time does not go on from another's; name an empty directory",
            config.store.data_dir
        );
    }
    let stop = stop_signal()?;
    let keys = Keys::open(&config)?;
    let http = bind_near(&config.http.listen, "http.listen").await?;
    let mqtt = bind_near(&config.mqtt.listen, "mqtt.listen").await?;
    config.http.listen = http.local_addr()?.to_string();
    config.mqtt.listen = mqtt.local_addr()?.to_string();
    let clock = Arc::new(ScaledClock::start(SPEED));
    let world = DemoConfig {
        http: format!("http://{}", config.http.listen),
        mqtt: mqtt.local_addr()?,
        jwt_key: String::from_utf8(keys.jwt.clone()).context("the key of the tokens is no text")?,
        clock: Arc::<ScaledClock>::clone(&clock),
        speed: SPEED,
        seed: SEED,
        drivers: DRIVERS,
    };
    let limits = config.limits.clone();
    let setup = Setup {
        config,
        keys,
        clock,
        wall: Arc::new(SystemClock::default()),
        time_factor: SPEED,
        mqtt: Some(mqtt),
        mqtts: None,
        metrics: metrics::install()?,
    };
    let hub = start(&http, &limits, setup).await?;
    let answering = answer_until_stopped(http, &limits, &hub, stop.clone());
    let ended = tokio::try_join!(answering, Box::pin(inhabit(&hub, &world, stop)));
    hub.stop().await;
    ended.map(|_| ())
}

/// Piles and drivers, from their registration to the end of the demo.
async fn inhabit(hub: &Hub, world: &DemoConfig, stop: watch::Receiver<bool>) -> anyhow::Result<()> {
    let fleet = tokio::select! {
        fleet = Fleet::furnish_and_start(world) => fleet?,
        () = stopped(stop.clone()) => return Ok(()),
    };
    tokio::select! {
        told = tell(hub, world, &fleet) => told?,
        () = stopped(stop.clone()) => {}
    }
    stopped(stop).await;
    fleet.stop().await;
    Ok(())
}

/// Says where to look.
async fn tell(hub: &Hub, world: &DemoConfig, fleet: &Fleet) -> anyhow::Result<()> {
    let app = &hub.app;
    let driver = UserId::parse(DEMO_DRIVER)?;
    let page = fleet
        .wait_for_order(DEMO_DRIVER, PATIENCE)
        .await
        .map(|order| format!("{}{}", world.http, app.live.page_link(&order, &driver, app.now())));
    let base = &world.http;
    let mut tokens = String::new();
    let mut dashboard = format!("{base}/");
    for role in Role::ALL {
        let sub =
            if role == Role::Driver { driver.clone() } else { UserId::parse(&format!("demo-{}", role.as_str()))? };
        let token = token::issue(&app.tokens, role, sub, TOKEN_TTL)?;
        // Writing into memory does not fail.
        let _ = writeln!(tokens, "{:<8} {token}", role.as_str());
        if role == Role::Ops {
            // Behind the #, which no browser sends to a server: the page signs in with it.
            dashboard.push_str("#token=");
            dashboard.push_str(&token);
        }
    }
    let text = format!(
        "\nPileHub demo: simulated piles and drivers, no real data. Time runs {SPEED} times as fast as the clock.\n\n\
         dashboard      {dashboard}\n\
         driver's page  {}\n\
         API            {base}/api/docs/\n\
         MQTT           {}\n\n\
         tokens for the API, good for a day:\n{tokens}\nCtrl-C ends it.\n",
        page.as_deref().unwrap_or("no charge has begun yet"),
        world.mqtt,
    );
    print(&text).map_err(|failure| anyhow::anyhow!("{failure}"))
}

/// The address, or the next port that is free.
async fn bind_near(address: &str, key: &str) -> anyhow::Result<StdListener> {
    let mut address: std::net::SocketAddr = address.parse()?;
    for _ in 0..PORTS_TRIED {
        match bind(&address.to_string(), key).await {
            Ok(listener) => return Ok(listener),
            Err(_) => address.set_port(address.port().wrapping_add(1)),
        }
    }
    bind(&address.to_string(), key).await
}
