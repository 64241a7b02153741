//! A charger as its maker would write it from the contract alone: bytes on a socket, one packet after the other, and
//! nothing sent that the test did not ask for (but for the PUBACK of what the hub publishes).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a harness that fails shall fail loudly")]

use std::{
    collections::VecDeque,
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    time::Duration,
};

use bytes::BytesMut;
use loadtest::client::codec::{self, FromHub};
use serde_json::{Value, json};

use super::{
    Hub,
    wait::{DEADLINE, deadline, left, now_ms},
    world::Pile,
};

/// What the hub published to the charger.
#[derive(Debug, Clone)]
pub struct Down {
    pub topic: String,
    pub body: Value,
}

/// A connection of a charger.
#[derive(Debug)]
pub struct Charger {
    pub code: String,
    stream: TcpStream,
    input: BytesMut,
    inbox: VecDeque<Down>,
    acked: Vec<u16>,
    next_id: u16,
}

impl Charger {
    /// Connects and subscribes to both down topics, as every charger does.
    pub fn connect(hub: &Hub, pile: &Pile) -> Self {
        let (mut charger, code) = Self::dial(hub, &pile.code, Some(&pile.secret));
        assert_eq!(code, 0, "CONNACK of {}", pile.code);
        let topics = [format!("pile/{}/command", pile.code), format!("pile/{}/record/ack", pile.code)];
        assert_eq!(charger.subscribe(&[topics[0].as_str(), topics[1].as_str()]), [1, 1]);
        charger
    }

    /// Connects and says a first heartbeat, so that the pile is online.
    pub fn online(hub: &Hub, pile: &Pile) -> Self {
        let mut charger = Self::connect(hub, pile);
        charger.heartbeat();
        charger
    }

    /// CONNECT; answers the return code of the CONNACK.
    pub fn dial(hub: &Hub, code: &str, secret: Option<&str>) -> (Self, u8) {
        let mut out = Vec::new();
        codec::connect(&mut out, code, secret, 120);
        Self::dial_with(hub, code, &out)
    }

