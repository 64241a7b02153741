//! A hub of our own: the `pilehub` beside this executable, on free ports, with a data directory of its own.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};

use anyhow::{Context as _, bail};
use tokio::{
    process::{Child, Command},
    time::{Duration, Instant, sleep, timeout},
};

use crate::{api::Http, limits};

/// A running hub; killed when dropped.
#[derive(Debug)]
pub struct Hub {
    child: Child,
    /// `http://host:port`.
    pub http: String,
    /// Where piles connect.
    pub mqtt: SocketAddr,
    /// Its `auth.jwt_key`.
    pub jwt_key: String,
    /// What it prints.
    pub log: PathBuf,
}

/// How to start a hub.
#[derive(Debug, Clone)]
pub struct HubOptions {
    /// The executable; `None`: `pilehub` beside this one.
    pub executable: Option<PathBuf>,
    /// Where its data and its log go.
    pub dir: PathBuf,
    /// Further settings, as `PILEHUB__SECTION__KEY` and value.
    pub env: Vec<(String, String)>,
}

impl HubOptions {
    /// The executable that is meant.
    pub(crate) fn executable(&self) -> anyhow::Result<PathBuf> {
        match &self.executable {
            Some(path) => Ok(path.clone()),
            None => Ok(std::env::current_exe()?.with_file_name("pilehub")),
        }
    }
}

impl Hub {
    /// Starts a hub and waits until it is ready.
    ///
    /// # Errors
    /// When there is no executable, it ends at once, or it is not ready in time; the end of its log is in the error.
    pub async fn start(options: &HubOptions) -> anyhow::Result<Self> {
        let executable = options.executable()?;
        anyhow::ensure!(executable.exists(), "{} does not exist: build it or give --http", executable.display());
        let data = options.dir.join("data");
        std::fs::create_dir_all(&data).with_context(|| format!("creating {}", data.display()))?;
        let log = options.dir.join("hub.log");
        let output = std::fs::File::create(&log)?;
        let (http, mqtt) = (free_address()?, free_address()?);
        let jwt_key = "load-test-key-that-is-used-nowhere-else".to_owned();
        let child = Command::new(&executable)
            .arg("serve")
            .arg("--data-dir")
            .arg(&data)
            .env("PILEHUB__HTTP__LISTEN", http.to_string())
            .env("PILEHUB__MQTT__LISTEN", mqtt.to_string())
            .env("PILEHUB__AUTH__JWT_KEY", &jwt_key)
            .envs(options.env.iter().cloned())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", executable.display()))?;
        let mut hub = Self { child, http: format!("http://{http}"), mqtt, jwt_key, log };
        hub.wait_ready().await?;
        Ok(hub)
    }

    async fn wait_ready(&mut self) -> anyhow::Result<()> {
        let http = Http::new(&self.http);
        let give_up = Instant::now().checked_add(limits::HUB_READY_WAIT_MAX).context("clock overflow")?;
        while Instant::now() < give_up {
            if let Some(status) = self.child.try_wait()? {
                bail!("the hub ended with {status}:\n{}", log_tail(&self.log));
            }
            if matches!(http.raw("/readyz").await, Ok((200, _))) {
                return Ok(());
            }
            sleep(Duration::from_millis(50)).await;
        }
        bail!("the hub is not ready after {:?}:\n{}", limits::HUB_READY_WAIT_MAX, log_tail(&self.log))
    }

    /// The process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Asks the hub to end and waits for it.
    ///
    /// # Errors
    /// When it does not end in time (it is killed then) or not with 0.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(pid) =
            self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw)
        {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        }
        let status: ExitStatus = match timeout(limits::HUB_STOP_WAIT_MAX, self.child.wait()).await {
            Ok(status) => status?,
            Err(_) => {
                self.child.kill().await?;
                bail!("the hub did not end within {:?} of SIGTERM", limits::HUB_STOP_WAIT_MAX);
            }
        };
        anyhow::ensure!(status.success(), "the hub ended with {status} after SIGTERM:\n{}", log_tail(&self.log));
        Ok(())
    }
}

/// A loopback address that was free a moment ago.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}

/// The last lines of a log.
fn log_tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().rev().take(20).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}
