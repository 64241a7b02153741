//! Runs model and crate side by side, one fact at a time, and compares.
#![allow(dead_code, reason = "each test uses its own part")]

mod alter;
mod compare;
mod drive;
mod steps;

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    model,
    support::{RULES, books::Books},
};

pub(crate) use steps::{Step, any_steps};

/// What a run must have come by, or it proves little.
pub(crate) const MUST_SEE: &[&str] = &[
    "Taken",
    "Rejected",
    "Never",
    "Held",
    "debt",
    "correction up",
    "correction down",
    "ghost",
    "resume finished",
    "late plan landed",
    "late plan refused",
    "repeat refused",
    "repaid",
    "correction after repayment",
    "refund",
    "write-off",
    "withdrawn",
    "withdrawn back",
    "received",
    "sent back",
    "prepaid",
    "postpaid",
    "refund",
    "write-off",
    "withdrawn",
    "withdrawn back",
    "received",
    "sent back",
    "prepaid",
    "postpaid",
];

/// A bill with this fee for electricity waits for a person, however small it is.
const SUSPECT: model::Sum = 999;

/// Model and crate, side by side.
#[derive(Debug)]
pub(crate) struct Machine {
    model: model::Books,
    books: Books,
    late: Vec<drive::Late>,
    /// The record by which the money of an order was moved: its charger sends this one again, until it is acknowledged.
    records: BTreeMap<String, [model::Sum; 3]>,
    /// Orders placed so far.
    placed: u8,
    /// Names for what must have a name of its own.
    names: u32,
    /// Facts stored.
    pub(crate) facts: u64,
    /// Commits of which only a prefix landed.
    pub(crate) cut: u64,
    /// Commits refused by the store.
    pub(crate) conflicts: u64,
    /// What happened.
    pub(crate) saw: BTreeSet<String>,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let amounts = model::Amounts {
            freeze: RULES.freeze_default.0.into(),
            least: RULES.freeze_min.0.into(),
            hold_over: RULES.hold_over.0.into(),
            suspect: SUSPECT,
        };
        Self {
            model: model::Books::new(amounts),
            books: Books::default(),
            late: Vec::new(),
            records: BTreeMap::new(),
            placed: 0,
            names: 0,
            facts: 0,
            cut: 0,
            conflicts: 0,
            saw: BTreeSet::new(),
        }
    }

    fn saw(&mut self, what: &str) {
        self.saw.insert(what.to_owned());
    }
}
