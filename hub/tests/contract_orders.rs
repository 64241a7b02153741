//! The life of an order: what moves it, what does not, and what silence means [CONTRACT 2].
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests fail loudly")]

mod support;

use serde_json::{Value, json};
use support::{
    charger::{Charger, finished, status},
    scene::Scene,
    token,
    wait::{ms, now_ms},
};

fn wallet(available: i64, frozen: i64) -> Value {
    json!({"availableFen": available, "frozenFen": frozen, "debtFen": 0})
}

/// The applied steps of an order, as `FROM>TO`, without those that stay where they are.
fn steps(scene: &Scene, order: &str) -> Vec<String> {
    let rows = scene.hub.history(&scene.driver, order);
    let moved = rows.iter().filter(|row| row["outcome"] == "APPLIED" && row["from"] != row["to"]);
    moved.map(|row| format!("{}>{}", row["from"].as_str().unwrap(), row["to"].as_str().unwrap())).collect()
}

fn ignored(scene: &Scene, order: &str) -> usize {
    scene.hub.history(&scene.driver, order).iter().filter(|row| row["outcome"] == "IGNORED").count()
}

#[test]
fn an_order_goes_its_whole_life_step_by_step() {
    let mut scene = Scene::new();
    let placed = scene.hub.post(&scene.driver, "/orders", &json!({"pileCode": "P1", "connectorId": 1})).expect(201);
    let order = placed["orderNo"].as_str().unwrap().to_owned();
    assert_eq!((&placed["status"], &placed["frozenFen"]), (&json!("STARTING"), &json!(5_000)));
    let now = scene.order(&order);
    assert_eq!(
        (&now["status"], &now["paymentStatus"], &now["bill"]),
        (&json!("STARTING"), &json!("FROZEN"), &Value::Null)
    );
    assert_eq!((&now["userId"], &now["pileCode"], &now["connectorId"]), (&json!("anna"), &json!("P1"), &json!(1)));
    assert_eq!((&now["startedAt"], &now["endedAt"]), (&Value::Null, &Value::Null));
    assert_eq!(scene.wallet(), wallet(5_000, 5_000));
    let start = scene.charger.command("startCharging");
    scene.charger.accept(&start);
    let now = scene.hub.until_status(&scene.driver, &order, "CHARGING");
    assert_eq!(
        (&now["link"], &now["provisional"], &now["paymentStatus"]),
        (&json!("live"), &json!(false), &json!("FROZEN"))
    );
    let begin = now_ms() - 60_000;
    scene.charger.send("charging/status", &status(&order, 1, "0.250", begin + 30_000));
    scene.hub.until_order(&scene.driver, &order, "250 Wh", |order| order["energyWh"] == 250);
    scene.hub.post(&scene.driver, &format!("/orders/{order}/stop"), &Value::Null).expect(202);
    let stop = scene.charger.command("stopCharging");
    assert_eq!(scene.hub.until_status(&scene.driver, &order, "STOPPING")["bill"], Value::Null);
    scene.charger.accept(&stop);
    scene.charger.send("charging/finished", &finished(&order, 2, "0.500", 1, begin, begin + 60_000));
    assert_eq!(scene.charger.record_ack(&order), "stored");
    let ended = scene.order(&order);
    assert_eq!((&ended["status"], &ended["paymentStatus"]), (&json!("CLOSED"), &json!("PAID")));
    assert_eq!((&ended["stopReason"], &ended["faultCode"]), (&json!(1), &Value::Null));
    assert_eq!((&ended["energyWh"], &ended["durationS"]), (&json!(500), &json!(60)));
    assert_eq!(
        (ms(ended["startedAt"].as_str().unwrap()), ms(ended["endedAt"].as_str().unwrap())),
        (begin, begin + 60_000)
    );
    assert_eq!(scene.wallet(), wallet(9_940, 0));
    let life = ["PLACED>STARTING", "STARTING>CHARGING", "CHARGING>STOPPING", "STOPPING>SETTLING", "SETTLING>CLOSED"];
    assert_eq!(steps(&scene, &order), life);
}

