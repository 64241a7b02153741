//! Every call with an effect, sent three times in a row and ten times at once with one `Idempotency-Key`: one effect,
//! equal bytes; another body is refused. The table must name every POST, PUT and DELETE of the OpenAPI document.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests fail loudly")]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Barrier,
    thread,
};

use hmac::{Hmac, KeyInit, Mac};
use rusqlite::Connection;
use serde_json::{Value, json};
use sha2::Sha256;
use support::{
    Hub, Reply, SANDBOX_KEY,
    charger::{Charger, finished},
    scene::order_no,
    token,
    wait::{now_ms, rfc3339, until},
};

/// Calls at once.
const WIDE: usize = 10;

/// Tables whose rows are effects. Left out: what the hub goes on writing by itself afterwards.
const EFFECTS: [&str; 17] = [
    "accounts",
    "alarms",
    "audit",
    "blacklist",
    "debts",
    "entries",
    "holds",
    "integrations",
    "once",
    "ops",
    "orders",
    "outbox",
    "payments",
    "piles",
    "records",
    "stations",
    "tariffs",
];

/// Cases that only calls make; others come of jobs that look at what calls did.
const CASES: &str = "cases WHERE kind IN
    ('ADJUSTMENT', 'REFUND', 'WRITE_OFF', 'SUSPENSE', 'RECON_DAY', 'RECON_ITEM', 'CHANNEL_BILL')";

/// What holds of a call that is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// The key names it.
    Key,
    /// Its content names it: a repeat has no effect, and its answer says so.
    Content,
    /// It has no stored effect: nothing is there to be repeated.
    NoEffect,
}

/// A call that will succeed, and who must stay online for it.
struct Made {
    token: String,
    path: String,
    body: Value,
    #[allow(dead_code, reason = "their connections end with it")]
    online: Vec<Charger>,
}

fn made(token: String, path: impl Into<String>, body: Value) -> Made {
    Made { token, path: path.into(), body, online: Vec::new() }
}

/// One kind of call; `tag` is new for each instance.
struct Scene {
    call: &'static str,
    rule: Rule,
    make: fn(&Hub, &str) -> Made,
}

const fn scene(call: &'static str, rule: Rule, make: fn(&Hub, &str) -> Made) -> Scene {
    Scene { call, rule, make }
}

fn admin() -> String {
    token("admin", "root")
}

fn station(tag: &str) -> Value {
    json!({"stationId": format!("S{tag}"), "name": "Station", "timezone": "Asia/Shanghai", "longitude": 121.4,
        "latitude": 31.2})
}

fn pile(tag: &str) -> Value {
    json!({"pileCode": format!("N{tag}"), "stationId": "S1", "type": "DC", "connectors": 1, "maxPowerKw": 60})
}

fn day(label: &str) -> Value {
    json!([{"from": "00:00", "to": "24:00", "label": label, "electricityE4": 10_000, "serviceE4": 0}])
}

fn draft(hub: &Hub) -> String {
    let draft = hub.post(&token("ops", "author"), "/tariffs", &json!({"stationId": "S1", "periods": day("x")}));
    draft.expect(201)["tariffId"].as_str().unwrap().to_owned()
}

/// A pile that is online, and a driver with money of their own.
fn rich(hub: &Hub, tag: &str, fen: i64) -> (Charger, String) {
    let pile = hub.make_pile("S1", &format!("P{tag}"));
    (Charger::online(hub, &pile), hub.make_driver(&format!("driver{tag}"), fen))
}

/// An order that charges, its charger and its driver.
fn charging(hub: &Hub, tag: &str, fen: i64) -> (Charger, String, String) {
    let (mut charger, driver) = rich(hub, tag, fen);
    let body = json!({"pileCode": format!("P{tag}"), "connectorId": 1, "limit": {"amountFen": 1_000}});
    let order = order_no(&hub.post(&driver, "/orders", &body).expect(201));
    let start = charger.command("startCharging");
    charger.accept(&start);
    hub.until_status(&driver, &order, "CHARGING");
    (charger, driver, order)
}

