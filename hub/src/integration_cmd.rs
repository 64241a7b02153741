//! `pilehub integration`: accounts of other systems that read what the piles send. Asks the running hub over HTTP, as an
//! admin whose token is signed with the configured key.

use std::{
    fmt::Write as _,
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, anyhow};
use clap::Subcommand;
use domain::UserId;
use serde_json::{Value, json};

use crate::{
    cli::{Failure, print},
    config::Config,
    http::auth::{Role, Tokens},
    keys::Keys,
    limits::{ANSWER_LEN_MAX, HUB_WITHIN_S},
    token,
};

/// Who the audit trail says it was.
const WHO: &str = "pilehub integration";
/// How long the token of one call holds.
const TOKEN_FOR: Duration = Duration::from_secs(60);

/// What to do with the accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum IntegrationCommand {
    /// Make an account; prints its username and its secret, which is shown once.
    Add {
        /// Names the account: 1 to 32 of A-Z a-z 0-9 _ -.
        name: String,
        /// A station whose piles it reads; may be given again. `*`: every station, those to come too.
        #[arg(long = "station", value_name = "STATION", required = true)]
        stations: Vec<String>,
        /// What it reads: heartbeat, charging/status, charging/finished, command/ack, event or meter; may be given again.
        #[arg(long = "topic", value_name = "TOPIC", required = true)]
        topics: Vec<String>,
    },
    /// Print the accounts, what each reads, and how many connections it has.
    List,
    /// Remove an account; its connections are closed at once.
    Remove {
        /// The account.
        name: String,
    },
}

/// Asks the hub, and prints what it answers.
pub(crate) fn run(config: &Config, what: &IntegrationCommand) -> Result<(), Failure> {
    let hub = HubCall::new(config)?;
    match what {
        IntegrationCommand::Add { name, stations, topics } => {
            let new = json!({ "name": name, "stations": stations, "topics": topics });
            let made = hub.call("POST", "/integrations", &new)?;
            print(&format!("username {}\nsecret   {}\n", text(&made, "username"), text(&made, "secret")))
        }
        IntegrationCommand::List => print(&table(&hub.call("GET", "/integrations", &Value::Null)?)),
        IntegrationCommand::Remove { name } => {
            let escaped = name.bytes().fold(String::new(), |path, byte| {
                let plain = byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
                path + &if plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
            });
            hub.call("DELETE", &format!("/integrations/{escaped}"), &Value::Null)?;
            print(&format!("removed {name}\n"))
        }
    }
}

fn text(value: &Value, field: &str) -> String {
    value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn table(answer: &Value) -> String {
    let list = |one: &Value, field: &str| {
        let texts = one.get(field).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        texts.collect::<Vec<_>>().join(",")
    };
    let mut lines = String::new();
    for one in answer.get("items").and_then(Value::as_array).into_iter().flatten() {
        let connections = one.get("connections").and_then(Value::as_u64).unwrap_or_default();
        // Writing into memory does not fail.
        let _ = writeln!(
            lines,
            "{}  stations {}  topics {}  connections {connections}  since {}",
            text(one, "name"),
            list(one, "stations"),
            list(one, "topics"),
            text(one, "createdAt"),
        );
    }
    lines
}

/// Calls to the hub of this configuration.
struct HubCall {
    to: SocketAddr,
    token: String,
}

impl HubCall {
    fn new(config: &Config) -> Result<Self, anyhow::Error> {
        let listen = &config.http.listen;
        let mut to: SocketAddr = listen.parse().with_context(|| format!("http.listen = \"{listen}\""))?;
        // Who listens everywhere is found at home.
        match to.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => to.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => to.set_ip(Ipv6Addr::LOCALHOST.into()),
            IpAddr::V4(_) | IpAddr::V6(_) => {}
        }
        let tokens = Tokens::new(&Keys::open(config)?.jwt);
        let token = token::issue(&tokens, Role::Admin, UserId::parse(WHO)?, TOKEN_FOR)?;
        Ok(Self { to, token })
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value, anyhow::Error> {
        let answer = self.exchange(method, path, body).with_context(|| {
            format!(
                "no hub answers at {} (http.listen): start it with pilehub serve, on the same configuration",
                self.to
            )
        })?;
        let (head, body) = answer.split_once("\r\n\r\n").context("the hub's answer is no HTTP")?;
        let status: u16 = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let value: Value = serde_json::from_str(body)
            .with_context(|| format!("what answers at {} is no hub: {method} {path} gave {status}", self.to))?;
        if (200..300).contains(&status) {
            return Ok(value);
        }
        let told = ["title", "detail", "next"].map(|field| text(&value, field));
        let told: Vec<&str> = told.iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
        Err(anyhow!("the hub refuses: {status} {}: {}", text(&value, "code"), told.join("; ")))
    }

    /// One call on a connection of its own, HTTP/1.0: the answer ends with the connection.
    fn exchange(&self, method: &str, path: &str, body: &Value) -> Result<String, anyhow::Error> {
        let within = Duration::from_secs(HUB_WITHIN_S);
        let mut stream = TcpStream::connect_timeout(&self.to, within)?;
        stream.set_read_timeout(Some(within))?;
        stream.set_write_timeout(Some(within))?;
        let (token, body) = (&self.token, if body.is_null() { String::new() } else { body.to_string() });
        write!(
            stream,
            "{method} /api/v1{path} HTTP/1.0\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nAccept-Language: en\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.to,
            body.len()
        )?;
        let mut answer = String::new();
        stream.take(ANSWER_LEN_MAX).read_to_string(&mut answer)?;
        Ok(answer)
    }
}
