//! The dialogue with the charger about one order: who was asked what, what must come until when.
//!
//! ```text
//!            evidence: accepted start ack, status frame
//! Starting ─────────────────────────────────────────▶ Charging ──stop sent──▶ Stopping ──▶ (record) Over
//!    │ refused, or nothing by the deadline               │  ▲                     │
//!    ▼                                                   │  └── nobody answers ───┘
//!   Over                                                 ├── fault ──▶ FaultWait ── no record in time ──▶ Over (estimated)
//!    ┆ evidence after that: a new dialogue               │
//!    ▼                                                   └── silence for the grace time ───────────────▶ Over (estimated)
//!  Ghost ── stop, then record or grace ──▶ Over
//! ```
//! **Silence is never settlement**: only [`Session::handle_timeout`] ends an order without the charger's word, and
//! only after a reported fault or when no frame of any kind came for the whole grace time [CONTRACT 2].
//!
//! The machine knows no money and does not own the order's status: its effects say what the order machine should be
//! told, and [`Session::resume`] rebuilds it from what the order machine stored.

use std::collections::VecDeque;

use crate::{
    Millis, StopReason, Timestamp, WattHours, limits,
    units::SocTenths,
    wire::{AckResult, ChargingStatus},
};

/// The times of the dialogue [CONTRACT 5, `order.*`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionTiming {
    /// Evidence must come within this after the order's creation.
    pub start_deadline: Millis,
    /// The record must follow a reported fault within this.
    pub fault_wait: Millis,
    /// No frame of any kind from the pile for this long ends the order provisionally.
    pub offline_grace: Millis,
}

/// What the driver asked for, as far as the charger's readings show it. Money is guarded by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SessionLimits {
    /// Stop at this energy.
    pub energy: Option<WattHours>,
    /// Stop after this many seconds of charge.
    pub duration_s: Option<u32>,
    /// Stop at this state of charge.
    pub soc: Option<SocTenths>,
}

/// Where the dialogue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The start command is out, evidence must come until then.
    Starting {
        /// By the hub's clock.
        deadline: Timestamp,
    },
    /// Current flows.
    Charging,
    /// The charger was told to stop; its record is awaited.
    Stopping,
    /// The charger reported a fault; its record is awaited until then.
    FaultWait {
        /// By the hub's clock.
        deadline: Timestamp,
    },
    /// The order was over when current began to flow: stop it, the platform pays.
    Ghost,
    /// Nothing more is expected.
    Over,
}

/// What happens to the dialogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionEvent<'a> {
    /// A status frame that was not seen before.
    Status(&'a ChargingStatus),
    /// The charger answered the start command.
    StartAnswered(AckResult),
    /// The charger answered the stop command.
    StopAnswered(AckResult),
    /// The charger reported a fault at this gun or of the whole pile.
    FaultReported,
    /// Somebody wants the charge to end.
    StopAsked(StopReason),
    /// The order is over: its record is stored, or it was called off.
    Ended,
    /// The pile's connection came.
    Connected,
    /// The pile's connection went.
    Disconnected,
    /// Any other frame of the pile: it is there.
    PileHeard,
}

/// What the driver of the machine must do, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEffect {
    /// Send the start command (again, under its id).
    SendStart,
    /// Send the stop command (again, under its id).
    SendStop(StopReason),
    /// The charger has shown that current flows.
    Evidence,
    /// The charger will not start.
    StartRefused,
    /// Nothing came by the start deadline.
    StartTimedOut,
    /// A fault was reported: the order waits for its record.
    Faulted,
    /// A stop that waited for the pile was accepted by it.
    StopConfirmed,
    /// The charger did not answer the stop, or refused it: the charge goes on, somebody must look.
    StopUnanswered,
    /// A limit of the order is reached: ask for a stop.
    LimitReached,
    /// Settle at the last reading: the fault was not followed by a record.
    EndAfterFault,
    /// Settle at the last reading: silence for the whole grace time.
    EndAfterSilence,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Ask {
    tries: u32,
    sent_at: Option<Timestamp>,
    answered: bool,
}

impl Ask {
    fn retry_at(&self) -> Option<Timestamp> {
        let sent = self.sent_at?;
        (!self.answered).then(|| sent.plus(Millis::from_secs(limits::COMMAND_RETRY_S)))
    }

