//! Names of the store's metrics: the only place where they are written. Labels are few and fixed.

/// Counter, label `outcome` = `applied`, `repeated`, `conflict`, `unavailable`, `unknown`: commits answered by the money writer.
pub const MONEY_COMMITS: &str = "pilehub_store_money_commits_total";
/// Histogram: commits that shared one disk write.
pub const MONEY_GROUP_LEN: &str = "pilehub_store_money_group_size";
/// Histogram, seconds: from the first commit of a group being taken to its disk write being done.
pub const MONEY_COMMIT_SECONDS: &str = "pilehub_store_money_commit_seconds";
/// Gauge: commits waiting for the money writer when it took a group.
pub const MONEY_QUEUE_LEN: &str = "pilehub_store_money_queue_depth";
/// Counter: records beyond the limit per order, not kept.
pub const RECORDS_REFUSED: &str = "pilehub_store_records_refused_total";
/// Gauge, label `file` = `money`, `telemetry`: 1 when commits can succeed.
pub const UP: &str = "pilehub_store_up";
/// Counter: telemetry rows made durable.
pub const TELEMETRY_ROWS: &str = "pilehub_store_telemetry_rows_total";
/// Counter, bytes: what those rows took in the log.
pub const TELEMETRY_BYTES: &str = "pilehub_store_telemetry_bytes_total";
/// Counter: rows refused because the queue was full.
pub const TELEMETRY_REFUSED: &str = "pilehub_store_telemetry_refused_total";
/// Gauge: telemetry rows that were waiting when the writer took a batch.
pub const TELEMETRY_QUEUE_LEN: &str = "pilehub_store_telemetry_queue_depth";
/// Histogram, seconds: one disk write of the telemetry writer.
pub const TELEMETRY_FLUSH_SECONDS: &str = "pilehub_store_telemetry_flush_seconds";
/// Counter: chunks sealed.
pub const TELEMETRY_CHUNKS: &str = "pilehub_store_telemetry_chunks_total";
/// Counter: quarantined frames made durable.
pub const QUARANTINED: &str = "pilehub_store_quarantined_total";
/// Counter: quarantined frames that went because there were too many.
pub const QUARANTINE_DROPPED: &str = "pilehub_store_quarantine_dropped_total";
