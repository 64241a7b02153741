//! Furnishes a hub: stations in several time zones, tariffs whose periods begin while the run is on, piles.

use anyhow::Context as _;
use domain::{Millis, PileCode, StationId, Timestamp, Watts};
use jiff::tz::TimeZone;

use crate::{
    api::{Api, NewPile, NewStation, PileSecret},
    oracle::{Period, Tariff},
    token::Role,
};

/// Piles in one import call.
const IMPORT_CHUNK: usize = 5_000;

/// Time zones of the stations, in turn: whole hours, quarter hours, both sides of midnight.
pub const ZONES: [&str; 5] = ["Asia/Shanghai", "America/New_York", "Asia/Kathmandu", "UTC", "Pacific/Auckland"];

/// A station as the run knows it.
#[derive(Debug, Clone)]
pub struct Station {
    /// Its name.
    pub id: StationId,
    /// IANA name.
    pub zone: String,
    /// For people.
    pub name: String,
    /// Degrees.
    pub longitude: f64,
    /// Degrees.
    pub latitude: f64,
    /// What it charges.
    pub periods: Vec<Period>,
}

/// A pile that the hub knows, with its password.
#[derive(Debug, Clone)]
pub struct Installed {
    /// Its name.
    pub code: PileCode,
    /// Its MQTT password.
    pub secret: String,
    /// Index of its station.
    pub station: usize,
    /// Rated power.
    pub max_power: Watts,
    /// Number of guns.
    pub connectors: u8,
    /// Whether it charges with direct current.
    pub dc: bool,
}

/// A pile to register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Index of its station.
    pub station: usize,
    /// Rated power.
    pub max_power_kw: u32,
    /// Number of guns.
    pub connectors: u8,
    /// Whether it charges with direct current.
    pub dc: bool,
}

impl Station {
    /// The tariff as the oracle reads it.
    ///
    /// # Errors
    /// When the zone is unknown.
    pub fn tariff(&self) -> anyhow::Result<Tariff> {
        Tariff::new(&self.zone, &self.periods)
    }
}

/// Periods that begin every minute around `now` in a zone, so that every charge of a run crosses some. Before and
/// after them the day has one price each.
///
/// # Errors
/// When the zone is unknown.
pub fn busy_periods(zone: &str, now: Timestamp, minutes: i64) -> anyhow::Result<Vec<Period>> {
    let zoned = jiff::Timestamp::from_millisecond(now.as_millis())?.to_zoned(TimeZone::get(zone)?);
    let minute_now = i64::from(zoned.hour()).saturating_mul(60).saturating_add(i64::from(zoned.minute()));
    let mut edges: Vec<i64> = (1..=minutes).map(|m| minute_now.saturating_add(m)).filter(|m| *m < 1440).collect();
    edges.insert(0, 0);
    edges.push(1440);
    let clock = |m: i64| format!("{:02}:{:02}", m / 60, m % 60);
    let periods = edges.windows(2).zip(0_i64..).filter_map(|(pair, n)| {
        let &[from, to] = pair else { return None };
        Some(Period {
            from: clock(from),
            to: clock(to),
            label: format!("p{n}"),
            // Odd prices, so that rounding matters.
            electricity_e4: 6_137_i64.saturating_add((n % 5).saturating_mul(1_759)),
            service_e4: 3_511_i64.saturating_add((n % 3).saturating_mul(1_013)),
        })
    });
    Ok(periods.collect())
}