/// An order that ended with so many kWh, at one yuan each.
fn ended(hub: &Hub, tag: &str, fen: i64, kwh: &str) -> (String, String) {
    let (mut charger, driver, order) = charging(hub, tag, fen);
    let end = now_ms();
    charger.send("charging/finished", &finished(&order, 1, kwh, 1, end - 3_600_000, end));
    assert_eq!(charger.record_ack(&order), "stored");
    (driver, order)
}

fn held(hub: &Hub, tag: &str, verdict: &str) -> Made {
    let (_, order) = ended(hub, tag, 50_000, "250.000");
    made(token("risk", "rita"), format!("/holds/{order}/{verdict}"), json!({"reason": "looked at"}))
}

fn payment(hub: &Hub, tag: &str) -> (String, String) {
    let driver = token("driver", &format!("driver{tag}"));
    let topup = hub.post(&driver, "/wallet/topups", &json!({"amountFen": 700, "channel": "sandbox"})).expect(201);
    let path = topup["payUrl"].as_str().unwrap().split("/api/v1").nth(1).unwrap().to_owned();
    (topup["paymentNo"].as_str().unwrap().to_owned(), path)
}

/// A quarantined frame whose bytes were put right by hand since.
fn mended(hub: &Hub, tag: &str) -> Made {
    let pile = hub.make_pile("S1", &format!("P{tag}"));
    let mut charger = Charger::online(hub, &pile);
    charger.send_bytes("meter", b"{");
    let id = hub.quarantine()[0]["quarantineId"].as_str().unwrap().to_owned();
    let good = json!({"connectorId": 1, "meter": 1.5, "timestamp": now_ms()}).to_string();
    let db = Connection::open(hub.dir().join("tlm.db")).unwrap();
    db.busy_timeout(support::wait::DEADLINE).unwrap();
    let changed = db.execute("UPDATE quarantine SET payload = ?1 WHERE id = ?2", (good.as_bytes(), &id)).unwrap();
    assert_eq!(changed, 1);
    Made { online: vec![charger], ..made(token("ops", "olga"), format!("/quarantine/{id}/replay"), Value::Null) }
}

fn alarm(hub: &Hub, tag: &str) -> Made {
    let pile = hub.make_pile("S1", &format!("P{tag}"));
    let mut charger = Charger::online(hub, &pile);
    let fault = json!({"eventId": tag, "type": "fault", "connectorId": 1, "faultCode": "E106", "timestamp": now_ms()});
    charger.send("event", &fault);
    let code = format!("P{tag}");
    let alarm = hub.until_alarm("of the fault", |alarm| alarm["pileCode"] == code.as_str());
    let path = format!("/alarms/{}/ack", alarm["alarmId"].as_str().unwrap());
    Made { online: vec![charger], ..made(token("ops", "olga"), path, Value::Null) }
}

fn stop(hub: &Hub, tag: &str) -> Made {
    let (charger, driver, order) = charging(hub, tag, 5_000);
    Made { online: vec![charger], ..made(driver, format!("/orders/{order}/stop"), Value::Null) }
}

fn start(hub: &Hub, tag: &str) -> Made {
    let (charger, driver) = rich(hub, tag, 5_000);
    let body = json!({"pileCode": format!("P{tag}"), "connectorId": 1});
    Made { online: vec![charger], ..made(driver, "/orders", body) }
}

fn command(hub: &Hub, tag: &str) -> Made {
    let pile = hub.make_pile("S1", &format!("P{tag}"));
    let charger = Charger::online(hub, &pile);
    let path = format!("/piles/P{tag}/commands");
    Made { online: vec![charger], ..made(token("ops", "olga"), path, json!({"type": "reboot"})) }
}

fn of_pile(hub: &Hub, tag: &str, leaf: &str) -> Made {
    hub.make_pile("S1", &format!("P{tag}"));
    made(admin(), format!("/piles/P{tag}/{leaf}"), Value::Null)
}

