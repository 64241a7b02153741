//! The hub's HTTP interface as a caller sees it [CONTRACT 3]: plain HTTP/1.1, typed answers, every wait bounded.

mod calls;
mod http;
mod types;

pub use calls::{Api, Caller};
pub use http::{ApiError, Http};
pub use types::{Bill, NewPile, NewStation, Order, OrderLimit, PileSecret, Placed, Problem, Segment, TopUp, Wallet};
