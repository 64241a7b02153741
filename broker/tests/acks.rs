//! PUBACK only when the frame is stored, in order [CONTRACT 1.2, 1.3; ENGINEERING].

mod common;

use common::{Hub, Told, heartbeat};

#[tokio::test]
async fn a_puback_leaves_only_after_the_frame_is_stored() {
    let hub = Hub::start().await;
    hub.store.acknowledge_at_once(false);
    let mut charger = hub.connect("P1").await;
    charger.publish("pile/P1/heartbeat", 1, 42, heartbeat(1)).await;
    hub.store.until(|told| told.iter().any(|told| matches!(told, Told::Frame { .. }))).await;
    // The answer to a later ping comes first: there was no PUBACK.
    charger.ping().await;
    hub.store.complete_all();
    assert_eq!(charger.puback().await, 42);
    charger.ping().await;
}

#[tokio::test]
async fn pubacks_leave_in_the_order_of_the_frames_whatever_was_stored_first() {
    let hub = Hub::start().await;
    hub.store.acknowledge_at_once(false);
    let mut charger = hub.connect("P1").await;
    for id in [7, 3, 9] {
        charger.publish("pile/P1/heartbeat", 1, id, heartbeat(id.into())).await;
    }
    hub.store.until(|told| told.len() == 4).await;
    let tokens = hub.store.take_tokens();
    let acks = hub.gate.acks();
    acks.complete(&mut vec![tokens[2]]);
    acks.complete(&mut vec![tokens[1]]);
    charger.ping().await;
    acks.complete(&mut vec![tokens[0], tokens[1]]);
    for id in [7, 3, 9] {
        assert_eq!(charger.puback().await, id);
    }
    charger.ping().await;
}

#[tokio::test]
async fn one_completion_serves_many_connections_and_forgets_those_that_are_gone() {
    let hub = Hub::start().await;
    hub.store.acknowledge_at_once(false);
    let mut chargers = Vec::new();
    for no in 1..=5_u16 {
        let code = format!("P{no}");
        let mut charger = hub.connect(&code).await;
        for n in 0..3 {
            charger.publish(&format!("pile/{code}/heartbeat"), 1, no * 10 + n, heartbeat(0)).await;
        }
        chargers.push(charger);
    }
    hub.store.until(|told| told.len() == 20).await;
    drop(chargers.remove(2));
    hub.store.until_told(Told::Down { pile_no: 3, epoch: 1, cause: "closed", will: false }).await;
    let mut tokens = hub.store.take_tokens();
    assert_eq!(tokens.len(), 15);
    tokens.reverse();
    hub.gate.acks().complete(&mut tokens);
    assert!(tokens.is_empty());
    for (charger, no) in chargers.iter_mut().zip([1, 2, 4, 5]) {
        for n in 0..3 {
            assert_eq!(charger.puback().await, no * 10 + n);
        }
    }
}

#[tokio::test]
async fn qos_0_is_not_acknowledged() {
    let hub = Hub::start().await;
    let mut charger = hub.connect("P1").await;
    charger.publish("pile/P1/heartbeat", 0, 0, heartbeat(1)).await;
    hub.store.until(|told| told.iter().any(|told| matches!(told, Told::Frame { acknowledged: false, .. }))).await;
    charger.ping().await;
}

#[tokio::test]
async fn frames_sent_just_before_the_end_are_delivered_before_the_end_is_told() {
    let hub = Hub::start().await;
    let mut charger = hub.connect("P1").await;
    let many: Vec<u8> = (1..=200)
        .flat_map(|n| common::encode(&common::publish_packet("pile/P1/heartbeat", 1, n, heartbeat(n.into()))).to_vec())
        .collect();
    charger.send_bytes(&many).await;
    charger.send(&rumqttc::Packet::Disconnect).await;
    drop(charger);
    let told = hub.store.until_told(Told::Down { pile_no: 1, epoch: 1, cause: "disconnect", will: false }).await;
    let seqs: Vec<_> = told
        .iter()
        .filter_map(|told| match told {
            Told::Frame { seq, .. } => *seq,
            Told::Up { .. } | Told::Down { .. } | Told::Bad { .. } => None,
        })
        .collect();
    assert_eq!(seqs, (1..=200).collect::<Vec<_>>());
    assert!(matches!(told.last(), Some(Told::Down { .. })));
}
