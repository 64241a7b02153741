//! Bills against the oracle, to the fen and segment by segment, over random sessions.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod oracle;
#[path = "support/random.rs"]
mod random;

use std::collections::BTreeSet;

use domain::{Millis, PriceE4, StationId, Timestamp, UserId, WattHours, Watts};
use jiff::{ToSpan, civil::Date, tz::TimeZone};
use oracle::{OracleBill, OracleFrame, OracleInput, OraclePeriod, OraclePlan, OracleRecord, OracleSegment, oracle};
use random::{Random, seed};
use settlement::{
    pricing::{Bill, BillFlag, ChargeEnd, PriceInput, Reading, RecordTimes, RunningBill, price},
    tariff::{DayPlan, LocalDate, Period, Tariff, Weekdays},
};

const SESSIONS: u64 = 100_000;
const THREADS: u64 = 2;

/// Half of them change their clocks; Lord Howe by half an hour, Havana and Beirut at midnight.
const ZONES: [&str; 9] = [
    "Asia/Shanghai",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Havana",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "America/St_Johns",
    "UTC",
];

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms).unwrap()
}

fn tariff_of(input: &OracleInput) -> Tariff {
    let period = |p: &OraclePeriod| Period {
        from_min: u16::try_from(p.from_min).unwrap(),
        to_min: u16::try_from(p.to_min).unwrap(),
        label: p.label.clone(),
        electricity: PriceE4(i64::try_from(p.electricity).unwrap()),
        service: PriceE4(i64::try_from(p.service).unwrap()),
    };
    let date = |date: Option<Date>| date.map(|date| LocalDate::parse(&date.to_string()).unwrap());
    let plan = |p: &OraclePlan| DayPlan {
        name: String::new(),
        weekdays: Weekdays::of(&p.weekdays.iter().copied().map(i64::from).collect::<Vec<_>>()).unwrap(),
        from_date: date(p.from),
        to_date: date(p.to),
        periods: p.periods.iter().map(period).collect(),
    };
    let tariff = Tariff::draft(
        "T1".to_owned(),
        StationId::parse("S1").unwrap(),
        input.zone.clone(),
        input.periods.iter().map(period).collect(),
        UserId::parse("author").unwrap(),
        at(0),
    );
    // A plan that is never used changes no price, but no draft takes it.
    Tariff { plans: input.plans.iter().map(plan).collect(), ..tariff.unwrap() }
}

fn readings_of(input: &OracleInput) -> Vec<Reading> {
    let reading = |f: &OracleFrame| Reading {
        at: at(f.device_ms),
        seq: u32::try_from(f.seq).unwrap(),
        energy: WattHours(i64::try_from(f.wh).unwrap()),
        total_time_s: f.total_time_s.map(|seconds| u32::try_from(seconds).unwrap()),
    };
    input.frames.iter().map(reading).collect()
}

fn ours(input: &OracleInput) -> Bill {
    let (tariff, readings) = (tariff_of(input), readings_of(input));
    let seconds = |s: i64| u32::try_from(s).unwrap();
    let end = match input.record {
        None => ChargeEnd::LastReading { evidence_at: at(input.evidence_ms) },
        Some(record) => ChargeEnd::Record(RecordTimes {
            start: record.start_ms.map(at),
            end: at(record.end_ms),
            total: WattHours(i64::try_from(record.total_wh).unwrap()),
            total_time_s: record.total_time_s.map(seconds),
            frames: record.frames.map(seconds),
        }),
    };
    price(&PriceInput {
        tariff: &tariff,
        created_at: at(input.created_ms),
        rated_power: Watts(i32::try_from(input.rated_w).unwrap()),
        readings: &readings,
        readings_thinned: false,
        end,
        clock_offset: input.offset_ms.map(Millis),
    })
    .unwrap()
}

