//! The real binary, killed at any instant of an order's life and started again on what it left behind: one order, one
//! bill, one settlement, money conserved, the session live again.
//!
//! The named points exist in a build with the feature `failpoints` only; everything else needs no feature.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests fail loudly")]

mod audit;
mod books;
mod charger;
#[cfg(feature = "failpoints")]
mod close;
mod disk;
mod driver;
#[cfg(feature = "failpoints")]
mod finance;
mod kills;
#[cfg(feature = "failpoints")]
mod points;
#[cfg(feature = "failpoints")]
mod secrets;
#[path = "../support/mod.rs"]
mod support;
