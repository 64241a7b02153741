//! Chargers over MQTT: who may connect, what they may say where, and what becomes of it [CONTRACT 1].
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests fail loudly")]

mod support;

use serde_json::{Value, json};
use support::{
    Hub,
    charger::{Charger, finished, status},
    scene::Scene,
    token,
    wait::{now_ms, until},
};

fn station() -> Hub {
    let hub = Hub::start();
    hub.make_station("S1");
    hub
}

#[test]
fn wrong_credentials_get_connack_4_or_5_and_then_the_close() {
    let hub = station();
    let (one, two) = (hub.make_pile("S1", "P1"), hub.make_pile("S1", "P2"));
    for (code, secret) in [
        ("P1", Some("wrong")),
        ("P1", Some(two.secret.as_str())),
        ("P1", Some("")),
        ("P1", None),
        ("P9", Some(one.secret.as_str())),
    ] {
        let (mut charger, answer) = Charger::dial(&hub, code, secret);
        assert!(matches!(answer, 4 | 5), "{code} {secret:?}: CONNACK {answer}");
        charger.closed();
    }
    Charger::online(&hub, &one);
}

#[test]
fn a_forbidden_subscribe_gets_0x80_and_the_allowed_ones_of_the_same_packet_stay() {
    let mut scene = Scene::new();
    let (mut charger, answer) = Charger::dial(&scene.hub, "P1", Some(&scene.pile.secret));
    assert_eq!(answer, 0);
    let asked = [
        "pile/P2/command",
        "pile/P1/command",
        "#",
        "pile/+/command",
        "pile/P1/#",
        "pile/P1/heartbeat",
        "$SYS/#",
        "pile/P1/record/ack",
    ];
    assert_eq!(charger.subscribe(&asked), [0x80, 1, 0x80, 0x80, 0x80, 0x80, 0x80, 1]);
    scene.charger = charger;
    scene.charger.heartbeat();
    scene.charging();
}

#[test]
fn a_forbidden_publish_closes_the_connection_and_it_and_a_forbidden_subscribe_are_counted_and_audited() {
    let hub = station();
    let one = hub.make_pile("S1", "P1");
    hub.make_pile("S1", "P2");
    let beat = json!({"timestamp": now_ms(), "status": 1}).to_string();
    for topic in ["pile/P2/heartbeat", "pile/P1/command", "pile/P1/record/ack", "pile/P1/nonsense", "other", "pile/P1"]
    {
        let mut charger = Charger::online(&hub, &one);
        assert!(!charger.publish(topic, beat.as_bytes()), "{topic}");
    }
    let two = hub.get(&token("ops", "olga"), "/piles/P2").expect(200);
    assert_eq!(two["lastSeen"], Value::Null, "P2 never said anything: {two}");
    until("the audit of what was forbidden", || audited(&hub, "publish", "pile/P2/heartbeat").then_some(()));
    assert!(forbidden(&hub, "publish") >= 6);
    let mut charger = Charger::online(&hub, &one);
    assert_eq!(charger.subscribe(&["pile/P2/command"]), [0x80]);
    until("the audit of what was forbidden", || audited(&hub, "subscribe", "pile/P2/command").then_some(()));
    assert!(forbidden(&hub, "subscribe") >= 1);
}

/// Whether the audit trail says that P1 tried this.
fn audited(hub: &Hub, what: &str, topic: &str) -> bool {
    let audit = hub.get(&token("auditor", "ada"), "/audit").expect(200);
    audit["items"].as_array().unwrap().iter().any(|row| {
        let row = row.to_string();
        row.contains("P1") && row.contains(topic) && row.to_lowercase().contains(what)
    })
}

