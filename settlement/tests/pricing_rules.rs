//! Each rule of CONTRACT 2.1 by itself, small enough to check by hand.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod support;

use domain::{Fen, Millis, WattHours, Watts};
use settlement::{
    pricing::{Bill, BillFlag, ChargeEnd, PriceInput, PricingError, Reading, RecordTimes, price},
    tariff::Tariff,
};
use support::{tariff, ts};

/// (time, seq, Wh) of the frames, then the record's end and total, and more where a rule needs it.
struct Case {
    tariff: Tariff,
    frames: Vec<(&'static str, u32, i64)>,
    start: Option<&'static str>,
    end: &'static str,
    total: i64,
    total_time_s: Option<u32>,
    sent: Option<u32>,
    offset_ms: Option<i64>,
    rated: i32,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            tariff: tariff("UTC", &[("00:00", "10:00", 5_000, 4_000), ("10:00", "24:00", 10_000, 6_000)]),
            frames: vec![],
            start: Some("09:00:00"),
            end: "11:00:00",
            total: 10_000,
            total_time_s: None,
            sent: None,
            offset_ms: None,
            rated: 60_000,
        }
    }
}

impl Case {
    fn record(&self) -> RecordTimes {
        RecordTimes {
            start: self.start.map(ts),
            end: ts(self.end),
            total: WattHours(self.total),
            total_time_s: self.total_time_s,
            frames: self.sent,
        }
    }

    fn try_price(&self, end: ChargeEnd) -> Result<Bill, PricingError> {
        let reading = |(at, seq, wh): &(&str, u32, i64)| Reading {
            at: ts(at),
            seq: *seq,
            energy: WattHours(*wh),
            total_time_s: self.total_time_s,
        };
        let readings: Vec<Reading> = self.frames.iter().map(reading).collect();
        price(&PriceInput {
            tariff: &self.tariff,
            created_at: ts("08:59:00"),
            rated_power: Watts(self.rated),
            readings: &readings,
            readings_thinned: false,
            end,
            clock_offset: self.offset_ms.map(Millis),
        })
    }

    fn bill(&self) -> Bill {
        self.try_price(ChargeEnd::Record(self.record())).unwrap()
    }
}

fn wh(bill: &Bill) -> Vec<i64> {
    bill.segments.iter().map(|segment| segment.energy_wh.0).collect()
}

#[test]
fn energy_is_spread_evenly_between_two_readings() {
    let bill = Case::default().bill();
    assert_eq!(wh(&bill), [5_000, 5_000]);
    // 5 kWh × 0.5 + 5 kWh × 1.0 yuan; 5 kWh × 0.4 + 5 kWh × 0.6 yuan.
    assert_eq!((bill.electricity_fen, bill.service_fen, bill.total_fen), (Fen(750), Fen(500), Fen(1_250)));
    assert_eq!(bill.flags, []);
}

#[test]
fn the_energy_up_to_a_boundary_is_rounded_down() {
    // 2 Wh in 3 s, the boundary after 2 s: 1.33 Wh; with 1.9999… nearly 2 Wh still 1.
    let case = Case { start: Some("09:59:58"), end: "10:00:01", total: 2, ..Case::default() };
    assert_eq!(wh(&case.bill()), [1, 1]);
    let case = Case { start: Some("09:59:57.001"), end: "10:00:00.001", total: 2, ..Case::default() };
    assert_eq!(wh(&case.bill()), [1, 1]);
}

#[test]
fn each_fee_is_rounded_once_half_up() {
    let flat = |e, s| tariff("UTC", &[("00:00", "24:00", e, s)]);
    for (total, electricity, service, expected) in [
        (49, 1_000, 1_000, (0, 0)),  // 0.49 fen
        (50, 1_000, 1_000, (1, 1)),  // 0.50 fen
        (1, 49_999, 50_000, (0, 1)), // just under half, exactly half
        (149, 1_000, 500, (1, 1)),   // 1.49 and 0.745 fen
        (0, 50_000, 50_000, (0, 0)),
    ] {
        let bill = Case { tariff: flat(electricity, service), total, ..Case::default() }.bill();
        assert_eq!((bill.electricity_fen.0, bill.service_fen.0), expected, "{total} Wh");
    }
    // Two segments of 0.25 fen each make half a fen together, not nothing twice.
    let twice = tariff("UTC", &[("00:00", "10:00", 1_000, 0), ("10:00", "24:00", 1_000, 0)]);
    let bill = Case { tariff: twice, total: 50, ..Case::default() }.bill();
    assert_eq!((wh(&bill), bill.electricity_fen), (vec![25, 25], Fen(1)));
}

