//! The money rules of charging: what a charge costs, who owes what, and when an order is over.
//!
//! Pure: no storage, no network, no clock, no runtime. The same functions run behind every storage engine.
//!
//! | module | answers |
//! |---|---|
//! | [`tariff`] | which price holds at an instant |
//! | [`pricing`] | what a charge costs |
//! | [`ledger`] | whose money moves where |
//! | [`order`] | where an order is in its life |
//! | [`settle`] | in which order the facts of a step are stored |
//! | [`receipt`] | how somebody else works a bill out again |
//! | [`statement`] | what a month did to a driver's money |
//! | [`invariants`] | what must be true of everything stored |
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects, clippy::float_arithmetic))]

pub mod invariants;
pub mod ledger;
pub mod limits;
pub mod order;
pub mod pricing;
pub mod receipt;
pub mod settle;
pub mod statement;
pub mod tariff;
