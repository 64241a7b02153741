//! A pile as the hub sees it: link × admin × health, over its guns.
//!
//! ```text
//!           connect / any frame              silent for stale_after, or socket closed
//! Unknown ────────────────────▶ Live ─────────────────────────────────────────▶ Stale
//!                                ▲                                                │ silent for offline_after
//!                                └──────────────── any frame ──── Offline ◀───────┘
//! ```
//! Silence says something about the link alone. It never ends an order (see `session`), never changes a gun.

use std::collections::VecDeque;

use crate::{
    ConnectorId, EventId, Millis, OrderNo, Timestamp,
    clock_offset::ClockOffset,
    connector::{Connector, ConnectorEvent},
    wire::{EventKind, Heartbeat, PileEvent, ReportedStatus},
};

/// How fresh what we know of a pile is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Link {
    /// Not heard of since the hub started.
    Unknown,
    /// Connected and talking.
    Live,
    /// The socket closed, or no frame for `stale_after`.
    Stale,
    /// No frame for `offline_after`.
    Offline,
}

/// The times after which silence means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkTiming {
    /// Live → Stale.
    pub stale_after: Millis,
    /// Stale → Offline.
    pub offline_after: Millis,
}

/// A fault that holds until the pile clears it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where; 0 bars the whole pile.
    pub connector: ConnectorId,
    /// The pile's code.
    pub code: String,
}

/// What a pile machine asks its driver to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PileEffect {
    /// The link changed; running orders show it, the dashboard hears it.
    LinkChanged {
        /// Before.
        from: Link,
        /// After.
        to: Link,
    },
    /// A fault came: alarm, and orders on that gun (all guns for connector 0) go into fault wait.
    FaultRaised {
        /// Which.
        fault: Fault,
        /// The pile's name for the event.
        event_id: EventId,
    },
    /// Faults went: their alarms are cleared.
    FaultsCleared(Vec<Fault>),
    /// A gun was pulled while an order had it.
    PulledWhileCharging {
        /// Which gun.
        connector: ConnectorId,
        /// Whose.
        order_no: OrderNo,
    },
}

/// Why a gun cannot take an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bar {
    /// The pile is not connected.
    Offline,
    /// A person took the pile out of service.
    Maintenance(String),
    /// A fault holds, or the pile says so.
    Faulted(String),
    /// Another order has the gun.
    Busy,
    /// The gun is known not to be in a car.
    NotPlugged,
    /// The pile has no such gun.
    NoSuchConnector,
}

/// One pile.
#[derive(Debug)]
pub struct Pile {
    timing: LinkTiming,
    link: Link,
    socket: Option<u32>,
    last_seen: Option<Timestamp>,
    reported: Option<ReportedStatus>,
    maintenance: Option<String>,
    faults: Vec<Fault>,
    connectors: Vec<Connector>,
    clock: ClockOffset,
    effects: VecDeque<PileEffect>,
}

impl Pile {
    /// A pile with `connectors` guns, of which nothing is known but what survived a restart. `now` starts its silence.
    #[must_use]
    pub fn new(
        connectors: u8,
        timing: LinkTiming,
        maintenance: Option<String>,
        faults: Vec<Fault>,
        now: Timestamp,
    ) -> Self {
        Self {
            timing,
            link: Link::Unknown,
            socket: None,
            last_seen: Some(now),
            reported: None,
            maintenance,
            faults,
            connectors: (1..=connectors).map(|n| Connector::new(ConnectorId(n))).collect(),
            clock: ClockOffset::default(),
            effects: VecDeque::new(),
        }
    }

    /// How fresh what we know is.
    #[must_use]
    pub const fn link(&self) -> Link {
        self.link
    }

