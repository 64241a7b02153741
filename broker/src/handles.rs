//! What the rest of the hub holds of the gate: one handle to send to piles, one to acknowledge their frames.
//!
//! Both may be used from any thread, block on nothing, and write to a plain TCP socket directly.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use domain::{AckToken, PileNo, wire::DownTopic};

use crate::{conn::outbox::Message, limits::OUTBOUND_KEPT, names, shared::Shared};

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The pile is not connected. Its next link is told to the sink.
    #[error("the pile is not connected")]
    Offline,
    /// Too much waits for the pile already, see [`limits`](crate::limits).
    #[error("too much waits for the pile already")]
    QueueFull,
}

/// Sends to piles.
#[derive(Debug, Clone)]
pub struct Outbound {
    pub(crate) shared: Arc<Shared>,
}

impl Outbound {
    /// Sends a message on one of the pile's down topics. A pile that has not subscribed to it yet gets it as soon as
    /// it has. Taken does not mean received: a command is sent again until the pile answers it.
    ///
    /// # Errors
    /// [`SendError`]: nothing was taken.
    pub fn send(
        &self,
        pile_no: PileNo,
        topic: DownTopic,
        payload: Bytes,
        at_least_once: bool,
    ) -> Result<(), SendError> {
        self.send_for(pile_no, topic, payload, at_least_once, OUTBOUND_KEPT)
    }

    /// The same for a message that is of use to the pile only so long.
    ///
    /// # Errors
    /// [`SendError`]: nothing was taken.
    pub fn send_for(
        &self,
        pile_no: PileNo,
        topic: DownTopic,
        payload: Bytes,
        at_least_once: bool,
        keep: Duration,
    ) -> Result<(), SendError> {
        let now = self.shared.stopwatch.now();
        let message = Message { topic, payload, at_least_once, until: now.plus(keep.min(OUTBOUND_KEPT)) };
        let Some(conn) = self.shared.registry.of(pile_no) else {
            metrics::counter!(names::NOT_SENT, "why" => "offline").increment(1);
            return Err(SendError::Offline);
        };
        match conn.send(message, now) {
            Ok(()) => {
                self.shared.meters.sent.increment(1);
                Ok(())
            }
            Err(_full) => {
                metrics::counter!(names::NOT_SENT, "why" => "queue_full").increment(1);
                Err(SendError::QueueFull)
            }
        }
    }

    /// Whether the pile has a connection.
    #[must_use]
    pub fn is_connected(&self, pile_no: PileNo) -> bool {
        self.shared.registry.of(pile_no).is_some()
    }
}

/// Acknowledges frames once they are stored.
#[derive(Debug, Clone)]
pub struct Acks {
    pub(crate) shared: Arc<Shared>,
}

impl Acks {
    /// Frames are durable: sends their PUBACKs, in order and in one write per connection; empties `tokens`. Called by
    /// the store's writer after its commit. A frame whose connection is gone is passed over: it comes again.
    pub fn complete(&self, tokens: &mut Vec<AckToken>) {
        let now = self.shared.stopwatch.now();
        tokens.sort_unstable_by_key(|token| (token.conn, token.epoch));
        let mut sent = 0_u64;
        for group in tokens.chunk_by(|a, b| (a.conn, a.epoch) == (b.conn, b.epoch)) {
            let conn = group.first().and_then(|one| self.shared.registry.of_epoch(PileNo(one.conn), one.epoch));
            if let Some(conn) = conn {
                sent += u64::from(conn.stored(group.iter().map(|token| token.n), now));
            }
        }
        self.shared.meters.pubacks.increment(sent);
        tokens.clear();
    }

    /// Counts a frame that only the actors found to be bad (an unknown order, another pile's order) against the
    /// connection it came on; the 20th in a minute closes it [CONTRACT 1.6].
    pub fn report_bad(&self, pile_no: PileNo, epoch: u32) {
        if let Some(conn) = self.shared.registry.of_epoch(pile_no, epoch) {
            conn.bad_frame(self.shared.stopwatch.now());
        }
    }
}
