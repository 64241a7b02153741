//! Limits of the hub's own doors that no operator needs to set, with what happens at each. Those that may be set are in
//! [`crate::config::Limits`].

/// Rows of one page when the caller does not say.
pub(crate) const PAGE_LEN_DEFAULT: usize = 50;
/// Most rows of one page. Beyond: 422, the same as the store's own limit.
pub(crate) const PAGE_LEN_MAX: usize = store::limits::PAGE_LEN_MAX;
/// Piles in one import. Beyond: 422.
pub(crate) const IMPORT_LEN_MAX: usize = 50_000;
/// Integrations. Beyond: 422.
pub(crate) const INTEGRATIONS_MAX: usize = 256;
/// Stations of one integration that are named one by one. Beyond: 422.
pub(crate) const INTEGRATION_STATIONS_MAX: usize = 1_000;
/// Largest answer that the command line reads from a hub, in bytes. Beyond: the command fails.
pub(crate) const ANSWER_LEN_MAX: u64 = 4 * 1024 * 1024;
/// How long the command line waits for a hub, in seconds. Beyond: the command fails.
pub(crate) const HUB_WITHIN_S: u64 = 10;
/// Longest `Idempotency-Key`, in bytes. Beyond: 422.
pub(crate) const IDEMPOTENCY_KEY_LEN_MAX: usize = 255;
/// Idempotent calls running at once. Beyond: 429.
pub(crate) const CALLS_RUNNING_MAX: usize = 10_000;
/// Longest bearer token, in bytes. Beyond: 401 without looking at it.
pub(crate) const TOKEN_LEN_MAX: usize = 4_096;
/// Longest name or reason, in characters. Beyond: 422.
pub(crate) const TEXT_LEN_MAX: usize = 200;
/// Periods of one tariff. Beyond: 422.
pub(crate) const TARIFF_PERIODS_MAX: usize = 96;
/// Largest top-up, in fen. Beyond: 422.
pub(crate) const TOPUP_FEN_MAX: i64 = 100_000_000;
/// Buckets of one telemetry answer. Beyond: 422.
pub(crate) const BUCKETS_MAX: i64 = 2_000;
/// Samples one telemetry answer is made from. Beyond: the later ones are left out and `truncated` says so.
pub(crate) const SAMPLES_MAX: usize = 200_000;
/// Movements of an account that one receipt is looked for in, back to the order's beginning. Beyond: 422.
pub(crate) const RECEIPT_ENTRIES_MAX: usize = 100_000;
/// Largest receipt that the command line reads, in bytes. Beyond: it is refused.
pub(crate) const RECEIPT_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Movements of an account that one statement is worked out from, back to the month's beginning. Beyond: 422.
pub(crate) const STATEMENT_ENTRIES_MAX: usize = 100_000;
/// Pages of a list that are looked through for one page of what is asked for. Beyond: the page is short, its cursor leads on.
pub(crate) const SIFT_READS_MAX: usize = 20;
/// Rows of one export. Beyond: the export ends, and its last line says from where to ask on.
pub(crate) const EXPORT_ROWS_MAX: usize = 1_000_000;
/// By how much the machine's clock is thought to have been set back between two facts, in ms. Beyond: a fact from before
/// may be missing where a list is looked through by time.
pub(crate) const CLOCK_STEP_MS_MAX: i64 = 86_400_000;
/// How often the heads of the audit trail are looked after, in seconds.
pub(crate) const AUDIT_HEADS_EVERY_S: u64 = 600;
/// Heads of the audit trail that are written in one round. Beyond: the next round.
pub(crate) const AUDIT_HEADS_PER_ROUND_MAX: usize = 4_000;
/// Orders one statistics answer is made from. Beyond: the older ones are left out and `truncated` says so.
pub(crate) const STATS_ORDERS_MAX: usize = 100_000;
/// Widest search radius, in metres. Beyond: 422.
pub(crate) const RADIUS_M_MAX: i64 = 200_000;
/// Search radius when the caller does not say, in metres.
pub(crate) const RADIUS_M_DEFAULT: i64 = 5_000;
/// Addresses whose calls are counted. Beyond: those that were silent longest are forgotten.
pub(crate) const ADDRESSES_MAX: usize = 65_536;
/// How long both secrets of a pile are good while one replaces the other, in seconds.
pub(crate) const ROTATION_S: i64 = 86_400;
/// How long an enrolment token lets its pile in, in seconds.
pub(crate) const ENROLMENT_S: i64 = 900;
/// Changes of secrets in one commit. Beyond: the next commit.
pub(crate) const ROTATIONS_PER_COMMIT_MAX: usize = 256;
/// Seconds by which the time of a payment callback may be off. Beyond: 401.
pub(crate) const CALLBACK_SKEW_S: i64 = 300;
/// How long a stopping hub waits for calls that are running, in seconds. Beyond: it stops without them.
pub(crate) const DRAIN_S: u64 = 10;
/// Connections that may wait to be accepted. Beyond: the system lets callers try again.
pub(crate) const BACKLOG: u32 = 4_096;

const _: () = assert!(PAGE_LEN_DEFAULT <= PAGE_LEN_MAX);
