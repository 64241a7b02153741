//! One charging session: drives the `domain::session` machine, keeps the readings, and asks the settlement actor for
//! every durable step. It prices nothing itself: the live estimate is `settlement::pricing::RunningBill`.
//!
//! Order of effects when a record comes: bill stored → money moved (both by the settlement actor's commit) →
//! `record/ack` and PUBACK → phones. A step that the store did not take waits and is tried again.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use domain::{
    AckToken, Millis, StopReason, Timestamp,
    command::Command,
    connector::ConnectorEvent,
    session::{Phase, Session, SessionEffect, SessionEvent, SessionLimits, SessionTiming},
    wire::{AckResult, ChargingStatus, CommandAck, Finished, Reason, RecordAckResult, UpFrame, UpTopic},
};
use parking_lot::Mutex;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use settlement::{
    order::{Order, OrderStatus, RecordFacts, StopBy},
    pricing::{ChargeEnd, Reading, RecordTimes, RunningBill},
};
use store::{
    money::{CommandState, RecordRow, Severity, Standing, Write},
    telemetry::{Append, Quarantined},
};
use tokio::sync::oneshot;

use crate::{
    alarms::{About, code},
    api::{FleetEvent, Live, Once, Refusal, Up},
    core::Core,
    jobs::{Charge, Job},
    limits,
    pile_actor::PileMsg,
    readings::Readings,
    session_words::{command_row, content_of, phase_of, reason_of, sample_of, start_id, stop_id},
    settlement_actor::{JobError, OrderJob, Settled},
    slot::{NO_DEADLINE, Slot},
};

/// What others may see of a session without asking it, and how to reach it.
#[derive(Debug)]
pub(crate) struct SessionSlot {
    pub(crate) actor: ActorRef<SessionMsg>,
    pub(crate) deadline: AtomicI64,
    pub(crate) live: Mutex<Live>,
}

/// What a session is told.
#[derive(Debug)]
pub(crate) enum SessionMsg {
    /// First of all: the slot others see it by, and its past.
    Restore(Arc<SessionSlot>),
    /// A status frame of this order.
    Status { frame: Box<ChargingStatus>, received: Timestamp, token: Option<AckToken> },
    /// The record of this order, raw beside it.
    Record { frame: Box<Finished>, raw: Box<[u8]>, received: Timestamp, token: Option<AckToken> },
    /// The charger answered a command of this order.
    Ack { ack: Box<CommandAck>, received: Timestamp },
    /// A fault was reported that concerns this gun.
    Fault { code: String },
    /// Somebody wants it to end.
    Stop { by: StopBy, once: Option<Once>, reply: oneshot::Sender<Result<Order, Refusal>> },
    /// The pile's connection came.
    Connected,
    /// The pile's connection went.
    Disconnected,
    /// Time may have passed.
    Tick,
}

/// What a session is made from.
pub(crate) struct SessionArgs {
    pub(crate) core: Arc<Core>,
    pub(crate) slot: Arc<Slot>,
    pub(crate) order: Order,
    /// It may have readings from before: look them up.
    pub(crate) past: bool,
}

pub(crate) struct SessionActor;

/// A session's own memory.
pub(crate) struct Running {
    pub(crate) core: Arc<Core>,
    pub(crate) slot: Arc<Slot>,
    pub(crate) me: Option<Arc<SessionSlot>>,
    pub(crate) order: Order,
    pub(crate) machine: Session,
    pub(crate) past: bool,
    pub(crate) readings: Readings,
    pub(crate) estimate: Option<RunningBill>,
    pub(crate) live: Live,
    pub(crate) fault: Option<String>,
    pub(crate) refusal: Option<String>,
    pub(crate) waiting: VecDeque<SessionEffect>,
    pub(crate) retry_at: Option<Timestamp>,
    pub(crate) ended: bool,
}

impl Actor for SessionActor {
    type Msg = SessionMsg;
    type State = Box<Running>;
    type Arguments = SessionArgs;

    async fn pre_start(
        &self,
        _me: ActorRef<SessionMsg>,
        args: SessionArgs,
    ) -> Result<Box<Running>, ActorProcessingErr> {
        Ok(Box::new(Running::new(args)))
    }

