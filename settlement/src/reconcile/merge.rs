//! What a run does to the items that are there already: it adds, renews and closes, and leaves alone what people decided.
//! Knows neither the clock nor where items are kept.

use std::collections::{BTreeMap, BTreeSet};

use domain::Timestamp;

use super::{Day, Finding, Item, ItemState, item::next};

/// What a run over a day looked at, and what of it was found.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// The day that was looked at.
    pub of_day: Day,
    /// The day in whose books new items are put: the same, or the next open one when it is closed.
    pub books: Day,
    /// What was found.
    pub findings: &'a [Finding],
    /// Items of other days that this day's lines and payments match.
    pub matched: &'a BTreeSet<String>,
    /// Whether all funds were looked at, so that an item which was not found is gone.
    pub funds_complete: bool,
    /// The same for energy.
    pub energy_complete: bool,
}

/// The items a run adds or changes; `known` are those of the day, those about it, and those of earlier days that it may
/// match. The same run over what it left changes nothing.
#[must_use]
pub fn merge(known: &BTreeMap<String, Item>, run: &Run<'_>, now: Timestamp) -> Vec<Item> {
    let mut changed = BTreeMap::new();
    let mut found = BTreeSet::new();
    for finding in run.findings {
        let id = name(known, finding, run);
        let item = match known.get(&id) {
            None => Some(Item { item_id: id.clone(), ..Item::new(finding, run.of_day, run.books, now) }),
            Some(item) => seen_again(item, finding, run),
        };
        changed.extend(item.map(|item| (id.clone(), item)));
        found.insert(id);
    }
    for item in known.values().filter(|item| item.is_open()) {
        let of_this_day = item.about_day() == run.of_day;
        let complete = if item.kind.is_of_funds() { run.funds_complete } else { run.energy_complete };
        let gone = of_this_day && complete && !found.contains(&item.item_id);
        let by_this_day = run.matched.contains(&item.item_id);
        if gone || by_this_day {
            let matched_by = (by_this_day && !of_this_day).then_some(run.of_day);
            let item = Item { state: ItemState::Matched, matched_by, rev: next(item.rev), ..item.clone() };
            changed.insert(item.item_id.clone(), item);
        }
    }
    changed.into_values().collect()
}

/// Under which name a finding is kept. One that had gone away when its day was closed, and is there again, cannot go back
/// into those books: it gets another name in the open ones.
fn name(known: &BTreeMap<String, Item>, finding: &Finding, run: &Run<'_>) -> String {
    let id = finding.id(run.of_day);
    let shut = |item: &Item| item.day < run.books && item.state == ItemState::Matched && item.matched_by.is_none();
    if known.get(&id).is_some_and(shut) { format!("{id}:late") } else { id }
}

/// What becomes of an item that is found again; `None` when nothing changes.
fn seen_again(item: &Item, finding: &Finding, run: &Run<'_>) -> Option<Item> {
    // Its books may have been closed since, and then never change.
    if item.day < run.books {
        return None;
    }
    match item.state {
        ItemState::Open | ItemState::Noted if item.about == finding.about => None,
        ItemState::Open | ItemState::Noted => {
            Some(Item { about: finding.about.clone(), rev: next(item.rev), ..item.clone() })
        }
        ItemState::Matched if item.matched_by.is_none() => {
            let (about, rev) = (finding.about.clone(), next(item.rev));
            Some(Item { state: ItemState::Open, about, rev, ..item.clone() })
        }
        ItemState::Matched | ItemState::Resolved => None,
    }
}
