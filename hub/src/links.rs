//! Between the gate and the actors: two adapters that translate and decide nothing.
//!
//! [`ToActors`] carries frames up, [`ToPiles`] carries commands and acknowledgements down.

use std::{collections::HashMap, sync::Arc, time::Duration};

use actors::{
    Handle,
    api::{self, PileLink},
};
use broker::{Acks, BadFrame, Deliver, LinkEvent, Outbound, UpSink};
use bytes::Bytes;
use domain::{
    AckToken, PileCode, PileNo, Timestamp,
    command::Command,
    wire::{DownTopic, RecordAckResult, UpFrame, UpTopic, encode_command, encode_record_ack},
};
use parking_lot::Mutex;
use store::telemetry::Quarantined;

use crate::credentials::Credentials;

/// How long a message that does not expire is kept for a pile that went away: by then what is still needed has been sent
/// again.
const KEPT: Duration = Duration::from_secs(3_600);

/// The connection a pile has, by number.
type Epochs = Arc<Mutex<HashMap<PileNo, u32>>>;

/// Frames and links on their way from the gate to the actors. Runs on the hot thread and never waits.
#[derive(Debug)]
pub(crate) struct ToActors {
    actors: Handle,
    epochs: Epochs,
    credentials: Arc<Credentials>,
}

impl ToActors {
    pub(crate) fn new(actors: Handle, piles: &ToPiles, credentials: Arc<Credentials>) -> Self {
        Self { actors, epochs: Arc::clone(&piles.epochs), credentials }
    }
}

impl UpSink for ToActors {
    fn frame(&mut self, up: broker::Up<'_>) -> Deliver {
        if let UpFrame::CommandAck(ack) = &up.frame
            && self.credentials.answered(up.pile_no, ack, up.token)
        {
            return Deliver::Taken;
        }
        let keeps_bytes = !matches!(up.topic, UpTopic::Heartbeat | UpTopic::Meter);
        let taken = self.actors.frame(api::Up {
            pile_no: up.pile_no,
            received: up.received,
            frame: up.frame,
            topic: up.topic,
            raw: if keeps_bytes { Box::from(up.raw) } else { Box::default() },
            token: up.token,
        });
        if taken { Deliver::Taken } else { Deliver::Busy }
    }

    fn bad_frame(&mut self, bad: BadFrame<'_>) -> Deliver {
        let frame = Quarantined {
            quarantine_id: 0,
            pile_code: bad.code.clone(),
            topic: bad.topic.topic(bad.code),
            payload: bad.raw.to_vec(),
            reason: bad.error.reason.to_string(),
            detail: bad.error.to_string(),
            received: bad.received,
            replayed_at: None,
        };
        self.actors.quarantine(bad.pile_no, frame, bad.token);
        Deliver::Taken
    }

    fn link(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Up { pile_no, epoch, addr, by } => {
                tracing::debug!(pile = pile_no.0, epoch, %addr, ?by, "link up");
                self.epochs.lock().insert(pile_no, epoch);
                self.actors.link_up(pile_no, epoch);
                self.credentials.linked(pile_no, by);
            }
            LinkEvent::Down { pile_no, epoch, cause, will } => {
                tracing::debug!(pile = pile_no.0, epoch, %cause, will, "link down");
                let mut epochs = self.epochs.lock();
                if epochs.get(&pile_no) == Some(&epoch) {
                    epochs.remove(&pile_no);
                }
                drop(epochs);
                self.actors.link_down(pile_no, epoch);
            }
        }
    }

    fn ready(&self) -> bool {
        self.actors.ready()
    }
}

/// Commands and acknowledgements on their way from the actors to the gate.
#[derive(Debug)]
pub(crate) struct ToPiles {
    outbound: Outbound,
    acks: Acks,
    epochs: Epochs,
}

impl ToPiles {
    pub(crate) fn new(outbound: Outbound, acks: Acks) -> Self {
        Self { outbound, acks, epochs: Epochs::default() }
    }

    /// Whether a pile has a connection.
    pub(crate) fn is_connected(&self, pile_no: PileNo) -> bool {
        self.outbound.is_connected(pile_no)
    }

    fn send(&self, pile_no: PileNo, code: &PileCode, topic: DownTopic, payload: Vec<u8>, keep: Duration) -> bool {
        match self.outbound.send_for(pile_no, topic, Bytes::from(payload), true, keep) {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(pile = %code, topic = topic.as_str(), %error, "not sent");
                false
            }
        }
    }
}

impl PileLink for ToPiles {
    fn send_command(&self, pile_no: PileNo, code: &PileCode, command: &Command, now: Timestamp) -> bool {
        let left = command.expires_at.and_then(|at| u64::try_from(at.since(now).0).ok()).filter(|ms| *ms > 0);
        let keep = left.map_or(KEPT, Duration::from_millis);
        self.send(pile_no, code, DownTopic::Command, encode_command(command, code, now), keep)
    }

    fn send_record_ack(
        &self,
        pile_no: PileNo,
        code: &PileCode,
        order_no: &str,
        seq: Option<u32>,
        result: RecordAckResult,
        now: Timestamp,
    ) -> bool {
        self.send(pile_no, code, DownTopic::RecordAck, encode_record_ack(order_no, seq, result, now), KEPT)
    }

    fn stored(&self, tokens: &mut Vec<AckToken>) {
        self.acks.complete(tokens);
    }

    fn bad_frame(&self, pile_no: PileNo) {
        let epoch = self.epochs.lock().get(&pile_no).copied();
        if let Some(epoch) = epoch {
            self.acks.report_bad(pile_no, epoch);
        }
    }
}
