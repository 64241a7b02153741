//! The end of a charge: the record, kept and sent again until the hub has it.

use domain::{
    ConnectorId, Millis, OrderNo, StopReason, Timestamp, WattHours,
    wire::{Finished, RecordAckResult, UpFrame},
};

use super::{
    Activity, Effect, Pile,
    charge::Charge,
    frames,
    truth::{ChargeTruth, Fate},
};

/// A record that the hub has not acknowledged, or is still to be repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeptRecord {
    pub(super) truth: ChargeTruth,
    record: Finished,
    stage: Stage,
    resend_at: Timestamp,
    /// Status frames held back until the record is acknowledged.
    held_back: Vec<UpFrame>,
}

/// How far the hub is with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The record is to be acknowledged.
    First,
    /// It was; its repeat is to be acknowledged.
    Repeat,
    /// It was; another record for the same order is to be acknowledged.
    Conflict,
    /// Acknowledged; only unacknowledged status frames are left.
    Done,
}

impl Pile {
    /// Ends a running charge at this moment; a gun that is not charging is left alone.
    pub(super) fn end_charge(&mut self, at: ConnectorId, reason: StopReason, fault: Option<String>, now: Timestamp) {
        let Some(gun) = self.gun_mut(at) else { return };
        match std::mem::replace(&mut gun.activity, Activity::Idle) {
            Activity::Idle | Activity::Starting { .. } => {}
            Activity::Charging(mut charge) => {
                // A full battery or a cap that came before the stop is the real reason.
                let reason = charge.advance(now).unwrap_or(reason);
                self.finish(*charge, reason, fault, now);
            }
        }
    }

    /// Makes the record of a charge that has been metered to its end, and sends it.
    pub(super) fn finish(&mut self, mut charge: Charge, reason: StopReason, fault: Option<String>, now: Timestamp) {
        let energy = self.honest_total(&charge);
        let register_end = frames::register_after(charge.register_start, energy);
        if let Some(gun) = self.gun_mut(charge.connector) {
            gun.register = register_end;
            gun.activity = Activity::Idle;
        }
        for frame in &charge.held_back {
            if let UpFrame::Status(status) = frame {
                charge.truth.set_fate(status.seq, Fate::Late);
            }
        }
        let no_start_time = charge.truth.mischief.no_start_time && charge.truth.counted().next().is_some();
        let record = Finished {
            order_no: charge.order_no.clone(),
            connector: Some(charge.connector),
            seq: Some(charge.seq.saturating_add(1)),
            energy,
            total_time_s: Some(charge.elapsed_s()),
            start_soc: Some(charge.curve.soc(0)),
            end_soc: Some(charge.soc()),
            stop_reason: reason,
            start_time: (!no_start_time).then(|| self.device(charge.began)),
            end_time: self.device(charge.metered_to),
            meter_start: Some(charge.register_start),
            meter_end: Some(register_end),
            fault_code: fault,
            timestamp: Some(self.device(now)),
        };
        charge.truth.record = Some(record.clone());
        let held_back = std::mem::take(&mut charge.held_back);
        self.queue(UpFrame::Finished(record.clone()), true);
        let resend_at = now.plus(self.config.record_resend_every);
        self.records.push(KeptRecord { truth: charge.truth, record, stage: Stage::First, resend_at, held_back });
    }

    /// What the gun metered; never less than a reading that was sent, because a meter does not go back.
    fn honest_total(&self, charge: &Charge) -> WattHours {
        let highest = charge.truth.readings.iter().map(|reading| reading.energy).max().unwrap_or_default();
        charge.energy().max(highest)
    }

    pub(super) fn record_answered(&mut self, order_no: &OrderNo, answer: RecordAckResult, now: Timestamp) {
        let resend_at = now.plus(self.config.record_resend_every);
        let device_now = self.device(now);
        let Some(kept) = self.records.iter_mut().find(|kept| kept.truth.order_no == *order_no) else { return };
        let mut out = Vec::new();
        match kept.stage {
            Stage::First => {
                kept.truth.answers.push(answer);
                out.append(&mut kept.held_back);
                kept.resend_at = resend_at;
                let mischief = kept.truth.mischief;
                if mischief.repeat_record {
                    kept.stage = Stage::Repeat;
                    kept.record.timestamp = Some(device_now);
                    out.push(UpFrame::Finished(kept.record.clone()));
                } else if mischief.conflicting_record {
                    kept.stage = Stage::Conflict;
                    kept.record.energy = frames::register_after(kept.record.energy, WattHours(1_000));
                    out.push(UpFrame::Finished(kept.record.clone()));
                } else {
                    kept.stage = Stage::Done;
                }
            }
            Stage::Repeat => {
                kept.truth.answers.push(answer);
                kept.stage = Stage::Done;
            }
            Stage::Conflict => {
                // A repeat of the first record that was still on its way may be answered first.
                if answer == RecordAckResult::Quarantined {
                    kept.stage = Stage::Done;
                    kept.truth.answers_to_conflict.push(answer);
                } else {
                    kept.truth.answers.push(answer);
                }
            }
            Stage::Done => kept.truth.answers.push(answer),
        }
        for frame in out {
            self.queue(frame, true);
        }
        self.hand_over_truths();
    }

    /// Hands over the truth of every order of which nothing will be sent any more.
    pub(super) fn hand_over_truths(&mut self) {
        if self.records.is_empty() {
            return;
        }
        let mut kept = Vec::with_capacity(self.records.len());
        for record in std::mem::take(&mut self.records) {
            if record.stage == Stage::Done && !self.outbox.holds_status_of(&record.truth.order_no) {
                let truth = self.with_losses(record.truth);
                self.lost.retain(|(order_no, _)| *order_no != truth.order_no);
                self.effects.push_back(Effect::Over(Box::new(truth)));
            } else {
                kept.push(record);
            }
        }
        self.records = kept;
    }

    /// The truth with the frames marked that a full outbox gave up.
    pub(super) fn with_losses(&self, mut truth: ChargeTruth) -> ChargeTruth {
        for (order_no, seq) in &self.lost {
            if *order_no == truth.order_no {
                truth.set_fate(*seq, Fate::Lost);
            }
        }
        truth
    }

    /// After a cut the record is due again as soon as the pile is back; its copy in the outbox does that.
    pub(super) fn records_connection_lost(&mut self, now: Timestamp) {
        let every = self.config.record_resend_every;
        for kept in &mut self.records {
            kept.resend_at = now.plus(every);
        }
    }

    /// Sends records again whose answer is overdue.
    pub(super) fn resend_records(&mut self, now: Timestamp) {
        if !self.connected {
            return;
        }
        let next = now.plus(self.config.record_resend_every);
        let mut due = Vec::new();
        for kept in self.records.iter_mut().filter(|kept| kept.stage != Stage::Done && kept.resend_at <= now) {
            kept.resend_at = next;
            due.push(UpFrame::Finished(kept.record.clone()));
        }
        for frame in due {
            self.queue(frame, true);
        }
    }

    /// When the next record is due again; `None` while there is nobody to send it to.
    pub(super) fn record_deadline(&self) -> Option<Timestamp> {
        let waiting = self.records.iter().filter(|kept| kept.stage != Stage::Done && self.connected);
        waiting.map(|kept| kept.resend_at).min()
    }

    /// How long a pile waits for an answer to its record.
    #[must_use]
    pub const fn record_resend_every(&self) -> Millis {
        self.config.record_resend_every
    }
}
