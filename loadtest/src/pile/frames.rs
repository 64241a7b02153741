//! The frames a pile makes of what it knows. Times in them are by the pile's own clock.

use domain::{
    CommandId, ConnectorId, DeciCelsius, EventId, MilliAmps, MilliVolts, OrderNo, Timestamp, WattHours, Watts,
    wire::{
        AckResult, ChargingStatus, CommandAck, ConnectorReport, EventKind, Heartbeat, PileEvent, ReportedStatus,
        UpFrame,
    },
};

use super::{Activity, Gun, Pile, charge::Charge, curve, truth::Metered};

/// The answer to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Accepted,
    /// With the pile's code for why not.
    Rejected(&'static str),
}

impl Pile {
    pub(super) fn say_event(&mut self, kind: EventKind, connector: ConnectorId, code: Option<String>, now: Timestamp) {
        self.events = self.events.saturating_add(1);
        // The time in the id keeps it new after a restart of the simulation against the same hub.
        let id = format!("{}-{}-{}", self.config.code, now.as_millis(), self.events);
        let Ok(event_id) = EventId::parse(&id) else { return };
        let event =
            PileEvent { event_id, kind, connector, fault_code: code, detail: None, timestamp: self.device(now) };
        self.queue(UpFrame::Event(event), true);
    }

    pub(super) fn say_answer(&mut self, id: CommandId, order_no: Option<OrderNo>, answer: Answer, now: Timestamp) {
        let (result, code) = match answer {
            Answer::Accepted => (AckResult::Accepted, None),
            Answer::Rejected(code) => (AckResult::Rejected, Some(code.to_owned())),
        };
        let ack =
            CommandAck { command_id: id, order_no, result, code, message: None, timestamp: Some(self.device(now)) };
        self.queue(UpFrame::CommandAck(ack), true);
    }

    pub(super) fn say_heartbeat(&mut self, now: Timestamp) {
        self.heartbeats = self.heartbeats.saturating_add(1);
        let power: i32 = self.guns.iter().map(Gun::power).fold(0, |sum, gun| sum.saturating_add(gun.0));
        let status =
            self.guns.iter().map(Gun::status).max_by_key(|status| rank(*status)).unwrap_or(ReportedStatus::Idle);
        let heat = i16::try_from(power / 2000).unwrap_or(i16::MAX);
        let noise = i16::try_from(self.rng.range(-5, 5)).unwrap_or(0);
        let voltage = MilliVolts(220_000_i32.saturating_add(i32::from(noise).saturating_mul(200)));
        let heartbeat = Heartbeat {
            status,
            voltage: Some(voltage),
            current: Some(curve::current(Watts(power), voltage)),
            power: Some(Watts(power)),
            temperature: Some(DeciCelsius(300_i16.saturating_add(heat.min(300)).saturating_add(noise))),
            timestamp: self.device(now),
            seq: Some(self.heartbeats),
            connectors: self.guns.iter().map(Gun::report).collect(),
            firmware: (self.heartbeats % 20 == 1).then(|| "1.4.2".to_owned()),
        };
        let qos1 = self.config.heartbeat_qos1;
        self.queue(UpFrame::Heartbeat(heartbeat), qos1);
    }

    /// Puts a frame into the outbox and notes what was lost for it.
    pub(super) fn queue(&mut self, frame: UpFrame, qos1: bool) {
        let lost = self.outbox.push(frame, qos1);
        self.lost.extend(lost);
    }
}

/// A fault is said before a charge, a charge before idleness.
const fn rank(status: ReportedStatus) -> u8 {
    match status {
        ReportedStatus::Idle => 0,
        ReportedStatus::Unavailable => 1,
        ReportedStatus::Charging => 2,
        ReportedStatus::Fault => 3,
    }
}

impl Gun {
    fn power(&self) -> Watts {
        match &self.activity {
            Activity::Charging(charge) => charge.power(),
            Activity::Idle | Activity::Starting { .. } => Watts::ZERO,
        }
    }

    const fn status(&self) -> ReportedStatus {
        match (&self.fault, &self.activity) {
            (Some(_), _) => ReportedStatus::Fault,
            (None, Activity::Charging(_)) => ReportedStatus::Charging,
            (None, Activity::Idle | Activity::Starting { .. }) => ReportedStatus::Idle,
        }
    }

    fn report(&self) -> ConnectorReport {
        ConnectorReport {
            connector: self.id,
            status: Some(self.status()),
            plugged: Some(self.car.is_some()),
            locked: Some(!matches!(self.activity, Activity::Idle)),
        }
    }
}

/// The status frame of a reading; voltage and current carry the noise of a real meter, energy does not.
pub(super) fn status(charge: &Charge, metered: Metered, noise: i32) -> ChargingStatus {
    let voltage = MilliVolts(charge.voltage().0.saturating_add(noise.saturating_mul(20)));
    let power = charge.power();
    let amps = curve::current(power, voltage);
    ChargingStatus {
        order_no: charge.order_no.clone(),
        connector: Some(charge.connector),
        seq: metered.seq,
        voltage: Some(voltage),
        current: Some(MilliAmps(amps.0.saturating_add(noise.saturating_mul(3)).max(0))),
        power: Some(power),
        energy: metered.energy,
        total_time_s: Some(metered.total_time_s),
        soc: Some(charge.soc()),
        timestamp: metered.at,
    }
}

/// The energy register after a charge.
pub(super) const fn register_after(start: WattHours, energy: WattHours) -> WattHours {
    WattHours(start.0.saturating_add(energy.0))
}
