//! The names of the hub's own figures, and where they are gathered. The gate, the actors and the store name theirs.
//! Never a pile or an order as a label.

use metrics::{describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::http::App;

/// Answers to HTTP calls, by `method`, `path` (the route) and `status`.
pub(crate) const HTTP_ANSWERS: &str = "pilehub_http_answers_total";
/// Time to answer an HTTP call, in seconds, by `method` and `path` (the route).
pub(crate) const HTTP_SECONDS: &str = "pilehub_http_seconds";
/// HTTP calls refused because their address made too many.
pub(crate) const HTTP_LIMITED: &str = "pilehub_http_limited_total";
/// Words of payment channels, by `channel` and `outcome`: `credited`, `repeated`, …, or why one was refused.
pub(crate) const PAY_CALLBACKS: &str = "pilehub_payment_words_total";
/// Sockets of phones and dashboards.
pub(crate) const SOCKETS: &str = "pilehub_live_sockets";
/// Charges running.
pub(crate) const RUNNING: &str = "pilehub_orders_running";
/// Alarms raised or acknowledged.
pub(crate) const ALARMS_OPEN: &str = "pilehub_alarms_open";
/// Registered piles.
pub(crate) const PILES: &str = "pilehub_piles";

/// Time of a reconciliation by the timetable, in seconds.
pub(crate) const RECON_SECONDS: &str = "pilehub_reconciliation_seconds";
/// Reconciliations by the timetable that could not be done; they are tried again.
pub(crate) const RECON_FAILED: &str = "pilehub_reconciliation_failed_total";
/// Items that somebody must look at, of the day that was reconciled last.
pub(crate) const RECON_OPEN_ITEMS: &str = "pilehub_reconciliation_open_items";

/// Upper bounds of the time buckets, in seconds.
const SECONDS: [f64; 10] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];

/// Installs the recorder of the process; call once.
pub(crate) fn install() -> Result<PrometheusHandle, BuildError> {
    let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?;
    let handle = builder.install_recorder()?;
    describe_counter!(HTTP_ANSWERS, "answers to HTTP calls");
    describe_histogram!(HTTP_SECONDS, "time to answer an HTTP call");
    describe_counter!(HTTP_LIMITED, "HTTP calls refused because their address made too many");
    describe_counter!(PAY_CALLBACKS, "words of payment channels, by what became of them");
    describe_gauge!(SOCKETS, "sockets of phones and dashboards");
    describe_gauge!(RUNNING, "charges running");
    describe_gauge!(ALARMS_OPEN, "alarms raised or acknowledged");
    describe_gauge!(PILES, "registered piles");
    describe_histogram!(RECON_SECONDS, "time of a reconciliation by the timetable");
    describe_counter!(RECON_FAILED, "reconciliations by the timetable that could not be done");
    describe_gauge!(RECON_OPEN_ITEMS, "items somebody must look at, of the day that was reconciled last");
    broker::names::describe();
    Ok(handle)
}

/// Reads what is known but not counted as it happens.
pub(crate) fn sample(app: &App) {
    let count = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    gauge!(SOCKETS).set(f64::from(app.live.sockets()));
    gauge!(RUNNING).set(count(app.actors.running().len()));
    gauge!(ALARMS_OPEN).set(count(app.actors.alarms_open()));
    gauge!(PILES).set(count(app.identities.len()));
}