fn integration(tag: &str) -> Value {
    json!({"name": format!("i{tag}"), "stations": ["*"], "topics": ["meter"]})
}

fn owing(hub: &Hub, tag: &str) -> Made {
    let (driver, order) = ended(hub, tag, 1_000, "20.000");
    hub.make_driver(&format!("driver{tag}"), 3_000);
    made(driver, format!("/debts/{order}/repay"), json!({"amountFen": 250}))
}

fn ticket(hub: &Hub, tag: &str, leaf: &str) -> Made {
    let (driver, order) = ended(hub, tag, 5_000, "1.000");
    made(driver, format!("/orders/{order}/{leaf}"), Value::Null)
}

/// A request that waits for a second person.
fn adjustment(hub: &Hub, tag: &str, verdict: &str) -> Made {
    let (_, order) = ended(hub, tag, 5_000, "10.000");
    let body = json!({"orderNo": order, "refundFen": 200, "reason": "the gun was hot"});
    let asked = hub.post(&token("service", "sue"), "/adjustments", &body).expect(201);
    let path = format!("/adjustments/{}/{verdict}", asked["adjustmentId"].as_str().unwrap());
    made(fay(), path, json!({"reason": "looked at"}))
}

fn write_off(hub: &Hub, tag: &str, verdict: &str) -> Made {
    let (_, order) = ended(hub, tag, 1_000, "20.000");
    let path = format!("/debts/{order}/write-off");
    let asked = hub.post(&token("finance", "gus"), &path, &json!({"reason": "gone abroad"})).expect(201);
    let path = format!("/write-offs/{}/{verdict}", asked["writeOffId"].as_str().unwrap());
    made(fay(), path, json!({"reason": "looked at"}))
}

fn fay() -> String {
    token("finance", "fay")
}

/// A day of the past that no other instance has.
fn past(tag: &str) -> String {
    let number: i64 = tag.trim_end_matches(['A', 'B']).parse().unwrap();
    let days = 10 + 2 * number + i64::from(tag.ends_with('B'));
    rfc3339(now_ms() - days * 86_400_000)[..10].to_owned()
}

/// A day with a bill of one line that nobody knows, as its channel writes it.
fn bill(day: &str, tag: &str) -> Value {
    json!(format!("kind,paymentNo,transactionId,refundNo,amountFen,at\nPAY,X{tag},T{tag},,700,{day}T04:00:00.000Z\n"))
}

fn import(_: &Hub, tag: &str) -> Made {
    let day = past(tag);
    made(fay(), format!("/reconciliations/{day}/bills?channel=sandbox"), bill(&day, tag))
}

fn reconciled(hub: &Hub, tag: &str) -> String {
    let day = past(tag);
    hub.post(&fay(), "/reconciliations", &json!({"day": day})).expect(201);
    day
}

fn item(hub: &Hub, tag: &str) -> Made {
    let bill = import(hub, tag);
    assert_eq!(send(hub, "POST", &bill, "bill", &bill.body).status, 200);
    let day = reconciled(hub, tag);
    let path = format!("/reconciliations/{day}/items/{day}:LONG:PAY:X{tag}/resolve");
    made(fay(), path, json!({"as": "RETURNED", "reason": "paid back"}))
}

