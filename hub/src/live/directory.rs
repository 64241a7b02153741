//! The followed orders by number, and the two sweeps over them: progress that is due, orders nobody watches.
//!
//! An order is followed from the first socket on; the others cost one failed look-up per frame.

use std::{collections::HashMap, sync::Arc};

use domain::OrderNo;
use parking_lot::{Mutex, RwLock};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep},
};

use super::{
    limits::{DROP_EVERY, KEEP_ENDED, KEEP_UNWATCHED, SWEEP_EVERY, TRACKS_MAX},
    track::{Epochs, Paced, Track},
};

/// All followed orders.
#[derive(Debug)]
pub(super) struct Directory {
    tracks: RwLock<HashMap<OrderNo, Arc<Track>>>,
    /// Tracks with progress to show; each at most once.
    ready: Queue,
    /// Tracks with progress that waits for its turn; each at most once.
    waiting: Queue,
    epochs: Epochs,
}

/// Tracks on their way from the actors to a sweep: one wake-up serves all that came meanwhile.
#[derive(Debug, Default)]
struct Queue {
    tracks: Mutex<Vec<Arc<Track>>>,
    filled: Notify,
}

impl Queue {
    fn push(&self, track: &Arc<Track>) {
        self.tracks.lock().push(Arc::clone(track));
        self.filled.notify_one();
    }

    fn take(&self) -> Vec<Arc<Track>> {
        std::mem::take(&mut *self.tracks.lock())
    }
}

impl Directory {
    pub(super) fn new(epochs: Epochs) -> Self {
        Self { tracks: RwLock::default(), ready: Queue::default(), waiting: Queue::default(), epochs }
    }

    /// Calls `f` if the order is followed.
    pub(super) fn with(&self, order_no: &OrderNo, f: impl FnOnce(&Arc<Track>)) {
        if let Some(track) = self.tracks.read().get(order_no) {
            f(track);
        }
    }

    /// A followed order and a watch on it; begins to follow it. `None` when too many are followed.
    pub(super) fn watch(&self, order_no: &OrderNo) -> Option<(Arc<Track>, watch::Receiver<()>)> {
        // Subscribed under the lock, so that the sweep cannot drop the track in between.
        if let Some(track) = self.tracks.read().get(order_no) {
            return Some((Arc::clone(track), track.watch()));
        }
        let mut tracks = self.tracks.write();
        if tracks.len() >= TRACKS_MAX && !tracks.contains_key(order_no) {
            return None;
        }
        let track = tracks
            .entry(order_no.clone())
            .or_insert_with(|| Arc::new(Track::new(order_no.clone(), self.epochs.clone())));
        Some((Arc::clone(track), track.watch()))
    }

    /// Sees to it that a track's progress is shown when it may be.
    pub(super) fn show(&self, track: &Arc<Track>, paced: Paced) {
        match paced {
            Paced::Now => self.ready.push(track),
            Paced::Later => self.waiting.push(track),
            Paced::Merged => {}
        }
    }

    /// Wakes every watcher.
    pub(super) fn wake_all(&self) {
        for track in self.tracks.read().values() {
            track.wake();
        }
    }

    /// Number of followed orders.
    pub(super) fn len(&self) -> usize {
        self.tracks.read().len()
    }

    /// Wakes the watchers of tracks with progress, for ever.
    pub(super) async fn deliver_ready(&self) {
        loop {
            self.ready.filled.notified().await;
            self.ready.take().iter().for_each(|track| track.wake());
        }
    }

    /// The same for progress that had to wait, once it is due; sleeps while none waits.
    pub(super) async fn deliver_due(&self) {
        loop {
            self.waiting.filled.notified().await;
            while !self.waiting.tracks.lock().is_empty() {
                sleep(SWEEP_EVERY).await;
                let now = Instant::now();
                let (due, still): (Vec<_>, Vec<_>) =
                    self.waiting.take().into_iter().partition(|track| track.is_due(now));
                due.iter().for_each(|track| track.wake());
                self.waiting.tracks.lock().extend(still);
            }
        }
    }

    /// Drops orders that nobody has watched for long, for ever.
    pub(super) async fn drop_unwatched(&self) {
        loop {
            sleep(DROP_EVERY).await;
            self.drop_unwatched_at(Instant::now());
        }
    }

    fn drop_unwatched_at(&self, now: Instant) {
        let is_stale = |track: &Track| {
            let (unwatched, over) = track.unwatched(now);
            unwatched >= if over { KEEP_ENDED } else { KEEP_UNWATCHED }
        };
        // Looked for under the read lock: the actors go on meanwhile.
        let stale: Vec<_> = self.tracks.read().values().filter(|track| is_stale(track)).map(Arc::clone).collect();
        for track in stale {
            let mut tracks = self.tracks.write();
            if is_stale(&track) {
                tracks.remove(&track.order_no);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::live::samples::{changed, order};
    use settlement::order::OrderStatus;

    fn no(text: &str) -> OrderNo {
        OrderNo::parse(text).unwrap()
    }

    #[test]
    fn an_order_is_dropped_some_time_after_the_last_watcher_left() {
        let directory = Directory::new(Epochs::new(1));
        let start = Instant::now();
        let (_, watcher) = directory.watch(&no("1")).unwrap();
        directory.drop_unwatched_at(start + KEEP_UNWATCHED * 2);
        assert_eq!(directory.len(), 1, "watched");
        drop(watcher);
        directory.drop_unwatched_at(start + KEEP_UNWATCHED * 2);
        directory.drop_unwatched_at(start + KEEP_UNWATCHED * 3 - Duration::from_secs(1));
        assert_eq!(directory.len(), 1, "kept for a phone that comes back");
        directory.drop_unwatched_at(start + KEEP_UNWATCHED * 3);
        assert_eq!(directory.len(), 0);
    }

    #[test]
    fn an_order_that_is_over_is_kept_for_a_shorter_time() {
        let directory = Directory::new(Epochs::new(1));
        let start = Instant::now();
        let (track, watcher) = directory.watch(&no("1")).unwrap();
        track.order_changed(&changed(&order("1"), |o| o.status = OrderStatus::Canceled), actors::api::LinkState::Live);
        drop(watcher);
        directory.drop_unwatched_at(start);
        directory.drop_unwatched_at(start + KEEP_ENDED);
        assert_eq!(directory.len(), 0);
    }

    #[test]
    fn a_watcher_who_comes_back_in_time_finds_the_same_track() {
        let directory = Directory::new(Epochs::new(1));
        let start = Instant::now();
        let (first, watcher) = directory.watch(&no("1")).unwrap();
        drop(watcher);
        directory.drop_unwatched_at(start);
        let (second, _watcher) = directory.watch(&no("1")).unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        directory.drop_unwatched_at(start + KEEP_UNWATCHED * 2);
        assert_eq!(directory.len(), 1);
    }
}
