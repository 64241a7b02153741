//! A charger that keeps its promises across any failure of the hub [CONTRACT 1]: what was not acknowledged is sent again
//! on the next connection, in order; a record is repeated until it gets its `record/ack`; a command acts once.
//!
//! It speaks through a real MQTT client (rumqttc), one per connection, and does everything by itself.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rumqttc::{Client, Event, MqttOptions, Outgoing, Packet, QoS, RecvTimeoutError, SubscribeFilter};
use serde_json::{Value, json};

use crate::support::{
    crash::Watched,
    wait::{deadline, left, now_ms},
    world::Pile,
};

/// How often a charging gun says where it is.
const TICK: Duration = Duration::from_millis(25);
/// How long the hub may take over CONNECT and SUBSCRIBE before the charger looks up.
const PATIENCE: Duration = Duration::from_secs(1);
/// Ticks between two heartbeats, and between two copies of a record that was not answered.
const TICKS_PER_BEAT: u32 = 20;
/// Copies of one record that may wait for their PUBACK.
const COPIES_MAX: usize = 100;

/// With this status frame of a charge comes an event: in the middle, where nothing else is committed.
const SEQ_OF_EVENT: u32 = 6;

/// What a gun's driver can see of the charger.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// The hub has a status frame of this order.
    Measured(String),
    /// The hub answered the record of this order.
    Answered { order_no: String, result: String },
}

/// A running charger; it stops when it is dropped.
#[derive(Debug)]
pub(crate) struct Charger {
    stop: Arc<AtomicBool>,
    /// The gun at which somebody pressed the button; 0 = none.
    pressed: Arc<AtomicU8>,
    thread: Option<JoinHandle<BTreeMap<String, i64>>>,
}

impl Charger {
    /// Starts it; answers what each of its two guns tells.
    pub(crate) fn start(watched: Arc<Watched>, pile: &Pile) -> (Self, [Receiver<Told>; 2]) {
        let stop = Arc::new(AtomicBool::new(false));
        let ((one, first), (two, second)) = (channel(), channel());
        let pressed = Arc::new(AtomicU8::new(0));
        let memory = Memory {
            pile: pile.clone(),
            pressed: Arc::clone(&pressed),
            stop: Arc::clone(&stop),
            told: [one, two],
            unacked: VecDeque::new(),
            guns: BTreeMap::new(),
            acted: BTreeSet::new(),
            records: BTreeMap::new(),
            totals: BTreeMap::new(),
            ticks: 0,
        };
        let thread = std::thread::spawn(move || memory.live(&watched));
        (Self { stop, pressed, thread: Some(thread) }, [first, second])
    }

    /// Somebody presses the button at a gun: the charge ends without a command of the hub.
    pub(crate) fn press_stop(&self, gun: u8) {
        self.pressed.store(gun, Ordering::SeqCst);
    }

    /// Ends it; answers the energy in Wh of every order it finished.
    pub(crate) fn end(mut self) -> BTreeMap<String, i64> {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().map(|thread| thread.join().unwrap()).unwrap()
    }
}

impl Drop for Charger {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // It may have failed; whoever wants to know calls `end`.
            let _ = thread.join();
        }
    }
}

/// What survives a lost connection.
#[derive(Debug)]
struct Memory {
    pile: Pile,
    pressed: Arc<AtomicU8>,
    stop: Arc<AtomicBool>,
    told: [Sender<Told>; 2],
    unacked: VecDeque<Kept>,
    guns: BTreeMap<u8, Charge>,
    /// Commands that were acted upon.
    acted: BTreeSet<String>,
    /// Records without an answer, by order: the gun and the bytes.
    records: BTreeMap<String, (u8, Vec<u8>)>,
    totals: BTreeMap<String, i64>,
    ticks: u32,
}

/// A QoS 1 frame without a PUBACK.
#[derive(Debug)]
struct Kept {
    leaf: &'static str,
    payload: Vec<u8>,
    /// Its packet id on this connection, once it left.
    id: Option<u16>,
    gun: u8,
    order_no: String,
}

#[derive(Debug)]
struct Charge {
    order_no: String,
    seq: u32,
    wh: i64,
    started: i64,
}

impl Memory {
    fn live(mut self, watched: &Watched) -> BTreeMap<String, i64> {
        while !self.stop.load(Ordering::SeqCst) {
            self.connection(watched);
            // Nobody listens: the car goes on charging, and the frames wait.
            self.tick(None);
            std::thread::park_timeout(TICK);
        }
        self.totals
    }

