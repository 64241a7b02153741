//! What holds for every HTTP call: who may, how the hub says no, what happens once [CONTRACT 3].
#![allow(clippy::unwrap_used, reason = "the helpers of tests fail loudly")]

mod support;

use std::sync::{Arc, Barrier};

use serde_json::{Value, json};
use support::{Hub, token, token_until};

const ROLES: [&str; 7] = ["driver", "service", "ops", "finance", "risk", "admin", "auditor"];

fn station(id: &str) -> Value {
    json!({"stationId": id, "name": "Station", "timezone": "Asia/Shanghai", "longitude": 121.4, "latitude": 31.2})
}

#[test]
fn the_role_column_of_the_contract_is_exact() {
    let hub = Hub::start();
    let staff = &ROLES[1..];
    let table: [(&str, &str, &[&str]); 27] = [
        ("POST", "/stations", &["admin"]),
        ("POST", "/piles", &["admin"]),
        ("POST", "/piles/import", &["admin"]),
        ("GET", "/piles", staff),
        ("GET", "/piles/P1", &ROLES),
        ("GET", "/piles/nearby?lon=1&lat=1", &ROLES),
        ("GET", "/piles/P1/telemetry", staff),
        ("POST", "/piles/P1/commands", &["ops"]),
        ("GET", "/commands/C1", &["ops"]),
        ("PUT", "/piles/P1/maintenance", &["ops"]),
        ("POST", "/tariffs", &["ops", "finance"]),
        ("POST", "/tariffs/T1/publish", &["ops", "finance"]),
        ("POST", "/orders", &["driver"]),
        ("POST", "/orders/1/stop", &["driver", "ops", "service"]),
        ("GET", "/orders/1", &ROLES),
        ("GET", "/orders/1/history", &ROLES),
        ("POST", "/orders/1/ticket", &ROLES),
        ("GET", "/wallet", &["driver"]),
        ("GET", "/wallet/entries", &["driver"]),
        ("POST", "/wallet/topups", &["driver"]),
        ("POST", "/debts/1/repay", &["driver"]),
        ("PUT", "/users/anna/blacklist", &["risk"]),
        ("GET", "/alarms", staff),
        ("POST", "/alarms/A1/ack", &["ops"]),
        ("GET", "/quarantine", &["ops"]),
        ("POST", "/holds/1/approve", &["risk"]),
        ("GET", "/audit", staff),
    ];
    for (method, path, allowed) in table {
        for role in ROLES {
            let bearer = format!("Bearer {}", token(role, "somebody"));
            let reply = hub.call(method, &format!("/api/v1{path}"), &[("authorization", &bearer)], b"");
            assert_eq!(reply.status != 403, allowed.contains(&role), "{method} {path} as {role}: {}", reply.status);
        }
        hub.call(method, &format!("/api/v1{path}"), &[], b"").refused(401, "UNAUTHENTICATED");
    }
}

#[test]
fn tokens_that_do_not_hold_are_refused() {
    let hub = Hub::start();
    let ended = token_until("ops", "olga", 1_700_000_000);
    let mut forged = token("ops", "olga");
    let last = if forged.pop() == Some('A') { 'B' } else { 'A' };
    forged.insert(forged.len() - 5, last);
    for bad in ["", "x", &ended, &forged] {
        hub.get(bad, "/stations").refused(401, "UNAUTHENTICATED");
    }
    let basic = [("authorization", "Basic b2xnYTpvbGdh")];
    hub.call("GET", "/api/v1/stations", &basic, b"").refused(401, "UNAUTHENTICATED");
}

#[test]
fn a_refusal_names_field_value_and_rule_in_the_callers_language() {
    let hub = Hub::start();
    let admin = format!("Bearer {}", token("admin", "root"));
    let body = station("S1").to_string().replace("Asia/Shanghai", "Mars/Base");
    let ask = |language| {
        let headers = [("authorization", admin.as_str()), ("accept-language", language)];
        hub.call("POST", "/api/v1/stations", &headers, body.as_bytes()).refused(422, "VALIDATION")
    };
    let (zh, en) = (ask("zh-CN,zh;q=0.9,en;q=0.5"), ask("en-GB"));
    assert_eq!((&zh["field"], &zh["value"]), (&json!("timezone"), &json!("Mars/Base")));
    assert_eq!((&zh["title"], &en["title"]), (&json!("参数不符合要求"), &json!("A value is not acceptable")));
    assert_eq!(zh["type"], "urn:pilehub:problem:validation");
}

#[test]
fn what_is_no_call_is_refused_like_one() {
    let hub = Hub::start();
    let admin = token("admin", "root");
    let bearer = format!("Bearer {admin}");
    let with = [("authorization", bearer.as_str())];
    hub.call("GET", "/api/v1/nothing", &with, b"").refused(404, "NOT_FOUND");
    hub.call("GET", "/nothing", &[], b"").refused(404, "NOT_FOUND");
    hub.call("DELETE", "/api/v1/stations", &with, b"").refused(405, "METHOD_NOT_ALLOWED");
    hub.call("POST", "/api/v1/stations", &with, b"{").refused(422, "VALIDATION");
    hub.call("POST", "/api/v1/stations", &with, b"\xff").refused(422, "VALIDATION");
    hub.call("POST", "/api/v1/stations", &with, &vec![b' '; 70_000]).refused(413, "BODY_TOO_LARGE");
    let missing = hub.post(&admin, "/stations", &json!({"stationId": "S1"})).refused(422, "VALIDATION");
    assert_eq!(missing["field"], "name");
    hub.get(&token("ops", "olga"), "/piles?limit=501").refused(422, "VALIDATION");
    hub.get(&token("ops", "olga"), "/piles/%20").refused(404, "PILE_NOT_FOUND");
    hub.get(&token("ops", "olga"), "/orders/1").refused(404, "ORDER_NOT_FOUND");
}

