//! Statements of MQTT 3.1.1 over a real socket, byte by byte; docs/MQTT.md lists all of them with their tests.
#![allow(clippy::unwrap_used, reason = "the helpers of tests fail loudly")]

mod common;

use std::io::ErrorKind;

use broker::Identity;
use bytes::Bytes;
use common::{Charger, Hub, Told, encode, heartbeat, publish_packet, secret};
use domain::{PileCode, PileNo, wire::DownTopic};
use rumqttc::Packet;
use tokio::{io::AsyncReadExt, net::TcpStream, time::timeout};

const P1: PileNo = PileNo(1);
const COMMAND: &str = "pile/P1/command";

/// A text or a binary of the standard: two bytes of length, then its bytes.
fn field(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    assert!(body.len() < 128, "one byte of length is enough here");
    [&[first, u8::try_from(body.len()).unwrap()][..], body].concat()
}

/// CONNECT with these flags and these fields of its payload.
fn connect(flags: u8, fields: &[&[u8]]) -> Vec<u8> {
    let payload: Vec<u8> = fields.iter().flat_map(|bytes| field(bytes)).collect();
    packet(0x10, &[&b"\0\x04MQTT\x04"[..], &[flags, 0, 30], &payload].concat())
}

fn subscribe(id: u16, filter: &[u8], qos: u8) -> Vec<u8> {
    packet(0x82, &[&id.to_be_bytes()[..], &field(filter), &[qos]].concat())
}

fn publish(first: u8, topic: &[u8], rest: &[u8]) -> Vec<u8> {
    packet(first, &[&field(topic)[..], rest].concat())
}

/// All the gate sends until it closes, because of `what`.
async fn read_to_the_end(charger: &mut Charger<TcpStream>, what: &str) -> Vec<u8> {
    let mut all = Vec::new();
    match timeout(common::PATIENCE, charger.stream.read_to_end(&mut all)).await {
        Ok(Ok(_)) => {}
        // It closed before it read what came after the fault.
        Ok(Err(error)) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        Err(_) => panic!("the gate did not close after {what}"),
    }
    all
}

/// Exactly the bytes that come next.
async fn read<const LEN: usize>(charger: &mut Charger<TcpStream>) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    timeout(common::PATIENCE, charger.stream.read_exact(&mut bytes)).await.unwrap().unwrap();
    bytes
}

#[tokio::test]
async fn a_connect_that_breaks_a_rule_closes_without_a_connack() {
    let hub = Hub::start().await;
    let (name, password) = (&b"P1"[..], secret("P1"));
    let password = password.as_bytes();
    let will = [name, b"pile/P1/event", b"{}", name, password];
    let good = [name, name, password];
    for (what, bytes) in [
        ("the reserved flag [MQTT-3.1.2-3]", connect(0xc3, &good)),
        ("will QoS 3 [MQTT-3.1.2-14]", connect(0xde, &will)),
        ("will QoS without a will [MQTT-3.1.2-13]", connect(0xca, &good)),
        ("will retain without a will [MQTT-3.1.2-15]", connect(0xe2, &good)),
        ("a will flag without its fields [MQTT-3.1.2-9]", connect(0xc6, &good)),
        ("fields of a will without its flag [MQTT-3.1.2-11]", connect(0xc2, &will)),
        ("a password without a user name [MQTT-3.1.2-22]", connect(0x42, &good)),
        ("a user name flag without a user name [MQTT-3.1.2-19]", connect(0x82, &[name])),
        ("a user name without its flag [MQTT-3.1.2-18]", connect(0x02, &[name, name])),
        ("a password flag without a password [MQTT-3.1.2-21]", connect(0xc2, &[name, name])),
        ("a password without its flag [MQTT-3.1.2-20]", connect(0x82, &good)),
        ("no client id [MQTT-3.1.3-3]", connect(0x02, &[])),
        ("a client id that is no UTF-8 [MQTT-3.1.3-4]", connect(0xc2, &[b"P\xff", name, password])),
        ("a will topic that is no UTF-8 [MQTT-3.1.3-10]", connect(0xc6, &[name, b"\xc3\x28", b"", name, password])),
        ("a user name that is no UTF-8 [MQTT-3.1.3-11]", connect(0xc2, &[name, b"\xed\xa0\x80", password])),
        ("a user name with a NUL [MQTT-1.5.3-2]", connect(0xc2, &[name, b"P\0", password])),
    ] {
        let mut charger = hub.dial().await;
        charger.send_bytes(&bytes).await;
        assert_eq!(read_to_the_end(&mut charger, what).await, [0_u8; 0], "{what}");
    }
    assert_eq!(hub.store.told(), [], "nobody of them was let in");
    let mut charger = hub.dial().await;
    charger.send_bytes(&connect(0xc6, &will)).await;
    assert_eq!(read(&mut charger).await, [0x20, 2, 0, 0], "the same bytes without the fault are a good CONNECT");
}

