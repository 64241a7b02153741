//! Paced floods of heartbeats and idle crowds, against a hub or any other MQTT broker: the generator of the benchmarks.
//!
//! Open loop: message `i` is due at `i / rate` whatever the broker does, and its latency counts from then.

mod conn;
pub mod crowd;
pub mod idle;
mod subscriber;

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::Context as _;
use domain::{
    Clock as _, ConnectorId, DeciCelsius, MilliAmps, MilliVolts, PileCode, Timestamp, Watts,
    wire::{self, ConnectorReport, Heartbeat, ReportedStatus, UpFrame, UpTopic},
};
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior};

use self::conn::{Conn, Totals};
use crate::{
    api::PileSecret,
    client::{codec, probes::Percentiles},
    limits,
    pace::WallClock,
};

/// Who connects: the piles of a file, or made-up names without passwords.
#[derive(Debug, Clone)]
pub enum Crowd {
    /// Names and passwords.
    Known(Vec<PileSecret>),
    /// So many anonymous piles.
    Anonymous(usize),
}

impl Crowd {
    /// Reads `[{"pileCode":…,"secret":…}]` as `POST /piles/import` answers, or lines of `code:secret`.
    ///
    /// # Errors
    /// When the file is neither.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        if text.trim_start().starts_with('[') {
            return Ok(Self::Known(serde_json::from_str(&text)?));
        }
        let lines = text.lines().filter(|line| !line.trim().is_empty()).map(|line| {
            let (code, secret) = line.split_once(':').with_context(|| format!("\"{line}\" is not code:secret"))?;
            Ok(PileSecret { pile_code: PileCode::parse(code)?, secret: secret.to_owned() })
        });
        Ok(Self::Known(lines.collect::<anyhow::Result<_>>()?))
    }

    /// The first `n`, each with its password.
    ///
    /// # Errors
    /// When there are fewer.
    pub fn first(&self, n: usize) -> anyhow::Result<Vec<(PileCode, Option<String>)>> {
        match self {
            Self::Known(known) => {
                anyhow::ensure!(known.len() >= n, "{n} piles wanted, {} known", known.len());
                Ok(known.iter().take(n).map(|pile| (pile.pile_code.clone(), Some(pile.secret.clone()))).collect())
            }
            Self::Anonymous(_) => {
                (1..=n).map(|n| Ok((PileCode::parse(&format!("F{n:05}"))?, None))).collect::<anyhow::Result<_>>()
            }
        }
    }
}

/// A flood.
#[derive(Debug, Clone)]
pub struct FloodOptions {
    /// The broker.
    pub mqtt: SocketAddr,
    /// Who connects.
    pub crowd: Crowd,
    /// How many connections.
    pub piles: usize,
    /// Messages per second over all connections.
    pub rate: u32,
    /// How long.
    pub duration: Duration,
    /// Whether PUBACKs are asked for.
    pub qos1: bool,
    /// QoS of one subscriber to everything in this process; `None`: no subscriber.
    pub subscriber: Option<u8>,
    /// Loopback addresses to connect from; 0: the default one.
    pub sources: u8,
}

/// What came of a flood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FloodReport {
    /// Connections.
    pub piles: usize,
    /// Messages per second asked for.
    pub rate: u32,
    /// 0 or 1.
    pub qos: u8,
    /// How long all connections took to open, in ms.
    pub connect_ms: u64,
    /// How long messages were sent, in ms.
    pub flood_ms: u64,
    /// Messages sent.
    pub sent: u64,
    /// PUBACKs received.
    pub acked: u64,
    /// Messages that were due but not sent because too many waited.
    pub not_sent: u64,
    /// Connections that broke.
    pub broken: u64,
    /// Messages that the subscriber received.
    pub received: Option<u64>,
    /// From the moment a message was due to its PUBACK.
    pub puback: Percentiles,
}

impl FloodReport {
    /// Whether the broker took and acknowledged everything.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.not_sent == 0 && self.broken == 0 && (self.qos == 0 || self.acked == self.sent)
    }
}