#[test]
fn the_first_status_frame_is_evidence_as_good_as_an_accepted_start() {
    let mut scene = Scene::new();
    let order = scene.place();
    let start = scene.charger.command("startCharging");
    scene.charger.send("charging/status", &status(&order, 1, "0.100", now_ms()));
    scene.hub.until_status(&scene.driver, &order, "CHARGING");
    scene.charger.accept(&start);
    scene.charger.so_far();
    assert_eq!(scene.order(&order)["status"], "CHARGING");
}

#[test]
fn a_plugged_event_or_a_charging_heartbeat_is_no_evidence() {
    let mut scene = Scene::new();
    let order = scene.place();
    scene.charger.command("startCharging");
    scene.charger.send("event", &json!({"eventId": "E1", "type": "plugged", "connectorId": 1, "timestamp": now_ms()}));
    let connectors = json!([{"connectorId": 1, "status": 2, "plugged": true}]);
    scene.charger.send("heartbeat", &json!({"timestamp": now_ms(), "status": 2, "connectors": connectors}));
    assert_eq!(scene.order(&order)["status"], "STARTING");
}

#[test]
fn a_refused_start_fails_at_once_and_gives_everything_back() {
    let mut scene = Scene::new();
    let order = scene.place();
    let start = scene.charger.command("startCharging");
    scene.charger.reject(&start);
    let failed = scene.hub.until_status(&scene.driver, &order, "START_FAILED");
    assert_eq!((&failed["paymentStatus"], &failed["bill"]), (&json!("NONE"), &Value::Null), "{failed}");
    assert_eq!(scene.wallet(), wallet(10_000, 0));
    scene.place();
}

#[test]
fn without_evidence_within_the_start_deadline_the_start_fails_and_late_evidence_is_a_ghost_charge() {
    let mut scene = Scene::with(&[("order.start_deadline_s", "1")]);
    let order = scene.place();
    scene.charger.command("startCharging");
    scene.hub.until_status(&scene.driver, &order, "START_FAILED");
    assert_eq!(scene.wallet(), wallet(10_000, 0));
    let begin = now_ms();
    scene.charger.send("charging/status", &status(&order, 1, "0.100", begin));
    let stop = scene.charger.command("stopCharging");
    assert_eq!(stop["orderNo"], order.as_str());
    let alarm = scene.hub.until_alarm("the alarm of a ghost charge", |alarm| alarm["orderNo"] == order.as_str());
    assert_eq!(
        (&alarm["pileCode"], &alarm["connectorId"], &alarm["state"]),
        (&json!("P1"), &json!(1), &json!("RAISED"))
    );
    scene.charger.accept(&stop);
    scene.charger.send("charging/finished", &finished(&order, 2, "0.500", 9, begin, begin + 5_000));
    assert_eq!(scene.charger.record_ack(&order), "stored");
    let ghost = scene.order(&order);
    assert_eq!(ghost["status"], "START_FAILED", "{ghost}");
    assert_eq!(scene.wallet(), wallet(10_000, 0), "the driver pays nothing");
}

#[test]
fn a_stop_while_starting_cancels_and_a_start_that_succeeds_later_is_a_ghost_charge() {
    let mut scene = Scene::new();
    let order = scene.place();
    let start = scene.charger.command("startCharging");
    scene.hub.post(&scene.driver, &format!("/orders/{order}/stop"), &Value::Null).expect(202);
    let canceled = scene.hub.until_status(&scene.driver, &order, "CANCELED");
    assert_eq!((&canceled["paymentStatus"], &canceled["bill"]), (&json!("NONE"), &Value::Null));
    assert_eq!(scene.wallet(), wallet(10_000, 0));
    scene.charger.accept(&start);
    let stop = loop {
        let command = scene.charger.command("stopCharging");
        if command["orderNo"] == order.as_str() {
            break command;
        }
    };
    scene.hub.until_alarm("the alarm of a ghost charge", |alarm| alarm["orderNo"] == order.as_str());
    scene.charger.accept(&stop);
    let now = now_ms();
    scene.charger.send("charging/finished", &finished(&order, 1, "1.000", 1, now - 5_000, now));
    assert_eq!(scene.charger.record_ack(&order), "stored");
    assert_eq!(scene.order(&order)["status"], "CANCELED");
    assert_eq!(scene.wallet(), wallet(10_000, 0));
}

