//! Integrations: other systems of the operator's that read what the piles send, as MQTT clients with accounts of their
//! own. They read and do nothing else.
//!
//! ```text
//! socket ─▶ driver ─▶ Desk: who is it, is there room ─▶ serve: a link of its own into the router ─▶ acl ─▶ socket
//! ```
//!
//! Each connection has a place of its own in the router's log and a task that is not on the hot thread. One that does
//! not keep up is closed and counted; it slows no pile, no other integration, and nothing is skipped for it in silence.

mod accounts;
mod fleet;
mod grants;
mod link;
mod serve;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use domain::{IntegrationName, PileCode, PileNo, StationId};
use metrics::{Counter, counter};
use tokio::{runtime::Handle, sync::watch};

use self::accounts::Accounts;
pub use self::{
    accounts::{Account, username},
    grants::Grants,
};
pub(crate) use self::{
    accounts::{NoSeat, PREFIX, Reader},
    fleet::Fleet,
    link::Source,
};
use crate::{
    acl,
    conn::Conn,
    identity::Verifier,
    mqtt::write::{SUBSCRIBE_REFUSED, suback, unsuback},
    names,
    shared::Shared,
    sink::DownCause,
};

/// Links made so far. Their names never repeat: the router gives the place of a link to the next of its name.
static LINKS: AtomicUsize = AtomicUsize::new(0);

/// What the gate keeps of integrations.
#[derive(Debug)]
pub(crate) struct Desk {
    accounts: Accounts,
    fleet: Fleet,
    /// The router at work.
    source: watch::Sender<Option<Source>>,
    /// Where the tasks of the connections run; without it none is let in.
    runtime: OnceLock<Handle>,
    frames: Counter,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self {
            accounts: Accounts::default(),
            fleet: Fleet::default(),
            source: watch::Sender::new(None),
            runtime: OnceLock::new(),
            frames: counter!(names::INTEGRATION_FRAMES),
        }
    }

    /// The router that is at work from now on; `None`: it is given up, and whoever reads from it is closed.
    pub(crate) fn router_is(&self, source: Option<Source>) {
        self.source.send_replace(source);
    }

    pub(crate) fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Gives a connection to the task that serves it. Its CONNACK waits until it has its place in the router's log, so
    /// that nothing that is sent after it is missed.
    pub(crate) fn let_in(
        &self,
        shared: &Arc<Shared>,
        conn: &Arc<Conn>,
        account: &Arc<Account>,
        silence_max: Duration,
    ) -> Result<(), NoSeat> {
        let runtime = self.runtime.get().ok_or(NoSeat::NotServed)?;
        let reader = self.accounts.seat(account, silence_max, |reader| conn.read_by(reader))?;
        shared.registry.admit_reader();
        runtime.spawn(serve::serve(Arc::clone(shared), Arc::clone(conn), reader));
        Ok(())
    }

    /// A connection is over.
    pub(crate) fn left(&self, reader: &Reader, cause: DownCause) {
        self.accounts.leave(reader);
        if cause == DownCause::Lagging {
            counter!(names::INTEGRATIONS_LAGGING).increment(1);
        }
        tracing::info!(integration = %reader.account.name, %cause, "integration disconnected");
    }

    /// Answers a SUBSCRIBE; tells of the filters that are refused.
    pub(crate) fn subscribe<'a>(
        &self,
        conn: &Conn,
        packet_id: u16,
        filters: &[&'a str],
        mut refused: impl FnMut(&'a str),
    ) {
        let Some(reader) = conn.reader() else { return };
        let mut grant = |filter: &&'a str| {
            let asked = acl::read(&reader.account.grants, filter, |code| self.fleet.station_of(code));
            if asked.is_some_and(|asked| reader.ask(asked)) {
                return 0;
            }
            refused(filter);
            SUBSCRIBE_REFUSED
        };
        let codes: Vec<u8> = filters.iter().map(&mut grant).collect();
        conn.answer(|out| suback(out, packet_id, &codes));
    }

    /// Answers an UNSUBSCRIBE.
    pub(crate) fn unsubscribe(&self, conn: &Conn, packet_id: u16, filters: &[&str]) {
        let Some(reader) = conn.reader() else { return };
        for filter in filters {
            if let Some(asked) = acl::read(&reader.account.grants, filter, |code| self.fleet.station_of(code)) {
                reader.forget(&asked);
            }
        }
        conn.answer(|out| unsuback(out, packet_id));
    }
}

/// The accounts of integrations and the piles they may ask for, for whoever keeps both.
#[derive(Debug, Clone)]
pub struct Readers {
    pub(crate) shared: Arc<Shared>,
}

impl Readers {
    /// Lets integrations in from now on. Their connections are served on that runtime, which must not be the hot one.
    pub fn serve_on(&self, runtime: Handle) {
        // It is said once; a second word changes nothing.
        let _ = self.shared.readers.runtime.set(runtime);
    }

    /// What to store of an account's secret.
    #[must_use]
    pub fn verifier_of(&self, name: &IntegrationName, secret: &str) -> Verifier {
        self.shared.identities.verifier_for(&username(name), secret)
    }

    /// Makes an account known.
    pub fn insert(&self, account: Account) {
        self.shared.readers.accounts.insert(account);
    }

    /// Forgets an account and closes its connections.
    pub fn remove(&self, name: &IntegrationName) {
        self.shared.readers.accounts.remove(name);
        self.shared.registry.for_each(|conn| {
            if conn.reader().is_some_and(|reader| reader.account.name == *name) {
                conn.close(DownCause::Removed);
            }
        });
    }

    /// Connections of an account.
    #[must_use]
    pub fn connections(&self, name: &IntegrationName) -> usize {
        self.shared.readers.accounts.of(name.as_str()).map_or(0, |account| account.connections())
    }

    /// Says where piles stand. To be said before a pile is admitted: what it sends before reaches nobody.
    pub fn insert_piles(&self, piles: impl IntoIterator<Item = (PileNo, PileCode, StationId)>) {
        self.shared.readers.fleet.extend(piles);
    }
}

/// A name for one more link.
fn link_name() -> String {
    format!("integration {}", LINKS.fetch_add(1, Ordering::Relaxed))
}
