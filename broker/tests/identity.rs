//! Who may connect, and what becomes of an earlier connection [CONTRACT 1].

mod common;

use bytes::Bytes;
use common::{Hub, Told, connect_packet, heartbeat, secret};
use domain::{PileNo, wire::DownTopic, wire::UpTopic};
use rumqttc::{LastWill, QoS};

#[tokio::test]
async fn the_right_secret_is_let_in_with_and_without_clean_session() {
    let hub = Hub::start().await;
    for (no, clean) in [(1, true), (2, false)] {
        let code = format!("P{no}");
        let mut connect = connect_packet(&code, &code, &secret(&code));
        connect.clean_session = clean;
        let mut charger = hub.dial().await;
        assert_eq!(charger.login_with(connect).await, 0);
        charger.ping().await;
        hub.store.until_told(Told::Up { pile_no: no, epoch: 1 }).await;
        assert!(hub.gate.outbound().is_connected(PileNo(no)));
    }
}

#[tokio::test]
async fn wrong_credentials_get_connack_4_or_5_and_are_closed() {
    let hub = Hub::start().await;
    for (client_id, username, password, code) in [
        ("P1", "P1", "wrong", 4),
        ("P1", "P1", "", 4),
        ("P1", "P1", "secret of P2", 4),
        ("P77", "P77", "secret of P77", 4),
        ("P1", "P2", "secret of P2", 5),
        ("P1", "P2", "secret of P1", 5),
        ("", "P1", "secret of P1", 2),
        ("P/1", "P/1", "x", 2),
    ] {
        let mut charger = hub.dial().await;
        let answer = charger.login_with(connect_packet(client_id, username, password)).await;
        assert_eq!(answer, code, "{client_id:?} {username:?} {password:?}");
        charger.closed().await;
    }
    let mut nameless = rumqttc::mqttbytes::v4::Connect::new("P1");
    nameless.keep_alive = 30;
    let mut charger = hub.dial().await;
    assert_eq!(charger.login_with(nameless).await, 4);
    charger.closed().await;
    assert_eq!(hub.store.told(), []);
}

#[tokio::test]
async fn a_pile_of_a_station_of_certificates_is_refused_its_password_with_5() {
    let hub = Hub::start().await;
    hub.identities.set_certificate_only([&domain::PileCode::parse("P1").unwrap()], true);
    for password in [secret("P1"), "wrong".to_owned()] {
        let mut charger = hub.dial().await;
        assert_eq!(charger.login_with(connect_packet("P1", "P1", &password)).await, 5);
        charger.closed().await;
    }
}

#[tokio::test]
async fn a_refused_charger_that_goes_on_talking_still_reads_its_connack() {
    let hub = Hub::start().await;
    let mut charger = hub.dial().await;
    let connect = common::encode(&rumqttc::Packet::Connect(connect_packet("P1", "P1", "wrong")));
    charger.send_bytes(&[&connect[..], &[0x30; 3_000]].concat()).await;
    assert_eq!(charger.connack().await, 4);
    charger.closed().await;
}

#[tokio::test]
async fn another_protocol_gets_connack_1() {
    let hub = Hub::start().await;
    for body in [&b"\0\x06MQIsdp\x03\x02\0\x1e\0\x02P1"[..], b"\0\x04MQTT\x05\x02\0\x1e\0\0\x02P1"] {
        let mut charger = hub.dial().await;
        charger.send_bytes(&[0x10, u8::try_from(body.len()).unwrap()]).await;
        charger.send_bytes(body).await;
        assert_eq!(charger.connack().await, 1);
        charger.closed().await;
    }
}

#[tokio::test]
async fn whatever_comes_before_connect_closes_without_an_answer() {
    let hub = Hub::start().await;
    for bytes in [&[0xc0, 0][..], &[0x30, 2, 0, 0], b"GET / HTTP/1.1\r\n\r\n", &[0xe0, 0]] {
        let mut charger = hub.dial().await;
        charger.send_bytes(bytes).await;
        charger.closed().await;
    }
    assert_eq!(hub.store.told(), []);
}

#[tokio::test]
async fn a_second_connect_on_one_connection_closes_it() {
    let hub = Hub::start().await;
    let mut charger = hub.connect("P1").await;
    charger.send(&rumqttc::Packet::Connect(connect_packet("P1", "P1", &secret("P1")))).await;
    charger.closed().await;
    hub.store.until_told(Told::Down { pile_no: 1, epoch: 1, cause: "protocol", will: false }).await;
}

