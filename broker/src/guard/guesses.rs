//! Who guessed wrong how often, and for how long it is not listened to. Pure: the time is an argument.

use std::time::Duration;

use crate::{
    limits::{BAN_MIN, FAILURES_WINDOW},
    uptime::Uptime,
};

/// The wrong guesses of one origin.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Guesses {
    count: u32,
    /// When the last one was.
    last: Uptime,
    /// For how long it was banned last.
    ban: Duration,
    banned: bool,
}

impl Guesses {
    /// Whether it is not listened to.
    pub(crate) fn is_banned(&self, now: Uptime) -> bool {
        self.banned && !now.passed(self.last, self.ban)
    }

    /// One more wrong guess; the ban, if it is one too many. Each ban is twice as long as the one before, up to the
    /// `longest`.
    pub(crate) fn wrong(&mut self, most: u32, longest: Duration, now: Uptime) -> Option<Duration> {
        if self.is_stale(now) {
            *self = Self::default();
        }
        self.count = self.count.saturating_add(1);
        self.last = now;
        if most == 0 || self.count < most {
            return None;
        }
        self.ban = self.ban.saturating_mul(2).clamp(BAN_MIN, longest);
        self.banned = true;
        Some(self.ban)
    }

    /// How many there were.
    pub(crate) const fn count(&self) -> u32 {
        self.count
    }

    /// Whether it may be forgotten: nothing happened since the ban, and for a while.
    pub(crate) fn is_stale(&self, now: Uptime) -> bool {
        self.count == 0 || now.passed(self.last, self.ban.saturating_add(FAILURES_WINDOW))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::BAN_MAX;

    fn at(s: u64) -> Uptime {
        Uptime::from_millis(s * 1000)
    }

    #[test]
    fn the_last_that_is_borne_bans_and_each_ban_is_twice_as_long() {
        let mut guesses = Guesses::default();
        assert!((0..4).all(|_| guesses.wrong(5, BAN_MAX, at(0)).is_none()));
        let (mut now, mut bans) = (0, Vec::new());
        for _ in 0..12 {
            let ban = guesses.wrong(5, BAN_MAX, at(now)).unwrap();
            assert!(guesses.is_banned(at(now)) && guesses.is_banned(at(now + ban.as_secs() - 1)));
            now += ban.as_secs();
            assert!(!guesses.is_banned(at(now)));
            bans.push(ban.as_secs());
        }
        assert_eq!(bans, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
    }

    #[test]
    fn old_guesses_are_forgotten() {
        let mut guesses = Guesses::default();
        assert!((0..4).all(|_| guesses.wrong(5, BAN_MAX, at(0)).is_none()));
        assert_eq!(guesses.wrong(5, BAN_MAX, at(600)), None, "ten minutes later it is the first");
        assert_eq!(guesses.count(), 1);
        assert!(guesses.is_stale(at(1_200)) && !guesses.is_stale(at(1_199)));
    }

    #[test]
    fn without_a_limit_nobody_is_banned() {
        let mut guesses = Guesses::default();
        assert!((0..10_000).all(|_| guesses.wrong(0, BAN_MAX, at(0)).is_none()));
    }
}
