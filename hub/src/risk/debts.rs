//! Debts while they are open: reminders and the blacklist by the operator's policy, repayment by top-ups, and the end of
//! all that when nothing is owed any more.

use actors::api::Refusal;
use domain::{Fen, Millis, OrderNo, Timestamp, UserId};
use serde::Deserialize;
use serde_json::json;
use settlement::{
    debt::{Debt, DebtState, DebtStep, DebtWatch, POLICY, allot},
    ledger::OpResult,
    order::Order,
    risk::{Signal, SignalKind},
};
use store::{
    cases::{CaseFilter, CaseKind, Filed, OutboxEvent},
    money::{BlacklistEntry, Commit, Payment, Write},
    registry::AuditRow,
};

use super::{Desk, away, filed::FiledDebt};
use crate::limits::FOLLOW_LEN_MAX;

const DAY_MS: i64 = 86_400_000;

/// What `debt.opened` tells of the debt.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Opened {
    debt_fen: Fen,
}

/// What `payment.credited` tells of the payment.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Credited {
    payment_no: String,
}

impl Desk {
    /// The debt of an order, with what was missing in the first place; `None` when nothing was.
    pub(crate) async fn debt_of(&self, order: &Order) -> Result<Option<Debt>, Refusal> {
        let mut owed: i64 = 0;
        for op in ["capture", "correct"] {
            let name = format!("{op}:{}", order.order_no);
            let stored = self.money.op_result(&order.user_id, &name).await.map_err(away)?;
            let result = stored.and_then(|text| serde_json::from_str::<OpResult>(&text).ok());
            if let Some(OpResult::Captured { debt, .. } | OpResult::Corrected { debt, .. }) = result {
                owed = owed.saturating_add(debt.0);
            }
        }
        Ok(Debt::of(order, Fen(owed)))
    }

    /// An order began to owe something.
    pub(super) async fn debt_opened(&self, order: &Order, event: &OutboxEvent) -> Result<(), Refusal> {
        let opened: Option<Opened> = serde_json::from_str(&event.data).ok();
        let fen = opened.map_or(order.debt_fen, |opened| opened.debt_fen);
        self.watch_debt(order, event.at, fen).await
    }

    pub(super) async fn watch_debt(&self, order: &Order, at: Timestamp, fen: Fen) -> Result<(), Refusal> {
        let watch = DebtWatch::opened(order.order_no.clone(), order.user_id.clone(), at, fen);
        let next = match self.filed_debt(&order.order_no).await? {
            None => self.filed(watch, at),
            // It was told before: the debt is open, or was and is over.
            Some(known) if known.watch.closed_at.is_none_or(|closed| closed >= at) => return Ok(()),
            // A correction opened it again.
            Some(known) => {
                let rev = known.watch.rev.saturating_add(1);
                self.filed(DebtWatch { rev, ..watch }, known.first_at)
            }
        };
        self.keep(vec![Write::Case(Box::new(next.case()))]).await.map(drop)
    }

    /// Nothing is owed for an order any more.
    pub(super) async fn debt_cleared(&self, order: &Order) -> Result<(), Refusal> {
        let _turn = self.turn(&order.user_id).await;
        if order.debt_fen > Fen::ZERO {
            return Ok(());
        }
        if let Some(known) = self.filed_debt(&order.order_no).await?.filter(Filed::is_open) {
            let state = Debt::of(order, known.watch.opened_fen).map_or(DebtState::Cleared, |debt| debt.state);
            let watch = known.watch.in_state(state, self.now());
            let next = self.filed(DebtWatch { rev: watch.rev.saturating_add(1), ..watch }, known.first_at);
            self.keep(vec![Write::Case(Box::new(next.case()))]).await?;
        }
        self.take_off(&order.user_id).await
    }

