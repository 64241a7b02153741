//! Every limit of the live push, in one place, with what happens at it.

use std::time::Duration;

/// Sockets at one time, phones and dashboards together. Beyond: close 4429.
pub(crate) const SOCKETS_MAX: u32 = 18_000;
/// Sockets of one owner of tickets at one time (a fleet account watches many orders). Beyond: close 4429.
pub(crate) const SOCKETS_PER_OWNER_MAX: u32 = 1_000;
/// Sockets on one order at one time. Beyond: close 4429.
pub(crate) const SOCKETS_PER_ORDER_MAX: u32 = 20;
/// Orders followed at one time, watched or kept for a return. Beyond: close 4429.
pub(crate) const TRACKS_MAX: usize = 40_000;
/// One-use tickets that wait to be used. Beyond: no ticket is issued.
pub(crate) const TICKETS_MAX: usize = 100_000;
/// One-use tickets of one owner that wait to be used. Beyond: no ticket is issued to that owner.
pub(crate) const TICKETS_PER_OWNER_MAX: u32 = 2_000;

/// Deltas kept per order for phones that come back. Beyond: the oldest goes, who needed it gets a snapshot.
pub(crate) const RING_LEN_MAX: usize = 256;
/// Bytes of deltas kept per order. Beyond: the oldest goes, who needed it gets a snapshot.
pub(crate) const RING_BYTES_MAX: usize = 256 * 1024;
/// Segments of a bill in a message. Beyond: the message goes without them and says how many they are; they are read over HTTP.
pub(crate) const SEGMENTS_MAX: usize = 150;

/// Mean time between two progress messages of one order; what comes faster is merged.
pub(crate) const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// Progress messages of one order that may leave at once after a pause.
pub(crate) const PROGRESS_BURST: u32 = 2;
/// Mean time between two snapshots that a phone asks for. Beyond: the snapshot comes when it is due.
pub(crate) const RESYNC_EVERY: Duration = Duration::from_secs(2);
/// Snapshots that a phone may ask for at once.
pub(crate) const RESYNC_BURST: u32 = 3;
/// Step of the sweep that delivers merged progress.
pub(crate) const SWEEP_EVERY: Duration = Duration::from_millis(50);
/// Step of the sweep that drops orders nobody watches.
pub(crate) const DROP_EVERY: Duration = Duration::from_secs(10);
/// How long an order nobody watches is kept for a phone that comes back. After it: a new epoch.
pub(crate) const KEEP_UNWATCHED: Duration = Duration::from_secs(600);
/// The same for an order that is over.
pub(crate) const KEEP_ENDED: Duration = Duration::from_secs(60);

/// Read buffer of a socket, in bytes; resident per phone.
pub(crate) const READ_BUFFER_BYTES: usize = 1024;
/// Bytes that may wait in a socket; one message at a time is ever there. Beyond: the socket is closed.
pub(crate) const WRITE_BUFFER_BYTES_MAX: usize = 64 * 1024;
/// Longest message from a phone, in bytes. Beyond: close 1009.
pub(crate) const INBOUND_BYTES_MAX: usize = 1024;
/// Messages from a phone within one ping period. Beyond: close 1008.
pub(crate) const INBOUND_PER_PERIOD_MAX: u32 = 100;
/// Time for a phone to take one message. Beyond: close 4408.
pub(crate) const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a phone to take the close and answer it. Beyond: the connection is dropped.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Pings without an answer. At it: close 4408.
pub(crate) const MISSED_PONGS_MAX: u64 = 3;
/// Time for all sockets to close at the end of the process. Beyond: they are dropped.
pub(crate) const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// Shortest time between two pictures of the fleet.
pub(crate) const FLEET_EVERY: Duration = Duration::from_secs(1);
/// A picture that took long to draw waits this many times as long before the next: at most 2 % of a core.
pub(crate) const FLEET_DUTY: u32 = 50;
/// Piles read in one step while drawing. Other tasks run between two steps.
pub(crate) const FLEET_PAGE_LEN: usize = 1_000;
/// Stations in a picture. Beyond: the worst first, the rest are only counted.
pub(crate) const FLEET_STATIONS_MAX: usize = 500;
/// Running orders in a picture. Beyond: the newest, the rest are only counted.
pub(crate) const FLEET_ORDERS_MAX: usize = 50;
/// Events kept for the dashboard. Beyond: the oldest goes.
pub(crate) const FLEET_EVENTS_MAX: usize = 50;
/// Orders billed today that are told apart. Beyond: not added to the sums, logged.
pub(crate) const TODAY_ORDERS_MAX: usize = 500_000;

const _: () = assert!(RING_LEN_MAX >= 256, "CONTRACT 4 promises a window of 256 deltas");
const _: () = assert!(SOCKETS_PER_ORDER_MAX <= SOCKETS_PER_OWNER_MAX && SOCKETS_PER_OWNER_MAX <= SOCKETS_MAX);