/// Registers stations, publishes their tariffs and imports their piles.
///
/// # Errors
/// When the hub refuses any of it.
pub async fn furnish(
    api: &Api,
    run_id: &str,
    stations: &[Station],
    piles: &[Wanted],
) -> anyhow::Result<Vec<Installed>> {
    let admin = api.caller(Role::Admin, &format!("{run_id}-admin"))?;
    let author = api.caller(Role::Ops, &format!("{run_id}-author"))?;
    let publisher = api.caller(Role::Finance, &format!("{run_id}-publisher"))?;
    for station in stations {
        let new = NewStation {
            station_id: station.id.clone(),
            name: station.name.clone(),
            timezone: station.zone.clone(),
            longitude: station.longitude,
            latitude: station.latitude,
        };
        admin.add_station(&new).await.with_context(|| format!("adding station {}", station.id))?;
        let key = format!("tariff-{}", station.id);
        let draft =
            author.draft_tariff(&key, station.id.as_str(), &station.periods).await.context("drafting a tariff")?;
        publisher.publish_tariff(&format!("{key}-publish"), &draft).await.context("publishing a tariff")?;
    }
    let mut new = Vec::with_capacity(piles.len());
    for (n, pile) in (1_u32..).zip(piles) {
        let station = stations.get(pile.station).context("a pile of no station")?;
        new.push(NewPile {
            pile_code: PileCode::parse(&format!("{run_id}{n:05}"))?,
            station_id: station.id.clone(),
            kind: if pile.dc { "DC" } else { "AC" }.to_owned(),
            connectors: pile.connectors,
            max_power_kw: pile.max_power_kw,
        });
    }
    let mut secrets: Vec<PileSecret> = Vec::with_capacity(piles.len());
    for (n, chunk) in new.chunks(IMPORT_CHUNK).enumerate() {
        secrets.extend(admin.import_piles(&format!("{run_id}-import-{n}"), chunk).await.context("importing piles")?);
    }
    anyhow::ensure!(secrets.len() == piles.len(), "{} piles imported, {} secrets returned", piles.len(), secrets.len());
    let mut by_code: std::collections::HashMap<PileCode, String> =
        secrets.into_iter().map(|secret| (secret.pile_code, secret.secret)).collect();
    let installed = new.iter().zip(piles).map(|(new, wanted)| {
        Ok(Installed {
            code: new.pile_code.clone(),
            secret: by_code.remove(&new.pile_code).with_context(|| format!("no secret for {}", new.pile_code))?,
            station: wanted.station,
            max_power: Watts(i32::try_from(wanted.max_power_kw)?.saturating_mul(1000)),
            connectors: wanted.connectors,
            dc: wanted.dc,
        })
    });
    installed.collect()
}

/// A name that is new at every hub: milliseconds in base 36.
#[must_use]
pub fn run_id(now: Timestamp) -> String {
    let mut left = now.since(Timestamp::from_millis_clamped(1_700_000_000_000)).0.max(0);
    let mut digits = Vec::new();
    while left > 0 {
        let digit = u32::try_from(left % 36).unwrap_or(0);
        digits.extend(char::from_digit(digit, 36).map(|digit| digit.to_ascii_uppercase()));
        left /= 36;
    }
    std::iter::once('L').chain(digits.into_iter().rev()).chain(std::iter::once('-')).collect()
}

/// Stations of a load run, one per zone.
///
/// # Errors
/// When a zone is unknown.
pub fn busy_stations(run_id: &str, now: Timestamp, run: Millis) -> anyhow::Result<Vec<Station>> {
    let minutes = (run.0 / 60_000).saturating_add(3).min(40);
    let stations = (1_u32..).zip(ZONES).map(|(n, zone)| {
        Ok(Station {
            id: StationId::parse(&format!("{run_id}S{n}"))?,
            zone: zone.to_owned(),
            name: format!("load test {n}"),
            longitude: 121.0 + f64::from(n) / 10.0,
            latitude: 31.0,
            periods: busy_periods(zone, now, minutes)?,
        })
    });
    stations.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_periods_cover_the_day_and_begin_during_the_run() {
        let now = Timestamp::parse_rfc3339("2025-11-21T10:30:30+08:00").unwrap();
        let periods = busy_periods("Asia/Shanghai", now, 3).unwrap();
        let edges: Vec<_> = periods.iter().map(|p| (p.from.as_str(), p.to.as_str())).collect();
        assert_eq!(edges, [("00:00", "10:31"), ("10:31", "10:32"), ("10:32", "10:33"), ("10:33", "24:00")]);
    }

    #[test]
    fn shortly_before_midnight_the_day_still_ends_at_midnight() {
        let now = Timestamp::parse_rfc3339("2025-11-21T23:58:30Z").unwrap();
        let periods = busy_periods("UTC", now, 5).unwrap();
        assert_eq!(periods.last().unwrap().to, "24:00");
        assert_eq!(periods.len(), 2);
    }

    #[test]
    fn a_run_has_a_name_that_fits_into_a_pile_code() {
        let id = run_id(Timestamp::from_millis(1_763_690_000_000).unwrap());
        assert!(PileCode::parse(&format!("{id}00001")).is_ok(), "{id}");
    }
}
