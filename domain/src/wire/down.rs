//! What the hub sends to a charger: commands and answers to records [CONTRACT 1.7, 1.8].
//!
//! Encodes for the hub, reads back for simulated piles. Times are epoch milliseconds, decimals are exact.

use serde::Deserialize;

use super::{
    FrameError,
    decimal::MILLI,
    fields::{
        Raw, connector, energy, id, kilowatts, one_of, optional, order_no, required, seconds, seq, stop_reason, text,
        time,
    },
    json::ObjectWriter,
    up::object,
};
use crate::{
    CommandId, PileCode, Timestamp,
    command::{Command, CommandKind, LockPosition, PileSecret},
};

/// The payload of a command to `pile`; `now` is what `syncTime` sets the pile's clock to.
#[must_use]
pub fn encode_command(command: &Command, pile: &PileCode, now: Timestamp) -> Vec<u8> {
    let mut out = ObjectWriter::new();
    out.text("commandId", command.command_id.as_str());
    out.text("type", type_of(&command.kind));
    out.text("pileCode", pile.as_str());
    match &command.kind {
        CommandKind::StartCharging { connector, order_no, max_power, max_time_s, max_energy } => {
            out.whole("connectorId", connector);
            out.text("orderNo", order_no.as_str());
            out.some(*max_power, |out, v| out.decimal("maxPower", v.0, MILLI));
            out.some(*max_time_s, |out, v| out.whole("maxTime", v));
            out.some(*max_energy, |out, v| out.decimal("maxEnergy", v.0, MILLI));
        }
        CommandKind::StopCharging { connector, order_no, stop_reason } => {
            out.whole("connectorId", connector);
            out.text("orderNo", order_no.as_str());
            out.whole("stopReason", stop_reason.code());
        }
        CommandKind::UnlockConnector { connector } => out.whole("connectorId", connector),
        CommandKind::GroundLock { connector, position } => {
            out.whole("connectorId", connector);
            out.text("position", position_word(*position));
        }
        CommandKind::SyncTime => out.time("time", now),
        CommandKind::SetHeartbeatInterval { seconds } => out.whole("seconds", seconds),
        CommandKind::SetSecret { secret } => out.text("secret", &secret.0),
        CommandKind::Reboot => {}
    }
    out.some(command.expires_at, |out, v| out.time("expiresAt", v));
    out.finish()
}

const fn type_of(kind: &CommandKind) -> &'static str {
    match kind {
        CommandKind::StartCharging { .. } => "startCharging",
        CommandKind::StopCharging { .. } => "stopCharging",
        CommandKind::Reboot => "reboot",
        CommandKind::UnlockConnector { .. } => "unlockConnector",
        CommandKind::GroundLock { .. } => "groundLock",
        CommandKind::SyncTime => "syncTime",
        CommandKind::SetHeartbeatInterval { .. } => "setHeartbeatInterval",
        CommandKind::SetSecret { .. } => "setSecret",
    }
}

const fn position_word(position: LockPosition) -> &'static str {
    match position {
        LockPosition::Up => "up",
        LockPosition::Down => "down",
    }
}

/// A command as a pile reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandFrame {
    /// The pile it is meant for.
    pub pile: PileCode,
    /// What is asked.
    pub command: Command,
    /// What to set the clock to; `syncTime` only.
    pub time: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawCommand<'a> {
    #[serde(borrow)]
    command_id: Raw<'a>,
    #[serde(borrow, rename = "type")]
    kind: Raw<'a>,
    #[serde(borrow)]
    pile_code: Raw<'a>,
    #[serde(borrow)]
    connector_id: Raw<'a>,
    #[serde(borrow)]
    order_no: Raw<'a>,
    #[serde(borrow)]
    max_power: Raw<'a>,
    #[serde(borrow)]
    max_time: Raw<'a>,
    #[serde(borrow)]
    max_energy: Raw<'a>,
    #[serde(borrow)]
    stop_reason: Raw<'a>,
    #[serde(borrow)]
    position: Raw<'a>,
    #[serde(borrow)]
    time: Raw<'a>,
    #[serde(borrow)]
    seconds: Raw<'a>,
    #[serde(borrow)]
    secret: Raw<'a>,
    #[serde(borrow)]
    expires_at: Raw<'a>,
}

/// Reads a command as a pile does.
///
/// # Errors
/// [`FrameError`] when the payload is no command of the contract.
pub fn parse_command(payload: &[u8]) -> Result<CommandFrame, FrameError> {
    let raw: RawCommand<'_> = object(payload)?;
    let kind = required("type", raw.kind, |name, raw| one_of(name, raw, &KIND_READERS))?;
    Ok(CommandFrame {
        pile: required("pileCode", raw.pile_code, |name, raw| id(name, raw, PileCode::parse))?,
        command: Command {
            command_id: required("commandId", raw.command_id, |name, raw| id(name, raw, CommandId::parse))?,
            kind: kind(&raw)?,
            expires_at: optional("expiresAt", raw.expires_at, time)?,
        },
        time: optional("time", raw.time, time)?,
    })
}

