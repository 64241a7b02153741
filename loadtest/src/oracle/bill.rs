//! What one charge costs, exactly [CONTRACT 2.1].

use std::collections::BTreeMap;

use super::tariff::Tariff;
use crate::pile::truth::ChargeTruth;

/// Readings of a charge as the contract defines them; times in ms by the pile's clock, energies in Wh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charged {
    /// When it began.
    pub start: i64,
    /// When it ended.
    pub end: i64,
    /// What the record says in all.
    pub total: i64,
    /// Status frames: (time, seq, energy).
    pub readings: Vec<(i64, u32, i64)>,
}

/// What a charge costs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Price {
    /// In fen, rounded once, half up.
    pub electricity_fen: i64,
    /// In fen, rounded once, half up.
    pub service_fen: i64,
    /// Sum of both.
    pub total_fen: i64,
    /// Wh by (label, electricity price, service price); periods without energy are left out.
    pub wh_by_period: BTreeMap<(String, i64, i64), i64>,
}

impl Charged {
    /// What the hub had when it settled this order; `None` without a record.
    #[must_use]
    pub fn of(truth: &ChargeTruth) -> Option<Self> {
        let record = truth.record.as_ref()?;
        let first = truth.counted().next();
        let start = record.start_time.map(|at| at.as_millis()).or_else(|| {
            first.map(|frame| frame.at.as_millis().saturating_sub(i64::from(frame.total_time_s).saturating_mul(1000)))
        })?;
        let readings = truth.counted().map(|r| (r.at.as_millis(), r.seq, r.energy.0)).collect();
        Some(Self { start, end: record.end_time.as_millis(), total: record.energy.0, readings })
    }

    /// The points between which energy is spread, corrected by `shift` ms: start, kept readings, end.
    fn points(&self, shift: i64) -> Vec<(i64, i64)> {
        let mut inside: Vec<(i64, u32, i64)> = self.readings.clone();
        inside.retain(|(at, _, wh)| (self.start..=self.end).contains(at) && *wh <= self.total);
        inside.sort_unstable();
        let mut points = vec![(self.start, 0)];
        for (index, (at, _, wh)) in inside.iter().enumerate() {
            let same_time_follows = inside.get(index.saturating_add(1)).is_some_and(|(next, _, _)| next == at);
            let highest = points.last().map_or(0, |(_, wh)| *wh);
            if !same_time_follows && *wh >= highest {
                points.push((*at, *wh));
            }
        }
        points.push((self.end, self.total));
        points.into_iter().map(|(at, wh)| (at.saturating_add(shift), wh)).collect()
    }
}

/// Energy up to an instant, spread evenly between two points, rounded down to whole Wh.
fn energy_at(points: &[(i64, i64)], at: i64) -> i64 {
    let mut before = points.first().copied().unwrap_or((at, 0));
    for &(time, wh) in points {
        if time > at {
            let numerator =
                i128::from(wh.saturating_sub(before.1)).saturating_mul(i128::from(at.saturating_sub(before.0)));
            let share = numerator.div_euclid(i128::from(time.saturating_sub(before.0)));
            return before.1.saturating_add(i64::try_from(share).unwrap_or(i64::MAX));
        }
        before = (time, wh);
    }
    before.1
}

/// Prices a charge; `shift` (ms) is the correction of the pile's clock, 0 when it is off by at most two seconds.
#[must_use]
pub fn price(charged: &Charged, tariff: &Tariff, shift: i64) -> Price {
    let points = charged.points(shift);
    let (start, end) = (charged.start.saturating_add(shift), charged.end.saturating_add(shift));
    let mut edges = vec![start];
    edges.extend(tariff.changes(start, end));
    let mut price = Price::default();
    let (mut electricity, mut service, mut counted) = (0_i128, 0_i128, 0_i64);
    for (index, &from) in edges.iter().enumerate() {
        // Up to the last edge everything that the record says is sold, whatever was rounded down before.
        let upto = edges.get(index.saturating_add(1)).map_or(charged.total, |&to| energy_at(&points, to));
        let wh = upto.saturating_sub(counted);
        counted = upto;
        let Some(period) = tariff.at(from) else { continue };
        electricity = electricity.saturating_add(i128::from(wh).saturating_mul(i128::from(period.electricity_e4)));
        service = service.saturating_add(i128::from(wh).saturating_mul(i128::from(period.service_e4)));
        if wh != 0 {
            let key = (period.label.clone(), period.electricity_e4, period.service_e4);
            let sum = price.wh_by_period.entry(key).or_insert(0);
            *sum = sum.saturating_add(wh);
        }
    }
    price.electricity_fen = fen(electricity);
    price.service_fen = fen(service);
    price.total_fen = price.electricity_fen.saturating_add(price.service_fen);
    price
}

/// Wh × e4 to fen, half up: 1 Wh at 1 e4 is 1/100,000 fen.
fn fen(wh_e4: i128) -> i64 {
    i64::try_from(wh_e4.saturating_add(50_000).div_euclid(100_000)).unwrap_or(i64::MAX)
}

/// The prices that are right for a pile whose clock is `offset` ms ahead, when the hub measured the offset over a
/// network that took up to `slack` ms: one per millisecond of doubt, equal ones once.
#[must_use]
pub fn price_any_offset(charged: &Charged, tariff: &Tariff, offset: i64, slack: i64) -> Vec<Price> {
    if offset.saturating_abs() <= 2_000 {
        return vec![price(charged, tariff, 0)];
    }
    let mut prices: Vec<Price> = Vec::new();
    for late in 0..=slack {
        // receive − device = network delay − offset
        let candidate = price(charged, tariff, late.saturating_sub(offset));
        if !prices.contains(&candidate) {
            prices.push(candidate);
        }
    }
    prices
}
