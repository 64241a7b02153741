//! What a pile measured, as means per bucket of time, by the time the hub received it.

use std::collections::BTreeMap;

use actors::api::Refusal;
use axum::{
    Json,
    extract::{Path, State},
};
use domain::{Millis, Timestamp};
use serde::Serialize;
use store::telemetry::{Sample, SampleKind};
use utoipa::ToSchema;

use super::code_of;
use crate::{
    http::{auth::By, input::Params, problem::Problem, rights::PILES_TELEMETRY, state::App},
    limits::{BUCKETS_MAX, SAMPLES_MAX},
};

/// Width of a bucket when the caller does not say, in seconds.
const STEP_S_DEFAULT: i64 = 300;
/// Widest bucket, in seconds.
const STEP_S_MAX: i64 = 86_400;

/// Means of the buckets that have samples.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Telemetry {
    items: Vec<Bucket>,
    /// Always `null`: ask for a shorter span instead.
    next_cursor: Option<String>,
    /// Whether the span holds more samples than one answer is made from.
    truncated: bool,
}

/// Means of one bucket `[from, to)`. The top values are those of the pile's heartbeats, or of its guns when it sent none.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Bucket {
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    to: Timestamp,
    #[serde(flatten)]
    means: Means,
    /// Mean temperature in the cabinet, °C with one decimal.
    temperature_c: Option<f64>,
    connectors: Vec<Gun>,
}

/// Means of one gun.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Gun {
    connector_id: u8,
    #[serde(flatten)]
    means: Means,
    /// Mean state of charge, % with one decimal.
    soc_percent: Option<f64>,
    /// Highest energy of an order in the bucket.
    energy_wh: Option<i64>,
}

/// Means over `samples` frames; `null` when none of them had the value.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Means {
    samples: u32,
    voltage_mv: Option<i64>,
    current_ma: Option<i64>,
    power_w: Option<i64>,
}

/// A pile's telemetry (staff).
#[utoipa::path(get, path = "/piles/{code}/telemetry", tag = "piles",
    params(("code" = String, Path), ("from" = Option<String>, Query), ("to" = Option<String>, Query),
        ("stepS" = Option<i64>, Query)),
    responses((status = 200, body = Telemetry)))]
pub(crate) async fn telemetry(
    State(app): State<App>,
    _by: By<PILES_TELEMETRY>,
    Path(code): Path<String>,
    params: Params,
) -> Result<Json<Telemetry>, Problem> {
    let code = code_of(&code)?;
    let pile_no = app.actors.pile_no(&code).ok_or(Refusal::PileNotFound(code))?;
    let step_s = params.int("stepS", 1, STEP_S_MAX)?.unwrap_or(STEP_S_DEFAULT);
    let to = params.time("to")?.unwrap_or_else(|| app.now().plus(Millis(1)));
    let from = params.time("from")?.unwrap_or_else(|| to.plus(Millis::from_secs(-3_600)));
    let span = to.since(from);
    if span.0 <= 0 {
        return Err(Problem::invalid("to", to, "must be later than from"));
    }
    let step = Millis::from_secs(step_s);
    if span.0.div_euclid(step.0) >= BUCKETS_MAX {
        return Err(Problem::invalid("stepS", step_s, format!("must leave at most {BUCKETS_MAX} buckets: widen it")));
    }
    let samples = app.telemetry.samples(pile_no, from, to, SAMPLES_MAX).await?;
    let truncated = samples.len() == SAMPLES_MAX;
    Ok(Json(Telemetry { items: buckets(&samples, from, step), next_cursor: None, truncated }))
}

fn buckets(samples: &[Sample], from: Timestamp, step: Millis) -> Vec<Bucket> {
    let mut sums: BTreeMap<i64, BTreeMap<u8, Sums>> = BTreeMap::new();
    for sample in samples {
        let bucket = sample.received.since(from).0.div_euclid(step.0.max(1));
        sums.entry(bucket).or_default().entry(sample.connector.0).or_default().add(sample);
    }
    sums.into_iter()
        .map(|(index, by_gun)| {
            let start = from.plus(Millis(index.saturating_mul(step.0)));
            let mut guns = by_gun;
            let pile = guns.remove(&0).unwrap_or_default();
            let of_guns = guns.values().fold(Sums::default(), |all, one| all.joined(one));
            Bucket {
                from: start,
                to: start.plus(step),
                means: if pile.frames > 0 { pile.means() } else { of_guns.means() },
                temperature_c: pile.temperature.tenths(),
                connectors: guns.into_iter().map(|(id, sums)| sums.gun(id)).collect(),
            }
        })
        .collect()
}

/// A sum and how many values it has.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    total: i64,
    n: i64,
}

impl Sum {
    fn add(&mut self, value: Option<impl Into<i64>>) {
        if let Some(value) = value {
            self.total = self.total.saturating_add(value.into());
            self.n = self.n.saturating_add(1);
        }
    }

