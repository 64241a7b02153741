//! Integrations: what they read, what they must not, and what becomes of one that does not keep up.
#![allow(clippy::unwrap_used, reason = "test code: what is not expected fails the test")]

mod common;

use std::time::Duration;

use broker::{Account, Attempt, GateConfig, GateLimits, Grants, limits, username};
use common::{Charger, Hub, connect_packet, heartbeat, publish_packet, secret};
use domain::{IntegrationName, PileCode, PileNo, StationId, wire::UpTopic};
use rumqttc::{LastWill, Packet, QoS};
use tokio::{
    net::{TcpSocket, TcpStream},
    runtime::Handle,
    time::timeout,
};

const EVENT: &str = r#"{"eventId":"e1","type":"boot","timestamp":1763690000000}"#;
const METER: &str = r#"{"connectorId":1,"meter":1.5,"timestamp":1763690000000}"#;

fn name(text: &str) -> IntegrationName {
    IntegrationName::parse(text).unwrap()
}

/// P1 and P2 stand at S1, P3 at S2; the monitor reads heartbeats and events of S1, the platform everything.
async fn hub(config: GateConfig) -> Hub {
    let hub = Hub::with(config).await;
    let readers = hub.gate.readers();
    readers.serve_on(Handle::current());
    let station = |text: &str| StationId::parse(text).unwrap();
    readers.insert_piles(
        [(1, "S1"), (2, "S1"), (3, "S2")]
            .map(|(no, at)| (PileNo(no), PileCode::parse(&format!("P{no}")).unwrap(), station(at))),
    );
    let everything = Grants::new(None::<[StationId; 0]>, UpTopic::ALL);
    let some = Grants::new(Some([station("S1")]), [UpTopic::Heartbeat, UpTopic::Event]);
    for (account, grants) in [("platform", everything), ("monitor", some)] {
        let verifier = readers.verifier_of(&name(account), &secret(account));
        readers.insert(Account::new(name(account), verifier, grants));
    }
    hub
}

fn login(account: &str) -> rumqttc::mqttbytes::v4::Connect {
    connect_packet("any name it likes", &username(&name(account)), &secret(account))
}

async fn reader(hub: &Hub, account: &str) -> Charger<TcpStream> {
    let mut reader = hub.dial().await;
    assert_eq!(reader.login_with(login(account)).await, 0);
    reader
}

async fn subscribed(hub: &Hub, account: &str, filter: &str) -> Charger<TcpStream> {
    let mut reader = reader(hub, account).await;
    assert_eq!(reader.subscribe(&[(filter.to_owned(), 1)]).await, [0], "{filter}");
    reader
}

#[tokio::test]
async fn an_integration_sees_exactly_the_frames_it_was_granted_in_the_order_they_came() {
    let hub = hub(GateConfig::default()).await;
    let mut monitor = subscribed(&hub, "monitor", "pile/+/#").await;
    let mut platform = subscribed(&hub, "platform", "pile/+/meter").await;
    let mut of_one = subscribed(&hub, "platform", "pile/P3/#").await;
    let mut chargers = [hub.connect("P1").await, hub.connect("P2").await, hub.connect("P3").await];
    for round in 0..50_u16 {
        for (charger, code) in chargers.iter_mut().zip(["P1", "P2", "P3"]) {
            let frames =
                [("heartbeat", heartbeat(round.into())), ("meter", METER.to_owned()), ("event", EVENT.to_owned())];
            for (n, (topic, body)) in (1..).zip(frames) {
                charger.publish(&format!("pile/{code}/{topic}"), 1, round * 3 + n, body).await;
                assert_eq!(charger.puback().await, round * 3 + n);
            }
        }
    }
    for round in 0..50 {
        for code in ["P1", "P2"] {
            let (heartbeat, event) = (heartbeat(round), EVENT.to_owned());
            for (topic, body) in [("heartbeat", heartbeat), ("event", event)] {
                assert_eq!(monitor.message().await, (format!("pile/{code}/{topic}"), 0, 0, body.into()));
            }
        }
        for code in ["P1", "P2", "P3"] {
            assert_eq!(platform.message().await.0, format!("pile/{code}/meter"));
        }
        for topic in ["heartbeat", "meter", "event"] {
            assert_eq!(of_one.message().await.0, format!("pile/P3/{topic}"));
        }
    }
    for reader in [&mut monitor, &mut platform, &mut of_one] {
        reader.ping().await;
    }
}

