//! Whether the hub can do its work, and if not, why [CONTRACT 3: `/readyz`].

use std::sync::atomic::{AtomicBool, Ordering};

use store::{money::Money, telemetry::Telemetry};

/// What becomes true while the hub starts.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    /// The gate listens.
    broker: AtomicBool,
    /// The hub is being stopped.
    stopping: AtomicBool,
}

impl Readiness {
    pub(crate) fn broker_listens(&self) {
        self.broker.store(true, Ordering::Release);
    }

    pub(crate) fn stops(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Why the hub is not ready; empty when it is. Open orders were recovered before anybody can ask this.
    pub(crate) fn reasons(&self, money: &dyn Money, telemetry: &dyn Telemetry) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.stopping.load(Ordering::Acquire) {
            reasons.push("the hub is stopping".to_owned());
        }
        if !self.broker.load(Ordering::Acquire) {
            reasons.push("the gate for chargers does not listen yet".to_owned());
        }
        if let Err(error) = money.health() {
            reasons.push(format!("orders and money cannot be written: {error}"));
        }
        if let Err(error) = telemetry.health() {
            reasons.push(format!("telemetry cannot be written: {error}"));
        }
        reasons
    }
}
