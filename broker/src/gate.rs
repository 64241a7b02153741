//! The gate itself: made first, so that the store and the actors can hold its handles; then run with the sink that is
//! made of them; then given listeners, or connections of any other kind.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use domain::Clock;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    runtime::{Builder, Handle, Runtime},
    sync::mpsc,
    time::sleep,
};

use crate::{
    attempts::Attempt,
    conn::Conn,
    driver::Driver,
    handles::{Acks, Outbound},
    identity::Identities,
    limits, names,
    pacing::Pacing,
    pump::Pump,
    readers::Readers,
    registry::TurnedAway,
    router::RouterKind,
    shared::Shared,
    sink::UpSink,
    sweeper::sweep,
    tcp::SharedTcp,
    tls::{self, PileCert, Tls},
};

/// Pause after an accept that failed for want of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What an operator may set. The defaults are those of [`limits`].
#[derive(Debug, Clone)]
pub struct GateConfig {
    /// See [`limits::CONNECTIONS_MAX`].
    pub connections_max: usize,
    /// See [`limits::STRANGERS_MAX`].
    pub strangers_max: usize,
    /// See [`limits::KEEP_ALIVE_MAX`].
    pub keep_alive_max: Duration,
    /// See [`limits::FRAMES_IN_FLIGHT_MAX`], which it cannot pass.
    pub frames_in_flight_max: usize,
    /// What one pile, one address and all strangers together may do.
    pub limits: GateLimits,
    /// See [`limits::INTEGRATION_LAG_MAX`].
    pub integration_lag_max: Duration,
    /// How its thread paces itself.
    pub pacing: Pacing,
    /// Which router frames go through.
    pub router: RouterKind,
}

impl Default for GateConfig {
    fn default() -> Self {
        Self {
            connections_max: limits::CONNECTIONS_MAX,
            strangers_max: limits::STRANGERS_MAX,
            keep_alive_max: limits::KEEP_ALIVE_MAX,
            frames_in_flight_max: limits::FRAMES_IN_FLIGHT_MAX,
            limits: GateLimits::default(),
            integration_lag_max: limits::INTEGRATION_LAG_MAX,
            pacing: Pacing::default(),
            router: RouterKind::default(),
        }
    }
}

/// Limits per pile and per address; 0 = off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateLimits {
    /// See [`limits::SOCKETS_PER_ADDRESS_MAX`].
    pub sockets_per_address_max: u32,
    /// See [`limits::CONNECTS_PER_ADDRESS_PER_MIN_MAX`].
    pub connects_per_address_per_min_max: u32,
    /// See [`limits::CONNECTS_PER_PILE_PER_MIN_MAX`].
    pub connects_per_pile_per_min_max: u32,
    /// See [`limits::ADMISSIONS_PER_S_MAX`].
    pub admissions_per_s_max: u32,
    /// See [`limits::FAILURES_PER_PILE_MAX`].
    pub failures_per_pile_max: u32,
    /// See [`limits::FAILURES_PER_ADDRESS_MAX`].
    pub failures_per_address_max: u32,
    /// See [`limits::HANDSHAKES_MAX`]; never off.
    pub handshakes_max: u32,
    /// See [`limits::FRAMES_PER_PILE_PER_S_MAX`].
    pub frames_per_pile_per_s_max: u32,
    /// See [`limits::SURPLUS_PER_S_MAX`]; 0 = none is shared.
    pub frames_surplus_per_s_max: u32,
    /// See [`limits::INBOUND_BYTES_MAX`]; never off.
    pub inbound_bytes_max: usize,
}

impl Default for GateLimits {
    fn default() -> Self {
        Self {
            sockets_per_address_max: limits::SOCKETS_PER_ADDRESS_MAX,
            connects_per_address_per_min_max: limits::CONNECTS_PER_ADDRESS_PER_MIN_MAX,
            connects_per_pile_per_min_max: limits::CONNECTS_PER_PILE_PER_MIN_MAX,
            admissions_per_s_max: limits::ADMISSIONS_PER_S_MAX,
            failures_per_pile_max: limits::FAILURES_PER_PILE_MAX,
            failures_per_address_max: limits::FAILURES_PER_ADDRESS_MAX,
            handshakes_max: limits::HANDSHAKES_MAX,
            frames_per_pile_per_s_max: limits::FRAMES_PER_PILE_PER_S_MAX,
            frames_surplus_per_s_max: limits::SURPLUS_PER_S_MAX,
            inbound_bytes_max: limits::INBOUND_BYTES_MAX,
        }
    }
}

/// The MQTT front of the hub. Clones are the same gate.
#[derive(Debug, Clone)]
pub struct Gate {
    shared: Arc<Shared>,
}

impl Gate {
    /// A gate that nobody can reach yet. `clock` dates the frames.
    /// The metrics recorder must be installed before: the gate looks its counters up once.
    #[must_use]
    pub fn new(config: GateConfig, identities: Arc<Identities>, clock: Arc<dyn Clock>) -> Self {
        Self { shared: Arc::new(Shared::new(config, identities, clock)) }
    }

    /// The handle that sends to piles.
    #[must_use]
    pub fn outbound(&self) -> Outbound {
        Outbound { shared: Arc::clone(&self.shared) }
    }

    /// The handle that acknowledges frames.
    #[must_use]
    pub fn acks(&self) -> Acks {
        Acks { shared: Arc::clone(&self.shared) }
    }

    /// The handle of those who keep the accounts of integrations.
    #[must_use]
    pub fn readers(&self) -> Readers {
        Readers { shared: Arc::clone(&self.shared) }
    }

