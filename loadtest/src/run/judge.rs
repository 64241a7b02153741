//! The verdict: every bill, account and promise of a session against the oracle. Pure: what was seen in, differences out.

use std::collections::BTreeMap;

use domain::wire::RecordAckResult;

use super::session::Session;
use crate::{
    api::{Bill, Order},
    limits,
    oracle::{self, Account, Charged, Price, Tariff},
    pile::truth::ChargeTruth,
};

/// What a start freezes without a limit, and at least, by the contract's defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MoneyRules {
    /// `money.freeze_default_fen`.
    pub freeze_default_fen: i64,
    /// `money.freeze_min_fen`.
    pub freeze_min_fen: i64,
}

impl Default for MoneyRules {
    fn default() -> Self {
        Self { freeze_default_fen: 5_000, freeze_min_fen: 1_000 }
    }
}

/// Everything that is known of one session.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// What the driver saw.
    pub session: &'a Session,
    /// The limit the order was asked with.
    pub limit_fen: Option<i64>,
    /// What the pile metered.
    pub truth: Option<&'a ChargeTruth>,
    /// The station's prices.
    pub tariff: &'a Tariff,
    /// The hub's money settings.
    pub rules: MoneyRules,
}

/// Finds everything that is not as it must be; empty when all is.
#[must_use]
pub fn judge(evidence: &Evidence<'_>) -> Vec<String> {
    let session = evidence.session;
    let mut wrong = session.findings.clone();
    for (n, phone) in session.phones.iter().enumerate() {
        wrong.extend(phone.findings.iter().map(|finding| format!("phone {n}: {finding}")));
    }
    let (Some((order_no, frozen)), Some(last)) = (&session.placed, &session.last) else {
        if session.findings.is_empty() && !session.interrupted {
            wrong.push("the session came to nothing and nobody knows why".to_owned());
        }
        return wrong;
    };
    same(&mut wrong, "order number", &last.order_no, order_no);
    match evidence.truth {
        Some(truth) => judge_charge(evidence, truth, last, *frozen, &mut wrong),
        None => wrong.push(format!("the order is {} but its pile never charged for it", last.status)),
    }
    let expected_orders = vec![order_no.to_string()];
    if let Some(orders) = &session.orders {
        same(&mut wrong, "orders of the driver", orders, &expected_orders);
    }
    for (n, phone) in session.phones.iter().enumerate() {
        judge_phone(&mut wrong, n, phone.end.as_ref(), last, session.repaid);
    }
    wrong
}

fn same<T: PartialEq + std::fmt::Debug>(wrong: &mut Vec<String>, what: &str, got: &T, expected: &T) {
    if got != expected {
        wrong.push(format!("{what}: expected {expected:?}, got {got:?}"));
    }
}

fn judge_charge(evidence: &Evidence<'_>, truth: &ChargeTruth, last: &Order, frozen: i64, wrong: &mut Vec<String>) {
    judge_record(truth, wrong);
    let (Some(reason), Some(charged)) = (truth.stop_reason(), Charged::of(truth)) else {
        wrong.push(format!("the order is {} but its pile is still charging", last.status));
        return;
    };
    let status = if reason.is_exception() { "EXCEPTION_CLOSED" } else { "CLOSED" };
    same(wrong, "status", &last.status.as_str(), &status);
    same(wrong, "stopReason", &last.stop_reason, &Some(reason.code()));
    same(wrong, "provisional", &last.provisional, &false);
    let Some(bill) = &last.bill else {
        wrong.push("there is no bill".to_owned());
        return;
    };
    let prices = oracle::price_any_offset(&charged, evidence.tariff, truth.clock_offset.0, limits::OFFSET_SLACK_MS);
    let billed = as_price(bill);
    let exact = prices.iter().find(|price| **price == billed);
    // Without an exact match the first candidate is as good as any to tell the difference from.
    let Some(price) = exact.or_else(|| prices.first()) else { return };
    judge_price(price, &billed, wrong);
    same(wrong, "energyWh", &last.energy_wh.map(|wh| wh.0), &Some(charged.total));
    judge_money(evidence, price.total_fen, bill, last, frozen, wrong);
}

