//! Faults that a charger reports: what they end, what they close, and for how long [CONTRACT 2].
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests fail loudly")]

mod support;

use serde_json::{Value, json};
use support::{
    charger::{Charger, finished, status},
    scene::{Scene, order_no},
    token,
    wait::{now_ms, until},
};

fn event(id: &str, kind: &str, connector: u8) -> Value {
    json!({"eventId": id, "type": kind, "connectorId": connector, "faultCode": "E106", "detail": "gun too hot", "timestamp": now_ms()})
}

fn place(scene: &Scene, connector: u8) -> support::Reply {
    scene.hub.post(&scene.driver, "/orders", &json!({"pileCode": "P1", "connectorId": connector}))
}

/// Waits until a connector is shown in a state.
fn until_connector(scene: &Scene, connector: usize, state: &str) {
    let mut last = Value::Null;
    let found = support::wait::look_for(|| {
        last = scene.hub.connector("P1", connector);
        last.to_string().contains(state).then_some(())
    });
    assert!(found.is_some(), "connector {connector} never became {state}: {last}");
}

/// A second charge, on connector 2, of another driver.
fn second_gun(scene: &mut Scene) -> (String, String) {
    let driver = scene.hub.make_driver("bert", 10_000);
    let asked = json!({"pileCode": "P1", "connectorId": 2});
    let order = order_no(&scene.hub.post(&driver, "/orders", &asked).expect(201));
    let start = scene.charger.command("startCharging");
    scene.charger.accept(&start);
    scene.hub.until_status(&driver, &order, "CHARGING");
    (driver, order)
}

#[test]
fn a_fault_while_charging_waits_for_the_record_and_closes_as_an_exception_with_its_code() {
    let mut scene = Scene::new();
    let order = scene.charging();
    let begin = now_ms() - 60_000;
    scene.charger.send("charging/status", &status(&order, 1, "1.000", begin + 30_000));
    scene.charger.send("event", &event("F1", "fault", 1));
    let stopping = scene.hub.until_status(&scene.driver, &order, "STOPPING");
    assert_eq!((&stopping["faultCode"], &stopping["bill"]), (&json!("E106"), &Value::Null), "{stopping}");
    // The pile calls it a local stop; the fault is the truth.
    scene.charger.send("charging/finished", &finished(&order, 2, "1.500", 5, begin, begin + 60_000));
    while scene.charger.next().topic != "pile/P1/record/ack" {}
    let ended = scene.order(&order);
    assert_eq!((&ended["status"], &ended["stopReason"]), (&json!("EXCEPTION_CLOSED"), &json!(3)), "{ended}");
    assert_eq!((&ended["faultCode"], &ended["provisional"]), (&json!("E106"), &json!(false)));
    assert_eq!((&ended["bill"]["totalFen"], &ended["paymentStatus"]), (&json!(180), &json!("PAID")));
    let alarm = scene.hub.until_alarm("the alarm", |alarm| alarm["code"].to_string().contains("E106"));
    assert_eq!(
        (&alarm["pileCode"], &alarm["connectorId"], &alarm["state"]),
        (&json!("P1"), &json!(1), &json!("RAISED"))
    );
    assert_eq!(alarm["count"], 1);
    for field in ["alarmId", "severity", "raisedAt", "text"] {
        assert!(alarm[field].is_string(), "{field}: {alarm}");
    }
}

#[test]
fn a_record_that_names_a_fault_closes_as_an_exception_with_its_code() {
    let mut scene = Scene::new();
    let order = scene.charging();
    let now = now_ms();
    let mut record = finished(&order, 1, "0.500", 3, now - 60_000, now);
    record["faultCode"] = json!("E204");
    scene.charger.send("charging/finished", &record);
    assert_eq!(scene.charger.record_ack(&order), "stored");
    let ended = scene.order(&order);
    assert_eq!((&ended["status"], &ended["faultCode"]), (&json!("EXCEPTION_CLOSED"), &json!("E204")), "{ended}");
    assert_eq!((&ended["stopReason"], &ended["bill"]["totalFen"]), (&json!(3), &json!(60)));
    scene.hub.until_alarm("the alarm", |alarm| alarm["text"].to_string().contains("E204"));
}

#[test]
fn a_connector_is_faulted_until_the_fault_is_cleared() {
    let mut scene = Scene::new();
    scene.charger.send("event", &event("F1", "fault", 1));
    until_connector(&scene, 1, "FAULTED");
    place(&scene, 1).refused(409, "PILE_FAULTED");
    scene.charger.send("heartbeat", &json!({"timestamp": now_ms(), "status": 1}));
    place(&scene, 1).refused(409, "PILE_FAULTED");
    scene.charger.send("event", &event("F2", "faultCleared", 1));
    until("a start after the fault", || (place(&scene, 1).status == 201).then_some(()));
    until("the alarm to be cleared", || {
        scene.hub.alarms().iter().any(|alarm| alarm["state"] == "CLEARED").then_some(())
    });
}

