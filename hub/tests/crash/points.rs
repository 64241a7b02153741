//! The hub dies at a named point in its code, once for every point along an order's life.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::Value;

use crate::{
    books,
    charger::Charger,
    driver::Driver,
    support::{
        Hub,
        crash::{Death, Watched},
        phone::{Phone, Told},
    },
};

/// Status frames of a whole life; the points of a running charge are hit long before the last one.
const FRAMES: usize = 24;
/// SIGABRT, which an armed point raises.
const ABORTED: Option<i32> = Some(6);

/// One charge from start to bill with a point armed, and everything that must be true after it. Answers the deaths.
fn life(point: &str, must_die: bool) -> Vec<Death> {
    let hub = Hub::start();
    hub.make_station("S1");
    let pile = hub.make_pile("S1", "P1");
    let driver = hub.make_driver("anna", 20_000);
    let watched = Arc::new(hub.armed(Some(point)));
    let (charger, [told, _]) = Charger::start(Arc::clone(&watched), &pile);
    let driver = Driver { token: driver, paid_in: 20_000, pile: pile.code, gun: 1, told };

    let order_no = driver.start(&watched, "start");
    driver.watch(&order_no, FRAMES);
    if !watched.deaths().is_empty() {
        session_is_live(&watched, &driver, &order_no);
    }
    driver.stop(&watched, "stop", &order_no);

    let totals = charger.end();
    if must_die {
        // The hub may have told the charger everything and die a moment later.
        watched.wait_past(0);
    }
    let deaths = watched.deaths();
    assert!(deaths.iter().all(|death| death.signal == ABORTED), "{point}: {deaths:?}");
    let hub = watched.hub();
    let mut phone = follow(&hub, &driver, &order_no);
    assert_eq!(phone.news().frame("snap")["d"]["status"], "CLOSED");
    let end = phone.news().frame("end");
    assert_eq!(end["d"]["energyWh"], totals[&order_no]);
    assert_eq!(
        end["d"]["bill"]["totalFen"],
        hub.get(&driver.token, "/orders").expect(200)["items"][0]["bill"]["totalFen"]
    );
    assert_eq!(phone.news(), Told::Closed(1000));
    books::check(&hub, &[(driver, vec![order_no])], &totals);
    deaths
}

/// After the restart a phone gets a snap of the running charge, and its energy goes up.
fn session_is_live(watched: &Watched, driver: &Driver, order_no: &str) {
    let mut phone = follow(&watched.hub(), driver, order_no);
    let snap = phone.news().frame("snap");
    assert_eq!((&snap["d"]["orderNo"], &snap["d"]["status"]), (&order_no.into(), &"CHARGING".into()), "{snap}");
    let before = snap["d"]["energyWh"].as_i64().unwrap();
    loop {
        let delta = phone.news().frame("delta");
        if let Some(now) = delta["d"].get("energyWh").and_then(Value::as_i64) {
            assert!(now > before, "{snap} then {delta}");
            return;
        }
    }
}

fn follow(hub: &Hub, driver: &Driver, order_no: &str) -> Phone {
    let made = hub.post(&driver.token, &format!("/orders/{order_no}/ticket"), &Value::Null).json();
    Phone::open(hub, &format!("ticket={}", made["ticket"].as_str().unwrap()))
}

/// A life that must meet its point; answers what the store knew of the order when the hub died.
fn dies_at(point: &str) -> Vec<String> {
    let deaths = life(point, true);
    assert_eq!(deaths.len(), 1, "{point}");
    deaths[0].orders.clone()
}

#[test]
fn killed_with_the_order_and_its_hold_stored_and_nobody_told() {
    assert_eq!(dies_at("order.placed"), ["STARTING"]);
}

#[test]
fn killed_with_the_start_command_at_the_gate() {
    assert_eq!(dies_at("session.start_sent"), ["STARTING"]);
}

#[test]
fn killed_with_the_evidence_stored_and_the_charge_just_begun() {
    assert_eq!(dies_at("session.evidence"), ["CHARGING"]);
}

#[test]
fn killed_with_an_event_stored_and_not_acknowledged() {
    assert_eq!(dies_at("pile.event_stored"), ["CHARGING"]);
}

#[test]
fn killed_in_the_middle_of_a_charge_before_readings_are_durable() {
    assert_eq!(dies_at("telemetry.before_commit:9"), ["CHARGING"]);
}

#[test]
fn killed_in_the_middle_of_a_charge_with_readings_durable_and_not_acknowledged() {
    assert_eq!(dies_at("telemetry.after_commit:9"), ["CHARGING"]);
}

#[test]
fn killed_with_the_stop_stored_and_no_command_sent() {
    assert_eq!(dies_at("session.stop_stored"), ["STOPPING"]);
}

#[test]
fn killed_with_the_stop_command_at_the_gate() {
    assert_eq!(dies_at("session.stop_sent"), ["STOPPING"]);
}

#[test]
fn killed_with_the_record_received_and_nothing_of_it_stored() {
    assert_eq!(dies_at("session.record_received"), ["STOPPING"]);
}

#[test]
fn killed_with_the_bill_stored_and_the_money_moved_and_the_charger_not_told() {
    assert_eq!(dies_at("session.settled"), ["CLOSED"]);
}

#[test]
fn killed_with_the_record_acknowledged_to_the_gate() {
    assert_eq!(dies_at("session.acknowledged"), ["CLOSED"]);
}

/// Arms a point at its first hit of a life, then its second, until a life has no such hit. Answers what the store knew
/// of the order at each death.
fn every_hit_of(point: &str) -> Vec<Vec<String>> {
    let mut seen = Vec::new();
    for nth in 1..=40 {
        let deaths = life(&format!("{point}:{nth}"), false);
        if deaths.is_empty() {
            return seen;
        }
        seen.extend(deaths.into_iter().map(|death| death.orders));
    }
    panic!("{point} is hit more than 40 times in one life");
}

#[test]
fn killed_before_every_commit_of_money_of_a_life() {
    let seen = every_hit_of("money.before_commit");
    assert!(seen.len() >= 5, "placing, evidence, stop, its confirmation, settlement: {seen:?}");
    let whole: BTreeSet<_> = seen.iter().flatten().map(String::as_str).collect();
    assert_eq!(seen[0], [""; 0], "before the first commit there is no order");
    assert!(whole.is_superset(&["STARTING", "CHARGING", "STOPPING"].into()), "{seen:?}");
}

#[test]
fn killed_after_every_commit_of_money_of_a_life() {
    let seen = every_hit_of("money.after_commit");
    assert!(seen.len() >= 5, "placing, evidence, stop, its confirmation, settlement: {seen:?}");
    let whole: BTreeSet<_> = seen.iter().flatten().map(String::as_str).collect();
    // Jobs beside the charge have commits of their own.
    let first = seen.iter().find(|orders| !orders.is_empty());
    assert_eq!(first, Some(&vec!["STARTING".to_owned()]), "an order is first stored with its hold");
    assert!(whole.is_superset(&["STARTING", "CHARGING", "STOPPING", "CLOSED"].into()), "{seen:?}");
}
