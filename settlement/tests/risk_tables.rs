//! The rules of risk as tables: what strikes at which gate, who gets credit, which files are refused, and that counters
//! stay within their bounds.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod support;

use domain::{Fen, Millis, Timestamp};
use serde_json::{Value, json};
use settlement::{
    limits::SIGNALS_PER_SUBJECT_MAX,
    pricing::BillFlag,
    risk::{
        Gate, Outcome, Question, RiskRules, Signal, SignalKind as K, Tallies, Tally,
        credit::{CreditFacts, CreditRefused, CreditRules, credit},
        decide, worst,
    },
};
use support::{bill, no, random::Random};

const NOW: Timestamp = Timestamp::from_millis_clamped(1_763_690_000_000);

fn rule(name: &str, kind: &str, outcome: &str, more: &Value) -> Value {
    let mut rule = json!({"name": name, "kind": kind, "outcome": outcome, "text_zh": "核对", "text_en": "look"});
    rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    rule
}

fn read(rules: &[Value]) -> Result<RiskRules, String> {
    let written = serde_json::from_value(json!({ "rule": rules })).map_err(|error| error.to_string())?;
    RiskRules::read(written).map_err(|error| error.to_string())
}

fn rules(list: &[Value]) -> RiskRules {
    read(list).unwrap()
}

/// So many seconds before now.
fn ago(s: i64) -> Timestamp {
    NOW.plus(Millis::from_secs(-s))
}

fn tally(signals: &[(i64, K)]) -> Tally {
    let mut tally = Tally::default();
    for (index, (s, kind)) in signals.iter().enumerate() {
        tally.note(Signal { name: index.to_string(), at: ago(*s), kind: *kind });
    }
    tally
}

#[test]
fn a_rule_about_a_driver_strikes_from_its_count_on_within_its_window() {
    let topups = json!({"count": 3, "fen": 500, "window_s": 60});
    let starts = json!({"count": 2, "window_s": 60});
    let coupons = json!({"count": 2, "fen": 300, "window_s": 60});
    let (t, r, f) = (|fen| K::Topup(Fen(fen)), |fen| K::Refund(Fen(fen)), |fen| K::FullRefund(Fen(fen)));
    type Row<'a> = (&'a str, &'a Value, Gate, &'a [(i64, K)], bool);
    let table: &[Row<'_>] = &[
        ("quick_topups", &topups, Gate::Topup, &[(1, t(500)), (2, t(500)), (59, t(500))], true),
        ("quick_topups", &topups, Gate::Topup, &[(1, t(500)), (2, t(500)), (60, t(500))], false),
        ("quick_topups", &topups, Gate::Topup, &[(1, t(500)), (2, t(500)), (3, t(499))], false),
        ("quick_topups", &topups, Gate::Start, &[(1, t(500)), (2, t(500)), (3, t(500))], false),
        ("many_starts", &starts, Gate::Start, &[(0, K::Start), (59, K::Start)], true),
        ("many_starts", &starts, Gate::Start, &[(0, K::Start), (61, K::Start)], false),
        ("many_starts", &starts, Gate::Start, &[(0, K::Start), (1, t(500))], false),
        ("frequent_refunds", &starts, Gate::Refund, &[(0, r(1)), (1, f(1))], true),
        ("frequent_refunds", &starts, Gate::Refund, &[(0, r(1)), (1, K::Start)], false),
        ("coupon_like", &coupons, Gate::Refund, &[(0, f(300)), (1, f(1))], true),
        ("coupon_like", &coupons, Gate::Refund, &[(0, f(301)), (1, f(1))], false),
        ("coupon_like", &coupons, Gate::Refund, &[(0, r(300)), (1, f(1))], false),
    ];
    for (kind, figures, gate, signals, strikes) in table {
        let rules = rules(&[rule("a", kind, "pass", figures)]);
        let user = tally(signals);
        let question = Question { gate: *gate, now: NOW, user: Some(&user), pile: None, bill: None, hold_over: Fen(0) };
        assert_eq!(!decide(&rules, &question).is_empty(), *strikes, "{kind} {gate:?} {signals:?}");
        let nobody = Question { user: None, ..question };
        assert_eq!(decide(&rules, &nobody), [], "nothing is known, nothing strikes");
    }
}

