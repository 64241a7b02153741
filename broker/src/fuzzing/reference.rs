//! MQTT written a second time, from the standard and the contract alone, for the targets to compare with.
//!
//! Slow and plain on purpose. Knows nothing of the code it judges but its limits.

use crate::limits::{BODY_KEPT_MAX, PACKET_LEN_MAX};

/// A packet cut out of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) first: u8,
    pub(super) body: Vec<u8>,
    pub(super) len: usize,
}

/// How a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Between two packets.
    Between,
    /// Within a packet.
    Within,
    /// At a header that no charger sends.
    Unframed,
}

/// The packets of a stream [MQTT-2.2], and how it ends.
pub(super) fn packets(stream: &[u8]) -> (Vec<Cut>, End) {
    let (mut cuts, mut left) = (Vec::new(), stream);
    while let Some((&first, after)) = left.split_first() {
        let (mut len, mut weight) = (0_usize, 1_usize);
        left = after;
        loop {
            let Some((&byte, after)) = left.split_first() else { return (cuts, End::Within) };
            left = after;
            len += usize::from(byte % 128) * weight;
            weight *= 128;
            if byte < 128 {
                break;
            }
            if weight > 128 * 128 * 128 {
                return (cuts, End::Unframed);
            }
        }
        let is_publish = (0x30..=0x3f).contains(&first);
        if len > if is_publish { PACKET_LEN_MAX } else { BODY_KEPT_MAX } {
            return (cuts, End::Unframed);
        }
        let Some((body, after)) = left.split_at_checked(len) else { return (cuts, End::Within) };
        left = after;
        cuts.push(Cut { first, body: body.get(..BODY_KEPT_MAX).unwrap_or(body).to_vec(), len });
    }
    (cuts, End::Between)
}

/// Two bytes of length and so many bytes; what follows them.
pub(super) fn field(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let len = usize::from(*bytes.first()?) * 256 + usize::from(*bytes.get(1)?);
    bytes.get(2..)?.split_at_checked(len)
}

/// A text of the standard: UTF-8 without NUL [MQTT-1.5.3].
pub(super) fn text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (text, rest) = field(bytes)?;
    let text = str::from_utf8(text).ok()?;
    (!text.contains('\0')).then_some((text, rest))
}

/// What a pile may publish on [CONTRACT 1.1 to 1.5]: the code in the topic, and the rest of it.
pub(super) fn up_topic(topic: &str) -> Option<(&str, String)> {
    let levels: Vec<&str> = topic.split('/').collect();
    let (code, leaf) = match levels.as_slice() {
        ["pile", code, leaf @ ("heartbeat" | "event" | "meter")] => (*code, (*leaf).to_owned()),
        ["pile", code, "charging", leaf @ ("status" | "finished")] => (*code, format!("charging/{leaf}")),
        ["pile", code, "command", "ack"] => (*code, "command/ack".to_owned()),
        _ => return None,
    };
    (!code.is_empty()).then_some((code, leaf))
}

/// What a filter of the pile `code` stands for [CONTRACT 1.7, 1.8].
pub(super) fn down_topic(filter: &str, code: &str) -> Option<&'static str> {
    match filter.split('/').collect::<Vec<_>>().as_slice() {
        ["pile", whose, "command"] if *whose == code => Some("command"),
        ["pile", whose, "record", "ack" | "+"] if *whose == code => Some("record/ack"),
        _ => None,
    }
}

/// Whether a filter matches a topic [MQTT-4.7].
pub(super) fn matches(filter: &str, topic: &str) -> bool {
    let filter: Vec<&str> = filter.split('/').collect();
    let topic: Vec<&str> = topic.split('/').collect();
    let levels = filter.iter().take_while(|level| **level != "#").count();
    let is_open = levels < filter.len();
    let is_long_enough = if is_open { topic.len() >= levels } else { topic.len() == levels };
    is_long_enough && filter.iter().take(levels).zip(&topic).all(|(wish, level)| *wish == "+" || wish == level)
}
