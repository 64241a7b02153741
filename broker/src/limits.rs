//! Every limit of the gate, in one place, with what happens at it.
//!
//! The values here are defaults or hard bounds; what an operator may set is copied into
//! [`GateConfig`](crate::GateConfig) and can be lowered or raised there.

use std::time::Duration;

/// Largest payload of a frame, in bytes. Beyond: the first `PAYLOAD_LEN_MAX` bytes are quarantined and the frame is
/// acknowledged [CONTRACT 1.6].
pub const PAYLOAD_LEN_MAX: usize = domain::limits::PAYLOAD_LEN_MAX;
/// Largest remaining length a packet may claim, in bytes. Beyond: closed at the header [CONTRACT 1.6].
pub const PACKET_LEN_MAX: usize = 256 * 1024;
/// Bytes of one packet's body that are kept. Beyond: a PUBLISH is read on and cut, every other packet closes the
/// connection at its header (no honest one is that long).
pub const BODY_KEPT_MAX: usize = PAYLOAD_LEN_MAX + 1024;
/// Filters in one SUBSCRIBE or UNSUBSCRIBE. Beyond: closed.
pub const FILTERS_PER_PACKET_MAX: usize = 32;

/// Frames per second of one pile that are always read; a frame counts once per begun [`FRAME_UNIT_LEN`]. Beyond: it
/// shares [`SURPLUS_PER_S_MAX`] with the others, and when that is used up its socket is not read for a while.
pub const FRAMES_PER_PILE_PER_S_MAX: u32 = 100;
/// How many seconds' worth a pile may send at once, after it was offline for example.
pub const FRAMES_BURST_S: u32 = 10;
/// See [`FRAMES_PER_PILE_PER_S_MAX`].
pub const FRAME_UNIT_LEN: usize = 1_024;
/// Frames per second beyond their own that all piles share. See [`FRAMES_PER_PILE_PER_S_MAX`].
pub const SURPLUS_PER_S_MAX: u32 = 5_000;
/// How many seconds' worth of it may be used at once.
pub const SURPLUS_BURST_S: u32 = 10;
/// Bytes of packets that have come in part, of all connections together; a quarter for those who have not said who they
/// are. Beyond: the connection that brings the next one is closed.
pub const INBOUND_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Size of the read buffer that all connections of a thread share, in bytes; no more is read from one socket at a time.
pub const READ_BUFFER_LEN: usize = 64 * 1024;

/// Bytes read at a time while many want to be read, or from a connection that has used up its share. Beyond: with its
/// next turn, after the others.
pub const FAIR_READ_LEN: usize = 4 * 1024;

/// Connections open at once. Beyond: the newest is closed at once, counted.
pub const CONNECTIONS_MAX: usize = 18_000;
/// Connections open at once that have not shown who they are, a quarter of them from one address. Beyond: the newest is
/// closed at once, counted.
pub const STRANGERS_MAX: usize = 4_096;
/// Largest pile number, and so the length of the table of piles. Beyond: CONNACK 3, counted.
pub const PILE_NO_MAX: u32 = 1_000_000;

/// Sockets of one address at once. Beyond: the newest is closed at once, counted. Generous, because thousands of piles
/// share one carrier's address.
pub const SOCKETS_PER_ADDRESS_MAX: u32 = 16_000;
/// Sockets one address may open in a minute, and at once. Beyond: closed at once, counted.
pub const CONNECTS_PER_ADDRESS_PER_MIN_MAX: u32 = 60_000;
/// Addresses that are counted at once. Beyond: those of whom there is nothing to remember are forgotten, and a new one
/// is turned away when there are none.
pub const ADDRESSES_MAX: usize = 65_536;
/// Piles as seen from an address that are remembered at once. Beyond: only the address is counted.
pub const PAIRS_MAX: usize = 131_072;
/// CONNECTs of one pile per minute. Beyond: held down with CONNACK 3, its session kept.
pub const CONNECTS_PER_PILE_PER_MIN_MAX: u32 = 60;
/// How many minutes' worth of [`CONNECTS_PER_PILE_PER_MIN_MAX`] a pile may use at once.
pub const CONNECTS_BURST_MIN: u32 = 10;
/// CONNECTs of one pile that it may use at once before it is flagged as flapping, and how many come back per minute.
pub const FLAPS_BURST: u32 = 20;
/// See [`FLAPS_BURST`].
pub const FLAPS_PER_MIN: u32 = 2;
/// How often one pile is flagged, at most.
pub const FLAG_EVERY: Duration = Duration::from_secs(600);
/// Two takeovers of one pile from changing addresses within this time are a clone's doing.
pub const CLONE_WINDOW: Duration = Duration::from_secs(600);
/// Piles let in per second. Beyond: CONNACK 3, counted; they come again.
pub const ADMISSIONS_PER_S_MAX: u32 = 2_000;
/// How many seconds' worth of [`ADMISSIONS_PER_S_MAX`] are let in at once.
pub const ADMISSIONS_BURST_S: u32 = 3;
/// How often a storm of connections is told to the audit trail, at most: one row instead of one per pile.
pub const STORM_TOLD_EVERY: Duration = Duration::from_secs(60);
/// Wrong secrets for one pile from one address. Beyond: that pile is not listened to from there, for [`BAN_MIN`] at
/// first and twice as long each time, CONNACK 5.
pub const FAILURES_PER_PILE_MAX: u32 = 20;
/// Wrong secrets from one address. Beyond: no pile that was guessed at from there is listened to,
/// unless it was right from there before.
pub const FAILURES_PER_ADDRESS_MAX: u32 = 1_000;
/// Wrong secrets older than this are forgotten.
pub const FAILURES_WINDOW: Duration = Duration::from_secs(600);
/// See [`FAILURES_PER_PILE_MAX`].
pub const BAN_MIN: Duration = Duration::from_secs(1);
/// Longest ban. Beyond: the next one is no longer than this.
pub const BAN_MAX: Duration = Duration::from_secs(900);

