//! A storm: a whole fleet loses its connections in one moment and comes back at once, while drivers charge and callers
//! call. It starts a hub of its own, several processes of piles, and judges what came of it.
//!
//! The piles are real sockets on loopback, from several of its addresses, over TLS unless told otherwise. The crowds are
//! processes of their own ([`crowd`]) because one process has only so many sockets.

pub mod crowd;
mod judge;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::Context as _;
use domain::{Clock as _, Millis, StationId};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use self::judge::Prober;
use crate::{
    api::{Api, Http, PileSecret},
    client::probes::Percentiles,
    pace::WallClock,
    run::{
        hub::{Hub, HubOptions},
        setup::{self, Station, Wanted},
    },
    token::Signer,
};

/// How long the tokens of a storm hold.
const TOKENS: Millis = Millis::from_secs(3_600);

/// A storm.
#[derive(Debug, Clone)]
pub struct StormOptions {
    /// The hub to start.
    pub own: HubOptions,
    /// Connected piles.
    pub piles: usize,
    /// Charges that run through it.
    pub sessions: usize,
    /// Processes that the piles are in.
    pub processes: usize,
    /// Loopback addresses per process.
    pub sources: u8,
    /// Without TLS.
    pub plain: bool,
}

/// What came of a storm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StormReport {
    /// Connected piles.
    pub piles: usize,
    /// How they connect.
    pub transport: &'static str,
    /// From the first dial to the last heartbeat acknowledged, at the start, in ms.
    pub first_ms: u64,
    /// From the loss of all connections to the last heartbeat acknowledged, in ms.
    pub back_ms: u64,
    /// The same for half of the piles.
    pub half_back_ms: u64,
    /// Attempts that the hub refused with CONNACK 3 or closed, to be made again.
    pub refused: u64,
    /// Charges that ran before and do not run any more.
    pub sessions_lost: usize,
    /// Charges that ran before.
    pub sessions: usize,
    /// Piles that the hub called offline although they came back in time.
    pub false_offline: usize,
    /// HTTP while it lasted.
    pub http: Percentiles,
    /// HTTP calls that failed.
    pub http_failed: u64,
    /// CPU of the hub from the loss to the last heartbeat, in ms.
    pub hub_cpu_ms: u64,
}

impl StormReport {
    /// Whether nothing was lost and nothing wrong was said.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.sessions_lost == 0 && self.false_offline == 0 && self.http_failed == 0
    }
}

/// What a crowd says, one line of JSON each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CrowdReport {
    /// Piles whose heartbeat is acknowledged.
    pub piles: usize,
    /// From the first dial to the last such heartbeat, in ms.
    pub ms: u64,
    /// The same for half of them.
    pub half_ms: u64,
    /// Attempts that did not succeed.
    pub refused: u64,
}

/// Runs a storm to its end.
///
/// # Errors
/// When it could not be run; what the hub did wrong is in the report.
pub async fn storm(options: &StormOptions) -> anyhow::Result<StormReport> {
    let ground = Ground::prepare(options).await?;
    let mut crowds = ground.crowds(options)?;
    let first = said(&mut crowds).await?;
    let charges = judge::start_charges(&ground.api, &ground.piles, options.sessions).await?;
    let prober = Prober::start(&ground.api)?;
    let cpu_before = ground.cpu_ms();
    for crowd in &mut crowds {
        crowd.input.write_all(b"drop\n").await?;
    }
    let back = said(&mut crowds).await?;
    let hub_cpu_ms = ground.cpu_ms().saturating_sub(cpu_before);
    let (http, http_failed) = prober.stop().await;
    let sessions_lost = judge::lost_charges(&charges).await?;
    let false_offline = judge::offline_alarms(&ground.api).await?;
    let sum = |reports: &[CrowdReport]| reports.iter().map(|report| report.refused).sum();
    for crowd in crowds {
        drop(crowd.input);
        let mut child = crowd.child;
        child.wait().await?;
    }
    ground.hub.stop().await?;
    Ok(StormReport {
        piles: options.piles,
        transport: if options.plain { "TCP" } else { "TLS 1.3" },
        first_ms: longest(&first, |report| report.ms),
        back_ms: longest(&back, |report| report.ms),
        half_back_ms: longest(&back, |report| report.half_ms),
        refused: sum(&back),
        sessions_lost,
        sessions: charges.len(),
        false_offline,
        http,
        http_failed,
        hub_cpu_ms,
    })
}

fn longest(reports: &[CrowdReport], what: impl Fn(&CrowdReport) -> u64) -> u64 {
    reports.iter().map(what).max().unwrap_or(0)
}

/// A hub with piles that may connect.
struct Ground {
    hub: Hub,
    mqtt: SocketAddr,
    ca: Option<PathBuf>,
    api: Api,
    piles: Vec<PileSecret>,
    dir: PathBuf,
}

