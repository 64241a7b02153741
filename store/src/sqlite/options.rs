//! How the engine is opened.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use domain::{AckToken, Millis};

/// Called on the telemetry writer's thread after each commit with the tokens of what became durable, in the order in
/// which they were pushed. It may take them out; what it leaves is dropped. It must not block.
pub type OnStored = Box<dyn Fn(&mut Vec<AckToken>) + Send>;

/// How to open the embedded engine.
pub struct Options {
    /// See [`OnStored`].
    pub on_stored: OnStored,
    /// How long the telemetry writer lets a batch grow before it writes it. 5 ms measured best: longer saves nothing.
    pub flush_interval: Duration,
    /// How long telemetry is kept, by receive time; counted back from the newest sample.
    pub retention: Millis,
    /// After a failed write: how long to the next attempt.
    pub probe_interval: Duration,
    /// Largest size of `money.db`.
    pub money_pages: PageLimit,
    /// Largest size of `tlm.db`.
    pub telemetry_pages: PageLimit,
}

impl Options {
    /// The defaults, with a listener for durable frames.
    #[must_use]
    pub fn new(on_stored: OnStored) -> Self {
        Self {
            on_stored,
            flush_interval: Duration::from_millis(5),
            retention: Millis::from_secs(30 * 86_400),
            probe_interval: Duration::from_secs(1),
            money_pages: PageLimit::default(),
            telemetry_pages: PageLimit::default(),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("flush_interval", &self.flush_interval)
            .field("retention", &self.retention)
            .field("probe_interval", &self.probe_interval)
            .field("money_pages", &self.money_pages)
            .field("telemetry_pages", &self.telemetry_pages)
            .finish_non_exhaustive()
    }
}

/// Largest size of a file, in pages of 4 KiB; 0 = as large as the disk. At the limit a write fails as on a full disk.
///
/// A handle: a copy that is set after opening holds from the next time the file is opened, which after a failed write
/// happens by itself.
#[derive(Debug, Clone, Default)]
pub struct PageLimit(Arc<AtomicU32>);

impl PageLimit {
    /// A limit of so many pages.
    #[must_use]
    pub fn pages(pages: u32) -> Self {
        Self(Arc::new(AtomicU32::new(pages)))
    }

    /// Changes the limit of every copy.
    pub fn set(&self, pages: u32) {
        self.0.store(pages, Ordering::SeqCst);
    }

    /// The limit, if there is one.
    pub(super) fn get(&self) -> Option<u32> {
        Some(self.0.load(Ordering::SeqCst)).filter(|pages| *pages > 0)
    }
}
