//! Orders over HTTP: every refusal with its code, every start once, everything to its owner only [CONTRACT 3].
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests fail loudly")]

mod support;

use std::{collections::BTreeSet, sync::Barrier, thread};

use serde_json::{Value, json};
use support::{
    Hub, Reply,
    charger::{Charger, finished},
    scene::{Scene, order_no},
    token,
    wait::{ms, now_ms, until},
};

fn place(scene: &Scene, connector: u8) -> Reply {
    scene.hub.post(&scene.driver, "/orders", &json!({"pileCode": "P1", "connectorId": connector}))
}

/// Calls at the same moment.
fn at_once(many: usize, call: impl Fn(usize) -> Reply + Sync) -> Vec<Reply> {
    let go = Barrier::new(many);
    thread::scope(|scope| {
        let one = |index| {
            let (go, call) = (&go, &call);
            scope.spawn(move || {
                go.wait();
                call(index)
            })
        };
        let calls: Vec<_> = (0..many).map(one).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    })
}

#[test]
fn a_start_is_refused_with_the_reason_that_a_driver_can_act_on() {
    let mut scene = Scene::new();
    let (ops, risk) = (token("ops", "olga"), token("risk", "rita"));
    scene
        .hub
        .post(&scene.driver, "/orders", &json!({"pileCode": "P9", "connectorId": 1}))
        .refused(404, "PILE_NOT_FOUND");
    scene.hub.make_pile("S1", "P2");
    let offline = json!({"pileCode": "P2", "connectorId": 1});
    scene.hub.post(&scene.driver, "/orders", &offline).refused(409, "PILE_OFFLINE");
    scene.hub.put(&ops, "/piles/P1/maintenance", &json!({"on": true, "reason": "cable"})).expect(200);
    place(&scene, 1).refused(409, "PILE_MAINTENANCE");
    scene.hub.put(&ops, "/piles/P1/maintenance", &json!({"on": false, "reason": "mended"})).expect(200);
    let gun = |plugged: bool| json!({"timestamp": now_ms(), "status": 1, "connectors": [{"connectorId": 1, "status": 1, "plugged": plugged}]});
    scene.charger.send("heartbeat", &gun(false));
    place(&scene, 1).refused(409, "NOT_PLUGGED");
    scene.charger.send("heartbeat", &gun(true));
    scene.hub.put(&risk, "/users/anna/blacklist", &json!({"on": true, "reason": "fraud"})).expect(200);
    place(&scene, 1).refused(403, "BLACKLISTED");
    scene.hub.put(&risk, "/users/anna/blacklist", &json!({"on": false, "reason": "mistake"})).expect(200);
    let poor = token("driver", "poor");
    let asked = json!({"pileCode": "P1", "connectorId": 1});
    scene.hub.post(&poor, "/orders", &asked).refused(402, "INSUFFICIENT_BALANCE");
    scene.hub.post(&token("ops", "olga"), "/orders", &asked).refused(403, "FORBIDDEN");
    scene.hub.call("POST", "/api/v1/orders", &[], b"{}").refused(401, "UNAUTHENTICATED");
    for bad in [
        json!({"pileCode": "P1"}),
        json!({"pileCode": "P1", "connectorId": "one"}),
        json!({"pileCode": "P1", "connectorId": 0}),
        json!({"pileCode": "P1", "connectorId": 9}),
        json!({"pileCode": "P1", "connectorId": 1, "limit": {"amountFen": -5}}),
        json!({"pileCode": "P1", "connectorId": 1, "limit": {"energyWh": 1.5}}),
        json!([]),
    ] {
        let refused = scene.hub.post(&scene.driver, "/orders", &bad);
        assert_eq!((refused.status, refused.code().as_str()), (422, "VALIDATION"), "{bad}: {}", refused.text());
    }
    let order = order_no(&place(&scene, 1).expect(201));
    place(&scene, 1).refused(409, "CONNECTOR_BUSY");
    scene.charger.command("startCharging");
    scene.hub.post(&scene.driver, "/orders/26NOSUCH/stop", &Value::Null).refused(404, "ORDER_NOT_FOUND");
    scene.hub.post(&risk, &format!("/holds/{order}/approve"), &Value::Null).refused(409, "ILLEGAL_STATE");
    assert_eq!(scene.wallet()["frozenFen"], 5_000, "no refusal froze anything");
}

