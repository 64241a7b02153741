//! The one thread that writes `tlm.db`: one log row per batch, and behind it, a little with every batch, the sealing
//! of chunks and the deleting of what is sealed or outdated.
//!
//! Nothing in memory changes before the commit: a batch that could not be written is written again, whole.

use std::{fmt, path::PathBuf, sync::Arc};

use domain::{Millis, PileNo};
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use parking_lot::RwLock;
use rusqlite::{Connection, params};
use tokio::time::Instant;

use super::{
    Settings,
    codec::{Encoder, Of},
    quarantine,
    queue::{Batch, Queue},
    replay::Replayed,
    schema::{SCHEMA, chunk_key},
    tail::{Chunk, Span, Tail},
};
use crate::{
    failpoint,
    limits::{DELETES_PER_FLUSH_MAX, SAMPLES_PER_SEAL, SEALS_PER_FLUSH},
    metric,
    money::StoreError,
    sqlite::{
        connection::{Durability, broken, open_writer},
        health::Health,
        options::OnStored,
    },
};

/// Opens the file for writing.
pub(super) fn connect(path: &std::path::Path, settings: &Settings) -> Result<Connection, StoreError> {
    open_writer(path, Durability::Kill, SCHEMA, &settings.pages)
}

/// A sealing round: every pile that had unsealed samples when it began gets one chunk of this generation.
#[derive(Debug)]
struct Round {
    generation: i64,
    /// Still to seal, the next one last.
    piles: Vec<PileNo>,
    /// Log rows up to this one are in chunks once the round is over.
    covers: i64,
}

/// What one flush does besides its batch.
#[derive(Debug, Default)]
struct Chores {
    generation: i64,
    chunks: Vec<Chunk>,
    /// Piles of the round that are done with these chunks.
    piles: usize,
    /// Delete log rows below this one.
    log_below: Option<i64>,
    /// Delete some of this outdated generation.
    outdated: Option<i64>,
}

impl Chores {
    fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.log_below.is_none() && self.outdated.is_none()
    }
}

/// What a commit turned out to have done, beyond what was planned.
#[derive(Debug, Default)]
struct Done {
    log_bytes: usize,
    quarantine_dropped: usize,
    /// The outdated generation is gone.
    outdated_gone: bool,
}

/// The thread's own state.
pub(super) struct Writer {
    pub(super) path: PathBuf,
    pub(super) settings: Settings,
    pub(super) health: Arc<Health>,
    pub(super) queue: Arc<Queue>,
    pub(super) tail: Arc<RwLock<Tail>>,
    pub(super) on_stored: OnStored,
    /// `None` after a failed write, until the file is open again.
    conn: Option<Connection>,
    encoder: Encoder,
    last_log: i64,
    first_log: i64,
    /// Log rows up to this one are in chunks.
    covered_log: i64,
    generation: i64,
    round: Option<Round>,
    meters: Meters,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("path", &self.path).field("last_log", &self.last_log).finish_non_exhaustive()
    }
}

