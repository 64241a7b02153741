//! Simulated piles, phones and drivers, and the oracle that judges a hub from outside.
//!
//! Knows the words of `domain` and the wire contract, nothing of how a hub is built: it shares no code with the
//! hub's pricing, ledger or storage, so that a mistake there cannot hide here.

pub mod api;
pub mod cli;
pub mod client;
pub mod demo;
pub mod flood;
pub mod limits;
pub mod oracle;
pub mod pace;
pub mod pay;
pub mod phone;
pub mod pile;
pub mod rng;
pub mod run;
pub mod storm;
pub mod token;
pub mod trace;
