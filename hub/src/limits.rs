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
/// Periods of one day of a tariff: its everyday ones, and those of each plan. Beyond: 422.
pub(crate) const TARIFF_PERIODS_MAX: usize = 96;
/// Stations that one call carries a tariff on to. Beyond: 422.
pub(crate) const ROLLOUT_STATIONS_MAX: usize = 200;
/// Days whose orders a dry run looks at when the caller does not say.
pub(crate) const DRY_RUN_DAYS_DEFAULT: i64 = 7;
/// Most days whose orders a dry run looks at. Beyond: 422.
pub(crate) const DRY_RUN_DAYS_MAX: i64 = 31;
/// Orders of all stations that one dry run looks at. Beyond: the later ones are left out and `truncated` says so.
pub(crate) const DRY_RUN_ORDERS_MAX: usize = 1_000_000;
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
/// How long a payment channel waits for the answer to its callback, less a margin, in milliseconds. Beyond: it is told to
/// try again; what was begun goes on.
pub(crate) const CALLBACK_WITHIN_MS: u64 = 4_500;
/// Hours after which a notice of Alipay is no repetition any more: it repeats for 25. Beyond: 401.
pub(crate) const ALIPAY_NOTICE_AGE_H: i64 = 26;
/// Nonces of callbacks that are remembered per channel. Beyond: the oldest is forgotten; its replay finds the payment
/// credited.
pub(crate) const NONCES_MAX: usize = 65_536;
/// Longest nonce, name of a transaction or of a payment in a channel's words. Beyond: the callback is refused.
pub(crate) const CHANNEL_WORD_LEN_MAX: usize = 64;
/// Largest answer of a payment channel, in bytes. Beyond: it counts as no answer.
pub(crate) const CHANNEL_ANSWER_LEN_MAX: usize = 1 << 20;
/// How long a payment channel may take to answer, in seconds. Beyond: the outcome is unknown and asked for later.
pub(crate) const CHANNEL_WITHIN_S: u64 = 10;
/// Idle connections kept to one payment channel. Beyond: closed.
pub(crate) const CHANNEL_CONNECTIONS_IDLE_MAX: usize = 16;
/// Questions and refunds that are under way at channels at once. Beyond: the others wait their turn.
pub(crate) const CHANNEL_CALLS_MAX: usize = 16;
/// Payments, refunds and suspense items that one look for due work takes. Beyond: the next look, at once.
pub(crate) const DUE_WORK_MAX: usize = 256;
/// Milliseconds between two looks for due work of payments.
pub(crate) const DUE_WORK_EVERY_MS: u64 = 500;
/// Milliseconds before due work that the store did not take is tried again.
pub(crate) const DUE_WORK_AGAIN_MS: i64 = 5_000;
/// Refunds of one payment, those that came to nothing too. Beyond: 409.
pub(crate) const REFUNDS_OF_PAYMENT_MAX: usize = 50;
/// Locks that keep steps of one payment apart; several payments share one.
pub(crate) const PAYMENT_LOCKS: usize = 256;
/// How long a stopping hub waits for calls that are running, in seconds. Beyond: it stops without them.
pub(crate) const DRAIN_S: u64 = 10;
/// Drivers, and piles, whose latest doings are remembered. Beyond: those silent longest are forgotten.
pub(crate) const RISK_SUBJECTS_MAX: usize = 100_000;
/// Places in which drivers take turns at what is read and then changed about them.
pub(crate) const RISK_TURNS: usize = 64;
/// Milliseconds between two looks at the outbox by the jobs of risk.
pub(crate) const FOLLOW_EVERY_MS: u64 = 250;
/// Rounds of these between two looks at what is due.
pub(crate) const FOLLOW_SLOWLY_EVERY: u64 = 4;
/// Events, or cases, that the jobs of risk take at a time. Beyond: the next page, or the next round.
pub(crate) const FOLLOW_LEN_MAX: usize = 200;
/// Pages of new marks on piles taken in one round. Beyond: the older ones count after the next start.
pub(crate) const MARK_PAGES_MAX: usize = 10;
/// Rows of one kind read back into the counters at the start. Beyond: the older ones do not count.
pub(crate) const RECALL_LEN_MAX: usize = 100_000;
/// Orders of a driver that are looked at before credit is given. Beyond: the older ones do not count.
pub(crate) const CREDIT_ORDERS_MAX: usize = 1_000;
/// Connections that may wait to be accepted. Beyond: the system lets callers try again.
pub(crate) const BACKLOG: u32 = 4_096;
/// Payments, and orders, that one reconciliation looks at. Beyond: the rest is left out, `truncated` says so, and the day
/// cannot be closed.
pub(crate) const RECON_ROWS_MAX: usize = 500_000;
/// Entries of the books that one reconciliation looks at. Beyond: see [`RECON_ROWS_MAX`].
pub(crate) const RECON_ENTRIES_MAX: usize = 5_000_000;
/// Items of one day. Beyond: see [`RECON_ROWS_MAX`].
pub(crate) const RECON_ITEMS_MAX: usize = 50_000;
/// Files of channels for one day. Beyond: 409.
pub(crate) const RECON_BILLS_PER_DAY_MAX: usize = 32;
/// Marks of one pile that are looked at. Beyond: the older ones are left out.
pub(crate) const RECON_MARKS_MAX: usize = 64;
/// Items in one commit. Beyond: the next commit.
pub(crate) const RECON_WRITES_PER_COMMIT_MAX: usize = 256;
/// Days back for which a missed reconciliation is made up for, and for which registers and items are looked for.
pub(crate) const RECON_BACK_DAYS: i64 = 7;
/// Days after its request within which a refund that is done is looked for. Beyond: only when a line names it.
pub(crate) const RECON_REFUND_DAYS: i64 = 31;
/// Files of a backup beside the databases, certificates of piles among them. Beyond: no backup is made, or read.
pub(crate) const BACKUP_FILES_MAX: usize = 100_000;
/// Bytes of a backup's list of sums. Beyond: the rest is not read, and the sums do not agree.
pub(crate) const BACKUP_SUMS_BYTES_MAX: u64 = 16 * 1024 * 1024;

const _: () = assert!(PAGE_LEN_DEFAULT <= PAGE_LEN_MAX);
const _: () = assert!(FOLLOW_LEN_MAX <= PAGE_LEN_MAX);
