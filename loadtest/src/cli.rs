//! The command line: arguments in, exit code out.

use std::{io::Write as _, net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use domain::{Clock as _, Millis, StationId};
use serde::Serialize;

use crate::{
    api::{Api, Http, PileSecret},
    client::socket::Trust,
    flood::{self, Crowd, FloodOptions, idle},
    pace::WallClock,
    pay::{Keys, PaySim},
    run::{self, RunOptions, Target, hub::HubOptions, plan::Load, setup, summary::Summary, summary::Verdict},
    storm::{self, StormOptions, crowd::CrowdOptions},
    token::Signer,
    trace,
};

/// Simulated piles, phones and drivers, and the oracle that judges a hub from outside.
#[derive(Debug, Parser)]
#[command(name = "loadtest", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Charge, watch, stop, and check every bill against an independent oracle
    Run(RunArgs),
    /// Send heartbeats at a fixed rate and measure the PUBACKs; prints JSON
    Flood(FloodArgs),
    /// Connect many piles and hold the connections; prints JSON when all are there, and again at the end
    Idle(IdleArgs),
    /// Let a whole fleet lose its connections in one moment and come back, against a hub of its own; prints JSON
    Storm(StormArgs),
    /// The piles of one process of a storm; told what to do on its standard input
    #[command(hide = true)]
    Crowd(StormCrowdArgs),
    /// Register a station and piles at a hub; writes their secrets to a file for `flood` and `idle`
    Register(RegisterArgs),
    /// Play WeChat Pay and Alipay on a loopback port, for a hub to be tried against; prints the hub's settings
    Pay(PayArgs),
    /// Simulate piles without any hub and print the hash of everything they would send
    Sim(SimArgs),
}

#[derive(Debug, Args)]
struct RunArgs {
    /// A running hub, http://host:port; without it one is started
    #[arg(long, requires_all = ["mqtt", "jwt_key"])]
    http: Option<String>,
    /// Its MQTT address
    #[arg(long, requires_all = ["http", "jwt_key"])]
    mqtt: Option<SocketAddr>,
    /// Its auth.jwt_key
    #[arg(long, requires_all = ["http", "mqtt"])]
    jwt_key: Option<String>,
    /// The hub to start; default: `pilehub` beside this executable
    #[arg(long)]
    hub: Option<PathBuf>,
    /// A setting for the hub to start, for example PILEHUB__LIMITS__X=0; may be given several times
    #[arg(long, value_parser = setting)]
    hub_env: Vec<(String, String)>,
    /// Connected piles
    #[arg(long, default_value_t = 200)]
    piles: usize,
    /// Charging sessions in all
    #[arg(long, default_value_t = 100)]
    sessions: usize,
    /// Phones that watch them
    #[arg(long, default_value_t = 100)]
    phones: usize,
    /// Status frames per second over all charges; default: one every two seconds per charge
    #[arg(long)]
    rate: Option<u32>,
    /// From the first session to the last bill
    #[arg(long, default_value = "60s", value_parser = duration)]
    duration: Duration,
    /// The same seed gives the same load
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How often out of 1,000 each kind of mischief that the contract allows happens
    #[arg(long, default_value_t = 60)]
    mischief: u32,
    /// Piles that use rumqttc; the others use a lean client
    #[arg(long, default_value_t = 50)]
    rumqttc: usize,
    /// Loopback addresses that piles connect from, 127.0.0.1 and up; 0: the default one
    #[arg(long, default_value_t = 0)]
    sources: u8,
    /// Where summary.json and report.html go
    #[arg(long, default_value = "loadtest-out")]
    out: PathBuf,
}

#[derive(Debug, Args)]
struct PayArgs {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// The hub that is told of payments
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    hub: String,
    /// Where the keys go that the hub needs
    #[arg(long, default_value = "loadtest-pay")]
    out: PathBuf,
}

