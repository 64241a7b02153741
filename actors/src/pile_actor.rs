//! One pile: drives the `domain::pile` machine, hands frames to the sessions of its guns, and decides what becomes of
//! frames that belong to no running session.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, atomic::Ordering},
};

use domain::{
    AckToken, ConnectorId, OrderNo, Timestamp,
    connector::{Connector, ConnectorEvent},
    pile::{Bar, Fault, Link, LinkTiming, Pile, PileEffect},
    wire::{CommandAck, Heartbeat, Reason, UpFrame},
};
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use settlement::order::{Order, OrderStatus, StopBy};
use store::{
    money::{Commit, CommitOutcome, Severity, Write},
    telemetry::{Append, Quarantined},
};
use tokio::sync::oneshot;

use crate::{
    alarms::{About, code},
    api::{FleetEvent, Once, Refusal, Up},
    commands::Commands,
    core::Core,
    limits, metric,
    pile_samples::{heartbeat_sample, meter_sample},
    session_actor::SessionMsg,
    session_words::start_id,
    sessions::Sessions,
    slot::{Shown, ShownConnector, Slot},
};

/// What a pile's actor is told.
#[derive(Debug)]
pub(crate) enum PileMsg {
    /// First of all: what is known from before.
    Restore,
    /// A frame of the pile.
    Frame(Box<Up>),
    /// A quarantined frame is tried again.
    Replay(Box<Up>, oneshot::Sender<Result<(), Refusal>>),
    /// A connection was accepted.
    LinkUp(u32),
    /// A connection ended.
    LinkDown(u32),
    /// Time may have passed.
    Tick,
    /// An order wants a gun; it is held for it until `Begin` or `Release`.
    Claim { connector: ConnectorId, order_no: OrderNo, reply: oneshot::Sender<Result<(), Refusal>> },
    /// The claimed order came to nothing.
    Release { connector: ConnectorId, order_no: OrderNo },
    /// The claimed order is stored: start it.
    Begin(Box<Order>),
    /// Somebody wants an order to end.
    Stop { order_no: OrderNo, by: StopBy, once: Option<Once>, reply: oneshot::Sender<Result<Order, Refusal>> },
    /// A session says what its gun does.
    Connector { connector: ConnectorId, event: ConnectorEvent },
    /// A session is over.
    SessionOver { order_no: OrderNo, connector: ConnectorId },
    /// A person's command, stored already.
    Command(Box<store::money::CommandRow>),
    /// Maintenance mode was switched, stored already.
    Maintenance(Option<String>),
}

/// What a pile's actor is made from.
#[derive(Debug)]
pub(crate) struct PileArgs {
    pub(crate) core: Arc<Core>,
    pub(crate) slot: Arc<Slot>,
}

#[derive(Debug)]
pub(crate) struct PileActor;

/// A pile's own memory.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) core: Arc<Core>,
    pub(crate) slot: Arc<Slot>,
    pub(crate) me: ActorRef<PileMsg>,
    pub(crate) pile: Pile,
    pub(crate) sessions: Sessions,
    pub(crate) late: HashMap<OrderNo, u32>,
    pub(crate) late_order: VecDeque<OrderNo>,
    commands: Commands,
}

/// Why a frame cannot be used; it goes to quarantine, or back to who replayed it.
#[derive(Debug)]
pub(crate) struct NotUsed {
    pub(crate) reason: Reason,
    pub(crate) detail: String,
}

impl Actor for PileActor {
    type Msg = PileMsg;
    type State = Box<Memory>;
    type Arguments = PileArgs;

