//! The words and rules of charging that every other crate shares.
//!
//! Nothing here opens a socket, reads a clock, draws a random number, stores a byte or knows a price:
//! `now` is always an argument, and the dependencies in `Cargo.toml` prove the rest.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects, clippy::float_arithmetic))]

pub mod ack;
pub mod clock_offset;
pub mod command;
pub mod connector;
pub mod ids;
pub mod limits;
pub mod pile;
pub mod reason;
pub mod session;
pub mod time;
pub mod units;
pub mod wire;

pub use ack::AckToken;
pub use ids::{CommandId, ConnectorId, EventId, IntegrationName, OrderNo, PileCode, PileNo, StationId, UserId};
pub use reason::StopReason;
pub use time::{Clock, Millis, Timestamp};
pub use units::{DeciCelsius, Fen, MilliAmps, MilliVolts, PriceE4, SocTenths, WattHours, Watts};