#[test]
fn a_period_holds_from_its_first_instant_to_just_before_its_end() {
    let case = Case { start: Some("10:00:00"), end: "10:30:00", ..Case::default() };
    assert_eq!(case.bill().segments[0].label, "10:00");
    let case = Case { start: Some("09:30:00"), end: "10:00:00", ..Case::default() };
    let bill = case.bill();
    assert_eq!(bill.segments.len(), 1, "nothing of the next period");
    assert_eq!(bill.segments[0].label, "00:00");
}

#[test]
fn readings_bend_the_line() {
    let case = Case { frames: vec![("09:30:00", 1, 8_000), ("10:00:00", 2, 9_000)], ..Case::default() };
    assert_eq!(wh(&case.bill()), [9_000, 1_000]);
}

#[test]
fn late_frames_are_sorted_by_device_time_and_the_first_of_a_repeated_one_stands() {
    let frames = vec![("10:00:00", 2, 9_000), ("09:30:00", 1, 8_000), ("10:00:00", 2, 100), ("10:30:00", 1, 1)];
    let bill = Case { frames, ..Case::default() }.bill();
    assert_eq!((wh(&bill), bill.flags), (vec![9_000, 1_000], vec![]));
}

#[test]
fn of_equal_times_the_later_frame_counts_and_the_record_is_the_latest() {
    let frames = vec![("10:00:00", 2, 6_000), ("10:00:00", 1, 9_000), ("11:00:00", 3, 7_000)];
    let bill = Case { frames, ..Case::default() }.bill();
    assert_eq!((wh(&bill), bill.flags), (vec![6_000, 4_000], vec![]));
}

#[test]
fn a_reading_that_goes_backwards_is_left_out_and_flagged_an_equal_one_is_kept() {
    let frames = vec![("09:30:00", 1, 8_000), ("10:00:00", 2, 7_999)];
    let bill = Case { frames, ..Case::default() }.bill();
    assert_eq!(bill.flags, [BillFlag::BackwardsReading]);
    assert_eq!(wh(&bill), [8_666, 1_334], "the line goes from 09:30 to the end");
    let frames = vec![("09:30:00", 1, 8_000), ("10:00:00", 2, 8_000)];
    let bill = Case { frames, ..Case::default() }.bill();
    assert_eq!((wh(&bill), bill.flags), (vec![8_000, 2_000], vec![]));
}

#[test]
fn the_total_of_the_record_wins() {
    let frames = vec![("09:30:00", 1, 10_001), ("10:00:00", 2, 7_000)];
    let bill = Case { frames, ..Case::default() }.bill();
    assert_eq!((wh(&bill), bill.flags), (vec![7_000, 3_000], vec![BillFlag::AboveTotal]));
}

#[test]
fn readings_outside_the_times_of_the_record_are_left_out() {
    let frames = vec![("08:59:59.999", 1, 10), ("10:00:00", 2, 7_000), ("11:00:00.001", 3, 9_000)];
    let bill = Case { frames, ..Case::default() }.bill();
    assert_eq!((wh(&bill), bill.flags), (vec![7_000, 3_000], vec![BillFlag::OutsideTimes]));
}

#[test]
fn energy_shown_at_the_very_start_is_billed_there() {
    let frames = vec![("09:00:00", 1, 4_000)];
    let bill = Case { frames, ..Case::default() }.bill();
    assert_eq!(wh(&bill), [7_000, 3_000]);
}

#[test]
fn without_a_start_it_is_the_first_frame_less_its_total_time_and_else_the_next_best() {
    let start = |case: Case| case.bill().started_at;
    let frames = vec![("09:30:00", 2, 8_000), ("09:20:00", 3, 8_000)];
    let case = || Case { start: None, ..Case::default() };
    assert_eq!(start(Case { frames: frames.clone(), total_time_s: Some(600), ..case() }), ts("09:20:00"));
    assert_eq!(start(Case { total_time_s: Some(600), ..case() }), ts("10:50:00"), "the record's end less its length");
    assert_eq!(start(Case { frames, ..case() }), ts("09:30:00"), "the first frame itself");
    assert_eq!(start(case()), ts("08:59:00"), "the order's creation");
    assert_eq!(start(Case { end: "08:00:00", ..case() }), ts("08:00:00"), "but never after the end");
}

