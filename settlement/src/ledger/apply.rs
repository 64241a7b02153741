//! Every operation, worked out.

use domain::{Fen, OrderNo, Timestamp};

use super::{
    AccountState, BookAccount, EntryKind, Fees, LedgerChange, LedgerError, LedgerOp, OpResult,
    posting::{Journal, Side, revenue_sides},
    transit,
};

/// Works an operation out. Nothing is changed: the caller stores [`LedgerChange`] whole.
///
/// # Errors
/// [`LedgerError`]; the account stays as it is.
pub fn apply(account: &AccountState, op: &LedgerOp, at: Timestamp) -> Result<LedgerChange, LedgerError> {
    let name = op.name();
    let mut next = account.clone();
    let mut journal = Journal::new(account, &name, op.order_no(), at);
    let result = match op {
        LedgerOp::TopUp { amount, .. } => top_up(&mut next, &mut journal, *amount),
        LedgerOp::Hold { order_no, want, min } => hold(&mut next, &mut journal, order_no, *want, *min),
        LedgerOp::Void { order_no } => void(&mut next, &mut journal, order_no),
        LedgerOp::Capture { order_no, fees, from_hold_only } => {
            capture(&mut next, &mut journal, order_no, fees, *from_hold_only)
        }
        LedgerOp::Repay { order_no, amount, .. } => repay(&mut next, &mut journal, order_no, *amount),
        LedgerOp::Correct { order_no, fees } => correct(&mut next, &mut journal, order_no, fees),
        LedgerOp::GhostLoss { fees, .. } => ghost_loss(&mut journal, fees),
        LedgerOp::Refund { order_no, amount, .. } => refund(&mut next, &mut journal, order_no, *amount),
        LedgerOp::WriteOff { order_no, amount, .. } => write_off(&mut next, &mut journal, order_no, *amount),
        LedgerOp::Withdraw { refund_no, amount } => transit::withdraw(&mut next, &mut journal, refund_no, *amount),
        LedgerOp::Withdrawn { refund_no } => transit::withdrawn(&mut next, &mut journal, refund_no),
        LedgerOp::WithdrawBack { refund_no } => transit::withdraw_back(&mut next, &mut journal, refund_no),
        LedgerOp::Suspend { item, amount } => transit::suspend(&mut next, &mut journal, item, *amount),
        LedgerOp::Claim { item } => transit::leave_suspense(&mut next, &mut journal, item, BookAccount::Transfer),
        LedgerOp::Receive { amount, .. } => transit::receive(&mut next, &mut journal, *amount),
        LedgerOp::SendBack { item } => transit::leave_suspense(&mut next, &mut journal, item, BookAccount::Channel),
    }?;
    let entries = journal.into_entries();
    next.entry_seq = entries.last().map_or(account.entry_seq, |last| last.seq);
    next.version = account.version.checked_add(1).ok_or(LedgerError::Overflow)?;
    Ok(LedgerChange { op: name, expect_version: account.version, next, entries, result })
}

fn top_up(next: &mut AccountState, journal: &mut Journal<'_>, amount: Fen) -> Result<OpResult, LedgerError> {
    positive(amount)?;
    next.available = sum(next.available, amount)?;
    journal.line(BookAccount::Channel, BookAccount::DriverAvailable, EntryKind::TopUp, amount)?;
    Ok(OpResult::ToppedUp { amount })
}

fn hold(
    next: &mut AccountState,
    journal: &mut Journal<'_>,
    order_no: &OrderNo,
    want: Fen,
    min: Fen,
) -> Result<OpResult, LedgerError> {
    if let Some((order_no, debt)) = next.debts.first_key_value() {
        return Err(LedgerError::OpenDebt { order_no: order_no.clone(), debt: *debt });
    }
    if next.holds.contains_key(order_no) {
        return Err(LedgerError::HoldExists(order_no.clone()));
    }
    let min = min.max(Fen::ZERO);
    if want < min {
        return Err(LedgerError::LimitBelowMinimum { limit: want, min });
    }
    let amount = want.min(next.available);
    if amount < min {
        return Err(LedgerError::InsufficientBalance { available: next.available, needed: min });
    }
    next.available = difference(next.available, amount)?;
    next.frozen = sum(next.frozen, amount)?;
    // A hold of nothing (a minimum of nothing) is written down too: it says that the order has its hold.
    next.holds.insert(order_no.clone(), amount);
    journal.line(BookAccount::DriverAvailable, BookAccount::DriverFrozen, EntryKind::Freeze, amount)?;
    Ok(OpResult::Held { amount })
}

