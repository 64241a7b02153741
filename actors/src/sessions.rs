//! The sessions of one pile: how its actor reaches, wakes and revives them, and what becomes of frames that come when
//! their session is over [CONTRACT 1.3, 2].

use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicI64},
};

use domain::{
    AckToken, ConnectorId, Millis, OrderNo, PileNo, Timestamp,
    connector::ConnectorEvent,
    wire::{Finished, Reason, RecordAckResult, UpFrame, UpTopic},
};
use parking_lot::Mutex;
use ractor::{ActorId, ActorRef, MessagingErr};
use settlement::{
    order::{HistoryRow, Order, OrderStatus, Outcome, RecordFacts},
    pricing::{ChargeEnd, RecordTimes},
};
use store::{
    money::{Commit, RecordRow, Severity, Standing, Write},
    telemetry::SampleKind,
};

use crate::{
    alarms::{About, code},
    api::{Live, Up},
    jobs::{Charge, Job},
    limits,
    pile_actor::{Memory, NotUsed},
    session_actor::{SessionActor, SessionArgs, SessionMsg, SessionSlot},
    session_words::content_of,
    settlement_actor::{JobError, OrderJob},
    slot::NO_DEADLINE,
};

/// The running sessions of one pile.
#[derive(Debug, Default)]
pub(crate) struct Sessions(HashMap<OrderNo, (ConnectorId, ActorRef<SessionMsg>)>);

impl Sessions {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn has(&self, order_no: &OrderNo) -> bool {
        self.0.contains_key(order_no)
    }

    pub(crate) fn orders(&self) -> impl Iterator<Item = &OrderNo> {
        self.0.keys()
    }

    pub(crate) fn remove(&mut self, order_no: &OrderNo) {
        self.0.remove(order_no);
    }

    /// Sends to the session of an order; gives the message back when there is none (any more).
    pub(crate) fn try_tell(&self, order_no: &OrderNo, msg: SessionMsg) -> Result<(), SessionMsg> {
        let Some((_, actor)) = self.0.get(order_no) else { return Err(msg) };
        match actor.cast(msg) {
            Err(MessagingErr::SendErr(msg)) => Err(msg),
            // A message that is lost with its actor is not acknowledged: the charger sends it again.
            Ok(()) | Err(MessagingErr::ChannelClosed | MessagingErr::InvalidActorType) => Ok(()),
        }
    }

    /// Sends a status frame or record to the session of the order it names.
    pub(crate) fn try_tell_status(&self, msg: SessionMsg) -> Result<(), SessionMsg> {
        match order_of(&msg) {
            Some(order_no) => self.try_tell(&order_no, msg),
            None => Err(msg),
        }
    }

    pub(crate) fn tell_all(&self, mut msg: impl FnMut() -> SessionMsg) {
        for (_, actor) in self.0.values() {
            if let Err(error) = actor.cast(msg()) {
                tracing::debug!(%error, "session is gone");
            }
        }
    }

    /// Tells the session at this gun; all of them for the pile as a whole.
    pub(crate) fn tell_at(&self, connector: ConnectorId, mut msg: impl FnMut() -> SessionMsg) {
        for (at, actor) in self.0.values() {
            if (connector == ConnectorId::PILE || *at == connector)
                && let Err(error) = actor.cast(msg())
            {
                tracing::debug!(%error, "session is gone");
            }
        }
    }
}

fn order_of(msg: &SessionMsg) -> Option<OrderNo> {
    match msg {
        SessionMsg::Status { frame, .. } => Some(frame.order_no.clone()),
        SessionMsg::Record { frame, .. } => Some(frame.order_no.clone()),
        SessionMsg::Restore(_)
        | SessionMsg::Ack { .. }
        | SessionMsg::Fault { .. }
        | SessionMsg::Stop { .. }
        | SessionMsg::Connected
        | SessionMsg::Disconnected
        | SessionMsg::Tick => None,
    }
}

type Back = Result<(), (Up, NotUsed)>;

