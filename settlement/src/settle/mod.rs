//! Planners: which facts a step of an order stores, and in which order they may become visible.
//!
//! A planner reads an order and its driver's account, asks the order machine and the ledger, and answers a [`Plan`]; it
//! stores nothing. The steps of a plan stand in the order bill stored → money moved → order closed, so that an engine
//! that stores only a prefix of them (a crash, a lost answer) leaves something that [`resume`] can finish:
//!
//! | what [`resume`] finds | what happened | what it plans |
//! |---|---|---|
//! | PLACED, hold | the order after the hold is missing | STARTING |
//! | PLACED, no hold | nothing was set aside | CANCELED |
//! | STARTING, no hold | START_FAILED or CANCELED after the void is missing | START_FAILED |
//! | SETTLING, hold, total over the threshold, no review | HELD is missing | HELD |
//! | SETTLING, hold | the capture is missing | capture, closed |
//! | SETTLING, no hold | the order after the capture is missing | closed |
//! | HELD, no hold | the order after the rejection's void is missing | EXCEPTION_CLOSED |
//! | closed, owes more than the account says | the order after a repayment or a write-off is missing | the repayment, the write-off |
//!
//! Some operations leave no trace in the account by which to tell whether they were done: a correction, the loss of a
//! ghost charge, an after-sales refund. When the store answers that the operation exists already, the caller plans again with `money_done`.
//!
//! # Corrections
//! A provisional order is put right by the difference, whatever became of it in the meantime:
//!
//! | provisional order is | the record changes | money |
//! |---|---|---|
//! | SETTLING | nothing yet: [`resume`] first | |
//! | HELD | the bill a person will decide about; it stays HELD, also when the corrected total is under the threshold | none moved yet, none moves |
//! | closed, taken (also after an approval) | bill, paid, debt | more: from available, then debt; less: the debt first, then back to available. Never held again |
//! | closed, partly or wholly repaid | bill, paid, debt | as above: a repayment is money paid |
//! | closed, rejected | the bill as it should have been | none: a person decided that nothing is taken |
//! | closed, no hold left, debt open | bill, paid, debt | as above; the open debt grows or shrinks |
//!
//! The status stays, `provisional` becomes false, and `stopReason` becomes the record's unless a fault was reported. A
//! second record of an order is not a correction: the first one stands [CONTRACT 1.3].

mod after;
mod correct;
mod draft;
mod finish;
mod resume;
mod start;
mod stop;

use domain::{Fen, OrderNo, Timestamp, UserId};

use crate::{
    ledger::{self, AccountState, LedgerChange, LedgerError, LedgerOp},
    order::{HistoryRow, Order, OrderStatus, Outcome},
};

pub use after::{refund, write_off};
pub use correct::{correct, repay};
pub use finish::{LARGE_ORDER, approve, end_provisionally, finish, record, reject};
pub use resume::resume;
pub use start::{StartFailure, cancel, evidence, fail_start, ghost, place};
pub use stop::{ask_stop, fault, stop_accepted, stop_unanswered};

/// The configured amounts [CONTRACT 2.2].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoneyRules {
    /// Set aside when the order has no limit of its own.
    pub freeze_default: Fen,
    /// Less than this is not set aside.
    pub freeze_min: Fen,
    /// A total over this waits for a person; the threshold itself does not.
    pub hold_over: Fen,
    /// Why a bill of any size waits for a person: the name of the risk rule that says so of this order.
    pub suspect: Option<String>,
}

/// One fact to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A new order.
    NewOrder(Box<Order>),
    /// A changed order; its `rev` is one more than that of the stored one.
    Order(Box<Order>),
    /// History rows to append.
    History(OrderNo, Vec<HistoryRow>),
    /// Money to move.
    Ledger(Box<LedgerChange>),
}

/// What to store, first to last, and what is true afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The facts, in the order in which they may become visible.
    pub steps: Vec<Step>,
    /// The order afterwards.
    pub order: Order,
    /// The account afterwards.
    pub account: AccountState,
    /// What became of the event asked for; when ignored, the only step is its history row.
    pub outcome: Outcome,
}

/// Why a step is refused; nothing is stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettleError {
    /// The money does not allow it.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The order must be resumed first.
    #[error("order {order_no} is {status:?} and was interrupted: resume it first")]
    Interrupted {
        /// Which order.
        order_no: OrderNo,
        /// Where it is.
        status: OrderStatus,
    },
    /// More would be given back than was paid.
    #[error("{amount} are more than the {most} paid for order {order_no} and not given back yet")]
    MoreThanPaid {
        /// Which order.
        order_no: OrderNo,
        /// What was asked for.
        amount: Fen,
        /// What there is to give back.
        most: Fen,
    },
    /// Account and order belong to different drivers.
    #[error("order {order_no} does not belong to the account of {user_id}")]
    WrongAccount {
        /// Which order.
        order_no: OrderNo,
        /// Whose account.
        user_id: UserId,
    },
}

/// What every planner of an order answers.
pub type Planned = Result<Plan, SettleError>;

/// Credits a payment, once per `payment_no`.
///
/// # Errors
/// [`LedgerError::NotPositive`], [`LedgerError::Overflow`].
pub fn top_up(
    account: &AccountState,
    payment_no: &str,
    amount: Fen,
    now: Timestamp,
) -> Result<LedgerChange, LedgerError> {
    ledger::apply(account, &LedgerOp::TopUp { payment_no: payment_no.to_owned(), amount }, now)
}
