//! Reproducible random numbers: the seed is printed, and taken from `SETTLEMENT_SEED` when that is set.

use std::hash::{BuildHasher, RandomState};

/// SplitMix64: tiny, and good enough to choose test cases.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From `low` to `high`, both possible.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        let width = u64::try_from(high - low).unwrap() + 1;
        low + i64::try_from(self.bits() % width).unwrap()
    }

    pub(crate) fn one_in(&mut self, n: i64) -> bool {
        self.between(1, n) == 1
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let index = self.between(0, i64::try_from(from.len()).unwrap() - 1);
        &from[usize::try_from(index).unwrap()]
    }
}

/// The seed of this run, printed.
#[allow(clippy::print_stdout, reason = "a failed random test is repeated by its seed")]
pub(crate) fn seed(test: &str) -> u64 {
    let given = std::env::var("SETTLEMENT_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| RandomState::new().hash_one(test));
    println!("{test}: SETTLEMENT_SEED={seed}");
    seed
}
