//! The live estimate of a running charge at its edges: frames out of order, the minute a period ends.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod support;

use std::sync::Arc;

use domain::{Fen, PriceE4, WattHours};
use settlement::pricing::RunningBill;
use support::{tariff, ts};

/// 0.5 yuan until 08:00, 1 yuan after it, and half of that for service.
fn running() -> RunningBill {
    let periods = [("00:00", "08:00", 5_000, 2_500), ("08:00", "24:00", 10_000, 5_000)];
    RunningBill::new(Arc::new(tariff("UTC", &periods))).unwrap()
}

#[test]
fn a_frame_that_is_older_or_shows_less_energy_changes_nothing() {
    let mut bill = running();
    let shown = bill.add(ts("07:30:00"), WattHours(2_000), Some(600));
    assert_eq!((shown.energy, shown.amount), (WattHours(2_000), Fen(150)));
    assert_eq!(bill.add(ts("07:29:59"), WattHours(3_000), None), shown, "older");
    assert_eq!(bill.add(ts("07:31:00"), WattHours(1_999), None), shown, "less energy");
    assert_eq!(bill.add(ts("07:30:00"), WattHours(2_000), None), shown, "the same once more");
    assert_eq!(bill.add(ts("07:31:00"), WattHours(2_100), None).energy, WattHours(2_100), "both newer and more");
}

#[test]
fn what_was_shown_last_is_shown_again_and_nothing_before_the_first_frame() {
    let mut bill = running();
    assert_eq!((bill.live(), bill.period_label()), (None, ""));
    let shown = bill.add(ts("07:30:00"), WattHours(2_000), None);
    assert_eq!((bill.live(), bill.period_label()), (Some(shown), "00:00"));
    bill.add(ts("09:00:00"), WattHours(4_000), None);
    assert_eq!(bill.period_label(), "08:00");
}

#[test]
fn a_frame_at_the_very_edge_is_shown_in_the_period_that_begins_there() {
    let mut bill = running();
    let before = bill.add(ts("07:59:59.999"), WattHours(1_000), Some(60));
    assert_eq!((before.period, before.electricity, before.service), (0, PriceE4(5_000), PriceE4(2_500)));
    let edge = bill.add(ts("08:00:00"), WattHours(1_000), None);
    assert_eq!((edge.period, edge.electricity, edge.service), (1, PriceE4(10_000), PriceE4(5_000)));
    assert_eq!(edge.amount, Fen(75), "nothing was delivered at the new price");
    assert_eq!(bill.add(ts("08:01:00"), WattHours(2_000), None).amount, Fen(225));
}
