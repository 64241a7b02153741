//! The telemetry port: durable before it is acknowledged, whole, in order, never edited.

use domain::{
    AckToken, ConnectorId, DeciCelsius, MilliAmps, MilliVolts, OrderNo, PileCode, PileNo, SocTenths, Timestamp,
    WattHours, Watts,
};
use settlement::pricing::Reading;

use super::{
    Engine, Store,
    facts::{at, order_no},
};
use crate::telemetry::{Append, Quarantined, Sample, SampleKind, Telemetry};

pub(super) const PILE: PileNo = PileNo(7);

pub(super) fn token(n: u32) -> AckToken {
    AckToken { conn: 3, epoch: 9, n }
}

pub(super) fn heartbeat(pile_no: PileNo, received: i64) -> Sample {
    Sample {
        pile_no,
        connector: ConnectorId::PILE,
        received: at(received),
        device: at(received - 40),
        kind: SampleKind::Heartbeat { status: 1, temperature: Some(DeciCelsius(315)) },
        voltage: Some(MilliVolts(220_100)),
        current: None,
        power: Some(Watts(0)),
    }
}

pub(super) fn charging(pile_no: PileNo, order: &OrderNo, seq: u32, received: i64) -> Sample {
    Sample {
        pile_no,
        connector: ConnectorId(1),
        received: at(received),
        device: at(i64::from(seq) * 10_000),
        kind: SampleKind::Charging {
            order_no: order.clone(),
            seq,
            energy: WattHours(i64::from(seq) * 130),
            total_time_s: (!seq.is_multiple_of(3)).then_some(seq.saturating_mul(10)),
            soc: (!seq.is_multiple_of(2)).then_some(SocTenths(400)),
        },
        voltage: Some(MilliVolts(398_200)),
        current: Some(MilliAmps(120_000)),
        power: Some(Watts(47_800)),
    }
}

pub(super) fn reading(sample: &Sample) -> Option<Reading> {
    match &sample.kind {
        SampleKind::Charging { seq, energy, total_time_s, .. } => {
            Some(Reading { at: sample.device, seq: *seq, energy: *energy, total_time_s: *total_time_s })
        }
        SampleKind::Heartbeat { .. } | SampleKind::Meter { .. } => None,
    }
}

pub(super) fn push(telemetry: &dyn Telemetry, sample: &Sample) {
    telemetry.push(Append::Sample(sample.clone()), None).unwrap();
}

fn quarantined(n: i64) -> Quarantined {
    Quarantined {
        quarantine_id: 0,
        pile_code: PileCode::parse("P1").unwrap(),
        topic: "pile/P1/heartbeat".to_owned(),
        payload: vec![b'{', 0, 255, n as u8],
        reason: "MALFORMED".to_owned(),
        detail: format!("frame {n}"),
        received: at(n),
        replayed_at: None,
    }
}

/// Tokens without a row wait for the rows before them.
pub async fn tokens_come_back_in_order_when_everything_before_is_durable(engine: &dyn Engine) {
    let store = Store::open(engine).await;
    for n in 0..300 {
        let row = match n % 3 {
            0 => Append::Sample(heartbeat(PILE, i64::from(n))),
            1 => Append::Nothing,
            _ => Append::Quarantine(quarantined(i64::from(n))),
        };
        store.telemetry.push(row, (n != 30).then(|| token(n))).unwrap();
    }
    store.telemetry.flush().await.unwrap();
    let expected: Vec<AckToken> = (0..300).filter(|n| *n != 30).map(token).collect();
    assert_eq!(*store.stored.lock(), expected);
    assert_eq!(store.telemetry.health(), Ok(()));
    let telemetry = store.reopen(engine).await.telemetry;
    assert_eq!(telemetry.samples(PILE, Timestamp::MIN, Timestamp::MAX, 1000).await.unwrap().len(), 100);
    assert_eq!(telemetry.quarantine(None, 500).await.unwrap().len(), 100);
}

/// Every field of every kind; half-open times; the earliest ones when there are too many.
pub async fn samples_come_back_whole_by_receive_time(engine: &dyn Engine) {
    let mut store = Store::open(engine).await;
    let order = order_no("1001");
    let meter = Sample {
        kind: SampleKind::Meter { register: WattHours(10_033_790) },
        voltage: None,
        power: None,
        ..heartbeat(PILE, 30)
    };
    let odd = Sample { device: Timestamp::MIN, ..charging(PILE, &order_no("X9z"), u32::MAX, 40) };
    let kept = [heartbeat(PILE, 10), charging(PILE, &order, 1, 20), meter, odd];
    for sample in [&kept[3], &kept[0], &kept[2], &kept[1]] {
        push(store.telemetry.as_ref(), sample);
    }
    push(store.telemetry.as_ref(), &heartbeat(PileNo(8), 15));
    store.telemetry.flush().await.unwrap();
    for _ in 0..2 {
        let telemetry = &store.telemetry;
        assert_eq!(telemetry.samples(PILE, at(10), at(41), 100).await.unwrap(), kept);
        assert_eq!(telemetry.samples(PILE, at(11), at(40), 100).await.unwrap(), kept[1..3]);
        assert_eq!(telemetry.samples(PILE, at(0), at(99), 2).await.unwrap(), kept[..2]);
        assert_eq!(telemetry.samples(PileNo(9), at(0), at(99), 2).await.unwrap(), []);
        store = store.reopen(engine).await;
    }
}

