//! Refunds by rule: each order that closed is looked at once, and given at most one.

use actors::api::Refusal;
use domain::UserId;
use serde_json::json;
use settlement::{
    adjustment::Adjustment,
    approval::{Actor, Applied, ApprovalEvent, ApprovalState},
    compensation::Compensation,
    order::Order,
    risk::{Gate, Outcome, worst},
};
use store::{
    cases::{CaseFilter, CaseKind, Filed},
    money::Write,
    registry::AuditRow,
};

use super::{Desk, Kept, away, filed::Filing};
use crate::limits::FOLLOW_LEN_MAX;

impl Desk {
    /// Gives a closed order what the rules say, once: its adjustment has a name of its own and the order no other by rule.
    pub(super) async fn compensate(&self, order: &Order) -> Result<(), Refusal> {
        let Some(given) = self.risk.compensation.of(order, self.risk.settings.auto_max) else { return Ok(()) };
        let _turn = self.turn(&order.user_id).await;
        if self.was_compensated(order).await? {
            return Ok(());
        }
        let strikes = self.risk.strikes(Gate::Refund, &order.user_id);
        self.log(Gate::Refund, &order.user_id, Some(order), &strikes).await?;
        let outcome = worst(&strikes).map_or(Outcome::Pass, |strike| strike.rule.outcome);
        if outcome == Outcome::Refuse {
            return Ok(());
        }
        let auto = given.auto && outcome == Outcome::Pass;
        let Some(adjustment) = self.drawn_up(order, &given, auto)? else { return Ok(()) };
        let audit = audit_of(&adjustment, &given);
        let filed = Filing(adjustment);
        let mut writes = vec![Write::Case(Box::new(filed.case()))];
        writes.extend(audit.map(|row| Write::Audit(Box::new(row))));
        if self.keep(writes).await? == Kept::Outrun || filed.0.approval.state != ApprovalState::Approved {
            return Ok(());
        }
        self.finish(filed, |_| Vec::new()).await.map(drop)
    }

    async fn was_compensated(&self, order: &Order) -> Result<bool, Refusal> {
        let about = Some(order.order_no.to_string());
        let filter = CaseFilter { about, ..CaseFilter::all(CaseKind::Adjustment) };
        let page = self.money.cases(&filter, None, FOLLOW_LEN_MAX).await.map_err(away)?;
        for case in page.items {
            let known: Filing<Adjustment> = case.read().map_err(away)?;
            if matches!(known.0.approval.author, Actor::Rule(_)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// `None` when nothing is left that could be given back.
    fn drawn_up(&self, order: &Order, given: &Compensation<'_>, auto: bool) -> Result<Option<Adjustment>, Refusal> {
        let now = self.now();
        let rule = Actor::Rule(given.rule.name.clone());
        let id = format!("comp:{}:{}", order.order_no, given.rule.name);
        let reason = format!("{} / {}", given.rule.text_zh, given.rule.text_en);
        let Ok(mut adjustment) = Adjustment::request(id, order, given.amount, rule.clone(), reason, now) else {
            return Ok(None);
        };
        if auto {
            let event = ApprovalEvent::Approve { by: rule, most: Some(self.risk.settings.auto_max) };
            let applied = adjustment.approval.apply(&event, now);
            let refused = |error| Refusal::IllegalState(format!("a rule may not approve: {error}"));
            let (Applied::Changed | Applied::Repeated) = applied.map_err(refused)?;
        }
        Ok(Some(adjustment))
    }
}

/// Who reads the audit trail finds refunds by rule there too.
fn audit_of(adjustment: &Adjustment, given: &Compensation<'_>) -> Option<AuditRow> {
    let actor = UserId::parse(&adjustment.approval.author.to_string()).ok()?;
    let detail = json!({ "orderNo": adjustment.order_no, "refundFen": given.amount, "auto": given.auto });
    Some(AuditRow {
        at: adjustment.approval.requested_at,
        actor,
        role: "rule".to_owned(),
        address: None,
        action: "COMPENSATION".to_owned(),
        target: adjustment.adjustment_id.clone(),
        detail: detail.to_string(),
    })
}