    async fn pre_start(&self, me: ActorRef<PileMsg>, args: PileArgs) -> Result<Box<Memory>, ActorProcessingErr> {
        me.cast(PileMsg::Restore)?;
        args.slot.depth.fetch_add(1, Ordering::Relaxed);
        args.core.inflight.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(Memory::new(me, args)))
    }

    async fn handle(
        &self,
        _me: ActorRef<PileMsg>,
        msg: PileMsg,
        memory: &mut Box<Memory>,
    ) -> Result<(), ActorProcessingErr> {
        memory.core.untell(&memory.slot);
        memory.slot.handled.fetch_add(1, Ordering::Relaxed);
        // What comes all the time is done on the spot; only the rest pays for a future, and that one on the heap, since
        // whatever this future holds is part of every actor's size.
        if let Some(msg) = memory.handle_now(msg) {
            Box::pin(memory.handle(msg)).await;
        }
        if memory.pile.has_effects() {
            Box::pin(memory.carry_out()).await;
        }
        memory.show();
        Ok(())
    }

    /// A session that failed is started anew from the store; one that ended was taken out already.
    async fn handle_supervisor_evt(
        &self,
        _me: ActorRef<PileMsg>,
        event: SupervisionEvent,
        memory: &mut Box<Memory>,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(who, why) = event {
            metrics::counter!(metric::RESTARTS, "kind" => "session").increment(1);
            Box::pin(memory.session_failed(who.get_id(), &why.to_string())).await;
        }
        Ok(())
    }
}

impl Memory {
    fn new(me: ActorRef<PileMsg>, args: PileArgs) -> Self {
        let PileArgs { core, slot } = args;
        let timing = LinkTiming { stale_after: core.timing.stale_after, offline_after: core.timing.offline_after };
        let durable = slot.durable.lock().clone();
        let faults = durable.faults.into_iter().map(|(n, code)| Fault { connector: ConnectorId(n), code }).collect();
        let now = core.now();
        let silent_since = slot.last_seen().unwrap_or(now);
        let pile = Pile::new(slot.facts.connectors, timing, durable.maintenance, faults, silent_since);
        Self {
            core,
            slot,
            me,
            pile,
            sessions: Sessions::default(),
            late: HashMap::new(),
            late_order: VecDeque::new(),
            commands: Commands::default(),
        }
    }

    /// Heartbeats, meters, frames of running sessions, words of sessions: no store is asked. Gives back the rest.
    #[allow(clippy::wildcard_enum_match_arm, reason = "everything else takes the other road")]
    fn handle_now(&mut self, msg: PileMsg) -> Option<PileMsg> {
        match msg {
            PileMsg::Frame(up) => {
                self.slot.set_last_seen(up.received);
                self.pile.seen(up.received);
                let Up { pile_no, received, frame, topic, raw, token } = *up;
                let back = match frame {
                    UpFrame::Heartbeat(beat) => {
                        self.heartbeat(&beat, received, token);
                        return None;
                    }
                    UpFrame::Meter(meter) => {
                        self.keep(Append::Sample(meter_sample(&meter, &self.slot, received)), token);
                        return None;
                    }
                    UpFrame::Status(status) => {
                        let msg = SessionMsg::Status { frame: Box::new(status), received, token };
                        match self.sessions.try_tell_status(msg) {
                            Err(SessionMsg::Status { frame, .. }) => UpFrame::Status(*frame),
                            Ok(()) | Err(_) => return None,
                        }
                    }
                    other @ (UpFrame::Finished(_) | UpFrame::CommandAck(_) | UpFrame::Event(_)) => other,
                };
                Some(PileMsg::Frame(Box::new(Up { pile_no, received, frame: back, topic, raw, token })))
            }
            PileMsg::Connector { connector, event } => {
                self.pile.connector_event(connector, &event);
                None
            }
            other => Some(other),
        }
    }

