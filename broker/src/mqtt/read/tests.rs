//! The packets of a foreign encoder (rumqttc's) are read back as they were meant; everything else is refused.

use bytes::BytesMut;
use proptest::prelude::*;
use rumqttc::{self as client, QoS};

use super::*;

fn split(bytes: &[u8]) -> Raw<'_> {
    let (mut at, mut len) = (1, 0_usize);
    loop {
        len |= usize::from(bytes[at] & 0x7f) << (7 * (at - 1));
        at += 1;
        if bytes[at - 1] & 0x80 == 0 {
            break;
        }
    }
    assert_eq!(bytes.len(), at + len);
    Raw { first: bytes[0], body: &bytes[at..], len }
}

fn encoded(packet: &client::Packet) -> BytesMut {
    let mut bytes = BytesMut::new();
    packet.write(&mut bytes, usize::MAX).unwrap();
    bytes
}

fn qos(level: u8) -> QoS {
    client::mqttbytes::qos(level).unwrap()
}

#[test]
fn a_connect_is_read() {
    let mut connect = client::mqttbytes::v4::Connect::new("P1");
    connect.keep_alive = 30;
    connect.set_login("P1", "secret");
    connect.last_will = Some(client::LastWill::new("pile/P1/event", "gone", QoS::AtLeastOnce, false));
    let bytes = encoded(&client::Packet::Connect(connect));
    let login = Login {
        client_id: "P1",
        username: Some("P1"),
        password: Some(Password(b"secret")),
        will_topic: Some("pile/P1/event"),
        keep_alive_s: 30,
        clean_session: true,
    };
    assert_eq!(Packet::read(split(&bytes)), Ok(Packet::Connect(Connect::V4(login))));
}

#[test]
fn other_protocols_are_told_from_broken_packets() {
    for body in [&b"\0\x06MQIsdp\x03\x02\0\x1e\0\x01a"[..], b"\0\x04MQTT\x05\x02\0\x1e\0\0\x01a", b"\0\x04HTTP\x04rest"]
    {
        let raw = Raw { first: 0x10, body, len: body.len() };
        assert_eq!(Packet::read(raw), Ok(Packet::Connect(Connect::OtherProtocol)), "{body:?}");
    }
    for flags in [0x03_u8, 0x42, 0x1a, 0x0a, 0x22] {
        let body = [&b"\0\x04MQTT\x04"[..], &[flags], b"\0\x1e\0\x01a\0\x01t\0\x01m"].concat();
        let raw = Raw { first: 0x10, body: &body, len: body.len() };
        assert_eq!(Packet::read(raw), Err(Malformed("impossible connect flags")), "{flags:#x}");
    }
}

#[test]
fn small_packets_are_read() {
    for (bytes, packet) in
        [(&[0xc0, 0][..], Packet::PingReq), (&[0xe0, 0], Packet::Disconnect), (&[0x40, 2, 1, 2], Packet::PubAck(0x102))]
    {
        assert_eq!(Packet::read(split(bytes)), Ok(packet));
    }
}