impl Writer {
    /// The writer of a file that was just replayed; returns what readers share with it.
    pub(super) fn new(
        (path, conn, replayed): (PathBuf, Connection, Replayed),
        settings: Settings,
        health: Arc<Health>,
        queue: Arc<Queue>,
        on_stored: OnStored,
    ) -> Self {
        Self {
            path,
            settings,
            health,
            queue,
            tail: Arc::new(RwLock::new(replayed.tail)),
            on_stored,
            conn: Some(conn),
            encoder: Encoder::new(Of::Many),
            last_log: replayed.last_log,
            first_log: replayed.first_log,
            covered_log: 0,
            generation: replayed.generation,
            round: None,
            meters: Meters::new(),
        }
    }

    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let _end = End { health: Arc::clone(&self.health), queue: Arc::clone(&self.queue) };
        let mut batch = Batch::default();
        while self.queue.next(&mut batch, self.settings.flush_interval) {
            while let Err(error) = self.flush(&mut batch) {
                self.fail(&mut batch, &error);
                if !self.queue.more(&mut batch, self.settings.retry_interval) {
                    // Closing: one last attempt, then what is left was never acknowledged.
                    if let Err(error) = self.flush(&mut batch) {
                        self.fail(&mut batch, &error);
                    }
                    return;
                }
            }
        }
    }

    fn fail(&mut self, batch: &mut Batch, error: &StoreError) {
        self.conn = None;
        self.health.fail(&error.to_string());
        for reply in batch.flushes.drain(..).chain(batch.marks.drain(..).map(|(_, _, reply)| reply)) {
            let _ = reply.send(Err(error.clone()));
        }
    }

    /// Makes a batch durable and tells everybody. An error: nothing of it is, and it is unchanged.
    fn flush(&mut self, batch: &mut Batch) -> Result<(), StoreError> {
        let started = Instant::now();
        let chores = self.chores(batch.samples.len());
        let writes = !(batch.samples.is_empty() && batch.quarantine.is_empty() && batch.marks.is_empty());
        if writes || !chores.is_empty() {
            let done = self.commit(batch, &chores)?;
            self.committed(batch, &chores, &done);
            self.meters.flush_seconds.record(started.elapsed().as_secs_f64());
        }
        batch.samples.clear();
        batch.quarantine.clear();
        // Before anybody is told: whoever is told may push again at once.
        self.queue.done();
        self.health.recover();
        if !batch.tokens.is_empty() {
            (self.on_stored)(&mut batch.tokens);
            batch.tokens.clear();
        }
        for reply in batch.flushes.drain(..).chain(batch.marks.drain(..).map(|(_, _, reply)| reply)) {
            let _ = reply.send(Ok(()));
        }
        Ok(())
    }

    /// What is due besides the batch, within the limits of one flush.
    fn chores(&mut self, samples: usize) -> Chores {
        let tail = self.tail.read();
        if self.round.is_none() && tail.wants_sealing() {
            let mut piles = tail.busy_piles();
            piles.reverse();
            tracing::debug!(samples = tail.len(), piles = piles.len(), "sealing round begins");
            self.round = Some(Round { generation: self.generation.saturating_add(1), piles, covers: self.last_log });
        }
        let mut chores = Chores::default();
        if let Some(round) = &self.round {
            chores.generation = round.generation;
            let seals = samples.div_euclid(SAMPLES_PER_SEAL).saturating_add(SEALS_PER_FLUSH);
            chores.piles = seals.min(round.piles.len());
            let next = round.piles.iter().rev().take(chores.piles);
            chores.chunks = next.filter_map(|pile_no| tail.chunk(*pile_no)).collect();
        }
        let step = i64::try_from(DELETES_PER_FLUSH_MAX).unwrap_or(i64::MAX);
        if self.first_log <= self.covered_log {
            chores.log_below = Some(self.first_log.saturating_add(step).min(self.covered_log.saturating_add(1)));
        }
        let Millis(retention) = self.settings.retention;
        chores.outdated = tail
            .newest()
            .and_then(|newest| tail.outdated(newest.saturating_sub(retention)))
            .filter(|generation| self.round.as_ref().is_none_or(|round| *generation < round.generation));
        chores
    }

    fn commit(&mut self, batch: &Batch, chores: &Chores) -> Result<Done, StoreError> {
        let conn = match self.conn.take() {
            Some(conn) => conn,
            None => connect(&self.path, &self.settings)?,
        };
        self.encoder.clear();
        batch.samples.iter().for_each(|sample| self.encoder.push(sample));
        let done = write(&conn, batch, chores, self.last_log, self.encoder.bytes()).map_err(broken)?;
        // Only a connection whose last write succeeded is used again.
        self.conn = Some(conn);
        failpoint::hit(failpoint::TELEMETRY_AFTER_COMMIT);
        Ok(done)
    }

    /// Brings memory up to what the file says.
    fn committed(&mut self, batch: &Batch, chores: &Chores, done: &Done) {
        let mut tail = self.tail.write();
        tail.sealed(chores.generation, &chores.chunks);
        batch.samples.iter().for_each(|sample| tail.push(sample));
        if !batch.samples.is_empty() {
            self.last_log = self.last_log.saturating_add(1);
        }
        if let Some(round) = &mut self.round {
            self.generation = round.generation;
            round.piles.truncate(round.piles.len().saturating_sub(chores.piles));
            if round.piles.is_empty() {
                self.covered_log = round.covers;
                self.round = None;
                tail.round_over();
            }
        }
        if let Some(below) = chores.log_below {
            self.first_log = below;
        }
        if let Some(generation) = chores.outdated.filter(|_| done.outdated_gone) {
            tail.deleted(generation);
        }
        drop(tail);
        self.meters.report(batch, chores, done);
    }
}

