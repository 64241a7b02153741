//! Frames nobody understood: rows of `tlm.db`, written with the batch they came in.

use domain::{PileCode, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params, types::Type};

use crate::{
    limits::{PAGE_LEN_MAX, QUARANTINE_LEN_MAX},
    money::StoreError,
    sqlite::connection::broken,
    telemetry::Quarantined,
};

/// Writes frames and lets the oldest go beyond the limit; says how many went.
pub(super) fn insert(conn: &Connection, frames: &[Quarantined]) -> rusqlite::Result<usize> {
    if frames.is_empty() {
        return Ok(0);
    }
    let mut insert = conn.prepare_cached(
        "INSERT INTO quarantine (pile_code, topic, payload, reason, detail, received, replayed_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for frame in frames {
        insert.execute(params![
            frame.pile_code.as_str(),
            frame.topic,
            frame.payload,
            frame.reason,
            frame.detail,
            frame.received.as_millis(),
            frame.replayed_at.map(Timestamp::as_millis)
        ])?;
    }
    let kept = i64::try_from(QUARANTINE_LEN_MAX).unwrap_or(i64::MAX);
    conn.prepare_cached("DELETE FROM quarantine WHERE id <= ?1")?
        .execute([conn.last_insert_rowid().saturating_sub(kept)])
}

/// Notes a replay; the first one stays.
pub(super) fn mark(conn: &Connection, id: i64, at: Timestamp) -> rusqlite::Result<()> {
    conn.prepare_cached("UPDATE quarantine SET replayed_at = ?2 WHERE id = ?1 AND replayed_at IS NULL")?
        .execute(params![id, at.as_millis()])?;
    Ok(())
}

const COLUMNS: &str = "id, pile_code, topic, payload, reason, detail, received, replayed_at";

fn frame(row: &Row<'_>) -> rusqlite::Result<Quarantined> {
    let code: String = row.get(1)?;
    let unreadable = |e| rusqlite::Error::FromSqlConversionFailure(1, Type::Text, Box::new(e));
    Ok(Quarantined {
        quarantine_id: row.get(0)?,
        pile_code: PileCode::parse(&code).map_err(unreadable)?,
        topic: row.get(2)?,
        payload: row.get(3)?,
        reason: row.get(4)?,
        detail: row.get(5)?,
        received: Timestamp::from_millis_clamped(row.get(6)?),
        replayed_at: row.get::<_, Option<i64>>(7)?.map(Timestamp::from_millis_clamped),
    })
}

/// A page, newest first.
pub(super) fn list(conn: &Connection, before: Option<i64>, max: usize) -> Result<Vec<Quarantined>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM quarantine WHERE id < ?1 ORDER BY id DESC LIMIT ?2");
    let limit = i64::try_from(max.clamp(1, PAGE_LEN_MAX)).unwrap_or(i64::MAX);
    let mut select = conn.prepare_cached(&sql).map_err(broken)?;
    let rows = select.query_map(params![before.unwrap_or(i64::MAX), limit], frame).map_err(broken)?;
    rows.collect::<rusqlite::Result<_>>().map_err(broken)
}

/// One frame.
pub(super) fn get(conn: &Connection, id: i64) -> Result<Option<Quarantined>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM quarantine WHERE id = ?1");
    conn.prepare_cached(&sql).and_then(|mut select| select.query_row([id], frame).optional()).map_err(broken)
}
