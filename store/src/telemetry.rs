//! The telemetry port: what piles measured, appended and never changed, and the frames nobody understood.

use async_trait::async_trait;
use domain::{
    AckToken, ConnectorId, DeciCelsius, MilliAmps, MilliVolts, OrderNo, PileCode, PileNo, SocTenths, Timestamp,
    WattHours, Watts,
};
use serde::{Deserialize, Serialize};
use settlement::pricing::Reading;

use crate::money::StoreError;

/// One row of telemetry. Missing values are unknown, not zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Which pile.
    pub pile_no: PileNo,
    /// Which gun; 0 for the pile as a whole.
    pub connector: ConnectorId,
    /// When the gate read the frame.
    pub received: Timestamp,
    /// The pile's clock.
    pub device: Timestamp,
    /// What kind of frame it was.
    pub kind: SampleKind,
    /// At the gun, or mains.
    pub voltage: Option<MilliVolts>,
    /// At the gun, or mains.
    pub current: Option<MilliAmps>,
    /// Power.
    pub power: Option<Watts>,
}

/// The frame a sample came from, with what only that kind has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SampleKind {
    /// A heartbeat.
    Heartbeat {
        /// 1 idle, 2 charging, 3 fault, 4 unavailable.
        status: u8,
        /// Cabinet.
        temperature: Option<DeciCelsius>,
    },
    /// A status frame of an order.
    Charging {
        /// Which order.
        order_no: OrderNo,
        /// Number within the order.
        seq: u32,
        /// Since the start of the order.
        energy: WattHours,
        /// Seconds since the start of the order.
        total_time_s: Option<u32>,
        /// Battery.
        soc: Option<SocTenths>,
    },
    /// The energy register.
    Meter {
        /// The register.
        register: WattHours,
    },
}

/// A frame that was not understood, kept for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quarantined {
    /// Given by the store, rising; 0 before.
    pub quarantine_id: i64,
    /// Who sent it.
    pub pile_code: PileCode,
    /// On which topic.
    pub topic: String,
    /// Its bytes, at most 16 KiB of them.
    pub payload: Vec<u8>,
    /// Why, in UPPER_SNAKE.
    pub reason: String,
    /// Which field, which value, what to do.
    pub detail: String,
    /// When the gate read it.
    pub received: Timestamp,
    /// When it was replayed with success.
    pub replayed_at: Option<Timestamp>,
}

/// What to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Append {
    /// A measurement.
    Sample(Sample),
    /// A frame nobody understood.
    Quarantine(Quarantined),
    /// Nothing: the frame needs no row, only its turn to be acknowledged.
    Nothing,
}

/// The queue of the telemetry writer is full: nothing was taken, stop reading sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the telemetry queue is full")]
pub struct TelemetryFull;

/// Where telemetry is kept.
///
/// Promise: when a token is handed to the listener given at opening, the row pushed with it and every row pushed
/// before it survive `kill -9`. Rows may be stored twice after a crash; readers remove repeats by (order, seq).
#[async_trait]
pub trait Telemetry: Send + Sync + std::fmt::Debug {
    /// Queues a row; returns at once and never blocks. The token comes back through the listener once the row is durable.
    ///
    /// # Errors
    /// [`TelemetryFull`]: nothing was taken.
    fn push(&self, row: Append, token: Option<AckToken>) -> Result<(), TelemetryFull>;

    /// Says that nobody will push more for now: what is queued should be made durable at once. Only a hint; blocks on
    /// nothing.
    fn hasten(&self) {}

    /// Whether rows can be made durable; the reason when they cannot. Rows wait meanwhile, up to the queue's limit.
    fn health(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Waits until everything pushed before the call is durable.
    ///
    /// # Errors
    /// When the attempt failed; the rows stay queued and are tried again.
    async fn flush(&self) -> Result<(), StoreError>;

    /// The readings of an order received from `since` on, unsorted repeats removed by `seq` (first received wins).
    /// What was pushed but is not durable yet may be missing: [`Telemetry::flush`] first when it matters.
    async fn readings(&self, pile_no: PileNo, order_no: &OrderNo, since: Timestamp)
    -> Result<Vec<Reading>, StoreError>;

    /// Everything of a pile received in `[from, to)`, by receive time; at most `max` rows, the earliest first.
    async fn samples(
        &self,
        pile_no: PileNo,
        from: Timestamp,
        to: Timestamp,
        max: usize,
    ) -> Result<Vec<Sample>, StoreError>;

    /// Quarantined frames, newest first, with ids below `before`.
    async fn quarantine(&self, before: Option<i64>, max: usize) -> Result<Vec<Quarantined>, StoreError>;

    /// One quarantined frame.
    async fn quarantined(&self, id: i64) -> Result<Option<Quarantined>, StoreError>;

    /// Notes that a quarantined frame was replayed with success. Repeating it changes nothing.
    async fn mark_replayed(&self, id: i64, at: Timestamp) -> Result<(), StoreError>;
}
