//! What a driver is given for a charge that went wrong through no fault of theirs: rules as data, one answer per order.
//!
//! Pure: it reads a closed order and says how much which rule gives. Whether that is credited at once or waits for a
//! person follows from the rule and from the operator's limit.

use domain::{Fen, StationId, StopReason, WattHours};
use serde::{Deserialize, Serialize};

use crate::{
    limits::{RULE_NAME_LEN_MAX, RULE_TEXT_LEN_MAX, RULES_MAX},
    order::{Order, OrderStatus, Verdict},
};

/// Rules, first to last; the first one that matches an order counts, so exceptions come first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompensationRules {
    /// The rules.
    #[serde(default)]
    pub rule: Vec<CompensationRule>,
}

/// One rule. What a condition leaves out matches everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompensationRule {
    /// Its name, as in `rule:{name}`.
    pub name: String,
    /// Why, as the driver reads it in Chinese.
    pub text_zh: String,
    /// Why, as the driver reads it in English.
    pub text_en: String,
    /// Why the charge ended, as numbers of the wire [CONTRACT 1.3].
    #[serde(default)]
    pub stop_reasons: Vec<u8>,
    /// How the fault's code begins: its class.
    #[serde(default)]
    pub fault_codes: Vec<String>,
    /// Where.
    #[serde(default)]
    pub stations: Vec<StationId>,
    /// Least energy of the charge.
    #[serde(default)]
    pub min_energy_wh: i64,
    /// Part of the service fee, 0 to 100.
    #[serde(default)]
    pub service_percent: u8,
    /// And so much beside it, in fen.
    #[serde(default)]
    pub fixed_fen: i64,
    /// But at most so much, in fen; 0: what was paid is the only limit.
    #[serde(default)]
    pub cap_fen: i64,
    /// Credited without a person, up to the operator's limit.
    #[serde(default)]
    pub auto: bool,
}

/// What an order is to be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compensation<'a> {
    /// By which rule.
    pub rule: &'a CompensationRule,
    /// How much; positive, at most what was paid and not given back.
    pub amount: Fen,
    /// Whether it needs no person.
    pub auto: bool,
}

/// Why rules are refused; names the rule, the value and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rule \"{rule}\": {field} = {value}: {remedy}")]
pub struct BadRule {
    /// Which rule.
    pub rule: String,
    /// Which field.
    pub field: &'static str,
    /// What was there.
    pub value: String,
    /// What to do.
    pub remedy: String,
}

impl BadRule {
    pub(crate) fn new(rule: &str, field: &'static str, value: impl ToString, remedy: impl Into<String>) -> Self {
        Self { rule: rule.to_owned(), field, value: value.to_string(), remedy: remedy.into() }
    }
}

impl CompensationRules {
    /// Checks what no type can say.
    ///
    /// # Errors
    /// [`BadRule`] for the first rule that makes no sense.
    pub fn check(&self) -> Result<(), BadRule> {
        let mut names = Vec::new();
        if self.rule.len() > RULES_MAX {
            return Err(BadRule::new("", "rule", self.rule.len(), format!("use at most {RULES_MAX} rules")));
        }
        for rule in &self.rule {
            check_name(&rule.name, &mut names)?;
            check_texts(&rule.name, [&rule.text_zh, &rule.text_en])?;
            rule.check()?;
        }
        Ok(())
    }

    /// What an order is given; `None` when no rule matches it, or the matching one gives nothing. `auto_max`: the most
    /// that is credited without a person.
    #[must_use]
    pub fn of(&self, order: &Order, auto_max: Fen) -> Option<Compensation<'_>> {
        let closed = matches!(order.status, OrderStatus::Closed | OrderStatus::ExceptionClosed);
        let rejected = order.review.as_ref().is_some_and(|review| review.verdict == Verdict::Rejected);
        // A provisional bill may still change: the order is looked at again when it was put right.
        if !closed || rejected || order.provisional {
            return None;
        }
        let rule = self.rule.iter().find(|rule| rule.matches(order))?;
        let amount = rule.amount(order)?;
        (amount > Fen::ZERO).then_some(Compensation { rule, amount, auto: rule.auto && amount <= auto_max })
    }
}

impl CompensationRule {
    fn check(&self) -> Result<(), BadRule> {
        let bad =
            |field, value: &dyn ToString, remedy: &str| Err(BadRule::new(&self.name, field, value.to_string(), remedy));
        if let Some(code) = self.stop_reasons.iter().find(|code| StopReason::from_code(**code).is_none()) {
            return bad("stop_reasons", code, "use the numbers of the record's stopReason, 1 to 10 and 99");
        }
        if self.service_percent > 100 {
            return bad("service_percent", &self.service_percent, "use 0 to 100");
        }
        for (field, value) in
            [("min_energy_wh", self.min_energy_wh), ("fixed_fen", self.fixed_fen), ("cap_fen", self.cap_fen)]
        {
            if value < 0 {
                return bad(field, &value, "use 0 or more");
            }
        }
        if self.service_percent == 0 && self.fixed_fen == 0 {
            return bad("fixed_fen", &self.fixed_fen, "say what the rule gives: fixed_fen, service_percent, or both");
        }
        Ok(())
    }

    fn matches(&self, order: &Order) -> bool {
        let ended = order.stop_reason.map(StopReason::code);
        let fault = order.fault_code.as_deref();
        let starts = |class: &String| fault.is_some_and(|code| code.starts_with(class.as_str()));
        (self.stop_reasons.is_empty() || ended.is_some_and(|code| self.stop_reasons.contains(&code)))
            && (self.fault_codes.is_empty() || self.fault_codes.iter().any(starts))
            && (self.stations.is_empty() || self.stations.contains(&order.station_id))
            && order.energy_wh >= WattHours(self.min_energy_wh)
    }

    /// Rounded down to the fen. `None` past the range of the type.
    fn amount(&self, order: &Order) -> Option<Fen> {
        let service = order.bill.as_ref()?.service_fen.0;
        let part = service.checked_mul(i64::from(self.service_percent))?.checked_div(100)?;
        let given = part.checked_add(self.fixed_fen)?;
        let capped = if self.cap_fen > 0 { given.min(self.cap_fen) } else { given };
        Some(Fen(capped).min(order.refundable()))
    }
}

/// Names are short, of letters, digits and dashes, and each is used once.
pub(crate) fn check_name<'a>(name: &'a str, names: &mut Vec<&'a str>) -> Result<(), BadRule> {
    let letters = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if name.is_empty() || name.len() > RULE_NAME_LEN_MAX || !letters {
        let remedy = format!("use 1 to {RULE_NAME_LEN_MAX} letters, digits and dashes");
        return Err(BadRule::new(name, "name", name, remedy));
    }
    if names.contains(&name) {
        return Err(BadRule::new(name, "name", name, "use another name: decisions are told apart by it"));
    }
    names.push(name);
    Ok(())
}

/// Both languages say something.
pub(crate) fn check_texts(rule: &str, texts: [&str; 2]) -> Result<(), BadRule> {
    for (field, text) in ["text_zh", "text_en"].into_iter().zip(texts) {
        if text.trim().is_empty() || text.len() > RULE_TEXT_LEN_MAX {
            return Err(BadRule::new(rule, field, text, format!("use 1 to {RULE_TEXT_LEN_MAX} bytes of text")));
        }
    }
    Ok(())
}
