//! I7: over all accounts together no money appears or vanishes.

use domain::Fen;

use super::{Breach, Facts, orders::was_taken, replay::Balances};
use crate::{ledger::EntryKind, pricing::Bill};

/// Sums over all accounts. [`Conservation::add`] every account once, then [`Conservation::check`].
///
/// Three witnesses are compared that were written independently: the entries, the states of the accounts, and the bills
/// of the orders.
#[derive(Debug, Clone, Default)]
pub struct Conservation {
    entries: Balances,
    topped_up: i128,
    available: i128,
    frozen: i128,
    debts: i128,
    earned: i128,
    lost: i128,
}

impl Conservation {
    /// Adds one account.
    pub fn add(&mut self, facts: &Facts<'_>) {
        for entry in facts.entries {
            self.entries.add(entry);
            if entry.kind == EntryKind::TopUp {
                raise(&mut self.topped_up, entry.amount);
            }
        }
        raise(&mut self.available, facts.account.available);
        raise(&mut self.frozen, facts.account.frozen);
        facts.account.debts.values().for_each(|debt| raise(&mut self.debts, *debt));
        for order in facts.orders.iter().filter(|order| order.status.is_over()) {
            let total = |bill: Option<&Bill>| bill.map_or(Fen::ZERO, |bill| bill.total_fen);
            if was_taken(order) {
                raise(&mut self.earned, total(order.bill.as_ref()));
            }
            let lost = total(order.ghost.as_ref().and_then(|ghost| ghost.bill.as_ref()));
            raise(&mut self.earned, lost);
            raise(&mut self.lost, lost);
        }
    }

    /// I7. `channel_in`: sum of all payments that succeeded, when the caller knows it.
    #[must_use]
    pub fn check(&self, channel_in: Option<Fen>) -> Vec<Breach> {
        let mut breaches = Vec::new();
        let mut require_equal = |what: &str, one: i128, other: i128| {
            if one != other {
                breaches.push(Breach { rule: "I7", what: format!("all accounts: {what}: {one} is not {other} fen") });
            }
        };
        if let Some(paid_in) = channel_in {
            require_equal("top-ups in the books and payments that succeeded", self.topped_up, paid_in.0.into());
        }
        let booked = [self.entries.energy, self.entries.service, self.entries.occupancy];
        let booked = booked.into_iter().fold(0, i128::saturating_add);
        require_equal("revenue in the books and in the bills", booked, self.earned);
        let came_in = [self.entries.channel, self.debts, self.lost, self.entries.adjustment];
        let between = [self.entries.refund_transit, self.entries.suspense, self.entries.transfer];
        let is_there =
            [self.available, self.frozen, self.earned, between.iter().copied().fold(0, i128::saturating_add)];
        let sum = |parts: &[i128]| parts.iter().copied().fold(0, i128::saturating_add);
        require_equal(
            "money in, owed, lost and given away, and what drivers have, what was earned and what is under way",
            sum(&came_in),
            sum(&is_there),
        );
        breaches
    }
}

fn raise(sum: &mut i128, by: Fen) {
    *sum = sum.saturating_add(by.0.into());
}