/// Our bill in the oracle's words.
fn in_oracle_words(bill: &Bill) -> OracleBill {
    let word = |flag: &BillFlag| match flag {
        BillFlag::MissingFrames => "MissingFrames",
        BillFlag::BackwardsReading => "BackwardsReading",
        BillFlag::AboveTotal => "AboveTotal",
        BillFlag::OutsideTimes => "OutsideTimes",
        BillFlag::BeforeCreation => "BeforeCreation",
        BillFlag::ClockOffset => "ClockOffset",
        BillFlag::AboveRatedPower => "AboveRatedPower",
        BillFlag::EndBeforeStart => "EndBeforeStart",
        BillFlag::Estimated => "Estimated",
        BillFlag::TooManyReadings => "TooManyReadings",
        BillFlag::TooLong => "TooLong",
    };
    let segments = bill.segments.iter().map(|s| OracleSegment {
        from_ms: s.from.as_millis(),
        to_ms: s.to.as_millis(),
        label: s.label.clone(),
        wh: s.energy_wh.0.into(),
        electricity: s.electricity_e4.0.into(),
        service: s.service_e4.0.into(),
    });
    OracleBill {
        electricity_fen: bill.electricity_fen.0.into(),
        service_fen: bill.service_fen.0.into(),
        total_fen: bill.total_fen.0.into(),
        wh: bill.energy_wh.0.into(),
        start_ms: bill.started_at.as_millis(),
        end_ms: bill.ended_at.as_millis(),
        segments: segments.collect(),
        flags: bill.flags.iter().map(word).collect::<BTreeSet<_>>(),
    }
}

fn random_periods(random: &mut Random) -> Vec<OraclePeriod> {
    // Where clocks jump, and elsewhere; whole and half hours most of the time.
    let mut edges = BTreeSet::from([0, 1440]);
    for _ in 0..random.between(0, 6) {
        edges.insert(match random.between(0, 3) {
            0 => random.between(1, 1439),
            1 => *random.pick(&[30, 60, 90, 119, 120, 121, 150, 180, 210, 1380, 1410]),
            _ => random.between(1, 47) * 30,
        });
    }
    let edges: Vec<i64> = edges.into_iter().collect();
    let price = |random: &mut Random| match random.between(0, 9) {
        0 => 0,
        1 => 50_000,
        _ => i128::from(random.between(1, 20_000)),
    };
    let mut period = |pair: &[i64]| OraclePeriod {
        from_min: pair[0],
        to_min: pair[1],
        label: format!("p{}", pair[0]),
        electricity: price(random),
        service: price(random),
    };
    edges.windows(2).map(&mut period).collect()
}

/// Plans around the day of the charge, so that it often begins, ends or runs over the edge of one.
fn random_plans(random: &mut Random, zone: &str, start_ms: i64) -> Vec<OraclePlan> {
    let start = jiff::Timestamp::from_millisecond(start_ms).unwrap();
    let day = TimeZone::get(zone).unwrap().to_datetime(start).date();
    let many = *random.pick(&[0, 0, 1, 2, 4]);
    let near = |random: &mut Random| {
        let days = random.between(-2, 2);
        random.one_in(2).then(|| day.saturating_add(days.days()))
    };
    let mut plan = |n: i64| {
        let weekdays: Vec<i8> = (1..=7).filter(|_| random.one_in(2)).collect();
        let mut periods = random_periods(random);
        periods.iter_mut().for_each(|period| period.label = format!("{n}{}", period.label));
        let weekdays = if weekdays.is_empty() { (1..=7).collect() } else { weekdays };
        OraclePlan { weekdays, from: near(random), to: near(random), periods }
    };
    (0..many).map(&mut plan).collect()
}

/// A start: anywhere in ten years, often near a change of the clocks or near local midnight.
fn random_start(random: &mut Random, zone: &str) -> i64 {
    let anywhere = random.between(1_700_000_000_000, 2_000_000_000_000);
    let tz = TimeZone::get(zone).unwrap();
    let from = jiff::Timestamp::from_millisecond(anywhere).unwrap();
    match (random.between(0, 2), tz.following(from).next()) {
        (0, Some(change)) => change.timestamp().as_millisecond() - random.between(0, 5 * 3_600_000),
        (1, _) => {
            let midnight = from.to_zoned(tz).start_of_day().unwrap().timestamp().as_millisecond();
            midnight - random.between(0, 3 * 3_600_000)
        }
        _ => anywhere,
    }
}

