//! After-sales refunds: what may be asked for an order, by whom, and where the request is. The ledger has the last word
//! when the money moves.

use domain::{Fen, OrderNo, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use crate::{
    approval::{Actor, Approval, ApprovalState},
    order::Order,
};

/// A refund of what was paid for an order, credited to the driver once it is approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Adjustment {
    /// Its name; also that of the ledger operation `refund:{adjustmentId}`.
    pub adjustment_id: String,
    /// Of which order.
    pub order_no: OrderNo,
    /// Whose order.
    pub user_id: UserId,
    /// What had been paid for the order when it was asked for: all of it back is another matter than a part.
    pub paid_fen: Fen,
    /// What speaks for it: a text, a link to a picture.
    pub evidence: Option<String>,
    /// Who asked, how much, who decided.
    pub approval: Approval,
    /// Counts the stored changes.
    pub rev: i64,
}

/// Why a refund cannot be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdjustmentError {
    /// The order is not over.
    #[error("order {0} is not over: wait for its bill")]
    NotOver(OrderNo),
    /// More than what is left of what was paid.
    #[error("{asked} are more than the {left} that are paid and not given back of order {order_no}")]
    MoreThanPaid {
        /// Which order.
        order_no: OrderNo,
        /// What was asked.
        asked: Fen,
        /// What could be given back.
        left: Fen,
    },
    /// Nothing or less.
    #[error("a refund must be positive, this is {0}")]
    NotPositive(Fen),
}

impl Adjustment {
    /// A request for a refund.
    ///
    /// # Errors
    /// [`AdjustmentError`].
    pub fn request(
        adjustment_id: String,
        order: &Order,
        amount: Fen,
        author: Actor,
        reason: String,
        now: Timestamp,
    ) -> Result<Self, AdjustmentError> {
        if !order.status.is_over() {
            return Err(AdjustmentError::NotOver(order.order_no.clone()));
        }
        if amount <= Fen::ZERO {
            return Err(AdjustmentError::NotPositive(amount));
        }
        let left = order.refundable();
        if amount > left {
            return Err(AdjustmentError::MoreThanPaid { order_no: order.order_no.clone(), asked: amount, left });
        }
        Ok(Self {
            adjustment_id,
            order_no: order.order_no.clone(),
            user_id: order.user_id.clone(),
            paid_fen: order.paid_fen,
            evidence: None,
            approval: Approval::new(amount, author, reason, now),
            rev: 1,
        })
    }

    /// Its state as the API says it.
    #[must_use]
    pub const fn state_word(&self) -> &'static str {
        match self.approval.state {
            ApprovalState::Requested => "REQUESTED",
            ApprovalState::Approved => "APPROVED",
            ApprovalState::Done => "CREDITED",
            ApprovalState::Rejected => "REJECTED",
        }
    }
}
