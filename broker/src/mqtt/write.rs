//! The packets the gate sends, appended to a buffer.

/// CONNACK return codes [MQTT-3.2.2.3].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectCode {
    Accepted,
    UnacceptableProtocol,
    IdentifierRejected,
    ServerUnavailable,
    BadCredentials,
    NotAuthorized,
}

impl ConnectCode {
    const fn byte(self) -> u8 {
        match self {
            Self::Accepted => 0,
            Self::UnacceptableProtocol => 1,
            Self::IdentifierRejected => 2,
            Self::ServerUnavailable => 3,
            Self::BadCredentials => 4,
            Self::NotAuthorized => 5,
        }
    }

    /// The label it is counted under.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::UnacceptableProtocol => "protocol",
            Self::IdentifierRejected => "identifier",
            Self::ServerUnavailable => "unavailable",
            Self::BadCredentials => "credentials",
            Self::NotAuthorized => "not_authorized",
        }
    }
}

/// SUBACK code of a filter that is refused [MQTT-3.9.3-2].
pub(crate) const SUBSCRIBE_REFUSED: u8 = 0x80;

/// A refusal never says that a session is present [MQTT-3.2.2-4].
pub(crate) fn connack(out: &mut Vec<u8>, code: ConnectCode, session_present: bool) {
    let flag = u8::from(session_present && code == ConnectCode::Accepted);
    out.extend_from_slice(&[0x20, 2, flag, code.byte()]);
}

pub(crate) fn puback(out: &mut Vec<u8>, packet_id: u16) {
    let [high, low] = packet_id.to_be_bytes();
    out.extend_from_slice(&[0x40, 2, high, low]);
}

pub(crate) fn suback(out: &mut Vec<u8>, packet_id: u16, codes: &[u8]) {
    out.push(0x90);
    remaining_length(out, codes.len().saturating_add(2));
    out.extend_from_slice(&packet_id.to_be_bytes());
    out.extend_from_slice(codes);
}

pub(crate) fn unsuback(out: &mut Vec<u8>, packet_id: u16) {
    let [high, low] = packet_id.to_be_bytes();
    out.extend_from_slice(&[0xb0, 2, high, low]);
}

pub(crate) fn pingresp(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xd0, 0]);
}

/// How a message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sending {
    /// QoS 0.
    AtMostOnce,
    /// QoS 1, under a packet id.
    AtLeastOnce(u16),
    /// QoS 1 once more, under the packet id it had [MQTT-3.3.1-1].
    Again(u16),
}

/// A message on `pile/{code}/{topic}`. Code and topic are far shorter than the 64 KiB a topic may have.
pub(crate) fn publish(out: &mut Vec<u8>, code: &str, topic: &str, sending: Sending, payload: &[u8]) {
    let (first, packet_id) = match sending {
        Sending::AtMostOnce => (0x30, None),
        Sending::AtLeastOnce(id) => (0x32, Some(id)),
        Sending::Again(id) => (0x3a, Some(id)),
    };
    let topic_len = "pile/".len() + code.len() + 1 + topic.len();
    let id_len = if packet_id.is_some() { 2 } else { 0 };
    out.reserve(8 + topic_len + id_len + payload.len());
    out.push(first);
    remaining_length(out, 2 + topic_len + id_len + payload.len());
    out.extend_from_slice(&u16::try_from(topic_len).unwrap_or(u16::MAX).to_be_bytes());
    for part in ["pile/", code, "/", topic] {
        out.extend_from_slice(part.as_bytes());
    }
    if let Some(id) = packet_id {
        out.extend_from_slice(&id.to_be_bytes());
    }
    out.extend_from_slice(payload);
}

/// A length as one to four bytes [MQTT-2.2.3].
pub(crate) fn remaining_length(out: &mut Vec<u8>, len: usize) {
    let mut left = len;
    loop {
        let low = u8::try_from(left & 0x7f).unwrap_or(0);
        left >>= 7;
        if left == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}