    /// Whether commands can be sent now.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        self.socket.is_some()
    }

    /// The guns.
    #[must_use]
    pub fn connectors(&self) -> &[Connector] {
        &self.connectors
    }

    /// Faults that hold.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Reason of the maintenance mode, if it is on.
    #[must_use]
    pub fn maintenance(&self) -> Option<&str> {
        self.maintenance.as_deref()
    }

    /// The pile's clock against the hub's.
    #[must_use]
    pub const fn clock(&self) -> &ClockOffset {
        &self.clock
    }

    /// Takes the pile out of service, or puts it back.
    pub fn set_maintenance(&mut self, reason: Option<String>) {
        self.maintenance = reason;
    }

    /// A connection with this epoch was accepted.
    pub fn connected(&mut self, epoch: u32, now: Timestamp) {
        self.socket = Some(epoch);
        self.seen(now);
    }

    /// The connection with this epoch ended; an older connection than the present one changes nothing.
    pub fn disconnected(&mut self, epoch: u32) {
        if self.socket != Some(epoch) {
            return;
        }
        self.socket = None;
        match self.link {
            Link::Live => self.set_link(Link::Stale),
            Link::Unknown | Link::Stale | Link::Offline => {}
        }
    }

    /// Any authentic frame came: the pile is there.
    pub fn seen(&mut self, now: Timestamp) {
        self.last_seen = Some(self.last_seen.map_or(now, |before| before.max(now)));
        self.set_link(Link::Live);
    }

    /// A heartbeat [CONTRACT 1.1]. What it does not say stays as it was known.
    pub fn heartbeat(&mut self, beat: &Heartbeat, received: Timestamp) {
        self.seen(received);
        self.clock.observe(received, beat.timestamp);
        self.reported = Some(beat.status);
        for report in &beat.connectors {
            if report.status.is_some() {
                self.connector_event(report.connector, &ConnectorEvent::Reported(report.status));
            }
            match report.plugged {
                Some(true) => self.connector_event(report.connector, &ConnectorEvent::Plugged),
                Some(false) => self.connector_event(report.connector, &ConnectorEvent::Unplugged),
                None => {}
            }
        }
    }

    /// A heartbeat from before a restart: only its times count.
    pub fn observe_clock(&mut self, received: Timestamp, device: Timestamp) {
        self.clock.observe(received, device);
    }

    /// An event that was not seen before [CONTRACT 1.5].
    pub fn event(&mut self, event: &PileEvent) {
        match event.kind {
            EventKind::Fault => self.raise(event),
            EventKind::FaultCleared => self.clear(event),
            EventKind::Plugged => self.connector_event(event.connector, &ConnectorEvent::Plugged),
            EventKind::Unplugged => {
                self.connector_event(event.connector, &ConnectorEvent::Unplugged);
                if let Some(order_no) = self.connector(event.connector).and_then(Connector::order).cloned() {
                    self.effects.push_back(PileEffect::PulledWhileCharging { connector: event.connector, order_no });
                }
            }
            EventKind::GroundLock | EventKind::Barrier | EventKind::Boot => {}
        }
    }

    /// Something an order did to a gun.
    pub fn connector_event(&mut self, id: ConnectorId, event: &ConnectorEvent) {
        if let Some(connector) = self.connectors.iter_mut().find(|connector| connector.id() == id) {
            connector.handle_event(event);
        }
    }

    /// The gun with this number.
    #[must_use]
    pub fn connector(&self, id: ConnectorId) -> Option<&Connector> {
        self.connectors.iter().find(|connector| connector.id() == id)
    }

    /// The fault that bars a gun: its own, or the pile's.
    #[must_use]
    pub fn fault_at(&self, id: ConnectorId) -> Option<&Fault> {
        self.faults.iter().find(|fault| fault.connector == id || fault.connector == ConnectorId::PILE)
    }

    /// Whether an order may take this gun now.
    ///
    /// # Errors
    /// The first [`Bar`] that holds, the most lasting one first.
    pub fn may_start(&self, id: ConnectorId) -> Result<(), Bar> {
        let Some(connector) = self.connector(id) else {
            return Err(Bar::NoSuchConnector);
        };
        if let Some(reason) = &self.maintenance {
            return Err(Bar::Maintenance(reason.clone()));
        }
        if !self.is_connected() || self.link != Link::Live {
            return Err(Bar::Offline);
        }
        if let Some(fault) = self.fault_at(id) {
            return Err(Bar::Faulted(fault.code.clone()));
        }
        if connector.order().is_some() {
            return Err(Bar::Busy);
        }
        if self.reported == Some(ReportedStatus::Fault) || connector.reported_fault() {
            return Err(Bar::Faulted("REPORTED_BY_HEARTBEAT".to_owned()));
        }
        if self.reported == Some(ReportedStatus::Unavailable) || connector.reported_unavailable() {
            return Err(Bar::Maintenance("the pile reports that it is unavailable".to_owned()));
        }
        if connector.plugged() == Some(false) {
            return Err(Bar::NotPlugged);
        }
        Ok(())
    }

    /// When the link changes next if nothing is heard until then.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let seen = self.last_seen?;
        match self.link {
            Link::Live => Some(seen.plus(self.timing.stale_after)),
            Link::Unknown | Link::Stale => Some(seen.plus(self.timing.offline_after)),
            Link::Offline => None,
        }
    }

    /// Time passed. Does nothing before [`Self::poll_timeout`].
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let Some(seen) = self.last_seen else { return };
        let silent = now.since(seen);
        match self.link {
            Link::Live if silent >= self.timing.offline_after => self.set_link(Link::Offline),
            Link::Live if silent >= self.timing.stale_after => self.set_link(Link::Stale),
            Link::Unknown | Link::Stale if silent >= self.timing.offline_after => self.set_link(Link::Offline),
            Link::Live | Link::Unknown | Link::Stale | Link::Offline => {}
        }
    }

    /// Whether something waits to be done.
    #[must_use]
    pub fn has_effects(&self) -> bool {
        !self.effects.is_empty()
    }

    /// What to do next, until `None`.
    pub fn poll_effect(&mut self) -> Option<PileEffect> {
        self.effects.pop_front()
    }

    fn set_link(&mut self, to: Link) {
        if self.link != to {
            let from = std::mem::replace(&mut self.link, to);
            self.effects.push_back(PileEffect::LinkChanged { from, to });
        }
    }

    fn raise(&mut self, event: &PileEvent) {
        let code = event.fault_code.clone().unwrap_or_else(|| "UNKNOWN".to_owned());
        let fault = Fault { connector: event.connector, code };
        let room = self.faults.len() < usize::from(crate::limits::FAULTS_PER_PILE_MAX);
        if room && !self.faults.contains(&fault) {
            self.faults.push(fault.clone());
        }
        self.effects.push_back(PileEffect::FaultRaised { fault, event_id: event.event_id.clone() });
    }

    /// Without a fault code all faults of that gun go; connector 0 without a code clears the whole pile.
    fn clear(&mut self, event: &PileEvent) {
        let goes = |fault: &Fault| {
            let here = fault.connector == event.connector
                || (event.connector == ConnectorId::PILE && event.fault_code.is_none());
            here && event.fault_code.as_ref().is_none_or(|code| *code == fault.code)
        };
        let (gone, kept): (Vec<_>, Vec<_>) = self.faults.drain(..).partition(goes);
        self.faults = kept;
        if !gone.is_empty() {
            self.effects.push_back(PileEffect::FaultsCleared(gone));
        }
    }
}
