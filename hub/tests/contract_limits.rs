//! Limits of a charge, of a socket and of a connection: what happens when they are reached [CONTRACT 1, 2.2, 4].
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests fail loudly")]

mod support;

use serde_json::{Value, json};
use support::{
    charger::{Charger, finished, status},
    phone::{Phone, Told, ticket},
    scene::{Scene, order_no},
    token,
    wait::now_ms,
};

/// A running charge with a limit.
fn limited(scene: &mut Scene, limit: &Value) -> String {
    let asked = json!({"pileCode": "P1", "connectorId": 1, "limit": limit});
    let order = order_no(&scene.hub.post(&scene.driver, "/orders", &asked).expect(201));
    let start = scene.charger.command("startCharging");
    scene.charger.accept(&start);
    scene.hub.until_status(&scene.driver, &order, "CHARGING");
    order
}

#[test]
fn a_charger_that_goes_beyond_a_limit_is_stopped_with_stop_reason_6() {
    for (limit, kwh) in [
        (json!({"energyWh": 1_000}), "1.100"),
        // 10 yuan at 1.2 yuan per kWh.
        (json!({"amountFen": 1_000}), "9.000"),
        (json!({"socPercent": 40.0}), "0.500"),
        (json!({"durationS": 60}), "0.500"),
    ] {
        let mut scene = Scene::new();
        let order = limited(&mut scene, &limit);
        let begin = now_ms() - 3_600_000;
        scene.charger.send("charging/status", &status(&order, 1, "0", begin));
        let mut frame = status(&order, 2, kwh, begin + 600_000);
        frame["totalTime"] = json!(600);
        scene.charger.send("charging/status", &frame);
        let stop = scene.charger.command("stopCharging");
        assert_eq!((&stop["orderNo"], &stop["stopReason"]), (&json!(order), &json!(6)), "{limit}");
    }
}

#[test]
fn within_its_limits_a_charge_is_left_alone() {
    let mut scene = Scene::new();
    let order =
        limited(&mut scene, &json!({"energyWh": 10_000, "amountFen": 5_000, "socPercent": 90, "durationS": 7_200}));
    scene.charger.send("charging/status", &status(&order, 1, "5.000", now_ms()));
    scene.hub.until_order(&scene.driver, &order, "5000 Wh", |order| order["energyWh"] == 5_000);
    assert!(scene.charger.so_far().is_empty());
    assert_eq!(scene.order(&order)["status"], "CHARGING");
}

#[test]
fn more_sockets_than_an_order_may_have_are_closed_with_4429() {
    let mut scene = Scene::with(&[("limits.ws_sockets_per_order_max", "2")]);
    let order = scene.charging();
    let mut open: Vec<_> = (0..2).map(|_| Phone::follow(&scene.hub, &scene.driver, &order)).collect();
    for phone in &mut open {
        phone.news().frame("snap");
    }
    assert_eq!(Phone::follow(&scene.hub, &scene.driver, &order).next(), Told::Closed(4_429));
    open[0].say(&json!({"t": "resync"}));
    open[0].news().frame("snap");
}

#[test]
fn a_ticket_of_one_order_shows_no_other() {
    let mut scene = Scene::new();
    let order = scene.charging();
    let query = format!("ticket={}&orderNo=other", ticket(&scene.hub, &token("auditor", "ada"), &order));
    assert_eq!(Phone::open(&scene.hub, &query).news().frame("snap")["d"]["orderNo"], order.as_str());
}

#[test]
fn the_client_id_the_user_name_and_the_pile_are_one() {
    let scene = Scene::new();
    let other = scene.hub.make_pile("S1", "P2");
    for (client_id, user, secret) in
        [("P1", "P2", &other.secret), ("P2", "P1", &other.secret), ("P9", "P2", &other.secret)]
    {
        let (mut charger, answer) = Charger::dial_as(&scene.hub, client_id, user, secret);
        assert!(matches!(answer, 2 | 4 | 5), "{client_id} as {user}: CONNACK {answer}");
        charger.closed();
    }
}

