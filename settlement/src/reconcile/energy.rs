//! Energy of one day: what orders were billed for against the registers of the piles. Integers only; a register that says
//! nonsense is an item of its own and takes no part in sums.

use std::collections::BTreeMap;

use domain::{ConnectorId, OrderNo, PileCode, Timestamp, UserId, WattHours};
use serde::{Deserialize, Serialize};

use super::{About, Day, Finding, ItemKind};
use crate::limits::{ENERGY_DIFF_IGNORED_MAX, ENERGY_DIFF_PERCENT_MAX, PILE_MARK_DAYS, PILE_MARKS_MAX};

/// What was billed for one order, and what its record says the register did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metered {
    /// The order.
    pub order_no: OrderNo,
    /// Whose.
    pub user_id: UserId,
    /// Where.
    pub pile_code: PileCode,
    /// Where.
    pub connector_id: ConnectorId,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Energy of its bill.
    pub billed: WattHours,
    /// The register before.
    pub meter_start: Option<WattHours>,
    /// The register after.
    pub meter_end: Option<WattHours>,
    /// Settled without the charger's record, which may still come.
    pub provisional: bool,
}

/// Where a connector's register was when its last order ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Register {
    /// The register.
    pub wh: WattHours,
    /// The order.
    pub order_no: OrderNo,
    /// What was billed since for orders whose registers cannot be used.
    #[serde(default)]
    pub unmetered_wh: WattHours,
}

/// The last registers of connectors, by pile and connector.
pub type Registers = BTreeMap<(PileCode, ConnectorId), Register>;

/// What the day's energy comes to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EnergyFound {
    /// The differences.
    pub findings: Vec<Finding>,
    /// Sums.
    pub sums: EnergySums,
    /// Where the registers were at the end of the day: those of the day before, and what this day changed.
    pub registers: Registers,
}

/// The day's energy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EnergySums {
    /// Orders with a bill that ended on the day.
    pub orders: u64,
    /// Energy they were billed for.
    pub billed_wh: WattHours,
    /// Orders whose record has both registers, in order.
    pub metered_orders: u64,
    /// Energy those were billed for.
    pub metered_billed_wh: WattHours,
    /// Energy by their registers.
    pub metered_wh: WattHours,
    /// Energy that flowed between orders.
    pub gap_wh: WattHours,
    /// Orders that wait for their record.
    pub provisional_orders: u64,
}

/// What becomes of the registers of one order.
enum Reading {
    /// Both, in order: the energy between them.
    Good(WattHours, WattHours, WattHours),
    /// One below zero, or the end before the start.
    Backwards,
    /// One or both are missing.
    Missing,
}

impl Metered {
    fn reading(&self) -> Reading {
        let (Some(start), Some(end)) = (self.meter_start, self.meter_end) else { return Reading::Missing };
        match end.checked_sub(start) {
            Some(delivered) if start.0 >= 0 && delivered.0 >= 0 => Reading::Good(start, end, delivered),
            Some(_) | None => Reading::Backwards,
        }
    }

    fn about(&self) -> About {
        About {
            user_id: Some(self.user_id.clone()),
            order_no: Some(self.order_no.clone()),
            pile_code: Some(self.pile_code.clone()),
            connector_id: Some(self.connector_id),
            billed_wh: Some(self.billed),
            meter_start: self.meter_start,
            meter_end: self.meter_end,
            ..About::default()
        }
    }
}

/// Whether two energies that should be the same are too far apart: by more than the least energy, and by more than the
/// percentage of what the register says.
#[must_use]
pub fn differs(billed: WattHours, metered: WattHours) -> bool {
    let apart = i128::from(billed.0).saturating_sub(i128::from(metered.0)).saturating_abs();
    let allowed = i128::from(metered.0).saturating_abs().saturating_mul(i128::from(ENERGY_DIFF_PERCENT_MAX));
    apart > i128::from(ENERGY_DIFF_IGNORED_MAX.0) && apart.saturating_mul(100) > allowed
}

/// One pile's day, while it is added up.
#[derive(Default)]
struct PileDay {
    billed: i64,
    metered: i64,
    orders: u32,
    missing: u32,
    missing_billed: i64,
}

/// Compares a day: `orders` are those with a bill that ended on it, `before` the registers at the end of the day before.
#[must_use]
pub fn match_energy(orders: &[Metered], before: &Registers) -> EnergyFound {
    let mut out = EnergyFound { registers: before.clone(), ..EnergyFound::default() };
    let mut sorted: Vec<&Metered> = orders.iter().collect();
    sorted.sort_by(|a, b| (a.ended_at, &a.order_no).cmp(&(b.ended_at, &b.order_no)));
    let mut piles: BTreeMap<&PileCode, PileDay> = BTreeMap::new();
    for order in sorted {
        let pile = piles.entry(&order.pile_code).or_default();
        one_order(order, pile, &mut out);
    }
    for (code, pile) in piles {
        one_pile(code, &pile, &mut out.findings);
    }
    out
}