#[test]
fn a_rule_about_a_bill_looks_at_its_sum_its_flags_and_its_pile() {
    let marks = tally(&[(1, K::MeterMark), (2, K::MeterMark), (3, K::Held)]);
    let flags = json!({"flags": ["ABOVE_RATED_POWER", "CLOCK_OFFSET"]});
    // kind, figures, total of the bill, its flags, strikes
    let table: &[(&str, Value, i64, &[BillFlag], bool)] = &[
        ("large_order", json!({}), 20_000, &[], false),
        ("large_order", json!({}), 20_001, &[], true),
        ("large_order", json!({"over_fen": 300}), 300, &[], false),
        ("large_order", json!({"over_fen": 300}), 301, &[], true),
        ("flagged_bill", flags.clone(), 1, &[BillFlag::ClockOffset], true),
        ("flagged_bill", flags.clone(), 1, &[BillFlag::MissingFrames], false),
        ("flagged_bill", json!({"flags": []}), 1, &[BillFlag::ClockOffset], false),
        ("meter_abnormal_pile", json!({"count": 2, "window_s": 60}), 1, &[], true),
        ("meter_abnormal_pile", json!({"count": 3, "window_s": 60}), 1, &[], false),
    ];
    for (kind, figures, total, flags, strikes) in table {
        let rules = rules(&[rule("a", kind, "hold", figures)]);
        let mut bill = bill(*total, 0);
        bill.flags = flags.to_vec();
        let question = Question {
            gate: Gate::Bill,
            now: NOW,
            user: None,
            pile: Some(&marks),
            bill: Some(&bill),
            hold_over: Fen(20_000),
        };
        assert_eq!(!decide(&rules, &question).is_empty(), *strikes, "{kind} {figures} {total} {flags:?}");
    }
}

#[test]
fn of_several_rules_that_strike_the_severest_counts_and_of_equals_the_first() {
    let figures = json!({"count": 1, "window_s": 60});
    for (outcomes, expected) in [
        (["pass", "hold", "refuse"], "c"),
        (["hold", "refuse", "refuse"], "b"),
        (["pass", "pass", "pass"], "a"),
        (["pass", "hold", "hold"], "b"),
    ] {
        let list: Vec<Value> = ["a", "b", "c"]
            .iter()
            .zip(outcomes)
            .map(|(name, outcome)| rule(name, "frequent_refunds", outcome, &figures))
            .collect();
        let rules = rules(&list);
        let user = tally(&[(1, K::Refund(Fen(1)))]);
        let question =
            Question { gate: Gate::Refund, now: NOW, user: Some(&user), pile: None, bill: None, hold_over: Fen(0) };
        let strikes = decide(&rules, &question);
        assert_eq!(strikes.len(), 3, "all of them are told");
        assert_eq!(worst(&strikes).unwrap().rule.name, expected, "{outcomes:?}");
    }
    assert!(Outcome::Pass < Outcome::Hold && Outcome::Hold < Outcome::Refuse);
    assert_eq!(worst(&[]), None);
}

#[test]
fn a_rule_that_makes_no_sense_is_refused_by_name_field_and_remedy() {
    let window = json!({"count": 1, "window_s": 60});
    for (bad, words) in [
        (rule("", "many_starts", "refuse", &window), "name"),
        (rule("two words", "many_starts", "refuse", &window), "name"),
        (rule("a", "many_starts", "refuse", &json!({"count": 0, "window_s": 60})), "count = 0"),
        (rule("a", "many_starts", "refuse", &json!({"count": 1001, "window_s": 60})), "count = 1001"),
        (rule("a", "many_starts", "refuse", &json!({"count": 1})), "window_s = 0"),
        (rule("a", "many_starts", "refuse", &json!({"count": 1, "window_s": 7_776_001})), "window_s = 7776001"),
        (rule("a", "many_starts", "refuse", &json!({"count": 1, "window_s": 60, "fen": 1})), "fen = given"),
        (rule("a", "quick_topups", "refuse", &window), "fen"),
        (rule("a", "quick_topups", "refuse", &json!({"count": 1, "window_s": 60, "fen": -1})), "fen = -1"),
        (rule("a", "many_starts", "hold", &window), "outcome = hold"),
        (rule("a", "large_order", "refuse", &json!({})), "outcome = refuse"),
        (rule("a", "large_order", "hold", &json!({"at": ["start"]})), "at = [Start]"),
        (rule("a", "large_order", "hold", &json!({"flags": []})), "flags = given"),
        (rule("a", "large_order", "hold", &json!({"text_en": " "})), "text_en"),
        (rule("a", "large_order", "hold", &json!({"limit": 3})), "limit"),
        (rule("a", "large_orders", "hold", &json!({})), "large_orders"),
    ] {
        let refused = read(std::slice::from_ref(&bad)).unwrap_err();
        assert!(refused.contains(words), "{bad}: {refused}");
    }
    let twice = [rule("a", "large_order", "hold", &json!({})), rule("a", "large_order", "pass", &json!({}))];
    assert!(read(&twice).unwrap_err().contains("another name"));
    let many: Vec<Value> = (0..101).map(|n| rule(&format!("r{n}"), "large_order", "hold", &json!({}))).collect();
    assert!(read(&many).unwrap_err().contains("at most 100"));
    let held = rule("a", "quick_topups", "hold", &json!({"count": 1, "fen": 1, "window_s": 9, "at": ["bill"]}));
    let rules = rules(&[held]);
    assert_eq!((rules.rules[0].at.as_slice(), rules.horizon()), ([Gate::Bill].as_slice(), Millis(9_000)));
    assert!(rules.named("a").is_some() && rules.named("b").is_none());
}

