//! The prices of a receipt: what of a tariff version the bill depends on. Who wrote and published it is the operator's
//! own business and not in it.

use domain::{PriceE4, StationId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use crate::tariff::{Period, Tariff, TariffError, format_minute, parse_minute};

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
    /// The periods of a day.
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
        let period = |period: &Period| TermsPeriod {
            from: format_minute(period.from_min),
            to: format_minute(period.to_min),
            label: period.label.clone(),
            electricity_e4: period.electricity,
            service_e4: period.service,
        };
        Self {
            tariff_id: tariff.tariff_id.clone(),
            version: tariff.version,
            timezone: tariff.timezone.clone(),
            effective_at: tariff.effective_at,
            periods: tariff.periods.iter().map(period).collect(),
        }
    }

    /// The tariff that prices as these terms do; `user` stands in for its author, whom the prices do not depend on.
    pub(super) fn tariff(&self, station: &StationId, user: &UserId) -> Result<Tariff, TariffError> {
        let period = |period: &TermsPeriod| {
            Ok(Period {
                from_min: parse_minute(&period.from)?,
                to_min: parse_minute(&period.to)?,
                label: period.label.clone(),
                electricity: period.electricity_e4,
                service: period.service_e4,
            })
        };
        let periods = self.periods.iter().map(period).collect::<Result<_, TariffError>>()?;
        let id = self.tariff_id.clone();
        let at = self.effective_at.unwrap_or(Timestamp::EPOCH);
        let tariff = Tariff::draft(id, station.clone(), self.timezone.clone(), periods, user.clone(), at)?;
        Ok(Tariff { version: self.version, effective_at: self.effective_at, ..tariff })
    }
}
