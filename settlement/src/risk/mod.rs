//! Risk: which calls are refused, which bills wait for a person, and why. Rules are data, counters are windows.
//!
//! | module | answers |
//! |---|---|
//! | [`rules`] | what an operator may write, and what of it makes no sense |
//! | [`window`] | how often something happened lately, in bounded memory |
//! | [`decide`] | which rules strike at a gate, and what follows |
//! | [`credit`] | who may charge first and pay later |
//!
//! Pure: what happened comes in as signals with their times; nobody is asked and nothing is stored.

pub mod credit;
pub mod decide;
pub mod rules;
pub mod window;

use domain::{OrderNo, PileCode, Timestamp, UserId};
use serde::{Deserialize, Serialize};

pub use decide::{Question, Strike, decide, worst};
pub use rules::{Gate, Outcome, RiskRules, Rule, RuleKind};
pub use window::{Signal, SignalKind, Tallies, Tally};

/// A row of the decision log: which rule said what about whom, by which figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RiskDecision {
    /// Its name.
    pub decision_id: String,
    /// When.
    pub at: Timestamp,
    /// Where it was asked.
    pub gate: Gate,
    /// What follows.
    pub outcome: Outcome,
    /// The rule that struck; `None`: none did.
    pub rule: Option<String>,
    /// What was counted or measured, in words.
    pub what: String,
    /// Its figure.
    pub value: i64,
    /// The figure at which the rule strikes.
    pub threshold: i64,
    /// About whom.
    pub user_id: Option<UserId>,
    /// About which order.
    pub order_no: Option<OrderNo>,
    /// About which pile.
    pub pile_code: Option<PileCode>,
}