#[test]
fn a_clock_that_is_off_by_up_to_two_seconds_is_left_alone() {
    let start = |ms: i64| Case { offset_ms: Some(ms), ..Case::default() }.bill();
    for ms in [0, 2_000, -2_000] {
        assert_eq!(start(ms).started_at, ts("09:00:00"), "{ms}");
    }
    assert_eq!(start(2_001).started_at, ts("09:00:02.001"));
    assert_eq!(start(-2_001).ended_at, ts("10:59:57.999"));
    assert_eq!(start(2_001).flags, []);
    assert_eq!(start(300_000).flags, []);
    assert_eq!(start(300_001).flags, [BillFlag::ClockOffset]);
    let frames = vec![("10:00:00", 1, 9_000)];
    let bill = Case { frames, offset_ms: Some(60_000), ..Case::default() }.bill();
    assert_eq!(bill.segments[0].to, ts("10:00:00"), "prices change by the true clock");
    assert_eq!(wh(&bill), [8_850, 1_150], "9 kWh in an hour, 59 minutes of it before the boundary");
}

#[test]
fn odd_times_are_flagged_and_believed() {
    let bill = Case { start: Some("08:58:59.999"), ..Case::default() }.bill();
    assert_eq!((bill.started_at, bill.flags), (ts("08:58:59.999"), vec![BillFlag::BeforeCreation]));
    let bill = Case { rated: 5_000, ..Case::default() }.bill();
    assert_eq!(bill.flags, [], "10 kWh in two hours is 5 kW");
    let bill = Case { rated: 4_999, ..Case::default() }.bill();
    assert_eq!((bill.energy_wh, bill.flags), (WattHours(10_000), vec![BillFlag::AboveRatedPower]));
}

#[test]
fn missing_frames_are_flagged_by_the_number_of_the_record_or_by_holes() {
    let flags = |sent: Option<u32>, seqs: &[u32]| {
        let times = ["09:10:00", "09:20:00", "09:30:00"];
        let frames = seqs.iter().zip(times).map(|(seq, at)| (at, *seq, 0)).collect();
        Case { frames, sent, ..Case::default() }.bill().flags
    };
    let missing = vec![BillFlag::MissingFrames];
    assert_eq!(flags(Some(3), &[1, 2, 3]), []);
    assert_eq!(flags(Some(3), &[1, 3]), missing);
    assert_eq!(flags(Some(3), &[1, 2, 2]), missing);
    assert_eq!(flags(Some(3), &[1, 2, 4]), missing);
    assert_eq!(flags(None, &[1, 2]), []);
    assert_eq!(flags(None, &[2]), missing);
    assert_eq!(flags(Some(0), &[]), []);
    assert_eq!(flags(Some(1), &[]), missing);
}

#[test]
fn a_charge_across_midnight_uses_the_periods_of_the_next_day() {
    let night = tariff("Asia/Shanghai", &[("00:00", "08:00", 3_000, 0), ("08:00", "24:00", 9_000, 0)]);
    // 23:00 to 01:00 in Shanghai.
    let case = Case { tariff: night, start: Some("15:00:00"), end: "17:00:00", ..Case::default() };
    let labels: Vec<String> = case.bill().segments.iter().map(|segment| segment.label.clone()).collect();
    assert_eq!((labels, wh(&case.bill())), (vec!["08:00".to_owned(), "00:00".to_owned()], vec![5_000, 5_000]));
}

#[test]
fn a_period_of_two_days_is_two_segments_in_time_order() {
    let flat = tariff("UTC", &[("00:00", "24:00", 1_000, 0)]);
    let case = Case { tariff: flat, start: Some("22:00:00"), end: "2026-03-11T02:00:00Z", ..Case::default() };
    let bill = case.bill();
    assert_eq!(wh(&bill), [5_000, 5_000]);
    assert_eq!(bill.segments[0].to, ts("2026-03-11T00:00:00Z"));
    assert_eq!(bill.segments[0].to, bill.segments[1].from);
}

#[test]
fn a_change_of_the_clocks_does_not_cut_a_period() {
    let berlin = tariff("Europe/Berlin", &[("00:00", "24:00", 1_000, 0)]);
    let (start, end) = (Some("2026-03-29T00:30:00Z"), "2026-03-29T02:30:00Z");
    assert_eq!(wh(&Case { tariff: berlin, start, end, ..Case::default() }.bill()), [10_000]);
}

#[test]
fn without_energy_a_charge_costs_nothing_and_still_shows_its_periods() {
    let bill = Case { total: 0, ..Case::default() }.bill();
    assert_eq!((wh(&bill), bill.total_fen), (vec![0, 0], Fen(0)));
}

#[test]
fn a_charge_that_ends_when_it_starts_is_priced_at_that_instant() {
    let bill = Case { start: Some("10:00:00"), end: "10:00:00", total: 100, ..Case::default() }.bill();
    assert_eq!((wh(&bill), bill.electricity_fen), (vec![100], Fen(10)));
    assert_eq!((bill.segments[0].from, bill.segments[0].to), (ts("10:00:00"), ts("10:00:00")));
    assert_eq!(bill.flags, [BillFlag::AboveRatedPower]);
}

