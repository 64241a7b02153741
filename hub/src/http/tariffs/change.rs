//! What is written when a version goes into force: the version, the notice to those affected, and who did it.

use domain::{StationId, Timestamp};
use serde::Serialize;
use settlement::tariff::{Tariff, tariff_at};
use store::{cases::OutboxEvent, money::Write};

use super::super::{
    audit::audit_row,
    auth::{By, Roles},
};

/// A version that goes into force.
pub(super) struct Change {
    /// In UPPER_SNAKE, for the audit trail.
    pub(super) action: &'static str,
    /// What would have been in force without it.
    pub(super) before: Option<Known>,
    /// The version, published.
    pub(super) tariff: Tariff,
    /// Why.
    pub(super) reason: Option<String>,
}

/// Names a version; its prices can be looked up for ever.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Known {
    tariff_id: String,
    version: u32,
    effective_at: Option<Timestamp>,
}

impl Known {
    fn of(tariff: &Tariff) -> Self {
        Self { tariff_id: tariff.tariff_id.clone(), version: tariff.version, effective_at: tariff.effective_at }
    }

    /// The version of the same station that holds when `next` takes its place.
    pub(super) fn in_force(versions: &[Tariff], next: &Tariff) -> Option<Self> {
        tariff_at(versions, &next.station_id, next.effective_at?).map(Self::of)
    }
}

/// The notice.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Published<'a> {
    station_id: &'a StationId,
    tariff_id: &'a str,
    version: u32,
    effective_at: Option<Timestamp>,
}

/// What the audit trail keeps of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Detail<'a> {
    station_id: &'a StationId,
    before: Option<&'a Known>,
    after: Known,
    based_on: Option<&'a str>,
    reason: Option<&'a str>,
}

impl Change {
    /// The facts, for one commit.
    pub(super) fn writes<const ROLES: Roles>(&self, by: &By<ROLES>, now: Timestamp) -> Vec<Write> {
        let Tariff { tariff_id, station_id, version, effective_at, .. } = &self.tariff;
        let notice = Published { station_id, tariff_id, version: *version, effective_at: *effective_at };
        let event = OutboxEvent {
            event_id: format!("tariff.published:{tariff_id}"),
            name: "tariff.published".to_owned(),
            at: now,
            subject: station_id.to_string(),
            data: serde_json::to_string(&notice).unwrap_or_default(),
        };
        let detail = Detail {
            station_id,
            before: self.before.as_ref(),
            after: Known::of(&self.tariff),
            based_on: self.tariff.based_on.as_deref(),
            reason: self.reason.as_deref(),
        };
        let audit = audit_row(by, now, self.action, tariff_id, &detail);
        vec![
            Write::Tariff(Box::new(self.tariff.clone())),
            Write::Outbox(Box::new(event)),
            Write::Audit(Box::new(audit)),
        ]
    }
}