#[tokio::test]
async fn frames_that_ask_to_be_kept_or_are_cut_are_passed_over() {
    let hub = hub(GateConfig::default()).await;
    let mut platform = subscribed(&hub, "platform", "pile/P1/#").await;
    let mut charger = hub.connect("P1").await;
    let Packet::Publish(mut kept) = publish_packet("pile/P1/event", 1, 1, EVENT) else { unreachable!() };
    kept.retain = true;
    charger.send(&Packet::Publish(kept)).await;
    charger.publish("pile/P1/event", 1, 2, vec![b' '; limits::PAYLOAD_LEN_MAX + 1]).await;
    charger.publish("pile/P1/event", 1, 3, "not understood, and passed on as it came").await;
    for n in 1..=3 {
        assert_eq!(charger.puback().await, n);
    }
    assert_eq!(&platform.message().await.3[..], b"not understood, and passed on as it came");
    platform.ping().await;
}

#[tokio::test]
async fn a_filter_that_was_not_granted_gets_0x80_and_one_that_is_taken_back_reads_no_more() {
    let hub = hub(GateConfig::default()).await;
    let mut monitor = reader(&hub, "monitor").await;
    let filters = ["pile/P1/#", "pile/P3/#", "pile/+/meter", "pile/P1/heartbeat", "#", "pile/P1/command", "pile/P9/#"]
        .map(|filter| (filter.to_owned(), 2));
    assert_eq!(monitor.subscribe(&filters).await, [0, 0x80, 0x80, 0, 0x80, 0x80, 0x80]);
    for _ in 0..2 {
        let mut unsubscribe = rumqttc::Unsubscribe::new("pile/P1/#");
        unsubscribe.pkid = 9;
        monitor.send(&Packet::Unsubscribe(unsubscribe)).await;
        assert!(matches!(monitor.next().await, Some(Packet::UnsubAck(ack)) if ack.pkid == 9));
    }
    let mut charger = hub.connect("P1").await;
    charger.publish("pile/P1/event", 1, 1, EVENT).await;
    charger.publish("pile/P1/heartbeat", 1, 2, heartbeat(2)).await;
    assert_eq!((charger.puback().await, charger.puback().await), (1, 2));
    assert_eq!(monitor.message().await.0, "pile/P1/heartbeat");
    let many: Vec<_> = (0..limits::INTEGRATION_FILTERS_MAX).map(|n| (format!("pile/Q{n}/#"), 0)).collect();
    let mut platform = reader(&hub, "platform").await;
    for some in many.chunks(limits::FILTERS_PER_PACKET_MAX) {
        assert_eq!(platform.subscribe(some).await, vec![0; some.len()]);
    }
    assert_eq!(platform.subscribe(&[("pile/P1/#".to_owned(), 0)]).await, [0x80], "it has as many as it may");
}

#[tokio::test]
async fn an_integration_publishes_nothing_leaves_no_will_and_takes_no_piles_place() {
    let hub = hub(GateConfig::default()).await;
    let mut attempts = hub.gate.attempts().unwrap();
    let mut charger = hub.connect("P1").await;
    for topic in ["pile/P1/heartbeat", "pile/P1/command", "up"] {
        let mut platform = reader(&hub, "platform").await;
        platform.publish(topic, 1, 1, heartbeat(1)).await;
        platform.closed().await;
        let told = timeout(common::PATIENCE, attempts.recv()).await.expect("nobody was told");
        let Some(Attempt::Reader { name: who, what: "publish", topic: on, .. }) = told else { panic!("{told:?}") };
        assert_eq!((who, on.as_str()), (name("platform"), topic));
    }
    let mut with_will = login("platform");
    with_will.last_will = Some(LastWill::new("pile/P1/event", EVENT, QoS::AtLeastOnce, false));
    let mut nobody = hub.dial().await;
    assert_eq!(nobody.login_with(with_will).await, 5);
    charger.ping().await;
    assert_eq!(hub.store.frames(), 0);
}

#[tokio::test]
async fn only_the_right_secret_of_an_account_opens_and_guesses_are_counted() {
    let config = GateConfig {
        limits: GateLimits { failures_per_pile_max: 3, ..GateLimits::default() },
        ..GateConfig::default()
    };
    let hub = hub(config).await;
    let platform = username(&name("platform"));
    for (client_id, user, password, code) in [
        ("", platform.as_str(), secret("platform"), 2),
        (&"x".repeat(limits::INTEGRATION_CLIENT_ID_LEN_MAX + 1), &platform, secret("platform"), 2),
        ("x", "integration:nobody", secret("nobody"), 4),
        ("x", "integration:", secret(""), 4),
        ("P1", "integration:P1", secret("P1"), 4),
        ("x", "integration:monitor", secret("platform"), 4),
        ("x", &platform, "guess".to_owned(), 4),
        ("x", &platform, "guess".to_owned(), 4),
        ("x", &platform, "guess".to_owned(), 4),
        ("x", &platform, secret("platform"), 5),
        ("x", "integration:monitor", secret("monitor"), 0),
    ] {
        let mut stranger = hub.dial().await;
        assert_eq!(stranger.login_with(connect_packet(client_id, user, &password)).await, code, "{client_id} {user}");
    }
}