/// Opens the connections, floods, waits for the last PUBACKs.
///
/// # Errors
/// When a connection cannot be opened.
pub async fn flood(options: &FloodOptions) -> anyhow::Result<FloodReport> {
    let totals = Arc::new(Totals::default());
    let began = Instant::now();
    let streams =
        crowd::connect(options.mqtt, None, &options.crowd.first(options.piles)?, options.sources, false).await?;
    let subscriber = match options.subscriber {
        Some(qos) => Some(subscriber::start(options.mqtt, qos, Arc::clone(&totals)).await?),
        None => None,
    };
    let connect_ms = millis(began.elapsed());
    let mut conns: Vec<Conn> =
        streams.into_iter().filter_map(|(code, lean)| Conn::start(code, lean, &totals)).collect();
    let started = Instant::now();
    Box::pin(send(options, &mut conns, started, &totals)).await;
    let flood_ms = millis(started.elapsed());
    let sent = totals.sent.load(Ordering::Relaxed);
    drain(options, sent, &totals).await;
    conns.into_iter().for_each(Conn::stop);
    if let Some(subscriber) = &subscriber {
        subscriber.abort();
    }
    Ok(FloodReport {
        piles: options.piles,
        rate: options.rate,
        qos: u8::from(options.qos1),
        connect_ms,
        flood_ms,
        sent,
        acked: totals.acked.load(Ordering::Relaxed),
        not_sent: totals.not_sent.load(Ordering::Relaxed),
        broken: totals.broken.load(Ordering::Relaxed),
        received: subscriber.map(|_| totals.received.load(Ordering::Relaxed)),
        puback: totals.puback.percentiles(),
    })
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// When message `i` is due.
fn due(started: Instant, i: u64, rate: u32) -> Instant {
    let nanos = u128::from(i).saturating_mul(1_000_000_000).checked_div(u128::from(rate)).unwrap_or(0);
    started.checked_add(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))).unwrap_or(started)
}

async fn send(options: &FloodOptions, conns: &mut [Conn], started: Instant, totals: &Totals) {
    let end = started.checked_add(options.duration).unwrap_or(started);
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let rounds = u64::try_from(conns.len()).unwrap_or(1).max(1);
    let mut scratch = Vec::with_capacity(512);
    let mut i = 0_u64;
    loop {
        tick.tick().await;
        let now = Instant::now();
        let wall = WallClock.now();
        while due(started, i, options.rate) <= now && due(started, i, options.rate) < end {
            let Some(conn) = usize::try_from(i % rounds).ok().and_then(|n| conns.get_mut(n)) else { return };
            scratch.clear();
            let id = options.qos1.then(|| conn.next_id());
            let payload = heartbeat(&conn.code, wall, i / rounds);
            codec::publish(&mut scratch, &UpTopic::Heartbeat.topic(&conn.code), id, &payload);
            conn.send(&scratch, id, due(started, i, options.rate), totals);
            i = i.saturating_add(1);
        }
        for conn in conns.iter_mut().filter(|conn| conn.is_stuck()) {
            conn.push();
        }
        if now >= end {
            return;
        }
    }
}

async fn drain(options: &FloodOptions, sent: u64, totals: &Totals) {
    let give_up = Instant::now().checked_add(limits::FLOOD_DRAIN_MAX).unwrap_or_else(Instant::now);
    let complete = || {
        let acked = !options.qos1 || totals.acked.load(Ordering::Relaxed) >= sent;
        acked && (options.subscriber.is_none() || totals.received.load(Ordering::Relaxed) >= sent)
    };
    while !complete() && Instant::now() < give_up {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// About 200 bytes, as chargers send them.
fn heartbeat(code: &PileCode, now: Timestamp, seq: u64) -> Vec<u8> {
    let noise = i32::try_from(seq % 50).unwrap_or(0);
    let report = ConnectorReport {
        connector: ConnectorId(1),
        status: Some(ReportedStatus::Idle),
        plugged: Some(false),
        locked: Some(false),
    };
    let heartbeat = Heartbeat {
        status: ReportedStatus::Idle,
        voltage: Some(MilliVolts(220_000_i32.saturating_add(noise.saturating_mul(10)))),
        current: Some(MilliAmps(0)),
        power: Some(Watts(0)),
        temperature: Some(DeciCelsius(315)),
        timestamp: now,
        seq: Some(seq),
        connectors: vec![report],
        firmware: None,
    };
    wire::print(&UpFrame::Heartbeat(heartbeat), code)
}
