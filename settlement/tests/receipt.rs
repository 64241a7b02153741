//! Receipts: every kind of order has one that holds, and whatever is changed in it is found.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod support;

use std::collections::BTreeSet;

use domain::{Fen, Millis, StopReason, Timestamp, WattHours, Watts};
use serde_json::Value;
use settlement::{
    order::{Order, ProvisionalCause, RecordFacts, StopBy},
    pricing::{Bill, ChargeEnd, PriceInput, Reading, RecordTimes, price},
    receipt::{Receipt, ReceiptFacts, Verdict, hash, verify},
    settle::{self, Planned, StartFailure},
    tariff::{DayPlan, Tariff, Weekdays},
};
use support::{RULES, Store, facts, new_order, risk_officer, tariff, ts};

/// The prices of every test: two periods, the boundary at 09:00 UTC. They are those of a plan; every other day is free.
fn prices() -> Tariff {
    let day = tariff("Asia/Shanghai", &[("00:00", "17:00", 8_123, 4_321), ("17:00", "24:00", 12_345, 4_000)]);
    let plan = DayPlan {
        name: "spring".to_owned(),
        weekdays: Weekdays::default(),
        from_date: None,
        to_date: None,
        periods: day.periods,
    };
    Tariff { plans: vec![plan], ..tariff("Asia/Shanghai", &[("00:00", "24:00", 0, 0)]) }
}

/// One order from its place to its receipt. Its charge runs from 08:30 to 09:30 UTC, over the boundary.
struct Charge {
    store: Store,
    readings: Vec<Reading>,
    record: Option<RecordTimes>,
    offset: Option<Millis>,
}

impl Charge {
    fn placed(available: i64) -> Self {
        let mut store = Store::new(available);
        store.store(&settle::place(&new_order("1001"), &store.account, &RULES, ts("08:00:00")).unwrap());
        Self { store, readings: Vec::new(), record: None, offset: None }
    }

    fn charging(available: i64) -> Self {
        let mut charge = Self::placed(available);
        charge.run(|order, account| settle::evidence(order, account, ts("08:30:00"), None, ts("08:30:00")));
        let frame = |(at, seq, wh)| Reading { at: ts(at), seq, energy: WattHours(wh), total_time_s: None };
        charge.readings = [("08:31:00", 1, 3), ("08:59:30", 2, 7_001), ("09:00:31", 3, 7_200)].map(frame).to_vec();
        charge
    }

    fn run(&mut self, planner: impl FnOnce(&Order, &settlement::ledger::AccountState) -> Planned) {
        let plan = planner(self.store.order("1001"), &self.store.account).unwrap();
        self.store.store(&plan);
        assert_eq!(self.store.breaches(), vec![]);
    }

    fn bill(&self, end: ChargeEnd) -> Bill {
        price(&PriceInput {
            tariff: &prices(),
            created_at: ts("08:00:00"),
            rated_power: Watts(60_000),
            readings: &self.readings,
            readings_thinned: false,
            end,
            clock_offset: self.offset,
        })
        .unwrap()
    }

    /// The charger's record of `wh`, by a clock that is behind by the offset.
    fn times(&mut self, wh: i64) -> (RecordFacts, Bill) {
        let raw = |text: &str| ts(text).plus(Millis(-self.offset.map_or(0, |offset| offset.0)));
        let times = RecordTimes {
            start: Some(raw("08:30:00")),
            end: raw("09:30:00"),
            total: WattHours(wh),
            total_time_s: Some(3_600),
            frames: Some(3),
        };
        self.record = Some(times);
        let (from, to) = (Some(WattHours(10_021_310)), Some(WattHours(10_021_310 + wh)));
        let facts = RecordFacts { meter_start: from, meter_end: to, ..facts(StopReason::Full) };
        (facts, self.bill(ChargeEnd::Record(times)))
    }

    fn finish(&mut self, wh: i64) {
        let (facts, bill) = self.times(wh);
        self.run(|order, account| settle::finish(order, account, &facts, &bill, &RULES, ts("09:31:00")));
    }

    fn end_silently(&mut self) {
        let bill = self.bill(ChargeEnd::LastReading { evidence_at: ts("08:30:00") });
        let now = ts("2026-03-11T09:30:00Z");
        self.run(|order, account| {
            settle::end_provisionally(order, account, ProvisionalCause::Silence, &bill, &RULES, now)
        });
    }

    fn correct(&mut self, wh: i64) {
        let (facts, bill) = self.times(wh);
        let now = ts("2026-03-12T09:30:00Z");
        self.run(|order, account| settle::correct(order, account, &facts, &bill, false, now));
    }

    fn repay(&mut self, amount: i64) {
        let op = settlement::ledger::LedgerOp::TopUp { payment_no: "P2".to_owned(), amount: Fen(amount) };
        let change = settlement::ledger::apply(&self.store.account, &op, ts("10:00:00")).unwrap();
        self.store.ledger(&change);
        self.run(|order, account| settle::repay(order, account, Some(Fen(amount)), "r", ts("10:01:00")));
    }

