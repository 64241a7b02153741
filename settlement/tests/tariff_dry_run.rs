//! Bills priced again at another tariff, and the sums over many of them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod support;

use domain::{Fen, Millis, PriceE4, StationId, Timestamp, WattHours, Watts};
use settlement::{
    dry_run::{DryRun, DryRunReport, OrderDifference},
    limits::{DRY_RUN_PRICES_MAX, DRY_RUN_WORST_MAX},
    order::{Order, Review, Verdict},
    pricing::{Bill, ChargeEnd, PriceInput, Reading, RecordTimes, price, reprice},
    tariff::{DayPlan, LocalDate, Tariff, Weekdays},
};
use support::{
    new_order, no,
    random::{Random, seed},
    tariff, ts,
};

const HOUR_MS: i64 = 3_600_000;

/// A charge with a reading every so often: (milliseconds since the start, energy).
fn charge(tariff: &Tariff, start: Timestamp, readings: &[(i64, i64)]) -> Bill {
    let (length, total) = *readings.last().unwrap();
    let reading = |(seq, (ms, wh)): (u32, &(i64, i64))| Reading {
        at: start.plus(Millis(*ms)),
        seq,
        energy: WattHours(*wh),
        total_time_s: None,
    };
    let readings: Vec<Reading> = (1..).zip(readings).map(reading).collect();
    let end = RecordTimes {
        start: Some(start),
        end: start.plus(Millis(length)),
        total: WattHours(total),
        total_time_s: None,
        frames: None,
    };
    price(&PriceInput {
        tariff,
        created_at: start,
        rated_power: Watts(120_000),
        readings: &readings,
        readings_thinned: false,
        end: ChargeEnd::Record(end),
        clock_offset: None,
    })
    .unwrap()
}

fn order(order_no: &str, bill: Option<Bill>) -> Order {
    Order { bill, ..new_order(order_no) }
}

fn run(tariff: &Tariff, orders: &[Order]) -> DryRunReport {
    let mut run = DryRun::new(tariff);
    orders.iter().for_each(|order| run.add(order).unwrap());
    run.report().unwrap()
}

fn flat(electricity: i64, service: i64) -> Tariff {
    tariff("UTC", &[("00:00", "24:00", electricity, service)])
}

#[test]
fn energy_is_spread_evenly_within_a_segment_and_occupancy_stays() {
    let dear_from_nine = tariff("UTC", &[("00:00", "09:00", 5_000, 1_000), ("09:00", "24:00", 10_000, 2_000)]);
    // 08:30 to 09:30, 9 kWh; two thirds of them in the first half hour, which the segment no longer tells.
    let bill = charge(&flat(6_000, 4_000), ts("08:30:00"), &[(HOUR_MS / 2, 6_000), (HOUR_MS, 9_000)]);
    let bill = Bill { occupancy_fen: Fen(50), total_fen: Fen(950), ..bill };
    assert_eq!(bill.electricity_fen, Fen(540));
    let again = reprice(&bill, &dear_from_nine).unwrap();
    let parts: Vec<_> = again.segments.iter().map(|s| (s.label.as_str(), s.energy_wh.0)).collect();
    assert_eq!(parts, [("00:00", 4_500), ("09:00", 4_500)]);
    // 4.5 × 0.5 + 4.5 × 1.0 = 6.75 yuan; 4.5 × 0.1 + 4.5 × 0.2 = 1.35 yuan.
    assert_eq!((again.electricity_fen, again.service_fen), (Fen(675), Fen(135)));
    assert_eq!((again.occupancy_fen, again.total_fen), (Fen(50), Fen(860)));
    // With an edge at nine in the bill as well, what was delivered by then is known.
    let bill = charge(&dear_from_nine, ts("08:30:00"), &[(HOUR_MS / 2, 6_000), (HOUR_MS, 9_000)]);
    let halved = tariff("UTC", &[("00:00", "09:00", 2_500, 500), ("09:00", "24:00", 5_000, 1_000)]);
    let again = reprice(&bill, &halved).unwrap();
    assert_eq!(again.segments.iter().map(|s| s.energy_wh.0).collect::<Vec<_>>(), [6_000, 3_000]);
    assert_eq!((again.electricity_fen, again.service_fen), (Fen(300), Fen(60)));
}

