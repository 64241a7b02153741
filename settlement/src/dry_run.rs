//! What a draft of a tariff would have earned on real orders: the difference in revenue, and whom it would hit most.
//!
//! It moves no money and changes no bill. It takes orders one by one, in any number, and keeps sums only.

use std::{cmp::Reverse, collections::BTreeMap};

use domain::{Fen, OrderNo, PriceE4, WattHours};

use crate::{
    limits::{DRY_RUN_PRICES_MAX, DRY_RUN_WORST_MAX},
    order::{Order, Verdict},
    pricing::{Bill, PricingError, Segment, fee, reprice},
    tariff::Tariff,
};

/// A dry run under way.
#[derive(Debug)]
pub struct DryRun<'a> {
    tariff: &'a Tariff,
    orders: u64,
    skipped: u64,
    now: Fen,
    then: Fen,
    now_by_price: ByPrice,
    then_by_price: ByPrice,
    /// The largest differences so far, largest first.
    worst: Vec<OrderDifference>,
}

/// What a dry run found. All sums are those of the bills, whatever was paid of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DryRunReport {
    /// Orders that were priced again.
    pub orders: u64,
    /// Orders of the station without a bill that counts: never charged, rejected by a person, or beyond pricing.
    pub skipped: u64,
    /// Sum of their bills.
    pub revenue_now: Fen,
    /// What the sum would have been.
    pub revenue_then: Fen,
    /// The second less the first.
    pub difference: Fen,
    /// By the labels of the periods, in the order of the labels.
    pub by_label: Vec<LabelSums>,
    /// The orders whose bills differ most, either way; equal ones in the order of their numbers.
    pub worst: Vec<OrderDifference>,
    /// There were more prices than are kept apart: `by_label` does not show everything.
    pub labels_cut: bool,
}

/// What was charged, and what was to pay for it, in the periods of one label. Rounded once per label and fee kind, so
/// that labels need not add up to the revenue to the fen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelSums {
    /// The label.
    pub label: String,
    /// Energy in the bills.
    pub energy_now: WattHours,
    /// Energy at the other tariff.
    pub energy_then: WattHours,
    /// Electricity and service in the bills.
    pub now: Fen,
    /// Electricity and service at the other tariff.
    pub then: Fen,
}

/// What an order cost, and what it would have cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderDifference {
    /// Which order.
    pub order_no: OrderNo,
    /// Its bill.
    pub now: Fen,
    /// At the other tariff.
    pub then: Fen,
    /// The second less the first.
    pub difference: Fen,
}

impl<'a> DryRun<'a> {
    /// Nothing looked at yet.
    #[must_use]
    pub fn new(tariff: &'a Tariff) -> Self {
        Self {
            tariff,
            orders: 0,
            skipped: 0,
            now: Fen::ZERO,
            then: Fen::ZERO,
            now_by_price: ByPrice::default(),
            then_by_price: ByPrice::default(),
            worst: Vec::new(),
        }
    }

    /// Looks at an order; one of another station is passed over. Each order is to be shown once.
    ///
    /// # Errors
    /// [`PricingError::Overflow`] when the sums are too large to be written down.
    pub fn add(&mut self, order: &Order) -> Result<(), PricingError> {
        if order.station_id != self.tariff.station_id {
            return Ok(());
        }
        let Some((bill, again)) = billed(order).and_then(|bill| Some((bill, reprice(bill, self.tariff).ok()?))) else {
            self.skipped = self.skipped.saturating_add(1);
            return Ok(());
        };
        let (now, then) = (bill.total_fen, again.total_fen);
        let difference = then.checked_sub(now).ok_or(PricingError::Overflow)?;
        self.now = self.now.checked_add(now).ok_or(PricingError::Overflow)?;
        self.then = self.then.checked_add(then).ok_or(PricingError::Overflow)?;
        self.now_by_price.add(bill)?;
        self.then_by_price.add(&again)?;
        self.orders = self.orders.saturating_add(1);
        self.rank(&order.order_no, now, then, difference);
        Ok(())
    }