#[tokio::test]
async fn several_connections_of_one_account_stand_beside_each_other_up_to_a_limit() {
    let hub = hub(GateConfig::default()).await;
    let mut readers = Vec::new();
    for _ in 0..limits::INTEGRATION_CONNECTIONS_PER_ACCOUNT_MAX {
        readers.push(subscribed(&hub, "platform", "pile/+/#").await);
    }
    let mut beyond = hub.dial().await;
    assert_eq!(beyond.login_with(login("platform")).await, 3);
    let mut charger = hub.connect("P1").await;
    charger.publish("pile/P1/event", 1, 1, EVENT).await;
    assert_eq!(charger.puback().await, 1);
    for reader in &mut readers {
        assert_eq!(reader.message().await.0, "pile/P1/event");
    }
    let mut first = readers.remove(0);
    first.send(&Packet::Disconnect).await;
    first.closed().await;
    let mut again = reader(&hub, "platform").await;
    again.ping().await;
}

#[tokio::test]
async fn an_account_that_is_removed_is_cut_off_and_does_not_come_again() {
    let hub = hub(GateConfig::default()).await;
    let mut platform = subscribed(&hub, "platform", "pile/+/#").await;
    let mut monitor = subscribed(&hub, "monitor", "pile/+/#").await;
    let readers = hub.gate.readers();
    assert_eq!(readers.connections(&name("platform")), 1);
    readers.remove(&name("platform"));
    platform.closed().await;
    assert_eq!(readers.connections(&name("platform")), 0);
    let mut again = hub.dial().await;
    assert_eq!(again.login_with(login("platform")).await, 4);
    monitor.ping().await;
}

#[tokio::test]
async fn a_gate_that_was_not_told_to_serve_integrations_lets_none_in() {
    let hub = Hub::start().await;
    let readers = hub.gate.readers();
    let verifier = readers.verifier_of(&name("platform"), &secret("platform"));
    readers.insert(Account::new(name("platform"), verifier, Grants::new(None::<[StationId; 0]>, UpTopic::ALL)));
    let mut reader = hub.dial().await;
    assert_eq!(reader.login_with(login("platform")).await, 3);
}

#[tokio::test]
async fn one_that_does_not_read_is_cut_off_without_a_gap_while_a_charger_beside_it_gets_its_pubacks() {
    const FRAMES: u16 = 2_000;
    let config = GateConfig {
        integration_lag_max: Duration::from_secs(1),
        limits: GateLimits { frames_per_pile_per_s_max: 0, ..GateLimits::default() },
        ..GateConfig::default()
    };
    let hub = hub(config).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut idle = Charger::new(socket.connect(hub.addr).await.unwrap());
    assert_eq!(idle.login_with(login("platform")).await, 0);
    assert_eq!(idle.subscribe(&[("pile/+/event".to_owned(), 0)]).await, [0]);
    let mut busy = subscribed(&hub, "platform", "pile/+/event").await;
    let mut charger = hub.connect("P1").await;
    let long = "x".repeat(limits::PAYLOAD_LEN_MAX - 100);
    let body = |n: u16| format!(r#"{{"eventId":"e{n}","type":"boot","timestamp":1763690000000,"pad":"{long}"}}"#);
    // Far more than the sockets' buffers, the link and the router's log hold together.
    for n in 1..=FRAMES {
        charger.publish("pile/P1/event", 1, n, body(n)).await;
        assert_eq!(charger.puback().await, n);
        assert_eq!(busy.message().await.3, body(n).as_bytes(), "the other one misses nothing");
    }
    let readers = hub.gate.readers();
    let cut = async {
        while readers.connections(&name("platform")) > 1 {
            tokio::task::yield_now().await;
        }
    };
    timeout(common::PATIENCE, cut).await.expect("it was not cut off");
    let mut got = 0;
    while let Some(packet) = idle.next().await {
        let Packet::Publish(publish) = packet else { panic!("{packet:?}") };
        got += 1;
        assert_eq!(publish.payload, body(got).as_bytes(), "nothing is left out before the end");
    }
    assert!((1..FRAMES).contains(&got), "{got}");
    busy.ping().await;
}