fn as_price(bill: &Bill) -> Price {
    let mut wh_by_period = BTreeMap::new();
    for segment in bill.segments.iter().filter(|segment| segment.energy_wh.0 != 0) {
        let key = (segment.label.clone(), segment.electricity_e4.0, segment.service_e4.0);
        let sum: &mut i64 = wh_by_period.entry(key).or_insert(0);
        *sum = sum.saturating_add(segment.energy_wh.0);
    }
    Price {
        electricity_fen: bill.electricity_fen.0,
        service_fen: bill.service_fen.0,
        total_fen: bill.total_fen.0,
        wh_by_period,
    }
}

fn judge_price(expected: &Price, got: &Price, wrong: &mut Vec<String>) {
    same(wrong, "electricityFen", &got.electricity_fen, &expected.electricity_fen);
    same(wrong, "serviceFen", &got.service_fen, &expected.service_fen);
    same(wrong, "totalFen", &got.total_fen, &expected.total_fen);
    same(wrong, "Wh by period", &got.wh_by_period, &expected.wh_by_period);
}

fn judge_money(evidence: &Evidence<'_>, total: i64, bill: &Bill, last: &Order, frozen: i64, wrong: &mut Vec<String>) {
    let session = evidence.session;
    let mut account = Account::default();
    let mut top_ups = session.top_ups.iter();
    account.top_up(top_ups.next().copied().unwrap_or(0));
    let limit = evidence.limit_fen.unwrap_or(evidence.rules.freeze_default_fen);
    same(wrong, "frozenFen at the start", &Some(frozen), &account.freeze(limit, evidence.rules.freeze_min_fen));
    let payment = account.settle(frozen, total);
    let mut paid = payment.paid_fen;
    for top_up in top_ups {
        account.top_up(*top_up);
    }
    if session.repaid {
        paid = paid.saturating_add(account.repay(payment.debt_fen));
    }
    same(wrong, "paidFen", &bill.paid_fen.0, &paid);
    same(wrong, "releasedFen", &bill.released_fen.0, &payment.released_fen);
    same(wrong, "debtFen", &bill.debt_fen.0, &account.debt_fen);
    let status = if account.debt_fen > 0 { "UNPAID" } else { "PAID" };
    same(wrong, "paymentStatus", &last.payment_status.as_str(), &status);
    if let Some(wallet) = &session.wallet {
        let got = (wallet.available_fen.0, wallet.frozen_fen.0, wallet.debt_fen.0);
        let expected = (account.available_fen, account.frozen_fen, account.debt_fen);
        same(wrong, "wallet (available, frozen, debt)", &got, &expected);
        let seen = got.0.saturating_add(got.1).saturating_add(bill.paid_fen.0);
        same(wrong, "available + frozen + paid, which is what was paid in", &seen, &account.topped_up_fen);
    }
}

fn judge_record(truth: &ChargeTruth, wrong: &mut Vec<String>) {
    if truth.answers.is_empty() {
        wrong.push("the record was never acknowledged".to_owned());
    }
    if truth.answers.contains(&RecordAckResult::Quarantined) {
        wrong.push(format!("the record was quarantined: {:?}", truth.answers));
    }
    let stored = truth.answers.iter().filter(|answer| **answer == RecordAckResult::Stored).count();
    if stored > 1 {
        wrong.push(format!("the record was stored more than once: {:?}", truth.answers));
    }
}

fn judge_phone(wrong: &mut Vec<String>, n: usize, end: Option<&Order>, last: &Order, repaid: bool) {
    let Some(end) = end else { return };
    same(wrong, &format!("phone {n}: status"), &end.status, &last.status);
    // A repayment after the end changes paidFen and debtFen; the phone saw the bill before it.
    if !repaid {
        same(wrong, &format!("phone {n}: bill"), &end.bill, &last.bill);
    }
}

#[cfg(test)]
mod tests;
