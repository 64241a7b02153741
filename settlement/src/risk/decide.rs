//! Which rules strike at a gate, by which figures, and which of them counts.

use domain::{Fen, Millis, Timestamp, UserId};

use super::{
    RiskDecision,
    rules::{Gate, RiskRules, Rule, RuleKind},
    window::{SignalKind, Tally},
};
use crate::{order::Order, pricing::Bill};

/// What is asked: everything the rules may look at.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Where.
    pub gate: Gate,
    /// When.
    pub now: Timestamp,
    /// What the driver did lately.
    pub user: Option<&'a Tally>,
    /// What happened at the pile lately.
    pub pile: Option<&'a Tally>,
    /// The bill in question.
    pub bill: Option<&'a Bill>,
    /// `money.hold_over_fen`.
    pub hold_over: Fen,
}

/// A rule that strikes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strike<'a> {
    /// Which.
    pub rule: &'a Rule,
    /// What was counted or measured, in words.
    pub what: String,
    /// Its figure.
    pub value: i64,
    /// The figure at which the rule strikes.
    pub threshold: i64,
}

/// About whom a decision is.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The driver.
    pub user: &'a UserId,
    /// The order, when there is one.
    pub order: Option<&'a Order>,
}

/// Every rule that strikes, as they stand in the file.
#[must_use]
pub fn decide<'a>(rules: &'a RiskRules, question: &Question<'_>) -> Vec<Strike<'a>> {
    rules
        .rules
        .iter()
        .filter(|rule| rule.at.contains(&question.gate))
        .filter_map(|rule| strike(rule, question))
        .collect()
}

/// The strike that counts: the severest, of equals the first.
#[must_use]
pub fn worst<'a, 'b>(strikes: &'b [Strike<'a>]) -> Option<&'b Strike<'a>> {
    strikes.iter().fold(None, |worst: Option<&Strike<'a>>, strike| match worst {
        Some(known) if known.rule.outcome >= strike.rule.outcome => Some(known),
        Some(_) | None => Some(strike),
    })
}

impl Strike<'_> {
    /// The row of the decision log.
    #[must_use]
    pub fn decision(&self, decision_id: String, gate: Gate, about: Subject<'_>, now: Timestamp) -> RiskDecision {
        RiskDecision {
            decision_id,
            at: now,
            gate,
            outcome: self.rule.outcome,
            rule: Some(self.rule.name.clone()),
            what: self.what.clone(),
            value: self.value,
            threshold: self.threshold,
            user_id: Some(about.user.clone()),
            order_no: about.order.map(|order| order.order_no.clone()),
            pile_code: about.order.map(|order| order.pile_code.clone()),
        }
    }
}

fn strike<'a>(rule: &'a Rule, question: &Question<'_>) -> Option<Strike<'a>> {
    match &rule.kind {
        RuleKind::LargeOrder { over } => {
            let (total, over) = (question.bill?.total_fen, over.unwrap_or(question.hold_over));
            struck(rule, "fen of the bill".to_owned(), total.0, over.0, total > over)
        }
        RuleKind::FlaggedBill { flags } => {
            let odd = question.bill?.flags.iter().filter(|flag| flags.contains(flag));
            let names: Vec<String> = odd.map(|flag| format!("{flag:?}")).collect();
            let count = i64::try_from(names.len()).unwrap_or(i64::MAX);
            struck(rule, format!("flags of the bill: {}", names.join(", ")), count, 1, count > 0)
        }
        RuleKind::QuickTopups { count, fen, window } => {
            let what = format!("top-ups of {fen} or more within {} s", window.as_secs());
            let counts = |kind| matches!(kind, SignalKind::Topup(amount) if amount >= *fen);
            counted(rule, what, question.user, *count, *window, question.now, counts)
        }
        RuleKind::ManyStarts { count, window } => {
            let what = format!("starts within {} s", window.as_secs());
            counted(rule, what, question.user, *count, *window, question.now, |kind| kind == SignalKind::Start)
        }
        RuleKind::FrequentRefunds { count, window } => {
            let what = format!("refunds within {} s", window.as_secs());
            let counts = |kind| matches!(kind, SignalKind::Refund(_) | SignalKind::FullRefund(_));
            counted(rule, what, question.user, *count, *window, question.now, counts)
        }
        RuleKind::CouponLike { count, fen, window } => {
            let what = format!("orders of {fen} or less refunded in full within {} s", window.as_secs());
            let counts = |kind| matches!(kind, SignalKind::FullRefund(amount) if amount <= *fen);
            counted(rule, what, question.user, *count, *window, question.now, counts)
        }
        RuleKind::MeterAbnormalPile { count, window } => {
            let what = format!("wrong meter readings of the pile within {} s", window.as_secs());
            counted(rule, what, question.pile, *count, *window, question.now, |kind| kind == SignalKind::MeterMark)
        }
    }
}

fn counted<'a>(
    rule: &'a Rule,
    what: String,
    tally: Option<&Tally>,
    count: u32,
    window: Millis,
    now: Timestamp,
    counts: impl Fn(SignalKind) -> bool,
) -> Option<Strike<'a>> {
    let value = tally?.count(window, now, counts);
    struck(rule, what, value, i64::from(count), value >= i64::from(count))
}

fn struck(rule: &Rule, what: String, value: i64, threshold: i64, strikes: bool) -> Option<Strike<'_>> {
    strikes.then_some(Strike { rule, what, value, threshold })
}
