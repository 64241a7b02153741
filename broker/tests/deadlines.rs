//! Deadlines of a connection, in simulated time and over connections in memory.

mod common;

use std::time::Duration;

use broker::limits;
use bytes::Bytes;
use common::{Charger, Hub, PATIENCE, Told, connect_packet, heartbeat, secret};
use domain::{PileNo, wire::DownTopic};
use rumqttc::Packet;
use tokio::{
    io::{AsyncReadExt, DuplexStream},
    time::{Instant, sleep, timeout},
};

/// Deadlines are met within a round of the sweeper.
const ROUND: Duration = Duration::from_millis(1_100);

async fn connected(hub: &Hub, keep_alive: u16) -> Charger<DuplexStream> {
    let mut charger = hub.plug(64 * 1024);
    let mut connect = connect_packet("P1", "P1", &secret("P1"));
    connect.keep_alive = keep_alive;
    assert_eq!(charger.login_with(connect).await, 0);
    charger
}

/// Reads until the gate closes; after how long.
async fn until_closed(charger: &mut Charger<DuplexStream>) -> Duration {
    let since = Instant::now();
    let mut sink = Vec::new();
    // A reset is an end too.
    let _ = charger.stream.read_to_end(&mut sink).await;
    since.elapsed()
}

fn about(measured: Duration, expected: Duration) -> bool {
    measured + Duration::from_millis(20) >= expected && measured <= expected + ROUND
}