    async fn handle(
        &self,
        me: ActorRef<SessionMsg>,
        msg: SessionMsg,
        running: &mut Box<Running>,
    ) -> Result<(), ActorProcessingErr> {
        let was_over = running.ended;
        // Status frames come all the time: done on the spot. The rest pays for a future, on the heap.
        if let SessionMsg::Status { frame, received, token } = msg {
            running.status(&frame, received, token);
        } else {
            Box::pin(running.handle(msg)).await;
        }
        if running.machine.has_effects() || !running.waiting.is_empty() {
            Box::pin(running.carry_out(running.core.now())).await;
        }
        running.arm();
        if running.ended && !was_over {
            running.leave();
            // What is in the mailbox still gets its answer; nothing new comes in.
            if let Err(error) = me.drain() {
                tracing::debug!(%error, "session is gone already");
            }
        }
        Ok(())
    }
}

impl Running {
    fn new(args: SessionArgs) -> Self {
        let SessionArgs { core, slot, order, past } = args;
        let timing = SessionTiming {
            start_deadline: core.timing.start_deadline,
            fault_wait: core.timing.fault_wait,
            offline_grace: core.timing.offline_grace,
        };
        let now = core.now();
        let phase = phase_of(&order, &timing, now);
        let limits =
            SessionLimits { energy: order.limit.energy_wh, duration_s: order.limit.duration_s, soc: order.limit.soc };
        let tariff = core.tariff_of(&order.station_id, &order.tariff_id);
        let estimate = tariff.and_then(|tariff| RunningBill::new(tariff).ok());
        let heard = slot.last_seen().unwrap_or(now);
        let machine = Session::new(timing, limits, phase, slot.socket().is_some(), heard);
        let fault = order.fault_code.clone();
        Self {
            core,
            slot,
            me: None,
            order,
            machine,
            past,
            readings: Readings::default(),
            estimate,
            live: Live::default(),
            fault,
            refusal: None,
            waiting: VecDeque::new(),
            retry_at: None,
            ended: false,
        }
    }

    async fn handle(&mut self, msg: SessionMsg) {
        let now = self.core.now();
        match msg {
            SessionMsg::Restore(me) => self.restore(me, now).await,
            SessionMsg::Record { frame, raw, received, token } => {
                self.record(&frame, raw, received, token).await;
            }
            SessionMsg::Ack { ack, received } => self.answered(&ack, received).await,
            SessionMsg::Fault { code } => {
                self.fault.get_or_insert(code);
                self.machine.handle_event(&SessionEvent::FaultReported, now);
            }
            SessionMsg::Stop { by, once, reply } => {
                let result = self.stop(by, once, now).await;
                drop(reply.send(result));
            }
            SessionMsg::Connected => self.machine.handle_event(&SessionEvent::Connected, now),
            SessionMsg::Disconnected => self.machine.handle_event(&SessionEvent::Disconnected, now),
            SessionMsg::Tick => self.tick(now),
            SessionMsg::Status { frame, received, token } => self.status(&frame, received, token),
        }
    }

    // The past --------------------------------------------------------------------------------------------------

    /// Reads back what was measured before a restart, and goes on where the order was.
    async fn restore(&mut self, me: Arc<SessionSlot>, now: Timestamp) {
        self.me = Some(me);
        if self.past {
            let since = self.order.created_at.plus(Millis(-limits::READINGS_BEFORE_MS));
            match self.core.ports.telemetry.readings(self.slot.no(), &self.order.order_no, since).await {
                Ok(found) => {
                    for reading in found {
                        if self.readings.add(reading) {
                            self.estimate(&reading);
                        }
                    }
                    // Who looks before the charger's next frame sees what was measured, not nothing.
                    self.show_live();
                }
                Err(error) => tracing::warn!(order = %self.order.order_no, %error, "readings cannot be read back"),
            }
            // A frame was acknowledged, the step it is evidence for was not stored: take the step now.
            if self.order.status == OrderStatus::Starting && !self.readings.is_empty() {
                self.machine.handle_event(&SessionEvent::StartAnswered(AckResult::Accepted), now);
            }
        }
        let open_stop = (self.order.stop_pending || self.order.status == OrderStatus::Stopping)
            .then(|| self.order.stop_reason.unwrap_or(StopReason::User));
        self.machine.resume(open_stop, now);
        if self.machine.phase() == Phase::Ghost && self.order.ghost.is_none() {
            self.ghost_seen(now).await;
        }
    }