/// Every call with an effect.
const SCENES: &[Scene] = &[
    scene("POST /stations", Rule::Key, |_, tag| made(admin(), "/stations", station(tag))),
    scene("PUT /stations/{id}/access", Rule::Key, |hub, tag| {
        hub.post(&admin(), "/stations", &station(tag)).expect(201);
        made(admin(), format!("/stations/S{tag}/access"), json!({"certificateOnly": true}))
    }),
    scene("POST /piles", Rule::Key, |_, tag| made(admin(), "/piles", pile(tag))),
    scene("POST /piles/import", Rule::Key, |_, tag| made(admin(), "/piles/import", json!([pile(tag)]))),
    scene("POST /piles/{code}/secret", Rule::Key, |hub, tag| of_pile(hub, tag, "secret")),
    scene("POST /piles/{code}/enrolment", Rule::Key, |hub, tag| of_pile(hub, tag, "enrolment")),
    scene("PUT /piles/{code}/maintenance", Rule::Key, |hub, tag| {
        hub.make_pile("S1", &format!("P{tag}"));
        made(token("ops", "olga"), format!("/piles/P{tag}/maintenance"), json!({"on": true, "reason": "cable"}))
    }),
    scene("POST /piles/{code}/commands", Rule::Key, command),
    scene("POST /integrations", Rule::Key, |_, tag| made(admin(), "/integrations", integration(tag))),
    scene("DELETE /integrations/{name}", Rule::Key, |hub, tag| {
        hub.post(&admin(), "/integrations", &integration(tag)).expect(201);
        made(admin(), format!("/integrations/i{tag}"), Value::Null)
    }),
    scene("POST /tariffs", Rule::Key, |_, tag| {
        made(token("ops", "author"), "/tariffs", json!({"stationId": "S1", "periods": day(tag)}))
    }),
    scene("POST /tariffs/{id}/publish", Rule::Key, |hub, _| {
        made(token("finance", "publisher"), format!("/tariffs/{}/publish", draft(hub)), Value::Null)
    }),
    scene("POST /tariffs/{id}/rollback", Rule::Key, |hub, _| {
        let published = hub.publish_tariff("S1", &day("again"));
        made(token("ops", "author"), format!("/tariffs/{published}/rollback"), json!({"reason": "too dear"}))
    }),
    scene("POST /tariffs/{id}/rollout", Rule::Key, |hub, tag| {
        hub.post(&admin(), "/stations", &station(tag)).expect(201);
        let published = hub.publish_tariff("S1", &day("again"));
        let further = json!({"stationIds": [format!("S{tag}")]});
        made(token("finance", "publisher"), format!("/tariffs/{published}/rollout"), further)
    }),
    scene("POST /tariffs/{id}/dry-run", Rule::Key, |hub, _| {
        made(token("finance", "publisher"), format!("/tariffs/{}/dry-run", draft(hub)), Value::Null)
    }),
    scene("POST /reconciliations", Rule::Key, |_, tag| made(fay(), "/reconciliations", json!({"day": past(tag)}))),
    scene("POST /reconciliations/{day}/bills", Rule::Key, import),
    scene("POST /reconciliations/{day}/items/{id}/resolve", Rule::Key, item),
    scene("POST /reconciliations/{day}/close", Rule::Key, |hub, tag| {
        made(fay(), format!("/reconciliations/{}/close", reconciled(hub, tag)), Value::Null)
    }),
    scene("POST /reconciliations/{day}/close/approve", Rule::Key, |hub, tag| {
        let path = format!("/reconciliations/{}/close", reconciled(hub, tag));
        hub.post(&fay(), &path, &Value::Null).expect(200);
        made(token("finance", "gus"), format!("{path}/approve"), Value::Null)
    }),
    scene("POST /orders", Rule::Key, start),
    scene("POST /orders/{no}/stop", Rule::Key, stop),
    scene("POST /orders/{no}/ticket", Rule::NoEffect, |hub, tag| ticket(hub, tag, "ticket")),
    scene("POST /orders/{no}/link", Rule::NoEffect, |hub, tag| ticket(hub, tag, "link")),
    scene("POST /ops/ticket", Rule::NoEffect, |_, _| made(token("ops", "olga"), "/ops/ticket", Value::Null)),
    scene("POST /wallet/topups", Rule::Key, |_, tag| {
        made(token("driver", tag), "/wallet/topups", json!({"amountFen": 500, "channel": "sandbox"}))
    }),
    scene("POST /payments/callback", Rule::Content, |hub, tag| {
        let (payment_no, _) = payment(hub, tag);
        let said = json!({"paymentNo": payment_no, "transactionId": tag, "amountFen": 700, "status": "SUCCESS"});
        made(String::new(), "/payments/callback", said)
    }),
    scene("POST /sandbox/pay/{paymentNo}", Rule::Content, |hub, tag| {
        made(String::new(), payment(hub, tag).1, Value::Null)
    }),
    scene("POST /debts/{orderNo}/repay", Rule::Key, owing),
    scene("POST /debts/{orderNo}/write-off", Rule::Key, |hub, tag| {
        let (_, order) = ended(hub, tag, 1_000, "20.000");
        made(fay(), format!("/debts/{order}/write-off"), json!({"reason": "gone abroad"}))
    }),
    scene("POST /write-offs/{id}/approve", Rule::Key, |hub, tag| write_off(hub, tag, "approve")),
    scene("POST /write-offs/{id}/reject", Rule::Key, |hub, tag| write_off(hub, tag, "reject")),
    scene("POST /adjustments", Rule::Key, |hub, tag| {
        let (_, order) = ended(hub, tag, 5_000, "10.000");
        made(fay(), "/adjustments", json!({"orderNo": order, "refundFen": 200, "reason": "the gun was hot"}))
    }),
    scene("POST /adjustments/{id}/approve", Rule::Key, |hub, tag| adjustment(hub, tag, "approve")),
    scene("POST /adjustments/{id}/reject", Rule::Key, |hub, tag| adjustment(hub, tag, "reject")),
    scene("POST /holds/{orderNo}/approve", Rule::Key, |hub, tag| held(hub, tag, "approve")),
    scene("POST /holds/{orderNo}/reject", Rule::Key, |hub, tag| held(hub, tag, "reject")),
    scene("PUT /users/{sub}/blacklist", Rule::Key, |_, tag| {
        made(token("risk", "rita"), format!("/users/u{tag}/blacklist"), json!({"on": true, "reason": "fraud"}))
    }),
    scene("POST /alarms/{id}/ack", Rule::Key, alarm),
    scene("POST /quarantine/{id}/replay", Rule::Key, mended),
];

