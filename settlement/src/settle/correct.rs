//! What may still happen to a closed order: its provisional bill is put right, its debt repaid.

use domain::{Fen, Timestamp};

use super::{
    Planned, SettleError,
    draft::Draft,
    resume::{note_missed, note_refunds, note_repayments},
};
use crate::{
    ledger::{AccountState, Fees, LedgerError, LedgerOp},
    order::{Order, OrderEvent, OrderStatus, Outcome, RecordFacts, Verdict},
    pricing::Bill,
};

/// The record of a provisionally settled order; see the table of [`settle`](super). Ignored unless provisional.
/// `money_done`: the store says that `correct:{orderNo}` was done before.
///
/// # Errors
/// [`SettleError::Interrupted`] for an order that is SETTLING; [`LedgerError`] for fees that make no sense.
pub fn correct(
    order: &Order,
    account: &AccountState,
    facts: &RecordFacts,
    bill: &Bill,
    money_done: bool,
    now: Timestamp,
) -> Planned {
    if order.status == OrderStatus::Settling {
        return Err(SettleError::Interrupted { order_no: order.order_no.clone(), status: order.status });
    }
    let mut draft = Draft::new(order, account)?;
    let event =
        |paid, debt| OrderEvent::CorrectionMade { facts: facts.clone(), bill: Box::new(bill.clone()), paid, debt };
    let (mut paid, mut debt) = (Fen::ZERO, Fen::ZERO);
    if order.accepts(&event(paid, debt)) && was_taken(order) {
        note_refunds(&mut draft, now);
        let earlier = order.bill.as_ref().map(Fees::of).unwrap_or_default();
        let fees = Fees::of(bill).less(&earlier).ok_or(LedgerError::Overflow)?;
        if !money_done && fees != Fees::default() {
            draft.ledger(&LedgerOp::Correct { order_no: order.order_no.clone(), fees }, now)?;
        }
        // The account knows what is owed and what was given up; the rest of the corrected total is paid. This also holds
        // when the money was moved before a crash, and a repayment with it. Of a write-off the order hears by itself.
        let given_up = draft.account.written_off.get(&order.order_no).copied().unwrap_or_default();
        let owed = draft.debt();
        let sums = || {
            let owed = owed.checked_add(given_up)?.checked_sub(order.written_off_fen)?;
            let debt = owed.checked_sub(order.debt_fen)?;
            let settled = owed.checked_add(order.written_off_fen)?.checked_add(order.paid_fen)?;
            Some((bill.total_fen.checked_sub(settled)?, debt))
        };
        (paid, debt) = sums().ok_or(LedgerError::Overflow)?;
    }
    let outcome = draft.event(&event(paid, debt), now);
    if outcome == Outcome::Applied {
        note_repayments(&mut draft, now);
    }
    Ok(draft.plan(outcome))
}

/// Whether the bill has been taken: neither waiting for a person nor rejected by one.
fn was_taken(order: &Order) -> bool {
    let rejected = order.review.as_ref().is_some_and(|review| review.verdict == Verdict::Rejected);
    order.status != OrderStatus::Held && !rejected
}

/// Repays a debt from what is available; all of it when no amount is given. `request` names the repayment: the same name
/// again is the same repayment.
///
/// # Errors
/// [`LedgerError::NoDebt`], [`LedgerError::MoreThanDebt`], [`LedgerError::InsufficientBalance`],
/// [`LedgerError::NotPositive`].
pub fn repay(order: &Order, account: &AccountState, amount: Option<Fen>, request: &str, now: Timestamp) -> Planned {
    let mut draft = Draft::new(order, account)?;
    note_missed(&mut draft, now);
    let order_no = order.order_no.clone();
    let Some(debt) = account.debts.get(&order_no).copied() else {
        // The repayment was made, and the order had not heard of it: whoever asks again brings it up to date.
        let told = !draft.is_empty();
        return if told { Ok(draft.plan(Outcome::Applied)) } else { Err(LedgerError::NoDebt(order_no).into()) };
    };
    let amount = amount.unwrap_or(debt);
    draft.ledger(&LedgerOp::Repay { order_no, amount, request: request.to_owned() }, now)?;
    let outcome = draft.event(&OrderEvent::Repaid { amount }, now);
    Ok(draft.plan(outcome))
}
