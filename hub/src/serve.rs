//! `pilehub serve`: a hub from its first log line to its last.

use std::{
    future::Future,
    net::{SocketAddr, TcpListener as StdListener},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use axum::Router;
use broker::{Tls, TlsFiles};
use tokio::{
    net::{TcpListener, TcpSocket},
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::timeout,
};

use crate::{
    cli::{Failure, print},
    clock::SystemClock,
    config::{self, Config, Limits},
    http::{
        health,
        listener::{Door, Peer},
    },
    keys::Keys,
    limits::{BACKLOG, DRAIN_S},
    logging, metrics,
    wiring::{Hub, Setup},
};

/// Where the certificates of the TLS door are.
pub(crate) fn tls_files(mqtt: &config::Mqtt) -> TlsFiles {
    let path = |text: &str| (!text.is_empty()).then(|| PathBuf::from(text));
    TlsFiles {
        cert: PathBuf::from(&mqtt.tls_cert),
        key: PathBuf::from(&mqtt.tls_key),
        client_ca: path(&mqtt.client_ca),
        revoked: path(&mqtt.revoked),
    }
}

/// Runs until Ctrl-C or SIGTERM.
pub(crate) fn run(config: Config) -> Result<(), Failure> {
    logging::install(&config.log)?;
    Ok(runtime()?.block_on(Box::pin(serve(config)))?)
}

/// The runtime of everything that is not hot.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let stop = stop_signal()?;
    let keys = Keys::open(&config)?;
    let http = bind(&config.http.listen, "http.listen").await?;
    let mqtt = match config.mqtt.listen.as_str() {
        "" => None,
        address => Some(bind(address, "mqtt.listen").await?),
    };
    let mqtts = match config.mqtt.tls_listen.as_str() {
        "" => None,
        address => Some((bind(address, "mqtt.tls_listen").await?, Tls::open(tls_files(&config.mqtt))?)),
    };
    say_where(&http, mqtt.as_ref(), mqtts.as_ref().map(|(listener, _)| listener))?;
    let limits = config.limits.clone();
    let clock = Arc::new(SystemClock::default());
    let setup = Setup {
        config,
        keys,
        clock: Arc::<SystemClock>::clone(&clock),
        wall: clock,
        time_factor: 1,
        mqtt,
        mqtts,
        metrics: metrics::install()?,
    };
    let hub = start(&http, &limits, setup).await?;
    tracing::info!("ready");
    say("ready\n")?;
    answer_until_stopped(http, &limits, &hub, stop).await?;
    hub.stop().await;
    Ok(())
}

/// Starts a hub while the listener already says that it is not ready, and why.
pub(crate) async fn start(http: &StdListener, limits: &Limits, setup: Setup) -> anyhow::Result<Hub> {
    let (started, done) = watch::channel(false);
    let meanwhile = http.try_clone().context("cannot share the HTTP listener")?;
    let limits = limits.clone();
    let answering = tokio::spawn(async move { answer(meanwhile, &limits, health::starting(), stopped(done)).await });
    let hub = Box::pin(Hub::start(setup)).await;
    started.send_replace(true);
    drop(timeout(Duration::from_secs(DRAIN_S), answering).await);
    hub
}

/// Answers HTTP until the signal, then closes the doors in order: new calls, sockets of phones, calls that are running.
pub(crate) async fn answer_until_stopped(
    http: StdListener,
    limits: &Limits,
    hub: &Hub,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let until = stopped(stop.clone());
    let closing = async {
        stopped(stop.clone()).await;
        tracing::info!("stopping");
        hub.app.ready.stops();
        hub.app.live.shutdown().await;
        Ok(())
    };
    let patience = async {
        stopped(stop.clone()).await;
        tokio::time::sleep(Duration::from_secs(DRAIN_S)).await;
    };
    tokio::select! {
        answered = async { tokio::try_join!(answer(http, limits, hub.router(), until), closing) } => answered.map(|_| ()),
        () = patience => {
            tracing::warn!("some connections did not end in time");
            Ok(())
        }
    }
}

/// Returns when the hub is to stop; also when nobody is left who could say so.
pub(crate) async fn stopped(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn answer(
    listener: StdListener,
    limits: &Limits,
    router: Router,
    until: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let door = Door::new(TcpListener::from_std(listener).context("cannot listen for HTTP")?, limits);
    let service = router.into_make_service_with_connect_info::<Peer>();
    axum::serve(door, service).with_graceful_shutdown(until).await.context("HTTP failed")
}

/// Becomes true at Ctrl-C or SIGTERM.
pub(crate) fn stop_signal() -> anyhow::Result<watch::Receiver<bool>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        sender.send_replace(true);
        // Later signals are taken and ignored for as long as somebody waits for the end.
        sender.closed().await;
    });
    Ok(receiver)
}

/// Takes an address, with a queue long enough for a fleet that comes back at once.
pub(crate) async fn bind(address: &str, key: &str) -> anyhow::Result<StdListener> {
    let taken = || format!("cannot listen on {address} ({key}); free it or set another");
    let address: SocketAddr = address.parse().with_context(taken)?;
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.with_context(taken)?;
    socket.set_reuseaddr(true).with_context(taken)?;
    socket.bind(address).with_context(taken)?;
    socket.listen(BACKLOG).with_context(taken)?.into_std().with_context(taken)
}

/// One line for people and scripts: with port 0 nobody else knows where the hub listens.
fn say_where(http: &StdListener, mqtt: Option<&StdListener>, mqtts: Option<&StdListener>) -> anyhow::Result<()> {
    let mqtt = match mqtt {
        Some(listener) => format!("mqtt://{}", listener.local_addr()?),
        None => "off".to_owned(),
    };
    let mqtts = match mqtts {
        Some(listener) => format!(" mqtts=mqtts://{}", listener.local_addr()?),
        None => String::new(),
    };
    let line = format!("pilehub http=http://{} mqtt={mqtt}{mqtts}\n", http.local_addr()?);
    say(&line)
}

fn say(line: &str) -> anyhow::Result<()> {
    print(line).map_err(|failure| anyhow::anyhow!("{failure}"))
}
