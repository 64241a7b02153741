//! The order machine: life × money × correction of one charging session [CONTRACT 2].
//!
//! Knows no storage, no clock and no prices: a bill comes in priced, an event comes in with its time. It decides what an
//! event means for an order and nothing else; which facts are then stored, and when, is the business of
//! [`settle`](crate::settle).
//!
//! ```text
//!            StopAsked                    StopAsked
//!   PLACED ───────────▶ CANCELED ◀─────────────────┐        StartRejected
//!     │ Frozen                                     │        StartDeadlinePassed
//!     └────────────────────────────────────▶ STARTING ────────────────────▶ START_FAILED
//!                                     EvidenceSeen │ │
//!                                                  │ │ RecordReceived (a record is evidence)
//!                 StopUnanswered (stop_pending)    ▼ │
//!        ┌──────────────────────────────────▶ CHARGING ─┐
//!        │                   StopAsked (pile online), │ │ RecordReceived
//!        │                StopAccepted, FaultReported │ │ ProvisionalEnded (provisional)
//!        │                                            ▼ │
//!        └──────────────────────────────────── STOPPING │
//!                                      RecordReceived │ │
//!                                    ProvisionalEnded ▼ ▼   HeldForReview
//!                                             SETTLING ◀───────────────▶ HELD ──▶ EXCEPTION_CLOSED
//!                                        Captured │        Approved           Rejected
//!                                                 ▼
//!                                 CLOSED | EXCEPTION_CLOSED (stopReason 3, 7, 8, 10, or provisional)
//! ```
//!
//! Beside the status, in place: `StopAsked` for an offline pile sets `stop_pending`; `FaultReported` while STOPPING sets
//! `stopReason` 3 and the code, and the record that follows cannot take them away; `CorrectionMade` puts a provisional
//! bill right wherever its order is (HELD, EXCEPTION_CLOSED); `Repaid` and `WrittenOff` lower the debt of a closed order,
//! `Refunded` gives back of what was paid; `GhostSeen` and
//! `GhostSettled` note a charge that began after START_FAILED or CANCELED. Everything else is illegal or repeated,
//! changes nothing, and is told by a history row with the outcome IGNORED.

mod change;
mod event;
mod machine;

use domain::{
    ConnectorId, Fen, OrderNo, PileCode, PileNo, SocTenths, StationId, StopReason, Timestamp, UserId, WattHours,
};
use serde::{Deserialize, Serialize};

use crate::pricing::Bill;

pub use event::{OrderEvent, ProvisionalCause, RecordFacts, StopBy};

/// One charging session and its money. Changed only by the order machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// Its name.
    pub order_no: OrderNo,
    /// Who pays.
    pub user_id: UserId,
    /// Where.
    pub pile_code: PileCode,
    /// Where, as the hub numbers it.
    pub pile_no: PileNo,
    /// Whose time zone and prices.
    pub station_id: StationId,
    /// Which gun.
    pub connector_id: ConnectorId,
    /// What the driver asked for.
    pub limit: OrderLimit,
    /// How it is paid for.
    #[serde(default)]
    pub pay_mode: PayMode,
    /// The tariff in force at creation, used to the end.
    pub tariff_id: String,
    /// See `tariff_id`.
    pub tariff_version: u32,
    /// Where it is in its life.
    pub status: OrderStatus,
    /// Where its money is.
    pub payment_status: PaymentStatus,
    /// Settled without the charger's record.
    pub provisional: bool,
    /// A stop was asked for while the pile was offline and waits for it.
    pub stop_pending: bool,
    /// Why it ended.
    pub stop_reason: Option<StopReason>,
    /// The charger's code for the fault that ended it.
    pub fault_code: Option<String>,
    /// Energy of the bill, else of the last evidence that was stored.
    pub energy_wh: WattHours,
    /// Battery at the start.
    pub start_soc: Option<SocTenths>,
    /// Battery at the end.
    pub end_soc: Option<SocTenths>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When current began to flow, by the charger's evidence.
    pub started_at: Option<Timestamp>,
    /// When it stopped.
    pub ended_at: Option<Timestamp>,
    /// Set aside at the start.
    pub frozen_fen: Fen,
    /// Fixed before any money moves; after a correction, the corrected sums.
    pub bill: Option<Bill>,
    /// What has been taken, repayments included.
    pub paid_fen: Fen,
    /// What was given back from the frozen sum.
    pub released_fen: Fen,
    /// What is still owed.
    pub debt_fen: Fen,
    /// What was given back afterwards; never more than was paid.
    #[serde(default)]
    pub refunded_fen: Fen,
    /// What was given up of the debt.
    #[serde(default)]
    pub written_off_fen: Fen,
    /// The pile's energy register at the start and at the end, as the record says.
    #[serde(default)]
    pub meter_start: Option<WattHours>,
    /// See `meter_start`.
    #[serde(default)]
    pub meter_end: Option<WattHours>,
    /// Why the bill waits for a person, or waited: the name of the rule.
    #[serde(default)]
    pub hold_reason: Option<String>,
    /// Differences to the provisional bill.
    pub corrections: Vec<Correction>,
    /// Charge that began after the order was over: paid by the platform.
    pub ghost: Option<Ghost>,
    /// What a person decided about a bill that was held.
    #[serde(default)]
    pub review: Option<Review>,
    /// Counts the stored changes.
    pub rev: i64,
}

/// How an order is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PayMode {
    /// A sum is set aside, the bill taken from it and from what is available, the rest given back.
    #[default]
    Freeze,
    /// A fixed sum is paid in advance: the bill is taken from it alone. What is left goes back, what is missing is asked
    /// for as a debt.
    Prepaid,
    /// Nothing is set aside: the bill is taken from what is available, the rest is a debt.
    Postpaid,
}

