//! Days and months of the books. They begin and end by the clock of the first station by id: one operator, one calendar.
//! Without a station the calendar is that of UTC.

use domain::Timestamp;
use jiff::tz::TimeZone;
use settlement::reconcile::Day;
use store::registry::Station;

/// Longer than any month, and shorter than any two.
const MORE_THAN_A_MONTH: i64 = 31;

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

    /// The day an instant lies in.
    pub(crate) fn day_of(&self, at: Timestamp) -> Day {
        Day::at(at, &self.zone)
    }

    /// The first instant after a day.
    pub(crate) fn end_of(&self, day: Day) -> Timestamp {
        day.after().begins(&self.zone)
    }

    /// The month an instant lies in, as "2026-01".
    pub(crate) fn month_of(&self, at: Timestamp) -> String {
        let mut day = self.day_of(at).to_string();
        day.truncate("2026-01".len());
        day
    }

    /// The instants `[from, to)` of a month written "2026-01"; `None` when it is no month.
    pub(crate) fn month(&self, text: &str) -> Option<(Timestamp, Timestamp)> {
        let first: Day = format!("{text}-01").parse().ok()?;
        let next = first.plus(MORE_THAN_A_MONTH).first_of_month();
        Some((first.begins(&self.zone), next.begins(&self.zone)))
    }
}

#[cfg(test)]
mod tests {
    use domain::StationId;

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
        let day = calendar.day_of(at("2026-11-20T16:00:00Z"));
        assert_eq!((day.to_string().as_str(), calendar.end_of(day)), ("2026-11-21", at("2026-11-21T16:00:00Z")));
        assert_eq!(calendar.month("2026-02"), Some((at("2026-01-31T16:00:00Z"), at("2026-02-28T16:00:00Z"))));
        assert_eq!(calendar.month("2026-12").unwrap().1, at("2026-12-31T16:00:00Z"));
        assert_eq!(calendar.month_of(at("2026-11-30T15:59:59.999Z")), "2026-11");
        assert_eq!(Calendar::of(&[]).timezone(), "UTC");
    }

    #[test]
    fn a_year_has_twelve_months_without_a_gap() {
        let calendar = Calendar::of(&[station("S1", "America/Havana")]);
        let months: Vec<_> = (1..=12).map(|month| calendar.month(&format!("2028-{month:02}")).unwrap()).collect();
        assert!(months.windows(2).all(|pair| pair[0].1 == pair[1].0), "{months:?}");
        assert_eq!(months.iter().map(|(from, to)| to.since(*from).0).sum::<i64>(), 366 * 86_400_000);
    }

    #[test]
    fn what_is_no_month_is_refused() {
        let calendar = Calendar::of(&[]);
        for text in ["", "2026-13", "2026-1", "26-01", "2026-01-01", "x", "2026-01 "] {
            assert_eq!(calendar.month(text), None, "{text}");
        }
    }
}
