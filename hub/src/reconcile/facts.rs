//! What is stored of a day's money, in the form in which it is matched. Reads in pages, up to the limits; decides nothing.

use std::collections::{HashMap, HashSet};

use domain::{Fen, Timestamp, UserId};
use serde::Deserialize;
use settlement::{
    ledger::{Entry, OpResult, suspense_account},
    order::Order,
    reconcile::{BillLine, Day, LineKind, Metered, Movement},
};
use store::{
    cases::{Case, CaseFilter, CaseKind},
    limits::PAGE_LEN_MAX,
    money::{Money, Payment, PaymentState, StoreError},
};

use super::filed::KeptBill;
use crate::limits::{RECON_BILLS_PER_DAY_MAX, RECON_ENTRIES_MAX, RECON_ITEMS_MAX, RECON_REFUND_DAYS, RECON_ROWS_MAX};

/// Where facts are read, and which instants make the day.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window<'a> {
    pub(super) money: &'a dyn Money,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

/// Rows, and whether there were more than can be looked at.
#[derive(Debug)]
pub(super) struct Rows<T> {
    pub(super) rows: Vec<T>,
    pub(super) cut: bool,
}

/// What a refund's case says. A refund takes money out of a wallet, or gives money back that nobody owned.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Refund {
    refund_no: String,
    state: String,
    source: Source,
    channel: String,
    payment_no: String,
    transaction_id: String,
    amount: Fen,
    updated_at: Timestamp,
}

/// Whose money a refund is.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Source {
    Wallet { user_id: UserId },
    Suspense { item: String },
}

/// The state of a refund whose money has left.
const REFUND_DONE: &str = "SUCCESS";

/// Lines by channel, one element per file.
pub(super) type Files = Vec<(String, Vec<BillLine>)>;

/// The channels' files of a day.
pub(super) async fn files(money: &dyn Money, day: Day) -> Result<Files, StoreError> {
    let bills = cases(money, &about(CaseKind::ChannelBill, day), RECON_BILLS_PER_DAY_MAX).await?.rows;
    bills.iter().map(|case| case.read::<KeptBill>().map(|bill| (bill.channel, bill.lines))).collect()
}

/// All cases of a kind about a day.
pub(super) fn about(kind: CaseKind, day: Day) -> CaseFilter {
    CaseFilter { about: Some(day.to_string()), ..CaseFilter::all(kind) }
}

/// Cases, newest first, at most `max`.
pub(super) async fn cases(money: &dyn Money, filter: &CaseFilter, max: usize) -> Result<Rows<Case>, StoreError> {
    let (mut rows, mut cursor): (Vec<Case>, Option<String>) = (Vec::new(), None);
    loop {
        let page = money.cases(filter, cursor.as_deref(), PAGE_LEN_MAX).await?;
        rows.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() || rows.len() >= max {
            return Ok(Rows { rows, cut: cursor.is_some() });
        }
    }
}