/// Calls that need a channel which answers: `payments.rs` plays one.
const OF_CHANNELS: [&str; 5] = [
    "POST /payments/callback/{channel}",
    "POST /payments/{paymentNo}/refunds",
    "POST /refunds/{refundNo}/resolve",
    "POST /suspense/{suspenseId}/resolve",
    "POST /suspense/{suspenseId}/approve",
];

fn prepared() -> Hub {
    // Nothing is reconciled but what a scene asks for.
    let by_hand = [("reconciliation.at", "23:59"), ("reconciliation.intraday_s", "0")];
    let hub = Hub::start_with(&[&by_hand[..], &[("limits.http_requests_per_address_per_s_max", "0")]].concat());
    hub.make_station("S1");
    hub.publish_tariff("S1", &day("day"));
    hub
}

/// Rows of every table of effects.
fn rows(hub: &Hub) -> BTreeMap<&'static str, i64> {
    let db = Connection::open(hub.dir().join("money.db")).unwrap();
    let count = |table: &str| db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
    EFFECTS.into_iter().chain([CASES]).map(|table| (table, count(table))).collect()
}

/// What `then` has more than `before`.
fn more(before: &BTreeMap<&'static str, i64>, then: &BTreeMap<&'static str, i64>) -> BTreeMap<&'static str, i64> {
    then.iter().map(|(table, count)| (*table, count - before[table])).filter(|(_, more)| *more != 0).collect()
}

