//! Plans for certain days: which are refused, which is used on a day, and what a version hands on to its copies.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod support;

use domain::{PriceE4, StationId, Timestamp, UserId};
use jiff::{ToSpan, civil::Date, tz::TimeZone};
use settlement::tariff::{
    DayPlan, LocalDate, Period, PlanName, Tariff, TariffError, Walk, Weekdays, parse_minute, validate_plans,
};
use support::{
    random::{Random, seed},
    tariff, ts,
};

fn priced(from: &str, to: &str, label: &str, electricity: i64) -> Period {
    Period {
        from_min: parse_minute(from).unwrap(),
        to_min: parse_minute(to).unwrap(),
        label: label.to_owned(),
        electricity: PriceE4(electricity),
        service: PriceE4(4_000),
    }
}

fn all_day(label: &str) -> Vec<Period> {
    vec![priced("00:00", "24:00", label, 6_000)]
}

fn date(text: &str) -> LocalDate {
    LocalDate::parse(text).unwrap()
}

/// A plan with one price, named after its label.
fn plan(name: &str, weekdays: &[i64], from: Option<&str>, to: Option<&str>) -> DayPlan {
    DayPlan {
        name: name.to_owned(),
        weekdays: Weekdays::of(weekdays).unwrap(),
        from_date: from.map(date),
        to_date: to.map(date),
        periods: all_day(name),
    }
}

const ALL: [i64; 7] = [1, 2, 3, 4, 5, 6, 7];

fn with_plans(zone: &str, plans: Vec<DayPlan>) -> Tariff {
    let everyday = tariff(zone, &[("00:00", "24:00", 1, 1)]);
    Tariff { version: 0, publisher: None, effective_at: None, ..everyday }.with_plans(plans).unwrap()
}

#[test]
fn plans_are_refused_with_the_plan_the_minute_and_what_to_do() {
    let weekend = || plan("weekend", &[6, 7], None, None);
    let with = |periods: Vec<Period>| DayPlan { periods, ..weekend() };
    let too_long = format!("in plan 1 \"{}\": its name is longer than 64 bytes: shorten it", "ü".repeat(33));
    let table: [(Vec<DayPlan>, &str); 10] = [
        (vec![with(vec![])], "in plan 1 \"weekend\": a tariff needs at least one period: add one from 00:00 to 24:00"),
        (
            vec![with(vec![priced("00:00", "08:00", "a", 1), priced("08:01", "24:00", "b", 1)])],
            "in plan 1 \"weekend\": no period covers 08:00 to 08:01: add one, or lengthen a neighbour",
        ),
        (
            vec![with(vec![priced("00:00", "08:00", "a", 1), priced("07:59", "24:00", "b", 1)])],
            "in plan 1 \"weekend\": two periods cover 07:59: end the earlier one there, or begin the later one at 08:00",
        ),
        (
            vec![with(vec![priced("06:00", "22:00", "a", 1), priced("22:00", "06:00", "b", 1)])],
            "in plan 1 \"weekend\": the period from 22:00 to 06:00 is empty or runs over midnight: split it at 24:00",
        ),
        (
            vec![with(vec![priced("00:00", "24:00", "a", 50_001)])],
            "in plan 1 \"weekend\": the electricity price of the period from 00:00 is 50001 e4 per kWh: it must be 0 to 50000 e4",
        ),
        (
            vec![weekend(), plan("", &[1], Some("2026-05-05"), Some("2026-05-04"))],
            "in plan 2: it begins on 2026-05-05, after its last day 2026-05-04: exchange them",
        ),
        (
            // 2026-05-04 is a Monday.
            vec![weekend(), plan("x", &[3, 4, 5], Some("2026-05-04"), Some("2026-05-05"))],
            "in plan 2 \"x\": none of its weekdays lies between its dates, so it is never used: widen the dates, or take it out",
        ),
        (
            vec![weekend(), plan("sunday", &[7], None, None)],
            "in plan 2 \"sunday\": plans before it fit all of its days, so it is never used: move it up, narrow them, or take it out",
        ),
        (vec![DayPlan { name: "ü".repeat(33), ..weekend() }], &too_long),
        (vec![weekend(); 33], "33 plans are too many: at most 32, the everyday periods beside them"),
    ];
    for (plans, message) in table {
        assert_eq!(validate_plans(&plans).unwrap_err().to_string(), message);
        let draft = Tariff { effective_at: None, ..tariff("UTC", &[("00:00", "24:00", 1, 1)]) };
        assert_eq!(draft.with_plans(plans).unwrap_err().to_string(), message);
    }
    assert_eq!(Weekdays::of(&[]), Err(TariffError::NoWeekday));
    for number in [0, 8, -1] {
        assert_eq!(Weekdays::of(&[1, number]), Err(TariffError::NotAWeekday { number }));
    }
    for text in ["", "2026-02-29", "2026-1-01", "2026-01-32", "26-01-01", "20260101", "2026-01-01T00:00", "+026-01-01"]
    {
        assert!(matches!(LocalDate::parse(text), Err(TariffError::NotADate { .. })), "{text}");
    }
}