    async fn ghost_seen(&mut self, now: Timestamp) {
        let about = About {
            pile: &self.order.pile_code,
            connector: self.order.connector_id,
            code: code::GHOST_CHARGE,
            severity: Severity::Critical,
            order_no: Some(&self.order.order_no),
            text: format!("order {} was over when current began to flow; the platform pays", self.order.order_no),
        };
        let alarm = self.core.alarms.raise(&about, now);
        if self.step(Job::GhostSeen { at: now }, vec![Write::Alarm(Box::new(alarm.clone()))], None).await.is_ok() {
            self.core.alarms.note(&alarm);
            self.tell_fleet("GHOST_CHARGE", String::new());
        }
    }

    // Frames ----------------------------------------------------------------------------------------------------

    fn status(&mut self, frame: &ChargingStatus, received: Timestamp, token: Option<AckToken>) {
        let reading =
            Reading { at: frame.timestamp, seq: frame.seq, energy: frame.energy, total_time_s: frame.total_time_s };
        let fresh = self.readings.is_new(frame.seq) && !self.ended;
        let row = if fresh { Append::Sample(sample_of(frame, &self.slot, received)) } else { Append::Nothing };
        if self.core.ports.telemetry.push(row, token).is_err() {
            // Not stored, so not acknowledged and not counted as seen: the charger sends it again.
            tracing::warn!(order = %self.order.order_no, "telemetry queue is full");
            return;
        }
        if !fresh || !self.readings.add(reading) {
            return;
        }
        self.estimate(&reading);
        self.live.power = frame.power.or(self.live.power);
        self.live.voltage = frame.voltage.or(self.live.voltage);
        self.live.current = frame.current.or(self.live.current);
        self.live.soc = frame.soc.or(self.live.soc);
        self.machine.handle_event(&SessionEvent::Status(frame), received);
        if self.order.limit.amount_fen.is_some_and(|limit| self.live.amount >= limit) {
            self.machine.limit_reached();
        }
        self.show_live();
    }

    fn estimate(&mut self, reading: &Reading) {
        self.live.energy = self.live.energy.max(reading.energy);
        self.live.as_of = self.live.as_of.max(Some(reading.at));
        if let Some(seconds) = reading.total_time_s {
            self.live.duration_s = self.live.duration_s.max(i64::from(seconds));
        } else if let Some(started) = self.order.started_at {
            self.live.duration_s = self.live.duration_s.max(reading.at.since(started).as_secs());
        }
        if let Some(estimate) = &mut self.estimate {
            let shown = estimate.add(reading.at, reading.energy, reading.total_time_s);
            self.live.amount = self.live.amount.max(shown.amount);
            if self.live.period.as_deref() != Some(estimate.period_label()) {
                self.live.period = Some(Arc::from(estimate.period_label()));
            }
        }
    }

    fn show_live(&self) {
        if let Some(me) = &self.me {
            self.live.clone_into(&mut me.live.lock());
        }
        self.core.ports.audience.progress(&self.order.order_no, &self.live);
    }

