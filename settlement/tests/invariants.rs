//! The invariants hold for honest books and notice every single altered number in them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod support;

use std::collections::BTreeSet;

use domain::{Fen, StopReason, WattHours};
use settlement::{
    invariants::{Conservation, Facts},
    ledger::{BookAccount, EntryKind},
    order::{OrderStatus, ProvisionalCause, StopBy},
    settle,
};
use support::{RULES, Store, bill, facts, new_order, risk_officer, ts};

/// Books with everything in them: a taken bill, one that was corrected and is owed in part, a held and a running order, a
/// rejected one, a canceled one with a ghost charge.
fn books() -> Store {
    let mut store = Store::new(60_000);
    let now = ts("12:00:00");
    let full = facts(StopReason::Full);
    let mut charge = |order_no: &str| {
        let plan = settle::place(&new_order(order_no), &store.account, &RULES, now).unwrap();
        store.store(&plan);
    };
    ["1", "2", "3", "4", "5", "6"].into_iter().for_each(&mut charge);
    let plan = settle::cancel(store.order("1"), &store.account, StopBy::Driver, now).unwrap();
    store.store(&plan);
    let plan = settle::ghost(store.order("1"), &store.account, now, Some(&bill(70, 30)), false, now).unwrap();
    store.store(&plan);
    let plan = settle::finish(store.order("2"), &store.account, &full, &bill(2_000, 700), &RULES, now).unwrap();
    store.store(&plan);
    for order_no in ["3", "5"] {
        let plan = settle::finish(store.order(order_no), &store.account, &full, &bill(30_000, 0), &RULES, now).unwrap();
        store.store(&plan);
    }
    let plan = settle::reject(store.order("5"), &store.account, &risk_officer(), now).unwrap();
    store.store(&plan);
    let silence = ProvisionalCause::Silence;
    let plan = settle::evidence(store.order("4"), &store.account, now, None, now).unwrap();
    store.store(&plan);
    let plan =
        settle::end_provisionally(store.order("4"), &store.account, silence, &bill(9_000, 900), &RULES, now).unwrap();
    store.store(&plan);
    let plan = settle::correct(store.order("4"), &store.account, &full, &bill(50_000, 9_000), false, now).unwrap();
    store.store(&plan);
    let top_up = settle::top_up(&store.account, "P2", Fen(1_000), now).unwrap();
    store.ledger(&top_up);
    let plan = settle::repay(store.order("4"), &store.account, Some(Fen(400)), "r1", now).unwrap();
    store.store(&plan);
    store
}

fn rules_broken(store: &Store) -> BTreeSet<&'static str> {
    store.breaches().iter().map(|breach| breach.rule).collect()
}

#[test]
fn honest_books_break_no_rule() {
    let store = books();
    assert_eq!(store.breaches(), vec![]);
    let statuses: Vec<OrderStatus> = store.orders.iter().map(|order| order.status).collect();
    use OrderStatus::{Canceled, Closed, ExceptionClosed, Held, Starting};
    assert_eq!(statuses, [Canceled, Closed, Held, ExceptionClosed, ExceptionClosed, Starting]);
    assert!(store.order("4").debt_fen > Fen(0));
}