#[tokio::test]
async fn a_refusal_has_its_code_and_no_session_and_is_the_last_thing_said() {
    let hub = Hub::start().await;
    let (name, password) = (&b"P1"[..], secret("P1"));
    let password = password.as_bytes();
    for (code, bytes) in [
        (1, packet(0x10, b"\0\x04MQTT\x05\x02\0\x1e\0\0\x02P1")),
        (2, connect(0xc2, &[b"", b"", password])),
        (2, connect(0xc0, &[b"", b"", password])),
        (2, connect(0xc2, &[b"P/1", b"P/1", password])),
        (4, connect(0xc2, &[name, name, b"wrong"])),
        (5, connect(0xc2, &[name, b"P2", password])),
    ] {
        let mut charger = hub.dial().await;
        let talk = [bytes, subscribe(1, COMMAND.as_bytes(), 1), publish(0x30, b"pile/P1/heartbeat", b"{}")].concat();
        charger.send_bytes(&talk).await;
        assert_eq!(read_to_the_end(&mut charger, "a refusal").await, [0x20, 2, 0, code]);
    }
    assert_eq!(hub.store.told(), [], "nothing after a refused CONNECT is looked at");
}

#[tokio::test]
async fn every_client_id_of_1_to_23_letters_and_digits_may_connect() {
    let hub = Hub::start().await;
    let all = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let ids = (1..=23).map(|len| &all[..len]).chain([&all[20..43], &all[39..62]]);
    for (no, id) in (100..).zip(ids) {
        let code = PileCode::parse(id).unwrap();
        let verifier = hub.identities.verifier_of(&code, &secret(id));
        hub.identities.insert(Identity::new(PileNo(no), code, verifier));
        let mut charger = hub.dial().await;
        assert_eq!(charger.login(id, &secret(id)).await, 0, "{id}");
    }
}

#[tokio::test]
async fn a_packet_that_breaks_a_rule_closes_the_connection() {
    let hub = Hub::start().await;
    let heartbeat = b"pile/P1/heartbeat";
    let two = field(COMMAND.as_bytes());
    for (epoch, (what, bytes)) in (1..).zip([
        ("a topic that is no UTF-8 [MQTT-1.5.3-1]", publish(0x30, b"pile/P1/\xff", b"{}")),
        ("a surrogate in a topic [MQTT-1.5.3-1]", publish(0x30, b"pile/P1/\xed\xa0\x80", b"{}")),
        ("a NUL in a topic [MQTT-1.5.3-2]", publish(0x30, b"pile/P1/heart\0beat", b"{}")),
        ("a NUL in a filter [MQTT-4.7.3-2]", subscribe(1, b"pile/P1/command\0", 1)),
        ("a filter that is no UTF-8 [MQTT-3.8.3-1]", subscribe(1, b"pile/P1/\xc0\x80", 1)),
        ("PUBACK with flags [MQTT-2.2.2-2]", packet(0x42, &[0, 1])),
        ("SUBSCRIBE without its flags [MQTT-3.8.1-1]", packet(0x80, &[&[0, 1], &two[..], &[1]].concat())),
        ("UNSUBSCRIBE without its flags [MQTT-3.10.1-1]", packet(0xa0, &[&[0, 1], &two[..]].concat())),
        ("PINGREQ with flags [MQTT-2.2.2-2]", packet(0xc1, &[])),
        ("DISCONNECT with flags [MQTT-3.14.1-1]", packet(0xe1, &[])),
        ("PUBREL [MQTT-3.6.1-1]", packet(0x60, &[0, 1])),
        ("a packet that only servers send [MQTT-4.8.0-1]", packet(0xd0, &[])),
        ("packet type 15 [MQTT-4.8.0-1]", packet(0xf0, &[])),
        ("packet id 0 of a PUBLISH [MQTT-2.3.1-1]", publish(0x32, heartbeat, &[0, 0, b'{', b'}'])),
        ("packet id 0 of a SUBSCRIBE [MQTT-2.3.1-1]", subscribe(0, COMMAND.as_bytes(), 1)),
        ("packet id 0 of an UNSUBSCRIBE [MQTT-2.3.1-1]", packet(0xa2, &[&[0, 0], &two[..]].concat())),
        ("both QoS bits [MQTT-3.3.1-4]", publish(0x36, heartbeat, &[0, 1, b'{', b'}'])),
        ("a wildcard in a topic [MQTT-3.3.2-2]", publish(0x30, b"pile/P1/+", b"{}")),
        ("an empty topic [MQTT-4.7.3-1]", publish(0x30, b"", b"{}")),
        ("a SUBSCRIBE of nothing [MQTT-3.8.3-3]", packet(0x82, &[0, 1])),
        ("QoS 3 of a filter [MQTT-3.8.3-4]", subscribe(1, COMMAND.as_bytes(), 3)),
        ("reserved bits of a filter's QoS [MQTT-3.8.3-4]", subscribe(1, COMMAND.as_bytes(), 0x81)),
        ("an UNSUBSCRIBE of nothing [MQTT-3.10.3-2]", packet(0xa2, &[0, 1])),
        ("an UNSUBSCRIBE of no UTF-8 [MQTT-3.10.3-1]", packet(0xa2, &[0, 1, 0, 1, 0xff])),
    ]) {
        let mut charger = hub.connect("P1").await;
        charger.send_bytes(&[bytes, packet(0xc0, &[])].concat()).await;
        assert_eq!(read_to_the_end(&mut charger, what).await, [0_u8; 0], "{what}");
        let ended =
            |told: &Told| matches!(told, Told::Down { epoch: of, cause: "protocol" | "forbidden", .. } if *of == epoch);
        hub.store.until(|told| told.iter().any(ended)).await;
    }
    assert_eq!(hub.store.frames(), 0);
}

