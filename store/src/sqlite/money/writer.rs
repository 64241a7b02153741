//! The one thread that writes `money.db`: takes what waits, writes it as one transaction, answers when it is durable.
//!
//! Nobody is answered before the disk write of the group is done: a refusal may rest on a row that the same group
//! wrote. After a failed write the file is opened anew and probed; until the probe succeeds every commit is refused.

use std::{path::PathBuf, sync::Arc, time::Duration};

use domain::PileNo;
use flume::RecvTimeoutError;
use rusqlite::Connection;
use tokio::{sync::oneshot, time::Instant};

use super::{Settings, apply, schema::SCHEMA};
use crate::{
    failpoint,
    limits::{MONEY_GROUP_LEN_MAX, MONEY_GROUP_WAIT_MS},
    metric,
    money::{Commit, CommitOutcome, Conflict, StoreError},
    sqlite::{
        connection::{Durability, open_writer},
        health::Health,
    },
};

/// What the thread is asked for.
#[derive(Debug)]
pub(super) enum Request {
    /// Write a commit.
    Commit(Commit, oneshot::Sender<CommitOutcome>),
    /// Reserve pile numbers.
    PileNos(u32, oneshot::Sender<Result<PileNo, StoreError>>),
}

/// An answer that waits for the group's disk write.
enum Answer {
    Commit(oneshot::Sender<CommitOutcome>, CommitOutcome),
    PileNos(oneshot::Sender<Result<PileNo, StoreError>>, Option<PileNo>),
}

/// Why a group came to nothing.
enum Failure {
    /// Before COMMIT: certainly nothing of it is there.
    NotApplied(String),
    /// In COMMIT: it may be there.
    Unknown(String),
}

/// The thread's own state.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    settings: Settings,
    health: Arc<Health>,
    /// `None` after a failed write, until the probe succeeds.
    conn: Option<Connection>,
    /// When to probe, while there is no connection.
    probe_at: Instant,
    /// The last group had company: worth waiting for another.
    busy: bool,
}

impl Writer {
    /// Opens the file; the thread starts with [`Writer::run`].
    pub(super) fn open(path: PathBuf, settings: Settings, health: Arc<Health>) -> Result<Self, StoreError> {
        let conn = open_writer(&path, Durability::PowerCut, SCHEMA, &settings.pages)?;
        Ok(Self { path, settings, health, conn: Some(conn), probe_at: Instant::now(), busy: false })
    }