#[test]
fn a_record_that_ends_before_it_starts_is_priced_at_its_end_and_flagged() {
    let bill = Case { start: Some("10:00:00"), end: "09:59:59", total: 100, ..Case::default() }.bill();
    assert_eq!((bill.started_at, bill.ended_at), (ts("09:59:59"), ts("09:59:59")));
    assert_eq!(bill.electricity_fen, Fen(5));
    assert_eq!(bill.flags, [BillFlag::AboveRatedPower, BillFlag::EndBeforeStart]);
}

#[test]
fn without_a_record_the_last_reading_that_counts_is_the_end() {
    let frames = vec![("09:30:00", 1, 4_000), ("10:30:00", 2, 6_000), ("10:40:00", 3, 5_999)];
    let case = Case { frames, total_time_s: Some(1_800), ..Case::default() };
    let bill = case.try_price(ChargeEnd::LastReading { evidence_at: ts("09:00:01") }).unwrap();
    assert_eq!((bill.started_at, bill.ended_at), (ts("09:00:00"), ts("10:30:00")));
    assert_eq!(wh(&bill), [5_000, 1_000]);
    assert_eq!(bill.flags, [BillFlag::BackwardsReading, BillFlag::Estimated]);
}

#[test]
fn without_record_and_readings_nothing_is_billed_at_the_time_of_the_evidence() {
    let bill = Case::default().try_price(ChargeEnd::LastReading { evidence_at: ts("09:00:01") }).unwrap();
    assert_eq!((bill.started_at, bill.ended_at), (ts("09:00:01"), ts("09:00:01")));
    assert_eq!((wh(&bill), bill.total_fen, bill.flags), (vec![0], Fen(0), vec![BillFlag::Estimated]));
}

#[test]
fn a_start_over_a_year_ago_is_not_believed_and_the_bill_stays_small() {
    let start = Some("1970-01-01T00:00:00Z");
    let frames = vec![("09:30:00", 1, 4_000)];
    let bill = Case { start, frames, total_time_s: Some(1_800), ..Case::default() }.bill();
    assert_eq!(bill.started_at, ts("09:00:00"), "the first frame knows better");
    assert_eq!((bill.energy_wh, bill.flags), (WattHours(10_000), vec![BillFlag::TooLong]));
    let bill = Case { start: Some("2025-03-10T00:00:00Z"), ..Case::default() }.bill();
    assert_eq!(bill.segments.len(), 365 * 2 + 2);
}

#[test]
fn no_time_and_no_clock_however_odd_loses_energy() {
    for at in ["9999-12-30T21:00:00Z", "0000-01-01T01:00:00Z"] {
        for offset_ms in [i64::MAX, i64::MIN, 300_000_000_000_000, -300_000_000_000_000] {
            let case = Case { frames: vec![(at, 1, 700)], offset_ms: Some(offset_ms), ..Case::default() };
            let record = RecordTimes { start: None, end: ts(at), ..case.record() };
            for end in [ChargeEnd::Record(record), ChargeEnd::LastReading { evidence_at: ts("09:00:00") }] {
                let bill = case.try_price(end).unwrap();
                assert_eq!(wh(&bill).iter().sum::<i64>(), bill.energy_wh.0, "{at} {offset_ms}");
                assert!(bill.energy_wh == WattHours(10_000) || bill.energy_wh == WattHours(700));
            }
        }
    }
}

#[test]
fn numbers_beyond_all_sense_are_an_error_and_not_a_wrong_bill() {
    let case = Case { total: i64::MAX, ..Case::default() };
    let dear = tariff("UTC", &[("00:00", "24:00", 50_000, 50_000)]);
    assert_eq!(wh(&case.bill()).iter().sum::<i64>(), i64::MAX);
    let case = Case { tariff: dear, ..case };
    assert_eq!(case.try_price(ChargeEnd::Record(case.record())), Err(PricingError::Overflow));
    let case = Case { total: -1, ..Case::default() };
    let refused = case.try_price(ChargeEnd::Record(case.record()));
    assert_eq!(refused, Err(PricingError::NegativeEnergy(WattHours(-1))));
    let nowhere = Tariff { timezone: "Mars/Olympus".to_owned(), ..Case::default().tariff };
    let case = Case { tariff: nowhere, ..Case::default() };
    assert!(matches!(case.try_price(ChargeEnd::Record(case.record())), Err(PricingError::Tariff(_))));
}
