//! What a charger says, once it is understood.

use serde::{Deserialize, Serialize};

use crate::{
    CommandId, ConnectorId, DeciCelsius, EventId, MilliAmps, MilliVolts, OrderNo, SocTenths, StopReason, Timestamp,
    WattHours, Watts,
};

/// Any frame a charger may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpFrame {
    /// [CONTRACT 1.1]
    Heartbeat(Heartbeat),
    /// [CONTRACT 1.2]
    Status(ChargingStatus),
    /// [CONTRACT 1.3]
    Finished(Finished),
    /// [CONTRACT 1.4]
    CommandAck(CommandAck),
    /// [CONTRACT 1.5]
    Event(PileEvent),
    /// [CONTRACT 1.5]
    Meter(Meter),
}

/// A pile's or a connector's own account of its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReportedStatus {
    /// 1
    Idle,
    /// 2
    Charging,
    /// 3
    Fault,
    /// 4: offline or unavailable
    Unavailable,
}

/// A sign of life with the pile's readings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// The pile as a whole.
    pub status: ReportedStatus,
    /// Mains voltage.
    pub voltage: Option<MilliVolts>,
    /// Mains current.
    pub current: Option<MilliAmps>,
    /// Power drawn (kW on the wire).
    pub power: Option<Watts>,
    /// Temperature in the cabinet.
    pub temperature: Option<DeciCelsius>,
    /// The pile's clock.
    pub timestamp: Timestamp,
    /// Running number of heartbeats.
    pub seq: Option<u64>,
    /// What is known of each gun.
    pub connectors: Vec<ConnectorReport>,
    /// Firmware version.
    pub firmware: Option<String>,
}

/// One gun in a heartbeat; what is not said is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectorReport {
    /// Which gun.
    pub connector: ConnectorId,
    /// Its state.
    pub status: Option<ReportedStatus>,
    /// Whether it is in a car.
    pub plugged: Option<bool>,
    /// Whether it is locked there.
    pub locked: Option<bool>,
}

/// Progress of one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChargingStatus {
    /// Of which order.
    pub order_no: OrderNo,
    /// On which gun.
    pub connector: Option<ConnectorId>,
    /// 1, 2, 3 … within the order.
    pub seq: u32,
    /// At the gun.
    pub voltage: Option<MilliVolts>,
    /// At the gun.
    pub current: Option<MilliAmps>,
    /// `currentPower`.
    pub power: Option<Watts>,
    /// `totalPower`: since the start of the order.
    pub energy: WattHours,
    /// `totalTime`: seconds since the start of the order.
    pub total_time_s: Option<u32>,
    /// Battery.
    pub soc: Option<SocTenths>,
    /// The pile's clock.
    pub timestamp: Timestamp,
}

/// The record of a finished order: what the bill is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// Of which order.
    pub order_no: OrderNo,
    /// On which gun.
    pub connector: Option<ConnectorId>,
    /// Number of status frames sent before it + 1.
    pub seq: Option<u32>,
    /// `totalPower`: delivered in all.
    pub energy: WattHours,
    /// `totalTime` in seconds.
    pub total_time_s: Option<u32>,
    /// Battery at the start.
    pub start_soc: Option<SocTenths>,
    /// Battery at the end.
    pub end_soc: Option<SocTenths>,
    /// Why it ended.
    pub stop_reason: StopReason,
    /// When it began, by the pile's clock.
    pub start_time: Option<Timestamp>,
    /// When it ended, by the pile's clock (`endTime`, else `timestamp`).
    pub end_time: Timestamp,
    /// Energy register at the start.
    pub meter_start: Option<WattHours>,
    /// Energy register at the end.
    pub meter_end: Option<WattHours>,
    /// Code of the fault that ended it.
    pub fault_code: Option<String>,
    /// When the record was sent, by the pile's clock.
    pub timestamp: Option<Timestamp>,
}

/// A pile's answer to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandAck {
    /// The command answered.
    pub command_id: CommandId,
    /// The order it was about, if the pile says so.
    pub order_no: Option<OrderNo>,
    /// Whether the pile will do it.
    pub result: AckResult,
    /// The pile's own code for why not.
    pub code: Option<String>,
    /// The pile's own words.
    pub message: Option<String>,
    /// The pile's clock.
    pub timestamp: Option<Timestamp>,
}

/// Whether a pile will do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AckResult {
    /// It will.
    Accepted,
    /// It will not.
    Rejected,
}

/// Something happened at the pile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PileEvent {
    /// The same id again is the same event.
    pub event_id: EventId,
    /// What happened.
    pub kind: EventKind,
    /// Where; the pile as a whole when not said.
    pub connector: ConnectorId,
    /// The pile's fault code.
    pub fault_code: Option<String>,
    /// The pile's own words.
    pub detail: Option<String>,
    /// The pile's clock.
    pub timestamp: Timestamp,
}

/// The kinds of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EventKind {
    /// A fault came.
    Fault,
    /// A fault went.
    FaultCleared,
    /// A gun was put into a car.
    Plugged,
    /// A gun was pulled.
    Unplugged,
    /// The ground lock moved.
    GroundLock,
    /// The barrier moved.
    Barrier,
    /// The pile started.
    Boot,
}

/// The energy register of a gun, for reconciliation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meter {
    /// Which gun.
    pub connector: ConnectorId,
    /// The register.
    pub meter: WattHours,
    /// The pile's clock.
    pub timestamp: Timestamp,
}
