//! One charge after another through the planners, against a store that checks every promise.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod support;

use domain::{Fen, SocTenths, StopReason};
use settlement::{
    ledger::LedgerError,
    order::{Order, OrderLimit, OrderStatus as S, Outcome, PaymentStatus, ProvisionalCause, StopBy, Verdict},
    settle::{self, Plan, Planned, SettleError, StartFailure, Step},
};
use support::{RULES, Store, bill, facts, new_order, risk_officer, ts};

/// A store with an order 1001 on its way, and shortcuts to drive it.
struct Charge {
    store: Store,
}

impl Charge {
    fn placed(available: i64) -> Self {
        let mut store = Store::new(available);
        store.store(&settle::place(&new_order("1001"), &store.account, &RULES, ts("08:00:00")).unwrap());
        Self { store }
    }

    fn charging(available: i64) -> Self {
        let mut charge = Self::placed(available);
        charge.run(|order, account| {
            settle::evidence(order, account, ts("08:01:00"), Some(SocTenths(200)), ts("08:01:00"))
        });
        charge
    }

    fn lost(available: i64, electricity: i64) -> Self {
        let mut charge = Self::charging(available);
        charge.end_silently(electricity);
        charge
    }

    /// Plans, stores, checks every invariant.
    fn run(&mut self, planner: impl FnOnce(&Order, &settlement::ledger::AccountState) -> Planned) -> Plan {
        let plan = planner(self.store.order("1001"), &self.store.account).unwrap();
        self.store.store(&plan);
        assert_eq!(self.store.breaches(), vec![]);
        plan
    }

    fn finish(&mut self, electricity: i64, reason: StopReason) -> Plan {
        let now = ts("09:01:00");
        self.run(|order, account| settle::finish(order, account, &facts(reason), &bill(electricity, 0), &RULES, now))
    }

    fn end_silently(&mut self, electricity: i64) -> Plan {
        let bill = bill(electricity, 0);
        let now = ts("2026-03-11T09:00:00Z");
        let cause = ProvisionalCause::Silence;
        self.run(|order, account| settle::end_provisionally(order, account, cause, &bill, &RULES, now))
    }

    fn correct(&mut self, electricity: i64) -> Plan {
        let now = ts("2026-03-12T09:00:00Z");
        let facts = facts(StopReason::Full);
        self.run(|order, account| settle::correct(order, account, &facts, &bill(electricity, 0), false, now))
    }

    fn order(&self) -> &Order {
        self.store.order("1001")
    }

    /// (status, paid, released, debt, available, frozen)
    fn money(&self) -> (S, i64, i64, i64, i64, i64) {
        let (order, account) = (self.order(), &self.store.account);
        let (paid, released, debt) = (order.paid_fen.0, order.released_fen.0, order.debt_fen.0);
        (order.status, paid, released, debt, account.available.0, account.frozen.0)
    }
}

fn words(plan: &Plan) -> Vec<String> {
    let word = |step: &Step| match step {
        Step::NewOrder(order) => format!("new {:?}", order.status),
        Step::Order(order) => format!("{:?}", order.status),
        Step::History(_, rows) => format!("history {}", rows.len()),
        Step::Ledger(change) => change.op.clone(),
    };
    plan.steps.iter().map(word).collect()
}

#[test]
fn placing_freezes_the_limit_of_the_order_or_the_default() {
    let charge = Charge::placed(20_000);
    assert_eq!(charge.money(), (S::Starting, 0, 0, 0, 15_000, 5_000));
    assert_eq!((charge.order().frozen_fen, charge.order().payment_status), (Fen(5_000), PaymentStatus::Frozen));
    let order =
        Order { limit: OrderLimit { amount_fen: Some(Fen(8_000)), ..OrderLimit::default() }, ..new_order("1002") };
    let plan = settle::place(&order, &Store::new(20_000).account, &RULES, ts("08:00:00")).unwrap();
    assert_eq!(plan.order.frozen_fen, Fen(8_000));
    assert_eq!(words(&plan), ["new Placed", "hold:1002", "Starting", "history 1"]);
}