/// How many forbidden attempts of a kind are counted.
fn forbidden(hub: &Hub, what: &str) -> u64 {
    let text = hub.call("GET", "/metrics", &[], b"").text();
    let label = format!("\"{what}\"");
    let mut lines = text.lines().filter(|line| line.contains("forbidden") && line.contains(&label));
    lines.next().map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

#[test]
fn a_second_connect_takes_over_and_the_end_of_the_first_does_not_disturb_it() {
    let mut scene = Scene::new();
    let mut first = Charger::connect(&scene.hub, &scene.pile);
    let mut second = Charger::connect(&scene.hub, &scene.pile);
    first.closed();
    scene.charger.closed();
    first.cut();
    second.heartbeat();
    scene.charger = second;
    let order = scene.charging();
    assert_eq!(scene.order(&order)["link"], "live");
    let (mut stranger, answer) = Charger::dial(&scene.hub, "P1", Some("not the secret"));
    assert!(matches!(answer, 4 | 5));
    stranger.closed();
    scene.charger.heartbeat();
    assert_eq!(scene.order(&order)["link"], "live");
}

#[test]
fn every_example_frame_of_the_contract_is_understood() {
    let mut scene = Scene::new();
    let order = scene.place();
    let start = scene.charger.command("startCharging");
    let charger = &mut scene.charger;
    let say = |charger: &mut Charger, leaf: &str, frame: &str| {
        let id = start["commandId"].as_str().unwrap();
        let frame = frame.replace("ORDER", &order).replace("COMMAND", id).replace("P0001", "P1");
        charger.send(leaf, &serde_json::from_str(&frame).unwrap());
    };
    say(
        charger,
        "heartbeat",
        r#"{"pileCode":"P0001","status":1,"voltage":220.1,"current":0,"power":0,"temperature":31.5,"timestamp":1763690000000,
        "seq":12,"connectors":[{"connectorId":1,"status":1,"plugged":true,"locked":true}],"firmware":"1.4.2"}"#,
    );
    say(
        charger,
        "heartbeat",
        r#"{"status":"1","voltage":"220.1","current":"0","power":"0.0","temperature":"31.5",
        "timestamp":"2025-11-21T01:53:20.000Z","seq":"13","more":{"x":[1]}}"#,
    );
    say(charger, "heartbeat", r#"{"timestamp":"2025-11-21T09:53:20+08:00","status":2,"firmware":null}"#);
    say(
        charger,
        "command/ack",
        r#"{"commandId":"COMMAND","orderNo":"ORDER","result":"accepted","code":"0","message":"ok","timestamp":1763690000100}"#,
    );
    say(
        charger,
        "charging/status",
        r#"{"orderNo":"ORDER","connectorId":1,"seq":1,"voltage":398.2,"current":120.0,"currentPower":47.8,"totalPower":3.125,
        "totalTime":240,"soc":41.5,"timestamp":1763690240000}"#,
    );
    for kind in ["fault", "faultCleared", "plugged", "unplugged", "groundLock", "barrier", "boot"] {
        let frame = r#"{"eventId":"E-KIND","type":"KIND","connectorId":2,"faultCode":"E106","detail":"words","timestamp":1763690241000}"#;
        say(charger, "event", &frame.replace("KIND", kind));
    }
    say(charger, "meter", r#"{"connectorId":1,"meter":10033.790,"timestamp":1763690242000}"#);
    say(
        charger,
        "charging/finished",
        r#"{"orderNo":"ORDER","connectorId":1,"seq":2,"totalPower":12.480,"totalTime":1800,"startSoc":38.0,"endSoc":62.5,"stopReason":2,
        "startTime":1763690000000,"endTime":1763691800000,"meterStart":10021.310,"meterEnd":10033.790,"faultCode":null,"timestamp":1763691801000}"#,
    );
    assert_eq!(scene.charger.record_ack(&order), "stored");
    assert_eq!(scene.hub.quarantine(), Vec::<Value>::new());
    let ended = scene.order(&order);
    assert_eq!((&ended["status"], &ended["energyWh"]), (&json!("CLOSED"), &json!(12_480)), "{ended}");
    assert_eq!((&ended["startSocPercent"], &ended["endSocPercent"]), (&json!(38.0), &json!(62.5)));
    assert_eq!(ended["durationS"], 1_800);
}

