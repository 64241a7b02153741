//! The router's thread dies in mid-flight, over real sockets: piles stay connected, every frame comes out once.

use std::sync::Arc;

use domain::{AckToken, Clock, PileCode, PileNo, Timestamp, wire::UpFrame};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::{Duration, timeout},
};

use crate::{
    BadFrame, Deliver, Gate, GateConfig, Identities, Identity, LinkEvent, Up, UpSink,
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

fn connect() -> Vec<u8> {
    let mut body = b"\0\x04MQTT\x04\xc2\0\x3c".to_vec();
    for text in ["P1", "P1", "s"] {
        body.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
        body.extend_from_slice(text.as_bytes());
    }
    let mut packet = vec![0x10];
    write::remaining_length(&mut packet, body.len());
    packet.extend(body);
    packet
}

#[tokio::test]
async fn a_router_that_dies_is_replaced_while_piles_stay_connected_and_no_frame_is_lost_or_doubled() {
    const FRAMES: u64 = 3_000;
    let identities = Arc::new(Identities::new(&[1; 32]));
    let code = PileCode::parse("P1").unwrap();
    let verifier = identities.verifier_of(&code, "s");
    identities.insert(Identity { pile_no: PileNo(1), code, verifier });
    let gate = Gate::new(GateConfig::default(), identities, Arc::new(Epoch));
    let (numbers, mut seen) = mpsc::channel(usize::try_from(FRAMES).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (runner, acceptor) = (gate.clone(), gate.clone());
    tokio::spawn(async move { runner.run(Numbers(numbers)).await });
    tokio::spawn(async move { acceptor.listen(listener).await });

    let mut socket = TcpStream::connect(addr).await.unwrap();
    socket.set_nodelay(true).unwrap();
    socket.write_all(&connect()).await.unwrap();
    let mut connack = [0; 4];
    socket.read_exact(&mut connack).await.unwrap();
    assert_eq!(connack, [0x20, 2, 0, 0]);

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