#[test]
fn a_refused_hold_leaves_no_order() {
    let poor = Store::new(999);
    let refused = settle::place(&new_order("1001"), &poor.account, &RULES, ts("08:00:00")).unwrap_err();
    let expected = LedgerError::InsufficientBalance { available: Fen(999), needed: Fen(1_000) };
    assert_eq!(refused, SettleError::Ledger(expected));
    let mut owing = Charge::placed(1_000);
    owing.finish(1_500, StopReason::User);
    let refused = settle::place(&new_order("1002"), &owing.store.account, &RULES, ts("10:00:00")).unwrap_err();
    assert!(matches!(refused, SettleError::Ledger(LedgerError::OpenDebt { .. })));
}

#[test]
fn somebody_elses_account_is_refused() {
    let order = new_order("1001");
    let other = settlement::ledger::AccountState::new(risk_officer());
    let refused = settle::place(&order, &other, &RULES, ts("08:00:00")).unwrap_err();
    assert!(matches!(refused, SettleError::WrongAccount { .. }));
}

#[test]
fn a_start_that_comes_to_nothing_gives_all_money_back_before_it_is_over() {
    let failures = [StartFailure::Rejected { code: Some("17".to_owned()) }, StartFailure::DeadlinePassed];
    for why in failures {
        let mut charge = Charge::placed(20_000);
        let plan = charge.run(|order, account| settle::fail_start(order, account, &why, ts("08:01:00")));
        assert_eq!(words(&plan), ["void:1001", "StartFailed", "history 1"]);
        assert_eq!(charge.money(), (S::StartFailed, 0, 5_000, 0, 20_000, 0));
    }
}

#[test]
fn a_stop_while_starting_cancels_and_a_second_one_is_ignored() {
    let mut charge = Charge::placed(20_000);
    let stop = |order: &Order, account: &_| settle::ask_stop(order, account, StopBy::Driver, false, ts("08:00:30"));
    assert_eq!(charge.run(stop).outcome, Outcome::Applied);
    assert_eq!(charge.money(), (S::Canceled, 0, 5_000, 0, 20_000, 0));
    let again = charge.run(stop);
    assert_eq!((again.outcome, words(&again)), (Outcome::Ignored, vec!["history 1".to_owned()]));
}

#[test]
fn evidence_after_the_end_is_a_ghost_charge_that_the_platform_pays() {
    let mut charge = Charge::placed(20_000);
    charge.run(|order, account| settle::fail_start(order, account, &StartFailure::DeadlinePassed, ts("08:01:00")));
    charge.run(|order, account| settle::evidence(order, account, ts("08:02:00"), None, ts("08:02:00")));
    assert_eq!(charge.order().ghost.as_ref().unwrap().since, ts("08:02:00"));
    let (record, bill) = (facts(StopReason::Operator), bill(800, 200));
    let settle =
        |order: &Order, account: &_| settle::record(order, account, &record, &bill, &RULES, false, ts("09:00:00"));
    let plan = charge.run(settle);
    assert_eq!(words(&plan), ["ghost:1001", "StartFailed", "history 1"]);
    assert_eq!(charge.money(), (S::StartFailed, 0, 5_000, 0, 20_000, 0));
    assert_eq!(charge.order().ghost.as_ref().unwrap().bill.as_ref().unwrap().total_fen, Fen(1_000));
    assert_eq!(charge.order().bill, None, "the driver has no bill");
    assert_eq!(charge.run(settle).outcome, Outcome::Ignored);
}

#[test]
fn a_record_that_is_the_first_sign_of_a_ghost_charge_is_enough() {
    let mut charge = Charge::placed(20_000);
    charge.run(|order, account| settle::cancel(order, account, StopBy::Driver, ts("08:01:00")));
    charge
        .run(|order, account| settle::ghost(order, account, ts("08:30:00"), Some(&bill(0, 0)), false, ts("08:30:00")));
    assert_eq!(charge.order().ghost.as_ref().unwrap().since, ts("08:30:00"));
    assert!(!charge.store.ops.contains(&"ghost:1001".to_owned()), "nothing to lose, nothing to book");
}

