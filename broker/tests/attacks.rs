//! What has brought other hubs down, tried a thousand times each over real sockets: it has no effect, and the pile
//! beside it goes on.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code: what is not expected fails the test")]

mod common;

use broker::{GateConfig, GateLimits};
use common::{Charger, Hub, Told, connect_packet, encode, heartbeat, publish_packet, secret};
use rumqttc::{LastWill, QoS};
use tokio::{io::AsyncWriteExt, net::TcpStream};

const TRIES: u16 = 1_000;

/// A gate, and a pile (P9) that is connected and must stay so.
struct Siege {
    hub: Hub,
    honest: Charger<TcpStream>,
}

impl Siege {
    async fn begin() -> Self {
        // The limits on guesses and connects are shown elsewhere; here nothing else may hold the attacker back.
        let limits = GateLimits {
            failures_per_pile_max: 0,
            failures_per_address_max: 0,
            connects_per_pile_per_min_max: 0,
            connects_per_address_per_min_max: 0,
            admissions_per_s_max: 0,
            ..GateLimits::default()
        };
        Self::with(GateConfig { limits, ..GateConfig::default() }).await
    }

    async fn with(config: GateConfig) -> Self {
        let hub = Hub::with(config).await;
        let honest = hub.subscribed("P9").await;
        Self { hub, honest }
    }

    /// The pile was never disturbed, and what it says still arrives.
    async fn end(mut self) {
        self.honest.publish("pile/P9/heartbeat", 1, 4_711, heartbeat(4_711)).await;
        assert_eq!(self.honest.puback().await, 4_711);
        let told = self.hub.store.told();
        let nines: Vec<&Told> = told
            .iter()
            .filter(|told| {
                matches!(
                    told,
                    Told::Up { pile_no: 9, .. } | Told::Down { pile_no: 9, .. } | Told::Bad { pile_no: 9, .. }
                )
            })
            .collect();
        assert_eq!(nines, [&Told::Up { pile_no: 9, epoch: 1 }]);
        let frames = told.iter().filter(|told| matches!(told, Told::Frame { pile_no: 9, .. })).count();
        assert_eq!(frames, 1);
        self.hub.connect("P8").await;
    }
}

fn topics() -> impl Iterator<Item = String> {
    let tricks = [
        "pile/P9/heartbeat",
        "pile/P9/command",
        "pile/P9/record/ack",
        "pile/+/command",
        "pile/#",
        "#",
        "+/+/+",
        "$SYS/#",
        "桩/P9/heartbeat",
        "é",
        "\u{feff}pile/P1/heartbeat",
        "pile/P1/../P9/command",
        "up",
        "pile/P9/command/ack",
        "$share/x/pile/P9/command",
        "/pile/P9/command",
        "pile//command",
        "ÿ/#",
    ];
    (0..TRIES).map(move |n| tricks[usize::from(n) % tricks.len()].to_owned())
}

#[tokio::test]
async fn another_piles_topics_cannot_be_heard() {
    let mut siege = Siege::begin().await;
    let mut spy = siege.hub.connect("P1").await;
    for filter in topics() {
        assert_eq!(spy.subscribe(&[(filter.clone(), 1)]).await, [0x80], "{filter}");
    }
    let command = bytes::Bytes::from_static(b"{}");
    siege.hub.gate.outbound().send(domain::PileNo(9), domain::wire::DownTopic::Command, command, true).unwrap();
    assert_eq!(siege.honest.message().await.0, "pile/P9/command");
    // The next thing it hears is the answer to its own ping.
    spy.ping().await;
    siege.end().await;
}

#[tokio::test]
async fn on_another_piles_topics_nothing_can_be_said() {
    let siege = Siege::begin().await;
    for topic in topics() {
        let mut liar = siege.hub.connect("P1").await;
        liar.send(&publish_packet(&topic, 1, 1, heartbeat(1))).await;
        liar.closed().await;
    }
    siege.end().await;
}

#[tokio::test]
async fn no_will_is_left_on_another_piles_topics() {
    let siege = Siege::begin().await;
    for topic in topics() {
        let mut connect = connect_packet("P1", "P1", &secret("P1"));
        connect.last_will = Some(LastWill::new(&topic, "{}", QoS::AtLeastOnce, false));
        assert_eq!(siege.hub.dial().await.login_with(connect).await, 5, "{topic}");
    }
    siege.end().await;
}