    /// Works until every sender is gone and the queue is empty.
    pub(super) fn run(mut self, requests: &flume::Receiver<Request>) {
        loop {
            let first = if self.conn.is_some() {
                requests.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                match self.probe_at.saturating_duration_since(Instant::now()) {
                    Duration::ZERO => Err(RecvTimeoutError::Timeout),
                    left => requests.recv_timeout(left),
                }
            };
            match first {
                Ok(first) => self.serve(first, requests),
                Err(RecvTimeoutError::Timeout) => self.probe(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn serve(&mut self, first: Request, requests: &flume::Receiver<Request>) {
        let started = Instant::now();
        let group = self.gather(first, requests);
        metrics::gauge!(metric::MONEY_QUEUE_LEN).set(as_f64(requests.len().saturating_add(group.len())));
        metrics::histogram!(metric::MONEY_GROUP_LEN).record(as_f64(group.len()));
        let Some(conn) = self.conn.take() else {
            let reason = self.health.reason().unwrap_or_default();
            group.into_iter().for_each(|request| refuse(request, &reason));
            return;
        };
        match write_group(&conn, group) {
            Ok(answers) => {
                self.conn = Some(conn);
                metrics::histogram!(metric::MONEY_COMMIT_SECONDS).record(started.elapsed().as_secs_f64());
                answers.into_iter().for_each(Answer::give);
            }
            Err((failure, answers)) => {
                self.health.fail(failure.reason());
                self.probe_later();
                // Closing rolls back what is open and lets the next opening read the log afresh.
                drop(conn);
                answers.into_iter().for_each(|answer| answer.fail(&failure));
            }
        }
    }

    /// Takes what waits. Waits itself only when the last group had company and this one has none yet: a lonely
    /// commit is not held up, and under load the disk write itself lets the next group gather.
    fn gather(&mut self, first: Request, requests: &flume::Receiver<Request>) -> Vec<Request> {
        let mut group = vec![first];
        group.extend(requests.try_iter().take(MONEY_GROUP_LEN_MAX.saturating_sub(1)));
        if self.busy
            && group.len() == 1
            && let Ok(second) = requests.recv_timeout(Duration::from_millis(MONEY_GROUP_WAIT_MS))
        {
            group.push(second);
            group.extend(requests.try_iter().take(MONEY_GROUP_LEN_MAX.saturating_sub(2)));
        }
        self.busy = group.len() > 1;
        group
    }

    /// Opens the file anew and writes something that needs room.
    fn probe(&mut self) {
        let opened = open_writer(&self.path, Durability::PowerCut, SCHEMA, &self.settings.pages);
        match opened.and_then(|conn| try_write(&conn).map(|()| conn).map_err(crate::sqlite::connection::broken)) {
            Ok(conn) => {
                self.conn = Some(conn);
                self.health.recover();
            }
            Err(error) => {
                self.health.fail(&error.to_string());
                self.probe_later();
            }
        }
    }

    fn probe_later(&mut self) {
        self.probe_at = Instant::now().checked_add(self.settings.probe_interval).unwrap_or_else(Instant::now);
    }
}

/// Writes 64 KiB and takes it away again: an update in place would succeed on a full disk.
///
/// Its commit also overwrites what a failed one may have left at the end of the log: from here on an unknown outcome
/// reads back the same for ever.
fn try_write(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE);")?;
    conn.execute("INSERT OR REPLACE INTO probe (id, filler) VALUES (1, zeroblob(65536))", [])?;
    conn.execute("DELETE FROM probe", [])?;
    Ok(())
}

/// One transaction with all requests of a group; a commit whose condition fails is taken back alone.
fn write_group(conn: &Connection, group: Vec<Request>) -> Result<Vec<Answer>, (Failure, Vec<Answer>)> {
    // As a rule no condition fails, and to be able to take one commit back costs a tenth of all.
    let written = write_all(conn, &group, apply::unguarded).and_then(|outcomes| {
        if !outcomes.iter().any(Outcome::is_conflict) {
            return Ok(outcomes);
        }
        conn.prepare_cached("ROLLBACK")?.execute([])?;
        write_all(conn, &group, apply::guarded)
    });
    let outcomes = match written {
        Ok(outcomes) => outcomes,
        Err(error) => {
            let failure = Failure::NotApplied(error.to_string());
            return Err((failure, group.into_iter().map(Answer::none).collect()));
        }
    };
    let answers = group.into_iter().zip(outcomes).map(|(request, outcome)| Answer::of(request, outcome)).collect();
    failpoint::hit(failpoint::MONEY_BEFORE_COMMIT);
    if let Err(error) = conn.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([])) {
        return Err((Failure::Unknown(error.to_string()), answers));
    }
    failpoint::hit(failpoint::MONEY_AFTER_COMMIT);
    Ok(answers)
}

/// What was written of one request.
enum Outcome {
    Commit(Result<(), Conflict>),
    PileNos(Option<PileNo>),
}

impl Outcome {
    const fn is_conflict(&self) -> bool {
        matches!(self, Self::Commit(Err(_)))
    }
}

/// Begins a transaction and writes all requests.
fn write_all(
    conn: &Connection,
    group: &[Request],
    commit: fn(&Connection, &Commit) -> apply::Applied,
) -> rusqlite::Result<Vec<Outcome>> {
    conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let write = |request: &Request| {
        Ok(match request {
            Request::Commit(asked, _) => Outcome::Commit(commit(conn, asked)?),
            Request::PileNos(n, _) => Outcome::PileNos(apply::reserve_pile_nos(conn, *n)?),
        })
    };
    group.iter().map(write).collect()
}

impl Answer {
    fn of(request: Request, outcome: Outcome) -> Self {
        match (request, outcome) {
            (Request::Commit(_, reply), Outcome::Commit(written)) => {
                Self::Commit(reply, written.map_or_else(CommitOutcome::Conflict, |()| CommitOutcome::Applied))
            }
            (Request::PileNos(_, reply), Outcome::PileNos(first)) => Self::PileNos(reply, first),
            (request, _) => Self::none(request),
        }
    }

    /// For a request that was not reached.
    fn none(request: Request) -> Self {
        match request {
            Request::Commit(_, reply) => Self::Commit(reply, CommitOutcome::Unavailable(String::new())),
            Request::PileNos(_, reply) => Self::PileNos(reply, None),
        }
    }

    /// Tells the caller; one who has stopped waiting is no error.
    fn give(self) {
        match self {
            Self::Commit(reply, outcome) => {
                count(&outcome);
                let _ = reply.send(outcome);
            }
            Self::PileNos(reply, first) => {
                let _ = reply.send(first.ok_or_else(|| StoreError::Unavailable("no pile numbers left".to_owned())));
            }
        }
    }

    /// Tells the caller that the group failed, whatever was found before.
    fn fail(self, failure: &Failure) {
        match self {
            Self::Commit(reply, _) => {
                let outcome = failure.outcome();
                count(&outcome);
                let _ = reply.send(outcome);
            }
            Self::PileNos(reply, _) => {
                let _ = reply.send(Err(StoreError::Unavailable(failure.reason().to_owned())));
            }
        }
    }
}

impl Failure {
    fn reason(&self) -> &str {
        match self {
            Self::NotApplied(reason) | Self::Unknown(reason) => reason,
        }
    }

    fn outcome(&self) -> CommitOutcome {
        match self {
            Self::NotApplied(reason) => CommitOutcome::Unavailable(reason.clone()),
            Self::Unknown(reason) => CommitOutcome::Unknown(reason.clone()),
        }
    }
}

fn refuse(request: Request, reason: &str) {
    Answer::none(request).fail(&Failure::NotApplied(reason.to_owned()));
}

fn count(outcome: &CommitOutcome) {
    let label = match outcome {
        CommitOutcome::Applied => "applied",
        CommitOutcome::Conflict(Conflict::OpDone { .. } | Conflict::OnceExists(_)) => "repeated",
        CommitOutcome::Conflict(_) => "conflict",
        CommitOutcome::Unavailable(_) => "unavailable",
        CommitOutcome::Unknown(_) => "unknown",
    };
    metrics::counter!(metric::MONEY_COMMITS, "outcome" => label).increment(1);
}

fn as_f64(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}
