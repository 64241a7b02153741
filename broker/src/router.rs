//! The router between reading and ingest: rumqttd's, embedded, behind a port of two calls.
//!
//! It sees batches and no piles: one constant topic, one filter. rumqttd runs on a thread of its own and cannot be
//! simulated, so tests of time put a queue in its place.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use bytes::Bytes;
use rumqttd::{
    Broker, Config, Notification, RouterConfig,
    local::{LinkError, LinkRx, LinkTx},
    protocol::{Disconnect, DisconnectReasonCode, Packet},
};

use crate::{
    limits::{ROUTER_CONNECTIONS_MAX, ROUTER_FORWARD_MAX, ROUTER_SEGMENT_LEN, ROUTER_SEGMENTS_MAX},
    readers::Source,
};

/// The one topic. It starts with an ASCII letter and is never anything a charger says: rumqttd's router dies of topics
/// that do not.
pub(crate) const TOPIC: &str = "up";

/// Which router the gate feeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RouterKind {
    /// rumqttd's, on a thread of its own.
    #[default]
    Embedded,
    /// A queue in memory, for tests with simulated time.
    Loopback,
}

/// Why a router is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RouterFault {
    /// Its thread is gone.
    #[error("the router is dead")]
    Dead,
    /// It skipped something.
    #[error("the router lost a batch")]
    Gap,
    /// Nothing comes out of it.
    #[error("the router has stalled")]
    Stalled,
}

impl RouterFault {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Gap => "gap",
            Self::Stalled => "stalled",
        }
    }
}

impl From<LinkError> for RouterFault {
    fn from(_: LinkError) -> Self {
        Self::Dead
    }
}

/// A router with one way in and one way out.
pub(crate) enum Router {
    Embedded(Box<Embedded>),
    Loopback(VecDeque<Bytes>),
}

/// rumqttd's router and our two links to it.
pub(crate) struct Embedded {
    into: LinkTx,
    subscriber: LinkTx,
    out: LinkRx,
    /// Offset in the router's log of what must come out next.
    next_offset: Option<u64>,
    broker: Arc<Broker>,
}

impl Router {
    /// Starts one.
    ///
    /// # Errors
    /// [`RouterFault::Dead`] when it cannot be started.
    pub(crate) async fn start(kind: RouterKind) -> Result<Self, RouterFault> {
        match kind {
            RouterKind::Loopback => Ok(Self::Loopback(VecDeque::new())),
            // rumqttd waits for its thread when it links, and panics when it cannot start one.
            RouterKind::Embedded => match tokio::task::spawn_blocking(Embedded::start).await {
                Ok(started) => Ok(Self::Embedded(Box::new(started?))),
                Err(_panicked) => Err(RouterFault::Dead),
            },
        }
    }

    /// Puts a batch in. Does not block while fewer than
    /// [`BATCHES_IN_FLIGHT_MAX`](crate::limits::BATCHES_IN_FLIGHT_MAX) are on their way.
    pub(crate) fn publish(&mut self, batch: Bytes) -> Result<(), RouterFault> {
        match self {
            Self::Embedded(router) => router.into.publish(Bytes::from_static(TOPIC.as_bytes()), batch).map(drop)?,
            Self::Loopback(queue) => queue.push_back(batch),
        }
        Ok(())
    }

    /// The next batch that comes out. Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> Result<Bytes, RouterFault> {
        match self {
            Self::Embedded(router) => router.next().await,
            Self::Loopback(queue) => match queue.pop_front() {
                Some(batch) => Ok(batch),
                None => std::future::pending().await,
            },
        }
    }

    /// The next batch that comes out before `deadline`, waited for by standing still; `None`: nothing did, or the
    /// router is dead, which [`Self::next`] tells.
    pub(crate) fn next_by(&mut self, deadline: Instant) -> Result<Option<Bytes>, RouterFault> {
        match self {
            Self::Embedded(router) => router.next_by(deadline),
            Self::Loopback(queue) => Ok(queue.pop_front()),
        }
    }

    /// Lets go of it. Its thread, if it still lives, is told that the links are over; a link that is just dropped is
    /// kept by the router for ever.
    pub(crate) async fn abandon(self) {
        let Self::Embedded(router) = self else { return };
        let Embedded { mut into, mut subscriber, .. } = *router;
        for link in [&mut into, &mut subscriber] {
            // A dead router needs no farewell.
            let _ = link.send(farewell()).await;
        }
    }

    /// Where others can take a place beside the gate's own; `None`: this kind of router has none.
    pub(crate) fn source(&self) -> Option<Source> {
        match self {
            Self::Embedded(router) => Some(Source(Arc::clone(&router.broker))),
            Self::Loopback(_) => None,
        }
    }

    #[cfg(test)]
    pub(crate) fn killer(&self) -> Option<Killer> {
        match self {
            Self::Embedded(router) => Some(Killer(Arc::clone(&router.broker))),
            Self::Loopback(_) => None,
        }
    }
}

