//! How long a hub takes from its start to `/readyz`, with the real binary on a large store, after `kill -9`.

mod fill;

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use domain::Timestamp;
use tokio::time::{Instant, sleep};

const SIZE: fill::Size = fill::Size { piles: 50_000, closed: 100_000, running: 2_000, readings: 30 };
const ROUNDS: usize = 5;
const WITHIN: Duration = Duration::from_secs(60);

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // `cargo test --benches` only wants to know that it builds and runs.
    let size = if std::env::args().any(|arg| arg == "--bench") {
        SIZE
    } else {
        fill::Size { piles: 100, closed: 100, running: 10, readings: 3 }
    };
    runtime.block_on(Box::pin(measure(size)))
}

async fn measure(size: fill::Size) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("data");
    let began = Instant::now();
    fill::fill(&data, size, now()).await?;
    say(&format!("filled in {:.1} s: {size:?}", began.elapsed().as_secs_f64()))?;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        times.push(restart(&data).await?);
    }
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    let all: Vec<String> = times.iter().map(|time| format!("{:.2}", time.as_secs_f64())).collect();
    say(&format!("restart to serving: {:.2} s (median of {})", median.as_secs_f64(), all.join(", ")))
}

#[allow(clippy::disallowed_methods, reason = "a data directory needs the wall's time to lie in the past of its hub")]
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis_clamped(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// One start, up to the first good answer of `/readyz`; then the hub is killed.
async fn restart(data: &Path) -> anyhow::Result<Duration> {
    let http = free_address()?;
    let began = Instant::now();
    let child = Command::new(env!("CARGO_BIN_EXE_pilehub"))
        .args(["serve", "--data-dir"])
        .arg(data)
        .env("PILEHUB__HTTP__LISTEN", http.to_string())
        .env("PILEHUB__MQTT__LISTEN", "127.0.0.1:0")
        .env("PILEHUB__LOG__FILTER", "warn")
        .stdout(Stdio::null())
        .spawn()
        .context("the hub cannot be started")?;
    let mut child = Killed(child);
    while !is_ready(http) {
        if let Some(status) = child.0.try_wait()? {
            bail!("the hub ended with {status}");
        }
        if began.elapsed() > WITHIN {
            bail!("the hub was not ready within {WITHIN:?}");
        }
        sleep(Duration::from_millis(5)).await;
    }
    Ok(began.elapsed())
}

/// A child that does not outlive its round.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn is_ready(http: SocketAddr) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(http)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

fn say(line: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{line}").context("writing to stdout")
}
