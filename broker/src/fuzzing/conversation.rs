//! Whatever a charger says in whatever order: nobody gets further than the rules of the gate allow.
//!
//! The bytes go the way a driver sends them, framer, packet, machine; a claim is right when its password is
//! [`SECRET`].

use std::ops::ControlFlow;

use domain::PileCode;

use super::reference::{down_topic, up_topic};
use crate::{
    conn::machine::{Action, Claim, Forbidden, Machine},
    mqtt::{
        framer::{Framer, Raw},
        read::{Packet, Publish},
    },
    sink::DownCause,
};

/// The one password that is right.
const SECRET: &[u8] = b"secret";

/// The input is everything one connection ever says.
///
/// # Panics
/// When a rule of the machine is broken.
pub fn conversation(input: &[u8]) {
    let mut talk = Talk::default();
    let fed = Framer::default().feed(input, |raw| talk.packet(raw));
    if let Ok(flow) = fed {
        assert_eq!(flow.is_break(), talk.is_over, "nothing is read after the end, everything before it");
    }
}

#[derive(Default)]
struct Talk {
    machine: Machine,
    known_as: Option<PileCode>,
    is_over: bool,
}

impl Talk {
    fn packet(&mut self, raw: Raw<'_>) -> ControlFlow<()> {
        assert!(!self.is_over, "a packet was handed on after the end");
        let Ok(packet) = Packet::read(raw) else { return self.over() };
        let mut told = Vec::new();
        let action = self.machine.handle(packet.clone(), |forbidden| told.push(forbidden));
        let Some(code) = self.known_as.as_ref().map(PileCode::as_str) else {
            return self.stranger(&packet, &action);
        };
        assert!(!matches!(action, Action::Examine(_) | Action::Refuse(_)), "nobody is let in twice: {action:?}");
        assert_eq!(told, forbidden_in(&packet, code), "{packet:?}");
        match &packet {
            Packet::Connect(_) => assert_eq!(action, Action::Close(DownCause::Protocol)),
            Packet::Publish(publish) => published(publish, code, &action),
            Packet::Subscribe { packet_id, filters } => subscribed(*packet_id, filters, code, &action),
            Packet::Unsubscribe { packet_id, filters } => unsubscribed(*packet_id, filters, code, &action),
            Packet::PubAck(packet_id) => assert_eq!(action, Action::Acknowledged(*packet_id)),
            Packet::PingReq => assert_eq!(action, Action::Pong),
            Packet::Disconnect => assert_eq!(action, Action::Close(DownCause::Disconnect)),
        }
        if matches!(action, Action::Close(_)) { self.over() } else { ControlFlow::Continue(()) }
    }

    /// Before it is known who it is: a CONNECT, or the end.
    fn stranger(&mut self, packet: &Packet<'_>, action: &Action<'_>) -> ControlFlow<()> {
        if !matches!(packet, Packet::Connect(_)) {
            assert_eq!(*action, Action::Close(DownCause::Protocol), "{packet:?}");
        }
        match admitted(action) {
            Some(code) => {
                self.machine.admit(code.clone());
                self.known_as = Some(code);
                ControlFlow::Continue(())
            }
            None => self.over(),
        }
    }

    const fn over(&mut self) -> ControlFlow<()> {
        self.is_over = true;
        ControlFlow::Break(())
    }
}

/// Whom a claim lets in.
fn admitted(action: &Action<'_>) -> Option<PileCode> {
    let is_refused = matches!(action, Action::Refuse(_) | Action::Close(DownCause::Protocol));
    assert!(is_refused || matches!(action, Action::Examine(_)), "a stranger led to {action:?}");
    let Action::Examine(Claim { code, password, .. }) = action else { return None };
    let code = PileCode::parse(code);
    assert!(code.is_ok(), "a claim to something that is no code: {action:?}");
    code.ok().filter(|_| password.is_some_and(|password| password.0 == SECRET))
}

/// What of a known pile's packet must be told.
fn forbidden_in<'a>(packet: &Packet<'a>, code: &str) -> Vec<Forbidden<'a>> {
    match packet {
        Packet::Publish(publish) if !is_own(publish.topic, code) => vec![Forbidden::Publish(publish.topic)],
        Packet::Publish(publish) if publish.qos == 2 => vec![Forbidden::QosTwo(publish.topic)],
        Packet::Subscribe { filters, .. } => {
            let foreign = filters.iter().filter(|(filter, _)| down_topic(filter, code).is_none());
            foreign.map(|(filter, _)| Forbidden::Subscribe(filter)).collect()
        }
        Packet::Connect(_)
        | Packet::Publish(_)
        | Packet::PubAck(_)
        | Packet::Unsubscribe { .. }
        | Packet::PingReq
        | Packet::Disconnect => Vec::new(),
    }
}

fn is_own(topic: &str, code: &str) -> bool {
    up_topic(topic).is_some_and(|(whose, _)| whose == code)
}

fn published(publish: &Publish<'_>, code: &str, action: &Action<'_>) {
    if !is_own(publish.topic, code) {
        assert_eq!(*action, Action::Close(DownCause::Forbidden), "{publish:?}");
    } else if publish.qos == 2 {
        assert_eq!(*action, Action::Close(DownCause::QosTwo), "{publish:?}");
    } else if let Action::Frame(frame) = action {
        assert_eq!(format!("pile/{code}/{}", frame.topic), publish.topic);
        assert_eq!(frame.packet_id, (publish.qos == 1).then_some(publish.packet_id));
        assert_eq!(frame.retain, publish.retain, "who asks to be retained is told so, in the quarantine");
        assert_eq!((frame.payload, frame.payload_len), (publish.payload, publish.payload_len));
    } else {
        panic!("{publish:?} led to {action:?}");
    }
}

/// Each filter is answered, in its place [MQTT-3.8.4-5].
fn subscribed(packet_id: u16, filters: &[(&str, u8)], code: &str, action: &Action<'_>) {
    let Action::Subscribe { packet_id: answered, wishes } = action else {
        panic!("a SUBSCRIBE led to {action:?}");
    };
    let read: Vec<_> = wishes.iter().map(|wish| wish.map(|(topic, qos)| (topic.as_str(), qos))).collect();
    let expected: Vec<_> =
        filters.iter().map(|(filter, qos)| down_topic(filter, code).map(|topic| (topic, *qos))).collect();
    assert_eq!((*answered, read), (packet_id, expected), "{filters:?}");
}

fn unsubscribed(packet_id: u16, filters: &[&str], code: &str, action: &Action<'_>) {
    let Action::Unsubscribe { packet_id: answered, topics } = action else {
        panic!("an UNSUBSCRIBE led to {action:?}");
    };
    let read: Vec<_> = topics.iter().map(|topic| topic.as_str()).collect();
    let expected: Vec<_> = filters.iter().filter_map(|filter| down_topic(filter, code)).collect();
    assert_eq!((*answered, read), (packet_id, expected), "{filters:?}");
}
