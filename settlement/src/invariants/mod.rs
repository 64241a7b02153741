//! The numbered rules that the money must always obey, as functions over stored facts.
//!
//! They recompute everything from the entries and compare; they call neither the ledger nor the planners, and know no
//! storage. The facts of an account must be one consistent view: between the steps of a plan that is being stored, rules
//! about orders and holds may look broken (see [`settle`](crate::settle)).
//!
//! | rule | says |
//! |---|---|
//! | I1 | the postings of an account sum to its state: available, frozen, every hold, every debt |
//! | I2 | what was set aside for an order = what was captured from it + what was released + what is still set aside |
//! | I3 | a debt is exactly what the account could not pay, less repayments and corrections |
//! | I4 | nothing is ever overdrawn; frozen is the sum of the holds |
//! | I5 | a bill is the sum of its fees, its segments re-rate to them, and it is paid or owed to the fen |
//! | I6 | entries are numbered without gaps, no operation is done twice, an order that is over has no hold, a running one has |
//! | I7 | over all accounts, money that came in = what drivers have + what was earned + what is under way − what is owed, lost and given away |
//! | I8 | money under way and in suspense has a case of the same amount; a payment's refunds sum to what it says went back |

mod books;
mod cases;
mod conservation;
mod orders;
mod replay;

use crate::{
    ledger::{AccountState, Entry},
    order::Order,
};

pub use books::{i1_postings_make_the_account, i4_nothing_is_overdrawn, i6_nothing_is_missing_or_doubled};
pub use cases::Cases;
pub use conservation::Conservation;
pub use orders::{i2_holds_are_captured_or_released, i3_debts_are_shortfalls, i5_bills_add_up};

/// A rule that stored facts break.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// Which rule: "I1" to "I8".
    pub rule: &'static str,
    /// What is wrong, with the names and numbers.
    pub what: String,
}

/// Everything stored of one account.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Its state.
    pub account: &'a AccountState,
    /// All its entries, oldest first.
    pub entries: &'a [Entry],
    /// All its orders.
    pub orders: &'a [Order],
}

/// All rules of one account, I1 to I6.
#[must_use]
pub fn check(facts: &Facts<'_>) -> Vec<Breach> {
    let rules = [
        i1_postings_make_the_account,
        i2_holds_are_captured_or_released,
        i3_debts_are_shortfalls,
        i4_nothing_is_overdrawn,
        i5_bills_add_up,
        i6_nothing_is_missing_or_doubled,
    ];
    rules.into_iter().flat_map(|rule| rule(facts)).collect()
}

/// Breaches of one rule, as they are found.
struct Findings<'a> {
    rule: &'static str,
    user: &'a str,
    breaches: Vec<Breach>,
}

impl<'a> Findings<'a> {
    fn new(rule: &'static str, facts: &Facts<'a>) -> Self {
        Self { rule, user: facts.account.user_id.as_str(), breaches: Vec::new() }
    }

    /// Notes a breach unless `holds`.
    fn require(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.breaches.push(Breach { rule: self.rule, what: format!("account {}: {}", self.user, what()) });
        }
    }

    /// Notes a breach unless both are the same.
    fn require_equal(&mut self, what: impl FnOnce() -> String, stored: i128, computed: i128) {
        self.require(stored == computed, || format!("{} is {stored}, must be {computed}", what()));
    }
}
