//! The money of several drivers, told a second time from CONTRACT 2 and 2.2: plain sums in plain maps.
//!
//! It shares no code with the crate and knows none of its types. An action comes to a list of effects in the order
//! "bill stored, money moved, order told", each of which may be the last before a crash; [`Books::land`] makes one true.
//! Beside what the ledger must hold ([`Money`], per order) stands what the order has been told of it ([`Case::told`]):
//! between two effects of one action they differ, and [`Books::is_whole`] says when they may not.
#![allow(dead_code, reason = "each test uses its own part")]

mod acts;
mod rules;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use acts::{Act, Effect, Move};

pub(crate) use rules::Seen;

/// Fen; wide enough that no test can overflow it.
pub(crate) type Sum = i128;

/// Where an order is, as far as money cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Phase {
    Placed,
    Starting,
    Charging,
    Stopping,
    Settling,
    Held,
    /// Over, its bill taken.
    Taken,
    /// Over, nothing taken because a person said so.
    Rejected,
    /// Over, because it never began.
    Never,
}

impl Phase {
    pub(crate) fn is_over(self) -> bool {
        matches!(self, Self::Taken | Self::Rejected | Self::Never)
    }
}

/// How an order is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Some is set aside; the bill is taken from there and from what is available.
    Freeze,
    /// Exactly the limit is set aside; the bill is taken from there alone.
    Prepaid,
    /// Nothing is set aside.
    Postpaid,
}

/// What became of the money of one order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Money {
    pub(crate) set_aside: Sum,
    pub(crate) captured: Sum,
    pub(crate) released: Sum,
    pub(crate) paid: Sum,
    pub(crate) debt: Sum,
    pub(crate) written_off: Sum,
    pub(crate) refunded: Sum,
    pub(crate) earned: [Sum; 3],
    pub(crate) lost: Sum,
}

/// One order.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) user: String,
    pub(crate) phase: Phase,
    pub(crate) mode: Mode,
    /// What the driver wants to spend at most.
    pub(crate) limit: Option<Sum>,
    pub(crate) bill: Option<[Sum; 3]>,
    pub(crate) provisional: bool,
    pub(crate) approved: bool,
    pub(crate) stop_waits: bool,
    pub(crate) fault: bool,
    pub(crate) ghost_seen: bool,
    pub(crate) ghost: Option<[Sum; 3]>,
    /// Change of the bill by its correction.
    pub(crate) corrected_by: Sum,
    /// What the ledger has done for it.
    pub(crate) money: Money,
    /// What the order says of it.
    pub(crate) told: Money,
    /// How often it changed.
    pub(crate) changes: u64,
    /// How often it came to an end.
    pub(crate) ends: u32,
}

/// One driver.
#[derive(Debug, Clone, Default)]
pub(crate) struct Purse {
    pub(crate) available: Sum,
    pub(crate) holds: BTreeMap<String, Sum>,
    pub(crate) debts: BTreeMap<String, Sum>,
    /// On its way back to the channel, by refund.
    pub(crate) transit: BTreeMap<String, Sum>,
    /// Of nobody known, by item.
    pub(crate) suspense: BTreeMap<String, Sum>,
    /// Names of the operations done.
    pub(crate) done: BTreeSet<String>,
}

/// The configured amounts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Amounts {
    pub(crate) freeze: Sum,
    pub(crate) least: Sum,
    pub(crate) hold_over: Sum,
    /// A bill with just this fee for electricity is suspect.
    pub(crate) suspect: Sum,
}

/// Everybody's money.
#[derive(Debug, Clone)]
pub(crate) struct Books {
    pub(crate) amounts: Amounts,
    pub(crate) purses: BTreeMap<String, Purse>,
    pub(crate) orders: BTreeMap<String, Case>,
    /// Payments of drivers.
    pub(crate) topped_up: Sum,
    /// What lies at the channel.
    pub(crate) channel: Sum,
    /// Claimed for its owner, and not received yet, by item.
    pub(crate) claimed: BTreeMap<String, Sum>,
    pub(crate) earned: [Sum; 3],
    pub(crate) lost: Sum,
    pub(crate) given: Sum,
}

/// Why an effect does not land.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clash {
    /// The order is there already.
    Exists,
    /// The order has changed since.
    Order,
    /// The operation was done before.
    Done,
    /// The account has changed since.
    Account,
}

impl Books {
    pub(crate) fn new(amounts: Amounts) -> Self {
        Self {
            amounts,
            purses: BTreeMap::new(),
            orders: BTreeMap::new(),
            topped_up: 0,
            channel: 0,
            claimed: BTreeMap::new(),
            earned: [0; 3],
            lost: 0,
            given: 0,
        }
    }

    pub(crate) fn purse(&self, user: &str) -> Purse {
        self.purses.get(user).cloned().unwrap_or_default()
    }

    pub(crate) fn frozen(&self, user: &str) -> Sum {
        self.purse(user).holds.values().sum()
    }

    /// Whether nothing about the order is cut off in the middle: it has been told all that the ledger did for it.
    pub(crate) fn is_whole(&self, order: &str) -> bool {
        let case = &self.orders[order];
        let has_hold = self.purse(&case.user).holds.contains_key(order);
        let bill = |bill: Option<[Sum; 3]>| bill.unwrap_or_default();
        case.told == case.money
            && match case.phase {
                Phase::Placed | Phase::Settling => false,
                Phase::Starting | Phase::Charging | Phase::Stopping | Phase::Held => has_hold,
                Phase::Taken => !has_hold && case.money.earned == bill(case.bill),
                Phase::Rejected => !has_hold && case.money.earned == [0; 3],
                Phase::Never => !has_hold && case.money.earned == bill(case.ghost),
            }
    }

    /// The rules of the money itself, in any state: nothing appears or vanishes, nothing is overdrawn.
    pub(crate) fn sums_hold(&self) -> Result<(), String> {
        let purses = self.purses.values();
        let available: Sum = purses.clone().map(|purse| purse.available).sum();
        let frozen: Sum = purses.clone().flat_map(|purse| purse.holds.values()).sum();
        let owed: Sum = purses.clone().flat_map(|purse| purse.debts.values()).sum();
        let under_way: Sum =
            purses.clone().flat_map(|purse| purse.transit.values().chain(purse.suspense.values())).sum();
        let between = under_way + self.claimed.values().sum::<Sum>();
        let have = available + frozen + between + self.earned.iter().sum::<Sum>();
        let from = self.channel + owed + self.lost + self.given;
        if have != from {
            return Err(format!("{have} fen are somewhere, {from} came from somewhere"));
        }
        for (name, case) in &self.orders {
            let open = self.purse(&case.user).holds.get(name).copied().unwrap_or(0);
            let money = &case.money;
            if money.set_aside != money.captured + money.released + open {
                return Err(format!("order {name}: {money:?} and {open} still set aside"));
            }
            if case.told.refunded > case.told.paid && case.corrected_by >= 0 {
                return Err(format!("order {name} gave back more than was paid: {money:?}"));
            }
            if case.ends > 1 {
                return Err(format!("order {name} ended {} times", case.ends));
            }
        }
        match self.purses.iter().find(|(_, purse)| purse.available < 0 || purse.debts.values().any(|debt| *debt <= 0)) {
            Some((user, purse)) => Err(format!("{user}: {purse:?}")),
            None => Ok(()),
        }
    }
}