#[test]
fn the_bill_is_stored_before_the_money_moves_and_the_order_closes_after_it() {
    let mut charge = Charge::charging(20_000);
    let plan = charge.finish(3_000, StopReason::Full);
    assert_eq!(words(&plan), ["Settling", "history 1", "capture:1001", "Closed", "history 1"]);
    let Step::Order(settling) = &plan.steps[0] else { panic!("the bill comes first") };
    assert_eq!(settling.bill.as_ref().unwrap().total_fen, Fen(3_000));
    assert_eq!(charge.money(), (S::Closed, 3_000, 2_000, 0, 17_000, 0));
    assert_eq!((charge.order().payment_status, charge.order().end_soc), (PaymentStatus::Paid, Some(SocTenths(800))));
    assert_eq!((charge.order().started_at, charge.order().ended_at), (Some(ts("08:01:00")), Some(ts("09:00:00"))));
}

#[test]
fn a_record_settles_from_starting_too() {
    let mut charge = Charge::placed(20_000);
    charge.finish(3_000, StopReason::Unplugged);
    assert_eq!(charge.money(), (S::Closed, 3_000, 2_000, 0, 17_000, 0));
}

#[test]
fn what_the_account_cannot_pay_is_owed_and_can_be_repaid() {
    let mut charge = Charge::charging(6_000);
    charge.finish(6_500, StopReason::User);
    assert_eq!(charge.money(), (S::Closed, 6_000, 0, 500, 0, 0));
    assert_eq!(charge.order().payment_status, PaymentStatus::Unpaid);
    let top_up = settle::top_up(&charge.store.account, "P2", Fen(450), ts("10:00:00")).unwrap();
    charge.store.ledger(&top_up);
    assert_eq!(charge.order().debt_fen, Fen(500), "a top-up repays nothing by itself");
    let repay = |charge: &Charge, amount: Option<i64>, request: &str| {
        settle::repay(charge.order(), &charge.store.account, amount.map(Fen), request, ts("11:00:00"))
    };
    let refused = repay(&charge, None, "r1").unwrap_err();
    let expected = LedgerError::InsufficientBalance { available: Fen(450), needed: Fen(500) };
    assert_eq!(refused, SettleError::Ledger(expected));
    let plan = repay(&charge, Some(200), "r1").unwrap();
    charge.store.store(&plan);
    assert_eq!(charge.money(), (S::Closed, 6_200, 0, 300, 250, 0));
    let refused = repay(&charge, Some(301), "r2").unwrap_err();
    assert!(matches!(refused, SettleError::Ledger(LedgerError::MoreThanDebt { .. })));
    let top_up = settle::top_up(&charge.store.account, "P3", Fen(50), ts("12:00:00")).unwrap();
    charge.store.ledger(&top_up);
    let plan = repay(&charge, None, "r2").unwrap();
    charge.store.store(&plan);
    assert_eq!(charge.money(), (S::Closed, 6_500, 0, 0, 0, 0));
    assert_eq!(charge.order().payment_status, PaymentStatus::Paid);
    assert_eq!(charge.store.breaches(), vec![]);
    assert!(matches!(repay(&charge, None, "r3").unwrap_err(), SettleError::Ledger(LedgerError::NoDebt(_))));
}

#[test]
fn a_total_over_the_threshold_is_held_with_its_freeze_and_the_threshold_itself_is_not() {
    let mut charge = Charge::charging(30_000);
    charge.finish(20_000, StopReason::Full);
    assert_eq!(charge.order().status, S::Closed);
    let mut charge = Charge::charging(30_000);
    let plan = charge.finish(20_001, StopReason::Full);
    assert_eq!(words(&plan), ["Settling", "history 1", "Held", "history 1"]);
    assert_eq!(charge.money(), (S::Held, 0, 0, 0, 25_000, 5_000));
    let approve = |order: &Order, account: &_| settle::approve(order, account, &risk_officer(), ts("10:00:00"));
    let plan = charge.run(approve);
    assert_eq!(words(&plan), ["Settling", "history 1", "capture:1001", "Closed", "history 1"]);
    assert_eq!(charge.money(), (S::Closed, 20_001, 0, 0, 9_999, 0));
    assert_eq!(charge.order().review.as_ref().unwrap().verdict, Verdict::Approved);
    assert_eq!(charge.run(approve).outcome, Outcome::Ignored);
}

