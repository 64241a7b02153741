//! Crashes: whatever prefix of a plan was stored, resuming (and the charger sending its record again) ends in the same
//! money, with every invariant unbroken.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod support;

use std::collections::HashSet;

use domain::{Fen, StopReason, Timestamp};
use settlement::{
    order::{Order, OrderLimit, OrderStatus as S, ProvisionalCause, StopBy},
    settle::{self, Planned, StartFailure},
};
use support::{
    RULES, Store, bill, facts, new_order, no,
    random::{Random, seed},
    risk_officer, ts,
};

/// One thing that may happen to an order.
#[derive(Debug, Clone)]
enum Action {
    Place(Option<i64>),
    Evidence,
    Reject,
    Deadline,
    Stop { online: bool },
    StopAccepted,
    StopUnanswered,
    Fault,
    Record(i64),
    EndSilently(i64),
    Approve,
    RejectBill,
    Repay(Option<i64>, String),
    Refund(i64, String),
    WriteOff(i64, String),
}

const NOW: &str = "12:00:00";

fn plan(store: &Store, order_no: &str, action: &Action, now: Timestamp) -> Planned {
    let account = &store.account;
    if let Action::Place(amount) = action {
        let limit = OrderLimit { amount_fen: amount.map(Fen), ..OrderLimit::default() };
        return settle::place(&Order { limit, ..new_order(order_no) }, account, &RULES, now);
    }
    let order = store.order(order_no);
    match action {
        Action::Place(_) => unreachable!(),
        Action::Evidence => settle::evidence(order, account, now, None, now),
        Action::Reject => settle::fail_start(order, account, &StartFailure::Rejected { code: None }, now),
        Action::Deadline => settle::fail_start(order, account, &StartFailure::DeadlinePassed, now),
        Action::Stop { online } => settle::ask_stop(order, account, StopBy::Driver, *online, now),
        Action::StopAccepted => settle::stop_accepted(order, account, now),
        Action::StopUnanswered => settle::stop_unanswered(order, account, now),
        Action::Fault => settle::fault(order, account, Some("E1".to_owned()), now),
        Action::Record(fen) => {
            let name = if matches!(order.status, S::StartFailed | S::Canceled) { "ghost" } else { "correct" };
            let money_done = store.ops.contains(&format!("{name}:{order_no}"));
            let facts = facts(StopReason::Full);
            settle::record(order, account, &facts, &bill(*fen, fen / 3), &RULES, money_done, now)
        }
        Action::EndSilently(fen) => {
            let bill = bill(*fen, fen / 3);
            settle::end_provisionally(order, account, ProvisionalCause::Silence, &bill, &RULES, now)
        }
        Action::Approve => settle::approve(order, account, &risk_officer(), now),
        Action::RejectBill => settle::reject(order, account, &risk_officer(), now),
        Action::Repay(amount, request) => settle::repay(order, account, amount.map(Fen), request, now),
        Action::Refund(fen, id) => {
            settle::refund(order, account, id, Fen(*fen), store.ops.contains(&format!("refund:{id}")), now)
        }
        Action::WriteOff(fen, id) => {
            settle::write_off(order, account, id, Fen(*fen), store.ops.contains(&format!("writeoff:{id}")), now)
        }
    }
}

fn run(store: &mut Store, order_no: &str, action: &Action) {
    let plan = plan(store, order_no, action, ts(NOW)).unwrap();
    store.store(&plan);
}

/// Stores the first `steps` of the plan, then does what happens after a crash: every order that can be found is resumed,
/// and whoever had no answer asks again.
fn crash(store: &mut Store, order_no: &str, action: &Action, steps: usize) {
    let planned = plan(store, order_no, action, ts(NOW)).unwrap();
    planned.steps.iter().take(steps).for_each(|step| store.step(step));
    if store.orders.iter().all(|order| order.order_no != no(order_no)) {
        return;
    }
    resume(store, order_no);
    let asked_again = match action {
        Action::Repay(_, request) => !store.ops.contains(&format!("repay:{order_no}:{request}")),
        Action::Refund(_, id) => !store.ops.contains(&format!("refund:{id}")),
        Action::WriteOff(_, id) => !store.ops.contains(&format!("writeoff:{id}")),
        Action::Record(_) => true,
        Action::Place(_)
        | Action::Evidence
        | Action::Reject
        | Action::Deadline
        | Action::Stop { .. }
        | Action::StopAccepted
        | Action::StopUnanswered
        | Action::Fault
        | Action::EndSilently(_)
        | Action::Approve
        | Action::RejectBill => false,
    };
    if asked_again {
        run(store, order_no, action);
    }
    resume(store, order_no);
}

fn resume(store: &mut Store, order_no: &str) {
    let resumed = settle::resume(store.order(order_no), &store.account, &RULES, ts(NOW)).unwrap();
    store.store(&resumed);
    let again = settle::resume(store.order(order_no), &store.account, &RULES, ts(NOW)).unwrap();
    assert_eq!(again.steps, vec![], "resuming twice is resuming once");
}

