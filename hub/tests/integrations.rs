//! Integrations as their users meet them: an account from the command line, frames over MQTT, an end that is seen.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests fail loudly")]

mod support;

use std::process::Output;

use serde_json::{Value, json};
use support::{Hub, JWT_KEY, charger::Charger, pilehub, token, wait::until};

fn run(hub: &Hub, arguments: &[&str]) -> Output {
    let mut command = pilehub();
    command.arg("integration").args(arguments).arg("--data-dir").arg(hub.dir());
    command.env("PILEHUB__AUTH__JWT_KEY", JWT_KEY).env("PILEHUB__HTTP__LISTEN", hub.http.to_string());
    command.output().unwrap()
}

/// What a command that must go well prints.
fn printed(hub: &Hub, arguments: &[&str]) -> String {
    let output = run(hub, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What a command that must fail says.
fn failed(hub: &Hub, arguments: &[&str]) -> String {
    let output = run(hub, arguments);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

/// The word after `label` in what `add` printed.
fn word(text: &str, label: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(label)).unwrap_or_else(|| panic!("no {label}: {text}"));
    line.trim().to_owned()
}

fn subscribed(hub: &Hub, username: &str, secret: &str, filter: &str) -> Charger {
    let (mut reader, code) = Charger::dial_as(hub, "data-platform", username, secret);
    assert_eq!(code, 0, "CONNACK of {username}");
    assert_eq!(reader.subscribe(&[filter]), [0], "{filter}");
    reader
}

fn meter() -> Value {
    json!({"connectorId": 1, "meter": 1.5, "timestamp": 1_763_690_000_000_i64})
}

#[test]
fn an_account_made_on_the_command_line_reads_its_stations_across_a_restart_until_it_is_removed() {
    let hub = Hub::start();
    hub.make_station("S1");
    hub.make_station("S2");
    let (ours, other) = (hub.make_pile("S1", "P0001"), hub.make_pile("S2", "P0002"));
    let add = ["add", "monitor", "--station", "S1", "--topic", "meter", "--topic", "heartbeat"];
    let told = printed(&hub, &add);
    let (username, secret) = (word(&told, "username"), word(&told, "secret"));
    assert_eq!((username.as_str(), secret.len()), ("integration:monitor", 64));
    assert!(failed(&hub, &add).contains("INTEGRATION_EXISTS"));

    let hub = hub.kill_and_restart();
    let later = hub.make_pile("S1", "P0003");
    let mut reader = subscribed(&hub, &username, &secret, "pile/+/#");
    let (_, refused) = Charger::dial_as(&hub, "data-platform", &username, "another secret");
    assert_eq!(refused, 4);
    for pile in [&other, &ours, &later] {
        let mut charger = Charger::connect(&hub, pile);
        charger.send("meter", &meter());
        charger.send("event", &json!({"eventId": "e1", "type": "boot", "timestamp": 1_763_690_000_000_i64}));
    }
    for code in ["P0001", "P0003"] {
        let got = reader.next();
        assert_eq!((got.topic, got.body), (format!("pile/{code}/meter"), meter()));
    }
    let list = printed(&hub, &["list"]);
    assert!(list.contains("monitor  stations S1  topics heartbeat,meter  connections 1"), "{list}");
    let figures = hub.call("GET", "/metrics", &[], b"").text();
    assert!(figures.contains("pilehub_gate_integrations 1\n"), "{figures}");
    assert!(figures.contains("pilehub_gate_integration_frames_total 2\n"), "{figures}");

    assert_eq!(printed(&hub, &["remove", "monitor"]), "removed monitor\n");
    reader.closed();
    let (_, gone) = Charger::dial_as(&hub, "data-platform", &username, &secret);
    assert_eq!(gone, 4);
    assert!(failed(&hub, &["remove", "monitor"]).contains("INTEGRATION_NOT_FOUND"));
    assert_eq!(printed(&hub, &["list"]), "");
}

#[test]
fn the_call_that_makes_an_account_answers_the_same_secret_again_and_only_an_admin_may_make_it() {
    let hub = Hub::start();
    hub.make_station("S1");
    let admin = token("admin", "root");
    let new = json!({"name": "platform", "stations": ["*"], "topics": ["event", "event"]});
    let first = hub.post_once(&admin, "/integrations", "k1", &new).expect(201);
    assert_eq!(hub.post_once(&admin, "/integrations", "k1", &new).expect(201), first);
    assert_eq!(first["username"], "integration:platform");
    assert!(!hub.log().contains(first["secret"].as_str().unwrap()));
    let listed = hub.get(&token("ops", "olga"), "/integrations").expect(200);
    assert_eq!(listed["items"][0]["stations"], json!(["*"]));
    assert_eq!(listed["items"][0]["topics"], json!(["event"]));
    assert_eq!(listed["items"][0].get("secret"), None);
    hub.post(&token("ops", "olga"), "/integrations", &new).refused(403, "FORBIDDEN");
    hub.get(&token("driver", "anna"), "/integrations").refused(403, "FORBIDDEN");
    hub.post(&admin, "/integrations", &new).refused(409, "INTEGRATION_EXISTS");
    let wrong = |field: &str, value: Value| {
        let mut new = json!({"name": "other", "stations": ["S1"], "topics": ["event"]});
        new[field] = value;
        hub.post(&admin, "/integrations", &new)
    };
    for (field, value) in [
        ("name", json!("a:b")),
        ("stations", json!([])),
        ("stations", json!(["*", "S1"])),
        ("topics", json!([])),
        ("topics", json!(["command"])),
    ] {
        wrong(field, value.clone()).refused(422, "VALIDATION");
    }
    wrong("stations", json!(["S9"])).refused(404, "STATION_NOT_FOUND");
    let audit = hub.get(&token("auditor", "ada"), "/audit").expect(200);
    assert_eq!(audit["items"][0]["action"], "INTEGRATION_ADDED");
    assert!(!audit.to_string().contains(first["secret"].as_str().unwrap()));
}

#[test]
fn what_an_integration_must_not_do_is_in_the_audit_trail() {
    let hub = Hub::start();
    let admin = token("admin", "root");
    let new = json!({"name": "platform", "stations": ["*"], "topics": ["event"]});
    let made = hub.post(&admin, "/integrations", &new).expect(201);
    let (username, secret) = (made["username"].as_str().unwrap(), made["secret"].as_str().unwrap());
    let mut reader = subscribed(&hub, username, secret, "pile/+/event");
    assert_eq!(reader.subscribe(&["pile/+/meter", "pile/+/command"]), [0x80, 0x80]);
    let _ = reader.publish("pile/P0001/command", b"{}");
    reader.closed();
    let rows = until("both attempts are written down", || {
        let audit = hub.get(&token("auditor", "ada"), "/audit").expect(200);
        let rows: Vec<Value> = audit["items"].as_array().unwrap().clone();
        let of_it: Vec<Value> = rows.into_iter().filter(|row| row["actor"] == "integration:platform").collect();
        (of_it.len() == 3).then_some(of_it)
    });
    assert_eq!(rows[0]["action"], "FORBIDDEN_PUBLISH");
    assert_eq!((&rows[0]["target"], &rows[0]["role"]), (&json!("pile/P0001/command"), &json!("integration")));
    assert_eq!(rows[1]["action"], "FORBIDDEN_SUBSCRIBE");
}

#[test]
fn without_a_running_hub_the_command_says_what_to_do() {
    let mut hub = Hub::start();
    hub.terminate();
    let told = failed(&hub, &["list"]);
    assert!(told.contains(&format!("no hub answers at {}", hub.http)) && told.contains("pilehub serve"), "{told}");
}
