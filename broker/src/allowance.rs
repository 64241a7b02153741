//! How many frames a connection may still send: its pile's own first, then a share of what is left for all. Who has
//! used up both is not read for a while; nothing of it is dropped.
//!
//! One pile that comes back with a day's frames is read as fast as the hub can; a hundred that send without end share
//! what one of them could have.

use std::time::Duration;

use crate::{
    guard::{Guard, bucket::Bucket},
    uptime::Uptime,
};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Allowance {
    own: Bucket,
    /// Its own frames were used up when it was read last.
    spent: bool,
}

impl Allowance {
    /// So many frames were read; for how long no more may be.
    pub(crate) fn spend(&mut self, frames: u32, guard: &Guard, now: Uptime) -> Option<Duration> {
        if frames == 0 {
            return None;
        }
        let rate = guard.frames_per_pile();
        let missing = self.own.take_up_to(frames, rate, now);
        self.spent = missing > 0;
        if !self.spent {
            return None;
        }
        let owed = guard.surplus(missing, now);
        if owed == 0 {
            return None;
        }
        self.own.owe(owed, rate, now);
        Some(self.own.wait(rate, now))
    }

    /// Whether it lives on what all share.
    pub(crate) const fn is_spent(&self) -> bool {
        self.spent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::GateLimits;

    const fn at(ms: u64) -> Uptime {
        Uptime::from_millis(ms)
    }

    fn guard(own: u32, surplus: u32) -> Guard {
        let limits =
            GateLimits { frames_per_pile_per_s_max: own, frames_surplus_per_s_max: surplus, ..GateLimits::default() };
        Guard::new(limits, 4_096)
    }

    #[test]
    fn its_own_frames_come_first_then_the_shared_ones_then_it_waits() {
        let guard = guard(10, 20);
        let mut allowance = Allowance::default();
        assert_eq!(allowance.spend(100, &guard, at(0)), None, "ten seconds of its own");
        assert_eq!(allowance.spend(200, &guard, at(0)), None, "ten seconds of everybody's");
        assert_eq!(allowance.spend(10, &guard, at(0)), Some(Duration::from_millis(1_100)));
        assert!(allowance.is_spent());
        assert_eq!(allowance.spend(1, &guard, at(1_100)), None);
        assert!(!allowance.is_spent());
    }

    #[test]
    fn many_that_send_without_end_share_what_one_could_have() {
        let guard = guard(10, 20);
        let mut piles: Vec<(Allowance, Uptime)> = (0..50).map(|_| (Allowance::default(), at(0))).collect();
        let mut read = 0_u64;
        for ms in (0..100_000).step_by(10) {
            for (allowance, until) in &mut piles {
                if *until <= at(ms) {
                    read += 5;
                    *until = allowance.spend(5, &guard, at(ms)).map_or(*until, |wait| at(ms).plus(wait));
                }
            }
        }
        let per_s = (read - 50 * 100 - 200) / 100;
        assert!((500..=540).contains(&per_s), "50 of 10 a second each, and 20 shared: {per_s}");
    }

    #[test]
    fn an_honest_pile_beside_them_never_waits() {
        let guard = guard(10, 20);
        let (mut flood, mut honest) = (Allowance::default(), Allowance::default());
        for s in 0..1_000 {
            while flood.spend(50, &guard, at(s * 1_000)).is_none() {}
            assert_eq!(honest.spend(9, &guard, at(s * 1_000)), None);
        }
    }
}
