//! What a driver's phone sees, and that one phone does not disturb another [CONTRACT 4].
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests fail loudly")]

mod support;

use serde_json::{Value, json};
use support::{
    charger::{finished, status},
    phone::{Phone, Told, ticket},
    scene::Scene,
    token,
    wait::now_ms,
};

/// Applies deltas to a snapshot as a phone does: top-level fields are replaced.
fn apply(shown: &mut Value, delta: &Value) {
    for (field, value) in delta["d"].as_object().unwrap() {
        shown[field] = value.clone();
    }
}

/// Follows until the phone shows what is wanted; every delta must be the next one.
fn follow(phone: &mut Phone, snap: &Value, wanted: impl Fn(&Value) -> bool) -> (Value, i64) {
    let (mut shown, mut seq) = (snap["d"].clone(), snap["seq"].as_i64().unwrap());
    while !wanted(&shown) {
        let delta = phone.news().frame("delta");
        seq += 1;
        assert_eq!(delta["seq"], seq, "no gaps");
        apply(&mut shown, &delta);
    }
    (shown, seq)
}

#[test]
fn a_snap_has_the_fields_of_the_order_and_the_live_values() {
    let mut scene = Scene::new();
    let order = scene.charging();
    scene.charger.send("charging/status", &status(&order, 1, "0.500", now_ms()));
    scene.hub.until_order(&scene.driver, &order, "500 Wh", |order| order["energyWh"] == 500);
    let mut phone = Phone::follow(&scene.hub, &scene.driver, &order);
    let snap = phone.news().frame("snap");
    assert!(snap["epoch"].is_string() && snap["seq"].is_i64(), "{snap}");
    assert_eq!(snap["hb"], 15_000);
    let whole = scene.order(&order);
    for field in whole.as_object().unwrap().keys() {
        assert!(snap["d"].as_object().unwrap().contains_key(field), "{field} is missing in {snap}");
    }
    let d = &snap["d"];
    assert_eq!((&d["energyWh"], &d["powerW"], &d["voltageMv"]), (&json!(500), &json!(47_800), &json!(398_200)));
    assert_eq!((&d["currentMa"], &d["socPercent"]), (&json!(120_000), &json!(41.5)));
    assert!(d["amountFen"].is_i64() && d["asOf"].is_string(), "{d}");
    assert_eq!(d["bill"], Value::Null);
}

#[test]
fn deltas_come_without_gaps_and_the_end_carries_the_bill_and_closes_with_1000() {
    let mut scene = Scene::new();
    let order = scene.place();
    let mut phone = Phone::follow(&scene.hub, &scene.driver, &order);
    let snap = phone.news().frame("snap");
    assert_eq!(snap["d"]["status"], "STARTING");
    let start = scene.charger.command("startCharging");
    scene.charger.accept(&start);
    let begin = now_ms();
    scene.charger.send("charging/status", &status(&order, 1, "0.500", begin + 1_000));
    let (shown, seq) = follow(&mut phone, &snap, |shown| shown["energyWh"] == 500);
    assert_eq!((&shown["status"], &shown["powerW"]), (&json!("CHARGING"), &json!(47_800)), "{shown}");
    scene.charger.send("charging/finished", &finished(&order, 2, "1.000", 2, begin, begin + 60_000));
    let mut last = seq;
    let end = loop {
        let Told::Frame(frame) = phone.news() else { panic!("closed before the end") };
        last += 1;
        assert_eq!(frame["seq"], last, "no gaps up to the end: {frame}");
        if frame["t"] == "end" {
            break frame;
        }
    };
    assert_eq!((&end["d"]["status"], &end["d"]["bill"]["totalFen"]), (&json!("CLOSED"), &json!(120)), "{end}");
    assert_eq!(end["d"]["paymentStatus"], "PAID");
    assert_eq!(phone.next(), Told::Closed(1_000));
}

#[test]
fn energy_and_amount_never_go_down_within_an_epoch() {
    let mut scene = Scene::new();
    let order = scene.charging();
    let mut phone = Phone::follow(&scene.hub, &scene.driver, &order);
    let snap = phone.news().frame("snap");
    let begin = now_ms();
    for (seq, kwh) in [(1, "1.000"), (2, "0.200"), (3, "1.500"), (4, "0"), (5, "2.000")] {
        scene.charger.send("charging/status", &status(&order, seq, kwh, begin + i64::from(seq) * 1_000));
    }
    // The record says less than was shown.
    scene.charger.send("charging/finished", &finished(&order, 6, "1.200", 2, begin, begin + 10_000));
    let mut highest = [snap["d"]["energyWh"].as_i64().unwrap(), snap["d"]["amountFen"].as_i64().unwrap_or(0)];
    loop {
        match phone.news() {
            Told::Closed(code) => break assert_eq!(code, 1_000),
            Told::Frame(frame) => {
                for (field, highest) in ["energyWh", "amountFen"].into_iter().zip(&mut highest) {
                    if frame["t"] == "delta"
                        && let Some(value) = frame["d"][field].as_i64()
                    {
                        assert!(value >= *highest, "{field} went down: {frame}");
                        *highest = value;
                    }
                }
            }
        }
    }
    assert_eq!(scene.order(&order)["energyWh"], 1_200, "the record's total wins");
}

