//! Open alarms in memory, so that a repeated fault counts up instead of opening another alarm.

use std::collections::HashMap;

use domain::{ConnectorId, OrderNo, PileCode, Timestamp};
use parking_lot::Mutex;
use store::{
    money::{Alarm, AlarmState, Commit, Severity, Write},
    registry::AuditRow,
};

use crate::{api::Refusal, handle::Handle};

/// Codes of the hub's own alarms.
pub(crate) mod code {
    pub(crate) const GHOST_CHARGE: &str = "GHOST_CHARGE";
    pub(crate) const PILE_OFFLINE: &str = "PILE_OFFLINE";
    pub(crate) const SECRET_NOT_TAKEN: &str = "SECRET_NOT_TAKEN";
    pub(crate) const STOP_UNANSWERED: &str = "STOP_UNANSWERED";
    pub(crate) const PROVISIONAL: &str = "SETTLED_WITHOUT_RECORD";
    pub(crate) const ENDED_BY_FAULT: &str = "ENDED_BY_FAULT";
    pub(crate) const CONFLICTING_RECORD: &str = "CONFLICTING_RECORD";
    pub(crate) const PULLED: &str = "PULLED_WHILE_CHARGING";
}

type Key = (PileCode, u8, String);

/// What an alarm is about.
#[derive(Debug, Clone)]
pub(crate) struct About<'a> {
    pub(crate) pile: &'a PileCode,
    pub(crate) connector: ConnectorId,
    pub(crate) code: &'a str,
    pub(crate) severity: Severity,
    pub(crate) order_no: Option<&'a OrderNo>,
    pub(crate) text: String,
}

/// The open alarms. An alarm is worked out here, committed by the caller, and only then noted.
#[derive(Debug)]
pub(crate) struct AlarmBook(Mutex<HashMap<Key, Alarm>>);

impl AlarmBook {
    pub(crate) fn new(open: Vec<Alarm>) -> Self {
        Self(Mutex::new(open.into_iter().map(|alarm| (key(&alarm), alarm)).collect()))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// The alarm as it must be stored when this happens (once more).
    pub(crate) fn raise(&self, about: &About<'_>, now: Timestamp) -> Alarm {
        let place = (about.pile.clone(), about.connector.0, about.code.to_owned());
        if let Some(open) = self.0.lock().get(&place) {
            let mut again = open.clone();
            again.count = again.count.saturating_add(1);
            again.updated_at = now;
            return again;
        }
        Alarm {
            alarm_id: format!("{}-{}-{}-{}", about.pile, about.connector, about.code, now.as_millis()),
            pile_code: about.pile.clone(),
            connector_id: about.connector,
            code: about.code.to_owned(),
            severity: about.severity,
            count: 1,
            state: AlarmState::Raised,
            raised_at: now,
            updated_at: now,
            text: about.text.clone(),
            order_no: about.order_no.cloned(),
        }
    }

    /// The alarm as it must be stored when its cause went away; `None` when none is open.
    pub(crate) fn clear(&self, pile: &PileCode, connector: ConnectorId, code: &str, now: Timestamp) -> Option<Alarm> {
        let mut alarm = self.0.lock().get(&(pile.clone(), connector.0, code.to_owned())).cloned()?;
        alarm.state = AlarmState::Cleared;
        alarm.updated_at = now;
        Some(alarm)
    }

    /// The alarm was stored.
    pub(crate) fn note(&self, alarm: &Alarm) {
        let mut open = self.0.lock();
        match alarm.state {
            AlarmState::Raised | AlarmState::Acked => drop(open.insert(key(alarm), alarm.clone())),
            AlarmState::Cleared | AlarmState::Closed => drop(open.remove(&key(alarm))),
        }
    }
}

impl Handle {
    /// Raises an alarm about a pile that those around the actors noticed, with its row in the audit trail.
    ///
    /// # Errors
    /// [`Refusal`] when the store is away; nothing is raised then.
    pub async fn raise_alarm(
        &self,
        pile: &PileCode,
        code: &'static str,
        severity: Severity,
        text: String,
        audit: AuditRow,
    ) -> Result<(), Refusal> {
        self.raise_alarm_with(pile, code, severity, text, None, vec![Write::Audit(Box::new(audit))]).await
    }

    /// The same about an order, with whatever belongs to it in one commit.
    ///
    /// # Errors
    /// As [`Self::raise_alarm`].
    pub async fn raise_alarm_with(
        &self,
        pile: &PileCode,
        code: &'static str,
        severity: Severity,
        text: String,
        order_no: Option<&OrderNo>,
        with: Vec<Write>,
    ) -> Result<(), Refusal> {
        let about = About { pile, connector: ConnectorId::PILE, code, severity, order_no, text };
        let alarm = self.core.alarms.raise(&about, self.core.now());
        let mut writes = vec![Write::Alarm(Box::new(alarm.clone()))];
        writes.extend(with);
        self.keep_alarm(&alarm, writes).await
    }

    /// Commits what goes with an alarm as it is to be, itself among it, and only then notes it.
    pub(crate) async fn keep_alarm(&self, alarm: &Alarm, writes: Vec<Write>) -> Result<(), Refusal> {
        self.commit(Commit { writes }).await?;
        self.core.alarms.note(alarm);
        Ok(())
    }
}

fn key(alarm: &Alarm) -> Key {
    (alarm.pile_code.clone(), alarm.connector_id.0, alarm.code.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_fault_counts_up_and_a_cleared_one_opens_anew() {
        let book = AlarmBook::new(vec![]);
        let pile = PileCode::parse("P1").unwrap();
        let about = About {
            pile: &pile,
            connector: ConnectorId(1),
            code: "E106",
            severity: Severity::High,
            order_no: None,
            text: String::new(),
        };
        let at = |ms| Timestamp::from_millis(ms).unwrap();
        let first = book.raise(&about, at(1));
        book.note(&first);
        let second = book.raise(&about, at(2));
        assert_eq!((second.alarm_id.as_str(), second.count), (first.alarm_id.as_str(), 2));
        let cleared = book.clear(&pile, ConnectorId(1), "E106", at(3)).unwrap();
        book.note(&cleared);
        assert_eq!(book.len(), 0);
        assert_ne!(book.raise(&about, at(4)).alarm_id, first.alarm_id);
    }
}
