//! Batches out of the router → frames and link events for the sink.
//!
//! Here bytes become [`UpFrame`](domain::wire::UpFrame)s, and here a frame of a connection that was taken over
//! meanwhile is left out: it is not acknowledged, so the charger sends it again.

use std::sync::Arc;

use bytes::Bytes;
use domain::{
    PileCode, PileNo,
    wire::{self, FrameError, Reason},
};

use crate::{
    batch::{FrameRecord, HEAD_LEN, Record, Records},
    limits::{PAYLOAD_LEN_MAX, PILE_NO_MAX},
    names,
    shared::Shared,
    sink::{BadFrame, Deliver, LinkEvent, Up, UpSink},
};

/// What ingest knows of a pile: the link that the sink was last told of.
#[derive(Debug, Default)]
struct Link {
    epoch: u32,
    up: bool,
    code: Option<PileCode>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Ingest<S> {
    shared: Arc<Shared>,
    sink: S,
    /// By pile number.
    links: Vec<Link>,
    /// A batch whose next frame the sink had no room for, and where that frame begins.
    rest: Option<(Bytes, usize)>,
    /// The flow was told that the sink is full.
    held: bool,
}

impl<S: UpSink> Ingest<S> {
    pub(crate) fn new(shared: Arc<Shared>, sink: S) -> Self {
        Self { shared, sink, links: Vec::new(), rest: None, held: false }
    }

    /// Whether the next batch may come. If not, the sink must be asked again, by calling this again.
    pub(crate) fn may_go_on(&mut self) -> bool {
        if let Some((batch, at)) = self.rest.take() {
            self.pass_on(batch, at);
        }
        let full = self.rest.is_some() || !self.sink.ready();
        if full != self.held {
            self.held = full;
            self.shared.flow.sink_is_full(full);
        }
        !full
    }

    /// Passes a batch on. Only after [`Self::may_go_on`] said yes.
    pub(crate) fn batch(&mut self, batch: Bytes) {
        self.pass_on(batch, HEAD_LEN);
    }

    fn pass_on(&mut self, batch: Bytes, from: usize) {
        let (mut at, mut frames, mut bytes) = (from, 0, 0);
        let mut records = Records::at(&batch, from);
        while let Some(record) = records.next() {
            match record {
                Record::Frame(frame) => {
                    if self.frame(&frame) == Deliver::Busy {
                        break;
                    }
                    frames += 1;
                    bytes += frame.payload.len();
                }
                Record::Up { pile_no, epoch, code, addr } => self.up(pile_no, epoch, code, addr),
                Record::Down { pile_no, epoch, cause, will } => {
                    if let Some(link) = self.links.get_mut(pile_no.index()) {
                        link.up = false;
                    }
                    self.sink.link(LinkEvent::Down { pile_no, epoch, cause, will });
                }
            }
            at = batch.len() - records.left();
        }
        if at < batch.len() {
            self.rest = Some((batch, at));
        }
        self.shared.meters.frames.increment(u64::try_from(frames).unwrap_or(0));
        self.shared.flow.delivered(frames, bytes);
    }

    fn up(&mut self, pile_no: PileNo, epoch: u32, code: &str, addr: std::net::SocketAddr) {
        let at = pile_no.index();
        if pile_no.0 <= PILE_NO_MAX && self.links.len() <= at {
            self.links.resize_with(at + 1, Link::default);
        }
        if let Some(link) = self.links.get_mut(at) {
            link.epoch = epoch;
            link.up = true;
            if link.code.as_ref().is_none_or(|known| known.as_str() != code) {
                link.code = PileCode::parse(code).ok();
            }
        }
        self.sink.link(LinkEvent::Up { pile_no, epoch, addr });
    }

    fn frame(&mut self, frame: &FrameRecord<'_>) -> Deliver {
        let link = self.links.get(frame.pile_no.index()).filter(|link| link.up && link.epoch == frame.epoch);
        let Some(code) = link.and_then(|link| link.code.as_ref()) else {
            metrics::counter!(names::LATE_FRAMES).increment(1);
            return Deliver::Taken;
        };
        let FrameRecord { pile_no, epoch, received, topic, payload: raw, .. } = *frame;
        let token = frame.ack_token();
        let error = match understand(frame, code) {
            Ok(understood) => {
                return self.sink.frame(Up { pile_no, epoch, received, topic, frame: understood, raw, token });
            }
            Err(error) => error,
        };
        let reason = error.reason;
        tracing::debug!(pile = %code, %topic, %error, "bad frame");
        let delivered = self.sink.bad_frame(BadFrame { pile_no, epoch, code, received, topic, raw, error, token });
        if delivered == Deliver::Taken {
            metrics::counter!(names::BAD_FRAMES, "reason" => reason.as_str()).increment(1);
            if let Some(conn) = self.shared.registry.of_epoch(pile_no, epoch) {
                conn.bad_frame(self.shared.stopwatch.now());
            }
        }
        delivered
    }
}

fn understand(frame: &FrameRecord<'_>, code: &PileCode) -> Result<wire::UpFrame, FrameError> {
    let len = usize::try_from(frame.payload_len).unwrap_or(usize::MAX);
    if len > PAYLOAD_LEN_MAX {
        let detail = format!("{len} bytes, at most {PAYLOAD_LEN_MAX} are accepted");
        return Err(FrameError::frame(Reason::Oversize, &detail));
    }
    wire::parse(frame.topic, code.as_str(), frame.payload)
}