#[test]
fn the_hub_pings_at_application_level_and_a_resync_gets_a_new_snap() {
    let mut scene = Scene::with(&[("live.ping_every_s", "1")]);
    let order = scene.charging();
    let mut phone = Phone::follow(&scene.hub, &scene.driver, &order);
    assert_eq!(phone.next().frame("snap")["hb"], 1_000);
    let mut said = Vec::new();
    for _ in 0..2 {
        let ping = loop {
            match phone.next() {
                Told::Frame(frame) if frame["t"] == "ping" => break frame,
                Told::Frame(_) => {}
                Told::Closed(code) => panic!("closed with {code}"),
            }
        };
        phone.say(&json!({"t": "pong", "n": ping["n"]}));
        said.push(ping["n"].as_i64().unwrap());
    }
    assert!(said[0] < said[1], "{said:?}");
    phone.say(&json!({"t": "resync"}));
    let snap = loop {
        if let Told::Frame(frame) = phone.news()
            && frame["t"] == "snap"
        {
            break frame;
        }
    };
    assert_eq!(snap["d"]["orderNo"], order.as_str());
}

#[test]
fn a_phone_that_comes_back_gets_the_missing_deltas_instead_of_a_snap() {
    let mut scene = Scene::new();
    let order = scene.charging();
    let mut phone = Phone::follow(&scene.hub, &scene.driver, &order);
    let snap = phone.news().frame("snap");
    let begin = now_ms();
    scene.charger.send("charging/status", &status(&order, 1, "0.100", begin));
    let (mut shown, seen) = follow(&mut phone, &snap, |shown| shown["energyWh"] == 100);
    drop(phone);
    let mut other = Phone::follow(&scene.hub, &scene.driver, &order);
    let now = other.news().frame("snap");
    scene.charger.send("charging/status", &status(&order, 2, "0.200", begin + 1_000));
    follow(&mut other, &now, |shown| shown["energyWh"] == 200);
    let epoch = snap["epoch"].as_str().unwrap();
    let back = format!("ticket={}&epoch={epoch}&since={seen}", ticket(&scene.hub, &scene.driver, &order));
    let mut phone = Phone::open(&scene.hub, &back);
    let mut seq = seen;
    while shown["energyWh"] != 200 {
        let delta = phone.news().frame("delta");
        seq += 1;
        assert_eq!(delta["seq"], seq);
        apply(&mut shown, &delta);
    }
    let wrong = format!("ticket={}&epoch=other&since={seen}", ticket(&scene.hub, &scene.driver, &order));
    Phone::open(&scene.hub, &wrong).news().frame("snap");
    let future = format!("ticket={}&epoch={epoch}&since=999999", ticket(&scene.hub, &scene.driver, &order));
    Phone::open(&scene.hub, &future).news().frame("snap");
}

#[test]
fn a_ticket_opens_one_socket_and_what_is_no_ticket_is_closed_with_4401() {
    let mut scene = Scene::with(&[("auth.ticket_ttl_s", "1")]);
    let order = scene.charging();
    let once = ticket(&scene.hub, &scene.driver, &order);
    let mut phone = Phone::open(&scene.hub, &format!("ticket={once}"));
    phone.news().frame("snap");
    for query in [format!("ticket={once}"), "ticket=nonsense".to_owned(), "ticket=".to_owned(), "other=1".to_owned()] {
        assert_eq!(Phone::open(&scene.hub, &query).next(), Told::Closed(4_401), "{query}");
    }
    let path = format!("/orders/{order}/ticket");
    scene.hub.post(&token("driver", "bert"), &path, &Value::Null).refused(404, "ORDER_NOT_FOUND");
    let old = ticket(&scene.hub, &scene.driver, &order);
    // Pings come every 15 s; what ends the wait is the ticket's second, seen from outside as the time of an answer.
    let until = now_ms() + 1_100;
    support::wait::until("the ticket's second", || (now_ms() > until).then_some(()));
    assert_eq!(Phone::open(&scene.hub, &format!("ticket={old}")).next(), Told::Closed(4_401));
    phone.say(&json!({"t": "resync"}));
    phone.news().frame("snap");
}

