//! Seeded random numbers for tests: the same seed, the same run.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

/// Environment variable with a seed to run again.
pub const SEED_VARIABLE: &str = "PILEHUB_TEST_SEED";

/// A small generator (splitmix64); good enough to choose test cases.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// From a known seed.
    #[must_use]
    pub const fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// From the seed in the environment, else a new one; prints it, so that a failed run can be repeated.
    #[must_use]
    #[allow(clippy::print_stderr, reason = "a failed random test is worth nothing without its seed")]
    pub fn from_environment(test: &str) -> Self {
        let given = std::env::var(SEED_VARIABLE).ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| RandomState::new().build_hasher().finish());
        eprintln!("{test}: {SEED_VARIABLE}={seed}");
        Self(seed)
    }

    /// Any number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 when `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next().checked_rem(n).unwrap_or(0)
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}
