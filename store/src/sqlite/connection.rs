//! How a file is opened: pragmas, schema version, and what an SQLite error means to the ports.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::options::PageLimit;
use crate::money::StoreError;

/// Prepared statements kept per connection: all of them.
const STATEMENTS_MAX: usize = 96;
/// Pages of write-ahead log after which the writer copies them into the file (64 MiB). The fewer times a page that
/// changes often is copied, the better; the log is read at a start after a crash, which this keeps short.
const CHECKPOINT_PAGES: u32 = 16_384;
/// The log file is cut to this when it was larger, in bytes: larger than it becomes by itself, so that it is not made
/// anew each time.
const LOG_SIZE_GOAL: u32 = 80 * 1024 * 1024;
/// Memory for pages of the connection that writes money, in KiB: orders and accounts are written all over the file, and
/// with SQLite's default of 2 MiB a settlement costs several times the CPU.
const MONEY_CACHE_KIB: u32 = 64 * 1024;
/// The same for telemetry, which is only ever appended: a flood of frames shall not fill the memory.
const TELEMETRY_CACHE_KIB: u32 = 8 * 1024;

/// How durable a commit is when it returns.
#[derive(Debug, Clone, Copy)]
pub(super) enum Durability {
    /// Survives a power cut: each commit waits for the disk.
    PowerCut,
    /// Survives `kill -9`: a commit is handed to the kernel, the disk is waited for at checkpoints only. Frames are
    /// acknowledged after this, and a fsync per 5 ms would cost more than everything else the hub does; a power cut
    /// may take the last seconds of telemetry, never of money.
    Kill,
}

/// The schema of one file as a list of steps; step n takes version n to version n + 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schema {
    pub(super) steps: &'static [&'static str],
}

/// Opens the one writing connection of a file; creates the file and brings its schema up to date.
pub(super) fn open_writer(
    path: &Path,
    durability: Durability,
    schema: Schema,
    pages: &PageLimit,
) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(path, flags).map_err(broken)?;
    conn.busy_timeout(Duration::from_secs(5)).map_err(broken)?;
    check_version(&conn, path, schema)?;
    let (synchronous, cache_kib) = match durability {
        Durability::PowerCut => ("FULL", MONEY_CACHE_KIB),
        Durability::Kill => ("NORMAL", TELEMETRY_CACHE_KIB),
    };
    conn.execute_batch(&format!(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous={synchronous}; PRAGMA temp_store=MEMORY;
         PRAGMA cache_size=-{cache_kib}; PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}; PRAGMA journal_size_limit={LOG_SIZE_GOAL};
         PRAGMA max_page_count={};",
        pages.get().unwrap_or(u32::MAX - 1)
    ))
    .map_err(broken)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    migrate(&mut conn, path, schema)?;
    Ok(conn)
}

/// Opens a connection that cannot write.
pub(super) fn open_reader(path: &Path, schema: Schema) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(broken)?;
    conn.busy_timeout(Duration::from_secs(5)).map_err(broken)?;
    conn.execute_batch("PRAGMA query_only=ON; PRAGMA temp_store=MEMORY;").map_err(broken)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    check_version(&conn, path, schema)?;
    let found = version(&conn)?;
    if found < known_version(schema) {
        let file = path.display();
        return Err(StoreError::Unavailable(format!("{file} has the older schema {found}: start the hub on it once")));
    }
    Ok(conn)
}

fn version(conn: &Connection) -> Result<i64, StoreError> {
    conn.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(broken)
}

/// Refuses a file of a later release before anything of it is touched.
fn check_version(conn: &Connection, path: &Path, schema: Schema) -> Result<(), StoreError> {
    let found = version(conn)?;
    let known = known_version(schema);
    if found > known {
        return Err(StoreError::Newer { file: path.display().to_string(), found, known });
    }
    Ok(())
}

fn known_version(schema: Schema) -> i64 {
    i64::try_from(schema.steps.len()).unwrap_or(i64::MAX)
}

/// Runs the missing steps, each in one transaction with its version number.
fn migrate(conn: &mut Connection, path: &Path, schema: Schema) -> Result<(), StoreError> {
    let found = version(conn)?;
    for (before, step) in (0_i64..).zip(schema.steps).filter(|(before, _)| *before >= found) {
        let tx = conn.transaction().map_err(broken)?;
        tx.execute_batch(step).map_err(broken)?;
        tx.pragma_update(None, "user_version", before.saturating_add(1)).map_err(broken)?;
        tx.commit().map_err(broken)?;
        tracing::info!(file = %path.display(), version = before.saturating_add(1), "schema brought up to date");
    }
    Ok(())
}

/// What an SQLite error means to a caller of the ports.
pub(super) fn broken(error: rusqlite::Error) -> StoreError {
    let damaged = matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
        || matches!(
            error,
            rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::InvalidColumnType(..)
        );
    if damaged { StoreError::Corrupt(error.to_string()) } else { StoreError::Unavailable(error.to_string()) }
}
