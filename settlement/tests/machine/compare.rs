//! What must be true after every single fact.

use std::collections::BTreeMap;

use domain::{Fen, OrderNo, UserId};
use settlement::{
    ledger::{BookAccount, Entry},
    order::{Order, PaymentStatus},
};

use super::Machine;
use crate::model::{Case, Phase, Sum};

type Sums = BTreeMap<BookAccount, Sum>;

impl Machine {
    /// Crate and model hold the same, and every rule holds that must hold in this moment.
    pub(super) fn compare(&self) {
        self.model.sums_hold().unwrap();
        let all = self.sums();
        assert_eq!(all.values().sum::<Sum>(), 0, "all accounts of the books sum to nothing: {all:?}");
        let sum = |account| all.get(&account).copied().unwrap_or(0);
        let [energy, service, occupancy] = self.model.earned;
        let revenue = [BookAccount::EnergyRevenue, BookAccount::ServiceRevenue, BookAccount::OccupancyRevenue].map(sum);
        assert_eq!(revenue, [energy, service, occupancy], "what was earned");
        let others = [BookAccount::Channel, BookAccount::PlatformLoss, BookAccount::Adjustment].map(sum);
        assert_eq!(others, [-self.model.channel, -self.model.lost, -self.model.given], "channel, loss, given away");
        let claimed: Sum = self.model.claimed.values().sum();
        assert_eq!(sum(BookAccount::Transfer), claimed, "what was claimed and not received");
        for user in self.model.purses.keys() {
            self.compare_account(user);
        }
        for (order, case) in &self.model.orders {
            compare_order(&self.books.orders[&Self::number(order)], case);
            assert!(self.books.ends.get(&Self::number(order)).copied().unwrap_or(0) <= 1, "order {order} ended twice");
        }
        if self.model.orders.keys().all(|order| self.model.is_whole(order)) {
            assert_eq!(self.books.conservation(self.model.topped_up), vec![]);
        }
    }

    fn compare_account(&self, user: &str) {
        let (purse, user_id) = (self.model.purse(user), UserId::parse(user).unwrap());
        let account = self.books.account(&user_id);
        let plain = |amounts: &BTreeMap<OrderNo, Fen>| -> BTreeMap<String, Sum> {
            amounts.iter().map(|(order, amount)| (order.as_str().to_owned(), amount.0.into())).collect()
        };
        assert_eq!(Sum::from(account.available.0), purse.available, "available of {user}");
        assert_eq!(plain(&account.holds), purse.holds, "holds of {user}");
        assert_eq!(plain(&account.debts), purse.debts, "debts of {user}");
        let named = |amounts: &BTreeMap<String, Fen>| -> BTreeMap<String, Sum> {
            amounts.iter().map(|(name, amount)| (name.clone(), amount.0.into())).collect()
        };
        assert_eq!(named(&account.transit), purse.transit, "on its way from {user}");
        assert_eq!(named(&account.suspense), purse.suspense, "of nobody known");
        assert_eq!(Sum::from(account.frozen.0), self.model.frozen(user), "frozen of {user}");
        let whole = |(order, case): (&String, &Case)| case.user != user || self.model.is_whole(order);
        let breaches = self.books.breaches_of(&user_id, self.model.orders.iter().all(whole));
        assert_eq!(breaches, vec![], "{user}: {:#?}", self.model);
    }

    /// Credits less debits of every account of the books.
    fn sums(&self) -> Sums {
        let mut sums = Sums::new();
        for entry in self.books.entries.values().flatten() {
            *sums.entry(entry.credit).or_default() += Sum::from(entry.amount.0);
            *sums.entry(entry.debit).or_default() -= Sum::from(entry.amount.0);
        }
        sums
    }

    /// What was written stays as it was written.
    pub(super) fn no_entry_was_touched(&self, before: &BTreeMap<UserId, Vec<Entry>>) {
        for (user, entries) in before {
            let now = &self.books.entries[user];
            assert!(now.starts_with(entries), "an entry of {user} was changed or taken out");
        }
    }
}

fn compare_order(order: &Order, case: &Case) {
    assert!(Machine::status_fits(case.phase, order), "{:?} and {case:?}", order.status);
    let told = &case.told;
    let says = [order.paid_fen, order.debt_fen, order.refunded_fen, order.written_off_fen].map(|fen| Sum::from(fen.0));
    assert_eq!(says, [told.paid, told.debt, told.refunded, told.written_off], "what the order says: {case:?}");
    if case.phase != Phase::Placed {
        assert_eq!(Sum::from(order.frozen_fen.0), told.set_aside, "set aside: {case:?}");
    }
    if case.phase.is_over() {
        assert_eq!(Sum::from(order.released_fen.0), told.released, "released: {case:?}");
    }
    let fees = |bill: &settlement::pricing::Bill| {
        [bill.electricity_fen, bill.service_fen, bill.occupancy_fen].map(|fee| Sum::from(fee.0))
    };
    assert_eq!(order.bill.as_ref().map(fees), case.bill, "the bill");
    assert_eq!(order.ghost.as_ref().and_then(|ghost| ghost.bill.as_ref()).map(fees), case.ghost, "the ghost's bill");
    assert_eq!((order.ghost.is_some(), order.provisional), (case.ghost_seen, case.provisional), "{case:?}");
    assert_eq!(order.stop_pending, case.stop_waits && case.phase == Phase::Charging, "{case:?}");
    let payment = match case.phase {
        Phase::Placed | Phase::Rejected | Phase::Never => PaymentStatus::None,
        Phase::Taken if told.debt > 0 => PaymentStatus::Unpaid,
        Phase::Taken if told.refunded == 0 => PaymentStatus::Paid,
        Phase::Taken if told.refunded < told.paid => PaymentStatus::PartiallyRefunded,
        Phase::Taken => PaymentStatus::Refunded,
        Phase::Starting | Phase::Charging | Phase::Stopping | Phase::Settling | Phase::Held => PaymentStatus::Frozen,
    };
    assert_eq!(order.payment_status, payment, "{case:?}");
}