/// What the driver asked for; nothing means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderLimit {
    /// Money.
    pub amount_fen: Option<Fen>,
    /// Energy.
    pub energy_wh: Option<WattHours>,
    /// Time in seconds.
    pub duration_s: Option<u32>,
    /// Battery.
    pub soc: Option<SocTenths>,
}

/// Where an order is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OrderStatus {
    /// Written down, nothing frozen yet.
    Placed,
    /// Frozen, the start command is on its way.
    Starting,
    /// The charger has shown that current flows.
    Charging,
    /// A stop was asked for or a fault reported; the record is awaited.
    Stopping,
    /// The bill is fixed, the money not yet moved.
    Settling,
    /// The bill waits for a person.
    Held,
    /// Over.
    Closed,
    /// Over: ended by a fault, never finished by the charger, or rejected by risk.
    ExceptionClosed,
    /// Over: the charger never began.
    StartFailed,
    /// Over: called off before the charger began.
    Canceled,
}

/// Where an order's money is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PaymentStatus {
    /// Nothing set aside, nothing taken.
    None,
    /// Set aside.
    Frozen,
    /// Taken in full.
    Paid,
    /// Something is owed.
    Unpaid,
    /// Some was given back afterwards.
    PartiallyRefunded,
    /// All was given back afterwards.
    Refunded,
}

/// The difference between a provisional bill and the charger's record [CONTRACT 2].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Correction {
    /// When it was made.
    pub at: Timestamp,
    /// Signed difference in energy.
    pub energy_wh: WattHours,
    /// Signed difference in electricity.
    pub electricity_fen: Fen,
    /// Signed difference in service.
    pub service_fen: Fen,
    /// Signed difference of the total.
    pub total_fen: Fen,
}

/// A charge that began after its order was over; the platform's loss.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ghost {
    /// First evidence.
    pub since: Timestamp,
    /// What it cost, once its record is settled.
    pub bill: Option<Bill>,
}

/// A person's decision about a held bill [CONTRACT 2.2].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Review {
    /// Who decided; `None` when a crash lost it between the money and the order (the audit trail has it).
    pub by: Option<UserId>,
    /// What.
    pub verdict: Verdict,
    /// When.
    pub at: Timestamp,
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// The bill is taken as it is.
    Approved,
    /// Nothing is taken.
    Rejected,
}

/// One row of an order's history, applied or ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryRow {
    /// When.
    pub at: Timestamp,
    /// Status before.
    pub from: OrderStatus,
    /// Status after.
    pub to: OrderStatus,
    /// The event, in UPPER_SNAKE with its detail.
    pub event: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    /// It changed the order.
    Applied,
    /// It was illegal or repeated and changed nothing.
    Ignored,
}

/// What is known when an order is created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrder {
    /// Its name.
    pub order_no: OrderNo,
    /// Who pays.
    pub user_id: UserId,
    /// Where.
    pub pile_code: PileCode,
    /// Where, as the hub numbers it.
    pub pile_no: PileNo,
    /// Whose time zone and prices.
    pub station_id: StationId,
    /// Which gun.
    pub connector_id: ConnectorId,
    /// What the driver asked for.
    pub limit: OrderLimit,
    /// How it is paid for.
    pub pay_mode: PayMode,
    /// The tariff in force.
    pub tariff_id: String,
    /// See `tariff_id`.
    pub tariff_version: u32,
    /// The hub's time.
    pub created_at: Timestamp,
}

impl Order {
    /// An order that was only written down: PLACED, revision 1.
    #[must_use]
    pub fn new(facts: NewOrder) -> Self {
        Self {
            order_no: facts.order_no,
            user_id: facts.user_id,
            pile_code: facts.pile_code,
            pile_no: facts.pile_no,
            station_id: facts.station_id,
            connector_id: facts.connector_id,
            limit: facts.limit,
            pay_mode: facts.pay_mode,
            tariff_id: facts.tariff_id,
            tariff_version: facts.tariff_version,
            status: OrderStatus::Placed,
            payment_status: PaymentStatus::None,
            provisional: false,
            stop_pending: false,
            stop_reason: None,
            fault_code: None,
            energy_wh: WattHours::ZERO,
            start_soc: None,
            end_soc: None,
            created_at: facts.created_at,
            started_at: None,
            ended_at: None,
            frozen_fen: Fen::ZERO,
            bill: None,
            paid_fen: Fen::ZERO,
            released_fen: Fen::ZERO,
            debt_fen: Fen::ZERO,
            refunded_fen: Fen::ZERO,
            written_off_fen: Fen::ZERO,
            meter_start: None,
            meter_end: None,
            hold_reason: None,
            corrections: Vec::new(),
            ghost: None,
            review: None,
            rev: 1,
        }
    }
}

impl OrderStatus {
    /// As the API says it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Placed => "PLACED",
            Self::Starting => "STARTING",
            Self::Charging => "CHARGING",
            Self::Stopping => "STOPPING",
            Self::Settling => "SETTLING",
            Self::Held => "HELD",
            Self::Closed => "CLOSED",
            Self::ExceptionClosed => "EXCEPTION_CLOSED",
            Self::StartFailed => "START_FAILED",
            Self::Canceled => "CANCELED",
        }
    }

    /// Whether the order is over.
    #[must_use]
    pub const fn is_over(self) -> bool {
        match self {
            Self::Closed | Self::ExceptionClosed | Self::StartFailed | Self::Canceled => true,
            Self::Placed | Self::Starting | Self::Charging | Self::Stopping | Self::Settling | Self::Held => false,
        }
    }
}