#[tokio::test]
async fn a_byte_order_mark_is_a_character_like_any_other() {
    let hub = Hub::start().await;
    let mut charger = hub.connect("P1").await;
    let marked = format!("\u{feff}{COMMAND}");
    assert_eq!(charger.subscribe(&[(marked, 1), (COMMAND.to_owned(), 1)]).await, [0x80, 1]);
    charger.publish("\u{feff}pile/P1/heartbeat", 1, 1, heartbeat(1)).await;
    charger.closed().await;
    assert_eq!(hub.store.frames(), 0);
}

#[tokio::test]
async fn a_filter_with_a_misplaced_wildcard_is_never_granted() {
    let hub = Hub::start().await;
    let mut charger = hub.connect("P1").await;
    let filters =
        ["pile/P1/record/+x", "pile/P1/record/x+", "pile/P1/record#", "pile/P1/#/ack", "pile/P1/command#", "++", ""];
    let asked: Vec<_> = filters.iter().map(|filter| ((*filter).to_owned(), 1)).collect();
    assert_eq!(charger.subscribe(&asked).await, [0x80; 7]);
}

#[tokio::test]
async fn after_its_puback_a_packet_id_is_a_new_publication() {
    let hub = Hub::start().await;
    let mut charger = hub.connect("P1").await;
    for seq in 1..=3 {
        let mut bytes = encode(&publish_packet("pile/P1/heartbeat", 1, 7, heartbeat(seq))).to_vec();
        // The DUP flag says nothing about that.
        bytes[0] |= if seq == 3 { 8 } else { 0 };
        charger.send_bytes(&bytes).await;
        assert_eq!(charger.puback().await, 7);
    }
    let told = hub.store.told();
    let seqs: Vec<_> =
        told.iter().filter_map(|told| if let Told::Frame { seq, .. } = told { *seq } else { None }).collect();
    assert_eq!(seqs, [1, 2, 3]);
}

#[tokio::test]
async fn a_message_has_the_lower_qos_of_sender_and_subscription_and_neither_dup_nor_retain() {
    let hub = Hub::start().await;
    let outbound = hub.gate.outbound();
    let mut charger = hub.connect("P1").await;
    let topic = field(COMMAND.as_bytes());
    // Subscribing again replaces the subscription: its QoS is the last one granted.
    for (wish, at_least_once, first) in
        [(0, true, 0x30), (1, true, 0x32), (2, false, 0x30), (2, true, 0x32), (0, false, 0x30)]
    {
        let granted = u8::min(wish, 1);
        charger.send_bytes(&subscribe(5, COMMAND.as_bytes(), wish)).await;
        assert_eq!(read(&mut charger).await, [0x90, 3, 0, 5, granted]);
        outbound.send(P1, DownTopic::Command, Bytes::from_static(b"{}"), at_least_once).unwrap();
        let has_id = first == 0x32;
        let [head, len] = read(&mut charger).await;
        assert_eq!((head, usize::from(len)), (first, topic.len() + 2 + if has_id { 2 } else { 0 }), "wish {wish}");
        assert_eq!(read::<17>(&mut charger).await, topic[..]);
        if has_id {
            let [high, low] = read(&mut charger).await;
            assert_ne!([high, low], [0, 0]);
            charger.send_bytes(&packet(0x40, &[high, low])).await;
        }
        assert_eq!(read(&mut charger).await, *b"{}");
    }
}

