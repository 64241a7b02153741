//! What happened lately, read from the store at the start: counters live in memory and must not begin empty.

use actors::api::Refusal;
use domain::{Millis, Timestamp};
use settlement::{
    adjustment::Adjustment,
    risk::{RuleKind, Signal, SignalKind},
};
use store::{
    cases::{CaseFilter, CaseKind},
    money::OrderFilter,
};

use super::{
    Desk, away,
    debts::topup_signal,
    filed::{Filing, HeldBill},
    joint::signal_of,
};
use crate::limits::{FOLLOW_LEN_MAX, RECALL_LEN_MAX};

impl Desk {
    /// Fills the counters, the newest first, as far back as the rules look and the limit allows.
    pub(super) async fn recall(&self) -> Result<(), Refusal> {
        self.recall_topups().await?;
        self.recall_starts().await?;
        self.recall_refunds().await?;
        self.recall_holds().await?;
        self.recall_debts().await
    }

    /// Since when rules that `looks` says yes to count.
    fn since(&self, looks: impl Fn(&RuleKind) -> bool) -> Option<Timestamp> {
        let rules = self.risk.rules.rules.iter().filter(|rule| looks(&rule.kind));
        let longest = rules.filter_map(|rule| rule.kind.window()).max()?;
        Some(self.now().plus(Millis(longest.0.saturating_neg())))
    }

    async fn recall_topups(&self) -> Result<(), Refusal> {
        let Some(since) = self.since(|kind| matches!(kind, RuleKind::QuickTopups { .. })) else { return Ok(()) };
        let (mut cursor, mut left) = (None::<String>, RECALL_LEN_MAX);
        loop {
            let until = self.now().plus(Millis(1));
            let page = self.money.payments_paid(since, until, cursor.as_deref(), FOLLOW_LEN_MAX).await.map_err(away)?;
            left = left.saturating_sub(page.items.len());
            for payment in &page.items {
                if let Some(signal) = topup_signal(payment) {
                    self.risk.note_user(&payment.user_id, signal);
                }
            }
            cursor = page.next_cursor;
            if cursor.is_none() || left == 0 {
                return Ok(());
            }
        }
    }

    async fn recall_starts(&self) -> Result<(), Refusal> {
        let Some(since) = self.since(|kind| matches!(kind, RuleKind::ManyStarts { .. })) else { return Ok(()) };
        let (mut cursor, mut left) = (None::<String>, RECALL_LEN_MAX);
        loop {
            let page = self.money.orders(&OrderFilter::default(), cursor.as_deref(), FOLLOW_LEN_MAX).await;
            let page = page.map_err(away)?;
            left = left.saturating_sub(page.items.len());
            let older = page.items.last().is_none_or(|order| order.created_at < since);
            for order in &page.items {
                let name = order.order_no.to_string();
                let signal = Signal { name, at: order.created_at, kind: SignalKind::Start };
                self.risk.note_user(&order.user_id, signal);
            }
            cursor = page.next_cursor;
            if cursor.is_none() || older || left == 0 {
                return Ok(());
            }
        }
    }

    async fn recall_refunds(&self) -> Result<(), Refusal> {
        let counts = |kind: &RuleKind| matches!(kind, RuleKind::FrequentRefunds { .. } | RuleKind::CouponLike { .. });
        let Some(since) = self.since(counts) else { return Ok(()) };
        let filter = CaseFilter { state: Some("CREDITED".to_owned()), ..CaseFilter::all(CaseKind::Adjustment) };
        let (mut cursor, mut left) = (None::<String>, RECALL_LEN_MAX);
        loop {
            let page = self.money.cases(&filter, cursor.as_deref(), FOLLOW_LEN_MAX).await.map_err(away)?;
            left = left.saturating_sub(page.items.len());
            let older = page.items.last().is_none_or(|case| case.at < since);
            for case in &page.items {
                let adjustment: Filing<Adjustment> = case.read().map_err(away)?;
                if let Some(signal) = signal_of(&adjustment.0) {
                    self.risk.note_user(&adjustment.0.user_id, signal);
                }
            }
            cursor = page.next_cursor;
            if cursor.is_none() || older || left == 0 {
                return Ok(());
            }
        }
    }

    async fn recall_holds(&self) -> Result<(), Refusal> {
        let since = self.now().plus(Millis(self.risk.settings.pile_window.0.saturating_neg()));
        let (mut cursor, mut left) = (None::<String>, RECALL_LEN_MAX);
        loop {
            let filter = CaseFilter::all(CaseKind::Hold);
            let page = self.money.cases(&filter, cursor.as_deref(), FOLLOW_LEN_MAX).await.map_err(away)?;
            left = left.saturating_sub(page.items.len());
            let older = page.items.last().is_none_or(|case| case.at < since);
            for case in &page.items {
                let bill: HeldBill = case.read().map_err(away)?;
                self.note_hold(&bill.order_no, &bill.pile_code, &bill.reason, bill.held_at);
            }
            cursor = page.next_cursor;
            if cursor.is_none() || older || left == 0 {
                return Ok(());
            }
        }
    }
}
