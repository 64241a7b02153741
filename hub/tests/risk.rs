//! The rules of risk: what is held and why, what is refused, the deadline of a hold, the blacklist's end, piles that are
//! taken out of service by themselves.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests fail loudly")]

mod support;

use serde_json::{Value, json};
use support::{
    Hub, Reply,
    charger::Charger,
    scene::Scene,
    token,
    wait::{ms, now_ms, rfc3339, until},
};
use tempfile::NamedTempFile;

/// Holds every bill with more energy than the pile can deliver, refuses the third start and the second top-up.
const RULES: &str = r#"
[[rule]]
name = "too-much-energy"
kind = "flagged_bill"
flags = ["ABOVE_RATED_POWER"]
outcome = "hold"
text_zh = "电量异常"
text_en = "odd energy"

[[rule]]
name = "third-start"
kind = "many_starts"
count = 2
window_s = 3600
outcome = "refuse"
text_zh = "启停过于频繁"
text_en = "too many starts"

[[rule]]
name = "second-topup"
kind = "quick_topups"
count = 2
fen = 500
window_s = 3600
at = ["topup", "refund"]
outcome = "refuse"
text_zh = "充值过于频繁"
text_en = "too many top-ups"
"#;

fn rules(text: &str) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

fn risk() -> String {
    token("risk", "rita")
}

fn holds(hub: &Hub) -> Vec<Value> {
    hub.get(&risk(), "/holds").expect(200)["items"].as_array().unwrap().clone()
}

fn decisions(hub: &Hub, query: &str) -> Vec<Value> {
    hub.get(&risk(), &format!("/risk/decisions{query}")).expect(200)["items"].as_array().unwrap().clone()
}

fn place(scene: &Scene) -> Reply {
    scene.hub.post(&scene.driver, "/orders", &json!({"pileCode": "P1", "connectorId": 1}))
}

#[test]
fn a_held_bill_says_why_with_evidence_and_its_deadline_calls_a_person_and_decides_nothing() {
    let mut scene = Scene::rich(&[("risk.hold_deadline_s", "1")], 50_000);
    let order = scene.charge("200.000", 1);
    assert_eq!(scene.order(&order)["status"], "HELD");
    let held =
        until("the deadline of the hold", || holds(&scene.hub).into_iter().find(|held| held["dueAt"].is_string()));
    assert_eq!((&held["orderNo"], &held["holdReason"]), (&json!(order), &json!("large_order")));
    assert_eq!((&held["evidence"]["totalFen"], &held["evidence"]["thresholdFen"]), (&json!(24_000), &json!(20_000)));
    assert_eq!(held["evidence"]["strikes"][0]["rule"], "large-order", "{held}");
    assert!(!held["evidence"]["textZh"].as_str().unwrap().is_ascii(), "{held}");
    let time = |field: &str| ms(held[field].as_str().unwrap());
    assert_eq!(time("dueAt") - time("heldAt"), 1_000);
    let alarm = scene.hub.until_alarm("the alarm", |alarm| alarm["code"] == "HOLD_OVERDUE");
    assert_eq!((&alarm["orderNo"], &alarm["severity"]), (&json!(order), &json!("HIGH")));
    assert_eq!(scene.order(&order)["status"], "HELD", "the clock decides nothing");
    let log = decisions(&scene.hub, &format!("?about={order}"));
    assert_eq!(
        (&log[0]["rule"], &log[0]["outcome"], &log[0]["value"]),
        (&json!("large-order"), &json!("hold"), &json!(24_000))
    );
    scene.hub.get(&token("finance", "fred"), "/risk/decisions").refused(403, "FORBIDDEN");
    scene.hub.post(&risk(), &format!("/holds/{order}/approve"), &Value::Null).expect(200);
    assert_eq!((scene.wallet()["availableFen"].clone(), holds(&scene.hub).len()), (json!(26_000), 0));
    let again = scene.hub.kill_and_restart();
    assert_eq!(again.alarms().iter().filter(|alarm| alarm["code"] == "HOLD_OVERDUE").count(), 1);
    assert!(again.run(&["audit"]).status.success());
}

#[test]
fn a_large_bill_that_passes_is_in_the_log_and_a_small_one_is_not() {
    let mut scene = Scene::rich(&[("risk.log_pass_over_fen", "1000")], 10_000);
    let small = scene.charge("5.000", 1);
    let large = scene.charge("10.000", 1);
    let log = until("the decision", || Some(decisions(&scene.hub, "?outcome=pass")).filter(|log| !log.is_empty()));
    assert_eq!((log.len(), &log[0]["orderNo"], &log[0]["rule"]), (1, &json!(large), &Value::Null));
    assert_eq!(decisions(&scene.hub, &format!("?about={small}")), Vec::<Value>::new());
    scene.hub.get(&risk(), "/risk/decisions?outcome=maybe").refused(422, "VALIDATION");
}

