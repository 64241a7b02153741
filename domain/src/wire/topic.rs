//! The MQTT topics of a pile: what it may publish on, what it may subscribe to.

use std::fmt;

use super::error::quote;
use crate::PileCode;

/// What a pile may publish: everything after `pile/{pileCode}/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UpTopic {
    /// [CONTRACT 1.1]
    Heartbeat,
    /// [CONTRACT 1.2]
    Status,
    /// [CONTRACT 1.3]
    Finished,
    /// [CONTRACT 1.4]
    CommandAck,
    /// [CONTRACT 1.5]
    Event,
    /// [CONTRACT 1.5]
    Meter,
}

/// A topic that the contract does not name; holds its start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{topic}\" is no topic that a pile may publish on")]
pub struct TopicError {
    /// The topic, cut to 64 characters.
    pub topic: String,
}

impl UpTopic {
    /// All topics, in the order of their codes.
    pub const ALL: [Self; 6] =
        [Self::Heartbeat, Self::Status, Self::Finished, Self::CommandAck, Self::Event, Self::Meter];

    /// Splits `pile/{pileCode}/…` into the code's text and the topic.
    ///
    /// Allocates only on the error path. The code is not checked: whoever calls compares it with the code of the
    /// connection, which was.
    ///
    /// # Errors
    /// [`TopicError`] when the topic is not one of the six.
    pub fn parse(topic: &str) -> Result<(&str, Self), TopicError> {
        Self::split(topic).ok_or_else(|| TopicError { topic: quote(topic) })
    }

    fn split(topic: &str) -> Option<(&str, Self)> {
        let (code, rest) = topic.strip_prefix("pile/")?.split_once('/')?;
        let kind = match rest {
            "heartbeat" => Self::Heartbeat,
            "charging/status" => Self::Status,
            "charging/finished" => Self::Finished,
            "command/ack" => Self::CommandAck,
            "event" => Self::Event,
            "meter" => Self::Meter,
            _ => return None,
        };
        (!code.is_empty()).then_some((code, kind))
    }

    /// What follows `pile/{pileCode}/`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Heartbeat => "heartbeat",
            Self::Status => "charging/status",
            Self::Finished => "charging/finished",
            Self::CommandAck => "command/ack",
            Self::Event => "event",
            Self::Meter => "meter",
        }
    }

    /// The whole topic for one pile.
    #[must_use]
    pub fn topic(self, pile: &PileCode) -> String {
        format!("pile/{pile}/{}", self.as_str())
    }

    /// A small number that travels with a frame inside the hub; never 0, never given a new meaning.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Heartbeat => 1,
            Self::Status => 2,
            Self::Finished => 3,
            Self::CommandAck => 4,
            Self::Event => 5,
            Self::Meter => 6,
        }
    }

    /// The topic of a number; `None` for a number that no topic has.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Heartbeat),
            2 => Some(Self::Status),
            3 => Some(Self::Finished),
            4 => Some(Self::CommandAck),
            5 => Some(Self::Event),
            6 => Some(Self::Meter),
            _ => None,
        }
    }
}

