//! Commands and record acks on their way to a pile [CONTRACT 1.7, 1.8].

mod common;

use broker::{SendError, limits};
use bytes::Bytes;
use common::{Hub, Told, connect_packet, secret};
use domain::{PileNo, wire::DownTopic};
use rumqttc::Packet;

const P1: PileNo = PileNo(1);

fn body(n: usize) -> Bytes {
    Bytes::from(format!("{{\"n\":{n}}}"))
}

#[tokio::test]
async fn a_message_to_a_pile_that_is_not_connected_is_refused() {
    let hub = Hub::start().await;
    let outbound = hub.gate.outbound();
    assert_eq!(outbound.send(P1, DownTopic::Command, body(0), true), Err(SendError::Offline));
    assert_eq!(outbound.send(PileNo(u32::MAX), DownTopic::Command, body(0), true), Err(SendError::Offline));
    assert!(!outbound.is_connected(P1));
    let charger = hub.connect("P1").await;
    assert!(outbound.is_connected(P1));
    drop(charger);
    hub.store.until_told(Told::Down { pile_no: 1, epoch: 1, cause: "closed", will: false }).await;
    assert_eq!(outbound.send(P1, DownTopic::Command, body(0), true), Err(SendError::Offline));
}

#[tokio::test]
async fn what_is_sent_at_once_after_the_connect_waits_for_the_subscribe() {
    let hub = Hub::start().await;
    let mut charger = hub.connect("P1").await;
    hub.store.until_told(Told::Up { pile_no: 1, epoch: 1 }).await;
    let outbound = hub.gate.outbound();
    for n in 0..3 {
        outbound.send(P1, DownTopic::Command, body(n), true).unwrap();
    }
    outbound.send(P1, DownTopic::RecordAck, body(9), true).unwrap();
    charger.ping().await;
    assert_eq!(charger.subscribe(&[("pile/P1/record/ack".to_owned(), 0)]).await, [0]);
    assert_eq!(charger.message().await, ("pile/P1/record/ack".to_owned(), 0, 0, body(9)));
    assert_eq!(charger.subscribe(&[("pile/P1/command".to_owned(), 1)]).await, [1]);
    for n in 0..3 {
        let (topic, qos, packet_id, payload) = charger.message().await;
        assert_eq!((topic.as_str(), qos, payload), ("pile/P1/command", 1, body(n)));
        assert_eq!(usize::from(packet_id), n + 1);
    }
}

#[tokio::test]
async fn a_full_queue_refuses_and_takes_again_once_the_pile_acknowledges() {
    let hub = Hub::start().await;
    let mut charger = hub.subscribed("P1").await;
    let outbound = hub.gate.outbound();
    let fits = limits::OUTBOUND_INFLIGHT_MAX + limits::OUTBOUND_QUEUE_LEN_MAX;
    for n in 0..fits {
        outbound.send(P1, DownTopic::Command, body(n), true).unwrap();
    }
    assert_eq!(outbound.send(P1, DownTopic::Command, body(0), true), Err(SendError::QueueFull));
    for n in 0..fits {
        let (_, _, packet_id, payload) = charger.message().await;
        assert_eq!(payload, body(n));
        charger.send(&Packet::PubAck(rumqttc::PubAck::new(packet_id))).await;
    }
    charger.ping().await;
    outbound.send(P1, DownTopic::Command, body(0), true).unwrap();
    charger.message().await;
}

#[tokio::test]
async fn what_waits_for_one_connection_is_not_sent_to_the_next() {
    let hub = Hub::start().await;
    let _first = hub.connect("P1").await;
    let outbound = hub.gate.outbound();
    outbound.send(P1, DownTopic::Command, body(1), true).unwrap();
    let mut second = hub.dial().await;
    assert_eq!(second.login_with(connect_packet("P1", "P1", &secret("P1"))).await, 0);
    assert_eq!(second.subscribe(&[("pile/P1/command".to_owned(), 1)]).await, [1]);
    second.ping().await;
    outbound.send(P1, DownTopic::Command, body(2), true).unwrap();
    assert_eq!(second.message().await.3, body(2));
}

#[tokio::test]
async fn many_threads_send_to_one_pile_and_every_packet_arrives_whole() {
    let hub = Hub::start().await;
    let mut charger = hub.subscribed("P1").await;
    let senders: Vec<_> = (0..4)
        .map(|thread| {
            let outbound = hub.gate.outbound();
            std::thread::spawn(move || {
                let mut sent = 0;
                while sent < 100 {
                    let message = Bytes::from(vec![b'a' + thread; 300 + sent]);
                    match outbound.send(P1, DownTopic::Command, message, false) {
                        Ok(()) => sent += 1,
                        Err(SendError::QueueFull) => std::thread::yield_now(),
                        Err(SendError::Offline) => panic!("it is connected"),
                    }
                }
            })
        })
        .collect();
    let mut seen = [0_usize; 4];
    for _ in 0..400 {
        let (_, _, _, payload) = charger.message().await;
        let thread = usize::from(payload[0] - b'a');
        assert!(payload.iter().all(|byte| *byte == payload[0]));
        assert_eq!(payload.len(), 300 + seen[thread], "in order per sender");
        seen[thread] += 1;
    }
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    assert_eq!(seen, [100; 4]);
}