type KindReader = fn(&RawCommand<'_>) -> Result<CommandKind, FrameError>;

const KIND_READERS: [(&str, KindReader); 8] = [
    ("startCharging", read_start),
    ("stopCharging", read_stop),
    ("reboot", |_| Ok(CommandKind::Reboot)),
    ("unlockConnector", |raw| {
        Ok(CommandKind::UnlockConnector { connector: required("connectorId", raw.connector_id, connector)? })
    }),
    ("groundLock", read_ground_lock),
    ("syncTime", |_| Ok(CommandKind::SyncTime)),
    ("setHeartbeatInterval", |raw| {
        Ok(CommandKind::SetHeartbeatInterval { seconds: required("seconds", raw.seconds, seconds)? })
    }),
    ("setSecret", |raw| {
        Ok(CommandKind::SetSecret { secret: PileSecret(required("secret", raw.secret, text)?.into_owned()) })
    }),
];

fn read_start(raw: &RawCommand<'_>) -> Result<CommandKind, FrameError> {
    Ok(CommandKind::StartCharging {
        connector: required("connectorId", raw.connector_id, connector)?,
        order_no: required("orderNo", raw.order_no, order_no)?,
        max_power: optional("maxPower", raw.max_power, kilowatts)?,
        max_time_s: optional("maxTime", raw.max_time, seconds)?,
        max_energy: optional("maxEnergy", raw.max_energy, energy)?,
    })
}

fn read_stop(raw: &RawCommand<'_>) -> Result<CommandKind, FrameError> {
    Ok(CommandKind::StopCharging {
        connector: required("connectorId", raw.connector_id, connector)?,
        order_no: required("orderNo", raw.order_no, order_no)?,
        stop_reason: required("stopReason", raw.stop_reason, stop_reason)?,
    })
}

fn read_ground_lock(raw: &RawCommand<'_>) -> Result<CommandKind, FrameError> {
    const POSITIONS: [(&str, LockPosition); 2] = [("up", LockPosition::Up), ("down", LockPosition::Down)];
    Ok(CommandKind::GroundLock {
        connector: required("connectorId", raw.connector_id, connector)?,
        position: required("position", raw.position, |name, raw| one_of(name, raw, &POSITIONS))?,
    })
}

/// What became of a finished record; any of them lets the charger forget it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordAckResult {
    /// Durable.
    Stored,
    /// It was durable already.
    Duplicate,
    /// Kept for people, not used.
    Quarantined,
}

impl RecordAckResult {
    /// All results.
    pub const ALL: [Self; 3] = [Self::Stored, Self::Duplicate, Self::Quarantined];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Duplicate => "duplicate",
            Self::Quarantined => "quarantined",
        }
    }
}

/// The answer to a finished record, as a pile reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordAck {
    /// The order, as the record named it; in the answer to a quarantined one it may be no order number at all.
    pub order_no: String,
    /// The record's number, if it had one.
    pub seq: Option<u32>,
    /// What became of it.
    pub result: RecordAckResult,
    /// When the hub answered.
    pub timestamp: Timestamp,
}

/// The payload that answers a finished record. `order_no` is a text because a record that was not understood is
/// answered as well, under whatever name it had: see [`super::RecordName`].
#[must_use]
pub fn encode_record_ack(order_no: &str, seq: Option<u32>, result: RecordAckResult, now: Timestamp) -> Vec<u8> {
    let mut out = ObjectWriter::new();
    out.text("orderNo", order_no);
    out.some(seq, |out, v| out.whole("seq", v));
    out.text("result", result.as_str());
    out.time("timestamp", now);
    out.finish()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRecordAck<'a> {
    #[serde(borrow)]
    order_no: Raw<'a>,
    #[serde(borrow)]
    seq: Raw<'a>,
    #[serde(borrow)]
    result: Raw<'a>,
    #[serde(borrow)]
    timestamp: Raw<'a>,
}

/// Reads the answer to a record as a pile does.
///
/// # Errors
/// [`FrameError`] when the payload is no such answer.
pub fn parse_record_ack(payload: &[u8]) -> Result<RecordAck, FrameError> {
    let raw: RawRecordAck<'_> = object(payload)?;
    Ok(RecordAck {
        order_no: required("orderNo", raw.order_no, text)?.into_owned(),
        seq: optional("seq", raw.seq, seq)?,
        result: required("result", raw.result, |name, raw| {
            one_of(name, raw, &RecordAckResult::ALL.map(|result| (result.as_str(), result)))
        })?,
        timestamp: required("timestamp", raw.timestamp, time)?,
    })
}
