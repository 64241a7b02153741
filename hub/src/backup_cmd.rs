//! `pilehub backup` and `pilehub restore`. A backup is one tar file: the databases, each as of one moment and audited, then
//! whatever else is in the data directory (keys, certificates), then `SHA256SUMS` over all of it. `tar` and `sha256sum -c`
//! read it too.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use domain::Clock;
use sha2::{Digest, Sha256};
use store::sqlite::{self, Claim};
use tar::{Archive, Builder, EntryType, Header};

use crate::{
    audit_cmd,
    cli::{Failure, print},
    clock::SystemClock,
    config::Config,
    ids::hex,
    limits::{BACKUP_FILES_MAX, BACKUP_SUMS_BYTES_MAX},
};

/// The last file of a backup.
const SUMS: &str = "SHA256SUMS";
/// Beside a backup, until it is complete.
const UNFINISHED: &str = "part";

/// Writes a backup, beside a hub or not.
pub(crate) fn back_up(config: &Config, to: &Path) -> Result<(), Failure> {
    let from = Path::new(&config.store.data_dir);
    if to.symlink_metadata().is_ok() {
        return Err(anyhow::anyhow!("{} is there already: name a file that is not", to.display()).into());
    }
    let staging = beside(to, "databases");
    let result = pack(from, &staging, to);
    // Whatever happened, the copies are of no more use.
    let removed = clear(&staging);
    result?;
    removed.with_context(|| staging.display().to_string())?;
    print(&format!("{} is complete. It holds the keys of the hub: keep it as safe as they are.\n", to.display()))
}

fn pack(from: &Path, staging: &Path, to: &Path) -> Result<(), Failure> {
    let part = beside(to, UNFINISHED);
    // Left by a backup that was cut off, or not there.
    let _ = (clear(staging), fs::remove_file(&part));
    sqlite::make_dir(staging).map_err(anyhow::Error::from)?;
    let databases = sqlite::copy(from, staging).map_err(anyhow::Error::from)?;
    audit_cmd::run_in(staging)?;
    let mut files: Vec<(PathBuf, PathBuf)> = Vec::new();
    files.extend(databases.into_iter().map(|name| (staging.join(name), PathBuf::from(name))));
    others(from, Path::new(""), &mut files)?;
    write(&files, &part)?;
    fs::rename(&part, to).with_context(|| to.display().to_string())?;
    let above = to.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    Ok(sqlite::synced(above).map_err(anyhow::Error::from)?)
}

/// Removes the directory of the copies; not what somebody else put into one of that name.
fn clear(staging: &Path) -> io::Result<()> {
    for entry in fs::read_dir(staging)? {
        let entry = entry?;
        if sqlite::is_of_the_engine(&entry.file_name().to_string_lossy()) {
            fs::remove_file(entry.path())?;
        }
    }
    fs::remove_dir(staging)
}

/// A path beside another, named after it.
fn beside(path: &Path, what: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{what}"));
    PathBuf::from(name)
}

/// Files of the data directory that are not the engine's, with their names inside it.
fn others(dir: &Path, inside: &Path, files: &mut Vec<(PathBuf, PathBuf)>) -> anyhow::Result<()> {
    let here = dir.join(inside);
    for entry in fs::read_dir(&here).with_context(|| here.display().to_string())? {
        let entry = entry.with_context(|| here.display().to_string())?;
        let name = entry.file_name();
        let text = name.to_string_lossy();
        if inside.as_os_str().is_empty() && sqlite::is_of_the_engine(&text) {
            continue;
        }
        let (path, name) = (entry.path(), inside.join(&name));
        if path.is_dir() {
            others(dir, &name, files)?;
        } else {
            files.push((path, name));
        }
        ensure!(files.len() <= BACKUP_FILES_MAX, "more than {BACKUP_FILES_MAX} files in {}", dir.display());
    }
    Ok(())
}

