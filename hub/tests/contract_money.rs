//! What is frozen, taken, owed, held and given back [CONTRACT 2.2].
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests fail loudly")]

mod support;

use std::{sync::Barrier, thread};

use serde_json::{Value, json};
use support::{
    Hub, Reply,
    charger::{Charger, finished},
    scene::{Scene, order_no},
    token,
    wait::now_ms,
};

fn wallet(available: i64, frozen: i64, debt: i64) -> Value {
    json!({"availableFen": available, "frozenFen": frozen, "debtFen": debt})
}

fn place(scene: &Scene, limit: &Value) -> Reply {
    scene.hub.post(&scene.driver, "/orders", &json!({"pileCode": "P1", "connectorId": 1, "limit": limit}))
}

/// One yuan for a kWh, so that Wh are easily read as fen.
fn one_yuan(scene: &Scene) {
    let day = json!([{"from": "00:00", "to": "24:00", "label": "平", "electricityE4": 10_000, "serviceE4": 0}]);
    scene.hub.publish_tariff("S1", &day);
}

/// Runs a placed order to its record.
fn finish(scene: &mut Scene, order: &str, kwh: &str) -> Value {
    let start = scene.charger.command("startCharging");
    scene.charger.accept(&start);
    let end = now_ms();
    scene.charger.send("charging/finished", &finished(order, 1, kwh, 1, end - 3_600_000, end));
    assert_eq!(scene.charger.record_ack(order), "stored");
    scene.order(order)
}

#[test]
fn a_start_freezes_the_smaller_of_limit_and_available() {
    for (fen, limit, frozen) in [
        (10_000, Value::Null, 5_000),
        (3_000, Value::Null, 3_000),
        (10_000, json!({"amountFen": 2_000}), 2_000),
        (10_000, json!({"amountFen": 9_000}), 9_000),
        (4_000, json!({"amountFen": 9_000}), 4_000),
        (1_000, Value::Null, 1_000),
    ] {
        let scene = Scene::rich(&[], fen);
        let placed = place(&scene, &limit).expect(201);
        assert_eq!(placed["frozenFen"], frozen, "{fen} fen and {limit}");
        assert_eq!(scene.wallet(), wallet(fen - frozen, frozen, 0));
        let order = scene.order(&order_no(&placed));
        assert_eq!((&order["frozenFen"], &order["paymentStatus"]), (&json!(frozen), &json!("FROZEN")));
    }
}

#[test]
fn less_than_the_minimum_starts_nothing() {
    let scene = Scene::rich(&[], 999);
    place(&scene, &Value::Null).refused(402, "INSUFFICIENT_BALANCE");
    assert_eq!(scene.wallet(), wallet(999, 0, 0));
    let poor = Scene::rich(&[], 0);
    place(&poor, &Value::Null).refused(402, "INSUFFICIENT_BALANCE");
    let small = Scene::rich(&[], 5_000);
    let refused = place(&small, &json!({"amountFen": 999}));
    assert!(matches!(refused.status, 402 | 422), "{}", refused.text());
    assert_eq!(small.wallet(), wallet(5_000, 0, 0));
}

#[test]
fn the_total_is_taken_from_the_frozen_sum_and_the_rest_is_released() {
    let mut scene = Scene::new();
    let order = order_no(&place(&scene, &Value::Null).expect(201));
    let ended = finish(&mut scene, &order, "1.000");
    let bill = &ended["bill"];
    assert_eq!((&bill["totalFen"], &bill["paidFen"], &bill["releasedFen"]), (&json!(120), &json!(120), &json!(4_880)));
    assert_eq!((&bill["debtFen"], &ended["paymentStatus"]), (&json!(0), &json!("PAID")));
    assert_eq!(scene.wallet(), wallet(9_880, 0, 0));
}

#[test]
fn what_the_frozen_sum_does_not_cover_is_taken_from_the_available_balance() {
    let mut scene = Scene::rich(&[], 3_000);
    let order = order_no(&place(&scene, &json!({"amountFen": 1_000})).expect(201));
    let ended = finish(&mut scene, &order, "20.000");
    let bill = &ended["bill"];
    assert_eq!((&bill["totalFen"], &bill["paidFen"], &bill["releasedFen"]), (&json!(2_400), &json!(2_400), &json!(0)));
    assert_eq!(scene.wallet(), wallet(600, 0, 0));
}