#[test]
fn a_rule_refuses_in_both_languages_and_remembers_over_a_restart() {
    let file = rules(RULES);
    let path = file.path().to_str().unwrap();
    let mut scene = Scene::rich(&[("risk.rules", path)], 10_000);
    scene.charge("1.000", 1);
    scene.charge("1.000", 1);
    let refused = place(&scene).refused(403, "RISK_REFUSED");
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("启停过于频繁") && detail.contains("too many starts"), "{detail}");
    let log = decisions(&scene.hub, "?outcome=refuse");
    assert_eq!(
        (&log[0]["rule"], &log[0]["value"], &log[0]["userId"]),
        (&json!("third-start"), &json!(2), &json!("anna"))
    );
    for _ in 0..20 {
        place(&scene).refused(403, "RISK_REFUSED");
    }
    assert!(decisions(&scene.hub, "?outcome=refuse").len() <= 2, "once in a minute, however often");
    let other = scene.hub.make_driver("bert", 5_000);
    scene.hub.post(&other, "/orders", &json!({"pileCode": "P1", "connectorId": 1})).expect(201);
    let topup = json!({"amountFen": 600, "channel": "sandbox"});
    let ask = |scene: &Scene| scene.hub.post(&scene.driver, "/wallet/topups", &topup);
    scene.hub.make_driver("anna", 600);
    until("the counters to hear of the top-ups", || (ask(&scene).status == 403).then_some(()));
    let back = |no: &Value| {
        let path = format!("/payments/{}/refunds", no.as_str().unwrap());
        scene.hub.post(&scene.driver, &path, &json!({"amountFen": 100, "reason": "unused", "to": "channel"}))
    };
    let paid = scene.hub.get(&token("finance", "fay"), "/payments").expect(200);
    let hers = paid["items"].as_array().unwrap().iter().find(|payment| payment["userId"] == "anna").unwrap();
    back(&hers["paymentNo"]).refused(403, "RISK_REFUSED");
    scene.hub = scene.hub.kill_and_restart();
    let charger = Charger::online(&scene.hub, &scene.pile);
    until("the counters to be filled again", || (ask(&scene).status == 403).then_some(()));
    place(&scene).refused(403, "RISK_REFUSED");
    drop(charger);
}

#[test]
fn a_suspect_bill_of_any_size_waits_for_a_person_and_too_many_take_the_pile_out_of_service() {
    let only_flags = RULES.split("[[rule]]").nth(1).map(|rule| format!("[[rule]]{rule}")).unwrap();
    let file = rules(&only_flags);
    let path = file.path().to_str().unwrap();
    let mut scene = Scene::rich(&[("risk.rules", path), ("risk.pile_maintenance_after", "2")], 20_000);
    // 120 kW for a minute are 2 kWh.
    let good = scene.charge("1.000", 1);
    assert_eq!(scene.order(&good)["status"], "CLOSED");
    let first = scene.charge("5.000", 1);
    let held = &holds(&scene.hub)[0];
    assert_eq!((&held["orderNo"], &held["holdReason"]), (&json!(first), &json!("too-much-energy")));
    assert!(held["evidence"]["meanPowerW"].as_i64().unwrap() > 120_000, "{held}");
    assert!(held["evidence"]["flags"].as_array().unwrap().contains(&json!("ABOVE_RATED_POWER")), "{held}");
    let pile = |scene: &Scene| scene.hub.get(&token("ops", "olga"), "/piles/P1").expect(200);
    let second = scene.charge("5.000", 1);
    until("the maintenance", || (pile(&scene)["state"] == "MAINTENANCE").then_some(()));
    place(&scene).refused(409, "PILE_MAINTENANCE");
    let log = until("the decision", || Some(decisions(&scene.hub, "?about=P1")).filter(|log| !log.is_empty()));
    assert_eq!((&log[0]["rule"], &log[0]["value"]), (&json!("high-risk-pile"), &json!(2)));
    for order in [first, second] {
        scene.hub.post(&risk(), &format!("/holds/{order}/reject"), &Value::Null).expect(200);
    }
    let back = json!({"on": false});
    scene.hub.put(&token("ops", "olga"), "/piles/P1/maintenance", &back).expect(200);
    scene.hub = scene.hub.kill_and_restart();
    scene.charger = Charger::online(&scene.hub, &scene.pile);
    let later = scene.charge("5.000", 1);
    until("the hold to be filed", || holds(&scene.hub).iter().find(|held| held["dueAt"].is_string()).cloned());
    assert_eq!(scene.order(&later)["status"], "HELD");
    until("its decision", || Some(()).filter(|()| !decisions(&scene.hub, &format!("?about={later}")).is_empty()));
    assert_ne!(pile(&scene)["state"], "MAINTENANCE", "what a person has seen does not count again");
    assert!(scene.hub.run(&["audit"]).status.success());
}

#[test]
fn a_blacklist_entry_ends_by_itself() {
    let scene = Scene::new();
    let entry = |until: i64| json!({"on": true, "reason": "overstay", "until": rfc3339(until)});
    scene.hub.put(&risk(), "/users/anna/blacklist", &entry(now_ms() - 1)).refused(422, "VALIDATION");
    let view = scene.hub.put(&risk(), "/users/anna/blacklist", &entry(now_ms() + 2_000)).expect(200);
    assert_eq!((&view["on"], &view["by"]), (&json!(true), &json!("rita")));
    place(&scene).refused(403, "BLACKLISTED");
    let seen = scene.hub.get(&token("service", "sue"), "/users/anna/blacklist").expect(200);
    assert_eq!((&seen["reason"], &seen["until"]), (&json!("overstay"), &view["until"]));
    until("the end of the entry", || (place(&scene).status == 201).then_some(()));
    assert_eq!(scene.hub.get(&risk(), "/users/anna/blacklist").expect(200)["on"], false);
}

#[test]
fn a_file_of_rules_that_makes_no_sense_refuses_the_start() {
    let file = rules(
        "[[rule]]\nname = \"a\"\nkind = \"large_order\"\noutcome = \"refuse\"\ntext_zh = \"z\"\ntext_en = \"e\"\n",
    );
    let dir = tempfile::tempdir().unwrap();
    let mut command = support::pilehub();
    command.args(["serve", "--data-dir"]).arg(dir.path());
    command.env("PILEHUB__HTTP__LISTEN", "127.0.0.1:0").env("PILEHUB__MQTT__LISTEN", "127.0.0.1:0");
    let ended = command.env("PILEHUB__RISK__RULES", file.path()).output().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(!ended.status.success() && told.contains("rule \"a\": outcome"), "{told}");
}
