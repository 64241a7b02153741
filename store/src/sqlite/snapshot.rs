//! A store opened beside the process that writes it: reads one moment of `money.db`, changes nothing, takes no lock.

use std::{path::Path, sync::Arc};

use super::{MONEY_FILE, money::SqliteMoney};
use crate::{
    audit::Audit,
    money::{Money, StoreError},
};

/// One moment of the money file. Commits answer `Unavailable`.
#[derive(Debug)]
pub struct Snapshot {
    money: Arc<SqliteMoney>,
}

/// Opens a directory for reading, whether or not a hub runs on it. All reads see the moment of opening; while it is
/// open the hub's write-ahead log cannot be cut, so do not keep it for long.
///
/// # Errors
/// When there is no store, or it is damaged or of a later release.
pub fn open_read_only(dir: &Path) -> Result<Snapshot, StoreError> {
    Ok(Snapshot { money: Arc::new(SqliteMoney::open_snapshot(&dir.join(MONEY_FILE))?) })
}

impl Snapshot {
    /// Orders, accounts, registry.
    #[must_use]
    pub fn money(&self) -> Arc<dyn Money> {
        let money: Arc<SqliteMoney> = Arc::clone(&self.money);
        money
    }

    /// What an audit reads.
    #[must_use]
    pub fn audit(&self) -> Arc<dyn Audit> {
        let audit: Arc<SqliteMoney> = Arc::clone(&self.money);
        audit
    }
}
