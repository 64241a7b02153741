//! I2, I3 and I5: the orders of an account against its entries.

use domain::{Fen, PriceE4};

use super::{
    Breach, Facts, Findings,
    replay::{Balances, OrderBalances, by_order},
};
use crate::{
    ledger::{BookAccount, Entry},
    order::{Order, OrderStatus, PayMode, Verdict},
    pricing::{Bill, Segment},
};

/// I2: what was set aside for an order = what was captured from it + what was released + what is still set aside.
#[must_use]
pub fn i2_holds_are_captured_or_released(facts: &Facts<'_>) -> Vec<Breach> {
    let mut findings = Findings::new("I2", facts);
    let by_order = by_order(facts.entries);
    for (no, sums) in &by_order {
        let open = facts.account.holds.get(*no).copied().unwrap_or_default();
        let gone = sums.captured.saturating_add(sums.released).saturating_add(open.0.into());
        findings.require_equal(|| format!("what was set aside for order {no}"), sums.set_aside, gone);
    }
    for order in facts.orders {
        let none = OrderBalances::default();
        let sums = by_order.get(&order.order_no).unwrap_or(&none);
        let no = &order.order_no;
        if order.status != OrderStatus::Placed {
            findings.require_equal(|| format!("frozenFen of order {no}"), order.frozen_fen.0.into(), sums.set_aside);
        }
        if order.status.is_over() {
            findings.require_equal(|| format!("releasedFen of order {no}"), order.released_fen.0.into(), sums.released);
        }
    }
    findings.breaches
}

/// I3: a debt is exactly what the account could not pay (nothing is left available when one begins or grows), less
/// repayments and corrections; order and account agree on it.
#[must_use]
pub fn i3_debts_are_shortfalls(facts: &Facts<'_>) -> Vec<Breach> {
    let mut findings = Findings::new("I3", facts);
    let mut sums = Balances::default();
    for op in facts.entries.chunk_by(|a, b| a.op == b.op) {
        op.iter().for_each(|entry| sums.add(entry));
        let owes = op.iter().find(|entry| entry.debit == BookAccount::Receivable);
        if let Some(entry) = owes.filter(|entry| !by_hold_only(facts, entry)) {
            let (name, left) = (&entry.op, sums.available);
            findings.require(left == 0, || format!("{name} made a debt with {left} fen still available"));
        }
    }
    for order in facts.orders.iter().filter(|order| order.status.is_over()) {
        let no = &order.order_no;
        let owed = facts.account.debts.get(no).copied().unwrap_or_default();
        findings.require_equal(|| format!("debtFen of order {no}"), order.debt_fen.0.into(), owed.0.into());
    }
    findings.breaches
}

/// I5: a bill is the sum of its fees, its segments re-rate to them exactly, and, once taken, it is paid or owed to the
/// fen, corrections and ghost charges included.
#[must_use]
pub fn i5_bills_add_up(facts: &Facts<'_>) -> Vec<Breach> {
    let mut findings = Findings::new("I5", facts);
    let by_order = by_order(facts.entries);
    let none = OrderBalances::default();
    for order in facts.orders {
        let no = &order.order_no;
        let ghost = order.ghost.as_ref().and_then(|ghost| ghost.bill.as_ref());
        for bill in order.bill.iter().chain(ghost) {
            bill_adds_up(&mut findings, order, bill);
        }
        let sums = by_order.get(no).unwrap_or(&none);
        let taken = order.bill.as_ref().filter(|_| was_taken(order));
        let due = taken.or(ghost).map_or([0; 3], fees);
        let earned = [sums.all.energy, sums.all.service, sums.all.occupancy];
        if order.status.is_over() {
            findings.require(earned == due, || format!("order {no} earned {earned:?} fen, its bill says {due:?}"));
            let loss = ghost.map_or(0, |bill| bill.total_fen.0.into());
            findings.require_equal(|| format!("the platform's loss by order {no}"), sums.all.loss, loss);
            let total: i128 = taken.map_or(0, |bill| bill.total_fen.0.into());
            let parts = [order.paid_fen, order.debt_fen, order.written_off_fen];
            let settled = parts.iter().fold(0, |sum: i128, part| sum.saturating_add(part.0.into()));
            findings.require_equal(|| format!("paid, owed and given up of order {no}"), settled, total);
            findings.require_equal(|| format!("paidFen of order {no}"), order.paid_fen.0.into(), sums.paid);
            let refunded = order.refunded_fen;
            findings.require_equal(|| format!("refundedFen of order {no}"), refunded.0.into(), sums.refunded);
            findings.require(!sums.refunded_too_much, || format!("order {no} gave back more than was paid"));
            let given_up = order.written_off_fen.0.into();
            findings.require_equal(|| format!("writtenOffFen of order {no}"), given_up, sums.written_off);
        } else {
            let moved = sums.paid != 0 && order.status != OrderStatus::Settling;
            findings.require(!moved, || format!("order {no} is {:?} and was charged already", order.status));
        }
    }
    findings.breaches
}

