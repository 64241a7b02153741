//! How a pile obeys: each command id once, an answer every time.

use domain::{
    ConnectorId, Millis, OrderNo, StopReason, Timestamp, WattHours, Watts,
    command::{Command, CommandKind},
    wire::EventKind,
};

use super::{Activity, Caps, Effect, Pile, frames::Answer};
use crate::limits;

/// How long a reboot takes.
const REBOOT: Millis = Millis(4_000);

impl Pile {
    pub(super) fn obey(&mut self, command: Command, now: Timestamp) {
        let order_no = command.kind.order_no().cloned();
        let known = self.answered.iter().find(|(id, _)| *id == command.command_id).map(|(_, answer)| *answer);
        if let Some(answer) = known {
            self.say_answer(command.command_id, order_no, answer, now);
            return;
        }
        let clock_is_right = self.config.clock_offset == Millis::default();
        let expired = command.expires_at.is_some_and(|at| now > at);
        let id = command.command_id;
        let reboot = matches!(command.kind, CommandKind::Reboot);
        let answer =
            if clock_is_right && expired { Answer::Rejected("EXPIRED") } else { self.decide(command.kind, now) };
        self.answered.push_back((id.clone(), answer));
        if self.answered.len() > limits::COMMANDS_REMEMBERED_MAX {
            self.answered.pop_front();
        }
        self.say_answer(id, order_no, answer, now);
        if reboot {
            self.reboot(now);
        }
    }

    fn decide(&mut self, kind: CommandKind, now: Timestamp) -> Answer {
        match kind {
            CommandKind::StartCharging { connector, order_no, max_power, max_time_s, max_energy } => {
                let caps = Caps { max_time_s, max_energy };
                self.accept_start(connector, order_no, max_power, caps, now)
            }
            CommandKind::StopCharging { connector, order_no, stop_reason } => {
                self.accept_stop(connector, &order_no, stop_reason, now)
            }
            CommandKind::Reboot => Answer::Accepted,
            CommandKind::UnlockConnector { connector } => match self.gun_mut(connector).map(|gun| &gun.activity) {
                None => Answer::Rejected("NO_CONNECTOR"),
                Some(Activity::Idle) => Answer::Accepted,
                Some(Activity::Starting { .. } | Activity::Charging(_)) => Answer::Rejected("CHARGING"),
            },
            CommandKind::GroundLock { connector, position: _ } => {
                self.say_event(EventKind::GroundLock, connector, None, now);
                Answer::Accepted
            }
            CommandKind::SyncTime => {
                let clock_is_right = self.config.clock_offset == Millis::default();
                if clock_is_right { Answer::Accepted } else { Answer::Rejected("CLOCK_BROKEN") }
            }
            CommandKind::SetHeartbeatInterval { seconds } => {
                self.heartbeat_every = Millis::from_secs(i64::from(seconds.clamp(1, 3600)));
                self.next_heartbeat = self.next_heartbeat.min(now.plus(self.heartbeat_every));
                Answer::Accepted
            }
            // It connects with the secret it was installed with, so it must not say that it took another.
            CommandKind::SetSecret { .. } => Answer::Rejected("NOT_SUPPORTED"),
        }
    }

    fn accept_start(
        &mut self,
        connector: ConnectorId,
        order_no: OrderNo,
        max_power: Option<Watts>,
        caps: Caps,
        now: Timestamp,
    ) -> Answer {
        let at = now.plus(self.config.start_delay);
        let record_space = self.records.len() < limits::RECORDS_KEPT_MAX;
        let Some(gun) = self.gun_mut(connector) else { return Answer::Rejected("NO_CONNECTOR") };
        if gun.fault.is_some() {
            return Answer::Rejected("FAULTED");
        }
        if gun.car.is_none() {
            return Answer::Rejected("NOT_PLUGGED");
        }
        if gun.activity != Activity::Idle || !record_space {
            return Answer::Rejected("BUSY");
        }
        gun.activity = Activity::Starting { at, order_no, max_power, caps };
        Answer::Accepted
    }

    fn accept_stop(
        &mut self,
        connector: ConnectorId,
        order_no: &OrderNo,
        reason: StopReason,
        now: Timestamp,
    ) -> Answer {
        let at = now.plus(self.config.stop_delay);
        let Some(gun) = self.gun_mut(connector) else { return Answer::Rejected("NO_CONNECTOR") };
        match &mut gun.activity {
            Activity::Starting { order_no: starting, .. } if starting == order_no => {
                gun.activity = Activity::Idle;
                Answer::Accepted
            }
            Activity::Charging(charge) if charge.order_no == *order_no => {
                charge.stop_at.get_or_insert((at, reason));
                Answer::Accepted
            }
            Activity::Idle | Activity::Starting { .. } | Activity::Charging(_) => Answer::Rejected("NOT_CHARGING"),
        }
    }

    /// Ends what runs, goes away and comes back with a `boot` event; records and unsent frames survive in flash.
    fn reboot(&mut self, now: Timestamp) {
        for id in 1..=self.config.connectors {
            self.end_charge(ConnectorId(id), StopReason::PowerLoss, None, now);
        }
        self.say_event(EventKind::Boot, ConnectorId::PILE, None, now.plus(REBOOT));
        // The answer must be out before the connection goes.
        while let Some(out) = self.outbox.next() {
            self.effects.push_back(Effect::Publish(out));
        }
        self.go_dark(now.plus(REBOOT));
    }

    /// The register of a gun, in Wh.
    #[must_use]
    pub fn register(&self, connector: ConnectorId) -> Option<WattHours> {
        self.guns.iter().find(|gun| gun.id == connector).map(|gun| gun.register)
    }

    /// The order that runs at a gun.
    #[must_use]
    pub fn running(&self, connector: ConnectorId) -> Option<&OrderNo> {
        self.guns.iter().find(|gun| gun.id == connector).and_then(|gun| match &gun.activity {
            Activity::Charging(charge) => Some(&charge.order_no),
            Activity::Idle | Activity::Starting { .. } => None,
        })
    }
}
