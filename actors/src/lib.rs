//! One actor per pile and per charging session, the settlement actors, and their supervisors.
//!
//! Drivers around the pure machines of `domain` and `settlement`: an actor reads the clock, feeds its machine, carries
//! effects out through ports and re-arms its deadline. It knows no bytes, no SQL, no HTTP and no broker; it never prices.

mod alarms;
pub mod api;
mod commands;
mod core;
mod handle;
mod jobs;
pub mod limits;
mod metric;
mod notices;
mod pile_actor;
mod pile_events;
mod pile_samples;
mod readings;
mod secrets;
mod session_actor;
mod session_effects;
mod session_words;
mod sessions;
mod settlement_actor;
mod settlement_pool;
mod slot;
mod supervisor;
mod sweeper;
mod views;

pub use handle::Handle;
pub use views::{BusyPile, Supervision};
