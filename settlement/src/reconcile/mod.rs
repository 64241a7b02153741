//! Reconciliation of a day: funds (the channels' bills × payments × ledger) and energy (bills × registers of the piles).
//!
//! Facts go in, differences come out; the same facts always give the same differences under the same names, so a run can be
//! repeated at any time. What people decided about a difference is never touched by a run. Knows no storage, no HTTP and no
//! clock, and moves no money.
//!
//! | module | answers |
//! |---|---|
//! | [`bills`] | what a channel's bill says, in the channel's own form |
//! | [`funds`](match_funds) | where channel, hub and books disagree |
//! | [`energy`](match_energy) | where bills and registers disagree |
//! | [`merge`] | what a run does to the items that are there already |
//! | [`book`](DayBook) | when a day can be closed, and by whom |

pub mod bills;
mod book;
mod day;
mod energy;
mod funds;
mod item;
mod merge;
mod yuan;

pub use book::{BookState, CloseRefusal, DayBook, Figures, Word};
pub use day::{BadDay, Day};
pub use energy::{EnergyFound, EnergySums, Metered, Register, Registers, differs, match_energy, meter_abnormal};
pub use funds::{BillLine, ChannelFile, ChannelSums, FundsFound, FundsInput, LineKind, Movement, Sum, match_funds};
pub use item::{About, Decision, Finding, Item, ItemKind, ItemRefusal, ItemState, Verdict};
pub use merge::{Run, merge};
pub use yuan::{fen_of_yuan, yuan_of_fen};