fn void(next: &mut AccountState, journal: &mut Journal<'_>, order_no: &OrderNo) -> Result<OpResult, LedgerError> {
    let released = take_hold(next, order_no)?;
    release(next, journal, released)?;
    Ok(OpResult::Voided { released })
}

fn capture(
    next: &mut AccountState,
    journal: &mut Journal<'_>,
    order_no: &OrderNo,
    fees: &Fees,
    from_hold_only: bool,
) -> Result<OpResult, LedgerError> {
    let total = not_negative(fees)?;
    let hold = take_hold(next, order_no)?;
    let from_hold = hold.min(total);
    let rest = difference(total, from_hold)?;
    let payable = if from_hold_only { Fen::ZERO } else { next.available };
    let (from_available, debt) = take_available(next, order_no, rest, payable)?;
    journal.pair(
        &[
            Side::new(BookAccount::DriverFrozen, EntryKind::Charge, from_hold),
            Side::new(BookAccount::DriverAvailable, EntryKind::Charge, from_available),
            Side::new(BookAccount::Receivable, EntryKind::Debt, debt),
        ],
        &revenue_sides(fees, EntryKind::Charge, |fee| fee),
    )?;
    let released = difference(hold, from_hold)?;
    release(next, journal, released)?;
    Ok(OpResult::Captured { paid: sum(from_hold, from_available)?, released, debt })
}

fn repay(
    next: &mut AccountState,
    journal: &mut Journal<'_>,
    order_no: &OrderNo,
    amount: Fen,
) -> Result<OpResult, LedgerError> {
    positive(amount)?;
    let debt = *next.debts.get(order_no).ok_or_else(|| LedgerError::NoDebt(order_no.clone()))?;
    if amount > debt {
        return Err(LedgerError::MoreThanDebt { order_no: order_no.clone(), amount, debt });
    }
    if amount > next.available {
        return Err(LedgerError::InsufficientBalance { available: next.available, needed: amount });
    }
    next.available = difference(next.available, amount)?;
    let debt_left = difference(debt, amount)?;
    set_debt(next, order_no, debt_left);
    journal.line(BookAccount::DriverAvailable, BookAccount::Receivable, EntryKind::Repay, amount)?;
    Ok(OpResult::Repaid { amount, debt_left })
}

fn correct(
    next: &mut AccountState,
    journal: &mut Journal<'_>,
    order_no: &OrderNo,
    fees: &Fees,
) -> Result<OpResult, LedgerError> {
    let kind = EntryKind::Correction;
    let total = fees.total().ok_or(LedgerError::Overflow)?;
    // One kind of fee may rise while another falls; only the difference of the totals touches the driver.
    let mut debits = revenue_sides(&negated(fees)?, kind, |fee| fee.max(Fen::ZERO));
    let mut credits = revenue_sides(fees, kind, |fee| fee.max(Fen::ZERO));
    if total >= Fen::ZERO {
        let payable = next.available;
        let (paid, debt) = take_available(next, order_no, total, payable)?;
        debits.push(Side::new(BookAccount::DriverAvailable, kind, paid));
        debits.push(Side::new(BookAccount::Receivable, EntryKind::Debt, debt));
        journal.pair(&debits, &credits)?;
        return Ok(OpResult::Corrected { paid, debt });
    }
    let back = difference(Fen::ZERO, total)?;
    let owed = next.debts.get(order_no).copied().unwrap_or_default();
    let from_debt = back.min(owed);
    let to_available = difference(back, from_debt)?;
    set_debt(next, order_no, difference(owed, from_debt)?);
    next.available = sum(next.available, to_available)?;
    credits.push(Side::new(BookAccount::Receivable, kind, from_debt));
    credits.push(Side::new(BookAccount::DriverAvailable, kind, to_available));
    journal.pair(&debits, &credits)?;
    Ok(OpResult::Corrected { paid: difference(Fen::ZERO, to_available)?, debt: difference(Fen::ZERO, from_debt)? })
}

fn ghost_loss(journal: &mut Journal<'_>, fees: &Fees) -> Result<OpResult, LedgerError> {
    let amount = not_negative(fees)?;
    let kind = EntryKind::PlatformLoss;
    journal.pair(&[Side::new(BookAccount::PlatformLoss, kind, amount)], &revenue_sides(fees, kind, |fee| fee))?;
    Ok(OpResult::LossBooked { amount })
}

