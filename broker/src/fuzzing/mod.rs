//! What must hold for any bytes at all: one function per fuzz target, which panics when it does not hold.
//!
//! `fuzz/` hands them what libFuzzer thinks up, the tests below what a seed and the committed inputs give. No part of
//! the gate uses them.

mod connect;
mod conversation;
mod frames;
mod packets;
mod reference;
mod topics;

pub use connect::connect;
pub use conversation::conversation;
pub use frames::frames;
pub use packets::packets;
pub use topics::topics;

/// A fuzz target.
pub type Target = fn(&[u8]);

/// All targets by the name of their folder in `fuzz/seeds/`.
pub const TARGETS: [(&str, Target); 5] = [
    ("packets", packets),
    ("connect", connect),
    ("topics", topics),
    ("frames", frames),
    ("conversation", conversation),
];

#[cfg(test)]
mod tests;