    async fn record(&mut self, frame: &Finished, raw: Box<[u8]>, received: Timestamp, token: Option<AckToken>) {
        if self.ended {
            let up = Up {
                pile_no: self.slot.no(),
                received,
                frame: UpFrame::Finished(frame.clone()),
                topic: UpTopic::Finished,
                raw,
                token,
            };
            if self.core.tell(&self.slot, PileMsg::Frame(Box::new(up))).is_err() {
                tracing::debug!(order = %self.order.order_no, "pile's actor is away");
            }
            return;
        }
        store::failpoint::hit("session.record_received");
        let content = content_of(frame, &self.order.pile_code);
        let raw = raw.into_vec();
        let row = RecordRow {
            order_no: self.order.order_no.clone(),
            pile_no: self.slot.no(),
            content,
            raw: raw.clone(),
            received,
            standing: Standing::Stands,
        };
        let charge = self.charge(ChargeEnd::Record(RecordTimes::from(frame)));
        let Some(charge) = charge else { return };
        let job = Job::Record { facts: RecordFacts::from(frame), charge };
        let alarm = self.unreported_fault(frame, received);
        let mut with = vec![Write::Record(Box::new(row))];
        with.extend(alarm.iter().map(|alarm| Write::Alarm(Box::new(alarm.clone()))));
        match self.step(job, with, None).await {
            Ok(settled) if settled.applied => {
                store::failpoint::hit("session.settled");
                if let Some(alarm) = &alarm {
                    self.core.alarms.note(alarm);
                }
                self.acknowledge(frame, RecordAckResult::Stored, token);
                store::failpoint::hit("session.acknowledged");
                self.announce(&settled.order);
                self.over();
            }
            Err(JobError::Away(why)) => {
                // Neither acknowledged nor answered: the charger keeps the record and sends it again.
                tracing::warn!(order = %self.order.order_no, why, "record waits for the store");
            }
            Ok(_) => self.put_aside(raw, "the order is over already".to_owned(), received, token),
            Err(JobError::Refused(refusal)) => self.put_aside(raw, refusal.to_string(), received, token),
        }
    }

    /// A record that cannot be settled goes to a person, and is answered so that the charger rests.
    fn put_aside(&self, payload: Vec<u8>, detail: String, received: Timestamp, token: Option<AckToken>) {
        tracing::warn!(order = %self.order.order_no, detail, "record cannot be settled");
        let frame = Quarantined {
            quarantine_id: 0,
            pile_code: self.order.pile_code.clone(),
            topic: UpTopic::Finished.topic(&self.order.pile_code),
            payload,
            reason: Reason::ConflictingRecord.as_str().to_owned(),
            detail,
            received,
            replayed_at: None,
        };
        self.core.quarantine(&self.slot, frame, token);
    }

    fn acknowledge(&self, frame: &Finished, result: RecordAckResult, token: Option<AckToken>) {
        if let Some(token) = token {
            self.core.ports.piles.stored(&mut vec![token]);
        }
        let (no, code) = (self.slot.no(), &self.slot.facts.pile_code);
        self.core.ports.piles.send_record_ack(no, code, frame.order_no.as_str(), frame.seq, result, self.core.now());
    }

    async fn answered(&mut self, ack: &CommandAck, now: Timestamp) {
        let state = match ack.result {
            AckResult::Accepted => CommandState::Acked,
            AckResult::Rejected => CommandState::Rejected,
        };
        if ack.command_id == start_id(&self.order.order_no) {
            self.refusal = ack.code.clone().or_else(|| ack.message.clone());
            self.machine.handle_event(&SessionEvent::StartAnswered(ack.result), now);
            self.note_command(self.start_command(), state, ack.code.clone(), now).await;
        } else if ack.command_id == stop_id(&self.order.order_no) {
            self.machine.handle_event(&SessionEvent::StopAnswered(ack.result), now);
            let reason = self.order.stop_reason.unwrap_or(StopReason::User);
            self.note_command(self.stop_command(reason), state, ack.code.clone(), now).await;
        }
    }

    /// Kept for people (`GET /commands/{id}`); losing it to a crash costs nothing.
    async fn note_command(
        &self,
        command: Option<Command>,
        state: CommandState,
        answer: Option<String>,
        now: Timestamp,
    ) {
        let Some(command) = command else { return };
        let row = command_row(command, &self.slot, state, answer, now);
        let commit = store::money::Commit { writes: vec![Write::Command(Box::new(row))] };
        let outcome = self.core.ports.money.commit(commit).await;
        tracing::trace!(?outcome, "command noted");
    }

    pub(crate) async fn stop(&mut self, by: StopBy, once: Option<Once>, now: Timestamp) -> Result<Order, Refusal> {
        let online = self.slot.socket().is_some();
        let reason = reason_of(by);
        let command = self.stop_command(reason);
        let with = command
            .map(|command| command_row(command, &self.slot, CommandState::Queued, None, now))
            .map_or_else(Vec::new, |row| vec![Write::Command(Box::new(row))]);
        let settled = self.step(Job::Stop { by, online }, with, once).await?;
        store::failpoint::hit("session.stop_stored");
        self.announce(&settled.order);
        if settled.order.status.is_over() {
            self.over();
        } else {
            self.machine.handle_event(&SessionEvent::StopAsked(reason), now);
        }
        Ok(settled.order)
    }