/// What the driver has and what the order says.
fn outcome(store: &Store, order_no: &str) -> (S, [i64; 6]) {
    let order = store.order(order_no);
    let money = [order.paid_fen, order.released_fen, order.debt_fen, store.account.available, store.account.frozen];
    let total = order.bill.as_ref().map_or(Fen::ZERO, |bill| bill.total_fen);
    let [paid, released, debt, available, frozen] = money.map(|fen| fen.0);
    (order.status, [total.0, paid, released, debt, available, frozen])
}

#[test]
fn every_prefix_of_every_plan_resumes_to_the_same_money() {
    use Action as A;
    let start = [A::Place(None), A::Evidence];
    let after = |more: &[Action]| start.iter().cloned().chain(more.iter().cloned()).collect::<Vec<_>>();
    let stop = || A::Stop { online: true };
    let repay = || A::Repay(None, "r1".to_owned());
    // (available, the road, the interrupted action)
    let table: Vec<(i64, Vec<Action>, Action)> = vec![
        (9_000, vec![A::Place(None)], A::Evidence),
        (9_000, vec![A::Place(None)], A::Deadline),
        (9_000, vec![A::Place(None)], A::Reject),
        (9_000, vec![A::Place(None)], A::Record(3_000)),
        (9_000, after(&[]), stop()),
        (9_000, after(&[]), A::Fault),
        (9_000, after(&[]), A::Record(3_000)),
        (9_000, after(&[stop()]), A::Record(5_000)),
        (4_000, after(&[A::Fault]), A::Record(6_000)),
        (9_000, after(&[]), A::Record(0)),
        (30_000, after(&[]), A::Record(18_000)),
        (30_000, after(&[A::Record(18_000)]), A::Approve),
        (6_000, after(&[A::Record(18_000)]), A::Approve),
        (30_000, after(&[A::Record(18_000)]), A::RejectBill),
        (9_000, after(&[]), A::EndSilently(3_000)),
        (30_000, after(&[]), A::EndSilently(18_000)),
        (9_000, after(&[A::EndSilently(3_000)]), A::Record(4_000)),
        (9_000, after(&[A::EndSilently(3_000)]), A::Record(2_000)),
        (5_000, after(&[A::EndSilently(4_500)]), A::Record(6_000)),
        (5_000, after(&[A::EndSilently(4_500)]), A::Record(3_000)),
        (30_000, after(&[A::EndSilently(18_000)]), A::Record(2_000)),
        (9_000, vec![A::Place(None), A::Deadline, A::Evidence], A::Record(3_000)),
        (9_000, vec![A::Place(None), stop()], A::Record(3_000)),
    ];
    for (available, road, action) in table {
        let mut before = Store::new(available);
        road.iter().for_each(|action| run(&mut before, "1001", action));
        let mut whole = before.clone();
        run(&mut whole, "1001", &action);
        let steps = plan(&before, "1001", &action, ts(NOW)).unwrap().steps.len();
        for stored in 1..=steps {
            let mut crashed = before.clone();
            crash(&mut crashed, "1001", &action, stored);
            assert_eq!(outcome(&crashed, "1001"), outcome(&whole, "1001"), "{action:?}, {stored} of {steps} steps");
            assert_eq!(crashed.breaches(), vec![], "{action:?}, {stored} of {steps} steps");
        }
    }
    // A debt that the next top-up can pay: the repayment is done once.
    let mut before = Store::new(4_000);
    after(&[A::Record(6_000)]).iter().for_each(|action| run(&mut before, "1001", action));
    let top_up = settle::top_up(&before.account, "P2", Fen(9_000), ts(NOW)).unwrap();
    before.ledger(&top_up);
    for stored in 0..=3 {
        let mut crashed = before.clone();
        crash(&mut crashed, "1001", &repay(), stored);
        assert_eq!(outcome(&crashed, "1001"), (S::Closed, [8_000, 8_000, 0, 0, 5_000, 0]), "{stored}");
        assert_eq!(crashed.breaches(), vec![]);
    }
}

#[test]
fn an_interrupted_start_goes_on_when_its_money_is_frozen_and_else_is_called_off() {
    for (stored, status, frozen) in [(1, S::Canceled, 0), (2, S::Starting, 5_000), (3, S::Starting, 5_000)] {
        let mut store = Store::new(9_000);
        crash(&mut store, "1001", &Action::Place(None), stored);
        assert_eq!((store.order("1001").status, store.account.frozen), (status, Fen(frozen)), "{stored}");
        assert_eq!(store.breaches(), vec![]);
    }
}

