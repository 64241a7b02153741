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
use loadtest::pay::{Channel, RefundMode};
use rusqlite::Connection;
use serde_json::{Value, json};
use sha2::Sha256;
use support::{
    Hub, Reply, SANDBOX_KEY,
    charger::{Charger, finished},
    pay::{World, refund_no},
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

/// Whether an effect is complete.
type Done = Box<dyn Fn(&Hub) -> Option<()> + Sync>;

/// A call that will succeed, and who must stay online for it.
struct Made {
    token: String,
    path: String,
    body: Value,
    /// How it is signed, when it has no token and is not the sandbox channel's.
    headers: Vec<(String, String)>,
    /// Whether its effect is complete, when that takes longer than its answer.
    done: Option<Done>,
    #[allow(dead_code, reason = "their connections end with it")]
    online: Vec<Charger>,
}

impl Made {
    /// Until its effect is complete.
    fn wait(&self, hub: &Hub) {
        if let Some(done) = &self.done {
            until(&format!("the effect of {}", self.path), || done(hub));
        }
    }
}

fn made(token: String, path: impl Into<String>, body: Value) -> Made {
    Made { token, path: path.into(), body, headers: Vec::new(), done: None, online: Vec::new() }
}

/// One kind of call in a world, which is a hub or has one; `tag` is new for each instance.
struct Scene<W> {
    call: &'static str,
    rule: Rule,
    make: fn(&W, &str) -> Made,
}

const fn scene<W>(call: &'static str, rule: Rule, make: fn(&W, &str) -> Made) -> Scene<W> {
    Scene { call, rule, make }
}

impl<W> Scene<W> {
    /// One effect, however the call is sent.
    fn play(&self, world: &W, hub: &Hub, number: &str) {
        let (first, second) = (format!("{number}A"), format!("{number}B"));
        let effect = in_a_row(hub, self.call, self.rule, &(self.make)(world, &first), &first);
        at_once(hub, self.call, self.rule, &(self.make)(world, &second), &second, &effect);
    }
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
    assert_eq!(send(hub, "POST", &bill, "bill").status, 200);
    let day = reconciled(hub, tag);
    let path = format!("/reconciliations/{day}/items/{day}:LONG:PAY:X{tag}/resolve");
    made(fay(), path, json!({"as": "RETURNED", "reason": "paid back"}))
}

/// Every call with an effect.
const SCENES: &[Scene<Hub>] = &[
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

/// Asks for 400 of a payment of 700 back.
fn refund(world: &World, tag: &str, by: &str) -> Value {
    let no = world.paid(&format!("driver{tag}"), Channel::Wechat, 700);
    world.refund(by, "finance", &no, 400).expect(201)
}

/// A refund that its channel does not take, so that a person must look.
fn refused_refund(world: &World, tag: &str) -> Made {
    world.sim.behave(|behaviour| behaviour.refunds = RefundMode::Refuse);
    let no = refund_no(&refund(world, tag, "gus"));
    world.until_refund(&no, "MANUAL");
    world.sim.behave(|behaviour| behaviour.refunds = RefundMode::Process);
    made(fay(), format!("/refunds/{no}/resolve"), json!({"outcome": "back", "reason": "the account is closed"}))
}

/// Money that nobody asked for, and one who says whose it is.
fn stray(world: &World, tag: &str) -> Made {
    let no = format!("STRAY{tag}");
    let transaction = world.sim.stray(Channel::Wechat, &no, 650);
    let telling = world.sim.telling(&no, &transaction).unwrap();
    assert_eq!(world.tell(&telling).0, 200);
    let item = world.suspense().into_iter().find(|item| item["paymentNo"] == no.as_str()).unwrap();
    let path = format!("/suspense/{}/resolve", item["suspenseId"].as_str().unwrap());
    made(fay(), path, json!({"to": "driver", "sub": format!("driver{tag}"), "reason": "her receipt"}))
}

/// Calls that need a channel which answers.
const OF_CHANNELS: &[Scene<World>] = &[
    // WeChat's copies are signed anew, and one with the same nonce is refused: `payments.rs` sends those.
    scene("POST /payments/callback/{channel}", Rule::Content, |world, tag| {
        let no = world.ask(&format!("driver{tag}"), Channel::Alipay, 700);
        let callback = world.sim.callback(&world.telling(&no)).unwrap();
        let path = callback.path.strip_prefix("/api/v1").unwrap();
        let body = Value::String(String::from_utf8(callback.body).unwrap());
        Made { headers: callback.headers, ..made(String::new(), path, body) }
    }),
    scene("POST /payments/{paymentNo}/refunds", Rule::Key, |world, tag| {
        let no = world.paid(&format!("driver{tag}"), Channel::Wechat, 700);
        let body = json!({"amountFen": 400, "reason": "unused", "to": "channel"});
        made(token("driver", &format!("driver{tag}")), format!("/payments/{no}/refunds"), body)
    }),
    scene("POST /refunds/{refundNo}/resolve", Rule::Key, refused_refund),
    scene("POST /suspense/{suspenseId}/resolve", Rule::Key, stray),
    scene("POST /suspense/{suspenseId}/approve", Rule::Key, |world, tag| {
        let asked = stray(world, tag);
        world.hub.post(&asked.token, &asked.path, &asked.body).expect(200);
        let (sub, path) = (format!("driver{tag}"), asked.path.replace("resolve", "approve"));
        // The money is on its way when the call is answered.
        let there = move |hub: &Hub| {
            let wallet = hub.get(&token("driver", &sub), "/wallet").expect(200);
            (wallet["availableFen"] == 650).then_some(())
        };
        Made { done: Some(Box::new(there)), ..made(token("finance", "gus"), path, Value::Null) }
    }),
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

fn send(hub: &Hub, call: &str, made: &Made, key: &str) -> Reply {
    send_other(hub, call, made, key, (&made.path, &made.body))
}

/// The same call with another path or body.
fn send_other(hub: &Hub, call: &str, made: &Made, key: &str, (path, body): (&str, &Value)) -> Reply {
    let method = call.split(' ').next().unwrap();
    let bytes = match body {
        Value::Null => Vec::new(),
        Value::String(text) => text.clone().into_bytes(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => serde_json::to_vec(body).unwrap(),
    };
    let bearer = format!("Bearer {}", made.token);
    let (at, signature) = signed(&bytes);
    let mut headers = vec![("idempotency-key", key)];
    headers.extend(made.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    if made.headers.is_empty() {
        headers.push(("content-type", "application/json"));
        match made.token.is_empty() {
            true => headers.extend([("x-timestamp", at.as_str()), ("x-signature", signature.as_str())]),
            false => headers.push(("authorization", bearer.as_str())),
        }
    }
    hub.call(method, &format!("/api/v1{path}"), &headers, &bytes)
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
fn in_a_row(hub: &Hub, call: &str, rule: Rule, made: &Made, tag: &str) -> BTreeMap<&'static str, i64> {
    let before = rows(hub);
    let first = send(hub, call, made, tag);
    assert!((200..300).contains(&first.status), "{}: {}", call, first.text());
    made.wait(hub);
    let after = rows(hub);
    for _ in 0..2 {
        let again = send(hub, call, made, tag);
        assert_eq!(again.status, first.status, "{}: {}", call, again.text());
        if rule == Rule::Key {
            assert_eq!(again.text(), first.text(), "{}: equal bytes", call);
            assert_eq!(again.header("idempotency-replayed"), Some("true"), "{}", call);
        }
    }
    if rule == Rule::Key {
        let other = format!("{}{}other=1", made.path, if made.path.contains('?') { '&' } else { '?' });
        for other in [(made.path.as_str(), &json!({"other": true})), (other.as_str(), &made.body)] {
            send_other(hub, call, made, tag, other).refused(422, "IDEMPOTENCY_KEY_REUSED");
        }
    }
    assert_eq!(rows(hub), after, "{}: a repeat has no effect", call);
    let effect = more(&before, &after);
    assert_eq!(effect.is_empty(), rule == Rule::NoEffect, "{}: {effect:?}", call);
    effect
}

/// Ten times at once: the same effect as one.
fn at_once(hub: &Hub, call: &str, rule: Rule, made: &Made, tag: &str, effect: &BTreeMap<&'static str, i64>) {
    let before = rows(hub);
    let go = Barrier::new(WIDE);
    let one = || {
        go.wait();
        send(hub, call, made, tag)
    };
    let replies: Vec<Reply> = thread::scope(|scope| {
        let sent: Vec<_> = (0..WIDE).map(|_| scope.spawn(one)).collect();
        sent.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let (done, refused): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| (200..300).contains(&reply.status));
    assert!(!done.is_empty(), "{}: {replies:?}", call);
    for reply in refused {
        reply.refused(409, "REQUEST_IN_PROGRESS");
    }
    if rule == Rule::Key {
        let answers: BTreeSet<String> = done.iter().map(|reply| reply.text()).collect();
        assert_eq!(answers.len(), 1, "{}: {answers:?}", call);
        let last = send(hub, call, made, tag);
        assert!(answers.contains(&last.text()), "{}: {}", call, last.text());
    }
    made.wait(hub);
    assert_eq!(more(&before, &rows(hub)), *effect, "{}: ten at once have the effect of one", call);
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
    let of_channels = OF_CHANNELS.iter().map(|scene| scene.call);
    let shown = SCENES.iter().map(|scene| scene.call).chain(of_channels);
    let scenes: BTreeSet<String> = shown.map(str::to_owned).collect();
    assert_eq!(scenes, calls, "a scene for every call with an effect, and none for others");

    for (number, scene) in SCENES.iter().enumerate() {
        scene.play(&hub, &hub, &number.to_string());
    }
    until("a clean audit", || hub.run(&["audit"]).status.success().then_some(()));
}

#[test]
fn so_has_every_call_that_a_payment_channel_takes_part_in() {
    let world = World::with(&[("payment.refund_tries_max", "1")]);
    // No refund ends by itself while its rows are counted.
    world.sim.behave(|behaviour| behaviour.refunds = RefundMode::Process);
    for (number, scene) in OF_CHANNELS.iter().enumerate() {
        scene.play(&world, &world.hub, &number.to_string());
    }
    world.is_sound();
}
