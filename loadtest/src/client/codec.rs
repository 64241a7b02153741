//! As much of MQTT 3.1.1 as a charger needs, written apart from the hub's codec so that a mistake there is noticed.
//!
//! Encoding appends to a buffer, decoding reads whole packets from the front of one; neither knows a socket.

use anyhow::{bail, ensure};
use bytes::{Buf as _, BytesMut};

use crate::limits;

/// What a hub may send to a charger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromHub {
    /// Return code, 0 = accepted.
    ConnAck(u8),
    /// Return codes of the filters, 0x80 = refused.
    SubAck(Vec<u8>),
    /// Packet id.
    PubAck(u16),
    /// A command or an answer to a record.
    Publish {
        /// Packet id to acknowledge; `None` for QoS 0.
        id: Option<u16>,
        /// On which topic.
        topic: String,
        /// What it says.
        payload: Vec<u8>,
    },
    /// Answer to a ping.
    PingResp,
}

/// CONNECT with a clean session; anonymous without a password.
pub fn connect(out: &mut Vec<u8>, client_id: &str, password: Option<&str>, keep_alive_s: u16) {
    let mut body = Vec::with_capacity(64);
    text(&mut body, "MQTT");
    body.push(4);
    body.push(if password.is_some() { 0b1100_0010 } else { 0b0000_0010 });
    body.extend_from_slice(&keep_alive_s.to_be_bytes());
    text(&mut body, client_id);
    if let Some(password) = password {
        text(&mut body, client_id);
        text(&mut body, password);
    }
    packet(out, 0x10, &[&body]);
}

/// SUBSCRIBE to some filters with QoS 1.
pub fn subscribe(out: &mut Vec<u8>, id: u16, filters: &[&str]) {
    subscribe_at(out, id, filters, 1);
}

/// SUBSCRIBE to some filters with a QoS of 0 or 1.
pub fn subscribe_at(out: &mut Vec<u8>, id: u16, filters: &[&str], qos: u8) {
    let mut body = Vec::with_capacity(96);
    body.extend_from_slice(&id.to_be_bytes());
    for filter in filters {
        text(&mut body, filter);
        body.push(qos.min(1));
    }
    packet(out, 0x82, &[&body]);
}

/// PUBLISH; `id` is `Some` for QoS 1.
pub fn publish(out: &mut Vec<u8>, topic: &str, id: Option<u16>, payload: &[u8]) {
    let mut head = Vec::with_capacity(topic.len().saturating_add(4));
    text(&mut head, topic);
    if let Some(id) = id {
        head.extend_from_slice(&id.to_be_bytes());
    }
    packet(out, if id.is_some() { 0x32 } else { 0x30 }, &[&head, payload]);
}

/// PUBACK.
pub fn puback(out: &mut Vec<u8>, id: u16) {
    packet(out, 0x40, &[&id.to_be_bytes()]);
}

/// PINGREQ.
pub fn ping(out: &mut Vec<u8>) {
    packet(out, 0xc0, &[]);
}

/// DISCONNECT.
pub fn disconnect(out: &mut Vec<u8>) {
    packet(out, 0xe0, &[]);
}

