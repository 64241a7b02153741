//! What still has to go to one pile: held until it subscribes, and until it acknowledged enough of what it got.
//!
//! Nothing is sent twice from here and nothing outlives the connection: the actors send a command again until the
//! pile answers it. Pure: no clock, no socket.

use std::collections::VecDeque;

use bytes::Bytes;
use domain::wire::DownTopic;

use crate::{
    limits::{
        OUTBOUND_ACK_WITHIN, OUTBOUND_INFLIGHT_MAX, OUTBOUND_QUEUE_BYTES_MAX, OUTBOUND_QUEUE_LEN_MAX, UNWRITTEN_LEN_MAX,
    },
    mqtt::write,
    uptime::Uptime,
};

/// One message to a pile.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) topic: DownTopic,
    pub(crate) payload: Bytes,
    /// QoS 1, if the pile subscribed with it.
    pub(crate) at_least_once: bool,
}

/// No room: nothing was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Granted QoS per topic.
    command: Option<u8>,
    record_ack: Option<u8>,
    queue: VecDeque<Message>,
    queue_bytes: usize,
    /// Packet ids the pile has not acknowledged, oldest first.
    unacknowledged: VecDeque<(u16, Uptime)>,
    last_id: u16,
}

impl Outbox {
    /// Takes a message; [`Self::release`] sends it.
    pub(crate) fn push(&mut self, message: Message) -> Result<(), Full> {
        let bytes = self.queue_bytes.saturating_add(message.payload.len());
        if self.queue.len() >= OUTBOUND_QUEUE_LEN_MAX || bytes > OUTBOUND_QUEUE_BYTES_MAX {
            return Err(Full);
        }
        self.queue_bytes = bytes;
        self.queue.push_back(message);
        Ok(())
    }

    /// The pile subscribed to a topic; the QoS it is granted: its wish, 1 at most.
    pub(crate) fn subscribed(&mut self, topic: DownTopic, qos: u8) -> u8 {
        let granted = qos.min(1);
        *self.granted(topic) = Some(granted);
        granted
    }

    /// The pile no longer wants a topic. What comes for it is held.
    pub(crate) fn unsubscribed(&mut self, topic: DownTopic) {
        *self.granted(topic) = None;
    }

    /// The pile has a message. An id that was not waited for changes nothing.
    pub(crate) fn acknowledged(&mut self, packet_id: u16) {
        self.unacknowledged.retain(|(id, _)| *id != packet_id);
    }

    /// Appends what may leave. Order is kept within a topic.
    pub(crate) fn release(&mut self, code: &str, now: Uptime, out: &mut Vec<u8>) {
        while self.unacknowledged.front().is_some_and(|(_, since)| now.passed(*since, OUTBOUND_ACK_WITHIN)) {
            self.unacknowledged.pop_front();
        }
        let mut at = 0;
        while let Some(message) = self.queue.get(at) {
            let Some(granted) = *self.granted(message.topic) else {
                at += 1;
                continue;
            };
            let Some(message) = self.queue.get(at) else { break };
            let acknowledged = message.at_least_once && granted == 1;
            let full = acknowledged && self.unacknowledged.len() >= OUTBOUND_INFLIGHT_MAX;
            if full || out.len().saturating_add(message.payload.len()) > UNWRITTEN_LEN_MAX {
                break;
            }
            let Some(message) = self.queue.remove(at) else { break };
            self.queue_bytes = self.queue_bytes.saturating_sub(message.payload.len());
            let id = acknowledged.then(|| self.next_id(now));
            write::publish(out, code, message.topic.as_str(), id, &message.payload);
        }
    }

    fn granted(&mut self, topic: DownTopic) -> &mut Option<u8> {
        match topic {
            DownTopic::Command => &mut self.command,
            DownTopic::RecordAck => &mut self.record_ack,
        }
    }

