//! The words of a session: its commands, its samples, the name of a record's content. No decisions.

use domain::{
    CommandId, ConnectorId, OrderNo, PileCode, StopReason, Timestamp, WattHours,
    command::{Command, CommandKind},
    session::{Phase, SessionTiming},
    wire::{self, ChargingStatus, Finished, UpFrame},
};
use settlement::order::{Order, OrderStatus, StopBy};
use sha2::Digest as _;
use store::{
    money::{CommandRow, CommandState},
    telemetry::{Sample, SampleKind},
};

use crate::{session_actor::Running, slot::Slot};

impl Running {
    pub(crate) fn send(&self, command: Option<Command>, now: Timestamp) {
        let Some(command) = command else { return };
        let sent = self.core.ports.piles.send_command(self.slot.no(), &self.slot.facts.pile_code, &command, now);
        tracing::debug!(order = %self.order.order_no, command = %command.command_id, sent, "command to the pile");
    }

    pub(crate) fn start_command(&self) -> Option<Command> {
        let order = &self.order;
        Some(Command {
            command_id: start_id(&order.order_no),
            kind: CommandKind::StartCharging {
                connector: order.connector_id,
                order_no: order.order_no.clone(),
                max_power: Some(self.slot.facts.max_power),
                max_time_s: order.limit.duration_s,
                max_energy: order.limit.energy_wh.filter(|energy| *energy > WattHours::ZERO),
            },
            expires_at: Some(order.created_at.plus(self.core.timing.start_deadline)),
        })
    }

    pub(crate) fn stop_command(&self, stop_reason: StopReason) -> Option<Command> {
        let order = &self.order;
        Some(Command {
            command_id: stop_id(&order.order_no),
            kind: CommandKind::StopCharging {
                connector: order.connector_id,
                order_no: order.order_no.clone(),
                stop_reason,
            },
            expires_at: None,
        })
    }
}

/// Where the dialogue of a stored order is. After a restart a fault waits its whole time again.
pub(crate) fn phase_of(order: &Order, timing: &SessionTiming, now: Timestamp) -> Phase {
    match order.status {
        OrderStatus::Placed | OrderStatus::Starting => {
            Phase::Starting { deadline: order.created_at.plus(timing.start_deadline) }
        }
        OrderStatus::Charging => Phase::Charging,
        OrderStatus::Stopping if order.stop_reason == Some(StopReason::Fault) => {
            Phase::FaultWait { deadline: now.plus(timing.fault_wait) }
        }
        OrderStatus::Stopping => Phase::Stopping,
        OrderStatus::StartFailed | OrderStatus::Canceled => Phase::Ghost,
        OrderStatus::Settling | OrderStatus::Held | OrderStatus::Closed | OrderStatus::ExceptionClosed => Phase::Over,
    }
}

pub(crate) const fn reason_of(by: StopBy) -> StopReason {
    match by {
        StopBy::Driver => StopReason::User,
        StopBy::Operator | StopBy::Hub => StopReason::Operator,
        StopBy::Limit => StopReason::LimitReached,
    }
}

pub(crate) fn command_row(
    command: Command,
    slot: &Slot,
    state: CommandState,
    answer: Option<String>,
    now: Timestamp,
) -> CommandRow {
    let done = matches!(state, CommandState::Acked | CommandState::Rejected);
    CommandRow {
        command,
        pile_no: slot.no(),
        pile_code: slot.facts.pile_code.clone(),
        state,
        actor: "hub".to_owned(),
        created_at: now,
        sent_at: Some(now),
        tries: 1,
        done_at: done.then_some(now),
        answer,
    }
}

/// The start command of an order always has the same id, so sending it again is harmless [CONTRACT 1.7].
pub(crate) fn start_id(order_no: &OrderNo) -> CommandId {
    command_id("start", order_no)
}

/// The stop command of an order always has the same id.
pub(crate) fn stop_id(order_no: &OrderNo) -> CommandId {
    command_id("stop", order_no)
}

fn command_id(verb: &str, order_no: &OrderNo) -> CommandId {
    let text = format!("{verb}-{order_no}");
    CommandId::parse(&text).unwrap_or_else(|_| unreachable!("an order number is a valid part of a command id"))
}

/// What a record says, without when it was sent: a repeat is the same record.
pub(crate) fn content_of(frame: &Finished, pile: &PileCode) -> [u8; 32] {
    let said = UpFrame::Finished(Finished { timestamp: None, ..frame.clone() });
    sha2::Sha256::digest(wire::print(&said, pile)).into()
}

pub(crate) fn sample_of(frame: &ChargingStatus, slot: &Slot, received: Timestamp) -> Sample {
    Sample {
        pile_no: slot.no(),
        connector: frame.connector.unwrap_or(ConnectorId(1)),
        received,
        device: frame.timestamp,
        kind: SampleKind::Charging {
            order_no: frame.order_no.clone(),
            seq: frame.seq,
            energy: frame.energy,
            total_time_s: frame.total_time_s,
            soc: frame.soc,
        },
        voltage: frame.voltage,
        current: frame.current,
        power: frame.power,
    }
}