#[test]
fn a_plan_is_refused_only_when_no_day_at_all_is_left_to_it() {
    let may = plan("may", &ALL, Some("2026-05-01"), Some("2026-05-31"));
    let before = plan("before", &ALL, None, Some("2026-05-15"));
    let after = plan("after", &ALL, Some("2026-05-16"), None);
    let shadowed = |plans: &[DayPlan]| {
        let plan = plans.last().unwrap();
        let name = PlanName { number: plans.len(), name: plan.name.clone() };
        Err(TariffError::InPlan { plan: name, error: Box::new(TariffError::NeverUsed) })
    };
    // Two plans together stand before a third, although neither does alone.
    let together = [before.clone(), after.clone(), may.clone()];
    assert_eq!(validate_plans(&together), shadowed(&together));
    assert_eq!(validate_plans(&[before.clone(), may.clone()]), Ok(()));
    let a_day_later = DayPlan { from_date: Some(date("2026-05-17")), ..after.clone() };
    assert_eq!(validate_plans(&[before.clone(), a_day_later, may.clone()]), Ok(()), "2026-05-16 is left");
    assert_eq!(validate_plans(&[before, after]), Ok(()), "the everyday periods may be left without a day");
    let week = [plan("w", &[1, 2, 3, 4, 5], None, None), plan("e", &[6, 7], None, None), may.clone()];
    assert_eq!(validate_plans(&week), shadowed(&week));
    assert_eq!(validate_plans(&[may.clone(), week[0].clone(), week[1].clone()]), Ok(()));
    let twice = [may.clone(), may];
    assert_eq!(validate_plans(&twice), shadowed(&twice));
}

/// A second opinion on the choice of plan: the calendar day asked of jiff, the plans tried one after the other.
fn naive(tariff: &Tariff, day: Date) -> Option<usize> {
    for (index, plan) in tariff.plans.iter().enumerate() {
        let text = day.to_string();
        let begun = plan.from_date.is_none_or(|from| from.to_string() <= text);
        let over = plan.to_date.is_some_and(|to| to.to_string() < text);
        if begun && !over && plan.weekdays.numbers().contains(&i64::from(day.weekday().to_monday_one_offset())) {
            return Some(index);
        }
    }
    None
}

/// A plan within three weeks around `day`; some are never used.
fn random_plan(random: &mut Random, day: Date) -> DayPlan {
    let near = |random: &mut Random| {
        let days = random.between(-10, 10);
        random.one_in(2).then(|| date(&day.saturating_add(days.days()).to_string()))
    };
    let weekdays: Vec<i64> = ALL.into_iter().filter(|_| random.one_in(3)).collect();
    let weekdays = if weekdays.is_empty() { ALL.to_vec() } else { weekdays };
    let (from_date, to_date) = (near(random), near(random));
    let half = ["06:00", "12:00", "18:00"][usize::try_from(random.between(0, 2)).unwrap()];
    let periods = vec![priced("00:00", half, "early", 1), priced(half, "24:00", "late", 2)];
    DayPlan { name: String::new(), weekdays: Weekdays::of(&weekdays).unwrap(), from_date, to_date, periods }
}

