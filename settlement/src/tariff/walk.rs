//! Prices along a stretch of time, always by the local wall clock of the station.
//!
//! The price at an instant is that of the period its local time of day falls into, among the periods of its local day,
//! whatever the clocks do. Between two changes of the zone's offset local time runs evenly, and no period reaches over
//! midnight, so a span ends at the end of its period or at the next change of offset, whichever comes first. In the hour that a spring jump skips no period is entered; in the hour that an
//! autumn fold repeats, its periods are entered twice.

use domain::Timestamp;
use jiff::tz::TimeZone;

use super::{Period, Tariff, TariffError, zone};

/// Minutes from 00:00 to 24:00.
pub(crate) const MINUTES_PER_DAY: u16 = 1440;

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 86_400_000;

/// A stretch of time at one price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PriceSpan<'a> {
    /// First instant.
    pub from: Timestamp,
    /// First instant after it.
    pub to: Timestamp,
    /// Local day it lies in, counted from 1970-01-01.
    pub day: i64,
    /// Which of the tariff's plans is used on that day; `None`: the everyday periods.
    pub plan: Option<usize>,
    /// Which of the periods of that day.
    pub index: usize,
    /// The period itself.
    pub period: &'a Period,
}

/// The spans from one instant to another, in time order, without gaps. Two neighbours may be of the same period when
/// the clocks changed between them.
#[derive(Debug)]
pub struct Walk<'a> {
    tariff: &'a Tariff,
    local: LocalTime,
    at_ms: i64,
    to_ms: i64,
}

impl<'a> Walk<'a> {
    /// Walks `[from, to)`; nothing when it is empty.
    ///
    /// # Errors
    /// [`TariffError::UnknownTimezone`].
    pub fn new(tariff: &'a Tariff, from: Timestamp, to: Timestamp) -> Result<Self, TariffError> {
        Ok(Self {
            tariff,
            local: LocalTime::new(zone(&tariff.timezone)?),
            at_ms: from.as_millis(),
            to_ms: to.as_millis(),
        })
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Result<PriceSpan<'a>, TariffError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at_ms >= self.to_ms {
            return None;
        }
        let spot = match self.local.spot(self.tariff, self.at_ms) {
            Ok(spot) => spot,
            Err(hole) => {
                self.at_ms = self.to_ms;
                return Some(Err(hole));
            }
        };
        let span = PriceSpan {
            from: Timestamp::from_millis_clamped(self.at_ms),
            to: Timestamp::from_millis_clamped(spot.until_ms.min(self.to_ms)),
            day: spot.day,
            plan: spot.plan,
            index: spot.index,
            period: self.tariff.periods_of(spot.plan).get(spot.index)?,
        };
        self.at_ms = spot.until_ms;
        Some(Ok(span))
    }
}

/// Where an instant lies in a tariff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot {
    /// Local day, counted from 1970-01-01.
    pub(crate) day: i64,
    /// Index of the plan used on that day; `None`: the everyday periods.
    pub(crate) plan: Option<usize>,
    /// Index of the period among those of the day.
    pub(crate) index: usize,
    /// First later instant that may lie elsewhere; always after the instant asked for.
    pub(crate) until_ms: i64,
}

/// A time zone that remembers the stretch of even local time it was last asked about.
#[derive(Debug, Clone)]
pub(crate) struct LocalTime {
    zone: TimeZone,
    offset_ms: i64,
    from_ms: i64,
    until_ms: i64,
}

impl LocalTime {
    pub(crate) const fn new(zone: TimeZone) -> Self {
        Self { zone, offset_ms: 0, from_ms: 0, until_ms: 0 }
    }

    /// Finds the period of an instant.
    ///
    /// # Errors
    /// [`TariffError::Gap`] when no period covers its minute of the day.
    pub(crate) fn spot(&mut self, tariff: &Tariff, at_ms: i64) -> Result<Spot, TariffError> {
        if at_ms < self.from_ms || at_ms >= self.until_ms {
            self.look_up(at_ms);
        }
        let local_ms = at_ms.saturating_add(self.offset_ms);
        let (day, in_day_ms) = (local_ms.div_euclid(DAY_MS), local_ms.rem_euclid(DAY_MS));
        let (plan, periods) = tariff.periods_on(day);
        let minute = u16::try_from(in_day_ms.div_euclid(MINUTE_MS)).unwrap_or(MINUTES_PER_DAY);
        let found = periods.iter().enumerate().find(|(_, period)| period.from_min <= minute && minute < period.to_min);
        let Some((index, period)) = found else {
            return Err(TariffError::Gap { from_min: minute, to_min: minute.saturating_add(1) });
        };
        let left_ms = i64::from(period.to_min).saturating_mul(MINUTE_MS).saturating_sub(in_day_ms);
        let until_ms = at_ms.saturating_add(left_ms).min(self.until_ms);
        Ok(Spot { day, plan, index, until_ms })
    }

    fn look_up(&mut self, at_ms: i64) {
        // Every `domain::Timestamp` is in range of jiff's; the fallback is never taken.
        let at = jiff::Timestamp::from_millisecond(at_ms).unwrap_or(jiff::Timestamp::MAX);
        self.offset_ms = i64::from(self.zone.to_offset(at).seconds()).saturating_mul(1000);
        self.from_ms = at_ms;
        self.until_ms = self.zone.following(at).next().map_or(i64::MAX, |change| change.timestamp().as_millisecond());
    }
}
