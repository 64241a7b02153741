//! `money.db`: the money port over one writer thread and a few reading connections.

mod apply;
mod apply_cases;
mod apply_ledger;
mod apply_orders;
mod apply_registry;
mod apply_rotations;
mod audit;
mod paging;
mod queries;
mod queries_finance;
mod rows;
mod schema;
mod writer;

use std::{path::Path, sync::Arc, thread::JoinHandle, time::Duration};

use async_trait::async_trait;
use domain::{CommandId, EventId, OrderNo, PileNo, StationId, Timestamp, UserId};
use parking_lot::Mutex;
use rusqlite::Connection;
use settlement::{
    ledger::{AccountState, Entry},
    order::{HistoryRow, Order},
    tariff::Tariff,
};
use tokio::sync::oneshot;

use self::{queries_finance::Span, schema::SCHEMA, writer::Request};
use super::{
    connection::{broken, open_reader},
    health::Health,
    lock::DirLock,
    options::PageLimit,
    readers::Readers,
};
use crate::{
    audit::{Audit, Disagreement},
    cases::{Case, CaseFilter, CaseKind, OutboxEvent},
    chain::Chained,
    limits::MONEY_QUEUE_LEN_MAX,
    money::{
        Alarm, AlarmState, BlacklistEntry, CommandRow, Commit, CommitOutcome, Money, OnceRow, OrderFilter, Page,
        Payment, RecordRow, StoreError,
    },
    registry::{AuditRow, Integration, Pile, PileState, Rotation, Station},
};

/// What of the options concerns this file.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) pages: PageLimit,
    pub(super) probe_interval: Duration,
}

/// The money file, open.
#[derive(Debug)]
pub(super) struct SqliteMoney {
    readers: Readers,
    health: Arc<Health>,
    /// `None` once closed, and in a snapshot.
    requests: Mutex<Option<flume::Sender<Request>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Held as long as anything may write; `None` in a snapshot.
    lock: Mutex<Option<Arc<DirLock>>>,
}

impl SqliteMoney {
    /// Opens the file and starts its writer.
    pub(super) fn open(path: &Path, settings: Settings, lock: Arc<DirLock>) -> Result<Self, StoreError> {
        let health = Arc::new(Health::new("money"));
        let writer = writer::Writer::open(path.to_owned(), settings, Arc::clone(&health))?;
        let (requests, queue) = flume::bounded(MONEY_QUEUE_LEN_MAX);
        let thread = std::thread::Builder::new()
            .name("store-money".to_owned())
            .spawn(move || writer.run(&queue))
            .map_err(|e| StoreError::Unavailable(e.to_string()))?;
        Ok(Self {
            readers: Readers::new(path, SCHEMA),
            health,
            requests: Mutex::new(Some(requests)),
            thread: Mutex::new(Some(thread)),
            lock: Mutex::new(Some(lock)),
        })
    }

    /// Opens one moment of the file for reading.
    pub(super) fn open_snapshot(path: &Path) -> Result<Self, StoreError> {
        let conn = open_reader(path, SCHEMA)?;
        // The first read fixes the moment that all later reads of this connection see.
        conn.execute_batch("BEGIN; SELECT value FROM counter;").map_err(broken)?;
        Ok(Self {
            readers: Readers::of_one(path, SCHEMA, conn),
            health: Arc::new(Health::read_only()),
            requests: Mutex::new(None),
            thread: Mutex::new(None),
            lock: Mutex::new(None),
        })
    }

    /// Writes what is queued and stops the writer.
    pub(super) fn close(&self) {
        drop(self.requests.lock().take());
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::warn!("the money writer panicked");
        }
        self.lock.lock().take();
    }

    fn sender(&self) -> Option<flume::Sender<Request>> {
        self.requests.lock().clone()
    }

    async fn read<T, F>(&self, query: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.readers.read(query).await
    }
}

impl Drop for SqliteMoney {
    fn drop(&mut self) {
        self.close();
    }
}

const CLOSED: &str = "the store is closed";

#[async_trait]
impl Money for SqliteMoney {
    async fn commit(&self, commit: Commit) -> CommitOutcome {
        let Some(requests) = self.sender() else {
            return CommitOutcome::Unavailable(self.health.reason().unwrap_or_else(|| CLOSED.to_owned()));
        };
        let (reply, answer) = oneshot::channel();
        if requests.send_async(Request::Commit(commit, reply)).await.is_err() {
            return CommitOutcome::Unavailable(CLOSED.to_owned());
        }
        // A writer that died with the commit in its hands may have written it.
        answer.await.unwrap_or_else(|_| CommitOutcome::Unknown(CLOSED.to_owned()))
    }

    fn health(&self) -> Result<(), StoreError> {
        self.health.get()
    }

