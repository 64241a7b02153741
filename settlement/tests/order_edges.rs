//! What planners answer when there is nothing to do, or little, and the words of a status.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod support;

use domain::{Fen, StopReason, Timestamp};
use settlement::{
    ledger::{LedgerError, LedgerOp, apply},
    order::{OrderStatus as S, Outcome, PaymentStatus, StopBy},
    settle::{self, SettleError, Step},
};
use support::{RULES, Store, bill, facts, new_order, risk_officer, ts};

fn now() -> Timestamp {
    ts("12:00:00")
}

/// Order "1" of an account with so much in it, its bill taken.
fn closed(available: i64, electricity: i64, service: i64) -> Store {
    let mut store = Store::new(available);
    let plan = settle::place(&new_order("1"), &store.account, &RULES, now()).unwrap();
    store.store(&plan);
    let bill = bill(electricity, service);
    let full = facts(StopReason::Full);
    let plan = settle::finish(store.order("1"), &store.account, &full, &bill, &RULES, now()).unwrap();
    store.store(&plan);
    store
}

#[test]
fn a_status_is_over_or_not_and_has_a_word() {
    let table = [
        (S::Placed, "PLACED", false),
        (S::Starting, "STARTING", false),
        (S::Charging, "CHARGING", false),
        (S::Stopping, "STOPPING", false),
        (S::Settling, "SETTLING", false),
        (S::Held, "HELD", false),
        (S::Closed, "CLOSED", true),
        (S::ExceptionClosed, "EXCEPTION_CLOSED", true),
        (S::StartFailed, "START_FAILED", true),
        (S::Canceled, "CANCELED", true),
    ];
    for (status, word, over) in table {
        assert_eq!((status.as_str(), status.is_over()), (word, over));
        assert_eq!(serde_json::to_string(&status).unwrap(), format!("\"{word}\""), "stored as it is told");
    }
}

#[test]
fn resuming_says_whether_there_was_anything_to_finish() {
    let mut store = Store::new(9_000);
    let plan = settle::place(&new_order("1"), &store.account, &RULES, now()).unwrap();
    plan.steps.iter().take(2).for_each(|step| store.step(step));
    let resumed = settle::resume(store.order("1"), &store.account, &RULES, now()).unwrap();
    assert_eq!((resumed.outcome, resumed.order.status), (Outcome::Applied, S::Starting));
    store.store(&resumed);
    let again = settle::resume(store.order("1"), &store.account, &RULES, now()).unwrap();
    assert_eq!((again.outcome, again.steps), (Outcome::Ignored, vec![]));
}

#[test]
fn a_second_record_of_an_order_that_was_settled_by_its_first_is_ignored_as_a_record() {
    let store = closed(9_000, 2_000, 1_000);
    let full = facts(StopReason::Full);
    let plan = settle::record(store.order("1"), &store.account, &full, &bill(9_000, 0), &RULES, false, now()).unwrap();
    let [Step::History(_, rows)] = plan.steps.as_slice() else { panic!("{:?}", plan.steps) };
    assert_eq!((plan.outcome, rows[0].outcome), (Outcome::Ignored, Outcome::Ignored));
    assert!(rows[0].event.starts_with("RECORD_RECEIVED"), "{}", rows[0].event);
}

#[test]
fn a_start_called_off_between_its_hold_and_its_row_knows_what_went_back() {
    for cut in [2, 3] {
        let mut store = Store::new(9_000);
        let plan = settle::place(&new_order("1"), &store.account, &RULES, now()).unwrap();
        plan.steps.iter().take(cut).for_each(|step| store.step(step));
        let plan = settle::ask_stop(store.order("1"), &store.account, StopBy::Driver, true, now()).unwrap();
        store.store(&plan);
        let order = store.order("1");
        assert_eq!((order.status, order.frozen_fen, order.released_fen), (S::Canceled, Fen(5_000), Fen(5_000)));
        assert_eq!(store.breaches(), vec![], "cut after {cut}");
    }
}

