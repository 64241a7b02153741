//! A state as a number: two states with one number are the same state, entries and their order included.

use std::hash::{DefaultHasher, Hash, Hasher};

use settlement::{order::Order, settle::Step};

use super::{Doing, Purse, World};

fn key_by(what: impl Fn(&mut DefaultHasher)) -> u64 {
    let mut hasher = DefaultHasher::new();
    what(&mut hasher);
    hasher.finish()
}

pub(super) fn purse_key(of: &Purse) -> u64 {
    key_by(|hasher| purse(of, hasher))
}

pub(super) fn order_key(of: &Order) -> u64 {
    key_by(|hasher| order(of, hasher))
}

impl World {
    /// The drivers are alike: a state and its mirror image are one state. A driver who is settled and of whom nothing is
    /// under way will never move again, and how it came to that makes no difference to the other.
    pub(crate) fn key(&self, keys: [u64; 2]) -> u64 {
        let key = |driver: usize| if self.is_at_rest(driver) { 0 } else { keys[driver] };
        let [one, other] = [key(0), key(1)];
        let mut hasher = DefaultHasher::new();
        (one.min(other), one.max(other), self.faults).hash(&mut hasher);
        hasher.finish()
    }

    /// The situation of each driver, without names.
    pub(crate) fn keys(&self) -> [u64; 2] {
        [self.key_of(0), self.key_of(1)]
    }

    /// Everything about one driver, without names.
    fn key_of(&self, driver: usize) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.purses[driver].key, self.order_keys[driver]).hash(&mut hasher);
        (self.pile[driver], self.ends[driver], self.network[driver]).hash(&mut hasher);
        match &self.doing {
            Doing::Nothing => 0_u8.hash(&mut hasher),
            Doing::Down { left } => (1_u8, left[driver]).hash(&mut hasher),
            Doing::Storing { steps, next, driver: whose, then } if *whose == driver => {
                (2_u8, steps.len() - next).hash(&mut hasher);
                then.iter().for_each(|message| (*message as u16).hash(&mut hasher));
                steps[*next..].iter().for_each(|fact| step(fact, &mut hasher));
            }
            Doing::Storing { .. } => 3_u8.hash(&mut hasher),
        }
        hasher.finish()
    }
}

/// The name of an operation without whose it is.
fn word(op: &str) -> &str {
    op.split(':').next().unwrap_or(op)
}

fn purse(purse: &Purse, hasher: &mut DefaultHasher) {
    let account = &purse.account;
    (account.available.0, account.frozen.0, account.version).hash(hasher);
    account.holds.values().for_each(|hold| hold.0.hash(hasher));
    0_u8.hash(hasher);
    account.debts.values().for_each(|debt| debt.0.hash(hasher));
    for entry in &purse.entries {
        (word(&entry.op), entry.debit, entry.credit, entry.amount.0).hash(hasher);
    }
}

fn order(order: &Order, hasher: &mut DefaultHasher) {
    (order.status, order.payment_status, order.provisional, order.stop_pending, order.rev).hash(hasher);
    (order.frozen_fen.0, order.paid_fen.0, order.released_fen.0, order.debt_fen.0).hash(hasher);
    order.stop_reason.map(|reason| reason.code()).hash(hasher);
    order.bill.as_ref().map(|bill| bill.total_fen.0).hash(hasher);
    order.ghost.as_ref().map(|ghost| ghost.bill.as_ref().map(|bill| bill.total_fen.0)).hash(hasher);
    order.review.as_ref().map(|review| review.verdict).hash(hasher);
    order.corrections.len().hash(hasher);
}

fn step(step: &Step, hasher: &mut DefaultHasher) {
    match step {
        Step::NewOrder(new) | Step::Order(new) => order(new, hasher),
        Step::History(_, rows) => rows.len().hash(hasher),
        Step::Ledger(change) => (word(&change.op), change.next.available.0, change.next.frozen.0).hash(hasher),
    }
}
