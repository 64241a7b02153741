//! What makes a tariff valid, and which one is in force.

use domain::{PriceE4, StationId, Timestamp};
use jiff::tz::TimeZone;

use super::{FeeKind, Period, Tariff, TariffError, walk::MINUTES_PER_DAY};
use crate::limits::{LABEL_LEN_MAX, PRICE_MAX};

/// Checks that periods cover 00:00 to 24:00 without gap or overlap (in any order) at allowed prices [CONTRACT 3].
///
/// # Errors
/// The first thing wrong, with the minute or price and what to do.
pub fn validate_periods(periods: &[Period]) -> Result<(), TariffError> {
    if periods.is_empty() {
        return Err(TariffError::Empty);
    }
    // Each by itself first: a period over midnight also leaves a gap, and is what there is to mend.
    periods.iter().try_for_each(check_period)?;
    let mut sorted: Vec<&Period> = periods.iter().collect();
    sorted.sort_by_key(|period| (period.from_min, period.to_min));
    let mut covered_to = 0;
    for period in sorted {
        let Period { from_min, to_min, .. } = *period;
        if from_min > covered_to {
            return Err(TariffError::Gap { from_min: covered_to, to_min: from_min });
        }
        if from_min < covered_to {
            return Err(TariffError::Overlap { at_min: from_min, end_min: covered_to });
        }
        covered_to = to_min;
    }
    if covered_to < MINUTES_PER_DAY {
        return Err(TariffError::Gap { from_min: covered_to, to_min: MINUTES_PER_DAY });
    }
    Ok(())
}

fn check_period(period: &Period) -> Result<(), TariffError> {
    let Period { from_min, to_min, .. } = *period;
    if let Some(minute) = [from_min, to_min].into_iter().find(|minute| *minute > MINUTES_PER_DAY) {
        return Err(TariffError::PastMidnight { minute });
    }
    if from_min >= to_min {
        return Err(TariffError::OverMidnight { from_min, to_min });
    }
    for (kind, price) in [(FeeKind::Electricity, period.electricity), (FeeKind::Service, period.service)] {
        if price < PriceE4::ZERO || price > PRICE_MAX {
            return Err(TariffError::Price { from_min, kind, price });
        }
    }
    if period.label.len() > LABEL_LEN_MAX {
        return Err(TariffError::Label { from_min });
    }
    Ok(())
}

/// Reads "HH:MM", 00:00 to 24:00, as minutes since midnight.
///
/// # Errors
/// [`TariffError::NotATime`].
pub fn parse_minute(text: &str) -> Result<u16, TariffError> {
    let not_a_time = || TariffError::NotATime { text: text.chars().take(16).collect() };
    let &[h1, h0, b':', m1, m0] = text.as_bytes() else { return Err(not_a_time()) };
    let number = |tens: u8, ones: u8| {
        let digit = |byte: u8| char::from(byte).to_digit(10).and_then(|digit| u16::try_from(digit).ok());
        digit(tens)?.checked_mul(10)?.checked_add(digit(ones)?)
    };
    let (Some(hours), Some(minutes)) = (number(h1, h0), number(m1, m0)) else { return Err(not_a_time()) };
    match hours.checked_mul(60).and_then(|hours| hours.checked_add(minutes)) {
        Some(minute) if minutes < 60 && minute <= MINUTES_PER_DAY => Ok(minute),
        Some(_) | None => Err(not_a_time()),
    }
}

/// Prints minutes since midnight as "HH:MM".
#[must_use]
pub fn format_minute(minute: u16) -> String {
    let (hours, minutes) = (minute.div_euclid(60), minute.rem_euclid(60));
    format!("{hours:02}:{minutes:02}")
}

/// Checks the name of a time zone against the bundled IANA database.
///
/// # Errors
/// [`TariffError::UnknownTimezone`].
pub fn check_timezone(name: &str) -> Result<(), TariffError> {
    zone(name).map(|_| ())
}

/// The time zone of a name.
pub(crate) fn zone(name: &str) -> Result<TimeZone, TariffError> {
    TimeZone::get(name).map_err(|_| TariffError::UnknownTimezone { name: name.chars().take(64).collect() })
}

/// The published tariff of a station in force at an instant: the latest `effective_at` that is not later; of equal
/// ones the higher version.
#[must_use]
pub fn tariff_at<'a>(tariffs: &'a [Tariff], station: &StationId, at: Timestamp) -> Option<&'a Tariff> {
    tariffs
        .iter()
        .filter(|tariff| tariff.station_id == *station)
        .filter_map(|tariff| Some((tariff.effective_at?, tariff)))
        .filter(|(effective_at, _)| *effective_at <= at)
        .max_by_key(|(effective_at, tariff)| (*effective_at, tariff.version))
        .map(|(_, tariff)| tariff)
}

/// The version number the next published tariff of a station gets: 1, 2, 3 …
#[must_use]
pub fn next_version(tariffs: &[Tariff], station: &StationId) -> u32 {
    let newest = tariffs.iter().filter(|tariff| tariff.station_id == *station).map(|tariff| tariff.version).max();
    newest.unwrap_or(0).saturating_add(1)
}