#[derive(Debug, Args)]
struct CrowdArgs {
    /// The broker's MQTT address
    #[arg(long)]
    mqtt: SocketAddr,
    /// Names and passwords: the answer of /piles/import, or lines of code:secret
    #[arg(long, conflicts_with = "anonymous", required_unless_present = "anonymous")]
    password_file: Option<PathBuf>,
    /// Connect made-up names without passwords
    #[arg(long)]
    anonymous: bool,
    /// Connections
    #[arg(long, default_value_t = 2000)]
    piles: usize,
    /// Loopback addresses to connect from, 127.0.0.1 and up; 0: the default one
    #[arg(long, default_value_t = 0)]
    sources: u8,
    /// How long
    #[arg(long, default_value = "10s", value_parser = duration)]
    duration: Duration,
}

#[derive(Debug, Args)]
struct FloodArgs {
    #[command(flatten)]
    crowd: CrowdArgs,
    /// Messages per second over all connections
    #[arg(long, default_value_t = 5000)]
    rate: u32,
    /// 0 or 1
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=1))]
    qos: u8,
    /// Also open one subscriber to pile/# in this process
    #[arg(long)]
    subscriber: bool,
    /// Its QoS, 0 or 1
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=1))]
    subscriber_qos: u8,
}

#[derive(Debug, Args)]
struct IdleArgs {
    #[command(flatten)]
    crowd: CrowdArgs,
    /// Connect over TLS to a hub whose certificate this authority signed (PEM)
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct StormArgs {
    /// Connected piles
    #[arg(long, default_value_t = 18_000)]
    piles: usize,
    /// Charges that run through it
    #[arg(long, default_value_t = 100)]
    sessions: usize,
    /// Processes that the piles are in
    #[arg(long, default_value_t = 2)]
    processes: usize,
    /// Loopback addresses per process
    #[arg(long, default_value_t = 4)]
    sources: u8,
    /// Without TLS
    #[arg(long)]
    plain: bool,
    /// The hub to start; default: `pilehub` beside this executable
    #[arg(long)]
    hub: Option<PathBuf>,
    /// A setting for the hub to start, for example PILEHUB__LIMITS__X=0; may be given several times
    #[arg(long, value_parser = setting)]
    hub_env: Vec<(String, String)>,
    /// Where the hub's data go
    #[arg(long, default_value = "loadtest-out")]
    out: PathBuf,
}

#[derive(Debug, Args)]
struct StormCrowdArgs {
    #[arg(long)]
    mqtt: SocketAddr,
    #[arg(long)]
    password_file: PathBuf,
    #[arg(long, default_value_t = 0)]
    sources: u8,
    #[arg(long, default_value_t = 0)]
    first_source: u8,
    #[arg(long)]
    tls_ca: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct RegisterArgs {
    /// The hub, http://host:port
    #[arg(long)]
    http: String,
    /// Its auth.jwt_key
    #[arg(long)]
    jwt_key: String,
    /// How many piles
    #[arg(long, default_value_t = 2000)]
    piles: usize,
    /// Where the secrets go
    #[arg(long)]
    out: PathBuf,
}

#[derive(Debug, Args)]
struct SimArgs {
    /// The same seed gives the same hash
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Piles
    #[arg(long, default_value_t = 20)]
    piles: u32,
    /// Simulated time
    #[arg(long, default_value = "24h", value_parser = duration)]
    duration: Duration,
}

/// Reads `500ms`, `90s`, `2m`, `1h`; a bare number is seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| format!("\"{text}\" is no time like 90s or 2m"))?;
    let ms = match text.get(digits.len()..).unwrap_or_default() {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        unit => return Err(format!("\"{unit}\" is none of ms, s, m, h")),
    };
    number.checked_mul(ms).map(Duration::from_millis).ok_or_else(|| "too long".to_owned())
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("\"{text}\" is not KEY=VALUE"))?;
    Ok((key.to_owned(), value.to_owned()))
}

