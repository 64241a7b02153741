//! Any bytes, cut anywhere: the gate closes or goes on, and never falls over.

mod common;

use common::{Hub, Told, connect_packet, encode, heartbeat, publish_packet, secret};
use proptest::prelude::*;
use rumqttc::Packet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Writes the pieces to a fresh connection and takes leave; what the sink was told.
fn after(pieces: Vec<Vec<u8>>) -> Vec<Told> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().expect("a runtime").block_on(async {
        let hub = Hub::simulated();
        let charger = hub.plug(8 * 1024 * 1024);
        let (mut reader, mut writer) = tokio::io::split(charger.stream);
        for piece in pieces {
            if writer.write_all(&piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let _ = writer.shutdown().await;
        let mut answers = Vec::new();
        let _ = reader.read_to_end(&mut answers).await;
        let mut honest = hub.plug(1024);
        assert_eq!(honest.login("P9", &secret("P9")).await, 0, "others are still served");
        honest.ping().await;
        honest.publish("pile/P9/heartbeat", 1, 1, heartbeat(1)).await;
        assert_eq!(honest.puback().await, 1);
        let others = |told: &Told| !matches!(told, Told::Up { pile_no: 9, .. } | Told::Frame { pile_no: 9, .. });
        hub.store.told().into_iter().filter(others).collect()
    })
}

fn conversation() -> Vec<u8> {
    let subscribe = rumqttc::Subscribe::new("pile/P1/command", rumqttc::QoS::AtLeastOnce);
    let packets = [
        Packet::Connect(connect_packet("P1", "P1", &secret("P1"))),
        Packet::Subscribe(rumqttc::Subscribe { pkid: 1, ..subscribe }),
        publish_packet("pile/P1/heartbeat", 1, 1, heartbeat(1)),
        Packet::PingReq,
        publish_packet("pile/P1/heartbeat", 0, 0, heartbeat(2)),
        publish_packet("pile/P1/heartbeat", 1, 2, vec![b' '; 20_000]),
        publish_packet("pile/P1/heartbeat", 1, 3, heartbeat(3)),
        Packet::Disconnect,
    ];
    packets.iter().flat_map(|packet| encode(packet).to_vec()).collect()
}

fn cut(bytes: &[u8], mut cuts: Vec<usize>) -> Vec<Vec<u8>> {
    cuts.iter_mut().for_each(|cut| *cut %= bytes.len());
    cuts.sort_unstable();
    let (mut from, mut rest) = (0, bytes);
    let mut pieces = Vec::new();
    for cut in cuts {
        let (piece, after) = rest.split_at(cut - from);
        pieces.push(piece.to_vec());
        (from, rest) = (cut, after);
    }
    pieces.push(rest.to_vec());
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_conversation_cut_anywhere_means_the_same(cuts in proptest::collection::vec(any::<usize>(), 0..40)) {
        let bytes = conversation();
        let whole = after(vec![bytes.clone()]);
        prop_assert_eq!(whole.len(), 6, "{:?}", whole);
        prop_assert_eq!(after(cut(&bytes, cuts)), whole);
    }

    #[test]
    fn random_bytes_of_a_stranger_are_survived(
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..400), 0..12),
    ) {
        prop_assert_eq!(after(pieces), vec![]);
    }

    #[test]
    fn random_bytes_of_a_known_pile_are_survived(
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..400), 0..12),
    ) {
        let connect = encode(&Packet::Connect(connect_packet("P1", "P1", &secret("P1")))).to_vec();
        let told = after([vec![connect], pieces].concat());
        prop_assert!(matches!(told.last(), Some(Told::Down { pile_no: 1, .. })), "{:?}", told);
    }

    #[test]
    fn a_conversation_with_one_byte_changed_is_survived(at: usize, to: u8) {
        let mut bytes = conversation();
        let at = at % bytes.len();
        bytes[at] = to;
        let told = after(vec![bytes]);
        prop_assert!(told.iter().all(|told| !matches!(told, Told::Up { pile_no: 2.., .. })), "{:?}", told);
    }
}
