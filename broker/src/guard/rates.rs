//! The configured limits as rates: how fast each bucket fills, and how much it holds.

use super::bucket::Rate;
use crate::{
    gate::GateLimits,
    limits::{ADMISSIONS_BURST_S, CONNECTS_BURST_MIN, FRAMES_BURST_S, SURPLUS_BURST_S},
};

impl GateLimits {
    pub(super) fn connects_per_address(&self) -> Rate {
        let per_min = self.connects_per_address_per_min_max;
        Rate::per_minute(per_min, per_min)
    }

    /// For one pile.
    pub(crate) fn connects_per_pile(&self) -> Rate {
        let per_min = self.connects_per_pile_per_min_max;
        Rate::per_minute(per_min, per_min.saturating_mul(CONNECTS_BURST_MIN))
    }

    pub(super) fn admissions(&self) -> Rate {
        let per_s = self.admissions_per_s_max;
        Rate::per_second(per_s, per_s.saturating_mul(ADMISSIONS_BURST_S))
    }

    /// Of one pile.
    pub(super) fn frames_per_pile(&self) -> Rate {
        let per_s = self.frames_per_pile_per_s_max;
        Rate::per_second(per_s, per_s.saturating_mul(FRAMES_BURST_S))
    }

    /// Of all piles together.
    pub(super) fn surplus(&self) -> Option<Rate> {
        let per_s = self.frames_surplus_per_s_max;
        (per_s > 0).then(|| Rate::per_second(per_s, per_s.saturating_mul(SURPLUS_BURST_S)))
    }

    /// A quarter of all, so that one address cannot keep the others out; far less once half of them are taken, so that
    /// a few addresses cannot either.
    pub(super) fn handshakes_per_address_max(&self, taken: u32) -> u32 {
        let share = if taken >= self.handshakes_max / 2 { 64 } else { 4 };
        (self.handshakes_max / share).max(1)
    }
}