fn send(hub: &Hub, call: &str, made: &Made, key: &str, body: &Value) -> Reply {
    let method = call.split(' ').next().unwrap();
    let bytes = match body {
        Value::Null => Vec::new(),
        Value::String(text) => text.clone().into_bytes(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => serde_json::to_vec(body).unwrap(),
    };
    let bearer = format!("Bearer {}", made.token);
    let (at, signature) = signed(&bytes);
    let mut headers = vec![("idempotency-key", key), ("content-type", "application/json")];
    if made.token.is_empty() {
        headers.extend([("x-timestamp", at.as_str()), ("x-signature", signature.as_str())]);
    } else {
        headers.push(("authorization", bearer.as_str()));
    }
    hub.call(method, &format!("/api/v1{}", made.path), &headers, &bytes)
}

/// The headers of the sandbox channel: time and signature.
fn signed(body: &[u8]) -> (String, String) {
    let at = (now_ms() / 1_000).to_string();
    let mut mac = Hmac::<Sha256>::new_from_slice(SANDBOX_KEY.as_bytes()).unwrap();
    mac.update(format!("{at}.").as_bytes());
    mac.update(body);
    let signature = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    (at, signature)
}

/// Three times in a row; answers the effect of the one.
fn in_a_row(hub: &Hub, scene: &Scene, tag: &str) -> BTreeMap<&'static str, i64> {
    let made = (scene.make)(hub, tag);
    let before = rows(hub);
    let first = send(hub, scene.call, &made, tag, &made.body);
    assert!((200..300).contains(&first.status), "{}: {}", scene.call, first.text());
    let after = rows(hub);
    for _ in 0..2 {
        let again = send(hub, scene.call, &made, tag, &made.body);
        assert_eq!(again.status, first.status, "{}: {}", scene.call, again.text());
        if scene.rule == Rule::Key {
            assert_eq!(again.text(), first.text(), "{}: equal bytes", scene.call);
            assert_eq!(again.header("idempotency-replayed"), Some("true"), "{}", scene.call);
        }
    }
    if scene.rule == Rule::Key {
        send(hub, scene.call, &made, tag, &json!({"other": true})).refused(422, "IDEMPOTENCY_KEY_REUSED");
    }
    assert_eq!(rows(hub), after, "{}: a repeat has no effect", scene.call);
    let effect = more(&before, &after);
    assert_eq!(effect.is_empty(), scene.rule == Rule::NoEffect, "{}: {effect:?}", scene.call);
    effect
}

/// Ten times at once: the same effect as one.
fn at_once(hub: &Hub, scene: &Scene, tag: &str, effect: &BTreeMap<&'static str, i64>) {
    let made = (scene.make)(hub, tag);
    let before = rows(hub);
    let go = Barrier::new(WIDE);
    let call = || {
        go.wait();
        send(hub, scene.call, &made, tag, &made.body)
    };
    let replies: Vec<Reply> = thread::scope(|scope| {
        let calls: Vec<_> = (0..WIDE).map(|_| scope.spawn(call)).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    let (done, refused): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| (200..300).contains(&reply.status));
    assert!(!done.is_empty(), "{}: {replies:?}", scene.call);
    for reply in refused {
        reply.refused(409, "REQUEST_IN_PROGRESS");
    }
    if scene.rule == Rule::Key {
        let answers: BTreeSet<String> = done.iter().map(|reply| reply.text()).collect();
        assert_eq!(answers.len(), 1, "{}: {answers:?}", scene.call);
        let last = send(hub, scene.call, &made, tag, &made.body);
        assert!(answers.contains(&last.text()), "{}: {}", scene.call, last.text());
    }
    assert_eq!(more(&before, &rows(hub)), *effect, "{}: ten at once have the effect of one", scene.call);
}

#[test]
fn every_call_with_an_effect_has_it_once_however_often_it_is_sent() {
    let hub = prepared();
    let described = hub.call("GET", "/api/openapi.json", &[], b"").expect(200);
    let calls = described["paths"].as_object().unwrap().iter().flat_map(|(path, calls)| {
        let path = path.strip_prefix("/api/v1").unwrap();
        calls.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    let calls: BTreeSet<String> = calls.filter(|call| !call.starts_with("GET ")).collect();
    let shown = SCENES.iter().map(|scene| scene.call).chain(OF_CHANNELS);
    let scenes: BTreeSet<String> = shown.map(str::to_owned).collect();
    assert_eq!(scenes, calls, "a scene for every call with an effect, and none for others");

    for (number, scene) in SCENES.iter().enumerate() {
        let effect = in_a_row(&hub, scene, &format!("{number}A"));
        at_once(&hub, scene, &format!("{number}B"), &effect);
    }
    until("a clean audit", || hub.run(&["audit"]).status.success().then_some(()));
}
