//! The MQTT 3.1.1 packets a charger may send, read in place, and those it gets.
//!
//! Bytes only: no socket, no identity, no opinion on what is allowed.

pub(crate) mod framer;
pub(crate) mod read;
pub(crate) mod write;