/// Longest ban of a pile that was right from that address before: guesses at its name from its own carrier's address
/// must not keep it out for long. Beyond: the next one is no longer than this.
pub const BAN_OF_GOOD_MAX: Duration = Duration::from_secs(60);

/// TLS handshakes at once, a quarter of them from one address, a 64th once half are taken. Beyond: the next socket waits to be accepted, or is
/// closed when it is its address that has too many.
pub const HANDSHAKES_MAX: u32 = 4_096;
/// From accept to the end of the handshake. Beyond: closed.
pub const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);
/// How often the certificate files are looked at.
pub const CERTIFICATES_LOOK_EVERY: Duration = Duration::from_secs(2);

/// From accept to a whole CONNECT. Beyond: closed.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long a refused connection may stay to read its CONNACK. Beyond: closed.
pub const LINGER: Duration = Duration::from_secs(1);
/// Keep-alive of a connection that asked for none (0). Without a packet for 1.5 times that long: closed.
pub const KEEP_ALIVE_MAX: Duration = Duration::from_secs(600);
/// How long bytes may wait for a peer that takes none. Beyond: closed.
pub const WRITE_WITHIN: Duration = Duration::from_secs(10);
/// How long a frame may wait for its PUBACK. Beyond: closed, the charger sends it again on its next connection.
pub const STORE_WITHIN: Duration = Duration::from_secs(30);

/// Forbidden attempts of one connection that are logged and told to the audit trail. Beyond: counted only.
pub const ATTEMPTS_PER_CONNECTION_MAX: u32 = 20;
/// Refused certificates of one address that are told to the audit trail at once, and per minute. Beyond: counted and
/// logged only.
pub const TOLD_PER_ADDRESS_BURST: u32 = 20;
/// See [`TOLD_PER_ADDRESS_BURST`].
pub const TOLD_PER_ADDRESS_PER_MIN: u32 = 2;
/// Attempts of all together that are told to the audit trail per second, [`TOLD_BURST`] of them at once. Beyond: counted
/// and logged only; clones, flapping and storms are told all the same.
pub const TOLD_PER_S_MAX: u32 = 10;
/// See [`TOLD_PER_S_MAX`].
pub const TOLD_BURST: u32 = 1_000;
/// Attempts that wait for the audit trail. Beyond: counted and logged only.
pub const ATTEMPTS_QUEUE_LEN_MAX: usize = 1_024;

/// Bad frames within [`BAD_FRAMES_WINDOW`] that close a connection: the last of so many [CONTRACT 1.6].
pub const BAD_FRAMES_MAX: usize = 20;
/// See [`BAD_FRAMES_MAX`].
pub const BAD_FRAMES_WINDOW: Duration = Duration::from_secs(60);

/// QoS 1 frames of one connection that wait for their PUBACK. Beyond: its socket is not read.
pub const UNACKED_PER_CONNECTION_MAX: usize = 512;
/// Bytes that wait to be written to one connection. Beyond: its socket is not read and no message is taken for it.
pub const UNWRITTEN_LEN_MAX: usize = 64 * 1024;

/// Messages that wait for one pile: not subscribed yet, or too many unacknowledged. Beyond: `QueueFull`.
pub const OUTBOUND_QUEUE_LEN_MAX: usize = 64;
/// Bytes of the messages that wait for one pile. Beyond: `QueueFull`.
pub const OUTBOUND_QUEUE_BYTES_MAX: usize = 64 * 1024;
/// QoS 1 messages to one pile that wait for its PUBACK. Beyond: the next ones wait in the queue.
pub const OUTBOUND_INFLIGHT_MAX: usize = 16;
/// How long a message may wait for the pile's PUBACK. Beyond: its place is given to the next one; whoever sent it
/// sends it again.
pub const OUTBOUND_ACK_WITHIN: Duration = Duration::from_secs(20);

