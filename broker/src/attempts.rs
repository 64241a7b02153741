//! What strangers and piles tried and must not do, for whoever keeps the audit trail and raises alarms. The counters
//! have all of it; here whoever does nothing else is cut short.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use domain::{IntegrationName, PileCode};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::{
    guard::bucket::{Bucket, Rate},
    limits::{ATTEMPTS_QUEUE_LEN_MAX, TOLD_BURST, TOLD_PER_S_MAX},
    names,
    uptime::Uptime,
};

/// Something a person should know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// A pile tried what it must not.
    Forbidden {
        /// Who tried.
        pile: PileCode,
        /// From where.
        peer: SocketAddr,
        /// `publish`, `subscribe`, `will`, `qos_2`.
        what: &'static str,
        /// On which topic or filter, its first 128 characters.
        topic: String,
    },
    /// An integration tried what it must not.
    Reader {
        /// Which.
        name: IntegrationName,
        /// From where.
        peer: SocketAddr,
        /// `publish`, `subscribe`.
        what: &'static str,
        /// On which topic or filter, its first 128 characters.
        topic: String,
    },
    /// A certificate was refused.
    Certificate {
        /// From where.
        peer: SocketAddr,
        /// `certificate_expired`, `certificate_not_yet_valid`, `certificate_revoked`, `certificate_foreign`,
        /// `certificate_bad`, `certificate_of_another` (its name is not the client id).
        why: &'static str,
    },
    /// Somebody guessed secrets.
    Banned {
        /// From where.
        from: IpAddr,
        /// At which code or account, the last one, its first 44 characters.
        pile: String,
        /// Whether the whole address is banned or this pile from there.
        whole_address: bool,
        /// How often.
        guesses: u32,
        /// For how long it is not listened to.
        lasts: Duration,
    },
    /// Two addresses take a pile's connection from each other.
    Clone {
        /// Whose.
        pile: PileCode,
        /// Whose connection was taken.
        first: SocketAddr,
        /// Who took it.
        second: SocketAddr,
    },
    /// More piles come at once than are let in; those beyond come again.
    Storm {
        /// Connections there are.
        connections: usize,
    },
    /// A pile comes and goes.
    Flapping {
        /// Which.
        pile: PileCode,
        /// From where.
        peer: SocketAddr,
    },
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Attempts {
    rows: Mutex<Bucket>,
    tell: mpsc::Sender<Attempt>,
    hear: Mutex<Option<mpsc::Receiver<Attempt>>>,
}

impl Attempts {
    pub(crate) fn new() -> Self {
        let (tell, hear) = mpsc::channel(ATTEMPTS_QUEUE_LEN_MAX);
        Self { rows: Mutex::default(), tell, hear: Mutex::new(Some(hear)) }
    }

    /// Tells of one; nobody is waited for. What a person must act on is always told, of the rest so many per second:
    /// nobody outside fills the audit trail.
    pub(crate) fn tell(&self, attempt: Attempt, now: Uptime) {
        let urgent = matches!(attempt, Attempt::Clone { .. } | Attempt::Flapping { .. } | Attempt::Storm { .. });
        let rate = Rate::per_second(TOLD_PER_S_MAX, TOLD_BURST);
        let told = urgent || (self.tell.capacity() > ATTEMPTS_QUEUE_LEN_MAX / 4 && self.rows.lock().take(rate, now));
        if !told {
            metrics::counter!(names::UNTOLD).increment(1);
            return;
        }
        if let Err(error) = self.tell.try_send(attempt) {
            tracing::debug!(%error, "nobody takes down what is tried");
        }
    }

    /// The other end, once.
    pub(crate) fn hear(&self) -> Option<mpsc::Receiver<Attempt>> {
        self.hear.lock().take()
    }
}
