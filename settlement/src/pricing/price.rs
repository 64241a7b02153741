//! From readings and a tariff to a bill.

use domain::{Fen, Millis, PriceE4, Timestamp, WattHours, Watts, wire::Finished};

use super::{
    Bill, BillFlag, Reading, Segment,
    readings::{Point, Sorted},
};
use crate::{
    limits::{CHARGE_LEN_MAX, CLOCK_OFFSET_IGNORED_MAX, CLOCK_OFFSET_TRUSTED_MAX},
    tariff::{Period, Tariff, TariffError, Walk},
};

/// Everything a bill is made from. All device times are raw: the offset is applied here, once.
#[derive(Debug, Clone, Copy)]
pub struct PriceInput<'a> {
    /// The tariff in force when the order was created.
    pub tariff: &'a Tariff,
    /// When the order was created, by the hub's clock.
    pub created_at: Timestamp,
    /// What the pile can deliver.
    pub rated_power: Watts,
    /// The accepted status frames in the order they were received; of a repeated `seq` the first stands.
    pub readings: &'a [Reading],
    /// Some readings were dropped because there were too many.
    pub readings_thinned: bool,
    /// How the charge ended.
    pub end: ChargeEnd,
    /// Median of receive time − device time over the last heartbeats; `None` when unknown. Two seconds and less are
    /// left as they are.
    pub clock_offset: Option<Millis>,
}

/// How a charge ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChargeEnd {
    /// The charger sent its record.
    Record(RecordTimes),
    /// It did not: the charge ends at the last reading.
    LastReading {
        /// The hub's time of the first evidence; start and end of the charge when there is no reading at all.
        evidence_at: Timestamp,
    },
}

/// What a bill needs of the charger's record; times by the pile's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordTimes {
    /// `startTime`.
    pub start: Option<Timestamp>,
    /// `endTime`, else `timestamp`.
    pub end: Timestamp,
    /// `totalPower`.
    pub total: WattHours,
    /// `totalTime` in seconds.
    pub total_time_s: Option<u32>,
    /// How many status frames the charger sent before it: `seq` − 1.
    pub frames: Option<u32>,
}

impl From<&Finished> for RecordTimes {
    fn from(record: &Finished) -> Self {
        Self {
            start: record.start_time,
            end: record.end_time,
            total: record.energy,
            total_time_s: record.total_time_s,
            frames: record.seq.map(|seq| seq.saturating_sub(1)),
        }
    }
}

/// Why a charge could not be priced; a person must look.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PricingError {
    /// The tariff cannot be read.
    #[error("the tariff cannot price this charge: {0}")]
    Tariff(#[from] TariffError),
    /// Energy must not be negative.
    #[error("the energy of the record is negative: {0}")]
    NegativeEnergy(WattHours),
    /// Numbers beyond all sense.
    #[error("the bill is too large to be written down")]
    Overflow,
}

/// Prices a charge [CONTRACT 2.1].
///
/// The energy up to a tariff boundary lies on the straight line between the readings around it. What the first reading
/// shows at the very start counts as delivered there. A record that ends before it starts is priced at its end.
///
/// # Errors
/// [`PricingError`] when the tariff or the numbers make no sense.
pub fn price(input: &PriceInput<'_>) -> Result<Bill, PricingError> {
    let offset_ms = applied_offset_ms(input.clock_offset);
    let sorted = Sorted::new(input.readings, offset_ms, input.end.frames());
    let charge = Charge::new(input, &sorted, offset_ms)?;
    let recorded = matches!(input.end, ChargeEnd::Record(_));
    let end = Point { at_ms: charge.end_ms, wh: charge.total_wh };
    let (points, left_out) = sorted.charge(charge.start_ms, end, recorded);
    let segments = segments(input.tariff, &points)?;
    let electricity_fen = fee(&segments, |segment| segment.electricity_e4)?;
    let service_fen = fee(&segments, |segment| segment.service_e4)?;
    let odd = [
        (sorted.frames_missing, BillFlag::MissingFrames),
        (left_out.backwards, BillFlag::BackwardsReading),
        (left_out.above_total, BillFlag::AboveTotal),
        (left_out.outside, BillFlag::OutsideTimes),
        (charge.start_ms < input.created_at.as_millis(), BillFlag::BeforeCreation),
        (is_untrusted(input.clock_offset), BillFlag::ClockOffset),
        (charge.is_above(input.rated_power), BillFlag::AboveRatedPower),
        (charge.end_before_start, BillFlag::EndBeforeStart),
        (!recorded, BillFlag::Estimated),
        (input.readings_thinned, BillFlag::TooManyReadings),
        (charge.too_long, BillFlag::TooLong),
    ];
    Ok(Bill {
        electricity_fen,
        service_fen,
        occupancy_fen: Fen::ZERO,
        total_fen: electricity_fen.checked_add(service_fen).ok_or(PricingError::Overflow)?,
        tariff_id: input.tariff.tariff_id.clone(),
        tariff_version: input.tariff.version,
        segments,
        energy_wh: WattHours(charge.total_wh),
        started_at: Timestamp::from_millis_clamped(charge.start_ms),
        ended_at: Timestamp::from_millis_clamped(charge.end_ms),
        flags: odd.into_iter().filter_map(|(is_odd, flag)| is_odd.then_some(flag)).collect(),
    })
}

