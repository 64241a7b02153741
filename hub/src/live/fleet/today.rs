//! Energy and revenue of the day, kept up from the orders that change and filled up once from the store.
//!
//! The day is that of the first station's time zone; an order counts on the day it ended. Nothing is counted before
//! the first viewer comes.

use std::collections::HashMap;

use domain::{Millis, OrderNo, Timestamp};
use jiff::{civil::Date, tz::TimeZone};
use settlement::order::{Order, PaymentStatus};

use super::Fleet;
use crate::live::{limits::TODAY_ORDERS_MAX, world::World};

/// Orders that were created longer than this before now are not looked at when the sums are filled up.
const LOAD_BACK: Millis = Millis::from_secs(48 * 3600);
/// Orders read at once, and pages read between two pictures.
const LOAD_PAGE_LEN: usize = 500;
const LOAD_PAGES: usize = 20;

/// The day's books.
#[derive(Debug, Default)]
pub(crate) struct Today {
    zone: Option<TimeZone>,
    day: Option<Date>,
    counted: HashMap<OrderNo, Counted>,
    sums: Sums,
    loading: Loading,
}

#[derive(Debug, Clone, Copy)]
struct Counted {
    rev: i64,
    energy_wh: i64,
    revenue_fen: i64,
}

#[derive(Debug, Default, Clone)]
enum Loading {
    #[default]
    Untouched,
    From(Option<String>),
    Done,
}

/// The sums of the day.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) energy_wh: i64,
    pub(super) revenue_fen: i64,
    /// Whether all orders of the day are in.
    pub(super) complete: bool,
}

impl Today {
    /// Counts an order if it was billed today; a later revision replaces an earlier one.
    pub(super) fn add(&mut self, order: &Order) {
        let (Some(zone), Some(bill)) = (&self.zone, &order.bill) else { return };
        let ended = order.ended_at.unwrap_or(order.created_at).max(order.created_at);
        if date_of(zone, ended) != self.day || self.day.is_none() {
            return;
        }
        let before = self.counted.get(&order.order_no);
        if before.is_some_and(|known| known.rev > order.rev) {
            return;
        }
        if before.is_none() && self.counted.len() >= TODAY_ORDERS_MAX {
            tracing::debug!(order_no = %order.order_no, "too many orders for the sums of the day");
            return;
        }
        let next = Counted {
            rev: order.rev,
            energy_wh: bill.energy_wh.0,
            revenue_fen: if is_revenue(order.payment_status) { bill.total_fen.0 } else { 0 },
        };
        let (energy, revenue) = before.map_or((0, 0), |known| (known.energy_wh, known.revenue_fen));
        self.sums.energy_wh = self.sums.energy_wh.saturating_sub(energy).saturating_add(next.energy_wh);
        self.sums.revenue_fen = self.sums.revenue_fen.saturating_sub(revenue).saturating_add(next.revenue_fen);
        self.counted.insert(order.order_no.clone(), next);
    }

    /// Whether an order is in the sums.
    pub(super) fn has(&self, order_no: &OrderNo) -> bool {
        self.counted.contains_key(order_no)
    }

    /// The sums, after midnight those of the new day.
    pub(super) fn sums(&mut self, now: Timestamp) -> Sums {
        self.turn(now);
        Sums { complete: matches!(self.loading, Loading::Done), ..self.sums }
    }

    fn turn(&mut self, now: Timestamp) {
        let day = self.zone.as_ref().and_then(|zone| date_of(zone, now));
        if day != self.day {
            self.day = day;
            self.sums = Sums::default();
            self.counted = HashMap::new();
        }
    }

    /// Where to read on, if something is missing.
    fn next_page(&mut self, zone: impl FnOnce() -> TimeZone, now: Timestamp) -> Option<Option<String>> {
        match &self.loading {
            Loading::Done => None,
            Loading::From(cursor) => Some(cursor.clone()),
            Loading::Untouched => {
                self.zone = Some(zone());
                self.turn(now);
                self.loading = Loading::From(None);
                Some(None)
            }
        }
    }
}

/// Fills up the sums from the store, a few pages at a time.
pub(super) async fn load_some(fleet: &Fleet, world: &dyn World) {
    for _ in 0..LOAD_PAGES {
        let now = world.now();
        let Some(cursor) = fleet.today.lock().next_page(|| zone_of(world), now) else { return };
        let page = match world.orders(cursor.as_deref(), LOAD_PAGE_LEN).await {
            Ok(page) => page,
            Err(error) => {
                // Asked again before the next picture.
                tracing::debug!(%error, "sums of the day wait for the store");
                return;
            }
        };
        let oldest = page.items.last().map(|order| order.created_at);
        let mut today = fleet.today.lock();
        page.items.iter().for_each(|order| today.add(order));
        let enough = oldest.is_none_or(|at| now.since(at) > LOAD_BACK);
        today.loading = match page.next_cursor.filter(|_| !enough) {
            Some(next) => Loading::From(Some(next)),
            None => Loading::Done,
        };
    }
}