#[tokio::test]
async fn a_valid_second_connect_takes_over_and_the_first_disturbs_it_no_more() {
    let hub = Hub::start().await;
    hub.store.acknowledge_at_once(false);
    let mut first = hub.dial().await;
    let mut connect = connect_packet("P1", "P1", &secret("P1"));
    connect.last_will = Some(LastWill::new("pile/P1/event", "{}", QoS::AtLeastOnce, false));
    assert_eq!(first.login_with(connect).await, 0);
    first.publish("pile/P1/heartbeat", 1, 5, heartbeat(1)).await;
    hub.store.until(|told| told.len() == 2).await;
    let late = hub.store.take_tokens();

    let mut second = hub.subscribed("P1").await;
    first.closed().await;
    drop(first);
    // Acknowledgements of the first one's frames reach nobody.
    hub.gate.acks().complete(&mut late.clone());
    second.publish("pile/P1/heartbeat", 1, 6, heartbeat(2)).await;
    hub.store.until(|told| told.len() == 5).await;
    hub.store.complete_all();
    assert_eq!(second.puback().await, 6);
    let told = hub.store.told();
    assert_eq!(
        told,
        [
            Told::Up { pile_no: 1, epoch: 1 },
            Told::Frame { pile_no: 1, epoch: 1, topic: UpTopic::Heartbeat, seq: Some(1), acknowledged: true },
            Told::Down { pile_no: 1, epoch: 1, cause: "takeover", will: false },
            Told::Up { pile_no: 1, epoch: 2 },
            Told::Frame { pile_no: 1, epoch: 2, topic: UpTopic::Heartbeat, seq: Some(2), acknowledged: true },
        ]
    );
    hub.gate.outbound().send(PileNo(1), DownTopic::Command, Bytes::from_static(b"{}"), true).unwrap();
    assert_eq!(second.message().await.0, "pile/P1/command");
}

#[tokio::test]
async fn a_wrong_secret_never_touches_the_live_connection() {
    let hub = Hub::start().await;
    let mut live = hub.connect("P1").await;
    for password in ["wrong", "secret of P2"] {
        let mut intruder = hub.dial().await;
        assert_eq!(intruder.login("P1", password).await, 4);
        intruder.closed().await;
    }
    live.publish("pile/P1/heartbeat", 1, 1, heartbeat(1)).await;
    assert_eq!(live.puback().await, 1);
    let told = hub.store.told();
    assert!(matches!(told[..], [Told::Up { pile_no: 1, epoch: 1 }, Told::Frame { .. }]), "{told:?}");
}

#[tokio::test]
async fn the_will_is_told_on_an_ungraceful_end_and_not_after_disconnect() {
    let hub = Hub::start().await;
    for (epoch, polite, has_will, cause, will) in
        [(1, false, true, "closed", true), (2, true, true, "disconnect", false), (3, false, false, "closed", false)]
    {
        let mut charger = hub.dial().await;
        let mut connect = connect_packet("P1", "P1", &secret("P1"));
        connect.last_will = has_will.then(|| LastWill::new("pile/P1/event", "{}", QoS::AtMostOnce, false));
        assert_eq!(charger.login_with(connect).await, 0);
        if polite {
            charger.send(&rumqttc::Packet::Disconnect).await;
            charger.closed().await;
        }
        drop(charger);
        hub.store.until_told(Told::Down { pile_no: 1, epoch, cause, will }).await;
    }
    assert_eq!(hub.store.frames(), 0, "a will is no frame");
}

#[tokio::test]
async fn a_will_on_a_foreign_topic_is_not_authorised() {
    let hub = Hub::start().await;
    for topic in ["pile/P2/event", "pile/P1/command", "anything"] {
        let mut connect = connect_packet("P1", "P1", &secret("P1"));
        connect.last_will = Some(LastWill::new(topic, "{}", QoS::AtMostOnce, false));
        let mut charger = hub.dial().await;
        assert_eq!(charger.login_with(connect).await, 5, "{topic}");
        charger.closed().await;
    }
}

#[tokio::test]
async fn more_connections_than_the_limit_are_turned_away_and_a_place_is_free_again_after() {
    let hub = Hub::with(broker::GateConfig { connections_max: 2, ..broker::GateConfig::default() }).await;
    let one = hub.connect("P1").await;
    let _two = hub.connect("P2").await;
    hub.dial().await.closed().await;
    drop(one);
    hub.store.until(|told| told.iter().any(|told| matches!(told, Told::Down { pile_no: 1, .. }))).await;
    let _again = hub.connect("P3").await;
}

#[tokio::test]
async fn stop_closes_every_connection_and_delivers_what_was_read() {
    let hub = Hub::start().await;
    let mut charger = hub.connect("P1").await;
    charger.publish("pile/P1/heartbeat", 1, 1, heartbeat(1)).await;
    assert_eq!(charger.puback().await, 1);
    hub.gate.stop();
    charger.closed().await;
    hub.store.until_told(Told::Down { pile_no: 1, epoch: 1, cause: "shutdown", will: false }).await;
    assert_eq!(hub.gate.connections(), 0);
}
