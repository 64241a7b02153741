//! Why a frame was not understood: a countable reason, the field, and words for the operator.

use super::TopicError;

/// Longest excerpt of a frame that is quoted in an error, in characters.
const QUOTE_CHARS_MAX: usize = 64;
/// Longest detail of an error, in characters.
const DETAIL_CHARS_MAX: usize = 256;

/// The kinds of bad frame, for counting and for the quarantine list [CONTRACT 1.6].
///
/// The wire itself finds the first eight, and [`Self::UnknownOrder`] where a text cannot be an order number at all.
/// The rest is found by those who know the pile and its orders; they use these reasons too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// No JSON, no UTF-8, or a key that is there twice.
    MalformedJson,
    /// A required field is absent or null.
    MissingField,
    /// A field has another JSON type than the contract says.
    WrongType,
    /// A field has the right type and an impossible value.
    OutOfRange,
    /// More than [`crate::limits::PAYLOAD_LEN_MAX`] bytes.
    Oversize,
    /// No topic of the contract.
    UnknownTopic,
    /// The frame names another pile than the one that sent it.
    ForeignPile,
    /// No gun has this number.
    BadConnector,
    /// No order has this number.
    UnknownOrder,
    /// The order belongs to another pile.
    ForeignOrder,
    /// A second record of an order with other content.
    ConflictingRecord,
    /// The frame asks to be retained: a state that the hub would repeat to others long after it was true.
    Retained,
}

impl Reason {
    /// All reasons, for counters that exist before the first bad frame.
    pub const ALL: [Self; 12] = [
        Self::MalformedJson,
        Self::MissingField,
        Self::WrongType,
        Self::OutOfRange,
        Self::Oversize,
        Self::UnknownTopic,
        Self::ForeignPile,
        Self::BadConnector,
        Self::UnknownOrder,
        Self::ForeignOrder,
        Self::ConflictingRecord,
        Self::Retained,
    ];

    /// The stable code that operators and metrics see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MalformedJson => "MALFORMED_JSON",
            Self::MissingField => "MISSING_FIELD",
            Self::WrongType => "WRONG_TYPE",
            Self::OutOfRange => "OUT_OF_RANGE",
            Self::Oversize => "OVERSIZE",
            Self::UnknownTopic => "UNKNOWN_TOPIC",
            Self::ForeignPile => "FOREIGN_PILE",
            Self::BadConnector => "BAD_CONNECTOR",
            Self::UnknownOrder => "UNKNOWN_ORDER",
            Self::ForeignOrder => "FOREIGN_ORDER",
            Self::ConflictingRecord => "CONFLICTING_RECORD",
            Self::Retained => "RETAINED",
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A frame that was not understood, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct FrameError {
    /// What it is counted under.
    pub reason: Reason,
    /// The field, as the wire calls it, when one is to blame.
    pub field: Option<&'static str>,
    /// For people: the field, its value and what is wrong with it, cut to a readable length.
    pub detail: String,
}

impl FrameError {
    /// An error of the frame as a whole.
    #[must_use]
    pub fn frame(reason: Reason, detail: &str) -> Self {
        Self { reason, field: None, detail: cut(detail, DETAIL_CHARS_MAX) }
    }

    /// A field whose value is not acceptable; `raw` is the value as it was sent.
    #[must_use]
    pub fn value(reason: Reason, field: &'static str, raw: &str, why: impl std::fmt::Display) -> Self {
        let detail = cut(&format!("{field} is {}: {why}", quote(raw)), DETAIL_CHARS_MAX);
        Self { reason, field: Some(field), detail }
    }

    /// A required field that is absent or null.
    #[must_use]
    pub fn missing(field: &'static str) -> Self {
        Self { reason: Reason::MissingField, field: Some(field), detail: format!("{field} is missing") }
    }
}

impl From<TopicError> for FrameError {
    fn from(error: TopicError) -> Self {
        Self::frame(Reason::UnknownTopic, &error.to_string())
    }
}

/// An excerpt of what a charger sent.
pub(super) fn quote(text: &str) -> String {
    cut(text, QUOTE_CHARS_MAX)
}

/// The start of a text, with a mark where it was cut.
fn cut(text: &str, chars_max: usize) -> String {
    let mut chars = text.chars();
    let mut start: String = chars.by_ref().take(chars_max).collect();
    if chars.next().is_some() {
        start.push('…');
    }
    start
}
