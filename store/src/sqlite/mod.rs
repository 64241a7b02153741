//! The embedded engine: SQLite, two files, one writer thread each.
//!
//! - `money.db`: orders, accounts, registry and all that is written with them; every answer is on the disk
//!   (`synchronous=FULL`), many commits share one disk write.
//! - `tlm.db`: telemetry and quarantine; append-only log, sealed into chunks per pile behind it.
//! - `store.lock`: held by the process that writes.
//!
//! Knows nothing of what the facts mean: it checks the conditions of the ports and nothing else.

mod backup;
mod connection;
mod health;
mod lock;
mod money;
mod names;
mod options;
mod readers;
mod snapshot;
mod telemetry;

use std::{path::Path, sync::Arc};

pub use backup::{Claim, CopyError, copy, is_of_the_engine, private, synced};
pub use lock::make_dir;
pub use options::{OnStored, Options, PageLimit};
pub use snapshot::{Snapshot, open_read_only};

use crate::{
    audit::Audit,
    money::{Money, StoreError},
    telemetry::Telemetry,
};

/// File with money, orders and the registry, inside the data directory.
pub const MONEY_FILE: &str = "money.db";
/// File with telemetry and quarantine, inside the data directory.
pub const TELEMETRY_FILE: &str = "tlm.db";
/// Lock file, inside the data directory.
pub const LOCK_FILE: &str = "store.lock";

/// An open store. Closed by [`SqliteStore::close`], or when the last handle to it goes.
#[derive(Debug)]
pub struct SqliteStore {
    money: Arc<money::SqliteMoney>,
    telemetry: Arc<telemetry::SqliteTelemetry>,
}

/// Opens, or creates, the store in a directory and starts its two writer threads. Blocks: reads the telemetry log.
///
/// # Errors
/// [`StoreError::InUse`] when another process has the directory, [`StoreError::Newer`] when a later release wrote it,
/// [`StoreError::Corrupt`] or [`StoreError::Unavailable`] when it cannot be read.
pub fn open(dir: &Path, options: Options) -> Result<SqliteStore, StoreError> {
    make_dir(dir)?;
    let lock = Arc::new(lock::DirLock::take(dir)?);
    backup::check_settled(dir)?;
    let Options { on_stored, flush_interval, retention, probe_interval, money_pages, telemetry_pages } = options;
    let money = money::SqliteMoney::open(
        &dir.join(MONEY_FILE),
        money::Settings { pages: money_pages, probe_interval },
        Arc::clone(&lock),
    )?;
    let telemetry = telemetry::SqliteTelemetry::open(
        &dir.join(TELEMETRY_FILE),
        telemetry::Settings { flush_interval, retention, retry_interval: probe_interval, pages: telemetry_pages },
        on_stored,
        lock,
    )?;
    tracing::info!(dir = %dir.display(), "store open");
    Ok(SqliteStore { money: Arc::new(money), telemetry: Arc::new(telemetry) })
}

impl SqliteStore {
    /// Orders, accounts, registry.
    #[must_use]
    pub fn money(&self) -> Arc<dyn Money> {
        let money: Arc<money::SqliteMoney> = Arc::clone(&self.money);
        money
    }

    /// Measurements and quarantine.
    #[must_use]
    pub fn telemetry(&self) -> Arc<dyn Telemetry> {
        let telemetry: Arc<telemetry::SqliteTelemetry> = Arc::clone(&self.telemetry);
        telemetry
    }

    /// What an audit reads; not one snapshot while commits go on, see [`open_read_only`].
    #[must_use]
    pub fn audit(&self) -> Arc<dyn Audit> {
        let audit: Arc<money::SqliteMoney> = Arc::clone(&self.money);
        audit
    }

    /// Writes what is queued, stops both writers and closes their files. Blocks for a few disk writes. Later commits
    /// answer `Unavailable`, later pushes are refused. Doing it twice does nothing.
    pub fn close(&self) {
        self.telemetry.close();
        self.money.close();
    }
}