#[test]
fn a_rejected_bill_takes_nothing_and_releases_everything() {
    let mut charge = Charge::charging(30_000);
    charge.finish(20_001, StopReason::Full);
    charge.run(|order, account| settle::reject(order, account, &risk_officer(), ts("10:00:00")));
    assert_eq!(charge.money(), (S::ExceptionClosed, 0, 5_000, 0, 30_000, 0));
    assert_eq!(charge.order().payment_status, PaymentStatus::None);
}

#[test]
fn a_stop_for_an_offline_pile_waits_and_silence_settles_nothing() {
    let mut charge = Charge::charging(20_000);
    charge.run(|order, account| settle::ask_stop(order, account, StopBy::Driver, false, ts("08:30:00")));
    assert_eq!((charge.order().status, charge.order().stop_pending), (S::Charging, true));
    charge.run(|order, account| settle::stop_accepted(order, account, ts("08:40:00")));
    assert_eq!((charge.order().status, charge.order().stop_pending), (S::Stopping, false));
    charge.run(|order, account| settle::stop_unanswered(order, account, ts("08:41:00")));
    assert_eq!((charge.order().status, charge.order().stop_pending), (S::Charging, true));
}

#[test]
fn a_fault_closes_as_an_exception_with_or_without_its_record() {
    let fault = |order: &Order, account: &_| settle::fault(order, account, Some("E106".to_owned()), ts("08:30:00"));
    let mut charge = Charge::charging(20_000);
    charge.run(fault);
    charge.finish(3_000, StopReason::User);
    assert_eq!(charge.money(), (S::ExceptionClosed, 3_000, 2_000, 0, 17_000, 0));
    assert_eq!(charge.order().stop_reason, Some(StopReason::Fault));
    assert_eq!(charge.order().fault_code.as_deref(), Some("E106"));

    let mut charge = Charge::charging(20_000);
    charge.run(fault);
    let cause = ProvisionalCause::Fault;
    let provisional = bill(2_500, 0);
    charge.run(|order, account| settle::end_provisionally(order, account, cause, &provisional, &RULES, ts("08:30:30")));
    assert!(charge.order().provisional);
    charge.correct(3_000);
    assert_eq!(charge.money(), (S::ExceptionClosed, 3_000, 2_500, 0, 17_000, 0));
    assert_eq!(charge.order().stop_reason, Some(StopReason::Fault));
    assert_eq!(charge.order().fault_code.as_deref(), Some("E106"));
}

#[test]
fn a_late_record_corrects_by_the_difference_in_both_directions() {
    #[rustfmt::skip]
    let table = [
        // available provisional record | paid   debt   available after
        ( 20_000,    3_000,      4_000,   4_000,     0,   16_000),
        ( 20_000,    3_000,      2_000,   2_000,     0,   18_000),
        ( 20_000,    3_000,      3_000,   3_000,     0,   17_000),
        (  5_000,    5_000,      6_000,   5_000, 1_000,        0),
        (  5_000,    6_000,      5_500,   5_000,   500,        0),
        (  5_000,    6_000,      4_000,   4_000,     0,    1_000),
        (  5_000,    6_000,          0,       0,     0,    5_000),
        ( 40_000,   15_000,     30_000,  30_000,     0,   10_000), // over the threshold by the correction: never held
    ];
    for row @ (available, provisional, record, paid, debt, left) in table {
        let mut charge = Charge::lost(available, provisional);
        assert!(charge.order().provisional);
        assert_eq!(charge.order().status, S::ExceptionClosed);
        let plan = charge.correct(record);
        assert_eq!(plan.outcome, Outcome::Applied);
        let (status, paid_now, _, debt_now, left_now, _) = charge.money();
        assert_eq!((status, paid_now, debt_now, left_now), (S::ExceptionClosed, paid, debt, left), "{row:?}");
        assert!(!charge.order().provisional);
        assert_eq!(charge.order().corrections[0].total_fen, Fen(record - provisional));
        assert_eq!(charge.correct(record + 1).outcome, Outcome::Ignored, "the first record stands");
    }
}

