//! Finishing what a crash interrupted.

use domain::{Fen, Timestamp};

use super::{
    MoneyRules, Planned,
    draft::Draft,
    finish::{hold_or_capture, note_capture},
};
use crate::{
    ledger::AccountState,
    order::{Order, OrderEvent, OrderStatus, Outcome, StopBy},
};

/// Finishes an order of which only a prefix of a plan was stored; see the table of [`settle`](super). Nothing to do: a
/// plan without steps, outcome IGNORED.
///
/// # Errors
/// [`SettleError`](super::SettleError) when order and account cannot belong together.
pub fn resume(order: &Order, account: &AccountState, rules: &MoneyRules, now: Timestamp) -> Planned {
    let mut draft = Draft::new(order, account)?;
    match (order.status, draft.hold()) {
        (OrderStatus::Placed, Some(amount)) => {
            draft.event(&OrderEvent::Frozen { amount }, now);
        }
        (OrderStatus::Placed, None) => {
            draft.event(&OrderEvent::StopAsked { by: StopBy::Hub, pile_online: true }, now);
        }
        (OrderStatus::Starting, None) => {
            draft.event(&OrderEvent::StartDeadlinePassed, now);
        }
        (OrderStatus::Settling, Some(_)) => hold_or_capture(&mut draft, rules, now)?,
        (OrderStatus::Settling, None) => note_capture(&mut draft, now)?,
        (OrderStatus::Held, None) => {
            draft.event(&OrderEvent::Rejected { by: None }, now);
        }
        (OrderStatus::Closed | OrderStatus::ExceptionClosed, None) => note_missed(&mut draft, now),
        (
            OrderStatus::Closed | OrderStatus::ExceptionClosed | OrderStatus::StartFailed | OrderStatus::Canceled,
            Some(_),
        ) => draft.void(now)?,
        (OrderStatus::Starting | OrderStatus::Held, Some(_))
        | (OrderStatus::Charging | OrderStatus::Stopping, Some(_) | None)
        | (OrderStatus::StartFailed | OrderStatus::Canceled, None) => {}
    }
    let outcome = if draft.is_empty() { Outcome::Ignored } else { Outcome::Applied };
    Ok(draft.plan(outcome))
}

/// Refunds, write-offs and repayments that the account knows and the order does not.
pub(super) fn note_missed(draft: &mut Draft, now: Timestamp) {
    note_repayments(draft, now);
    note_refunds(draft, now);
}

/// Refunds that the account knows and the order does not.
pub(super) fn note_refunds(draft: &mut Draft, now: Timestamp) {
    let given_back = draft.account.refunded.get(&draft.order.order_no).copied().unwrap_or_default();
    let amount = given_back.checked_sub(draft.order.refunded_fen).unwrap_or_default();
    if amount > Fen::ZERO {
        draft.event(&OrderEvent::Refunded { amount }, now);
    }
}

/// Write-offs and repayments that the account knows and the order does not.
pub(super) fn note_repayments(draft: &mut Draft, now: Timestamp) {
    let given_up = draft.account.written_off.get(&draft.order.order_no).copied().unwrap_or_default();
    let amount = given_up.checked_sub(draft.order.written_off_fen).unwrap_or_default();
    if amount > Fen::ZERO {
        draft.event(&OrderEvent::WrittenOff { amount }, now);
    }
    let amount = draft.order.debt_fen.checked_sub(draft.debt()).unwrap_or_default();
    if amount > Fen::ZERO {
        draft.event(&OrderEvent::Repaid { amount }, now);
    }
}