#[test]
fn a_second_stop_answers_202_and_makes_no_second_command() {
    let mut scene = Scene::new();
    let order = scene.charging();
    let path = format!("/orders/{order}/stop");
    for by in [&scene.driver, &scene.driver, &token("ops", "olga"), &token("service", "sam")] {
        scene.hub.post(by, &path, &Value::Null).expect(202);
    }
    scene.charger.command("stopCharging");
    assert_eq!(scene.charger.so_far().len(), 0, "one command only");
    assert!(ignored(&scene, &order) >= 1, "the repeated stops are in the history");
    scene.hub.post(&token("finance", "fred"), &path, &Value::Null).refused(403, "FORBIDDEN");
    scene.hub.post(&token("driver", "bert"), &path, &Value::Null).refused(404, "ORDER_NOT_FOUND");
}

#[test]
fn an_operators_stop_carries_stop_reason_9() {
    let mut scene = Scene::new();
    let order = scene.charging();
    scene.hub.post(&token("ops", "olga"), &format!("/orders/{order}/stop"), &Value::Null).expect(202);
    assert_eq!(scene.charger.command("stopCharging")["stopReason"], 9);
}

#[test]
fn a_stop_for_an_offline_pile_waits_for_it_and_the_order_stays_charging() {
    let mut scene = Scene::with(&[("pile.stale_after_s", "1"), ("pile.offline_after_s", "1")]);
    let order = scene.charging();
    let pile = scene.pile.clone();
    scene.charger.cut();
    scene.hub.until_order(&scene.driver, &order, "offline", |order| order["link"] == "offline");
    let path = format!("/orders/{order}/stop");
    scene.hub.post(&scene.driver, &path, &Value::Null).expect(202);
    scene.hub.post(&scene.driver, &path, &Value::Null).expect(202);
    let waiting = scene.hub.order(&scene.driver, &order);
    assert_eq!((&waiting["status"], &waiting["link"]), (&json!("CHARGING"), &json!("offline")), "{waiting}");
    let hub = scene.hub.kill_and_restart();
    assert_eq!(hub.order(&scene.driver, &order)["status"], "CHARGING");
    let mut charger = Charger::online(&hub, &pile);
    let stop = charger.command("stopCharging");
    assert_eq!((&stop["orderNo"], &stop["stopReason"]), (&json!(order), &json!(1)));
    assert_eq!(charger.so_far().len(), 0, "one command only");
    charger.accept(&stop);
    let now = now_ms();
    charger.send("charging/finished", &finished(&order, 1, "1.000", 1, now - 5_000, now));
    assert_eq!(charger.record_ack(&order), "stored");
    assert_eq!(hub.order(&scene.driver, &order)["status"], "CLOSED");
}

#[test]
fn link_is_live_then_stale_at_the_close_then_offline_and_live_again_with_the_next_frame() {
    let mut scene = Scene::with(&[("pile.stale_after_s", "60"), ("pile.offline_after_s", "60")]);
    let order = scene.charging();
    assert_eq!(scene.order(&order)["link"], "live");
    scene.charger.cut();
    scene.hub.until_order(&scene.driver, &order, "stale", |order| order["link"] == "stale");
    scene.charger = Charger::online(&scene.hub, &scene.pile);
    scene.hub.until_order(&scene.driver, &order, "live", |order| order["link"] == "live");
}

#[test]
fn a_connected_pile_that_says_nothing_is_stale_and_then_offline_and_its_order_goes_on() {
    let mut scene = Scene::with(&[("pile.stale_after_s", "1"), ("pile.offline_after_s", "3")]);
    let order = scene.charging();
    scene.hub.until_order(&scene.driver, &order, "stale", |order| order["link"] == "stale");
    scene.hub.until_order(&scene.driver, &order, "offline", |order| order["link"] == "offline");
    let silent = scene.order(&order);
    assert_eq!((&silent["status"], &silent["bill"]), (&json!("CHARGING"), &Value::Null), "silence is never settlement");
    let refused = scene.hub.post(&scene.driver, "/orders", &json!({"pileCode": "P1", "connectorId": 2}));
    refused.refused(409, "PILE_OFFLINE");
    scene.charger.heartbeat();
    scene.hub.until_order(&scene.driver, &order, "live", |order| order["link"] == "live");
}

