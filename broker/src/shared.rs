//! What every part of one gate shares. No logic beyond entering and leaving.

use std::sync::Arc;

use domain::Clock;
use metrics::{Counter, counter};
use tokio::sync::watch;

use crate::{
    collector::Collector, conn::Conn, flow::Flow, gate::GateConfig, identity::Identities, names, pacing::Pacer,
    registry::Registry, sink::DownCause, uptime::Stopwatch,
};

/// Counters that are touched per frame, looked up once.
#[derive(Debug)]
pub(crate) struct Meters {
    pub(crate) frames: Counter,
    pub(crate) pubacks: Counter,
    pub(crate) batches: Counter,
    pub(crate) sent: Counter,
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
    pub(crate) collector: Collector,
    pub(crate) flow: Flow,
    pub(crate) meters: Meters,
    /// Turns true once, when the gate is to end.
    pub(crate) stopping: watch::Sender<bool>,
    /// The router at work, for tests that kill it.
    #[cfg(test)]
    pub(crate) router: parking_lot::Mutex<Option<crate::router::Killer>>,
}

impl Shared {
    pub(crate) fn new(config: GateConfig, identities: Arc<Identities>, clock: Arc<dyn Clock>, pacer: Pacer) -> Self {
        Self {
            flow: Flow::new(config.frames_in_flight_max),
            config,
            identities,
            clock,
            stopwatch: Stopwatch::start(),
            pacer,
            registry: Registry::default(),
            collector: Collector::new(),
            meters: Meters {
                frames: counter!(names::FRAMES),
                pubacks: counter!(names::PUBACKS),
                batches: counter!(names::BATCHES),
                sent: counter!(names::SENT),
            },
            stopping: watch::Sender::new(false),
            #[cfg(test)]
            router: parking_lot::Mutex::default(),
        }
    }

    /// A connection is over.
    pub(crate) fn finish(&self, conn: &Conn, cause: DownCause) {
        self.registry.leave(conn, cause, &self.collector);
        metrics::counter!(names::CLOSED, "cause" => cause.as_str()).increment(1);
        if let Some(who) = conn.who() {
            tracing::info!(pile = %who.code, epoch = who.epoch, %cause, "pile disconnected");
        } else {
            tracing::debug!(peer = %conn.peer, %cause, "stranger disconnected");
        }
    }
}