#[test]
fn every_minute_has_the_price_of_the_first_plan_that_fits_its_local_day() {
    let seed = seed("every_minute_has_the_price");
    // Clocks that jump at night, at midnight, and over midnight into the day before.
    let starts = [
        ("Asia/Shanghai", "2026-03-06T00:00:00Z"),
        ("Europe/Berlin", "2026-03-28T12:00:00Z"),
        ("Europe/Berlin", "2026-10-24T12:00:00Z"),
        ("America/Havana", "2026-03-07T12:00:00Z"),
        ("Asia/Beirut", "2026-10-24T12:00:00Z"),
        ("Australia/Lord_Howe", "2026-04-04T00:00:00Z"),
    ];
    let mut changes = 0;
    for n in 0..120 {
        let mut random = Random::new(seed.wrapping_add(n));
        let (zone, start) = *random.pick(&starts);
        let start: jiff::Timestamp = start.parse().unwrap();
        let time_zone = TimeZone::get(zone).unwrap();
        let today = time_zone.to_datetime(start).date();
        let plans = (0..random.between(1, 5)).map(|_| random_plan(&mut random, today)).collect();
        let everyday = tariff(zone, &[("00:00", "09:00", 3, 3), ("09:00", "24:00", 4, 4)]);
        let tariff = Tariff { plans, ..everyday };
        let minute = |n: i64| Timestamp::from_millis(start.as_millisecond() + n * 60_000).unwrap();
        let minutes = 3 * 1_440;
        let mut spans = Walk::new(&tariff, minute(0), minute(minutes)).unwrap().map(Result::unwrap).peekable();
        let mut last = None;
        for n in 0..minutes {
            let at = minute(n);
            let local = time_zone.to_datetime(jiff::Timestamp::from_millisecond(at.as_millis()).unwrap());
            let plan = naive(&tariff, local.date());
            let periods = plan.map_or(&tariff.periods, |index| &tariff.plans[index].periods);
            let of_day = i64::from(local.hour()) * 60 + i64::from(local.minute());
            let expected = periods.iter().find(|p| (i64::from(p.from_min)..i64::from(p.to_min)).contains(&of_day));
            while spans.peek().is_some_and(|span| span.to <= at) {
                spans.next();
            }
            let span = spans.peek().unwrap();
            assert_eq!((span.plan, Some(span.period)), (plan, expected), "SETTLEMENT_SEED={seed} + {n}, {at}");
            assert_eq!(tariff.period_at(at).ok(), expected, "SETTLEMENT_SEED={seed} + {n}, {at}");
            changes += u32::from(last.is_some_and(|last| last != plan));
            last = Some(plan);
        }
    }
    assert!(changes > 50, "only {changes} changes of plan");
}

#[test]
fn a_plan_is_refused_exactly_when_a_walk_through_the_days_never_uses_it() {
    let seed = seed("a_plan_is_refused_exactly");
    let today: Date = "2026-03-10".parse().unwrap();
    let mut refused = [0, 0];
    for n in 0..4_000 {
        let mut random = Random::new(seed.wrapping_add(n));
        let plans: Vec<_> = (0..random.between(1, 4)).map(|_| random_plan(&mut random, today)).collect();
        if plans.iter().any(|plan| plan.from_date.zip(plan.to_date).is_some_and(|(from, to)| from > to)) {
            continue;
        }
        let found = validate_plans(&plans);
        let tariff = Tariff { plans, ..tariff("UTC", &[("00:00", "24:00", 1, 1)]) };
        // Three weeks around all dates, and a week on either side for what has no first or last day.
        let days: Vec<Date> = (-20..=20).map(|days: i64| today.saturating_add(days.days())).collect();
        let used = |index: usize| days.iter().any(|day| naive(&tariff, *day) == Some(index));
        let own = |index: usize| {
            let alone = Tariff { plans: vec![tariff.plans[index].clone()], ..tariff.clone() };
            days.iter().any(|day| naive(&alone, *day).is_some())
        };
        let expected = (0..tariff.plans.len()).find(|index| !used(*index)).map_or(Ok(()), |index| {
            let error = if own(index) { TariffError::NeverUsed } else { TariffError::NoDay };
            refused[usize::from(error == TariffError::NoDay)] += 1;
            let plan = PlanName { number: index + 1, name: String::new() };
            Err(TariffError::InPlan { plan, error: Box::new(error) })
        });
        assert_eq!(found, expected, "SETTLEMENT_SEED={seed} + {n}: {:?}", tariff.plans);
    }
    assert!(refused.iter().all(|many| *many > 50), "{refused:?}");
}

#[test]
fn a_charge_over_midnight_goes_from_one_plan_to_the_next() {
    // 2026-03-06 is a Friday; Shanghai is eight hours ahead.
    let weekend = DayPlan {
        periods: vec![priced("12:00", "24:00", "late", 2), priced("00:00", "12:00", "early", 1)],
        ..plan("weekend", &[6, 7], None, None)
    };
    let sunday = plan("fair", &ALL, Some("2026-03-08"), Some("2026-03-08"));
    let tariff = with_plans("Asia/Shanghai", vec![sunday, weekend]);
    assert_eq!(tariff.plans[1].periods[0].label, "early", "kept sorted");
    let walk = Walk::new(&tariff, ts("2026-03-06T15:00:00Z"), ts("2026-03-08T17:00:00Z")).unwrap();
    let spans: Vec<_> = walk.map(|span| span.unwrap()).map(|s| (s.from.to_string(), s.plan, &s.period.label)).collect();
    let expected = [
        ("2026-03-06T15:00:00.000Z", None, "00:00"),
        ("2026-03-06T16:00:00.000Z", Some(1), "early"),
        ("2026-03-07T04:00:00.000Z", Some(1), "late"),
        ("2026-03-07T16:00:00.000Z", Some(0), "fair"),
        ("2026-03-08T16:00:00.000Z", None, "00:00"),
    ];
    let shown: Vec<_> = spans.iter().map(|(from, plan, label)| (from.as_str(), *plan, label.as_str())).collect();
    assert_eq!(shown, expected);
}