#[test]
fn an_offline_charge_is_settled_by_its_own_times_when_the_record_comes() {
    let mut scene = Scene::with(&[("pile.stale_after_s", "1"), ("pile.offline_after_s", "1")]);
    scene.hub.publish_tariff(
        "S1",
        &json!([
        {"from": "00:00", "to": "08:00", "label": "谷", "electricityE4": 3_000, "serviceE4": 2_000},
        {"from": "08:00", "to": "24:00", "label": "峰", "electricityE4": 12_000, "serviceE4": 5_000}]),
    );
    let order = scene.charging();
    scene.charger.cut();
    scene.hub.until_order(&scene.driver, &order, "offline", |order| order["link"] == "offline");
    let mut charger = Charger::online(&scene.hub, &scene.pile);
    // 07:00 to 09:00 in Shanghai, with a reading at 07:30.
    let begin = ms("2026-03-01T23:00:00Z");
    charger.send("charging/status", &status(&order, 1, "10.000", begin + 30 * 60_000));
    charger.send("charging/finished", &finished(&order, 2, "25.000", 2, begin, begin + 120 * 60_000));
    assert_eq!(charger.record_ack(&order), "stored");
    let ended = scene.order(&order);
    assert_eq!((&ended["status"], &ended["provisional"]), (&json!("CLOSED"), &json!(false)));
    let bill = &ended["bill"];
    // 10 kWh until 07:30, then 15 kWh in 90 minutes: 5 of them before 08:00.
    let expected = json!([
        {"from": "2026-03-01T23:00:00.000Z", "to": "2026-03-02T00:00:00.000Z", "label": "谷", "energyWh": 15_000,
            "electricityE4": 3_000, "serviceE4": 2_000},
        {"from": "2026-03-02T00:00:00.000Z", "to": "2026-03-02T01:00:00.000Z", "label": "峰", "energyWh": 10_000,
            "electricityE4": 12_000, "serviceE4": 5_000}]);
    assert_eq!(bill["segments"], expected);
    assert_eq!(
        (&bill["electricityFen"], &bill["serviceFen"], &bill["totalFen"]),
        (&json!(1_650), &json!(800), &json!(2_450))
    );
    assert_eq!(ended["endedAt"], "2026-03-02T01:00:00.000Z");
}

#[test]
fn after_the_grace_time_the_order_is_settled_provisionally_and_the_record_corrects_it_by_the_difference() {
    let mut scene =
        Scene::with(&[("pile.stale_after_s", "1"), ("pile.offline_after_s", "1"), ("order.offline_grace_s", "2")]);
    let order = scene.charging();
    let begin = now_ms() - 60_000;
    scene.charger.send("charging/status", &status(&order, 1, "0", begin));
    scene.charger.send("charging/status", &status(&order, 2, "1.000", begin + 30_000));
    scene.charger.cut();
    let ended = scene.hub.until_status(&scene.driver, &order, "EXCEPTION_CLOSED");
    assert_eq!((&ended["provisional"], &ended["paymentStatus"]), (&json!(true), &json!("PAID")), "{ended}");
    assert_eq!((&ended["bill"]["totalFen"], &ended["energyWh"]), (&json!(120), &json!(1_000)));
    assert_eq!(scene.hub.get(&scene.driver, "/wallet").expect(200), wallet(9_880, 0));
    let mut charger = Charger::online(&scene.hub, &scene.pile);
    let record = finished(&order, 3, "3.000", 2, begin, begin + 90_000);
    charger.send("charging/finished", &record);
    assert_eq!(charger.record_ack(&order), "stored");
    let fixed = scene.hub.order(&scene.driver, &order);
    assert_eq!((&fixed["status"], &fixed["provisional"]), (&json!("EXCEPTION_CLOSED"), &json!(false)), "{fixed}");
    assert_eq!((&fixed["bill"]["totalFen"], &fixed["bill"]["paidFen"]), (&json!(360), &json!(360)));
    let corrections = fixed["corrections"].as_array().unwrap();
    assert_eq!(corrections.len(), 1, "{fixed}");
    assert!(corrections[0].to_string().contains("240"), "the difference: {}", corrections[0]);
    assert_eq!(scene.hub.get(&scene.driver, "/wallet").expect(200), wallet(9_640, 0));
    charger.send("charging/finished", &record);
    assert_eq!(charger.record_ack(&order), "duplicate");
    assert_eq!(scene.hub.order(&scene.driver, &order), fixed);
}