    async fn handle(&mut self, msg: PileMsg) {
        let now = self.core.now();
        match msg {
            PileMsg::Restore => Box::pin(self.restore(now)).await,
            PileMsg::Frame(up) => {
                if let Err((up, not)) = self.use_frame(*up).await {
                    self.quarantine(up, not);
                }
            }
            PileMsg::Replay(up, reply) => {
                let result = Box::pin(self.use_frame(*up)).await;
                drop(
                    reply.send(
                        result.map_err(|(_, not)| Refusal::Validation(format!("{}: {}", not.reason, not.detail))),
                    ),
                );
            }
            PileMsg::LinkUp(epoch) => {
                self.pile.connected(epoch, now);
                self.sessions.tell_all(|| SessionMsg::Connected);
                self.commands.connected(&self.core, &self.slot, now).await;
            }
            PileMsg::LinkDown(epoch) => {
                self.pile.disconnected(epoch);
                if !self.pile.is_connected() {
                    self.sessions.tell_all(|| SessionMsg::Disconnected);
                }
            }
            PileMsg::Tick => {
                self.pile.handle_timeout(now);
                self.commands.tick(&self.core, &self.slot, now).await;
            }
            PileMsg::Claim { connector, order_no, reply } => {
                drop(reply.send(Box::pin(self.claim(connector, order_no)).await));
            }
            PileMsg::Release { connector, order_no } => {
                self.pile.connector_event(connector, &ConnectorEvent::Released(order_no));
            }
            PileMsg::Begin(order) => {
                let connector = order.connector_id;
                let order_no = order.order_no.clone();
                self.pile.connector_event(connector, &ConnectorEvent::Claimed(order_no));
                self.start_session(*order, false).await;
            }
            PileMsg::Stop { order_no, by, once, reply } => self.stop(order_no, by, once, reply).await,
            PileMsg::Connector { connector, event } => self.pile.connector_event(connector, &event),
            PileMsg::SessionOver { order_no, connector } => {
                self.sessions.remove(&order_no);
                self.pile.connector_event(connector, &ConnectorEvent::Released(order_no));
            }
            PileMsg::Command(row) => self.commands.add(&self.core, &self.slot, *row, now).await,
            PileMsg::Maintenance(reason) => {
                self.slot.durable.lock().maintenance.clone_from(&reason);
                self.pile.set_maintenance(reason);
            }
        }
        self.slot.commands.store(self.commands.len(), Ordering::Relaxed);
    }

    async fn restore(&mut self, now: Timestamp) {
        if let Some(epoch) = self.slot.socket() {
            self.pile.connected(epoch, now);
        }
        let orders = self.slot.orders.lock().clone();
        for order_no in orders {
            self.restore_session(&order_no).await;
        }
        if !self.sessions.is_empty() {
            self.restore_clock(now).await;
        }
    }

    // Frames ----------------------------------------------------------------------------------------------------

    /// Uses a frame, or gives it back with the reason why it cannot be used.
    async fn use_frame(&mut self, up: Up) -> Result<(), (Up, NotUsed)> {
        let Up { pile_no, received, frame, topic, raw, token } = up;
        match frame {
            UpFrame::Heartbeat(beat) => self.heartbeat(&beat, received, token),
            UpFrame::Meter(meter) => self.keep(Append::Sample(meter_sample(&meter, &self.slot, received)), token),
            UpFrame::Event(event) => {
                if event.connector.0 > self.slot.facts.connectors {
                    let detail =
                        format!("connectorId {}: the pile has {}", event.connector, self.slot.facts.connectors);
                    let back = Up { pile_no, received, frame: UpFrame::Event(event), topic, raw, token };
                    return Err((back, NotUsed { reason: Reason::BadConnector, detail }));
                }
                Box::pin(self.event(&event, received, token)).await;
            }
            UpFrame::CommandAck(ack) => {
                if let Err(not) = Box::pin(self.about_here(&ack)).await {
                    let back = Up { pile_no, received, frame: UpFrame::CommandAck(ack), topic, raw, token };
                    return Err((back, not));
                }
                Box::pin(self.command_ack(ack, received, token)).await;
            }
            UpFrame::Status(status) => {
                let msg = SessionMsg::Status { frame: Box::new(status), received, token };
                let Err(msg) = self.sessions.try_tell_status(msg) else { return Ok(()) };
                return Box::pin(self.late_status(msg, pile_no, raw)).await;
            }
            UpFrame::Finished(record) => {
                let msg = SessionMsg::Record { frame: Box::new(record), raw, received, token };
                let Err(msg) = self.sessions.try_tell_status(msg) else { return Ok(()) };
                return Box::pin(self.late_record(msg, pile_no)).await;
            }
        }
        Ok(())
    }

    fn heartbeat(&mut self, beat: &Heartbeat, received: Timestamp, token: Option<AckToken>) {
        self.pile.heartbeat(beat, received);
        if !self.sessions.is_empty() {
            self.slot.set_clock_offset(self.pile.clock().median());
        }
        if self.slot.shown.lock().power != beat.power || beat.firmware.is_some() {
            let mut shown = self.slot.shown.lock();
            shown.power = beat.power;
            if beat.firmware.is_some() && shown.firmware != beat.firmware {
                shown.firmware.clone_from(&beat.firmware);
            }
        }
        self.keep(Append::Sample(heartbeat_sample(beat, &self.slot, received)), token);
    }

