//! Copies of a store that a hub may go on writing, and the data directory that is made out of one.
//!
//! Each file is copied as of one moment, money first: telemetry that is newer than its orders does no harm, a charge
//! without the readings it was priced by would.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use domain::Timestamp;
use rusqlite::{Connection, OpenFlags, backup::Backup};

use super::{
    LOCK_FILE, MONEY_FILE, TELEMETRY_FILE,
    connection::broken,
    lock::{DirLock, make_dir},
};
use crate::money::StoreError;

/// In the order in which they are copied.
const FILES: [&str; 2] = [MONEY_FILE, TELEMETRY_FILE];
/// Inside the new directory: what the copy consists of, until all of it is there.
const UNFINISHED: &str = "unfinished";
/// There while it is put in its place. No store is opened beside it.
const SETTLING: &str = "restoring";
/// How the directories begin that hold what a copy replaced; the time follows.
const REPLACED: &str = "replaced-";

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// Nothing is there to be copied.
    #[error("{} holds no store: name the data directory of a hub", .0.display())]
    NoStore(PathBuf),
    /// A file that cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A database that cannot be read or written.
    #[error("{}: {error}", path.display())]
    Database {
        /// Which one.
        path: PathBuf,
        /// Why.
        error: StoreError,
    },
}

/// Copies the databases of a data directory into another directory, each as of one moment; answers their names. A hub may
/// go on writing them.
///
/// # Errors
/// [`CopyError`].
pub fn copy(from: &Path, to: &Path) -> Result<Vec<&'static str>, CopyError> {
    if !from.join(MONEY_FILE).is_file() {
        return Err(CopyError::NoStore(from.to_owned()));
    }
    let names: Vec<_> = FILES.into_iter().filter(|name| from.join(name).is_file()).collect();
    names.iter().try_for_each(|name| database(&from.join(name), &to.join(name)))?;
    Ok(names)
}

/// Whether a name in a data directory belongs to the engine, and so to no copy as it is: a database, its log, the lock,
/// what a restore left.
#[must_use]
pub fn is_of_the_engine(name: &str) -> bool {
    FILES.into_iter().any(|file| name.starts_with(file)) || stays(name)
}

/// What stays where it is while everything else is replaced.
fn stays(name: &str) -> bool {
    [LOCK_FILE, UNFINISHED, SETTLING].contains(&name) || name.starts_with(REPLACED)
}

/// A data directory that no hub runs on, while it is made out of a copy.
#[derive(Debug)]
pub struct Claim {
    dir: PathBuf,
    _lock: DirLock,
}

impl Claim {
    /// Makes the directory when it is missing, and keeps hubs from it.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when a hub runs on it.
    pub fn take(dir: &Path) -> Result<Self, StoreError> {
        make_dir(dir)?;
        Ok(Self { dir: dir.to_owned(), _lock: DirLock::take(dir)? })
    }

    /// An empty directory inside it, for what the copy consists of.
    ///
    /// # Errors
    /// [`CopyError::File`].
    pub fn unfinished(&self) -> Result<PathBuf, CopyError> {
        let part = self.dir.join(UNFINISHED);
        if part.symlink_metadata().is_ok() {
            fs::remove_dir_all(&part).map_err(of_file(&part))?;
        }
        make_dir(&part).map_err(of_store(&part))?;
        Ok(part)
    }

    /// Makes the data directory out of what is in [`Claim::unfinished`], the money last. What was there before is moved
    /// into a directory inside it that is named after the time; answers where it is.
    ///
    /// # Errors
    /// [`CopyError::File`]; the directory is no store then.
    pub fn settle(self, now: Timestamp) -> Result<Option<PathBuf>, CopyError> {
        let (dir, part) = (&self.dir, self.dir.join(UNFINISHED));
        let aside = dir.join(format!("{REPLACED}{}", now.as_millis()));
        let settling = dir.join(SETTLING);
        make_dir(&settling).map_err(of_store(&settling))?;
        synced(dir)?;
        let before: Vec<OsString> = names(dir)?.into_iter().filter(|name| !stays(&name.to_string_lossy())).collect();
        if !before.is_empty() {
            make_dir(&aside).map_err(of_store(&aside))?;
            moved(before.iter(), dir, &aside)?;
        }
        let (money, others): (Vec<_>, Vec<_>) = names(&part)?.into_iter().partition(|name| *name == MONEY_FILE);
        moved(others.iter(), &part, dir)?;
        moved(money.iter(), &part, dir)?;
        for done in [&part, &settling] {
            fs::remove_dir(done).map_err(of_file(done))?;
        }
        synced(dir)?;
        Ok((!before.is_empty()).then_some(aside))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Of a copy that came to nothing; as a rule it is gone.
        let _ = fs::remove_dir_all(self.dir.join(UNFINISHED));
    }
}

/// Refuses a directory in which a restore was cut off: without its money it would look like a new one.
pub(super) fn check_settled(dir: &Path) -> Result<(), StoreError> {
    let settling = dir.join(SETTLING);
    if settling.symlink_metadata().is_err() {
        return Ok(());
    }
    let why = "a restore was cut off while it put the files in their place: restore again";
    Err(StoreError::Corrupt(format!("{}: {why}", settling.display())))
}

fn names(dir: &Path) -> Result<Vec<OsString>, CopyError> {
    let entries = fs::read_dir(dir).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(of_file(dir))?;
    Ok(entries.iter().map(fs::DirEntry::file_name).collect())
}

/// Moves entries; they are at their new place on the disk before anything that follows.
fn moved<'a>(mut names: impl Iterator<Item = &'a OsString>, from: &Path, to: &Path) -> Result<(), CopyError> {
    names.try_for_each(|name| fs::rename(from.join(name), to.join(name)).map_err(of_file(&to.join(name))))?;
    synced(to)?;
    synced(from)
}

/// One moment of a database; read back once, page by page.
fn database(from: &Path, to: &Path) -> Result<(), CopyError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(from, flags).map_err(of_database(from))?;
    drop(private(to)?);
    let mut target = Connection::open(to).map_err(of_database(to))?;
    // In one step: between two, the hub could write and the copy would begin anew.
    Backup::new(&source, &mut target).and_then(|backup| backup.step(-1)).map_err(of_database(to))?;
    let found: String = target.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(of_database(to))?;
    if found != "ok" {
        return Err(CopyError::Database { path: to.to_owned(), error: StoreError::Corrupt(found) });
    }
    target.close().map_err(|(_, error)| of_database(to)(error))?;
    synced(to)
}

/// Makes a new file that nobody else may read.
///
/// # Errors
/// [`CopyError::File`], also when it is there already.
pub fn private(path: &Path) -> Result<File, CopyError> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path).map_err(of_file(path))
}

/// Waits until a file, or the names in a directory, are on the disk.
///
/// # Errors
/// [`CopyError::File`].
pub fn synced(path: &Path) -> Result<(), CopyError> {
    let synced = File::open(path).and_then(|file| file.sync_all());
    synced.map_err(of_file(path))
}

fn of_file(path: &Path) -> impl Fn(io::Error) -> CopyError + use<> {
    let path = path.to_owned();
    move |error| CopyError::File { path: path.clone(), error }
}

fn of_store(path: &Path) -> impl Fn(StoreError) -> CopyError + use<> {
    let path = path.to_owned();
    move |error| CopyError::Database { path: path.clone(), error }
}

fn of_database(path: &Path) -> impl Fn(rusqlite::Error) -> CopyError + use<> {
    let of = of_store(path);
    move |error| of(broken(error))
}