#[test]
fn titles_and_next_steps_are_in_the_callers_language() {
    let scene = Scene::rich(&[], 0);
    let bearer = format!("Bearer {}", scene.driver);
    let ask = |language: &str| {
        let headers = [("authorization", bearer.as_str()), ("accept-language", language)];
        let asked = json!({"pileCode": "P1", "connectorId": 1}).to_string();
        scene.hub.call("POST", "/api/v1/orders", &headers, asked.as_bytes()).refused(402, "INSUFFICIENT_BALANCE")
    };
    let (zh, en) = (ask("zh-CN"), ask("en"));
    for field in ["title", "next"] {
        assert!(!zh[field].as_str().unwrap().is_ascii() && en[field].as_str().unwrap().is_ascii(), "{zh} {en}");
    }
}

#[test]
fn someone_elses_order_does_not_exist_for_a_driver_and_staff_see_it() {
    let mut scene = Scene::new();
    let order = scene.charging();
    let bert = scene.hub.make_driver("bert", 5_000);
    for path in ["", "/history"] {
        scene.hub.get(&bert, &format!("/orders/{order}{path}")).refused(404, "ORDER_NOT_FOUND");
        for role in ["service", "ops", "finance", "risk", "admin", "auditor"] {
            scene.hub.get(&token(role, "somebody"), &format!("/orders/{order}{path}")).expect(200);
        }
    }
    for path in ["stop", "ticket", "link"] {
        scene.hub.post(&bert, &format!("/orders/{order}/{path}"), &Value::Null).refused(404, "ORDER_NOT_FOUND");
    }
    assert_eq!(scene.hub.get(&bert, "/orders").expect(200)["items"], json!([]));
    let own = scene.hub.get(&scene.driver, "/orders").expect(200);
    assert_eq!(own["items"][0]["orderNo"], order.as_str());
    assert_eq!(scene.order(&order)["status"], "CHARGING");
}

#[test]
fn lists_of_orders_come_newest_first_and_page_by_page_to_null() {
    let mut scene = Scene::new();
    let mut placed: Vec<String> = (0..5).map(|_| scene.charge("0.010", 1)).collect();
    placed.reverse();
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = scene.hub.get(&scene.driver, &format!("/orders?limit=2&cursor={cursor}")).expect(200);
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["orderNo"].as_str().unwrap().to_owned()));
        match page["nextCursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!(seen, placed);
}

#[test]
fn fifty_starts_at_once_with_one_key_make_one_order_and_one_answer() {
    let mut scene = Scene::new();
    let asked = json!({"pileCode": "P1", "connectorId": 1});
    let replies = at_once(50, |_| scene.hub.post_once(&scene.driver, "/orders", "double-click", &asked));
    let bodies: BTreeSet<_> = replies.iter().filter(|reply| reply.status == 201).map(Reply::text).collect();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    for reply in replies.iter().filter(|reply| reply.status != 201) {
        reply.refused(409, "REQUEST_IN_PROGRESS");
    }
    let again = scene.hub.post_once(&scene.driver, "/orders", "double-click", &asked);
    assert_eq!((again.status, bodies.contains(&again.text())), (201, true));
    let other = json!({"pileCode": "P1", "connectorId": 2});
    let reused = scene.hub.post_once(&scene.driver, "/orders", "double-click", &other);
    reused.refused(422, "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(scene.hub.get(&scene.driver, "/orders").expect(200)["items"].as_array().unwrap().len(), 1);
    assert_eq!(scene.wallet()["frozenFen"], 5_000);
    scene.charger.command("startCharging");
    assert!(scene.charger.so_far().is_empty(), "one command only");
    let hub = scene.hub.kill_and_restart();
    let replayed = hub.post_once(&scene.driver, "/orders", "double-click", &asked);
    assert_eq!((replayed.status, bodies.contains(&replayed.text())), (201, true), "the key survives kill -9");
    hub.post_once(&scene.driver, "/orders", "double-click", &other).refused(422, "IDEMPOTENCY_KEY_REUSED");
}

#[test]
fn fifty_starts_at_once_with_different_keys_on_one_connector_make_one_order_and_49_clear_refusals() {
    let scene = Scene::rich(&[], 500_000);
    let asked = json!({"pileCode": "P1", "connectorId": 1});
    let replies = at_once(50, |n| scene.hub.post_once(&scene.driver, "/orders", &format!("k{n}"), &asked));
    let (placed, refused): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 201);
    assert_eq!((placed.len(), refused.len()), (1, 49));
    for reply in refused {
        reply.refused(409, "CONNECTOR_BUSY");
    }
    assert_eq!(scene.wallet()["frozenFen"], 5_000);
}