#[test]
fn a_fault_outlives_a_crash_of_the_hub() {
    let mut scene = Scene::new();
    scene.charger.send("event", &event("F1", "fault", 1));
    until_connector(&scene, 1, "FAULTED");
    scene.hub = scene.hub.kill_and_restart();
    scene.charger = Charger::online(&scene.hub, &scene.pile);
    place(&scene, 1).refused(409, "PILE_FAULTED");
    place(&scene, 2).expect(201);
}

#[test]
fn a_fault_without_a_record_is_settled_at_the_last_reading_and_corrected_by_a_later_record() {
    let mut scene = Scene::with(&[("order.fault_wait_s", "1")]);
    let order = scene.charging();
    let begin = now_ms() - 60_000;
    scene.charger.send("charging/status", &status(&order, 1, "0", begin));
    scene.charger.send("charging/status", &status(&order, 2, "1.000", begin + 30_000));
    scene.charger.send("event", &event("F1", "fault", 1));
    let ended = scene.hub.until_status(&scene.driver, &order, "EXCEPTION_CLOSED");
    assert_eq!((&ended["provisional"], &ended["stopReason"]), (&json!(true), &json!(3)), "{ended}");
    assert_eq!((&ended["faultCode"], &ended["bill"]["totalFen"]), (&json!("E106"), &json!(120)));
    scene.charger.send("charging/finished", &finished(&order, 3, "1.500", 3, begin, begin + 45_000));
    while scene.charger.next().topic != "pile/P1/record/ack" {}
    let fixed = scene.order(&order);
    assert_eq!((&fixed["status"], &fixed["provisional"]), (&json!("EXCEPTION_CLOSED"), &json!(false)), "{fixed}");
    assert_eq!((&fixed["bill"]["totalFen"], &fixed["stopReason"]), (&json!(180), &json!(3)));
    assert_eq!(fixed["corrections"].as_array().unwrap().len(), 1);
}

#[test]
fn a_fault_on_one_connector_leaves_the_other_alone() {
    let mut scene = Scene::new();
    let one = scene.charging();
    let (driver, two) = second_gun(&mut scene);
    scene.charger.send("event", &event("F1", "fault", 1));
    scene.hub.until_status(&scene.driver, &one, "STOPPING");
    assert_eq!(scene.hub.order(&driver, &two)["status"], "CHARGING");
    let now = now_ms();
    let mut record = finished(&two, 1, "0.500", 1, now - 5_000, now);
    record["connectorId"] = json!(2);
    scene.charger.send("charging/finished", &record);
    let ended = scene.hub.until_status(&driver, &two, "CLOSED");
    assert_eq!(ended["faultCode"], Value::Null);
    assert_eq!(scene.order(&one)["status"], "STOPPING");
}

#[test]
fn a_fault_on_connector_0_concerns_every_connector_of_the_pile() {
    let mut scene = Scene::with(&[("order.fault_wait_s", "1")]);
    let one = scene.charging();
    let (driver, two) = second_gun(&mut scene);
    scene.charger.send("event", &event("F1", "fault", 0));
    for (driver, order) in [(&scene.driver, &one), (&driver, &two)] {
        let ended = scene.hub.until_status(driver, order, "EXCEPTION_CLOSED");
        assert_eq!((&ended["stopReason"], &ended["faultCode"]), (&json!(3), &json!("E106")));
    }
    for connector in [1, 2] {
        place(&scene, connector).refused(409, "PILE_FAULTED");
    }
    scene.charger.send("event", &event("F2", "faultCleared", 0));
    until("a start after the fault", || (place(&scene, 1).status == 201).then_some(()));
}

#[test]
fn the_count_of_an_alarm_is_the_number_of_distinct_events() {
    let mut scene = Scene::new();
    for id in ["F1", "F1", "F2", "F1"] {
        scene.charger.send("event", &event(id, "fault", 1));
    }
    let alarm = scene.hub.until_alarm("two events", |alarm| alarm["count"] == 2);
    assert_eq!(scene.hub.alarms().len(), 1);
    let path = format!("/alarms/{}/ack", alarm["alarmId"].as_str().unwrap());
    scene.hub.post(&token("ops", "olga"), &path, &Value::Null).expect(200);
    assert_eq!(scene.hub.alarms()[0]["state"], "ACKED");
    let acked = scene.hub.get(&token("auditor", "ada"), "/alarms?state=ACKED").expect(200);
    assert_eq!(acked["items"].as_array().unwrap().len(), 1);
}