    /// CONNECT with a client id that is not the user name.
    pub fn dial_as(hub: &Hub, client_id: &str, user: &str, secret: &str) -> (Self, u8) {
        let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 4, 0b1100_0010, 0, 120];
        for text in [client_id, user, secret] {
            body.extend([0, u8::try_from(text.len()).unwrap()]);
            body.extend(text.as_bytes());
        }
        let mut out = vec![0x10, u8::try_from(body.len()).unwrap()];
        out.extend(body);
        Self::dial_with(hub, client_id, &out)
    }

    fn dial_with(hub: &Hub, code: &str, connect: &[u8]) -> (Self, u8) {
        let mut charger = Self { code: code.to_owned(), ..Self::raw(hub) };
        charger.write(connect);
        match charger.packet(DEADLINE) {
            Some(FromHub::ConnAck(answer)) => (charger, answer),
            other => panic!("expected a CONNACK, got {other:?}"),
        }
    }

    /// CONNECT with clean session 0; answers the return code and whether a session was present.
    pub fn resume(hub: &Hub, pile: &Pile) -> (Self, u8, bool) {
        let mut out = Vec::new();
        codec::connect(&mut out, &pile.code, Some(&pile.secret), 120);
        // The flags follow the protocol's name and level.
        out[9] &= !0b10;
        let mut charger = Self { code: pile.code.clone(), ..Self::raw(hub) };
        charger.write(&out);
        let mut answer = [0; 4];
        charger.stream.set_read_timeout(Some(DEADLINE)).unwrap();
        charger.stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer[..2], [0x20, 2]);
        (charger, answer[3], answer[2] == 1)
    }

    /// Connects from one of this machine's other addresses, and stays.
    pub fn connect_from(hub: &Hub, pile: &Pile, from: [u8; 4]) -> Self {
        let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None);
        let socket = socket.unwrap();
        rustix::net::bind(&socket, &std::net::SocketAddr::from((from, 0))).unwrap();
        rustix::net::connect(&socket, &hub.mqtt).unwrap();
        let mut charger = Self { code: pile.code.clone(), ..Self::on(TcpStream::from(socket)) };
        let mut out = Vec::new();
        codec::connect(&mut out, &pile.code, Some(&pile.secret), 120);
        charger.write(&out);
        assert_eq!(charger.packet(DEADLINE), Some(FromHub::ConnAck(0)));
        charger
    }

    /// A socket on which nothing was said.
    pub fn raw(hub: &Hub) -> Self {
        Self::on(TcpStream::connect(hub.mqtt).unwrap())
    }

    fn on(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        let (code, input, inbox) = (String::new(), BytesMut::new(), VecDeque::new());
        Self { code, stream, input, inbox, acked: Vec::new(), next_id: 1 }
    }

    /// SUBSCRIBE with QoS 1; answers the return codes.
    pub fn subscribe(&mut self, filters: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        codec::subscribe(&mut out, 1, filters);
        self.write(&out);
        let until = deadline();
        loop {
            match self.packet(left(until)) {
                Some(FromHub::SubAck(codes)) => return codes,
                Some(FromHub::PubAck(id)) => self.acked.push(id),
                other => panic!("expected a SUBACK, got {other:?}"),
            }
        }
    }

    /// Publishes on an own topic and waits for the PUBACK.
    pub fn send(&mut self, leaf: &str, body: &Value) {
        self.send_bytes(leaf, body.to_string().as_bytes());
    }

    /// The same with any bytes.
    pub fn send_bytes(&mut self, leaf: &str, body: &[u8]) {
        let topic = format!("pile/{}/{leaf}", self.code);
        assert!(self.publish(&topic, body), "the hub closed instead of a PUBACK for {topic}");
    }

    /// Publishes with QoS 1 on any topic; false when the hub closes instead of a PUBACK.
    pub fn publish(&mut self, topic: &str, body: &[u8]) -> bool {
        let id = self.post(topic, body);
        let until = deadline();
        while !self.acked.contains(&id) {
            match self.packet(left(until)) {
                Some(FromHub::PubAck(other)) => self.acked.push(other),
                Some(other) => panic!("expected a PUBACK, got {other:?}"),
                None => return false,
            }
        }
        self.acked.retain(|other| *other != id);
        true
    }

    /// Publishes with QoS 1 and waits for nothing; answers the packet id.
    pub fn post(&mut self, topic: &str, body: &[u8]) -> u16 {
        let id = self.next_id;
        self.next_id += 1;
        let mut out = Vec::new();
        codec::publish(&mut out, topic, Some(id), body);
        self.write(&out);
        id
    }

    /// Publishes with QoS 0.
    pub fn shout(&mut self, leaf: &str, body: &Value) {
        let mut out = Vec::new();
        codec::publish(&mut out, &format!("pile/{}/{leaf}", self.code), None, body.to_string().as_bytes());
        self.write(&out);
    }

    /// Any bytes at all.
    pub fn write(&mut self, bytes: &[u8]) {
        // A hub that refuses may close before it has read everything; the test sees that by reading.
        let _ = self.stream.write_all(bytes);
    }

    /// A plain heartbeat of an idle pile.
    pub fn heartbeat(&mut self) {
        self.send("heartbeat", &json!({"timestamp": now_ms(), "status": 1}));
    }

    /// The next thing the hub published on any topic.
    pub fn next(&mut self) -> Down {
        let until = deadline();
        loop {
            if let Some(down) = self.inbox.pop_front() {
                return down;
            }
            match self.packet(left(until)) {
                None => panic!("the hub closed instead of sending something"),
                Some(FromHub::PubAck(id)) => self.acked.push(id),
                Some(_) => {}
            }
        }
    }

    /// The next command; panics when it is another type or something else comes.
    pub fn command(&mut self, kind: &str) -> Value {
        let down = self.next();
        assert_eq!(down.topic, format!("pile/{}/command", self.code), "{}", down.body);
        assert_eq!(down.body["type"], kind, "{}", down.body);
        down.body
    }

    /// The next `record/ack`: its result. Panics when something else comes.
    pub fn record_ack(&mut self, order_no: &str) -> String {
        let down = self.next();
        assert_eq!(down.topic, format!("pile/{}/record/ack", self.code), "{}", down.body);
        assert_eq!(down.body["orderNo"], order_no, "{}", down.body);
        down.body["result"].as_str().unwrap().to_owned()
    }

    /// Everything that has arrived until the hub answers a ping: what comes later was not caused by what was before.
    pub fn so_far(&mut self) -> Vec<Down> {
        let mut out = Vec::new();
        codec::ping(&mut out);
        self.write(&out);
        let until = deadline();
        while self.packet(left(until)).expect("the hub closed") != FromHub::PingResp {}
        self.inbox.drain(..).collect()
    }

    /// Accepts a command.
    pub fn accept(&mut self, command: &Value) {
        self.send("command/ack", &answer_to(command, "accepted"));
    }

    /// Refuses a command.
    pub fn reject(&mut self, command: &Value) {
        self.send("command/ack", &answer_to(command, "rejected"));
    }

    /// Waits until the hub closes the connection.
    pub fn closed(&mut self) {
        let until = deadline();
        while self.packet(left(until)).is_some() {}
    }

    /// Cuts the connection without a word.
    pub fn cut(&mut self) {
        // It may be cut already by the hub.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// The next packet; `None` when the hub has closed. A publish goes to the inbox and is told as a PUBACK of 0, which
    /// no publish of ours has, so that a caller looks there.
    fn packet(&mut self, within: Duration) -> Option<FromHub> {
        self.stream.set_read_timeout(Some(within)).unwrap();
        loop {
            match codec::decode(&mut self.input).unwrap() {
                Some(FromHub::Publish { id, topic, payload }) => {
                    if let Some(id) = id {
                        let mut out = Vec::new();
                        codec::puback(&mut out, id);
                        self.write(&out);
                    }
                    let body = serde_json::from_slice(&payload).unwrap();
                    self.inbox.push_back(Down { topic, body });
                    return Some(FromHub::PubAck(0));
                }
                Some(packet) => return Some(packet),
                None => {}
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(read) => self.input.extend_from_slice(&chunk[..read]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{}: nothing came within {within:?}: {error}", self.code),
            }
        }
    }
}

fn answer_to(command: &Value, result: &str) -> Value {
    json!({"commandId": command["commandId"], "orderNo": command["orderNo"], "result": result, "timestamp": now_ms()})
}

/// A status frame: `kwh` since the start of the order, at `at` epoch milliseconds.
pub fn status(order_no: &str, seq: u32, kwh: &str, at: i64) -> Value {
    json!({"orderNo": order_no, "connectorId": 1, "seq": seq, "voltage": 398.2, "current": 120.0, "currentPower": 47.8,
        "totalPower": kwh, "totalTime": 60 * seq, "soc": 41.5, "timestamp": at})
}

/// A finished record with its required fields and its times.
pub fn finished(order_no: &str, seq: u32, kwh: &str, reason: u8, start: i64, end: i64) -> Value {
    json!({"orderNo": order_no, "connectorId": 1, "seq": seq, "totalPower": kwh, "totalTime": (end - start) / 1000,
        "stopReason": reason, "startTime": start, "endTime": end, "timestamp": end})
}
