//! What a billed charge would have cost at another tariff. Never used for money: a bill that is stored stays.

use domain::{Timestamp, WattHours, Watts};

use super::{Bill, ChargeEnd, PriceInput, PricingError, Reading, RecordTimes, price};
use crate::tariff::Tariff;

/// Prices a bill's charge at another tariff, by the same rules as the bill itself.
///
/// What is known of the charge are the bill's own segments: their ends count as readings, between which the energy is
/// spread evenly over time [CONTRACT 2.1]. So the result is the same to the fen as from all readings wherever the other
/// tariff has no edge inside a segment, and for its own tariff it is the very bill; at an edge inside a segment it is as
/// good as the assumption. Occupancy and flags stay as they are.
///
/// # Errors
/// [`PricingError`] when the tariff or the bill makes no sense.
pub fn reprice(bill: &Bill, tariff: &Tariff) -> Result<Bill, PricingError> {
    let readings = ends(bill)?;
    let record = RecordTimes {
        start: Some(bill.started_at),
        end: bill.ended_at,
        total: bill.energy_wh,
        total_time_s: None,
        frames: None,
    };
    let again = price(&PriceInput {
        tariff,
        created_at: bill.started_at,
        rated_power: Watts(i32::MAX),
        readings: &readings,
        readings_thinned: false,
        end: ChargeEnd::Record(record),
        // A bill's times are corrected already.
        clock_offset: None,
    })?;
    let total_fen = again.total_fen.checked_add(bill.occupancy_fen).ok_or(PricingError::Overflow)?;
    Ok(Bill { occupancy_fen: bill.occupancy_fen, total_fen, flags: bill.flags.clone(), ..again })
}

/// The energy delivered by the end of each segment.
fn ends(bill: &Bill) -> Result<Vec<Reading>, PricingError> {
    let mut energy = WattHours::ZERO;
    let mut reading = |(seq, at, part): (u32, Timestamp, WattHours)| {
        energy = energy.checked_add(part).ok_or(PricingError::Overflow)?;
        Ok(Reading { at, seq, energy, total_time_s: None })
    };
    (1..).zip(&bill.segments).map(|(seq, segment)| reading((seq, segment.to, segment.energy_wh))).collect()
}