    /// One connection, from CONNECT to its end.
    fn connection(&mut self, watched: &Watched) {
        let at = watched.hub().mqtt;
        let mut options = MqttOptions::new(&self.pile.code, at.ip().to_string(), at.port());
        options.set_credentials(&self.pile.code, &self.pile.secret).set_keep_alive(Duration::from_secs(60));
        options.set_inflight(1_000);
        let (client, mut connection) = Client::new(options, 10_000);
        let down = ["command", "record/ack"].map(|leaf| format!("pile/{}/{leaf}", self.pile.code));
        client.subscribe_many(down.map(|topic| SubscribeFilter::new(topic, QoS::AtLeastOnce))).unwrap();
        let (mut ready, mut next) = (false, now() + PATIENCE);
        let patience = deadline();
        while !self.stop.load(Ordering::SeqCst) {
            match connection.recv_timeout(left(next)) {
                Ok(Ok(Event::Incoming(Packet::SubAck(_)))) => {
                    ready = true;
                    self.send_again(&client);
                    next = now() + TICK;
                }
                Ok(Ok(Event::Incoming(Packet::PubAck(ack)))) => self.acknowledged(ack.pkid),
                Ok(Ok(Event::Incoming(Packet::Publish(down)))) => {
                    let body: Value = serde_json::from_slice(&down.payload).unwrap();
                    if down.topic.ends_with("/command") {
                        self.command(&body, ready.then_some(&client));
                    } else {
                        self.answered(&body);
                    }
                }
                Ok(Ok(Event::Outgoing(Outgoing::Publish(id)))) if id > 0 => self.left(id),
                Ok(Ok(_)) => {}
                Ok(Err(_)) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    assert!(now() < patience || ready, "{}: the hub does not answer", self.pile.code);
                    self.tick((ready).then_some(&client));
                    next = now() + if ready { TICK } else { PATIENCE };
                }
            }
        }
    }

    /// Everything without a PUBACK, in its order; records without an answer come last.
    fn send_again(&mut self, client: &Client) {
        self.heartbeat(client);
        for kept in &mut self.unacked {
            kept.id = None;
            client.publish(topic(&self.pile.code, kept.leaf), QoS::AtLeastOnce, false, kept.payload.clone()).unwrap();
        }
        self.repeat_records(Some(client));
    }

    fn tick(&mut self, client: Option<&Client>) {
        self.ticks += 1;
        let frames: Vec<_> = self.guns.iter_mut().map(|(gun, charge)| (*gun, charge.measure(*gun))).collect();
        for (gun, (order_no, frame)) in frames {
            self.send(client, "charging/status", &frame, gun, &order_no);
            if frame["seq"] == SEQ_OF_EVENT {
                let event = json!({"eventId": format!("e-{order_no}"), "type": "plugged", "connectorId": gun,
                    "timestamp": now_ms()});
                self.send(client, "event", &event, gun, &order_no);
            }
        }
        let pressed = self.pressed.swap(0, Ordering::SeqCst);
        if pressed > 0 {
            self.finish(pressed, 5, client);
        }
        if self.ticks.is_multiple_of(TICKS_PER_BEAT) {
            self.repeat_records(client);
            if let Some(client) = client {
                self.heartbeat(client);
            }
        }
    }

    fn repeat_records(&mut self, client: Option<&Client>) {
        let records: Vec<_> = self.records.iter().map(|(no, (gun, raw))| (no.clone(), *gun, raw.clone())).collect();
        for (order_no, gun, raw) in records {
            let is_copy = |kept: &&Kept| kept.leaf == "charging/finished" && kept.order_no == order_no;
            let waiting = self.unacked.iter().filter(is_copy).count();
            // Beyond the first copy only on a connection: there is no sense in filling the memory for nobody.
            if waiting == 0 || (client.is_some() && waiting < COPIES_MAX) {
                self.send_bytes(client, "charging/finished", raw, gun, &order_no);
            }
        }
    }

    fn heartbeat(&self, client: &Client) {
        let plugged = |gun: u8| json!({"connectorId": gun, "status": 1, "plugged": true});
        let beat = json!({"status": 1, "timestamp": now_ms(), "connectors": [plugged(1), plugged(2)]});
        client.publish(topic(&self.pile.code, "heartbeat"), QoS::AtMostOnce, false, beat.to_string()).unwrap();
    }

    fn send(&mut self, client: Option<&Client>, leaf: &'static str, body: &Value, gun: u8, order_no: &str) {
        self.send_bytes(client, leaf, body.to_string().into_bytes(), gun, order_no);
    }

    fn send_bytes(&mut self, client: Option<&Client>, leaf: &'static str, payload: Vec<u8>, gun: u8, order_no: &str) {
        if let Some(client) = client {
            client.publish(topic(&self.pile.code, leaf), QoS::AtLeastOnce, false, payload.clone()).unwrap();
        }
        self.unacked.push_back(Kept { leaf, payload, id: None, gun, order_no: order_no.to_owned() });
    }

    /// The client sent the next frame under this packet id.
    fn left(&mut self, id: u16) {
        let next = self.unacked.iter_mut().find(|kept| kept.id.is_none());
        next.unwrap_or_else(|| panic!("packet {id} is no frame of this charger")).id = Some(id);
    }

    fn acknowledged(&mut self, id: u16) {
        let place = self.unacked.iter().position(|kept| kept.id == Some(id));
        let kept = place.and_then(|place| self.unacked.remove(place));
        let kept = kept.unwrap_or_else(|| panic!("PUBACK {id} for nothing"));
        if kept.leaf == "charging/status" {
            self.tell(kept.gun, Told::Measured(kept.order_no));
        }
    }

    fn command(&mut self, command: &Value, client: Option<&Client>) {
        let id = command["commandId"].as_str().unwrap().to_owned();
        let order_no = command["orderNo"].as_str().unwrap().to_owned();
        let gun = u8::try_from(command["connectorId"].as_u64().unwrap()).unwrap();
        let is_new = self.acted.insert(id.clone());
        let ack = json!({"commandId": id, "orderNo": order_no, "result": "accepted", "timestamp": now_ms()});
        self.send(client, "command/ack", &ack, gun, &order_no);
        match command["type"].as_str().unwrap() {
            "startCharging" if is_new => {
                assert!(!self.totals.contains_key(&order_no), "order {order_no} is started twice");
                let charge = Charge { order_no: order_no.clone(), seq: 0, wh: 0, started: now_ms() };
                assert!(self.guns.insert(gun, charge).is_none(), "gun {gun} has two orders");
            }
            "stopCharging" if is_new => {
                assert!(self.guns.contains_key(&gun), "stop of an idle gun: {command}");
                self.finish(gun, 1, client);
            }
            _ => assert!(!is_new, "unexpected command {command}"),
        }
    }

    /// Ends the charge at a gun, if there is one: its record is kept until it is answered.
    fn finish(&mut self, gun: u8, reason: u8, client: Option<&Client>) {
        let Some(charge) = self.guns.remove(&gun) else { return };
        let record = charge.record(gun, reason).to_string().into_bytes();
        self.totals.insert(charge.order_no.clone(), charge.wh);
        self.records.insert(charge.order_no.clone(), (gun, record.clone()));
        self.send_bytes(client, "charging/finished", record, gun, &charge.order_no);
    }

    fn answered(&mut self, answer: &Value) {
        let order_no = answer["orderNo"].as_str().unwrap().to_owned();
        if let Some((gun, _)) = self.records.remove(&order_no) {
            let result = answer["result"].as_str().unwrap().to_owned();
            self.tell(gun, Told::Answered { order_no, result });
        }
    }

    fn tell(&self, gun: u8, told: Told) {
        // A driver who has seen enough is gone.
        let _ = self.told.get(usize::from(gun) - 1).unwrap().send(told);
    }
}

