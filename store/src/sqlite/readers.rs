//! A few read-only connections of one file, used on the runtime's blocking threads.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::connection::{Schema, open_reader};
use crate::{limits::READERS_MAX, money::StoreError};

/// The connections; opened when first needed, kept.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    schema: Schema,
    idle: Arc<Mutex<Vec<Connection>>>,
    turns: Semaphore,
}

impl Readers {
    /// Of a file that exists; opens nothing yet.
    pub(super) fn new(path: &Path, schema: Schema) -> Self {
        Self {
            path: path.to_owned(),
            schema,
            idle: Arc::new(Mutex::new(Vec::new())),
            turns: Semaphore::new(READERS_MAX),
        }
    }

    /// Exactly one connection, made by the caller: all reads see what it sees.
    pub(super) fn of_one(path: &Path, schema: Schema, conn: Connection) -> Self {
        Self { path: path.to_owned(), schema, idle: Arc::new(Mutex::new(vec![conn])), turns: Semaphore::new(1) }
    }

    /// Runs a read; waits for a free connection.
    pub(super) async fn read<T, F>(&self, query: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let _turn = self.turns.acquire().await.map_err(|e| StoreError::Unavailable(e.to_string()))?;
        let (path, schema, idle) = (self.path.clone(), self.schema, Arc::clone(&self.idle));
        tokio::task::spawn_blocking(move || {
            let kept = idle.lock().pop();
            let conn = kept.map_or_else(|| open_reader(&path, schema), Ok)?;
            let answer = query(&conn);
            idle.lock().push(conn);
            answer
        })
        .await
        .map_err(|e| StoreError::Unavailable(e.to_string()))?
    }
}
