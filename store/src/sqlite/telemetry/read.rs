//! Reading one pile's samples back: its chunks from the file, the rest from memory.

use std::collections::HashSet;

use domain::{OrderNo, PileNo, Timestamp};
use rusqlite::{Connection, OptionalExtension as _};
use settlement::pricing::Reading;

use super::{
    codec::{Decoder, Of},
    schema::chunk_key,
    tail::View,
};
use crate::{
    money::StoreError,
    sqlite::connection::broken,
    telemetry::{Sample, SampleKind},
};

/// Gives every sample of a view to `take`, oldest chunk first; `wanted` says whether a generation is still of
/// interest. Without a connection only what is in memory is read.
fn each(
    conn: Option<&Connection>,
    pile_no: PileNo,
    view: &View,
    mut wanted: impl FnMut(i64) -> bool,
    mut take: impl FnMut(Sample),
) -> Result<(), StoreError> {
    let mut decode = |blob: &[u8]| {
        for sample in Decoder::new(Of::One(pile_no), blob) {
            take(sample.map_err(|e| StoreError::Corrupt(format!("telemetry of pile number {}: {e}", pile_no.0)))?);
        }
        Ok(())
    };
    if let Some(conn) = conn {
        let mut select = conn.prepare_cached("SELECT blob FROM chunk WHERE key = ?1").map_err(broken)?;
        for (generation, _) in view.generations.iter().filter(|(_, span)| wanted(span.t0)) {
            let key = chunk_key(*generation, pile_no.0);
            let blob: Option<Vec<u8>> = select.query_row([key], |row| row.get(0)).optional().map_err(broken)?;
            if let Some(blob) = blob {
                decode(&blob)?;
            }
        }
    }
    decode(&view.tail)
}

/// The readings of an order, the first received of each number.
pub(super) fn readings(
    conn: Option<&Connection>,
    pile_no: PileNo,
    view: &View,
    order: &OrderNo,
    since: Timestamp,
) -> Result<Vec<Reading>, StoreError> {
    let mut seen = HashSet::new();
    let mut readings = Vec::new();
    each(
        conn,
        pile_no,
        view,
        |_| true,
        |sample| {
            if let SampleKind::Charging { order_no, seq, energy, total_time_s, .. } = &sample.kind
                && order_no == order
                && sample.received >= since
                && seen.insert(*seq)
            {
                readings.push(Reading { at: sample.device, seq: *seq, energy: *energy, total_time_s: *total_time_s });
            }
        },
    )?;
    Ok(readings)
}

/// The earliest `max` samples of `[from, to)` by receive time. Holds at most twice as many.
pub(super) fn samples(
    conn: Option<&Connection>,
    pile_no: PileNo,
    view: &View,
    from: Timestamp,
    to: Timestamp,
    max: usize,
) -> Result<Vec<Sample>, StoreError> {
    let mut kept = Earliest { samples: Vec::new(), max, bound: None };
    let kept_cell = std::cell::RefCell::new(&mut kept);
    each(
        conn,
        pile_no,
        view,
        |t0| kept_cell.borrow().bound.is_none_or(|bound| t0 < bound),
        |sample| {
            if sample.received >= from && sample.received < to {
                kept_cell.borrow_mut().push(sample);
            }
        },
    )?;
    kept.cut();
    Ok(kept.samples)
}

/// Keeps the earliest of what it is given.
struct Earliest {
    samples: Vec<Sample>,
    max: usize,
    /// Once `max` are known: the receive time of the last of them; later ones are of no interest.
    bound: Option<i64>,
}

impl Earliest {
    fn push(&mut self, sample: Sample) {
        if self.bound.is_none_or(|bound| sample.received.as_millis() < bound) {
            self.samples.push(sample);
            if self.samples.len() >= self.max.saturating_mul(2) {
                self.cut();
            }
        }
    }

    fn cut(&mut self) {
        self.samples.sort_by_key(|sample| sample.received);
        self.samples.truncate(self.max);
        if self.samples.len() == self.max {
            self.bound = self.samples.last().map(|sample| sample.received.as_millis());
        }
    }
}