/// Kills a router, for tests.
#[cfg(test)]
#[derive(Clone)]
pub(crate) struct Killer(Arc<Broker>);

#[cfg(test)]
impl Killer {
    /// By one of the topics that rumqttd's router thread dies of; whether it was alive.
    pub(crate) fn kill(&self) -> bool {
        let Ok((mut link, _)) = self.0.link("killer") else { return false };
        link.publish("桩", Bytes::from_static(b"x")).is_ok()
    }
}

#[cfg(test)]
impl std::fmt::Debug for Killer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Killer")
    }
}

impl Embedded {
    fn start() -> Result<Self, RouterFault> {
        let router = RouterConfig {
            max_connections: ROUTER_CONNECTIONS_MAX,
            max_outgoing_packet_count: ROUTER_FORWARD_MAX,
            max_segment_size: ROUTER_SEGMENT_LEN,
            max_segment_count: ROUTER_SEGMENTS_MAX,
            ..RouterConfig::default()
        };
        // Never `start()`: that is the listener; the router runs as soon as it is made.
        let broker = Broker::new(Config { router, ..Config::default() });
        let (mut subscriber, out) = broker.link("ingest")?;
        subscriber.subscribe(TOPIC)?;
        let (into, _nothing_to_read) = broker.link("gate")?;
        Ok(Self { into, subscriber, out, next_offset: Some(0), broker: Arc::new(broker) })
    }

    async fn next(&mut self) -> Result<Bytes, RouterFault> {
        loop {
            let notification = self.out.next().await?;
            if let Some(batch) = unpack(&self.out, &mut self.next_offset, notification)? {
                return Ok(batch);
            }
        }
    }

    fn next_by(&mut self, deadline: Instant) -> Result<Option<Bytes>, RouterFault> {
        loop {
            let notification = match self.out.recv_deadline(deadline) {
                Err(LinkError::RecvTimeout(_)) => return Ok(None),
                received => received?,
            };
            if let Some(batch) = unpack(&self.out, &mut self.next_offset, notification)? {
                return Ok(Some(batch));
            }
        }
    }
}

/// What a link says when it ends.
pub(crate) fn farewell() -> Packet {
    Packet::Disconnect(Disconnect { reason_code: DisconnectReasonCode::NormalDisconnection }, None)
}

/// The batch of a notification that came out of a link, which must be the one at `next_offset` of the router's log.
pub(crate) fn unpack(
    out: &LinkRx,
    next_offset: &mut Option<u64>,
    notification: Option<Notification>,
) -> Result<Option<Bytes>, RouterFault> {
    match notification {
        Some(Notification::Forward(forward)) => {
            let Some((_segment, offset)) = forward.cursor else { return Err(RouterFault::Gap) };
            if next_offset.is_some_and(|next| next != offset) {
                return Err(RouterFault::Gap);
            }
            *next_offset = Some(offset.saturating_add(1));
            Ok(Some(forward.publish.payload))
        }
        // It paused because we were slow; it must be told that we are ready again.
        Some(Notification::Unschedule) => {
            out.ready()?;
            Ok(None)
        }
        Some(Notification::Disconnect(..)) => Err(RouterFault::Dead),
        Some(
            Notification::DeviceAck(_)
            | Notification::Shadow(_)
            | Notification::ReplicaData { .. }
            | Notification::ReplicaAcks { .. },
        )
        | None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(n: u32) -> Bytes {
        Bytes::copy_from_slice(&n.to_le_bytes())
    }

    #[tokio::test]
    async fn thousands_of_batches_come_out_in_order_although_the_router_pauses() {
        let mut router = Router::start(RouterKind::Embedded).await.unwrap();
        let mut next_out = 0;
        for n in 0..5_000_u32 {
            router.publish(batch(n)).unwrap();
            if n - next_out > 400 {
                assert_eq!(router.next().await, Ok(batch(next_out)));
                next_out += 1;
            }
        }
        while next_out < 5_000 {
            assert_eq!(router.next().await, Ok(batch(next_out)));
            next_out += 1;
        }
        router.abandon().await;
    }

    #[tokio::test]
    async fn a_dead_router_is_noticed_by_reader_and_writer() {
        let mut router = Router::start(RouterKind::Embedded).await.unwrap();
        router.publish(batch(1)).unwrap();
        assert_eq!(router.next().await, Ok(batch(1)));
        assert!(router.killer().unwrap().kill());
        assert_eq!(router.next().await, Err(RouterFault::Dead));
        // Its way in is dropped a moment after its way out.
        while router.publish(batch(2)).is_ok() {
            tokio::task::yield_now().await;
        }
    }
}