fn zone_of(world: &dyn World) -> TimeZone {
    let first = world.stations().into_iter().min_by(|a, b| a.station_id.cmp(&b.station_id));
    first.and_then(|station| TimeZone::get(&station.timezone).ok()).unwrap_or(TimeZone::UTC)
}

fn date_of(zone: &TimeZone, at: Timestamp) -> Option<Date> {
    let at = jiff::Timestamp::from_millisecond(at.as_millis()).ok()?;
    Some(zone.to_datetime(at).date())
}

/// A bill that waits for a person, or was rejected, earns nothing.
fn is_revenue(status: PaymentStatus) -> bool {
    match status {
        PaymentStatus::Paid | PaymentStatus::Unpaid | PaymentStatus::PartiallyRefunded | PaymentStatus::Refunded => {
            true
        }
        PaymentStatus::None | PaymentStatus::Frozen => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::samples::{FakeWorld, bill, changed, order, station};

    /// 2025-11-21T01:53:20Z, in Shanghai 09:53.
    const NOW: i64 = 1_763_690_000_000;

    fn billed(no: &str, rev: i64, wh: i64, fen: i64, ended_ms: i64) -> Order {
        changed(&order(no), |o| {
            o.rev = rev;
            o.payment_status = PaymentStatus::Paid;
            o.bill = Some(bill(wh, fen, 1));
            o.created_at = Timestamp::from_millis_clamped(ended_ms - 1000);
            o.ended_at = Some(Timestamp::from_millis_clamped(ended_ms));
        })
    }

    fn opened() -> Today {
        let mut today = Today::default();
        let zone = || TimeZone::get("Asia/Shanghai").unwrap();
        today.next_page(zone, Timestamp::from_millis_clamped(NOW)).unwrap();
        today
    }

    fn sums(today: &mut Today, now_ms: i64) -> (i64, i64) {
        let sums = today.sums(Timestamp::from_millis_clamped(now_ms));
        (sums.energy_wh, sums.revenue_fen)
    }

    #[test]
    fn each_order_counts_once_with_its_latest_revision() {
        let mut today = opened();
        today.add(&billed("1", 3, 1000, 100, NOW));
        today.add(&billed("1", 3, 1000, 100, NOW));
        today.add(&billed("2", 1, 500, 50, NOW));
        today.add(&billed("1", 5, 900, 90, NOW));
        today.add(&billed("1", 4, 7000, 700, NOW));
        assert_eq!(sums(&mut today, NOW), (1400, 140));
    }

    #[test]
    fn a_bill_that_waits_for_a_person_is_energy_but_no_revenue() {
        let mut today = opened();
        let held = changed(&billed("1", 3, 1000, 30_000, NOW), |o| o.payment_status = PaymentStatus::Frozen);
        today.add(&held);
        assert_eq!(sums(&mut today, NOW), (1000, 0));
    }

    #[test]
    fn the_day_begins_at_midnight_of_the_station() {
        let midnight = NOW - (9 * 3600 + 53 * 60 + 20) * 1000;
        let mut today = opened();
        today.add(&billed("1", 1, 1, 1, midnight - 1));
        today.add(&billed("2", 1, 2, 2, midnight));
        assert_eq!(sums(&mut today, NOW), (2, 2));
        let tomorrow = midnight + 24 * 3600 * 1000;
        assert_eq!(sums(&mut today, tomorrow), (0, 0));
        today.add(&billed("3", 1, 3, 3, tomorrow));
        assert_eq!(sums(&mut today, tomorrow), (3, 3));
    }

    #[test]
    fn nothing_is_counted_before_somebody_looks() {
        let mut today = Today::default();
        today.add(&billed("1", 1, 1, 1, NOW));
        assert!(!today.has(&OrderNo::parse("1").unwrap()));
    }

    #[tokio::test]
    async fn the_sums_are_filled_up_from_the_store_page_by_page() {
        let world = FakeWorld::at(NOW);
        world.stations.lock().push(station("S1"));
        for n in 0..1200 {
            world.orders.lock().push(billed(&format!("{n}"), 1, 10, 1, NOW));
        }
        let fleet = Fleet::default();
        load_some(&fleet, &world).await;
        let sums = fleet.today.lock().sums(Timestamp::from_millis_clamped(NOW));
        assert_eq!(sums, Sums { energy_wh: 12_000, revenue_fen: 1200, complete: true });
    }
}