    fn joined(self, other: Self) -> Self {
        Self { total: self.total.saturating_add(other.total), n: self.n.saturating_add(other.n) }
    }

    /// Rounded half up.
    fn mean(self) -> Option<i64> {
        (self.n > 0).then(|| self.total.saturating_mul(2).saturating_add(self.n).div_euclid(self.n.saturating_mul(2)))
    }

    /// The mean of tenths, as a number with one decimal.
    fn tenths(self) -> Option<f64> {
        self.mean().and_then(|mean| i32::try_from(mean).ok()).map(|tenths| f64::from(tenths) / 10.0)
    }
}

#[derive(Debug, Clone, Default)]
struct Sums {
    frames: u32,
    voltage: Sum,
    current: Sum,
    power: Sum,
    temperature: Sum,
    soc: Sum,
    energy: Option<i64>,
}

impl Sums {
    fn add(&mut self, sample: &Sample) {
        self.frames = self.frames.saturating_add(1);
        self.voltage.add(sample.voltage.map(|v| v.0));
        self.current.add(sample.current.map(|a| a.0));
        self.power.add(sample.power.map(|w| w.0));
        match &sample.kind {
            SampleKind::Heartbeat { temperature, .. } => self.temperature.add(temperature.map(|t| t.0)),
            SampleKind::Charging { energy, soc, .. } => {
                self.soc.add(soc.map(|soc| soc.0));
                self.energy = self.energy.max(Some(energy.0));
            }
            SampleKind::Meter { .. } => {}
        }
    }

    fn joined(mut self, other: &Self) -> Self {
        self.frames = self.frames.saturating_add(other.frames);
        self.voltage = self.voltage.joined(other.voltage);
        self.current = self.current.joined(other.current);
        self.power = self.power.joined(other.power);
        self
    }

    fn means(&self) -> Means {
        Means {
            samples: self.frames,
            voltage_mv: self.voltage.mean(),
            current_ma: self.current.mean(),
            power_w: self.power.mean(),
        }
    }

    fn gun(&self, connector_id: u8) -> Gun {
        Gun { connector_id, means: self.means(), soc_percent: self.soc.tenths(), energy_wh: self.energy }
    }
}

#[cfg(test)]
mod tests {
    use domain::{ConnectorId, DeciCelsius, MilliVolts, OrderNo, PileNo, SocTenths, WattHours, Watts};

    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms).unwrap()
    }

    fn beat(ms: i64, mv: Option<i32>) -> Sample {
        Sample {
            pile_no: PileNo(1),
            connector: ConnectorId::PILE,
            received: at(ms),
            device: at(ms),
            kind: SampleKind::Heartbeat { status: 1, temperature: Some(DeciCelsius(315)) },
            voltage: mv.map(MilliVolts),
            current: None,
            power: None,
        }
    }

    fn charging(ms: i64, gun: u8, watts: i32, wh: i64) -> Sample {
        let order_no = OrderNo::parse("1").unwrap();
        let kind = SampleKind::Charging {
            order_no,
            seq: 1,
            energy: WattHours(wh),
            total_time_s: None,
            soc: Some(SocTenths(415)),
        };
        Sample { connector: ConnectorId(gun), kind, power: Some(Watts(watts)), ..beat(ms, None) }
    }

    #[test]
    fn each_bucket_has_the_means_of_what_it_received() {
        let samples = [beat(1_000, Some(220_000)), beat(1_500, Some(220_001)), beat(1_999, None), beat(2_000, Some(1))];
        let buckets = buckets(&samples, at(1_000), Millis(1_000));
        let first = buckets.first().unwrap();
        assert_eq!((first.from, first.to, first.means.samples), (at(1_000), at(2_000), 3));
        assert_eq!((first.means.voltage_mv, first.means.current_ma), (Some(220_001), None));
        assert_eq!(first.temperature_c, Some(31.5));
        assert_eq!(buckets.get(1).unwrap().means.voltage_mv, Some(1));
    }

    #[test]
    fn guns_are_apart_and_stand_in_for_a_pile_without_heartbeats() {
        let samples = [charging(0, 1, 40_000, 100), charging(1, 1, 50_000, 200), charging(2, 2, 10_000, 5)];
        let buckets = buckets(&samples, at(0), Millis(1_000));
        let only = buckets.first().unwrap();
        assert_eq!(only.means.power_w, Some(33_333));
        let guns: Vec<_> = only.connectors.iter().map(|g| (g.connector_id, g.means.power_w, g.energy_wh)).collect();
        assert_eq!(guns, [(1, Some(45_000), Some(200)), (2, Some(10_000), Some(5))]);
        assert_eq!(only.connectors.first().unwrap().soc_percent, Some(41.5));
    }
}
