//! The money port: orders, accounts, operations done once, and everything that must be written with them.

use async_trait::async_trait;
use domain::{
    CommandId, ConnectorId, EventId, Fen, IntegrationName, OrderNo, PileCode, PileNo, StationId, Timestamp, UserId,
    command::Command,
};
use serde::{Deserialize, Serialize};
use settlement::{
    ledger::{AccountState, Entry},
    order::{HistoryRow, Order},
    tariff::Tariff,
};

use crate::cases::{Case, CaseFilter, CaseKind, OutboxEvent};
use crate::chain::Chained;
use crate::registry::{AuditRow, Integration, Pile, PileState, Rotation, RotationEnd, Station};

/// Facts that belong together, in the order in which they may become visible.
///
/// Promise of every engine: each write is atomic by itself and safe to repeat; a crash leaves a *prefix* of the
/// writes or all of them (the embedded engine: none or all). A failed condition applies nothing.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// The writes, first to last.
    pub writes: Vec<Write>,
}

/// One fact to write.
#[derive(Debug, Clone)]
pub enum Write {
    /// A new order; it must not exist.
    NewOrder(Box<Order>),
    /// A changed order: `order.rev` is the new revision, the stored one must be `order.rev - 1`.
    Order(Box<Order>),
    /// History rows of an order, appended.
    History(OrderNo, Vec<HistoryRow>),
    /// A ledger operation on one account.
    Ledger(Box<LedgerWrite>),
    /// The answer to an idempotent call.
    Once(Box<OnceRow>),
    /// The charger's record of an order, raw; the first one of an order stands, later ones are kept beside it.
    Record(Box<RecordRow>),
    /// A payment; `Some(status)` is the status it must have now, `None`: it must not exist.
    Payment(Box<Payment>, Option<PaymentState>),
    /// A command's present state (insert or replace).
    Command(Box<CommandRow>),
    /// An alarm's present state (insert or replace).
    Alarm(Box<Alarm>),
    /// A pile's event; a repeat of (pile, event id) changes nothing.
    Event(Box<EventRow>),
    /// A pile's durable state (insert or replace).
    PileState(PileNo, PileState),
    /// A new station, or new facts about one.
    Station(Box<Station>),
    /// New piles; codes must be new. Their `pile_no` was reserved with [`Money::reserve_pile_nos`].
    Piles(Vec<Pile>),
    /// A change of a pile's secret begins. `Some(id)`: it replaces that one, which must be under way; `None`: none may be.
    Rotation(Box<Rotation>, Option<CommandId>),
    /// The pile has said that it took the next secret; changes nothing when that change is over.
    RotationAccepted(PileNo, CommandId),
    /// A change of a pile's secret is over; changes nothing when it is already.
    RotationOver(PileNo, CommandId, RotationEnd),
    /// A draft, or its published form (insert or replace by id; a published one is never replaced).
    Tariff(Box<Tariff>),
    /// A user's blacklist entry, or `None` to take it off.
    Blacklist(UserId, Option<BlacklistEntry>),
    /// A new account of another system; its name must be new. A repeat of the same account changes nothing.
    Integration(Box<Integration>),
    /// An account that is no more; one that is not there is left so.
    IntegrationRemoved(IntegrationName),
    /// An audit row, appended.
    Audit(Box<AuditRow>),
    /// A case's present form: revision 1 must not exist, a later one follows the stored one. The same form again changes
    /// nothing.
    Case(Box<Case>),
    /// An event for other systems; a repeat of its id changes nothing.
    Outbox(Box<OutboxEvent>),
}

/// A ledger operation, computed by `settlement::ledger` and stored whole.
#[derive(Debug, Clone)]
pub struct LedgerWrite {
    /// Names the operation; the same name again is the same operation.
    pub op: String,
    /// The account's version this was computed from; 0 for an account without operations.
    pub expect_version: i64,
    /// The account afterwards.
    pub next: AccountState,
    /// The entries it adds.
    pub entries: Vec<Entry>,
    /// What to answer to a repeat.
    pub result: String,
}

/// The stored answer to an idempotent call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnceRow {
    /// Who called.
    pub caller: UserId,
    /// Method and path.
    pub path: String,
    /// The caller's key.
    pub key: String,
    /// SHA-256 of the body.
    pub fingerprint: [u8; 32],
    /// HTTP status of the answer.
    pub status: u16,
    /// Body of the answer.
    pub body: String,
    /// When.
    pub at: Timestamp,
}

