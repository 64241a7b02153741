//! Where facts live: the storage ports, the contract test-suite every engine passes, and the embedded engine.
//!
//! Knows nothing of actors, HTTP or MQTT. An engine stores what it is told; it never decides.

pub mod audit;
pub mod cases;
pub mod chain;
#[cfg(feature = "contract")]
pub mod contract;
pub mod failpoint;
pub mod limits;
pub mod metric;
pub mod money;
mod planned;
pub mod registry;
pub mod sqlite;
pub mod telemetry;
