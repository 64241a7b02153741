//! Frames that are not understood [CONTRACT 1.6].

mod common;

use common::{Charger, Hub, Told, heartbeat};
use domain::wire::{Reason, UpTopic};
use tokio::net::TcpStream;

/// Sends a payload with QoS 1, waits for its PUBACK; what the sink was told of it.
async fn sent(hub: &Hub, charger: &mut Charger<TcpStream>, payload: impl Into<Vec<u8>>) -> Told {
    let before = hub.store.told().len();
    charger.publish("pile/P1/heartbeat", 1, 1, payload).await;
    assert_eq!(charger.puback().await, 1);
    hub.store.told().swap_remove(before)
}

#[tokio::test]
async fn a_frame_that_is_not_understood_is_handed_over_and_acknowledged() {
    let hub = Hub::start().await;
    let mut charger = hub.connect("P1").await;
    hub.store.until_told(Told::Up { pile_no: 1, epoch: 1 }).await;
    for (payload, reason) in [
        ("", Reason::MalformedJson),
        ("{", Reason::MalformedJson),
        (r#"{"status":1}"#, Reason::MissingField),
        (r#"{"status":1,"timestamp":1763690000000,"pileCode":"P2"}"#, Reason::ForeignPile),
    ] {
        let expected =
            Told::Bad { pile_no: 1, reason, topic: UpTopic::Heartbeat, len: payload.len(), acknowledged: true };
        assert_eq!(sent(&hub, &mut charger, payload).await, expected, "{payload}");
    }
    charger.publish("pile/P1/heartbeat", 0, 0, "nonsense").await;
    hub.store.until(|told| told.iter().any(|told| matches!(told, Told::Bad { acknowledged: false, .. }))).await;
    charger.ping().await;
}

#[tokio::test]
async fn of_an_oversize_frame_the_first_16_kib_are_kept_and_it_is_acknowledged() {
    let hub = Hub::start().await;
    let mut charger = hub.connect("P1").await;
    hub.store.until_told(Told::Up { pile_no: 1, epoch: 1 }).await;
    let padded = |len: usize| format!("{}{}", heartbeat(1), " ".repeat(len - heartbeat(1).len()));
    assert!(matches!(sent(&hub, &mut charger, padded(16 * 1024)).await, Told::Frame { .. }));
    let oversize =
        |len| Told::Bad { pile_no: 1, reason: Reason::Oversize, topic: UpTopic::Heartbeat, len, acknowledged: true };
    for len in [16 * 1024 + 1, 17_500, 100_000, 256 * 1024 - 100] {
        assert_eq!(sent(&hub, &mut charger, padded(len)).await, oversize(16 * 1024), "{len}");
    }
    charger.ping().await;
}

#[tokio::test]
async fn a_packet_that_claims_more_than_256_kib_closes_at_the_header() {
    let hub = Hub::start().await;
    let mut charger = hub.connect("P1").await;
    // 262,145 bytes as a remaining length; no byte of the body is sent.
    charger.send_bytes(&[0x32, 0x81, 0x80, 0x10]).await;
    charger.closed().await;
    hub.store.until_told(Told::Down { pile_no: 1, epoch: 1, cause: "too_long", will: false }).await;
}

#[tokio::test]
async fn the_20th_bad_frame_in_a_minute_closes_the_connection() {
    let hub = Hub::start().await;
    let mut charger = hub.connect("P1").await;
    for n in 1..=19 {
        charger.publish("pile/P1/heartbeat", 1, n, "bad").await;
        assert_eq!(charger.puback().await, n);
    }
    charger.publish("pile/P1/heartbeat", 1, 20, heartbeat(1)).await;
    assert_eq!(charger.puback().await, 20);
    charger.publish("pile/P1/heartbeat", 0, 0, "bad").await;
    charger.closed().await;
    let told = hub.store.until_told(Told::Down { pile_no: 1, epoch: 1, cause: "bad_frames", will: false }).await;
    assert_eq!(told.iter().filter(|told| matches!(told, Told::Bad { .. })).count(), 20, "each one is kept");
}

#[tokio::test]
async fn frames_that_only_the_actors_found_bad_count_too() {
    let hub = Hub::start().await;
    let mut charger = hub.connect("P1").await;
    let acks = hub.gate.acks();
    for _ in 0..10 {
        acks.report_bad(domain::PileNo(1), 1);
        // Of an earlier connection, and of nobody.
        acks.report_bad(domain::PileNo(1), 0);
        acks.report_bad(domain::PileNo(5), 1);
    }
    for n in 1..=9 {
        charger.publish("pile/P1/heartbeat", 1, n, "bad").await;
        assert_eq!(charger.puback().await, n);
    }
    charger.ping().await;
    acks.report_bad(domain::PileNo(1), 1);
    charger.closed().await;
}

#[tokio::test]
async fn one_malicious_pile_does_not_disturb_another() {
    let hub = Hub::start().await;
    let mut good = hub.subscribed("P1").await;
    for round in 0..20_u16 {
        let mut evil = hub.connect("P2").await;
        match round % 4 {
            0 => evil.publish("pile/P1/heartbeat", 1, 1, heartbeat(9)).await,
            1 => evil.send_bytes(&[0x32, 0xff, 0xff, 0xff, 0x7f]).await,
            2 => evil.send_bytes(&[0xff; 64]).await,
            _ => evil.publish("pile/P2/heartbeat", 2, 1, "x").await,
        }
        evil.closed().await;
        good.publish("pile/P1/heartbeat", 1, round + 1, heartbeat(round.into())).await;
        assert_eq!(good.puback().await, round + 1);
    }
    assert_eq!(hub.store.frames(), 20);
}
