//! Days and months of the books. They begin and end by the clock of the first station by id: one operator, one calendar.
//! Without a station the calendar is that of UTC.

use domain::Timestamp;
use jiff::{
    ToSpan,
    civil::{Date, date},
    tz::TimeZone,
};
use store::registry::Station;

/// The calendar of the books.
#[derive(Debug, Clone)]
pub(crate) struct Calendar {
    zone: TimeZone,
    name: String,
}

impl Calendar {
    /// The calendar of an operator with these stations.
    pub(crate) fn of(stations: &[Station]) -> Self {
        let first = stations.iter().min_by(|a, b| a.station_id.cmp(&b.station_id));
        let name = first.map_or("UTC", |station| station.timezone.as_str());
        // A station's zone was checked when the station was made.
        TimeZone::get(name).map_or_else(
            |_| Self { zone: TimeZone::UTC, name: "UTC".to_owned() },
            |zone| Self { zone, name: name.to_owned() },
        )
    }

    /// The IANA name of its time zone.
    pub(crate) fn timezone(&self) -> &str {
        &self.name
    }

    /// The day an instant lies in, as "2026-01-31".
    pub(crate) fn day_of(&self, at: Timestamp) -> String {
        self.date_of(at).to_string()
    }

    /// The day after one written "2026-01-31"; `None` when it is no day, or the last one there is.
    pub(crate) fn day_after(&self, text: &str) -> Option<String> {
        let (_, to) = self.day(text)?;
        Some(self.day_of(to))
    }

    /// The month an instant lies in, as "2026-01".
    pub(crate) fn month_of(&self, at: Timestamp) -> String {
        self.date_of(at).strftime("%Y-%m").to_string()
    }

    /// The instants `[from, to)` of a day written "2026-01-31"; `None` when it is no day.
    pub(crate) fn day(&self, text: &str) -> Option<(Timestamp, Timestamp)> {
        let day: Date = text.parse().ok().filter(|day: &Date| day.to_string() == text)?;
        Some((self.midnight(day)?, self.midnight(day.checked_add(1.day()).ok()?)?))
    }

    /// The instants `[from, to)` of a month written "2026-01"; `None` when it is no month.
    pub(crate) fn month(&self, text: &str) -> Option<(Timestamp, Timestamp)> {
        let first: Date =
            format!("{text}-01").parse().ok().filter(|day: &Date| day.strftime("%Y-%m").to_string() == text)?;
        Some((self.midnight(first)?, self.midnight(first.checked_add(1.month()).ok()?)?))
    }

    fn date_of(&self, at: Timestamp) -> Date {
        // Every `domain::Timestamp` is in range of jiff's; the fallback is never taken.
        let at = jiff::Timestamp::from_millisecond(at.as_millis());
        at.map_or_else(|_| date(1970, 1, 1), |at| self.zone.to_datetime(at).date())
    }

    /// The first instant of a day: where the clocks skip midnight, the first after it.
    fn midnight(&self, day: Date) -> Option<Timestamp> {
        let begins = self.zone.to_zoned(day.at(0, 0, 0, 0)).ok()?;
        Timestamp::from_millis(begins.timestamp().as_millisecond())
    }
}

#[cfg(test)]
mod tests {
    use domain::{Millis, StationId};

    use super::*;

    fn station(id: &str, timezone: &str) -> Station {
        Station {
            station_id: StationId::parse(id).unwrap(),
            name: id.to_owned(),
            timezone: timezone.to_owned(),
            longitude_e7: 0,
            latitude_e7: 0,
            certificate_only: false,
        }
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn days_and_months_are_those_of_the_first_station() {
        let calendar = Calendar::of(&[station("S2", "UTC"), station("S1", "Asia/Shanghai")]);
        assert_eq!(calendar.timezone(), "Asia/Shanghai");
        assert_eq!(calendar.day("2026-11-21"), Some((at("2026-11-20T16:00:00Z"), at("2026-11-21T16:00:00Z"))));
        assert_eq!(calendar.month("2026-02"), Some((at("2026-01-31T16:00:00Z"), at("2026-02-28T16:00:00Z"))));
        assert_eq!(calendar.month("2026-12").unwrap().1, at("2026-12-31T16:00:00Z"));
        assert_eq!(calendar.day_of(at("2026-11-20T16:00:00Z")), "2026-11-21");
        assert_eq!(calendar.day_after("2026-12-31").as_deref(), Some("2027-01-01"));
        assert_eq!(calendar.month_of(at("2026-11-30T15:59:59.999Z")), "2026-11");
        assert_eq!(Calendar::of(&[]).timezone(), "UTC");
    }

    #[test]
    fn days_of_changed_clocks_are_shorter_or_longer_and_leave_no_gap() {
        let calendar = Calendar::of(&[station("S1", "America/Havana")]);
        let hours = |day: &str| {
            let (from, to) = calendar.day(day).unwrap();
            to.since(from).0 / Millis::from_secs(3_600).0
        };
        assert_eq!(["2026-03-07", "2026-03-08", "2026-10-31", "2026-11-01"].map(hours), [24, 23, 24, 25]);
        assert_eq!(calendar.day("2026-03-07").unwrap().1, calendar.day("2026-03-08").unwrap().0);
    }

    #[test]
    fn what_is_no_day_or_month_is_refused() {
        let calendar = Calendar::of(&[]);
        for text in ["", "2026-13", "2026-1", "26-01", "2026-01-01", "x", "2026-01 "] {
            assert_eq!(calendar.month(text), None, "{text}");
        }
        for text in ["", "2026-02-30", "2026-2-3", "2026-01-01T00:00", "20260101"] {
            assert_eq!(calendar.day(text), None, "{text}");
        }
    }
}
