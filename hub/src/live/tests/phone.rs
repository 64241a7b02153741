//! What a phone sees of its order: snapshot, deltas, end; leaving and coming back.

use actors::api::{Audience, LinkState};
use domain::{Fen, WattHours};
use serde_json::json;
use settlement::order::{OrderStatus, PaymentStatus};

use super::{Got, Hub};
use crate::live::samples::bill;

#[tokio::test]
async fn a_phone_gets_a_snapshot_deltas_and_the_end_with_the_bill() {
    let mut hub = Hub::start();
    let mut phone = hub.phone().await;
    let snap = phone.expect("snap").await;
    assert_eq!((&snap["seq"], &snap["hb"]), (&json!(1), &json!(15_000)));
    for field in
        ["orderNo", "userId", "pileCode", "status", "link", "bill", "frozenFen", "powerW", "voltageMv", "currentMa"]
    {
        assert!(snap["d"].get(field).is_some(), "{field}");
    }
    hub.progress(3125, 312);
    let delta = phone.expect("delta").await;
    assert_eq!(delta, json!({"t": "delta", "seq": 2, "d": {"energyWh": 3125, "amountFen": 312, "powerW": 47_800}}));
    hub.live.link_changed(&hub.order.order_no, LinkState::Offline);
    assert_eq!(phone.expect("delta").await, json!({"t": "delta", "seq": 3, "d": {"link": "offline"}}));
    hub.change(|o| o.status = OrderStatus::Stopping);
    assert_eq!(phone.expect("delta").await["d"], json!({"status": "STOPPING", "link": "live"}));
    hub.change(|o| {
        o.status = OrderStatus::Closed;
        o.payment_status = PaymentStatus::Paid;
        o.energy_wh = WattHours(3200);
        o.bill = Some(bill(3200, 320, 1));
        o.paid_fen = Fen(320);
    });
    let closing = phone.expect("delta").await;
    assert_eq!(closing["d"]["bill"]["totalFen"], 320);
    let end = phone.expect("end").await;
    assert_eq!(
        (&end["seq"], &end["d"]["status"], &end["d"]["bill"]["paidFen"]),
        (&json!(6), &json!("CLOSED"), &json!(320))
    );
    assert_eq!(phone.next().await, Got::Closed(1000));
}

#[tokio::test]
async fn an_order_that_has_ended_gives_snapshot_end_and_close_1000() {
    for status in [OrderStatus::Closed, OrderStatus::ExceptionClosed, OrderStatus::StartFailed, OrderStatus::Canceled] {
        let mut hub = Hub::start();
        hub.change(|o| o.status = status);
        let mut phone = hub.phone().await;
        assert_eq!(phone.expect("snap").await["d"], phone.expect("end").await["d"]);
        assert_eq!(phone.next().await, Got::Closed(1000), "{status:?}");
    }
}

#[tokio::test]
async fn fast_progress_is_merged_and_the_last_value_arrives() {
    let hub = Hub::start();
    let mut phone = hub.phone().await;
    phone.expect("snap").await;
    for n in 1..=50 {
        hub.progress(n, n);
        tokio::task::yield_now().await;
    }
    let mut deltas = 0;
    loop {
        let delta = phone.expect("delta").await;
        deltas += 1;
        if delta["d"]["energyWh"] == 50 {
            break;
        }
    }
    assert!((1..=3).contains(&deltas), "a burst of two and the one that was due, not {deltas}");
}

#[tokio::test]
async fn values_from_before_the_phone_came_are_in_its_snapshot() {
    let hub = Hub::start();
    let values = actors::api::Live { energy: WattHours(700), amount: Fen(70), ..Default::default() };
    hub.world.values.lock().insert(hub.order.order_no.clone(), values);
    let snap = hub.phone().await.expect("snap").await;
    assert_eq!((&snap["d"]["energyWh"], &snap["d"]["amountFen"]), (&json!(700), &json!(70)));
}