/// The transaction of one flush.
fn write(conn: &Connection, batch: &Batch, chores: &Chores, last_log: i64, log_blob: &[u8]) -> rusqlite::Result<Done> {
    let mut done = Done { log_bytes: log_blob.len(), ..Done::default() };
    conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    if !batch.samples.is_empty() {
        conn.prepare_cached("INSERT INTO log (id, blob) VALUES (?1, ?2)")?
            .execute(params![last_log.saturating_add(1), log_blob])?;
    }
    done.quarantine_dropped = quarantine::insert(conn, &batch.quarantine)?;
    for (id, at, _) in &batch.marks {
        quarantine::mark(conn, *id, *at)?;
    }
    seal(conn, chores, last_log)?;
    if let Some(below) = chores.log_below {
        conn.prepare_cached("DELETE FROM log WHERE id < ?1")?.execute([below])?;
    }
    if let Some(generation) = chores.outdated {
        done.outdated_gone = delete_some(conn, generation)?;
    }
    failpoint::hit(failpoint::TELEMETRY_BEFORE_COMMIT);
    conn.prepare_cached("COMMIT")?.execute([])?;
    Ok(done)
}

fn seal(conn: &Connection, chores: &Chores, last_log: i64) -> rusqlite::Result<()> {
    if chores.chunks.is_empty() {
        return Ok(());
    }
    let mut insert =
        conn.prepare_cached("INSERT INTO chunk (key, t0, t1, n, upto, blob) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    let mut span = Span::NONE;
    for chunk in &chores.chunks {
        let key = chunk_key(chores.generation, chunk.pile_no.0);
        insert.execute(params![key, chunk.span.t0, chunk.span.t1, chunk.len, last_log, chunk.blob])?;
        span = span.and(chunk.span);
    }
    conn.prepare_cached(
        "INSERT INTO generation (id, t0, t1, last_log) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (id) DO UPDATE SET t0 = min(t0, ?2), t1 = max(t1, ?3), last_log = ?4",
    )?
    .execute(params![chores.generation, span.t0, span.t1, last_log])?;
    Ok(())
}

/// Deletes a slice of the oldest generation; `true` when it was the last one and the generation is gone.
fn delete_some(conn: &Connection, generation: i64) -> rusqlite::Result<bool> {
    let slice = i64::try_from(DELETES_PER_FLUSH_MAX).unwrap_or(i64::MAX);
    let deleted = conn
        .prepare_cached("DELETE FROM chunk WHERE key IN (SELECT key FROM chunk WHERE key < ?1 ORDER BY key LIMIT ?2)")?
        .execute(params![chunk_key(generation.saturating_add(1), 0), slice])?;
    let gone = deleted < DELETES_PER_FLUSH_MAX;
    if gone {
        conn.prepare_cached("DELETE FROM generation WHERE id = ?1")?.execute([generation])?;
    }
    Ok(gone)
}

/// Metrics that are touched by every flush, looked up once.
struct Meters {
    queue_len: Gauge,
    flush_seconds: Histogram,
    rows: Counter,
    bytes: Counter,
    chunks: Counter,
    quarantined: Counter,
    quarantine_dropped: Counter,
}

impl Meters {
    fn new() -> Self {
        Self {
            queue_len: gauge!(metric::TELEMETRY_QUEUE_LEN),
            flush_seconds: histogram!(metric::TELEMETRY_FLUSH_SECONDS),
            rows: counter!(metric::TELEMETRY_ROWS),
            bytes: counter!(metric::TELEMETRY_BYTES),
            chunks: counter!(metric::TELEMETRY_CHUNKS),
            quarantined: counter!(metric::QUARANTINED),
            quarantine_dropped: counter!(metric::QUARANTINE_DROPPED),
        }
    }

    fn report(&self, batch: &Batch, chores: &Chores, done: &Done) {
        self.queue_len.set(f64::from(u32::try_from(batch.samples.len()).unwrap_or(u32::MAX)));
        for (counter, n) in [
            (&self.rows, batch.samples.len()),
            (&self.bytes, done.log_bytes),
            (&self.chunks, chores.chunks.len()),
            (&self.quarantined, batch.quarantine.len()),
            (&self.quarantine_dropped, done.quarantine_dropped),
        ] {
            counter.increment(u64::try_from(n).unwrap_or(u64::MAX));
        }
        if done.quarantine_dropped > 0 {
            tracing::warn!(frames = done.quarantine_dropped, "quarantine is full, the oldest frames went");
        }
    }
}

/// However the thread ends, a listener that panicked included: nobody goes on pushing into nothing.
struct End {
    health: Arc<Health>,
    queue: Arc<Queue>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.queue.close();
        if std::thread::panicking() {
            self.health.fail("the telemetry writer panicked");
        }
    }
}
