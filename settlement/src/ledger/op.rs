//! What may be asked of an account, and what it answers.

use domain::{Fen, OrderNo, UserId};
use serde::{Deserialize, Serialize};

use super::{AccountState, Entry};
use crate::pricing::Bill;

/// What is asked of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerOp {
    /// Money came in through a channel.
    TopUp {
        /// The payment; credited once.
        payment_no: String,
        /// How much; positive.
        amount: Fen,
    },
    /// Sets `min(want, available)` aside for an order.
    Hold {
        /// For which order.
        order_no: OrderNo,
        /// The order's limit, else the configured default.
        want: Fen,
        /// Less than this is refused.
        min: Fen,
    },
    /// Gives back what was set aside.
    Void {
        /// For which order.
        order_no: OrderNo,
    },
    /// Takes a bill: from the hold, then from what is available; the rest becomes a debt. What is left of the hold is
    /// given back.
    Capture {
        /// Of which order.
        order_no: OrderNo,
        /// What is taken; not negative.
        fees: Fees,
        /// The order was paid for in advance: what is available is not touched, the rest is owed.
        from_hold_only: bool,
    },
    /// Pays a debt from what is available.
    Repay {
        /// Of which order.
        order_no: OrderNo,
        /// How much; positive, at most the debt.
        amount: Fen,
        /// Names this repayment among those of the order.
        request: String,
    },
    /// Puts a captured bill right by signed differences: more is taken from what is available, then becomes debt; less
    /// pays the debt first, then goes back to available.
    Correct {
        /// Of which order.
        order_no: OrderNo,
        /// Corrected bill − provisional bill.
        fees: Fees,
    },
    /// Books a charge nobody may be asked to pay as the platform's loss; the driver's money is untouched.
    GhostLoss {
        /// Of which order.
        order_no: OrderNo,
        /// What it would have cost; not negative.
        fees: Fees,
    },
    /// Credits an after-sales refund.
    Refund {
        /// Of which order.
        order_no: OrderNo,
        /// The approved adjustment; credited once.
        adjustment_id: String,
        /// How much; positive.
        amount: Fen,
    },
    /// Gives a debt up.
    WriteOff {
        /// Of which order.
        order_no: OrderNo,
        /// The approved write-off; done once.
        write_off_id: String,
        /// How much; positive, at most the debt.
        amount: Fen,
    },
    /// Sets unused money aside that goes back through its channel.
    Withdraw {
        /// The refund.
        refund_no: String,
        /// How much; positive, at most what is available.
        amount: Fen,
    },
    /// The channel has given it back.
    Withdrawn {
        /// The refund.
        refund_no: String,
    },
    /// The channel will not give it back: it is available again.
    WithdrawBack {
        /// The refund.
        refund_no: String,
    },
    /// Books money that came in for nobody known; in the partition of [`suspense_account`](super::suspense_account).
    Suspend {
        /// Names it: channel and transaction.
        item: String,
        /// How much; positive.
        amount: Fen,
    },
    /// Takes it out for its owner, whose [`LedgerOp::Receive`] follows.
    Claim {
        /// Which.
        item: String,
    },
    /// Credits what was claimed.
    Receive {
        /// Which.
        item: String,
        /// How much; what the claim took out.
        amount: Fen,
    },
    /// Gives it back through its channel.
    SendBack {
        /// Which.
        item: String,
    },
}

/// The three kinds of fee of a bill; signed in a correction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fees {
    /// Electricity.
    pub electricity: Fen,
    /// Service.
    pub service: Fen,
    /// Occupancy.
    pub occupancy: Fen,
}

/// An operation worked out: what to store, whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerChange {
    /// Names the operation; the same name again is the same operation.
    pub op: String,
    /// The account's version this was computed from; 0 for an account without operations.
    pub expect_version: i64,
    /// The account afterwards.
    pub next: AccountState,
    /// The entries it adds.
    pub entries: Vec<Entry>,
    /// What it did; stored as JSON beside the operation, the answer to a repeat.
    pub result: OpResult,
}

/// What an operation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "did", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum OpResult {
    /// Credited.
    ToppedUp {
        /// How much.
        amount: Fen,
    },
    /// Set aside.
    Held {
        /// How much.
        amount: Fen,
    },
    /// Given back.
    Voided {
        /// How much.
        released: Fen,
    },
    /// Taken.
    Captured {
        /// From the hold and from available.
        paid: Fen,
        /// What was left of the hold.
        released: Fen,
        /// What was missing.
        debt: Fen,
    },
    /// Repaid.
    Repaid {
        /// How much.
        amount: Fen,
        /// What is still owed.
        debt_left: Fen,
    },
    /// Put right.
    Corrected {
        /// Signed change of what was paid.
        paid: Fen,
        /// Signed change of what is owed.
        debt: Fen,
    },
    /// Booked as loss.
    LossBooked {
        /// How much.
        amount: Fen,
    },
    /// Credited.
    Refunded {
        /// How much.
        amount: Fen,
    },
    /// Given up.
    WrittenOff {
        /// How much.
        amount: Fen,
        /// What is still owed.
        debt_left: Fen,
    },
    /// Moved between what is available, on its way, unknown, and the channel.
    Moved {
        /// How much.
        amount: Fen,
    },
}

