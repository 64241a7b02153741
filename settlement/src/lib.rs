//! The money rules of charging: what a charge costs, who owes what, and when an order is over.
//!
//! Pure: no storage, no network, no clock, no runtime. The same functions run behind every storage engine.
//!
//! | module | answers |
//! |---|---|
//! | [`tariff`] | which price holds at an instant |
//! | [`pricing`] | what a charge costs |
//! | [`dry_run`] | what a draft would have earned |
//! | [`ledger`] | whose money moves where |
//! | [`order`] | where an order is in its life |
//! | [`payment`] | what becomes of a payment when its channel speaks |
//! | [`refund`] | where money on its way back to a channel is |
//! | [`suspense`] | what becomes of money nobody knows the owner of |
//! | [`reconcile`] | where channels, books and meters disagree |
//! | [`settle`] | in which order the facts of a step are stored |
//! | [`receipt`] | how somebody else works a bill out again |
//! | [`statement`] | what a month did to a driver's money |
//! | [`approval`] | whether two persons agreed before money moves by hand |
//! | [`adjustment`], [`compensation`] | what is given back after a charge, by whom or by which rule |
//! | [`debt`] | where a debt is, and what happens while it stays open |
//! | [`risk`] | what is refused, what waits for a person, who gets credit |
//! | [`invariants`] | what must be true of everything stored |
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects, clippy::float_arithmetic))]

pub mod adjustment;
pub mod approval;
pub mod compensation;
pub mod debt;
pub mod dry_run;
pub mod invariants;
pub mod ledger;
pub mod limits;
pub mod order;
pub mod payment;
pub mod pricing;
pub mod receipt;
pub mod reconcile;
pub mod refund;
pub mod risk;
pub mod settle;
pub mod statement;
pub mod suspense;
pub mod tariff;