#[test]
fn an_ended_order_gives_snap_end_and_close_1000_however_it_ended() {
    let mut scene = Scene::with(&[("order.start_deadline_s", "1")]);
    let closed = scene.charge("0.500", 1);
    let failed = scene.place();
    scene.charger.command("startCharging");
    scene.hub.until_status(&scene.driver, &failed, "START_FAILED");
    let canceled = scene.place();
    scene.hub.post(&scene.driver, &format!("/orders/{canceled}/stop"), &Value::Null).expect(202);
    scene.hub.until_status(&scene.driver, &canceled, "CANCELED");
    for (order, status) in [(closed, "CLOSED"), (failed, "START_FAILED"), (canceled, "CANCELED")] {
        let mut phone = Phone::follow(&scene.hub, &scene.driver, &order);
        assert_eq!(phone.news().frame("snap")["d"]["status"], status);
        let end = phone.news().frame("end");
        assert_eq!((&end["d"]["status"], &end["d"]["orderNo"]), (&json!(status), &json!(order)));
        assert_eq!(phone.next(), Told::Closed(1_000));
    }
}

#[test]
fn a_start_that_fails_is_told_to_the_phone_that_waits() {
    let mut scene = Scene::new();
    let order = scene.place();
    let mut phone = Phone::follow(&scene.hub, &scene.driver, &order);
    phone.news().frame("snap");
    let start = scene.charger.command("startCharging");
    scene.charger.reject(&start);
    let end = loop {
        let Told::Frame(frame) = phone.news() else { panic!("closed before the end") };
        if frame["t"] == "end" {
            break frame;
        }
    };
    assert_eq!(end["d"]["status"], "START_FAILED");
    assert_eq!(phone.next(), Told::Closed(1_000));
}

#[test]
fn bill_stored_then_money_moved_then_record_ack_and_the_phone_is_told_after_the_store() {
    let mut scene = Scene::new();
    let order = scene.charging();
    let mut phone = Phone::follow(&scene.hub, &scene.driver, &order);
    let end = now_ms();
    scene.charger.send("charging/finished", &finished(&order, 1, "1.000", 1, end - 60_000, end));
    assert_eq!(scene.charger.record_ack(&order), "stored");
    let stored = scene.order(&order);
    assert_eq!((&stored["bill"]["totalFen"], &stored["bill"]["paidFen"]), (&json!(120), &json!(120)));
    assert_eq!(scene.wallet(), json!({"availableFen": 9_880, "frozenFen": 0, "debtFen": 0}));
    let told = loop {
        let Told::Frame(frame) = phone.news() else { panic!("closed before the end") };
        if frame["t"] == "end" {
            break frame;
        }
    };
    assert_eq!(told["d"]["bill"], stored["bill"]);
    let hub = scene.hub.kill_and_restart();
    assert_eq!(hub.order(&scene.driver, &order)["bill"], stored["bill"], "what was acknowledged survives kill -9");
}

#[test]
fn a_link_opens_the_page_and_the_pages_sockets_again_and_again() {
    let mut scene = Scene::new();
    let order = scene.charging();
    let path = format!("/orders/{order}/link");
    scene.hub.post(&token("driver", "bert"), &path, &Value::Null).refused(404, "ORDER_NOT_FOUND");
    let made = scene.hub.post(&scene.driver, &path, &Value::Null);
    assert!(matches!(made.status, 200 | 201), "{}", made.text());
    let url = made.json()["url"].as_str().unwrap().to_owned();
    let at = url.find("/t/").unwrap();
    for _ in 0..2 {
        let page = scene.hub.call("GET", &url[at..], &[], b"");
        assert_eq!(page.status, 200);
        assert!(page.header("content-type").unwrap().starts_with("text/html"));
    }
    let page_ticket = &url[at + 3..];
    for _ in 0..3 {
        let mut phone = Phone::open(&scene.hub, &format!("ticket={page_ticket}"));
        assert_eq!(phone.news().frame("snap")["d"]["orderNo"], order.as_str());
    }
    scene.charger.send("charging/finished", &finished(&order, 1, "1.000", 1, now_ms() - 60_000, now_ms()));
    assert_eq!(scene.charger.record_ack(&order), "stored");
    let hub = scene.hub.kill_and_restart();
    let mut phone = Phone::open(&hub, &format!("ticket={page_ticket}"));
    phone.news().frame("snap");
    phone.news().frame("end");
    assert_eq!(phone.next(), Told::Closed(1_000));
    assert_eq!(hub.call("GET", &url[at..], &[], b"").status, 200);
}
