//! Days as the books know them: a date on the wall calendar of one time zone. Knows no clock; which day an instant lies in
//! follows from the zone alone, so a day may have 23 or 25 hours.

use std::{fmt, str::FromStr};

use domain::Timestamp;
use jiff::{Span, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::tariff::{TariffError, zone};

/// A day of the books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Day(Date);

/// Not a day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is no day: write it like 2026-11-20")]
pub struct BadDay {
    /// The offending text, cut to 32 characters.
    pub text: String,
}

impl Day {
    /// The day an instant lies in.
    ///
    /// # Errors
    /// [`TariffError::UnknownTimezone`].
    pub fn of(at: Timestamp, timezone: &str) -> Result<Self, TariffError> {
        Ok(Self::at(at, &zone(timezone)?))
    }

    /// The day an instant lies in, in a zone that is known.
    #[must_use]
    pub fn at(at: Timestamp, zone: &TimeZone) -> Self {
        // Every `domain::Timestamp` is in range of jiff's; the fallback is never taken.
        let at = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or(jiff::Timestamp::MAX);
        Self(zone.to_datetime(at).date())
    }

    /// Its first instant, and the first instant after it.
    ///
    /// # Errors
    /// [`TariffError::UnknownTimezone`].
    pub fn window(self, timezone: &str) -> Result<(Timestamp, Timestamp), TariffError> {
        let zone = zone(timezone)?;
        Ok((self.begins(&zone), self.after().begins(&zone)))
    }

    /// Its first instant in a zone that is known: where the clocks skip midnight, the first after it.
    #[must_use]
    pub fn begins(self, zone: &TimeZone) -> Timestamp {
        // A day that no calendar has a midnight for is at the end of time.
        self.0
            .to_zoned(zone.clone())
            .map_or(Timestamp::MAX, |midnight| Timestamp::from_millis_clamped(midnight.timestamp().as_millisecond()))
    }

    /// The first day of its month.
    #[must_use]
    pub fn first_of_month(self) -> Self {
        Self(self.0.first_of_month())
    }

    /// The day `days` later; earlier when negative. At either end of the calendar, that end.
    #[must_use]
    pub fn plus(self, days: i64) -> Self {
        let moved = Span::new().try_days(days).ok().and_then(|span| self.0.checked_add(span).ok());
        Self(moved.unwrap_or(if days < 0 { Date::MIN } else { Date::MAX }))
    }

    /// The next day.
    #[must_use]
    pub fn after(self) -> Self {
        self.plus(1)
    }

    /// The day before.
    #[must_use]
    pub fn before(self) -> Self {
        self.plus(-1)
    }
}

impl FromStr for Day {
    type Err = BadDay;

    fn from_str(text: &str) -> Result<Self, BadDay> {
        let bad = || BadDay { text: text.chars().take(32).collect() };
        // The calendar reads more forms than the one that is written.
        let plain = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        let date: Date = text.parse().map_err(|_| bad())?;
        if plain { Ok(Self(date)) } else { Err(bad()) }
    }
}

impl TryFrom<String> for Day {
    type Error = BadDay;

    fn try_from(text: String) -> Result<Self, BadDay> {
        text.parse()
    }
}

impl From<Day> for String {
    fn from(day: Day) -> Self {
        day.to_string()
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn a_day_is_read_in_one_form_only() {
        assert_eq!("2026-11-20".parse::<Day>().unwrap().to_string(), "2026-11-20");
        for text in ["", "20261120", "2026-11-31", "2026-1-2", "2026-11-20T00:00", "+002026-11-20", "yesterday"] {
            assert!(text.parse::<Day>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_day_begins_and_ends_at_midnight_of_its_zone() {
        let day: Day = "2026-11-20".parse().unwrap();
        let (from, to) = day.window("Asia/Shanghai").unwrap();
        assert_eq!((from, to), (at("2026-11-19T16:00:00Z"), at("2026-11-20T16:00:00Z")));
        assert_eq!(Day::of(from, "Asia/Shanghai"), Ok(day));
        assert_eq!(Day::of(to, "Asia/Shanghai"), Ok(day.after()));
        assert_eq!(day.after().before(), day);
    }

    #[test]
    fn a_day_of_a_clock_change_has_another_length() {
        let (from, to) = "2026-03-29".parse::<Day>().unwrap().window("Europe/Berlin").unwrap();
        assert_eq!(to.since(from).as_secs(), 23 * 3600);
        let (from, to) = "2026-10-25".parse::<Day>().unwrap().window("Europe/Berlin").unwrap();
        assert_eq!(to.since(from).as_secs(), 25 * 3600);
        let skipped = "2026-03-08".parse::<Day>().unwrap();
        let (from, to) = skipped.window("America/Havana").unwrap();
        assert_eq!((from, to.since(from).as_secs()), (at("2026-03-08T05:00:00Z"), 23 * 3600), "no midnight");
        assert_eq!(skipped.before().window("America/Havana").unwrap().1, from);
    }
}
