//! One gun of a pile: what it is used for × whether it is in a car × whether it is faulted.
//!
//! ```text
//!            plug                 start sent            evidence            stop sent
//! Available ─────▶ Preparing ─────────────▶ Starting ───────────▶ Charging ──────────▶ Stopping
//!     ▲                ▲                        │  failed              │ record            │ record
//!     │ unplug         └────────────────────────┘                      ▼                   ▼
//!     └──────────────────────────────────────────────────────────── Finishing (still plugged)
//! ```
//! A fault or "unavailable" covers what is shown and bars new orders; it does not end the use by itself. Losing the
//! link changes nothing here: the value is kept and shown as stale.

use crate::{ConnectorId, OrderNo, wire::ReportedStatus};

/// What a gun is used for by the hub's orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Use {
    /// By no order.
    Free,
    /// An order waits for the charger's evidence.
    Starting(OrderNo),
    /// Current flows.
    Charging(OrderNo),
    /// A stop was asked for or a fault reported; the record is awaited.
    Stopping(OrderNo),
    /// The order is over, the gun still in the car.
    Finishing,
}

/// What happens to a gun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectorEvent {
    /// An order took it.
    Claimed(OrderNo),
    /// The order's current flows.
    Evidence(OrderNo),
    /// The order is being ended.
    StopSent(OrderNo),
    /// The order is over, or failed to start.
    Released(OrderNo),
    /// The gun was put into a car.
    Plugged,
    /// The gun was pulled.
    Unplugged,
    /// The pile says so in a heartbeat.
    Reported(Option<ReportedStatus>),
}

/// What people see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectorState {
    /// Free, nobody plugged in.
    Available,
    /// Plugged in, no order.
    Preparing,
    /// Waiting for evidence.
    Starting,
    /// Current flows.
    Charging,
    /// Ending.
    Stopping,
    /// Over, still plugged in.
    Finishing,
    /// A fault holds.
    Faulted,
    /// The pile says it cannot be used.
    Unavailable,
}

impl ConnectorState {
    /// As the API says it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Available => "AVAILABLE",
            Self::Preparing => "PREPARING",
            Self::Starting => "STARTING",
            Self::Charging => "CHARGING",
            Self::Stopping => "STOPPING",
            Self::Finishing => "FINISHING",
            Self::Faulted => "FAULTED",
            Self::Unavailable => "UNAVAILABLE",
        }
    }
}

/// One gun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connector {
    id: ConnectorId,
    used: Use,
    plugged: Option<bool>,
    reported: Option<ReportedStatus>,
}

impl Connector {
    /// A gun of which nothing is known.
    #[must_use]
    pub const fn new(id: ConnectorId) -> Self {
        Self { id, used: Use::Free, plugged: None, reported: None }
    }

    /// Which gun.
    #[must_use]
    pub const fn id(&self) -> ConnectorId {
        self.id
    }

    /// Whether it is in a car; `None` when the pile never said.
    #[must_use]
    pub const fn plugged(&self) -> Option<bool> {
        self.plugged
    }

    /// The order that has it.
    #[must_use]
    pub const fn order(&self) -> Option<&OrderNo> {
        match &self.used {
            Use::Starting(order) | Use::Charging(order) | Use::Stopping(order) => Some(order),
            Use::Free | Use::Finishing => None,
        }
    }

    /// Whether the pile itself says the gun cannot be used.
    #[must_use]
    pub fn reported_unavailable(&self) -> bool {
        self.reported == Some(ReportedStatus::Unavailable)
    }

    /// Whether the pile itself says the gun is faulted.
    #[must_use]
    pub fn reported_fault(&self) -> bool {
        self.reported == Some(ReportedStatus::Fault)
    }

