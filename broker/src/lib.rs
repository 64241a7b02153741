//! The MQTT front of the hub: chargers connect here, their frames come out understood, commands go back.
//!
//! ```text
//!            ┌─────────────────────────────── hot thread ───────────────────────────────┐
//! charger ──▶│ driver ─▶ machine ─▶ collector ─▶ pump ─▶ rumqttd ─▶ pump ─▶ ingest ─▶ UpSink │──▶ actors
//!    ▲       └──────────────────────────────────────────────────────────────────────────┘
//!    ├── PUBACK, once the frame is stored ◀── Acks ◀── the store's writer
//!    └── commands, record acks ◀───────────── Outbound ◀── actors
//! ```
//!
//! Knows nothing of orders, money, sessions or storage engines. A pile is a code, a number and a secret's verifier;
//! a frame is what [`domain::wire`] makes of its bytes. It never acknowledges a frame by itself.

mod acl;
mod allowance;
mod attempts;
pub mod authority;
mod batch;
mod collector;
mod conn;
mod driver;
mod enrolment;
mod flow;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod guard;
mod handles;
mod identity;
mod ingest;
pub mod limits;
mod mqtt;
pub mod names;
mod pacing;
mod pump;
mod readers;
mod registry;
mod router;
#[cfg(test)]
mod router_death;
mod shared;
mod sink;
mod sweeper;
mod tcp;
mod tls;
mod uptime;

pub use attempts::Attempt;
pub use enrolment::{TOKEN_LEN, token_from};
pub use gate::{Gate, GateConfig, GateLimits};
pub use handles::{Acks, Outbound, SendError};
pub use identity::{
    Credential, Identities, Identity, MASTER_KEY_LEN, NextSecret, NoRandomness, Proof, Rejected, Verified, Verifier,
    new_secret,
};
pub use pacing::Pacing;
pub use readers::{Account, Grants, Readers, username};
pub use router::RouterKind;
pub use sink::{BadFrame, Deliver, DownCause, LinkEvent, Up, UpSink};
pub use tls::{Tls, TlsError, TlsFiles};