#[test]
fn what_nothing_covers_is_a_debt_that_blocks_the_next_start_until_it_is_repaid() {
    let mut scene = Scene::rich(&[], 2_000);
    let order = order_no(&place(&scene, &json!({"amountFen": 1_000})).expect(201));
    let ended = finish(&mut scene, &order, "20.000");
    let bill = &ended["bill"];
    assert_eq!((&ended["status"], &ended["paymentStatus"]), (&json!("CLOSED"), &json!("UNPAID")));
    assert_eq!((&bill["paidFen"], &bill["debtFen"]), (&json!(2_000), &json!(400)));
    assert_eq!(scene.wallet(), wallet(0, 0, 400));
    scene.hub.make_driver("anna", 5_000);
    assert_eq!(scene.wallet(), wallet(5_000, 0, 400), "a top-up repays nothing by itself");
    place(&scene, &Value::Null).refused(409, "OPEN_DEBT");
    let path = format!("/debts/{order}/repay");
    scene.hub.post(&token("driver", "bert"), &path, &Value::Null).refused(404, "ORDER_NOT_FOUND");
    scene.hub.post(&scene.driver, &path, &json!({"amountFen": 401})).refused(422, "VALIDATION");
    scene.hub.post(&scene.driver, &path, &json!({"amountFen": 0})).refused(422, "VALIDATION");
    scene.hub.post(&scene.driver, &path, &json!({"amountFen": 150})).expect(200);
    assert_eq!(scene.wallet(), wallet(4_850, 0, 250));
    let partly = scene.order(&order);
    assert_eq!((&partly["paymentStatus"], &partly["bill"]["debtFen"]), (&json!("UNPAID"), &json!(250)));
    place(&scene, &Value::Null).refused(409, "OPEN_DEBT");
    scene.hub.post(&scene.driver, &path, &Value::Null).expect(200);
    assert_eq!(scene.wallet(), wallet(4_600, 0, 0));
    let paid = scene.order(&order);
    assert_eq!((&paid["paymentStatus"], &paid["bill"]["debtFen"]), (&json!("PAID"), &json!(0)));
    assert_eq!((&paid["bill"]["paidFen"], &paid["bill"]["totalFen"]), (&json!(2_400), &json!(2_400)));
    let again = scene.hub.post(&scene.driver, &path, &Value::Null);
    assert!((400..500).contains(&again.status), "nothing is owed: {}", again.text());
    place(&scene, &Value::Null).expect(201);
}

#[test]
fn a_repayment_beyond_the_available_balance_is_refused_and_takes_nothing() {
    let mut scene = Scene::rich(&[], 1_000);
    let order = order_no(&place(&scene, &Value::Null).expect(201));
    finish(&mut scene, &order, "20.000");
    scene.hub.make_driver("anna", 300);
    let path = format!("/debts/{order}/repay");
    scene.hub.post(&scene.driver, &path, &Value::Null).refused(402, "INSUFFICIENT_BALANCE");
    assert_eq!(scene.wallet(), wallet(300, 0, 1_400));
    scene.hub.post(&scene.driver, &path, &json!({"amountFen": 300})).expect(200);
    assert_eq!(scene.wallet(), wallet(0, 0, 1_100));
}

#[test]
fn a_total_of_exactly_the_risk_threshold_is_not_held() {
    let mut scene = Scene::rich(&[], 30_000);
    one_yuan(&scene);
    let order = order_no(&place(&scene, &Value::Null).expect(201));
    let ended = finish(&mut scene, &order, "200.000");
    assert_eq!((&ended["status"], &ended["bill"]["totalFen"]), (&json!("CLOSED"), &json!(20_000)));
    assert_eq!(scene.wallet(), wallet(10_000, 0, 0));
}

#[test]
fn a_total_over_the_risk_threshold_is_held_until_a_person_approves_it() {
    let mut scene = Scene::rich(&[], 30_000);
    one_yuan(&scene);
    let order = order_no(&place(&scene, &Value::Null).expect(201));
    let held = finish(&mut scene, &order, "200.010");
    assert_eq!((&held["status"], &held["paymentStatus"]), (&json!("HELD"), &json!("FROZEN")), "{held}");
    assert_eq!((&held["bill"]["totalFen"], &held["bill"]["paidFen"]), (&json!(20_001), &json!(0)));
    assert_eq!(scene.wallet(), wallet(25_000, 5_000, 0), "the freeze stays, nothing is taken");
    assert_eq!(scene.hub.get(&token("risk", "rita"), "/holds").expect(200)["items"][0]["orderNo"], order.as_str());
    let next = order_no(&place(&scene, &Value::Null).expect(201));
    scene.hub.post(&scene.driver, &format!("/orders/{next}/stop"), &Value::Null).expect(202);
    scene.hub.until_status(&scene.driver, &next, "CANCELED");
    let path = format!("/holds/{order}/approve");
    scene.hub.post(&token("finance", "fred"), &path, &Value::Null).refused(403, "FORBIDDEN");
    scene.hub.post(&token("risk", "rita"), &path, &Value::Null).expect(200);
    let paid = scene.order(&order);
    assert_eq!((&paid["status"], &paid["paymentStatus"]), (&json!("CLOSED"), &json!("PAID")));
    assert_eq!(scene.wallet(), wallet(9_999, 0, 0));
    scene.hub.post(&token("risk", "rita"), &path, &Value::Null).refused(409, "ILLEGAL_STATE");
}

