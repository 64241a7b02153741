//! What happens to a running charge before its record comes. No money moves here, except when a start is called off.

use domain::Timestamp;

use super::{Planned, cancel, draft::Draft};
use crate::{
    ledger::AccountState,
    order::{Order, OrderEvent, OrderStatus, StopBy},
};

/// A stop was asked for: cancels a start; else STOPPING or, for a pile that is offline, `stop_pending`. A second one is
/// ignored.
///
/// # Errors
/// [`SettleError::WrongAccount`](super::SettleError::WrongAccount).
pub fn ask_stop(order: &Order, account: &AccountState, by: StopBy, pile_online: bool, now: Timestamp) -> Planned {
    match order.status {
        OrderStatus::Placed | OrderStatus::Starting => cancel(order, account, by, now),
        OrderStatus::Charging
        | OrderStatus::Stopping
        | OrderStatus::Settling
        | OrderStatus::Held
        | OrderStatus::Closed
        | OrderStatus::ExceptionClosed
        | OrderStatus::StartFailed
        | OrderStatus::Canceled => note(order, account, &OrderEvent::StopAsked { by, pile_online }, now),
    }
}

/// The charger took the stop command that had waited for it.
///
/// # Errors
/// [`SettleError::WrongAccount`](super::SettleError::WrongAccount).
pub fn stop_accepted(order: &Order, account: &AccountState, now: Timestamp) -> Planned {
    note(order, account, &OrderEvent::StopAccepted, now)
}

/// The charger did not answer the stop command: back to CHARGING, the stop waits.
///
/// # Errors
/// [`SettleError::WrongAccount`](super::SettleError::WrongAccount).
pub fn stop_unanswered(order: &Order, account: &AccountState, now: Timestamp) -> Planned {
    note(order, account, &OrderEvent::StopUnanswered, now)
}

/// The charger reported a fault: STOPPING, the record is awaited.
///
/// # Errors
/// [`SettleError::WrongAccount`](super::SettleError::WrongAccount).
pub fn fault(order: &Order, account: &AccountState, code: Option<String>, now: Timestamp) -> Planned {
    note(order, account, &OrderEvent::FaultReported { code }, now)
}

fn note(order: &Order, account: &AccountState, event: &OrderEvent, now: Timestamp) -> Planned {
    let mut draft = Draft::new(order, account)?;
    let outcome = draft.event(event, now);
    Ok(draft.plan(outcome))
}
