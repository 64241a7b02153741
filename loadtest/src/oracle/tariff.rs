//! Time-of-use prices as the oracle reads them: a price per minute of the local day.

use anyhow::Context as _;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// One price between two times of day, half-open; `to` of the last one is `24:00`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Period {
    /// `HH:MM`.
    pub from: String,
    /// `HH:MM`.
    pub to: String,
    /// For people.
    pub label: String,
    /// 0.0001 yuan per kWh.
    pub electricity_e4: i64,
    /// 0.0001 yuan per kWh.
    pub service_e4: i64,
}

/// The prices of a station in its time zone.
#[derive(Debug, Clone)]
pub struct Tariff {
    zone: TimeZone,
    periods: Vec<(i64, i64, Period)>,
}

const MINUTE_MS: i64 = 60_000;

impl Tariff {
    /// Reads periods in an IANA time zone.
    ///
    /// # Errors
    /// When the zone is unknown or a time of day is not `HH:MM`.
    pub fn new(zone: &str, periods: &[Period]) -> anyhow::Result<Self> {
        let minutes = |text: &str| -> anyhow::Result<i64> {
            let (hour, minute) = text.split_once(':').with_context(|| format!("{text} is not HH:MM"))?;
            Ok(hour.parse::<i64>()?.saturating_mul(60).saturating_add(minute.parse()?))
        };
        let periods = periods.iter().map(|p| Ok((minutes(&p.from)?, minutes(&p.to)?, p.clone())));
        Ok(Self { zone: TimeZone::get(zone)?, periods: periods.collect::<anyhow::Result<_>>()? })
    }

    /// The period that holds at an instant (ms since the epoch).
    #[must_use]
    pub fn at(&self, instant_ms: i64) -> Option<&Period> {
        let zoned = jiff::Timestamp::from_millisecond(instant_ms).ok()?.to_zoned(self.zone.clone());
        let minute = i64::from(zoned.hour()).saturating_mul(60).saturating_add(i64::from(zoned.minute()));
        self.periods.iter().find(|(from, to, _)| (*from..*to).contains(&minute)).map(|(_, _, period)| period)
    }

    /// Every instant strictly between two where another period begins. Zones of today are whole minutes off UTC, so
    /// only whole UTC minutes can be such instants.
    #[must_use]
    pub fn changes(&self, from_ms: i64, to_ms: i64) -> Vec<i64> {
        let mut changes = Vec::new();
        let mut minute = from_ms.div_euclid(MINUTE_MS).saturating_add(1).saturating_mul(MINUTE_MS);
        while minute < to_ms {
            if self.at(minute) != self.at(minute.saturating_sub(1)) {
                changes.push(minute);
            }
            minute = minute.saturating_add(MINUTE_MS);
        }
        changes
    }
}
