//! After-sales refunds: two persons, limits by role, refunds by rule, and what a crash cuts off.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests fail loudly")]

mod support;

use rusqlite::Connection;
use serde_json::{Value, json};
use support::{Hub, scene::Scene, token, wait::until};

fn service() -> String {
    token("service", "sue")
}

fn finance(sub: &str) -> String {
    token("finance", sub)
}

fn ask(hub: &Hub, by: &str, order: &str, fen: i64) -> Value {
    let body = json!({"orderNo": order, "refundFen": fen, "reason": "光枪故障", "evidence": "photo 7"});
    hub.post(by, "/adjustments", &body).expect(201)
}

fn approve_path(adjustment: &Value) -> String {
    format!("/adjustments/{}/approve", adjustment["adjustmentId"].as_str().unwrap())
}

fn available(scene: &Scene) -> i64 {
    scene.wallet()["availableFen"].as_i64().unwrap()
}

#[test]
fn a_refund_takes_two_persons_and_is_credited_once() {
    let mut scene = Scene::new();
    let order = scene.charge("5.000", 1);
    assert_eq!(available(&scene), 9_400);
    let hub = &scene.hub;
    let body = json!({"orderNo": order, "refundFen": 100, "reason": "late"});
    for (by, code) in [(scene.driver.clone(), 403), (token("ops", "olga"), 403), (token("admin", "root"), 403)] {
        hub.post(&by, "/adjustments", &body).refused(code, "FORBIDDEN");
    }
    for (bad, field) in [
        (json!({"orderNo": order, "refundFen": 0, "reason": "late"}), "refundFen"),
        (json!({"orderNo": order, "refundFen": 601, "reason": "late"}), "refundFen"),
        (json!({"orderNo": order, "refundFen": 100}), "reason"),
    ] {
        assert_eq!(hub.post(&service(), "/adjustments", &bad).refused(422, "VALIDATION")["field"], field);
    }
    let missing = json!({"orderNo": "404", "refundFen": 1, "reason": "late"});
    hub.post(&service(), "/adjustments", &missing).refused(404, "ORDER_NOT_FOUND");

    let asked = ask(hub, &finance("fred"), &order, 100);
    assert_eq!(
        (&asked["state"], &asked["author"], &asked["userId"]),
        (&json!("REQUESTED"), &json!("fred"), &json!("anna"))
    );
    assert_eq!(available(&scene), 9_400, "nothing moves before somebody approves");
    let path = approve_path(&asked);
    hub.post(&finance("fred"), &path, &Value::Null).refused(403, "FORBIDDEN");
    hub.post(&token("admin", "fred"), &path, &Value::Null).refused(403, "FORBIDDEN");
    hub.post(&service(), &path, &Value::Null).refused(403, "FORBIDDEN");
    let first = hub.post_once(&finance("fay"), &path, "k", &Value::Null);
    assert_eq!((&first.expect(200)["state"], &first.json()["decidedBy"]), (&json!("CREDITED"), &json!("fay")));
    for _ in 0..3 {
        assert_eq!(hub.post_once(&finance("fay"), &path, "k", &Value::Null).body, first.body);
    }
    hub.post(&finance("fay"), &path, &Value::Null).refused(409, "ILLEGAL_STATE");
    assert_eq!(available(&scene), 9_500);
    assert_eq!(scene.order(&order)["paymentStatus"], "PARTIALLY_REFUNDED");

    let rest = ask(hub, &service(), &order, 500);
    let greedy = ask(hub, &service(), &order, 1);
    hub.post(&finance("fay"), &approve_path(&rest), &Value::Null).expect(200);
    assert_eq!((available(&scene), &scene.order(&order)["paymentStatus"]), (10_000, &json!("REFUNDED")));
    hub.post(&finance("fay"), &approve_path(&greedy), &Value::Null).refused(409, "ILLEGAL_STATE");
    let id = greedy["adjustmentId"].as_str().unwrap();
    let refused = hub.get(&service(), &format!("/adjustments/{id}")).expect(200);
    assert_eq!(refused["state"], "REJECTED", "what was paid is given back already: {refused}");
    let credited = hub.get(&token("auditor", "audra"), "/adjustments?state=credited").expect(200);
    assert_eq!(credited["items"].as_array().unwrap().len(), 2);
    hub.get(&service(), "/adjustments?state=paid").refused(422, "VALIDATION");
    hub.get(&scene.driver, "/adjustments").refused(403, "FORBIDDEN");
    let entries = hub.get(&scene.driver, "/wallet/entries").expect(200);
    assert_eq!(entries["items"][0]["kind"], "AFTER_SALES_REFUND");
    assert!(hub.run(&["audit"]).status.success());
}

#[test]
fn ten_approvals_at_once_credit_once() {
    let mut scene = Scene::new();
    let order = scene.charge("5.000", 1);
    let path = approve_path(&ask(&scene.hub, &service(), &order, 100));
    let hub = &scene.hub;
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..10)
            .map(|n| {
                let path = &path;
                scope.spawn(move || hub.post(&finance(&format!("f{n}")), path, &Value::Null).status)
            })
            .collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 1, "{answers:?}");
    assert_eq!(available(&scene), 9_500);
    assert!(scene.hub.run(&["audit"]).status.success());
}

