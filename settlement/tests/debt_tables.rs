//! Debts as tables: what state one is in, what comes due when, which debts a top-up pays, and what may be written off.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;

use domain::{Fen, Millis, OrderNo, Timestamp};
use settlement::{
    debt::{Debt, DebtPolicy, DebtState as S, DebtStep, DebtWatch, WriteOff, WriteOffError, allot},
    order::Order,
};
use support::{new_order, no, random::Random, ts, user};

fn owing(debt: i64, written_off: i64) -> Order {
    let mut order = new_order("7");
    (order.debt_fen, order.written_off_fen) = (Fen(debt), Fen(written_off));
    order
}

#[test]
fn the_state_of_a_debt_follows_from_what_was_missing_and_what_is_left() {
    // missing at settlement, owed at present, written off → state, repaid
    for (owed, left, written_off, expected) in [
        (0, 0, 0, None),
        (400, 400, 0, Some((S::Open, 0))),
        (400, 250, 0, Some((S::Partly, 150))),
        (400, 250, 150, Some((S::Partly, 0))),
        (400, 0, 0, Some((S::Cleared, 400))),
        (400, 0, 400, Some((S::WrittenOff, 0))),
        (400, 0, 1, Some((S::WrittenOff, 399))),
        (0, 30, 0, Some((S::Open, 0))),
    ] {
        let debt = Debt::of(&owing(left, written_off), Fen(owed));
        let got = debt.as_ref().map(|debt| (debt.state, debt.repaid.0));
        assert_eq!(got, expected, "{owed} owed, {left} left, {written_off} written off");
        if let Some(debt) = debt {
            assert_eq!(debt.owed.0, debt.repaid.0 + debt.written_off.0 + debt.left.0, "nothing is lost");
            assert_eq!(debt.state.is_open(), left > 0);
        }
    }
}

fn day(n: i64) -> Timestamp {
    ts("08:00:00").plus(Millis(n * 86_400_000))
}

fn watch() -> DebtWatch {
    DebtWatch::opened(no("7"), user(), day(0), Fen(400))
}

#[test]
fn reminders_and_the_blacklist_come_due_once_each_on_their_day() {
    let policy = DebtPolicy { reminder_days: vec![1, 3, 7], blacklist_after_days: 3 };
    let remind = |day| DebtStep::Remind { day };
    let mut watch = watch();
    assert_eq!(watch.due(&policy), Some(day(1)));
    // When it is looked at, what is due then, and when it is due next.
    let table: &[(Timestamp, &[DebtStep], Option<Timestamp>)] = &[
        (day(1).plus(Millis(-1)), &[], Some(day(1))),
        (day(1), &[remind(1)], Some(day(3))),
        (day(1), &[], Some(day(3))),
        (day(3), &[remind(3), DebtStep::Blacklist], Some(day(7))),
        (day(6), &[], Some(day(7))),
        (day(90), &[remind(7)], None),
        (day(91), &[], None),
    ];
    for (now, expected, due) in table {
        let (after, steps) = watch.steps(&policy, *now);
        assert_eq!(steps.as_slice(), *expected, "at {now}");
        assert_eq!(after.due(&policy), *due, "after {now}");
        watch = after;
    }
    assert!(watch.blacklisted);
}

#[test]
fn days_that_passed_unnoticed_are_told_of_by_the_last_of_them_only() {
    let policy = DebtPolicy { reminder_days: vec![1, 3, 7, 30], blacklist_after_days: 0 };
    let (after, steps) = watch().steps(&policy, day(8));
    assert_eq!((steps, after.due(&policy)), (vec![DebtStep::Remind { day: 7 }], Some(day(30))));
}

#[test]
fn a_debt_that_is_over_is_never_due_and_one_without_a_policy_neither() {
    let policy = DebtPolicy { reminder_days: vec![0], blacklist_after_days: 1 };
    for state in [S::Cleared, S::WrittenOff] {
        let over = watch().in_state(state, day(0));
        assert_eq!((over.due(&policy), over.steps(&policy, day(9)).1), (None, vec![]));
        assert_eq!(over.closed_at, Some(day(0)));
    }
    assert_eq!(watch().due(&DebtPolicy::default()), None);
    assert_eq!(watch().in_state(S::Partly, day(1)).due(&policy), Some(day(0)), "a part of it changes nothing");
}

#[test]
fn a_top_up_pays_the_oldest_debt_first_as_far_as_it_goes() {
    for (debts, available, expected) in [
        (vec![], 100, vec![]),
        (vec![("11", 40)], 0, vec![]),
        (vec![("11", 40)], 30, vec![("11", 30)]),
        (vec![("12", 50), ("11", 40)], 40, vec![("11", 40)]),
        (vec![("12", 50), ("11", 40)], 41, vec![("11", 40), ("12", 1)]),
        (vec![("12", 50), ("11", 40)], 1_000, vec![("11", 40), ("12", 50)]),
    ] {
        let debts: BTreeMap<OrderNo, Fen> = debts.into_iter().map(|(order, fen)| (no(order), Fen(fen))).collect();
        let expected: Vec<_> = expected.into_iter().map(|(order, fen)| (no(order), Fen(fen))).collect();
        assert_eq!(allot(&debts, Fen(available)), expected, "{available} for {debts:?}");
    }
}

#[test]
fn whatever_the_debts_no_more_is_paid_than_there_is_or_is_owed() {
    let mut random = Random::new(support::random::seed("allot"));
    for _ in 0..500 {
        let debts: BTreeMap<OrderNo, Fen> =
            (0..random.between(0, 8)).map(|n| (no(&format!("{}", 10 + n)), Fen(random.between(1, 1_000)))).collect();
        let available = random.between(0, 4_000);
        let paid = allot(&debts, Fen(available));
        let sum: i64 = paid.iter().map(|(_, fen)| fen.0).sum();
        let owed: i64 = debts.values().map(|fen| fen.0).sum();
        assert_eq!(sum, available.min(owed), "everything that can be paid is");
        assert!(paid.iter().all(|(order, fen)| fen.0 > 0 && *fen <= debts[order]));
    }
}

#[test]
fn no_more_is_given_up_than_is_owed() {
    let ask = |debt, amount: Option<i64>| {
        let asked = amount.map(Fen);
        WriteOff::request("W1".to_owned(), &owing(debt, 0), asked, user(), "hardship".to_owned(), ts("09:00:00"))
    };
    assert_eq!(ask(400, None).unwrap().approval.amount_fen, Fen(400));
    assert_eq!(ask(400, Some(1)).unwrap().state_word(), "REQUESTED");
    assert_eq!(ask(0, None), Err(WriteOffError::NoDebt(no("7"))));
    assert_eq!(ask(400, Some(0)), Err(WriteOffError::NotPositive(Fen(0))));
    let more = WriteOffError::MoreThanDebt { order_no: no("7"), asked: Fen(401), owed: Fen(400) };
    assert_eq!(ask(400, Some(401)), Err(more));
}