    fn sent(&mut self, now: Timestamp) {
        self.tries = self.tries.saturating_add(1);
        self.sent_at = Some(now);
    }
}

/// The dialogue about one order.
#[derive(Debug)]
pub struct Session {
    timing: SessionTiming,
    limits: SessionLimits,
    phase: Phase,
    connected: bool,
    heard: Timestamp,
    start: Ask,
    stop: Option<(StopReason, Ask)>,
    limit_told: bool,
    effects: VecDeque<SessionEffect>,
}

impl Session {
    /// A dialogue in the given phase; `heard` is when the pile was last heard of (the start of its silence).
    #[must_use]
    pub fn new(timing: SessionTiming, limits: SessionLimits, phase: Phase, connected: bool, heard: Timestamp) -> Self {
        Self {
            timing,
            limits,
            phase,
            connected,
            heard,
            start: Ask::default(),
            stop: None,
            limit_told: false,
            effects: VecDeque::new(),
        }
    }

    /// Begins the dialogue: sends what this phase needs, if the pile is connected. `stop` is a stop that was asked
    /// for and not yet answered when the dialogue was stored.
    pub fn resume(&mut self, stop: Option<StopReason>, now: Timestamp) {
        self.stop = stop.map(|reason| (reason, Ask::default()));
        if self.phase == Phase::Ghost && self.stop.is_none() {
            self.stop = Some((StopReason::Operator, Ask::default()));
        }
        self.send_open_asks(now);
    }

    /// Where it is.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether a stop was asked for and the charger has not accepted it.
    #[must_use]
    pub fn stop_is_open(&self) -> bool {
        self.stop.is_some_and(|(_, ask)| !ask.answered)
    }

    /// Feeds an event.
    pub fn handle_event(&mut self, event: &SessionEvent<'_>, now: Timestamp) {
        match event {
            SessionEvent::Connected => {
                self.heard = now;
                self.connected = true;
                self.send_open_asks(now);
                return;
            }
            SessionEvent::Disconnected => {
                self.connected = false;
                return;
            }
            SessionEvent::Ended => {
                self.phase = Phase::Over;
                return;
            }
            SessionEvent::StopAsked(reason) => {
                self.ask_stop(*reason, now);
                return;
            }
            SessionEvent::Status(_)
            | SessionEvent::StartAnswered(_)
            | SessionEvent::StopAnswered(_)
            | SessionEvent::FaultReported
            | SessionEvent::PileHeard => self.heard = self.heard.max(now),
        }
        match (self.phase, event) {
            (Phase::Starting { .. }, SessionEvent::Status(status)) => {
                self.evidence();
                self.guard(status);
            }
            (Phase::Charging, SessionEvent::Status(status)) => self.guard(status),
            (Phase::Starting { .. }, SessionEvent::StartAnswered(AckResult::Accepted)) => {
                self.start.answered = true;
                self.evidence();
            }
            (Phase::Starting { .. }, SessionEvent::StartAnswered(AckResult::Rejected)) => {
                self.phase = Phase::Over;
                self.effects.push_back(SessionEffect::StartRefused);
            }
            (
                Phase::Charging | Phase::Stopping | Phase::FaultWait { .. } | Phase::Ghost,
                SessionEvent::StopAnswered(result),
            ) => {
                self.stop_answered(*result);
            }
            (Phase::Charging | Phase::Stopping, SessionEvent::FaultReported) => {
                self.phase = Phase::FaultWait { deadline: now.plus(self.timing.fault_wait) };
                self.effects.push_back(SessionEffect::Faulted);
            }
            (
                Phase::Charging | Phase::Stopping | Phase::FaultWait { .. } | Phase::Ghost | Phase::Over,
                SessionEvent::StartAnswered(_),
            )
            | (Phase::Stopping | Phase::FaultWait { .. } | Phase::Ghost | Phase::Over, SessionEvent::Status(_))
            | (
                Phase::Starting { .. } | Phase::FaultWait { .. } | Phase::Ghost | Phase::Over,
                SessionEvent::FaultReported,
            )
            | (Phase::Starting { .. } | Phase::Over, SessionEvent::StopAnswered(_))
            | (
                _,
                SessionEvent::PileHeard
                | SessionEvent::Connected
                | SessionEvent::Disconnected
                | SessionEvent::Ended
                | SessionEvent::StopAsked(_),
            ) => {}
        }
    }