/// What is added to device times: nothing up to two seconds [CONTRACT 2.1].
const fn applied_offset_ms(offset: Option<Millis>) -> i64 {
    match offset {
        Some(Millis(ms)) if ms.saturating_abs() > CLOCK_OFFSET_IGNORED_MAX.0 => ms,
        Some(_) | None => 0,
    }
}

fn is_untrusted(offset: Option<Millis>) -> bool {
    offset.is_some_and(|Millis(ms)| ms.saturating_abs() > CLOCK_OFFSET_TRUSTED_MAX.0)
}

impl ChargeEnd {
    const fn frames(&self) -> Option<u32> {
        match self {
            Self::Record(record) => record.frames,
            Self::LastReading { .. } => None,
        }
    }
}

/// When a charge began and ended, corrected, and what it delivered.
#[derive(Debug, Clone, Copy)]
struct Charge {
    start_ms: i64,
    end_ms: i64,
    total_wh: i64,
    end_before_start: bool,
    too_long: bool,
}

impl Charge {
    fn new(input: &PriceInput<'_>, sorted: &Sorted, offset_ms: i64) -> Result<Self, PricingError> {
        let corrected = |at: Timestamp| at.plus(Millis(offset_ms)).as_millis();
        let before = |ms: i64, seconds: u32| ms.saturating_sub(i64::from(seconds).saturating_mul(1000));
        let first_frame_start = sorted.first.and_then(|(at_ms, seconds)| Some(before(at_ms, seconds?)));
        let first_frame = sorted.first.map(|(at_ms, _)| at_ms);
        match input.end {
            ChargeEnd::Record(record) => {
                if record.total < WattHours::ZERO {
                    return Err(PricingError::NegativeEnergy(record.total));
                }
                let end_ms = corrected(record.end);
                let by_length = record.total_time_s.map(|seconds| before(end_ms, seconds));
                let created_ms = input.created_at.as_millis().min(end_ms);
                let starts = [record.start.map(corrected), first_frame_start, by_length, first_frame, Some(created_ms)];
                Ok(Self::bounded(&starts, end_ms, record.total.0))
            }
            ChargeEnd::LastReading { evidence_at } => {
                let evidence_ms = evidence_at.as_millis();
                let last = sorted.last().unwrap_or(Point { at_ms: evidence_ms, wh: 0 });
                let starts = [first_frame_start, first_frame, Some(evidence_ms.min(last.at_ms))];
                Ok(Self::bounded(&starts, last.at_ms, last.wh))
            }
        }
    }

    /// Takes the first start that is known and not absurdly long ago.
    fn bounded(starts: &[Option<i64>], end_ms: i64, total_wh: i64) -> Self {
        let believable = |start_ms: &i64| end_ms.saturating_sub(*start_ms) <= CHARGE_LEN_MAX.0;
        let mut known = starts.iter().copied().flatten().peekable();
        let too_long = known.peek().is_some_and(|start_ms| !believable(start_ms));
        let start_ms = known.find(believable).unwrap_or(end_ms);
        Self { start_ms: start_ms.min(end_ms), end_ms, total_wh, end_before_start: start_ms > end_ms, too_long }
    }