    /// Takes a driver who owes nothing off the blacklist, if it was this policy that put them there.
    async fn take_off(&self, user: &UserId) -> Result<(), Refusal> {
        let account = self.money.account(user).await.map_err(away)?;
        if account.is_some_and(|account| !account.debts.is_empty()) {
            return Ok(());
        }
        let entry = self.money.blacklisted(user).await.map_err(away)?;
        if entry.is_none_or(|entry| entry.by != POLICY) {
            return Ok(());
        }
        let audit = audit_row(user, self.now(), &json!({ "on": false, "reason": "nothing is owed any more" }))?;
        let writes = vec![Write::Blacklist(user.clone(), None), Write::Audit(Box::new(audit))];
        self.actors.write_for(user, Commit { writes }).await
    }

    /// Reminders and the blacklist, each once.
    pub(super) async fn due_debts(&self) -> Result<(), Refusal> {
        let now = self.now();
        for case in self.money.due_cases(CaseKind::Debt, now, FOLLOW_LEN_MAX).await.map_err(away)? {
            let seen: FiledDebt = case.read().map_err(away)?;
            let order = self.money.order(&seen.watch.order_no).await.map_err(away)?;
            match order.filter(|order| order.debt_fen > Fen::ZERO) {
                Some(order) => self.remind(&order, now).await?,
                // Paid in the meantime: its event closes it.
                None => self.file_again(&seen, None).await?,
            }
        }
        Ok(())
    }

    async fn remind(&self, order: &Order, now: Timestamp) -> Result<(), Refusal> {
        let user = &order.user_id;
        let _turn = self.turn(user).await;
        let Some(known) = self.filed_debt(&order.order_no).await?.filter(Filed::is_open) else { return Ok(()) };
        let (after, steps) = known.watch.steps(&self.risk.settings.debts, now);
        let next = self.filed(DebtWatch { rev: after.rev.saturating_add(1), ..after }, known.first_at);
        let mut writes = vec![Write::Case(Box::new(next.case()))];
        for step in steps {
            match step {
                DebtStep::Remind { day } => {
                    writes.push(Write::Outbox(Box::new(reminder(order, &known.watch, day, now))));
                }
                DebtStep::Blacklist => writes.extend(self.blacklist(order, &known.watch, now).await?),
            }
        }
        self.actors.write_for(user, Commit { writes }).await
    }

    /// A driver whom somebody has put on the list already stays there by that word.
    async fn blacklist(&self, order: &Order, watch: &DebtWatch, now: Timestamp) -> Result<Vec<Write>, Refusal> {
        let user = &order.user_id;
        let entry = self.money.blacklisted(user).await.map_err(away)?;
        if entry.is_some_and(|entry| entry.holds_at(now)) {
            return Ok(Vec::new());
        }
        let reason = format!("{} of order {} are owed since {}", order.debt_fen, order.order_no, watch.opened_at);
        let days = i64::from(self.risk.settings.blacklist_for_days);
        let until = (days > 0).then(|| now.plus(Millis(DAY_MS.saturating_mul(days))));
        let audit = audit_row(user, now, &json!({ "on": true, "reason": reason, "until": until }))?;
        let entry = BlacklistEntry { reason, by: POLICY.to_owned(), at: now, until };
        Ok(vec![Write::Blacklist(user.clone(), Some(entry)), Write::Audit(Box::new(audit))])
    }

    /// A top-up was credited: the counters hear of it, and it pays what is owed, where the operator wants that.
    pub(super) async fn credited(&self, event: &OutboxEvent) -> Result<(), Refusal> {
        let Ok(Credited { payment_no }) = serde_json::from_str(&event.data) else { return Ok(()) };
        let Some(payment) = self.money.payment(&payment_no).await.map_err(away)? else { return Ok(()) };
        if let Some(signal) = topup_signal(&payment) {
            self.risk.note_user(&payment.user_id, signal);
        }
        if self.risk.settings.repay_on_topup { self.repay_by(&payment).await } else { Ok(()) }
    }