fn random_frames(random: &mut Random, start_ms: i64, length_ms: i64, total_wh: i64) -> Vec<OracleFrame> {
    let count = *random.pick(&[0, 1, 2, 3, 5, 8, 20, 60]);
    let has_total_time = !random.one_in(4);
    let mut frames = Vec::new();
    for seq in 1..=count {
        if random.one_in(12) {
            continue; // never arrived
        }
        let mut device_ms = start_ms + length_ms * seq / (count + 1) + random.between(-500, 500);
        let mut wh = total_wh * seq / (count + 1);
        match random.between(0, 60) {
            0 => wh = total_wh + random.between(1, 500),
            1 | 2 => wh = random.between(0, total_wh),
            3 => device_ms = start_ms - random.between(1, 600_000),
            4 => device_ms = start_ms + length_ms + random.between(1, 600_000),
            5 => device_ms = start_ms,
            6 => device_ms = start_ms + length_ms,
            7 | 8 => device_ms = frames.last().map_or(device_ms, |last: &OracleFrame| last.device_ms),
            9 => device_ms = device_ms.div_euclid(60_000) * 60_000, // on a possible boundary
            _ => {}
        }
        let seconds = ((device_ms - start_ms) / 1000).max(0);
        let total_time_s = has_total_time.then_some(seconds);
        frames.push(OracleFrame { device_ms, seq, wh: wh.into(), total_time_s });
        if random.one_in(15) {
            // Sent again, sometimes with other content.
            let wh = if random.one_in(2) { i128::from(wh) } else { i128::from(random.between(0, total_wh)) };
            frames.push(OracleFrame { device_ms: device_ms + random.between(0, 5_000), seq, wh, total_time_s });
        }
    }
    for _ in 0..random.between(0, 3) {
        if frames.len() > 1 {
            // Buffered while offline: received late.
            let from = random.between(0, i64::try_from(frames.len()).unwrap() - 1);
            let late = frames.remove(usize::try_from(from).unwrap());
            frames.push(late);
        }
    }
    frames
}

fn random_session(random: &mut Random) -> OracleInput {
    let zone = (*random.pick(&ZONES)).to_owned();
    let start_ms = random_start(random, &zone);
    let length_ms = match random.between(0, 19) {
        0 => 0,
        1 => random.between(1, 1_000),
        2 => random.between(6 * 3_600_000, 30 * 3_600_000),
        _ => random.between(60_000, 3 * 3_600_000),
    };
    let rated_w = random.between(7_000, 180_000);
    let most_wh = (length_ms / 1000) * rated_w / 3600;
    let total_wh = match random.between(0, 9) {
        0 => 0,
        1 => most_wh + random.between(0, 100),
        _ => random.between(0, most_wh.max(50)),
    };
    let frames = random_frames(random, start_ms, length_ms, total_wh);
    let offset_ms = match random.between(0, 5) {
        0 => None,
        1 => Some(*random.pick(&[-2_001, -2_000, 0, 2_000, 2_001, 300_000, 300_001, -300_001])),
        2 => Some(random.between(-7_200_000, 7_200_000)),
        _ => Some(random.between(-1_500, 1_500)),
    };
    let end_ms = start_ms + length_ms;
    let sent = frames.iter().map(|frame| frame.seq).max().unwrap_or(0);
    let record = (!random.one_in(8)).then(|| OracleRecord {
        start_ms: (!random.one_in(5)).then_some(start_ms),
        end_ms: if random.one_in(60) { start_ms - random.between(1, 90_000) } else { end_ms },
        total_wh: total_wh.into(),
        total_time_s: (!random.one_in(3)).then_some(length_ms / 1000),
        frames: (!random.one_in(6)).then_some(sent + i64::from(random.one_in(10))),
    });
    let created_ms = start_ms - random.between(-2_000, 60_000);
    let (periods, plans) = (random_periods(random), random_plans(random, &zone, start_ms));
    let evidence_ms = created_ms + random.between(0, 60_000);
    OracleInput { zone, periods, plans, frames, record, evidence_ms, created_ms, rated_w: rated_w.into(), offset_ms }
}

