//! The gate's own time for deadlines: milliseconds since it was made, by the monotonic clock (paused in tests).
//!
//! Not the time of the charging world, which a demo runs faster: a socket's patience does not shrink with it.

use std::time::Duration;

use tokio::time::Instant;

/// Milliseconds since the gate was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Uptime(u64);

impl Uptime {
    /// When the gate was made.
    #[cfg(test)]
    pub(crate) const ZERO: Self = Self(0);

    pub(crate) const fn from_millis(ms: u64) -> Self {
        Self(ms)
    }

    pub(crate) const fn as_millis(self) -> u64 {
        self.0
    }

    /// So much later.
    pub(crate) fn plus(self, later: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(later.as_millis()).unwrap_or(u64::MAX)))
    }

    /// Whether `limit` or more has passed since `earlier`.
    pub(crate) fn passed(self, earlier: Self, limit: Duration) -> bool {
        u128::from(self.0.saturating_sub(earlier.0)) >= limit.as_millis()
    }
}

/// Reads [`Uptime`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[allow(clippy::disallowed_methods, reason = "this is tokio's pausable clock")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(self) -> Uptime {
        Uptime(u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}
