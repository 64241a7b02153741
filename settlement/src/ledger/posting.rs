//! Lines of the books from what is to be debited and what is to be credited.

use domain::{Fen, OrderNo, Timestamp};

use super::{AccountState, BookAccount, Entry, EntryKind, Fees, LedgerError};

/// One side of a posting: this much of that account, for this reason. Not negative.
#[derive(Debug, Clone, Copy)]
pub(super) struct Side {
    pub(super) account: BookAccount,
    pub(super) kind: EntryKind,
    pub(super) amount: Fen,
}

impl Side {
    pub(super) const fn new(account: BookAccount, kind: EntryKind, amount: Fen) -> Self {
        Self { account, kind, amount }
    }
}

/// The fees as sides of their revenue accounts, those of one sign: `pick` takes the amount out of a signed fee.
pub(super) fn revenue_sides(fees: &Fees, kind: EntryKind, pick: impl Fn(Fen) -> Fen) -> Vec<Side> {
    vec![
        Side::new(BookAccount::EnergyRevenue, kind, pick(fees.electricity)),
        Side::new(BookAccount::ServiceRevenue, kind, pick(fees.service)),
        Side::new(BookAccount::OccupancyRevenue, kind, pick(fees.occupancy)),
    ]
}

/// A growing list of lines of one operation on one account.
#[derive(Debug)]
pub(super) struct Journal<'a> {
    account: &'a AccountState,
    op: &'a str,
    order_no: Option<&'a OrderNo>,
    at: Timestamp,
    entries: Vec<Entry>,
}

impl<'a> Journal<'a> {
    pub(super) const fn new(
        account: &'a AccountState,
        op: &'a str,
        order_no: Option<&'a OrderNo>,
        at: Timestamp,
    ) -> Self {
        Self { account, op, order_no, at, entries: Vec::new() }
    }

    pub(super) fn into_entries(self) -> Vec<Entry> {
        self.entries
    }

    /// One line; nothing when the amount is zero.
    pub(super) fn line(
        &mut self,
        debit: BookAccount,
        credit: BookAccount,
        kind: EntryKind,
        amount: Fen,
    ) -> Result<(), LedgerError> {
        if amount == Fen::ZERO {
            return Ok(());
        }
        let lines = i64::try_from(self.entries.len()).map_err(|_| LedgerError::Overflow)?;
        let before = self.account.entry_seq.checked_add(lines);
        self.entries.push(Entry {
            user_id: self.account.user_id.clone(),
            seq: before.and_then(|seq| seq.checked_add(1)).ok_or(LedgerError::Overflow)?,
            op: self.op.to_owned(),
            debit,
            credit,
            amount,
            order_no: self.order_no.cloned(),
            kind,
            at: self.at,
        });
        Ok(())
    }

    /// Pairs debits with credits in the order given, as few lines as that takes; a line is called by its debit's reason.
    /// Both sides must sum to the same.
    pub(super) fn pair(&mut self, debits: &[Side], credits: &[Side]) -> Result<(), LedgerError> {
        let mut debits = debits.iter().copied();
        let mut credits = credits.iter().copied();
        let (mut debit, mut credit) = (debits.next(), credits.next());
        while let (Some(d), Some(c)) = (debit.as_mut(), credit.as_mut()) {
            let amount = d.amount.min(c.amount);
            self.line(d.account, c.account, d.kind, amount)?;
            d.amount = d.amount.checked_sub(amount).ok_or(LedgerError::Overflow)?;
            c.amount = c.amount.checked_sub(amount).ok_or(LedgerError::Overflow)?;
            let (debit_done, credit_done) = (d.amount == Fen::ZERO, c.amount == Fen::ZERO);
            if debit_done {
                debit = debits.next();
            }
            if credit_done {
                credit = credits.next();
            }
        }
        Ok(())
    }
}
