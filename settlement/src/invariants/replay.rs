//! Balances recomputed from entries alone. Sums are wide enough that no stored number can overflow them.

use std::collections::BTreeMap;

use domain::OrderNo;

use crate::ledger::{BookAccount, Entry};

/// What entries sum to. A balance is signed as its account is meant: liabilities and revenues credit − debit, assets and
/// expenses debit − credit.
#[derive(Debug, Clone, Default)]
pub(super) struct Balances {
    pub(super) available: i128,
    pub(super) frozen: i128,
    pub(super) receivable: i128,
    pub(super) energy: i128,
    pub(super) service: i128,
    pub(super) occupancy: i128,
    pub(super) channel: i128,
    pub(super) loss: i128,
    pub(super) adjustment: i128,
    pub(super) refund_transit: i128,
    pub(super) suspense: i128,
    pub(super) transfer: i128,
}

impl Balances {
    pub(super) fn add(&mut self, entry: &Entry) {
        let amount = i128::from(entry.amount.0);
        self.move_by(entry.debit, amount.saturating_neg());
        self.move_by(entry.credit, amount);
    }

    /// Moves an account by a credit (positive) or a debit (negative).
    const fn move_by(&mut self, account: BookAccount, credit: i128) {
        let (balance, change) = match account {
            BookAccount::DriverAvailable => (&mut self.available, credit),
            BookAccount::DriverFrozen => (&mut self.frozen, credit),
            BookAccount::EnergyRevenue => (&mut self.energy, credit),
            BookAccount::ServiceRevenue => (&mut self.service, credit),
            BookAccount::OccupancyRevenue => (&mut self.occupancy, credit),
            BookAccount::RefundTransit => (&mut self.refund_transit, credit),
            BookAccount::Suspense => (&mut self.suspense, credit),
            BookAccount::Transfer => (&mut self.transfer, credit),
            BookAccount::Receivable => (&mut self.receivable, credit.saturating_neg()),
            BookAccount::Channel => (&mut self.channel, credit.saturating_neg()),
            BookAccount::PlatformLoss => (&mut self.loss, credit.saturating_neg()),
            BookAccount::Adjustment => (&mut self.adjustment, credit.saturating_neg()),
        };
        *balance = balance.saturating_add(change);
    }
}

/// What the entries of one order sum to.
#[derive(Debug, Clone, Default)]
pub(super) struct OrderBalances {
    pub(super) all: Balances,
    /// Set aside at the start.
    pub(super) set_aside: i128,
    /// Given back from what was set aside.
    pub(super) released: i128,
    /// Taken from what was set aside.
    pub(super) captured: i128,
    /// What the driver has paid for it: charges and repayments less what a correction gave back.
    pub(super) paid: i128,
    /// Credited by after-sales refunds.
    pub(super) refunded: i128,
    /// A refund gave back more than had been paid by then. What is paid may fall below it later, by a correction.
    pub(super) refunded_too_much: bool,
    /// Given up of what was owed.
    pub(super) written_off: i128,
}

impl OrderBalances {
    fn add(&mut self, entry: &Entry) {
        use BookAccount::{Adjustment, DriverAvailable, DriverFrozen, Receivable};
        let amount = i128::from(entry.amount.0);
        let raise = |sum: &mut i128, by: i128| *sum = sum.saturating_add(by);
        self.all.add(entry);
        if entry.debit == Adjustment && entry.credit == DriverAvailable {
            raise(&mut self.refunded, amount);
            self.refunded_too_much |= self.refunded > self.paid;
        } else if entry.debit == Adjustment && entry.credit == Receivable {
            raise(&mut self.written_off, amount);
        } else if entry.debit == DriverAvailable && entry.credit == DriverFrozen {
            raise(&mut self.set_aside, amount);
        } else if entry.debit == DriverFrozen && entry.credit == DriverAvailable {
            raise(&mut self.released, amount);
        } else if entry.debit == DriverFrozen {
            raise(&mut self.captured, amount);
            raise(&mut self.paid, amount);
        } else if entry.debit == DriverAvailable {
            raise(&mut self.paid, amount);
        } else if entry.credit == DriverAvailable {
            raise(&mut self.paid, amount.saturating_neg());
        }
    }
}

/// Sums per order.
pub(super) fn by_order(entries: &[Entry]) -> BTreeMap<&OrderNo, OrderBalances> {
    let mut orders: BTreeMap<&OrderNo, OrderBalances> = BTreeMap::new();
    for entry in entries {
        if let Some(order_no) = &entry.order_no {
            orders.entry(order_no).or_default().add(entry);
        }
    }
    orders
}
