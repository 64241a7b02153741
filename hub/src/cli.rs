//! The command line [CONTRACT 5] and the exit codes: 0 good, 1 failed, 2 usage, 78 refused configuration.

use std::{
    fmt,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Parser, Subcommand};

use crate::{
    audit_cmd, backup_cmd,
    cert_cmd::{self, CertCommand},
    config::{self, Config},
    demo, doctor,
    http::auth::Role,
    integration_cmd::{self, IntegrationCommand},
    keys::KeyError,
    pay::PayKeyError,
    receipt_cmd, serve, token,
};

/// A realtime hub for EV charging piles.
#[derive(Debug, Parser)]
#[command(name = "pilehub", version, about, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Where the configuration is.
#[derive(Debug, Clone, Args)]
pub(crate) struct Where {
    /// Configuration file (TOML); without one the built-in defaults hold.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Directory of the store and of generated keys; wins over `store.data_dir`.
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the hub until Ctrl-C or SIGTERM.
    Serve {
        #[command(flatten)]
        place: Where,
    },
    /// Run a hub with simulated piles and drivers, twenty times as fast as the clock.
    Demo {
        /// Where to keep the demo's data; a temporary directory when left out.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// Print a token for the HTTP calls, signed with the configured key.
    Token {
        #[command(flatten)]
        place: Where,
        /// What its bearer may do.
        #[arg(long, value_enum)]
        role: Role,
        /// Who its bearer is.
        #[arg(long, value_name = "NAME")]
        sub: String,
        /// How long it holds: a number with s, m, h or d.
        #[arg(long, value_name = "SPAN", default_value = "1h", value_parser = token::span)]
        ttl: Duration,
    },
    /// Check every money invariant on the store; works beside a running hub.
    Audit {
        #[command(flatten)]
        place: Where,
    },
    /// Write the store and the keys into one file; works beside a running hub. What is in it was audited.
    Backup {
        #[command(flatten)]
        place: Where,
        /// A file that is not there yet.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Make the data directory out of a backup that passes the audit; what was there before is moved aside.
    Restore {
        #[command(flatten)]
        place: Where,
        /// A backup.
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
    },
    /// Work a receipt out again, offline: hash, fees, segments, meter, entries.
    VerifyReceipt {
        /// The receipt as JSON, as `GET /orders/{no}/receipt` gives it.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Look for what would keep the hub from working, with remedies.
    Doctor {
        #[command(flatten)]
        place: Where,
    },
    /// Make and revoke certificates for the hub and for piles.
    Cert {
        #[command(flatten)]
        place: Where,
        #[command(subcommand)]
        what: CertCommand,
    },
    /// Accounts of other systems that read what the piles send; asks the running hub.
    Integration {
        #[command(flatten)]
        place: Where,
        #[command(subcommand)]
        what: IntegrationCommand,
    },
    /// Look at the configuration.
    Config {
        #[command(subcommand)]
        what: ConfigCommand,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the configuration in force, secrets masked.
    Show {
        #[command(flatten)]
        place: Where,
    },
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Exit code 1.
    Failed(anyhow::Error),
    /// Exit code 2.
    Usage(String),
    /// Exit code 78.
    Refused(String),
}

impl Failure {
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Refused(_) => 78,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => write!(f, "{error:#}"),
            Self::Usage(why) => f.write_str(why),
            Self::Refused(why) => write!(f, "the configuration is refused:\n{why}"),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        if let Some(of_setting) = error.downcast_ref::<PayKeyError>() {
            return Self::Refused(of_setting.to_string());
        }
        match error.downcast_ref::<KeyError>() {
            Some(of_setting) if of_setting.is_of_setting() => Self::Refused(of_setting.to_string()),
            Some(_) | None => Self::Failed(error),
        }
    }
}

/// Does what the command line says.
pub(crate) fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Serve { place } => serve::run(supported(load(&place)?)?),
        Command::Demo { data_dir } => demo::run(data_dir),
        Command::Token { place, role, sub, ttl } => token::run(&load(&place)?, role, &sub, ttl),
        Command::Audit { place } => audit_cmd::run(&supported(load(&place)?)?),
        Command::Backup { place, to } => backup_cmd::back_up(&supported(load(&place)?)?, &to),
        Command::Restore { place, from } => backup_cmd::restore(&supported(load(&place)?)?, &from),
        Command::VerifyReceipt { file } => receipt_cmd::run(&file),
        Command::Doctor { place } => doctor::run(&load(&place)?),
        Command::Cert { place, what } => cert_cmd::run(&what, Path::new(&load(&place)?.store.data_dir)),
        Command::Integration { place, what } => integration_cmd::run(&load(&place)?, &what),
        Command::Config { what: ConfigCommand::Show { place } } => print(&config::masked_toml(&load(&place)?)),
    }
}

/// Writes to the standard output; a reader that went away is no failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::Failed(error.into())),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn load(place: &Where) -> Result<Config, Failure> {
    // A variable that is no text cannot name a setting.
    let env = std::env::vars_os().filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)));
    config::load(place.config.as_deref(), env, place.data_dir.as_deref())
        .map_err(|error| Failure::Refused(error.to_string()))
}

/// What the configuration knows and this build does not have.
fn supported(config: Config) -> Result<Config, Failure> {
    if config.store.engine == "cql" {
        let missing = "store.engine = \"cql\": this build has the embedded engine only; use \"sqlite\"";
        return Err(Failure::Refused(missing.to_owned()));
    }
    Ok(config)
}
