//! What every part of one gate shares. No logic beyond entering and leaving.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use domain::Clock;
use metrics::{Counter, counter};
use tokio::sync::watch;

use crate::{
    attempts::{Attempt, Attempts},
    collector::Collector,
    conn::Conn,
    flow::Flow,
    gate::GateConfig,
    guard::Guard,
    identity::Identities,
    names,
    pacing::Pacer,
    readers::Desk,
    registry::Registry,
    sink::DownCause,
    uptime::{Stopwatch, Uptime},
};

/// Counters that are touched per frame, looked up once.
#[derive(Debug)]
pub(crate) struct Meters {
    pub(crate) frames: Counter,
    pub(crate) pubacks: Counter,
    pub(crate) batches: Counter,
    pub(crate) sent: Counter,
    pub(crate) throttled: Counter,
    pub(crate) banned: Counter,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: GateConfig,
    pub(crate) identities: Arc<Identities>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stopwatch: Stopwatch,
    pub(crate) pacer: Pacer,
    pub(crate) registry: Registry,
    pub(crate) guard: Guard,
    /// Bytes of packets that have come in part.
    pub(crate) inbound: AtomicUsize,
    pub(crate) collector: Collector,
    pub(crate) attempts: Attempts,
    pub(crate) readers: Desk,
    pub(crate) flow: Flow,
    pub(crate) meters: Meters,
    /// Turns true once, when the gate is to end.
    pub(crate) stopping: watch::Sender<bool>,
    /// The router at work, for tests that kill it.
    #[cfg(test)]
    pub(crate) router: parking_lot::Mutex<Option<crate::router::Killer>>,
}

impl Shared {
    pub(crate) fn new(config: GateConfig, identities: Arc<Identities>, clock: Arc<dyn Clock>) -> Self {
        Self {
            pacer: Pacer::new(config.pacing),
            flow: Flow::new(config.frames_in_flight_max),
            identities,
            clock,
            stopwatch: Stopwatch::start(),
            registry: Registry::default(),
            guard: Guard::new(config.limits, config.strangers_max),
            inbound: AtomicUsize::new(0),
            config,
            collector: Collector::new(),
            attempts: Attempts::new(),
            readers: Desk::new(),
            meters: Meters {
                frames: counter!(names::FRAMES),
                pubacks: counter!(names::PUBACKS),
                batches: counter!(names::BATCHES),
                sent: counter!(names::SENT),
                throttled: counter!(names::THROTTLED),
                banned: counter!(names::NOT_LISTENED_TO),
            },
            stopping: watch::Sender::new(false),
            #[cfg(test)]
            router: parking_lot::Mutex::default(),
        }
    }

    /// Notes that a connection holds so many bytes of a packet that came in part instead of `held`; whether there is
    /// room for them. Strangers have a quarter of it.
    pub(crate) fn may_hold(&self, held: &mut usize, bytes: usize, is_stranger: bool) -> bool {
        let before = std::mem::replace(held, bytes);
        if bytes <= before {
            self.inbound.fetch_sub(before - bytes, Ordering::Relaxed);
            return true;
        }
        let more = bytes - before;
        let most = self.config.limits.inbound_bytes_max / if is_stranger { 4 } else { 1 };
        self.inbound.fetch_add(more, Ordering::Relaxed).saturating_add(more) <= most
    }

    /// A certificate was refused.
    pub(crate) fn certificate_refused(&self, peer: SocketAddr, why: &'static str, now: Uptime) {
        if self.guard.is_worth_telling(peer.ip(), now) {
            self.attempts.tell(Attempt::Certificate { peer, why }, now);
        }
    }

    /// A connection is over.
    pub(crate) fn finish(&self, conn: &Conn, cause: DownCause) {
        self.registry.leave(conn, cause, &self.collector);
        self.guard.leave(conn.peer.ip(), conn.is_stranger());
        metrics::counter!(names::CLOSED, "cause" => cause.as_str()).increment(1);
        if let Some(who) = conn.who() {
            tracing::info!(pile = %who.code, epoch = who.epoch, %cause, "pile disconnected");
        } else if let Some(reader) = conn.reader() {
            self.readers.left(reader, cause);
        } else {
            tracing::debug!(peer = %conn.peer, %cause, "stranger disconnected");
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use domain::{PileCode, PileNo, Timestamp};

    use super::*;
    use crate::{
        identity::Identity,
        limits::FRAMES_IN_FLIGHT_MAX,
        router::RouterKind,
        sink::{BadFrame, Deliver, LinkEvent, Up, UpSink},
    };

    #[derive(Debug)]
    struct Epoch;

    impl Clock for Epoch {
        fn now(&self) -> Timestamp {
            Timestamp::EPOCH
        }
    }

    /// A gate's inside with the pile P1, whose secret is `s`, and a queue for a router.
    pub(crate) fn shared() -> Arc<Shared> {
        let identities = Identities::new(&[1; 32]);
        let code = PileCode::parse("P1").unwrap();
        let verifier = identities.verifier_of(&code, "s");
        identities.insert(Identity::new(PileNo(1), code, verifier));
        let config = GateConfig {
            router: RouterKind::Loopback,
            frames_in_flight_max: FRAMES_IN_FLIGHT_MAX,
            ..GateConfig::default()
        };
        Arc::new(Shared::new(config, Arc::new(identities), Arc::new(Epoch)))
    }

    /// Writes down what it is told; takes frames while it has room.
    #[derive(Debug, Default)]
    pub(crate) struct Notes {
        pub(crate) told: Vec<String>,
        pub(crate) room: usize,
        pub(crate) not_ready: bool,
    }

    impl Notes {
        fn take(&mut self, line: String) -> Deliver {
            if self.room == 0 {
                return Deliver::Busy;
            }
            self.room -= 1;
            self.told.push(line);
            Deliver::Taken
        }
    }

    impl UpSink for Notes {
        fn frame(&mut self, up: Up<'_>) -> Deliver {
            self.take(format!("{} {} {} {:?}", up.pile_no.0, up.epoch, up.topic, up.token.map(|token| token.n)))
        }
        fn bad_frame(&mut self, bad: BadFrame<'_>) -> Deliver {
            self.take(format!("{} {} {} {}", bad.code, bad.epoch, bad.topic, bad.error.reason))
        }
        fn link(&mut self, event: LinkEvent) {
            self.told.push(match event {
                LinkEvent::Up { pile_no, epoch, .. } => format!("{} up {epoch}", pile_no.0),
                LinkEvent::Down { pile_no, epoch, .. } => format!("{} down {epoch}", pile_no.0),
            });
        }
        fn ready(&self) -> bool {
            !self.not_ready
        }
    }
}
