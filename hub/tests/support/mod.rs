//! The real binary, started on free ports with a directory of its own, killed and started again as a test likes.
//!
//! Calls block; from an async test use them on a runtime with several threads.
#![allow(unreachable_pub, reason = "shared by several test binaries, so public in none")]
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a harness that fails shall fail loudly")]

pub mod charger;
pub mod crash;
pub mod http;
pub mod pay;
pub mod phone;
pub mod scene;
pub mod wait;
pub mod world;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio},
    sync::Arc,
};

use serde::Serialize;
use serde_json::Value;
use tempfile::TempDir;

pub use http::Reply;

/// Key of the tokens of every hub under test.
pub const JWT_KEY: &str = "a key of the tests, 32 bytes long";
/// Key of the sandbox channel of every hub under test.
pub const SANDBOX_KEY: &str = "a sandbox key of the tests";

/// A running `pilehub serve`. Killed when dropped.
#[derive(Debug)]
pub struct Hub {
    child: Child,
    /// Kept open: a process whose standard output is gone may not be able to write to it.
    stdout: BufReader<ChildStdout>,
    dir: Arc<TempDir>,
    settings: Vec<(String, String)>,
    pub http: SocketAddr,
    pub mqtt: SocketAddr,
    /// The TLS port, when the settings ask for one.
    pub mqtts: Option<SocketAddr>,
}

impl Hub {
    /// Starts a hub with the default settings.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a hub with settings like `("order.start_deadline_s", "2")`.
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::launch(Arc::new(tempfile::tempdir().unwrap()), settings, any, any)
    }

    /// Starts a hub with certificates of its own authority and a TLS port beside the plain one.
    pub fn start_with_tls() -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let made = pilehub().args(["cert", "init", "--data-dir"]).arg(dir.path()).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        let path = |name: &str| dir.path().join("tls").join(name).display().to_string();
        let settings = [
            ("mqtt.tls_listen", "127.0.0.1:0".to_owned()),
            ("mqtt.tls_cert", path("gate.pem")),
            ("mqtt.tls_key", path("gate.key")),
            ("mqtt.client_ca", path("ca.pem")),
            ("mqtt.revoked", path("revoked.txt")),
        ];
        let settings = settings.map(|(key, value)| (key.to_owned(), value)).to_vec();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::launch(dir, settings, any, any)
    }

    fn launch(dir: Arc<TempDir>, settings: Vec<(String, String)>, http: SocketAddr, mqtt: SocketAddr) -> Self {
        // A limit on the size of files shall look like a full disk and not end the process. The shell becomes the hub:
        // same process, and an ignored signal stays ignored.
        let mut command = Command::new("/bin/sh");
        command.env_clear().args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_pilehub")]);
        command.arg("serve").arg("--data-dir").arg(dir.path());
        command.env("PILEHUB__HTTP__LISTEN", http.to_string()).env("PILEHUB__MQTT__LISTEN", mqtt.to_string());
        command.env("PILEHUB__AUTH__JWT_KEY", JWT_KEY).env("PILEHUB__PAYMENT__SANDBOX_KEY", SANDBOX_KEY);
        for (key, value) in &settings {
            command.env(variable(key), value);
        }
        let log = std::fs::File::create(dir.path().join("hub.log")).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let where_it_is = next_line(&mut stdout, &dir);
        let find = |scheme: &str| where_it_is.split_whitespace().find_map(|word| word.strip_prefix(scheme));
        let address = |scheme: &str| -> SocketAddr {
            find(scheme).unwrap_or_else(|| panic!("no {scheme} in \"{where_it_is}\"")).parse().unwrap()
        };
        let (http, mqtt) = (address("http=http://"), address("mqtt=mqtt://"));
        let mqtts = find("mqtts=mqtts://").map(|text| text.parse().unwrap());
        assert_eq!(next_line(&mut stdout, &dir), "ready");
        let hub = Self { child, stdout, dir, settings, http, mqtt, mqtts };
        assert_eq!(hub.call("GET", "/readyz", &[], b"").status, 200);
        hub
    }

    /// `kill -9`: nothing is written any more.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// `kill -9`, then the same hub again: same directory, same ports, same settings.
    pub fn kill_and_restart(mut self) -> Self {
        self.kill();
        self.again()
    }

    /// `kill -9`, then the same hub on another directory: same ports, same settings.
    pub fn kill_and_restart_in(mut self, dir: TempDir) -> Self {
        self.kill();
        Self::launch(Arc::new(dir), self.settings.clone(), self.http, self.mqtt)
    }

    /// The same hub again after it ended: same directory, same ports, same settings.
    pub fn again(&self) -> Self {
        Self::launch(Arc::clone(&self.dir), self.settings.clone(), self.http, self.mqtt)
    }

    /// SIGTERM, and the exit code.
    pub fn terminate(&mut self) -> ExitStatus {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap()
    }

    /// SIGTERM; everything it wrote after `ready` on its standard output, and its whole log.
    pub fn last_words(&mut self) -> String {
        assert!(self.terminate().success(), "{}", self.log());
        let mut said = String::new();
        self.stdout.read_to_string(&mut said).unwrap();
        said + &self.log()
    }

    /// Waits for the end of a hub that ends by itself (a failpoint).
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Its data directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("hub.log")).unwrap()
    }

    /// Runs another command of the binary on the same directory and settings, beside this hub.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let mut command = pilehub();
        command.args(arguments).arg("--data-dir").arg(self.dir.path());
        command.env("PILEHUB__AUTH__JWT_KEY", JWT_KEY).output().unwrap()
    }

    /// A GET under `/api/v1`.
    pub fn get(&self, token: &str, path: &str) -> Reply {
        self.call("GET", &format!("/api/v1{path}"), &[("authorization", &bearer(token))], b"")
    }

    /// A POST under `/api/v1`. `Value::Null` sends an empty body.
    pub fn post(&self, token: &str, path: &str, body: &Value) -> Reply {
        self.send("POST", token, path, None, body)
    }

    /// A POST with an idempotency key.
    pub fn post_once(&self, token: &str, path: &str, key: &str, body: &Value) -> Reply {
        self.send("POST", token, path, Some(key), body)
    }

    /// A PUT under `/api/v1`.
    pub fn put(&self, token: &str, path: &str, body: &Value) -> Reply {
        self.send("PUT", token, path, None, body)
    }

    fn send(&self, method: &str, token: &str, path: &str, key: Option<&str>, body: &Value) -> Reply {
        let bearer = bearer(token);
        let mut headers = vec![("authorization", bearer.as_str()), ("content-type", "application/json")];
        headers.extend(key.map(|key| ("idempotency-key", key)));
        let bytes = if body.is_null() { Vec::new() } else { serde_json::to_vec(body).unwrap() };
        self.call(method, &format!("/api/v1{path}"), &headers, &bytes)
    }

    /// Any call.
    pub fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        http::call(self.http, method, path, headers, body)
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let told = format!("--- log of the hub ---\n{}\n", self.log());
            let _ = std::io::stderr().write_all(told.as_bytes());
        }
    }
}

