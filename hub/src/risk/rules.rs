//! The files of rules: built in, or those that the configuration names. One that makes no sense refuses the start.

use std::path::PathBuf;

use serde::de::DeserializeOwned;
use settlement::{
    compensation::{BadRule, CompensationRules},
    risk::{RiskRules, rules::WrittenRules},
};

const RISK: &str = include_str!("../../../config/risk.toml");
const COMPENSATION: &str = include_str!("../../../config/compensation.toml");

/// Why a file of rules is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RulesError {
    /// It cannot be read.
    #[error("cannot read {}: {cause}; correct {key}, or set it to \"\" for the built-in rules", path.display())]
    Unreadable { key: &'static str, path: PathBuf, cause: std::io::Error },
    /// It is no file of rules.
    #[error("{place} is no file of rules: {cause}")]
    Unread { place: String, cause: toml::de::Error },
    /// A rule makes no sense.
    #[error("{place}: {bad}")]
    Bad { place: String, bad: BadRule },
}

/// The rules of risk and of compensation; `""` is the built-in file.
///
/// # Errors
/// [`RulesError`], which names the file, the rule and the remedy.
pub(crate) fn read(risk: &str, compensation: &str) -> Result<(RiskRules, CompensationRules), RulesError> {
    let place = |path: &str, name: &str| if path.is_empty() { format!("the built-in {name}") } else { path.to_owned() };
    let risk_place = place(risk, "config/risk.toml");
    let written: WrittenRules = parse(&text_of("risk.rules", risk, RISK)?, &risk_place)?;
    let rules = RiskRules::read(written).map_err(|bad| RulesError::Bad { place: risk_place, bad })?;
    let place = place(compensation, "config/compensation.toml");
    let given: CompensationRules = parse(&text_of("compensation.rules", compensation, COMPENSATION)?, &place)?;
    given.check().map_err(|bad| RulesError::Bad { place, bad })?;
    Ok((rules, given))
}

fn text_of(key: &'static str, path: &str, built_in: &str) -> Result<String, RulesError> {
    if path.is_empty() {
        return Ok(built_in.to_owned());
    }
    std::fs::read_to_string(path).map_err(|cause| RulesError::Unreadable { key, path: path.into(), cause })
}

fn parse<T: DeserializeOwned>(text: &str, place: &str) -> Result<T, RulesError> {
    toml::from_str(text).map_err(|cause| RulesError::Unread { place: place.to_owned(), cause })
}

#[cfg(test)]
mod tests {
    use settlement::risk::{Outcome, RuleKind};

    use super::*;

    #[test]
    fn the_built_in_rules_make_sense_and_hold_or_refuse_nothing_that_the_contract_settles() {
        let (risk, compensation) = read("", "").unwrap();
        assert_eq!(risk.rules.len(), 7, "one rule of each kind");
        let flagged = risk
            .rules
            .iter()
            .find_map(|rule| if let RuleKind::FlaggedBill { flags } = &rule.kind { Some(flags) } else { None });
        assert_eq!(flagged, Some(&vec![]), "odd bills are flagged, never held, unless an operator says so");
        let large = risk.named("large-order").unwrap();
        assert_eq!((&large.kind, large.outcome), (&RuleKind::LargeOrder { over: None }, Outcome::Hold));
        assert!(!compensation.rule.is_empty());
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named_with_its_key_or_its_rule() {
        let missing = read("/nowhere/risk.toml", "").unwrap_err().to_string();
        assert!(missing.contains("/nowhere/risk.toml") && missing.contains("risk.rules"), "{missing}");
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        std::fs::write(path, "[[rule]]\nname = \"a\"\n").unwrap();
        let unread = read(path, "").unwrap_err().to_string();
        assert!(unread.contains(path) && unread.contains("kind"), "{unread}");
        let text = "[[rule]]\nname = \"a\"\ntext_zh = \"z\"\ntext_en = \"e\"\nfixed_fen = -1\n";
        std::fs::write(path, text).unwrap();
        let bad = read("", path).unwrap_err().to_string();
        assert!(bad.contains("rule \"a\": fixed_fen = -1"), "{bad}");
    }
}