/// How long a message is of use to a pile, unless its sender says less. Beyond: not sent any more.
pub const OUTBOUND_KEPT: Duration = Duration::from_secs(86_400);
/// Bytes of messages kept for piles that are away and asked for it (clean session 0), of all together. Beyond: only
/// what a pile subscribed to is kept.
pub const SESSIONS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Frames in one publish into the router. Beyond: the next publish.
pub const BATCH_FRAMES_MAX: usize = 64;
/// Bytes at which a batch is closed even with fewer frames (one frame may pass it).
pub const BATCH_LEN_TARGET: usize = 64 * 1024;
/// Frames on their way through the router. Beyond: no socket is read until they came out.
pub const FRAMES_IN_FLIGHT_MAX: usize = 8_192;
/// Bytes on their way through the router. Beyond: no socket is read until they came out.
pub const BYTES_IN_FLIGHT_MAX: usize = 1024 * 1024;
/// Publishes on their way through the router. Beyond: the next ones wait before it. Keeps its channel from filling,
/// where a send would block the thread.
pub const BATCHES_IN_FLIGHT_MAX: usize = 512;

/// Connections of all integrations at once; each has a link into the router. Beyond: CONNACK 3, counted.
pub const INTEGRATION_CONNECTIONS_MAX: usize = 64;
/// Connections of one integration at once. Beyond: CONNACK 3, counted.
pub const INTEGRATION_CONNECTIONS_PER_ACCOUNT_MAX: usize = 4;
/// Filters of one connection of an integration. Beyond: SUBACK 0x80.
pub const INTEGRATION_FILTERS_MAX: usize = 64;
/// Longest client id of an integration, in characters. Beyond: CONNACK 2.
pub const INTEGRATION_CLIENT_ID_LEN_MAX: usize = 64;
/// How long an integration may take to make room for what comes next, while [`UNWRITTEN_LEN_MAX`] waits for it. Beyond:
/// closed, counted as lagging; so is who falls behind the router's log ([`ROUTER_SEGMENTS_MAX`]).
pub const INTEGRATION_LAG_MAX: Duration = WRITE_WITHIN;

/// Size of one segment of the router's log, in bytes. Small ones stay warm in the cache.
pub const ROUTER_SEGMENT_LEN: usize = 256 * 1024;
/// Segments of the router's log. Beyond: it forgets the oldest, so all that is in flight must fit (asserted below).
pub const ROUTER_SEGMENTS_MAX: usize = 12;
/// Messages the router hands over at once. Beyond: with the next turn.
pub const ROUTER_FORWARD_MAX: u64 = 100;
/// Connections of one router. Beyond: it refuses the link; the gate needs two, and one for each connection of an
/// integration.
pub const ROUTER_CONNECTIONS_MAX: usize = 1_000;
/// Capacity of the router's own event channel (fixed in rumqttd).
const ROUTER_CHANNEL_LEN: usize = 1_000;
/// How long the hot thread stands still for a batch to come out of the router. Beyond: it comes with a later round.
pub const ROUTER_WITHIN: Duration = Duration::from_micros(500);
/// Nothing came out of the router for so long although something is in it: it is given up and replaced.
pub const ROUTER_STALL: Duration = Duration::from_secs(5);
/// How often an idle router is given something to carry, so that a dead or stalled one is found before it is needed.
pub const ROUTER_CANARY_EVERY: Duration = Duration::from_secs(1);
/// Pause before the second attempt to start a router; doubles up to [`ROUTER_RETRY_MAX`].
pub const ROUTER_RETRY_MIN: Duration = Duration::from_millis(50);
/// See [`ROUTER_RETRY_MIN`].
pub const ROUTER_RETRY_MAX: Duration = Duration::from_secs(5);

const _: () = {
    assert!(BODY_KEPT_MAX < PACKET_LEN_MAX, "an oversize frame is quarantined, not closed");
    assert!(BODY_KEPT_MAX < READ_BUFFER_LEN, "a whole packet can be parsed in place");
    assert!(
        BYTES_IN_FLIGHT_MAX * 2 < ROUTER_SEGMENT_LEN * (ROUTER_SEGMENTS_MAX - 1),
        "what is in flight, with the reads that pass the limit, fits into the log"
    );
    assert!(
        BATCHES_IN_FLIGHT_MAX + 100 + 4 * INTEGRATION_CONNECTIONS_MAX < ROUTER_CHANNEL_LEN,
        "a publish never blocks, whatever the links of integrations say"
    );
    assert!(INTEGRATION_CONNECTIONS_MAX + 2 < ROUTER_CONNECTIONS_MAX, "there is a link for each");
    assert!(BATCHES_IN_FLIGHT_MAX * BATCH_FRAMES_MAX > FRAMES_IN_FLIGHT_MAX, "frames are the limit that is met first");
    assert!(OUTBOUND_INFLIGHT_MAX <= OUTBOUND_QUEUE_LEN_MAX);
    assert!(BAD_FRAMES_MAX > 0);
};