#[test]
fn a_held_total_that_is_rejected_takes_nothing_and_releases_the_freeze() {
    let mut scene = Scene::rich(&[], 30_000);
    one_yuan(&scene);
    let order = order_no(&place(&scene, &Value::Null).expect(201));
    finish(&mut scene, &order, "200.010");
    scene.hub.post(&token("risk", "rita"), &format!("/holds/{order}/reject"), &Value::Null).expect(200);
    let ended = scene.order(&order);
    assert_eq!(ended["status"], "EXCEPTION_CLOSED", "{ended}");
    assert_eq!((&ended["bill"]["paidFen"], &ended["bill"]["debtFen"]), (&json!(0), &json!(0)));
    assert_eq!(scene.wallet(), wallet(30_000, 0, 0));
    scene
        .hub
        .post(&token("risk", "rita"), &format!("/holds/{order}/approve"), &Value::Null)
        .refused(409, "ILLEGAL_STATE");
}

#[test]
fn a_blacklisted_driver_starts_nothing_until_taken_off_the_list() {
    let scene = Scene::new();
    let risk = token("risk", "rita");
    scene.hub.put(&risk, "/users/anna/blacklist", &json!({"on": true, "reason": "fraud"})).expect(200);
    place(&scene, &Value::Null).refused(403, "BLACKLISTED");
    assert_eq!(scene.wallet(), wallet(10_000, 0, 0));
    scene.hub.put(&risk, "/users/anna/blacklist", &json!({"on": false, "reason": "mistake"})).expect(200);
    place(&scene, &Value::Null).expect(201);
}

#[test]
fn concurrent_starts_of_one_account_never_freeze_more_than_it_has() {
    let hub = Hub::start();
    hub.make_station("S1");
    let piles: Vec<_> = (0..12).map(|n| hub.make_pile("S1", &format!("P{n}"))).collect();
    let chargers: Vec<_> = piles.iter().map(|pile| Charger::online(&hub, pile)).collect();
    let driver = hub.make_driver("anna", 10_500);
    let asked: Vec<_> = (0..24)
        .map(|n| json!({"pileCode": format!("P{}", n / 2), "connectorId": n % 2 + 1, "limit": {"amountFen": 2_000}}))
        .collect();
    let go = Barrier::new(asked.len());
    let replies: Vec<Reply> = thread::scope(|scope| {
        let calls: Vec<_> = asked
            .iter()
            .map(|body| {
                scope.spawn(|| {
                    go.wait();
                    hub.post(&driver, "/orders", body)
                })
            })
            .collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    let (placed, refused): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 201);
    // Five of 2,000 leave 500, which is less than the minimum.
    assert_eq!(placed.len(), 5, "{replies:?}");
    assert_eq!(placed.iter().map(|reply| reply.json()["frozenFen"].as_i64().unwrap()).sum::<i64>(), 10_000);
    for reply in refused {
        reply.refused(402, "INSUFFICIENT_BALANCE");
    }
    assert_eq!(hub.get(&driver, "/wallet").expect(200), wallet(500, 10_000, 0));
    assert!(hub.run(&["audit"]).status.success(), "pilehub audit finds no breach");
    drop(chargers);
}

#[test]
fn the_ledger_holds_after_debts_holds_corrections_and_ghosts() {
    let mut scene = Scene::rich(&[("order.start_deadline_s", "1")], 2_000);
    scene.charge("5.000", 7);
    let order = scene.place();
    scene.charger.command("startCharging");
    scene.hub.until_status(&scene.driver, &order, "START_FAILED");
    scene.charger.send("charging/finished", &finished(&order, 1, "3.000", 1, now_ms() - 9_000, now_ms()));
    while scene.charger.next().topic != "pile/P1/record/ack" {}
    let order = order_no(&place(&scene, &Value::Null).expect(201));
    finish(&mut scene, &order, "20.000");
    scene.hub.make_driver("anna", 5_000);
    scene.hub.post(&scene.driver, &format!("/debts/{order}/repay"), &Value::Null).expect(200);
    assert_eq!(scene.wallet(), wallet(2_000 + 5_000 - 600 - 2_400, 0, 0));
    let entries = scene.hub.get(&scene.driver, "/wallet/entries?limit=100").expect(200);
    let entries = entries["items"].as_array().unwrap();
    let sum: i64 = entries.iter().map(|entry| entry["availableChangeFen"].as_i64().unwrap()).sum();
    assert_eq!(sum, 4_000, "the entries add up to the balance: {entries:?}");
    assert!(entries.iter().all(|entry| entry["entryId"].is_string()), "{entries:?}");
    assert!(scene.hub.run(&["audit"]).status.success());
}