fn span(duration: Duration) -> Millis {
    Millis(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}

impl Cli {
    /// Does what was asked; the exit code carries the verdict.
    ///
    /// # Errors
    /// When it could not be done at all.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Run(args) => Box::pin(args.run()).await,
            Command::Flood(args) => Box::pin(args.run()).await,
            Command::Idle(args) => Box::pin(args.run()).await,
            Command::Storm(args) => Box::pin(args.run()).await,
            Command::Crowd(args) => Box::pin(args.run()).await,
            Command::Register(args) => Box::pin(args.run()).await,
            Command::Pay(args) => Box::pin(args.run()).await,
            Command::Sim(args) => {
                let trace = trace::simulate(args.seed, args.piles, span(args.duration));
                say(&format!("{} frames", trace.frames()))?;
                say(&format!("trace hash {}", trace.hex()))?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }

    /// Whether one thread is enough: the generators of the benchmarks take as little of the machine as they can.
    #[must_use]
    pub const fn is_light(&self) -> bool {
        match self.command {
            Command::Flood(_)
            | Command::Idle(_)
            | Command::Storm(_)
            | Command::Crowd(_)
            | Command::Register(_)
            | Command::Pay(_)
            | Command::Sim(_) => true,
            Command::Run(_) => false,
        }
    }
}

impl RunArgs {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let hub = match (self.http, self.mqtt, self.jwt_key) {
            (Some(http), Some(mqtt), Some(jwt_key)) => Some(Target { http, mqtt, jwt_key }),
            _ => None,
        };
        // A directory of its own, so that a second run does not meet the data of the first.
        let dir = self.out.join(format!("hub-{}", WallClock.now().as_millis()));
        let options = RunOptions {
            hub,
            own: HubOptions { executable: self.hub, dir, env: self.hub_env },
            load: Load {
                seed: self.seed,
                piles: self.piles,
                sessions: self.sessions,
                phones: self.phones,
                duration: span(self.duration),
            },
            rate: self.rate,
            mischief_per_mille: self.mischief,
            rumqttc: self.rumqttc,
            sources: self.sources,
            out: self.out.clone(),
            progress: true,
        };
        let summary = run::run(options).await?;
        tell(&summary, &self.out)?;
        Ok(if summary.verdict == Verdict::Good { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }
}

fn tell(summary: &Summary, out: &std::path::Path) -> anyhow::Result<()> {
    let ms = run::report::millis;
    for (name, p) in [
        ("pile → phone", summary.latency.pile_to_phone),
        ("publish → PUBACK", summary.latency.puback),
        ("stop → bill", summary.latency.stop_to_bill),
    ] {
        say(&format!(
            "{name}: {} × p50 {} ms, p99 {} ms, max {} ms",
            p.count,
            ms(p.p50_us),
            ms(p.p99_us),
            ms(p.max_us)
        ))?;
    }
    for story in &summary.differences {
        for line in story.lines() {
            say(&line)?;
        }
    }
    let (orders, bills, wrong) = (summary.counts.orders, summary.counts.bills, summary.sessions_wrong);
    let verdict = format!("{:?}", summary.verdict).to_lowercase();
    say(&format!(
        "verdict {verdict}: {orders} orders, {bills} bills, {wrong} sessions with differences; see {}",
        out.display()
    ))
}

impl PayArgs {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let keys = Arc::new(Keys::generate()?);
        let sim = PaySim::start(self.listen, Arc::clone(&keys)).await?;
        sim.point_at(&self.hub);
        std::fs::create_dir_all(&self.out).with_context(|| format!("making {}", self.out.display()))?;
        say("# the hub's settings; PILEHUB__HTTP__PUBLIC_URL too:")?;
        say(&format!("export PILEHUB__HTTP__PUBLIC_URL='{}'", self.hub))?;
        for (key, value) in keys.write(&std::path::absolute(&self.out)?, &format!("http://{}", sim.address()))? {
            say(&format!("export PILEHUB__{}='{value}'", key.to_uppercase().replace('.', "__")))?;
        }
        say(&format!("# then: curl -X POST http://{}/sim/pay/PAYMENT_NO", sim.address()))?;
        tokio::signal::ctrl_c().await?;
        Ok(ExitCode::SUCCESS)
    }
}

impl CrowdArgs {
    fn crowd(&self) -> anyhow::Result<Crowd> {
        match &self.password_file {
            Some(path) => Crowd::read(path),
            None => Ok(Crowd::Anonymous(self.piles)),
        }
    }
}

impl FloodArgs {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let options = FloodOptions {
            mqtt: self.crowd.mqtt,
            crowd: self.crowd.crowd()?,
            piles: self.crowd.piles,
            rate: self.rate,
            duration: self.crowd.duration,
            qos1: self.qos == 1,
            subscriber: self.subscriber.then_some(self.subscriber_qos),
            sources: self.crowd.sources,
        };
        let report = flood::flood(&options).await?;
        say_json(&report)?;
        Ok(if report.is_complete() { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }
}

impl IdleArgs {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let options = idle::IdleOptions {
            mqtt: self.crowd.mqtt,
            trust: self.tls_ca.as_deref().map(Trust::read).transpose()?,
            crowd: self.crowd.crowd()?,
            piles: self.crowd.piles,
            duration: self.crowd.duration,
            sources: self.crowd.sources,
        };
        let mut said = Ok(());
        let report = idle::idle(&options, |report| said = say_json(report)).await?;
        said?;
        say_json(&report)?;
        Ok(if report.broken == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }
}

impl StormArgs {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let options = StormOptions {
            own: HubOptions { executable: self.hub, dir: storm::place(&self.out), env: self.hub_env },
            piles: self.piles,
            sessions: self.sessions.min(self.piles),
            processes: self.processes,
            sources: self.sources,
            plain: self.plain,
        };
        let report = storm::storm(&options).await?;
        say_json(&report)?;
        Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }
}

impl StormCrowdArgs {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let Crowd::Known(piles) = Crowd::read(&self.password_file)? else { anyhow::bail!("a crowd needs names") };
        let options = CrowdOptions {
            mqtt: self.mqtt,
            trust: self.tls_ca.as_deref().map(Trust::read).transpose()?,
            piles,
            sources: self.sources,
            first_source: self.first_source,
        };
        storm::crowd::crowd(options, say_json).await?;
        Ok(ExitCode::SUCCESS)
    }
}

