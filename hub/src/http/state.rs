//! What every handler can reach.

use std::{ops::Deref, sync::Arc};

use actors::Handle;
use broker::{Identities, Readers};
use domain::{Clock, Timestamp};
use metrics_exporter_prometheus::PrometheusHandle;
use store::{
    money::{Commit, CommitOutcome, Money, Write},
    telemetry::Telemetry,
};

use super::{
    auth::Tokens,
    idempotency::Calls,
    problem::{Code, Problem},
};
use crate::{
    config::Config, credentials::Credentials, keys::Keys, live::Live, pay::Pay, ready::Readiness,
    reconcile::Reconciler, risk::Desk,
};

/// The parts of a running hub, shared by all handlers.
#[derive(Debug, Clone)]
pub(crate) struct App(Arc<Parts>);

/// See [`App`].
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) keys: Keys,
    pub(crate) tokens: Tokens,
    /// The time of the charging world: the demo's runs faster.
    pub(crate) clock: Arc<dyn Clock>,
    /// The wall's time, for what other systems sign.
    pub(crate) wall: Arc<dyn Clock>,
    pub(crate) actors: Handle,
    pub(crate) money: Arc<dyn Money>,
    pub(crate) telemetry: Arc<dyn Telemetry>,
    pub(crate) identities: Arc<Identities>,
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) readers: Readers,
    pub(crate) live: Arc<Live>,
    pub(crate) pay: Arc<Pay>,
    pub(crate) reconciler: Arc<Reconciler>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) calls: Arc<Calls>,
    /// Held while the registry is checked and changed, so that two calls do not both find a name free.
    pub(crate) registry: tokio::sync::Mutex<()>,
    pub(crate) ready: Arc<Readiness>,
    pub(crate) metrics: PrometheusHandle,
}

impl App {
    pub(crate) fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Writes facts that belong together.
    pub(crate) async fn commit(&self, writes: Vec<Write>) -> Result<(), Problem> {
        match self.money.commit(Commit { writes }).await {
            CommitOutcome::Applied => Ok(()),
            CommitOutcome::Conflict(conflict) => Err(conflict.into()),
            CommitOutcome::Unavailable(why) | CommitOutcome::Unknown(why) => {
                Err(Problem::new(Code::StoreUnavailable, why))
            }
        }
    }
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
