//! What the hub asks of a pile.

use serde::{Deserialize, Serialize};

use crate::{CommandId, ConnectorId, OrderNo, StopReason, Timestamp, WattHours, Watts};

/// A command to a pile [CONTRACT 1.7].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Command {
    /// The same id when the command is sent again.
    pub command_id: CommandId,
    /// What is asked.
    #[serde(flatten)]
    pub kind: CommandKind,
    /// After this time the pile must not act on it any more.
    pub expires_at: Option<Timestamp>,
}

/// What is asked of a pile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum CommandKind {
    /// Begin a charge.
    StartCharging {
        /// Where.
        connector: ConnectorId,
        /// For which order.
        order_no: OrderNo,
        /// Power cap.
        max_power: Option<Watts>,
        /// Time cap in seconds.
        max_time_s: Option<u32>,
        /// Energy cap.
        max_energy: Option<WattHours>,
    },
    /// End a charge.
    StopCharging {
        /// Where.
        connector: ConnectorId,
        /// Of which order.
        order_no: OrderNo,
        /// On whose behalf.
        stop_reason: StopReason,
    },
    /// Restart the pile.
    Reboot,
    /// Free a stuck gun.
    UnlockConnector {
        /// Which.
        connector: ConnectorId,
    },
    /// Move the ground lock.
    GroundLock {
        /// Which parking place.
        connector: ConnectorId,
        /// Up keeps cars out.
        position: LockPosition,
    },
    /// Set the pile's clock; the time is filled in when the command is sent.
    SyncTime,
    /// Set how often the pile sends heartbeats.
    SetHeartbeatInterval {
        /// Seconds between two heartbeats.
        seconds: u32,
    },
}

/// Position of a ground lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LockPosition {
    /// Raised: no car can park.
    Up,
    /// Lowered.
    Down,
}

impl CommandKind {
    /// The order the command belongs to, if any.
    #[must_use]
    pub const fn order_no(&self) -> Option<&OrderNo> {
        match self {
            Self::StartCharging { order_no, .. } | Self::StopCharging { order_no, .. } => Some(order_no),
            Self::Reboot
            | Self::UnlockConnector { .. }
            | Self::GroundLock { .. }
            | Self::SyncTime
            | Self::SetHeartbeatInterval { .. } => None,
        }
    }
}
