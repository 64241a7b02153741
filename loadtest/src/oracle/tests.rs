//! Worked by hand from the contract, so that the judge is judged.

use super::*;

fn tariff(zone: &str, periods: &[(&str, &str, &str, i64, i64)]) -> Tariff {
    let periods: Vec<Period> = periods
        .iter()
        .map(|&(from, to, label, electricity_e4, service_e4)| Period {
            from: from.to_owned(),
            to: to.to_owned(),
            label: label.to_owned(),
            electricity_e4,
            service_e4,
        })
        .collect();
    Tariff::new(zone, &periods).unwrap()
}

fn at(text: &str) -> i64 {
    domain::Timestamp::parse_rfc3339(text).unwrap().as_millis()
}

fn valley_and_peak() -> Tariff {
    tariff("Asia/Shanghai", &[("00:00", "08:00", "valley", 3_000, 4_000), ("08:00", "24:00", "peak", 10_000, 4_000)])
}

fn charged(start: &str, end: &str, total: i64, readings: &[(&str, u32, i64)]) -> Charged {
    let readings = readings.iter().map(|&(time, seq, wh)| (at(time), seq, wh)).collect();
    Charged { start: at(start), end: at(end), total, readings }
}

fn wh(price: &Price) -> Vec<(&str, i64)> {
    price.wh_by_period.iter().map(|((label, _, _), wh)| (label.as_str(), *wh)).collect()
}

#[test]
fn one_period_is_energy_times_price() {
    // 12.48 kWh × 1.0000 + 12.48 kWh × 0.4000 = 12.48 + 4.992 yuan = 1248 + 499.2 fen.
    let c = charged("2025-11-21T09:00:00+08:00", "2025-11-21T09:30:00+08:00", 12_480, &[]);
    let p = price(&c, &valley_and_peak(), 0);
    assert_eq!((p.electricity_fen, p.service_fen, p.total_fen), (1248, 499, 1747));
    assert_eq!(wh(&p), [("peak", 12_480)]);
}

#[test]
fn energy_between_two_readings_is_split_at_the_boundary_by_time() {
    // 07:59:50 → 08:00:20 carries 100 Wh; 10 s of 30 s are before the boundary: floor(33.3) = 33 Wh.
    let c = charged(
        "2025-11-21T07:59:00+08:00",
        "2025-11-21T08:01:00+08:00",
        500,
        &[("2025-11-21T07:59:50+08:00", 1, 200), ("2025-11-21T08:00:20+08:00", 2, 300)],
    );
    let p = price(&c, &valley_and_peak(), 0);
    assert_eq!(wh(&p), [("peak", 267), ("valley", 233)]);
    // 233×3000 + 267×10000 = 3,369,000 → 33.69 → 34 fen; 500×4000 = 2,000,000 → 20 fen.
    assert_eq!((p.electricity_fen, p.service_fen), (34, 20));
}

#[test]
fn half_a_fen_is_rounded_up_once_per_fee_kind() {
    // Two parts of 0.5 fen each: rounded once they are 1 fen, rounded apart they would be 2.
    let t = tariff("UTC", &[("00:00", "01:00", "a", 500, 499), ("01:00", "24:00", "b", 500, 499)]);
    let c = charged("2025-11-21T00:30:00Z", "2025-11-21T01:30:00Z", 200, &[]);
    let p = price(&c, &t, 0);
    assert_eq!((p.electricity_fen, p.service_fen), (1, 1));
    let c = charged("2025-11-21T00:10:00Z", "2025-11-21T00:20:00Z", 100, &[]);
    let p = price(&c, &t, 0);
    assert_eq!((p.electricity_fen, p.service_fen), (1, 0), "50,000 rounds up, 49,900 down");
}

#[test]
fn readings_that_cannot_be_are_left_out() {
    let start = "2025-11-21T07:58:00+08:00";
    let end = "2025-11-21T08:02:00+08:00";
    type Row<'a> = (&'a str, &'a [(&'a str, u32, i64)], i64);
    let table: [Row<'_>; 5] = [
        // why, readings, Wh in the valley: floor of the straight line up to 08:00
        ("none: half of 400", &[], 200),
        ("backwards is left out", &[("2025-11-21T07:59:00+08:00", 1, 120), ("2025-11-21T08:00:00+08:00", 2, 100)], 213),
        ("above the total is left out", &[("2025-11-21T07:59:00+08:00", 1, 401)], 200),
        ("outside the times is left out", &[("2025-11-21T07:57:00+08:00", 1, 50)], 200),
        (
            "of equal times the later seq counts",
            &[("2025-11-21T08:00:00+08:00", 1, 90), ("2025-11-21T08:00:00+08:00", 2, 110)],
            110,
        ),
    ];
    for (why, readings, valley) in table {
        let p = price(&charged(start, end, 400, readings), &valley_and_peak(), 0);
        assert_eq!(wh(&p), [("peak", 400 - valley), ("valley", valley)], "{why}");
    }
}

