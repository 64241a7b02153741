//! The independent judge: what every bill and every account must be, from what the piles metered.
//!
//! Written from CONTRACT 2.1 and 2.2 alone. Shares no code with the hub's pricing or ledger, and goes another way on
//! purpose: it walks minute by minute over the local clock instead of computing where periods begin.

pub mod bill;
pub mod money;
pub mod tariff;

#[cfg(test)]
mod tests;

pub use bill::{Charged, Price, price, price_any_offset};
pub use money::{Account, Payment};
pub use tariff::{Period, Tariff};
