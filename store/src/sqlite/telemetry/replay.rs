//! What is rebuilt at the start: the unsealed tail, from the log.

use std::collections::{BTreeMap, HashMap};

use rusqlite::Connection;

use super::{
    codec::{Decoder, Of},
    schema::{chunk_key, key_pile},
    tail::{Span, Tail},
};
use crate::{money::StoreError, sqlite::connection::broken};

/// What the writer goes on from.
#[derive(Debug)]
pub(super) struct Replayed {
    pub(super) tail: Tail,
    /// The last log row ever written, deleted or not.
    pub(super) last_log: i64,
    /// The first log row there is.
    pub(super) first_log: i64,
    /// The last generation there is.
    pub(super) generation: i64,
}

/// Reads the log past what is sealed. A sample is sealed when its log row is not after its pile's `upto`: times do
/// not decide, a reading that was sent late is as new as its row.
pub(super) fn replay(conn: &Connection) -> Result<Replayed, StoreError> {
    let generations = generations(conn).map_err(broken)?;
    let (first_row, last_row): (Option<i64>, Option<i64>) = conn
        .query_row("SELECT (SELECT min(id) FROM log), (SELECT max(id) FROM log)", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .map_err(broken)?;
    let last_sealed = generations.values().map(|(_, last_log)| *last_log).max().unwrap_or(0);
    let last_log = last_row.unwrap_or(0).max(last_sealed);
    let first_log = first_row.unwrap_or_else(|| last_log.saturating_add(1));

    // Older generations end before the log begins: their chunks say nothing about its rows.
    let relevant = generations.iter().find(|(_, (_, last))| *last >= first_log).map(|(generation, _)| *generation);
    let upto = match relevant {
        Some(generation) => upto(conn, generation).map_err(broken)?,
        None => HashMap::new(),
    };
    let generation = generations.last_key_value().map_or(0, |(generation, _)| *generation);
    let mut tail = Tail::new(generations.into_iter().map(|(generation, (span, _))| (generation, span)).collect());
    read_log(conn, &upto, &mut tail)?;
    Ok(Replayed { tail, last_log, first_log, generation })
}

fn generations(conn: &Connection) -> rusqlite::Result<BTreeMap<i64, (Span, i64)>> {
    conn.prepare("SELECT id, t0, t1, last_log FROM generation")?
        .query_map([], |row| Ok((row.get(0)?, (Span { t0: row.get(1)?, t1: row.get(2)? }, row.get(3)?))))?
        .collect()
}

/// The last sealed log row of every pile, from a generation on.
fn upto(conn: &Connection, generation: i64) -> rusqlite::Result<HashMap<u32, i64>> {
    let mut select = conn.prepare("SELECT key, upto FROM chunk WHERE key >= ?1 ORDER BY key")?;
    // Later generations come later and know more.
    select.query_map([chunk_key(generation, 0)], |row| Ok((key_pile(row.get(0)?), row.get(1)?)))?.collect()
}

fn read_log(conn: &Connection, upto: &HashMap<u32, i64>, tail: &mut Tail) -> Result<(), StoreError> {
    let mut select = conn.prepare("SELECT id, blob FROM log ORDER BY id").map_err(broken)?;
    let mut rows = select.query([]).map_err(broken)?;
    while let Some(row) = rows.next().map_err(broken)? {
        let id: i64 = row.get(0).map_err(broken)?;
        let blob = row.get_ref(1).and_then(|value| Ok(value.as_blob()?)).map_err(broken)?;
        for sample in Decoder::new(Of::Many, blob) {
            let sample = sample.map_err(|e| StoreError::Corrupt(format!("telemetry log row {id}: {e}")))?;
            if upto.get(&sample.pile_no.0).is_none_or(|sealed| *sealed < id) {
                tail.push(&sample);
            }
        }
    }
    Ok(())
}
