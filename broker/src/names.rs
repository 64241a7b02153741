//! The names of the gate's metrics. Never a pile code as a label: one series per pile would drown the monitoring.

use metrics::{Unit, describe_counter, describe_gauge};

/// Connections open, strangers included.
pub const CONNECTIONS: &str = "pilehub_gate_connections";
/// Sockets accepted.
pub const ACCEPTED: &str = "pilehub_gate_accepted_total";
/// Sockets closed at accept, by `limit`.
pub const TURNED_AWAY: &str = "pilehub_gate_turned_away_total";
/// CONNECTs refused, by `code` of the CONNACK.
pub const REFUSED: &str = "pilehub_gate_refused_total";
/// Connections ended, by `cause`.
pub const CLOSED: &str = "pilehub_gate_closed_total";
/// Attempts at what a pile or an integration must not do, by `what`: `publish`, `subscribe`, `will`, `qos_2`.
pub const FORBIDDEN: &str = "pilehub_gate_forbidden_total";
/// TLS handshakes, by `outcome`: `done`, `timeout`, `closed`, `incompatible`, `certificate_expired` …
pub const HANDSHAKES: &str = "pilehub_gate_handshakes_total";
/// Certificate files read again, by `outcome`: `loaded`, `failed`.
pub const CERTIFICATES: &str = "pilehub_gate_certificates_total";
/// When the gate's certificate ends, in seconds since 1970.
pub const CERTIFICATE_ENDS: &str = "pilehub_gate_certificate_not_after_seconds";
/// CONNECTs that were refused without looking at the secret, because of wrong ones before.
pub const NOT_LISTENED_TO: &str = "pilehub_gate_not_listened_to_total";
/// Attempts that the audit trail was not told of, because there were so many.
pub const UNTOLD: &str = "pilehub_gate_untold_total";
/// Bans that began.
pub const BANS: &str = "pilehub_gate_bans_total";
/// Odd connections of piles, by `what`: `flapping`, `clone`.
pub const ODD: &str = "pilehub_gate_odd_total";
/// Times a connection was not read for a while because it sent more than its share.
pub const THROTTLED: &str = "pilehub_gate_throttled_total";
/// Frames received.
pub const FRAMES: &str = "pilehub_gate_frames_total";
/// Frames not understood, by `reason`.
pub const BAD_FRAMES: &str = "pilehub_gate_bad_frames_total";
/// Frames of a connection that was taken over meanwhile: not delivered, not acknowledged.
pub const LATE_FRAMES: &str = "pilehub_gate_late_frames_total";
/// PUBACKs sent.
pub const PUBACKS: &str = "pilehub_gate_pubacks_total";
/// Messages taken for piles.
pub const SENT: &str = "pilehub_gate_sent_total";
/// Messages not taken for a pile, by `why`: `offline`, `queue_full`.
pub const NOT_SENT: &str = "pilehub_gate_not_sent_total";
/// Times all reading stopped because what was read could not be passed on, by `why`: `router`, `sink`.
pub const PAUSES: &str = "pilehub_gate_pauses_total";
/// Frames on their way through the router.
pub const IN_FLIGHT: &str = "pilehub_gate_frames_in_flight";
/// Publishes into the router.
pub const BATCHES: &str = "pilehub_gate_batches_total";
/// Routers replaced, by `why`: `dead`, `gap`, `stalled`.
pub const ROUTERS_REPLACED: &str = "pilehub_gate_routers_replaced_total";
/// Connections of integrations.
pub const INTEGRATIONS: &str = "pilehub_gate_integrations";
/// Frames handed over to integrations.
pub const INTEGRATION_FRAMES: &str = "pilehub_gate_integration_frames_total";
/// Connections of integrations that were closed because they did not keep up.
pub const INTEGRATIONS_LAGGING: &str = "pilehub_gate_integrations_lagging_total";

/// Tells the recorder what the names mean. Call once, after the recorder is installed.
pub fn describe() {
    describe_gauge!(CONNECTIONS, Unit::Count, "connections open, strangers included");
    describe_counter!(ACCEPTED, Unit::Count, "sockets accepted");
    describe_counter!(TURNED_AWAY, Unit::Count, "sockets closed at accept, by limit");
    describe_counter!(REFUSED, Unit::Count, "CONNECTs refused, by code of the CONNACK");
    describe_counter!(CLOSED, Unit::Count, "connections ended, by cause");
    describe_counter!(FORBIDDEN, Unit::Count, "attempts at what a pile or an integration must not do");
    describe_counter!(HANDSHAKES, Unit::Count, "TLS handshakes, by outcome");
    describe_counter!(CERTIFICATES, Unit::Count, "certificate files read again, by outcome");
    describe_gauge!(CERTIFICATE_ENDS, Unit::Seconds, "when the gate's certificate ends, since 1970");
    describe_counter!(NOT_LISTENED_TO, Unit::Count, "CONNECTs refused without looking at the secret");
    describe_counter!(UNTOLD, Unit::Count, "attempts the audit trail was not told of");
    describe_counter!(BANS, Unit::Count, "bans that began");
    describe_counter!(ODD, Unit::Count, "odd connections of piles, by kind");
    describe_counter!(THROTTLED, Unit::Count, "times a connection was not read for sending too much");
    describe_counter!(FRAMES, Unit::Count, "frames received");
    describe_counter!(BAD_FRAMES, Unit::Count, "frames not understood, by reason");
    describe_counter!(LATE_FRAMES, Unit::Count, "frames of connections that were taken over meanwhile");
    describe_counter!(PUBACKS, Unit::Count, "PUBACKs sent");
    describe_counter!(SENT, Unit::Count, "messages taken for piles");
    describe_counter!(NOT_SENT, Unit::Count, "messages not taken for a pile");
    describe_counter!(PAUSES, Unit::Count, "times all reading stopped");
    describe_gauge!(IN_FLIGHT, Unit::Count, "frames on their way through the router");
    describe_counter!(BATCHES, Unit::Count, "publishes into the router");
    describe_counter!(ROUTERS_REPLACED, Unit::Count, "routers replaced");
    describe_gauge!(INTEGRATIONS, Unit::Count, "connections of integrations");
    describe_counter!(INTEGRATION_FRAMES, Unit::Count, "frames handed over to integrations");
    describe_counter!(INTEGRATIONS_LAGGING, Unit::Count, "integrations closed because they did not keep up");
}
