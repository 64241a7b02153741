//! Held bills and their deadline, and the log of what the rules decided. The clock never decides a bill: past its time
//! an alarm calls a person.

use actors::api::Refusal;
use domain::{OrderNo, PileCode, Timestamp, UserId};
use serde_json::json;
use settlement::{
    order::{Order, OrderStatus},
    risk::{Gate, Outcome, RiskDecision, RuleKind, Signal, SignalKind, Strike, decide::Subject},
};
use store::{
    cases::{CaseKind, Filed, OutboxEvent},
    money::{Severity, Write},
    registry::AuditRow,
};

use super::{
    Desk, away,
    filed::{Filing, HeldBill, HeldState},
};
use crate::limits::FOLLOW_LEN_MAX;

const OVERDUE: &str = "HOLD_OVERDUE";
/// Who acts in the audit trail when a clock does.
const CLOCK: &str = "risk.hold_deadline";

impl Desk {
    /// A bill was held: its clock begins, the decision is written down, and its pile may have to answer for it.
    pub(super) async fn held(&self, order: &Order, at: Timestamp) -> Result<(), Refusal> {
        let reason = order.hold_reason.clone().unwrap_or_default();
        let bill = HeldBill {
            order_no: order.order_no.clone(),
            user_id: order.user_id.clone(),
            pile_code: order.pile_code.clone(),
            reason: reason.clone(),
            held_at: at,
            due_at: at.plus(self.risk.settings.hold_deadline),
            state: HeldState::Waiting,
            rev: 1,
        };
        // Told again after a crash: the clock runs already.
        self.keep(vec![Write::Case(Box::new(bill.case()))]).await?;
        let decision = self.decision_of_hold(order, &reason, at);
        self.keep(vec![Write::Case(Box::new(Filing(decision).case()))]).await?;
        if self.note_hold(&order.order_no, &order.pile_code, &reason, at) {
            self.look_at_pile(&order.pile_code).await?;
        }
        Ok(())
    }

    /// A bill that was held because of its pile speaks against the pile; whether this one does.
    pub(super) fn note_hold(&self, order_no: &OrderNo, pile: &PileCode, reason: &str, at: Timestamp) -> bool {
        let by_pile =
            |kind: &RuleKind| matches!(kind, RuleKind::MeterAbnormalPile { .. } | RuleKind::FlaggedBill { .. });
        let speaks = self.risk.rule_of_hold(reason).is_some_and(|rule| by_pile(&rule.kind));
        if speaks {
            self.risk.note_pile(pile, Signal { name: order_no.to_string(), at, kind: SignalKind::Held });
        }
        speaks
    }

    /// The figures of the rule as they are now; those of the bill when the rule has gone since.
    fn decision_of_hold(&self, order: &Order, reason: &str, at: Timestamp) -> RiskDecision {
        let id = format!("hold:{}", order.order_no);
        let about = Subject { user: &order.user_id, order: Some(order) };
        let strikes = order.bill.as_ref().map(|bill| self.risk.strikes_of_bill(order, bill)).unwrap_or_default();
        let name = self.risk.rule_of_hold(reason).map_or(reason, |rule| rule.name.as_str());
        let strike = strikes.into_iter().find(|strike| strike.rule.name == name);
        let mut decision = match strike {
            Some(strike) => strike.decision(id, Gate::Bill, about, at),
            None => self.plain_decision(id, order, at),
        };
        decision.outcome = Outcome::Hold;
        decision.rule = Some(name.to_owned());
        decision
    }

    fn plain_decision(&self, decision_id: String, order: &Order, at: Timestamp) -> RiskDecision {
        RiskDecision {
            decision_id,
            at,
            gate: Gate::Bill,
            outcome: Outcome::Pass,
            rule: None,
            what: "fen of the bill".to_owned(),
            value: order.bill.as_ref().map_or(0, |bill| bill.total_fen.0),
            threshold: self.risk.settings.hold_over.0,
            user_id: Some(order.user_id.clone()),
            order_no: Some(order.order_no.clone()),
            pile_code: Some(order.pile_code.clone()),
        }
    }

