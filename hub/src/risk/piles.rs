//! Piles that look wrong too often are taken out of service by themselves [R17]; a person puts them back.

use std::collections::HashSet;

use actors::api::Refusal;
use domain::{Millis, PileCode, Timestamp, UserId};
use serde_json::json;
use settlement::risk::{Gate, Outcome, RiskDecision, Signal, SignalKind};
use store::{
    cases::{CaseFilter, CaseKind, Filed},
    money::Write,
    registry::AuditRow,
};

use super::{Desk, away, filed::Filing};
use crate::limits::{FOLLOW_LEN_MAX, MARK_PAGES_MAX};

/// The rule's name in the decision log and who acts in the audit trail.
const RULE: &str = "high-risk-pile";

impl Desk {
    /// Hears of marks that somebody put on piles since the last time.
    pub(super) async fn look_at_marks(&self) -> Result<(), Refusal> {
        let mut cursor: Option<String> = None;
        let mut seen = HashSet::new();
        let mut concerned = HashSet::new();
        for _ in 0..MARK_PAGES_MAX {
            let filter = CaseFilter { open_only: true, ..CaseFilter::all(CaseKind::PileMark) };
            let page = self.money.cases(&filter, cursor.as_deref(), FOLLOW_LEN_MAX).await.map_err(away)?;
            let mut any_known = false;
            for mark in page.items {
                let is_new = !self.marks.lock().contains(&mark.id);
                any_known |= !is_new;
                if let Some(pile) = PileCode::parse(&mark.about).ok().filter(|_| is_new) {
                    let signal = Signal { name: mark.id.clone(), at: mark.at, kind: SignalKind::MeterMark };
                    self.risk.note_pile(&pile, signal);
                    concerned.insert(pile);
                }
                seen.insert(mark.id);
            }
            cursor = page.next_cursor;
            if any_known || cursor.is_none() {
                break;
            }
        }
        if !concerned.is_empty() {
            *self.marks.lock() = seen;
        }
        for pile in concerned {
            self.look_at_pile(&pile).await?;
        }
        Ok(())
    }

    /// Takes a pile out of service that looked wrong too often since it was last taken out this way.
    pub(super) async fn look_at_pile(&self, pile: &PileCode) -> Result<(), Refusal> {
        let settings = &self.risk.settings;
        let after = i64::from(settings.pile_after);
        let begins = self.now().plus(Millis(settings.pile_window.0.saturating_neg()));
        if after == 0 || self.risk.pile_signals(pile, begins) < after {
            return Ok(());
        }
        let from = self.taken_out(pile).await?.map_or(begins, |at| at.max(begins));
        let count = self.risk.pile_signals(pile, from);
        let serves = self.actors.pile(pile).is_some_and(|pile| pile.maintenance.is_none());
        if count < after || !serves {
            return Ok(());
        }
        let now = self.now();
        let days = settings.pile_window.as_secs() / 86_400;
        let reason = format!("high risk: {count} suspect bills or wrong meter readings within {days} days");
        let audit = AuditRow {
            at: now,
            actor: UserId::parse(RULE).map_err(|bad| Refusal::Validation(bad.to_string()))?,
            role: "rule".to_owned(),
            address: None,
            action: "PILE_MAINTENANCE".to_owned(),
            target: pile.to_string(),
            detail: json!({ "on": true, "reason": reason }).to_string(),
        };
        self.actors.set_maintenance(pile, Some(reason), audit, None).await?;
        let decision = RiskDecision {
            decision_id: format!("{RULE}:{pile}:{}", now.as_millis()),
            at: now,
            gate: Gate::Bill,
            outcome: Outcome::Refuse,
            rule: Some(RULE.to_owned()),
            what: "suspect bills and wrong meter readings of the pile".to_owned(),
            value: count,
            threshold: after,
            user_id: None,
            order_no: None,
            pile_code: Some(pile.clone()),
        };
        self.keep(vec![Write::Case(Box::new(Filing(decision).case()))]).await.map(drop)
    }

    /// When it was last taken out of service this way.
    async fn taken_out(&self, pile: &PileCode) -> Result<Option<Timestamp>, Refusal> {
        let filter = CaseFilter { about: Some(pile.to_string()), ..CaseFilter::all(CaseKind::RiskDecision) };
        let page = self.money.cases(&filter, None, FOLLOW_LEN_MAX).await.map_err(away)?;
        for case in page.items {
            let decision: Filing<RiskDecision> = case.read().map_err(away)?;
            if decision.0.rule.as_deref() == Some(RULE) {
                return Ok(Some(decision.0.at));
            }
        }
        Ok(None)
    }
}
