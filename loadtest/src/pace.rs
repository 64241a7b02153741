//! Where a simulation learns the time: the world's clock and how much faster than the wall it runs.

use std::{sync::Arc, time::Duration};

use domain::{Clock, Millis, Timestamp};

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct WallClock;

impl Clock for WallClock {
    #[allow(clippy::disallowed_methods, reason = "this is the one place where the load generator reads the wall clock")]
    fn now(&self) -> Timestamp {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis_clamped(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }
}

/// The world's clock with its speed, so that a deadline in the world can be slept for.
#[derive(Debug, Clone)]
pub struct Pace {
    clock: Arc<dyn Clock>,
    speed: u32,
}

impl Pace {
    /// A world whose clock runs `speed` times as fast as the wall's (at least 1).
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, speed: u32) -> Self {
        Self { clock, speed: speed.max(1) }
    }

    /// The world that everybody lives in.
    #[must_use]
    pub fn wall() -> Self {
        Self::new(Arc::new(WallClock), 1)
    }

    /// The world's time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// How long to sleep until the world's clock shows `deadline`; at least a millisecond of the wall's clock past
    /// a deadline that is still to come, so that nobody wakes up just before it.
    #[must_use]
    pub fn until(&self, deadline: Timestamp) -> Duration {
        let Ok(left) = u64::try_from(deadline.since(self.now()).0) else { return Duration::ZERO };
        if left == 0 {
            return Duration::ZERO;
        }
        Duration::from_millis(left.div_ceil(u64::from(self.speed)))
    }

    /// How long a span of the world lasts on the wall's clock.
    #[must_use]
    pub fn real(&self, span: Millis) -> Duration {
        Duration::from_millis(u64::try_from(span.0).unwrap_or(0).div_ceil(u64::from(self.speed)))
    }
}
