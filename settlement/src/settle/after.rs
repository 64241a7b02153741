//! What two persons may do to a closed order: give back of what was paid, give up of what is owed.

use domain::{Fen, Timestamp};

use super::{Planned, SettleError, draft::Draft, resume::note_missed};
use crate::{
    ledger::{AccountState, LedgerOp},
    order::{Order, OrderEvent, OrderStatus, Outcome},
};

/// Credits an approved adjustment as an after-sales refund. `money_done`: the store says that `refund:{adjustmentId}` was
/// done before; then only the order is told, if it has not heard of it.
///
/// # Errors
/// [`SettleError::MoreThanPaid`] when more would be given back than was paid, or nothing.
pub fn refund(
    order: &Order,
    account: &AccountState,
    adjustment_id: &str,
    amount: Fen,
    money_done: bool,
    now: Timestamp,
) -> Planned {
    let mut draft = Draft::new(order, account)?;
    note_missed(&mut draft, now);
    if !money_done {
        let event = OrderEvent::Refunded { amount };
        let (order_no, most) = (order.order_no.clone(), draft.order.refundable());
        if !draft.order.accepts(&event) {
            return Err(SettleError::MoreThanPaid { order_no, amount, most });
        }
        draft.ledger(&LedgerOp::Refund { order_no, adjustment_id: adjustment_id.to_owned(), amount }, now)?;
        draft.event(&event, now);
    }
    let outcome = if draft.is_empty() { Outcome::Ignored } else { Outcome::Applied };
    Ok(draft.plan(outcome))
}

/// Gives an order's debt up, in whole or in part. `money_done`: the store says that `writeoff:{id}` was done before; then
/// only the order is told, if it has not heard of it.
///
/// # Errors
/// [`SettleError::Interrupted`] when the order must be resumed first;
/// [`LedgerError`](crate::ledger::LedgerError) `NoDebt`, `MoreThanDebt`, `NotPositive`.
pub fn write_off(
    order: &Order,
    account: &AccountState,
    write_off_id: &str,
    amount: Fen,
    money_done: bool,
    now: Timestamp,
) -> Planned {
    if order.status == OrderStatus::Settling {
        return Err(SettleError::Interrupted { order_no: order.order_no.clone(), status: order.status });
    }
    let mut draft = Draft::new(order, account)?;
    note_missed(&mut draft, now);
    if !money_done {
        let (order_no, write_off_id) = (order.order_no.clone(), write_off_id.to_owned());
        draft.ledger(&LedgerOp::WriteOff { order_no, write_off_id, amount }, now)?;
        draft.event(&OrderEvent::WrittenOff { amount }, now);
    }
    let outcome = if draft.is_empty() { Outcome::Ignored } else { Outcome::Applied };
    Ok(draft.plan(outcome))
}