    /// Whether it delivered more than `rated` could in the time.
    fn is_above(&self, rated: Watts) -> bool {
        const MS_PER_HOUR: i128 = 3_600_000;
        let length_ms = i128::from(self.end_ms).saturating_sub(i128::from(self.start_ms));
        i128::from(self.total_wh).saturating_mul(MS_PER_HOUR) > i128::from(rated.0).saturating_mul(length_ms)
    }
}

/// Splits a charge at the boundaries of the tariff; a period of one day is one segment.
fn segments(tariff: &Tariff, points: &[Point]) -> Result<Vec<Segment>, PricingError> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Ok(Vec::new()) };
    let (from, to) = (Timestamp::from_millis_clamped(first.at_ms), Timestamp::from_millis_clamped(last.at_ms));
    if from == to {
        let period = tariff.period_at(from)?;
        return Ok(vec![segment(from, to, period, last.wh)]);
    }
    let mut line = Line { points, done_wh: 0 };
    let mut segments = Vec::new();
    let mut walk = Walk::new(tariff, from, to)?.peekable();
    while let Some(span) = walk.next() {
        let mut span = span?;
        // The clocks changed inside the period: still the same period of the same day.
        while let Some(Ok(next)) =
            walk.next_if(|next| matches!(next, Ok(n) if (n.day, n.index) == (span.day, span.index)))
        {
            span.to = next.to;
        }
        segments.push(segment(span.from, span.to, span.period, line.up_to(span.to.as_millis())?));
    }
    Ok(segments)
}

fn segment(from: Timestamp, to: Timestamp, period: &Period, wh: i64) -> Segment {
    Segment {
        from,
        to,
        label: period.label.clone(),
        energy_wh: WattHours(wh),
        electricity_e4: period.electricity,
        service_e4: period.service,
    }
}

/// The energy of a charge over time, asked at rising instants.
struct Line<'a> {
    /// The points around and after the last instant asked for.
    points: &'a [Point],
    /// Energy up to the last instant asked for.
    done_wh: i64,
}

impl Line<'_> {
    /// Energy between the last instant asked for and `at_ms`.
    fn up_to(&mut self, at_ms: i64) -> Result<i64, PricingError> {
        while let [_, next, ..] = self.points
            && next.at_ms <= at_ms
        {
            self.points = self.points.get(1..).unwrap_or_default();
        }
        let wh = match self.points {
            [a, b, ..] => between(*a, *b, at_ms).ok_or(PricingError::Overflow)?,
            [a] => a.wh,
            [] => self.done_wh,
        };
        let since = wh.checked_sub(self.done_wh).ok_or(PricingError::Overflow)?;
        self.done_wh = wh;
        Ok(since)
    }
}

/// `E(b) = E_i + floor((E_{i+1} − E_i)·(b − t_i) / (t_{i+1} − t_i))`, in Wh and ms. Energies never fall, so that the
/// division of what is not negative is the floor.
fn between(a: Point, b: Point, at_ms: i64) -> Option<i64> {
    let wh = i128::from(b.wh).checked_sub(i128::from(a.wh))?;
    let passed = i128::from(at_ms).checked_sub(i128::from(a.at_ms))?;
    let length = i128::from(b.at_ms).checked_sub(i128::from(a.at_ms))?;
    let part = wh.checked_mul(passed)?.checked_div(length)?;
    i64::try_from(i128::from(a.wh).checked_add(part)?).ok()
}

/// One kind of fee over all segments, rounded once, half up.
pub(crate) fn fee(segments: &[Segment], price: impl Fn(&Segment) -> PriceE4) -> Result<Fen, PricingError> {
    /// Wh × 0.0001 yuan per kWh in one fen.
    const PER_FEN: i128 = 100_000;
    let add = |sum: i128, segment: &Segment| {
        i128::from(segment.energy_wh.0).checked_mul(i128::from(price(segment).0)).and_then(|part| sum.checked_add(part))
    };
    let sum = segments.iter().try_fold(PER_FEN.div_euclid(2), add).ok_or(PricingError::Overflow)?;
    i64::try_from(sum.div_euclid(PER_FEN)).map(Fen).map_err(|_| PricingError::Overflow)
}
