//! The ledger against a model that knows only sums: random operations on several orders in any order.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
#![allow(clippy::wildcard_enum_match_arm, reason = "the model hands what is under way on")]

mod support;

use std::collections::BTreeMap;

use domain::{Fen, OrderNo};
use proptest::{collection::vec, prelude::*};
use settlement::{
    invariants::{Facts, i1_postings_make_the_account, i4_nothing_is_overdrawn},
    ledger::{AccountState, BookAccount, Entry, Fees, LedgerOp, apply},
};
use support::{no, ts, user};

/// What should be true, worked out from CONTRACT 2.2 with plain sums.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Model {
    available: i64,
    holds: BTreeMap<OrderNo, i64>,
    debts: BTreeMap<OrderNo, i64>,
    came_in: i64,
    earned: [i64; 3],
    lost: i64,
    given: i64,
    under_way: BTreeMap<String, i64>,
    received: i64,
    refunded: BTreeMap<OrderNo, i64>,
    written_off: BTreeMap<OrderNo, i64>,
}

impl Model {
    /// Whether the operation is allowed; if so, does it.
    fn run(&mut self, op: &LedgerOp) -> bool {
        match op {
            LedgerOp::TopUp { amount, .. } => {
                self.came_in += amount.0;
                self.available += amount.0;
            }
            LedgerOp::Refund { order_no, amount, .. } => {
                *self.refunded.entry(order_no.clone()).or_default() += amount.0;
                self.given += amount.0;
                self.available += amount.0;
            }
            LedgerOp::Hold { order_no, want, min } => {
                let amount = want.0.min(self.available);
                if !self.debts.is_empty() || self.holds.contains_key(order_no) || amount < min.0 {
                    return false;
                }
                self.available -= amount;
                self.holds.insert(order_no.clone(), amount);
            }
            LedgerOp::Void { order_no } => match self.holds.remove(order_no) {
                Some(hold) => self.available += hold,
                None => return false,
            },
            LedgerOp::Capture { order_no, fees, from_hold_only } => match self.holds.remove(order_no) {
                Some(hold) => {
                    // Release first and take afterwards: the end is the same, and it is another road to it.
                    let untouched = if *from_hold_only { std::mem::take(&mut self.available) } else { 0 };
                    self.available += hold;
                    self.take(order_no, fees);
                    self.available += untouched;
                }
                None => return false,
            },
            LedgerOp::Correct { order_no, fees } => self.take(order_no, fees),
            LedgerOp::GhostLoss { fees, .. } => {
                self.earn(fees);
                self.lost += fees.electricity.0 + fees.service.0 + fees.occupancy.0;
            }
            LedgerOp::Repay { order_no, amount, .. } => {
                let debt = self.debts.get(order_no).copied().unwrap_or(0);
                if amount.0 > debt || amount.0 > self.available {
                    return false;
                }
                self.available -= amount.0;
                self.owe(order_no, -amount.0);
            }
            LedgerOp::WriteOff { order_no, amount, .. } => {
                if amount.0 > self.debts.get(order_no).copied().unwrap_or(0) {
                    return false;
                }
                self.given += amount.0;
                *self.written_off.entry(order_no.clone()).or_default() += amount.0;
                self.owe(order_no, -amount.0);
            }
            LedgerOp::Withdraw { .. }
            | LedgerOp::Withdrawn { .. }
            | LedgerOp::WithdrawBack { .. }
            | LedgerOp::Suspend { .. }
            | LedgerOp::Claim { .. }
            | LedgerOp::Receive { .. }
            | LedgerOp::SendBack { .. } => return self.run_transit(op),
        }
        true
    }

    /// Money on its way.
    fn run_transit(&mut self, op: &LedgerOp) -> bool {
        match op {
            LedgerOp::Withdraw { refund_no, amount } => {
                if amount.0 > self.available || self.under_way.contains_key(refund_no) {
                    return false;
                }
                self.available -= amount.0;
                self.under_way.insert(refund_no.clone(), amount.0);
            }
            LedgerOp::Withdrawn { refund_no } => match self.under_way.remove(refund_no) {
                Some(amount) => self.came_in -= amount,
                None => return false,
            },
            LedgerOp::WithdrawBack { refund_no } => match self.under_way.remove(refund_no) {
                Some(amount) => self.available += amount,
                None => return false,
            },
            LedgerOp::Receive { amount, .. } => {
                self.received += amount.0;
                self.available += amount.0;
            }
            // A driver's account is not that of money of nobody known.
            LedgerOp::Suspend { .. } | LedgerOp::Claim { .. } | LedgerOp::SendBack { .. } => return false,
            _ => unreachable!("{op:?}"),
        }
        true
    }

    fn earn(&mut self, fees: &Fees) {
        self.earned[0] += fees.electricity.0;
        self.earned[1] += fees.service.0;
        self.earned[2] += fees.occupancy.0;
    }

    fn owe(&mut self, order_no: &OrderNo, more: i64) {
        let debt = self.debts.remove(order_no).unwrap_or(0) + more;
        if debt != 0 {
            self.debts.insert(order_no.clone(), debt);
        }
    }

    /// Signed: more is taken or owed, less reduces the debt and then comes back.
    fn take(&mut self, order_no: &OrderNo, fees: &Fees) {
        self.earn(fees);
        let total = fees.electricity.0 + fees.service.0 + fees.occupancy.0;
        if total >= 0 {
            let paid = total.min(self.available);
            self.available -= paid;
            self.owe(order_no, total - paid);
        } else {
            let relief = (-total).min(self.debts.get(order_no).copied().unwrap_or(0));
            self.owe(order_no, -relief);
            self.available += -total - relief;
        }
    }
}

