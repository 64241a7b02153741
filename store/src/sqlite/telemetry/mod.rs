//! `tlm.db`: the telemetry port over one queue, one writer thread and a few reading connections.

mod codec;
mod quarantine;
mod queue;
mod read;
mod replay;
mod schema;
mod tail;
mod varint;
mod writer;

use std::{path::Path, sync::Arc, thread::JoinHandle, time::Duration};

use async_trait::async_trait;
use domain::{AckToken, Millis, OrderNo, PileNo, Timestamp};
use parking_lot::{Mutex, RwLock};
use settlement::pricing::Reading;

use self::{queue::Queue, schema::SCHEMA, tail::Tail, writer::Writer};
use super::{
    health::Health,
    lock::DirLock,
    options::{OnStored, PageLimit},
    readers::Readers,
};
use crate::{
    limits::SAMPLES_LEN_MAX,
    metric,
    money::StoreError,
    telemetry::{Append, Quarantined, Sample, Telemetry, TelemetryFull},
};

/// What of the options concerns this file.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) flush_interval: Duration,
    pub(super) retention: Millis,
    pub(super) retry_interval: Duration,
    pub(super) pages: PageLimit,
}

/// The telemetry file, open.
#[derive(Debug)]
pub(super) struct SqliteTelemetry {
    queue: Arc<Queue>,
    tail: Arc<RwLock<Tail>>,
    readers: Readers,
    health: Arc<Health>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Held as long as anything may write.
    lock: Mutex<Option<Arc<DirLock>>>,
}

impl SqliteTelemetry {
    /// Opens the file, rebuilds the tail from the log, starts the writer.
    pub(super) fn open(
        path: &Path,
        settings: Settings,
        on_stored: OnStored,
        lock: Arc<DirLock>,
    ) -> Result<Self, StoreError> {
        let conn = writer::connect(path, &settings)?;
        let replayed = replay::replay(&conn)?;
        tracing::info!(samples = replayed.tail.len(), "telemetry log replayed");
        let health = Arc::new(Health::new("telemetry"));
        let queue = Arc::new(Queue::default());
        let opened = (path.to_owned(), conn, replayed);
        let writer = Writer::new(opened, settings, Arc::clone(&health), Arc::clone(&queue), on_stored);
        let tail = Arc::clone(&writer.tail);
        let thread = std::thread::Builder::new()
            .name("store-telemetry".to_owned())
            .spawn(move || writer.run())
            .map_err(|e| StoreError::Unavailable(e.to_string()))?;
        Ok(Self {
            queue,
            tail,
            readers: Readers::new(path, SCHEMA),
            health,
            thread: Mutex::new(Some(thread)),
            lock: Mutex::new(Some(lock)),
        })
    }

    /// Writes what is queued and stops the writer.
    pub(super) fn close(&self) {
        self.queue.close();
        if let Some(thread) = self.thread.lock().take()
            && thread.thread().id() != std::thread::current().id()
            && thread.join().is_err()
        {
            tracing::warn!("the telemetry writer panicked");
        }
        self.lock.lock().take();
    }

    async fn wait(&self, add: impl FnOnce(&mut queue::Batch, queue::Reply)) -> Result<(), StoreError> {
        let answer = self.queue.wait_for(add)?;
        answer.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the telemetry writer ended".to_owned())))
    }
}

impl Drop for SqliteTelemetry {
    fn drop(&mut self) {
        self.close();
    }
}

#[async_trait]
impl Telemetry for SqliteTelemetry {
    fn push(&self, row: Append, token: Option<AckToken>) -> Result<(), TelemetryFull> {
        self.queue.push(row, token).inspect_err(|_| metrics::counter!(metric::TELEMETRY_REFUSED).increment(1))
    }

    fn hasten(&self) {
        self.queue.hasten();
    }

    fn health(&self) -> Result<(), StoreError> {
        self.health.get()
    }

    async fn flush(&self) -> Result<(), StoreError> {
        self.wait(|batch, reply| batch.flushes.push(reply)).await
    }

    async fn readings(
        &self,
        pile_no: PileNo,
        order_no: &OrderNo,
        since: Timestamp,
    ) -> Result<Vec<Reading>, StoreError> {
        let view = self.tail.read().view(pile_no, since.as_millis(), i64::MAX);
        if view.generations.is_empty() {
            return read::readings(None, pile_no, &view, order_no, since);
        }
        let order_no = order_no.clone();
        self.readers.read(move |conn| read::readings(Some(conn), pile_no, &view, &order_no, since)).await
    }

    async fn samples(
        &self,
        pile_no: PileNo,
        from: Timestamp,
        to: Timestamp,
        max: usize,
    ) -> Result<Vec<Sample>, StoreError> {
        let max = max.clamp(1, SAMPLES_LEN_MAX);
        let view = self.tail.read().view(pile_no, from.as_millis(), to.as_millis());
        if view.generations.is_empty() {
            return read::samples(None, pile_no, &view, from, to, max);
        }
        self.readers.read(move |conn| read::samples(Some(conn), pile_no, &view, from, to, max)).await
    }

    async fn quarantine(&self, before: Option<i64>, max: usize) -> Result<Vec<Quarantined>, StoreError> {
        self.readers.read(move |conn| quarantine::list(conn, before, max)).await
    }

    async fn quarantined(&self, id: i64) -> Result<Option<Quarantined>, StoreError> {
        self.readers.read(move |conn| quarantine::get(conn, id)).await
    }

    async fn mark_replayed(&self, id: i64, at: Timestamp) -> Result<(), StoreError> {
        self.wait(|batch, reply| batch.marks.push((id, at, reply))).await
    }
}
