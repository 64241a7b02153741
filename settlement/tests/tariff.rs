//! What makes a tariff valid, which one is in force, and what the clock changes do to it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod support;

use domain::{PriceE4, StationId, UserId};
use settlement::tariff::{
    FeeKind, Period, Tariff, TariffError, Walk, check_timezone, format_minute, next_version, parse_minute, tariff_at,
    validate_periods,
};
use support::{tariff, ts};

fn period(from: &str, to: &str) -> Period {
    priced(from, to, 6_000, 4_000)
}

fn priced(from: &str, to: &str, electricity: i64, service: i64) -> Period {
    Period {
        from_min: parse_minute(from).unwrap(),
        to_min: parse_minute(to).unwrap(),
        label: "平".to_owned(),
        electricity: PriceE4(electricity),
        service: PriceE4(service),
    }
}

#[test]
fn periods_are_refused_with_the_minute_or_price_and_what_to_do() {
    let over = |e, s| validate_periods(&[priced("00:00", "24:00", e, s)]);
    let table: Vec<(Vec<Period>, &str)> = vec![
        (vec![], "a tariff needs at least one period: add one from 00:00 to 24:00"),
        (vec![period("00:30", "24:00")], "no period covers 00:00 to 00:30: add one, or lengthen a neighbour"),
        (
            vec![period("00:00", "08:00"), period("08:01", "24:00")],
            "no period covers 08:00 to 08:01: add one, or lengthen a neighbour",
        ),
        (vec![period("00:00", "23:59")], "no period covers 23:59 to 24:00: add one, or lengthen a neighbour"),
        (
            vec![period("00:00", "08:00"), period("07:30", "24:00")],
            "two periods cover 07:30: end the earlier one there, or begin the later one at 08:00",
        ),
        (
            vec![period("00:00", "24:00"), period("00:00", "24:00")],
            "two periods cover 00:00: end the earlier one there, or begin the later one at 24:00",
        ),
        (
            vec![period("06:00", "22:00"), period("22:00", "06:00")],
            "the period from 22:00 to 06:00 is empty or runs over midnight: split it at 24:00",
        ),
        (
            vec![period("00:00", "22:00"), period("22:00", "06:00")],
            "the period from 22:00 to 06:00 is empty or runs over midnight: split it at 24:00",
        ),
        (
            vec![period("00:00", "00:00")],
            "the period from 00:00 to 00:00 is empty or runs over midnight: split it at 24:00",
        ),
    ];
    for (periods, message) in table {
        assert_eq!(validate_periods(&periods).unwrap_err().to_string(), message);
    }
    assert_eq!(over(50_000, 50_000), Ok(()));
    assert_eq!(over(0, 0), Ok(()));
    for (electricity, service, kind) in [
        (50_001, 0, FeeKind::Electricity),
        (0, 50_001, FeeKind::Service),
        (-1, 0, FeeKind::Electricity),
        (0, -1, FeeKind::Service),
    ] {
        let price = PriceE4(if kind == FeeKind::Electricity { electricity } else { service });
        assert_eq!(over(electricity, service), Err(TariffError::Price { from_min: 0, kind, price }));
    }
    assert_eq!(
        over(50_001, 0).unwrap_err().to_string(),
        "the electricity price of the period from 00:00 is 50001 e4 per kWh: it must be 0 to 50000 e4"
    );
    let past = Period { to_min: 1441, ..period("00:00", "24:00") };
    assert_eq!(validate_periods(&[past]), Err(TariffError::PastMidnight { minute: 1441 }));
    let wordy = Period { label: "x".repeat(65), ..period("00:00", "24:00") };
    assert_eq!(validate_periods(&[wordy]), Err(TariffError::Label { from_min: 0 }));
}

#[test]
fn periods_may_come_in_any_order_and_are_kept_sorted() {
    let periods = vec![period("08:00", "24:00"), period("00:00", "08:00")];
    assert_eq!(validate_periods(&periods), Ok(()));
    let draft = Tariff::draft(
        "T1".to_owned(),
        StationId::parse("S1").unwrap(),
        "Asia/Shanghai".to_owned(),
        periods,
        UserId::parse("a").unwrap(),
        ts("00:00:00"),
    );
    assert_eq!(draft.unwrap().periods.iter().map(|p| p.from_min).collect::<Vec<_>>(), [0, 480]);
}

#[test]
fn every_minute_of_the_day_is_printed_and_read_back() {
    for minute in 0..=1440 {
        assert_eq!(parse_minute(&format_minute(minute)), Ok(minute));
    }
    assert_eq!(format_minute(1440), "24:00");
    for text in ["24:01", "25:00", "12:60", "8:00", "08:0", "08-00", "", "0800", "08:00:00", "-1:00", "１2:00", "+8:00"]
    {
        assert!(matches!(parse_minute(text), Err(TariffError::NotATime { .. })), "{text}");
    }
}

#[test]
fn only_names_of_time_zones_are_time_zones() {
    for name in ["Asia/Shanghai", "Europe/Berlin", "Australia/Lord_Howe", "UTC"] {
        assert_eq!(check_timezone(name), Ok(()));
    }
    for name in ["", "Mars/Olympus", "GMT+8 or so", "../../etc/passwd", "+08:00"] {
        assert!(matches!(check_timezone(name), Err(TariffError::UnknownTimezone { .. })), "{name}");
    }
}

