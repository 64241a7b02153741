//! A process of piles in a storm: connects them all, says so, and when it is told to, loses all connections in one
//! moment and brings them back. Each pile dials again at once, then with growing pauses.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use domain::{
    Clock as _, PileCode,
    command::CommandKind,
    wire::{self, AckResult, CommandAck, DownTopic, Heartbeat, ReportedStatus, UpFrame, UpTopic},
};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::{CrowdReport, PATIENCE};
use crate::{
    api::PileSecret,
    client::{
        Incoming,
        lean::{KEEP_ALIVE_S, Lean},
        socket::Trust,
    },
    flood::crowd::source,
    limits::{CONNECTING_MAX, REDIAL_WAIT_MAX, REDIAL_WAIT_MIN},
    pace::WallClock,
    rng::Rng,
};

/// A crowd.
#[derive(Debug, Clone)]
pub struct CrowdOptions {
    /// Where they connect.
    pub mqtt: SocketAddr,
    /// Over TLS, to a hub of this authority.
    pub trust: Option<Trust>,
    /// Who they are.
    pub piles: Vec<PileSecret>,
    /// Loopback addresses to connect from.
    pub sources: u8,
    /// How many addresses belong to other crowds.
    pub first_source: u8,
}

/// What all piles of a crowd share.
#[derive(Debug)]
struct Shared {
    mqtt: SocketAddr,
    trust: Option<Trust>,
    /// Counts the losses of all connections.
    wave: watch::Sender<u64>,
    /// Piles whose heartbeat was acknowledged in this wave, and when.
    back: AtomicUsize,
    moments: Mutex<Vec<Duration>>,
    since: Mutex<Instant>,
    refused: AtomicU64,
    all: usize,
    done: watch::Sender<u64>,
}

/// Runs until its input ends. `say` gets a report when all are connected and when all are back.
///
/// # Errors
/// When they do not come (back) at all.
pub async fn crowd(
    options: CrowdOptions,
    mut say: impl FnMut(&CrowdReport) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let all = options.piles.len();
    let shared = Arc::new(Shared {
        mqtt: options.mqtt,
        trust: options.trust,
        wave: watch::Sender::new(0),
        back: AtomicUsize::new(0),
        moments: Mutex::new(Vec::with_capacity(all)),
        since: Mutex::new(Instant::now()),
        refused: AtomicU64::new(0),
        all,
        done: watch::Sender::new(0),
    });
    // The first time they come in an orderly way: the storm is the second time.
    let dialling = Arc::new(tokio::sync::Semaphore::new(CONNECTING_MAX));
    for (n, pile) in options.piles.into_iter().enumerate() {
        let address = source(n, options.sources, options.first_source);
        let (shared, dialling) = (Arc::clone(&shared), Arc::clone(&dialling));
        tokio::spawn(async move { live(n, pile, address, &shared, &dialling).await });
    }
    say(&shared.all_back(1).await?)?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut wave = 1_u64;
    while let Some(line) = lines.next_line().await? {
        anyhow::ensure!(line == "drop", "\"{line}\" is no order for a crowd");
        wave = wave.saturating_add(1);
        shared.begin();
        say(&shared.all_back(wave).await?)?;
    }
    Ok(())
}

impl Shared {
    fn begin(&self) {
        self.back.store(0, Ordering::SeqCst);
        self.refused.store(0, Ordering::SeqCst);
        self.moments.lock().clear();
        *self.since.lock() = Instant::now();
        self.wave.send_modify(|wave| *wave = wave.saturating_add(1));
    }

    /// A pile's heartbeat was acknowledged.
    fn is_back(&self) {
        let took = self.since.lock().elapsed();
        self.moments.lock().push(took);
        if self.back.fetch_add(1, Ordering::SeqCst).saturating_add(1) == self.all {
            self.done.send_modify(|done| *done = done.saturating_add(1));
        }
    }

