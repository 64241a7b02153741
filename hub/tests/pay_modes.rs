//! How an order is paid for: a freeze, a fixed sum in advance, or credit after a check.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests fail loudly")]

mod support;

use serde_json::{Value, json};
use support::{
    Reply,
    charger::finished,
    scene::{Scene, order_no},
    token,
    wait::now_ms,
};

fn place(scene: &Scene, mode: &str, limit: &Value) -> Reply {
    let body = json!({"pileCode": "P1", "connectorId": 1, "payMode": mode, "limit": limit});
    scene.hub.post(&scene.driver, "/orders", &body)
}

/// Runs a placed order to its record.
fn finish(scene: &mut Scene, placed: &Value, kwh: &str) -> Value {
    let order = order_no(placed);
    let start = scene.charger.command("startCharging");
    scene.charger.accept(&start);
    let end = now_ms();
    scene.charger.send("charging/finished", &finished(&order, 1, kwh, 1, end - 3_600_000, end));
    assert_eq!(scene.charger.record_ack(&order), "stored");
    scene.order(&order)
}

fn wallet(available: i64, frozen: i64, debt: i64) -> Value {
    json!({"availableFen": available, "frozenFen": frozen, "debtFen": debt})
}

#[test]
fn an_order_says_how_it_is_paid_for_and_freezes_unless_told_otherwise() {
    let scene = Scene::new();
    place(&scene, "CASH", &Value::Null).refused(422, "VALIDATION");
    let order = scene.place();
    assert_eq!(scene.order(&order)["payMode"], "FREEZE");
}

#[test]
fn prepaid_sets_exactly_the_limit_aside_gives_the_difference_back_and_asks_for_what_is_missing() {
    let mut scene = Scene::new();
    let refused = place(&scene, "PREPAID", &Value::Null).refused(422, "VALIDATION");
    assert_eq!(refused["field"], "limit.amountFen");
    place(&scene, "PREPAID", &json!({"amountFen": 10_001})).refused(402, "INSUFFICIENT_BALANCE");
    assert_eq!(scene.wallet(), wallet(10_000, 0, 0));
    let less = place(&scene, "PREPAID", &json!({"amountFen": 2_000})).expect(201);
    assert_eq!((&less["frozenFen"], scene.wallet()), (&json!(2_000), wallet(8_000, 2_000, 0)));
    let ended = finish(&mut scene, &less, "10.000");
    assert_eq!((&ended["payMode"], &ended["bill"]["releasedFen"]), (&json!("PREPAID"), &json!(800)));
    assert_eq!(scene.wallet(), wallet(8_800, 0, 0));
    let more = place(&scene, "PREPAID", &json!({"amountFen": 1_000})).expect(201);
    let ended = finish(&mut scene, &more, "20.000");
    assert_eq!((&ended["bill"]["paidFen"], &ended["bill"]["debtFen"]), (&json!(1_000), &json!(1_400)));
    assert_eq!(scene.wallet(), wallet(7_800, 0, 1_400), "what was paid in advance is all that is taken unasked");
    let path = format!("/debts/{}/repay", order_no(&more));
    scene.hub.post(&scene.driver, &path, &Value::Null).expect(200);
    assert_eq!(scene.wallet(), wallet(6_400, 0, 0));
    assert!(scene.hub.run(&["audit"]).status.success());
}

#[test]
fn nobody_gets_credit_unless_the_operator_gives_it_and_the_driver_is_known() {
    let scene = Scene::new();
    let refused = place(&scene, "POSTPAID", &Value::Null).refused(403, "CREDIT_REFUSED");
    assert!(refused["detail"].as_str().unwrap().contains("no credit"), "{refused}");

    let mut scene = Scene::rich(&[("money.credit_limit_fen", "3000"), ("money.credit_paid_orders_min", "2")], 1_700);
    for kwh in ["5.000", "5.000"] {
        let refused = place(&scene, "POSTPAID", &Value::Null).refused(403, "CREDIT_REFUSED");
        assert!(refused["detail"].as_str().unwrap().contains("2 are needed"), "{refused}");
        scene.charge(kwh, 1);
    }
    assert_eq!(scene.wallet(), wallet(500, 0, 0));
    let placed = place(&scene, "POSTPAID", &json!({"amountFen": 9_000})).expect(201);
    assert_eq!((&placed["frozenFen"], scene.wallet()), (&json!(0), wallet(500, 0, 0)), "nothing is set aside");
    assert_eq!(scene.order(&order_no(&placed))["limit"]["amountFen"], 3_000, "the smaller of wish and limit");
    let second = json!({"pileCode": "P1", "connectorId": 2, "payMode": "POSTPAID"});
    let refused = scene.hub.post(&scene.driver, "/orders", &second).refused(403, "CREDIT_REFUSED");
    assert!(refused["detail"].as_str().unwrap().contains(&order_no(&placed)), "{refused}");
    let ended = finish(&mut scene, &placed, "10.000");
    assert_eq!((&ended["bill"]["paidFen"], &ended["bill"]["debtFen"]), (&json!(500), &json!(700)));
    assert_eq!(scene.wallet(), wallet(0, 0, 700));
    let refused = place(&scene, "POSTPAID", &Value::Null).refused(403, "CREDIT_REFUSED");
    assert!(refused["detail"].as_str().unwrap().contains("700 fen"), "{refused}");
    scene.hub.make_driver("anna", 700);
    scene.hub.post(&scene.driver, &format!("/debts/{}/repay", order_no(&placed)), &Value::Null).expect(200);
    let entry = json!({"on": true, "reason": "fraud"});
    scene.hub.put(&token("risk", "rita"), "/users/anna/blacklist", &entry).expect(200);
    assert!(matches!(place(&scene, "POSTPAID", &Value::Null).code().as_str(), "CREDIT_REFUSED" | "BLACKLISTED"));
    assert!(scene.hub.run(&["audit"]).status.success());
}

#[test]
fn of_ten_starts_on_credit_at_once_one_succeeds() {
    let scene = Scene::rich(&[("money.credit_limit_fen", "3000"), ("money.credit_paid_orders_min", "0")], 0);
    let piles: Vec<_> = (0..5).map(|n| scene.hub.make_pile("S1", &format!("Q{n}"))).collect();
    let chargers: Vec<_> = piles.iter().map(|pile| support::charger::Charger::online(&scene.hub, pile)).collect();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..10)
            .map(|n| {
                let scene = &scene;
                let body = json!({"pileCode": format!("Q{}", n / 2), "connectorId": n % 2 + 1, "payMode": "POSTPAID"});
                scope.spawn(move || scene.hub.post(&scene.driver, "/orders", &body).status)
            })
            .collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    drop(chargers);
}