impl Memory {
    /// Starts the session of a stored order. `past`: it may have readings from before.
    pub(crate) async fn start_session(&mut self, order: Order, past: bool) {
        let order_no = order.order_no.clone();
        let connector = order.connector_id;
        // The heartbeats before the charge count too; from now on each one keeps it up to date.
        self.slot.set_clock_offset(self.pile.clock().median());
        let args = SessionArgs { core: Arc::clone(&self.core), slot: Arc::clone(&self.slot), order, past };
        let spawned = ractor::Actor::spawn_linked(None, SessionActor, args, self.me.get_cell()).await;
        let actor = match spawned {
            Ok((actor, _)) => actor,
            Err(error) => {
                tracing::warn!(%order_no, %error, "session cannot be started");
                return;
            }
        };
        let session = Arc::new(SessionSlot {
            actor: actor.clone(),
            deadline: AtomicI64::new(NO_DEADLINE),
            live: Mutex::new(Live::default()),
        });
        self.core.sessions.write().insert(order_no.clone(), Arc::clone(&session));
        self.slot.note_order(&order_no, true);
        if actor.cast(SessionMsg::Restore(session)).is_ok() {
            self.sessions.0.insert(order_no, (connector, actor));
        }
    }

    /// Restores the session of an order that was open when this pile's actor, or the hub, ended.
    pub(crate) async fn restore_session(&mut self, order_no: &OrderNo) {
        match self.core.ports.money.order(order_no).await {
            Ok(Some(order)) => {
                let connector = order.connector_id;
                let event = match order.status {
                    OrderStatus::Placed | OrderStatus::Starting => Some(ConnectorEvent::Claimed(order_no.clone())),
                    OrderStatus::Charging => Some(ConnectorEvent::Evidence(order_no.clone())),
                    OrderStatus::Stopping => Some(ConnectorEvent::Evidence(order_no.clone())),
                    // Over, or waiting for a person: the gun is free. A ghost's gun is taken by its evidence.
                    OrderStatus::StartFailed | OrderStatus::Canceled => None,
                    OrderStatus::Settling | OrderStatus::Held | OrderStatus::Closed | OrderStatus::ExceptionClosed => {
                        self.slot.note_order(order_no, false);
                        return;
                    }
                };
                let stopping = order.status == OrderStatus::Stopping;
                if let Some(event) = event {
                    self.pile.connector_event(connector, &event);
                }
                if stopping {
                    self.pile.connector_event(connector, &ConnectorEvent::StopSent(order_no.clone()));
                }
                self.start_session(order, true).await;
            }
            Ok(None) => self.slot.note_order(order_no, false),
            Err(error) => tracing::warn!(%order_no, %error, "open order cannot be read"),
        }
    }

    /// Wakes the session of an order of this pile that has none, if there is reason to: it is open, or its charge
    /// begins after its end (a ghost).
    pub(crate) async fn wake_session(&mut self, order_no: &OrderNo) {
        if let Ok(Some(order)) = self.core.ports.money.order(order_no).await
            && order.pile_no == self.slot.no()
        {
            self.restore_session(order_no).await;
        }
    }

    /// A session ended by a failure: started anew, unless it fails again and again.
    pub(crate) async fn session_failed(&mut self, who: ActorId, why: &str) {
        let failed = self.sessions.0.iter().find(|(_, (_, actor))| actor.get_id() == who).map(|(no, _)| no.clone());
        let Some(order_no) = failed else { return };
        self.sessions.remove(&order_no);
        self.core.sessions.write().remove(&order_no);
        let failures = self.slot.failures.fetch_add(1, std::sync::atomic::Ordering::Relaxed).saturating_add(1);
        tracing::warn!(%order_no, failures, why, "session failed");
        if failures <= limits::ACTOR_FAILURES_MAX {
            self.restore_session(&order_no).await;
        }
    }

    /// The clock offset of a pile with running orders must survive a restart: its last heartbeats are in the log.
    pub(crate) async fn restore_clock(&mut self, now: Timestamp) {
        let from = now.plus(Millis(-limits::READINGS_BEFORE_MS));
        match self.core.ports.telemetry.samples(self.slot.no(), from, now, store::limits::PAGE_LEN_MAX).await {
            Ok(samples) => {
                for sample in samples {
                    if matches!(sample.kind, SampleKind::Heartbeat { .. }) {
                        self.pile.observe_clock(sample.received, sample.device);
                    }
                }
                self.slot.set_clock_offset(self.pile.clock().median());
            }
            Err(error) => tracing::warn!(%error, "heartbeats cannot be read back"),
        }
    }

    // Frames without a session ----------------------------------------------------------------------------------