#[test]
fn frames_with_no_more_than_the_required_fields_are_enough() {
    let mut scene = Scene::new();
    let order = scene.place();
    let start = scene.charger.command("startCharging");
    let (id, now) = (&start["commandId"], now_ms());
    scene.charger.shout("heartbeat", &json!({"timestamp": now, "status": 1}));
    scene.charger.send("command/ack", &json!({"commandId": id, "result": "accepted"}));
    scene.charger.send("charging/status", &json!({"orderNo": order, "seq": 1, "totalPower": 0, "timestamp": now}));
    scene.charger.send("event", &json!({"eventId": "B1", "type": "boot", "timestamp": now}));
    scene.charger.send("meter", &json!({"connectorId": 1, "meter": 1, "timestamp": now}));
    scene.charger.send(
        "charging/finished",
        &json!({"orderNo": order, "totalPower": 0.5, "stopReason": 1, "timestamp": now + 60_000}),
    );
    assert_eq!(scene.charger.record_ack(&order), "stored");
    assert_eq!(scene.hub.quarantine(), Vec::<Value>::new());
    assert_eq!(scene.order(&order)["energyWh"], 500);
}

#[test]
fn the_same_order_and_seq_again_is_a_duplicate_and_changes_nothing() {
    let mut scene = Scene::new();
    let order = scene.charging();
    let now = now_ms();
    scene.charger.send("charging/status", &status(&order, 1, "1.000", now));
    scene.charger.send("charging/status", &status(&order, 2, "2.000", now + 1_000));
    for kwh in ["1.000", "9.000"] {
        scene.charger.send("charging/status", &status(&order, 1, kwh, now + 2_000));
    }
    scene.charger.send("charging/status", &status(&order, 3, "2.500", now + 3_000));
    scene.hub.until_order(&scene.driver, &order, "2500 Wh", |order| order["energyWh"] == 2_500);
    assert_eq!(scene.hub.quarantine(), Vec::<Value>::new());
    scene.charger.send("charging/finished", &finished(&order, 4, "3.000", 1, now - 1_000, now + 4_000));
    assert_eq!(scene.charger.record_ack(&order), "stored");
    let bill = &scene.order(&order)["bill"];
    assert_eq!(bill["totalFen"], 360, "{bill}");
}

#[test]
fn a_start_command_has_exactly_the_shape_of_the_contract() {
    let mut scene = Scene::new();
    let limit = json!({"amountFen": 2_000, "energyWh": 12_345, "durationS": 7_200});
    let asked = json!({"pileCode": "P1", "connectorId": 1, "limit": limit});
    let before = now_ms();
    let placed = scene.hub.post(&scene.driver, "/orders", &asked).expect(201);
    let start = scene.charger.command("startCharging");
    assert!(start["commandId"].as_str().is_some_and(|id| !id.is_empty()), "{start}");
    assert_eq!((&start["pileCode"], &start["connectorId"]), (&json!("P1"), &json!(1)));
    assert_eq!(start["orderNo"], placed["orderNo"]);
    assert!(start["orderNo"].as_str().unwrap().bytes().all(|b| b.is_ascii_alphanumeric()));
    assert!(start["orderNo"].as_str().unwrap().len() <= 32);
    assert_eq!(start["maxPower"].as_f64(), Some(120.0), "kW as a number: {start}");
    assert_eq!(start["maxTime"], 7_200, "{start}");
    let energy = start["maxEnergy"].as_f64().unwrap();
    assert!((energy - 12.345).abs() < 1e-9, "kWh as a number: {start}");
    assert!(start["expiresAt"].as_i64().is_some_and(|at| at > before), "epoch milliseconds: {start}");

    scene.charger.accept(&start);
    let order = placed["orderNo"].as_str().unwrap();
    scene.hub.until_status(&scene.driver, order, "CHARGING");
    scene.hub.post(&scene.driver, &format!("/orders/{order}/stop"), &Value::Null).expect(202);
    let stop = scene.charger.command("stopCharging");
    assert_eq!((&stop["pileCode"], &stop["connectorId"], &stop["orderNo"]), (&json!("P1"), &json!(1), &json!(order)));
    assert_eq!(stop["stopReason"], 1, "{stop}");
    assert_ne!(stop["commandId"], start["commandId"]);
}

#[test]
fn a_command_that_is_sent_again_after_a_reconnect_has_the_same_command_id() {
    let mut scene = Scene::new();
    scene.place();
    let first = scene.charger.command("startCharging");
    scene.charger = Charger::online(&scene.hub, &scene.pile);
    let second = scene.charger.command("startCharging");
    assert_eq!(first["commandId"], second["commandId"]);
    assert_eq!(first["orderNo"], second["orderNo"]);
    scene.charger.accept(&second);
    let order = first["orderNo"].as_str().unwrap();
    scene.hub.until_status(&scene.driver, order, "CHARGING");
    scene.charger = Charger::online(&scene.hub, &scene.pile);
    assert!(scene.charger.so_far().is_empty(), "an answered command is not sent again");
}