#[test]
fn weekdays_and_dates_are_written_as_people_write_them() {
    let days = Weekdays::of(&[7, 6, 6]).unwrap();
    assert_eq!((days.numbers(), Weekdays::default().numbers()), (vec![6, 7], ALL.to_vec()));
    // 1970-01-01 was a Thursday, the days before it count as well.
    for (text, day, weekday) in
        [("1970-01-01", 0, 4), ("1969-12-28", -4, 7), ("2000-02-29", 11_016, 2), ("2026-11-21", 20_778, 6)]
    {
        let date = date(text);
        assert_eq!((date.day(), date.to_string()), (day, text.to_owned()));
        for number in ALL {
            assert_eq!(Weekdays::of(&[number]).unwrap().has(day), number == weekday, "{text} {number}");
        }
    }
}

#[test]
fn a_tariff_without_plans_is_stored_as_it_always_was_and_one_with_plans_is_read_back() {
    let old = r#"{"tariffId":"T1","stationId":"S1","version":1,"timezone":"UTC",
        "periods":[{"from_min":0,"to_min":1440,"label":"00:00","electricity":1,"service":1}],"author":"author",
        "createdAt":"2026-03-10T00:00:00.000Z","publisher":"publisher","effectiveAt":"2026-03-10T00:00:00.000Z"}"#;
    let expected = tariff("UTC", &[("00:00", "24:00", 1, 1)]);
    let json = serde_json::to_value(&expected).unwrap();
    let read: Tariff = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(read, expected);
    assert_eq!(json.as_object().unwrap().len(), 9, "{json}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(old).unwrap().as_object().unwrap().keys().len(), 9);
    assert_eq!(serde_json::from_str::<Tariff>(old).unwrap(), expected);

    let rich = with_plans("UTC", vec![plan("may", &[1, 3], Some("2026-05-01"), None), plan("x", &ALL, None, None)]);
    let json = serde_json::to_value(&rich).unwrap();
    assert_eq!(json["plans"][0]["weekdays"], serde_json::json!([1, 3]));
    assert_eq!(json["plans"][0]["fromDate"], "2026-05-01");
    assert_eq!(serde_json::from_value::<Tariff>(json.clone()).unwrap(), rich);
    let mut broken = json;
    broken["plans"][0]["weekdays"] = serde_json::json!([]);
    assert!(serde_json::from_value::<Tariff>(broken).is_err());
}

#[test]
fn only_a_published_version_is_copied_and_a_copy_is_a_draft_that_names_it() {
    let [author, other, third] = ["author", "other", "third"].map(|name| UserId::parse(name).unwrap());
    let now = ts("10:00:00");
    let draft = with_plans("Asia/Shanghai", vec![plan("weekend", &[6, 7], None, None)]);
    assert_eq!(draft.roll_back("T2".to_owned(), other.clone(), "why".to_owned(), now), Err(TariffError::NotPublished));
    let station = StationId::parse("S2").unwrap();
    let carried = |from: &Tariff, zone: &str| from.carry_on("T3".to_owned(), station.clone(), zone.to_owned(), now);
    assert_eq!(carried(&draft, "UTC"), Err(TariffError::NotPublished));

    let version = draft.publish(&other, None, 4, now).unwrap();
    assert_eq!(version.clone().with_plans(vec![]), Err(TariffError::Published));
    let back = version.roll_back("T2".to_owned(), other.clone(), "too dear".to_owned(), ts("11:00:00")).unwrap();
    assert_eq!((back.based_on.as_deref(), back.reason.as_deref()), (Some("T1"), Some("too dear")));
    assert_eq!((&back.author, &back.publisher, back.version, back.effective_at), (&other, &None, 0, None));
    assert_eq!((&back.periods, &back.plans, &back.timezone), (&version.periods, &version.plans, &version.timezone));
    assert_eq!((&back.station_id, back.created_at), (&version.station_id, ts("11:00:00")));
    assert_eq!(back.publish(&other, None, 5, ts("11:00:00")), Err(TariffError::OwnDraft));
    assert!(back.publish(&author, None, 5, ts("11:00:00")).is_ok(), "the author of the copied version may");

    assert!(matches!(carried(&version, "Mars/Base"), Err(TariffError::UnknownTimezone { .. })));
    let on = carried(&version, "Europe/Berlin").unwrap();
    assert_eq!((&on.station_id, on.timezone.as_str(), on.based_on.as_deref()), (&station, "Europe/Berlin", Some("T1")));
    assert_eq!((&on.periods, &on.plans, &on.author), (&version.periods, &version.plans, &author));
    assert_eq!(on.publish(&author, None, 1, now), Err(TariffError::OwnDraft), "whoever wrote the prices");
    assert!(on.publish(&third, None, 1, now).is_ok());
}
