//! What a pile still has to say: in order, kept until acknowledged, bounded.

use std::collections::VecDeque;

use domain::{OrderNo, wire::UpFrame};

use crate::limits;

/// A frame on its way to the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Names this frame until its PUBACK.
    pub tag: u64,
    /// Whether a PUBACK is expected.
    pub qos1: bool,
    /// What it says.
    pub frame: UpFrame,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Slot {
    out: Outgoing,
    in_flight: bool,
}

/// Frames in the order in which they were made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Outbox {
    slots: VecDeque<Slot>,
    in_flight: usize,
    next_tag: u64,
}

impl Outbox {
    /// Adds a frame at the end and returns the status frame that had to go for it, if any.
    pub(crate) fn push(&mut self, frame: UpFrame, qos1: bool) -> Option<(OrderNo, u32)> {
        let lost = if self.slots.len() >= limits::OUTBOX_LEN_MAX { self.drop_oldest_status() } else { None };
        self.next_tag = self.next_tag.saturating_add(1);
        self.slots.push_back(Slot { out: Outgoing { tag: self.next_tag, qos1, frame }, in_flight: false });
        lost
    }

    fn drop_oldest_status(&mut self) -> Option<(OrderNo, u32)> {
        let at = self.slots.iter().position(|slot| !slot.in_flight && matches!(slot.out.frame, UpFrame::Status(_)))?;
        match self.slots.remove(at)?.out.frame {
            UpFrame::Status(status) => Some((status.order_no, status.seq)),
            UpFrame::Heartbeat(_)
            | UpFrame::Finished(_)
            | UpFrame::CommandAck(_)
            | UpFrame::Event(_)
            | UpFrame::Meter(_) => None,
        }
    }

    /// The next frame to send, while the window has room.
    pub(crate) fn next(&mut self) -> Option<Outgoing> {
        if self.in_flight >= limits::IN_FLIGHT_MAX {
            return None;
        }
        let at = self.slots.iter().position(|slot| !slot.in_flight)?;
        let slot = self.slots.get_mut(at)?;
        if slot.out.qos1 {
            slot.in_flight = true;
            self.in_flight = self.in_flight.saturating_add(1);
            return Some(slot.out.clone());
        }
        self.slots.remove(at).map(|slot| slot.out)
    }

    /// A PUBACK came; returns the frame that it was for. One for an unknown tag changes nothing.
    pub(crate) fn acknowledged(&mut self, tag: u64) -> Option<UpFrame> {
        let at = self.slots.iter().position(|slot| slot.in_flight && slot.out.tag == tag)?;
        self.in_flight = self.in_flight.saturating_sub(1);
        self.slots.remove(at).map(|slot| slot.out.frame)
    }

    /// The connection is gone: everything unacknowledged is to be sent again, in order. Heartbeats are not worth it.
    pub(crate) fn connection_lost(&mut self) {
        self.in_flight = 0;
        self.slots.retain_mut(|slot| {
            slot.in_flight = false;
            !matches!(slot.out.frame, UpFrame::Heartbeat(_))
        });
    }

    /// Whether a status frame of this order still waits to be sent or acknowledged.
    pub(crate) fn holds_status_of(&self, order_no: &OrderNo) -> bool {
        self.slots.iter().any(|slot| matches!(&slot.out.frame, UpFrame::Status(status) if status.order_no == *order_no))
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use domain::{ConnectorId, Timestamp, WattHours, wire::Meter};

    use super::*;

    fn meter(wh: i64) -> UpFrame {
        UpFrame::Meter(Meter { connector: ConnectorId(1), meter: WattHours(wh), timestamp: Timestamp::EPOCH })
    }

    #[test]
    fn unacknowledged_frames_are_sent_again_in_order_after_a_cut() {
        let mut outbox = Outbox::default();
        for wh in 1..=3 {
            outbox.push(meter(wh), true);
        }
        let first = outbox.next().unwrap();
        let second = outbox.next().unwrap();
        assert_eq!(outbox.acknowledged(first.tag), Some(meter(1)));
        outbox.connection_lost();
        assert_eq!(outbox.next().unwrap().tag, second.tag);
        assert_eq!(outbox.next().unwrap().frame, meter(3));
        assert_eq!(outbox.next(), None);
    }

    #[test]
    fn the_window_bounds_what_is_in_flight() {
        let mut outbox = Outbox::default();
        for wh in 0..100 {
            outbox.push(meter(wh), true);
        }
        let sent = std::iter::from_fn(|| outbox.next()).count();
        assert_eq!(sent, limits::IN_FLIGHT_MAX);
    }

    #[test]
    fn a_frame_without_qos_is_forgotten_once_sent() {
        let mut outbox = Outbox::default();
        outbox.push(meter(1), false);
        assert!(outbox.next().is_some());
        assert!(outbox.is_empty());
    }
}
