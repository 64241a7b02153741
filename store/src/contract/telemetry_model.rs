//! Random telemetry of many piles against a model that keeps every sample in a list.

use std::collections::BTreeMap;

use domain::{OrderNo, PileNo, Timestamp};
use settlement::pricing::Reading;

use super::{
    Engine, Store,
    facts::{at, order_no},
    random::Random,
    telemetry::{charging, heartbeat, push, reading},
};
use crate::telemetry::{Sample, SampleKind};

const PILES: u64 = 300;
const STEPS: usize = 150;

#[derive(Default)]
struct Model {
    samples: BTreeMap<PileNo, Vec<Sample>>,
    seqs: BTreeMap<OrderNo, u32>,
}

impl Model {
    /// A sample of a random pile, mostly of the present, sometimes late, sometimes a repeat.
    fn sample(&mut self, random: &mut Random, now: i64) -> Sample {
        // A few piles speak most.
        let range = if random.one_in(2) { 5 } else { PILES };
        let pile_no = PileNo(1 + random.below(range) as u32);
        let received = if random.one_in(10) { now - random.below(5000) as i64 } else { now };
        let sample = if random.one_in(3) {
            heartbeat(pile_no, received)
        } else {
            let order = if random.one_in(20) { format!("X{}", pile_no.0) } else { format!("{}", 1000 + pile_no.0) };
            let order = order_no(&order);
            let seq = self.seqs.entry(order.clone()).or_insert(0);
            if !random.one_in(15) {
                *seq += 1;
            }
            charging(pile_no, &order, *seq, received)
        };
        self.samples.entry(pile_no).or_default().push(sample.clone());
        sample
    }

    fn by_time(&self, pile_no: PileNo, from: Timestamp, to: Timestamp, max: usize) -> Vec<Sample> {
        let all = self.samples.get(&pile_no).into_iter().flatten();
        let mut found: Vec<Sample> = all.filter(|s| s.received >= from && s.received < to).cloned().collect();
        found.sort_by_key(|sample| sample.received);
        found.truncate(max);
        found
    }

    fn readings(&self, pile_no: PileNo, order: &OrderNo, since: Timestamp) -> Vec<Reading> {
        let mut found: Vec<Reading> = Vec::new();
        for sample in self.samples.get(&pile_no).into_iter().flatten().filter(|sample| sample.received >= since) {
            if let SampleKind::Charging { order_no, seq, .. } = &sample.kind
                && order_no == order
                && found.iter().all(|reading| reading.seq != *seq)
            {
                found.extend(reading(sample));
            }
        }
        found
    }

    async fn compare(&self, store: &Store, random: &mut Random, now: i64) {
        for _ in 0..10 {
            let range = if random.one_in(2) { 5 } else { PILES };
            let pile_no = PileNo(1 + random.below(range) as u32);
            let from = at(now - random.below(200_000) as i64);
            let to = at(now + 1 - random.below(50_000) as i64);
            let max = 1 + random.below(60) as usize;
            let found = store.telemetry.samples(pile_no, from, to, max).await.unwrap();
            assert_eq!(found, self.by_time(pile_no, from, to, max), "{pile_no:?} {from} {to} {max}");
            let order = order_no(&format!("{}", 1000 + pile_no.0));
            let found = store.telemetry.readings(pile_no, &order, from).await.unwrap();
            assert_eq!(found, self.readings(pile_no, &order, from), "{pile_no:?} {order} {from}");
        }
    }
}

/// Many flushes, several sealing rounds, some reopenings in the middle of one.
pub async fn random_samples_agree_with_a_model_across_reopenings(engine: &dyn Engine) {
    let mut random = Random::from_environment("random_samples_agree_with_a_model_across_reopenings");
    let mut model = Model::default();
    let mut store = Store::open(engine).await;
    let mut now = 1_000_000;
    for _ in 0..STEPS {
        for _ in 0..random.below(800) {
            now += random.below(20) as i64;
            let sample = model.sample(&mut random, now);
            push(store.telemetry.as_ref(), &sample);
        }
        store.telemetry.flush().await.unwrap();
        model.compare(&store, &mut random, now).await;
        if random.one_in(8) {
            store = store.reopen(engine).await;
            model.compare(&store, &mut random, now).await;
        }
    }
    let whole = (Timestamp::MIN, Timestamp::MAX);
    let store = store.reopen(engine).await;
    for pile_no in (1..=PILES as u32).map(PileNo) {
        let found = store.telemetry.samples(pile_no, whole.0, whole.1, 100_000).await.unwrap();
        assert_eq!(found, model.by_time(pile_no, whole.0, whole.1, 100_000), "{pile_no:?}");
    }
}
