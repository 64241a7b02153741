//! The hub dies while a day is reconciled or closed: what was done is done once, what was not is done by the repeat.

use domain::Timestamp;
use serde_json::{Value, json};
use settlement::reconcile::Day;

use crate::support::{Hub, token, wait::now_ms};

fn yesterday() -> Day {
    Day::of(Timestamp::from_millis(now_ms()).unwrap(), "Asia/Shanghai").unwrap().before()
}

/// A hub with a bill of yesterday that names two payments nobody knows.
fn with_bill(day: Day) -> Hub {
    let hub = Hub::start_with(&[("reconciliation.intraday_s", "0"), ("reconciliation.at", "23:59")]);
    hub.make_station("S1");
    let at = Timestamp::from_millis(day.window("Asia/Shanghai").unwrap().0.as_millis()).unwrap();
    let text = format!("kind,paymentNo,transactionId,refundNo,amountFen,at\nPAY,X1,T1,,5,{at}\nPAY,X2,T2,,6,{at}\n");
    let bearer = format!("Bearer {}", token("finance", "fay"));
    let path = format!("/api/v1/reconciliations/{day}/bills?channel=sandbox");
    hub.call("POST", &path, &[("authorization", &bearer)], text.as_bytes()).expect(200);
    hub
}

fn look(hub: &Hub, day: Day) -> Value {
    hub.get(&token("finance", "fay"), &format!("/reconciliations/{day}")).expect(200)
}

#[test]
fn a_run_that_is_cut_off_is_done_once_by_its_repeat() {
    for point in [store::failpoint::MONEY_BEFORE_COMMIT, store::failpoint::MONEY_AFTER_COMMIT, "reconcile.items"] {
        let day = yesterday();
        let watched = with_bill(day).armed(Some(point));
        let (fay, body) = (token("finance", "fay"), json!({"day": day}));
        // It dies over this one.
        let _ = watched.hub().try_post(&fay, "/reconciliations", "run", &body);
        watched.wait_past(0);
        let hub = watched.hub();
        let again = hub.post_once(&fay, "/reconciliations", "run", &body);
        assert!(matches!(again.status, 200 | 201), "{point}: {}", again.text());
        assert_eq!(again.json()["openItems"], 2, "{point}");
        let seen = look(&hub, day);
        assert_eq!(seen["items"].as_array().unwrap().len(), 2, "{point}");
        assert_eq!(hub.post_once(&fay, "/reconciliations", "run", &body).body, again.body, "{point}");
        assert_eq!(look(&hub, day), seen, "{point}");
    }
}

/// A day about to be closed by its second person, who asks while the point is armed and again after the restart. Answers
/// what the store knew when the hub died; `None` when it did not.
fn close_over(point: &str) -> Option<String> {
    let day = yesterday();
    let hub = with_bill(day);
    let (fay, gus) = (token("finance", "fay"), token("finance", "gus"));
    hub.post(&fay, "/reconciliations", &json!({"day": day})).expect(201);
    for no in ["X1", "X2"] {
        let path = format!("/reconciliations/{day}/items/{day}:LONG:PAY:{no}/resolve");
        hub.post(&fay, &path, &json!({"as": "RETURNED", "reason": "by the channel"})).expect(200);
    }
    hub.post(&fay, &format!("/reconciliations/{day}/close"), &Value::Null).expect(200);
    let watched = hub.armed(Some(point));
    let path = format!("/reconciliations/{day}/close/approve");
    if watched.hub().try_post(&gus, &path, "close", &Value::Null).is_ok() {
        return None;
    }
    watched.wait_past(0);
    let hub = watched.hub();
    let found = look(&hub, day)["state"].as_str().unwrap().to_owned();
    let answer = hub.post_once(&gus, &path, "close", &Value::Null);
    assert_eq!(answer.expect(200)["state"], "CLOSED", "{point}");
    assert_eq!(hub.post_once(&gus, &path, "close", &Value::Null).body, answer.body, "{point}");
    assert_eq!(look(&hub, day)["closedBy"], "gus", "{point}");
    assert!(hub.run(&["audit"]).status.success(), "{point}");
    Some(found)
}

#[test]
fn a_close_that_is_cut_off_happened_or_not_and_the_repeat_closes() {
    for (point, wanted) in
        [(store::failpoint::MONEY_BEFORE_COMMIT, "OPEN"), (store::failpoint::MONEY_AFTER_COMMIT, "CLOSED")]
    {
        // Jobs beside the call have commits of their own, which may be hit before that of the close.
        let found: Vec<String> = (1..=20).map_while(|nth| close_over(&format!("{point}:{nth}"))).collect();
        assert!(found.iter().any(|state| state == wanted), "{point}: {found:?}");
    }
}