    pub(crate) async fn step(&mut self, job: Job, with: Vec<Write>, once: Option<Once>) -> Result<Settled, JobError> {
        let job = OrderJob {
            user_id: self.order.user_id.clone(),
            order_no: self.order.order_no.clone(),
            job,
            once,
            with,
            now: self.core.now(),
        };
        let settled = self.core.settlement.order(job).await?;
        settled.order.clone_into(&mut self.order);
        Ok(settled)
    }

    pub(crate) fn charge(&self, end: ChargeEnd) -> Option<Box<Charge>> {
        let (readings, thinned) = self.readings.to_bill();
        let Some(tariff) = self.core.tariff_of(&self.order.station_id, &self.order.tariff_id) else {
            tracing::warn!(order = %self.order.order_no, tariff = self.order.tariff_id, "tariff of a running order is missing");
            return None;
        };
        Some(Box::new(Charge {
            tariff,
            created_at: self.order.created_at,
            rated_power: self.slot.facts.max_power,
            readings,
            thinned,
            end,
            clock_offset: self.slot.clock_offset(),
        }))
    }

    /// The alarm of a fault that the charger tells of in its record only, without an event before it.
    fn unreported_fault(&self, frame: &Finished, now: Timestamp) -> Option<store::money::Alarm> {
        let unreported = frame.stop_reason == StopReason::Fault && self.fault.is_none();
        let fault = frame.fault_code.as_deref().unwrap_or("UNKNOWN");
        let text = format!("the charger ended it with fault {fault}");
        unreported.then(|| self.alarm(code::ENDED_BY_FAULT, Severity::High, &text, now))
    }

    pub(crate) fn alarm(
        &self,
        code: &'static str,
        severity: Severity,
        text: &str,
        now: Timestamp,
    ) -> store::money::Alarm {
        let about = About {
            pile: &self.order.pile_code,
            connector: self.order.connector_id,
            code,
            severity,
            order_no: Some(&self.order.order_no),
            text: format!("order {}: {text}", self.order.order_no),
        };
        self.core.alarms.raise(&about, now)
    }

    // Others ----------------------------------------------------------------------------------------------------

    pub(crate) fn announce(&self, order: &Order) {
        self.core.ports.audience.order_changed(order, self.core.link_of(&self.slot));
        if order.status == OrderStatus::Stopping {
            self.tell_pile(ConnectorEvent::StopSent(order.order_no.clone()));
        }
        self.tell_fleet("ORDER", order.status.as_str().to_owned());
    }

    fn tell_fleet(&self, code: &'static str, detail: String) {
        self.core.ports.audience.event(&FleetEvent {
            at: self.core.now(),
            code,
            pile_code: self.order.pile_code.clone(),
            order_no: Some(self.order.order_no.clone()),
            detail,
        });
    }

    pub(crate) fn tell_pile(&self, event: ConnectorEvent) {
        let msg = PileMsg::Connector { connector: self.order.connector_id, event };
        if self.core.tell(&self.slot, msg).is_err() {
            tracing::debug!(pile = %self.order.pile_code, "pile's actor is away");
        }
    }

    fn arm(&self) {
        let Some(me) = &self.me else { return };
        let next = [self.machine.poll_timeout(), self.retry_at].into_iter().flatten().min();
        me.deadline.store(next.map_or(NO_DEADLINE, Timestamp::as_millis), Ordering::Relaxed);
    }

    pub(crate) fn over(&mut self) {
        self.machine.handle_event(&SessionEvent::Ended, self.core.now());
        self.ended = true;
    }

    /// Leaves the directory; the pile's actor frees the gun.
    fn leave(&self) {
        self.core.sessions.write().remove(&self.order.order_no);
        self.slot.note_order(&self.order.order_no, false);
        let msg = PileMsg::SessionOver { order_no: self.order.order_no.clone(), connector: self.order.connector_id };
        if self.core.tell(&self.slot, msg).is_err() {
            tracing::debug!(pile = %self.order.pile_code, "pile's actor is away");
        }
    }
}