/// A tariff with edges anywhere and plans for some days.
fn random_tariff(random: &mut Random, zone: &str) -> Tariff {
    let edge = |random: &mut Random| format!("{:02}:{:02}", random.between(1, 23), random.between(0, 59));
    let price = |random: &mut Random| random.between(0, 20_000);
    let day = |random: &mut Random| {
        let edge = edge(random);
        let periods =
            [("00:00", edge.as_str(), price(random), price(random)), (&edge, "24:00", price(random), price(random))];
        tariff(zone, &periods)
    };
    let everyday = day(random);
    let plans = (0..random.between(0, 2)).map(|_| DayPlan {
        name: String::new(),
        weekdays: Weekdays::of(&[random.between(1, 7), random.between(1, 7)]).unwrap(),
        from_date: random.one_in(2).then(|| LocalDate::parse("2026-03-28").unwrap()),
        to_date: None,
        periods: day(random).periods,
    });
    Tariff { plans: plans.collect(), ..everyday }
}

#[test]
fn at_its_own_tariff_a_charge_has_the_very_same_bill() {
    let seed = seed("at_its_own_tariff");
    for n in 0..4_000 {
        let mut random = Random::new(seed.wrapping_add(n));
        let zone = *random.pick(&["Asia/Shanghai", "Europe/Berlin", "Asia/Beirut", "Australia/Lord_Howe"]);
        let tariff = random_tariff(&mut random, zone);
        let start = ts("2026-03-27T20:00:00Z").plus(Millis(random.between(0, 48 * HOUR_MS)));
        let mut readings = Vec::new();
        let (mut ms, mut wh) = (0, 0);
        for _ in 0..random.between(1, 12) {
            (ms, wh) = (ms + random.between(0, 5 * HOUR_MS), wh + random.between(0, 30_000));
            readings.push((ms, wh));
        }
        let bill = charge(&tariff, start, &readings);
        assert_eq!(reprice(&bill, &tariff).unwrap(), bill, "SETTLEMENT_SEED={seed} + {n}");
        // At any tariff no energy is lost, and an edge of the bill stays where it was.
        let other = random_tariff(&mut random, zone);
        let again = reprice(&bill, &other).unwrap();
        assert_eq!(again.energy_wh, bill.energy_wh);
        assert_eq!(again.segments.iter().map(|s| s.energy_wh.0).sum::<i64>(), bill.energy_wh.0);
        assert_eq!((again.started_at, again.ended_at), (bill.started_at, bill.ended_at));
    }
}

#[test]
fn a_dry_run_adds_up_what_orders_cost_and_would_have_cost() {
    let now = tariff("UTC", &[("00:00", "09:00", 5_000, 1_000), ("09:00", "24:00", 10_000, 2_000)]);
    let then = tariff("UTC", &[("00:00", "10:00", 6_000, 2_000), ("10:00", "24:00", 10_000, 2_000)]);
    // One hour each: before nine, after ten, and half an hour on either side of nine.
    let hour = |wh: i64| [(HOUR_MS, wh)];
    let orders = [
        order("A1", Some(charge(&now, ts("08:00:00"), &hour(10_000)))),
        order("A2", Some(charge(&now, ts("10:00:00"), &hour(20_000)))),
        order("A3", Some(charge(&now, ts("08:30:00"), &hour(10_000)))),
        order("A4", None),
        Order {
            review: Some(Review { by: None, verdict: Verdict::Rejected, at: ts("12:00:00") }),
            ..order("A5", Some(charge(&now, ts("08:00:00"), &hour(10_000))))
        },
        Order {
            station_id: StationId::parse("S2").unwrap(),
            ..order("A6", Some(charge(&now, ts("08:00:00"), &hour(10_000))))
        },
    ];
    let report = run(&then, &orders);
    assert_eq!((report.orders, report.skipped, report.labels_cut), (3, 2, false));
    // A1: 600 → 800. A2: 2,400 either way. A3: 5 × 0.6 + 5 × 1.2 = 9 yuan → 10 × 0.8 = 8 yuan.
    assert_eq!((report.revenue_now, report.revenue_then, report.difference), (Fen(3_900), Fen(4_000), Fen(100)));
    let difference = |order_no, now, then: i64, difference| OrderDifference {
        order_no: no(order_no),
        now: Fen(now),
        then: Fen(then),
        difference: Fen(difference),
    };
    assert_eq!(report.worst, [difference("A1", 600, 800, 200), difference("A3", 900, 800, -100)]);
    let labels: Vec<_> = report
        .by_label
        .iter()
        .map(|l| (l.label.as_str(), l.energy_now.0, l.energy_then.0, l.now.0, l.then.0))
        .collect();
    let expected =
        [("00:00", 15_000, 20_000, 900, 1_600), ("09:00", 25_000, 0, 3_000, 0), ("10:00", 0, 20_000, 0, 2_400)];
    assert_eq!(labels, expected);
}

