//! What is measured on the way: latencies, counts, and per order when each energy value left the pile.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use domain::{OrderNo, WattHours};
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::Instant;

use crate::{limits, pile::truth::ChargeTruth};

/// A latency distribution in microseconds.
#[derive(Debug)]
pub struct Latency(Mutex<Histogram<u64>>);

impl Default for Latency {
    fn default() -> Self {
        // 1 µs to 10 minutes with three digits: the bounds are constants that the constructor accepts.
        let histogram = Histogram::new_with_bounds(1, 600_000_000, 3);
        Self(Mutex::new(histogram.unwrap_or_else(|_| unreachable!("the bounds are valid"))))
    }
}

/// The percentiles of a latency distribution, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the names say it")]
pub struct Percentiles {
    pub count: u64,
    pub p50_us: u64,
    pub p90_us: u64,
    pub p99_us: u64,
    pub p999_us: u64,
    pub max_us: u64,
}

impl Latency {
    /// Notes one measurement.
    pub fn record(&self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.0.lock().saturating_record(micros.max(1));
    }

    /// The distribution so far.
    #[must_use]
    pub fn percentiles(&self) -> Percentiles {
        let h = self.0.lock();
        Percentiles {
            count: h.len(),
            p50_us: h.value_at_quantile(0.5),
            p90_us: h.value_at_quantile(0.9),
            p99_us: h.value_at_quantile(0.99),
            p999_us: h.value_at_quantile(0.999),
            max_us: h.max(),
        }
    }
}

/// Everything measured in one run.
#[derive(Debug, Default)]
pub struct Probes {
    /// From the write of a status frame to the phone that shows its energy.
    pub pile_to_phone: Latency,
    /// From the write of a QoS 1 publish to its PUBACK.
    pub puback: Latency,
    /// From the driver's stop to the bill on the phone.
    pub stop_to_bill: Latency,
    /// Frames published.
    pub published: AtomicU64,
    /// Connections opened.
    pub connects: AtomicU64,
    /// Connections that failed or broke without being asked to.
    pub broken: AtomicU64,
    tracks: Mutex<HashMap<OrderNo, Arc<Track>>>,
    truths: Mutex<HashMap<OrderNo, ChargeTruth>>,
}

/// Moments of one order, shared by its pile, its driver and its phones.
#[derive(Debug, Default)]
pub struct Track {
    sends: Mutex<HashMap<WattHours, Instant>>,
    stopped: Mutex<Option<Instant>>,
}

impl Track {
    /// A status frame with this energy leaves the pile; the first one with a value counts.
    pub fn sent(&self, energy: WattHours, at: Instant) {
        let mut sends = self.sends.lock();
        if sends.len() < limits::SENDS_PER_ORDER_MAX {
            sends.entry(energy).or_insert(at);
        }
    }

    /// When this energy left the pile.
    #[must_use]
    pub fn sent_at(&self, energy: WattHours) -> Option<Instant> {
        self.sends.lock().get(&energy).copied()
    }

    /// The driver asks for the stop; the first time counts.
    pub fn stop_asked(&self, at: Instant) {
        self.stopped.lock().get_or_insert(at);
    }

    /// When the driver asked for the stop.
    #[must_use]
    pub fn stop_asked_at(&self) -> Option<Instant> {
        *self.stopped.lock()
    }
}

impl Probes {
    /// The moments of an order.
    #[must_use]
    pub fn track(&self, order_no: &OrderNo) -> Arc<Track> {
        Arc::clone(self.tracks.lock().entry(order_no.clone()).or_default())
    }

    /// Forgets the moments of an order that nobody watches any more.
    pub fn forget(&self, order_no: &OrderNo) {
        self.tracks.lock().remove(order_no);
    }

    /// A pile hands over what it knows of an order.
    pub fn note_truth(&self, truth: ChargeTruth) {
        self.truths.lock().insert(truth.order_no.clone(), truth);
    }

    /// What the pile knows of an order, once that is final.
    #[must_use]
    pub fn truth(&self, order_no: &OrderNo) -> Option<ChargeTruth> {
        self.truths.lock().get(order_no).cloned()
    }

    /// Counts one.
    pub fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