#[test]
fn a_session_over_midnight_uses_the_periods_of_the_next_day() {
    let c = charged("2025-11-21T23:30:00+08:00", "2025-11-22T00:30:00+08:00", 1_000, &[]);
    assert_eq!(wh(&price(&c, &valley_and_peak(), 0)), [("peak", 500), ("valley", 500)]);
}

#[test]
fn the_hour_that_summer_time_skips_costs_nothing_and_the_one_it_repeats_counts_twice() {
    let t = tariff("America/New_York", &[("00:00", "02:00", "night", 1_000, 0), ("02:00", "24:00", "day", 2_000, 0)]);
    // 2026-03-08: 01:30 EST to 03:30 EDT is one hour; 02:00 does not exist, the day price begins at 03:00 EDT.
    let c = charged("2026-03-08T01:30:00-05:00", "2026-03-08T03:30:00-04:00", 1_000, &[]);
    assert_eq!(wh(&price(&c, &t, 0)), [("day", 500), ("night", 500)]);
    // 2026-11-01: 00:00 EDT to 02:00 EST is three hours of night.
    let c = charged("2026-11-01T00:00:00-04:00", "2026-11-01T03:00:00-05:00", 4_000, &[]);
    assert_eq!(wh(&price(&c, &t, 0)), [("day", 1_000), ("night", 3_000)]);
}

#[test]
fn a_charge_without_energy_costs_nothing() {
    let c = charged("2025-11-21T07:00:00+08:00", "2025-11-21T09:00:00+08:00", 0, &[]);
    assert_eq!(price(&c, &valley_and_peak(), 0), Price::default());
}

#[test]
fn a_wrong_clock_is_corrected_only_over_two_seconds() {
    let c = charged("2025-11-21T08:00:00+08:00", "2025-11-21T08:10:00+08:00", 1_000, &[]);
    let small = price_any_offset(&c, &valley_and_peak(), 2_000, 1_000);
    assert_eq!(small, [price(&c, &valley_and_peak(), 0)]);
    // The clock is five minutes ahead: really 07:55 to 08:05, half of it in the valley.
    let large = price_any_offset(&c, &valley_and_peak(), 300_000, 0);
    assert_eq!(wh(&large[0]), [("peak", 500), ("valley", 500)]);
}

#[test]
fn money_follows_the_order_of_the_contract() {
    let table = [
        // available, limit, total → frozen, paid, released, debt, available after
        (10_000, 5_000, 1_747, 5_000, 1_747, 3_253, 0, 8_253),
        (10_000, 5_000, 6_000, 5_000, 6_000, 0, 0, 4_000),
        (3_000, 5_000, 4_000, 3_000, 3_000, 0, 1_000, 0),
        (5_000, 5_000, 0, 5_000, 0, 5_000, 0, 5_000),
    ];
    for (available, limit, total, frozen, paid_fen, released_fen, debt_fen, after) in table {
        let mut account = Account::default();
        account.top_up(available);
        assert_eq!(account.freeze(limit, 1_000), Some(frozen));
        assert_eq!(account.settle(frozen, total), Payment { paid_fen, released_fen, debt_fen });
        assert_eq!((account.available_fen, account.frozen_fen), (after, 0));
        assert_eq!(account.topped_up_fen, account.available_fen + account.frozen_fen + account.paid_fen);
    }
}

#[test]
fn a_debt_refuses_the_next_start_until_it_is_repaid() {
    let mut account = Account::default();
    account.top_up(1_000);
    assert_eq!(account.freeze(5_000, 1_000), Some(1_000));
    account.settle(1_000, 1_500);
    account.top_up(5_000);
    assert_eq!(account.freeze(5_000, 1_000), None);
    assert_eq!(account.repay(500), 500);
    assert_eq!(account.freeze(4_000, 1_000), Some(4_000));
}