#[test]
fn a_rejected_bill_is_skipped_and_an_approved_one_counts() {
    let bill = charge(&flat(5_000, 0), ts("08:00:00"), &[(HOUR_MS, 10_000)]);
    for (verdict, counted) in [(Verdict::Approved, (1, 0)), (Verdict::Rejected, (0, 1))] {
        let review = Some(Review { by: None, verdict, at: ts("12:00:00") });
        let report = run(&flat(1, 1), &[Order { review, ..order("A1", Some(bill.clone())) }]);
        assert_eq!((report.orders, report.skipped), counted, "{verdict:?}");
    }
}

#[test]
fn the_worst_orders_are_the_same_in_whatever_order_they_are_shown() {
    let seed = seed("the_worst_orders");
    let mut random = Random::new(seed);
    let now = flat(5_000, 0);
    let mut orders: Vec<Order> = (0..200)
        .map(|n| {
            let wh = random.between(0, 40) * 1_000;
            order(&format!("B{n:03}"), Some(charge(&now, ts("08:00:00"), &[(HOUR_MS, wh)])))
        })
        .collect();
    let dearer = flat(7_000, 0);
    let first = run(&dearer, &orders);
    assert_eq!(first.worst.len(), DRY_RUN_WORST_MAX);
    let mut expected: Vec<_> = orders
        .iter()
        .map(|order| {
            let now = order.bill.as_ref().unwrap().total_fen;
            (order.bill.as_ref().unwrap().energy_wh.0 * -2 / 10, order.order_no.clone(), now)
        })
        .collect();
    expected.sort();
    let expected: Vec<_> = expected.into_iter().take(DRY_RUN_WORST_MAX).map(|(_, order_no, _)| order_no).collect();
    assert_eq!(first.worst.iter().map(|o| o.order_no.clone()).collect::<Vec<_>>(), expected);
    for _ in 0..5 {
        let at = usize::try_from(random.between(1, 199)).unwrap();
        orders.rotate_left(at);
        orders.reverse();
        assert_eq!(run(&dearer, &orders), first, "SETTLEMENT_SEED={seed}");
    }
    assert_eq!(run(&now, &orders).worst, [], "no difference, nobody is hit");
}

#[test]
fn fees_of_a_label_are_rounded_once_and_not_order_by_order() {
    // 1 Wh at 0.4 yuan: 0.04 fen each, four fen of a hundred of them.
    let bill = charge(&flat(4_000, 0), ts("08:00:00"), &[(HOUR_MS, 1)]);
    assert_eq!(bill.total_fen, Fen(0));
    let orders: Vec<Order> = (0..100).map(|n| order(&format!("C{n}"), Some(bill.clone()))).collect();
    let report = run(&flat(8_000, 0), &orders);
    assert_eq!((report.revenue_now, report.revenue_then), (Fen(0), Fen(0)));
    assert_eq!((report.by_label[0].now, report.by_label[0].then), (Fen(4), Fen(8)));
}

#[test]
fn more_prices_than_are_kept_apart_are_in_the_sums_and_the_report_says_so() {
    let bill = charge(&flat(1_000, 0), ts("08:00:00"), &[(HOUR_MS, 1_000)]);
    let priced = |n: usize| {
        let mut bill = bill.clone();
        bill.segments[0].service_e4 = PriceE4(i64::try_from(n).unwrap());
        order(&format!("D{n}"), Some(bill))
    };
    let orders: Vec<Order> = (0..=DRY_RUN_PRICES_MAX).map(priced).collect();
    let energy = |report: &DryRunReport| report.by_label[0].energy_now.0;
    let kept = run(&flat(2_000, 0), &orders[1..]);
    assert_eq!((kept.labels_cut, energy(&kept)), (false, 10_000_000));
    let cut = run(&flat(2_000, 0), &orders);
    assert_eq!((cut.labels_cut, energy(&cut), cut.revenue_now), (true, 10_000_000, Fen(100_010)));
}
