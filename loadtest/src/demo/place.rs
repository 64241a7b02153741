//! The demo's stations, prices and piles.

use domain::StationId;

use crate::{
    api::Api,
    oracle::Period,
    run::setup::{self, Installed, Station, Wanted},
};

/// Name, longitude, latitude.
const STATIONS: [(&str, f64, f64); 10] = [
    ("人民广场站 People's Square", 121.4737, 31.2304),
    ("虹桥枢纽站 Hongqiao Hub", 121.3200, 31.1940),
    ("陆家嘴站 Lujiazui", 121.5000, 31.2397),
    ("张江科技园站 Zhangjiang Park", 121.6020, 31.2040),
    ("徐家汇站 Xujiahui", 121.4370, 31.1950),
    ("五角场站 Wujiaochang", 121.5140, 31.2990),
    ("浦东机场站 Pudong Airport", 121.8050, 31.1500),
    ("松江大学城站 Songjiang Campus", 121.2090, 31.0520),
    ("嘉定新城站 Jiading New Town", 121.2500, 31.3500),
    ("临港站 Lingang", 121.9200, 30.9000),
];

/// Piles at one station.
const PILES_PER_STATION: usize = 20;

/// From, to, label, electricity and service in e4.
const PERIODS: [(&str, &str, &str, i64, i64); 6] = [
    ("00:00", "06:00", "谷 valley", 3_200, 4_000),
    ("06:00", "08:00", "平 flat", 6_800, 4_500),
    ("08:00", "11:00", "峰 peak", 11_200, 5_000),
    ("11:00", "18:00", "平 flat", 6_800, 4_500),
    ("18:00", "22:00", "尖 top", 13_600, 5_500),
    ("22:00", "24:00", "谷 valley", 3_200, 4_000),
];

/// Registers 10 stations with their tariffs and 200 piles.
///
/// # Errors
/// When the hub refuses any of them.
pub async fn furnish(api: &Api) -> anyhow::Result<Vec<Installed>> {
    let stations = (1_u32..).zip(STATIONS).map(|(n, (name, longitude, latitude))| {
        Ok(Station {
            id: StationId::parse(&format!("ST{n:02}"))?,
            zone: "Asia/Shanghai".to_owned(),
            name: name.to_owned(),
            longitude,
            latitude,
            periods: PERIODS.into_iter().map(period).collect(),
        })
    });
    let stations = stations.collect::<anyhow::Result<Vec<_>>>()?;
    let piles: Vec<Wanted> =
        (0..stations.len()).flat_map(|n| (0..PILES_PER_STATION).map(move |m| wanted(n, m))).collect();
    setup::furnish(api, "P", &stations, &piles).await
}

fn period((from, to, label, electricity_e4, service_e4): (&str, &str, &str, i64, i64)) -> Period {
    Period { from: from.to_owned(), to: to.to_owned(), label: label.to_owned(), electricity_e4, service_e4 }
}

/// The `m`th pile of a station: mostly DC with two guns, some AC.
const fn wanted(station: usize, m: usize) -> Wanted {
    match m % 10 {
        0..=4 => Wanted { station, max_power_kw: 60, connectors: 1, dc: true },
        5 | 6 => Wanted { station, max_power_kw: 120, connectors: 2, dc: true },
        7 => Wanted { station, max_power_kw: 240, connectors: 2, dc: true },
        _ => Wanted { station, max_power_kw: 7, connectors: 1, dc: false },
    }
}
