//! I1, I4 and I6: the entries of an account against its state.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Fen, OrderNo};

use super::{
    Breach, Facts, Findings,
    replay::{Balances, by_order},
};
use crate::order::OrderStatus;

/// I1: the postings of an account sum to its state: available, frozen, every hold, every debt.
#[must_use]
pub fn i1_postings_make_the_account(facts: &Facts<'_>) -> Vec<Breach> {
    let mut findings = Findings::new("I1", facts);
    let account = facts.account;
    let mut sums = Balances::default();
    for entry in facts.entries {
        sums.add(entry);
        let sound = entry.user_id == account.user_id && entry.amount > Fen::ZERO && entry.debit != entry.credit;
        findings.require(sound, || format!("entry {} is not a posting of this account", entry.seq));
    }
    findings.require_equal(|| "available".to_owned(), account.available.0.into(), sums.available);
    findings.require_equal(|| "frozen".to_owned(), account.frozen.0.into(), sums.frozen);
    let in_transit = total(account.transit.values());
    findings.require_equal(|| "what is on its way to the channel".to_owned(), in_transit, sums.refund_transit);
    let in_suspense = total(account.suspense.values());
    findings.require_equal(|| "what is in suspense".to_owned(), in_suspense, sums.suspense);

    let by_order = by_order(facts.entries);
    let mut compare = |what: &str, stored: &BTreeMap<OrderNo, Fen>, sum: &dyn Fn(&OrderNo) -> i128| {
        let names: BTreeSet<&OrderNo> = stored.keys().chain(by_order.keys().copied()).collect();
        for order_no in names {
            let amount = stored.get(order_no).copied().unwrap_or_default();
            findings.require_equal(|| format!("the {what} of order {order_no}"), amount.0.into(), sum(order_no));
        }
    };
    compare("hold", &account.holds, &|no| by_order.get(no).map_or(0, |order| order.all.frozen));
    compare("write-off", &account.written_off, &|no| by_order.get(no).map_or(0, |order| order.written_off));
    compare("refund", &account.refunded, &|no| by_order.get(no).map_or(0, |order| order.refunded));
    compare("debt", &account.debts, &|no| by_order.get(no).map_or(0, |order| order.all.receivable));
    findings.breaches
}

/// I4: nothing is ever overdrawn, after no operation; frozen is the sum of the holds; debts are positive.
#[must_use]
pub fn i4_nothing_is_overdrawn(facts: &Facts<'_>) -> Vec<Breach> {
    let mut findings = Findings::new("I4", facts);
    let account = facts.account;
    findings.require(account.available >= Fen::ZERO, || format!("available is {}", account.available));
    let held = total(account.holds.values());
    findings.require_equal(|| "frozen".to_owned(), account.frozen.0.into(), held);
    for (order_no, hold) in &account.holds {
        findings.require(*hold >= Fen::ZERO, || format!("the hold of order {order_no} is {hold}"));
    }
    for (order_no, debt) in &account.debts {
        findings.require(*debt > Fen::ZERO, || format!("the debt of order {order_no} is {debt}"));
    }
    for (name, sum) in account.transit.iter().chain(&account.suspense) {
        findings.require(*sum > Fen::ZERO, || format!("what is set aside as {name} is {sum}"));
    }
    let mut sums = Balances::default();
    for op in facts.entries.chunk_by(|a, b| a.op == b.op) {
        op.iter().for_each(|entry| sums.add(entry));
        let drivers = sums.available.min(sums.frozen).min(sums.receivable);
        let lowest = drivers.min(sums.refund_transit).min(sums.suspense);
        let name = op.first().map_or("", |entry| entry.op.as_str());
        findings.require(lowest >= 0, || format!("{name} overdrew an account: {lowest} fen"));
    }
    findings.breaches
}

/// I6: entries are numbered without gaps, no operation is done twice, the version counts at least the operations with
/// entries, an order that is over has no hold, a running one has.
#[must_use]
pub fn i6_nothing_is_missing_or_doubled(facts: &Facts<'_>) -> Vec<Breach> {
    let mut findings = Findings::new("I6", facts);
    let account = facts.account;
    for (entry, seq) in facts.entries.iter().zip(1_i64..) {
        findings.require(entry.seq == seq, || format!("entry {seq} is missing: {} stands there", entry.seq));
    }
    let entries = i128::try_from(facts.entries.len()).unwrap_or(i128::MAX);
    findings.require_equal(|| "the number of the last entry".to_owned(), account.entry_seq.into(), entries);

    let mut done = BTreeSet::new();
    for op in facts.entries.chunk_by(|a, b| a.op == b.op) {
        let name = op.first().map_or("", |entry| entry.op.as_str());
        findings.require(done.insert(name), || format!("{name} was done twice"));
    }
    let ops = i64::try_from(done.len()).unwrap_or(i64::MAX);
    let version = account.version;
    findings.require(version >= ops, || format!("version {version} counts fewer than the {ops} operations"));

    for order in facts.orders {
        let has_hold = account.holds.contains_key(&order.order_no);
        let (no, status) = (&order.order_no, order.status);
        let wanted = match status {
            OrderStatus::Placed | OrderStatus::Settling => has_hold,
            OrderStatus::Starting | OrderStatus::Charging | OrderStatus::Stopping | OrderStatus::Held => true,
            OrderStatus::Closed | OrderStatus::ExceptionClosed | OrderStatus::StartFailed | OrderStatus::Canceled => {
                false
            }
        };
        findings.require(has_hold == wanted, || format!("order {no} is {status:?} and has a hold: {has_hold}"));
    }
    let known: BTreeSet<&OrderNo> = facts.orders.iter().map(|order| &order.order_no).collect();
    for order_no in account.holds.keys().chain(account.debts.keys()) {
        findings.require(known.contains(order_no), || format!("order {order_no} has a hold or a debt and is unknown"));
    }
    findings.breaches
}

fn total<'a>(sums: impl Iterator<Item = &'a Fen>) -> i128 {
    sums.fold(0, |total: i128, sum| total.saturating_add(sum.0.into()))
}