#[test]
fn ten_copies_of_a_payment_at_once_credit_once() {
    let hub = Hub::start();
    let driver = token("driver", "anna");
    let topup = hub.post(&driver, "/wallet/topups", &json!({"amountFen": 5_000, "channel": "sandbox"})).expect(201);
    let path = topup["payUrl"].as_str().unwrap().strip_prefix(&format!("http://{}", hub.http)).unwrap();
    for reply in at_once(10, |_| hub.call("POST", path, &[], b"")) {
        reply.expect(200);
    }
    assert_eq!(hub.get(&driver, "/wallet").expect(200)["availableFen"], 5_000);
}

#[test]
fn a_repeated_stop_with_one_key_gives_the_first_answer_even_when_the_order_has_gone_on() {
    let mut scene = Scene::new();
    let order = scene.charging();
    let path = format!("/orders/{order}/stop");
    let first = scene.hub.post_once(&scene.driver, &path, "stop-1", &Value::Null);
    first.expect(202);
    scene.charger.command("stopCharging");
    scene.charger.send("charging/finished", &finished(&order, 1, "0.100", 1, now_ms() - 5_000, now_ms()));
    assert_eq!(scene.charger.record_ack(&order), "stored");
    let again = scene.hub.post_once(&scene.driver, &path, "stop-1", &Value::Null);
    assert_eq!((again.status, again.body), (202, first.body));
}

#[test]
fn a_pile_is_shown_with_its_state_connectors_link_and_price() {
    let mut scene = Scene::new();
    let shown = scene.hub.get(&scene.driver, "/piles/P1").expect(200);
    assert_eq!(shown["link"], "live");
    assert!((ms(shown["lastSeen"].as_str().unwrap()) - now_ms()).abs() < 60_000);
    assert!(shown["state"].is_string() && shown["connectors"].as_array().unwrap().len() == 2, "{shown}");
    assert_eq!((&shown["tariff"]["electricityE4"], &shown["tariff"]["serviceE4"]), (&json!(8_000), &json!(4_000)));
    scene.charging();
    until("the busy connector", || scene.hub.connector("P1", 1).to_string().contains("CHARGING").then_some(()));
    scene.charger.cut();
    until("the pile to be stale", || {
        (scene.hub.get(&scene.driver, "/piles/P1").expect(200)["link"] == "stale").then_some(())
    });
    scene.charger = Charger::online(&scene.hub, &scene.pile);
}

#[test]
fn telemetry_is_told_as_means_per_bucket() {
    let mut scene = Scene::new();
    let from = now_ms() - 1_000;
    for voltage in [220, 230, 240] {
        scene.charger.send("heartbeat", &json!({"timestamp": now_ms(), "status": 1, "voltage": voltage}));
    }
    let (from, to) = (support::wait::rfc3339(from), support::wait::rfc3339(from + 600_000));
    let path = format!("/piles/P1/telemetry?from={from}&to={to}&stepS=300");
    let found = scene.hub.get(&token("ops", "olga"), &path).expect(200);
    let buckets = found["items"].as_array().unwrap();
    assert_eq!((buckets.len(), &buckets[0]["from"], &buckets[0]["voltageMv"]), (1, &json!(from), &json!(230_000)));
    scene.hub.get(&scene.driver, &path).refused(403, "FORBIDDEN");
}