/// A charger's record as received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRow {
    /// Of which order.
    pub order_no: OrderNo,
    /// From which pile.
    pub pile_no: PileNo,
    /// SHA-256 of what it says (parsed, so that spaces and `timestamp` do not matter).
    pub content: [u8; 32],
    /// Its bytes.
    pub raw: Vec<u8>,
    /// When the gate read it.
    pub received: Timestamp,
    /// Whether it settles the order.
    pub standing: Standing,
}

/// Whether a record counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Standing {
    /// The first of its order: the bill is made from it.
    Stands,
    /// Another content for an order that has one already: kept and flagged.
    Conflicting,
}

/// A payment through a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Payment {
    /// The hub's name for it.
    pub payment_no: String,
    /// Who pays.
    pub user_id: UserId,
    /// How much.
    pub amount_fen: Fen,
    /// Through which channel.
    pub channel: String,
    /// Where it is.
    pub state: PaymentState,
    /// The channel's name for it.
    pub transaction_id: Option<String>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When the channel said so.
    pub paid_at: Option<Timestamp>,
    /// What of it was given back through the channel or is on its way there; never more than it was.
    #[serde(default)]
    pub refunded_fen: Fen,
    /// When the channel is to be asked what became of it.
    #[serde(default)]
    pub due: Option<Timestamp>,
    /// How often it was asked.
    #[serde(default)]
    pub queries: u32,
    /// When it can be paid no more.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// What the channel's adapter keeps with it, as JSON.
    #[serde(default)]
    pub detail: String,
}

impl Payment {
    /// A payment that was asked for at `at` and that nobody has to ask the channel about.
    #[must_use]
    pub fn new(payment_no: String, user_id: UserId, amount_fen: Fen, channel: String, at: Timestamp) -> Self {
        Self {
            payment_no,
            user_id,
            amount_fen,
            channel,
            state: PaymentState::Pending,
            transaction_id: None,
            created_at: at,
            paid_at: None,
            refunded_fen: Fen::ZERO,
            due: None,
            queries: 0,
            expires_at: None,
            detail: String::new(),
        }
    }
}

/// Why a user may not charge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlacklistEntry {
    /// For people.
    pub reason: String,
    /// Who said so: a person, or the name of a rule.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Until when it holds; `None`: until it is taken off.
    pub until: Option<Timestamp>,
}

impl BlacklistEntry {
    /// Whether it holds at an instant.
    #[must_use]
    pub fn holds_at(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// Where a payment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PaymentState {
    /// Asked for.
    Pending,
    /// Paid and credited.
    Success,
    /// The channel said no.
    Failed,
    /// It was not paid in its time.
    Closed,
}

/// A command and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandRow {
    /// What is asked, with its id.
    pub command: Command,
    /// Of which pile.
    pub pile_no: PileNo,
    /// Of which pile.
    pub pile_code: PileCode,
    /// Where it is.
    pub state: CommandState,
    /// Who asked.
    pub actor: String,
    /// When.
    pub created_at: Timestamp,
    /// When it was last sent.
    pub sent_at: Option<Timestamp>,
    /// How often it was sent.
    pub tries: u32,
    /// When the pile answered, or nobody did.
    pub done_at: Option<Timestamp>,
    /// The pile's code and words.
    pub answer: Option<String>,
}

/// Where a command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CommandState {
    /// Waits for the pile.
    Queued,
    /// On its way.
    Sent,
    /// The pile will do it.
    Acked,
    /// The pile will not.
    Rejected,
    /// Nobody answered.
    Timeout,
}

/// Something a person should know of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alarm {
    /// Its name.
    pub alarm_id: String,
    /// At which pile.
    pub pile_code: PileCode,
    /// At which gun.
    pub connector_id: ConnectorId,
    /// The pile's fault code, or the hub's own word in UPPER_SNAKE.
    pub code: String,
    /// How bad.
    pub severity: Severity,
    /// How often: distinct events.
    pub count: u32,
    /// Where it is.
    pub state: AlarmState,
    /// First time.
    pub raised_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
    /// For people.
    pub text: String,
    /// The order it is about.
    pub order_no: Option<OrderNo>,
}

/// How bad an alarm is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Severity {
    /// Note it.
    Low,
    /// Look today.
    Medium,
    /// Look soon.
    High,
    /// Look at once.
    Critical,
}

/// Where an alarm is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum AlarmState {
    /// Nobody has looked.
    Raised,
    /// Somebody has.
    Acked,
    /// Its cause went away.
    Cleared,
    /// Put away by a person.
    Closed,
}

