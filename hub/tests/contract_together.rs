//! Two drivers at two piles, a phone that does not read and a pile that means harm: nobody disturbs anybody.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests fail loudly")]

mod support;

use serde_json::{Value, json};
use support::{
    charger::{Charger, finished, status},
    phone::{Phone, Told},
    scene::{Scene, order_no},
    wait::now_ms,
};

/// Follows a phone to its end; answers the final order.
fn to_the_end(phone: &mut Phone) -> Value {
    loop {
        match phone.news() {
            Told::Frame(frame) if frame["t"] == "end" => {
                assert_eq!(phone.next(), Told::Closed(1_000));
                return frame["d"].clone();
            }
            Told::Frame(_) => {}
            Told::Closed(code) => panic!("closed with {code} before the end"),
        }
    }
}

#[test]
fn two_charges_a_slow_phone_and_a_malicious_pile_do_not_disturb_each_other() {
    let mut scene = Scene::new();
    let anna = scene.charging();
    let other = scene.hub.make_pile("S1", "P2");
    let bad = scene.hub.make_pile("S1", "P3");
    let mut charger = Charger::online(&scene.hub, &other);
    let bert = scene.hub.make_driver("bert", 10_000);
    let asked = json!({"pileCode": "P2", "connectorId": 1});
    let order = order_no(&scene.hub.post(&bert, "/orders", &asked).expect(201));
    let start = charger.command("startCharging");
    charger.accept(&start);
    scene.hub.until_status(&bert, &order, "CHARGING");

    // Eight phones that never read a byte, and one that does.
    let deaf: Vec<_> = (0..8).map(|_| Phone::follow(&scene.hub, &scene.driver, &anna)).collect();
    let mut phone = Phone::follow(&scene.hub, &scene.driver, &anna);
    let mut berts = Phone::follow(&scene.hub, &bert, &order);
    phone.news().frame("snap");
    berts.news().frame("snap");

    let begin = now_ms() - 120_000;
    for seq in 1..=50_u32 {
        let at = begin + i64::from(seq) * 1_000;
        let kwh = format!("0.{:03}", seq * 10);
        // P3 tries the topics, the orders and the patience of the others.
        if seq % 5 == 1 {
            attack(&scene, &bad, &anna, at);
        }
        scene.charger.send("charging/status", &status(&anna, seq, &kwh, at));
        charger.send("charging/status", &status(&order, seq, &kwh, at));
    }
    scene.charger.send("charging/finished", &finished(&anna, 51, "1.000", 2, begin, begin + 60_000));
    charger.send("charging/finished", &finished(&order, 51, "2.000", 2, begin, begin + 60_000));
    assert_eq!(scene.charger.record_ack(&anna), "stored");
    assert_eq!(charger.record_ack(&order), "stored");
    assert_eq!(to_the_end(&mut phone)["bill"]["totalFen"], 120);
    assert_eq!(to_the_end(&mut berts)["bill"]["totalFen"], 240);
    assert_eq!(scene.wallet()["availableFen"], 10_000 - 120);
    assert_eq!(scene.hub.get(&bert, "/wallet").expect(200)["availableFen"], 10_000 - 240);
    for (token, no) in [(&scene.driver, &anna), (&bert, &order)] {
        assert_eq!(scene.hub.order(token, no)["status"], "CLOSED");
    }
    assert!(scene.hub.quarantine().iter().all(|frame| frame["pileCode"] == "P3"), "only P3 was refused");
    // Whoever was slow finds everything when it looks at last.
    for mut phone in deaf {
        assert_eq!(to_the_end(&mut phone)["bill"]["totalFen"], 120);
    }
    assert!(scene.hub.run(&["audit"]).status.success());
}

/// One round of a pile that means harm, on a connection of its own.
fn attack(scene: &Scene, bad: &support::world::Pile, order: &str, at: i64) {
    let mut pile = Charger::connect(&scene.hub, bad);
    assert_eq!(pile.subscribe(&["pile/P1/command", "pile/+/command"]), [0x80, 0x80]);
    pile.send("charging/status", &status(order, 1, "900.000", at));
    pile.send("charging/finished", &finished(order, 1, "900.000", 1, at, at + 1_000));
    assert_eq!(pile.record_ack(order), "quarantined");
    pile.send("heartbeat", &json!({"pileCode": "P1", "timestamp": at, "status": 3}));
    pile.send_bytes("event", &vec![b'['; 20_000]);
    for _ in 0..15 {
        pile.send_bytes("meter", b"\xff\xfe");
    }
    pile.post("pile/P3/meter", b"{");
    pile.closed();
    let mut pile = Charger::connect(&scene.hub, bad);
    assert!(
        !pile.publish("pile/P1/charging/finished", finished(order, 1, "900.000", 1, at, at).to_string().as_bytes())
    );
}