#[tokio::test(start_paused = true)]
async fn a_connect_must_come_within_5_seconds() {
    let hub = Hub::simulated();
    let mut silent = hub.plug(1024);
    let measured = until_closed(&mut silent).await;
    assert!(about(measured, limits::CONNECT_WITHIN), "{measured:?}");
    // Half a CONNECT is none, however slowly it trickles in.
    let mut slow = hub.plug(1024);
    let connect = common::encode(&Packet::Connect(connect_packet("P1", "P1", &secret("P1"))));
    let since = Instant::now();
    for byte in &connect[..connect.len() - 1] {
        if tokio::io::AsyncWriteExt::write_all(&mut slow.stream, &[*byte]).await.is_err() {
            break;
        }
        sleep(Duration::from_millis(500)).await;
    }
    until_closed(&mut slow).await;
    assert!(since.elapsed() < limits::CONNECT_WITHIN + Duration::from_secs(30));
    assert_eq!(hub.store.told(), []);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_that_trickle_their_connect_are_all_closed_in_time_and_a_pile_gets_in() {
    let hub = Hub::simulated();
    let connect = common::encode(&Packet::Connect(connect_packet("P1", "P1", &secret("P1"))));
    let mut slow: Vec<_> = (0..1_000).map(|_| hub.plug(1024)).collect();
    let since = Instant::now();
    let mut closed = 0;
    for byte in &connect {
        for charger in &mut slow {
            closed += usize::from(tokio::io::AsyncWriteExt::write_all(&mut charger.stream, &[*byte]).await.is_err());
        }
        assert_eq!(hub.plug(1024).login("P2", &secret("P2")).await, 0);
        sleep(Duration::from_millis(400)).await;
    }
    assert!(closed >= 1_000 && since.elapsed() > limits::CONNECT_WITHIN);
    assert!(hub.gate.connections() <= 1);
    assert!(hub.store.told().iter().all(|told| !matches!(told, Told::Up { pile_no: 1, .. })));
}

#[tokio::test(start_paused = true)]
async fn silence_for_one_and_a_half_keep_alives_closes() {
    let hub = Hub::simulated();
    for (keep_alive, silence) in [(10, 15), (1, 1), (60, 90), (0, 900)] {
        let mut charger = connected(&hub, keep_alive).await;
        let measured = until_closed(&mut charger).await;
        assert!(about(measured, Duration::from_secs(silence)), "keep-alive {keep_alive}: {measured:?}");
    }
    let causes =
        |told: &[Told]| told.iter().filter(|t| matches!(t, Told::Down { cause: "keep_alive", .. })).count() == 4;
    hub.store.until(causes).await;
}

#[tokio::test(start_paused = true)]
async fn keep_alive_counts_incoming_traffic_only() {
    let hub = Hub::simulated();
    let mut charger = connected(&hub, 10).await;
    assert_eq!(charger.subscribe(&[("pile/P1/command".to_owned(), 0)]).await, [0]);
    let since = Instant::now();
    let outbound = hub.gate.outbound();
    let talk = async {
        // The hub talks and talks; the pile says nothing.
        while outbound.send(PileNo(1), DownTopic::Command, Bytes::from_static(b"{}"), false).is_ok() {
            sleep(Duration::from_secs(1)).await;
        }
    };
    let both = async { tokio::join!(talk, until_closed(&mut charger)) };
    timeout(PATIENCE, both).await.expect("what the hub says keeps the connection alive");
    assert!(about(since.elapsed(), Duration::from_secs(16)), "{:?}", since.elapsed());
    hub.store.until_told(Told::Down { pile_no: 1, epoch: 1, cause: "keep_alive", will: false }).await;
}

#[tokio::test(start_paused = true)]
async fn a_late_puback_is_no_sign_of_life_either() {
    let hub = Hub::simulated();
    hub.store.acknowledge_at_once(false);
    let mut charger = connected(&hub, 10).await;
    charger.publish("pile/P1/heartbeat", 1, 1, heartbeat(1)).await;
    hub.store.until(|told| told.len() == 2).await;
    let since = Instant::now();
    sleep(Duration::from_secs(12)).await;
    hub.store.complete_all();
    assert_eq!(charger.puback().await, 1);
    until_closed(&mut charger).await;
    assert!(about(since.elapsed(), Duration::from_secs(15)), "{:?}", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn any_packet_keeps_it_alive() {
    let hub = Hub::simulated();
    let mut charger = connected(&hub, 10).await;
    for n in 0..50 {
        sleep(Duration::from_secs(14)).await;
        if n % 2 == 0 {
            charger.ping().await;
        } else {
            charger.publish("pile/P1/heartbeat", 0, 0, heartbeat(n)).await;
        }
    }
    charger.ping().await;
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_cannot_be_stored_in_30_seconds_closes_so_that_it_is_sent_again() {
    let hub = Hub::simulated();
    hub.store.acknowledge_at_once(false);
    let mut charger = connected(&hub, 600).await;
    charger.publish("pile/P1/heartbeat", 1, 1, heartbeat(1)).await;
    hub.store.until(|told| told.len() == 2).await;
    let measured = until_closed(&mut charger).await;
    assert!(about(measured, limits::STORE_WITHIN), "{measured:?}");
    hub.store.until_told(Told::Down { pile_no: 1, epoch: 1, cause: "store_timeout", will: false }).await;
}

#[tokio::test(start_paused = true)]
async fn a_pile_that_reads_nothing_is_closed_after_the_write_timeout() {
    const ROOM: usize = 256;
    // Fixed header, topic and its length.
    const AROUND_PAYLOAD: usize = 3 + 2 + "pile/P1/command".len();
    // One that is taken in part, then nothing; one that fits exactly, then one of which not a byte is taken.
    for payloads in [vec![4096], vec![ROOM - AROUND_PAYLOAD, 1]] {
        let hub = Hub::simulated();
        let mut charger = hub.plug(ROOM);
        assert_eq!(charger.login("P1", &secret("P1")).await, 0);
        assert_eq!(charger.subscribe(&[("pile/P1/command".to_owned(), 0)]).await, [0]);
        let since = Instant::now();
        for len in payloads {
            hub.gate.outbound().send(PileNo(1), DownTopic::Command, Bytes::from(vec![0; len]), false).unwrap();
            // So that each is written by itself.
            sleep(Duration::from_millis(1)).await;
        }
        hub.store.until_told(Told::Down { pile_no: 1, epoch: 1, cause: "write_timeout", will: false }).await;
        assert!(about(since.elapsed(), limits::WRITE_WITHIN), "{:?}", since.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_connection_is_gone_a_moment_later_whatever_it_does() {
    let hub = Hub::simulated();
    let mut charger = hub.plug(1024);
    assert_eq!(charger.login("P1", "wrong").await, 4);
    charger.send(&Packet::Connect(connect_packet("P1", "P1", &secret("P1")))).await;
    charger.closed().await;
    let since = Instant::now();
    while hub.gate.connections() > 0 {
        sleep(Duration::from_millis(50)).await;
    }
    assert!(about(since.elapsed(), limits::LINGER), "{:?}", since.elapsed());
    assert_eq!(hub.store.told(), []);
}

#[tokio::test(start_paused = true)]
async fn bad_frames_are_counted_over_a_sliding_minute() {
    let hub = Hub::simulated();
    let mut charger = connected(&hub, 600).await;
    for n in 0..60_u16 {
        charger.publish("pile/P1/heartbeat", 1, n + 1, "bad").await;
        assert_eq!(charger.puback().await, n + 1);
        sleep(Duration::from_millis(3_200)).await;
    }
    // Nineteen of them were within the last minute; one more is too many.
    charger.publish("pile/P1/heartbeat", 0, 0, "bad").await;
    charger.publish("pile/P1/heartbeat", 0, 0, "bad").await;
    hub.store.until_told(Told::Down { pile_no: 1, epoch: 1, cause: "bad_frames", will: false }).await;
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_full_silence_is_the_gates_own_and_nobody_is_closed_for_it() {
    let hub = Hub::simulated();
    let mut charger = connected(&hub, 10).await;
    hub.store.set_ready(false);
    charger.publish("pile/P1/heartbeat", 0, 0, heartbeat(1)).await;
    for _ in 0..20 {
        sleep(Duration::from_secs(5)).await;
        charger.send(&Packet::PingReq).await;
    }
    hub.store.set_ready(true);
    for _ in 0..20 {
        assert_eq!(charger.next().await, Some(Packet::PingResp));
    }
    assert_eq!(hub.store.frames(), 1);
}
