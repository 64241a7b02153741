//! Rows between those who push and the one writer: one vector behind one lock, taken whole.

use std::time::Duration;

use domain::{AckToken, Timestamp};
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::{
    limits::{QUARANTINE_QUEUE_LEN_MAX, TELEMETRY_QUEUE_LEN_MAX, TELEMETRY_TOLD_WITHIN, TELEMETRY_WAITERS_MAX},
    money::StoreError,
    telemetry::{Append, Quarantined, Sample, TelemetryFull},
};

/// Somebody who waits for the disk.
pub(super) type Reply = oneshot::Sender<Result<(), StoreError>>;

/// Rows to be written together, and who waits for them.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) samples: Vec<Sample>,
    pub(super) quarantine: Vec<Quarantined>,
    /// Handed to the listener once all the above is durable.
    pub(super) tokens: Vec<AckToken>,
    /// Quarantined frames to be marked as replayed.
    pub(super) marks: Vec<(i64, Timestamp, Reply)>,
    /// Who waits for a flush.
    pub(super) flushes: Vec<Reply>,
}

impl Batch {
    /// Rows that take room, whichever of the two is more.
    fn rows(&self) -> usize {
        self.samples.len().saturating_add(self.quarantine.len()).max(self.tokens.len())
    }

    fn waiters(&self) -> usize {
        self.marks.len().saturating_add(self.flushes.len())
    }

    /// Nothing to write and nobody to tell.
    pub(super) fn is_empty(&self) -> bool {
        self.rows() == 0 && self.waiters() == 0
    }

    /// Takes everything out of the other; keeps the room of both.
    fn take(&mut self, other: &mut Self) {
        if self.is_empty() {
            std::mem::swap(self, other);
        } else {
            self.samples.append(&mut other.samples);
            self.quarantine.append(&mut other.quarantine);
            self.tokens.append(&mut other.tokens);
            self.marks.append(&mut other.marks);
            self.flushes.append(&mut other.flushes);
        }
    }
}

#[derive(Debug, Default)]
struct State {
    waiting: Batch,
    /// Rows the writer has in its hands, written or not yet.
    in_flight: usize,
    /// Quarantined frames among them.
    in_flight_quarantine: usize,
    /// Somebody waits: do not let the batch grow.
    hurry: bool,
    /// The last batch was hastened, so the next one will be too.
    paced: bool,
    /// The writer needs no waking by the first row: somebody will say when the batch is whole.
    told: bool,
    closed: bool,
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// The first row is there.
    filled: Condvar,
    /// The batch should not grow any more.
    hurried: Condvar,
}

impl Queue {
    /// Queues a row. The first one wakes the writer, the others cost a lock and a copy.
    pub(super) fn push(&self, row: Append, token: Option<AckToken>) -> Result<(), TelemetryFull> {
        let mut state = self.state.lock();
        let rows = state.waiting.rows().saturating_add(state.in_flight);
        if state.closed || rows >= TELEMETRY_QUEUE_LEN_MAX {
            return Err(TelemetryFull);
        }
        let first = state.waiting.is_empty();
        match row {
            Append::Sample(sample) => state.waiting.samples.push(sample),
            Append::Quarantine(frame) => {
                let frames = state.waiting.quarantine.len().saturating_add(state.in_flight_quarantine);
                if frames >= QUARANTINE_QUEUE_LEN_MAX {
                    return Err(TelemetryFull);
                }
                state.waiting.quarantine.push(frame);
            }
            Append::Nothing if token.is_none() => return Ok(()),
            Append::Nothing => {}
        }
        state.waiting.tokens.extend(token);
        let told = state.told;
        drop(state);
        if first && !told {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// The batch is whole.
    pub(super) fn hasten(&self) {
        let mut state = self.state.lock();
        if state.waiting.is_empty() {
            return;
        }
        state.hurry = true;
        state.paced = true;
        drop(state);
        self.hurried.notify_one();
    }

    /// Queues something that a caller waits for; the writer does not let the batch grow.
    pub(super) fn wait_for(
        &self,
        add: impl FnOnce(&mut Batch, Reply),
    ) -> Result<oneshot::Receiver<Result<(), StoreError>>, StoreError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(StoreError::Unavailable("the store is closed".to_owned()));
        }
        if state.waiting.waiters() >= TELEMETRY_WAITERS_MAX {
            return Err(StoreError::Unavailable("too many callers wait for the telemetry writer".to_owned()));
        }
        let (reply, answer) = oneshot::channel();
        add(&mut state.waiting, reply);
        state.hurry = true;
        drop(state);
        self.filled.notify_one();
        self.hurried.notify_one();
        Ok(answer)
    }