/// The binary, without settings of the machine it runs on.
pub fn pilehub() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pilehub"));
    command.env_clear();
    command
}

/// `PILEHUB__SECTION__KEY` of `section.key`; a whole variable stays as it is.
pub fn variable(key: &str) -> String {
    if key.starts_with("PILEHUB_") || key == "CREDENTIALS_DIRECTORY" {
        return key.to_owned();
    }
    format!("PILEHUB__{}", key.to_uppercase().replace('.', "__"))
}

/// A token that holds for an hour.
pub fn token(role: &str, sub: &str) -> String {
    token_until(role, sub, jsonwebtoken::get_current_timestamp() + 3_600)
}

/// A token that ends at `exp`, in seconds since 1970.
pub fn token_until(role: &str, sub: &str, exp: u64) -> String {
    #[derive(Serialize)]
    struct Claims<'a> {
        sub: &'a str,
        role: &'a str,
        exp: u64,
    }
    let key = jsonwebtoken::EncodingKey::from_secret(JWT_KEY.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &Claims { sub, role, exp }, &key).unwrap()
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn next_line(stdout: &mut BufReader<ChildStdout>, dir: &TempDir) -> String {
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    if line.is_empty() {
        let log = std::fs::read_to_string(dir.path().join("hub.log")).unwrap_or_default();
        panic!("the hub ended instead of starting:\n{log}");
    }
    line.trim_end().to_owned()
}
