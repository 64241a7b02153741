//! Debts as people look at them: where one is, what comes next, and which debts a top-up pays.
//!
//! The ledger moves the money and the order machine keeps the sums; here they are only read. Knows no storage and no
//! clock.

mod watch;
mod write_off;

use std::collections::BTreeMap;

use domain::{Fen, OrderNo, UserId};
use serde::{Deserialize, Serialize};

pub use watch::{DebtPolicy, DebtStep, DebtWatch, POLICY};
pub use write_off::{WriteOff, WriteOffError};

use crate::order::Order;

/// Where a debt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DebtState {
    /// All of it is owed.
    Open,
    /// A part of it was paid or written off.
    Partly,
    /// It was paid.
    Cleared,
    /// The last of it was given up.
    WrittenOff,
}

/// A debt of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Debt {
    /// Of which order.
    pub order_no: OrderNo,
    /// Who owes.
    pub user_id: UserId,
    /// Where it is.
    pub state: DebtState,
    /// What was missing when the order was settled and corrected.
    pub owed: Fen,
    /// What was paid of it.
    pub repaid: Fen,
    /// What was given up.
    pub written_off: Fen,
    /// What is still owed.
    pub left: Fen,
}

impl DebtState {
    /// As the API says it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Partly => "PARTLY",
            Self::Cleared => "CLEARED",
            Self::WrittenOff => "WRITTEN_OFF",
        }
    }

    /// Whether something is owed.
    #[must_use]
    pub const fn is_open(self) -> bool {
        match self {
            Self::Open | Self::Partly => true,
            Self::Cleared | Self::WrittenOff => false,
        }
    }
}

impl Debt {
    /// The debt of an order of which `owed` was missing when it was settled and corrected; `None` when nothing was.
    #[must_use]
    pub fn of(order: &Order, owed: Fen) -> Option<Self> {
        let (left, written_off) = (order.debt_fen, order.written_off_fen);
        // An order that knows of a larger debt than the ledger told is believed: nothing owed may look paid.
        let owed = owed.max(left.checked_add(written_off)?);
        if owed <= Fen::ZERO {
            return None;
        }
        let repaid = owed.checked_sub(left)?.checked_sub(written_off)?;
        let state = match (left > Fen::ZERO, written_off > Fen::ZERO) {
            (true, _) if left == owed => DebtState::Open,
            (true, _) => DebtState::Partly,
            (false, true) => DebtState::WrittenOff,
            (false, false) => DebtState::Cleared,
        };
        Some(Self {
            order_no: order.order_no.clone(),
            user_id: order.user_id.clone(),
            state,
            owed,
            repaid,
            written_off,
            left,
        })
    }
}

/// Which debts are paid from what is available, oldest first (the hub's order numbers rise with time), each as far as
/// it goes.
#[must_use]
pub fn allot(debts: &BTreeMap<OrderNo, Fen>, available: Fen) -> Vec<(OrderNo, Fen)> {
    let mut left = available;
    let mut paid = Vec::new();
    for (order_no, debt) in debts {
        let amount = left.min(*debt);
        if amount <= Fen::ZERO {
            break;
        }
        paid.push((order_no.clone(), amount));
        left = left.checked_sub(amount).unwrap_or_default();
    }
    paid
}