    /// Refuses everything from here on; the writer ends once it has written what is queued.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.filled.notify_one();
        self.hurried.notify_one();
    }

    /// Waits for the first row, lets the batch grow for `grow`, and takes it. `false`: closed and nothing left.
    ///
    /// While batches are hastened, it waits for that word instead: one wake-up per batch, not two.
    pub(super) fn next(&self, batch: &mut Batch, grow: Duration) -> bool {
        let mut state = self.state.lock();
        if std::mem::take(&mut state.paced) && !state.hurry && !state.closed {
            state.told = true;
            let _ = self.hurried.wait_for(&mut state, TELEMETRY_TOLD_WITHIN);
            state.told = false;
        }
        while state.waiting.is_empty() && !state.closed {
            self.filled.wait(&mut state);
        }
        if !state.hurry && !state.closed {
            let _ = self.hurried.wait_for(&mut state, grow);
        }
        Self::take(&mut state, batch);
        !(batch.is_empty() && state.closed)
    }

    /// After a failed write: waits for the next attempt and takes what has come meanwhile. `false`: closed.
    pub(super) fn more(&self, batch: &mut Batch, pause: Duration) -> bool {
        let mut state = self.state.lock();
        if !state.hurry && !state.closed {
            let _ = self.hurried.wait_for(&mut state, pause);
        }
        Self::take(&mut state, batch);
        !state.closed
    }

    fn take(state: &mut State, batch: &mut Batch) {
        batch.take(&mut state.waiting);
        state.in_flight = batch.rows();
        state.in_flight_quarantine = batch.quarantine.len();
        state.hurry = false;
    }

    /// The writer has nothing in its hands any more.
    pub(super) fn done(&self) {
        let mut state = self.state.lock();
        state.in_flight = 0;
        state.in_flight_quarantine = 0;
    }
}

#[cfg(test)]
#[allow(clippy::as_conversions, reason = "small numbers of a test")]
mod tests {
    use super::*;

    fn token(n: u32) -> AckToken {
        AckToken { conn: 0, epoch: 0, n }
    }

    #[test]
    fn a_full_queue_takes_nothing_until_the_writer_is_done() {
        let queue = Queue::default();
        for n in 0..TELEMETRY_QUEUE_LEN_MAX {
            assert_eq!(queue.push(Append::Nothing, Some(token(n as u32))), Ok(()));
        }
        assert_eq!(queue.push(Append::Nothing, Some(token(0))), Err(TelemetryFull));
        let mut batch = Batch::default();
        assert!(queue.next(&mut batch, Duration::ZERO));
        assert_eq!(batch.tokens.len(), TELEMETRY_QUEUE_LEN_MAX);
        assert_eq!(queue.push(Append::Nothing, Some(token(0))), Err(TelemetryFull), "the writer still holds them");
        queue.done();
        assert_eq!(queue.push(Append::Nothing, Some(token(0))), Ok(()));
    }

    #[test]
    fn a_hastened_batch_is_taken_at_once_and_so_is_the_next_one() {
        const FOR_EVER: Duration = Duration::from_secs(3600);
        let queue = std::sync::Arc::new(Queue::default());
        queue.hasten();
        assert!(!queue.state.lock().hurry, "there is nothing to hasten");
        let (batches, taken) = std::sync::mpsc::channel();
        let writer = std::sync::Arc::clone(&queue);
        let writer = std::thread::spawn(move || {
            let mut batch = Batch::default();
            while writer.next(&mut batch, FOR_EVER) {
                batches.send(std::mem::take(&mut batch.tokens)).unwrap();
                writer.done();
            }
        });
        for n in 0..100 {
            assert_eq!(queue.push(Append::Nothing, Some(token(n))), Ok(()));
            assert_eq!(queue.push(Append::Nothing, Some(token(n + 1))), Ok(()));
            queue.hasten();
            assert_eq!(taken.recv().unwrap(), [token(n), token(n + 1)]);
        }
        queue.close();
        writer.join().unwrap();
    }

    #[test]
    fn a_writer_that_is_told_nothing_more_goes_back_to_its_own_rhythm() {
        let queue = Queue::default();
        assert_eq!(queue.push(Append::Nothing, Some(token(1))), Ok(()));
        queue.hasten();
        assert!(queue.next(&mut Batch::default(), Duration::ZERO));
        assert_eq!(queue.push(Append::Nothing, Some(token(2))), Ok(()));
        let mut batch = Batch::default();
        assert!(queue.next(&mut batch, Duration::ZERO), "nobody hastened it, and yet it came");
        assert_eq!(batch.tokens, [token(2)]);
    }

    #[test]
    fn a_closed_queue_gives_out_what_it_has_and_then_ends() {
        let queue = Queue::default();
        assert_eq!(queue.push(Append::Nothing, Some(token(1))), Ok(()));
        queue.close();
        assert_eq!(queue.push(Append::Nothing, Some(token(2))), Err(TelemetryFull));
        let mut batch = Batch::default();
        assert!(queue.next(&mut batch, Duration::from_secs(3600)));
        assert_eq!(batch.tokens, [token(1)]);
        assert!(!queue.next(&mut Batch::default(), Duration::from_secs(3600)));
    }
}