#[test]
fn finance_approves_up_to_its_limit_and_an_admin_beyond() {
    let mut scene = Scene::rich(&[("adjustment.finance_max_fen", "50")], 10_000);
    let order = scene.charge("5.000", 1);
    let hub = &scene.hub;
    let large = ask(hub, &service(), &order, 51);
    hub.post(&finance("fay"), &approve_path(&large), &Value::Null).refused(403, "APPROVAL_LIMIT");
    hub.post(&token("admin", "root"), &approve_path(&large), &Value::Null).expect(200);
    hub.post(&finance("fay"), &approve_path(&ask(hub, &service(), &order, 50)), &Value::Null).expect(200);
    assert_eq!(available(&scene), 9_400 + 101);
    let unwanted = ask(hub, &service(), &order, 7);
    let path = format!("/adjustments/{}/reject", unwanted["adjustmentId"].as_str().unwrap());
    hub.post(&finance("fay"), &path, &Value::Null).refused(422, "VALIDATION");
    let rejected = hub.post_once(&finance("fay"), &path, "k", &json!({"reason": "no proof"}));
    assert_eq!(rejected.expect(200)["rejection"], "no proof");
    assert_eq!(hub.post_once(&finance("fay"), &path, "k", &json!({"reason": "no proof"})).body, rejected.body);
    hub.post(&token("admin", "root"), &approve_path(&unwanted), &Value::Null).refused(409, "ILLEGAL_STATE");
    assert_eq!(available(&scene), 9_501);
}

#[test]
fn an_approval_that_a_crash_cut_off_from_its_money_is_finished_after_the_restart() {
    let mut scene = Scene::new();
    let order = scene.charge("5.000", 1);
    let asked = ask(&scene.hub, &service(), &order, 100);
    scene.hub.kill();
    // What is left when the process dies between the approval and the money.
    let db = Connection::open(scene.hub.dir().join("money.db")).unwrap();
    let approved = "UPDATE cases SET state = 'APPROVED', rev = 2, body = json_set(body, '$.rev', 2, '$.approval.state',
        'APPROVED', '$.approval.decidedBy', json('{\"person\": \"fay\"}')) WHERE kind = 'ADJUSTMENT'";
    assert_eq!(db.execute(approved, []).unwrap(), 1);
    drop(db);
    scene.hub = scene.hub.again();
    until("the refund", || (available(&scene) == 9_500).then_some(()));
    let repeated = scene.hub.post_once(&finance("fay"), &approve_path(&asked), "k", &Value::Null);
    assert_eq!(repeated.expect(200)["state"], "CREDITED", "the approver's app calls again and is answered");
    assert_eq!(available(&scene), 9_500);
    assert!(scene.hub.run(&["audit"]).status.success());
}

#[test]
fn a_charge_that_a_power_loss_ended_is_compensated_once_over_every_restart() {
    let mut scene = Scene::rich(&[("compensation.auto_max_fen", "1000")], 10_000);
    // 5 kWh: 400 fen electricity, 200 fen service, which the built-in rule gives back.
    let order = scene.charge("5.000", 8);
    until("the compensation", || (available(&scene) == 9_600).then_some(()));
    let list = scene.hub.get(&service(), &format!("/adjustments?orderNo={order}")).expect(200);
    let given = &list["items"][0];
    assert_eq!(given["adjustmentId"], format!("comp:{order}:power-loss"), "{list}");
    assert_eq!((&given["author"], &given["state"]), (&json!("rule:power-loss"), &json!("CREDITED")));
    // The job that follows has forgotten how far it was.
    scene.hub.kill();
    let db = Connection::open(scene.hub.dir().join("money.db")).unwrap();
    assert_eq!(db.execute("DELETE FROM cases WHERE kind = 'PROGRESS' AND id = 'risk.outbox'", []).unwrap(), 1);
    drop(db);
    scene.hub = scene.hub.again();
    scene.charger = support::charger::Charger::online(&scene.hub, &scene.pile);
    let user = scene.charge("5.000", 1);
    let second = scene.charge("5.000", 8);
    until("the second compensation", || (available(&scene) == 9_600 - 600 - 600 + 200).then_some(()));
    assert_eq!(scene.order(&user)["paymentStatus"], "PAID", "who stops by themselves is given nothing");
    assert_eq!(scene.order(&second)["paymentStatus"], "PARTIALLY_REFUNDED");
    let all = scene.hub.get(&service(), "/adjustments").expect(200);
    assert_eq!(all["items"].as_array().unwrap().len(), 2, "{all}");
    assert!(scene.hub.run(&["audit"]).status.success());
}

#[test]
fn without_leave_to_give_by_itself_a_rule_asks_a_person() {
    let mut scene = Scene::new();
    let order = scene.charge("5.000", 8);
    let asked = until("the request", || {
        let list = scene.hub.get(&service(), &format!("/adjustments?orderNo={order}")).expect(200);
        list["items"].as_array().unwrap().first().cloned()
    });
    assert_eq!((&asked["state"], available(&scene)), (&json!("REQUESTED"), 9_400));
    let path = approve_path(&asked);
    // A person whose name looks like the rule's is still a person.
    scene.hub.post(&finance("rule:power-loss"), &path, &Value::Null).expect(200);
    assert_eq!(available(&scene), 9_600);
}
