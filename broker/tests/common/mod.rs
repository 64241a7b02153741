//! A gate with a store that does what the test says, and a charger that speaks MQTT byte by byte.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part of this")]
#![allow(
    clippy::unwrap_used,
    clippy::as_conversions,
    clippy::wildcard_enum_match_arm,
    reason = "test code: what is not expected fails the test"
)]

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use broker::{Acks, BadFrame, Deliver, Gate, GateConfig, Identities, Identity, LinkEvent, RouterKind, Up, UpSink};
use bytes::{Bytes, BytesMut};
use domain::{
    AckToken, Clock, PileCode, PileNo, Timestamp,
    wire::{Reason, UpFrame, UpTopic},
};
use parking_lot::Mutex;
use rumqttc::{Packet, QoS};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream},
    net::{TcpListener, TcpStream},
    sync::Notify,
    time::timeout,
};

/// How long a test waits for what must happen before it fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A clock that stands where the test puts it.
#[derive(Debug)]
pub struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_763_690_000_000).unwrap()
    }
}

/// What the sink was told, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    Up { pile_no: u32, epoch: u32 },
    Down { pile_no: u32, epoch: u32, cause: &'static str, will: bool },
    Frame { pile_no: u32, epoch: u32, topic: UpTopic, seq: Option<u64>, acknowledged: bool },
    Bad { pile_no: u32, reason: Reason, topic: UpTopic, len: usize, acknowledged: bool },
}

#[derive(Default)]
struct Seen {
    told: Vec<Told>,
    tokens: VecDeque<AckToken>,
}

/// The store behind the sink: keeps what it gets, acknowledges at once or when told to.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    seen: Mutex<Seen>,
    changed: Notify,
    acks: Acks,
    at_once: AtomicBool,
    ready: AtomicBool,
    /// Frames it takes before it is busy.
    room: Mutex<Option<usize>>,
}

impl Store {
    fn tell(&self, told: Told, token: Option<AckToken>) {
        {
            let mut seen = self.0.seen.lock();
            seen.told.push(told);
            seen.tokens.extend(token);
        }
        if self.0.at_once.load(Ordering::SeqCst) {
            self.complete_all();
        }
        self.0.changed.notify_waiters();
    }

    fn has_room(&self) -> bool {
        match self.0.room.lock().as_mut() {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }

    pub fn acknowledge_at_once(&self, yes: bool) {
        self.0.at_once.store(yes, Ordering::SeqCst);
    }

    pub fn set_ready(&self, yes: bool) {
        self.0.ready.store(yes, Ordering::SeqCst);
    }

    /// Takes so many frames more, then none; `None` = as many as come.
    pub fn set_room(&self, room: Option<usize>) {
        *self.0.room.lock() = room;
    }

    /// Everything it got so far is durable.
    pub fn complete_all(&self) {
        let mut tokens: Vec<_> = self.0.seen.lock().tokens.drain(..).collect();
        self.0.acks.complete(&mut tokens);
    }

    /// The tokens it holds, oldest first.
    pub fn take_tokens(&self) -> Vec<AckToken> {
        self.0.seen.lock().tokens.drain(..).collect()
    }

    pub fn told(&self) -> Vec<Told> {
        self.0.seen.lock().told.clone()
    }

    pub fn frames(&self) -> usize {
        self.told().iter().filter(|told| matches!(told, Told::Frame { .. })).count()
    }

    /// Waits until what it was told fulfils a condition; that.
    pub async fn until(&self, condition: impl Fn(&[Told]) -> bool) -> Vec<Told> {
        let waiting = async {
            loop {
                let changed = self.0.changed.notified();
                let told = self.told();
                if condition(&told) {
                    return told;
                }
                changed.await;
            }
        };
        match timeout(PATIENCE, waiting).await {
            Ok(told) => told,
            Err(_) => panic!("did not come; the sink was told {:?}", self.told()),
        }
    }

    pub async fn until_told(&self, what: Told) -> Vec<Told> {
        self.until(|told| told.contains(&what)).await
    }
}

impl UpSink for Store {
    fn frame(&mut self, up: Up<'_>) -> Deliver {
        if !self.has_room() {
            return Deliver::Busy;
        }
        let seq = match &up.frame {
            UpFrame::Heartbeat(heartbeat) => heartbeat.seq,
            _ => None,
        };
        let (pile_no, epoch) = (up.pile_no.0, up.epoch);
        let told = Told::Frame { pile_no, epoch, topic: up.topic, seq, acknowledged: up.token.is_some() };
        self.tell(told, up.token);
        Deliver::Taken
    }

