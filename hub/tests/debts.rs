//! Debts: what state they are in, giving them up by two persons, top-ups that pay them, reminders and the blacklist.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests fail loudly")]

mod support;

use rusqlite::Connection;
use serde_json::{Value, json};
use support::{
    Hub,
    charger::Charger,
    scene::Scene,
    token,
    wait::{now_ms, until},
};

/// A driver with 2,000 fen who charged for 2,400.
fn in_debt(settings: &[(&str, &str)]) -> (Scene, String) {
    let mut scene = Scene::rich(settings, 2_000);
    let order = scene.charge("20.000", 1);
    assert_eq!(scene.wallet(), json!({"availableFen": 0, "frozenFen": 0, "debtFen": 400}));
    (scene, order)
}

fn finance(sub: &str) -> String {
    token("finance", sub)
}

fn debts(hub: &Hub, by: &str, query: &str) -> Vec<Value> {
    hub.get(by, &format!("/debts{query}")).expect(200)["items"].as_array().unwrap().clone()
}

fn place(hub: &Hub, driver: &str) -> support::Reply {
    hub.post(driver, "/orders", &json!({"pileCode": "P1", "connectorId": 1}))
}

#[test]
fn a_debt_is_given_up_by_two_persons_and_then_blocks_nobody() {
    let (scene, order) = in_debt(&[]);
    let hub = &scene.hub;
    let open = debts(hub, &finance("fred"), "");
    assert_eq!(
        (&open[0]["orderNo"], &open[0]["state"], &open[0]["owedFen"]),
        (&json!(order), &json!("OPEN"), &json!(400))
    );
    assert_eq!(debts(hub, &scene.driver, "?state=OPEN").len(), 1);
    assert_eq!(debts(hub, &token("driver", "bert"), ""), Vec::<Value>::new(), "a driver sees their own");
    hub.get(&token("ops", "olga"), "/debts").refused(403, "FORBIDDEN");

    let path = format!("/debts/{order}/write-off");
    let half = json!({"amountFen": 150, "reason": "hardship"});
    hub.post(&token("service", "sue"), &path, &half).refused(403, "FORBIDDEN");
    hub.post(&finance("fred"), &path, &json!({"amountFen": 401, "reason": "x"})).refused(422, "VALIDATION");
    hub.post(&finance("fred"), &path, &json!({"amountFen": 1})).refused(422, "VALIDATION");
    let asked = hub.post(&finance("fred"), &path, &half).expect(201);
    let approve = format!("/write-offs/{}/approve", asked["writeOffId"].as_str().unwrap());
    hub.post(&finance("fred"), &approve, &Value::Null).refused(403, "FORBIDDEN");
    let first = hub.post_once(&finance("fay"), &approve, "k", &Value::Null);
    assert_eq!(first.expect(200)["state"], "WRITTEN_OFF");
    assert_eq!(hub.post_once(&finance("fay"), &approve, "k", &Value::Null).body, first.body);
    hub.post(&finance("fay"), &approve, &Value::Null).refused(409, "ILLEGAL_STATE");
    let partly = &debts(hub, &finance("fred"), "?state=PARTLY")[0];
    assert_eq!((&partly["writtenOffFen"], &partly["debtFen"]), (&json!(150), &json!(250)));
    hub.make_driver("anna", 5_000);
    place(hub, &scene.driver).refused(409, "OPEN_DEBT");

    let rest = hub.post(&finance("fred"), &path, &json!({"reason": "hardship"})).expect(201);
    assert_eq!(rest["amountFen"], 250);
    let approve = format!("/write-offs/{}/approve", rest["writeOffId"].as_str().unwrap());
    hub.post(&token("admin", "root"), &approve, &Value::Null).expect(200);
    let over =
        until("the debt to be filed as given up", || debts(hub, &scene.driver, "?state=WRITTEN_OFF").first().cloned());
    assert_eq!((&over["debtFen"], &over["repaidFen"]), (&json!(0), &json!(0)));
    hub.post(&finance("fred"), &path, &json!({"reason": "again"})).refused(409, "ILLEGAL_STATE");
    assert_eq!(debts(hub, &finance("fred"), ""), Vec::<Value>::new());
    place(hub, &scene.driver).expect(201);
    assert_eq!(
        hub.get(&finance("fred"), "/write-offs?state=WRITTEN_OFF").expect(200)["items"].as_array().unwrap().len(),
        2
    );
    assert!(hub.run(&["audit"]).status.success());
}