#[test]
fn evidence_after_a_start_that_was_half_given_up_is_a_ghost_charge() {
    let mut store = Store::new(9_000);
    let plan = settle::place(&new_order("1"), &store.account, &RULES, now()).unwrap();
    store.store(&plan);
    let why = settle::StartFailure::DeadlinePassed;
    let plan = settle::fail_start(store.order("1"), &store.account, &why, now()).unwrap();
    store.step(&plan.steps[0]);
    let plan = settle::evidence(store.order("1"), &store.account, now(), None, now()).unwrap();
    store.store(&plan);
    let order = store.order("1");
    assert_eq!((order.status, order.ghost.is_some(), store.account.available), (S::StartFailed, true, Fen(9_000)));
    assert_eq!(store.breaches(), vec![]);
}

#[test]
fn a_repayment_that_was_made_and_not_told_is_told_to_whoever_asks_again() {
    let mut store = closed(3_000, 3_000, 1_000);
    assert_eq!(store.order("1").debt_fen, Fen(1_000));
    let top_up = settle::top_up(&store.account, "P2", Fen(1_000), now()).unwrap();
    store.ledger(&top_up);
    let plan = settle::repay(store.order("1"), &store.account, None, "r1", now()).unwrap();
    store.step(&plan.steps[0]);
    let plan = settle::repay(store.order("1"), &store.account, None, "r1", now()).unwrap();
    store.store(&plan);
    assert_eq!((store.order("1").debt_fen, store.order("1").payment_status), (Fen(0), PaymentStatus::Paid));
    let refused = settle::repay(store.order("1"), &store.account, None, "r1", now()).unwrap_err();
    assert!(matches!(refused, SettleError::Ledger(LedgerError::NoDebt(_))), "{refused}");
    assert_eq!(store.breaches(), vec![]);
}

#[test]
fn a_refund_asked_for_again_is_told_to_its_order_once() {
    let mut store = closed(9_000, 2_000, 1_000);
    let plan = settle::refund(store.order("1"), &store.account, "A1", Fen(800), false, now()).unwrap();
    for cut in [1, plan.steps.len()] {
        let mut store = store.clone();
        plan.steps.iter().take(cut).for_each(|step| store.step(step));
        let again = settle::refund(store.order("1"), &store.account, "A1", Fen(800), true, now()).unwrap();
        assert_eq!(again.outcome, if cut == 1 { Outcome::Applied } else { Outcome::Ignored }, "cut after {cut}");
        store.store(&again);
        assert_eq!(store.order("1").refunded_fen, Fen(800));
        assert_eq!(store.breaches(), vec![]);
    }
    store.store(&plan);
    assert_eq!(store.order("1").payment_status, PaymentStatus::PartiallyRefunded);
    let refused = settle::refund(store.order("1"), &store.account, "A2", Fen(2_201), false, now()).unwrap_err();
    assert!(matches!(refused, SettleError::MoreThanPaid { most: Fen(2_200), .. }), "{refused}");
    let plan = settle::refund(store.order("1"), &store.account, "A2", Fen(2_200), false, now()).unwrap();
    store.store(&plan);
    assert_eq!(store.order("1").payment_status, PaymentStatus::Refunded);
    assert_eq!(store.breaches(), vec![]);
}

#[test]
fn a_correction_after_a_write_off_keeps_what_was_given_up_apart_from_what_was_paid() {
    let mut store = Store::new(3_000);
    let plan = settle::place(&new_order("1"), &store.account, &RULES, now()).unwrap();
    store.store(&plan);
    let plan = settle::evidence(store.order("1"), &store.account, now(), None, now()).unwrap();
    store.store(&plan);
    let silence = settlement::order::ProvisionalCause::Silence;
    let plan =
        settle::end_provisionally(store.order("1"), &store.account, silence, &bill(4_000, 0), &RULES, now()).unwrap();
    store.store(&plan);
    let plan = settle::write_off(store.order("1"), &store.account, "W1", Fen(600), false, now()).unwrap();
    // A crash may have kept the order from hearing of it.
    let mut untold = store.clone();
    untold.step(&plan.steps[0]);
    store.store(&plan);
    let full = facts(StopReason::Full);
    let sums = [(4_500, 3_000, 900), (3_900, 3_000, 300), (3_000, 2_400, 0)];
    for (before, (total, paid, debt)) in [&store, &untold].into_iter().flat_map(|store| sums.map(|sums| (store, sums)))
    {
        let mut store = before.clone();
        let plan = settle::correct(store.order("1"), &store.account, &full, &bill(total, 0), false, now()).unwrap();
        store.store(&plan);
        let order = store.order("1");
        assert_eq!(
            (order.paid_fen, order.debt_fen, order.written_off_fen),
            (Fen(paid), Fen(debt), Fen(600)),
            "{total}"
        );
        assert_eq!(store.breaches(), vec![], "{total}");
    }
}