fn text(out: &mut Vec<u8>, text: &str) {
    // Names and topics here are at most some hundred bytes.
    out.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn packet(out: &mut Vec<u8>, first: u8, parts: &[&[u8]]) {
    out.push(first);
    let mut left = parts.iter().map(|part| part.len()).sum::<usize>();
    loop {
        let low = u8::try_from(left % 128).unwrap_or(0);
        left /= 128;
        out.push(if left > 0 { low | 0x80 } else { low });
        if left == 0 {
            break;
        }
    }
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// Takes the next whole packet from the front; `None` when more bytes are needed.
///
/// # Errors
/// When the bytes are no packet that a hub may send to a charger.
pub fn decode(buffer: &mut BytesMut) -> anyhow::Result<Option<FromHub>> {
    let Some((head_len, body_len)) = lengths(buffer)? else { return Ok(None) };
    if buffer.len() < head_len.saturating_add(body_len) {
        return Ok(None);
    }
    let first = buffer.get_u8();
    buffer.advance(head_len.saturating_sub(1));
    let mut body = buffer.split_to(body_len);
    let short = |body: &BytesMut, need: usize| -> anyhow::Result<()> {
        ensure!(body.len() >= need, "packet {first:#04x} is too short");
        Ok(())
    };
    let packet = match first >> 4 {
        2 => {
            short(&body, 2)?;
            body.advance(1);
            FromHub::ConnAck(body.get_u8())
        }
        3 => {
            short(&body, 2)?;
            let topic_len = usize::from(body.get_u16());
            let qos = (first >> 1) & 3;
            ensure!(qos < 2, "the hub sent a publish of QoS {qos}");
            short(&body, topic_len.saturating_add(if qos == 1 { 2 } else { 0 }))?;
            let topic = String::from_utf8(body.split_to(topic_len).to_vec())?;
            let id = (qos == 1).then(|| body.get_u16());
            FromHub::Publish { id, topic, payload: body.to_vec() }
        }
        4 => {
            short(&body, 2)?;
            FromHub::PubAck(body.get_u16())
        }
        9 => {
            short(&body, 3)?;
            body.advance(2);
            FromHub::SubAck(body.to_vec())
        }
        13 => FromHub::PingResp,
        other => bail!("the hub sent a packet of type {other}"),
    };
    Ok(Some(packet))
}

/// Length of the fixed header and of what follows it.
fn lengths(buffer: &BytesMut) -> anyhow::Result<Option<(usize, usize)>> {
    let mut body_len = 0_usize;
    for (index, byte) in buffer.iter().skip(1).take(4).enumerate() {
        let shift = u32::try_from(index.saturating_mul(7))?;
        body_len = body_len.saturating_add(usize::from(byte & 0x7f) << shift);
        if byte & 0x80 == 0 {
            ensure!(body_len <= limits::PACKET_LEN_MAX, "the hub claims a packet of {body_len} bytes");
            return Ok(Some((index.saturating_add(2), body_len)));
        }
    }
    ensure!(buffer.len() < 5, "the length of a packet has more than four bytes");
    Ok(None)
}

#[cfg(test)]
mod tests {
    use rumqttc::mqttbytes::v4::Packet;

    use super::*;

    fn theirs(bytes: &[u8]) -> Packet {
        Packet::read(&mut BytesMut::from(bytes), 1 << 20).unwrap()
    }

    #[test]
    fn what_is_encoded_another_codec_reads() {
        let mut out = Vec::new();
        connect(&mut out, "P0001", Some("secret"), 60);
        let Packet::Connect(read) = theirs(&out) else { panic!("no CONNECT") };
        assert_eq!((read.client_id.as_str(), read.keep_alive, read.clean_session), ("P0001", 60, true));
        assert_eq!(read.login.unwrap().password, "secret");

        out.clear();
        publish(&mut out, "pile/P0001/heartbeat", Some(7), &vec![b'x'; 300]);
        let Packet::Publish(read) = theirs(&out) else { panic!("no PUBLISH") };
        assert_eq!((read.topic.as_str(), read.pkid, read.payload.len()), ("pile/P0001/heartbeat", 7, 300));

        out.clear();
        subscribe(&mut out, 1, &["a/b", "c"]);
        let Packet::Subscribe(read) = theirs(&out) else { panic!("no SUBSCRIBE") };
        assert_eq!(read.filters.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(), ["a/b", "c"]);

        type Encode = fn(&mut Vec<u8>);
        let simple: [(Encode, Packet); 2] = [(ping, Packet::PingReq), (disconnect, Packet::Disconnect)];
        for (encode, expected) in simple {
            out.clear();
            encode(&mut out);
            assert_eq!(theirs(&out), expected);
        }
    }

    #[test]
    fn packets_are_read_one_by_one_however_the_bytes_arrive() {
        let mut stream = Vec::new();
        stream.extend_from_slice(&[0x20, 2, 0, 0]);
        stream.extend_from_slice(&[0x90, 4, 0, 1, 1, 0x80]);
        publish(&mut stream, "pile/P0001/command", Some(9), b"{}");
        puback(&mut stream, 515);
        stream.extend_from_slice(&[0xd0, 0]);
        let mut buffer = BytesMut::new();
        let mut read = Vec::new();
        for byte in stream {
            buffer.extend_from_slice(&[byte]);
            read.extend(decode(&mut buffer).unwrap());
        }
        let publish = FromHub::Publish { id: Some(9), topic: "pile/P0001/command".to_owned(), payload: b"{}".to_vec() };
        assert_eq!(
            read,
            [FromHub::ConnAck(0), FromHub::SubAck(vec![1, 0x80]), publish, FromHub::PubAck(515), FromHub::PingResp]
        );
    }

    #[test]
    fn nonsense_is_an_error_and_not_a_wait() {
        for bytes in [&[0x20, 0x00][..], &[0x30, 0xff, 0xff, 0xff, 0x7f], &[0x30, 0x80, 0x80, 0x80, 0x80], &[0x10, 0]] {
            assert!(decode(&mut BytesMut::from(bytes)).is_err(), "{bytes:02x?}");
        }
    }
}
