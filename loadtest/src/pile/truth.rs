//! What a simulated pile really metered and sent: the ground truth that the oracle prices.

use domain::{
    ConnectorId, Millis, OrderNo, PileCode, StopReason, Timestamp, WattHours,
    wire::{Finished, RecordAckResult},
};

/// One status frame as the pile sent it, by the pile's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metered {
    /// Number within the order.
    pub seq: u32,
    /// The pile's clock.
    pub at: Timestamp,
    /// Since the start of the order.
    pub energy: WattHours,
    /// Whole seconds since the start of the order.
    pub total_time_s: u32,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a status frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Sent before the record: it counts.
    Counts,
    /// Sent after the hub had acknowledged the record: the hub ignores it [CONTRACT 1.3].
    Late,
    /// Never sent.
    Lost,
}

/// Everything one order was, as its pile knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChargeTruth {
    /// Which order.
    pub order_no: OrderNo,
    /// At which pile.
    pub pile_code: PileCode,
    /// At which gun.
    pub connector: ConnectorId,
    /// How much the pile's clock is ahead of the world's.
    pub clock_offset: Millis,
    /// When current began to flow, by the pile's clock.
    pub began: Timestamp,
    /// Every status frame, in the order of `seq`.
    pub readings: Vec<Metered>,
    /// The record; `None` while charging.
    pub record: Option<Finished>,
    /// What the hub answered to the record, first to last.
    pub answers: Vec<RecordAckResult>,
    /// What the hub answered to a second record with other content, first to last.
    pub answers_to_conflict: Vec<RecordAckResult>,
    /// What the pile did on purpose to be difficult.
    pub mischief: Mischief,
}

/// What a pile does on purpose in one charge, drawn from its seed. Everything here is allowed by the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mischief {
    /// Sends this status frame twice.
    pub repeat_status: Option<u32>,
    /// Reports less energy than before in this status frame.
    pub backwards: Option<u32>,
    /// Never sends this status frame.
    pub lose_status: Option<u32>,
    /// Holds its last two status frames back until the record is acknowledged.
    pub late_status: bool,
    /// Sends the record again after it was acknowledged.
    pub repeat_record: bool,
    /// Sends another record for the same order after it was acknowledged.
    pub conflicting_record: bool,
    /// Leaves `startTime` out of the record.
    pub no_start_time: bool,
}

impl ChargeTruth {
    /// Why it ended; `None` while charging.
    #[must_use]
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.record.as_ref().map(|record| record.stop_reason)
    }

    /// The status frames that the hub had when it settled.
    pub fn counted(&self) -> impl Iterator<Item = &Metered> {
        self.readings.iter().filter(|reading| reading.fate == Fate::Counts)
    }

    pub(super) fn set_fate(&mut self, seq: u32, fate: Fate) {
        for reading in self.readings.iter_mut().filter(|reading| reading.seq == seq) {
            reading.fate = fate;
        }
    }
}
