//! Whether a file can be written, as its writer last saw it.

use parking_lot::Mutex;

use crate::{metric, money::StoreError};

/// The state of one file; shared between its writer and everybody who asks.
#[derive(Debug)]
pub(super) struct Health {
    file: &'static str,
    reason: Mutex<Option<String>>,
}

impl Health {
    /// Of a file that has just been opened; `file` is the metrics label.
    pub(super) fn new(file: &'static str) -> Self {
        metrics::gauge!(metric::UP, "file" => file).set(1.0);
        Self { file, reason: Mutex::new(None) }
    }

    /// Of a file opened for reading: it never can be written.
    pub(super) fn read_only() -> Self {
        Self { file: "snapshot", reason: Mutex::new(Some("opened for reading only".to_owned())) }
    }

    /// As the port answers it.
    pub(super) fn get(&self) -> Result<(), StoreError> {
        self.reason().map_or(Ok(()), |reason| Err(StoreError::Unavailable(reason)))
    }

    /// Why it cannot be written, if so.
    pub(super) fn reason(&self) -> Option<String> {
        self.reason.lock().clone()
    }

    /// A write failed.
    pub(super) fn fail(&self, reason: &str) {
        let before = self.reason.lock().replace(reason.to_owned());
        metrics::gauge!(metric::UP, "file" => self.file).set(0.0);
        if before.is_none() {
            tracing::warn!(file = self.file, reason, "store cannot write");
        }
    }

    /// A write succeeded.
    pub(super) fn recover(&self) {
        if self.reason.lock().take().is_some() {
            metrics::gauge!(metric::UP, "file" => self.file).set(1.0);
            tracing::warn!(file = self.file, "store writes again");
        }
    }
}
