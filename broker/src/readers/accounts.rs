//! The accounts of integrations, and how many connections each has.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use domain::IntegrationName;
use metrics::gauge;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Grants;
use crate::{
    acl::Filter,
    identity::{Identities, Verifier},
    limits::{INTEGRATION_CONNECTIONS_MAX, INTEGRATION_CONNECTIONS_PER_ACCOUNT_MAX, INTEGRATION_FILTERS_MAX},
    names,
};

/// How the username of an integration begins. No pile code has a colon.
pub(crate) const PREFIX: &str = "integration:";

/// The username of an integration.
#[must_use]
pub fn username(name: &IntegrationName) -> String {
    format!("{PREFIX}{name}")
}

/// An integration that may connect.
pub struct Account {
    pub(crate) name: IntegrationName,
    verifier: Verifier,
    pub(crate) grants: Grants,
    connections: AtomicUsize,
}

impl Account {
    /// Nobody is connected yet. For the verifier see [`Readers::verifier_of`](crate::Readers::verifier_of).
    #[must_use]
    pub const fn new(name: IntegrationName, verifier: Verifier, grants: Grants) -> Self {
        Self { name, verifier, grants, connections: AtomicUsize::new(0) }
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("name", &self.name).field("grants", &self.grants).finish_non_exhaustive()
    }
}

/// Why an integration that showed its secret is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoSeat {
    /// The gate was not told to serve integrations.
    NotServed,
    /// Its account has too many connections.
    Account,
    /// All together have too many.
    All,
    /// Its account was removed in this moment.
    Removed,
}

/// A connection of an integration.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) account: Arc<Account>,
    /// Silence after which it is closed: 1.5 times what it asked for.
    pub(crate) silence_max: Duration,
    filters: Mutex<Vec<Filter>>,
    /// There is room again for what waits for it.
    pub(crate) room: Notify,
    /// Its connection is over.
    pub(crate) over: Notify,
}

impl Reader {
    /// Adds a filter; `false` when it has too many.
    pub(super) fn ask(&self, filter: Filter) -> bool {
        let mut filters = self.filters.lock();
        if filters.contains(&filter) {
            return true;
        }
        let room = filters.len() < INTEGRATION_FILTERS_MAX;
        if room {
            filters.push(filter);
        }
        room
    }

    pub(super) fn forget(&self, filter: &Filter) {
        self.filters.lock().retain(|one| one != filter);
    }

    /// Calls `with` for what it asked for.
    pub(super) fn with_filters<T>(&self, with: impl FnOnce(&[Filter]) -> T) -> T {
        with(&self.filters.lock())
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    by_name: Mutex<HashMap<IntegrationName, Arc<Account>>>,
    connections: AtomicUsize,
}

impl Accounts {
    pub(super) fn insert(&self, account: Account) {
        self.by_name.lock().insert(account.name.clone(), Arc::new(account));
    }

    pub(super) fn remove(&self, name: &IntegrationName) {
        self.by_name.lock().remove(name);
    }

    pub(super) fn of(&self, name: &str) -> Option<Arc<Account>> {
        self.by_name.lock().get(name).cloned()
    }

    /// Whose username this is, if the password is right. Takes as long for a stranger as for a wrong password.
    pub(crate) fn verify(&self, identities: &Identities, username: &str, password: &[u8]) -> Option<Arc<Account>> {
        let account = username.strip_prefix(PREFIX).and_then(|name| self.of(name));
        let stored = account.as_ref().map_or([0; 32], |account| account.verifier);
        let right = identities.verifies(username, password, &stored);
        account.filter(|_| right)
    }

    /// Counts a connection in. `taken` hears of it before anybody can remove the account.
    pub(super) fn seat(
        &self,
        account: &Arc<Account>,
        silence_max: Duration,
        taken: impl FnOnce(Arc<Reader>),
    ) -> Result<Arc<Reader>, NoSeat> {
        let by_name = self.by_name.lock();
        if !by_name.get(&account.name).is_some_and(|known| Arc::ptr_eq(known, account)) {
            return Err(NoSeat::Removed);
        }
        if account.connections() >= INTEGRATION_CONNECTIONS_PER_ACCOUNT_MAX {
            return Err(NoSeat::Account);
        }
        if self.connections.load(Ordering::Relaxed) >= INTEGRATION_CONNECTIONS_MAX {
            return Err(NoSeat::All);
        }
        account.connections.fetch_add(1, Ordering::Relaxed);
        self.connections.fetch_add(1, Ordering::Relaxed);
        gauge!(names::INTEGRATIONS).increment(1);
        let reader = Arc::new(Reader {
            account: Arc::clone(account),
            silence_max,
            filters: Mutex::default(),
            room: Notify::new(),
            over: Notify::new(),
        });
        taken(Arc::clone(&reader));
        drop(by_name);
        Ok(reader)
    }

    /// Counts it out and ends its task.
    pub(super) fn leave(&self, reader: &Reader) {
        reader.account.connections.fetch_sub(1, Ordering::Relaxed);
        self.connections.fetch_sub(1, Ordering::Relaxed);
        gauge!(names::INTEGRATIONS).decrement(1);
        reader.over.notify_one();
    }
}