    pub(crate) fn keep(&self, row: Append, token: Option<AckToken>) {
        if self.core.ports.telemetry.push(row, token).is_err() {
            // Not taken, so not acknowledged: the charger sends it again.
            self.core.shed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether the order that an answer names, if it names one, is of this pile.
    async fn about_here(&self, ack: &CommandAck) -> Result<(), NotUsed> {
        match &ack.order_no {
            Some(order_no) if !self.sessions.has(order_no) => self.order_here(order_no).await.map(drop),
            Some(_) | None => Ok(()),
        }
    }

    async fn command_ack(&mut self, ack: CommandAck, received: Timestamp, token: Option<AckToken>) {
        self.keep(Append::Nothing, token);
        let Some(order_no) = ack.command_id.as_str().split_once('-').and_then(|(_, no)| OrderNo::parse(no).ok()) else {
            self.commands.answered(&self.core, &self.slot, &ack, received).await;
            return;
        };
        let is_start = ack.command_id == start_id(&order_no);
        let accepted = ack.result == domain::wire::AckResult::Accepted;
        let msg = SessionMsg::Ack { ack: Box::new(ack), received };
        let Err(ack) = self.sessions.try_tell(&order_no, msg) else { return };
        if is_start && accepted {
            // The charger begins a charge whose order is over: a ghost.
            self.wake_session(&order_no).await;
            if self.sessions.try_tell(&order_no, ack).is_err() {
                tracing::debug!(%order_no, "late answer to a start of an order that is over");
            }
        } else if let SessionMsg::Ack { ack, .. } = ack {
            self.commands.answered(&self.core, &self.slot, &ack, received).await;
        }
    }

    pub(crate) fn quarantine(&self, up: Up, not: NotUsed) {
        self.core.ports.piles.bad_frame(self.slot.no());
        let frame = Quarantined {
            quarantine_id: 0,
            pile_code: self.slot.facts.pile_code.clone(),
            topic: up.topic.topic(&self.slot.facts.pile_code),
            payload: up.raw.into_vec(),
            reason: not.reason.as_str().to_owned(),
            detail: not.detail,
            received: up.received,
            replayed_at: None,
        };
        self.core.quarantine(&self.slot, frame, up.token);
    }

    // Orders ----------------------------------------------------------------------------------------------------

    async fn claim(&mut self, connector: ConnectorId, order_no: OrderNo) -> Result<(), Refusal> {
        if self.pile.may_start(connector) == Err(Bar::Busy) {
            self.free_if_over(connector).await;
        }
        let pile = self.slot.facts.pile_code.clone();
        self.pile.may_start(connector).map_err(|bar| match bar {
            Bar::Offline => Refusal::PileOffline(pile.clone()),
            Bar::Maintenance(reason) => Refusal::PileMaintenance { pile: pile.clone(), reason },
            Bar::Faulted(code) => Refusal::PileFaulted { pile: pile.clone(), code },
            Bar::Busy => Refusal::ConnectorBusy { pile: pile.clone(), connector },
            Bar::NotPlugged => Refusal::NotPlugged { pile: pile.clone(), connector },
            Bar::NoSuchConnector => {
                Refusal::NoSuchConnector { pile: pile.clone(), connectors: self.slot.facts.connectors, connector }
            }
        })?;
        self.pile.connector_event(connector, &ConnectorEvent::Claimed(order_no));
        Ok(())
    }

    /// Frees a gun whose order has ended in the store: its session says so a moment later, but whoever has seen the end
    /// of a charge may start the next one.
    async fn free_if_over(&mut self, connector: ConnectorId) {
        let Some(holder) = self.pile.connector(connector).and_then(Connector::order).cloned() else { return };
        let Ok(Some(order)) = self.core.ports.money.order(&holder).await else { return };
        let charges = order.ghost.as_ref().is_some_and(|ghost| ghost.bill.is_none());
        if (order.status.is_over() || order.status == OrderStatus::Held) && !charges {
            self.pile.connector_event(connector, &ConnectorEvent::Released(holder));
        }
    }

    async fn stop(
        &mut self,
        order_no: OrderNo,
        by: StopBy,
        once: Option<Once>,
        reply: oneshot::Sender<Result<Order, Refusal>>,
    ) {
        let Err(msg) = self.sessions.try_tell(&order_no, SessionMsg::Stop { by, once, reply }) else { return };
        // The order may be open with its session lost to a failure: wake it.
        self.wake_session(&order_no).await;
        if let Err(SessionMsg::Stop { reply, .. }) = self.sessions.try_tell(&order_no, msg) {
            drop(reply.send(Err(Refusal::IllegalState(format!("order {order_no} is over")))));
        }
    }

    // Effects ---------------------------------------------------------------------------------------------------

    async fn carry_out(&mut self) {
        let now = self.core.now();
        while let Some(effect) = self.pile.poll_effect() {
            match effect {
                PileEffect::LinkChanged { from, to } => Box::pin(self.link_changed(from, to, now)).await,
                PileEffect::FaultRaised { fault, .. } => {
                    self.sessions.tell_at(fault.connector, || SessionMsg::Fault { code: fault.code.clone() });
                    self.tell_fleet("FAULT", now, format!("{} at {}", fault.code, fault.connector));
                }
                PileEffect::FaultsCleared(faults) => {
                    for fault in faults {
                        self.tell_fleet("FAULT_CLEARED", now, format!("{} at {}", fault.code, fault.connector));
                    }
                }
                PileEffect::PulledWhileCharging { connector, order_no } => {
                    self.tell_fleet(code::PULLED, now, format!("connector {connector}, order {order_no}"));
                }
            }
        }
    }

    async fn link_changed(&mut self, from: Link, to: Link, now: Timestamp) {
        self.slot.set_link(to);
        for order_no in self.sessions.orders() {
            self.core.ports.audience.link_changed(order_no, self.core.link_of(&self.slot));
        }
        let pile = &self.slot.facts.pile_code;
        let alarm = match (from, to) {
            (_, Link::Offline) => {
                self.tell_fleet("PILE_OFFLINE", now, String::new());
                let about = About {
                    pile,
                    connector: ConnectorId::PILE,
                    code: code::PILE_OFFLINE,
                    severity: Severity::High,
                    order_no: None,
                    text: "no frame for the whole offline time".to_owned(),
                };
                Some(self.core.alarms.raise(&about, now))
            }
            (_, Link::Live) => {
                self.tell_fleet("PILE_ONLINE", now, String::new());
                self.core.alarms.clear(pile, ConnectorId::PILE, code::PILE_OFFLINE, now)
            }
            (_, Link::Unknown | Link::Stale) => None,
        };
        if let Some(alarm) = alarm {
            let commit = Commit { writes: vec![Write::Alarm(Box::new(alarm.clone()))] };
            if self.core.ports.money.commit(commit).await == CommitOutcome::Applied {
                self.core.alarms.note(&alarm);
            }
        }
    }

    pub(crate) fn tell_fleet(&self, code: &'static str, at: Timestamp, detail: String) {
        let pile_code = self.slot.facts.pile_code.clone();
        self.core.ports.audience.event(&FleetEvent { at, code, pile_code, order_no: None, detail });
    }

    /// Arms the next deadline and lets others see the guns as they are, when something about them changed.
    fn show(&self) {
        self.slot.arm([self.pile.poll_timeout(), self.commands.poll_timeout()].into_iter().flatten().min());
        let mut shown = self.slot.shown.lock();
        let Shown { connectors, .. } = &mut *shown;
        for (place, connector) in connectors.iter_mut().zip(self.pile.connectors()) {
            let state = connector.state(self.pile.fault_at(connector.id()).is_some());
            if place.state != state
                || place.plugged != connector.plugged()
                || place.order_no.as_ref() != connector.order()
            {
                *place = ShownConnector {
                    id: connector.id(),
                    state,
                    plugged: connector.plugged(),
                    order_no: connector.order().cloned(),
                };
            }
        }
    }

    /// Counts a late frame of an order; `false` when enough of them were written down.
    pub(crate) fn note_late(&mut self, order_no: &OrderNo) -> bool {
        if !self.late.contains_key(order_no) {
            if self.late_order.len() >= limits::LATE_ORDERS_MAX
                && let Some(oldest) = self.late_order.pop_front()
            {
                self.late.remove(&oldest);
            }
            self.late_order.push_back(order_no.clone());
        }
        let count = self.late.entry(order_no.clone()).or_insert(0);
        *count = count.saturating_add(1);
        *count <= domain::limits::IGNORED_ROWS_PER_ORDER_MAX
    }
}
