//! What the actors offer to the outside and what they say no with; plain data, no runtime.

use domain::{
    AckToken, Clock, CommandId, ConnectorId, Fen, MilliAmps, MilliVolts, Millis, OrderNo, PileCode, PileNo, SocTenths,
    StationId, Timestamp, UserId, WattHours, Watts,
    command::CommandKind,
    wire::{UpFrame, UpTopic},
};
use serde::Serialize;
pub use settlement::order::StopBy;
use settlement::{
    ledger::{AccountState, LedgerOp, OpResult},
    order::{Order, OrderLimit, PayMode},
    pricing::Bill,
};
use std::sync::Arc;
use store::{
    money::{OnceRow, Write},
    registry::PileKind,
};

/// How an answer reads, given the order as it will be stored: HTTP status and body.
pub type Answer = Box<dyn FnOnce(&Order) -> (u16, String) + Send + Sync>;

/// An idempotent call in progress: its key, and how its answer will read once the effect is known.
///
/// The answer is stored in the same commit as the effect.
pub struct Once {
    /// Who called.
    pub caller: UserId,
    /// Method and path.
    pub path: String,
    /// The caller's key.
    pub key: String,
    /// SHA-256 of the body.
    pub fingerprint: [u8; 32],
    /// HTTP status and body of the answer, from the order as it will be stored.
    pub answer: Answer,
}

impl std::fmt::Debug for Once {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Once").field("caller", &self.caller).field("path", &self.path).finish_non_exhaustive()
    }
}

impl Once {
    /// The row to store with the effect.
    #[must_use]
    pub fn row(self, order: &Order, at: Timestamp) -> OnceRow {
        let (status, body) = (self.answer)(order);
        OnceRow { caller: self.caller, path: self.path, key: self.key, fingerprint: self.fingerprint, status, body, at }
    }
}

/// A driver wants to charge.
#[derive(Debug)]
pub struct StartOrder {
    /// Who pays.
    pub user_id: UserId,
    /// Where.
    pub pile_code: PileCode,
    /// Which gun.
    pub connector_id: ConnectorId,
    /// How much at most.
    pub limit: OrderLimit,
    /// How it is paid for.
    pub pay_mode: PayMode,
    /// The idempotency key of the call.
    pub once: Option<Once>,
}

/// One operation of an account that no order is told of, with what belongs to it.
#[derive(Debug)]
pub struct MoveMoney {
    /// Whose account.
    pub user_id: UserId,
    /// What to do.
    pub op: LedgerOp,
    /// Facts to write with it, after it.
    pub with: Vec<Write>,
    /// The answer to the idempotent call that asks for it.
    pub once: Option<OnceRow>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// What it did, when it was done.
    pub result: OpResult,
    /// It had been done before: only the facts that belong to it were written.
    pub repeated: bool,
    /// The account afterwards.
    pub account: AccountState,
}

