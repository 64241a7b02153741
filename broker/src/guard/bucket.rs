//! A token bucket: so many at once, then so many per time. Pure: the time is an argument.

use std::time::Duration;

use crate::uptime::Uptime;

/// Parts of a token that are counted: rates per minute need fractions per millisecond.
const PARTS: u64 = 1_000_000;

/// How fast a bucket fills and how much it holds. A rate of 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    parts_per_ms: u64,
    holds: u64,
}

impl Rate {
    pub(crate) fn per_second(tokens: u32, burst: u32) -> Self {
        Self { parts_per_ms: u64::from(tokens) * PARTS / 1_000, holds: u64::from(burst) * PARTS }
    }

    pub(crate) fn per_minute(tokens: u32, burst: u32) -> Self {
        Self { parts_per_ms: u64::from(tokens) * PARTS / 60_000, holds: u64::from(burst) * PARTS }
    }

    const fn is_off(self) -> bool {
        self.parts_per_ms == 0
    }
}

/// See the module. A fresh one is full.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bucket {
    /// What was taken and has not flowed back.
    used: u64,
    at: Uptime,
}

impl Bucket {
    /// Takes one if there is one.
    pub(crate) fn take(&mut self, rate: Rate, now: Uptime) -> bool {
        if rate.is_off() {
            return true;
        }
        self.refill(rate, now);
        let used = self.used.saturating_add(PARTS);
        let there = used <= rate.holds;
        if there {
            self.used = used;
        }
        there
    }

    /// Takes as many as there are, of so many; how many are missing.
    pub(crate) fn take_up_to(&mut self, tokens: u32, rate: Rate, now: Uptime) -> u32 {
        if rate.is_off() {
            return 0;
        }
        self.refill(rate, now);
        let whole = rate.holds.saturating_sub(self.used) / PARTS;
        let taken = whole.min(tokens.into());
        self.used = self.used.saturating_add(taken * PARTS);
        tokens.saturating_sub(u32::try_from(taken).unwrap_or(u32::MAX))
    }

    /// Takes so many whether they are there or not.
    pub(crate) fn owe(&mut self, tokens: u32, rate: Rate, now: Uptime) {
        if !rate.is_off() {
            self.refill(rate, now);
            self.used = self.used.saturating_add(u64::from(tokens) * PARTS);
        }
    }

    /// Puts back the one that was taken last.
    pub(crate) fn give_back(&mut self, rate: Rate) {
        if !rate.is_off() {
            self.used = self.used.saturating_sub(PARTS);
        }
    }

    /// How long until there is one; zero when there is.
    pub(crate) fn wait(&mut self, rate: Rate, now: Uptime) -> Duration {
        if rate.is_off() {
            return Duration::ZERO;
        }
        self.refill(rate, now);
        let missing = self.used.saturating_add(PARTS).saturating_sub(rate.holds);
        Duration::from_millis(missing.div_ceil(rate.parts_per_ms))
    }

    /// Whether nothing is missing: such a bucket may be forgotten.
    pub(crate) fn is_full(&mut self, rate: Rate, now: Uptime) -> bool {
        self.refill(rate, now);
        self.used == 0
    }

    fn refill(&mut self, rate: Rate, now: Uptime) {
        let elapsed = now.as_millis().saturating_sub(self.at.as_millis());
        self.used = self.used.saturating_sub(elapsed.saturating_mul(rate.parts_per_ms));
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Uptime {
        Uptime::from_millis(ms)
    }

    #[test]
    fn a_burst_is_borne_and_then_the_rate() {
        let (mut bucket, rate) = (Bucket::default(), Rate::per_second(10, 5));
        assert_eq!((0..9).filter(|_| bucket.take(rate, at(0))).count(), 5);
        assert_eq!(bucket.wait(rate, at(0)), Duration::from_millis(100));
        assert!(!bucket.take(rate, at(99)));
        assert!(bucket.take(rate, at(100)));
        let over_an_hour = (0..36_000).filter(|n| bucket.take(rate, at(200 + n * 100))).count();
        assert_eq!(over_an_hour, 36_000);
        assert!(bucket.is_full(rate, at(10_000_000)));
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let (mut bucket, rate) = (Bucket::default(), Rate::per_second(1, 1));
        for _ in 0..100 {
            assert!(bucket.take(rate, at(0)));
            bucket.give_back(rate);
        }
        assert!(bucket.take(rate, at(0)) && !bucket.take(rate, at(0)));
    }

    #[test]
    fn a_debt_is_waited_for() {
        let (mut bucket, rate) = (Bucket::default(), Rate::per_second(100, 100));
        bucket.owe(300, rate, at(0));
        assert_eq!(bucket.wait(rate, at(0)), Duration::from_millis(2_010));
        assert_eq!(bucket.wait(rate, at(2_010)), Duration::ZERO);
    }

    #[test]
    fn what_is_not_there_is_told() {
        let (mut bucket, rate) = (Bucket::default(), Rate::per_minute(60, 3));
        assert_eq!(bucket.take_up_to(2, rate, at(0)), 0);
        assert_eq!(bucket.take_up_to(5, rate, at(0)), 4);
        assert_eq!(bucket.take_up_to(5, rate, at(2_000)), 3);
    }

    #[test]
    fn a_rate_of_zero_is_no_limit() {
        let (mut bucket, off) = (Bucket::default(), Rate::per_minute(0, 0));
        assert!((0..10_000).all(|_| bucket.take(off, at(0))));
        assert_eq!((bucket.take_up_to(9, off, at(0)), bucket.wait(off, at(0))), (0, Duration::ZERO));
    }
}
