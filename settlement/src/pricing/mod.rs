//! What a charge costs [CONTRACT 2.1].

mod price;
mod readings;
mod reprice;
mod running;

use domain::{Fen, PriceE4, Timestamp, WattHours};
use serde::{Deserialize, Serialize};

pub(crate) use price::fee;
pub use price::{ChargeEnd, PriceInput, PricingError, RecordTimes, price};
pub use reprice::reprice;
pub use running::{Live, RunningBill};

/// One reading of an order's energy, by the pile's clock (not corrected).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// The pile's clock.
    pub at: Timestamp,
    /// Number of the status frame.
    pub seq: u32,
    /// Delivered since the start of the order.
    pub energy: WattHours,
    /// `totalTime` of the frame, in seconds since the start of the order: gives the start when the record has none.
    pub total_time_s: Option<u32>,
}

/// A priced charge. Stored before any money moves, never recomputed from a changed tariff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bill {
    /// Electricity, rounded once.
    pub electricity_fen: Fen,
    /// Service, rounded once.
    pub service_fen: Fen,
    /// For standing there after the charge.
    pub occupancy_fen: Fen,
    /// Sum of the three.
    pub total_fen: Fen,
    /// Which tariff.
    pub tariff_id: String,
    /// Which version of it.
    pub tariff_version: u32,
    /// Energy by period, merged per period.
    pub segments: Vec<Segment>,
    /// Energy of all segments.
    pub energy_wh: WattHours,
    /// First and last time that was priced, corrected.
    pub started_at: Timestamp,
    /// See `started_at`.
    pub ended_at: Timestamp,
    /// What a person should look at; never changes the price.
    pub flags: Vec<BillFlag>,
}

/// Energy of one tariff period of one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Segment {
    /// Start of the part of the charge in this period.
    pub from: Timestamp,
    /// End of the part of the charge in this period.
    pub to: Timestamp,
    /// The period's label.
    pub label: String,
    /// Energy in it.
    pub energy_wh: WattHours,
    /// Its price.
    pub electricity_e4: PriceE4,
    /// Its price.
    pub service_e4: PriceE4,
}

/// Something odd about the readings of a bill [CONTRACT 2.1]: flagged for review, never clamped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BillFlag {
    /// Status frames were missing when the record came.
    MissingFrames,
    /// Some readings went backwards in energy and were left out.
    BackwardsReading,
    /// Some readings were higher than the record's total and were left out.
    AboveTotal,
    /// Some readings were outside the record's start and end and were left out.
    OutsideTimes,
    /// The charge begins before the order was created.
    BeforeCreation,
    /// The pile's clock is off by more than five minutes.
    ClockOffset,
    /// More energy than the pile can deliver in the time.
    AboveRatedPower,
    /// The record's end is before its start.
    EndBeforeStart,
    /// Estimated from the last reading, without a record.
    Estimated,
    /// More readings than are kept.
    TooManyReadings,
    /// The start lies absurdly far before the end and was not believed.
    TooLong,
}
