//! The readings of one running order: repeats taken out, bounded, in the order they came.

use std::collections::HashSet;

use domain::limits;
use settlement::pricing::Reading;

/// Readings for the bill. The same `seq` again is a duplicate and changes nothing [CONTRACT 1.2].
#[derive(Debug, Default)]
pub(crate) struct Readings {
    kept: Vec<Reading>,
    /// Frames 1..=`seen_to` all came; the usual case needs no set.
    seen_to: u32,
    seen_beyond: HashSet<u32>,
    thinned: bool,
}

impl Readings {
    /// Takes a reading; `false` when its `seq` was seen before.
    pub(crate) fn add(&mut self, reading: Reading) -> bool {
        if !self.see(reading.seq) {
            return false;
        }
        if self.kept.len() >= limits::READINGS_PER_ORDER_MAX {
            self.thin();
        }
        self.kept.push(reading);
        true
    }

    /// Whether no frame with this number came before.
    pub(crate) fn is_new(&self, seq: u32) -> bool {
        seq > self.seen_to && !self.seen_beyond.contains(&seq)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The readings and whether some were dropped because there were too many.
    pub(crate) fn to_bill(&self) -> (Vec<Reading>, bool) {
        (self.kept.clone(), self.thinned)
    }

    fn see(&mut self, seq: u32) -> bool {
        if !self.is_new(seq) {
            return false;
        }
        if seq != self.seen_to.saturating_add(1) {
            // A charger that invents numbers cannot make this grow without end: then its newest frames are repeats.
            return self.seen_beyond.len() < limits::READINGS_PER_ORDER_MAX && self.seen_beyond.insert(seq);
        }
        self.seen_to = seq;
        while self.seen_beyond.remove(&self.seen_to.saturating_add(1)) {
            self.seen_to = self.seen_to.saturating_add(1);
        }
        true
    }

    /// Every second reading in the middle goes; the first and the last stay.
    fn thin(&mut self) {
        self.thinned = true;
        let last = self.kept.len().saturating_sub(1);
        let mut n = 0_usize;
        self.kept.retain(|_| {
            let keep = n == 0 || n == last || n.is_multiple_of(2);
            n = n.saturating_add(1);
            keep
        });
    }
}

#[cfg(test)]
mod tests {
    use domain::{Timestamp, WattHours};

    use super::*;

    fn reading(seq: u32) -> Reading {
        Reading {
            at: Timestamp::from_millis(i64::from(seq)).unwrap(),
            seq,
            energy: WattHours(i64::from(seq)),
            total_time_s: None,
        }
    }

    #[test]
    fn a_repeated_seq_is_a_duplicate_in_any_order() {
        let mut readings = Readings::default();
        let taken: Vec<bool> = [1, 2, 2, 5, 4, 5, 3, 3, 4, 6].iter().map(|seq| readings.add(reading(*seq))).collect();
        assert_eq!(taken, [true, true, false, true, true, false, true, false, false, true]);
        assert!(readings.seen_beyond.is_empty());
    }

    #[test]
    fn too_many_readings_are_thinned_and_said_so() {
        let mut readings = Readings::default();
        let max = u32::try_from(limits::READINGS_PER_ORDER_MAX).unwrap();
        for seq in 1..=max + 1 {
            assert!(readings.add(reading(seq)));
        }
        let (kept, thinned) = readings.to_bill();
        assert!(thinned && kept.len() <= limits::READINGS_PER_ORDER_MAX / 2 + 3);
        assert_eq!((kept[0].seq, kept.last().unwrap().seq), (1, max + 1));
    }
}
