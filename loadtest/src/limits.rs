//! Every limit of the load generator, in one place, with what happens at it.

use std::time::Duration;

/// Frames one pile keeps for a hub that it cannot reach. Beyond: the oldest status frame is lost and noted as lost.
pub const OUTBOX_LEN_MAX: usize = 4096;
/// QoS 1 publishes of one pile that may wait for their PUBACK. Beyond: the rest stays in the outbox.
pub const IN_FLIGHT_MAX: usize = 16;
/// Command ids one pile remembers so that it acts once. Beyond: the oldest is forgotten.
pub const COMMANDS_REMEMBERED_MAX: usize = 64;
/// Records one pile keeps until the hub has them. Beyond: it starts no further charge.
pub const RECORDS_KEPT_MAX: usize = 16;
/// Steps in which one stretch of a charge is integrated. Beyond: the steps become longer than a second.
pub const CURVE_STEPS_MAX: i64 = 10_000;
/// Events waiting for one pile's task. Beyond: whoever sends waits.
pub const PILE_INBOX_LEN_MAX: usize = 64;
/// Packets between `rumqttc`'s event loop and its pile. Beyond: the event loop waits.
pub const RUMQTTC_QUEUE_LEN_MAX: usize = 64;
/// Largest MQTT packet a simulated pile accepts, in bytes. Beyond: it closes the connection.
pub const PACKET_LEN_MAX: usize = 64 * 1024;
/// Piles that use `rumqttc` in one run. Beyond: the rest uses the lean client.
pub const RUMQTTC_PILES_MAX: usize = 300;
/// Connections that may be in their handshake at once. Beyond: they queue.
pub const CONNECTING_MAX: usize = 64;
/// New piles that dial per second in a run, which measures a fleet at work and not one that wakes up in one moment.
/// Beyond: they wait their turn.
pub const DIALS_PER_S: u32 = 250;
/// Drivers that may prepare their session at once. Beyond: they queue before the clock of their session starts.
pub const HTTP_IN_FLIGHT_MAX: usize = 64;
/// Largest HTTP answer that is read, in bytes. Beyond: the call fails.
pub const HTTP_BODY_LEN_MAX: usize = 32 * 1024 * 1024;
/// Largest WebSocket message a phone accepts, in bytes. Beyond: it closes and says so.
pub const WS_MESSAGE_LEN_MAX: usize = 256 * 1024;
/// Differences told in full in the report. Beyond: only counted.
pub const STORIES_MAX: usize = 20;
/// Lines of the timeline of one session. Beyond: dropped, the story says so.
pub const TIMELINE_LEN_MAX: usize = 200;
/// Moments kept per order to match what a phone shows with when it was metered. Beyond: not measured.
pub const SENDS_PER_ORDER_MAX: usize = 20_000;
/// Clock errors the oracle tries around an injected offset, in milliseconds: the hub measures it over the network.
pub const OFFSET_SLACK_MS: i64 = 1_500;

/// Connections to the simulated payment channels at once. Beyond: the next one waits.
pub const PAY_CONNECTIONS_MAX: usize = 256;

/// Longest wait for one HTTP answer.
pub const HTTP_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest wait for a connection to open, CONNACK and SUBACK included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest wait for a socket to take what is written.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// First wait before a pile dials again; doubles up to [`REDIAL_WAIT_MAX`], with jitter.
pub const REDIAL_WAIT_MIN: Duration = Duration::from_millis(200);
/// See [`REDIAL_WAIT_MIN`].
pub const REDIAL_WAIT_MAX: Duration = Duration::from_secs(5);
/// Longest silence of a socket. Beyond: the phone counts it as dead.
pub const PHONE_SILENCE_MAX: Duration = Duration::from_secs(60);
/// Longest wait for the bill after a charge has ended. Beyond: the session counts as wrong.
pub const BILL_WAIT_MAX: Duration = Duration::from_secs(90);
/// Longest wait for a hub of our own to become ready. Beyond: the run fails.
pub const HUB_READY_WAIT_MAX: Duration = Duration::from_secs(60);
/// Longest wait for a hub of our own to drain after SIGTERM. Beyond: killed, and the verdict says so.
pub const HUB_STOP_WAIT_MAX: Duration = Duration::from_secs(30);

/// Heartbeats of one flooding connection that may wait for their PUBACK. Beyond: not sent, counted.
pub const FLOOD_WAITING_MAX: usize = 4_096;
/// Longest wait for the last PUBACKs of a flood. Beyond: what is missing counts as lost.
pub const FLOOD_DRAIN_MAX: Duration = Duration::from_secs(10);

const _: () = assert!(IN_FLIGHT_MAX < OUTBOX_LEN_MAX && IN_FLIGHT_MAX < RUMQTTC_QUEUE_LEN_MAX);