/// A pile's event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventRow {
    /// From which pile.
    pub pile_no: PileNo,
    /// The pile's name for it.
    pub event_id: EventId,
    /// `fault`, `plugged`, …
    pub kind: String,
    /// Where.
    pub connector_id: ConnectorId,
    /// Which fault.
    pub fault_code: Option<String>,
    /// The pile's words.
    pub detail: Option<String>,
    /// The pile's clock.
    pub device: Timestamp,
    /// When the gate read it.
    pub received: Timestamp,
}

/// What became of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitOutcome {
    /// Durable.
    Applied,
    /// A condition failed; nothing was written.
    Conflict(Conflict),
    /// Certainly not applied: the store is broken or away. Try again once [`Money::health`] is good.
    Unavailable(String),
    /// It may or may not be durable: read back before doing anything else, once [`Money::health`] is good again
    /// (while a disk is failing, what is read back may still change).
    Unknown(String),
}

/// Which condition failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conflict {
    /// The order exists already.
    OrderExists(OrderNo),
    /// The order was changed by somebody else.
    OrderRev(OrderNo),
    /// The operation was done before; here is its result.
    OpDone {
        /// Which operation.
        op: String,
        /// What it answered.
        result: String,
    },
    /// The account was changed by somebody else.
    AccountVersion(UserId),
    /// The key was used before.
    OnceExists(Box<OnceRow>),
    /// The payment is not in the expected state.
    PaymentState(String),
    /// The pile code is taken.
    PileExists(PileCode),
    /// Another change of the pile's secret is under way, or not the one to be replaced.
    RotationRuns(PileNo),
    /// The tariff is published and cannot be replaced, or its station has this version already.
    TariffPublished(String),
    /// The case is not at the revision before.
    CaseRev(CaseKind, String),
    /// The name of the integration is taken.
    IntegrationExists(IntegrationName),
    /// The commit contradicts itself or what is stored (gap in entry numbers, entry of another account, …): a mistake
    /// of the caller that no repetition mends. Says what.
    Malformed(String),
}

/// The store could not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It is broken or away; money operations stop until it is back.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// What it holds does not make sense.
    #[error("the store holds something unreadable: {0}")]
    Corrupt(String),
    /// Another process has it.
    #[error("the data directory {0} is in use by another process")]
    InUse(String),
    /// It was written by a later release, which this one cannot read.
    #[error("{file} has schema {found}, this release knows up to {known}: use the later release again")]
    Newer {
        /// Which file.
        file: String,
        /// The schema it has.
        found: i64,
        /// The last schema this release knows.
        known: i64,
    },
    /// The cursor did not come from this list.
    #[error("\"{0}\" is no cursor of this list")]
    BadCursor(String),
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page begins; `None` at the end.
    pub next_cursor: Option<String>,
}

/// Which orders to list; newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrderFilter {
    /// Only of this driver.
    pub user_id: Option<UserId>,
    /// Only at this pile.
    pub pile_code: Option<PileCode>,
}

/// Where orders, accounts, the registry and everything written with them are kept.
///
/// Atomic within one account and within one order; no transaction spans accounts, no count is exact.
#[async_trait]
pub trait Money: Send + Sync + std::fmt::Debug {
    /// Writes facts; answers once they are durable. Many callers share one disk write.
    async fn commit(&self, commit: Commit) -> CommitOutcome;

    /// Whether commits can succeed; the reason when they cannot.
    fn health(&self) -> Result<(), StoreError>;

    /// Reserves `n` numbers for new piles and returns the first. Numbers of a call that came to nothing are not used again.
    async fn reserve_pile_nos(&self, n: u32) -> Result<PileNo, StoreError>;

    /// One order.
    async fn order(&self, order_no: &OrderNo) -> Result<Option<Order>, StoreError>;
    /// Orders that are not over (PLACED to SETTLING and HELD).
    async fn open_orders(&self) -> Result<Vec<Order>, StoreError>;
    /// A page of orders, newest first.
    async fn orders(&self, filter: &OrderFilter, cursor: Option<&str>, max: usize) -> Result<Page<Order>, StoreError>;
    /// A page of the orders that ended in `[from, to)`, by the end.
    async fn orders_ended(
        &self,
        from: Timestamp,
        to: Timestamp,
        cursor: Option<&str>,
        max: usize,
    ) -> Result<Page<Order>, StoreError>;
    /// A page of the orders for which something is owed, newest first.
    async fn owing_orders(&self, cursor: Option<&str>, max: usize) -> Result<Page<Order>, StoreError>;
    /// An order's history, oldest first.
    async fn history(&self, order_no: &OrderNo) -> Result<Vec<HistoryRow>, StoreError>;
    /// The record that stands for an order.
    async fn record(&self, order_no: &OrderNo) -> Result<Option<RecordRow>, StoreError>;