/// Why the ledger refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// Too little is available.
    #[error("{available} are available, {needed} are needed: top up first")]
    InsufficientBalance {
        /// What is there.
        available: Fen,
        /// What must be there.
        needed: Fen,
    },
    /// The order's own limit is below the configured minimum.
    #[error("the limit of {limit} is below the minimum of {min}: ask for more, or for no limit")]
    LimitBelowMinimum {
        /// What was asked.
        limit: Fen,
        /// The least that can be set aside.
        min: Fen,
    },
    /// Something is owed.
    #[error("{debt} are owed for order {order_no}: repay first")]
    OpenDebt {
        /// For which order.
        order_no: OrderNo,
        /// How much.
        debt: Fen,
    },
    /// The order has money set aside already.
    #[error("money is set aside for order {0} already")]
    HoldExists(OrderNo),
    /// The order has no money set aside.
    #[error("no money is set aside for order {0}")]
    NoHold(OrderNo),
    /// The order has no debt.
    #[error("nothing is owed for order {0}")]
    NoDebt(OrderNo),
    /// More than is owed.
    #[error("{amount} are more than the {debt} owed for order {order_no}")]
    MoreThanDebt {
        /// For which order.
        order_no: OrderNo,
        /// What was offered.
        amount: Fen,
        /// What is owed.
        debt: Fen,
    },
    /// An amount must be positive.
    #[error("an amount must be positive, this is {0}")]
    NotPositive(Fen),
    /// A fee of a bill must not be negative.
    #[error("a fee must not be negative, this is {0}")]
    NegativeFee(Fen),
    /// The refund was set aside already, or the suspense item is there already.
    #[error("{0} is on its way already")]
    InTransit(String),
    /// No such refund is on its way, or no such money is in suspense.
    #[error("nothing of {0} is there to move")]
    NotInTransit(String),
    /// Money of nobody known lies in its own partition only.
    #[error("suspense operations belong to the account ~suspense, not to {0}")]
    NotSuspense(UserId),
    /// Numbers beyond all sense.
    #[error("the amount is too large for the books")]
    Overflow,
}

impl LedgerOp {
    /// The operation's name: the same for the same thing, however often it is asked for.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::TopUp { payment_no, .. } => format!("topup:{payment_no}"),
            Self::Hold { order_no, .. } => format!("hold:{order_no}"),
            Self::Void { order_no } => format!("void:{order_no}"),
            Self::Capture { order_no, .. } => format!("capture:{order_no}"),
            Self::Repay { order_no, request, .. } => format!("repay:{order_no}:{request}"),
            Self::Correct { order_no, .. } => format!("correct:{order_no}"),
            Self::GhostLoss { order_no, .. } => format!("ghost:{order_no}"),
            Self::Refund { adjustment_id, .. } => format!("refund:{adjustment_id}"),
            Self::WriteOff { write_off_id, .. } => format!("writeoff:{write_off_id}"),
            Self::Withdraw { refund_no, .. } => format!("withdraw:{refund_no}"),
            Self::Withdrawn { refund_no } => format!("withdrawn:{refund_no}"),
            Self::WithdrawBack { refund_no } => format!("withdraw-back:{refund_no}"),
            Self::Suspend { item, .. } => format!("suspend:{item}"),
            Self::Claim { item } => format!("claim:{item}"),
            Self::Receive { item, .. } => format!("receive:{item}"),
            Self::SendBack { item } => format!("send-back:{item}"),
        }
    }
}

impl Fees {
    /// The fees of a bill.
    #[must_use]
    pub const fn of(bill: &Bill) -> Self {
        Self { electricity: bill.electricity_fen, service: bill.service_fen, occupancy: bill.occupancy_fen }
    }

    /// The sum; `None` past the range of the type.
    #[must_use]
    pub fn total(&self) -> Option<Fen> {
        self.electricity.checked_add(self.service)?.checked_add(self.occupancy)
    }

    /// These fees less those of `earlier`, kind by kind; `None` past the range of the type.
    #[must_use]
    pub fn less(&self, earlier: &Self) -> Option<Self> {
        Some(Self {
            electricity: self.electricity.checked_sub(earlier.electricity)?,
            service: self.service.checked_sub(earlier.service)?,
            occupancy: self.occupancy.checked_sub(earlier.occupancy)?,
        })
    }
}
