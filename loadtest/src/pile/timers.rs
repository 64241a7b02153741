//! What a pile does by itself when a time comes: heartbeats, status frames, contactors, records again.

use domain::{ConnectorId, Millis, OrderNo, Timestamp, WattHours, Watts, wire::UpFrame};

use super::{
    Activity, Caps, Gun, Pile,
    charge::Charge,
    curve::Curve,
    frames,
    truth::{ChargeTruth, Fate},
};

/// The first status frame comes this long after the contactor has closed, or at the status interval if that is less.
const FIRST_STATUS: Millis = Millis(1_000);

impl Pile {
    /// When [`Self::handle_timeout`] is to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let heartbeat = self.connected.then_some(self.next_heartbeat);
        let back = if self.connected { None } else { self.dark_until };
        let guns = self.guns.iter().filter_map(Gun::deadline);
        guns.chain(heartbeat).chain(back).chain(self.record_deadline()).min()
    }

    /// Does everything that is due.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if self.dark_until.is_some_and(|until| now >= until) {
            self.dark_until = None;
        }
        for id in 1..=self.config.connectors {
            self.work_gun(ConnectorId(id), now);
        }
        self.resend_records(now);
        if self.connected && now >= self.next_heartbeat {
            self.say_heartbeat(now);
            // A pile that slept through several beats sends one, not all of them.
            self.next_heartbeat = now.plus(self.heartbeat_every);
        }
    }

    fn work_gun(&mut self, id: ConnectorId, now: Timestamp) {
        let Some(gun) = self.gun_mut(id) else { return };
        match std::mem::replace(&mut gun.activity, Activity::Idle) {
            Activity::Idle => {}
            Activity::Starting { at, order_no, max_power, caps } if now >= at => {
                self.close_contactor(id, order_no, max_power, caps, now);
            }
            starting @ Activity::Starting { .. } => gun.activity = starting,
            Activity::Charging(charge) => self.work_charge(charge, now),
        }
    }

    fn work_charge(&mut self, mut charge: Box<Charge>, now: Timestamp) {
        let stop = charge.stop_at.filter(|(at, _)| now >= *at);
        let ended = charge.advance(now);
        if let Some(reason) = ended.or_else(|| stop.map(|(_, reason)| reason)) {
            self.finish(*charge, reason, None, now);
            return;
        }
        if now >= charge.next_status {
            self.say_status(&mut charge, now);
            charge.next_status = now.plus(self.config.status_every);
        }
        let id = charge.connector;
        if let Some(gun) = self.gun_mut(id) {
            gun.activity = Activity::Charging(charge);
        }
    }

    fn close_contactor(
        &mut self,
        id: ConnectorId,
        order_no: OrderNo,
        max_power: Option<Watts>,
        caps: Caps,
        now: Timestamp,
    ) {
        let mischief = self.draw_mischief();
        let rated = self.config.max_power;
        let supply = self.config.supply;
        let first_status = now.plus(FIRST_STATUS.min(self.config.status_every));
        let truth = ChargeTruth {
            order_no: order_no.clone(),
            pile_code: self.config.code.clone(),
            connector: id,
            clock_offset: self.config.clock_offset,
            began: self.device(now),
            readings: Vec::new(),
            record: None,
            answers: Vec::new(),
            answers_to_conflict: Vec::new(),
            mischief,
        };
        let Some(gun) = self.gun_mut(id) else { return };
        let Some(car) = gun.car else { return };
        let gun_max = Watts(max_power.unwrap_or(rated).0.min(rated.0));
        let curve = Curve { supply, gun_max, car };
        let charge = Charge::begin(order_no, id, curve, caps, now, first_status, gun.register, truth);
        gun.activity = Activity::Charging(Box::new(charge));
    }

    fn say_status(&mut self, charge: &mut Charge, now: Timestamp) {
        let mischief = charge.truth.mischief;
        let seq = charge.seq.saturating_add(1);
        let mut energy = charge.energy();
        if mischief.backwards == Some(seq) {
            energy = WattHours(charge.truth.readings.last().map_or(0, |last| last.energy.0 / 2));
        }
        let fate = if mischief.lose_status == Some(seq) { Fate::Lost } else { Fate::Counts };
        let noise = i32::try_from(self.rng.range(-50, 50)).unwrap_or(0);
        let metered = charge.note(self.device(now), energy, fate);
        let frame = UpFrame::Status(frames::status(charge, metered, noise));
        if fate == Fate::Lost {
            return;
        }
        if mischief.late_status {
            // Nobody knows yet which frames will be the last two, so each waits until two more were made.
            charge.held_back.push(frame);
            if charge.held_back.len() > 2 {
                let oldest = charge.held_back.remove(0);
                self.queue(oldest, true);
            }
            return;
        }
        let twice = (mischief.repeat_status == Some(seq)).then(|| frame.clone());
        self.queue(frame, true);
        if let Some(again) = twice {
            self.queue(again, true);
        }
    }
}

impl Gun {
    fn deadline(&self) -> Option<Timestamp> {
        match &self.activity {
            Activity::Idle => None,
            Activity::Starting { at, .. } => Some(*at),
            Activity::Charging(charge) => {
                let stop = charge.stop_at.map_or(charge.next_status, |(at, _)| at);
                Some(charge.next_status.min(stop))
            }
        }
    }
}