/// Why a call was refused; the HTTP layer turns each into its code, status and words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such pile.
    #[error("there is no pile {0}")]
    PileNotFound(PileCode),
    /// No such gun.
    #[error("pile {pile} has connectors 1 to {connectors}, not {connector}")]
    NoSuchConnector {
        /// Which pile.
        pile: PileCode,
        /// How many it has.
        connectors: u8,
        /// What was asked for.
        connector: ConnectorId,
    },
    /// No such alarm.
    #[error("there is no alarm {0}")]
    AlarmNotFound(String),
    /// No such order, or not the caller's.
    #[error("there is no order {0}")]
    OrderNotFound(OrderNo),
    /// The pile is not connected.
    #[error("pile {0} is offline")]
    PileOffline(PileCode),
    /// The pile or the gun reports a fault.
    #[error("pile {pile} reports fault {code}")]
    PileFaulted {
        /// Which pile.
        pile: PileCode,
        /// Which fault.
        code: String,
    },
    /// Taken out of service by a person.
    #[error("pile {pile} is in maintenance: {reason}")]
    PileMaintenance {
        /// Which pile.
        pile: PileCode,
        /// Why.
        reason: String,
    },
    /// Another order has the gun.
    #[error("connector {connector} of pile {pile} is in use")]
    ConnectorBusy {
        /// Which pile.
        pile: PileCode,
        /// Which gun.
        connector: ConnectorId,
    },
    /// The gun is known not to be in a car.
    #[error("connector {connector} of pile {pile} is not plugged in")]
    NotPlugged {
        /// Which pile.
        pile: PileCode,
        /// Which gun.
        connector: ConnectorId,
    },
    /// No prices are in force.
    #[error("station {0} has no tariff in force")]
    NoTariff(StationId),
    /// Too little money.
    #[error("{available} available, at least {required} needed")]
    InsufficientBalance {
        /// What there is.
        available: Fen,
        /// What is needed.
        required: Fen,
    },
    /// An earlier order is not paid.
    #[error("{0} of debt is open")]
    OpenDebt(Fen),
    /// The driver is on the blacklist.
    #[error("the account is blocked: {0}")]
    Blacklisted(String),
    /// The order or thing is not in a state that allows it.
    #[error("not possible: {0}")]
    IllegalState(String),
    /// A value is out of bounds.
    #[error("{0}")]
    Validation(String),
    /// The same idempotency key was used for something else, or is answered already.
    #[error("the idempotency key was used before")]
    OnceExists(Box<OnceRow>),
    /// Too many commands wait for the pile.
    #[error("pile {0} has too many commands waiting")]
    TooManyCommands(PileCode),
    /// The store is away; money stands still.
    #[error("the store is unavailable: {0}")]
    StoreUnavailable(String),
}

/// An understood frame on its way to its pile's actor.
#[derive(Debug)]
pub struct Up {
    /// From which pile.
    pub pile_no: PileNo,
    /// When the gate read it.
    pub received: Timestamp,
    /// What it says.
    pub frame: UpFrame,
    /// Where it was published.
    pub topic: UpTopic,
    /// Its bytes; empty for heartbeats and meters, which never need them again.
    pub raw: Box<[u8]>,
    /// Its receipt, for QoS 1.
    pub token: Option<AckToken>,
}

/// What the actors need of the chargers' side; implemented over the broker.
pub trait PileLink: Send + Sync + std::fmt::Debug {
    /// Hands a command to the pile's connection; `false` when there is none or its queue is full.
    fn send_command(
        &self,
        pile_no: PileNo,
        code: &PileCode,
        command: &domain::command::Command,
        now: Timestamp,
    ) -> bool;
    /// Tells the pile what became of its record; `false` when it is not connected.
    fn send_record_ack(
        &self,
        pile_no: PileNo,
        code: &PileCode,
        order_no: &str,
        seq: Option<u32>,
        result: domain::wire::RecordAckResult,
        now: Timestamp,
    ) -> bool;
    /// Frames are durable: their PUBACKs may leave.
    fn stored(&self, tokens: &mut Vec<AckToken>);
    /// One more frame of this pile that only the actors saw to be bad (unknown or foreign order).
    fn bad_frame(&self, pile_no: PileNo);
}

/// Who says of a bill that a person must look at it before money moves; implemented over the risk rules. Never blocks.
pub trait Reviewer: Send + Sync + std::fmt::Debug {
    /// The name of the rule that finds the bill suspect.
    fn suspect(&self, order: &Order, bill: &Bill) -> Option<String>;
}

/// What the phones' side needs to hear; implemented over the live push. Never blocks.
pub trait Audience: Send + Sync + std::fmt::Debug {
    /// New live values of a running order.
    fn progress(&self, order_no: &OrderNo, live: &Live);
    /// An order changed its state or its money, durably. `link` is that of its pile.
    fn order_changed(&self, order: &Order, link: LinkState);
    /// The link of a running order's pile changed.
    fn link_changed(&self, order_no: &OrderNo, link: LinkState);
    /// Something for the dashboard's list of events: code in UPPER_SNAKE, pile, order, words.
    fn event(&self, event: &FleetEvent);
}

