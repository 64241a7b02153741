//! A token bucket as one instant: how often something may happen, without a timer.
//!
//! Pure: `now` is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// Lets `burst` happen at once, and one more per `every`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    every: Duration,
    /// How far ahead of now `full_at` may be.
    slack: Duration,
    /// When the bucket will be full again.
    full_at: Option<Instant>,
}

impl Bucket {
    pub(super) fn new(every: Duration, burst: u32) -> Self {
        Self { every, slack: every * burst.saturating_sub(1), full_at: None }
    }

    /// Takes a token, or says when there will be one.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let full_at = self.full_at.map_or(now, |at| at.max(now));
        let ahead = full_at.duration_since(now);
        if ahead > self.slack {
            return Err(now + ahead.saturating_sub(self.slack));
        }
        self.full_at = Some(full_at + self.every);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn two_pass_at_once_and_then_one_per_second() {
        let start = Instant::now();
        let mut bucket = Bucket::new(SECOND, 2);
        assert_eq!(bucket.take(start), Ok(()));
        assert_eq!(bucket.take(start), Ok(()));
        assert_eq!(bucket.take(start), Err(start + SECOND));
        assert_eq!(bucket.take(start + SECOND / 2), Err(start + SECOND));
        assert_eq!(bucket.take(start + SECOND), Ok(()));
        assert_eq!(bucket.take(start + SECOND), Err(start + SECOND * 2));
    }

    #[test]
    fn a_long_pause_saves_no_more_than_the_burst() {
        let start = Instant::now();
        let mut bucket = Bucket::new(SECOND, 2);
        let late = start + SECOND * 1000;
        let passed = (0..10).filter(|_| bucket.take(late).is_ok()).count();
        assert_eq!(passed, 2);
    }

    #[test]
    fn over_a_minute_of_any_pace_no_more_pass_than_seconds_and_burst() {
        for step_ms in [1, 7, 50, 333, 999, 1000] {
            let start = Instant::now();
            let mut bucket = Bucket::new(SECOND, 2);
            let passed = (0..60_000 / step_ms)
                .filter(|n| bucket.take(start + Duration::from_millis(n * step_ms)).is_ok())
                .count();
            assert!((60..=61).contains(&passed), "step {step_ms} ms: {passed}");
        }
    }
}