#[tokio::test]
async fn a_phone_that_comes_back_gets_exactly_what_it_missed() {
    let mut hub = Hub::start();
    let (mut stays, mut leaves) = (hub.phone().await, hub.phone().await);
    stays.expect("snap").await;
    let epoch = leaves.expect("snap").await["epoch"].as_str().unwrap().to_owned();
    leaves.0.close(None).await.unwrap();
    drop(leaves);
    let mut missed = Vec::new();
    for n in 1..=20 {
        hub.change(|o| o.frozen_fen = Fen(n));
        missed.push(stays.expect("delta").await);
    }
    let mut back = hub.phone_at(&format!("&epoch={epoch}&since=1")).await;
    for wanted in missed {
        assert_eq!(back.next().await, Got::Text(wanted));
    }
    hub.change(|o| o.frozen_fen = Fen(99));
    assert_eq!(back.expect("delta").await, json!({"t": "delta", "seq": 22, "d": {"frozenFen": 99}}));
}

#[tokio::test]
async fn a_phone_from_another_epoch_or_with_nonsense_gets_a_snapshot() {
    let hub = Hub::start();
    let epoch = hub.phone().await.expect("snap").await["epoch"].as_str().unwrap().to_owned();
    for more in [
        "&epoch=e1&since=1".to_owned(),
        format!("&epoch={epoch}"),
        format!("&epoch={epoch}&since=2"),
        format!("&epoch={epoch}&since=-1"),
        format!("&epoch={epoch}&since=abc"),
        "&since=1".to_owned(),
        "&epoch=%ff&since=".to_owned(),
    ] {
        hub.phone_at(&more).await.expect("snap").await;
    }
}

#[tokio::test]
async fn a_restarted_hub_has_another_epoch() {
    let first = Hub::start().phone().await.expect("snap").await["epoch"].clone();
    let second = Hub::start().phone().await.expect("snap").await["epoch"].clone();
    assert_ne!(first, second);
}

#[tokio::test]
async fn energy_and_amount_never_go_down_within_an_epoch() {
    let mut hub = Hub::start();
    let mut phone = hub.phone().await;
    let first = phone.expect("snap").await;
    hub.progress(500, 50);
    phone.expect("delta").await;
    hub.progress(400, 40);
    hub.change(|o| o.stop_pending = true);
    assert_eq!(phone.expect("delta").await["d"], json!({"stopPending": true}), "an estimate does not go down");
    hub.change(|o| {
        o.status = OrderStatus::Settling;
        o.energy_wh = WattHours(450);
        o.bill = Some(bill(450, 45, 1));
    });
    let corrected = phone.expect("snap").await;
    assert_ne!(corrected["epoch"], first["epoch"]);
    assert_eq!((&corrected["d"]["energyWh"], &corrected["d"]["amountFen"]), (&json!(450), &json!(45)));
}

#[tokio::test]
async fn a_phone_that_asks_gets_a_new_snapshot_but_not_without_end() {
    let hub = Hub::start();
    let mut phone = hub.phone().await;
    let first = phone.expect("snap").await;
    let started = tokio::time::Instant::now();
    for _ in 0..10 {
        phone.say(r#"{"t":"resync"}"#).await;
    }
    for _ in 0..3 {
        assert_eq!(phone.expect("snap").await, first);
    }
    assert!(started.elapsed() < std::time::Duration::from_secs(2), "the first ones come at once");
    assert_eq!(phone.expect("snap").await, first);
    assert!(started.elapsed() >= std::time::Duration::from_millis(1900), "the others make one, when it is due");
}

#[tokio::test]
async fn unknown_messages_are_ignored() {
    let hub = Hub::start();
    let mut phone = hub.phone().await;
    phone.expect("snap").await;
    for text in ["", "{", "[]", "null", r#"{"t":"hello"}"#, r#"{"t":7}"#, r#"{"t":"pong"}"#, r#"{"t":"pong","n":"x"}"#]
    {
        phone.say(text).await;
    }
    futures_util::SinkExt::send(&mut phone.0, tokio_tungstenite::tungstenite::Message::binary(vec![0, 1]))
        .await
        .unwrap();
    hub.progress(1, 1);
    phone.expect("delta").await;
}