    /// What people see, given whether a fault holds here.
    #[must_use]
    pub fn state(&self, faulted: bool) -> ConnectorState {
        if faulted || self.reported_fault() {
            return ConnectorState::Faulted;
        }
        match (&self.used, self.plugged) {
            (Use::Starting(_), _) => ConnectorState::Starting,
            (Use::Charging(_), _) => ConnectorState::Charging,
            (Use::Stopping(_), _) => ConnectorState::Stopping,
            (Use::Free | Use::Finishing, _) if self.reported_unavailable() => ConnectorState::Unavailable,
            (Use::Finishing, _) => ConnectorState::Finishing,
            (Use::Free, Some(true)) => ConnectorState::Preparing,
            (Use::Free, Some(false) | None) => ConnectorState::Available,
        }
    }

    /// Feeds an event; one that does not fit the present use changes nothing.
    pub fn handle_event(&mut self, event: &ConnectorEvent) {
        match event {
            ConnectorEvent::Plugged => self.plugged = Some(true),
            ConnectorEvent::Unplugged => self.unplug(),
            ConnectorEvent::Reported(status) => self.reported = *status,
            ConnectorEvent::Claimed(order) => match &self.used {
                Use::Free | Use::Finishing => self.used = Use::Starting(order.clone()),
                Use::Starting(_) | Use::Charging(_) | Use::Stopping(_) => {}
            },
            ConnectorEvent::Evidence(order) => match &self.used {
                Use::Free | Use::Finishing => self.used = Use::Charging(order.clone()),
                Use::Starting(holder) if holder == order => self.used = Use::Charging(order.clone()),
                Use::Starting(_) | Use::Charging(_) | Use::Stopping(_) => {}
            },
            ConnectorEvent::StopSent(order) => match &self.used {
                Use::Starting(holder) | Use::Charging(holder) if holder == order => {
                    self.used = Use::Stopping(order.clone());
                }
                Use::Free | Use::Finishing | Use::Starting(_) | Use::Charging(_) | Use::Stopping(_) => {}
            },
            ConnectorEvent::Released(order) => match &self.used {
                Use::Starting(holder) | Use::Charging(holder) | Use::Stopping(holder) if holder == order => {
                    self.used = if self.plugged == Some(true) { Use::Finishing } else { Use::Free };
                }
                Use::Free | Use::Finishing | Use::Starting(_) | Use::Charging(_) | Use::Stopping(_) => {}
            },
        }
    }

    fn unplug(&mut self) {
        self.plugged = Some(false);
        match self.used {
            Use::Finishing => self.used = Use::Free,
            Use::Free | Use::Starting(_) | Use::Charging(_) | Use::Stopping(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> OrderNo {
        OrderNo::parse("1").unwrap()
    }

    #[test]
    fn a_charge_walks_a_gun_through_its_states() {
        let mut gun = Connector::new(ConnectorId(1));
        let mut seen = vec![gun.state(false).as_str()];
        for event in [
            ConnectorEvent::Plugged,
            ConnectorEvent::Claimed(order()),
            ConnectorEvent::Evidence(order()),
            ConnectorEvent::StopSent(order()),
            ConnectorEvent::Released(order()),
            ConnectorEvent::Unplugged,
        ] {
            gun.handle_event(&event);
            seen.push(gun.state(false).as_str());
        }
        assert_eq!(seen, ["AVAILABLE", "PREPARING", "STARTING", "CHARGING", "STOPPING", "FINISHING", "AVAILABLE"]);
    }

    #[test]
    fn an_order_cannot_take_or_free_a_gun_that_another_order_has() {
        let mut gun = Connector::new(ConnectorId(1));
        let other = OrderNo::parse("2").unwrap();
        gun.handle_event(&ConnectorEvent::Claimed(order()));
        for event in [
            ConnectorEvent::Claimed(other.clone()),
            ConnectorEvent::Evidence(other.clone()),
            ConnectorEvent::StopSent(other.clone()),
            ConnectorEvent::Released(other),
        ] {
            gun.handle_event(&event);
            assert_eq!(gun.order(), Some(&order()), "{event:?}");
        }
    }

    #[test]
    fn a_fault_covers_the_use_without_ending_it() {
        let mut gun = Connector::new(ConnectorId(1));
        gun.handle_event(&ConnectorEvent::Evidence(order()));
        assert_eq!(gun.state(true), ConnectorState::Faulted);
        assert_eq!(gun.state(false), ConnectorState::Charging);
    }
}
