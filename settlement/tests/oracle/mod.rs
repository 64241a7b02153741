//! A second opinion on the price of a charge, written from CONTRACT 2.1 alone and sharing no code with the crate.
//!
//! Slow and plain on purpose: it looks at every minute of the charge, asks which local time it is there, and reads the
//! energy at every change of price off the straight line as an exact fraction.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Timestamp, civil::Date, tz::TimeZone};

#[derive(Debug, Clone)]
pub(crate) struct OraclePeriod {
    pub(crate) from_min: i64,
    pub(crate) to_min: i64,
    pub(crate) label: String,
    pub(crate) electricity: i128,
    pub(crate) service: i128,
}

/// Prices of certain days: the first plan that fits is used.
#[derive(Debug, Clone)]
pub(crate) struct OraclePlan {
    /// Monday = 1 to Sunday = 7.
    pub(crate) weekdays: Vec<i8>,
    pub(crate) from: Option<Date>,
    /// Included.
    pub(crate) to: Option<Date>,
    pub(crate) periods: Vec<OraclePeriod>,
}

impl OraclePlan {
    pub(crate) fn is_for(&self, date: Date) -> bool {
        let begun = match self.from {
            None => true,
            Some(from) => from <= date,
        };
        let over = match self.to {
            None => false,
            Some(to) => to < date,
        };
        begun && !over && self.weekdays.contains(&date.weekday().to_monday_one_offset())
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct OracleFrame {
    pub(crate) device_ms: i64,
    pub(crate) seq: i64,
    pub(crate) wh: i128,
    pub(crate) total_time_s: Option<i64>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct OracleRecord {
    pub(crate) start_ms: Option<i64>,
    pub(crate) end_ms: i64,
    pub(crate) total_wh: i128,
    pub(crate) total_time_s: Option<i64>,
    pub(crate) frames: Option<i64>,
}

#[derive(Debug, Clone)]
pub(crate) struct OracleInput {
    pub(crate) zone: String,
    pub(crate) periods: Vec<OraclePeriod>,
    pub(crate) plans: Vec<OraclePlan>,
    /// In the order received.
    pub(crate) frames: Vec<OracleFrame>,
    /// `None`: no record came, the charge ends at the last reading.
    pub(crate) record: Option<OracleRecord>,
    /// The hub's time of the first evidence, for a charge without record and readings.
    pub(crate) evidence_ms: i64,
    pub(crate) created_ms: i64,
    pub(crate) rated_w: i128,
    pub(crate) offset_ms: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OracleSegment {
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
    pub(crate) label: String,
    pub(crate) wh: i128,
    pub(crate) electricity: i128,
    pub(crate) service: i128,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OracleBill {
    pub(crate) electricity_fen: i128,
    pub(crate) service_fen: i128,
    pub(crate) total_fen: i128,
    pub(crate) wh: i128,
    pub(crate) start_ms: i64,
    pub(crate) end_ms: i64,
    pub(crate) segments: Vec<OracleSegment>,
    pub(crate) flags: BTreeSet<&'static str>,
}

/// "the first one of a repeated frame counts", and device time + offset when the offset is over two seconds.
fn heard(input: &OracleInput) -> Vec<OracleFrame> {
    let shift = input.offset_ms.filter(|offset| offset.abs() > 2_000).unwrap_or(0);
    let mut seen = BTreeSet::new();
    let mut heard = Vec::new();
    for frame in &input.frames {
        if seen.insert(frame.seq) {
            heard.push(OracleFrame { device_ms: frame.device_ms + shift, ..*frame });
        }
    }
    heard
}

/// Time → energy of the readings that count between two times and up to a total.
fn counting(
    heard: &[OracleFrame],
    start_ms: i64,
    end_ms: i64,
    total_wh: i128,
    flags: &mut BTreeSet<&'static str>,
) -> BTreeMap<i64, i128> {
    let mut latest_at: BTreeMap<i64, (i64, i128)> = BTreeMap::new();
    for frame in heard {
        if frame.device_ms < start_ms || frame.device_ms > end_ms {
            flags.insert("OutsideTimes");
            continue;
        }
        if frame.wh > total_wh {
            flags.insert("AboveTotal");
            continue;
        }
        let slot = latest_at.entry(frame.device_ms).or_insert((frame.seq, frame.wh));
        if frame.seq > slot.0 {
            *slot = (frame.seq, frame.wh);
        }
    }
    let mut kept = BTreeMap::new();
    let mut highest = 0;
    for (at_ms, (_, wh)) in latest_at {
        if wh < highest {
            flags.insert("BackwardsReading");
        } else {
            highest = wh;
            kept.insert(at_ms, wh);
        }
    }
    kept
}

/// Start, end and total of the charge.
fn extent(input: &OracleInput, heard: &[OracleFrame]) -> (i64, i64, i128) {
    let shift = input.offset_ms.filter(|offset| offset.abs() > 2_000).unwrap_or(0);
    let first = heard.iter().min_by_key(|frame| frame.seq);
    let first_start = first.and_then(|frame| frame.total_time_s.map(|seconds| frame.device_ms - seconds * 1000));
    match &input.record {
        Some(record) => {
            let end = record.end_ms + shift;
            let start = match (record.start_ms, first_start, record.total_time_s, first) {
                (Some(start), _, _, _) => start + shift,
                (None, Some(start), _, _) => start,
                (None, None, Some(seconds), _) => end - seconds * 1000,
                (None, None, None, Some(frame)) => frame.device_ms,
                (None, None, None, None) => input.created_ms.min(end),
            };
            (start, end, record.total_wh)
        }
        None => {
            let all = counting(heard, i64::MIN, i64::MAX, i128::MAX, &mut BTreeSet::new());
            match all.last_key_value() {
                None => (input.evidence_ms, input.evidence_ms, 0),
                Some((end, wh)) => {
                    let first = first.unwrap();
                    (first_start.unwrap_or(first.device_ms), *end, *wh)
                }
            }
        }
    }
}

/// The energy delivered by `at_ms`, rounded down to a whole Wh; what the points show at the start is delivered there.
fn energy_by(points: &BTreeMap<i64, i128>, at_ms: i64) -> i128 {
    let (before_ms, before_wh) = points.range(..=at_ms).next_back().unwrap();
    match points.range(at_ms + 1..).next() {
        None => *before_wh,
        Some((after_ms, after_wh)) => {
            let numerator = (after_wh - before_wh) * i128::from(at_ms - before_ms);
            before_wh + numerator.div_euclid(i128::from(after_ms - before_ms))
        }
    }
}

/// The periods of a local day.
fn periods_of(input: &OracleInput, date: Date) -> &[OraclePeriod] {
    for plan in &input.plans {
        if plan.is_for(date) {
            return &plan.periods;
        }
    }
    &input.periods
}

/// Which period of which local day an instant lies in.
fn place(input: &OracleInput, zone: &TimeZone, at_ms: i64) -> (Date, usize) {
    let local = zone.to_datetime(Timestamp::from_millisecond(at_ms).unwrap());
    let minute = i64::from(local.hour()) * 60 + i64::from(local.minute());
    let periods = periods_of(input, local.date());
    let index = periods.iter().position(|p| p.from_min <= minute && minute < p.to_min).unwrap();
    (local.date(), index)
}

/// `round half up(x / 100 000)` as a fraction of whole numbers.
fn fen(sum: i128) -> i128 {
    (2 * sum + 100_000) / 200_000
}

pub(crate) fn oracle(input: &OracleInput) -> OracleBill {
    let zone = TimeZone::get(&input.zone).unwrap();
    let heard = heard(input);
    let mut flags = BTreeSet::new();
    let (start_ms, end_ms, total_wh) = extent(input, &heard);
    if start_ms > end_ms {
        flags.insert("EndBeforeStart");
    }
    let start_ms = start_ms.min(end_ms);
    let (latest_ms, most_wh) = if input.record.is_some() { (end_ms, total_wh) } else { (i64::MAX, i128::MAX) };
    let mut points = counting(&heard, start_ms, latest_ms, most_wh, &mut flags);
    points.entry(start_ms).or_insert(0);
    points.insert(end_ms, total_wh);

    // Every zone since 1972 is a whole number of minutes from UTC, so that prices change at whole minutes of UTC only.
    let mut changes = vec![(start_ms, place(input, &zone, start_ms))];
    let mut minute_ms = start_ms.div_euclid(60_000) * 60_000 + 60_000;
    while minute_ms < end_ms {
        let here = place(input, &zone, minute_ms);
        if changes.last().unwrap().1 != here {
            changes.push((minute_ms, here));
        }
        minute_ms += 60_000;
    }
    let mut segments = Vec::new();
    let mut done_wh = 0;
    for (i, (from_ms, (date, index))) in changes.iter().enumerate() {
        let to_ms = changes.get(i + 1).map_or(end_ms, |(next_ms, _)| *next_ms);
        let by_wh = energy_by(&points, to_ms);
        let period = &periods_of(input, *date)[*index];
        segments.push(OracleSegment {
            from_ms: *from_ms,
            to_ms,
            label: period.label.clone(),
            wh: by_wh - done_wh,
            electricity: period.electricity,
            service: period.service,
        });
        done_wh = by_wh;
    }
    let electricity_fen = fen(segments.iter().map(|s| s.wh * s.electricity).sum());
    let service_fen = fen(segments.iter().map(|s| s.wh * s.service).sum());

    let present: BTreeSet<i64> = heard.iter().map(|frame| frame.seq).collect();
    let expected = input.record.and_then(|record| record.frames).or_else(|| present.last().copied()).unwrap_or(0);
    if (1..=expected).any(|seq| !present.contains(&seq)) {
        flags.insert("MissingFrames");
    }
    if start_ms < input.created_ms {
        flags.insert("BeforeCreation");
    }
    if input.offset_ms.is_some_and(|offset| offset.abs() > 300_000) {
        flags.insert("ClockOffset");
    }
    if total_wh * 3_600_000 > input.rated_w * i128::from(end_ms - start_ms) {
        flags.insert("AboveRatedPower");
    }
    if input.record.is_none() {
        flags.insert("Estimated");
    }
    OracleBill {
        electricity_fen,
        service_fen,
        total_fen: electricity_fen + service_fen,
        wh: total_wh,
        start_ms,
        end_ms,
        segments,
        flags,
    }
}
