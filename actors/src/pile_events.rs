//! A pile's events: stored with the faults and alarms they mean, then acknowledged.

use std::sync::Arc;

use domain::{
    AckToken, ConnectorId, Timestamp,
    wire::{EventKind, PileEvent},
};
use store::{
    money::{Commit, CommitOutcome, EventRow, Severity, Write},
    registry::PileState,
    telemetry::Append,
};

use crate::{alarms::About, metric, pile_actor::Memory, slot::Slot};

impl Memory {
    /// An event is stored before it is acknowledged, with the faults and alarms it means; a repeat changes nothing.
    pub(crate) async fn event(&mut self, event: &PileEvent, received: Timestamp, token: Option<AckToken>) {
        let money = Arc::clone(&self.core.ports.money);
        match money.event_seen(self.slot.no(), &event.event_id).await {
            Ok(true) => {
                self.keep(Append::Nothing, token);
                return;
            }
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, "event waits for the store");
                return;
            }
        }
        let before = self.slot.durable.lock().clone();
        let mut writes = vec![Write::Event(Box::new(event_row(event, &self.slot, received)))];
        let mut alarms = Vec::new();
        match event.kind {
            EventKind::Fault => alarms.push(self.fault_alarm(event, received)),
            EventKind::FaultCleared => alarms.extend(self.cleared_alarms(event, received)),
            EventKind::Plugged
            | EventKind::Unplugged
            | EventKind::GroundLock
            | EventKind::Barrier
            | EventKind::Boot => {}
        }
        self.pile.event(event);
        let after = PileState {
            maintenance: before.maintenance.clone(),
            faults: self.pile.faults().iter().map(|fault| (fault.connector.0, fault.code.clone())).collect(),
        };
        if after != before {
            writes.push(Write::PileState(self.slot.no(), after.clone()));
        }
        writes.extend(alarms.iter().map(|alarm| Write::Alarm(Box::new(alarm.clone()))));
        match money.commit(Commit { writes }).await {
            CommitOutcome::Applied => {
                *self.slot.durable.lock() = after;
                for alarm in &alarms {
                    self.core.alarms.note(alarm);
                }
                store::failpoint::hit("pile.event_stored");
                if let Some(token) = token {
                    self.core.ports.piles.stored(&mut vec![token]);
                }
            }
            // The machine knows the fault already, which is safe; without acknowledgement the charger repeats the event.
            outcome @ (CommitOutcome::Conflict(_) | CommitOutcome::Unavailable(_) | CommitOutcome::Unknown(_)) => {
                tracing::warn!(?outcome, "event was not stored");
            }
        }
    }

    fn fault_alarm(&self, event: &PileEvent, now: Timestamp) -> store::money::Alarm {
        let code = event.fault_code.as_deref().unwrap_or("UNKNOWN");
        metrics::counter!(metric::ALARMS, "severity" => "HIGH").increment(1);
        let about = About {
            pile: &self.slot.facts.pile_code,
            connector: event.connector,
            code,
            severity: Severity::High,
            order_no: self.pile.connector(event.connector).and_then(|connector| connector.order()),
            text: event.detail.clone().unwrap_or_else(|| format!("the pile reports fault {code}")),
        };
        self.core.alarms.raise(&about, now)
    }

    fn cleared_alarms(&self, event: &PileEvent, now: Timestamp) -> Vec<store::money::Alarm> {
        let pile = &self.slot.facts.pile_code;
        self.pile
            .faults()
            .iter()
            .filter(|fault| fault.connector == event.connector || event.connector == ConnectorId::PILE)
            .filter(|fault| event.fault_code.as_ref().is_none_or(|code| *code == fault.code))
            .filter_map(|fault| self.core.alarms.clear(pile, fault.connector, &fault.code, now))
            .collect()
    }
}

fn event_row(event: &PileEvent, slot: &Slot, received: Timestamp) -> EventRow {
    let kind = match event.kind {
        EventKind::Fault => "fault",
        EventKind::FaultCleared => "faultCleared",
        EventKind::Plugged => "plugged",
        EventKind::Unplugged => "unplugged",
        EventKind::GroundLock => "groundLock",
        EventKind::Barrier => "barrier",
        EventKind::Boot => "boot",
    };
    EventRow {
        pile_no: slot.no(),
        event_id: event.event_id.clone(),
        kind: kind.to_owned(),
        connector_id: event.connector,
        fault_code: event.fault_code.clone(),
        detail: event.detail.clone(),
        device: event.timestamp,
        received,
    }
}