impl RegisterArgs {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let now = WallClock.now();
        let api = Api::new(Http::new(&self.http), Signer::new(&self.jwt_key, now, Millis::from_secs(3600)));
        let run_id = setup::run_id(now);
        let station = setup::Station {
            id: StationId::parse(&format!("{run_id}S"))?,
            zone: "Asia/Shanghai".to_owned(),
            name: "benchmark".to_owned(),
            longitude: 121.4,
            latitude: 31.2,
            periods: setup::busy_periods("Asia/Shanghai", now, 0)?,
        };
        let wanted = vec![setup::Wanted { station: 0, max_power_kw: 120, connectors: 1, dc: true }; self.piles];
        let installed = setup::furnish(&api, &run_id, &[station], &wanted).await?;
        let secrets: Vec<PileSecret> =
            installed.into_iter().map(|pile| PileSecret { pile_code: pile.code, secret: pile.secret }).collect();
        std::fs::write(&self.out, serde_json::to_vec(&secrets)?)
            .with_context(|| format!("writing {}", self.out.display()))?;
        say_json(&serde_json::json!({"registered": secrets.len(), "file": self.out}))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn say(line: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{line}").context("writing to stdout")
}

fn say_json(value: &impl Serialize) -> anyhow::Result<()> {
    say(&serde_json::to_string(value)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_unit() {
        for (text, ms) in [("500ms", 500), ("90s", 90_000), ("90", 90_000), ("2m", 120_000), ("1h", 3_600_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "1d", "-1s", "99999999999999999999s", "18446744073709551615h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_of_a_running_hub_come_together_or_not_at_all() {
        assert!(Cli::try_parse_from(["loadtest", "run"]).is_ok());
        assert!(Cli::try_parse_from(["loadtest", "run", "--http", "http://127.0.0.1:1"]).is_err());
        let whole = ["loadtest", "run", "--http", "http://127.0.0.1:1", "--mqtt", "127.0.0.1:2", "--jwt-key", "k"];
        assert!(Cli::try_parse_from(whole).is_ok());
    }
}