    /// A status frame whose order has no session: wake it, or write an IGNORED row.
    pub(crate) async fn late_status(&mut self, msg: SessionMsg, pile_no: PileNo, raw: Box<[u8]>) -> Back {
        let SessionMsg::Status { frame, received, token } = msg else { return Ok(()) };
        let order_no = frame.order_no.clone();
        let up = |frame| Up { pile_no, received, frame: UpFrame::Status(frame), topic: UpTopic::Status, raw, token };
        let order = match self.order_here(&order_no).await {
            Ok(Some(order)) => order,
            Ok(None) => return Ok(()),
            Err(not) => return Err((up(*frame), not)),
        };
        match order.status {
            OrderStatus::Held | OrderStatus::Settling | OrderStatus::Closed | OrderStatus::ExceptionClosed => {
                self.ignore(&order, format!("STATUS_FRAME {}", frame.seq), received).await;
                self.keep(store::telemetry::Append::Nothing, token);
            }
            OrderStatus::StartFailed | OrderStatus::Canceled
                if order.ghost.as_ref().is_some_and(|g| g.bill.is_some()) =>
            {
                self.ignore(&order, format!("STATUS_FRAME {}", frame.seq), received).await;
                self.keep(store::telemetry::Append::Nothing, token);
            }
            OrderStatus::Placed
            | OrderStatus::Starting
            | OrderStatus::Charging
            | OrderStatus::Stopping
            | OrderStatus::StartFailed
            | OrderStatus::Canceled => {
                self.restore_session(&order_no).await;
                let again = SessionMsg::Status { frame, received, token };
                if self.sessions.try_tell(&order_no, again).is_err() {
                    tracing::warn!(%order_no, "frame of an open order finds no session; the charger will repeat it");
                }
            }
        }
        Ok(())
    }

    /// A record whose order has no session: a repeat, a correction, a conflict, or the end of a ghost.
    pub(crate) async fn late_record(&mut self, msg: SessionMsg, pile_no: PileNo) -> Back {
        let SessionMsg::Record { frame, raw, received, token } = msg else { return Ok(()) };
        let order_no = frame.order_no.clone();
        let order = match self.order_here(&order_no).await {
            Ok(Some(order)) => order,
            Ok(None) => return Ok(()),
            Err(not) => {
                let up =
                    Up { pile_no, received, frame: UpFrame::Finished(*frame), topic: UpTopic::Finished, raw, token };
                return Err((up, not));
            }
        };
        let content = content_of(&frame, &self.slot.facts.pile_code);
        let stored = match self.core.ports.money.record(&order_no).await {
            Ok(stored) => stored,
            Err(error) => {
                tracing::warn!(%order_no, %error, "record waits for the store");
                return Ok(());
            }
        };
        match stored {
            Some(stored) if stored.content == content => {
                self.ignore(&order, "RECORD_REPEATED".to_owned(), received).await;
                self.answer_record(&frame, RecordAckResult::Duplicate, token);
                Ok(())
            }
            Some(_) => self.conflicting(&order, *frame, raw, content, received, token).await,
            None if order.provisional => {
                self.correct(&order, &frame, raw, content, received, token).await;
                Ok(())
            }
            None => {
                self.restore_session(&order_no).await;
                let again = SessionMsg::Record { frame, raw, received, token };
                if let Err(SessionMsg::Record { frame, raw, .. }) = self.sessions.try_tell(&order_no, again) {
                    return self.conflicting(&order, *frame, raw, content, received, token).await;
                }
                Ok(())
            }
        }
    }

    /// The order a frame names, if it is one of this pile. `Ok(None)`: the store cannot say; the charger will repeat.
    pub(crate) async fn order_here(&self, order_no: &OrderNo) -> Result<Option<Order>, NotUsed> {
        match self.core.ports.money.order(order_no).await {
            Ok(Some(order)) if order.pile_no == self.slot.no() => Ok(Some(order)),
            Ok(Some(_)) => {
                let detail = format!("order {order_no} belongs to another pile");
                Err(NotUsed { reason: Reason::ForeignOrder, detail })
            }
            Ok(None) => {
                let detail = format!("there is no order {order_no}");
                Err(NotUsed { reason: Reason::UnknownOrder, detail })
            }
            Err(error) => {
                tracing::warn!(%order_no, %error, "frame waits for the store");
                Ok(None)
            }
        }
    }