    fn receipt(&self) -> Receipt {
        Receipt::of(&ReceiptFacts {
            order: self.store.order("1001"),
            tariff: &prices(),
            entries: &self.store.entries,
            record: self.record,
            readings: Some(&self.readings),
        })
    }
}

fn failed(text: &str) -> Vec<String> {
    let checks = verify(text).unwrap_or_else(|why| panic!("{why}: {text}"));
    checks.iter().filter(|check| check.verdict == Verdict::Fails).map(|c| format!("{}: {}", c.name, c.words)).collect()
}

fn held(receipt: &Receipt) -> Vec<&'static str> {
    let text = serde_json::to_string(receipt).unwrap();
    assert_eq!(failed(&text), Vec::<String>::new(), "{text}");
    verify(&text).unwrap().iter().filter(|check| check.verdict == Verdict::Holds).map(|check| check.name).collect()
}

const ALL: [&str; 7] = ["hash", "rule", "tariff", "fees", "segments", "readings", "meter"];

#[test]
fn every_kind_of_order_has_a_receipt_that_holds() {
    let settled = |charge: &Charge, also: &[&str]| {
        let held = held(&charge.receipt());
        assert!(ALL.iter().chain(also).chain(&["entries"]).all(|name| held.contains(name)), "{held:?}");
    };
    let mut paid = Charge::charging(10_000);
    paid.finish(12_480);
    settled(&paid, &[]);

    let mut ahead = Charge::charging(10_000);
    ahead.offset = Some(Millis(600_000));
    ahead.readings.iter_mut().for_each(|reading| reading.at = reading.at.plus(Millis(-600_000)));
    ahead.finish(12_480);
    settled(&ahead, &[]);
    assert_eq!(ahead.receipt().readings.unwrap().clock_offset_ms, 600_000);

    let mut owed = Charge::charging(1_000);
    owed.finish(12_480);
    settled(&owed, &[]);
    owed.repay(100);
    settled(&owed, &[]);
    owed.run(|order, account| settle::write_off(order, account, "W1", Fen(50), false, ts("11:00:00")));
    settled(&owed, &[]);
    assert!(owed.receipt().sums.debt_fen > Fen::ZERO && owed.receipt().sums.written_off_fen == Fen(50));

    paid.run(|order, account| settle::refund(order, account, "A1", Fen(200), false, ts("11:00:00")));
    settled(&paid, &[]);
    assert_eq!(paid.receipt().sums.refunded_fen, Fen(200));

    for (available, wh) in [(10_000, 12_480), (10_000, 7_100), (600, 12_480)] {
        let mut lost = Charge::charging(available.max(1_000));
        lost.end_silently();
        let provisional = held(&lost.receipt());
        assert!(provisional.contains(&"readings") && !provisional.contains(&"meter"), "{provisional:?}");
        lost.readings.retain(|reading| reading.energy.0 <= wh);
        lost.correct(wh);
        settled(&lost, &["corrections"]);
    }
}

#[test]
fn orders_nothing_was_taken_for_have_receipts_that_hold() {
    let mut failed = Charge::placed(10_000);
    failed.run(|order, account| settle::fail_start(order, account, &StartFailure::DeadlinePassed, ts("08:02:00")));
    assert_eq!(held(&failed.receipt()), ["hash", "rule", "tariff", "entries"]);
    let (_, ghost) = failed.times(7_000);
    failed.run(|order, account| settle::ghost(order, account, ts("08:03:00"), Some(&ghost), false, ts("09:31:00")));
    assert_eq!(held(&failed.receipt()), ["hash", "rule", "tariff", "entries"], "the platform pays for a ghost charge");

    let mut canceled = Charge::placed(10_000);
    canceled.run(|order, account| settle::ask_stop(order, account, StopBy::Driver, true, ts("08:02:00")));
    held(&canceled.receipt());

    let mut rejected = Charge::charging(30_000);
    rejected.finish(180_000);
    held(&rejected.receipt());
    rejected.run(|order, account| settle::reject(order, account, &risk_officer(), ts("09:40:00")));
    held(&rejected.receipt());
}

#[test]
fn a_charge_without_any_frame_or_evidence_but_its_own_has_a_receipt_that_holds() {
    let mut silent = Charge::charging(10_000);
    silent.readings.clear();
    silent.end_silently();
    assert!(held(&silent.receipt()).contains(&"readings"));
    silent.correct(5_000);
    let receipt = silent.receipt();
    held(&receipt);
}

#[test]
fn readings_that_are_no_longer_all_there_are_left_out_and_that_is_said() {
    let mut charge = Charge::charging(10_000);
    charge.finish(12_480);
    charge.readings.remove(1);
    let receipt = charge.receipt();
    assert_eq!(receipt.readings, None);
    assert!(!held(&receipt).contains(&"readings"));
}

