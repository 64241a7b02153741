//! `pilehub doctor`: what would keep the hub from working, each with what to do.

use std::{fmt, fs, io, net::TcpListener, path::Path};

use broker::Tls;
use domain::{Clock, Millis, Timestamp};
use store::{money::StoreError, sqlite};

use crate::{
    cli::{Failure, print},
    clock::SystemClock,
    config::{self, Config},
    keys,
    serve::tls_files,
};

/// A wall clock before this is not set: 2025-01-01.
const CLOCK_MIN_MS: i64 = 1_735_689_600_000;
/// A certificate that ends sooner should be renewed.
const CERTIFICATE_LEFT_MIN: Millis = Millis::from_secs(30 * 86_400);
/// File descriptors beside those of connections: databases, listeners, logs.
const DESCRIPTORS_SPARE: u64 = 256;

/// One thing that was looked at.
#[derive(Debug)]
struct Finding {
    what: String,
    /// What to do; `None`: all is well.
    remedy: Option<String>,
    /// The hub works nevertheless.
    minor: bool,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.remedy {
            None => writeln!(f, "ok    {}", self.what),
            Some(remedy) if self.minor => writeln!(f, "warn  {}\n      → {remedy}", self.what),
            Some(remedy) => writeln!(f, "FAIL  {}\n      → {remedy}", self.what),
        }
    }
}

/// Prints the findings; fails when one of them did.
pub(crate) fn run(config: &Config) -> Result<(), Failure> {
    let findings = [
        good("the configuration is in order"),
        engine(config),
        master_key(config),
        data_dir(Path::new(&config.store.data_dir)),
        store(Path::new(&config.store.data_dir)),
        port("http.listen", &config.http.listen),
        port("mqtt.listen", &config.mqtt.listen),
        port("mqtt.tls_listen", &config.mqtt.tls_listen),
        certificates(&config.mqtt, SystemClock::default().now()),
        clock(),
        descriptors(config),
    ];
    print(&findings.iter().map(ToString::to_string).collect::<String>())?;
    match findings.iter().filter(|finding| finding.remedy.is_some() && !finding.minor).count() {
        0 => Ok(()),
        n => Err(anyhow::anyhow!("{n} of {} checks failed", findings.len()).into()),
    }
}

fn good(what: impl Into<String>) -> Finding {
    Finding { what: what.into(), remedy: None, minor: false }
}

fn bad(what: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { what: what.into(), remedy: Some(remedy.into()), minor: false }
}

fn engine(config: &Config) -> Finding {
    match config.store.engine.as_str() {
        "cql" => bad("store.engine is \"cql\"", "this build has the embedded engine only: use \"sqlite\""),
        _ => good("the store is the embedded engine"),
    }
}

fn master_key(config: &Config) -> Finding {
    match keys::given_master(config) {
        Ok(Some(_)) => good("the given master key can be read"),
        Ok(None) => good("the master key is the one in the data directory; a backup must have it"),
        Err(error) => bad(error.to_string(), "give the file to the user that runs the hub"),
    }
}

/// Whether files can be made there; the directory is made when it is missing, as the hub would.
fn data_dir(dir: &Path) -> Finding {
    let probe = dir.join(format!(".doctor.{}", std::process::id()));
    let tried =
        fs::create_dir_all(dir).and_then(|()| fs::write(&probe, b"probe")).and_then(|()| fs::remove_file(&probe));
    match tried {
        Ok(()) => good(format!("the data directory {} is writable", dir.display())),
        Err(error) => bad(
            format!("the data directory {} cannot be written: {error}", dir.display()),
            "give it to the user that runs the hub, free some space, or choose another with --data-dir",
        ),
    }
}

fn store(dir: &Path) -> Finding {
    if !dir.join(sqlite::MONEY_FILE).exists() {
        return good("there is no store yet; the hub makes one");
    }
    match sqlite::open_read_only(dir) {
        Ok(_) => good("the store can be read by this release"),
        Err(error @ StoreError::Newer { .. }) => bad(error.to_string(), "use the later release again"),
        Err(error) => bad(error.to_string(), "restore a backup of the data directory"),
    }
}

fn port(key: &str, address: &str) -> Finding {
    if address.is_empty() {
        return good(format!("{key} is off"));
    }
    match TcpListener::bind(address) {
        Ok(_) => good(format!("{key} = {address} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => bad(
            format!("{key} = {address} is taken"),
            "fine when this hub is running; else stop the other process (ss -ltnp) or set another address",
        ),
        Err(error) => bad(format!("{key} = {address}: {error}"), "set an address of this machine"),
    }
}

/// Whether the TLS door could open, and for how long.
fn certificates(mqtt: &config::Mqtt, now: Timestamp) -> Finding {
    if mqtt.tls_listen.is_empty() {
        return good("no certificates are needed: mqtt.tls_listen is off");
    }
    let ends = match Tls::open(tls_files(mqtt)) {
        Ok(tls) => Timestamp::from_millis_clamped(tls.ends().saturating_mul(1_000)),
        Err(error) => return bad(error.to_string(), "`pilehub cert init` makes certificates for a first installation"),
    };
    let left = ends.since(now);
    let finding =
        bad(format!("{} ends at {ends}", mqtt.tls_cert), "make or get a new one; a running hub reads it again");
    match left {
        left if left.0 <= 0 => finding,
        left if left < CERTIFICATE_LEFT_MIN => Finding { minor: true, ..finding },
        _ => good(format!("the certificates can be used until {ends}")),
    }
}

fn clock() -> Finding {
    let now = SystemClock::default().now();
    if now.as_millis() < CLOCK_MIN_MS {
        return bad(format!("the clock says {now}"), "set the clock; bills and tokens are dated by it");
    }
    good(format!("the clock says {now}"))
}

/// Every connection is a file descriptor.
fn descriptors(config: &Config) -> Finding {
    let limits = &config.limits;
    let handshakes = if config.mqtt.tls_listen.is_empty() { 0 } else { limits.mqtt_handshakes_max };
    let sockets = [limits.mqtt_connections_max, handshakes, limits.http_connections_max];
    let wanted = sockets.map(u64::from).iter().sum::<u64>() + DESCRIPTORS_SPARE;
    let Some(allowed) = fs::read_to_string("/proc/self/limits").ok().and_then(|text| open_files(&text)) else {
        return good("the limit of open files is not known on this system");
    };
    if allowed >= wanted {
        return good(format!("{allowed} open files are allowed, {wanted} wanted at most"));
    }
    let remedy =
        "raise it (ulimit -n, LimitNOFILE=), or lower limits.mqtt_connections_max and limits.http_connections_max";
    let what = format!("{allowed} open files are allowed, {wanted} wanted when every limit is reached");
    Finding { minor: true, ..bad(what, remedy) }
}

/// The soft limit, as Linux shows it.
fn open_files(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_and_a_closed_directory_come_with_a_remedy() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        assert!(port("http.listen", &address).remedy.is_some());
        drop(taken);
        assert!(port("http.listen", &address).remedy.is_none());
        assert!(data_dir(Path::new("/proc/nowhere")).remedy.is_some());
    }

    #[test]
    fn the_limit_of_open_files_is_read() {
        let limits = "Limit   Soft Limit  Hard Limit  Units\nMax open files            1024                 524288               files\n";
        assert_eq!(open_files(limits), Some(1024));
        assert_eq!(open_files("nothing"), None);
    }
}
