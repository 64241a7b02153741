//! Frames that are not understood: kept with reason, pile and bytes, answered, counted, replayable, and never applied
//! [CONTRACT 1.6].
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests fail loudly")]

mod support;

use serde_json::{Value, json};
use support::{
    Hub,
    charger::{Charger, finished},
    scene::Scene,
    token,
    wait::{now_ms, until},
};

/// What the counter of `reason` shows, summed over its labels.
fn counted(hub: &Hub, reason: &str) -> u64 {
    let text = hub.call("GET", "/metrics", &[], b"").text();
    let wanted = format!("reason=\"{reason}\"");
    let lines = text.lines().filter(|line| line.contains("quarantine") && line.contains(&wanted));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// The newest quarantined frame once there are `many`.
fn newest(hub: &Hub, many: usize) -> Value {
    until("the quarantined frame", || {
        let kept = hub.quarantine();
        (kept.len() >= many).then(|| kept[0].clone())
    })
}

#[test]
fn each_kind_of_bad_frame_is_acknowledged_kept_with_its_reason_and_counted() {
    let mut scene = Scene::new();
    let order = scene.charging();
    let now = now_ms();
    let other = {
        let pile = scene.hub.make_pile("S1", "P2");
        let mut charger = Charger::online(&scene.hub, &pile);
        let driver = scene.hub.make_driver("bert", 10_000);
        let placed = scene.hub.post(&driver, "/orders", &json!({"pileCode": "P2", "connectorId": 1})).expect(201);
        let start = charger.command("startCharging");
        charger.accept(&start);
        (charger, driver, placed["orderNo"].as_str().unwrap().to_owned())
    };
    let say = |text: &str| text.replace("ORDER", &order).replace("OTHER", &other.2).replace("NOW", &now.to_string());
    let bad = [
        ("charging/status", "{"),
        ("charging/status", ""),
        ("charging/status", "[]"),
        ("charging/status", r#"{"orderNo":"ORDER","seq":1,"totalPower":NaN,"timestamp":NOW}"#),
        ("charging/status", r#"{"orderNo":"ORDER","seq":1,"totalPower":"Infinity","timestamp":NOW}"#),
        ("charging/status", r#"{"orderNo":"ORDER","seq":1,"totalPower":-0.001,"timestamp":NOW}"#),
        ("charging/status", r#"{"orderNo":"ORDER","seq":1,"totalPower":true,"timestamp":NOW}"#),
        ("charging/status", r#"{"orderNo":"ORDER","seq":1,"totalPower":1,"timestamp":"yesterday"}"#),
        ("charging/status", r#"{"orderNo":"ORDER","seq":1,"totalPower":1}"#),
        ("charging/status", r#"{"orderNo":"NOSUCHORDER1","seq":1,"totalPower":1,"timestamp":NOW}"#),
        ("charging/status", r#"{"orderNo":"OTHER","seq":1,"totalPower":1,"timestamp":NOW}"#),
        ("heartbeat", r#"{"pileCode":"P2","timestamp":NOW,"status":1}"#),
        ("heartbeat", r#"{"timestamp":NOW,"status":9}"#),
        ("event", r#"{"eventId":"E1","type":"explosion","timestamp":NOW}"#),
        ("meter", r#"{"connectorId":1,"timestamp":NOW}"#),
        ("command/ack", r#"{"commandId":"C1","result":"maybe"}"#),
    ];
    for (index, (leaf, text)) in bad.iter().enumerate() {
        let text = say(text);
        let (before, id) = (scene.hub.quarantine().len(), index + 1);
        assert_eq!(before, index, "before {text}");
        scene.charger.send_bytes(leaf, text.as_bytes());
        let kept = newest(&scene.hub, id);
        assert_eq!((&kept["pileCode"], &kept["payload"]), (&json!("P1"), &json!(text)), "{kept}");
        let reason = kept["reason"].as_str().filter(|reason| !reason.is_empty()).unwrap();
        assert!(counted(&scene.hub, reason) > 0, "{reason} is counted");
    }
    let (mut charger, driver, theirs) = other;
    for (token, order) in [(&scene.driver, &order), (&driver, &theirs)] {
        let order = scene.hub.order(token, order);
        assert_eq!((&order["energyWh"], &order["link"]), (&json!(0), &json!("live")), "nothing was applied: {order}");
    }
    charger.heartbeat();
}

#[test]
fn bytes_that_are_no_text_are_kept_as_they_came() {
    let mut scene = Scene::new();
    scene.charger.send_bytes("event", &[0xff, 0x00, 0xfe, b'{']);
    let kept = newest(&scene.hub, 1);
    let path = format!("/quarantine/{}", kept["quarantineId"].as_str().unwrap());
    let whole = scene.hub.get(&token("ops", "olga"), &path).expect(200);
    assert_eq!(whole["payloadHex"], "ff00fe7b", "{whole}");
}

#[test]
fn of_an_oversized_frame_the_first_16_kib_are_kept() {
    let mut scene = Scene::new();
    let fits = json!({"timestamp": now_ms(), "status": 1, "x": "y".repeat(16_000)});
    scene.charger.send("heartbeat", &fits);
    assert_eq!(scene.hub.quarantine(), Vec::<Value>::new());
    let mut big = json!({"timestamp": now_ms(), "status": 1}).to_string().into_bytes();
    big.resize(16 * 1024 + 1, b' ');
    scene.charger.send_bytes("heartbeat", &big);
    let kept = newest(&scene.hub, 1);
    assert_eq!((&kept["size"], &kept["pileCode"]), (&json!(16 * 1024), &json!("P1")), "{}", kept["reason"]);
    scene.charger.send_bytes("heartbeat", &vec![b'x'; 200 * 1024]);
    assert_eq!(newest(&scene.hub, 2)["size"], 16 * 1024);
    scene.charger.heartbeat();
}

#[test]
fn a_quarantined_record_is_answered_so_that_the_charger_stops_repeating_it() {
    let mut scene = Scene::new();
    let order = scene.charging();
    let now = now_ms();
    let unknown = finished("NOSUCHORDER1", 3, "1.000", 1, now - 1_000, now);
    scene.charger.send("charging/finished", &unknown);
    let answer = scene.charger.next();
    assert_eq!(answer.topic, "pile/P1/record/ack");
    assert_eq!((&answer.body["orderNo"], &answer.body["seq"]), (&json!("NOSUCHORDER1"), &json!(3)));
    assert_eq!(answer.body["result"], "quarantined");
    let mut negative = finished(&order, 1, "1.000", 1, now - 1_000, now);
    negative["totalPower"] = json!(-1);
    scene.charger.send("charging/finished", &negative);
    assert_eq!(scene.charger.record_ack(&order), "quarantined");
    assert_eq!(scene.order(&order)["status"], "CHARGING");
    scene.charger.send("charging/finished", &finished(&order, 1, "1.000", 1, now - 1_000, now));
    assert_eq!(scene.charger.record_ack(&order), "stored");
    assert_eq!(scene.hub.quarantine().len(), 2);
}

#[test]
fn the_20th_bad_frame_in_a_minute_closes_the_connection_and_the_19th_does_not() {
    let mut scene = Scene::new();
    for _ in 0..19 {
        scene.charger.send_bytes("heartbeat", b"{");
    }
    scene.charger.heartbeat();
    scene.charger.post("pile/P1/heartbeat", b"{");
    scene.charger.closed();
    assert_eq!(newest(&scene.hub, 20)["pileCode"], "P1", "the 20th is kept as well");
    Charger::online(&scene.hub, &scene.pile);
}

#[test]
fn a_packet_that_claims_more_than_256_kib_closes_at_the_header() {
    let mut scene = Scene::new();
    // PUBLISH, remaining length 256 KiB + 1, and not one byte of it.
    scene.charger.write(&[0x32, 0x81, 0x80, 0x10]);
    scene.charger.closed();
    Charger::online(&scene.hub, &scene.pile);
}

#[test]
fn a_replay_of_what_is_still_not_understood_is_refused_and_keeps_the_frame() {
    let mut scene = Scene::new();
    let ops = token("ops", "olga");
    scene.charger.send_bytes("charging/status", b"{");
    let broken = newest(&scene.hub, 1);
    let path = format!("/quarantine/{}/replay", broken["quarantineId"].as_str().unwrap());
    let refused = scene.hub.post(&ops, &path, &Value::Null);
    assert!((400..500).contains(&refused.status), "still not understood: {}", refused.text());
    assert_eq!(scene.hub.quarantine(), [broken], "a refused replay changes nothing");
    scene.hub.post(&ops, "/quarantine/999/replay", &Value::Null).refused(404, "QUARANTINE_NOT_FOUND");
}
