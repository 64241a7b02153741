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
                Record::Up { pile_no, epoch, code, addr, by } => {
                    self.know(pile_no, epoch, code);
                    self.sink.link(LinkEvent::Up { pile_no, epoch, addr, by });
                }
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

    fn know(&mut self, pile_no: PileNo, epoch: u32, code: &str) {
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
    if frame.retain {
        return Err(FrameError::frame(Reason::Retained, "retain is set; publish without it"));
    }
    wire::parse(frame.topic, code.as_str(), frame.payload)
}

#[cfg(test)]
mod tests {
    use domain::{Timestamp, wire::UpTopic};

    use super::*;
    use crate::{
        shared::tests::{Notes, shared},
        sink::DownCause,
    };

    const HEARTBEAT: &[u8] = br#"{"status":1,"timestamp":1763690000000}"#;

    fn up(epoch: u32) -> Record<'static> {
        Record::Up {
            pile_no: PileNo(1),
            epoch,
            code: "P1",
            addr: "127.0.0.1:1".parse().unwrap(),
            by: crate::Credential::Secret,
        }
    }

    fn down(epoch: u32) -> Record<'static> {
        Record::Down { pile_no: PileNo(1), epoch, cause: DownCause::Closed, will: false }
    }

    fn frame(epoch: u32, n: u32, payload: &[u8]) -> Record<'_> {
        Record::Frame(FrameRecord {
            pile_no: PileNo(1),
            epoch,
            received: Timestamp::EPOCH,
            topic: UpTopic::Heartbeat,
            token: Some(n),
            retain: false,
            payload,
            payload_len: u32::try_from(payload.len()).unwrap(),
        })
    }

    /// Counts the frames as taken, as a connection does, and passes the batch on.
    fn pass(ingest: &mut Ingest<Notes>, records: &[Record<'_>]) {
        let mut batch = vec![0; HEAD_LEN];
        for record in records {
            if let Record::Frame(frame) = record {
                ingest.shared.flow.taken(frame.payload.len());
            }
            record.write(&mut batch);
        }
        assert!(ingest.may_go_on());
        ingest.batch(batch.into());
    }

    fn with_room(room: usize) -> Ingest<Notes> {
        Ingest::new(shared(), Notes { room, ..Notes::default() })
    }

    #[tokio::test]
    async fn a_late_frame_of_a_connection_that_was_taken_over_is_left_out() {
        let mut ingest = with_room(9);
        pass(&mut ingest, &[up(1), frame(1, 0, HEARTBEAT), down(1), up(2), frame(1, 1, HEARTBEAT)]);
        pass(&mut ingest, &[frame(2, 0, HEARTBEAT), frame(1, 2, b"bad"), down(2), frame(2, 1, HEARTBEAT)]);
        let expected = ["1 up 1", "1 1 heartbeat Some(0)", "1 down 1", "1 up 2", "1 2 heartbeat Some(0)", "1 down 2"];
        assert_eq!(ingest.sink.told, expected);
        assert_eq!(ingest.shared.flow.frames(), 0, "they no longer count as on their way");
    }

    #[tokio::test]
    async fn a_frame_of_nobody_is_left_out() {
        let mut ingest = with_room(9);
        pass(&mut ingest, &[frame(1, 0, HEARTBEAT)]);
        assert_eq!(ingest.sink.told, [""; 0]);
    }

    #[tokio::test]
    async fn a_busy_sink_gets_the_same_frame_again_and_nothing_twice() {
        let mut ingest = with_room(1);
        pass(&mut ingest, &[up(1), frame(1, 0, HEARTBEAT), frame(1, 1, b"bad"), frame(1, 2, HEARTBEAT), down(1)]);
        for _ in 0..3 {
            assert!(!ingest.may_go_on());
        }
        assert!(ingest.shared.flow.is_shut());
        assert_eq!(ingest.shared.flow.frames(), 2);
        ingest.sink.room = 1;
        assert!(!ingest.may_go_on());
        ingest.sink.room = 1;
        assert!(ingest.may_go_on());
        assert!(!ingest.shared.flow.is_shut());
        let expected =
            ["1 up 1", "1 1 heartbeat Some(0)", "P1 1 heartbeat MALFORMED_JSON", "1 1 heartbeat Some(2)", "1 down 1"];
        assert_eq!(ingest.sink.told, expected);
    }

    #[tokio::test]
    async fn a_sink_that_is_not_ready_shuts_the_flow_until_it_is() {
        let mut ingest = with_room(9);
        ingest.sink.not_ready = true;
        assert!(!ingest.may_go_on());
        assert!(ingest.shared.flow.is_shut());
        ingest.sink.not_ready = false;
        assert!(ingest.may_go_on());
        assert!(!ingest.shared.flow.is_shut());
    }
}
