//! Which readings of a charge count [CONTRACT 2.1].
//!
//! In this order: of a repeated frame the first stands; then everything is sorted by device time; then what lies outside
//! the record's times or above its total is left out; then, of equal times, the later `seq` counts; and at last what is
//! lower than the highest reading kept so far is left out.

use domain::Millis;

use super::Reading;

/// A reading that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Point {
    /// Corrected time, ms since the epoch.
    pub(super) at_ms: i64,
    /// Energy since the start of the order, Wh.
    pub(super) wh: i64,
}

/// A reading by corrected time.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    at_ms: i64,
    seq: u32,
    wh: i64,
}

/// The readings of an order by corrected device time, each frame once.
#[derive(Debug)]
pub(super) struct Sorted {
    by_time: Vec<Candidate>,
    /// The frame with the lowest number: corrected time and `totalTime`.
    pub(super) first: Option<(i64, Option<u32>)>,
    /// Frames numbered 1..=`frames` (the highest number when the record does not say) that are not there.
    pub(super) frames_missing: bool,
}

/// What was left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) backwards: bool,
    pub(super) above_total: bool,
    pub(super) outside: bool,
}

impl Sorted {
    /// Shifts device times by `offset_ms` and sorts. `frames`: how many frames the charger says it sent.
    pub(super) fn new(readings: &[Reading], offset_ms: i64, frames: Option<u32>) -> Self {
        let mut frame_order: Vec<&Reading> = readings.iter().collect();
        // Stable sorts: what is sorted already, the normal case, costs one pass; of a repeated frame the first stands.
        frame_order.sort_by_key(|reading| reading.seq);
        frame_order.dedup_by_key(|reading| reading.seq);

        let last_seq = frame_order.last().map_or(0, |reading| reading.seq);
        let expected = frames.unwrap_or(last_seq);
        let present = frame_order.iter().filter(|reading| (1..=expected).contains(&reading.seq)).count();
        let corrected = |reading: &Reading| reading.at.plus(Millis(offset_ms)).as_millis();
        let first = frame_order.first().map(|first| (corrected(first), first.total_time_s));

        let mut by_time: Vec<Candidate> = frame_order
            .iter()
            .map(|reading| Candidate { at_ms: corrected(reading), seq: reading.seq, wh: reading.energy.0 })
            .collect();
        by_time.sort_by_key(|candidate| (candidate.at_ms, candidate.seq));
        Self { by_time, first, frames_missing: u32::try_from(present).is_ok_and(|present| present < expected) }
    }

    /// The last reading that counts when there is no record to bound the charge.
    pub(super) fn last(&self) -> Option<Point> {
        self.points(i64::MIN, i64::MAX, i64::MAX).0.last().copied()
    }

    /// The points of a charge from `start_ms` with nothing to its `end`; never empty, times rising, energies never
    /// falling. A record bounds the readings, the last reading (`recorded` is false) is one of them. Needs
    /// `start_ms <= end.at_ms`.
    pub(super) fn charge(&self, start_ms: i64, end: Point, recorded: bool) -> (Vec<Point>, LeftOut) {
        let (to_ms, most_wh) = if recorded { (end.at_ms, end.wh) } else { (i64::MAX, i64::MAX) };
        let (mut points, left_out) = self.points(start_ms, to_ms, most_wh);
        if points.first().is_none_or(|first| first.at_ms > start_ms) {
            points.insert(0, Point { at_ms: start_ms, wh: 0 });
        }
        // The record is the latest word: at its own time it replaces a frame.
        points.pop_if(|last| last.at_ms == end.at_ms);
        points.push(end);
        (points, left_out)
    }

    fn points(&self, start_ms: i64, end_ms: i64, total_wh: i64) -> (Vec<Point>, LeftOut) {
        let mut left_out = LeftOut::default();
        let mut points: Vec<Point> = Vec::with_capacity(self.by_time.len().saturating_add(2));
        let within = self.by_time.iter().filter(|candidate| {
            let outside = candidate.at_ms < start_ms || candidate.at_ms > end_ms;
            let above = candidate.wh > total_wh;
            left_out.outside |= outside;
            left_out.above_total |= above && !outside;
            !outside && !above
        });
        let mut highest_wh = 0;
        let mut within = within.peekable();
        while let Some(candidate) = within.next() {
            if within.peek().is_some_and(|next| next.at_ms == candidate.at_ms) {
                continue;
            }
            if candidate.wh < highest_wh {
                left_out.backwards = true;
                continue;
            }
            highest_wh = candidate.wh;
            points.push(Point { at_ms: candidate.at_ms, wh: candidate.wh });
        }
        (points, left_out)
    }
}
