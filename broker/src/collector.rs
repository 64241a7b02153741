//! Where the connections put what they read, and the pump fetches it in batches.
//!
//! The first record of a round wakes the pump, which runs after every connection that has something to read: one
//! round of the hot thread becomes one publish.

use std::collections::VecDeque;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    batch::{HEAD_LEN, Record},
    limits::{BATCH_FRAMES_MAX, BATCH_LEN_TARGET},
};

/// Records under one number, ready for the router.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    /// 1, 2, 3 … since the gate was made.
    pub(crate) number: u64,
    /// As [`crate::batch`] writes it.
    pub(crate) bytes: Bytes,
}

#[derive(Debug)]
struct Filling {
    number: u64,
    records: usize,
    bytes: Vec<u8>,
    sealed: VecDeque<Batch>,
}

/// See the module. Bounded by the flow: connections read nothing while too much is in flight.
#[derive(Debug)]
pub(crate) struct Collector {
    filling: Mutex<Filling>,
    something: Notify,
}

impl Collector {
    pub(crate) fn new() -> Self {
        let filling = Filling { number: 1, records: 0, bytes: vec![0; HEAD_LEN], sealed: VecDeque::new() };
        Self { filling: Mutex::new(filling), something: Notify::new() }
    }

    pub(crate) fn push(&self, record: &Record<'_>) {
        let first = {
            let mut filling = self.filling.lock();
            record.write(&mut filling.bytes);
            filling.records += 1;
            let first = filling.records == 1;
            if filling.records >= BATCH_FRAMES_MAX || filling.bytes.len() >= BATCH_LEN_TARGET {
                filling.seal();
            }
            first
        };
        if first {
            self.something.notify_one();
        }
    }

    /// Waits for a record that came after the last [`Self::fetch`].
    pub(crate) async fn something(&self) {
        self.something.notified().await;
    }

    /// Moves all that was collected to the end of `batches`.
    pub(crate) fn fetch(&self, batches: &mut VecDeque<Batch>) {
        let mut filling = self.filling.lock();
        if filling.records > 0 {
            filling.seal();
        }
        batches.append(&mut filling.sealed);
    }

    /// The same, and a batch with nothing in it if there is none, to see whether the router carries it.
    pub(crate) fn canary(&self, batches: &mut VecDeque<Batch>) {
        let mut filling = self.filling.lock();
        filling.seal();
        batches.append(&mut filling.sealed);
    }
}

impl Filling {
    /// Copies exactly what is there: the router's log keeps it for a while, and would keep spare room too.
    fn seal(&mut self) {
        if let Some(head) = self.bytes.first_chunk_mut::<HEAD_LEN>() {
            *head = self.number.to_le_bytes();
        }
        self.sealed.push_back(Batch { number: self.number, bytes: Bytes::copy_from_slice(&self.bytes) });
        self.number += 1;
        self.records = 0;
        self.bytes.truncate(HEAD_LEN);
    }
}

#[cfg(test)]
mod tests {
    use domain::PileNo;

    use super::*;
    use crate::{
        batch::{Records, number},
        sink::DownCause,
    };

    fn record(epoch: u32) -> Record<'static> {
        Record::Down { pile_no: PileNo(1), epoch, cause: DownCause::Closed, will: false }
    }

    #[tokio::test]
    async fn records_come_out_in_order_in_numbered_batches_of_bounded_size() {
        let collector = Collector::new();
        let many = u32::try_from(BATCH_FRAMES_MAX * 2 + 5).unwrap();
        for n in 0..many {
            collector.push(&record(n));
        }
        collector.something().await;
        let mut batches = VecDeque::new();
        collector.fetch(&mut batches);
        assert_eq!(batches.iter().map(|batch| batch.number).collect::<Vec<_>>(), [1, 2, 3]);
        let mut seen = Vec::new();
        for batch in &batches {
            assert_eq!(number(&batch.bytes), Some(batch.number));
            seen.extend(Records::at(&batch.bytes, HEAD_LEN).map(|record| match record {
                Record::Down { epoch, .. } => epoch,
                Record::Up { .. } | Record::Frame(_) => unreachable!("only links were pushed"),
            }));
        }
        assert_eq!(seen, (0..many).collect::<Vec<_>>());
        collector.fetch(&mut batches);
        assert_eq!(batches.len(), 3, "nothing comes out twice");
    }
}
