//! Every limit of the store, in one place, with what happens at it.

use std::time::Duration;

/// Commits that may wait for the money writer. Beyond: the caller waits.
pub const MONEY_QUEUE_LEN_MAX: usize = 4096;
/// Most commits in one group. Beyond: the next group.
pub const MONEY_GROUP_LEN_MAX: usize = 1024;
/// Longest wait for a group to fill, in milliseconds.
pub const MONEY_GROUP_WAIT_MS: u64 = 2;
/// Records kept per order: the standing one and those beside it. Beyond: not kept, counted and logged.
pub const RECORDS_PER_ORDER_MAX: i64 = 64;
/// Read connections per file. Beyond: the caller waits.
pub const READERS_MAX: usize = 4;
/// Samples that may wait for the telemetry writer. Beyond: `push` says full and the caller stops reading sockets.
pub const TELEMETRY_QUEUE_LEN_MAX: usize = 65_536;
/// Quarantined frames (up to 16 KiB each) among them. Beyond: `push` says full.
pub const QUARANTINE_QUEUE_LEN_MAX: usize = 1024;
/// Callers that may wait for a flush or a mark at once. Beyond: they are refused.
pub const TELEMETRY_WAITERS_MAX: usize = 1024;
/// How long the telemetry writer waits for the word that a batch is whole when the last one came with it. Beyond: it
/// goes back to its own rhythm.
pub const TELEMETRY_TOLD_WITHIN: Duration = Duration::from_millis(20);
/// Most quarantined frames kept. Beyond: the oldest go, counted.
pub const QUARANTINE_LEN_MAX: u64 = 100_000;
/// Samples per pile, on average, at which a sealing round begins.
pub const CHUNK_LEN_GOAL: usize = 40;
/// Samples of one pile at which a sealing round begins whatever the average.
pub const CHUNK_LEN_HIGH: u32 = 2048;
/// Samples in the unsealed tail at which a sealing round begins whatever the number of piles: bounds the replay.
pub const TAIL_LEN_HIGH: usize = 2_000_000;
/// Piles sealed with one flush, besides one per [`SAMPLES_PER_SEAL`] of its samples: bounds how long a flush takes.
pub const SEALS_PER_FLUSH: usize = 64;
/// Samples of a flush for which one more pile is sealed: sealing is always faster than filling.
pub const SAMPLES_PER_SEAL: usize = 8;
/// Old log rows or chunks deleted with one flush. Beyond: the next flush goes on.
pub const DELETES_PER_FLUSH_MAX: usize = 512;
/// Most samples one call of `samples` returns. Beyond: cut to the earliest.
pub const SAMPLES_LEN_MAX: usize = 100_000;
/// Most rows of one page of any list. Beyond: cut to this.
pub const PAGE_LEN_MAX: usize = 500;
/// Most differences one audit names. Beyond: it stops looking.
pub const DISAGREEMENTS_MAX: usize = 100;

const _: () = assert!(MONEY_GROUP_LEN_MAX <= MONEY_QUEUE_LEN_MAX, "a full group fits the queue");
const _: () = assert!(SAMPLES_PER_SEAL * 2 <= CHUNK_LEN_GOAL, "a round ends before the next one is due");
const _: () = assert!(QUARANTINE_QUEUE_LEN_MAX < TELEMETRY_QUEUE_LEN_MAX, "quarantine never fills the queue alone");