    async fn all_back(&self, wave: u64) -> anyhow::Result<CrowdReport> {
        let mut done = self.done.subscribe();
        let came = timeout(PATIENCE, done.wait_for(|done| *done >= wave)).await;
        let back = self.back.load(Ordering::SeqCst);
        came.with_context(|| format!("{back} of {} piles connected within {PATIENCE:?}", self.all))??;
        let mut moments = self.moments.lock().clone();
        moments.sort_unstable();
        let ms = |at: usize| moments.get(at).map_or(0, |took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        Ok(CrowdReport {
            piles: back,
            ms: ms(self.all.saturating_sub(1)),
            half_ms: ms(self.all / 2),
            refused: self.refused.load(Ordering::SeqCst),
        })
    }
}

/// One pile, for as long as the process lives.
async fn live(
    n: usize,
    pile: PileSecret,
    address: Option<std::net::IpAddr>,
    shared: &Shared,
    dialling: &tokio::sync::Semaphore,
) {
    let mut waves = shared.wave.subscribe();
    let mut rng = Rng::new(u64::try_from(n).unwrap_or(0));
    let topics = [DownTopic::Command, DownTopic::RecordAck].map(|topic| topic.topic(&pile.pile_code));
    let filters = topics.each_ref().map(String::as_str);
    let mut pause = Duration::ZERO;
    loop {
        let orderly = *waves.borrow_and_update() == 0;
        let permit = if orderly { dialling.acquire().await.ok() } else { None };
        let dial =
            Lean::open(shared.mqtt, address, shared.trust.as_ref(), &pile.pile_code, Some(&pile.secret), &filters);
        let opened = Box::pin(dial).await;
        drop(permit);
        if let Ok(lean) = opened {
            let stayed = stay(lean, &pile.pile_code, shared, &mut waves).await;
            pause = Duration::ZERO;
            if stayed.is_ok() {
                continue;
            }
        }
        shared.refused.fetch_add(1, Ordering::Relaxed);
        pause = pause.saturating_mul(2).clamp(REDIAL_WAIT_MIN, REDIAL_WAIT_MAX);
        // Half of it to the whole of it, so that those who were refused together do not come together.
        let most = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
        sleep(Duration::from_millis(u64::try_from(rng.range(most / 2, most)).unwrap_or(0))).await;
    }
}

/// Says a heartbeat, accepts what it is told, until the wave: `Ok` when that took the connection.
async fn stay(
    mut lean: Lean,
    code: &PileCode,
    shared: &Shared,
    waves: &mut watch::Receiver<u64>,
) -> anyhow::Result<()> {
    lean.publish(1, true, &UpTopic::Heartbeat.topic(code), &heartbeat(code));
    lean.flush().await?;
    let mut acknowledged = false;
    loop {
        tokio::select! {
            incoming = lean.next() => match incoming? {
                Incoming::Puback { .. } if !acknowledged => {
                    acknowledged = true;
                    shared.is_back();
                }
                Incoming::Puback { .. } => {}
                Incoming::Publish { payload, .. } => accept(&mut lean, code, &payload),
            },
            changed = waves.changed() => {
                changed?;
                return Ok(());
            }
            () = sleep(Duration::from_secs(u64::from(KEEP_ALIVE_S / 2))) => lean.ping(),
        }
        lean.flush().await?;
    }
}

/// Says nothing of its gun, so that a charge may start.
fn heartbeat(code: &PileCode) -> Vec<u8> {
    let heartbeat = Heartbeat {
        status: ReportedStatus::Idle,
        voltage: None,
        current: None,
        power: None,
        temperature: None,
        timestamp: WallClock.now(),
        seq: None,
        connectors: Vec::new(),
        firmware: None,
    };
    wire::print(&UpFrame::Heartbeat(heartbeat), code)
}

/// Answers a start command, so that the charge begins.
fn accept(lean: &mut Lean, code: &PileCode, payload: &[u8]) {
    let Ok(frame) = wire::parse_command(payload) else { return };
    let CommandKind::StartCharging { order_no, .. } = &frame.command.kind else { return };
    let ack = UpFrame::CommandAck(CommandAck {
        command_id: frame.command.command_id.clone(),
        order_no: Some(order_no.clone()),
        result: AckResult::Accepted,
        code: None,
        message: None,
        timestamp: Some(WallClock.now()),
    });
    lean.publish(2, true, &UpTopic::CommandAck.topic(code), &wire::print(&ack, code));
}
