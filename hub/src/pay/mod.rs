//! Money from and to payment channels: the port, three adapters, and what the hub does with their words.
//!
//! ```text
//! callback ─▶ PayChannel::read_callback ─▶ notices ─▶ settlement::payment::judge ─▶ credit │ suspense │ nothing
//! due work ─▶ work ─▶ PayChannel::query ──────┘
//!             └─────▶ refunds ─▶ settlement::refund ─▶ PayChannel::refund, query_refund
//! ```
//! Rules are in `settlement`, money moves in the settlement actors. This module knows neither HTTP routes nor SQL.

mod alipay;
mod caller;
mod channel;
mod crypto;
mod filed;
mod nonces;
mod notices;
mod queries;
mod refunds;
mod sandbox;
mod suspense;
mod wechat;
mod work;
mod yuan;

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use actors::Handle;
use domain::{Clock, Fen, Millis, Timestamp, UserId};
use settlement::refund::RefundRules;
use store::{
    money::{Commit, CommitOutcome, Money, Write},
    registry::AuditRow,
};
use tokio::sync::{Mutex, MutexGuard, Notify};

pub(crate) use channel::{CallbackError, ChannelError, PayChannel, Reason, Said};
pub(crate) use crypto::PayKeyError;
pub(crate) use filed::{FiledRefund, FiledSuspense};
pub(crate) use notices::Taken;
pub(crate) use refunds::AskRefund;
pub(crate) use sandbox::{Callback, SANDBOX, Sandbox};
pub(crate) use suspense::refund_no_of;

use self::{alipay::Alipay, caller::Caller, nonces::Nonces, wechat::Wechat};
use crate::{
    config::Config,
    http::problem::{Code, Problem},
    keys::Keys,
    limits::PAYMENT_LOCKS,
};

/// Who acts when no person does.
const HUB: &str = "~hub";

/// What the hub needs to deal with channels.
#[derive(Debug)]
pub(crate) struct Pay {
    channels: BTreeMap<&'static str, Arc<dyn PayChannel>>,
    /// Also among the channels.
    pub(crate) sandbox: Arc<Sandbox>,
    nonces: Nonces,
    money: Arc<dyn Money>,
    actors: Handle,
    clock: Arc<dyn Clock>,
    wall: Arc<dyn Clock>,
    /// Keep steps of one payment apart that read before they write.
    locks: Vec<Mutex<()>>,
    /// Wakes who does due work.
    hurry: Notify,
    refund_rules: RefundRules,
    /// Over this a callback is believed only when the channel says so again; `None`: never asked.
    confirm_over: Option<Fen>,
    life: Millis,
}

/// The ports that [`Pay`] is built on.
#[derive(Debug)]
pub(crate) struct Ports {
    pub(crate) money: Arc<dyn Money>,
    pub(crate) actors: Handle,
    /// The time of the charging world.
    pub(crate) clock: Arc<dyn Clock>,
    /// The wall's time, for what is signed.
    pub(crate) wall: Arc<dyn Clock>,
}

impl Pay {
    /// Opens the channels that the settings ask for.
    pub(crate) fn open(config: &Config, keys: &Keys, ports: Ports) -> Result<Self, PayKeyError> {
        let Ports { money, actors, clock, wall } = ports;
        let settings = &config.payment;
        let sandbox = Arc::new(Sandbox::new(keys.sandbox.clone()));
        let notify =
            |name: &str| format!("{}/api/v1/payments/callback/{name}", config.http.public_url.trim_end_matches('/'));
        let caller = Caller::new();
        let mut channels: BTreeMap<&'static str, Arc<dyn PayChannel>> = BTreeMap::new();
        channels.insert(SANDBOX, Arc::<Sandbox>::clone(&sandbox));
        if settings.wechat.is_on() {
            let wall = Arc::clone(&wall);
            let opened = Wechat::open(&settings.wechat, notify(wechat::WECHAT), wall, caller.clone())?;
            channels.insert(wechat::WECHAT, Arc::new(opened));
        }
        if settings.alipay.is_on() {
            let wall = Arc::clone(&wall);
            let opened = Alipay::open(&settings.alipay, notify(alipay::ALIPAY), wall, caller)?;
            channels.insert(alipay::ALIPAY, Arc::new(opened));
        }
        Ok(Self {
            channels,
            sandbox,
            nonces: Nonces::default(),
            money,
            actors,
            clock,
            wall,
            locks: (0..PAYMENT_LOCKS).map(|_| Mutex::default()).collect(),
            hurry: Notify::new(),
            refund_rules: RefundRules {
                retry: Millis::from_secs(settings.refund_retry_s.into()),
                tries_max: settings.refund_tries_max,
            },
            confirm_over: (settings.confirm_over_fen > 0).then_some(Fen(settings.confirm_over_fen)),
            life: Millis::from_secs(settings.expires_s.into()),
        })
    }

    /// The channel of a name, if it is open.
    pub(crate) fn channel(&self, name: &str) -> Option<&Arc<dyn PayChannel>> {
        self.channels.get(name)
    }

    /// The channels there are, for people.
    pub(crate) fn names(&self) -> String {
        self.channels.keys().copied().collect::<Vec<_>>().join(", ")
    }

    /// When a payment asked for at `now` can be paid no more.
    pub(crate) fn expiry(&self, now: Timestamp) -> Timestamp {
        now.plus(self.life)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// One after the other for one payment.
    async fn turn(&self, payment_no: &str) -> Option<MutexGuard<'_, ()>> {
        let mut hasher = DefaultHasher::new();
        payment_no.hash(&mut hasher);
        let locks = u64::try_from(self.locks.len()).unwrap_or(1).max(1);
        let lock = usize::try_from(hasher.finish() % locks).ok().and_then(|index| self.locks.get(index))?;
        Some(lock.lock().await)
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), Problem> {
        match self.money.commit(Commit { writes }).await {
            CommitOutcome::Applied => Ok(()),
            CommitOutcome::Conflict(conflict) => Err(conflict.into()),
            CommitOutcome::Unavailable(why) | CommitOutcome::Unknown(why) => {
                Err(Problem::new(Code::StoreUnavailable, why))
            }
        }
    }
}

/// The user in whose name the hub acts by itself.
fn hub_user() -> Result<UserId, Problem> {
    UserId::parse(HUB).map_err(|error| {
        tracing::error!(%error, "the hub has no name");
        Problem::new(Code::Internal, "")
    })
}

/// A row of the audit trail about what the hub did by itself.
fn hub_row(at: Timestamp, action: &str, target: &str, detail: &serde_json::Value) -> Result<AuditRow, Problem> {
    Ok(AuditRow {
        at,
        actor: hub_user()?,
        role: "hub".to_owned(),
        action: action.to_owned(),
        target: target.to_owned(),
        detail: detail.to_string(),
        address: None,
    })
}