#[tokio::test]
async fn an_unsubscribe_is_answered_once_whatever_it_names_and_ends_only_what_it_names() {
    let hub = Hub::start().await;
    let outbound = hub.gate.outbound();
    let mut charger = hub.subscribed("P1").await;
    let filters = [&b"nothing"[..], b"pile/P1/comman", b"pile/P1/command/", b"PILE/P1/COMMAND", b"pile/P2/command"];
    let names: Vec<u8> = filters.iter().flat_map(|filter| field(filter)).collect();
    charger.send_bytes(&packet(0xa2, &[&[0, 8], &names[..]].concat())).await;
    assert_eq!(read(&mut charger).await, [0xb0, 2, 0, 8], "one answer to five filters");
    outbound.send(P1, DownTopic::Command, Bytes::from_static(b"1"), true).unwrap();
    let (_, qos, unacknowledged, payload) = charger.message().await;
    assert_eq!((qos, &payload[..]), (1, &b"1"[..]), "none of them is the subscription");

    charger.send_bytes(&packet(0xa2, &[&[0, 9], &field(COMMAND.as_bytes())[..]].concat())).await;
    assert_eq!(charger.next().await, Some(Packet::UnsubAck(rumqttc::UnsubAck::new(9))));
    outbound.send(P1, DownTopic::Command, Bytes::from_static(b"2"), true).unwrap();
    outbound.send(P1, DownTopic::RecordAck, Bytes::from_static(b"3"), true).unwrap();
    assert_eq!(charger.message().await.0, "pile/P1/record/ack", "the other subscription stands");
    // What it had begun to get before it may still acknowledge, and nothing more comes.
    charger.send(&Packet::PubAck(rumqttc::PubAck::new(unacknowledged))).await;
    charger.ping().await;
}

#[tokio::test]
async fn one_suback_answers_many_filters_in_their_order() {
    let hub = Hub::start().await;
    let mut charger = hub.connect("P1").await;
    let wishes = [("pile/P1/record/+", 2), ("#", 1), (COMMAND, 0), ("pile/P2/command", 0), (COMMAND, 1)];
    let body: Vec<u8> =
        wishes.iter().flat_map(|(filter, qos)| [field(filter.as_bytes()), vec![*qos]].concat()).collect();
    charger.send_bytes(&packet(0x82, &[&[0x12, 0x34], &body[..]].concat())).await;
    assert_eq!(read(&mut charger).await, [0x90, 7, 0x12, 0x34, 1, 0x80, 0, 0x80, 1]);
}

/// How many statements each section of the standard has.
const STATEMENTS: [(&str, u32); 39] = [
    ("1.5.3", 3),
    ("2.2.2", 2),
    ("2.3.1", 7),
    ("3.1.0", 2),
    ("3.1.2", 24),
    ("3.1.3", 11),
    ("3.1.4", 5),
    ("3.2.0", 1),
    ("3.2.2", 6),
    ("3.3.1", 12),
    ("3.3.2", 3),
    ("3.3.4", 1),
    ("3.3.5", 2),
    ("3.6.1", 1),
    ("3.8.1", 1),
    ("3.8.3", 4),
    ("3.8.4", 6),
    ("3.9.3", 2),
    ("3.10.1", 1),
    ("3.10.3", 2),
    ("3.10.4", 6),
    ("3.12.4", 1),
    ("3.14.1", 1),
    ("3.14.4", 3),
    ("4.1.0", 2),
    ("4.3.1", 1),
    ("4.3.2", 2),
    ("4.3.3", 2),
    ("4.4.0", 1),
    ("4.5.0", 2),
    ("4.6.0", 6),
    ("4.7.1", 3),
    ("4.7.2", 1),
    ("4.7.3", 4),
    ("4.8.0", 2),
    ("6.0.0", 4),
    ("7.0.0", 2),
    ("7.1.1", 1),
    ("7.1.2", 1),
];

#[test]
fn every_statement_of_the_standard_has_its_one_place_in_the_document() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/MQTT.md")).unwrap();
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| [MQTT-")).collect();
    let first_cells: String = rows.iter().filter_map(|row| row.split('|').nth(1)).collect();
    let mut listed: Vec<String> =
        first_cells.split(['[', ']']).filter(|part| part.starts_with("MQTT-")).map(str::to_owned).collect();
    let of = |(section, count): &(&str, u32)| (1..=*count).map(|n| format!("MQTT-{section}-{n}")).collect::<Vec<_>>();
    let mut all: Vec<String> = STATEMENTS.iter().flat_map(of).collect();
    listed.sort();
    all.sort();
    assert_eq!(listed, all);
}