    /// What piles try and must not do, for the audit trail. Only the first caller gets it.
    #[must_use]
    pub fn attempts(&self) -> Option<mpsc::Receiver<Attempt>> {
        self.shared.attempts.hear()
    }

    /// The runtime of the hot thread: one thread, which the caller gives it by `block_on`. Nothing slow may run on it.
    /// Under load `round_over` is called before each of its rests: whoever stores what it pushed should do so now.
    ///
    /// # Errors
    /// When the system gives no more file descriptors.
    pub fn hot_runtime(&self, round_over: impl Fn() + Send + Sync + 'static) -> io::Result<Runtime> {
        let shared = Arc::clone(&self.shared);
        let end_of_round = move || {
            if shared.pacer.is_busy() {
                round_over();
                shared.pacer.rest();
            }
        };
        Builder::new_current_thread().enable_all().on_thread_park(end_of_round).build()
    }

    /// Carries frames to the sink and watches deadlines, until [`Self::stop`] and the end of the last connection. Run
    /// it once, on the hot runtime, before connections come.
    pub async fn run(&self, sink: impl UpSink) {
        let sweeper = tokio::spawn(sweep(Arc::clone(&self.shared)));
        Pump::new(Arc::clone(&self.shared), sink).run().await;
        // It has ended before the pump could: no connection is left.
        let _ = sweeper.await;
    }

    /// Accepts connections on plain TCP until [`Self::stop`].
    pub async fn listen(&self, listener: TcpListener) {
        self.accept_each(&listener, || std::future::ready(()), |socket, peer, ()| self.accept(socket, peer)).await;
    }

    /// Hands each socket to `take` until [`Self::stop`], with what `ready` waited for before it was accepted.
    pub(crate) async fn accept_each<T, F: Future<Output = T>>(
        &self,
        listener: &TcpListener,
        mut ready: impl FnMut() -> F,
        mut take: impl FnMut(TcpStream, SocketAddr, T),
    ) {
        let mut stopping = self.shared.stopping.subscribe();
        while !*stopping.borrow_and_update() {
            let next = async {
                let ready = ready().await;
                (ready, listener.accept().await)
            };
            let (ready, accepted) = tokio::select! {
                next = next => next,
                _ = stopping.changed() => break,
            };
            match accepted {
                Ok((socket, peer)) => take(socket, peer, ready),
                Err(error) if is_of_one_connection(&error) => {
                    tracing::debug!(%error, "a connection ended while accepted")
                }
                Err(error) => {
                    tracing::warn!(%error, "no connection can be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Serves a connection on any other transport, on the runtime this is called from. It ends by itself.
    pub fn serve<S>(&self, io: S, peer: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if self.lets_come(peer) {
            self.enter(io, peer, None, None);
        }
    }

    /// Accepts TLS connections until [`Self::stop`], on the runtime this is called from, which shakes the hands; the
    /// conversations are on the `hot` one. Reads the certificates again when their files change.
    pub async fn listen_tls(&self, listener: TcpListener, tls: Tls, hot: Handle) {
        tls::listen(self, listener, tls, hot).await;
    }

    /// Accepts no more, closes every connection ([`DownCause::Shutdown`](crate::DownCause::Shutdown)) and lets
    /// [`Self::run`] end once everything is delivered.
    pub fn stop(&self) {
        self.shared.stopping.send_replace(true);
    }

    /// Connections open, those that have not said who they are too.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.registry.open()
    }

    fn accept(&self, socket: TcpStream, peer: SocketAddr) {
        if !self.lets_come(peer) {
            return;
        }
        // Without it a PUBACK may wait 40 ms for the charger's own delayed acknowledgement.
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%peer, %error, "a connection ended while accepted");
            return self.shared.guard.leave(peer.ip(), true);
        }
        let socket = Arc::new(socket);
        self.enter(SharedTcp(Arc::clone(&socket)), peer, Some(socket), None);
    }

    /// A socket came; whether its address may have one more.
    pub(crate) fn lets_come(&self, peer: SocketAddr) -> bool {
        metrics::counter!(names::ACCEPTED).increment(1);
        let came = self.shared.guard.enter(peer.ip(), self.shared.stopwatch.now());
        if let Err(crowded) = came {
            turn_away(peer, crowded.as_str());
        }
        came.is_ok()
    }

    /// The conversation begins, of one that was let come.
    pub(crate) fn enter<S>(&self, io: S, peer: SocketAddr, tcp: Option<Arc<TcpStream>>, cert: Option<Box<PileCert>>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let shared = &self.shared;
        let now = shared.stopwatch.now();
        let (connections_max, strangers_max) = (shared.config.connections_max, shared.config.strangers_max);
        let make = |slot| Conn::new(slot, peer, tcp, now).with(cert);
        match shared.registry.enter(connections_max, strangers_max, make) {
            Ok(conn) => {
                tokio::spawn(Driver::new(Arc::clone(shared), conn, io));
            }
            Err(limit @ (TurnedAway::Connections | TurnedAway::Strangers)) => {
                shared.guard.leave(peer.ip(), true);
                turn_away(peer, limit.as_str());
            }
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

pub(crate) fn turn_away(peer: SocketAddr, limit: &'static str) {
    metrics::counter!(names::TURNED_AWAY, "limit" => limit).increment(1);
    tracing::debug!(%peer, limit, "turned away");
}

/// Errors of accept(2) that concern the one connection and not the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}