/// Whether the bill of an order that is over was taken, that is: not rejected by a person.
pub(super) fn was_taken(order: &Order) -> bool {
    let rejected = order.review.as_ref().is_some_and(|review| review.verdict == Verdict::Rejected);
    matches!(order.status, OrderStatus::Closed | OrderStatus::ExceptionClosed) && !rejected
}

/// A charge that was paid for in advance takes nothing beyond its hold: the rest is owed, whatever is available.
fn by_hold_only(facts: &Facts<'_>, entry: &Entry) -> bool {
    let prepaid =
        |order: &&Order| order.pay_mode == PayMode::Prepaid && entry.op == format!("capture:{}", order.order_no);
    facts.orders.iter().any(|order| prepaid(&order))
}

fn fees(bill: &Bill) -> [i128; 3] {
    [bill.electricity_fen, bill.service_fen, bill.occupancy_fen].map(|fee| fee.0.into())
}

fn bill_adds_up(findings: &mut Findings<'_>, order: &Order, bill: &Bill) {
    let no = &order.order_no;
    let sum = fees(bill).into_iter().fold(0, i128::saturating_add);
    findings.require_equal(|| format!("totalFen of order {no}"), bill.total_fen.0.into(), sum);
    let wh = bill.segments.iter().fold(0, |wh: i128, segment| wh.saturating_add(segment.energy_wh.0.into()));
    findings.require_equal(|| format!("energyWh of the bill of order {no}"), bill.energy_wh.0.into(), wh);
    let electricity = rated(&bill.segments, |segment| segment.electricity_e4);
    findings.require_equal(|| format!("electricityFen of order {no}"), bill.electricity_fen.0.into(), electricity);
    let service = rated(&bill.segments, |segment| segment.service_e4);
    findings.require_equal(|| format!("serviceFen of order {no}"), bill.service_fen.0.into(), service);
    let negative = bill.segments.iter().any(|segment| segment.energy_wh.0 < 0 || segment.to < segment.from)
        || bill.total_fen < Fen::ZERO;
    findings.require(!negative, || format!("the bill of order {no} has something negative"));
    let gap = bill.segments.windows(2).any(|pair| matches!(pair, [a, b] if a.to != b.from));
    findings.require(!gap, || format!("the segments of order {no} leave a gap or overlap"));
}

/// The rounding rule of CONTRACT 2.1, written out a second time on purpose: the check must not trust what it checks.
fn rated(segments: &[Segment], price: impl Fn(&Segment) -> PriceE4) -> i128 {
    let sum = segments.iter().fold(50_000_i128, |sum, segment| {
        sum.saturating_add(i128::from(segment.energy_wh.0).saturating_mul(price(segment).0.into()))
    });
    sum.div_euclid(100_000)
}
