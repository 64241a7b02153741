//! Time-of-use tariffs of a station: immutable versions, periods in the station's time zone, plans for certain days.

mod calendar;
mod error;
mod rules;
mod walk;

use domain::{PriceE4, StationId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

pub use calendar::{DayPlan, LocalDate, PlanName, Weekdays, validate_plans};
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
    /// The everyday periods, for days that no plan fits. Cover 00:00 to 24:00 without gap or overlap, sorted.
    pub periods: Vec<Period>,
    /// Prices of certain days; the first that fits a day is used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plans: Vec<DayPlan>,
    /// The version it was copied from, when it goes back to one or carries one on to another station.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub based_on: Option<String>,
    /// Why it was written, in the author's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
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
            plans: Vec::new(),
            based_on: None,
            reason: None,
            author,
            created_at: now,
            publisher: None,
            effective_at: None,
        })
    }

    /// The same draft with plans for certain days; their periods are sorted. Plans are checked, also against each other.
    ///
    /// # Errors
    /// [`TariffError`], naming the plan, the minute or price, and what to do; [`TariffError::Published`].
    pub fn with_plans(self, mut plans: Vec<DayPlan>) -> Result<Self, TariffError> {
        if self.effective_at.is_some() {
            return Err(TariffError::Published);
        }
        validate_plans(&plans)?;
        plans.iter_mut().for_each(|plan| plan.periods.sort_by_key(|period| period.from_min));
        Ok(Self { plans, ..self })
    }

    /// A new draft for the same station with the prices of this version: the way back to it, which takes another
    /// person to publish like any draft.
    ///
    /// # Errors
    /// [`TariffError::NotPublished`].
    pub fn roll_back(
        &self,
        tariff_id: String,
        author: UserId,
        reason: String,
        now: Timestamp,
    ) -> Result<Self, TariffError> {
        let copy = self.copy(tariff_id, author, now)?;
        Ok(Self { reason: Some(reason), ..copy })
    }

    /// This version's prices for another station, read in its time zone: a draft of the same author, to be published by
    /// whoever carries it on.
    ///
    /// # Errors
    /// [`TariffError::NotPublished`], [`TariffError::UnknownTimezone`].
    pub fn carry_on(
        &self,
        tariff_id: String,
        station_id: StationId,
        timezone: String,
        now: Timestamp,
    ) -> Result<Self, TariffError> {
        check_timezone(&timezone)?;
        let copy = self.copy(tariff_id, self.author.clone(), now)?;
        Ok(Self { station_id, timezone, ..copy })
    }

    /// A draft with the prices of this version.
    fn copy(&self, tariff_id: String, author: UserId, now: Timestamp) -> Result<Self, TariffError> {
        if self.effective_at.is_none() {
            return Err(TariffError::NotPublished);
        }
        Ok(Self {
            tariff_id,
            version: 0,
            based_on: Some(self.tariff_id.clone()),
            reason: None,
            author,
            created_at: now,
            publisher: None,
            effective_at: None,
            ..self.clone()
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
        let spot = local.spot(self, at.as_millis())?;
        let period = self.periods_of(spot.plan).get(spot.index).ok_or(TariffError::Empty)?;
        let to = Timestamp::from_millis_clamped(spot.until_ms);
        Ok(PriceSpan { from: at, to, day: spot.day, plan: spot.plan, index: spot.index, period })
    }
}
