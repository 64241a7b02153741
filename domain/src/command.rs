//! What the hub asks of a pile.

use std::fmt;

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
    /// Replace the pile's secret, from its next connection on.
    SetSecret {
        /// The secret. It is sent and neither stored nor shown: what is made of a stored command has none.
        #[serde(skip)]
        secret: PileSecret,
    },
}

/// A pile's secret on its way to the pile; never printed by accident.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct PileSecret(pub String);

impl fmt::Debug for PileSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PileSecret(..)")
    }
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
            | Self::SetHeartbeatInterval { .. }
            | Self::SetSecret { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_on_its_way_is_neither_printed_nor_stored() {
        let command = Command {
            command_id: CommandId::parse("S1").unwrap(),
            kind: CommandKind::SetSecret { secret: PileSecret("hush".to_owned()) },
            expires_at: None,
        };
        let stored = serde_json::to_string(&command).unwrap();
        assert!(!stored.contains("hush") && !format!("{command:?}").contains("hush"), "{stored}");
        let read: Command = serde_json::from_str(&stored).unwrap();
        assert_eq!(read.kind, CommandKind::SetSecret { secret: PileSecret::default() });
    }
}