    /// An account; `None` before its first operation.
    async fn account(&self, user_id: &UserId) -> Result<Option<AccountState>, StoreError>;
    /// An account's entries, newest first.
    async fn entries(&self, user_id: &UserId, cursor: Option<&str>, max: usize) -> Result<Page<Entry>, StoreError>;
    /// A page of everybody's entries in `[from, to)`, by time.
    async fn entries_between(
        &self,
        from: Timestamp,
        to: Timestamp,
        cursor: Option<&str>,
        max: usize,
    ) -> Result<Page<Entry>, StoreError>;
    /// The result of an operation that was done.
    async fn op_result(&self, user_id: &UserId, op: &str) -> Result<Option<String>, StoreError>;
    /// Why a user may not charge; whether the entry still holds is for the caller to see.
    async fn blacklisted(&self, user_id: &UserId) -> Result<Option<BlacklistEntry>, StoreError>;

    /// The stored answer to an idempotent call.
    async fn once(&self, caller: &UserId, path: &str, key: &str) -> Result<Option<OnceRow>, StoreError>;
    /// One payment.
    async fn payment(&self, payment_no: &str) -> Result<Option<Payment>, StoreError>;
    /// A page of a user's payments, newest first.
    async fn payments_of(
        &self,
        user_id: &UserId,
        cursor: Option<&str>,
        max: usize,
    ) -> Result<Page<Payment>, StoreError>;
    /// A page of the payments that were paid in `[from, to)`, by that time.
    async fn payments_paid(
        &self,
        from: Timestamp,
        to: Timestamp,
        cursor: Option<&str>,
        max: usize,
    ) -> Result<Page<Payment>, StoreError>;
    /// Payments whose channel is to be asked by now, the longest due first.
    async fn due_payments(&self, now: Timestamp, max: usize) -> Result<Vec<Payment>, StoreError>;

    /// One case.
    async fn case(&self, kind: CaseKind, id: &str) -> Result<Option<Case>, StoreError>;
    /// A page of cases, newest first.
    async fn cases(&self, filter: &CaseFilter, cursor: Option<&str>, max: usize) -> Result<Page<Case>, StoreError>;
    /// Open cases of a kind that are due by now, the longest due first.
    async fn due_cases(&self, kind: CaseKind, now: Timestamp, max: usize) -> Result<Vec<Case>, StoreError>;
    /// Events for other systems with their numbers, those after `after`, in the order they were written.
    async fn outbox(&self, after: i64, max: usize) -> Result<Vec<(i64, OutboxEvent)>, StoreError>;

    /// One command.
    async fn command(&self, command_id: &CommandId) -> Result<Option<CommandRow>, StoreError>;
    /// Commands that are neither answered nor given up.
    async fn open_commands(&self) -> Result<Vec<CommandRow>, StoreError>;
    /// A page of alarms, newest first; only those in `state` when given.
    async fn alarms(
        &self,
        state: Option<AlarmState>,
        cursor: Option<&str>,
        max: usize,
    ) -> Result<Page<Alarm>, StoreError>;
    /// One alarm.
    async fn alarm(&self, alarm_id: &str) -> Result<Option<Alarm>, StoreError>;
    /// Alarms that are raised or acknowledged.
    async fn open_alarms(&self) -> Result<Vec<Alarm>, StoreError>;
    /// Whether this event of this pile is stored already.
    async fn event_seen(&self, pile_no: PileNo, event_id: &EventId) -> Result<bool, StoreError>;

    /// All stations.
    async fn stations(&self) -> Result<Vec<Station>, StoreError>;
    /// All piles with their durable state, by number.
    async fn piles(&self) -> Result<Vec<(Pile, PileState)>, StoreError>;
    /// Changes of secrets that are under way, by number of the pile.
    async fn rotations(&self) -> Result<Vec<Rotation>, StoreError>;
    /// All versions and drafts, of one station or of all.
    async fn tariffs(&self, station_id: Option<&StationId>) -> Result<Vec<Tariff>, StoreError>;
    /// One tariff, draft or published.
    async fn tariff(&self, tariff_id: &str) -> Result<Option<Tariff>, StoreError>;
    /// All accounts of other systems, by name.
    async fn integrations(&self) -> Result<Vec<Integration>, StoreError>;
    /// Audit rows, newest first.
    async fn audit_rows(&self, cursor: Option<&str>, max: usize) -> Result<Page<AuditRow>, StoreError>;
    /// Audit rows with their links, oldest first, those after number `after`.
    async fn audit_chain(&self, after: i64, max: usize) -> Result<Vec<Chained>, StoreError>;
}