    /// The next id that is not in use, never 0.
    fn next_id(&mut self, now: Uptime) -> u16 {
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            let id = self.last_id;
            if id != 0 && self.unacknowledged.iter().all(|(used, _)| *used != id) {
                self.unacknowledged.push_back((id, now));
                return id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Uptime = Uptime::ZERO;

    fn message(topic: DownTopic, text: &str) -> Message {
        Message { topic, payload: Bytes::copy_from_slice(text.as_bytes()), at_least_once: true }
    }

    /// (topic, packet id or 0, payload) of each message released.
    fn released(outbox: &mut Outbox, now: Uptime) -> Vec<(String, u16, String)> {
        let mut out = Vec::new();
        outbox.release("P1", now, &mut out);
        let mut left = bytes::BytesMut::from(&out[..]);
        let mut seen = Vec::new();
        while let Ok(rumqttc::Packet::Publish(publish)) = rumqttc::Packet::read(&mut left, usize::MAX) {
            seen.push((publish.topic, publish.pkid, String::from_utf8(publish.payload.to_vec()).unwrap()));
        }
        assert!(left.is_empty());
        seen
    }

    #[test]
    fn a_message_waits_for_its_subscribe() {
        let mut outbox = Outbox::default();
        outbox.push(message(DownTopic::Command, "start")).unwrap();
        outbox.push(message(DownTopic::RecordAck, "stored")).unwrap();
        assert_eq!(released(&mut outbox, NOW), []);
        assert_eq!(outbox.subscribed(DownTopic::RecordAck, 1), 1);
        assert_eq!(released(&mut outbox, NOW), [("pile/P1/record/ack".to_owned(), 1, "stored".to_owned())]);
        assert_eq!(outbox.subscribed(DownTopic::Command, 2), 1);
        assert_eq!(released(&mut outbox, NOW), [("pile/P1/command".to_owned(), 2, "start".to_owned())]);
        outbox.unsubscribed(DownTopic::Command);
        outbox.push(message(DownTopic::Command, "stop")).unwrap();
        assert_eq!(released(&mut outbox, NOW), []);
    }

    #[test]
    fn a_subscription_with_qos_0_gets_qos_0() {
        let mut outbox = Outbox::default();
        assert_eq!(outbox.subscribed(DownTopic::Command, 0), 0);
        outbox.push(message(DownTopic::Command, "x")).unwrap();
        assert_eq!(released(&mut outbox, NOW), [("pile/P1/command".to_owned(), 0, "x".to_owned())]);
    }

    #[test]
    fn the_queue_is_bounded_in_messages_and_in_bytes() {
        let mut outbox = Outbox::default();
        for _ in 0..OUTBOUND_QUEUE_LEN_MAX {
            outbox.push(message(DownTopic::Command, "x")).unwrap();
        }
        assert_eq!(outbox.push(message(DownTopic::Command, "x")), Err(Full));
        let mut outbox = Outbox::default();
        outbox.push(message(DownTopic::Command, &"x".repeat(OUTBOUND_QUEUE_BYTES_MAX))).unwrap();
        assert_eq!(outbox.push(message(DownTopic::Command, "x")), Err(Full));
    }

    #[test]
    fn an_acknowledgement_or_its_deadline_frees_a_place() {
        let mut outbox = Outbox::default();
        outbox.subscribed(DownTopic::Command, 1);
        for n in 0..OUTBOUND_INFLIGHT_MAX + 3 {
            outbox.push(message(DownTopic::Command, &n.to_string())).unwrap();
        }
        assert_eq!(released(&mut outbox, NOW).len(), OUTBOUND_INFLIGHT_MAX);
        outbox.acknowledged(999);
        assert_eq!(released(&mut outbox, NOW).len(), 0);
        outbox.acknowledged(3);
        outbox.acknowledged(3);
        assert_eq!(released(&mut outbox, NOW).len(), 1);
        let late = Uptime::from_millis(u64::try_from(OUTBOUND_ACK_WITHIN.as_millis()).unwrap());
        assert_eq!(released(&mut outbox, late).len(), 2);
    }

    #[test]
    fn packet_ids_wrap_past_zero_and_past_ids_in_use() {
        let mut outbox = Outbox { last_id: u16::MAX - 1, ..Outbox::default() };
        outbox.unacknowledged.push_back((1, NOW));
        outbox.subscribed(DownTopic::Command, 1);
        for _ in 0..3 {
            outbox.push(message(DownTopic::Command, "x")).unwrap();
        }
        let ids: Vec<u16> = released(&mut outbox, NOW).into_iter().map(|(_, id, _)| id).collect();
        assert_eq!(ids, [u16::MAX, 2, 3]);
    }
}