#[test]
fn an_interrupted_cancel_ends_as_a_failed_start_with_all_money_back() {
    let mut store = Store::new(9_000);
    run(&mut store, "1001", &Action::Place(None));
    crash(&mut store, "1001", &Action::Stop { online: true }, 1);
    assert_eq!(outcome(&store, "1001"), (S::StartFailed, [0, 0, 5_000, 0, 9_000, 0]));
    assert_eq!(store.breaches(), vec![]);
}

#[test]
fn a_repayment_that_the_order_never_heard_of_is_noted_by_the_next_one() {
    let mut store = Store::new(5_000);
    let road = [Action::Place(None), Action::Evidence, Action::Record(4_500)];
    road.iter().for_each(|action| run(&mut store, "1001", action));
    let top_up = settle::top_up(&store.account, "P2", Fen(2_000), ts(NOW)).unwrap();
    store.ledger(&top_up);
    let lost = plan(&store, "1001", &Action::Repay(Some(300), "r1".to_owned()), ts(NOW)).unwrap();
    store.step(&lost.steps[0]);
    run(&mut store, "1001", &Action::Repay(None, "r2".to_owned()));
    assert_eq!(outcome(&store, "1001"), (S::Closed, [6_000, 6_000, 0, 0, 1_000, 0]));
    assert_eq!(store.breaches(), vec![]);
}

#[test]
fn orders_that_wait_for_something_are_left_alone() {
    use Action as A;
    let roads: [&[Action]; 5] = [
        &[A::Place(None)],
        &[A::Place(None), A::Evidence],
        &[A::Place(None), A::Evidence, A::Stop { online: true }],
        &[A::Place(None), A::Evidence, A::Record(18_000)],
        &[A::Place(None), A::Evidence, A::Record(6_000)],
    ];
    for road in roads {
        let mut store = Store::new(9_000);
        road.iter().for_each(|action| run(&mut store, "1001", action));
        let plan = settle::resume(store.order("1001"), &store.account, &RULES, ts(NOW)).unwrap();
        assert_eq!(plan.steps, vec![], "{road:?}");
    }
}

fn random_action(random: &mut Random, n: usize) -> Action {
    match random.between(0, 18) {
        0 | 1 => Action::Evidence,
        2 => Action::Reject,
        3 => Action::Deadline,
        4 => Action::Stop { online: random.one_in(2) },
        5 => Action::StopAccepted,
        6 => Action::StopUnanswered,
        7 => Action::Fault,
        8 | 9 => Action::Record(*random.pick(&[0, 1, 2_999, 3_000, 4_500, 15_001, 18_000])),
        10 => Action::EndSilently(*random.pick(&[0, 500, 3_000, 4_000, 16_000])),
        11 | 12 => Action::Approve,
        13 => Action::RejectBill,
        14 | 15 => Action::Refund(random.between(1, 300), format!("A{n}")),
        16 => Action::WriteOff(random.between(1, 300), format!("W{n}")),
        _ => Action::Repay(random.one_in(2).then(|| random.between(1, 900)), format!("r{n}")),
    }
}

/// Three orders of one driver, anything in any order, a crash now and then.
fn soak(seed: u64) -> HashSet<(S, bool)> {
    let mut random = Random::new(seed);
    let mut store = Store::new(random.between(1, 40_000));
    let mut ends = HashSet::new();
    let mut placed = 0;
    for n in 0..60 {
        if random.one_in(12) {
            let top_up =
                settle::top_up(&store.account, &format!("X{n}"), Fen(random.between(1, 9_000)), ts(NOW)).unwrap();
            store.ledger(&top_up);
        }
        let place = placed < 3 && random.one_in(6);
        let (order_no, action) = if place {
            (format!("100{}", placed + 1), Action::Place(random.one_in(2).then(|| random.between(1_000, 9_000))))
        } else if placed > 0 {
            (format!("100{}", random.between(1, placed)), random_action(&mut random, n))
        } else {
            continue;
        };
        let Ok(planned) = plan(&store, &order_no, &action, ts(NOW)) else { continue };
        placed += i64::from(place);
        if random.one_in(3) {
            let steps = i64::try_from(planned.steps.len()).unwrap();
            // Of a new order at least its row, or there is nothing to come back to.
            let stored = usize::try_from(random.between(i64::from(place), steps)).unwrap();
            crash(&mut store, &order_no, &action, stored);
        } else {
            store.store(&planned);
        }
        assert_eq!(store.breaches(), vec![], "seed {seed}, after {action:?} of {order_no}: {store:#?}");
    }
    ends.extend(store.orders.iter().map(|order| (order.status, order.debt_fen > Fen::ZERO)));
    ends
}

#[test]
fn random_lives_with_crashes_keep_every_invariant() {
    let seed = seed("random_lives_with_crashes");
    let ends: HashSet<_> = (0..1_000).flat_map(|n| soak(seed.wrapping_add(n))).collect();
    assert!(ends.len() >= 10, "the lives must end in many ways: {ends:?}");
}
