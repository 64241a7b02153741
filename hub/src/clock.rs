//! The two clocks of the process: the wall's, and one that runs faster for the demo. The only place that reads the time.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use domain::{Clock, Millis, Timestamp};
use tokio::time::Instant;

/// The wall's time.
///
/// It does not go back when the wall's clock is set back: it stands still until the wall has caught up.
#[derive(Debug, Default)]
pub(crate) struct SystemClock {
    latest: AtomicI64,
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let wall = wall_ms();
        Timestamp::from_millis_clamped(self.latest.fetch_max(wall, Ordering::Relaxed).max(wall))
    }
}

/// A time that began with the wall's and runs `factor` times as fast.
#[derive(Debug)]
pub(crate) struct ScaledClock {
    anchor: Timestamp,
    started: Instant,
    factor: i64,
}

impl ScaledClock {
    /// Begins at the wall's time.
    pub(crate) fn start(factor: u32) -> Self {
        let anchor = Timestamp::from_millis_clamped(wall_ms());
        Self { anchor, started: Instant::now(), factor: i64::from(factor) }
    }

    fn after(&self, real: Duration) -> Timestamp {
        let real_ms = i64::try_from(real.as_millis()).unwrap_or(i64::MAX);
        self.anchor.plus(Millis(real_ms.saturating_mul(self.factor)))
    }
}

impl Clock for ScaledClock {
    fn now(&self) -> Timestamp {
        self.after(self.started.elapsed())
    }
}

#[allow(clippy::disallowed_methods, reason = "the one place that reads the wall's clock")]
fn wall_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_clock_runs_twenty_times_as_fast_and_never_overflows() {
        let clock = ScaledClock::start(20);
        let began = clock.after(Duration::ZERO);
        assert_eq!(clock.after(Duration::from_secs(3)).since(began).as_secs(), 60);
        assert_eq!(clock.after(Duration::MAX), Timestamp::MAX);
        assert!(clock.now() >= began);
    }

    #[test]
    fn the_wall_clock_never_goes_back() {
        let clock = SystemClock::default();
        let ahead = clock.now().as_millis() + 3_600_000;
        clock.latest.store(ahead, Ordering::Relaxed);
        assert_eq!(clock.now().as_millis(), ahead);
    }
}
