//! What still has to go to one pile: held until it subscribes, and until it acknowledged enough of what it got.
//!
//! Within a connection nothing is sent twice: the actors send a command again until the pile answers it. A pile that
//! asked for it (clean session 0) finds on its next connection what it had subscribed to, and what it had not
//! acknowledged, once more and under the same packet id [MQTT-4.4.0-1]. Pure: no clock, no socket.

use std::collections::VecDeque;

use bytes::Bytes;
use domain::wire::DownTopic;

use crate::{
    limits::{
        OUTBOUND_ACK_WITHIN, OUTBOUND_INFLIGHT_MAX, OUTBOUND_QUEUE_BYTES_MAX, OUTBOUND_QUEUE_LEN_MAX, UNWRITTEN_LEN_MAX,
    },
    mqtt::write::{self, Sending},
    uptime::Uptime,
};

/// One message to a pile.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) topic: DownTopic,
    pub(crate) payload: Bytes,
    /// QoS 1, if the pile subscribed with it.
    pub(crate) at_least_once: bool,
    /// From then on it is of no use to the pile and is not sent any more.
    pub(crate) until: Uptime,
}

/// No room: nothing was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// A message the pile has not acknowledged.
#[derive(Debug)]
struct Sent {
    id: u16,
    since: Uptime,
    message: Message,
    /// It was sent on an earlier connection and must be sent again on this one.
    again: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Granted QoS per topic.
    command: Option<u8>,
    record_ack: Option<u8>,
    queue: VecDeque<Message>,
    queue_bytes: usize,
    /// Oldest first.
    unacknowledged: VecDeque<Sent>,
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
        self.unacknowledged.retain(|sent| sent.id != packet_id);
    }

    /// The pile is back with its session: what it was sent and did not acknowledge goes first, then what waited, then
    /// what `since` the connection began was pushed.
    pub(crate) fn resume(mut self, since: Self, now: Uptime) -> Self {
        self.unacknowledged.retain(|sent| sent.message.until > now);
        for sent in &mut self.unacknowledged {
            sent.again = true;
            sent.since = now;
        }
        for message in since.queue {
            // Both halves were bounded; what does not fit into one is not taken, and its sender sends it again.
            let _ = self.push(message);
        }
        self
    }

    /// Only what the pile subscribed to: what is kept when there is no room for more.
    pub(crate) fn subscriptions_only(self) -> Self {
        Self { command: self.command, record_ack: self.record_ack, ..Self::default() }
    }

    /// Bytes of the messages in it.
    pub(crate) fn bytes(&self) -> usize {
        self.queue_bytes + self.unacknowledged.iter().map(|sent| sent.message.payload.len()).sum::<usize>()
    }

    /// Appends what may leave. Order is kept within a topic.
    pub(crate) fn release(&mut self, code: &str, now: Uptime, out: &mut Vec<u8>) {
        for sent in self.unacknowledged.iter_mut().filter(|sent| sent.again) {
            sent.again = false;
            let Message { topic, payload, .. } = &sent.message;
            write::publish(out, code, topic.as_str(), Sending::Again(sent.id), payload);
        }
        while self.unacknowledged.front().is_some_and(|sent| now.passed(sent.since, OUTBOUND_ACK_WITHIN)) {
            self.unacknowledged.pop_front();
        }
        let mut at = 0;
        while let Some(message) = self.queue.get(at) {
            let (topic, len, at_least_once) = (message.topic, message.payload.len(), message.at_least_once);
            if message.until <= now {
                self.take(at);
                continue;
            }
            let Some(granted) = *self.granted(topic) else {
                at += 1;
                continue;
            };
            let acknowledged = at_least_once && granted == 1;
            let full = acknowledged && self.unacknowledged.len() >= OUTBOUND_INFLIGHT_MAX;
            if full || out.len().saturating_add(len) > UNWRITTEN_LEN_MAX {
                break;
            }
            let Some(message) = self.take(at) else { break };
            let sending = if acknowledged { Sending::AtLeastOnce(self.next_id()) } else { Sending::AtMostOnce };
            write::publish(out, code, topic.as_str(), sending, &message.payload);
            if let Sending::AtLeastOnce(id) = sending {
                self.unacknowledged.push_back(Sent { id, since: now, message, again: false });
            }
        }
    }

    fn take(&mut self, at: usize) -> Option<Message> {
        let message = self.queue.remove(at)?;
        self.queue_bytes = self.queue_bytes.saturating_sub(message.payload.len());
        Some(message)
    }

    fn granted(&mut self, topic: DownTopic) -> &mut Option<u8> {
        match topic {
            DownTopic::Command => &mut self.command,
            DownTopic::RecordAck => &mut self.record_ack,
        }
    }

    /// The next id that is not in use, never 0.
    fn next_id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            let id = self.last_id;
            if id != 0 && self.unacknowledged.iter().all(|sent| sent.id != id) {
                return id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    const NOW: Uptime = Uptime::ZERO;

    fn message(topic: DownTopic, text: &str) -> Message {
        Message {
            topic,
            payload: Bytes::copy_from_slice(text.as_bytes()),
            at_least_once: true,
            until: Uptime::from_millis(3_600_000),
        }
    }

    /// (topic, packet id or 0, payload) of each message released.
    fn released(outbox: &mut Outbox, now: Uptime) -> Vec<(String, u16, String)> {
        let mut out = Vec::new();
        outbox.release("P1", now, &mut out);
        let mut left = BytesMut::from(&out[..]);
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
        outbox.unacknowledged.push_back(Sent {
            id: 1,
            since: NOW,
            message: message(DownTopic::Command, "x"),
            again: false,
        });
        outbox.subscribed(DownTopic::Command, 1);
        for _ in 0..3 {
            outbox.push(message(DownTopic::Command, "x")).unwrap();
        }
        let ids: Vec<u16> = released(&mut outbox, NOW).into_iter().map(|(_, id, _)| id).collect();
        assert_eq!(ids, [u16::MAX, 2, 3]);
    }

    #[test]
    fn a_resumed_session_sends_again_what_was_not_acknowledged_and_then_what_waited() {
        let mut outbox = Outbox::default();
        outbox.subscribed(DownTopic::Command, 1);
        for text in ["one", "two"] {
            outbox.push(message(DownTopic::Command, text)).unwrap();
        }
        assert_eq!(released(&mut outbox, NOW).len(), 2);
        outbox.acknowledged(1);
        outbox.push(message(DownTopic::RecordAck, "held")).unwrap();
        let mut since = Outbox::default();
        since.push(message(DownTopic::Command, "three")).unwrap();
        let mut back = outbox.resume(since, Uptime::from_millis(1_000_000));
        let mut out = Vec::new();
        back.release("P1", Uptime::from_millis(1_000_000), &mut out);
        assert_eq!(out[0], 0x3a, "QoS 1, duplicate");
        back.subscribed(DownTopic::RecordAck, 0);
        let mut all = BytesMut::from(&out[..]);
        let mut seen = Vec::new();
        while let Ok(rumqttc::Packet::Publish(publish)) = rumqttc::Packet::read(&mut all, usize::MAX) {
            seen.push((publish.dup, publish.pkid, String::from_utf8(publish.payload.to_vec()).unwrap()));
        }
        assert_eq!(seen, [(true, 2, "two".to_owned()), (false, 3, "three".to_owned())]);
        assert_eq!(released(&mut back, Uptime::from_millis(1_000_000)).len(), 1, "what was held for its subscribe");
        assert_eq!(back.subscriptions_only().bytes(), 0);
    }

    #[test]
    fn what_has_expired_is_not_sent_any_more() {
        let mut outbox = Outbox::default();
        outbox.subscribed(DownTopic::Command, 1);
        outbox.push(message(DownTopic::Command, "sent")).unwrap();
        assert_eq!(released(&mut outbox, NOW).len(), 1);
        outbox.push(Message { until: Uptime::from_millis(5), ..message(DownTopic::Command, "stale") }).unwrap();
        outbox.push(Message { until: Uptime::from_millis(9), ..message(DownTopic::Command, "fresh") }).unwrap();
        let fresh = released(&mut outbox, Uptime::from_millis(5));
        assert_eq!(fresh.into_iter().map(|(_, _, text)| text).collect::<Vec<_>>(), ["fresh"]);
        let mut late = outbox.resume(Outbox::default(), Uptime::from_millis(3_600_000));
        assert_eq!(released(&mut late, Uptime::from_millis(3_600_000)), []);
    }
}