    /// Oldest debt first. Each repayment is named by the top-up, so that none is made twice.
    async fn repay_by(&self, payment: &Payment) -> Result<(), Refusal> {
        let user = &payment.user_id;
        let Some(account) = self.money.account(user).await.map_err(away)? else { return Ok(()) };
        let request = format!("topup:{}", payment.payment_no);
        for (order_no, amount) in allot(&account.debts, account.available) {
            let op = format!("repay:{order_no}:{request}");
            if self.money.op_result(user, &op).await.map_err(away)?.is_some() {
                continue;
            }
            match self.actors.repay_by_request(&order_no, amount, request.clone()).await {
                Ok(_) => tracing::info!(order = %order_no, payment = payment.payment_no, "a top-up paid a debt"),
                Err(error @ Refusal::StoreUnavailable(_)) => return Err(error),
                // The driver was quicker: paid it, or used the money.
                Err(error) => tracing::info!(order = %order_no, %error, "a top-up does not pay a debt"),
            }
        }
        Ok(())
    }

    /// Puts debts under the policy in force: those from before it, and those that nobody watches yet.
    pub(super) async fn recall_debts(&self) -> Result<(), Refusal> {
        let mut cursor: Option<String> = None;
        loop {
            let page = self.money.owing_orders(cursor.as_deref(), FOLLOW_LEN_MAX).await.map_err(away)?;
            for order in &page.items {
                if self.filed_debt(&order.order_no).await?.is_none() {
                    let since = order.ended_at.unwrap_or(order.created_at).max(order.created_at);
                    self.watch_debt(order, since, order.debt_fen).await?;
                }
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        let filter = CaseFilter { open_only: true, ..CaseFilter::all(CaseKind::Debt) };
        loop {
            let page = self.money.cases(&filter, cursor.as_deref(), FOLLOW_LEN_MAX).await.map_err(away)?;
            for case in &page.items {
                let known: FiledDebt = case.read().map_err(away)?;
                let due = known.watch.due(&self.risk.settings.debts);
                self.file_again(&known, due).await?;
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }

    /// Changes nothing but when it is looked at next.
    async fn file_again(&self, known: &FiledDebt, due: Option<Timestamp>) -> Result<(), Refusal> {
        if known.due == due {
            return Ok(());
        }
        let watch = DebtWatch { rev: known.watch.rev.saturating_add(1), ..known.watch.clone() };
        let next = FiledDebt { watch, due, ..known.clone() };
        self.keep(vec![Write::Case(Box::new(next.case()))]).await.map(drop)
    }

    async fn filed_debt(&self, order_no: &OrderNo) -> Result<Option<FiledDebt>, Refusal> {
        let case = self.money.case(CaseKind::Debt, order_no.as_str()).await.map_err(away)?;
        case.map(|case| case.read()).transpose().map_err(away)
    }

    fn filed(&self, watch: DebtWatch, first_at: Timestamp) -> FiledDebt {
        FiledDebt { due: watch.due(&self.risk.settings.debts), first_at, watch }
    }
}

/// What a credited payment tells the counters.
pub(super) fn topup_signal(payment: &Payment) -> Option<Signal> {
    let at = payment.paid_at?;
    Some(Signal { name: payment.payment_no.clone(), at, kind: SignalKind::Topup(payment.amount_fen) })
}

fn reminder(order: &Order, watch: &DebtWatch, day: u32, now: Timestamp) -> OutboxEvent {
    let data = json!({ "orderNo": order.order_no, "userId": order.user_id, "debtFen": order.debt_fen,
        "since": watch.opened_at, "day": day });
    OutboxEvent {
        event_id: format!("debt.reminder:{}:{}:{day}", order.order_no, watch.opened_at.as_millis()),
        name: "debt.reminder".to_owned(),
        at: now,
        subject: order.order_no.to_string(),
        data: data.to_string(),
    }
}

fn audit_row(user: &UserId, at: Timestamp, detail: &serde_json::Value) -> Result<AuditRow, Refusal> {
    Ok(AuditRow {
        at,
        actor: UserId::parse(POLICY).map_err(|bad| Refusal::Validation(bad.to_string()))?,
        role: "policy".to_owned(),
        address: None,
        action: "USER_BLACKLIST".to_owned(),
        target: user.to_string(),
        detail: detail.to_string(),
    })
}
