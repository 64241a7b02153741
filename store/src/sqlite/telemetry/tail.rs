//! What of the telemetry is in memory: every pile's samples since its last chunk, already encoded, and which
//! generations of chunks there are.
//!
//! Changed by the writer only, after a commit; readers copy what they need under the lock and look into the file
//! afterwards. A sample is in exactly one of the two places a reader looks at, because the reader takes chunks only
//! of generations up to the one that this pile was sealed in when it looked.

use std::collections::{BTreeMap, HashMap};

use domain::PileNo;

use super::codec::{Encoder, Of};
use crate::{
    limits::{CHUNK_LEN_GOAL, CHUNK_LEN_HIGH, TAIL_LEN_HIGH},
    telemetry::Sample,
};

/// First and last receive time of something, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) t0: i64,
    pub(super) t1: i64,
}

impl Span {
    /// Contains nothing; the neutral element of [`Span::and`].
    pub(super) const NONE: Self = Self { t0: i64::MAX, t1: i64::MIN };

    /// The span over both.
    pub(super) fn and(self, other: Self) -> Self {
        Self { t0: self.t0.min(other.t0), t1: self.t1.max(other.t1) }
    }
}

/// Samples of one pile that are in no chunk yet.
#[derive(Debug)]
struct PileTail {
    encoder: Encoder,
    len: u32,
    span: Span,
    /// The last generation with a chunk of this pile that readers may look at.
    sealed: i64,
}

/// One chunk to be written.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) pile_no: PileNo,
    pub(super) span: Span,
    pub(super) len: u32,
    pub(super) blob: Vec<u8>,
}

/// What a reader needs of one pile: which chunks to look at, and what is in none.
#[derive(Debug)]
pub(super) struct View {
    /// Generations, oldest first, with their spans.
    pub(super) generations: Vec<(i64, Span)>,
    /// Encoded samples after the last of them.
    pub(super) tail: Vec<u8>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Tail {
    piles: HashMap<PileNo, PileTail>,
    generations: BTreeMap<i64, Span>,
    /// Generations there were at the start: a pile without an entry is sealed up to here.
    sealed_before: i64,
    /// Samples in no chunk.
    len: usize,
    /// Piles with any of them.
    busy: usize,
    /// A pile has very many of them.
    high: bool,
    /// Newest receive time ever seen.
    newest: i64,
}

impl Tail {
    /// With the generations found in the file.
    pub(super) fn new(generations: BTreeMap<i64, Span>) -> Self {
        let sealed_before = generations.last_key_value().map_or(0, |(generation, _)| *generation);
        let newest = generations.values().fold(Span::NONE, |all, span| all.and(*span)).t1;
        Self { piles: HashMap::new(), generations, sealed_before, len: 0, busy: 0, high: false, newest }
    }

    /// Adds a durable sample.
    pub(super) fn push(&mut self, sample: &Sample) {
        let sealed = self.sealed_before;
        let pile = self.piles.entry(sample.pile_no).or_insert_with(|| PileTail {
            encoder: Encoder::new(Of::One(sample.pile_no)),
            len: 0,
            span: Span::NONE,
            sealed,
        });
        let received = sample.received.as_millis();
        pile.encoder.push(sample);
        pile.span = pile.span.and(Span { t0: received, t1: received });
        self.busy = self.busy.saturating_add(usize::from(pile.len == 0));
        pile.len = pile.len.saturating_add(1);
        self.high |= pile.len >= CHUNK_LEN_HIGH;
        self.len = self.len.saturating_add(1);
        self.newest = self.newest.max(received);
    }

    /// Whether a sealing round should begin.
    pub(super) fn wants_sealing(&self) -> bool {
        self.high || self.len >= TAIL_LEN_HIGH || (self.len > 0 && self.len >= self.busy.saturating_mul(CHUNK_LEN_GOAL))
    }

    /// Piles with samples in no chunk, by number: the order in which a generation is written.
    pub(super) fn busy_piles(&self) -> Vec<PileNo> {
        let mut piles: Vec<PileNo> = self.piles.iter().filter(|(_, pile)| pile.len > 0).map(|(no, _)| *no).collect();
        piles.sort_unstable();
        piles
    }

    /// The chunk that would seal a pile; `None` when it has nothing.
    pub(super) fn chunk(&self, pile_no: PileNo) -> Option<Chunk> {
        let pile = self.piles.get(&pile_no).filter(|pile| pile.len > 0)?;
        Some(Chunk { pile_no, span: pile.span, len: pile.len, blob: pile.encoder.bytes().to_vec() })
    }

