//! `pilehub cert`: a small certificate authority for a first installation, in files.
//!
//! ```text
//! tls/ca.pem, ca.key      the authority; its key may be kept elsewhere between two uses
//! tls/gate.pem, gate.key  the hub's own certificate
//! tls/piles/P0001.pem …   one per pile
//! tls/issued.csv          every certificate that was made
//! tls/revoked.txt         serial numbers that no longer count; a running hub reads it again
//! ```

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use broker::authority::{Authority, Issued, Validity, name_and_serial};
use clap::Subcommand;
use domain::{Clock, Millis, PileCode, Timestamp};

use crate::{
    cli::{Failure, print},
    clock::SystemClock,
    token,
};

/// How long the authority is good.
const AUTHORITY_DAYS: i64 = 3_650;
/// A certificate is good from a little before now on: clocks of chargers are often behind.
const BEFORE: Millis = Millis::from_secs(86_400);
const DAY_S: i64 = 86_400;

/// What to do with certificates.
#[derive(Debug, Subcommand)]
pub(crate) enum CertCommand {
    /// Make an authority (once) and a certificate for the hub; print the configuration that uses them.
    Init {
        /// A name or address under which chargers reach the hub; may be given again.
        #[arg(long, value_name = "HOST", default_values_t = ["localhost".to_owned(), "127.0.0.1".to_owned()])]
        host: Vec<String>,
        /// How long the hub's certificate is good.
        #[arg(long, value_name = "SPAN", default_value = "366d", value_parser = token::span)]
        ttl: Duration,
    },
    /// Make a certificate for a pile; print where it is.
    Issue {
        /// The pile's code.
        pile: String,
        /// How long it is good.
        #[arg(long, value_name = "SPAN", default_value = "366d", value_parser = token::span)]
        ttl: Duration,
    },
    /// Revoke certificates: of a pile (all of them), or one by its serial number or file.
    Revoke {
        /// A pile's code, a serial number in hexadecimal, or a certificate's file.
        what: String,
    },
}

/// Does it, in the directory `tls` of the data directory.
pub(crate) fn run(command: &CertCommand, data_dir: &Path) -> Result<(), Failure> {
    let shop = Shop { dir: data_dir.join("tls"), now: SystemClock::default().now() };
    match command {
        CertCommand::Init { host, ttl } => print(&shop.init(host, *ttl)?),
        CertCommand::Issue { pile, ttl } => print(&shop.issue(pile, *ttl)?),
        CertCommand::Revoke { what } => print(&shop.revoke(what)?),
    }
}

struct Shop {
    dir: PathBuf,
    now: Timestamp,
}

impl Shop {
    fn init(&self, hosts: &[String], ttl: Duration) -> Result<String, Failure> {
        let authority = match self.authority() {
            Ok(authority) => authority,
            Err(_) if !self.path("ca.pem").exists() => {
                let validity = self.validity(Millis::from_secs(AUTHORITY_DAYS * DAY_S));
                let (authority, kept) = Authority::create("PileHub CA", validity).map_err(failed)?;
                self.write_pair("ca", &kept)?;
                authority
            }
            Err(unusable) => return Err(unusable),
        };
        let issued = authority.issue_gate(hosts, self.validity(span(ttl))).map_err(failed)?;
        self.write_pair("gate", &issued)?;
        self.note(&issued, hosts.first().map_or("", String::as_str))?;
        let path = |name: &str| fs::canonicalize(&self.dir).unwrap_or_else(|_| self.dir.clone()).join(name);
        let line = |key: &str, name: &str| format!("{key} = \"{}\"\n", path(name).display());
        Ok(format!(
            "# The hub's certificate is good for {}.\n[mqtt]\ntls_listen = \"0.0.0.0:8883\"\n{}{}{}{}",
            hosts.join(", "),
            line("tls_cert", "gate.pem"),
            line("tls_key", "gate.key"),
            line("client_ca", "ca.pem"),
            line("revoked", "revoked.txt"),
        ))
    }

    fn issue(&self, pile: &str, ttl: Duration) -> Result<String, Failure> {
        let code = PileCode::parse(pile).map_err(|bad| Failure::Usage(format!("\"{pile}\": {bad}")))?;
        let issued = self.authority()?.issue_pile(&code, self.validity(span(ttl))).map_err(failed)?;
        self.write_pair(&format!("piles/{code}"), &issued)?;
        self.note(&issued, code.as_str())?;
        let path = self.path(&format!("piles/{code}.pem"));
        Ok(format!(
            "{} and {}: serial number {}\n",
            path.display(),
            path.with_extension("key").display(),
            issued.serial
        ))
    }

