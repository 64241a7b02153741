//! The router's thread dies in mid-flight, over real sockets: piles stay connected, every frame comes out once.

use std::{net::SocketAddr, sync::Arc};

use domain::{
    AckToken, Clock, IntegrationName, PileCode, PileNo, StationId, Timestamp,
    wire::{UpFrame, UpTopic},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::mpsc,
    time::{Duration, timeout},
};

use crate::{
    Account, BadFrame, Deliver, Gate, GateConfig, Grants, Identities, Identity, LinkEvent, Up, UpSink,
    mqtt::write::{self, Sending},
};

#[derive(Debug)]
struct Epoch;

impl Clock for Epoch {
    fn now(&self) -> Timestamp {
        Timestamp::EPOCH
    }
}

/// Passes on the heartbeats' numbers and tokens.
struct Numbers(mpsc::Sender<(u64, AckToken)>);

impl UpSink for Numbers {
    fn frame(&mut self, up: Up<'_>) -> Deliver {
        let UpFrame::Heartbeat(heartbeat) = up.frame else { panic!("only heartbeats are sent") };
        self.0.try_send((heartbeat.seq.unwrap(), up.token.unwrap())).unwrap();
        Deliver::Taken
    }
    fn bad_frame(&mut self, bad: BadFrame<'_>) -> Deliver {
        panic!("{bad:?}")
    }
    fn link(&mut self, event: LinkEvent) {
        assert!(matches!(event, LinkEvent::Up { .. }), "{event:?}");
    }
    fn ready(&self) -> bool {
        true
    }
}

fn heartbeat(seq: u64) -> Vec<u8> {
    let body = format!(r#"{{"status":1,"timestamp":1763690000000,"seq":{seq}}}"#);
    let mut bytes = Vec::new();
    write::publish(&mut bytes, "P1", "heartbeat", Sending::AtLeastOnce(u16::try_from(seq).unwrap()), body.as_bytes());
    bytes
}

fn connect(user: &str) -> Vec<u8> {
    let mut body = b"\0\x04MQTT\x04\xc2\0\x3c".to_vec();
    for text in ["P1", user, "s"] {
        body.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
        body.extend_from_slice(text.as_bytes());
    }
    let mut packet = vec![0x10];
    write::remaining_length(&mut packet, body.len());
    packet.extend(body);
    packet
}

/// A gate with the pile P1 and the integration `x`, whose secrets are `s`; where it listens, and what comes out of it.
async fn gate(room: usize) -> (Gate, SocketAddr, mpsc::Receiver<(u64, AckToken)>) {
    let identities = Arc::new(Identities::new(&[1; 32]));
    let code = PileCode::parse("P1").unwrap();
    let verifier = identities.verifier_of(&code, "s");
    identities.insert(Identity::new(PileNo(1), code.clone(), verifier));
    let gate = Gate::new(GateConfig::default(), identities, Arc::new(Epoch));
    let (readers, name) = (gate.readers(), IntegrationName::parse("x").unwrap());
    readers.serve_on(Handle::current());
    readers.insert_piles([(PileNo(1), code, StationId::parse("S1").unwrap())]);
    let verifier = readers.verifier_of(&name, "s");
    readers.insert(Account::new(name, verifier, Grants::new(None::<[StationId; 0]>, [UpTopic::Heartbeat])));
    let (numbers, seen) = mpsc::channel(room);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (runner, acceptor) = (gate.clone(), gate.clone());
    tokio::spawn(async move { runner.run(Numbers(numbers)).await });
    tokio::spawn(async move { acceptor.listen(listener).await });
    (gate, addr, seen)
}

/// A connection that was let in.
async fn dial(addr: SocketAddr, user: &str) -> TcpStream {
    let mut socket = TcpStream::connect(addr).await.unwrap();
    socket.set_nodelay(true).unwrap();
    socket.write_all(&connect(user)).await.unwrap();
    let mut connack = [0; 4];
    socket.read_exact(&mut connack).await.unwrap();
    assert_eq!(connack, [0x20, 2, 0, 0]);
    socket
}

/// An integration that reads the heartbeats.
async fn reader(addr: SocketAddr) -> TcpStream {
    let mut socket = dial(addr, "integration:x").await;
    socket.write_all(b"\x82\x0d\0\x01\0\x08pile/+/#\0").await.unwrap();
    let mut suback = [0; 5];
    socket.read_exact(&mut suback).await.unwrap();
    assert_eq!(suback, [0x90, 3, 0, 1, 0]);
    socket
}

#[tokio::test]
async fn a_router_that_dies_is_replaced_while_piles_stay_connected_and_no_frame_is_lost_or_doubled() {
    const FRAMES: u64 = 3_000;
    let (gate, addr, mut seen) = gate(usize::try_from(FRAMES).unwrap()).await;
    let socket = dial(addr, "P1").await;
    let (mut reader, mut writer) = socket.into_split();
    let (killer, acks) = (gate.clone(), gate.acks());
    let writing = tokio::spawn(async move {
        for seq in 1..=FRAMES {
            writer.write_all(&heartbeat(seq)).await.unwrap();
            if seq % 700 == 0 {
                // Whatever is between publish and ingest at this moment is in the dead router.
                while !killer.shared().router.lock().take().is_some_and(|router| router.kill()) {
                    tokio::task::yield_now().await;
                }
            }
            if seq % 10 == 0 {
                tokio::task::yield_now().await;
            }
        }
        writer
    });
    let all = async {
        for expected in 1..=FRAMES {
            let (seq, token) = seen.recv().await.unwrap();
            assert_eq!(seq, expected, "in order, none missing, none twice");
            acks.complete(&mut vec![token]);
        }
        let mut pubacks = vec![0; usize::try_from(FRAMES).unwrap() * 4];
        reader.read_exact(&mut pubacks).await.unwrap();
        writing.await.unwrap()
    };
    timeout(Duration::from_secs(60), all).await.expect("frames stopped coming out");
    assert!(seen.try_recv().is_err());
    assert_eq!(gate.connections(), 1);
}

#[tokio::test]
async fn a_router_that_dies_closes_those_who_read_from_it_and_they_come_again() {
    let (gate, addr, mut seen) = gate(10).await;
    let mut pile = dial(addr, "P1").await;
    for round in 1..=3_u64 {
        let mut reading = reader(addr).await;
        pile.write_all(&heartbeat(round)).await.unwrap();
        let got = async {
            assert_eq!(seen.recv().await.unwrap().0, round);
            let mut start = [0; 21];
            reading.read_exact(&mut start).await.unwrap();
            assert!(start.ends_with(b"pile/P1/heartbeat"), "{start:?}");
            while !gate.shared().router.lock().take().is_some_and(|router| router.kill()) {
                tokio::task::yield_now().await;
            }
            let mut rest = Vec::new();
            reading.read_to_end(&mut rest).await.unwrap();
            let body = String::from_utf8(rest).unwrap();
            assert!(body.ends_with(&format!(r#""seq":{round}}}"#)), "{body}");
        };
        timeout(Duration::from_secs(60), got).await.expect("the integration was not closed");
    }
    assert_eq!(gate.connections(), 1, "the pile stayed");
}