#[test]
fn whoever_wrote_a_tariff_may_not_publish_it_nor_anybody_for_the_past_or_twice() {
    let draft =
        Tariff { version: 0, publisher: None, effective_at: None, ..tariff("UTC", &[("00:00", "24:00", 1, 1)]) };
    let (author, other) = (UserId::parse("author").unwrap(), UserId::parse("other").unwrap());
    let now = ts("10:00:00");
    assert_eq!(draft.publish(&author, None, 1, now), Err(TariffError::OwnDraft));
    let past = ts("09:59:59.999");
    assert_eq!(draft.publish(&other, Some(past), 1, now), Err(TariffError::InThePast { effective_at: past }));
    let published = draft.publish(&other, Some(now), 3, now).unwrap();
    assert_eq!(
        (published.version, published.effective_at, published.publisher.clone()),
        (3, Some(now), Some(other.clone()))
    );
    assert_eq!(published.publish(&other, None, 4, now), Err(TariffError::Published));
    assert_eq!(draft.publish(&other, None, 1, now).unwrap().effective_at, Some(now));
}

#[test]
fn the_latest_effective_tariff_of_the_station_is_in_force() {
    let base = tariff("UTC", &[("00:00", "24:00", 1, 1)]);
    let version =
        |version: u32, effective: Option<&str>| Tariff { version, effective_at: effective.map(ts), ..base.clone() };
    let elsewhere = Tariff { station_id: StationId::parse("S2").unwrap(), ..version(9, Some("09:00:00")) };
    let tariffs = [
        version(2, Some("10:00:00")),
        version(1, Some("08:00:00")),
        version(0, None),
        version(3, Some("10:00:00")),
        elsewhere,
    ];
    let s1 = StationId::parse("S1").unwrap();
    let in_force = |at: &str| tariff_at(&tariffs, &s1, ts(at)).map(|tariff| tariff.version);
    assert_eq!(in_force("07:59:59.999"), None);
    assert_eq!(in_force("08:00:00"), Some(1));
    assert_eq!(in_force("09:59:59.999"), Some(1));
    assert_eq!(in_force("10:00:00"), Some(3), "of equal times the higher version");
    assert_eq!(next_version(&tariffs, &s1), 4);
    assert_eq!(next_version(&tariffs, &StationId::parse("S3").unwrap()), 1);
}

/// The spans of a walk as "from label" with the UTC time of day.
fn walked(tariff: &Tariff, from: &str, to: &str) -> Vec<String> {
    let spans = Walk::new(tariff, ts(from), ts(to)).unwrap().map(Result::unwrap);
    spans.map(|span| format!("{} {}", &span.from.to_string()[11..16], span.period.label)).collect()
}

#[test]
fn a_spring_jump_skips_the_hour_and_a_boundary_inside_it_holds_from_the_jump_on() {
    // Berlin, 2026-03-29: 02:00 becomes 03:00 at 01:00Z.
    let berlin = tariff("Europe/Berlin", &[("00:00", "02:30", 1, 1), ("02:30", "24:00", 2, 2)]);
    let spans = walked(&berlin, "2026-03-29T00:00:00Z", "2026-03-29T03:00:00Z");
    assert_eq!(spans, ["00:00 00:00", "01:00 02:30"]);
}

#[test]
fn an_autumn_fold_enters_the_periods_of_its_hour_twice() {
    // Berlin, 2026-10-25: 03:00 becomes 02:00 at 01:00Z.
    let berlin = tariff("Europe/Berlin", &[("00:00", "02:30", 1, 1), ("02:30", "24:00", 2, 2)]);
    let spans = walked(&berlin, "2026-10-25T00:00:00Z", "2026-10-25T03:00:00Z");
    assert_eq!(spans, ["00:00 00:00", "00:30 02:30", "01:00 00:00", "01:30 02:30"]);
    // Lord Howe goes back by half an hour: 02:00 becomes 01:30 at 2026-04-04T15:00Z.
    let lord_howe = tariff("Australia/Lord_Howe", &[("00:00", "01:45", 1, 1), ("01:45", "24:00", 2, 2)]);
    let spans = walked(&lord_howe, "2026-04-04T14:30:00Z", "2026-04-04T16:00:00Z");
    assert_eq!(spans, ["14:30 00:00", "14:45 01:45", "15:00 00:00", "15:15 01:45"]);
}

#[test]
fn the_price_of_an_instant_is_that_of_its_wall_clock() {
    let berlin = tariff("Europe/Berlin", &[("00:00", "02:30", 1, 1), ("02:30", "24:00", 2, 2)]);
    for (at, label) in [
        ("2026-10-25T00:29:59.999Z", "00:00"),
        ("2026-10-25T00:30:00Z", "02:30"),
        ("2026-10-25T01:00:00Z", "00:00"),
        ("2026-10-25T01:30:00Z", "02:30"),
        ("2026-10-25T22:59:59.999Z", "02:30"),
        ("2026-10-25T23:00:00Z", "00:00"),
    ] {
        assert_eq!(berlin.period_at(ts(at)).unwrap().label, label, "{at}");
    }
}

#[test]
fn an_empty_stretch_of_time_has_no_spans_and_a_hole_is_an_error() {
    let flat = tariff("UTC", &[("00:00", "24:00", 1, 1)]);
    assert_eq!(walked(&flat, "08:00:00", "08:00:00"), Vec::<String>::new());
    assert_eq!(walked(&flat, "08:00:00", "07:00:00"), Vec::<String>::new());
    let holed = Tariff { periods: vec![period("00:00", "08:00")], ..flat };
    let spans: Vec<_> = Walk::new(&holed, ts("07:00:00"), ts("12:00:00")).unwrap().collect();
    assert_eq!(spans.len(), 2);
    assert!(matches!(spans[1], Err(TariffError::Gap { from_min: 480, .. })));
}