    fn revoke(&self, what: &str) -> Result<String, Failure> {
        let issued = read(&self.path("issued.csv"))?;
        let of_pile: Vec<String> = issued
            .lines()
            .filter_map(|line| line.split_once(','))
            .filter(|(_, rest)| rest.split(',').next() == Some(what))
            .map(|(serial, _)| serial.to_owned())
            .collect();
        let is_serial = !what.is_empty() && what.bytes().all(|b| b.is_ascii_hexdigit() || b == b':');
        let serials = if !of_pile.is_empty() {
            of_pile
        } else if Path::new(what).is_file() {
            vec![name_and_serial(&read(Path::new(what))?).map_err(failed)?.1]
        } else if is_serial {
            vec![what.to_owned()]
        } else {
            let why = format!("\"{what}\" is neither a pile with a certificate, nor a serial number, nor a file");
            return Err(Failure::Usage(why));
        };
        let lines: String = serials.iter().map(|serial| format!("{serial}  # {what}, {}\n", self.now)).collect();
        self.append("revoked.txt", &lines)?;
        Ok(format!("revoked {} of {what}; a hub that runs closes their connections within seconds\n", serials.len()))
    }

    fn authority(&self) -> Result<Authority, Failure> {
        let pem = |name: &str| {
            let path = self.path(name);
            fs::read_to_string(&path).map_err(|error| {
                let remedy = "make an authority with `pilehub cert init`, or put its key back";
                Failure::Failed(anyhow::anyhow!("cannot read {}: {error}; {remedy}", path.display()))
            })
        };
        Authority::open(&pem("ca.pem")?, &pem("ca.key")?).map_err(failed)
    }

    fn validity(&self, lasts: Millis) -> Validity {
        Validity { from: self.now.plus(Millis(-BEFORE.0)), until: self.now.plus(lasts) }
    }

    /// Replaces both files: a hub that reads them in between goes on with what it had.
    fn write_pair(&self, name: &str, issued: &Issued) -> Result<(), Failure> {
        for (extension, text, mode) in [("key", &issued.key_pem, 0o600), ("pem", &issued.cert_pem, 0o644)] {
            let path = self.path(&format!("{name}.{extension}"));
            replace(&path, text, mode).map_err(|error| file_failed(&path, &error))?;
        }
        Ok(())
    }

    fn note(&self, issued: &Issued, name: &str) -> Result<(), Failure> {
        self.append("issued.csv", &format!("{},{name},{}\n", issued.serial, self.now))
    }

    fn append(&self, name: &str, text: &str) -> Result<(), Failure> {
        let path = self.path(name);
        let appended = OpenOptions::new().create(true).append(true).open(&path).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        appended.map_err(|error| file_failed(&path, &error))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

fn replace(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let draft = path.with_extension("draft");
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(mode).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(draft, path)
}

fn read(path: &Path) -> Result<String, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(file_failed(path, &error)),
    }
}

fn span(ttl: Duration) -> Millis {
    Millis(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX))
}

fn file_failed(path: &Path, error: &io::Error) -> Failure {
    Failure::Failed(anyhow::anyhow!("cannot use {}: {error}; check that the data directory is yours", path.display()))
}

fn failed(error: impl Into<anyhow::Error>) -> Failure {
    Failure::Failed(error.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const YEAR: Duration = Duration::from_secs(366 * 86_400);

    fn shop(dir: &Path) -> Shop {
        Shop { dir: dir.join("tls"), now: Timestamp::from_millis(1_763_690_000_000).unwrap() }
    }

    #[test]
    fn the_authority_is_made_once_and_the_hubs_certificate_again() {
        let dir = tempfile::tempdir().unwrap();
        let shop = shop(dir.path());
        let printed = shop.init(&["hub.example".to_owned()], YEAR).unwrap();
        let of = |name: &str| fs::read_to_string(shop.path(name)).unwrap();
        let (authority, gate) = (of("ca.pem"), of("gate.pem"));
        shop.init(&["hub.example".to_owned()], YEAR).unwrap();
        assert_eq!(of("ca.pem"), authority);
        assert_ne!(of("gate.pem"), gate);
        let config: toml::Table = printed.parse().unwrap();
        assert!(Path::new(config["mqtt"]["tls_cert"].as_str().unwrap()).is_file(), "{printed}");
        for key in ["ca.key", "gate.key"] {
            assert_eq!(fs::metadata(shop.path(key)).unwrap().permissions().mode() & 0o777, 0o600, "{key}");
        }
    }

    #[test]
    fn a_piles_certificates_are_revoked_by_its_code_a_serial_number_or_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let shop = shop(dir.path());
        assert!(shop.issue("P0001", YEAR).is_err(), "without an authority");
        shop.init(&["localhost".to_owned()], YEAR).unwrap();
        for _ in 0..2 {
            shop.issue("P0001", YEAR).unwrap();
        }
        assert!(shop.revoke("P0001").unwrap().starts_with("revoked 2 "));
        shop.issue("P0002", YEAR).unwrap();
        assert!(shop.revoke(&shop.path("piles/P0002.pem").display().to_string()).unwrap().starts_with("revoked 1 "));
        assert!(shop.revoke("0a:bc").unwrap().starts_with("revoked 1 "));
        assert_eq!(fs::read_to_string(shop.path("revoked.txt")).unwrap().lines().count(), 4);
        assert!(matches!(shop.revoke("P0003"), Err(Failure::Usage(_))));
        assert!(matches!(shop.issue("P/1", YEAR), Err(Failure::Usage(_))));
    }
}
