//! Giving a debt up: asked for by one person, approved by another. The ledger has the last word when it is booked.

use domain::{Fen, OrderNo, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use crate::{
    approval::{Actor, Approval, ApprovalState},
    order::Order,
};

/// A debt, or a part of it, that is to be given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WriteOff {
    /// Its name; also that of the ledger operation `writeoff:{writeOffId}`.
    pub write_off_id: String,
    /// Of which order.
    pub order_no: OrderNo,
    /// Who owes.
    pub user_id: UserId,
    /// Who asked, how much, who decided.
    pub approval: Approval,
    /// Counts the stored changes.
    pub rev: i64,
}

/// Why a write-off cannot be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteOffError {
    /// Nothing is owed.
    #[error("nothing is owed for order {0}")]
    NoDebt(OrderNo),
    /// More than is owed.
    #[error("{asked} are more than the {owed} owed for order {order_no}")]
    MoreThanDebt {
        /// Which order.
        order_no: OrderNo,
        /// What was asked.
        asked: Fen,
        /// What is owed.
        owed: Fen,
    },
    /// Nothing or less.
    #[error("a write-off must be positive, this is {0}")]
    NotPositive(Fen),
}

impl WriteOff {
    /// A request to give up `amount` of an order's debt; all of it when none is given.
    ///
    /// # Errors
    /// [`WriteOffError`].
    pub fn request(
        write_off_id: String,
        order: &Order,
        amount: Option<Fen>,
        author: UserId,
        reason: String,
        now: Timestamp,
    ) -> Result<Self, WriteOffError> {
        let owed = order.debt_fen;
        if owed <= Fen::ZERO {
            return Err(WriteOffError::NoDebt(order.order_no.clone()));
        }
        let asked = amount.unwrap_or(owed);
        if asked <= Fen::ZERO {
            return Err(WriteOffError::NotPositive(asked));
        }
        if asked > owed {
            return Err(WriteOffError::MoreThanDebt { order_no: order.order_no.clone(), asked, owed });
        }
        Ok(Self {
            write_off_id,
            order_no: order.order_no.clone(),
            user_id: order.user_id.clone(),
            approval: Approval::new(asked, Actor::Person(author), reason, now),
            rev: 1,
        })
    }

    /// Its state as the API says it.
    #[must_use]
    pub const fn state_word(&self) -> &'static str {
        match self.approval.state {
            ApprovalState::Requested => "REQUESTED",
            ApprovalState::Approved => "APPROVED",
            ApprovalState::Done => "WRITTEN_OFF",
            ApprovalState::Rejected => "REJECTED",
        }
    }
}