#[test]
fn a_correction_downwards_gives_the_difference_back() {
    let mut scene =
        Scene::with(&[("pile.stale_after_s", "1"), ("pile.offline_after_s", "1"), ("order.offline_grace_s", "1")]);
    let order = scene.charging();
    let begin = now_ms() - 60_000;
    scene.charger.send("charging/status", &status(&order, 1, "2.000", begin + 30_000));
    scene.charger.cut();
    scene.hub.until_status(&scene.driver, &order, "EXCEPTION_CLOSED");
    assert_eq!(scene.hub.get(&scene.driver, "/wallet").expect(200), wallet(9_760, 0));
    let mut charger = Charger::online(&scene.hub, &scene.pile);
    charger.send("charging/finished", &finished(&order, 2, "1.000", 2, begin, begin + 90_000));
    assert_eq!(charger.record_ack(&order), "stored");
    let fixed = scene.hub.order(&scene.driver, &order);
    assert_eq!((&fixed["bill"]["totalFen"], &fixed["energyWh"]), (&json!(120), &json!(1_000)), "{fixed}");
    assert_eq!(scene.hub.get(&scene.driver, "/wallet").expect(200), wallet(9_880, 0));
}

#[test]
fn stop_reasons_3_7_8_and_10_close_as_exception_and_the_others_do_not() {
    let mut scene = Scene::new();
    for (reason, expected) in [
        (1, "CLOSED"),
        (2, "CLOSED"),
        (3, "EXCEPTION_CLOSED"),
        (4, "CLOSED"),
        (5, "CLOSED"),
        (6, "CLOSED"),
        (7, "EXCEPTION_CLOSED"),
        (8, "EXCEPTION_CLOSED"),
        (9, "CLOSED"),
        (10, "EXCEPTION_CLOSED"),
        (99, "CLOSED"),
    ] {
        let order = scene.charge("0.100", reason);
        let ended = scene.order(&order);
        assert_eq!((&ended["status"], &ended["stopReason"]), (&json!(expected), &json!(reason)), "{ended}");
        assert_eq!((&ended["paymentStatus"], &ended["bill"]["totalFen"]), (&json!("PAID"), &json!(12)), "{ended}");
        scene.charger.send(
            "event",
            &json!({"eventId": format!("C{reason}"), "type": "faultCleared", "connectorId": 1, "timestamp": now_ms()}),
        );
    }
    assert_eq!(scene.wallet(), wallet(10_000 - 11 * 12, 0));
}

#[test]
fn what_comes_after_the_end_is_ignored_and_kept_in_the_history() {
    let mut scene = Scene::new();
    let order = scene.charge("0.500", 1);
    let ended = scene.order(&order);
    let before = ignored(&scene, &order);
    scene.charger.send("charging/status", &status(&order, 9, "5.000", now_ms()));
    support::wait::until("the ignored frame", || (ignored(&scene, &order) > before).then_some(()));
    let stop = scene.hub.post(&scene.driver, &format!("/orders/{order}/stop"), &Value::Null);
    assert!(matches!(stop.status, 202 | 409), "{}", stop.text());
    assert_eq!(scene.order(&order), ended);
    assert_eq!(scene.hub.quarantine().len(), 0);
    for row in scene.hub.history(&scene.driver, &order) {
        let fields: Vec<_> = row.as_object().unwrap().keys().map(String::as_str).collect();
        for field in ["at", "from", "to", "event", "outcome"] {
            assert!(fields.contains(&field), "{row}");
        }
        assert!(matches!(row["outcome"].as_str(), Some("APPLIED" | "IGNORED")), "{row}");
        assert!((ms(row["at"].as_str().unwrap()) - now_ms()).abs() < 120_000);
        assert!(row["at"].as_str().unwrap().ends_with('Z') && row["at"].as_str().unwrap().len() == 24, "{row}");
    }
}

#[test]
fn whoever_has_seen_the_end_of_a_charge_can_start_the_next_one_at_once() {
    let mut scene = Scene::new();
    for _ in 0..30 {
        let order = scene.place();
        let start = scene.charger.command("startCharging");
        scene.charger.accept(&start);
        let now = now_ms();
        scene.charger.send("charging/finished", &finished(&order, 1, "0.010", 2, now - 5_000, now));
        assert_eq!(scene.charger.record_ack(&order), "stored");
    }
    scene.place();
}