    /// When [`Self::handle_timeout`] has something to do, if nothing happens until then.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let stop_retry = self.stop.and_then(|(_, ask)| ask.retry_at());
        let silence = self.heard.plus(self.timing.offline_grace);
        match self.phase {
            Phase::Starting { deadline } => Some(self.start.retry_at().map_or(deadline, |retry| retry.min(deadline))),
            Phase::Charging | Phase::Stopping | Phase::Ghost => {
                Some(stop_retry.map_or(silence, |retry| retry.min(silence)))
            }
            Phase::FaultWait { deadline } => Some(deadline),
            Phase::Over => None,
        }
    }

    /// Time passed. Does nothing before [`Self::poll_timeout`].
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let silent = now.since(self.heard) >= self.timing.offline_grace;
        match self.phase {
            Phase::Starting { deadline } if now >= deadline => {
                self.phase = Phase::Over;
                self.effects.push_back(SessionEffect::StartTimedOut);
            }
            Phase::Starting { .. } => self.retry_start(now),
            Phase::FaultWait { deadline } if now >= deadline => {
                self.phase = Phase::Over;
                self.effects.push_back(SessionEffect::EndAfterFault);
            }
            Phase::Charging | Phase::Stopping | Phase::Ghost if silent => {
                self.phase = Phase::Over;
                self.effects.push_back(SessionEffect::EndAfterSilence);
            }
            Phase::Charging | Phase::Stopping | Phase::Ghost => self.retry_stop(now),
            Phase::FaultWait { .. } | Phase::Over => {}
        }
    }

    /// Whether something waits to be done.
    #[must_use]
    pub fn has_effects(&self) -> bool {
        !self.effects.is_empty()
    }

    /// What to do next, until `None`.
    pub fn poll_effect(&mut self) -> Option<SessionEffect> {
        self.effects.pop_front()
    }

    /// The caller's own guard (money) has struck: the same as a limit of the readings.
    pub fn limit_reached(&mut self) {
        if !self.limit_told && self.stop.is_none() && self.phase == Phase::Charging {
            self.limit_told = true;
            self.effects.push_back(SessionEffect::LimitReached);
        }
    }

    fn evidence(&mut self) {
        self.phase = Phase::Charging;
        self.effects.push_back(SessionEffect::Evidence);
    }

    fn guard(&mut self, status: &ChargingStatus) {
        let energy = self.limits.energy.is_some_and(|limit| status.energy >= limit);
        let duration =
            matches!((self.limits.duration_s, status.total_time_s), (Some(limit), Some(total)) if total >= limit);
        let soc = matches!((self.limits.soc, status.soc), (Some(limit), Some(soc)) if soc >= limit);
        if energy || duration || soc {
            self.limit_reached();
        }
    }

    /// A second stop makes no second command [CONTRACT 2].
    fn ask_stop(&mut self, reason: StopReason, now: Timestamp) {
        match self.phase {
            Phase::Charging | Phase::FaultWait { .. } if self.stop.is_none() => {}
            Phase::Charging
            | Phase::Starting { .. }
            | Phase::Stopping
            | Phase::FaultWait { .. }
            | Phase::Ghost
            | Phase::Over => {
                return;
            }
        }
        self.stop = Some((reason, Ask::default()));
        if self.connected && self.phase == Phase::Charging {
            self.phase = Phase::Stopping;
        }
        self.send_open_asks(now);
    }

    fn stop_answered(&mut self, result: AckResult) {
        let Some((_, ask)) = &mut self.stop else { return };
        if ask.answered {
            return;
        }
        ask.answered = true;
        match (result, self.phase) {
            (AckResult::Accepted, Phase::Charging) => {
                self.phase = Phase::Stopping;
                self.effects.push_back(SessionEffect::StopConfirmed);
            }
            (AckResult::Rejected, Phase::Stopping) => self.stop_failed(),
            (AckResult::Accepted | AckResult::Rejected, _) => {}
        }
    }

    fn stop_failed(&mut self) {
        self.phase = Phase::Charging;
        self.effects.push_back(SessionEffect::StopUnanswered);
    }

    fn send_open_asks(&mut self, now: Timestamp) {
        if !self.connected {
            return;
        }
        match self.phase {
            Phase::Starting { .. } if !self.start.answered => {
                self.start.sent(now);
                self.effects.push_back(SessionEffect::SendStart);
            }
            Phase::Charging | Phase::Stopping | Phase::FaultWait { .. } | Phase::Ghost => {
                if let Some((reason, ask)) = &mut self.stop
                    && !ask.answered
                {
                    ask.sent(now);
                    self.effects.push_back(SessionEffect::SendStop(*reason));
                }
            }
            Phase::Starting { .. } | Phase::Over => {}
        }
    }

    fn retry_start(&mut self, now: Timestamp) {
        if self.connected
            && self.start.tries < limits::COMMAND_TRIES_MAX
            && self.start.retry_at().is_some_and(|at| now >= at)
        {
            self.send_open_asks(now);
        } else if self.start.retry_at().is_some_and(|at| now >= at) {
            self.start.sent_at = None;
        }
    }

    fn retry_stop(&mut self, now: Timestamp) {
        let Some((_, ask)) = &mut self.stop else { return };
        if ask.retry_at().is_none_or(|at| now < at) {
            return;
        }
        if self.connected && ask.tries < limits::COMMAND_TRIES_MAX {
            self.send_open_asks(now);
            return;
        }
        // Unanswered: rest until the pile connects anew, which sends it again.
        ask.sent_at = None;
        ask.tries = 0;
        if self.phase == Phase::Stopping && self.connected {
            self.stop_failed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OrderNo;

    const HOUR: Millis = Millis(3_600_000);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_763_690_000_000 + seconds * 1000).unwrap()
    }

    fn timing() -> SessionTiming {
        SessionTiming {
            start_deadline: Millis::from_secs(60),
            fault_wait: Millis::from_secs(30),
            offline_grace: Millis(24 * HOUR.0),
        }
    }

    fn session(phase: Phase) -> Session {
        Session::new(timing(), SessionLimits::default(), phase, true, at(0))
    }

    fn starting() -> Session {
        let mut session = session(Phase::Starting { deadline: at(60) });
        session.resume(None, at(0));
        session
    }

    fn effects(session: &mut Session) -> Vec<SessionEffect> {
        std::iter::from_fn(|| session.poll_effect()).collect()
    }

    fn status(energy: i64) -> ChargingStatus {
        ChargingStatus {
            order_no: OrderNo::parse("1").unwrap(),
            connector: None,
            seq: 1,
            voltage: None,
            current: None,
            power: None,
            energy: WattHours(energy),
            total_time_s: None,
            soc: None,
            timestamp: at(0),
        }
    }

    #[test]
    fn an_accepted_start_ack_is_evidence() {
        let mut s = starting();
        s.handle_event(&SessionEvent::StartAnswered(AckResult::Accepted), at(1));
        assert_eq!(effects(&mut s), [SessionEffect::SendStart, SessionEffect::Evidence]);
        assert_eq!(s.phase(), Phase::Charging);
    }

    #[test]
    fn the_first_status_frame_is_evidence_even_without_an_ack() {
        let mut s = starting();
        s.handle_event(&SessionEvent::Status(&status(0)), at(1));
        assert_eq!(effects(&mut s), [SessionEffect::SendStart, SessionEffect::Evidence]);
    }

    #[test]
    fn an_unanswered_start_is_sent_again_and_fails_at_its_deadline() {
        let mut s = starting();
        while let Some(t) = s.poll_timeout() {
            s.handle_timeout(t);
        }
        let seen = effects(&mut s);
        assert_eq!(seen.iter().filter(|e| **e == SessionEffect::SendStart).count(), 4);
        assert_eq!(seen.last(), Some(&SessionEffect::StartTimedOut));
        assert_eq!(s.phase(), Phase::Over);
    }

    #[test]
    fn silence_is_never_settlement_before_the_grace_time() {
        let mut s = session(Phase::Charging);
        s.handle_event(&SessionEvent::Disconnected, at(10));
        s.handle_timeout(at(23 * 3600));
        assert_eq!((s.phase(), effects(&mut s)), (Phase::Charging, vec![]));
        s.handle_timeout(at(24 * 3600));
        assert_eq!((s.phase(), effects(&mut s)), (Phase::Over, vec![SessionEffect::EndAfterSilence]));
    }

    #[test]
    fn any_frame_of_the_pile_ends_its_silence() {
        let mut s = session(Phase::Charging);
        s.handle_event(&SessionEvent::PileHeard, at(3600));
        s.handle_timeout(at(24 * 3600));
        assert_eq!(s.phase(), Phase::Charging);
        assert_eq!(s.poll_timeout(), Some(at(25 * 3600)));
    }

    #[test]
    fn a_fault_waits_for_the_record_and_then_ends_at_the_last_reading() {
        let mut s = session(Phase::Charging);
        s.handle_event(&SessionEvent::FaultReported, at(5));
        assert_eq!(s.poll_timeout(), Some(at(35)));
        s.handle_timeout(at(35));
        assert_eq!(effects(&mut s), [SessionEffect::Faulted, SessionEffect::EndAfterFault]);
    }

    #[test]
    fn a_stop_for_an_offline_pile_waits_and_is_confirmed_by_its_ack() {
        let mut s = session(Phase::Charging);
        s.handle_event(&SessionEvent::Disconnected, at(1));
        s.handle_event(&SessionEvent::StopAsked(StopReason::User), at(2));
        assert_eq!((s.phase(), effects(&mut s)), (Phase::Charging, vec![]));
        s.handle_event(&SessionEvent::Connected, at(3));
        assert_eq!(effects(&mut s), [SessionEffect::SendStop(StopReason::User)]);
        s.handle_event(&SessionEvent::StopAnswered(AckResult::Accepted), at(4));
        assert_eq!((s.phase(), effects(&mut s)), (Phase::Stopping, vec![SessionEffect::StopConfirmed]));
    }

    #[test]
    fn a_second_stop_makes_no_second_command() {
        let mut s = session(Phase::Charging);
        s.handle_event(&SessionEvent::StopAsked(StopReason::User), at(1));
        s.handle_event(&SessionEvent::StopAsked(StopReason::Operator), at(2));
        assert_eq!(effects(&mut s), [SessionEffect::SendStop(StopReason::User)]);
    }

    #[test]
    fn a_stop_that_nobody_answers_is_repeated_then_given_up_with_the_charge_going_on() {
        let mut s = session(Phase::Charging);
        s.handle_event(&SessionEvent::StopAsked(StopReason::User), at(0));
        for seconds in [10, 20, 30, 40] {
            s.handle_timeout(at(seconds));
        }
        let seen = effects(&mut s);
        assert_eq!(seen.len(), 5, "{seen:?}");
        assert_eq!(seen.last(), Some(&SessionEffect::StopUnanswered));
        assert_eq!(s.phase(), Phase::Charging);
        s.handle_event(&SessionEvent::Connected, at(50));
        assert_eq!(effects(&mut s), [SessionEffect::SendStop(StopReason::User)]);
    }

    #[test]
    fn a_limit_is_told_once() {
        let limits = SessionLimits { energy: Some(WattHours(1000)), ..SessionLimits::default() };
        let mut s = Session::new(timing(), limits, Phase::Charging, true, at(0));
        for energy in [999, 1000, 1001] {
            s.handle_event(&SessionEvent::Status(&status(energy)), at(1));
        }
        assert_eq!(effects(&mut s), [SessionEffect::LimitReached]);
    }

    #[test]
    fn a_ghost_is_told_to_stop() {
        let mut s = session(Phase::Ghost);
        s.resume(None, at(0));
        assert_eq!(effects(&mut s), [SessionEffect::SendStop(StopReason::Operator)]);
    }

    #[test]
    fn a_refused_start_is_over() {
        let mut s = starting();
        s.handle_event(&SessionEvent::StartAnswered(AckResult::Rejected), at(1));
        assert_eq!(effects(&mut s), [SessionEffect::SendStart, SessionEffect::StartRefused]);
        assert_eq!((s.phase(), s.poll_timeout()), (Phase::Over, None));
    }
}