fn one_order(order: &Metered, pile: &mut PileDay, out: &mut EnergyFound) {
    let sums = &mut out.sums;
    sums.orders = sums.orders.saturating_add(1);
    add(&mut sums.billed_wh, order.billed);
    let key = || order.order_no.to_string();
    let connector = (order.pile_code.clone(), order.connector_id);
    match order.reading() {
        Reading::Missing => {
            if order.provisional {
                sums.provisional_orders = sums.provisional_orders.saturating_add(1);
            } else {
                pile.missing = pile.missing.saturating_add(1);
                pile.missing_billed = pile.missing_billed.saturating_add(order.billed.0);
            }
            unmetered(out.registers.get_mut(&connector), order);
        }
        Reading::Backwards => {
            unmetered(out.registers.get_mut(&connector), order);
            out.findings.push(Finding { kind: ItemKind::MeterBackwards, key: key(), about: order.about() });
        }
        Reading::Good(start, end, delivered) => {
            sums.metered_orders = sums.metered_orders.saturating_add(1);
            add(&mut sums.metered_billed_wh, order.billed);
            add(&mut sums.metered_wh, delivered);
            if differs(order.billed, delivered) {
                let about = About { metered_wh: Some(delivered), ..order.about() };
                out.findings.push(Finding { kind: ItemKind::EnergyDiff, key: key(), about });
            } else {
                pile.orders = pile.orders.saturating_add(1);
                pile.billed = pile.billed.saturating_add(order.billed.0);
                pile.metered = pile.metered.saturating_add(delivered.0);
            }
            between(order, start, out);
            let register = Register { wh: end, order_no: order.order_no.clone(), unmetered_wh: WattHours::ZERO };
            out.registers.insert(connector, register);
        }
    }
}

/// The register went on by what the order took, as far as its bill is right.
fn unmetered(register: Option<&mut Register>, order: &Metered) {
    if let Some(register) = register {
        add(&mut register.unmetered_wh, order.billed);
    }
}

/// What the register did since the connector's last order.
fn between(order: &Metered, start: WattHours, out: &mut EnergyFound) {
    let Some(last) = out.registers.get(&(order.pile_code.clone(), order.connector_id)) else { return };
    let explained = last.wh.checked_add(last.unmetered_wh);
    let Some(gap) = explained.and_then(|explained| start.checked_sub(explained)) else { return };
    // A bill without a register may be off by as much as one with a register may.
    let of_bills = last.unmetered_wh.0.saturating_mul(ENERGY_DIFF_PERCENT_MAX).saturating_div(100);
    if gap.0.saturating_abs() <= ENERGY_DIFF_IGNORED_MAX.0.saturating_add(of_bills) {
        return;
    }
    let about = About {
        earlier_order_no: Some(last.order_no.clone()),
        billed_wh: None,
        metered_wh: Some(gap),
        meter_start: Some(last.wh),
        meter_end: Some(start),
        ..order.about()
    };
    if gap.0 > 0 {
        add(&mut out.sums.gap_wh, gap);
        out.findings.push(Finding { kind: ItemKind::MeterGap, key: order.order_no.to_string(), about });
    } else {
        // It was exchanged, or set back: from here on it counts anew.
        let key = format!("{}:since", order.order_no);
        out.findings.push(Finding { kind: ItemKind::MeterBackwards, key, about });
    }
}

fn one_pile(code: &PileCode, pile: &PileDay, findings: &mut Vec<Finding>) {
    let about = |billed: i64, orders: u32| About {
        pile_code: Some(code.clone()),
        billed_wh: Some(WattHours(billed)),
        orders: Some(orders),
        ..About::default()
    };
    if differs(WattHours(pile.billed), WattHours(pile.metered)) {
        let about = About { metered_wh: Some(WattHours(pile.metered)), ..about(pile.billed, pile.orders) };
        findings.push(Finding { kind: ItemKind::PileEnergyDiff, key: code.to_string(), about });
    }
    if pile.missing > 0 {
        let about = about(pile.missing_billed, pile.missing);
        findings.push(Finding { kind: ItemKind::MeterMissing, key: code.to_string(), about });
    }
}

fn add(sum: &mut WattHours, energy: WattHours) {
    sum.0 = sum.0.saturating_add(energy.0);
}

/// Whether a pile that was marked on these days (`today` among them) is to be looked at: so many marks within a week.
#[must_use]
pub fn meter_abnormal(marked: &[Day], today: Day) -> bool {
    let since = today.plus(PILE_MARK_DAYS.saturating_sub(1).saturating_neg());
    let mut recent: Vec<Day> = marked.iter().copied().filter(|day| (since..=today).contains(day)).collect();
    recent.sort_unstable();
    recent.dedup();
    recent.len() >= PILE_MARKS_MAX
}