/// Every number and every text of a receipt, by its path.
fn leaves(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| leaves(item, &format!("{path}/{index}"), found));
        }
        Value::Object(fields) => {
            fields.iter().for_each(|(name, field)| leaves(field, &format!("{path}/{name}"), found));
        }
        Value::Number(_) | Value::String(_) => found.push(path.to_owned()),
        Value::Null | Value::Bool(_) => {}
    }
}

/// The same kind of value, a little different: a number by one, a time by a minute, a text by a letter.
fn changed(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::from(number.as_i64().unwrap() + 1),
        Value::String(text) => {
            let moved = |at: Timestamp| at.plus(Millis(60_000)).to_string();
            Value::from(Timestamp::parse_rfc3339(text).map_or_else(|_| format!("{text}x"), moved))
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => panic!("{value} is no leaf"),
    }
}

#[test]
fn whatever_is_changed_is_found_by_the_hash_alone() {
    let mut charge = Charge::charging(1_000);
    charge.finish(12_480);
    let whole = serde_json::to_value(charge.receipt()).unwrap();
    let mut paths = Vec::new();
    leaves(&whole, "", &mut paths);
    assert!(paths.len() > 80, "{paths:?}");
    for path in paths {
        let mut tampered = whole.clone();
        let leaf = tampered.pointer_mut(&path).unwrap();
        *leaf = changed(leaf);
        let text = tampered.to_string();
        // Some changes make it unreadable, which is a refusal too.
        let found = verify(&text).map_or(true, |checks| checks[0].verdict == Verdict::Fails);
        assert!(found, "{path} was changed and nobody noticed");
    }
}

#[test]
fn who_changes_a_sum_a_price_or_a_reading_and_mends_the_hash_is_found_by_the_figures() {
    let mut charge = Charge::charging(1_000);
    charge.end_silently();
    charge.correct(12_480);
    charge.repay(100);
    let whole = serde_json::to_value(charge.receipt()).unwrap();
    let mut paths = Vec::new();
    leaves(&whole, "", &mut paths);
    let mut unseen = BTreeSet::new();
    for path in paths {
        let mut tampered = whole.clone();
        let leaf = tampered.pointer_mut(&path).unwrap();
        *leaf = changed(leaf);
        tampered["hash"] = Value::from(hash(&tampered).unwrap());
        if path != "/hash" && verify(&tampered.to_string()).is_ok_and(|_| failed(&tampered.to_string()).is_empty()) {
            unseen.insert(path);
        }
    }
    // What no figure of the receipt depends on: names, the prices of days that no plan is for, when a line was written, what lies within the meter's tolerance,
    // and of the readings what the segments' whole Wh do not show.
    let independent = |path: &str| {
        let last = path.rsplit('/').next().unwrap_or_default();
        ["userId", "stationId", "pileCode", "connectorId", "effectiveAt", "createdAt", "stopReason"].contains(&last)
            || ["meterStartWh", "meterEndWh", "totalTimeS", "frames", "seq"].contains(&last)
            || path.starts_with("/entries/") && last == "at"
            || whole.pointer(path).and_then(Value::as_str).is_some_and(|op| op.starts_with("repay:1001:"))
            || path.starts_with("/corrections/") && ["at", "energyWh"].contains(&last)
            || path.starts_with("/tariff/periods/")
            || path == "/tariff/plans/0/name"
            // The charge is on a Tuesday, the second of them.
            || path.starts_with("/tariff/plans/0/weekdays/") && last != "1"
            || path.starts_with("/bill/flags")
            || ["/readings/frames/0/energyWh", "/readings/frames/0/at"].contains(&path)
    };
    let unseen: Vec<&String> = unseen.iter().filter(|path| !independent(path)).collect();
    assert!(unseen.is_empty(), "changed, the hash mended, and not found: {unseen:?}");
}

#[test]
fn what_is_no_receipt_is_refused_in_words() {
    let mut charge = Charge::charging(10_000);
    charge.finish(12_480);
    let whole = serde_json::to_value(charge.receipt()).unwrap();
    let mut later = whole.clone();
    later["format"] = Value::from("pilehub-receipt/9");
    let twice = whole.to_string().replacen('{', r#"{"hash":"","#, 1);
    for (text, words) in [
        ("", "this is no receipt"),
        ("[]", "this is no receipt"),
        ("{}", "missing field"),
        (later.to_string().as_str(), "pilehub-receipt/9"),
        (twice.as_str(), "duplicate field `hash`"),
    ] {
        let why = verify(text).unwrap_err();
        assert!(why.contains(words), "{text:.40}: {why}");
    }
}

#[test]
fn spaces_and_the_order_of_fields_do_not_matter() {
    let mut charge = Charge::charging(10_000);
    charge.finish(12_480);
    let text = serde_json::to_string_pretty(&serde_json::to_value(charge.receipt()).unwrap()).unwrap();
    assert_eq!(failed(&text), Vec::<String>::new());
}