#[test]
fn one_altered_number_anywhere_in_the_money_is_noticed() {
    type Alter = Box<dyn Fn(&mut Store)>;
    let mut alterations: Vec<(String, Alter)> = vec![
        ("available".to_owned(), Box::new(|s| s.account.available.0 += 1)),
        ("frozen".to_owned(), Box::new(|s| s.account.frozen.0 -= 1)),
        ("entry_seq".to_owned(), Box::new(|s| s.account.entry_seq += 1)),
        ("version".to_owned(), Box::new(|s| s.account.version = 3)),
        ("a hold".to_owned(), Box::new(|s| s.account.holds.values_mut().next().unwrap().0 += 1)),
        ("a debt".to_owned(), Box::new(|s| s.account.debts.values_mut().next().unwrap().0 -= 1)),
        ("no hold".to_owned(), Box::new(|s| drop(s.account.holds.pop_first()))),
        ("no debt".to_owned(), Box::new(|s| s.account.debts.clear())),
    ];
    let store = books();
    for i in 0..store.entries.len() {
        alterations.push((format!("amount of entry {i}"), Box::new(move |s| s.entries[i].amount.0 += 1)));
        alterations.push((format!("entry {i} gone"), Box::new(move |s| drop(s.entries.remove(i)))));
        alterations.push((format!("seq of entry {i}"), Box::new(move |s| s.entries[i].seq += 1)));
        alterations.push((
            format!("sides of entry {i}"),
            Box::new(move |s| {
                let entry = &mut s.entries[i];
                std::mem::swap(&mut entry.debit, &mut entry.credit);
            }),
        ));
        alterations.push((
            format!("entry {i} twice"),
            Box::new(move |s| {
                let entry = s.entries[i].clone();
                s.entries.push(entry);
            }),
        ));
    }
    for i in 0..store.orders.len() {
        alterations.push((format!("frozen of order {i}"), Box::new(move |s| s.orders[i].frozen_fen.0 += 1)));
        let order = &store.orders[i];
        if order.status.is_over() {
            alterations.push((format!("paid of order {i}"), Box::new(move |s| s.orders[i].paid_fen.0 += 1)));
            alterations.push((format!("released of order {i}"), Box::new(move |s| s.orders[i].released_fen.0 += 1)));
            alterations.push((format!("debt of order {i}"), Box::new(move |s| s.orders[i].debt_fen.0 += 1)));
        }
        if order.bill.is_some() {
            let on_bill = |what: &str, alter: fn(&mut settlement::pricing::Bill)| -> (String, Alter) {
                let name = format!("{what} of the bill of order {i}");
                (name, Box::new(move |s: &mut Store| alter(s.orders[i].bill.as_mut().unwrap())))
            };
            alterations.extend([
                on_bill("electricity", |bill| bill.electricity_fen.0 += 1),
                on_bill("service", |bill| bill.service_fen.0 += 1),
                on_bill("occupancy", |bill| bill.occupancy_fen.0 += 1),
                on_bill("total", |bill| bill.total_fen.0 += 1),
                on_bill("both", |bill| {
                    bill.electricity_fen.0 += 1;
                    bill.total_fen.0 += 1;
                }),
                on_bill("energy", |bill| bill.energy_wh.0 += 1),
                on_bill("energy of a segment", |bill| bill.segments[0].energy_wh = WattHours(1)),
                on_bill("price of a segment", |bill| bill.segments[0].electricity_e4.0 += 1),
            ]);
        }
    }
    assert!(alterations.len() > 150, "{}", alterations.len());
    for (name, alter) in alterations {
        let mut altered = store.clone();
        alter(&mut altered);
        assert_ne!(altered.breaches(), vec![], "nobody notices: {name}");
    }
}

#[test]
fn each_rule_is_the_one_that_notices_its_own_breach() {
    let alter = |alter: &dyn Fn(&mut Store)| {
        let mut store = books();
        alter(&mut store);
        rules_broken(&store)
    };
    assert!(alter(&|s| s.account.available.0 += 1).contains("I1"));
    assert!(alter(&|s| s.orders[1].released_fen.0 += 1) == BTreeSet::from(["I2"]));
    assert!(alter(&|s| s.orders[3].debt_fen.0 += 1).contains("I3"));
    let swapped = alter(&|s| {
        // A repayment that came before the money it was paid with.
        let last = s.entries.len() - 1;
        s.entries.swap(last, last - 1);
        s.entries.iter_mut().zip(1..).for_each(|(entry, seq)| entry.seq = seq);
    });
    assert_eq!(swapped, BTreeSet::from(["I4"]));
    assert!(alter(&|s| s.orders[2].bill.as_mut().unwrap().energy_wh.0 += 1) == BTreeSet::from(["I5"]));
    assert!(alter(&|s| s.entries[4].op = "capture:2".to_owned()).contains("I6"));
    assert!(alter(&|s| s.orders[5].status = OrderStatus::Canceled).contains("I6"));
}

#[test]
fn a_debt_made_while_money_was_left_is_noticed() {
    let mut store = books();
    // The shortfall of the correction is booked although a fen of it could have been paid.
    let i = store.entries.iter().position(|entry| entry.debit == BookAccount::Receivable).unwrap();
    let mut paid = store.entries[i].clone();
    store.entries[i].amount.0 += 1;
    paid.amount = Fen(1);
    (paid.debit, paid.credit, paid.kind) =
        (BookAccount::EnergyRevenue, BookAccount::DriverAvailable, EntryKind::Correction);
    store.entries.insert(i + 1, paid);
    store.entries.iter_mut().zip(1..).for_each(|(entry, seq)| entry.seq = seq);
    store.account.entry_seq += 1;
    assert!(rules_broken(&store).contains("I3"));
}

#[test]
fn conservation_compares_books_with_bills_and_with_the_channel() {
    let store = books();
    let mut all = Conservation::default();
    let facts =
        |store: &'static Store| Facts { account: &store.account, entries: &store.entries, orders: &store.orders };
    let store: &'static Store = Box::leak(Box::new(store));
    all.add(&facts(store));
    assert_eq!(all.check(None), vec![]);
    assert_eq!(all.check(Some(Fen(61_000))), vec![]);
    assert_eq!(all.check(Some(Fen(61_001))).len(), 1, "a payment that was never credited");
    // A whole bill invented beside the books.
    let mut invented = store.clone();
    invented.orders[1].bill = Some(bill(1, 1));
    let mut all = Conservation::default();
    all.add(&Facts { account: &invented.account, entries: &invented.entries, orders: &invented.orders });
    assert!(all.check(None).iter().all(|breach| breach.rule == "I7") && !all.check(None).is_empty());
}