fn write(files: &[(PathBuf, PathBuf)], to: &Path) -> anyhow::Result<()> {
    let mut tar = Builder::new(sqlite::private(to)?);
    let mut sums = String::new();
    for (path, name) in files {
        let mut file = File::open(path).with_context(|| path.display().to_string())?;
        let len = file.metadata().with_context(|| path.display().to_string())?.len();
        // A log may grow or begin anew meanwhile; an entry has the length it was begun with.
        let mut read = Summed::new((&mut file).chain(io::repeat(0)).take(len));
        append(&mut tar, name, len, &mut read).with_context(|| path.display().to_string())?;
        sums.push_str(&format!("{}  {}\n", read.sum(), name.display()));
    }
    let len = u64::try_from(sums.len())?;
    append(&mut tar, Path::new(SUMS), len, &mut sums.as_bytes())?;
    tar.into_inner().and_then(|file| file.sync_all()).with_context(|| to.display().to_string())
}

fn append(tar: &mut Builder<File>, name: &Path, len: u64, data: &mut impl Read) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_size(len);
    header.set_mode(0o600);
    tar.append_data(&mut header, name, data)
}

/// Makes the data directory out of a backup. The hub is started on it afterwards.
pub(crate) fn restore(config: &Config, from: &Path) -> Result<(), Failure> {
    let dir = Path::new(&config.store.data_dir);
    let backup = File::open(from).with_context(|| from.display().to_string())?;
    let claim = Claim::take(dir).map_err(anyhow::Error::from)?;
    let part = claim.unfinished().map_err(anyhow::Error::from)?;
    unpack(backup, &part).with_context(|| format!("{} is no good backup", from.display()))?;
    audit_cmd::run_in(&part)?;
    if let Some(aside) = claim.settle(SystemClock::default().now()).map_err(anyhow::Error::from)? {
        print(&format!("what was there before is in {}\n", aside.display()))?;
    }
    print(&format!("{} is restored: start the hub on it\n", dir.display()))
}

/// Unpacks into an empty directory, and compares every sum.
fn unpack(backup: File, to: &Path) -> anyhow::Result<()> {
    let (mut found, mut told) = (BTreeMap::new(), None);
    for entry in Archive::new(backup).entries()? {
        let mut entry = entry?;
        let name = entry.path()?.into_owned();
        let plain = name.components().all(|part| matches!(part, Component::Normal(_)));
        ensure!(plain && entry.header().entry_type() == EntryType::Regular, "{} is no plain file", name.display());
        ensure!(found.len() < BACKUP_FILES_MAX, "it has more than {BACKUP_FILES_MAX} files");
        if name == Path::new(SUMS) {
            let mut text = String::new();
            entry.take(BACKUP_SUMS_BYTES_MAX).read_to_string(&mut text)?;
            told = Some(text);
            continue;
        }
        let path = to.join(&name);
        if let Some(above) = path.parent() {
            sqlite::make_dir(above)?;
        }
        let mut file = sqlite::private(&path)?;
        let mut read = Summed::new(&mut entry);
        io::copy(&mut read, &mut file).and_then(|_| file.sync_all()).with_context(|| path.display().to_string())?;
        found.insert(name.display().to_string(), read.sum());
    }
    let told = told.with_context(|| format!("it has no {SUMS}: it was cut off"))?;
    let told: BTreeMap<String, String> = told
        .lines()
        .filter_map(|line| line.split_once("  "))
        .map(|(sum, name)| (name.to_owned(), sum.to_owned()))
        .collect();
    if let Some(name) = found.keys().chain(told.keys()).find(|name| found.get(*name) != told.get(*name)) {
        bail!("{name} is not what {SUMS} says: it was damaged or changed");
    }
    ensure!(found.contains_key(sqlite::MONEY_FILE), "it has no {}", sqlite::MONEY_FILE);
    Ok(())
}

/// Reads, and sums what was read.
struct Summed<R> {
    inner: R,
    hash: Sha256,
}

impl<R> Summed<R> {
    fn new(inner: R) -> Self {
        Self { inner, hash: Sha256::new() }
    }

    fn sum(self) -> String {
        hex(&self.hash.finalize())
    }
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let len = self.inner.read(to)?;
        self.hash.update(to.get(..len).unwrap_or_default());
        Ok(len)
    }
}
