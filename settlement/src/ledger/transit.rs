//! Money that is neither a driver's nor earned: on its way back to a channel, or of nobody known.

use std::collections::BTreeMap;

use domain::Fen;

use super::{
    AccountState, BookAccount, EntryKind, LedgerError, OpResult, SUSPENSE_ACCOUNT,
    apply::{difference, positive, sum},
    posting::Journal,
};

type Done = Result<OpResult, LedgerError>;

pub(super) fn withdraw(next: &mut AccountState, journal: &mut Journal<'_>, refund_no: &str, amount: Fen) -> Done {
    positive(amount)?;
    if amount > next.available {
        return Err(LedgerError::InsufficientBalance { available: next.available, needed: amount });
    }
    put(&mut next.transit, refund_no, amount)?;
    next.available = difference(next.available, amount)?;
    journal.line(BookAccount::DriverAvailable, BookAccount::RefundTransit, EntryKind::Withdrawal, amount)?;
    Ok(OpResult::Moved { amount })
}

pub(super) fn withdrawn(next: &mut AccountState, journal: &mut Journal<'_>, refund_no: &str) -> Done {
    let amount = take(&mut next.transit, refund_no)?;
    journal.line(BookAccount::RefundTransit, BookAccount::Channel, EntryKind::Withdrawal, amount)?;
    Ok(OpResult::Moved { amount })
}

pub(super) fn withdraw_back(next: &mut AccountState, journal: &mut Journal<'_>, refund_no: &str) -> Done {
    let amount = take(&mut next.transit, refund_no)?;
    next.available = sum(next.available, amount)?;
    journal.line(BookAccount::RefundTransit, BookAccount::DriverAvailable, EntryKind::WithdrawalBack, amount)?;
    Ok(OpResult::Moved { amount })
}

pub(super) fn suspend(next: &mut AccountState, journal: &mut Journal<'_>, item: &str, amount: Fen) -> Done {
    positive(amount)?;
    of_nobody(next)?;
    put(&mut next.suspense, item, amount)?;
    journal.line(BookAccount::Channel, BookAccount::Suspense, EntryKind::Suspense, amount)?;
    Ok(OpResult::Moved { amount })
}

/// To its owner, by way of the transfer account, or back to the channel.
pub(super) fn leave_suspense(next: &mut AccountState, journal: &mut Journal<'_>, item: &str, to: BookAccount) -> Done {
    of_nobody(next)?;
    let amount = take(&mut next.suspense, item)?;
    journal.line(BookAccount::Suspense, to, EntryKind::SuspenseResolved, amount)?;
    Ok(OpResult::Moved { amount })
}

pub(super) fn receive(next: &mut AccountState, journal: &mut Journal<'_>, amount: Fen) -> Done {
    positive(amount)?;
    next.available = sum(next.available, amount)?;
    journal.line(BookAccount::Transfer, BookAccount::DriverAvailable, EntryKind::SuspenseResolved, amount)?;
    Ok(OpResult::Moved { amount })
}

fn of_nobody(account: &AccountState) -> Result<(), LedgerError> {
    if account.user_id.as_str() == SUSPENSE_ACCOUNT {
        return Ok(());
    }
    Err(LedgerError::NotSuspense(account.user_id.clone()))
}

fn put(sums: &mut BTreeMap<String, Fen>, name: &str, amount: Fen) -> Result<(), LedgerError> {
    if sums.contains_key(name) {
        return Err(LedgerError::InTransit(name.to_owned()));
    }
    sums.insert(name.to_owned(), amount);
    Ok(())
}

fn take(sums: &mut BTreeMap<String, Fen>, name: &str) -> Result<Fen, LedgerError> {
    sums.remove(name).ok_or_else(|| LedgerError::NotInTransit(name.to_owned()))
}
