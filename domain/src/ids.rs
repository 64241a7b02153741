//! Names of things, checked once at the edge.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// Why a text is not a valid name; says which kind of name, the text and the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} \"{text}\" is not valid: {rule}")]
pub struct BadId {
    /// The kind of name, as the wire calls it: `pileCode`, `orderNo`, …
    pub kind: &'static str,
    /// The offending text, cut to 64 characters.
    pub text: String,
    /// The rule it breaks.
    pub rule: &'static str,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $max:literal, $rule:literal, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Longest text, in bytes.
            pub const LEN_MAX: usize = $max;

            /// Checks and wraps a text.
            ///
            /// # Errors
            /// [`BadId`] when the text is empty, too long or has a character that is not allowed.
            pub fn parse(text: &str) -> Result<Self, BadId> {
                let allowed: fn(u8) -> bool = $allowed;
                if text.is_empty() || text.len() > Self::LEN_MAX || !text.bytes().all(allowed) {
                    return Err(BadId { kind: $kind, text: text.chars().take(64).collect(), rule: $rule });
                }
                Ok(Self(Arc::from(text)))
            }

            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<Self, BadId> {
                Self::parse(&text)
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }
        impl std::str::FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                Self::parse(text)
            }
        }
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

const fn name_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || b == b'-'
}

const fn printable(b: u8) -> bool {
    b >= 0x20 && b != 0x7f
}

text_id!(
    /// A charger, by the code painted on it.
    PileCode, "pileCode", 32, "1 to 32 of A-Z a-z 0-9 _ -", name_byte
);
text_id!(
    /// A charging station: the place where piles stand, with one time zone and one tariff.
    StationId, "stationId", 32, "1 to 32 of A-Z a-z 0-9 _ -", name_byte
);
text_id!(
    /// Another system of the operator's that reads the piles' frames.
    IntegrationName, "name", 32, "1 to 32 of A-Z a-z 0-9 _ -", name_byte
);
text_id!(
    /// One charging session and its money.
    OrderNo, "orderNo", 32, "1 to 32 letters or digits", |b| b.is_ascii_alphanumeric()
);
text_id!(
    /// Who pays: the `sub` of the driver's token.
    UserId, "sub", 64, "1 to 64 bytes without control characters", printable
);
text_id!(
    /// One command to a pile; a command that is sent again keeps its id.
    CommandId, "commandId", 64, "1 to 64 of A-Z a-z 0-9 _ -", name_byte
);
text_id!(
    /// One event of a pile, as the pile numbers it; the same id again is the same event.
    EventId, "eventId", 64, "1 to 64 bytes without control characters", printable
);

impl OrderNo {
    /// The number as an integer when it is one of the hub's own (digits only, at most 18): the telemetry log keeps
    /// this instead of the text.
    #[must_use]
    pub fn as_number(&self) -> Option<i64> {
        if self.0.len() > 18 || self.0.starts_with('0') {
            return None;
        }
        self.0.parse().ok()
    }
}

/// A gun of a pile, 1..=n; 0 means the pile as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConnectorId(pub u8);

impl ConnectorId {
    /// The pile as a whole.
    pub const PILE: Self = Self(0);
}

impl fmt::Display for ConnectorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The hub's own short number of a pile: index of its slot, key of its telemetry. Never leaves the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PileNo(pub u32);

impl PileNo {
    /// As an index into a slab.
    #[must_use]
    #[allow(clippy::as_conversions, reason = "u32 fits usize on every supported target")]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}