fn any_op() -> impl Strategy<Value = LedgerOp> {
    let order = || (1_u8..=4).prop_map(|n| no(&format!("100{n}")));
    let refund = || (1_u8..=3).prop_map(|n| format!("R{n}"));
    // Few distinct amounts, so that sums meet and debts are paid to the fen.
    let amount = || prop_oneof![1_i64..=10, Just(1_000), 1_i64..=8_000].prop_map(Fen);
    let fees =
        |low: i64| {
            (low..=3_000, low..=2_000, prop_oneof![Just(0), low..=100]).prop_map(|(electricity, service, occupancy)| {
                Fees { electricity: Fen(electricity), service: Fen(service), occupancy: Fen(occupancy) }
            })
        };
    prop_oneof![
        4 => amount().prop_map(|amount| LedgerOp::TopUp { payment_no: "P".to_owned(), amount }),
        4 => (order(), amount(), 0_i64..=1_000)
            .prop_map(|(order_no, want, min)| LedgerOp::Hold { order_no, want: want.max(Fen(min)), min: Fen(min) }),
        2 => order().prop_map(|order_no| LedgerOp::Void { order_no }),
        4 => (order(), fees(0), any::<bool>())
            .prop_map(|(order_no, fees, from_hold_only)| LedgerOp::Capture { order_no, fees, from_hold_only }),
        3 => (order(), amount())
            .prop_map(|(order_no, amount)| LedgerOp::Repay { order_no, amount, request: "r".to_owned() }),
        3 => (order(), fees(-1_500)).prop_map(|(order_no, fees)| LedgerOp::Correct { order_no, fees }),
        1 => (order(), fees(0)).prop_map(|(order_no, fees)| LedgerOp::GhostLoss { order_no, fees }),
        1 => (order(), amount())
            .prop_map(|(order_no, amount)| LedgerOp::Refund { order_no, adjustment_id: "A".to_owned(), amount }),
        1 => (order(), amount())
            .prop_map(|(order_no, amount)| LedgerOp::WriteOff { order_no, write_off_id: "W".to_owned(), amount }),
        2 => (refund(), amount()).prop_map(|(refund_no, amount)| LedgerOp::Withdraw { refund_no, amount }),
        2 => refund().prop_map(|refund_no| LedgerOp::Withdrawn { refund_no }),
        1 => refund().prop_map(|refund_no| LedgerOp::WithdrawBack { refund_no }),
        1 => amount().prop_map(|amount| LedgerOp::Receive { item: "I".to_owned(), amount }),
        1 => amount().prop_map(|amount| LedgerOp::Suspend { item: "I".to_owned(), amount }),
        1 => Just(LedgerOp::Claim { item: "I".to_owned() }),
    ]
}

/// Debits less credits of a book account.
fn debited(entries: &[Entry], account: BookAccount) -> i64 {
    let signed = |entry: &Entry| i64::from(entry.debit == account) - i64::from(entry.credit == account);
    entries.iter().map(|entry| signed(entry) * entry.amount.0).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ledger_and_model_agree_after_every_operation(ops in vec(any_op(), 1..40)) {
        let (mut account, mut entries) = (AccountState::new(user()), Vec::new());
        let mut model = Model::default();
        for op in &ops {
            let allowed = model.run(op);
            match apply(&account, op, ts("08:00:00")) {
                Ok(change) => {
                    prop_assert!(allowed, "{op:?} should be refused");
                    prop_assert_eq!(change.expect_version, account.version);
                    account = change.next;
                    entries.extend(change.entries);
                }
                Err(refused) => prop_assert!(!allowed, "{op:?} was refused: {refused}"),
            }
            let plain = |amounts: &BTreeMap<OrderNo, Fen>| -> BTreeMap<OrderNo, i64> {
                amounts.iter().map(|(order_no, amount)| (order_no.clone(), amount.0)).collect()
            };
            prop_assert_eq!(account.available.0, model.available);
            prop_assert_eq!(&plain(&account.holds), &model.holds);
            prop_assert_eq!(&plain(&account.debts), &model.debts);
            prop_assert_eq!(debited(&entries, BookAccount::Channel), model.came_in);
            prop_assert_eq!(-debited(&entries, BookAccount::EnergyRevenue), model.earned[0]);
            prop_assert_eq!(-debited(&entries, BookAccount::ServiceRevenue), model.earned[1]);
            prop_assert_eq!(-debited(&entries, BookAccount::OccupancyRevenue), model.earned[2]);
            prop_assert_eq!(debited(&entries, BookAccount::PlatformLoss), model.lost);
            prop_assert_eq!(debited(&entries, BookAccount::Adjustment), model.given);
            let under_way: BTreeMap<_, _> = account.transit.iter().map(|(no, sum)| (no.clone(), sum.0)).collect();
            prop_assert_eq!(&under_way, &model.under_way);
            prop_assert_eq!(plain(&account.refunded), model.refunded.clone());
            prop_assert_eq!(plain(&account.written_off), model.written_off.clone());
            prop_assert_eq!(-debited(&entries, BookAccount::RefundTransit), under_way.values().sum::<i64>());
            prop_assert_eq!(debited(&entries, BookAccount::Transfer), model.received);
            let facts = Facts { account: &account, entries: &entries, orders: &[] };
            prop_assert_eq!(i1_postings_make_the_account(&facts), vec![]);
            let overdrawn = i4_nothing_is_overdrawn(&facts);
            prop_assert!(overdrawn.is_empty(), "{overdrawn:?}");
        }
    }
}