#[test]
fn a_signal_told_twice_counts_once_and_memory_stays_within_its_bounds() {
    let mut tallies: Tallies<u32> = Tallies::new(Millis::from_secs(100), 8);
    let start = |name: &str, s| Signal { name: name.to_owned(), at: ago(s), kind: K::Start };
    tallies.note(&1, start("a", 5), NOW);
    tallies.note(&1, start("a", 5), NOW);
    tallies.note(&1, start("b", 100), NOW);
    let all = |tallies: &Tallies<u32>, who| {
        tallies.of(&who).map_or(0, |tally| tally.count(Millis::from_secs(1_000), NOW, |_| true))
    };
    assert_eq!(all(&tallies, 1), 1, "twice is once, and what is beyond the horizon is not remembered");
    for n in 0..SIGNALS_PER_SUBJECT_MAX + 10 {
        tallies.note(&2, start(&n.to_string(), 50), NOW);
    }
    assert_eq!(all(&tallies, 2), i64::try_from(SIGNALS_PER_SUBJECT_MAX).unwrap());
    for who in 3..40 {
        tallies.note(&who, start("s", 40 - i64::from(who)), NOW);
        assert!(tallies.len() <= 8, "{} subjects", tallies.len());
    }
    assert_eq!((all(&tallies, 3), all(&tallies, 39)), (0, 1), "the one that was silent longest went first");
    assert!(!tallies.is_empty());
}

#[test]
fn windows_count_what_a_plain_list_counts() {
    let seed = support::random::seed("windows");
    let mut random = Random::new(seed);
    for round in 0..200 {
        let horizon = random.between(1, 100);
        let mut tallies: Tallies<i64> = Tallies::new(Millis::from_secs(horizon), 100);
        let mut plain: Vec<(i64, i64, i64)> = Vec::new();
        for _ in 0..random.between(0, 60) {
            let (who, s, name) = (random.between(0, 2), random.between(0, 150), random.between(0, 20));
            tallies.note(&who, Signal { name: name.to_string(), at: ago(s), kind: K::Start }, NOW);
            if s < horizon && !plain.contains(&(who, s, name)) {
                plain.push((who, s, name));
            }
        }
        for who in 0..3 {
            let window = random.between(1, horizon);
            let expected = plain.iter().filter(|(w, s, _)| *w == who && *s < window).count();
            let got = tallies.of(&who).map_or(0, |tally| tally.count(Millis::from_secs(window), NOW, |_| true));
            assert_eq!(usize::try_from(got).unwrap(), expected, "round {round}, window {window}");
        }
    }
}

#[test]
fn credit_is_given_up_to_the_limit_and_refused_for_the_gravest_reason() {
    let good = CreditFacts { paid_orders: 3, debt: Fen(0), open_order: None, blacklisted: false };
    let rules = CreditRules { limit: Fen(5_000), paid_orders_min: 3 };
    assert_eq!(credit(&good, &rules, None), Ok(Fen(5_000)));
    assert_eq!(credit(&good, &rules, Some(Fen(4_999))), Ok(Fen(4_999)));
    assert_eq!(credit(&good, &rules, Some(Fen(5_001))), Ok(Fen(5_000)));
    let open = CreditFacts { open_order: Some(no("7")), paid_orders: 0, ..good.clone() };
    let owing = CreditFacts { debt: Fen(1), ..open.clone() };
    let blocked = CreditFacts { blacklisted: true, ..owing.clone() };
    let off = CreditRules { limit: Fen(0), ..rules };
    for (facts, rules, why) in [
        (&blocked, &off, CreditRefused::Off),
        (&blocked, &rules, CreditRefused::Blacklisted),
        (&owing, &rules, CreditRefused::Debt(Fen(1))),
        (&open, &rules, CreditRefused::OpenOrder(no("7"))),
        (&CreditFacts { paid_orders: 2, ..good.clone() }, &rules, CreditRefused::TooFewOrders { paid: 2, needed: 3 }),
    ] {
        assert_eq!(credit(facts, rules, None), Err(why));
    }
}