/// A process of piles.
struct Crowd {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Ground {
    async fn prepare(options: &StormOptions) -> anyhow::Result<Self> {
        let dir = options.own.dir.clone();
        let mut own = options.own.clone();
        own.env.push(("PILEHUB__LOG__FILTER".to_owned(), "warn".to_owned()));
        let mut tls = None;
        if !options.plain {
            let address = crate::run::hub::free_address()?;
            let made = certificates(&own).await?;
            for (key, path) in [("TLS_CERT", "gate.pem"), ("TLS_KEY", "gate.key"), ("CLIENT_CA", "ca.pem")] {
                own.env.push((format!("PILEHUB__MQTT__{key}"), made.join(path).display().to_string()));
            }
            own.env.push(("PILEHUB__MQTT__TLS_LISTEN".to_owned(), address.to_string()));
            tls = Some((address, made.join("ca.pem")));
        }
        let hub = Hub::start(&own).await?;
        let now = WallClock.now();
        let api = Api::new(Http::new(&hub.http), Signer::new(&hub.jwt_key, now, TOKENS));
        let run_id = setup::run_id(now);
        let station = Station {
            id: StationId::parse(&format!("{run_id}S"))?,
            zone: "Asia/Shanghai".to_owned(),
            name: "storm".to_owned(),
            longitude: 121.4,
            latitude: 31.2,
            periods: setup::busy_periods("Asia/Shanghai", now, 0)?,
        };
        let wanted = vec![Wanted { station: 0, max_power_kw: 60, connectors: 1, dc: true }; options.piles];
        let piles = setup::furnish(&api, &run_id, &[station], &wanted).await?;
        let piles = piles.into_iter().map(|pile| PileSecret { pile_code: pile.code, secret: pile.secret }).collect();
        let (mqtt, ca) = tls.map_or((hub.mqtt, None), |(address, ca)| (address, Some(ca)));
        Ok(Self { hub, mqtt, ca, api, piles, dir })
    }

    fn crowds(&self, options: &StormOptions) -> anyhow::Result<Vec<Crowd>> {
        let processes = options.processes.max(1);
        let each = self.piles.len().div_ceil(processes).max(1);
        let mut crowds = Vec::with_capacity(processes);
        for (n, piles) in (0_u8..).zip(self.piles.chunks(each)) {
            let file = self.dir.join(format!("piles-{n}.json"));
            std::fs::write(&file, serde_json::to_vec(piles)?)?;
            let mut command = Command::new(std::env::current_exe()?);
            command.arg("crowd").arg("--mqtt").arg(self.mqtt.to_string()).arg("--password-file").arg(&file);
            command.arg("--sources").arg(options.sources.to_string());
            command.arg("--first-source").arg(n.saturating_mul(options.sources).to_string());
            if let Some(ca) = &self.ca {
                command.arg("--tls-ca").arg(ca);
            }
            let mut child =
                command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().context("a crowd")?;
            let input = child.stdin.take().context("a crowd without input")?;
            let output = BufReader::new(child.stdout.take().context("a crowd without output")?).lines();
            crowds.push(Crowd { child, input, output });
        }
        Ok(crowds)
    }

    /// User and system time of the hub, in ms.
    fn cpu_ms(&self) -> u64 {
        let Some(pid) = self.hub.pid() else { return 0 };
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat.rsplit(") ").next().unwrap_or_default().split_whitespace();
        let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        ticks.saturating_mul(1_000).checked_div(rustix::param::clock_ticks_per_second()).unwrap_or(0)
    }
}

/// The next line of every crowd.
async fn said(crowds: &mut [Crowd]) -> anyhow::Result<Vec<CrowdReport>> {
    let mut reports = Vec::with_capacity(crowds.len());
    for crowd in crowds {
        let line = crowd.output.next_line().await?.context("a crowd ended early")?;
        reports.push(serde_json::from_str(&line).with_context(|| format!("a crowd said {line}"))?);
    }
    Ok(reports)
}

/// Lets the hub's own command make certificates; where they are.
async fn certificates(own: &HubOptions) -> anyhow::Result<PathBuf> {
    let data = own.dir.join("data");
    let executable = own.executable()?;
    let made = Command::new(&executable).args(["cert", "init", "--data-dir"]).arg(&data).output().await;
    let made = made.with_context(|| format!("starting {}", executable.display()))?;
    anyhow::ensure!(made.status.success(), "no certificates: {}", String::from_utf8_lossy(&made.stderr));
    Ok(data.join("tls"))
}

/// Where the data of a storm go below a directory: a place of its own each time.
#[must_use]
pub fn place(out: &Path) -> PathBuf {
    out.join(format!("storm-{}", WallClock.now().as_millis()))
}

/// How long a crowd may take to come back before the run is given up.
pub const PATIENCE: Duration = Duration::from_secs(120);
