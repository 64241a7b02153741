//! Whatever a charger or a phone sends, the hub serves the others [CONTRACT 1, 4].
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests fail loudly")]

mod support;

use serde_json::{Value, json};
use support::{
    Hub,
    charger::{Charger, finished, status},
    phone::{Phone, Told},
    scene::Scene,
    wait::now_ms,
};

/// PUBLISH of QoS 2 with packet id 1 on P1's heartbeat topic.
const QOS_2: &[u8] = b"\x34\x17\x00\x11pile/P1/heartbeat\x00\x01{}";

fn connect_bytes(code: &str, secret: &str) -> Vec<u8> {
    let mut out = Vec::new();
    loadtest::client::codec::connect(&mut out, code, Some(secret), 60);
    out
}

#[test]
fn no_payload_on_no_topic_brings_the_hub_down() {
    let mut scene = Scene::new();
    let order = scene.charging();
    let deep = "[".repeat(8_000) + &"]".repeat(8_000);
    let now = now_ms();
    let nasty = [
        format!(r#"{{"timestamp":{now},"status":1,"more":{deep}}}"#),
        deep,
        format!(r#"{{"orderNo":"{order}","seq":1,"totalPower":1e999,"timestamp":{now}}}"#),
        format!(r#"{{"orderNo":"{order}","seq":1,"totalPower":"1e30","timestamp":{now}}}"#),
        format!(r#"{{"orderNo":"{order}","seq":18446744073709551616,"totalPower":1,"timestamp":{now}}}"#),
        format!(r#"{{"orderNo":"{order}","seq":1,"totalPower":1,"timestamp":9e18}}"#),
        format!(r#"{{"orderNo":"{order}","seq":1,"totalPower":1,"timestamp":-9223372036854775808}}"#),
        format!(r#"{{"orderNo":"{order}","totalPower":1,"stopReason":255,"endTime":{now}}}"#),
        format!(r#"{{"orderNo":"{order}","orderNo":"{order}","seq":1,"totalPower":1,"timestamp":{now}}}"#),
        "\u{feff}{}".to_owned(),
        "{\"orderNo\":\"\\ud800\"}".to_owned(),
        "null".to_owned(),
    ];
    for leaf in ["heartbeat", "charging/status", "charging/finished", "command/ack", "event", "meter"] {
        for payload in &nasty {
            scene.charger.send_bytes(leaf, payload.as_bytes());
        }
        scene.charger.so_far();
        // A connection bears 19 bad frames a minute.
        scene.charger = Charger::connect(&scene.hub, &scene.pile);
    }
    let shown = scene.order(&order);
    assert_eq!((&shown["status"], &shown["energyWh"]), (&json!("CHARGING"), &json!(0)), "nothing was used: {shown}");
    scene.charger.send("charging/status", &status(&order, 1, "0.500", now));
    scene.charger.send("charging/finished", &finished(&order, 2, "1.000", 1, now - 60_000, now));
    assert_eq!(scene.charger.record_ack(&order), "stored");
    assert_eq!(scene.order(&order)["bill"]["totalFen"], 120);
}

#[test]
fn what_is_no_mqtt_or_comes_out_of_turn_is_closed() {
    let scene = Scene::new();
    let second = connect_bytes("P1", &scene.pile.secret);
    let cases: [(&str, &[u8]); 6] = [
        ("a second CONNECT", &second),
        ("a publish of QoS 2", QOS_2),
        ("a publish of QoS 3", b"\x36\x02\x00\x00"),
        ("a reserved packet", b"\xf0\x00"),
        ("a length of five bytes", b"\x30\xff\xff\xff\xff\x01"),
        ("a topic with a wildcard", b"\x30\x0b\x00\x09pile/P1/#"),
    ];
    for (what, bytes) in cases {
        let mut charger = Charger::connect(&scene.hub, &scene.pile);
        charger.write(bytes);
        charger.closed();
        assert_eq!(scene.hub.call("GET", "/readyz", &[], b"").status, 200, "after {what}");
    }
    let mut charger = Charger::online(&scene.hub, &scene.pile);
    charger.heartbeat();
}

#[test]
fn a_stranger_who_does_not_begin_with_connect_is_closed() {
    let hub = Hub::start();
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\xc0\x00", QOS_2, &[0; 64]] {
        let mut stranger = Charger::raw(&hub);
        stranger.write(bytes);
        stranger.closed();
    }
}

#[test]
fn words_a_phone_must_not_say_disturb_no_other_phone() {
    let mut scene = Scene::new();
    let order = scene.charging();
    let mut good = Phone::follow(&scene.hub, &scene.driver, &order);
    good.news().frame("snap");
    for words in
        ["", "{", "null", "[]", r#"{"t":"stop"}"#, r#"{"t":7}"#, r#"{"t":"pong","n":"x"}"#, &"x".repeat(200_000)]
    {
        let mut bad = Phone::follow(&scene.hub, &scene.driver, &order);
        bad.news().frame("snap");
        bad.say_text(words);
    }
    good.say(&json!({"t": "resync"}));
    loop {
        match good.news() {
            Told::Frame(frame) if frame["t"] == "snap" => break,
            Told::Frame(_) => {}
            Told::Closed(code) => panic!("closed with {code}"),
        }
    }
    assert_eq!(scene.order(&order)["status"], "CHARGING");
}

#[test]
fn calls_without_fields_take_an_empty_body_or_an_empty_object() {
    let mut scene = Scene::new();
    let order = scene.charging();
    for body in [Value::Null, json!({})] {
        scene.hub.post(&scene.driver, &format!("/orders/{order}/stop"), &body).expect(202);
        let ticket = scene.hub.post(&scene.driver, &format!("/orders/{order}/ticket"), &body);
        assert!(matches!(ticket.status, 200 | 201), "{}", ticket.text());
    }
    let asked = json!({"pileCode": "P1", "connectorId": 2, "limit": null});
    scene.hub.post(&scene.driver, "/orders", &asked).expect(201);
}
