//! Adjustments and compensation as tables: what may be asked for, which rule gives how much, and which rules are refused.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod support;

use domain::{Fen, StationId, StopReason, WattHours};
use settlement::{
    adjustment::{Adjustment, AdjustmentError},
    approval::Actor,
    compensation::{CompensationRule, CompensationRules},
    order::{Order, OrderStatus, Review, Verdict},
};
use support::{bill, new_order, no, ts, user};

/// A closed order of 800 fen electricity and 201 fen service, all of it paid.
fn closed(reason: StopReason, fault: Option<&str>) -> Order {
    let mut order = new_order("7");
    order.status = OrderStatus::ExceptionClosed;
    order.stop_reason = Some(reason);
    order.fault_code = fault.map(str::to_owned);
    order.energy_wh = WattHours(5_000);
    order.bill = Some(bill(800, 201));
    order.paid_fen = Fen(1_001);
    order
}

fn ask(order: &Order, fen: i64) -> Result<Adjustment, AdjustmentError> {
    let author = Actor::Person(user());
    Adjustment::request("A1".to_owned(), order, Fen(fen), author, "wrong".to_owned(), ts("10:00:00"))
}

#[test]
fn no_more_may_be_asked_for_than_was_paid_and_not_given_back() {
    let mut order = closed(StopReason::Full, None);
    assert_eq!(ask(&order, 1_001).unwrap().state_word(), "REQUESTED");
    assert_eq!(ask(&order, 0), Err(AdjustmentError::NotPositive(Fen(0))));
    let more =
        |asked, left| Err(AdjustmentError::MoreThanPaid { order_no: no("7"), asked: Fen(asked), left: Fen(left) });
    assert_eq!(ask(&order, 1_002), more(1_002, 1_001));
    order.refunded_fen = Fen(1_000);
    assert_eq!(ask(&order, 2), more(2, 1));
    // A correction may have lowered what was paid below what was given back before.
    order.paid_fen = Fen(900);
    assert_eq!(ask(&order, 1), more(1, 0));
    order.status = OrderStatus::Charging;
    assert_eq!(ask(&order, 1), Err(AdjustmentError::NotOver(no("7"))));
}

fn rule(name: &str, change: impl FnOnce(&mut CompensationRule)) -> CompensationRule {
    let mut rule = CompensationRule {
        name: name.to_owned(),
        text_zh: "退还".to_owned(),
        text_en: "given back".to_owned(),
        stop_reasons: vec![],
        fault_codes: vec![],
        stations: vec![],
        min_energy_wh: 0,
        service_percent: 0,
        fixed_fen: 10,
        cap_fen: 0,
        auto: true,
    };
    change(&mut rule);
    rule
}

fn one(change: impl FnOnce(&mut CompensationRule)) -> CompensationRules {
    CompensationRules { rule: vec![rule("a", change)] }
}

#[test]
fn a_rule_matches_by_all_of_its_conditions() {
    let order = closed(StopReason::Fault, Some("E106"));
    let station = |name| vec![StationId::parse(name).unwrap()];
    let table: Vec<(CompensationRules, bool)> = vec![
        (one(|_| ()), true),
        (one(|r| r.stop_reasons = vec![3, 8]), true),
        (one(|r| r.stop_reasons = vec![8]), false),
        (one(|r| r.fault_codes = vec!["E10".to_owned()]), true),
        (one(|r| r.fault_codes = vec!["E2".to_owned(), "106".to_owned()]), false),
        (one(|r| r.stations = station("S1")), true),
        (one(|r| r.stations = station("S2")), false),
        (one(|r| r.min_energy_wh = 5_000), true),
        (one(|r| r.min_energy_wh = 5_001), false),
        (one(|r| (r.stop_reasons, r.stations) = (vec![3], station("S2"))), false),
    ];
    for (rules, matches) in &table {
        rules.check().unwrap();
        assert_eq!(rules.of(&order, Fen(0)).is_some(), *matches, "{rules:?}");
    }
    let none = closed(StopReason::Fault, None);
    assert!(one(|r| r.fault_codes = vec!["E".to_owned()]).of(&none, Fen(0)).is_none(), "no code has no class");
}

#[test]
fn what_a_rule_gives_is_rounded_down_capped_and_never_more_than_was_paid() {
    let paid = closed(StopReason::PowerLoss, None);
    let mut refunded = paid.clone();
    refunded.refunded_fen = Fen(996);
    let mut all_refunded = paid.clone();
    all_refunded.refunded_fen = Fen(1_001);
    // order, percent of 201 fen service, fixed, cap → amount
    for (order, percent, fixed, cap, expected) in [
        (&paid, 100, 0, 0, Some(201)),
        (&paid, 50, 0, 0, Some(100)),
        (&paid, 1, 0, 0, Some(2)),
        (&paid, 0, 10, 0, Some(10)),
        (&paid, 50, 10, 0, Some(110)),
        (&paid, 100, 10, 150, Some(150)),
        (&paid, 0, 100_000, 0, Some(1_001)),
        (&refunded, 100, 0, 0, Some(5)),
        (&all_refunded, 100, 0, 0, None),
    ] {
        let rules = one(|r| (r.service_percent, r.fixed_fen, r.cap_fen) = (percent, fixed, cap));
        let given = rules.of(order, Fen(100));
        assert_eq!(given.as_ref().map(|given| given.amount.0), expected, "{percent} % + {fixed}, cap {cap}");
        if let Some(given) = given {
            assert_eq!(given.auto, given.amount <= Fen(100), "{given:?}");
        }
    }
    assert!(!one(|r| r.auto = false).of(&paid, Fen(100)).unwrap().auto);
}

#[test]
fn only_a_closed_order_whose_bill_stands_is_compensated_and_the_first_rule_counts() {
    let rules = CompensationRules { rule: vec![rule("a", |r| r.fixed_fen = 1), rule("b", |r| r.fixed_fen = 2)] };
    let order = closed(StopReason::Fault, None);
    assert_eq!(rules.of(&order, Fen(0)).unwrap().rule.name, "a");
    let with = |change: fn(&mut Order)| {
        let mut order = order.clone();
        change(&mut order);
        order
    };
    for other in [
        with(|o| o.provisional = true),
        with(|o| o.status = OrderStatus::Held),
        with(|o| o.status = OrderStatus::Canceled),
        with(|o| o.bill = None),
        with(|o| o.review = Some(Review { by: None, verdict: Verdict::Rejected, at: ts("09:00:00") })),
    ] {
        assert_eq!(rules.of(&other, Fen(0)), None, "{other:?}");
    }
}

#[test]
fn a_rule_that_makes_no_sense_is_refused_by_name_field_and_remedy() {
    for (rules, words) in [
        (one(|r| r.name = "a b".to_owned()), "name = a b"),
        (one(|r| r.stop_reasons = vec![11]), "stop_reasons = 11"),
        (one(|r| r.service_percent = 101), "service_percent = 101"),
        (one(|r| r.cap_fen = -1), "cap_fen = -1"),
        (one(|r| r.fixed_fen = 0), "fixed_fen = 0"),
        (one(|r| r.text_zh = String::new()), "text_zh"),
        (CompensationRules { rule: vec![rule("a", |_| ()), rule("a", |_| ())] }, "another name"),
        (CompensationRules { rule: (0..101).map(|n| rule(&format!("r{n}"), |_| ())).collect() }, "at most 100"),
    ] {
        let refused = rules.check().unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}");
    }
}