#[derive(Debug, Default)]
struct Seen {
    flags: BTreeSet<&'static str>,
    most_segments: usize,
    without_energy: u64,
    folded: u64,
    /// Charges with prices of two plans, or of one and the everyday periods.
    over_plans: u64,
}

fn compare(seed: u64, sessions: u64) -> Seen {
    let mut seen = Seen::default();
    for n in 0..sessions {
        let input = random_session(&mut Random::new(seed.wrapping_add(n)));
        let (expected, bill) = (oracle(&input), in_oracle_words(&ours(&input)));
        assert_eq!(bill, expected, "SETTLEMENT_SEED={} with one session: {input:#?}", seed.wrapping_add(n));
        seen.most_segments = seen.most_segments.max(bill.segments.len());
        seen.without_energy += u64::from(bill.wh == 0);
        let labels: BTreeSet<&str> = bill.segments.iter().map(|segment| segment.label.as_str()).collect();
        let plans: BTreeSet<&str> = labels.iter().map(|label| label.split('p').next().unwrap()).collect();
        seen.over_plans += u64::from(plans.len() > 1);
        let short = bill.end_ms - bill.start_ms < 20 * 3_600_000;
        seen.folded += u64::from(short && labels.len() < bill.segments.len());
        seen.flags.extend(bill.flags);
    }
    seen
}

#[test]
fn bills_equal_the_oracle_to_the_fen_in_random_sessions() {
    let seed = seed("bills_equal_the_oracle");
    let parts: Vec<Seen> = std::thread::scope(|scope| {
        let part = |n: u64| scope.spawn(move || compare(seed.wrapping_add(n * SESSIONS), SESSIONS / THREADS));
        let running: Vec<_> = (0..THREADS).map(part).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    // The sessions must have been of every kind, or the comparison says little.
    let flags: BTreeSet<_> = parts.iter().flat_map(|seen| seen.flags.iter().copied()).collect();
    assert_eq!(flags.len(), 9, "some oddity never came up: {flags:?}");
    for seen in &parts {
        assert!(seen.most_segments >= 10 && seen.without_energy > 1_000 && seen.folded > 20, "{seen:?}");
        assert!(seen.over_plans > 1_000, "{seen:?}");
    }
}

#[test]
fn the_live_estimate_ends_at_the_bill_of_the_same_readings_and_never_goes_down() {
    let seed = seed("the_live_estimate");
    for n in 0..5_000 {
        let mut random = Random::new(seed.wrapping_add(n));
        let mut input = random_session(&mut random);
        input.record = None;
        input.offset_ms = None;
        // In order and without repeats, as the estimate hears them one by one.
        input.frames.sort_by_key(|frame| (frame.device_ms, frame.seq));
        input.frames.dedup_by_key(|frame| frame.device_ms);
        let mut highest = 0;
        input.frames.retain(|frame| {
            let rises = frame.wh >= highest;
            highest = highest.max(frame.wh);
            rises
        });
        input.frames.iter_mut().zip(1..).for_each(|(frame, seq)| frame.seq = seq);
        let mut running = RunningBill::new(std::sync::Arc::new(tariff_of(&input))).unwrap();
        assert_eq!(running.live(), None);
        let mut last = None;
        for reading in readings_of(&input) {
            let live = running.add(reading.at, reading.energy, reading.total_time_s);
            assert!(
                last.is_none_or(
                    |last: settlement::pricing::Live| last.amount <= live.amount && last.energy <= live.energy
                )
            );
            last = Some(live);
        }
        let bill = ours(&input);
        if let Some(live) = last {
            assert_eq!((live.energy, live.amount), (bill.energy_wh, bill.total_fen), "seed {seed} + {n}: {input:#?}");
        }
    }
}
