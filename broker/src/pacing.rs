//! The hot thread and its tick: under load it sleeps a moment before it waits for sockets, so that one wake-up serves
//! many of them. When little arrives it does not sleep, and when nothing arrives it burns nothing.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::runtime::{Builder, Runtime};

/// How the hot thread paces itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pacing {
    /// How long it sleeps before each wait under load; zero = never. Adds half of itself to the mean latency.
    pub tick: Duration,
    /// Socket reads per second from which on it does.
    pub from_reads_per_s: u32,
}

impl Default for Pacing {
    fn default() -> Self {
        Self { tick: Duration::from_millis(1), from_reads_per_s: 1_500 }
    }
}

/// Over how long the load is measured.
const WINDOW: Duration = Duration::from_millis(50);

/// Counts the reads of one hot thread and lets it sleep; shared between its runtime and the gate on it.
#[derive(Debug, Clone)]
pub struct Pacer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pacing: Pacing,
    reads: AtomicU32,
    window: Mutex<Window>,
}

#[derive(Debug)]
struct Window {
    since: Instant,
    busy: bool,
}

impl Pacer {
    /// A pacer for one thread.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "the thread's real idle time, not the time of the charging world")]
    pub fn new(pacing: Pacing) -> Self {
        let window = Mutex::new(Window { since: Instant::now(), busy: false });
        Self(Arc::new(Inner { pacing, reads: AtomicU32::new(0), window }))
    }

    /// A socket was read.
    pub(crate) fn worked(&self) {
        self.0.reads.fetch_add(1, Ordering::Relaxed);
    }

    #[allow(clippy::disallowed_methods, reason = "the one place where the hot thread is meant to sleep")]
    fn before_wait(&self) {
        if self.is_busy(Instant::now()) {
            std::thread::sleep(self.0.pacing.tick);
        }
    }

    fn is_busy(&self, now: Instant) -> bool {
        let Inner { pacing, reads, window } = &*self.0;
        if pacing.tick.is_zero() {
            return false;
        }
        let mut window = window.lock();
        let elapsed = now.saturating_duration_since(window.since);
        if elapsed >= WINDOW {
            let reads = u128::from(reads.swap(0, Ordering::Relaxed));
            window.busy = reads.saturating_mul(1000) >= u128::from(pacing.from_reads_per_s) * elapsed.as_millis();
            window.since = now;
        }
        window.busy
    }
}

/// The runtime of the hot thread: one thread, which the caller gives it by `block_on`. Nothing slow may run on it.
///
/// # Errors
/// When the system gives no more file descriptors.
pub fn hot_runtime(pacer: &Pacer) -> io::Result<Runtime> {
    let pacer = pacer.clone();
    Builder::new_current_thread().enable_all().on_thread_park(move || pacer.before_wait()).build()
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "the pacer is asked about made-up instants")]
mod tests {
    use super::*;

    fn busy_after(pacer: &Pacer, now: Instant, reads: u32) -> bool {
        (0..reads).for_each(|_| pacer.worked());
        pacer.is_busy(now)
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
        assert!(!busy_after(&pacer, at(60_000), 1_100), "an idle minute ends it");
    }

    #[test]
    fn without_a_tick_it_never_sleeps() {
        let pacer = Pacer::new(Pacing { tick: Duration::ZERO, from_reads_per_s: 1 });
        assert!(!busy_after(&pacer, Instant::now() + Duration::from_secs(1), 1_000_000));
    }
}
