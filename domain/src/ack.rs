//! The receipt that travels with a frame until the frame is stored.

/// Names one received QoS 1 publish of one connection, so that its PUBACK can be sent once the frame is durable.
///
/// Opaque to everybody but the gate, which made it. A token of a connection that is gone is simply ignored:
/// the charger sends the frame again on its next connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AckToken {
    /// Slot of the connection in the gate.
    pub conn: u32,
    /// Epoch of that slot; a slot is used again by later connections.
    pub epoch: u32,
    /// Running number of the publish within the connection.
    pub n: u32,
}
