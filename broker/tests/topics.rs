//! What a pile may publish and subscribe to [CONTRACT 1].

mod common;

use broker::{Attempt, limits};
use common::{Hub, Told, heartbeat};
use domain::wire::UpTopic;
use rumqttc::Packet;

#[tokio::test]
async fn frames_on_each_own_up_topic_are_delivered_with_qos_0_and_1() {
    let hub = Hub::start().await;
    let mut charger = hub.connect("P1").await;
    let bodies = [
        (UpTopic::Heartbeat, heartbeat(1)),
        (UpTopic::Status, r#"{"orderNo":"7","seq":1,"totalPower":0.1,"timestamp":1763690000000}"#.to_owned()),
        (UpTopic::Finished, r#"{"orderNo":"7","totalPower":1,"stopReason":1,"endTime":1763690000000}"#.to_owned()),
        (UpTopic::CommandAck, r#"{"commandId":"c1","result":"accepted"}"#.to_owned()),
        (UpTopic::Event, r#"{"eventId":"e1","type":"boot","timestamp":1763690000000}"#.to_owned()),
        (UpTopic::Meter, r#"{"connectorId":1,"meter":1.5,"timestamp":1763690000000}"#.to_owned()),
    ];
    for (n, (topic, body)) in (1..).zip(bodies) {
        let text = format!("pile/P1/{topic}");
        charger.publish(&text, 0, 0, body.clone()).await;
        charger.publish(&text, 1, n, body).await;
        assert_eq!(charger.puback().await, n);
        for acknowledged in [false, true] {
            hub.store
                .until(|told| {
                    told.iter().any(|told| {
                        matches!(told, Told::Frame { topic: t, acknowledged: a, .. } if (*t, *a) == (topic, acknowledged))
                    })
                })
                .await;
        }
    }
    assert_eq!(hub.store.frames(), 12);
}

#[tokio::test]
async fn a_forbidden_publish_closes_the_connection() {
    let hub = Hub::start().await;
    for (n, topic) in
        (1..).zip(["pile/P2/heartbeat", "pile/P1/command", "pile/P1/nothing", "$SYS/x", "桩/P1/heartbeat"])
    {
        let mut charger = hub.connect("P1").await;
        charger.publish(topic, 1, 1, heartbeat(1)).await;
        charger.closed().await;
        hub.store.until_told(Told::Down { pile_no: 1, epoch: n, cause: "forbidden", will: false }).await;
    }
    assert_eq!(hub.store.frames(), 0);
}

#[tokio::test]
async fn own_down_topics_are_granted_and_a_forbidden_subscribe_gets_0x80() {
    let hub = Hub::start().await;
    let mut charger = hub.connect("P1").await;
    let filters = [
        ("pile/P1/command", 1),
        ("pile/P2/command", 1),
        ("pile/P1/record/ack", 0),
        ("pile/+/command", 1),
        ("#", 0),
        ("pile/P1/heartbeat", 0),
        ("pile/P1/command", 2),
    ]
    .map(|(filter, qos)| (filter.to_owned(), qos));
    assert_eq!(charger.subscribe(&filters).await, [1, 0x80, 0, 0x80, 0x80, 0x80, 1]);
    charger.ping().await;
}

#[tokio::test]
async fn forbidden_attempts_are_told_to_the_audit_trail_but_not_without_end() {
    let hub = Hub::start().await;
    let mut attempts = hub.gate.attempts().unwrap();
    assert!(hub.gate.attempts().is_none(), "they are told to one only");
    let mut charger = hub.connect("P1").await;
    let told_max = usize::try_from(limits::ATTEMPTS_PER_CONNECTION_MAX).unwrap();
    for n in 0..told_max + 5 {
        assert_eq!(charger.subscribe(&[(format!("pile/P2/{n}"), 1)]).await, [0x80]);
    }
    let mut second = hub.connect("P2").await;
    second.publish("pile/P1/heartbeat", 1, 1, heartbeat(1)).await;
    second.closed().await;
    for n in 0..told_max {
        assert_eq!(forbidden(&mut attempts).await, ("P1".to_owned(), "subscribe", format!("pile/P2/{n}")));
    }
    assert_eq!(forbidden(&mut attempts).await, ("P2".to_owned(), "publish", "pile/P1/heartbeat".to_owned()));
    assert!(attempts.try_recv().is_err());
}

async fn forbidden(attempts: &mut tokio::sync::mpsc::Receiver<Attempt>) -> (String, &'static str, String) {
    let told = attempts.recv().await;
    let Some(Attempt::Forbidden { pile, what, topic, .. }) = told else { panic!("{told:?}") };
    (pile.to_string(), what, topic)
}

#[tokio::test]
async fn nothing_of_another_pile_is_ever_received() {
    let hub = Hub::start().await;
    let mut spy = hub.connect("P2").await;
    let filters = ["pile/P1/command", "pile/+/command", "#", "pile/#"].map(|filter| (filter.to_owned(), 1));
    assert_eq!(spy.subscribe(&filters).await, [0x80; 4]);
    let mut charger = hub.subscribed("P1").await;
    let outbound = hub.gate.outbound();
    let (topic, body) = (domain::wire::DownTopic::Command, bytes::Bytes::from_static(b"{}"));
    outbound.send(domain::PileNo(1), topic, body, true).unwrap();
    assert_eq!(charger.message().await.0, "pile/P1/command");
    // The next thing it hears is the answer to its own ping.
    spy.ping().await;
}

#[tokio::test]
async fn qos_2_is_refused_by_closing() {
    let hub = Hub::start().await;
    let mut charger = hub.connect("P1").await;
    charger.publish("pile/P1/heartbeat", 2, 1, heartbeat(1)).await;
    charger.closed().await;
    hub.store.until_told(Told::Down { pile_no: 1, epoch: 1, cause: "qos_2", will: false }).await;
}

#[tokio::test]
async fn unsubscribe_is_answered_and_pings_too() {
    let hub = Hub::start().await;
    let mut charger = hub.subscribed("P1").await;
    let mut unsubscribe = rumqttc::Unsubscribe::new("pile/P1/command");
    unsubscribe.pkid = 9;
    charger.send(&Packet::Unsubscribe(unsubscribe)).await;
    assert!(matches!(charger.next().await, Some(Packet::UnsubAck(ack)) if ack.pkid == 9));
    charger.ping().await;
}

#[tokio::test]
async fn the_retain_flag_changes_nothing() {
    let hub = Hub::start().await;
    let mut charger = hub.connect("P1").await;
    let mut publish = rumqttc::Publish::new("pile/P1/heartbeat", rumqttc::QoS::AtLeastOnce, heartbeat(1));
    publish.retain = true;
    publish.dup = true;
    publish.pkid = 3;
    charger.send(&Packet::Publish(publish)).await;
    assert_eq!(charger.puback().await, 3);
}
