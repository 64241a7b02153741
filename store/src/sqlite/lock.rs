//! One process per data directory: a lock on a file that the kernel frees when the process ends, however it ends.

use std::{
    fs::{DirBuilder, File, TryLockError},
    path::Path,
};

use super::LOCK_FILE;
use crate::money::StoreError;

/// Holds the directory until dropped.
#[derive(Debug)]
pub(super) struct DirLock {
    _file: File,
}

impl DirLock {
    /// Takes the lock, or says who cannot have it.
    pub(super) fn take(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(LOCK_FILE);
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|e| StoreError::Unavailable(format!("{}: {e}", path.display())))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse(dir.display().to_string())),
            Err(TryLockError::Error(e)) => Err(StoreError::Unavailable(format!("{}: {e}", path.display()))),
        }
    }
}

/// Makes a directory when it is missing, readable by nobody else: it will hold money and verifiers.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub fn make_dir(dir: &Path) -> Result<(), StoreError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(dir).map_err(|e| StoreError::Unavailable(format!("{}: {e}", dir.display())))
}