/// Of this order, from this time on.
pub async fn the_readings_of_an_order_are_the_first_received_of_each_number(engine: &dyn Engine) {
    let mut store = Store::open(engine).await;
    let (order, other) = (order_no("1001"), order_no("1002"));
    let mut repeated = charging(PILE, &order, 2, 50);
    repeated.device = at(7);
    let rows = [
        charging(PILE, &order, 1, 10),
        heartbeat(PILE, 11),
        charging(PILE, &other, 1, 15),
        charging(PILE, &order, 2, 20),
        charging(PILE, &order, 4, 40),
        charging(PILE, &order, 3, 45),
        repeated,
    ];
    rows.iter().for_each(|sample| push(store.telemetry.as_ref(), sample));
    store.telemetry.flush().await.unwrap();
    for _ in 0..2 {
        let all = store.telemetry.readings(PILE, &order, at(0)).await.unwrap();
        assert_eq!(all, [&rows[0], &rows[3], &rows[4], &rows[5]].map(|sample| reading(sample).unwrap()));
        let later = store.telemetry.readings(PILE, &order, at(21)).await.unwrap();
        assert_eq!(later.iter().map(|reading| reading.seq).collect::<Vec<_>>(), [4, 3, 2]);
        assert_eq!(store.telemetry.readings(PileNo(8), &order, at(0)).await.unwrap(), []);
        store = store.reopen(engine).await;
    }
}

/// Frames that a pile kept while it was offline: old by every clock, new in the log.
pub async fn late_readings_survive_every_reopening(engine: &dyn Engine) {
    let mut store = Store::open(engine).await;
    let order = order_no("1001");
    let mut seq = 0;
    for round in 0..6_u32 {
        // Enough of the present to seal what there is, then readings with times from before all of that.
        for n in 0..150 {
            push(store.telemetry.as_ref(), &heartbeat(PILE, 1_000_000 + i64::from(round) * 1000 + n));
        }
        store.telemetry.flush().await.unwrap();
        for _ in 0..10 {
            seq += 1;
            push(store.telemetry.as_ref(), &charging(PILE, &order, seq, i64::from(seq)));
        }
        store.telemetry.flush().await.unwrap();
        store = store.reopen(engine).await;
        let found = store.telemetry.readings(PILE, &order, at(0)).await.unwrap();
        assert_eq!(found.len() as u32, seq, "round {round}");
    }
}

/// Numbers rise for ever; the first replay is the one that is noted.
pub async fn quarantined_frames_are_numbered_listed_and_marked_once(engine: &dyn Engine) {
    let store = Store::open(engine).await;
    for n in 0..5 {
        store.telemetry.push(Append::Quarantine(quarantined(n)), None).unwrap();
    }
    store.telemetry.flush().await.unwrap();
    let listed = store.telemetry.quarantine(None, 3).await.unwrap();
    let details = |rows: &[Quarantined]| rows.iter().map(|row| row.detail.clone()).collect::<Vec<_>>();
    assert_eq!(details(&listed), ["frame 4", "frame 3", "frame 2"]);
    let ids: Vec<i64> = listed.iter().map(|row| row.quarantine_id).collect();
    assert!(ids.is_sorted_by(|a, b| a > b) && ids.iter().all(|id| *id > 0), "{ids:?}");
    assert_eq!(details(&store.telemetry.quarantine(Some(ids[2]), 3).await.unwrap()), ["frame 1", "frame 0"]);

    store.telemetry.mark_replayed(ids[0], at(100)).await.unwrap();
    store.telemetry.mark_replayed(ids[0], at(200)).await.unwrap();
    store.telemetry.mark_replayed(i64::MAX, at(200)).await.unwrap();
    let store = store.reopen(engine).await;
    let expected = Quarantined { quarantine_id: ids[0], replayed_at: Some(at(100)), ..quarantined(4) };
    assert_eq!(store.telemetry.quarantined(ids[0]).await.unwrap(), Some(expected));
    assert_eq!(store.telemetry.quarantined(i64::MAX).await.unwrap(), None);
    store.telemetry.push(Append::Quarantine(quarantined(5)), None).unwrap();
    store.telemetry.flush().await.unwrap();
    assert!(store.telemetry.quarantine(None, 1).await.unwrap()[0].quarantine_id > ids[0]);
}