    fn bad_frame(&mut self, bad: BadFrame<'_>) -> Deliver {
        if !self.has_room() {
            return Deliver::Busy;
        }
        let told = Told::Bad {
            pile_no: bad.pile_no.0,
            reason: bad.error.reason,
            topic: bad.topic,
            len: bad.raw.len(),
            acknowledged: bad.token.is_some(),
        };
        self.tell(told, bad.token);
        Deliver::Taken
    }

    fn link(&mut self, event: LinkEvent) {
        let told = match event {
            LinkEvent::Up { pile_no, epoch, .. } => Told::Up { pile_no: pile_no.0, epoch },
            LinkEvent::Down { pile_no, epoch, cause, will } => {
                Told::Down { pile_no: pile_no.0, epoch, cause: cause.as_str(), will }
            }
        };
        self.tell(told, None);
    }

    fn ready(&self) -> bool {
        self.0.ready.load(Ordering::SeqCst)
    }
}

/// A gate that listens on loopback, with piles P1 to P9 whose secrets are `secret of P1` …
pub struct Hub {
    pub gate: Gate,
    pub store: Store,
    pub addr: SocketAddr,
    pub identities: Arc<Identities>,
}

pub fn secret(code: &str) -> String {
    format!("secret of {code}")
}

pub fn admit(identities: &Identities, no: u32) {
    let code = PileCode::parse(&format!("P{no}")).unwrap();
    let verifier = identities.verifier_of(&code, &secret(code.as_str()));
    identities.insert(Identity::new(PileNo(no), code, verifier));
}

impl Hub {
    pub async fn start() -> Self {
        Self::with(GateConfig::default()).await
    }

    pub async fn with(config: GateConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut hub = Self::without_listener(config);
        hub.addr = listener.local_addr().unwrap();
        let gate = hub.gate.clone();
        tokio::spawn(async move { gate.listen(listener).await });
        hub
    }

    /// With no thread of its own, for simulated time.
    pub fn simulated() -> Self {
        Self::without_listener(GateConfig { router: RouterKind::Loopback, ..GateConfig::default() })
    }

    /// Nobody can dial it; connections are plugged in.
    pub fn without_listener(config: GateConfig) -> Self {
        let identities = Arc::new(Identities::new(&[7; 32]));
        (1..=9).for_each(|no| admit(&identities, no));
        let gate = Gate::new(config, Arc::clone(&identities), Arc::new(FixedClock));
        let store = Store(Arc::new(Inner {
            seen: Mutex::default(),
            changed: Notify::new(),
            acks: gate.acks(),
            at_once: AtomicBool::new(true),
            ready: AtomicBool::new(true),
            room: Mutex::new(None),
        }));
        let (runner, sink) = (gate.clone(), store.clone());
        tokio::spawn(async move { runner.run(sink).await });
        Self { gate, store, addr: SocketAddr::from(([127, 0, 0, 1], 0)), identities }
    }

    /// A charger's socket, nothing sent.
    pub async fn dial(&self) -> Charger<TcpStream> {
        Charger::new(TcpStream::connect(self.addr).await.unwrap())
    }

    /// A connection in memory, nothing sent; `room` bytes fit into it each way.
    pub fn plug(&self, room: usize) -> Charger<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(room);
        self.gate.serve(theirs, SocketAddr::from(([10, 0, 0, 1], 1)));
        Charger::new(ours)
    }

    /// The same from an address of its own.
    pub fn plug_from(&self, from: [u8; 4]) -> Charger<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        self.gate.serve(theirs, SocketAddr::from((from, 1)));
        Charger::new(ours)
    }

    /// A charger that was let in.
    pub async fn connect(&self, code: &str) -> Charger<TcpStream> {
        let mut charger = self.dial().await;
        assert_eq!(charger.login(code, &secret(code)).await, 0);
        charger
    }

    /// A charger that was let in and listens to its commands and record acks.
    pub async fn subscribed(&self, code: &str) -> Charger<TcpStream> {
        let mut charger = self.connect(code).await;
        let filters = [(format!("pile/{code}/command"), 1), (format!("pile/{code}/record/ack"), 1)];
        assert_eq!(charger.subscribe(&filters).await, [1, 1]);
        charger
    }
}

/// The other end of a connection.
pub struct Charger<S> {
    pub stream: S,
    unread: BytesMut,
}

/// What a charger says in its CONNECT.
pub fn connect_packet(client_id: &str, username: &str, password: &str) -> rumqttc::mqttbytes::v4::Connect {
    let mut connect = rumqttc::mqttbytes::v4::Connect::new(client_id);
    connect.keep_alive = 30;
    connect.set_login(username, password);
    connect
}

