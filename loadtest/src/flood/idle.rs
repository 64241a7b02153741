//! A crowd that connects, subscribes, says one heartbeat each and then only stays: for measuring memory.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use domain::{Clock as _, PileCode, wire::UpTopic};
use serde::Serialize;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{Crowd, crowd, heartbeat, millis};
use crate::{
    client::{
        Incoming,
        lean::{KEEP_ALIVE_S, Lean},
        socket::Trust,
    },
    pace::WallClock,
};

/// An idle crowd.
#[derive(Debug, Clone)]
pub struct IdleOptions {
    /// The broker.
    pub mqtt: SocketAddr,
    /// Over TLS, to a hub of this authority.
    pub trust: Option<Trust>,
    /// Who connects.
    pub crowd: Crowd,
    /// How many connections.
    pub piles: usize,
    /// How long they stay.
    pub duration: Duration,
    /// Loopback addresses to connect from; 0: the default one.
    pub sources: u8,
}

/// What came of an idle crowd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IdleReport {
    /// Connections opened.
    pub connected: usize,
    /// How long that took, in ms.
    pub connect_ms: u64,
    /// Heartbeats acknowledged.
    pub acked: u64,
    /// Connections that broke before the end.
    pub broken: u64,
}

/// Connects everybody, calls `ready` when every heartbeat is acknowledged, and stays.
///
/// # Errors
/// When a connection cannot be opened.
pub async fn idle(options: &IdleOptions, ready: impl FnOnce(&IdleReport)) -> anyhow::Result<IdleReport> {
    let began = Instant::now();
    let piles = options.crowd.first(options.piles)?;
    let open = crowd::connect(options.mqtt, options.trust.as_ref(), &piles, options.sources, true).await?;
    let (acked, broken) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut report = IdleReport { connected: open.len(), connect_ms: millis(began.elapsed()), acked: 0, broken: 0 };
    let end = Instant::now().checked_add(options.duration).unwrap_or(began);
    let mut staying = JoinSet::new();
    for (code, lean) in open {
        let (acked, broken) = (Arc::clone(&acked), Arc::clone(&broken));
        staying.spawn(async move {
            if stay(code, lean, end, &acked).await.is_err() {
                broken.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let expected = u64::try_from(report.connected).unwrap_or(u64::MAX);
    while acked.load(Ordering::Relaxed) < expected && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    report.acked = acked.load(Ordering::Relaxed);
    ready(&report);
    while staying.join_next().await.is_some() {}
    report.broken = broken.load(Ordering::Relaxed);
    Ok(report)
}

async fn stay(code: PileCode, mut lean: Lean, end: Instant, acked: &AtomicU64) -> anyhow::Result<()> {
    lean.publish(1, true, &UpTopic::Heartbeat.topic(&code), &heartbeat(&code, WallClock.now(), 1));
    lean.flush().await?;
    let every = Duration::from_secs(u64::from(KEEP_ALIVE_S / 2));
    loop {
        let ping_at = Instant::now().checked_add(every).unwrap_or(end);
        tokio::select! {
            incoming = lean.next() => {
                if matches!(incoming?, Incoming::Puback { .. }) {
                    acked.fetch_add(1, Ordering::Relaxed);
                }
            }
            () = sleep_until(ping_at.min(end)) => {
                if Instant::now() >= end {
                    lean.close().await;
                    return Ok(());
                }
                lean.ping();
            }
        }
        lean.flush().await?;
    }
}
