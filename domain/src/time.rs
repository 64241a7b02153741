//! Points in time and spans, in whole milliseconds; the port through which the process learns the time.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A span in milliseconds; negative when it points back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub i64);

impl Millis {
    /// Whole seconds as milliseconds (saturating).
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Whole seconds, towards zero.
    #[must_use]
    pub const fn as_secs(self) -> i64 {
        self.0.saturating_div(1000)
    }
}

/// A point in time: milliseconds since 1970-01-01T00:00Z, within years 0000 to 9999.
///
/// Serialises as RFC 3339 UTC with milliseconds, which is what the hub emits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 1970-01-01T00:00Z.
    pub const EPOCH: Self = Self(0);
    /// 0000-01-01T00:00Z.
    pub const MIN: Self = Self(-62_167_219_200_000);
    /// 9999-12-30T22:00Z: the last time that every calendar in use can show.
    pub const MAX: Self = Self(253_402_207_200_000);

    /// From milliseconds since the epoch; `None` outside years 0000 to 9999.
    #[must_use]
    pub const fn from_millis(ms: i64) -> Option<Self> {
        if ms < Self::MIN.0 || ms > Self::MAX.0 { None } else { Some(Self(ms)) }
    }

    /// From milliseconds since the epoch, pulled into range: for values the hub itself stored.
    #[must_use]
    pub const fn from_millis_clamped(ms: i64) -> Self {
        if ms < Self::MIN.0 {
            Self::MIN
        } else if ms > Self::MAX.0 {
            Self::MAX
        } else {
            Self(ms)
        }
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This time plus a span, pulled into range.
    #[must_use]
    pub const fn plus(self, span: Millis) -> Self {
        Self::from_millis_clamped(self.0.saturating_add(span.0))
    }

    /// The span from `earlier` to this time; negative when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }

    /// Reads an RFC 3339 text with any offset; sub-millisecond digits are cut off.
    ///
    /// # Errors
    /// The text, when it is no RFC 3339 time or out of range.
    pub fn parse_rfc3339(text: &str) -> Result<Self, BadTimestamp> {
        let bad = || BadTimestamp { text: text.chars().take(64).collect() };
        let parsed: jiff::Timestamp = text.parse().map_err(|_| bad())?;
        Self::from_millis(parsed.as_millisecond()).ok_or_else(bad)
    }
}

/// Not an RFC 3339 time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is no time in the form 2026-01-31T08:00:00.000Z")]
pub struct BadTimestamp {
    /// The offending text, cut to 64 characters.
    pub text: String,
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => write!(f, "{time:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse_rfc3339(&text).map_err(D::Error::custom)
    }
}

/// Where the process learns the time of the charging world. The demo's runs faster than the wall's.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The time of the charging world. It does not go back.
    fn now(&self) -> Timestamp;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_emitted_in_utc_with_milliseconds() {
        let t = Timestamp::from_millis(1_763_690_000_000).unwrap();
        assert_eq!(t.to_string(), "2025-11-21T01:53:20.000Z");
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-30T22:00:00.000Z");
        assert!(Timestamp::MIN.to_string().starts_with("0000-01-01"));
    }

    #[test]
    fn any_offset_is_read_and_finer_digits_are_cut() {
        let t = Timestamp::parse_rfc3339("2025-11-21T09:53:20.1239+08:00").unwrap();
        assert_eq!(t.as_millis(), 1_763_690_000_123);
        assert!(Timestamp::parse_rfc3339("yesterday").is_err());
    }
}
