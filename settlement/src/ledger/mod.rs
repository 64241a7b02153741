//! Double-entry ledger: one partition per account, every operation a pure function from state to state plus entries.
//!
//! The books know nothing of orders but their names, and nothing of time but the stamp they are given. Only [`apply`]
//! makes a changed account. An operation has a name that follows from what it is about (`hold:{orderNo}`, …): whoever
//! stores it refuses a second one of the same name, which is what makes money move once.
//!
//! | operation | name | debit → credit |
//! |---|---|---|
//! | top-up | `topup:{paymentNo}` | channel → driver available |
//! | hold | `hold:{orderNo}` | driver available → driver frozen |
//! | void | `void:{orderNo}` | driver frozen → driver available |
//! | capture | `capture:{orderNo}` | driver frozen, driver available, receivable → revenues; rest: driver frozen → available |
//! | repay | `repay:{orderNo}:{request}` | driver available → receivable |
//! | correct, more | `correct:{orderNo}` | driver available, receivable → revenues |
//! | correct, less | `correct:{orderNo}` | revenues → receivable, driver available |
//! | ghost loss | `ghost:{orderNo}` | platform loss → revenues |
//! | refund | `refund:{adjustmentId}` | adjustment → driver available |
//! | write-off | `writeoff:{writeOffId}` | adjustment → receivable |
//! | withdraw | `withdraw:{refundNo}` | driver available → refund transit |
//! | withdrawn | `withdrawn:{refundNo}` | refund transit → channel |
//! | withdraw back | `withdraw-back:{refundNo}` | refund transit → driver available |
//! | suspend | `suspend:{item}` | channel → suspense |
//! | claim | `claim:{item}` | suspense → transfer |
//! | receive | `receive:{item}` | transfer → driver available |
//! | send back | `send-back:{item}` | suspense → channel |
//!
//! Money whose owner nobody knows lies in the partition of [`suspense_account`]. It gets to its owner in two operations,
//! because no operation spans two partitions: what was claimed and not yet received stands in `transfer`.

mod apply;
mod op;
mod posting;
mod transit;

use std::collections::BTreeMap;

use domain::{Fen, OrderNo, Timestamp, UserId};
use serde::{Deserialize, Serialize};

pub use apply::apply;
pub use op::{Fees, LedgerChange, LedgerError, LedgerOp, OpResult};

/// Everything the ledger knows of one driver's account; changed only by [`apply`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountState {
    /// Whose.
    pub user_id: UserId,
    /// Free to use; never negative.
    pub available: Fen,
    /// Sum of the open holds.
    pub frozen: Fen,
    /// Counts the operations; the next one must find it unchanged.
    pub version: i64,
    /// Number of the last entry.
    pub entry_seq: i64,
    /// Open holds by order.
    pub holds: BTreeMap<OrderNo, Fen>,
    /// Open debts by order: what is still owed.
    pub debts: BTreeMap<OrderNo, Fen>,
    /// What was given up of debts, by order, for ever: tells a write-off from a repayment.
    #[serde(default)]
    pub written_off: BTreeMap<OrderNo, Fen>,
    /// What was given back of payments, by order, for ever: an order that has not heard of a refund learns it here.
    #[serde(default)]
    pub refunded: BTreeMap<OrderNo, Fen>,
    /// Refunds on their way to the channel, by refund number.
    #[serde(default)]
    pub transit: BTreeMap<String, Fen>,
    /// Money nobody knows the owner of, by item; only in the partition of [`suspense_account`].
    #[serde(default)]
    pub suspense: BTreeMap<String, Fen>,
}

/// The named accounts of the books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BookAccount {
    /// What the driver may spend (a liability of the platform).
    DriverAvailable,
    /// What is set aside for running orders (a liability of the platform).
    DriverFrozen,
    /// What the driver owes (an asset).
    Receivable,
    /// Income from electricity.
    EnergyRevenue,
    /// Income from service.
    ServiceRevenue,
    /// Income from occupancy.
    OccupancyRevenue,
    /// Money at the payment channel (an asset).
    Channel,
    /// What the platform pays for itself: ghost charges.
    PlatformLoss,
    /// After-sales refunds and write-offs.
    Adjustment,
    /// On its way back to where it came from (a liability of the platform).
    RefundTransit,
    /// Came in and nobody knows for whom (a liability of the platform).
    Suspense,
    /// Claimed in one partition and not yet received in another.
    Transfer,
}

/// One line of the books: appended, never edited. `amount` is debited to one account and credited to another, so that
/// every line balances by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// In whose partition.
    pub user_id: UserId,
    /// 1, 2, 3 … per account without gaps.
    pub seq: i64,
    /// The operation it belongs to.
    pub op: String,
    /// Account debited.
    pub debit: BookAccount,
    /// Account credited.
    pub credit: BookAccount,
    /// Always positive, in fen.
    pub amount: Fen,
    /// The order it is about.
    pub order_no: Option<OrderNo>,
    /// Why, as the driver may read it.
    pub kind: EntryKind,
    /// When.
    pub at: Timestamp,
}

/// Why money moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EntryKind {
    /// Money came in through a channel.
    TopUp,
    /// Set aside for an order.
    Freeze,
    /// Given back from what was set aside.
    Release,
    /// Taken for a charge.
    Charge,
    /// A debt began.
    Debt,
    /// A debt was paid.
    Repay,
    /// A provisional bill was put right.
    Correction,
    /// A charge the platform pays for.
    PlatformLoss,
    /// After-sales refund.
    AfterSalesRefund,
    /// A debt nobody will pay.
    WriteOff,
    /// Unused money goes back through its channel.
    Withdrawal,
    /// The channel did not take it: it is available again.
    WithdrawalBack,
    /// Money nobody knows the owner of.
    Suspense,
    /// Such money found its owner.
    SuspenseResolved,
}

impl AccountState {
    /// An account before its first operation.
    #[must_use]
    pub const fn new(user_id: UserId) -> Self {
        Self {
            user_id,
            available: Fen::ZERO,
            frozen: Fen::ZERO,
            version: 0,
            entry_seq: 0,
            holds: BTreeMap::new(),
            debts: BTreeMap::new(),
            written_off: BTreeMap::new(),
            refunded: BTreeMap::new(),
            transit: BTreeMap::new(),
            suspense: BTreeMap::new(),
        }
    }
}

/// The partition of money nobody knows the owner of. No token can carry this name: the hub refuses it as a `sub`.
///
/// # Panics
/// Never: the name is a valid one.
#[must_use]
pub fn suspense_account() -> UserId {
    #[allow(clippy::unwrap_used, reason = "a constant, checked by a test")]
    UserId::parse(SUSPENSE_ACCOUNT).unwrap()
}

/// See [`suspense_account`].
pub const SUSPENSE_ACCOUNT: &str = "~suspense";
