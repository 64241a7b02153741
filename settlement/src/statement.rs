//! What a stretch of time did to a driver's money: opening, sums per kind, closing.
//!
//! An entry belongs to the stretch its own time lies in. Openings are worked out backwards from what the account has now,
//! so that neighbouring statements always meet. Knows no calendar: the caller says where a month begins.

use std::collections::BTreeMap;

use domain::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ledger::{AccountState, BookAccount, Entry, EntryKind};

/// What a driver has and owes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// Free to use.
    pub available_fen: i64,
    /// Set aside for running orders.
    pub frozen_fen: i64,
    /// Owed for orders.
    pub debt_fen: i64,
}

/// What entries of one kind did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KindSum {
    /// How many.
    pub entries: u64,
    /// To what is free to use.
    pub available_change_fen: i64,
    /// To what is set aside.
    pub frozen_change_fen: i64,
    /// To what is owed.
    pub debt_change_fen: i64,
}

/// A statement of `[from, to)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Before the first entry of the stretch.
    pub opening: Standing,
    /// By kind, in the order of [`kind_name`].
    pub kinds: BTreeMap<String, KindSum>,
    /// After the last one.
    pub closing: Standing,
    /// How many.
    pub entries: u64,
}

/// A statement while entries come in, newest first or in any other order.
#[derive(Debug, Clone)]
pub struct Builder {
    from: Timestamp,
    to: Timestamp,
    closing: Standing,
    change: KindSum,
    kinds: BTreeMap<String, KindSum>,
}

impl Standing {
    /// What an account has and owes now.
    #[must_use]
    pub fn of(account: &AccountState) -> Self {
        let debt = account.debts.values().fold(0_i64, |sum, debt| sum.saturating_add(debt.0));
        Self { available_fen: account.available.0, frozen_fen: account.frozen.0, debt_fen: debt }
    }

    // The ledger has checked every sum these come from.
    const fn before(self, change: &KindSum) -> Self {
        Self {
            available_fen: self.available_fen.saturating_sub(change.available_change_fen),
            frozen_fen: self.frozen_fen.saturating_sub(change.frozen_change_fen),
            debt_fen: self.debt_fen.saturating_sub(change.debt_change_fen),
        }
    }
}

impl KindSum {
    /// What one entry did: an entry moves its amount from `debit` to `credit`. What drivers have is owed to them, so a
    /// credit gives them more; what they owe is an asset, so a debit makes it more.
    #[must_use]
    pub fn of(entry: &Entry) -> Self {
        let credited = |account: BookAccount| {
            let gained = if entry.credit == account { entry.amount.0 } else { 0 };
            let lost = if entry.debit == account { entry.amount.0 } else { 0 };
            gained.saturating_sub(lost)
        };
        Self {
            entries: 1,
            available_change_fen: credited(BookAccount::DriverAvailable),
            frozen_change_fen: credited(BookAccount::DriverFrozen),
            debt_change_fen: credited(BookAccount::Receivable).saturating_neg(),
        }
    }

    const fn add(&mut self, other: &Self) {
        self.entries = self.entries.saturating_add(other.entries);
        self.available_change_fen = self.available_change_fen.saturating_add(other.available_change_fen);
        self.frozen_change_fen = self.frozen_change_fen.saturating_add(other.frozen_change_fen);
        self.debt_change_fen = self.debt_change_fen.saturating_add(other.debt_change_fen);
    }
}

impl Builder {
    /// A statement of `[from, to)` of an account that now has `now`.
    #[must_use]
    pub fn new(from: Timestamp, to: Timestamp, now: Standing) -> Self {
        Self { from, to, closing: now, change: KindSum::default(), kinds: BTreeMap::new() }
    }

    /// Takes one entry of the account; every entry from `from` on must be given, each once. Earlier ones change nothing.
    pub fn take(&mut self, entry: &Entry) {
        let did = KindSum::of(entry);
        if entry.at >= self.to {
            self.closing = self.closing.before(&did);
        } else if entry.at >= self.from {
            self.change.add(&did);
            self.kinds.entry(kind_name(entry.kind)).or_default().add(&did);
        }
    }