    /// Notes that these chunks, made by [`Tail::chunk`] with nothing pushed since, are durable.
    pub(super) fn sealed(&mut self, generation: i64, chunks: &[Chunk]) {
        for chunk in chunks {
            if let Some(pile) = self.piles.get_mut(&chunk.pile_no) {
                self.len = self.len.saturating_sub(usize::try_from(pile.len).unwrap_or(usize::MAX));
                self.busy = self.busy.saturating_sub(1);
                pile.encoder.clear();
                pile.len = 0;
                pile.span = Span::NONE;
                pile.sealed = generation;
            }
            let span = self.generations.entry(generation).or_insert(Span::NONE);
            *span = span.and(chunk.span);
        }
    }

    /// A sealing round is over: no pile has very many samples any more.
    pub(super) fn round_over(&mut self) {
        self.high = false;
    }

    /// The oldest generation, if everything in it was received before `cutoff`.
    pub(super) fn outdated(&self, cutoff: i64) -> Option<i64> {
        self.generations.first_key_value().filter(|(_, span)| span.t1 < cutoff).map(|(generation, _)| *generation)
    }

    /// Forgets a generation that was deleted.
    pub(super) fn deleted(&mut self, generation: i64) {
        self.generations.remove(&generation);
    }

    /// Newest receive time ever seen; `None` before the first sample.
    pub(super) fn newest(&self) -> Option<i64> {
        (self.newest != Span::NONE.t1).then_some(self.newest)
    }

    /// Samples in no chunk.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Where to look for what one pile sent in `[from, to)`.
    pub(super) fn view(&self, pile_no: PileNo, from: i64, to: i64) -> View {
        let pile = self.piles.get(&pile_no);
        let sealed = pile.map_or(self.sealed_before, |pile| pile.sealed);
        let overlaps = |span: &Span| span.t1 >= from && span.t0 < to;
        let generations =
            self.generations.range(..=sealed).filter(|(_, span)| overlaps(span)).map(|(id, span)| (*id, *span));
        let tail = pile.filter(|pile| overlaps(&pile.span)).map(|pile| pile.encoder.bytes().to_vec());
        View { generations: generations.collect(), tail: tail.unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use domain::{ConnectorId, Timestamp};

    use super::*;
    use crate::telemetry::SampleKind;

    fn sample(pile_no: u32, received: i64) -> Sample {
        let time = Timestamp::from_millis_clamped(received);
        Sample {
            pile_no: PileNo(pile_no),
            connector: ConnectorId::PILE,
            received: time,
            device: time,
            kind: SampleKind::Heartbeat { status: 1, temperature: None },
            voltage: None,
            current: None,
            power: None,
        }
    }

    #[test]
    fn a_round_begins_at_the_average_or_at_one_very_busy_pile() {
        let mut tail = Tail::new(BTreeMap::new());
        assert!(!tail.wants_sealing());
        for n in 0..80 {
            assert!(!tail.wants_sealing(), "after {n}");
            tail.push(&sample(u32::from(n % 2 == 0), n));
        }
        assert!(tail.wants_sealing());

        let mut tail = Tail::new(BTreeMap::new());
        (0..1000).for_each(|pile| tail.push(&sample(pile, 0)));
        for n in 1..i64::from(CHUNK_LEN_HIGH) {
            assert!(!tail.wants_sealing(), "after {n}");
            tail.push(&sample(5, n));
        }
        assert!(tail.wants_sealing());
    }

    #[test]
    fn a_reader_who_looked_before_a_sealing_does_not_look_at_its_chunk() {
        let mut tail = Tail::new(BTreeMap::new());
        tail.push(&sample(1, 10));
        tail.push(&sample(2, 11));
        let before = tail.view(PileNo(1), 0, 100);
        let chunk = tail.chunk(PileNo(1)).unwrap();
        tail.sealed(1, &[chunk]);

        assert!(before.generations.is_empty() && !before.tail.is_empty());
        let after = tail.view(PileNo(1), 0, 100);
        assert!(after.generations.len() == 1 && after.tail.is_empty());
        let other = tail.view(PileNo(2), 0, 100);
        assert!(other.generations.is_empty() && !other.tail.is_empty(), "pile 2 has no chunk in this generation yet");
    }

    #[test]
    fn a_view_takes_only_what_overlaps_the_time_asked_for() {
        let spans = [(1, Span { t0: 0, t1: 9 }), (2, Span { t0: 10, t1: 19 }), (3, Span { t0: 20, t1: 29 })];
        let tail = Tail::new(spans.into_iter().collect());
        let ids =
            |from, to| tail.view(PileNo(1), from, to).generations.into_iter().map(|(id, _)| id).collect::<Vec<_>>();
        assert_eq!(ids(10, 20), [2]);
        assert_eq!(ids(9, 21), [1, 2, 3]);
        assert!(ids(30, 99).is_empty());
        assert_eq!(tail.outdated(9), None);
        assert_eq!(tail.outdated(10), Some(1));
        assert_eq!(tail.newest(), Some(29));
    }
}