#[tokio::test]
async fn client_ids_that_broke_others_are_refused() {
    let siege = Siege::begin().await;
    let long = "x".repeat(65_535);
    let ids = ["P/9", "+", "#", "P9/#", "/", "P9\u{0}", "", "P 9", "桩", long.as_str(), "..", "P9\n"];
    for n in 0..TRIES {
        let id = ids[usize::from(n) % ids.len()];
        let mut body = b"\0\x04MQTT\x04\xc2\0\x1e".to_vec();
        for field in [id, id, "secret"] {
            body.extend_from_slice(&u16::try_from(field.len()).unwrap().to_be_bytes());
            body.extend_from_slice(field.as_bytes());
        }
        let mut charger = siege.hub.dial().await;
        let mut packet = vec![0x10];
        let mut left = body.len();
        while left >= 0x80 {
            packet.push(u8::try_from(left & 0x7f).unwrap() | 0x80);
            left >>= 7;
        }
        packet.push(u8::try_from(left).unwrap());
        packet.extend_from_slice(&body);
        // The gate may close before all of it is written.
        let _ = charger.stream.write_all(&packet).await;
        if id.len() < 1_000 && !id.contains('\u{0}') {
            assert_eq!(charger.connack().await, 2, "{id:?}");
        }
        charger.closed().await;
    }
    siege.end().await;
}

#[tokio::test]
async fn going_over_the_limit_of_connections_again_and_again_with_one_id_hurts_nobody() {
    let limits = GateLimits {
        connects_per_pile_per_min_max: 0,
        connects_per_address_per_min_max: 0,
        admissions_per_s_max: 0,
        ..GateLimits::default()
    };
    let siege = Siege::with(GateConfig { connections_max: 3, limits, ..GateConfig::default() }).await;
    let (mut one, two) = (siege.hub.connect("P1").await, siege.hub.dial().await);
    for _ in 0..TRIES {
        siege.hub.dial().await.closed().await;
    }
    one.ping().await;
    drop((one, two));
    while siege.hub.gate.connections() > 1 {
        tokio::task::yield_now().await;
    }
    siege.end().await;
}

#[tokio::test]
async fn mqtt_5_gets_its_answer_and_its_properties_no_attention() {
    let siege = Siege::begin().await;
    for n in 0..TRIES {
        let properties = vec![u8::try_from(n % 256).unwrap(); usize::from(n % 100)];
        let mut body = b"\0\x04MQTT\x05\x02\0\x1e".to_vec();
        body.push(u8::try_from(properties.len()).unwrap());
        body.extend_from_slice(&properties);
        body.extend_from_slice(b"\0\x02P9");
        let mut charger = siege.hub.dial().await;
        charger.send_bytes(&[&[0x10, u8::try_from(body.len()).unwrap()][..], &body].concat()).await;
        assert_eq!(charger.connack().await, 1);
        charger.closed().await;
    }
    siege.end().await;
}

#[tokio::test]
async fn an_id_that_is_used_again_and_again_disturbs_no_other_and_keeps_its_last() {
    let siege = Siege::begin().await;
    let mut last = siege.hub.connect("P1").await;
    for _ in 0..TRIES {
        let mut next = siege.hub.connect("P1").await;
        next.ping().await;
        last.closed().await;
        last = next;
    }
    last.publish("pile/P1/heartbeat", 1, 1, heartbeat(1)).await;
    assert_eq!(last.puback().await, 1);
    let epoch = u32::from(TRIES) + 1;
    let up = Told::Up { pile_no: 1, epoch };
    let told = siege.hub.store.until_told(up.clone()).await;
    assert!(
        told.iter().rposition(|told| matches!(told, Told::Down { pile_no: 1, .. }))
            < told.iter().position(|t| *t == up)
    );
    siege.end().await;
}

#[tokio::test]
async fn a_slow_reader_of_100_000_acknowledgements_loses_none_that_was_given() {
    const TOTAL: u32 = 100_000;
    let siege = Siege::begin().await;
    let charger = siege.hub.connect("P1").await;
    let (mut reader, mut writer) = charger.stream.into_split();
    let writing = tokio::spawn(async move {
        for n in 1..=TOTAL {
            let id = u16::try_from(n % 65_535 + 1).unwrap();
            writer.write_all(&encode(&publish_packet("pile/P1/heartbeat", 1, id, heartbeat(n.into())))).await.unwrap();
        }
        writer
    });
    // It reads nothing before the gate has given far more answers than its socket holds.
    siege.hub.store.until(|told| told.len() > 20_000).await;
    let mut pubacks = vec![0; usize::try_from(TOTAL).unwrap() * 4];
    tokio::io::AsyncReadExt::read_exact(&mut reader, &mut pubacks).await.unwrap();
    let ids = pubacks.chunks(4).map(|ack| u16::from_be_bytes([ack[2], ack[3]]));
    assert!(ids.eq((1..=TOTAL).map(|n| u16::try_from(n % 65_535 + 1).unwrap())), "in order, each once");
    let seqs: Vec<u64> = siege
        .hub
        .store
        .told()
        .iter()
        .filter_map(|told| match told {
            Told::Frame { pile_no: 1, seq, .. } => *seq,
            Told::Frame { .. } | Told::Up { .. } | Told::Down { .. } | Told::Bad { .. } => None,
        })
        .collect();
    assert!(seqs.into_iter().eq(1..=u64::from(TOTAL)), "every acknowledged frame was passed on, once and in order");
    writing.await.unwrap();
    siege.end().await;
}
