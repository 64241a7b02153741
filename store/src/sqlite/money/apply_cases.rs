//! Writes of cases, of events for other systems, and of the audit trail.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    apply::{Applied, OK},
    rows,
};
use crate::{
    cases::{Case, OutboxEvent},
    chain,
    money::Conflict,
    registry::AuditRow,
    sqlite::names::Name,
};

/// A case's next form.
pub(super) fn case(conn: &Connection, case: &Case) -> Applied {
    let stored = conn
        .prepare_cached(&format!("SELECT {} FROM cases WHERE kind = ?1 AND id = ?2", rows::CASE))?
        .query_row(params![Name(case.kind), case.id], rows::case)
        .optional()?;
    if stored.as_ref() == Some(case) {
        return OK;
    }
    let rev = stored.as_ref().map_or(0, |stored| stored.rev);
    if case.rev != rev.saturating_add(1) {
        return Ok(Err(Conflict::CaseRev(case.kind, case.id.clone())));
    }
    if stored.is_some_and(|stored| stored.at != case.at) {
        return Ok(Err(Conflict::Malformed(format!("case {:?} {} has another begin", case.kind, case.id))));
    }
    conn.prepare_cached(
        "INSERT OR REPLACE INTO cases (kind, id, rev, state, open, about, at, due, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        Name(case.kind),
        case.id,
        case.rev,
        case.state,
        case.open,
        case.about,
        case.at.as_millis(),
        case.due.map(domain::Timestamp::as_millis),
        case.body
    ])?;
    OK
}

/// An event for other systems, once.
pub(super) fn outbox(conn: &Connection, event: &OutboxEvent) -> Applied {
    conn.prepare_cached(
        "INSERT INTO outbox (event_id, name, at, subject, data) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (event_id) DO NOTHING",
    )?
    .execute(params![event.event_id, event.name, event.at.as_millis(), event.subject, event.data])?;
    OK
}

/// An audit row, linked to the one before. One that is there already, equal in everything, is the same row.
pub(super) fn audit(conn: &Connection, row: &AuditRow) -> Applied {
    let known: bool = conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM audit WHERE at = ?1 AND actor = ?2 AND role = ?3 AND action = ?4
               AND target = ?5 AND detail = ?6 AND address IS ?7)",
        )?
        .query_row(
            params![row.at.as_millis(), row.actor.as_str(), row.role, row.action, row.target, row.detail, row.address],
            |found| found.get(0),
        )?;
    if known {
        return OK;
    }
    let last: Option<(i64, Option<chain::Link>)> = conn
        .prepare_cached("SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1")?
        .query_row([], |found| Ok((found.get(0)?, found.get(1)?)))
        .optional()?;
    let (last_id, prev) = last.unwrap_or((0, None));
    let (id, prev) = (last_id.saturating_add(1), prev.unwrap_or(chain::START));
    conn.prepare_cached(
        "INSERT INTO audit (id, at, actor, role, action, target, detail, address, prev, hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        id,
        row.at.as_millis(),
        row.actor.as_str(),
        row.role,
        row.action,
        row.target,
        row.detail,
        row.address,
        prev,
        chain::hash(&prev, id, row)
    ])?;
    OK
}
