//! The prices of a receipt: what of a tariff version the bill depends on. Who wrote and published it is the operator's
//! own business and not in it.

use domain::{PriceE4, StationId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use crate::tariff::{DayPlan, LocalDate, Period, Tariff, TariffError, Weekdays, format_minute, parse_minute};

/// A tariff version as far as a bill depends on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Terms {
    /// Which tariff.
    pub tariff_id: String,
    /// Which version of the station's prices.
    pub version: u32,
    /// IANA name of the time zone in which the periods are read.
    pub timezone: String,
    /// From when on it held.
    pub effective_at: Option<Timestamp>,
    /// The periods of every day that no plan fits.
    pub periods: Vec<TermsPeriod>,
    /// Prices of certain days; the first that fits a day is used.
    #[serde(default)]
    pub plans: Vec<TermsPlan>,
}

/// Prices of certain days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TermsPlan {
    /// What the operator calls it.
    pub name: String,
    /// On which weekdays.
    pub weekdays: Weekdays,
    /// First day; `None`: since ever.
    pub from_date: Option<LocalDate>,
    /// Last day, included; `None`: for ever.
    pub to_date: Option<LocalDate>,
    /// The periods of such a day.
    pub periods: Vec<TermsPeriod>,
}

/// One price between two times of day, half-open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TermsPeriod {
    /// "HH:MM".
    pub from: String,
    /// "HH:MM", at most "24:00".
    pub to: String,
    /// Its label.
    pub label: String,
    /// Electricity.
    #[serde(rename = "electricityE4")]
    pub electricity_e4: PriceE4,
    /// Service.
    #[serde(rename = "serviceE4")]
    pub service_e4: PriceE4,
}

impl Terms {
    pub(super) fn of(tariff: &Tariff) -> Self {
        Self {
            tariff_id: tariff.tariff_id.clone(),
            version: tariff.version,
            timezone: tariff.timezone.clone(),
            effective_at: tariff.effective_at,
            periods: tariff.periods.iter().map(TermsPeriod::of).collect(),
            plans: tariff.plans.iter().map(TermsPlan::of).collect(),
        }
    }

    /// The tariff that prices as these terms do; `user` stands in for its author, whom the prices do not depend on.
    pub(super) fn tariff(&self, station: &StationId, user: &UserId) -> Result<Tariff, TariffError> {
        let id = self.tariff_id.clone();
        let at = self.effective_at.unwrap_or(Timestamp::EPOCH);
        let periods = self.periods.iter().map(TermsPeriod::period).collect::<Result<_, _>>()?;
        let plans = self.plans.iter().map(TermsPlan::plan).collect::<Result<_, _>>()?;
        let tariff = Tariff::draft(id, station.clone(), self.timezone.clone(), periods, user.clone(), at)?;
        let tariff = tariff.with_plans(plans)?;
        Ok(Tariff { version: self.version, effective_at: self.effective_at, ..tariff })
    }
}

impl TermsPlan {
    fn of(plan: &DayPlan) -> Self {
        let DayPlan { name, weekdays, from_date, to_date, periods } = plan;
        Self {
            name: name.clone(),
            weekdays: *weekdays,
            from_date: *from_date,
            to_date: *to_date,
            periods: periods.iter().map(TermsPeriod::of).collect(),
        }
    }

    fn plan(&self) -> Result<DayPlan, TariffError> {
        let Self { name, weekdays, from_date, to_date, periods } = self;
        Ok(DayPlan {
            name: name.clone(),
            weekdays: *weekdays,
            from_date: *from_date,
            to_date: *to_date,
            periods: periods.iter().map(TermsPeriod::period).collect::<Result<_, _>>()?,
        })
    }
}

impl TermsPeriod {
    fn of(period: &Period) -> Self {
        Self {
            from: format_minute(period.from_min),
            to: format_minute(period.to_min),
            label: period.label.clone(),
            electricity_e4: period.electricity,
            service_e4: period.service,
        }
    }

    fn period(&self) -> Result<Period, TariffError> {
        Ok(Period {
            from_min: parse_minute(&self.from)?,
            to_min: parse_minute(&self.to)?,
            label: self.label.clone(),
            electricity: self.electricity_e4,
            service: self.service_e4,
        })
    }
}
