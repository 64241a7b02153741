//! The MQTT clients against a broker that is not ours: Debian's `mosquitto`, started on a free port.
#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use domain::{CommandId, ConnectorId, Millis, OrderNo, PileCode, SocTenths, Timestamp, Watts, command, wire};
use loadtest::{
    client::{
        Driver, Endpoint, Incoming, Link,
        agent::{self, Shared},
        lean::Lean,
    },
    flood::{self, Crowd, FloodOptions, idle},
    pace::Pace,
    pile::{Event, PileConfig, curve::Car},
};
use tokio::sync::watch;

/// A broker that ends with the test.
struct Mosquitto {
    child: Child,
    address: SocketAddr,
    dir: tempfile::TempDir,
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Mosquitto {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = dir.path().join("mosquitto.conf");
        let text = format!("listener {} 127.0.0.1\nallow_anonymous true\n", address.port());
        std::fs::write(&config, text).unwrap();
        let broker = Self { child: spawn(&config), address, dir };
        broker.wait_until_it_listens();
        broker
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn start_again(&mut self) {
        self.child = spawn(&self.dir.path().join("mosquitto.conf"));
    }

    fn wait_until_it_listens(&self) {
        let give_up = tokio::time::Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(self.address).is_err() {
            assert!(tokio::time::Instant::now() < give_up, "mosquitto does not listen");
            std::thread::yield_now();
        }
    }
}

/// Debian puts it where only the administrator's search path looks.
fn spawn(config: &Path) -> Child {
    let debian = "/usr/sbin/mosquitto";
    let name = if Path::new(debian).exists() { debian } else { "mosquitto" };
    let mut command = Command::new(name);
    command.arg("-c").arg(config).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("these tests need Debian's package `mosquitto`")
}

fn code(text: &str) -> PileCode {
    PileCode::parse(text).unwrap()
}

fn endpoint(broker: &Mosquitto, driver: Driver) -> Endpoint {
    Endpoint { mqtt: broker.address, source: None, code: code("P0001"), secret: None, driver }
}

/// The hub's side of the test: subscribes to what a pile says and publishes what a hub would.
async fn hub(broker: &Mosquitto) -> Lean {
    Lean::open(broker.address, None, None, &code("hub"), None, &["pile/#"]).await.unwrap()
}

async fn next_publish(lean: &mut Lean, topic_end: &str) -> Vec<u8> {
    loop {
        let incoming = tokio::time::timeout(Duration::from_secs(20), lean.next()).await.expect(topic_end).unwrap();
        lean.flush().await.unwrap();
        match incoming {
            Incoming::Publish { topic, payload } if topic.ends_with(topic_end) => return payload,
            Incoming::Publish { .. } | Incoming::Puback { .. } => {}
        }
    }
}

#[tokio::test]
async fn both_drivers_publish_get_pubacks_and_hear_commands() {
    let broker = Mosquitto::start();
    for driver in [Driver::Lean, Driver::Rumqttc] {
        let mut hub = hub(&broker).await;
        let mut link = Link::open(&endpoint(&broker, driver)).await.unwrap();
        for tag in 1..=3 {
            link.publish(tag, true, "pile/P0001/meter", b"{}".to_vec()).unwrap();
        }
        link.publish(4, false, "pile/P0001/heartbeat", b"{}".to_vec()).unwrap();
        link.flush().await.unwrap();
        for tag in 1..=3 {
            assert_eq!(link.next().await.unwrap(), Incoming::Puback { tag }, "{driver:?}");
        }
        assert_eq!(next_publish(&mut hub, "/heartbeat").await, b"{}");
        hub.publish(1, true, "pile/P0001/command", b"hello");
        hub.flush().await.unwrap();
        let heard = Incoming::Publish { topic: "pile/P0001/command".to_owned(), payload: b"hello".to_vec() };
        assert_eq!(link.next().await.unwrap(), heard, "{driver:?}");
        link.close().await;
    }
}

#[tokio::test]
async fn a_pile_on_a_real_socket_charges_and_repeats_its_record_until_it_is_acknowledged() {
    let broker = Mosquitto::start();
    for driver in [Driver::Lean, Driver::Rumqttc] {
        let mut hub = hub(&broker).await;
        let (stop, stopped) = watch::channel(false);
        let shared = Shared::new(Pace::wall(), stopped);
        let probes = Arc::clone(&shared.probes);
        let mut config = PileConfig::dc(code("P0001"), Watts(60_000), 1);
        config.status_every = Millis(100);
        config.start_delay = Millis(1);
        config.record_resend_every = Millis(200);
        let pile = agent::spawn(config, endpoint(&broker, driver), shared);
        assert!(pile.wait_for(Duration::from_secs(10), |state| state.connected).await);
        let car = Car { battery_wh: 60_000, soc: SocTenths(300), max_power: Watts(60_000) };
        pile.tell(Event::Plug { connector: ConnectorId(1), car }).await;

        let order_no = OrderNo::parse("1001").unwrap();
        let kind = command::CommandKind::StartCharging {
            connector: ConnectorId(1),
            order_no: order_no.clone(),
            max_power: None,
            max_time_s: Some(1),
            max_energy: None,
        };
        let command_id = CommandId::parse("c1").unwrap();
        let start = command::Command { command_id, kind, expires_at: None };
        hub.publish(1, true, "pile/P0001/command", &wire::encode_command(&start, &code("P0001"), Timestamp::EPOCH));
        hub.flush().await.unwrap();
        next_publish(&mut hub, "/command/ack").await;
        next_publish(&mut hub, "/charging/status").await;
        let first = next_publish(&mut hub, "/charging/finished").await;
        assert_eq!(next_publish(&mut hub, "/charging/finished").await, first, "the record comes again");
        let answer = wire::encode_record_ack("1001", None, wire::RecordAckResult::Stored, Timestamp::EPOCH);
        hub.publish(2, true, "pile/P0001/record/ack", &answer);
        hub.flush().await.unwrap();
        assert!(pile.wait_for(Duration::from_secs(10), |state| state.quiet).await);
        let truth = probes.truth(&order_no).expect("the truth is handed over with the acknowledgement");
        assert_eq!(truth.answers, [wire::RecordAckResult::Stored]);
        assert!(truth.counted().count() > 3);
        stop.send(true).unwrap();
        pile.join().await;
    }
}

#[tokio::test]
async fn a_pile_whose_broker_dies_comes_back_and_sends_what_was_not_acknowledged() {
    let mut broker = Mosquitto::start();
    let (stop, stopped) = watch::channel(false);
    let config = PileConfig::dc(code("P0001"), Watts(60_000), 1);
    let pile = agent::spawn(config, endpoint(&broker, Driver::Lean), Shared::new(Pace::wall(), stopped));
    assert!(pile.wait_for(Duration::from_secs(10), |state| state.connected).await);
    broker.kill();
    assert!(pile.wait_for(Duration::from_secs(10), |state| !state.connected).await);
    let car = Car { battery_wh: 60_000, soc: SocTenths(300), max_power: Watts(60_000) };
    pile.tell(Event::Plug { connector: ConnectorId(1), car }).await;
    assert!(pile.wait_for(Duration::from_secs(10), |state| !state.quiet).await, "the event waits");

    broker.start_again();
    assert!(pile.wait_for(Duration::from_secs(20), |state| state.connected && state.quiet).await);
    stop.send(true).unwrap();
    pile.join().await;
}

#[tokio::test]
async fn a_flood_is_paced_and_every_message_is_acknowledged_and_forwarded() {
    let broker = Mosquitto::start();
    let options = FloodOptions {
        mqtt: broker.address,
        crowd: Crowd::Anonymous(50),
        piles: 50,
        rate: 500,
        duration: Duration::from_secs(1),
        qos1: true,
        subscriber: Some(1),
        sources: 3,
    };
    let report = flood::flood(&options).await.unwrap();
    assert_eq!((report.sent, report.acked, report.received), (500, 500, Some(500)), "{report:?}");
    assert!(report.is_complete() && report.flood_ms >= 1_000, "{report:?}");
}

#[tokio::test]
async fn an_idle_crowd_stays_until_its_time_is_over() {
    let broker = Mosquitto::start();
    let options = idle::IdleOptions {
        trust: None,
        mqtt: broker.address,
        crowd: Crowd::Anonymous(30),
        piles: 30,
        duration: Duration::from_secs(1),
        sources: 0,
    };
    let mut ready = None;
    let report = idle::idle(&options, |report| ready = Some(*report)).await.unwrap();
    assert_eq!(ready.unwrap().acked, 30);
    assert_eq!((report.connected, report.broken), (30, 0));
}
