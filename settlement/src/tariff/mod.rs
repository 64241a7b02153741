//! Time-of-use tariffs of a station: immutable versions, periods in the station's time zone.

mod error;
mod rules;
mod walk;

use domain::{PriceE4, StationId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

pub use error::{FeeKind, TariffError};
pub(crate) use rules::zone;
pub use rules::{check_timezone, format_minute, next_version, parse_minute, tariff_at, validate_periods};
pub(crate) use walk::LocalTime;
pub use walk::{PriceSpan, Walk};

/// One version of a station's prices. Never edited once published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tariff {
    /// Unique over all stations and versions.
    pub tariff_id: String,
    /// Whose prices.
    pub station_id: StationId,
    /// 1, 2, 3 … per station, given when published; 0 while a draft.
    pub version: u32,
    /// IANA name of the time zone in which the periods are read, copied from the station.
    pub timezone: String,
    /// Covers 00:00 to 24:00 without gap or overlap, sorted.
    pub periods: Vec<Period>,
    /// Who wrote it.
    pub author: UserId,
    /// When it was written.
    pub created_at: Timestamp,
    /// Who published it, never its author.
    pub publisher: Option<UserId>,
    /// From when on it holds; `None` while a draft.
    pub effective_at: Option<Timestamp>,
}

/// One price between two times of day, half-open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// First minute of the day it holds in, 0..1440.
    pub from_min: u16,
    /// First minute of the day it no longer holds in, 1..=1440.
    pub to_min: u16,
    /// 尖, 峰, 平, 谷 or the operator's own word.
    pub label: String,
    /// Electricity.
    pub electricity: PriceE4,
    /// Service.
    pub service: PriceE4,
}

impl Tariff {
    /// A draft; its periods are sorted. Periods and time zone are checked.
    ///
    /// # Errors
    /// [`TariffError`], naming the minute or price and what to do.
    pub fn draft(
        tariff_id: String,
        station_id: StationId,
        timezone: String,
        mut periods: Vec<Period>,
        author: UserId,
        now: Timestamp,
    ) -> Result<Self, TariffError> {
        check_timezone(&timezone)?;
        validate_periods(&periods)?;
        periods.sort_by_key(|period| period.from_min);
        Ok(Self {
            tariff_id,
            station_id,
            version: 0,
            timezone,
            periods,
            author,
            created_at: now,
            publisher: None,
            effective_at: None,
        })
    }

    /// The published form of a draft: in force from `effective_at` on, at once when that is not given.
    ///
    /// # Errors
    /// [`TariffError::Published`], [`TariffError::OwnDraft`] (publisher = author), [`TariffError::InThePast`].
    pub fn publish(
        &self,
        publisher: &UserId,
        effective_at: Option<Timestamp>,
        version: u32,
        now: Timestamp,
    ) -> Result<Self, TariffError> {
        if self.effective_at.is_some() {
            return Err(TariffError::Published);
        }
        if *publisher == self.author {
            return Err(TariffError::OwnDraft);
        }
        let effective_at = effective_at.unwrap_or(now);
        if effective_at < now {
            return Err(TariffError::InThePast { effective_at });
        }
        Ok(Self { version, publisher: Some(publisher.clone()), effective_at: Some(effective_at), ..self.clone() })
    }

    /// The period in force at an instant, by the wall clock of the station.
    ///
    /// # Errors
    /// [`TariffError`] when the time zone is unknown or no period covers the minute.
    pub fn period_at(&self, at: Timestamp) -> Result<&Period, TariffError> {
        self.span_at(at).map(|span| span.period)
    }

    /// The span an instant lies in, from that instant on.
    ///
    /// # Errors
    /// As [`Tariff::period_at`].
    pub fn span_at(&self, at: Timestamp) -> Result<PriceSpan<'_>, TariffError> {
        let mut local = LocalTime::new(zone(&self.timezone)?);
        let spot = local.spot(&self.periods, at.as_millis())?;
        let period = self.periods.get(spot.index).ok_or(TariffError::Empty)?;
        let to = Timestamp::from_millis_clamped(spot.until_ms);
        Ok(PriceSpan { from: at, to, day: spot.day, index: spot.index, period })
    }
}