pub fn publish_packet(topic: &str, qos: u8, packet_id: u16, payload: impl Into<Vec<u8>>) -> Packet {
    let level = rumqttc::mqttbytes::qos(qos).unwrap();
    let mut publish = rumqttc::Publish::new(topic, level, payload);
    publish.pkid = packet_id;
    Packet::Publish(publish)
}

pub fn encode(packet: &Packet) -> BytesMut {
    let mut bytes = BytesMut::new();
    packet.write(&mut bytes, usize::MAX).unwrap();
    bytes
}

/// A heartbeat that is understood.
pub fn heartbeat(seq: u64) -> String {
    format!(r#"{{"status":1,"timestamp":1763690000000,"seq":{seq}}}"#)
}

impl<S: AsyncRead + AsyncWrite + Unpin> Charger<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, unread: BytesMut::new() }
    }

    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    pub async fn send(&mut self, packet: &Packet) {
        self.send_bytes(&encode(packet)).await;
    }

    /// The next packet; `None` when the gate closed.
    pub async fn next(&mut self) -> Option<Packet> {
        let waiting = async {
            loop {
                match Packet::read(&mut self.unread, usize::MAX) {
                    Ok(packet) => return Some(packet),
                    Err(rumqttc::mqttbytes::Error::InsufficientBytes(_)) => {}
                    Err(error) => panic!("the gate sent no MQTT: {error}"),
                }
                match self.stream.read_buf(&mut self.unread).await {
                    Ok(1..) => {}
                    Ok(0) | Err(_) => return None,
                }
            }
        };
        timeout(PATIENCE, waiting).await.expect("nothing came and the gate did not close")
    }

    /// The gate closes, having said nothing more.
    pub async fn closed(&mut self) {
        assert_eq!(self.next().await, None);
    }

    /// Its CONNACK code.
    pub async fn login_with(&mut self, connect: rumqttc::mqttbytes::v4::Connect) -> u8 {
        self.send(&Packet::Connect(connect)).await;
        self.connack().await
    }

    /// The code of the CONNACK that comes next.
    pub async fn connack(&mut self) -> u8 {
        match self.next().await {
            Some(Packet::ConnAck(ack)) => {
                assert!(!ack.session_present, "the gate keeps no session");
                ack.code as u8
            }
            other => panic!("no CONNACK but {other:?}"),
        }
    }

    pub async fn login(&mut self, code: &str, password: &str) -> u8 {
        self.login_with(connect_packet(code, code, password)).await
    }

    /// The SUBACK codes.
    pub async fn subscribe(&mut self, filters: &[(String, u8)]) -> Vec<u8> {
        let many = filters
            .iter()
            .map(|(path, qos)| rumqttc::SubscribeFilter::new(path.clone(), rumqttc::mqttbytes::qos(*qos).unwrap()));
        let mut subscribe = rumqttc::Subscribe::new_many(many);
        subscribe.pkid = 77;
        self.send(&Packet::Subscribe(subscribe)).await;
        match self.next().await {
            Some(Packet::SubAck(ack)) => {
                assert_eq!(ack.pkid, 77);
                ack.return_codes
                    .iter()
                    .map(|code| match code {
                        rumqttc::SubscribeReasonCode::Success(QoS::AtMostOnce) => 0,
                        rumqttc::SubscribeReasonCode::Success(QoS::AtLeastOnce) => 1,
                        rumqttc::SubscribeReasonCode::Success(QoS::ExactlyOnce) => 2,
                        rumqttc::SubscribeReasonCode::Failure => 0x80,
                    })
                    .collect()
            }
            other => panic!("no SUBACK but {other:?}"),
        }
    }

    pub async fn publish(&mut self, topic: &str, qos: u8, packet_id: u16, payload: impl Into<Vec<u8>>) {
        self.send(&publish_packet(topic, qos, packet_id, payload)).await;
    }

    /// The packet id of the PUBACK that comes next.
    pub async fn puback(&mut self) -> u16 {
        match self.next().await {
            Some(Packet::PubAck(ack)) => ack.pkid,
            other => panic!("no PUBACK but {other:?}"),
        }
    }

    /// Whether the gate still answers; everything sent before was read by then.
    pub async fn ping(&mut self) {
        self.send(&Packet::PingReq).await;
        assert_eq!(self.next().await, Some(Packet::PingResp));
    }

    /// The message that comes next: topic, QoS, packet id, payload.
    pub async fn message(&mut self) -> (String, u8, u16, Bytes) {
        match self.next().await {
            Some(Packet::Publish(publish)) => (publish.topic, publish.qos as u8, publish.pkid, publish.payload),
            other => panic!("no message but {other:?}"),
        }
    }
}