#[test]
fn the_same_key_and_body_give_the_first_answer_again_even_after_a_crash() {
    let hub = Hub::start();
    let admin = token("admin", "root");
    hub.make_station("S0");
    let first = hub.post_once(&admin, "/stations", "k1", &station("S1"));
    first.expect(201);
    let again = hub.post_once(&admin, "/stations", "k1", &station("S1"));
    assert_eq!((again.status, &again.body), (201, &first.body));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    hub.post_once(&admin, "/stations", "k1", &station("S2")).refused(422, "IDEMPOTENCY_KEY_REUSED");
    hub.post_once(&token("admin", "other"), "/stations", "k1", &station("S1")).refused(409, "STATION_EXISTS");
    let pile = json!({"pileCode": "P1", "stationId": "S1", "type": "DC", "connectors": 2, "maxPowerKw": 60});
    hub.post_once(&admin, "/piles", "k1", &pile).expect(201);
    let hub = hub.kill_and_restart();
    assert_eq!(hub.post_once(&admin, "/stations", "k1", &station("S1")).body, first.body);
}

#[test]
fn a_secret_is_given_again_for_the_same_key_and_is_kept_nowhere() {
    let hub = Hub::start();
    let admin = token("admin", "root");
    hub.make_station("S1");
    let pile =
        |code: &str| json!({"pileCode": code, "stationId": "S1", "type": "AC", "connectors": 1, "maxPowerKw": 7.5});
    let one = hub.post_once(&admin, "/piles", "one", &pile("P1"));
    let many = hub.post_once(&admin, "/piles/import", "many", &json!([pile("P2"), pile("P3")]));
    let secret = one.expect(201)["secret"].as_str().unwrap().to_owned();
    assert_eq!(many.expect(200).as_array().unwrap().len(), 2);
    let hub = hub.kill_and_restart();
    assert_eq!(hub.post_once(&admin, "/piles", "one", &pile("P1")).body, one.body);
    assert_eq!(hub.post_once(&admin, "/piles/import", "many", &json!([pile("P2"), pile("P3")])).body, many.body);
    for entry in std::fs::read_dir(hub.dir()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
    }
}

#[test]
fn fifty_calls_at_once_with_one_key_have_one_effect() {
    let hub = Arc::new(Hub::start());
    let driver = token("driver", "anna");
    let start = Arc::new(Barrier::new(50));
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let (hub, start, driver) = (Arc::clone(&hub), Arc::clone(&start), driver.clone());
            std::thread::spawn(move || {
                start.wait();
                hub.post_once(&driver, "/wallet/topups", "k", &json!({"amountFen": 100, "channel": "sandbox"}))
            })
        })
        .collect();
    let replies: Vec<_> = calls.into_iter().map(|call| call.join().unwrap()).collect();
    let done: Vec<_> = replies.iter().filter(|reply| reply.status == 201).collect();
    assert!(!done.is_empty() && done.iter().all(|reply| reply.body == done[0].body));
    for refused in replies.iter().filter(|reply| reply.status != 201) {
        refused.refused(409, "REQUEST_IN_PROGRESS");
    }
}

#[test]
fn an_address_that_calls_too_often_is_told_so() {
    let hub = Hub::start_with(&[("limits.http_requests_per_address_per_s_max", "5")]);
    let ops = token("ops", "olga");
    let limited = (0..20).map(|_| hub.get(&ops, "/stations")).find(|reply| reply.status == 429).unwrap();
    limited.refused(429, "TOO_MANY_REQUESTS");
    assert_eq!(limited.header("retry-after"), Some("1"));
    assert_eq!(hub.call("GET", "/healthz", &[], b"").status, 200);
}

#[test]
fn the_hub_describes_itself() {
    let hub = Hub::start();
    let openapi = hub.call("GET", "/api/openapi.json", &[], b"").expect(200);
    assert!(openapi["paths"]["/api/v1/orders/{no}/stop"]["post"].is_object());
    assert!(openapi["components"]["schemas"]["Problem"].is_object());
    let asyncapi = hub.call("GET", "/api/asyncapi.yaml", &[], b"");
    assert!(asyncapi.text().starts_with("asyncapi: 3.0.0"));
    assert_eq!(hub.call("GET", "/api/docs/", &[], b"").status, 200);
    hub.get(&token("ops", "olga"), "/stations").expect(200);
    let figures = hub.call("GET", "/metrics", &[], b"").text();
    assert!(figures.contains("pilehub_http_answers_total") && figures.contains("/api/v1/stations"), "{figures}");
}
