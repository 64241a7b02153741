//! From a priced charge to a closed order: bill stored, then money moved, then closed; or held for a person in between.

use domain::{Fen, Timestamp, UserId};

use super::{MoneyRules, Planned, SettleError, correct, draft::Draft, ghost};
use crate::{
    ledger::{AccountState, Fees, LedgerError, LedgerOp},
    order::{Order, OrderEvent, OrderStatus, PayMode, ProvisionalCause, RecordFacts},
    pricing::Bill,
};

/// The rule that holds a bill over the threshold [CONTRACT 2.2].
pub const LARGE_ORDER: &str = "large_order";

/// The charger's record, whatever has become of its order: settles a running one, corrects a provisional one, is the
/// platform's loss when the start was given up. A repeat is ignored. `money_done`: see [`correct`] and [`ghost`].
///
/// # Errors
/// [`SettleError::Interrupted`] when the order must be resumed first; [`LedgerError`] for fees that make no sense.
pub fn record(
    order: &Order,
    account: &AccountState,
    facts: &RecordFacts,
    bill: &Bill,
    rules: &MoneyRules,
    money_done: bool,
    now: Timestamp,
) -> Planned {
    match order.status {
        OrderStatus::StartFailed | OrderStatus::Canceled => ghost(order, account, now, Some(bill), money_done, now),
        OrderStatus::Settling | OrderStatus::Held | OrderStatus::Closed | OrderStatus::ExceptionClosed
            if order.provisional =>
        {
            correct(order, account, facts, bill, money_done, now)
        }
        OrderStatus::Placed
        | OrderStatus::Starting
        | OrderStatus::Charging
        | OrderStatus::Stopping
        | OrderStatus::Settling
        | OrderStatus::Held
        | OrderStatus::Closed
        | OrderStatus::ExceptionClosed => finish(order, account, facts, bill, rules, now),
    }
}

/// The charger's record of a running order: SETTLING, then closed, or HELD when the total is over the threshold.
///
/// # Errors
/// [`LedgerError`] for fees that make no sense, and `NoHold` when the order must be resumed first.
pub fn finish(
    order: &Order,
    account: &AccountState,
    facts: &RecordFacts,
    bill: &Bill,
    rules: &MoneyRules,
    now: Timestamp,
) -> Planned {
    let event = OrderEvent::RecordReceived { facts: facts.clone(), bill: Box::new(bill.clone()) };
    end(order, account, &event, rules, now)
}

/// Settles a running order without a record: `provisional`, closed as an exception, put right when the record comes.
///
/// # Errors
/// As [`finish`].
pub fn end_provisionally(
    order: &Order,
    account: &AccountState,
    cause: ProvisionalCause,
    bill: &Bill,
    rules: &MoneyRules,
    now: Timestamp,
) -> Planned {
    let event = OrderEvent::ProvisionalEnded { cause, bill: Box::new(bill.clone()) };
    end(order, account, &event, rules, now)
}

fn end(order: &Order, account: &AccountState, event: &OrderEvent, rules: &MoneyRules, now: Timestamp) -> Planned {
    let mut draft = Draft::new(order, account)?;
    let applies = order.accepts(event);
    if applies && draft.hold().is_none() {
        return Err(LedgerError::NoHold(order.order_no.clone()).into());
    }
    let outcome = draft.event(event, now);
    if applies {
        hold_or_capture(&mut draft, rules, now)?;
    }
    Ok(draft.plan(outcome))
}

/// A person approves a held bill: it is taken as it stands. Ignored unless HELD.
///
/// # Errors
/// [`SettleError::WrongAccount`].
pub fn approve(order: &Order, account: &AccountState, by: &UserId, now: Timestamp) -> Planned {
    let mut draft = Draft::new(order, account)?;
    let event = OrderEvent::Approved { by: by.clone() };
    let applies = order.accepts(&event);
    let outcome = draft.event(&event, now);
    if applies {
        capture(&mut draft, now)?;
    }
    Ok(draft.plan(outcome))
}

/// A person rejects a held bill: EXCEPTION_CLOSED, everything released, nothing taken. Ignored unless HELD.
///
/// # Errors
/// [`SettleError::WrongAccount`].
pub fn reject(order: &Order, account: &AccountState, by: &UserId, now: Timestamp) -> Planned {
    let mut draft = Draft::new(order, account)?;
    let event = OrderEvent::Rejected { by: Some(by.clone()) };
    if order.accepts(&event) {
        draft.void(now)?;
    }
    let outcome = draft.event(&event, now);
    Ok(draft.plan(outcome))
}

/// What follows SETTLING: HELD over the threshold unless a person approved, else the money and the end.
pub(super) fn hold_or_capture(draft: &mut Draft, rules: &MoneyRules, now: Timestamp) -> Result<(), SettleError> {
    let total = draft.order.bill.as_ref().map_or(Fen::ZERO, |bill| bill.total_fen);
    let why = if total > rules.hold_over { Some(LARGE_ORDER) } else { rules.suspect.as_deref() };
    let held = why.map(|reason| OrderEvent::HeldForReview { reason: reason.to_owned() });
    if let Some(event) = held.filter(|event| draft.order.accepts(event)) {
        draft.event(&event, now);
        return Ok(());
    }
    capture(draft, now)
}

fn capture(draft: &mut Draft, now: Timestamp) -> Result<(), SettleError> {
    let fees = draft.order.bill.as_ref().map(Fees::of).unwrap_or_default();
    let from_hold_only = draft.order.pay_mode == PayMode::Prepaid;
    draft.ledger(&LedgerOp::Capture { order_no: draft.order.order_no.clone(), fees, from_hold_only }, now)?;
    note_capture(draft, now)
}

/// Tells the order what its capture did, by what it left in the account: the hold was taken first, and what is not owed
/// of the total is paid. So an order whose capture survived a crash without it is closed the same way.
pub(super) fn note_capture(draft: &mut Draft, now: Timestamp) -> Result<(), SettleError> {
    let total = draft.order.bill.as_ref().map_or(Fen::ZERO, |bill| bill.total_fen);
    let (debt, frozen) = (draft.debt(), draft.order.frozen_fen);
    let released = frozen.checked_sub(frozen.min(total)).ok_or(LedgerError::Overflow)?;
    let paid = total.checked_sub(debt).ok_or(LedgerError::Overflow)?;
    draft.event(&OrderEvent::Captured { paid, released, debt }, now);
    Ok(())
}