#[test]
fn further_commands_have_the_shape_of_the_contract_and_are_followed_to_their_end() {
    let mut scene = Scene::new();
    let ops = token("ops", "olga");
    for (asked, field, value) in [
        (json!({"type": "reboot"}), "pileCode", json!("P1")),
        (json!({"type": "unlockConnector", "connectorId": 2}), "connectorId", json!(2)),
        (json!({"type": "groundLock", "connectorId": 1, "position": "down"}), "position", json!("down")),
        (json!({"type": "setHeartbeatInterval", "seconds": 30}), "seconds", json!(30)),
        (json!({"type": "syncTime"}), "pileCode", json!("P1")),
    ] {
        let made = scene.hub.post(&ops, "/piles/P1/commands", &asked).expect(202);
        let sent = scene.charger.command(asked["type"].as_str().unwrap());
        assert_eq!((&sent["commandId"], &sent[field]), (&made["commandId"], &value), "{sent}");
        if asked["type"] == "syncTime" {
            assert!((sent["time"].as_i64().unwrap() - now_ms()).abs() < 60_000, "{sent}");
        }
        let path = format!("/commands/{}", made["commandId"].as_str().unwrap());
        let accepted = asked["type"] != "reboot";
        let (say, state) = if accepted { ("accepted", "ACKED") } else { ("rejected", "REJECTED") };
        let answer = json!({"commandId": sent["commandId"], "result": say, "code": "C7", "timestamp": now_ms()});
        scene.charger.send("command/ack", &answer);
        until("the answered command", || (scene.hub.get(&ops, &path).expect(200)["state"] == state).then_some(()));
    }
}

#[test]
fn record_ack_says_stored_once_and_then_duplicate_and_a_different_second_record_is_quarantined() {
    let mut scene = Scene::new();
    let order = scene.charging();
    let end = now_ms();
    let record = finished(&order, 1, "1.000", 1, end - 60_000, end);
    scene.charger.send("charging/finished", &record);
    let down = scene.charger.next();
    assert_eq!(down.topic, "pile/P1/record/ack");
    assert_eq!((&down.body["result"], &down.body["seq"]), (&json!("stored"), &json!(1)));
    assert!((down.body["timestamp"].as_i64().unwrap() - end).abs() < 60_000, "{}", down.body);
    scene.charger.send("charging/finished", &record);
    assert_eq!(scene.charger.record_ack(&order), "duplicate");
    let mut other = record.clone();
    other["totalPower"] = json!("2.000");
    scene.charger.send("charging/finished", &other);
    assert_eq!(scene.charger.record_ack(&order), "quarantined");
    let kept = scene.hub.quarantine();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(kept[0]["pileCode"], "P1");
    assert_eq!(scene.order(&order)["bill"]["totalFen"], 120, "the first record stands");
    let hub = scene.hub.kill_and_restart();
    let mut charger = Charger::online(&hub, &scene.pile);
    charger.send("charging/finished", &record);
    assert_eq!(charger.record_ack(&order), "duplicate");
}

#[test]
fn a_record_with_missing_status_frames_is_settled_at_once_and_flagged() {
    let mut scene = Scene::new();
    let order = scene.charging();
    let end = now_ms();
    scene.charger.send("charging/status", &status(&order, 1, "0.500", end - 30_000));
    scene.charger.send("charging/finished", &finished(&order, 5, "1.000", 1, end - 60_000, end));
    assert_eq!(scene.charger.record_ack(&order), "stored");
    let ended = scene.order(&order);
    assert_eq!((&ended["status"], &ended["bill"]["totalFen"]), (&json!("CLOSED"), &json!(120)));
    assert!(!ended["bill"]["flags"].as_array().unwrap().is_empty(), "flagged: {ended}");
    scene.charger.send("charging/status", &status(&order, 3, "0.700", end - 20_000));
    until("the late frame in the history", || {
        scene.hub.history(&scene.driver, &order).iter().any(|row| row["outcome"] == "IGNORED").then_some(())
    });
    assert_eq!(scene.order(&order), ended);
}