#[test]
fn a_correction_beyond_the_balance_becomes_a_debt() {
    let mut scene = Scene::rich(&[("order.fault_wait_s", "1")], 1_000);
    let order = scene.charging();
    let begin = now_ms() - 60_000;
    scene.charger.send("charging/status", &status(&order, 1, "0", begin));
    scene.charger.send("charging/status", &status(&order, 2, "1.000", begin + 30_000));
    let fault = json!({"eventId": "F1", "type": "fault", "connectorId": 1, "faultCode": "E1", "timestamp": now_ms()});
    scene.charger.send("event", &fault);
    scene.hub.until_status(&scene.driver, &order, "EXCEPTION_CLOSED");
    scene.charger.send("charging/finished", &finished(&order, 3, "10.000", 3, begin, begin + 60_000));
    while scene.charger.next().topic != "pile/P1/record/ack" {}
    let fixed = scene.order(&order);
    assert_eq!((&fixed["bill"]["totalFen"], &fixed["bill"]["paidFen"]), (&json!(1_200), &json!(1_000)), "{fixed}");
    assert_eq!((&fixed["bill"]["debtFen"], &fixed["paymentStatus"]), (&json!(200), &json!("UNPAID")));
    assert_eq!(scene.wallet(), json!({"availableFen": 0, "frozenFen": 0, "debtFen": 200}));
    scene.hub.make_driver("anna", 500);
    let repay = format!("/debts/{order}/repay");
    for _ in 0..3 {
        scene.hub.post_once(&scene.driver, &repay, "once", &Value::Null).expect(200);
    }
    assert_eq!(scene.wallet(), json!({"availableFen": 300, "frozenFen": 0, "debtFen": 0}));
    assert_eq!(scene.order(&order)["paymentStatus"], "PAID");
    assert!(scene.hub.run(&["audit"]).status.success());
}

#[test]
fn a_tariff_that_is_published_for_later_is_used_by_orders_from_then_on() {
    let mut scene = Scene::new();
    let day = json!([{"from": "00:00", "to": "24:00", "label": "x", "electricityE4": 10_000, "serviceE4": 10_000}]);
    let draft = json!({"stationId": "S1", "periods": day});
    let draft = scene.hub.post(&token("ops", "author"), "/tariffs", &draft).expect(201);
    let at = now_ms() + 3_000;
    let publish = format!("/tariffs/{}/publish", draft["tariffId"].as_str().unwrap());
    let when = json!({"effectiveAt": support::wait::rfc3339(at)});
    scene.hub.post(&token("finance", "publisher"), &publish, &when).expect(200);
    let early = scene.charge("1.000", 1);
    assert!(now_ms() < at, "the machine was too slow for this test");
    support::wait::until("the new price", || {
        let pile = scene.hub.get(&scene.driver, "/piles/P1").expect(200);
        (pile["tariff"]["electricityE4"] == 10_000).then_some(())
    });
    let late = scene.charge("1.000", 1);
    assert_eq!(scene.order(&early)["bill"]["totalFen"], 120);
    assert_eq!(scene.order(&late)["bill"]["totalFen"], 200);
}

#[test]
fn an_answer_about_another_piles_order_or_an_unknown_one_is_quarantined() {
    let mut scene = Scene::new();
    let order = scene.charging();
    let other = scene.hub.make_pile("S1", "P2");
    let mut charger = Charger::online(&scene.hub, &other);
    for (many, order) in [(1, order.as_str()), (2, "NOSUCHORDER1")] {
        let answer = json!({"commandId": "C1", "orderNo": order, "result": "accepted", "timestamp": now_ms()});
        charger.send("command/ack", &answer);
        support::wait::until("the quarantined answer", || (scene.hub.quarantine().len() == many).then_some(()));
        assert_eq!(scene.hub.quarantine()[0]["pileCode"], "P2");
    }
    assert_eq!(scene.order(&order)["status"], "CHARGING");
}
