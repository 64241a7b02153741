//! The QoS 1 frames of one connection that wait to be stored, in the order in which they came.
//!
//! A PUBACK leaves only when its frame *and every one before it* is stored [MQTT-4.6.0-2], so a charger that reads
//! PUBACK 7 knows that 1 to 6 are safe too. Pure: no clock, no socket.

use std::collections::VecDeque;

use crate::{mqtt::write, uptime::Uptime};

#[derive(Debug, Clone, Copy)]
struct Waiting {
    packet_id: u16,
    stored: bool,
    since: Uptime,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct AckQueue {
    /// Running number of the first one in the queue; wraps.
    first: u32,
    waiting: VecDeque<Waiting>,
}

impl AckQueue {
    /// Notes a frame; its running number.
    pub(crate) fn received(&mut self, packet_id: u16, now: Uptime) -> u32 {
        let n = self.first.wrapping_add(u32::try_from(self.waiting.len()).unwrap_or(u32::MAX));
        self.waiting.push_back(Waiting { packet_id, stored: false, since: now });
        n
    }

    /// Notes that a frame is stored. A number that is not waiting (already acknowledged) changes nothing.
    pub(crate) fn stored(&mut self, n: u32) {
        let at = usize::try_from(n.wrapping_sub(self.first)).unwrap_or(usize::MAX);
        if let Some(waiting) = self.waiting.get_mut(at) {
            waiting.stored = true;
        }
    }

    /// Appends the PUBACKs that may leave; how many.
    pub(crate) fn release(&mut self, out: &mut Vec<u8>) -> u32 {
        let mut released = 0_u32;
        while let Some(waiting) = self.waiting.front().filter(|waiting| waiting.stored) {
            write::puback(out, waiting.packet_id);
            self.waiting.pop_front();
            self.first = self.first.wrapping_add(1);
            released = released.wrapping_add(1);
        }
        released
    }

    /// Since when the first one waits.
    pub(crate) fn oldest(&self) -> Option<Uptime> {
        self.waiting.front().map(|waiting| waiting.since)
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn released(queue: &mut AckQueue) -> Vec<u16> {
        let mut out = Vec::new();
        let n = queue.release(&mut out);
        let ids: Vec<u16> = out.chunks(4).map(|ack| u16::from_be_bytes([ack[2], ack[3]])).collect();
        assert_eq!(ids.len(), usize::try_from(n).unwrap());
        ids
    }

    #[test]
    fn a_puback_waits_for_every_frame_before_it() {
        let mut queue = AckQueue::default();
        let [a, b, c] = [11, 22, 33].map(|id| queue.received(id, Uptime::ZERO));
        queue.stored(b);
        assert_eq!(released(&mut queue), [0_u16; 0]);
        queue.stored(a);
        assert_eq!(released(&mut queue), [11, 22]);
        queue.stored(b);
        queue.stored(c.wrapping_add(7));
        assert_eq!(released(&mut queue), [0_u16; 0]);
        queue.stored(c);
        assert_eq!(released(&mut queue), [33]);
        assert_eq!((queue.len(), queue.oldest()), (0, None));
    }

    #[test]
    fn running_numbers_may_wrap() {
        let mut queue = AckQueue { first: u32::MAX, ..AckQueue::default() };
        let [a, b] = [1, 2].map(|id| queue.received(id, Uptime::ZERO));
        assert_eq!((a, b), (u32::MAX, 0));
        queue.stored(b);
        queue.stored(a);
        assert_eq!(released(&mut queue), [1, 2]);
    }

    proptest! {
        #[test]
        fn whatever_the_order_of_storing_pubacks_leave_in_the_order_of_receiving(
            order in Just((0_u16..40).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let mut queue = AckQueue::default();
            for id in 0..40 {
                prop_assert_eq!(queue.received(id + 1, Uptime::ZERO), u32::from(id));
            }
            let mut seen = Vec::new();
            let mut stored = std::collections::BTreeSet::new();
            for n in order {
                queue.stored(n.into());
                stored.insert(n);
                seen.extend(released(&mut queue));
                let whole_prefix = (0_u16..40).take_while(|n| stored.contains(n)).count();
                prop_assert_eq!(seen.len(), whole_prefix);
            }
            prop_assert_eq!(seen, (1_u16..=40).collect::<Vec<_>>());
        }
    }
}