    /// A bill that passed although it is large, or although a rule that only watches struck, is in the log too.
    pub(super) async fn log_large_pass(&self, order: &Order) -> Result<(), Refusal> {
        let Some(bill) = order.bill.as_ref().filter(|_| order.hold_reason.is_none()) else { return Ok(()) };
        let strikes = self.risk.strikes_of_bill(order, bill);
        let watching: Vec<_> = strikes.into_iter().filter(|strike| strike.rule.outcome == Outcome::Pass).collect();
        self.log(Gate::Bill, &order.user_id, Some(order), &watching).await?;
        if bill.total_fen <= self.risk.settings.log_pass_over {
            return Ok(());
        }
        let decision = self.plain_decision(format!("pass:{}", order.order_no), order, self.now());
        self.keep(vec![Write::Case(Box::new(Filing(decision).case()))]).await.map(drop)
    }

    /// Writes down what the rules said. About an order each rule is heard once; about a driver once in a minute, so that
    /// somebody who is refused again and again does not fill the store.
    pub(crate) async fn log(
        &self,
        gate: Gate,
        user: &UserId,
        order: Option<&Order>,
        strikes: &[Strike<'_>],
    ) -> Result<(), Refusal> {
        const MINUTE_MS: i64 = 60_000;
        let now = self.now();
        for strike in strikes {
            let name = &strike.rule.name;
            let id = match order {
                Some(order) => format!("{name}:{gate:?}:{}", order.order_no),
                None => format!("{name}:{gate:?}:{user}:{}", now.as_millis().div_euclid(MINUTE_MS)),
            };
            let decision = strike.decision(id, gate, Subject { user, order }, now);
            self.keep(vec![Write::Case(Box::new(Filing(decision).case()))]).await?;
        }
        Ok(())
    }

    /// A person has decided about a bill that was held.
    pub(super) async fn hold_is_over(&self, order: &Order) -> Result<(), Refusal> {
        if order.hold_reason.is_none() || order.status == OrderStatus::Held {
            return Ok(());
        }
        let case = self.money.case(CaseKind::Hold, order.order_no.as_str()).await.map_err(away)?;
        let Some(case) = case.filter(|case| case.open) else { return Ok(()) };
        let bill: HeldBill = case.read().map_err(away)?;
        self.put(bill, HeldState::Decided).await
    }

    /// Held bills whose time has passed: an alarm and an event, never a decision.
    pub(super) async fn due_holds(&self) -> Result<(), Refusal> {
        let now = self.now();
        for case in self.money.due_cases(CaseKind::Hold, now, FOLLOW_LEN_MAX).await.map_err(away)? {
            let bill: HeldBill = case.read().map_err(away)?;
            let order = self.money.order(&bill.order_no).await.map_err(away)?;
            match order.filter(|order| order.status == OrderStatus::Held) {
                Some(order) => self.overdue(bill, &order, now).await?,
                None => self.put(bill, HeldState::Decided).await?,
            }
        }
        Ok(())
    }

    async fn overdue(&self, bill: HeldBill, order: &Order, now: Timestamp) -> Result<(), Refusal> {
        let total = order.bill.as_ref().map_or(0, |bill| bill.total_fen.0);
        let data = json!({ "orderNo": order.order_no, "holdReason": bill.reason, "totalFen": total,
            "heldAt": bill.held_at, "dueAt": bill.due_at });
        let event = OutboxEvent {
            event_id: format!("order.hold_overdue:{}", order.order_no),
            name: "order.hold_overdue".to_owned(),
            at: now,
            subject: order.order_no.to_string(),
            data: data.to_string(),
        };
        let pile = bill.pile_code.clone();
        let text = format!("the bill of order {} has waited for a person since {}", order.order_no, bill.held_at);
        let overdue = HeldBill { state: HeldState::Overdue, rev: bill.rev.saturating_add(1), ..bill };
        let audit = AuditRow {
            at: now,
            actor: UserId::parse(CLOCK).map_err(|bad| Refusal::Validation(bad.to_string()))?,
            role: "clock".to_owned(),
            address: None,
            action: OVERDUE.to_owned(),
            target: order.order_no.to_string(),
            detail: data.to_string(),
        };
        let with =
            vec![Write::Case(Box::new(overdue.case())), Write::Outbox(Box::new(event)), Write::Audit(Box::new(audit))];
        self.actors.raise_alarm_with(&pile, OVERDUE, Severity::High, text, Some(&order.order_no), with).await
    }

    async fn put(&self, bill: HeldBill, state: HeldState) -> Result<(), Refusal> {
        let next = HeldBill { state, rev: bill.rev.saturating_add(1), ..bill };
        // Outrun by nobody but an earlier run of the same job.
        self.keep(vec![Write::Case(Box::new(next.case()))]).await.map(drop)
    }
}
