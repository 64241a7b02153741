//! A hub that may die at any instant: somebody watches, keeps what its death looked like, and starts it again on the
//! same directory and the same ports.
#![allow(clippy::unwrap_used, reason = "a harness that fails shall fail loudly")]

use std::{
    path::Path,
    sync::{
        Arc, Condvar, Mutex, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use rusqlite::Connection;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use serde_json::Value;

use super::{Hub, Reply, bearer, http, wait::DEADLINE};

/// The environment variable that arms one point in the code.
const FAILPOINT: &str = "PILEHUB_FAILPOINT";

/// How a hub ended.
#[derive(Debug, Clone)]
pub struct Death {
    /// The signal that ended it: 9 from outside, 6 at an armed point.
    pub signal: Option<i32>,
    /// Status of every order as its files say, before anything recovers them.
    pub orders: Vec<String>,
}

/// A hub that is started again whenever it dies.
#[derive(Debug)]
pub struct Watched {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    hub: RwLock<Arc<Hub>>,
    lives: Mutex<Lives>,
    restarted: Condvar,
    over: AtomicBool,
}

#[derive(Debug, Default)]
struct Lives {
    /// One per restart that is done.
    deaths: Vec<Death>,
    /// It is dead and not yet watched again, though it may answer already.
    restarting: bool,
}

impl Hub {
    /// Ends this hub and starts it again with a point armed: it will die there.
    pub fn armed(mut self, point: Option<&str>) -> Watched {
        self.kill();
        let armed = self.launch_again(point);
        Watched::new(armed)
    }

    fn launch_again(&self, point: Option<&str>) -> Self {
        let mut settings = self.settings.clone();
        settings.retain(|(key, _)| key != FAILPOINT);
        settings.extend(point.map(|point| (FAILPOINT.to_owned(), point.to_owned())));
        Self::launch(Arc::clone(&self.dir), settings, self.http, self.mqtt)
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// A POST that may find nobody, or a hub that dies over it.
    pub fn try_post(&self, token: &str, path: &str, key: &str, body: &Value) -> std::io::Result<Reply> {
        let bearer = bearer(token);
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
        let bytes = if body.is_null() { Vec::new() } else { serde_json::to_vec(body).unwrap() };
        http::try_call(self.http, "POST", &format!("/api/v1{path}"), &headers, &bytes)
    }
}

impl Hub {
    /// A GET that may find nobody.
    pub fn try_get(&self, token: &str, path: &str) -> std::io::Result<Reply> {
        let bearer = bearer(token);
        http::try_call(self.http, "GET", &format!("/api/v1{path}"), &[("authorization", bearer.as_str())], b"")
    }
}

impl Watched {
    fn new(hub: Hub) -> Self {
        let shared = Arc::new(Shared {
            hub: RwLock::new(Arc::new(hub)),
            lives: Mutex::default(),
            restarted: Condvar::new(),
            over: AtomicBool::new(false),
        });
        let watching = Arc::clone(&shared);
        Self { shared, thread: Some(std::thread::spawn(move || watching.watch())) }
    }

    /// The hub as it runs now; it may be dead a moment later.
    pub fn hub(&self) -> Arc<Hub> {
        Arc::clone(&self.shared.hub.read().unwrap())
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        self.hub().pid()
    }

    /// How often it was started again.
    pub fn restarts(&self) -> usize {
        self.shared.lives.lock().unwrap().deaths.len()
    }

    /// All deaths, at a moment when nothing is asked of it any more: a restart that is going on is waited for.
    pub fn deaths(&self) -> Vec<Death> {
        let lives = self.shared.lives.lock().unwrap();
        let restarting = |lives: &mut Lives| lives.restarting;
        let (lives, late) = self.shared.restarted.wait_timeout_while(lives, DEADLINE, restarting).unwrap();
        assert!(!late.timed_out(), "the hub does not start again");
        lives.deaths.clone()
    }

    /// Waits until it was started again more than `count` times.
    pub fn wait_past(&self, count: usize) {
        let lives = self.shared.lives.lock().unwrap();
        let waiting = |lives: &mut Lives| lives.deaths.len() <= count;
        let (lives, late) = self.shared.restarted.wait_timeout_while(lives, DEADLINE, waiting).unwrap();
        drop(lives);
        assert!(!late.timed_out(), "no answer, and no death after the {count} known ones");
    }

    /// `kill -9` from outside, now; returns when the hub serves again.
    pub fn kill(&self) {
        let before = self.restarts();
        kill_process(self.pid(), Signal::KILL).unwrap();
        self.wait_past(before);
    }

    /// Makes a call as an app does that never gives up: the same key and body until an answer comes that is not "later".
    pub fn post_until(&self, token: &str, path: &str, key: &str, body: &Value, wanted: u16) -> Value {
        let end = super::wait::deadline();
        loop {
            let known = self.restarts();
            match self.hub().try_post(token, path, key, body) {
                Ok(reply) if reply.status == wanted => return reply.json(),
                Ok(reply) => {
                    let later = ["PILE_OFFLINE", "REQUEST_IN_PROGRESS", "CONNECTOR_BUSY", "STORE_UNAVAILABLE"];
                    let in_time = super::wait::left(end) > Duration::from_millis(1);
                    assert!(in_time && later.contains(&reply.code().as_str()), "{path}: {}", reply.text());
                    std::thread::park_timeout(Duration::from_millis(20));
                }
                Err(_) => self.wait_past(known),
            }
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        let Some(thread) = self.thread.take() else { return };
        // It may have ended already.
        let _ = kill_process(self.pid(), Signal::KILL);
        let _ = thread.join();
    }
}

impl Shared {
    fn watch(&self) {
        loop {
            let hub = Arc::clone(&self.hub.read().unwrap());
            // The process stays a zombie until the last user of this hub drops it: its id names nobody else.
            let seen = waitid(WaitId::Pid(hub.pid()), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap().unwrap();
            if self.over.load(Ordering::SeqCst) {
                return;
            }
            self.lives.lock().unwrap().restarting = true;
            let death = Death { signal: seen.terminating_signal(), orders: statuses(hub.dir()) };
            let next = hub.launch_again(None);
            let pid = next.pid();
            *self.hub.write().unwrap() = Arc::new(next);
            if self.over.load(Ordering::SeqCst) {
                // Nobody is left who would end it.
                kill_process(pid, Signal::KILL).unwrap();
                return;
            }
            let mut lives = self.lives.lock().unwrap();
            lives.deaths.push(death);
            lives.restarting = false;
            drop(lives);
            self.restarted.notify_all();
        }
    }
}

/// The status of every order in a directory nobody has open. Looks at a copy: whoever opens the files recovers them,
/// and that shall be the hub.
fn statuses(dir: &Path) -> Vec<String> {
    let copy = tempfile::tempdir().unwrap();
    for name in ["money.db", "money.db-wal"] {
        std::fs::copy(dir.join(name), copy.path().join(name)).unwrap();
    }
    let db = Connection::open(copy.path().join("money.db")).unwrap();
    let mut select = db.prepare("SELECT status FROM orders ORDER BY created_at").unwrap();
    let rows = select.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}
