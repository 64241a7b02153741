//! The settings of risk, debts and what is given back.

use serde::{Deserialize, Serialize};

/// What waits for a person, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Risk {
    /// Path of the rules; `""`: those of `config/risk.toml`, built in.
    pub(crate) rules: String,
    /// Seconds after which a held bill that nobody has decided raises an alarm.
    pub(crate) hold_deadline_s: u32,
    /// Bills over this that no rule struck are in the decision log too, in fen.
    pub(crate) log_pass_over_fen: i64,
    /// So many bills held because of a pile, or wrong readings of its meter, put it into maintenance; `0`: never.
    pub(crate) pile_maintenance_after: u32,
    /// Within so many seconds.
    pub(crate) pile_window_s: u32,
}

/// Refunds by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Adjustment {
    /// The most that finance may approve, in fen; more needs an admin.
    pub(crate) finance_max_fen: i64,
}

/// Refunds by rule.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Compensation {
    /// Path of the rules; `""`: those of `config/compensation.toml`, built in.
    pub(crate) rules: String,
    /// The most that a rule may credit without a person, in fen.
    pub(crate) auto_max_fen: i64,
}

/// What happens while a debt is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Debt {
    /// Days after which its driver is reminded, rising.
    pub(crate) reminder_days: Vec<u32>,
    /// Days after which its driver is put on the blacklist; `0`: never.
    pub(crate) blacklist_after_days: u32,
    /// For how many days; `0`: until nothing is owed.
    pub(crate) blacklist_for_days: u32,
}

impl Default for Risk {
    fn default() -> Self {
        Self {
            rules: String::new(),
            hold_deadline_s: 86_400,
            log_pass_over_fen: 10_000,
            pile_maintenance_after: 5,
            pile_window_s: 604_800,
        }
    }
}

impl Default for Adjustment {
    fn default() -> Self {
        Self { finance_max_fen: 100_000 }
    }
}

impl Default for Debt {
    fn default() -> Self {
        Self { reminder_days: vec![1, 3, 7, 30], blacklist_after_days: 0, blacklist_for_days: 0 }
    }
}
