//! Every limit of the actors, in one place, with what happens at it.

/// Shards of pile supervisors.
pub const PILE_SHARDS: usize = 16;
/// Settlement actors; an account always has the same one. Each has one commit on its way, so this also bounds the
/// commits that wait for one disk write.
pub const SETTLEMENT_SHARDS: usize = 1024;
/// Messages that may wait for one pile's actor. Beyond: frames that need no acknowledgement (QoS 0 heartbeats and
/// progress) are shed and counted; never commands, events, records or anything acknowledged.
pub const PILE_MAILBOX_LEN_MAX: u32 = 256;
/// Messages that may wait for all actors together. Beyond: the ingest stops, and with it the reading of sockets.
pub const INFLIGHT_MAX: u32 = 50_000;
/// Jobs that may wait for one settlement actor. Beyond: `STORE_UNAVAILABLE`.
pub const SETTLEMENT_QUEUE_LEN_MAX: u32 = 512;
/// Accounts and open orders a settlement actor keeps in memory. Beyond: it forgets all and reads them again.
pub const SETTLEMENT_CACHE_LEN_MAX: usize = 2048;
/// Failures of one actor in a row before it rests for [`ACTOR_REST_MS`]; counted anew after a rest without failure.
pub const ACTOR_FAILURES_MAX: u32 = 5;
/// First pause of a failed actor; doubles with each failure.
pub const ACTOR_BACKOFF_MS: i64 = 100;
/// How long an actor rests that failed too often.
pub const ACTOR_REST_MS: i64 = 600_000;
/// How often the sweeper looks for deadlines that have passed.
pub const SWEEP_EVERY_MS: u64 = 100;
/// A sweep that comes later than this was held up: the round is skipped, so that frames waiting in sockets count first.
pub const SWEEP_LATE_MS: u64 = 2_000;
/// How long an effect of a session waits for another try when the store is away.
pub const EFFECT_RETRY_MS: i64 = 1_000;
/// Effects of one session that wait for the store. Beyond: the oldest progress goes; the machine's states bound the rest.
pub const EFFECTS_WAITING_MAX: usize = 16;
/// Orders whose late frames one pile's actor counts. Beyond: the oldest is forgotten.
pub const LATE_ORDERS_MAX: usize = 32;
/// Orders listed by [`crate::Handle::running`]. Beyond: cut.
pub const RUNNING_LEN_MAX: usize = 100_000;
/// How far before an order's creation its readings are looked for.
pub const READINGS_BEFORE_MS: i64 = 3_600_000;
/// Piles shown as the busiest on the supervision page. Beyond: not shown.
pub const TOP_LEN_MAX: usize = 20;