#[test]
fn a_correction_after_a_repayment_counts_the_repayment_as_paid() {
    let mut charge = Charge::lost(5_000, 6_000);
    let top_up = settle::top_up(&charge.store.account, "P2", Fen(700), ts("10:00:00")).unwrap();
    charge.store.ledger(&top_up);
    let now = ts("2026-03-11T10:00:00Z");
    charge.run(|order, account| settle::repay(order, account, Some(Fen(400)), "r1", now));
    assert_eq!(charge.money(), (S::ExceptionClosed, 5_400, 0, 600, 300, 0));
    charge.correct(5_200);
    assert_eq!(charge.money(), (S::ExceptionClosed, 5_200, 0, 0, 500, 0));
}

#[test]
fn a_provisional_bill_that_is_held_is_replaced_and_stays_held() {
    let mut charge = Charge::lost(30_000, 25_000);
    assert_eq!(charge.money(), (S::Held, 0, 0, 0, 25_000, 5_000));
    charge.correct(1_200);
    assert_eq!(charge.money(), (S::Held, 0, 0, 0, 25_000, 5_000));
    assert_eq!((charge.order().provisional, charge.order().corrections[0].total_fen), (false, Fen(-23_800)));
    charge.run(|order, account| settle::approve(order, account, &risk_officer(), ts("10:00:00")));
    assert_eq!(charge.money(), (S::Closed, 1_200, 3_800, 0, 28_800, 0), "no longer provisional, ended regularly");
}

#[test]
fn a_provisional_bill_that_was_approved_is_corrected_with_money() {
    let mut charge = Charge::lost(30_000, 25_000);
    charge.run(|order, account| settle::approve(order, account, &risk_officer(), ts("10:00:00")));
    assert_eq!(charge.money(), (S::ExceptionClosed, 25_000, 0, 0, 5_000, 0));
    charge.correct(24_000);
    assert_eq!(charge.money(), (S::ExceptionClosed, 24_000, 0, 0, 6_000, 0));
}

#[test]
fn a_provisional_bill_that_was_rejected_is_corrected_without_money() {
    let mut charge = Charge::lost(30_000, 25_000);
    charge.run(|order, account| settle::reject(order, account, &risk_officer(), ts("10:00:00")));
    charge.correct(1_200);
    assert_eq!(charge.money(), (S::ExceptionClosed, 0, 5_000, 0, 30_000, 0));
    assert_eq!((charge.order().provisional, charge.order().bill.as_ref().unwrap().total_fen), (false, Fen(1_200)));
}

#[test]
fn a_record_finds_its_way_by_the_state_of_its_order() {
    let (record, bill) = (facts(StopReason::Full), bill(1_000, 0));
    let send = |charge: &mut Charge| {
        charge.run(|order, account| settle::record(order, account, &record, &bill, &RULES, false, ts("12:00:00")))
    };
    let mut running = Charge::charging(20_000);
    assert_eq!(send(&mut running).order.status, S::Closed);
    assert_eq!(send(&mut running).outcome, Outcome::Ignored, "sent again");
    let mut lost = Charge::lost(20_000, 900);
    assert_eq!(send(&mut lost).order.corrections.len(), 1);
    let mut held = Charge::lost(30_000, 25_000);
    assert_eq!(send(&mut held).order.status, S::Held);
}

#[test]
fn a_running_order_without_its_hold_is_not_settled() {
    let mut charge = Charge::charging(20_000);
    charge.store.account.holds.clear();
    let record = facts(StopReason::Full);
    let refused = settle::finish(charge.order(), &charge.store.account, &record, &bill(1, 0), &RULES, ts("09:00:00"));
    assert!(matches!(refused.unwrap_err(), SettleError::Ledger(LedgerError::NoHold(_))));
}
