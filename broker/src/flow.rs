//! Back-pressure: when too much is on its way through the router, or the sink has no room, no socket is read.
//!
//! Nothing is ever dropped for want of room; TCP makes the chargers wait.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

use crate::{
    limits::{BYTES_IN_FLIGHT_MAX, FRAMES_IN_FLIGHT_MAX},
    names,
};

/// Counts what is in flight and opens and shuts the sluice for all connections.
#[derive(Debug)]
pub(crate) struct Flow {
    frames_max: usize,
    frames: AtomicUsize,
    bytes: AtomicUsize,
    shut: AtomicBool,
    sink_full: AtomicBool,
    /// Counts the openings, so that a connection enters itself once per shutting.
    openings: AtomicU64,
    waiting: Mutex<Vec<Waker>>,
}

impl Flow {
    pub(crate) fn new(frames_max: usize) -> Self {
        Self {
            frames_max: frames_max.clamp(1, FRAMES_IN_FLIGHT_MAX),
            frames: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            shut: AtomicBool::new(false),
            sink_full: AtomicBool::new(false),
            openings: AtomicU64::new(1),
            waiting: Mutex::default(),
        }
    }

    /// A frame was read. Reading stops when it was the last that fits; the read it came with is finished, so the
    /// limits are passed by one read buffer at most.
    pub(crate) fn taken(&self, bytes: usize) {
        let frames = self.frames.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if (frames >= self.frames_max || bytes >= BYTES_IN_FLIGHT_MAX) && !self.shut.swap(true, Ordering::AcqRel) {
            metrics::counter!(names::PAUSES, "why" => "router").increment(1);
        }
    }

    /// Frames came out of the router and found their sink.
    pub(crate) fn delivered(&self, frames: usize, bytes: usize) {
        self.frames.fetch_sub(frames, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.open_if_room();
    }

    /// What the sink says of itself.
    pub(crate) fn sink_is_full(&self, full: bool) {
        if full {
            self.sink_full.store(true, Ordering::Release);
            if !self.shut.swap(true, Ordering::AcqRel) {
                metrics::counter!(names::PAUSES, "why" => "sink").increment(1);
            }
        } else {
            self.sink_full.store(false, Ordering::Release);
            self.open_if_room();
        }
    }

    /// Whether no socket is read.
    pub(crate) fn is_shut(&self) -> bool {
        self.shut.load(Ordering::Acquire)
    }

    /// Frames on their way.
    pub(crate) fn frames(&self) -> usize {
        self.frames.load(Ordering::Relaxed)
    }

    /// Ready while sockets may be read; else the task is woken at the next opening. `entered` is the connection's
    /// note of the opening it last waited for.
    pub(crate) fn poll_open(&self, cx: &mut Context<'_>, entered: &mut u64) -> Poll<()> {
        if !self.is_shut() {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting.lock();
        if !self.is_shut() {
            return Poll::Ready(());
        }
        let opening = self.openings.load(Ordering::Relaxed);
        if *entered != opening {
            *entered = opening;
            waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Opens again at half the limits, not at the first free place: else each frame would wake every connection.
    fn open_if_room(&self) {
        if !self.is_shut()
            || self.sink_full.load(Ordering::Acquire)
            || self.frames.load(Ordering::Relaxed) > self.frames_max / 2
            || self.bytes.load(Ordering::Relaxed) > BYTES_IN_FLIGHT_MAX / 2
        {
            return;
        }
        let woken = {
            let mut waiting = self.waiting.lock();
            self.openings.fetch_add(1, Ordering::Relaxed);
            self.shut.store(false, Ordering::Release);
            std::mem::take(&mut *waiting)
        };
        for waker in woken {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::Arc,
        task::{Context, Wake},
    };

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn reading_stops_at_the_limit_and_goes_on_at_half_of_it() {
        let (flow, count) = (Flow::new(4), Arc::new(Count::default()));
        let waker = Waker::from(Arc::clone(&count));
        let (mut cx, mut entered) = (Context::from_waker(&waker), 0);
        for _ in 0..4 {
            assert!(flow.poll_open(&mut cx, &mut entered).is_ready());
            flow.taken(10);
        }
        for _ in 0..3 {
            assert!(flow.poll_open(&mut cx, &mut entered).is_pending());
        }
        flow.delivered(1, 10);
        assert!(flow.poll_open(&mut cx, &mut entered).is_pending());
        flow.delivered(1, 10);
        assert_eq!(count.0.load(Ordering::Relaxed), 1, "woken once");
        assert!(flow.poll_open(&mut cx, &mut entered).is_ready());
    }

    #[test]
    fn many_bytes_stop_reading_too() {
        let (flow, mut entered) = (Flow::new(1000), 0);
        let mut cx = Context::from_waker(Waker::noop());
        flow.taken(BYTES_IN_FLIGHT_MAX);
        assert!(flow.poll_open(&mut cx, &mut entered).is_pending());
        flow.delivered(1, BYTES_IN_FLIGHT_MAX);
        assert!(flow.poll_open(&mut cx, &mut entered).is_ready());
    }

    #[test]
    fn a_full_sink_keeps_it_shut_whatever_is_delivered() {
        let (flow, mut entered) = (Flow::new(1000), 0);
        let mut cx = Context::from_waker(Waker::noop());
        flow.taken(1);
        flow.sink_is_full(true);
        flow.delivered(1, 1);
        assert!(flow.poll_open(&mut cx, &mut entered).is_pending());
        flow.sink_is_full(false);
        assert!(flow.poll_open(&mut cx, &mut entered).is_ready());
    }
}