impl Charge {
    fn measure(&mut self, gun: u8) -> (String, Value) {
        self.seq += 1;
        // Uneven on purpose, and never the same for two guns: a frame that is counted twice or not at all shows.
        self.wh += 17 + i64::from(self.seq * 7 % 23) + i64::from(gun);
        let now = now_ms();
        let frame = json!({"orderNo": self.order_no, "connectorId": gun, "seq": self.seq, "totalPower": kwh(self.wh),
            "totalTime": (now - self.started) / 1_000, "currentPower": 47.8, "timestamp": now});
        (self.order_no.clone(), frame)
    }

    fn record(&self, gun: u8, reason: u8) -> Value {
        let end = now_ms();
        json!({"orderNo": self.order_no, "connectorId": gun, "seq": self.seq + 1, "totalPower": kwh(self.wh),
            "totalTime": (end - self.started) / 1_000, "stopReason": reason, "startTime": self.started, "endTime": end,
            "timestamp": end})
    }
}

/// Watt-hours as the decimal text a charger prints.
fn kwh(wh: i64) -> String {
    format!("{}.{:03}", wh / 1_000, wh % 1_000)
}

fn topic(code: &str, leaf: &str) -> String {
    format!("pile/{code}/{leaf}")
}

#[allow(clippy::disallowed_methods, reason = "a charger's own clock")]
fn now() -> Instant {
    Instant::now()
}