impl Window<'_> {
    fn has(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.to
    }

    /// Every entry of the books in the window, in pages; answers whether there were too many.
    pub(super) async fn entries(&self, mut each: impl FnMut(&Entry) + Send) -> Result<bool, StoreError> {
        let (mut seen, mut cursor): (usize, Option<String>) = (0, None);
        loop {
            let page = self.money.entries_between(self.from, self.to, cursor.as_deref(), PAGE_LEN_MAX).await?;
            page.items.iter().for_each(&mut each);
            seen = seen.saturating_add(page.items.len());
            cursor = page.next_cursor;
            if cursor.is_none() || seen >= RECON_ENTRIES_MAX {
                return Ok(cursor.is_some());
            }
        }
    }

    /// Orders with a bill that ended in the window, as their meters are compared.
    pub(super) async fn metered(&self) -> Result<Rows<Metered>, StoreError> {
        let (mut rows, mut cursor): (Vec<Metered>, Option<String>) = (Vec::new(), None);
        loop {
            let page = self.money.orders_ended(self.from, self.to, cursor.as_deref(), PAGE_LEN_MAX).await?;
            rows.extend(page.items.into_iter().filter_map(metered));
            cursor = page.next_cursor;
            if cursor.is_none() || rows.len() >= RECON_ROWS_MAX {
                return Ok(Rows { rows, cut: cursor.is_some() });
            }
        }
    }

    /// Payments and refunds that were done in the window, are named by lines, or are in the books.
    pub(super) async fn movements(&self, named: &[&[BillLine]]) -> Result<Rows<Movement>, StoreError> {
        let mut cut = false;
        let mut found = Found::default();
        let payments = self.payments_paid().await?;
        cut |= payments.cut;
        for payment in payments.rows {
            found.payment(&payment, true);
        }
        cut |= self.refunds_done(&mut found).await?;
        for lines in named {
            for line in *lines {
                self.named(line, &mut found).await?;
            }
        }
        let mut posted: HashMap<String, (Fen, UserId)> = HashMap::new();
        cut |= self
            .entries(|entry| {
                if moves(&entry.op) {
                    let sum =
                        &mut posted.entry(entry.op.clone()).or_insert_with(|| (Fen::ZERO, entry.user_id.clone())).0;
                    sum.0 = sum.0.saturating_add(entry.amount.0);
                }
            })
            .await?;
        for (op, (amount, user_id)) in &posted {
            self.posted_alone(op, *amount, user_id, &mut found).await?;
        }
        for movement in &mut found.movements {
            movement.posted = match posted.get(&movement.op) {
                Some((amount, _)) => Some(*amount),
                None => self.booked(movement).await?,
            };
        }
        Ok(Rows { rows: found.movements, cut })
    }

    async fn payments_paid(&self) -> Result<Rows<Payment>, StoreError> {
        let (mut rows, mut cursor): (Vec<Payment>, Option<String>) = (Vec::new(), None);
        loop {
            let page = self.money.payments_paid(self.from, self.to, cursor.as_deref(), PAGE_LEN_MAX).await?;
            rows.extend(page.items.into_iter().filter(|payment| payment.state == PaymentState::Success));
            cursor = page.next_cursor;
            if cursor.is_none() || rows.len() >= RECON_ROWS_MAX {
                return Ok(Rows { rows, cut: cursor.is_some() });
            }
        }
    }

    /// Refunds whose money left in the window; answers whether there were too many. A refund is not looked for longer
    /// than [`RECON_REFUND_DAYS`] after it was asked for, unless a line names it.
    async fn refunds_done(&self, found: &mut Found) -> Result<bool, StoreError> {
        let filter = CaseFilter { state: Some(REFUND_DONE.to_owned()), ..CaseFilter::all(CaseKind::Refund) };
        let oldest = self.from.plus(domain::Millis::from_secs(RECON_REFUND_DAYS.saturating_mul(-86_400)));
        let mut cursor: Option<String> = None;
        loop {
            let page = self.money.cases(&filter, cursor.as_deref(), PAGE_LEN_MAX).await?;
            let past = page.items.last().is_some_and(|case| case.at < oldest);
            for case in &page.items {
                found.refund(case, self)?;
            }
            cursor = page.next_cursor;
            if cursor.is_none() || past || found.movements.len() >= RECON_ROWS_MAX {
                return Ok(cursor.is_some() && !past);
            }
        }
    }

    /// What a line names, when it was not done in the window.
    async fn named(&self, line: &BillLine, found: &mut Found) -> Result<(), StoreError> {
        if !found.names.insert((line.kind, line.name().to_owned())) {
            return Ok(());
        }
        match line.kind {
            LineKind::Pay => {
                if let Some(payment) = self.money.payment(&line.payment_no).await? {
                    found.names.remove(&(LineKind::Pay, payment.payment_no.clone()));
                    found.payment(&payment, false);
                }
            }
            LineKind::Refund => {
                if let Some(case) = self.money.case(CaseKind::Refund, line.name()).await? {
                    found.names.remove(&(LineKind::Refund, case.id.clone()));
                    found.refund(&case, self)?;
                }
            }
        }
        Ok(())
    }

    /// A movement in the books that no payment or refund of the window explains.
    async fn posted_alone(&self, op: &str, amount: Fen, user_id: &UserId, found: &mut Found) -> Result<(), StoreError> {
        let Some(no) = op.strip_prefix(TOPUP) else { return Ok(()) };
        if !found.names.insert((LineKind::Pay, no.to_owned())) {
            return Ok(());
        }
        match self.money.payment(no).await? {
            // It was paid on another day and is that day's.
            Some(payment) if payment.state == PaymentState::Success => {}
            Some(payment) => {
                found.names.remove(&(LineKind::Pay, no.to_owned()));
                found.payment(&payment, false);
            }
            None => found.movements.push(Movement {
                kind: LineKind::Pay,
                channel: NO_CHANNEL.to_owned(),
                payment_no: no.to_owned(),
                refund_no: String::new(),
                transaction_id: None,
                user_id: user_id.clone(),
                amount,
                done: false,
                in_day: false,
                op: op.to_owned(),
                posted: None,
            }),
        }
        Ok(())
    }

    /// What the books have of a movement, whenever they were written.
    async fn booked(&self, movement: &Movement) -> Result<Option<Fen>, StoreError> {
        let account = if movement.op.starts_with(SEND_BACK) { suspense_account() } else { movement.user_id.clone() };
        let Some(result) = self.money.op_result(&account, &movement.op).await? else { return Ok(None) };
        let result: OpResult = serde_json::from_str(&result)
            .map_err(|error| StoreError::Corrupt(format!("operation {}: {error}", movement.op)))?;
        Ok(match result {
            OpResult::ToppedUp { amount } | OpResult::Moved { amount } => Some(amount),
            OpResult::Held { .. }
            | OpResult::Voided { .. }
            | OpResult::Captured { .. }
            | OpResult::Repaid { .. }
            | OpResult::Corrected { .. }
            | OpResult::LossBooked { .. }
            | OpResult::Refunded { .. }
            | OpResult::WrittenOff { .. } => None,
        })
    }
}