    async fn correct(
        &mut self,
        order: &Order,
        frame: &Finished,
        raw: Box<[u8]>,
        content: [u8; 32],
        received: Timestamp,
        token: Option<AckToken>,
    ) {
        let Some(charge) = self.charge_of(order, frame).await else { return };
        let record = self.record_row(order, raw, content, received, Standing::Stands);
        let job = OrderJob {
            user_id: order.user_id.clone(),
            order_no: order.order_no.clone(),
            job: Job::Record { facts: RecordFacts::from(frame), charge: Box::new(charge) },
            once: None,
            with: vec![Write::Record(Box::new(record))],
            now: self.core.now(),
        };
        match self.core.settlement.order(job).await {
            Ok(settled) => {
                self.answer_record(frame, RecordAckResult::Stored, token);
                self.core.ports.audience.order_changed(&settled.order, self.core.link_of(&self.slot));
            }
            Err(JobError::Away(why)) => tracing::warn!(order = %order.order_no, why, "correction waits for the store"),
            Err(JobError::Refused(why)) => tracing::warn!(order = %order.order_no, %why, "correction refused"),
        }
    }

    async fn charge_of(&self, order: &Order, frame: &Finished) -> Option<Charge> {
        let since = order.created_at.plus(Millis(-limits::READINGS_BEFORE_MS));
        let readings = self.core.ports.telemetry.readings(self.slot.no(), &order.order_no, since).await.ok()?;
        Some(Charge {
            tariff: self.core.tariff_of(&order.station_id, &order.tariff_id)?,
            created_at: order.created_at,
            rated_power: self.slot.facts.max_power,
            thinned: readings.len() >= domain::limits::READINGS_PER_ORDER_MAX,
            readings,
            end: ChargeEnd::Record(RecordTimes::from(frame)),
            clock_offset: self.pile.clock().median(),
        })
    }

    /// A second record with other content: the first one stands, this one is kept and flagged [CONTRACT 1.3].
    async fn conflicting(
        &mut self,
        order: &Order,
        frame: Finished,
        raw: Box<[u8]>,
        content: [u8; 32],
        received: Timestamp,
        token: Option<AckToken>,
    ) -> Back {
        let about = About {
            pile: &order.pile_code,
            connector: order.connector_id,
            code: code::CONFLICTING_RECORD,
            severity: Severity::Medium,
            order_no: Some(&order.order_no),
            text: format!("order {}: a second record says something else; the first one stands", order.order_no),
        };
        let alarm = self.core.alarms.raise(&about, received);
        let kept = self.record_row(order, raw.clone(), content, received, Standing::Conflicting);
        let writes = vec![Write::Record(Box::new(kept)), Write::Alarm(Box::new(alarm.clone()))];
        let outcome = self.core.ports.money.commit(Commit { writes }).await;
        if outcome != store::money::CommitOutcome::Applied {
            tracing::warn!(?outcome, "record waits for the store");
            return Ok(());
        }
        self.core.alarms.note(&alarm);
        self.ignore(order, "RECORD_CONFLICTING".to_owned(), received).await;
        let detail = format!("order {} has a record with other content; the first one stands", order.order_no);
        let frame = UpFrame::Finished(frame);
        let up = Up { pile_no: self.slot.no(), received, frame, topic: UpTopic::Finished, raw, token };
        Err((up, NotUsed { reason: Reason::ConflictingRecord, detail }))
    }

    fn record_row(
        &self,
        order: &Order,
        raw: Box<[u8]>,
        content: [u8; 32],
        received: Timestamp,
        standing: Standing,
    ) -> RecordRow {
        RecordRow {
            order_no: order.order_no.clone(),
            pile_no: self.slot.no(),
            content,
            raw: raw.into_vec(),
            received,
            standing,
        }
    }

    fn answer_record(&self, frame: &Finished, result: RecordAckResult, token: Option<AckToken>) {
        if let Some(token) = token {
            self.core.ports.piles.stored(&mut vec![token]);
        }
        let (no, code) = (self.slot.no(), &self.slot.facts.pile_code);
        self.core.ports.piles.send_record_ack(no, code, frame.order_no.as_str(), frame.seq, result, self.core.now());
    }

    /// Writes that something came too late to count; only so many times per order.
    async fn ignore(&mut self, order: &Order, event: String, at: Timestamp) {
        if !self.note_late(&order.order_no) {
            return;
        }
        let row = HistoryRow { at, from: order.status, to: order.status, event, outcome: Outcome::Ignored };
        let commit = Commit { writes: vec![Write::History(order.order_no.clone(), vec![row])] };
        let outcome = self.core.ports.money.commit(commit).await;
        tracing::debug!(order = %order.order_no, ?outcome, "late frame ignored");
    }
}
