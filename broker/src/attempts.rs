//! What piles tried and must not do [CONTRACT 1], for whoever keeps the audit trail. The counter and the log have all
//! of it; here a pile that does nothing else is cut short.

use std::net::SocketAddr;

use domain::PileCode;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::limits::ATTEMPTS_QUEUE_LEN_MAX;

/// A publish or a subscribe on a topic that is not the pile's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Who tried.
    pub pile: PileCode,
    /// From where.
    pub peer: SocketAddr,
    /// `publish` or `subscribe`.
    pub what: &'static str,
    /// On which topic or filter, its first 128 characters.
    pub topic: String,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Attempts {
    tell: mpsc::Sender<Attempt>,
    hear: Mutex<Option<mpsc::Receiver<Attempt>>>,
}

impl Attempts {
    pub(crate) fn new() -> Self {
        let (tell, hear) = mpsc::channel(ATTEMPTS_QUEUE_LEN_MAX);
        Self { tell, hear: Mutex::new(Some(hear)) }
    }

    /// Tells of one; nobody is waited for.
    pub(crate) fn tell(&self, attempt: Attempt) {
        if let Err(error) = self.tell.try_send(attempt) {
            tracing::debug!(%error, "nobody takes down what piles try");
        }
    }

    /// The other end, once.
    pub(crate) fn hear(&self) -> Option<mpsc::Receiver<Attempt>> {
        self.hear.lock().take()
    }
}
