//! What is kept for a pile that asked for it (clean session 0), and what is not for one that did not.
#![allow(clippy::unwrap_used, reason = "test code: what is not expected fails the test")]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{Charger, Hub, connect_packet, secret};
use domain::{PileNo, wire::DownTopic};
use rumqttc::{ConnectReturnCode, Packet};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

/// Connects as P1; the charger, and whether a session was present.
async fn connect(hub: &Hub, clean: bool) -> (Charger<TcpStream>, bool) {
    login(hub.dial().await, clean).await
}

async fn login<S: AsyncRead + AsyncWrite + Unpin>(mut charger: Charger<S>, clean: bool) -> (Charger<S>, bool) {
    let mut connect = connect_packet("P1", "P1", &secret("P1"));
    connect.clean_session = clean;
    charger.send(&Packet::Connect(connect)).await;
    match charger.next().await {
        Some(Packet::ConnAck(ack)) if ack.code == ConnectReturnCode::Success => (charger, ack.session_present),
        other => panic!("{other:?}"),
    }
}

async fn subscribe<S: AsyncRead + AsyncWrite + Unpin>(charger: &mut Charger<S>) {
    assert_eq!(charger.subscribe(&[("pile/P1/command".to_owned(), 1)]).await, [1]);
}

fn send(hub: &Hub, text: &'static str, keep: Duration) {
    let outbound = hub.gate.outbound();
    outbound.send_for(PileNo(1), DownTopic::Command, Bytes::from_static(text.as_bytes()), true, keep).unwrap();
}

const LONG: Duration = Duration::from_secs(600);

/// The next message: whether it is a duplicate, its packet id and its text.
async fn message<S: AsyncRead + AsyncWrite + Unpin>(charger: &mut Charger<S>) -> (bool, u16, String) {
    match charger.next().await {
        Some(Packet::Publish(publish)) => {
            (publish.dup, publish.pkid, String::from_utf8(publish.payload.to_vec()).unwrap())
        }
        other => panic!("{other:?}"),
    }
}

async fn gone<S>(hub: &Hub, charger: Charger<S>, epoch: u32) {
    drop(charger);
    let over = |told: &common::Told| matches!(told, common::Told::Down { epoch: e, .. } if *e == epoch);
    hub.store.until(|told| told.iter().any(over)).await;
}

#[tokio::test]
async fn a_kept_session_says_so_and_needs_no_new_subscribe() {
    let hub = Hub::start().await;
    let (mut first, present) = connect(&hub, false).await;
    assert!(!present, "there was none before");
    subscribe(&mut first).await;
    gone(&hub, first, 1).await;
    let (mut second, present) = connect(&hub, false).await;
    assert!(present);
    send(&hub, "start", LONG);
    assert_eq!(message(&mut second).await, (false, 1, "start".to_owned()));
}

#[tokio::test]
async fn what_was_not_acknowledged_comes_again_as_a_duplicate_under_its_id_before_what_is_new() {
    let hub = Hub::start().await;
    let (mut first, _) = connect(&hub, false).await;
    subscribe(&mut first).await;
    for text in ["one", "two", "three"] {
        send(&hub, text, LONG);
    }
    for (id, text) in [(1, "one"), (2, "two"), (3, "three")] {
        assert_eq!(message(&mut first).await, (false, id, text.to_owned()));
    }
    first.send(&Packet::PubAck(rumqttc::PubAck::new(2))).await;
    first.ping().await;
    gone(&hub, first, 1).await;
    let (mut second, present) = connect(&hub, false).await;
    assert!(present);
    send(&hub, "four", LONG);
    assert_eq!(message(&mut second).await, (true, 1, "one".to_owned()));
    assert_eq!(message(&mut second).await, (true, 3, "three".to_owned()));
    assert_eq!(message(&mut second).await, (false, 4, "four".to_owned()));
}

#[tokio::test]
async fn a_takeover_hands_the_session_on() {
    let hub = Hub::start().await;
    let (mut first, _) = connect(&hub, false).await;
    subscribe(&mut first).await;
    send(&hub, "start", LONG);
    assert_eq!(message(&mut first).await, (false, 1, "start".to_owned()));
    let (mut second, present) = connect(&hub, false).await;
    assert!(present);
    first.closed().await;
    assert_eq!(message(&mut second).await, (true, 1, "start".to_owned()));
}

#[tokio::test]
async fn a_clean_session_finds_nothing_and_leaves_nothing() {
    let hub = Hub::start().await;
    let (mut kept, _) = connect(&hub, false).await;
    subscribe(&mut kept).await;
    send(&hub, "for the kept one", LONG);
    assert!(!message(&mut kept).await.0);
    gone(&hub, kept, 1).await;
    let (mut clean, present) = connect(&hub, true).await;
    assert!(!present);
    subscribe(&mut clean).await;
    send(&hub, "for the clean one", LONG);
    assert_eq!(message(&mut clean).await, (false, 1, "for the clean one".to_owned()));
    gone(&hub, clean, 2).await;
    let (mut after, present) = connect(&hub, false).await;
    assert!(!present, "the clean one ended the session before it, and kept none");
    send(&hub, "waits for its subscribe", LONG);
    after.ping().await;
}

#[tokio::test(start_paused = true)]
async fn what_has_expired_meanwhile_does_not_come_again() {
    let hub = Hub::simulated();
    let (mut first, _) = login(hub.plug(1024), false).await;
    subscribe(&mut first).await;
    send(&hub, "stale", Duration::from_secs(5));
    send(&hub, "fresh", LONG);
    assert_eq!(message(&mut first).await.2, "stale");
    assert_eq!(message(&mut first).await.2, "fresh");
    gone(&hub, first, 1).await;
    tokio::time::advance(Duration::from_secs(5)).await;
    let (mut again, present) = login(hub.plug(1024), false).await;
    assert!(present);
    assert_eq!(message(&mut again).await, (true, 2, "fresh".to_owned()));
    again.ping().await;
}

#[tokio::test]
async fn a_refusal_never_says_that_a_session_is_present() {
    let hub = Hub::start().await;
    let (first, _) = connect(&hub, false).await;
    gone(&hub, first, 1).await;
    let mut wrong = connect_packet("P1", "P1", "wrong");
    wrong.clean_session = false;
    let mut charger = hub.dial().await;
    charger.send(&Packet::Connect(wrong)).await;
    match charger.next().await {
        Some(Packet::ConnAck(ack)) => assert!(!ack.session_present && ack.code != ConnectReturnCode::Success),
        other => panic!("{other:?}"),
    }
}
