//! When frames cannot be passed on, sockets are not read; nothing is dropped.

mod common;

use std::time::Duration;

use broker::{GateConfig, limits};
use common::{Hub, Told, encode, heartbeat, publish_packet};
use tokio::{io::AsyncWriteExt, time::timeout};

fn frames(from: u16, to: u16) -> Vec<u8> {
    let frame = |n: u16| encode(&publish_packet("pile/P1/heartbeat", 1, n, heartbeat(n.into()))).to_vec();
    (from..=to).flat_map(frame).collect()
}

fn seqs(told: &[Told]) -> Vec<u64> {
    let seq = |told: &Told| match told {
        Told::Frame { seq, .. } => *seq,
        Told::Up { .. } | Told::Down { .. } | Told::Bad { .. } => None,
    };
    told.iter().filter_map(seq).collect()
}

#[tokio::test]
async fn a_full_store_stops_the_reading_and_loses_nothing() {
    /// More than the kernel keeps for a socket and its peer.
    const TOTAL_BYTES: usize = 32 * 1024 * 1024;
    let hub = Hub::with(GateConfig { frames_in_flight_max: 64, ..GateConfig::default() }).await;
    let mut charger = hub.connect("P1").await;
    hub.store.set_room(Some(10));
    // QoS 0: nothing but the full store holds these back.
    let padded = |seq: u64| format!("{}{}", heartbeat(seq), " ".repeat(8_000));
    let frame = |seq: u64| encode(&publish_packet("pile/P1/heartbeat", 0, 0, padded(seq))).to_vec();
    let total = u64::try_from(TOTAL_BYTES / frame(0).len()).unwrap();
    let bytes: Vec<u8> = (1..=total).flat_map(frame).collect();
    let mut writing = tokio::spawn(async move {
        charger.stream.write_all(&bytes).await.unwrap();
        charger
    });
    hub.store.until(|told| seqs(told).len() == 10).await;
    assert!(timeout(Duration::from_millis(500), &mut writing).await.is_err(), "somebody reads it all");
    assert_eq!(hub.store.frames(), 10);
    hub.store.set_room(None);
    let told = hub.store.until(|told| seqs(told).len() == usize::try_from(total).unwrap()).await;
    assert_eq!(seqs(&told), (1..=total).collect::<Vec<_>>(), "each once, in order");
    writing.await.unwrap().ping().await;
}

#[tokio::test]
async fn a_sink_that_is_not_ready_is_asked_until_it_is() {
    let hub = Hub::start().await;
    let mut charger = hub.connect("P1").await;
    hub.store.until_told(Told::Up { pile_no: 1, epoch: 1 }).await;
    hub.store.set_ready(false);
    charger.send_bytes(&frames(1, 3)).await;
    hub.store.set_ready(true);
    for n in 1..=3 {
        assert_eq!(charger.puback().await, n);
    }
}

#[tokio::test]
async fn one_connection_with_too_many_unacknowledged_frames_waits_and_others_go_on() {
    let hub = Hub::start().await;
    hub.store.acknowledge_at_once(false);
    let mut greedy = hub.connect("P1").await;
    // One packet per write, so that no single read takes them all.
    for n in 1..=2_000_u16 {
        greedy.send_bytes(&frames(n, n)).await;
    }
    greedy.send_bytes(&encode(&rumqttc::Packet::PingReq)).await;
    hub.store.until(|told| told.len() > limits::UNACKED_PER_CONNECTION_MAX).await;
    let mut modest = hub.connect("P2").await;
    modest.ping().await;
    // The limit may be passed by what one read brings.
    let one_read = limits::READ_BUFFER_LEN / frames(1, 1).len() + 1;
    assert!(hub.store.frames() <= limits::UNACKED_PER_CONNECTION_MAX + one_read);
    hub.store.acknowledge_at_once(true);
    modest.publish("pile/P2/heartbeat", 1, 1, heartbeat(1)).await;
    assert_eq!(modest.puback().await, 1);
    let (mut pubacks, mut pongs) = (Vec::new(), 0);
    while pubacks.len() < 2_000 || pongs < 1 {
        match greedy.next().await {
            Some(rumqttc::Packet::PubAck(ack)) => pubacks.push(ack.pkid),
            Some(rumqttc::Packet::PingResp) => pongs += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(pubacks, (1..=2_000).collect::<Vec<_>>());
}
