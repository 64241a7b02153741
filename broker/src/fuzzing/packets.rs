//! A stream is cut into the same packets wherever the network cut it, and a packet that is read says all it was.

use std::ops::ControlFlow;

use super::reference::{self, Cut, End};
use crate::{
    limits::BODY_KEPT_MAX,
    mqtt::{
        framer::{Framer, Raw},
        read::Packet,
    },
};

/// Bytes that one unit of filling stands for: a small input makes a packet that is too long to be kept whole.
const FILLING: usize = 128;

/// Two bytes say how many cuts there are and how much filling, so many bytes how far it is from cut to cut (squared),
/// the rest is the stream; filling and a PINGREQ follow it.
///
/// # Panics
/// When the stream means something else in pieces than it does in one, or to the reference.
pub fn packets(input: &[u8]) {
    let [count, filling, rest @ ..] = input else { return };
    let Some((cuts, start)) = rest.split_at_checked(usize::from(*count)) else { return };
    let mut stream = start.to_vec();
    if *filling > 0 {
        stream.resize(start.len() + usize::from(*filling) * FILLING, b' ');
        stream.extend_from_slice(&[0xc0, 0]);
    }
    let stream = stream.as_slice();
    let expected = reference::packets(stream);
    assert_eq!(framed([stream].into_iter()), expected, "in one piece");
    assert_eq!(framed(pieces(stream, cuts).into_iter()), expected, "in pieces of {cuts:?}");
    for cut in &expected.0 {
        let raw = Raw { first: cut.first, body: &cut.body, len: cut.len };
        if let Ok(packet) = Packet::read(raw) {
            says_all(&packet, cut);
        }
    }
}

/// A cut of 0 is an empty read; what is left is the last piece.
fn pieces<'a>(stream: &'a [u8], cuts: &[u8]) -> Vec<&'a [u8]> {
    let mut left = stream;
    let mut pieces = Vec::new();
    for cut in cuts {
        let (piece, rest) = left.split_at(left.len().min(usize::from(*cut).pow(2)));
        pieces.push(piece);
        left = rest;
    }
    pieces.push(left);
    pieces
}

fn framed<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Cut>, End) {
    let mut framer = Framer::default();
    let mut cuts = Vec::new();
    for piece in pieces {
        let fed = framer.feed(piece, |raw| -> ControlFlow<()> {
            cuts.push(Cut { first: raw.first, body: raw.body.to_vec(), len: raw.len });
            ControlFlow::Continue(())
        });
        match fed {
            Ok(flow) => assert!(flow.is_continue(), "nobody broke it off"),
            Err(_) => return (cuts, End::Unframed),
        }
    }
    (cuts, if framer.is_midway() { End::Within } else { End::Between })
}

/// Writing the packet down again gives its bytes. A CONNECT is looked at by its own target.
fn says_all(packet: &Packet<'_>, cut: &Cut) {
    let mut body = Vec::new();
    match packet {
        Packet::Connect(_) => return,
        Packet::Publish(publish) => {
            put_field(&mut body, publish.topic.as_bytes());
            if publish.qos > 0 {
                put_id(&mut body, publish.packet_id);
            }
            assert_eq!(body.len() + publish.payload_len, cut.len, "the whole payload is counted");
            body.extend_from_slice(publish.payload);
            assert_eq!((publish.qos, publish.retain), ((cut.first >> 1) & 3, cut.first & 1 == 1));
        }
        Packet::PubAck(packet_id) => put_id(&mut body, *packet_id),
        Packet::Subscribe { packet_id, filters } => {
            put_id(&mut body, *packet_id);
            for (filter, qos) in filters {
                put_field(&mut body, filter.as_bytes());
                body.push(*qos);
            }
        }
        Packet::Unsubscribe { packet_id, filters } => {
            put_id(&mut body, *packet_id);
            filters.iter().for_each(|filter| put_field(&mut body, filter.as_bytes()));
        }
        Packet::PingReq | Packet::Disconnect => {}
    }
    assert_eq!(body, cut.body, "{packet:?}");
    let whole = cut.len <= BODY_KEPT_MAX;
    assert!(whole || matches!(packet, Packet::Publish(_)), "only a PUBLISH is cut: {packet:?}");
}

fn put_id(body: &mut Vec<u8>, packet_id: u16) {
    assert_ne!(packet_id, 0, "a packet id is never 0");
    body.extend_from_slice(&packet_id.to_be_bytes());
}

fn put_field(body: &mut Vec<u8>, bytes: &[u8]) {
    let [.., high, low] = bytes.len().to_be_bytes();
    body.extend_from_slice(&[high, low]);
    body.extend_from_slice(bytes);
}