    /// The sums of what was shown so far.
    ///
    /// # Errors
    /// [`PricingError::Overflow`].
    pub fn report(self) -> Result<DryRunReport, PricingError> {
        let labels_cut = self.now_by_price.cut || self.then_by_price.cut;
        let (now, then) = (self.now_by_price.by_label(), self.then_by_price.by_label());
        let mut labels: Vec<&str> = now.keys().chain(then.keys()).copied().collect();
        labels.sort_unstable();
        labels.dedup();
        let part = |sums: &BTreeMap<&str, Vec<Segment>>, label: &str| sum(sums.get(label).map_or(&[], Vec::as_slice));
        let sums = |label: &str| {
            let ((energy_now, now), (energy_then, then)) = (part(&now, label)?, part(&then, label)?);
            Ok(LabelSums { label: label.to_owned(), energy_now, energy_then, now, then })
        };
        Ok(DryRunReport {
            orders: self.orders,
            skipped: self.skipped,
            revenue_now: self.now,
            revenue_then: self.then,
            difference: self.then.checked_sub(self.now).ok_or(PricingError::Overflow)?,
            by_label: labels.into_iter().map(sums).collect::<Result<_, PricingError>>()?,
            worst: self.worst,
            labels_cut,
        })
    }

    /// Puts an order in its place among the worst, if it has one.
    fn rank(&mut self, order_no: &OrderNo, now: Fen, then: Fen, difference: Fen) {
        let place = |of: &OrderDifference| (Reverse(of.difference.0.unsigned_abs()), of.order_no.clone());
        let full = self.worst.len() >= DRY_RUN_WORST_MAX;
        let least = self.worst.last().map_or(0, |last| last.difference.0.unsigned_abs());
        let size = difference.0.unsigned_abs();
        if size == 0 || (full && size < least) {
            return;
        }
        let order = OrderDifference { order_no: order_no.clone(), now, then, difference };
        let at = self.worst.partition_point(|other| place(other) < place(&order));
        self.worst.insert(at, order);
        self.worst.truncate(DRY_RUN_WORST_MAX);
    }
}

/// The bill of an order that earns, or would.
fn billed(order: &Order) -> Option<&Bill> {
    let rejected = order.review.as_ref().is_some_and(|review| review.verdict == Verdict::Rejected);
    order.bill.as_ref().filter(|_| !rejected)
}

/// Energy by label, electricity price and service price: what money is made of, without rounding.
#[derive(Debug, Default)]
struct ByPrice {
    energy: BTreeMap<String, BTreeMap<(PriceE4, PriceE4), Segment>>,
    prices: usize,
    cut: bool,
}

impl ByPrice {
    fn add(&mut self, bill: &Bill) -> Result<(), PricingError> {
        bill.segments.iter().try_for_each(|segment| self.add_segment(segment))
    }

    fn add_segment(&mut self, segment: &Segment) -> Result<(), PricingError> {
        let price = (segment.electricity_e4, segment.service_e4);
        if let Some(sum) = self.energy.get_mut(&segment.label).and_then(|prices| prices.get_mut(&price)) {
            sum.energy_wh = sum.energy_wh.checked_add(segment.energy_wh).ok_or(PricingError::Overflow)?;
        } else if self.prices >= DRY_RUN_PRICES_MAX {
            self.cut = true;
        } else {
            self.prices = self.prices.saturating_add(1);
            self.energy.entry(segment.label.clone()).or_default().insert(price, segment.clone());
        }
        Ok(())
    }

    fn by_label(&self) -> BTreeMap<&str, Vec<Segment>> {
        let labels = self.energy.iter();
        labels.map(|(label, prices)| (label.as_str(), prices.values().cloned().collect())).collect()
    }
}

/// Energy and money of segments.
fn sum(segments: &[Segment]) -> Result<(WattHours, Fen), PricingError> {
    let add = |sum: WattHours, segment: &Segment| sum.checked_add(segment.energy_wh);
    let energy = segments.iter().try_fold(WattHours::ZERO, add).ok_or(PricingError::Overflow)?;
    let electricity = fee(segments, |segment| segment.electricity_e4)?;
    let service = fee(segments, |segment| segment.service_e4)?;
    Ok((energy, electricity.checked_add(service).ok_or(PricingError::Overflow)?))
}