#[test]
fn a_top_up_pays_debts_by_itself_only_where_the_operator_wants_it() {
    let (mut scene, order) = in_debt(&[("money.repay_on_topup", "true")]);
    scene.hub.make_driver("anna", 150);
    until("a part to be paid", || (scene.wallet()["debtFen"] == 250).then_some(()));
    assert_eq!(scene.wallet(), json!({"availableFen": 0, "frozenFen": 0, "debtFen": 250}));
    scene.hub.make_driver("anna", 1_000);
    until("the rest to be paid", || (scene.wallet()["debtFen"] == 0).then_some(()));
    assert_eq!(scene.wallet(), json!({"availableFen": 750, "frozenFen": 0, "debtFen": 0}));
    assert_eq!(scene.order(&order)["paymentStatus"], "PAID");
    // Told of both top-ups once more, the follower pays nothing twice.
    scene.hub.kill();
    let db = Connection::open(scene.hub.dir().join("money.db")).unwrap();
    assert_eq!(db.execute("DELETE FROM cases WHERE kind = 'PROGRESS' AND id = 'risk.outbox'", []).unwrap(), 1);
    drop(db);
    scene.hub = scene.hub.again();
    let cleared = until("the debt to be filed", || debts(&scene.hub, &scene.driver, "?state=CLEARED").first().cloned());
    assert_eq!(cleared["repaidFen"], 400);
    assert_eq!(scene.wallet()["availableFen"], 750);
    assert!(scene.hub.run(&["audit"]).status.success());
}

/// How often an event of this name was told.
fn told(hub: &Hub, name: &str) -> i64 {
    let db = Connection::open(hub.dir().join("money.db")).unwrap();
    db.query_row("SELECT count(*) FROM outbox WHERE name = ?1", [name], |row| row.get(0)).unwrap()
}

fn blacklist(hub: &Hub) -> Value {
    hub.get(&token("risk", "rita"), "/users/anna/blacklist").expect(200)
}

#[test]
fn an_old_debt_reminds_once_and_closes_the_account_until_it_is_paid() {
    let (mut scene, order) = in_debt(&[("debt.reminder_days", "1,3"), ("debt.blacklist_after_days", "3")]);
    until("the debt to be watched", || (told(&scene.hub, "debt.opened") == 1).then_some(()));
    let filed = |hub: &Hub| {
        let db = Connection::open(hub.dir().join("money.db")).unwrap();
        db.query_row("SELECT count(*) FROM cases WHERE kind = 'DEBT'", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    until("the debt to be filed", || (filed(&scene.hub) == 1).then_some(()));
    scene.hub.kill();
    // Four days pass.
    let db = Connection::open(scene.hub.dir().join("money.db")).unwrap();
    let since = support::wait::rfc3339(now_ms() - 4 * 86_400_000);
    let aged = "UPDATE cases SET body = json_set(body, '$.watch.openedAt', ?1) WHERE kind = 'DEBT'";
    assert_eq!(db.execute(aged, [since]).unwrap(), 1);
    drop(db);
    scene.hub = scene.hub.again();
    let entry = until("the blacklist", || Some(blacklist(&scene.hub)).filter(|entry| entry["on"] == true));
    assert_eq!(entry["by"], "policy:debt", "{entry}");
    assert!(entry["reason"].as_str().unwrap().contains(&order), "{entry}");
    assert_eq!(told(&scene.hub, "debt.reminder"), 1, "the last day that passed, once");
    scene.hub = scene.hub.kill_and_restart();
    scene.hub.make_driver("anna", 5_000);
    scene.hub.post(&scene.driver, &format!("/debts/{order}/repay"), &Value::Null).expect(200);
    until("the entry to be taken off", || (blacklist(&scene.hub)["on"] == false).then_some(()));
    assert_eq!((told(&scene.hub, "debt.reminder"), told(&scene.hub, "debt.cleared")), (1, 1));
    let charger = Charger::online(&scene.hub, &scene.pile);
    place(&scene.hub, &scene.driver).expect(201);
    drop(charger);
}

#[test]
fn what_a_person_put_on_the_blacklist_only_a_person_takes_off() {
    let (scene, order) = in_debt(&[]);
    let entry = json!({"on": true, "reason": "fraud"});
    scene.hub.put(&token("risk", "rita"), "/users/anna/blacklist", &entry).expect(200);
    scene.hub.make_driver("anna", 5_000);
    scene.hub.post(&scene.driver, &format!("/debts/{order}/repay"), &Value::Null).expect(200);
    until("the debt to be filed", || debts(&scene.hub, &scene.driver, "?state=CLEARED").first().cloned());
    assert_eq!((&blacklist(&scene.hub)["on"], &blacklist(&scene.hub)["by"]), (&json!(true), &json!("rita")));
    place(&scene.hub, &scene.driver).refused(403, "BLACKLISTED");
}