    async fn reserve_pile_nos(&self, n: u32) -> Result<PileNo, StoreError> {
        let closed = || StoreError::Unavailable(CLOSED.to_owned());
        let requests = self.sender().ok_or_else(closed)?;
        let (reply, answer) = oneshot::channel();
        requests.send_async(Request::PileNos(n, reply)).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    async fn order(&self, order_no: &OrderNo) -> Result<Option<Order>, StoreError> {
        let order_no = order_no.clone();
        self.read(move |conn| queries::order(conn, &order_no)).await
    }

    async fn open_orders(&self) -> Result<Vec<Order>, StoreError> {
        self.read(queries::open_orders).await
    }

    async fn orders(&self, filter: &OrderFilter, cursor: Option<&str>, max: usize) -> Result<Page<Order>, StoreError> {
        let (filter, cursor) = (filter.clone(), cursor.map(str::to_owned));
        self.read(move |conn| queries::orders(conn, &filter, cursor.as_deref(), max)).await
    }

    async fn orders_ended(
        &self,
        from: Timestamp,
        to: Timestamp,
        cursor: Option<&str>,
        max: usize,
    ) -> Result<Page<Order>, StoreError> {
        let cursor = cursor.map(str::to_owned);
        self.read(move |conn| queries_finance::orders_ended(conn, Span { from, to }, cursor.as_deref(), max)).await
    }

    async fn owing_orders(&self, cursor: Option<&str>, max: usize) -> Result<Page<Order>, StoreError> {
        let cursor = cursor.map(str::to_owned);
        self.read(move |conn| queries_finance::owing_orders(conn, cursor.as_deref(), max)).await
    }

    async fn history(&self, order_no: &OrderNo) -> Result<Vec<HistoryRow>, StoreError> {
        let order_no = order_no.clone();
        self.read(move |conn| queries::history(conn, &order_no)).await
    }

    async fn record(&self, order_no: &OrderNo) -> Result<Option<RecordRow>, StoreError> {
        let order_no = order_no.clone();
        self.read(move |conn| queries::record(conn, &order_no)).await
    }

    async fn account(&self, user_id: &UserId) -> Result<Option<AccountState>, StoreError> {
        let user_id = user_id.clone();
        self.read(move |conn| queries::account(conn, &user_id)).await
    }

    async fn entries(&self, user_id: &UserId, cursor: Option<&str>, max: usize) -> Result<Page<Entry>, StoreError> {
        let (user_id, cursor) = (user_id.clone(), cursor.map(str::to_owned));
        self.read(move |conn| queries::entries(conn, &user_id, cursor.as_deref(), max)).await
    }

    async fn entries_between(
        &self,
        from: Timestamp,
        to: Timestamp,
        cursor: Option<&str>,
        max: usize,
    ) -> Result<Page<Entry>, StoreError> {
        let cursor = cursor.map(str::to_owned);
        self.read(move |conn| queries_finance::entries_between(conn, Span { from, to }, cursor.as_deref(), max)).await
    }

    async fn op_result(&self, user_id: &UserId, op: &str) -> Result<Option<String>, StoreError> {
        let (user_id, op) = (user_id.clone(), op.to_owned());
        self.read(move |conn| queries::op_result(conn, &user_id, &op)).await
    }

    async fn blacklisted(&self, user_id: &UserId) -> Result<Option<BlacklistEntry>, StoreError> {
        let user_id = user_id.clone();
        self.read(move |conn| queries::blacklisted(conn, &user_id)).await
    }

    async fn once(&self, caller: &UserId, path: &str, key: &str) -> Result<Option<OnceRow>, StoreError> {
        let (caller, path, key) = (caller.clone(), path.to_owned(), key.to_owned());
        self.read(move |conn| rows::once(conn, caller.as_str(), &path, &key).map_err(broken)).await
    }

    async fn payment(&self, payment_no: &str) -> Result<Option<Payment>, StoreError> {
        let payment_no = payment_no.to_owned();
        self.read(move |conn| queries::payment(conn, &payment_no)).await
    }

    async fn payments_of(
        &self,
        user_id: &UserId,
        cursor: Option<&str>,
        max: usize,
    ) -> Result<Page<Payment>, StoreError> {
        let (user_id, cursor) = (user_id.clone(), cursor.map(str::to_owned));
        self.read(move |conn| queries_finance::payments_of(conn, &user_id, cursor.as_deref(), max)).await
    }

    async fn payments_paid(
        &self,
        from: Timestamp,
        to: Timestamp,
        cursor: Option<&str>,
        max: usize,
    ) -> Result<Page<Payment>, StoreError> {
        let cursor = cursor.map(str::to_owned);
        self.read(move |conn| queries_finance::payments_paid(conn, Span { from, to }, cursor.as_deref(), max)).await
    }

    async fn due_payments(&self, now: Timestamp, max: usize) -> Result<Vec<Payment>, StoreError> {
        self.read(move |conn| queries_finance::due_payments(conn, now, max)).await
    }

    async fn case(&self, kind: CaseKind, id: &str) -> Result<Option<Case>, StoreError> {
        let id = id.to_owned();
        self.read(move |conn| queries_finance::case(conn, kind, &id)).await
    }

    async fn cases(&self, filter: &CaseFilter, cursor: Option<&str>, max: usize) -> Result<Page<Case>, StoreError> {
        let (filter, cursor) = (filter.clone(), cursor.map(str::to_owned));
        self.read(move |conn| queries_finance::cases(conn, &filter, cursor.as_deref(), max)).await
    }

    async fn due_cases(&self, kind: CaseKind, now: Timestamp, max: usize) -> Result<Vec<Case>, StoreError> {
        self.read(move |conn| queries_finance::due_cases(conn, kind, now, max)).await
    }

    async fn outbox(&self, after: i64, max: usize) -> Result<Vec<(i64, OutboxEvent)>, StoreError> {
        self.read(move |conn| queries_finance::outbox(conn, after, max)).await
    }

    async fn command(&self, command_id: &CommandId) -> Result<Option<CommandRow>, StoreError> {
        let command_id = command_id.clone();
        self.read(move |conn| queries::command(conn, &command_id)).await
    }

    async fn open_commands(&self) -> Result<Vec<CommandRow>, StoreError> {
        self.read(queries::open_commands).await
    }

    async fn alarms(
        &self,
        state: Option<AlarmState>,
        cursor: Option<&str>,
        max: usize,
    ) -> Result<Page<Alarm>, StoreError> {
        let cursor = cursor.map(str::to_owned);
        self.read(move |conn| queries::alarms(conn, state, cursor.as_deref(), max)).await
    }

    async fn alarm(&self, alarm_id: &str) -> Result<Option<Alarm>, StoreError> {
        let alarm_id = alarm_id.to_owned();
        self.read(move |conn| queries::alarm(conn, &alarm_id)).await
    }

    async fn open_alarms(&self) -> Result<Vec<Alarm>, StoreError> {
        self.read(queries::open_alarms).await
    }

    async fn event_seen(&self, pile_no: PileNo, event_id: &EventId) -> Result<bool, StoreError> {
        let event_id = event_id.clone();
        self.read(move |conn| queries::event_seen(conn, pile_no, &event_id)).await
    }

    async fn stations(&self) -> Result<Vec<Station>, StoreError> {
        self.read(queries::stations).await
    }

    async fn piles(&self) -> Result<Vec<(Pile, PileState)>, StoreError> {
        self.read(queries::piles).await
    }

    async fn rotations(&self) -> Result<Vec<Rotation>, StoreError> {
        self.read(queries::rotations).await
    }

    async fn tariffs(&self, station_id: Option<&StationId>) -> Result<Vec<Tariff>, StoreError> {
        let station_id = station_id.cloned();
        self.read(move |conn| queries::tariffs(conn, station_id.as_ref())).await
    }

    async fn tariff(&self, tariff_id: &str) -> Result<Option<Tariff>, StoreError> {
        let tariff_id = tariff_id.to_owned();
        self.read(move |conn| queries::tariff(conn, &tariff_id)).await
    }

    async fn integrations(&self) -> Result<Vec<Integration>, StoreError> {
        self.read(queries::integrations).await
    }

    async fn audit_chain(&self, after: i64, max: usize) -> Result<Vec<Chained>, StoreError> {
        self.read(move |conn| queries_finance::audit_chain(conn, after, max)).await
    }

    async fn audit_rows(&self, cursor: Option<&str>, max: usize) -> Result<Page<AuditRow>, StoreError> {
        let cursor = cursor.map(str::to_owned);
        self.read(move |conn| queries::audit_rows(conn, cursor.as_deref(), max)).await
    }
}

#[async_trait]
impl Audit for SqliteMoney {
    async fn accounts(&self, cursor: Option<&str>, max: usize) -> Result<Page<AccountState>, StoreError> {
        let cursor = cursor.map(str::to_owned);
        self.read(move |conn| audit::accounts(conn, cursor.as_deref(), max)).await
    }

    async fn payments(&self, cursor: Option<&str>, max: usize) -> Result<Page<Payment>, StoreError> {
        let cursor = cursor.map(str::to_owned);
        self.read(move |conn| audit::payments(conn, cursor.as_deref(), max)).await
    }

    async fn ops(&self, user_id: &UserId, cursor: Option<&str>, max: usize) -> Result<Page<(i64, String)>, StoreError> {
        let (user_id, cursor) = (user_id.clone(), cursor.map(str::to_owned));
        self.read(move |conn| audit::ops(conn, &user_id, cursor.as_deref(), max)).await
    }

    async fn disagreements(&self) -> Result<Vec<Disagreement>, StoreError> {
        self.read(audit::disagreements).await
    }
}