impl fmt::Display for UpTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a pile may subscribe to: everything after `pile/{pileCode}/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DownTopic {
    /// [CONTRACT 1.7]
    Command,
    /// [CONTRACT 1.8]
    RecordAck,
}

impl DownTopic {
    /// What follows `pile/{pileCode}/`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::RecordAck => "record/ack",
        }
    }

    /// The whole topic for one pile.
    #[must_use]
    pub fn topic(self, pile: &PileCode) -> String {
        format!("pile/{pile}/{}", self.as_str())
    }

    /// The one down topic that a SUBSCRIBE filter of the pile `code` asks for; `None` means refuse it.
    ///
    /// A filter must be one of the two topics by name, or `record/+` in place of `record/ack`. Any wider wildcard
    /// could match another pile or the pile's own up topics and is refused, so that every filter granted stands for
    /// exactly one topic and nothing has to be matched when a command goes out.
    #[must_use]
    pub fn of_filter(filter: &str, code: &str) -> Option<Self> {
        match filter.strip_prefix("pile/")?.strip_prefix(code)? {
            "/command" => Some(Self::Command),
            "/record/ack" | "/record/+" => Some(Self::RecordAck),
            _ => None,
        }
    }
}

impl fmt::Display for DownTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether the pile `code` may subscribe to `filter`; see [`DownTopic::of_filter`].
#[must_use]
pub fn filter_allowed(filter: &str, code: &str) -> bool {
    DownTopic::of_filter(filter, code).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_up_topic_is_read_back_from_its_text_and_its_code() {
        let pile = PileCode::parse("P-1_a").unwrap();
        for topic in UpTopic::ALL {
            assert_eq!(UpTopic::parse(&topic.topic(&pile)), Ok(("P-1_a", topic)));
            assert_eq!(UpTopic::from_code(topic.code()), Some(topic));
        }
        let known = (0..=u8::MAX).filter(|code| UpTopic::from_code(*code).is_some()).count();
        assert_eq!(known, UpTopic::ALL.len());
    }

    #[test]
    fn the_topics_are_spelled_as_the_contract_spells_them() {
        let pile = PileCode::parse("P0001").unwrap();
        let up: Vec<_> = UpTopic::ALL.iter().map(|topic| topic.topic(&pile)).collect();
        assert_eq!(
            up,
            [
                "pile/P0001/heartbeat",
                "pile/P0001/charging/status",
                "pile/P0001/charging/finished",
                "pile/P0001/command/ack",
                "pile/P0001/event",
                "pile/P0001/meter",
            ]
        );
        assert_eq!(DownTopic::Command.topic(&pile), "pile/P0001/command");
        assert_eq!(DownTopic::RecordAck.topic(&pile), "pile/P0001/record/ack");
    }

    #[test]
    fn anything_else_is_no_up_topic() {
        for topic in [
            "",
            "pile",
            "pile/",
            "pile/P1",
            "pile/P1/",
            "pile//heartbeat",
            "Pile/P1/heartbeat",
            "/pile/P1/heartbeat",
            "pile/P1/heartbeat/",
            "pile/P1/heartbeats",
            "pile/P1/Heartbeat",
            "pile/P1/charging",
            "pile/P1/charging/status/x",
            "pile/P1/command",
            "pile/P1/record/ack",
            "pile/P1/x/heartbeat",
            "$SYS/broker/uptime",
            "桩/P1/heartbeat",
        ] {
            let error = UpTopic::parse(topic).unwrap_err();
            assert!(error.to_string().contains(topic), "{error}");
        }
        assert!(UpTopic::parse(&"长".repeat(60_000)).unwrap_err().topic.chars().count() <= 65);
    }

    #[test]
    fn a_pile_may_subscribe_to_its_own_down_topics_only() {
        for (filter, granted) in [
            ("pile/P1/command", Some(DownTopic::Command)),
            ("pile/P1/record/ack", Some(DownTopic::RecordAck)),
            ("pile/P1/record/+", Some(DownTopic::RecordAck)),
            ("pile/P1/record/#", None),
            ("pile/P1/#", None),
            ("pile/P1/+", None),
            ("pile/P1/+/ack", None),
            ("pile/P1/command/#", None),
            ("pile/P1/command/ack", None),
            ("pile/P1/heartbeat", None),
            ("pile/P10/command", None),
            ("pile/P/command", None),
            ("pile/P2/command", None),
            ("pile/+/command", None),
            ("+/P1/command", None),
            ("#", None),
            ("", None),
            ("$share/g/pile/P1/command", None),
            ("pile/P1/command ", None),
        ] {
            assert_eq!(DownTopic::of_filter(filter, "P1"), granted, "{filter}");
            assert_eq!(filter_allowed(filter, "P1"), granted.is_some(), "{filter}");
        }
    }
}