#[test]
fn what_the_standard_forbids_is_refused() {
    for (bytes, why) in [
        (&[0xc1, 0][..], "reserved flags"),
        (&[0xc0, 1, 0], "bytes after the end"),
        (&[0x80, 2, 0, 1], "reserved flags"),
        (&[0x82, 2, 0, 1], "no filter"),
        (&[0x82, 5, 0, 0, 0, 0, 0], "packet id 0"),
        (&[0x82, 6, 0, 1, 0, 1, b'a', 3], "a reserved QoS"),
        (&[0xa2, 2, 0, 1], "no filter"),
        (&[0x36, 3, 0, 1, b'a'], "QoS 3"),
        (&[0x32, 5, 0, 1, b'a', 0, 0], "packet id 0"),
        (&[0x30, 4, 0, 3, b'a', b'b'], "too short"),
        (&[0x30, 3, 0, 1, 0xff], "not UTF-8"),
        (&[0x30, 3, 0, 1, 0], "a NUL character"),
        (&[0x40, 2, 0, 0], "packet id 0"),
        (&[0x50, 2, 0, 1], "a packet of QoS 2, which is not offered"),
        (&[0x62, 2, 0, 1], "a packet of QoS 2, which is not offered"),
        (&[0x20, 2, 0, 0], "a packet that only servers send"),
        (&[0xd0, 0], "a packet that only servers send"),
        (&[0x00, 0], "a reserved packet type"),
        (&[0xf0, 0], "a reserved packet type"),
    ] {
        assert_eq!(Packet::read(split(bytes)), Err(Malformed(why)), "{bytes:x?}");
    }
    let many = [&[0, 1][..], &[0, 1, b'a', 0].repeat(FILTERS_PER_PACKET_MAX + 1)].concat();
    let raw = Raw { first: 0x82, body: &many, len: many.len() };
    assert_eq!(Packet::read(raw), Err(Malformed("too many filters")));
}

#[test]
fn a_cut_publish_knows_its_whole_length() {
    let body = b"\0\x01t\0\x07payl";
    let raw = Raw { first: 0x32, body, len: body.len() + 100 };
    let publish = Publish { topic: "t", qos: 1, retain: false, packet_id: 7, payload: b"payl", payload_len: 104 };
    assert_eq!(Packet::read(raw), Ok(Packet::Publish(publish)));
}

proptest! {
    #[test]
    fn publishes_are_read_back(
        topic in "[a-zA-Z0-9/桩]{1,40}", level in 0_u8..=2, id in 1_u16.., payload in proptest::collection::vec(any::<u8>(), 0..300),
        retain: bool, dup: bool,
    ) {
        let mut publish = client::Publish::new(topic.clone(), qos(level), payload.clone());
        publish.pkid = if level == 0 { 0 } else { id };
        publish.retain = retain;
        publish.dup = dup;
        let bytes = encoded(&client::Packet::Publish(publish));
        let expected = Publish {
            topic: &topic, qos: level, retain, packet_id: if level == 0 { 0 } else { id },
            payload: &payload, payload_len: payload.len(),
        };
        prop_assert_eq!(Packet::read(split(&bytes)), Ok(Packet::Publish(expected)));
    }

    #[test]
    fn subscribes_and_unsubscribes_are_read_back(
        id in 1_u16.., filters in proptest::collection::vec(("[a-z/+#]{1,20}", 0_u8..=2), 1..6),
    ) {
        let many = filters.iter().map(|(path, level)| client::SubscribeFilter::new(path.clone(), qos(*level)));
        let mut subscribe = client::Subscribe::new_many(many);
        subscribe.pkid = id;
        let bytes = encoded(&client::Packet::Subscribe(subscribe));
        let expected: Vec<_> = filters.iter().map(|(path, level)| (path.as_str(), *level)).collect();
        prop_assert_eq!(Packet::read(split(&bytes)), Ok(Packet::Subscribe { packet_id: id, filters: expected }));

        let topics: Vec<String> = filters.into_iter().map(|(path, _)| path).collect();
        let mut unsubscribe = client::Unsubscribe::new(topics[0].clone());
        unsubscribe.topics = topics.clone();
        unsubscribe.pkid = id;
        let bytes = encoded(&client::Packet::Unsubscribe(unsubscribe));
        let expected: Vec<_> = topics.iter().map(String::as_str).collect();
        prop_assert_eq!(Packet::read(split(&bytes)), Ok(Packet::Unsubscribe { packet_id: id, filters: expected }));
    }

    #[test]
    fn no_bytes_make_it_panic(first: u8, body in proptest::collection::vec(any::<u8>(), 0..200), more in 0_usize..100_000) {
        let len = body.len() + more;
        let _ = Packet::read(Raw { first, body: &body, len });
    }
}