/// Live values of a running order; estimates until the bill.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Live {
    /// Since the start.
    pub energy: WattHours,
    /// Estimated cost so far; never goes down.
    pub amount: Fen,
    /// At the gun.
    pub power: Option<Watts>,
    /// At the gun.
    pub voltage: Option<MilliVolts>,
    /// At the gun.
    pub current: Option<MilliAmps>,
    /// Battery.
    pub soc: Option<SocTenths>,
    /// Seconds since the start.
    pub duration_s: i64,
    /// By the pile's clock.
    pub as_of: Option<Timestamp>,
    /// Label of the price period.
    pub period: Option<Arc<str>>,
}

/// A line of the dashboard's event list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FleetEvent {
    /// When.
    pub at: Timestamp,
    /// What, in UPPER_SNAKE.
    pub code: &'static str,
    /// Where.
    pub pile_code: PileCode,
    /// About which order.
    pub order_no: Option<OrderNo>,
    /// Fault code, stop reason and the like.
    pub detail: String,
}

/// How fresh what we know of a pile is [CONTRACT 2].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkState {
    /// Connected and talking.
    Live,
    /// The socket closed, or no frame for a while.
    Stale,
    /// Silent for long.
    Offline,
}

/// What anybody may see of a pile without asking its actor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PileView {
    /// Its code.
    pub pile_code: PileCode,
    /// Where it stands.
    pub station_id: StationId,
    /// DC or AC.
    #[serde(rename = "type")]
    pub kind: PileKind,
    /// Rated power.
    pub max_power: Watts,
    /// `AVAILABLE`, `IN_USE`, `FAULTED`, `MAINTENANCE` or `OFFLINE`: the worst that holds.
    pub state: &'static str,
    /// How fresh this is.
    pub link: LinkState,
    /// Last frame of any kind.
    pub last_seen: Option<Timestamp>,
    /// Reason of the maintenance mode.
    pub maintenance: Option<String>,
    /// Fault codes that hold: (connector, code).
    pub faults: Vec<(u8, String)>,
    /// Each gun.
    pub connectors: Vec<ConnectorView>,
    /// Last heartbeat's power.
    pub power: Option<Watts>,
    /// Firmware as reported.
    pub firmware: Option<String>,
}

/// What anybody may see of a gun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectorView {
    /// Which.
    pub connector_id: ConnectorId,
    /// `AVAILABLE`, `PREPARING`, `STARTING`, `CHARGING`, `STOPPING`, `FINISHING`, `FAULTED`, `UNAVAILABLE`.
    pub state: &'static str,
    /// Whether it is in a car, if known.
    pub plugged: Option<bool>,
    /// The running order.
    pub order_no: Option<OrderNo>,
}

/// A command asked for by a person.
#[derive(Debug)]
pub struct AskCommand {
    /// Of which pile.
    pub pile_code: PileCode,
    /// What.
    pub kind: CommandKind,
    /// Under which id (new, random).
    pub command_id: CommandId,
    /// Who asks.
    pub actor: String,
    /// Stored with the command.
    pub once: Option<OnceRow>,
}

/// Times that an operator may set [CONTRACT 5].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// No frame for this long: stale.
    pub stale_after: Millis,
    /// No frame for this long: offline.
    pub offline_after: Millis,
    /// Evidence must come within this.
    pub start_deadline: Millis,
    /// A record must follow a fault within this.
    pub fault_wait: Millis,
    /// Silence of this length ends an order provisionally.
    pub offline_grace: Millis,
}

/// Everything the actors are built on.
#[derive(Debug, Clone)]
pub struct Ports {
    /// The time of the charging world.
    pub clock: Arc<dyn Clock>,
    /// Orders, accounts, registry.
    pub money: Arc<dyn store::money::Money>,
    /// What piles measured.
    pub telemetry: Arc<dyn store::telemetry::Telemetry>,
    /// The chargers.
    pub piles: Arc<dyn PileLink>,
    /// The phones and the dashboard.
    pub audience: Arc<dyn Audience>,
    /// The risk rules.
    pub reviewer: Arc<dyn Reviewer>,
}