    /// What came of it.
    #[must_use]
    pub fn finish(self) -> Statement {
        let opening = self.closing.before(&self.change);
        Statement { opening, kinds: self.kinds, closing: self.closing, entries: self.change.entries }
    }
}

/// A kind of entry as the API says it: `TOP_UP`, `FREEZE`, …
#[must_use]
pub fn kind_name(kind: EntryKind) -> String {
    match serde_json::to_value(kind) {
        Ok(serde_json::Value::String(name)) => name,
        Ok(_) | Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use domain::{Fen, Millis, OrderNo, UserId};

    use super::*;
    use crate::ledger::{Fees, LedgerOp, apply};

    const DAY: Timestamp = Timestamp::from_millis_clamped(1_763_690_000_000);

    fn at(hour: i64) -> Timestamp {
        DAY.plus(Millis(hour * 3_600_000))
    }

    /// An account's life: an hour for each operation. Answers every entry and the standing after each hour.
    fn life() -> (AccountState, Vec<Entry>, Vec<Standing>) {
        let order = |no: &str| OrderNo::parse(no).unwrap();
        let fees = |fen: i64| Fees { electricity: Fen(fen), ..Fees::default() };
        let ops = [
            LedgerOp::TopUp { payment_no: "Y1".to_owned(), amount: Fen(1_500) },
            LedgerOp::Hold { order_no: order("1"), want: Fen(1_000), min: Fen(1) },
            LedgerOp::Capture { order_no: order("1"), fees: fees(1_700), from_hold_only: false },
            LedgerOp::TopUp { payment_no: "Y2".to_owned(), amount: Fen(900) },
            LedgerOp::Repay { order_no: order("1"), amount: Fen(150), request: "a".to_owned() },
            LedgerOp::Correct { order_no: order("1"), fees: fees(-100) },
        ];
        let mut account = AccountState::new(UserId::parse("anna").unwrap());
        let (mut entries, mut after) = (Vec::new(), vec![Standing::of(&account)]);
        for (op, hour) in ops.iter().zip(0..) {
            let change = apply(&account, op, at(hour)).unwrap();
            account = change.next;
            entries.extend(change.entries);
            after.push(Standing::of(&account));
        }
        (account, entries, after)
    }

    #[test]
    fn every_statement_opens_with_what_was_and_closes_with_what_is_after_its_entries() {
        let (account, entries, after) = life();
        for from in 0..=6 {
            for to in from..=6 {
                let mut builder = Builder::new(at(from), at(to), Standing::of(&account));
                entries.iter().rev().for_each(|entry| builder.take(entry));
                let statement = builder.finish();
                let standing = |hour: i64| after[usize::try_from(hour).unwrap()];
                assert_eq!((statement.opening, statement.closing), (standing(from), standing(to)), "{from} to {to}");
                let count = entries.iter().filter(|entry| (at(from)..at(to)).contains(&entry.at)).count();
                assert_eq!(statement.entries, u64::try_from(count).unwrap());
                let kinds = statement.kinds.values().map(|kind| kind.available_change_fen).sum::<i64>();
                assert_eq!(kinds, statement.closing.available_fen - statement.opening.available_fen);
            }
        }
    }

    #[test]
    fn kinds_are_told_by_their_names() {
        let (account, entries, _) = life();
        let mut builder = Builder::new(at(0), at(6), Standing::of(&account));
        entries.iter().for_each(|entry| builder.take(entry));
        let kinds = builder.finish().kinds;
        let names: Vec<&str> = kinds.keys().map(String::as_str).collect();
        assert_eq!(names, ["CHARGE", "CORRECTION", "DEBT", "FREEZE", "REPAY", "TOP_UP"]);
        assert_eq!((kinds["TOP_UP"].entries, kinds["TOP_UP"].available_change_fen), (2, 2_400));
        assert_eq!((kinds["DEBT"].debt_change_fen, kinds["REPAY"].debt_change_fen), (200, -150));
    }
}
