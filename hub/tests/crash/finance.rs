//! The hub dies before or after every commit of what happens to money after a charge: a payment, a correction, a refund by
//! two persons, a write-off by two persons, unused money back to its channel. Each is done once, whoever asks again.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use bytes::BytesMut;
use loadtest::client::codec::{self, FromHub};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{
    Hub,
    charger::{Charger, finished, status},
    crash::Watched,
    token,
    wait::{DEADLINE, now_ms, until},
    world::Pile,
};

/// Paid in before anything dies, and at the armed hub.
const PAID_IN: [i64; 2] = [1_000, 2_000];
/// 1 kWh at the last reading, 20 kWh in the record that comes late: 1.20 and 24.00 yuan.
const TOTAL: i64 = 2_400;
/// The deposit and the second payment do not cover the rest, which becomes a debt that is given up.
const REFUND: i64 = 300;
const WITHDRAWN: i64 = 100;

/// A pile with a fault, an order settled at its last reading, and the record that the pile did not get rid of.
fn provisional(hub: &Hub) -> (Pile, String, Value) {
    hub.make_station("S1");
    let pile = hub.make_pile("S1", "P1");
    let anna = hub.make_driver("anna", PAID_IN[0]);
    let mut charger = Charger::online(hub, &pile);
    let placed = hub.post(&anna, "/orders", &json!({"pileCode": "P1", "connectorId": 1})).expect(201);
    let order = placed["orderNo"].as_str().unwrap().to_owned();
    let start = charger.command("startCharging");
    charger.accept(&start);
    let begin = now_ms() - 1_200_000;
    charger.send("charging/status", &status(&order, 1, "0", begin));
    charger.send("charging/status", &status(&order, 2, "1.000", begin + 60_000));
    let fault = json!({"eventId": "F1", "type": "fault", "connectorId": 1, "faultCode": "E106", "timestamp": now_ms()});
    charger.send("event", &fault);
    hub.until_status(&anna, &order, "EXCEPTION_CLOSED");
    charger.cut();
    let record = finished(&order, 3, "20.000", 3, begin, begin + 1_190_000);
    (pile, order, record)
}

/// Sends the record until the hub acknowledges it, through its deaths.
fn deliver(watched: &Watched, pile: &Pile, record: &Value) {
    until("the record to be acknowledged", || {
        let known = watched.restarts();
        let told = try_deliver(&watched.hub(), pile, record);
        if told.is_err() {
            watched.wait_past(known);
        }
        told.ok()
    });
}

fn try_deliver(hub: &Hub, pile: &Pile, record: &Value) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(hub.mqtt)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    let mut out = Vec::new();
    codec::connect(&mut out, &pile.code, Some(&pile.secret), 120);
    let ack = format!("pile/{}/record/ack", pile.code);
    codec::subscribe(&mut out, 1, &[ack.as_str()]);
    let topic = format!("pile/{}/charging/finished", pile.code);
    codec::publish(&mut out, &topic, Some(2), record.to_string().as_bytes());
    stream.write_all(&out)?;
    let mut input = BytesMut::new();
    loop {
        while let Some(packet) = codec::decode(&mut input).map_err(std::io::Error::other)? {
            if let FromHub::Publish { payload, .. } = packet {
                let told: Value = serde_json::from_slice(&payload)?;
                assert!(["stored", "duplicate"].contains(&told["result"].as_str().unwrap()), "{told}");
                return Ok(());
            }
        }
        let mut chunk = [0; 1024];
        match stream.read(&mut chunk)? {
            0 => return Err(std::io::ErrorKind::ConnectionReset.into()),
            read => input.extend_from_slice(&chunk[..read]),
        }
    }
}

/// Pays in the sandbox until it is answered: paying again is the same payment.
fn pay(watched: &Watched, payment_no: &str) {
    until("the payment to be credited", || {
        let known = watched.restarts();
        let hub = watched.hub();
        match hub.try_post("", &format!("/sandbox/pay/{payment_no}"), "", &Value::Null) {
            Ok(reply) => (reply.status == 200).then_some(()),
            Err(_) => {
                watched.wait_past(known);
                None
            }
        }
    });
}