/// The channel of money in the books for which there is no payment.
const NO_CHANNEL: &str = "none";
const TOPUP: &str = "topup:";
const WITHDRAWN: &str = "withdrawn:";
const SEND_BACK: &str = "send-back:";

/// Whether an operation is a movement between the hub and a channel that is matched.
fn moves(op: &str) -> bool {
    [TOPUP, WITHDRAWN, SEND_BACK].iter().any(|start| op.starts_with(start))
}

/// Movements, each once.
#[derive(Debug, Default)]
struct Found {
    movements: Vec<Movement>,
    names: HashSet<(LineKind, String)>,
}

impl Found {
    fn payment(&mut self, payment: &Payment, in_day: bool) {
        if !self.names.insert((LineKind::Pay, payment.payment_no.clone())) {
            return;
        }
        self.movements.push(Movement {
            kind: LineKind::Pay,
            channel: payment.channel.clone(),
            payment_no: payment.payment_no.clone(),
            refund_no: String::new(),
            transaction_id: payment.transaction_id.clone(),
            user_id: payment.user_id.clone(),
            amount: payment.amount_fen,
            done: payment.state == PaymentState::Success,
            in_day,
            op: format!("{TOPUP}{}", payment.payment_no),
            posted: None,
        });
    }

    fn refund(&mut self, case: &Case, window: &Window<'_>) -> Result<(), StoreError> {
        let refund: Refund = serde_json::from_str(&case.body)
            .map_err(|error| StoreError::Corrupt(format!("refund {}: {error}", case.id)))?;
        if !self.names.insert((LineKind::Refund, refund.refund_no.clone())) {
            return Ok(());
        }
        let done = refund.state == REFUND_DONE;
        let (user_id, op) = match refund.source {
            Source::Wallet { user_id } => (user_id, format!("{WITHDRAWN}{}", refund.refund_no)),
            Source::Suspense { item } => (suspense_account(), format!("{SEND_BACK}{item}")),
        };
        self.movements.push(Movement {
            kind: LineKind::Refund,
            channel: refund.channel,
            payment_no: refund.payment_no,
            refund_no: refund.refund_no,
            transaction_id: Some(refund.transaction_id).filter(|name| !name.is_empty()),
            user_id,
            amount: refund.amount,
            done,
            in_day: done && window.has(refund.updated_at),
            op,
            posted: None,
        });
        Ok(())
    }
}

fn metered(order: Order) -> Option<Metered> {
    let bill = order.bill?;
    Some(Metered {
        order_no: order.order_no,
        user_id: order.user_id,
        pile_code: order.pile_code,
        connector_id: order.connector_id,
        ended_at: order.ended_at?,
        billed: bill.energy_wh,
        meter_start: order.meter_start,
        meter_end: order.meter_end,
        provisional: order.provisional,
    })
}

/// Items of a day's books, or all that are open.
pub(super) async fn items(money: &dyn Money, filter: &CaseFilter) -> Result<Rows<Case>, StoreError> {
    cases(money, filter, RECON_ITEMS_MAX).await
}