fn refund(
    next: &mut AccountState,
    journal: &mut Journal<'_>,
    order_no: &OrderNo,
    amount: Fen,
) -> Result<OpResult, LedgerError> {
    positive(amount)?;
    next.available = sum(next.available, amount)?;
    let earlier = next.refunded.get(order_no).copied().unwrap_or_default();
    next.refunded.insert(order_no.clone(), sum(earlier, amount)?);
    journal.line(BookAccount::Adjustment, BookAccount::DriverAvailable, EntryKind::AfterSalesRefund, amount)?;
    Ok(OpResult::Refunded { amount })
}

fn write_off(
    next: &mut AccountState,
    journal: &mut Journal<'_>,
    order_no: &OrderNo,
    amount: Fen,
) -> Result<OpResult, LedgerError> {
    positive(amount)?;
    let debt = *next.debts.get(order_no).ok_or_else(|| LedgerError::NoDebt(order_no.clone()))?;
    if amount > debt {
        return Err(LedgerError::MoreThanDebt { order_no: order_no.clone(), amount, debt });
    }
    let debt_left = difference(debt, amount)?;
    set_debt(next, order_no, debt_left);
    let earlier = next.written_off.get(order_no).copied().unwrap_or_default();
    next.written_off.insert(order_no.clone(), sum(earlier, amount)?);
    journal.line(BookAccount::Adjustment, BookAccount::Receivable, EntryKind::WriteOff, amount)?;
    Ok(OpResult::WrittenOff { amount, debt_left })
}

fn take_hold(next: &mut AccountState, order_no: &OrderNo) -> Result<Fen, LedgerError> {
    let hold = next.holds.remove(order_no).ok_or_else(|| LedgerError::NoHold(order_no.clone()))?;
    next.frozen = difference(next.frozen, hold)?;
    Ok(hold)
}

fn release(next: &mut AccountState, journal: &mut Journal<'_>, amount: Fen) -> Result<(), LedgerError> {
    next.available = sum(next.available, amount)?;
    journal.line(BookAccount::DriverFrozen, BookAccount::DriverAvailable, EntryKind::Release, amount)
}

/// Takes `amount` out of what is `payable` of what is available; the rest is owed. Answers both.
fn take_available(
    next: &mut AccountState,
    order_no: &OrderNo,
    amount: Fen,
    payable: Fen,
) -> Result<(Fen, Fen), LedgerError> {
    let paid = amount.min(payable);
    let debt = difference(amount, paid)?;
    next.available = difference(next.available, paid)?;
    let owed = next.debts.get(order_no).copied().unwrap_or_default();
    set_debt(next, order_no, sum(owed, debt)?);
    Ok((paid, debt))
}

fn set_debt(next: &mut AccountState, order_no: &OrderNo, debt: Fen) {
    if debt == Fen::ZERO {
        next.debts.remove(order_no);
    } else {
        next.debts.insert(order_no.clone(), debt);
    }
}

pub(super) fn positive(amount: Fen) -> Result<(), LedgerError> {
    if amount > Fen::ZERO { Ok(()) } else { Err(LedgerError::NotPositive(amount)) }
}

fn not_negative(fees: &Fees) -> Result<Fen, LedgerError> {
    match [fees.electricity, fees.service, fees.occupancy].into_iter().find(|fee| *fee < Fen::ZERO) {
        Some(fee) => Err(LedgerError::NegativeFee(fee)),
        None => fees.total().ok_or(LedgerError::Overflow),
    }
}

fn negated(fees: &Fees) -> Result<Fees, LedgerError> {
    Fees::default().less(fees).ok_or(LedgerError::Overflow)
}

pub(super) fn sum(a: Fen, b: Fen) -> Result<Fen, LedgerError> {
    a.checked_add(b).ok_or(LedgerError::Overflow)
}

pub(super) fn difference(a: Fen, b: Fen) -> Result<Fen, LedgerError> {
    a.checked_sub(b).ok_or(LedgerError::Overflow)
}

impl LedgerOp {
    const fn order_no(&self) -> Option<&OrderNo> {
        match self {
            Self::TopUp { .. }
            | Self::Withdraw { .. }
            | Self::Withdrawn { .. }
            | Self::WithdrawBack { .. }
            | Self::Suspend { .. }
            | Self::Claim { .. }
            | Self::Receive { .. }
            | Self::SendBack { .. } => None,
            Self::Hold { order_no, .. }
            | Self::Void { order_no }
            | Self::Capture { order_no, .. }
            | Self::Repay { order_no, .. }
            | Self::Correct { order_no, .. }
            | Self::GhostLoss { order_no, .. }
            | Self::Refund { order_no, .. }
            | Self::WriteOff { order_no, .. } => Some(order_no),
        }
    }
}