/// Everything that happens to money after a charge, with a point armed. Answers how often the hub died.
fn life(point: &str) -> usize {
    let hub = Hub::start_with(&[
        ("order.fault_wait_s", "1"),
        ("reconciliation.intraday_s", "0"),
        ("reconciliation.at", "23:59"),
    ]);
    let (pile, order, record) = provisional(&hub);
    let watched = hub.armed(Some(point));
    let (anna, finn, fay, adam) =
        (token("driver", "anna"), token("finance", "finn"), token("finance", "fay"), token("admin", "adam"));
    let ask =
        |token: &str, path: &str, key: &str, body: &Value, status| watched.post_until(token, path, key, body, status);

    deliver(&watched, &pile, &record);
    let topup = ask(&anna, "/wallet/topups", "t", &json!({"amountFen": PAID_IN[1], "channel": "sandbox"}), 201);
    let payment_no = topup["paymentNo"].as_str().unwrap().to_owned();
    pay(&watched, &payment_no);
    // 1,000 of the 2,400 were paid from the first payment; of the rest 1,000 is repaid, the last 400 are given up.
    ask(&anna, &format!("/debts/{order}/repay"), "r", &json!({"amountFen": 1_000}), 200);
    let write_off = ask(&finn, &format!("/debts/{order}/write-off"), "w", &json!({"reason": "gone"}), 201);
    let id = write_off["writeOffId"].as_str().unwrap();
    ask(&fay, &format!("/write-offs/{id}/approve"), "wa", &Value::Null, 200);
    let adjustment = json!({"orderNo": order, "refundFen": REFUND, "reason": "kindness"});
    let adjustment = ask(&finn, "/adjustments", "a", &adjustment, 201);
    let id = adjustment["adjustmentId"].as_str().unwrap();
    ask(&adam, &format!("/adjustments/{id}/approve"), "aa", &Value::Null, 200);
    let back = json!({"amountFen": WITHDRAWN, "reason": "unused", "to": "channel"});
    let refund = ask(&anna, &format!("/payments/{payment_no}/refunds"), "b", &back, 201);
    let refund_no = refund["refundNo"].as_str().unwrap().to_owned();

    // The channel is asked beside the calls, and the hub may die over that too.
    until("the refund to arrive", || {
        let known = watched.restarts();
        let seen = watched.hub().try_get(&finn, &format!("/refunds/{refund_no}"));
        if seen.is_err() {
            watched.wait_past(known);
        }
        seen.is_ok_and(|reply| reply.json()["state"] == "SUCCESS").then_some(())
    });
    let deaths = watched.deaths().len();
    books(&watched.hub(), &anna, &order);
    deaths
}

/// What must be true in the end, whatever died in between.
fn books(hub: &Hub, anna: &str, order: &str) {
    let audit = hub.run(&["audit"]);
    assert_eq!(audit.status.code(), Some(0), "{}", String::from_utf8_lossy(&audit.stdout));
    let left = PAID_IN[1] - 1_000 + REFUND - WITHDRAWN;
    assert_eq!(hub.get(anna, "/wallet").expect(200), json!({"availableFen": left, "frozenFen": 0, "debtFen": 0}));
    let seen = hub.order(anna, order);
    assert_eq!((&seen["bill"]["totalFen"], &seen["bill"]["paidFen"]), (&json!(TOTAL), &json!(2_000)), "{seen}");
    assert_eq!((&seen["writtenOffFen"], &seen["refundedFen"]), (&json!(400), &json!(REFUND)), "{seen}");
    assert_eq!((&seen["paymentStatus"], &seen["provisional"]), (&json!("PARTIALLY_REFUNDED"), &json!(false)), "{seen}");
    assert_eq!(seen["corrections"].as_array().unwrap().len(), 1, "{seen}");
    let db = Connection::open(hub.dir().join("money.db")).unwrap();
    for kind in ["hold", "capture", "correct", "repay", "writeoff", "refund", "withdraw", "withdrawn"] {
        let sql = "SELECT count(*) FROM ops WHERE op LIKE ?1 || ':%'";
        let count: i64 = db.query_row(sql, [kind], |row| row.get(0)).unwrap();
        assert_eq!(count, 1, "{kind}");
    }
    let topups: i64 = db.query_row("SELECT count(*) FROM ops WHERE op LIKE 'topup:%'", [], |row| row.get(0)).unwrap();
    assert_eq!(topups, 2);
}

/// Arms a point at its first hit, then its second, until a life has no such hit.
fn every_hit_of(point: &str) -> usize {
    for nth in 1..=60 {
        if life(&format!("{point}:{nth}")) == 0 {
            return nth - 1;
        }
    }
    panic!("{point} is hit more than 60 times in one life");
}

#[test]
fn killed_before_every_commit_of_money_after_a_charge() {
    let hits = every_hit_of(store::failpoint::MONEY_BEFORE_COMMIT);
    assert!(hits >= 8, "correction, payment, repayment, write-off, refund, withdrawal: {hits}");
}

#[test]
fn killed_after_every_commit_of_money_after_a_charge() {
    let hits = every_hit_of(store::failpoint::MONEY_AFTER_COMMIT);
    assert!(hits >= 8, "correction, payment, repayment, write-off, refund, withdrawal: {hits}");
}
