//! Piles that go away at the wrong moment, and hubs that are killed or asked to end [CONTRACT 1.7, 2, 5].
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests fail loudly")]

mod support;

use serde_json::{Value, json};
use support::{
    charger::{Charger, finished, status},
    phone::{Phone, Told},
    scene::Scene,
    wait::now_ms,
};

fn all_back() -> Value {
    json!({"availableFen": 10_000, "frozenFen": 0, "debtFen": 0})
}

#[test]
fn a_start_that_failed_while_the_pile_was_away_is_not_sent_when_it_comes_back() {
    let mut scene = Scene::with(&[("order.start_deadline_s", "1")]);
    let order = scene.place();
    scene.charger.command("startCharging");
    scene.charger.cut();
    scene.hub.until_status(&scene.driver, &order, "START_FAILED");
    scene.charger = Charger::online(&scene.hub, &scene.pile);
    let sent = scene.charger.so_far();
    assert!(sent.iter().all(|down| down.body["type"] != "startCharging"), "{sent:?}");
    assert_eq!(scene.wallet(), all_back());
}

#[test]
fn a_start_that_was_canceled_while_the_pile_was_away_is_not_sent_when_it_comes_back() {
    let mut scene = Scene::new();
    let order = scene.place();
    scene.charger.command("startCharging");
    scene.charger.cut();
    scene.hub.until_order(&scene.driver, &order, "stale", |order| order["link"] == "stale");
    scene.hub.post(&scene.driver, &format!("/orders/{order}/stop"), &Value::Null).expect(202);
    scene.hub.until_status(&scene.driver, &order, "CANCELED");
    scene.charger = Charger::online(&scene.hub, &scene.pile);
    let sent = scene.charger.so_far();
    assert!(sent.iter().all(|down| down.body["type"] != "startCharging"), "{sent:?}");
    assert_eq!(scene.wallet(), all_back());
}

#[test]
fn a_start_outlives_a_crash_with_the_same_command_id_and_so_does_its_deadline() {
    let mut scene = Scene::with(&[("order.start_deadline_s", "5")]);
    let order = scene.place();
    let first = scene.charger.command("startCharging");
    let hub = scene.hub.kill_and_restart();
    let mut charger = Charger::online(&hub, &scene.pile);
    let again = charger.command("startCharging");
    assert_eq!((&again["commandId"], &again["orderNo"]), (&first["commandId"], &json!(order)));
    let failed = hub.until_status(&scene.driver, &order, "START_FAILED");
    assert_eq!(failed["paymentStatus"], "NONE");
    assert_eq!(hub.get(&scene.driver, "/wallet").expect(200), all_back());
}

#[test]
fn a_charge_goes_on_over_a_crash_and_what_was_acknowledged_is_in_its_bill() {
    let mut scene = Scene::new();
    scene.hub.publish_tariff(
        "S1",
        &json!([
        {"from": "00:00", "to": "08:00", "label": "a", "electricityE4": 10_000, "serviceE4": 0},
        {"from": "08:00", "to": "24:00", "label": "b", "electricityE4": 20_000, "serviceE4": 0}]),
    );
    let order = scene.charging();
    let edge = support::wait::ms("2026-03-02T00:00:00Z");
    scene.charger.send("charging/status", &status(&order, 1, "0.900", edge));
    let hub = scene.hub.kill_and_restart();
    assert_eq!(hub.order(&scene.driver, &order)["status"], "CHARGING");
    let mut charger = Charger::online(&hub, &scene.pile);
    hub.until_order(&scene.driver, &order, "live again", |order| order["link"] == "live" && order["energyWh"] == 900);
    charger.send("charging/status", &status(&order, 1, "0.900", edge));
    charger.send("charging/finished", &finished(&order, 2, "1.000", 1, edge - 600_000, edge + 600_000));
    assert_eq!(charger.record_ack(&order), "stored");
    let bill = &hub.order(&scene.driver, &order)["bill"];
    assert_eq!(bill["totalFen"], 110, "900 Wh at 1 yuan, 100 Wh at 2: {bill}");
}

#[test]
fn the_grace_time_of_a_silent_pile_goes_on_over_a_crash() {
    let mut scene =
        Scene::with(&[("pile.stale_after_s", "1"), ("pile.offline_after_s", "1"), ("order.offline_grace_s", "2")]);
    let order = scene.charging();
    scene.charger.send("charging/status", &status(&order, 1, "1.000", now_ms()));
    let hub = scene.hub.kill_and_restart();
    let ended = hub.until_status(&scene.driver, &order, "EXCEPTION_CLOSED");
    assert_eq!((&ended["provisional"], &ended["bill"]["totalFen"]), (&json!(true), &json!(120)), "{ended}");
}

#[test]
fn a_record_that_was_sent_and_not_answered_is_settled_once_after_a_crash() {
    let mut scene = Scene::new();
    let order = scene.charging();
    let now = now_ms();
    let record = finished(&order, 1, "1.000", 1, now - 60_000, now);
    scene.charger.post("pile/P1/charging/finished", record.to_string().as_bytes());
    let hub = scene.hub.kill_and_restart();
    let mut charger = Charger::online(&hub, &scene.pile);
    charger.send("charging/finished", &record);
    assert!(matches!(charger.record_ack(&order).as_str(), "stored" | "duplicate"));
    let ended = hub.order(&scene.driver, &order);
    assert_eq!((&ended["status"], &ended["bill"]["totalFen"]), (&json!("CLOSED"), &json!(120)));
    assert_eq!(hub.get(&scene.driver, "/wallet").expect(200)["availableFen"], 9_880);
    assert!(hub.run(&["audit"]).status.success());
}

#[test]
fn a_hub_that_is_asked_to_end_tells_phones_to_come_back_and_exits_with_0() {
    let mut scene = Scene::new();
    let order = scene.charging();
    let mut phone = Phone::follow(&scene.hub, &scene.driver, &order);
    phone.news().frame("snap");
    assert!(scene.hub.terminate().success());
    let closed = loop {
        if let Told::Closed(code) = phone.news() {
            break code;
        }
    };
    assert_eq!(closed, 1_012);
    let hub = scene.hub.again();
    assert_eq!(hub.order(&scene.driver, &order)["status"], "CHARGING");
}
