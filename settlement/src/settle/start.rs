//! From the driver's wish to the first evidence, and what to do with evidence that comes too late.

use domain::{Fen, SocTenths, Timestamp};

use super::{MoneyRules, Planned, draft::Draft};
use crate::{
    ledger::{AccountState, Fees, LedgerOp},
    order::{Order, OrderEvent, OrderStatus, PayMode, StopBy},
    pricing::Bill,
};

/// Why a start came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartFailure {
    /// The charger refused.
    Rejected {
        /// Its code.
        code: Option<String>,
    },
    /// No evidence in time.
    DeadlinePassed,
}

/// Writes a new order (from [`Order::new`]) down and sets its money aside: PLACED → STARTING. How much, says its pay mode:
/// as much as there is, up to the limit; exactly the limit; or nothing.
///
/// # Errors
/// [`LedgerError`](crate::ledger::LedgerError) `OpenDebt`, `InsufficientBalance`, `LimitBelowMinimum`: nothing is stored,
/// there is no order.
pub fn place(order: &Order, account: &AccountState, rules: &MoneyRules, now: Timestamp) -> Planned {
    let mut draft = Draft::new(order, account)?;
    draft.new_order();
    let asked = order.limit.amount_fen.unwrap_or(rules.freeze_default);
    let (want, min) = match order.pay_mode {
        PayMode::Freeze => (asked, rules.freeze_min),
        PayMode::Prepaid => (asked, asked.max(rules.freeze_min)),
        PayMode::Postpaid => (Fen::ZERO, Fen::ZERO),
    };
    let hold = LedgerOp::Hold { order_no: order.order_no.clone(), want, min };
    draft.ledger(&hold, now)?;
    let amount = draft.hold().unwrap_or_default();
    let outcome = draft.event(&OrderEvent::Frozen { amount }, now);
    Ok(draft.plan(outcome))
}

/// The start came to nothing: all money back, START_FAILED.
///
/// # Errors
/// [`SettleError::WrongAccount`](super::SettleError::WrongAccount).
pub fn fail_start(order: &Order, account: &AccountState, why: &StartFailure, now: Timestamp) -> Planned {
    let event = match why {
        StartFailure::Rejected { code } => OrderEvent::StartRejected { code: code.clone() },
        StartFailure::DeadlinePassed => OrderEvent::StartDeadlinePassed,
    };
    end_before_start(order, account, &event, now)
}

/// Called off before the charger began: all money back, CANCELED. For a charge that runs, use
/// [`ask_stop`](super::ask_stop).
///
/// # Errors
/// [`SettleError::WrongAccount`](super::SettleError::WrongAccount).
pub fn cancel(order: &Order, account: &AccountState, by: StopBy, now: Timestamp) -> Planned {
    let event = OrderEvent::StopAsked { by, pile_online: true };
    end_before_start(order, account, &event, now)
}

/// The money goes back first: an order that is over never has a hold.
fn end_before_start(order: &Order, account: &AccountState, event: &OrderEvent, now: Timestamp) -> Planned {
    let mut draft = Draft::new(order, account)?;
    // A crash may have cut the order off from its hold: it is told of it first, or it would not know what went back.
    if let (OrderStatus::Placed, Some(amount)) = (order.status, draft.hold()) {
        draft.event(&OrderEvent::Frozen { amount }, now);
    }
    if draft.order.accepts(event) {
        draft.void(now)?;
    }
    let outcome = draft.event(event, now);
    Ok(draft.plan(outcome))
}

/// Evidence from the charger (an accepted start, the first status frame) at `at`: STARTING → CHARGING; after
/// START_FAILED or CANCELED a ghost charge.
///
/// # Errors
/// [`SettleError::WrongAccount`](super::SettleError::WrongAccount).
pub fn evidence(
    order: &Order,
    account: &AccountState,
    at: Timestamp,
    start_soc: Option<SocTenths>,
    now: Timestamp,
) -> Planned {
    let mut draft = Draft::new(order, account)?;
    // The start was given up and its money is back; a crash cut the order off from that.
    if order.status == OrderStatus::Starting && draft.hold().is_none() {
        draft.event(&OrderEvent::StartDeadlinePassed, now);
    }
    let event = match draft.order.status {
        OrderStatus::StartFailed | OrderStatus::Canceled => OrderEvent::GhostSeen { at },
        OrderStatus::Placed
        | OrderStatus::Starting
        | OrderStatus::Charging
        | OrderStatus::Stopping
        | OrderStatus::Settling
        | OrderStatus::Held
        | OrderStatus::Closed
        | OrderStatus::ExceptionClosed => OrderEvent::EvidenceSeen { at, start_soc },
    };
    let outcome = draft.event(&event, now);
    Ok(draft.plan(outcome))
}

/// Evidence (at `at`), or the record (`bill`), of a charge whose order was START_FAILED or CANCELED: the platform's loss;
/// the driver pays nothing. `money_done`: the store says that `ghost:{orderNo}` was done before.
///
/// # Errors
/// [`LedgerError`](crate::ledger::LedgerError) for fees that make no sense.
pub fn ghost(
    order: &Order,
    account: &AccountState,
    at: Timestamp,
    bill: Option<&Bill>,
    money_done: bool,
    now: Timestamp,
) -> Planned {
    let mut draft = Draft::new(order, account)?;
    let seen = OrderEvent::GhostSeen { at };
    let Some(bill) = bill else {
        let outcome = draft.event(&seen, now);
        return Ok(draft.plan(outcome));
    };
    let settled = OrderEvent::GhostSettled { bill: Box::new(bill.clone()) };
    if order.accepts(&seen) {
        draft.event(&seen, now);
    }
    let fees = Fees::of(bill);
    if order.accepts(&settled) && !money_done && fees != Fees::default() {
        draft.ledger(&LedgerOp::GhostLoss { order_no: order.order_no.clone(), fees }, now)?;
    }
    let outcome = draft.event(&settled, now);
    Ok(draft.plan(outcome))
}
