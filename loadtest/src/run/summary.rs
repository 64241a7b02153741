//! What a run leaves behind: `summary.json` for machines, stories of what went wrong for people.

use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use super::session::Session;
use crate::{client::probes::Percentiles, limits, pile::truth::ChargeTruth};

/// Everything worth keeping of a run.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// `good`, `wrong` or `interrupted`.
    pub verdict: Verdict,
    /// Seed of the run; the same seed gives the same load.
    pub seed: u64,
    /// When it began, RFC 3339.
    pub started_at: String,
    /// From the first session to the last bill, in ms.
    pub elapsed_ms: u64,
    /// The load that was asked for.
    pub load: LoadFacts,
    /// What happened.
    pub counts: Counts,
    /// How fast.
    pub latency: Latencies,
    /// Money over all drivers, in fen.
    pub money: Money,
    /// How many sessions had differences.
    pub sessions_wrong: usize,
    /// The differences, at most a fixed number of them in full.
    pub differences: Vec<Story>,
}

/// The verdict of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Everything was as it must be.
    Good,
    /// The hub was wrong.
    Wrong,
    /// Stopped by a person before it was over.
    Interrupted,
}

/// The load that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the names say it")]
pub struct LoadFacts {
    pub piles: usize,
    pub sessions: usize,
    pub phones: usize,
    pub duration_s: i64,
    pub status_every_ms: i64,
}

/// What happened in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the names say it")]
pub struct Counts {
    pub orders: usize,
    pub bills: usize,
    pub frames_published: u64,
    pub connects: u64,
    pub connections_broken: u64,
    pub deltas: u64,
    pub sockets: u64,
    pub sockets_resumed: u64,
}

/// Latencies of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Latencies {
    /// From the write of a status frame to the phone that shows its energy.
    pub pile_to_phone: Percentiles,
    /// From the write of a QoS 1 publish to its PUBACK.
    pub puback: Percentiles,
    /// From the driver's stop to the bill on the phone.
    pub stop_to_bill: Percentiles,
}

/// Money over all drivers of a run, in fen: `toppedUp` must be the sum of the next three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the names say it")]
pub struct Money {
    pub topped_up: i64,
    pub available: i64,
    pub frozen: i64,
    pub paid: i64,
    pub debt: i64,
}

/// A session that went wrong, told from its beginning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Story {
    /// Which session of the plan.
    pub session: usize,
    /// Its order.
    pub order_no: Option<String>,
    /// Its pile.
    pub pile_code: String,
    /// What was expected and what was got.
    pub differences: Vec<String>,
    /// What happened.
    pub timeline: Vec<String>,
    /// What the pile metered.
    pub metered: Vec<String>,
}

impl Story {
    /// Tells a session.
    #[must_use]
    pub fn tell(session: &Session, truth: Option<&ChargeTruth>, differences: Vec<String>) -> Self {
        Self {
            session: session.index,
            order_no: session.placed.as_ref().map(|(no, _)| no.to_string()),
            pile_code: session.pile_code.clone(),
            differences,
            timeline: session.timeline.clone(),
            metered: truth.map(metered).unwrap_or_default(),
        }
    }

    /// As lines for a terminal.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let order = self.order_no.as_deref().unwrap_or("no order");
        let mut lines = vec![format!("session {} at {}, {order}:", self.session, self.pile_code)];
        lines.extend(self.differences.iter().map(|line| format!("  ✗ {line}")));
        lines.extend(self.timeline.iter().chain(&self.metered).map(|line| format!("    {line}")));
        lines
    }
}

fn metered(truth: &ChargeTruth) -> Vec<String> {
    let mut lines = vec![format!("clock {} ms ahead, mischief {:?}", truth.clock_offset.0, truth.mischief)];
    let half = limits::TIMELINE_LEN_MAX / 4;
    let skipped = truth.readings.len().saturating_sub(half.saturating_mul(2));
    for (n, reading) in truth.readings.iter().enumerate() {
        if n == half && skipped > 0 {
            lines.push(format!("… {skipped} more …"));
        }
        if n < half || n >= half.saturating_add(skipped) {
            lines.push(format!("status {} at {}: {} {:?}", reading.seq, reading.at, reading.energy, reading.fate));
        }
    }
    lines.push(match &truth.record {
        Some(record) => format!(
            "record: {:?} to {}, {}, reason {}, answers {:?}",
            record.start_time,
            record.end_time,
            record.energy,
            record.stop_reason.code(),
            truth.answers
        ),
        None => "no record".to_owned(),
    });
    lines
}

impl Summary {
    /// Writes `summary.json` and `report.html` into a directory.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn write(&self, dir: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
        let json = serde_json::to_string_pretty(self)?;
        std::fs::write(dir.join("summary.json"), json).context("writing summary.json")?;
        std::fs::write(dir.join("report.html"), super::report::html(self)).context("writing report.html")?;
        Ok(())
    }
}
