//! A small seeded generator, written out so that the same seed gives the same run after any upgrade of a dependency.
//!
//! Not for secrets.

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// A generator; the same seed gives the same numbers.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A generator of its own for a part of the run, so that parts do not shift each other.
    #[must_use]
    pub fn for_part(seed: u64, part: &str) -> Self {
        let hash = part
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        let mut rng = Self::new(seed ^ hash);
        rng.next_u64();
        rng
    }

    /// The next number.
    pub const fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `low..=high`; `low` when the range is empty.
    pub fn range(&mut self, low: i64, high: i64) -> i64 {
        let Ok(width) = u64::try_from(high.saturating_sub(low)) else { return low };
        let offset = self.next_u64().checked_rem(width.saturating_add(1)).unwrap_or(0);
        low.saturating_add(i64::try_from(offset).unwrap_or(0))
    }

    /// True in `per_mille` of 1,000 draws.
    pub fn per_mille(&mut self, per_mille: u32) -> bool {
        self.range(0, 999) < i64::from(per_mille)
    }

    /// An index into a slice of this length; 0 for an empty one.
    pub fn index(&mut self, len: usize) -> usize {
        let high = i64::try_from(len).unwrap_or(i64::MAX).saturating_sub(1);
        usize::try_from(self.range(0, high)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers_for_ever() {
        let mut rng = Rng::new(1);
        assert_eq!([rng.next_u64(), rng.next_u64()], [0x910a_2dec_8902_5cc1, 0xbeeb_8da1_658e_ec67]);
    }

    #[test]
    fn parts_of_a_run_draw_different_numbers() {
        assert_ne!(Rng::for_part(7, "P0001").next_u64(), Rng::for_part(7, "P0002").next_u64());
    }

    #[test]
    fn a_range_includes_both_ends_and_nothing_else() {
        let mut rng = Rng::new(3);
        let drawn: std::collections::BTreeSet<i64> = (0..200).map(|_| rng.range(-1, 2)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [-1, 0, 1, 2]);
        assert_eq!(rng.range(5, 4), 5);
    }
}
