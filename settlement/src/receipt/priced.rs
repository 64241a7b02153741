//! The readings of a receipt, with the correction of the pile's clock that was in force, and the bill made from them
//! once more.

use std::collections::BTreeSet;

use domain::{Millis, Timestamp, WattHours, Watts};
use serde::{Deserialize, Serialize};

use super::ReceiptFacts;
use crate::{
    pricing::{self, Bill, BillFlag, ChargeEnd, PriceInput, PricingError, Reading, RecordTimes},
    tariff::Tariff,
};

/// What was priced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Priced {
    /// What was added to the times of the pile, in ms: 0 up to two seconds.
    pub clock_offset_ms: i64,
    /// How the charge ended.
    pub end: PricedEnd,
    /// The accepted status frames, in the order received.
    pub frames: Vec<Frame>,
}

/// How a priced charge ended; times by the pile's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum PricedEnd {
    /// The charger sent its record.
    Record {
        /// `startTime`.
        start: Option<Timestamp>,
        /// `endTime`, else `timestamp`.
        end: Timestamp,
        /// `totalPower`.
        total_wh: WattHours,
        /// `totalTime` in seconds.
        total_time_s: Option<u32>,
        /// Status frames the charger says it sent.
        frames: Option<u32>,
    },
    /// It did not: the charge ends at the last reading.
    LastReading {
        /// The hub's time of the first evidence.
        evidence_at: Timestamp,
    },
}

/// One status frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Frame {
    /// Its number.
    pub seq: u32,
    /// The pile's clock.
    pub at: Timestamp,
    /// Since the start of the order.
    pub energy_wh: WattHours,
    /// Seconds since the start of the order.
    pub total_time_s: Option<u32>,
}

impl Priced {
    /// The readings of an order, if there is a bill and they are all still there. The offset of the pile's clock is not
    /// stored by itself: it is what lies between the end by the pile's clock and the end of the bill.
    pub(super) fn of(facts: &ReceiptFacts<'_>) -> Option<Self> {
        let (bill, readings) = (facts.order.bill.as_ref()?, facts.readings?);
        let end = match (bill.flags.contains(&BillFlag::Estimated), facts.record) {
            // Only a charge without any reading begins and ends at its first evidence.
            (true, _) => ChargeEnd::LastReading { evidence_at: bill.started_at },
            (false, Some(record)) => ChargeEnd::Record(record),
            (false, None) => return None,
        };
        if bill.flags.contains(&BillFlag::TooManyReadings) || !is_complete(bill, readings, facts.record) {
            return None;
        }
        let raw_end = match end {
            ChargeEnd::Record(record) => record.end,
            ChargeEnd::LastReading { .. } if readings.is_empty() => bill.ended_at,
            // Priced without an offset, the charge ends when the pile's clock says so.
            ChargeEnd::LastReading { .. } => {
                price(facts.tariff, facts.order.created_at, readings, end, 0).ok()?.ended_at
            }
        };
        let clock_offset_ms = bill.ended_at.since(raw_end).0;
        Some(Self { clock_offset_ms, end: PricedEnd::of(end), frames: readings.iter().map(Frame::of).collect() })
    }

    /// The bill of these readings at these prices; its flags are not those of the order, which know more.
    pub(super) fn bill(&self, tariff: &Tariff, created_at: Timestamp) -> Result<Bill, PricingError> {
        let readings: Vec<Reading> = self.frames.iter().map(Frame::reading).collect();
        price(tariff, created_at, &readings, self.end.of_charge(), self.clock_offset_ms)
    }
}

/// Whether nothing is missing that was there when the bill was made.
fn is_complete(bill: &Bill, readings: &[Reading], record: Option<RecordTimes>) -> bool {
    let highest = readings.iter().map(|reading| reading.seq).max().unwrap_or(0);
    let sent = record.and_then(|record| record.frames).unwrap_or(highest);
    let numbers: BTreeSet<u32> = readings.iter().map(|reading| reading.seq).collect();
    let present = u32::try_from(numbers.range(1..=sent).count()).unwrap_or(u32::MAX);
    present >= sent || bill.flags.contains(&BillFlag::MissingFrames)
}

/// The boundaries and prices of a bill between its own start and end; its energy is spread evenly.
pub(super) fn outline(bill: &Bill, tariff: &Tariff, created_at: Timestamp) -> Result<Bill, PricingError> {
    let times = RecordTimes {
        start: Some(bill.started_at),
        end: bill.ended_at,
        total: bill.energy_wh,
        total_time_s: None,
        frames: None,
    };
    price(tariff, created_at, &[], ChargeEnd::Record(times), 0)
}

/// The bill of a charge at a pile of any power: its rating makes a flag, never a price.
fn price(
    tariff: &Tariff,
    created_at: Timestamp,
    readings: &[Reading],
    end: ChargeEnd,
    clock_offset_ms: i64,
) -> Result<Bill, PricingError> {
    pricing::price(&PriceInput {
        tariff,
        created_at,
        rated_power: Watts(i32::MAX),
        readings,
        readings_thinned: false,
        end,
        clock_offset: Some(Millis(clock_offset_ms)),
    })
}

impl PricedEnd {
    const fn of(end: ChargeEnd) -> Self {
        match end {
            ChargeEnd::Record(RecordTimes { start, end, total, total_time_s, frames }) => {
                Self::Record { start, end, total_wh: total, total_time_s, frames }
            }
            ChargeEnd::LastReading { evidence_at } => Self::LastReading { evidence_at },
        }
    }

    const fn of_charge(self) -> ChargeEnd {
        match self {
            Self::Record { start, end, total_wh, total_time_s, frames } => {
                ChargeEnd::Record(RecordTimes { start, end, total: total_wh, total_time_s, frames })
            }
            Self::LastReading { evidence_at } => ChargeEnd::LastReading { evidence_at },
        }
    }
}

impl Frame {
    const fn of(reading: &Reading) -> Self {
        Self { seq: reading.seq, at: reading.at, energy_wh: reading.energy, total_time_s: reading.total_time_s }
    }

    const fn reading(&self) -> Reading {
        Reading { at: self.at, seq: self.seq, energy: self.energy_wh, total_time_s: self.total_time_s }
    }
}
