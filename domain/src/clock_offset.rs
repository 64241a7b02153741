//! How far a pile's clock is off, learned from its heartbeats [CONTRACT 2.1].
//!
//! Only measures; whether and to what the correction is applied is the bill's business.

use crate::{Millis, Timestamp, limits::CLOCK_SAMPLES_MAX};

/// Offsets up to this are delay rather than a wrong clock, and are not corrected.
pub const TOLERANCE: Millis = Millis(2_000);

/// The offsets of a pile's last [`CLOCK_SAMPLES_MAX`] heartbeats.
///
/// One word per pile until its first heartbeat, one small allocation of fixed size afterwards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClockOffset {
    ring: Option<Box<Ring>>,
}

/// The newest sample overwrites the oldest.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ring {
    /// Receive − device, in milliseconds; the first `len` count.
    samples: [i64; CLOCK_SAMPLES_MAX],
    len: usize,
    next: usize,
}

impl ClockOffset {
    /// Nothing measured.
    #[must_use]
    pub const fn new() -> Self {
        Self { ring: None }
    }

    /// Takes in one heartbeat: when the gate read it, and what the pile's clock said.
    pub fn observe(&mut self, received: Timestamp, device: Timestamp) {
        let ring = self.ring.get_or_insert_with(|| Box::new(Ring { samples: [0; CLOCK_SAMPLES_MAX], len: 0, next: 0 }));
        if let Some(slot) = ring.samples.get_mut(ring.next) {
            *slot = received.since(device).0;
        }
        ring.next = ring.next.saturating_add(1) % CLOCK_SAMPLES_MAX;
        ring.len = ring.len.saturating_add(1).min(CLOCK_SAMPLES_MAX);
    }

    /// The median of receive − device; `None` before the first heartbeat.
    ///
    /// Of an even number of samples it is the lower of the two in the middle: an offset that was measured. When a
    /// clock is set, half of the samples lie before and half after, and the mean of the two would be true of neither.
    #[must_use]
    pub fn median(&self) -> Option<Millis> {
        let ring = self.ring.as_deref()?;
        let mut samples = ring.samples;
        let known = samples.get_mut(..ring.len)?;
        known.sort_unstable();
        known.get(ring.len.saturating_sub(1) / 2).copied().map(Millis)
    }

    /// What to add to a device time to get the hub's time: the median when it is over [`TOLERANCE`], else nothing.
    #[must_use]
    pub fn correction(&self) -> Millis {
        self.median().filter(|offset| offset.0.saturating_abs() > TOLERANCE.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_763_690_000_000;

    fn after(offsets: &[i64]) -> ClockOffset {
        let mut clock = ClockOffset::new();
        for offset in offsets {
            let received = Timestamp::from_millis_clamped(NOW);
            clock.observe(received, received.plus(Millis(-offset)));
        }
        clock
    }

    #[test]
    fn nothing_measured_corrects_nothing() {
        assert_eq!((ClockOffset::new().median(), ClockOffset::new().correction()), (None, Millis(0)));
    }

    #[test]
    fn only_offsets_over_two_seconds_are_corrected() {
        for (offset, correction) in
            [(0, 0), (150, 0), (2_000, 0), (-2_000, 0), (2_001, 2_001), (-2_001, -2_001), (NOW, NOW)]
        {
            let clock = after(&[offset]);
            assert_eq!((clock.median(), clock.correction()), (Some(Millis(offset)), Millis(correction)));
        }
    }

    #[test]
    fn the_median_is_an_offset_that_was_measured() {
        for (offsets, median) in [
            (&[5_000][..], 5_000),
            (&[9_000, 5_000], 5_000),
            (&[9_000, 1_000, 5_000], 5_000),
            (&[8_000, 9_000, 1_000, 5_000], 5_000),
            (&[-3_000, -4_000], -4_000),
        ] {
            assert_eq!(after(offsets).median(), Some(Millis(median)), "{offsets:?}");
        }
    }

    #[test]
    fn one_delayed_heartbeat_changes_nothing() {
        let mut offsets = vec![120; CLOCK_SAMPLES_MAX];
        offsets[3] = 3_600_000;
        assert_eq!(after(&offsets).correction(), Millis(0));
    }

    #[test]
    fn a_clock_that_was_set_is_believed_after_thirteen_heartbeats() {
        let mut offsets = vec![60_000; CLOCK_SAMPLES_MAX];
        offsets.extend([0; 12]);
        assert_eq!(after(&offsets).correction(), Millis(60_000));
        offsets.push(0);
        assert_eq!(after(&offsets).correction(), Millis(0));
    }

    #[test]
    fn a_pile_without_heartbeats_costs_one_word() {
        assert_eq!(size_of::<ClockOffset>(), size_of::<usize>());
    }

    proptest! {
        #[test]
        fn the_last_heartbeats_alone_decide(offsets in proptest::collection::vec(-10_000_000..10_000_000_i64, 0..80)) {
            let mut last: Vec<i64> = offsets.iter().rev().take(CLOCK_SAMPLES_MAX).copied().collect();
            last.sort_unstable();
            let below = |median: i64| last.iter().filter(|sample| **sample < median).count();
            let above = |median: i64| last.iter().filter(|sample| **sample > median).count();
            match after(&offsets).median() {
                None => prop_assert!(offsets.is_empty()),
                Some(Millis(median)) => {
                    prop_assert!(last.contains(&median));
                    prop_assert!(below(median) * 2 <= last.len() && above(median) * 2 <= last.len());
                }
            }
        }
    }
}
