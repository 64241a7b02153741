//! Several phones on one order: alike for all, and a slow one disturbs nobody.

use std::time::Duration;

use domain::Fen;
use settlement::order::OrderStatus;
use tokio::time::timeout;

use super::{Got, Hub, PATIENCE};
use crate::live::samples::bill;

#[tokio::test]
async fn two_phones_see_the_same_messages() {
    let mut hub = Hub::start();
    let (mut a, mut b) = (hub.phone().await, hub.phone().await);
    assert_eq!(a.expect("snap").await, b.expect("snap").await);
    for n in 1..=30 {
        hub.change(|o| o.frozen_fen = Fen(n));
        assert_eq!(a.expect("delta").await, b.expect("delta").await);
    }
}

/// A change whose message is bigger than what the sockets of these tests can hold.
fn change_much(hub: &mut Hub, n: i64) {
    hub.change(|o| {
        o.status = OrderStatus::Held;
        o.bill = Some(bill(1000, 1000 + n, 150));
    });
}

#[tokio::test]
async fn a_slow_phone_skips_ahead_by_a_snapshot_and_holds_nobody_up() {
    let mut hub = Hub::start();
    let (mut fast, mut slow) = (hub.phone().await, hub.phone().await);
    fast.expect("snap").await;
    for n in 1..=300 {
        change_much(&mut hub, n);
        fast.expect("delta").await;
    }
    let mut before_skip = Vec::new();
    let skipped = loop {
        match slow.next().await {
            Got::Text(message) if message["t"] == "snap" && message["seq"] != 1 => break message,
            Got::Text(message) => before_skip.push(message["seq"].as_u64().unwrap()),
            other @ (Got::Closed(_) | Got::Lost) => panic!("{other:?}"),
        }
    };
    assert!(before_skip.len() < 10, "no more than what was on its way waits for a slow phone: {before_skip:?}");
    assert_eq!((skipped["seq"].as_u64(), skipped["d"]["amountFen"].as_i64()), (Some(301), Some(1300)));
    change_much(&mut hub, 301);
    assert_eq!(slow.expect("delta").await["seq"], 302);
}

#[tokio::test]
async fn a_phone_that_takes_nothing_is_closed_with_4408() {
    let mut hub = Hub::with(|settings| settings.send_timeout = Duration::from_millis(50));
    let mut phone = hub.phone().await;
    phone.expect("snap").await;
    change_much(&mut hub, 1);
    // The seat is given back when the hub has made up its mind; then the phone wakes up and reads.
    timeout(PATIENCE, hub.live.seats.wait_empty()).await.unwrap();
    phone.expect("delta").await;
    assert_eq!(phone.next().await, Got::Closed(4408));
}