#[test]
fn nothing_is_given_up_of_an_order_that_must_be_resumed_first() {
    let mut store = Store::new(3_000);
    let plan = settle::place(&new_order("1"), &store.account, &RULES, now()).unwrap();
    store.store(&plan);
    let full = facts(StopReason::Full);
    let plan = settle::finish(store.order("1"), &store.account, &full, &bill(4_000, 0), &RULES, now()).unwrap();
    plan.steps.iter().take(3).for_each(|step| store.step(step));
    let refused = settle::write_off(store.order("1"), &store.account, "W1", Fen(1), false, now()).unwrap_err();
    assert!(matches!(refused, SettleError::Interrupted { .. }), "{refused}");
}

#[test]
fn a_held_bill_that_was_approved_is_not_held_again_when_it_is_resumed() {
    let mut store = Store::new(3_000);
    let plan = settle::place(&new_order("1"), &store.account, &RULES, now()).unwrap();
    store.store(&plan);
    let full = facts(StopReason::Full);
    let plan = settle::finish(store.order("1"), &store.account, &full, &bill(20_001, 0), &RULES, now()).unwrap();
    store.store(&plan);
    let plan = settle::approve(store.order("1"), &store.account, &risk_officer(), now()).unwrap();
    store.step(&plan.steps[0]);
    let plan = settle::resume(store.order("1"), &store.account, &RULES, now()).unwrap();
    store.store(&plan);
    assert_eq!((store.order("1").status, store.order("1").debt_fen), (S::Closed, Fen(17_001)));
}

#[test]
fn what_an_account_gave_back_of_an_order_adds_up() {
    let store = closed(9_000, 2_000, 1_000);
    let refund = |adjustment_id: &str| LedgerOp::Refund {
        order_no: support::no("1"),
        adjustment_id: adjustment_id.to_owned(),
        amount: Fen(7),
    };
    let once = apply(&store.account, &refund("A1"), now()).unwrap().next;
    let twice = apply(&once, &refund("A2"), now()).unwrap().next;
    assert_eq!(twice.refunded.into_iter().collect::<Vec<_>>(), [(support::no("1"), Fen(14))]);
}

#[test]
fn a_debt_is_given_up_in_part_and_then_to_the_last_fen_and_no_further() {
    let mut store = closed(3_000, 3_000, 1_000);
    for (id, amount, left) in [("W1", 999, 1), ("W2", 1, 0)] {
        let plan = settle::write_off(store.order("1"), &store.account, id, Fen(amount), false, now()).unwrap();
        store.store(&plan);
        assert_eq!((store.order("1").debt_fen, store.account.debts.len()), (Fen(left), usize::from(left > 0)));
        assert_eq!(store.breaches(), vec![]);
        let again = settle::write_off(store.order("1"), &store.account, id, Fen(amount), true, now()).unwrap();
        assert_eq!((again.outcome, again.steps), (Outcome::Ignored, vec![]));
    }
    assert_eq!((store.order("1").written_off_fen, store.order("1").payment_status), (Fen(1_000), PaymentStatus::Paid));
    for amount in [1, 0] {
        assert!(settle::write_off(store.order("1"), &store.account, "W3", Fen(amount), false, now()).is_err());
    }
}
