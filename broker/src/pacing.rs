//! The pace of the hot thread: under load it looks at its sockets once per tick, so that one wake-up serves many of
//! them. When little arrives it does not sleep, and when nothing arrives it burns nothing.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// How the hot thread paces itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pacing {
    /// How often it looks at its sockets under load; zero = whenever something comes. Adds half of itself to the mean
    /// latency.
    pub tick: Duration,
    /// Socket reads per second from which on it does.
    pub from_reads_per_s: u32,
}

impl Default for Pacing {
    fn default() -> Self {
        Self { tick: Duration::from_millis(4), from_reads_per_s: 1_500 }
    }
}

/// Over how long the load is measured.
const WINDOW: Duration = Duration::from_millis(50);

/// Counts the reads of the hot thread and lets it sleep.
#[derive(Debug)]
pub(crate) struct Pacer {
    pacing: Pacing,
    reads: AtomicU32,
    /// The last answer of [`Self::is_busy`], for those who only want to know.
    paced: AtomicBool,
    window: Mutex<Window>,
}

#[derive(Debug)]
struct Window {
    since: Instant,
    /// When the last rest ended.
    rested: Instant,
}

impl Pacer {
    #[allow(clippy::disallowed_methods, reason = "the thread's real idle time, not the time of the charging world")]
    pub(crate) fn new(pacing: Pacing) -> Self {
        let now = Instant::now();
        let window = Mutex::new(Window { since: now, rested: now });
        Self { pacing, reads: AtomicU32::new(0), paced: AtomicBool::new(false), window }
    }

    /// A socket was read.
    pub(crate) fn worked(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the thread rests between its rounds at present.
    pub(crate) fn is_paced(&self) -> bool {
        self.paced.load(Ordering::Relaxed)
    }

    /// Whether so much arrives that the thread should rest before it waits for sockets.
    #[allow(clippy::disallowed_methods, reason = "the thread's real idle time, not the time of the charging world")]
    pub(crate) fn is_busy(&self) -> bool {
        self.is_busy_at(Instant::now())
    }

    fn is_busy_at(&self, now: Instant) -> bool {
        let Self { pacing, reads, paced, window } = self;
        if pacing.tick.is_zero() {
            return false;
        }
        let mut window = window.lock();
        let elapsed = now.saturating_duration_since(window.since);
        if elapsed >= WINDOW {
            let reads = u128::from(reads.swap(0, Ordering::Relaxed));
            let enough = u128::from(pacing.from_reads_per_s) * elapsed.as_millis();
            paced.store(reads.saturating_mul(1000) >= enough, Ordering::Relaxed);
            window.since = now;
        }
        paced.load(Ordering::Relaxed)
    }

    /// From here on the thread is paced.
    #[cfg(test)]
    pub(crate) fn hurry(&self) {
        self.paced.store(true, Ordering::Relaxed);
    }

    /// Sleeps until the tick is over that began when the last rest ended.
    #[allow(clippy::disallowed_methods, reason = "the one place where the hot thread is meant to sleep")]
    pub(crate) fn rest(&self) {
        let rested = self.window.lock().rested;
        let worked = Instant::now().saturating_duration_since(rested);
        let left = self.pacing.tick.checked_sub(worked).unwrap_or_default();
        if !left.is_zero() {
            std::thread::sleep(left);
        }
        self.window.lock().rested = Instant::now();
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "the pacer is asked about made-up instants")]
mod tests {
    use super::*;

    fn busy_after(pacer: &Pacer, now: Instant, reads: u32) -> bool {
        (0..reads).for_each(|_| pacer.worked());
        pacer.is_busy_at(now)
    }

    #[test]
    fn it_sleeps_under_load_only() {
        let pacer = Pacer::new(Pacing { tick: Duration::from_millis(1), from_reads_per_s: 1_000 });
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert!(!busy_after(&pacer, at(10), 1_000), "no window is over yet");
        assert!(busy_after(&pacer, at(100), 0));
        assert!(busy_after(&pacer, at(120), 0), "within the next window");
        assert!(!busy_after(&pacer, at(1_100), 900));
        assert!(busy_after(&pacer, at(2_100), 1_100));
        assert!(pacer.is_paced());
        assert!(!busy_after(&pacer, at(60_000), 1_100), "an idle minute ends it");
        assert!(!pacer.is_paced());
    }

    #[test]
    fn without_a_tick_it_never_sleeps() {
        let pacer = Pacer::new(Pacing { tick: Duration::ZERO, from_reads_per_s: 1 });
        assert!(!busy_after(&pacer, Instant::now() + Duration::from_secs(1), 1_000_000));
    }
}
