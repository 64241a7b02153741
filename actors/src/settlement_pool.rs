//! The settlement actors as a whole: which account has which, and who replaces one that fails.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc, Weak,
        atomic::{AtomicU32, Ordering},
    },
};

use domain::{Timestamp, UserId};
use parking_lot::Mutex;
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use settlement::settle::MoneyRules;
use store::money::{Commit, Money, Payment};
use tokio::sync::oneshot;

use crate::{
    api::{MoveMoney, Moved, Reviewer},
    limits, metric,
    settlement_actor::{JobError, OrderJob, SettleMsg, Settled, SettlementActor, SettlementArgs},
};

/// One shard's place: who works there now, and how much waits.
#[derive(Debug)]
struct Place {
    actor: Mutex<ActorRef<SettleMsg>>,
    depth: Arc<AtomicU32>,
}

/// The settlement actors, by account.
#[derive(Debug)]
pub(crate) struct SettlementPool {
    places: Vec<Place>,
    money: Arc<dyn Money>,
    rules: MoneyRules,
    reviewer: Arc<dyn Reviewer>,
}

impl SettlementPool {
    /// Spawns them on the runtime this is called from, under a supervisor that replaces those that fail.
    pub(crate) async fn spawn(
        money: Arc<dyn Money>,
        rules: MoneyRules,
        reviewer: Arc<dyn Reviewer>,
    ) -> Result<Arc<Self>, ractor::SpawnErr> {
        let (supervisor, _) = Actor::spawn(None, SettlementSupervisor, ()).await?;
        let mut places = Vec::with_capacity(limits::SETTLEMENT_SHARDS);
        for _ in 0..limits::SETTLEMENT_SHARDS {
            let depth = Arc::new(AtomicU32::new(0));
            let args = SettlementArgs {
                money: Arc::clone(&money),
                rules: rules.clone(),
                reviewer: Arc::clone(&reviewer),
                depth: Arc::clone(&depth),
            };
            let (actor, _) = Actor::spawn_linked(None, SettlementActor, args, supervisor.get_cell()).await?;
            places.push(Place { actor: Mutex::new(actor), depth });
        }
        let pool = Arc::new(Self { places, money, rules, reviewer });
        supervisor.cast(Arc::downgrade(&pool)).map_err(|error| ractor::SpawnErr::StartupFailed(error.into()))?;
        Ok(pool)
    }

    /// Puts a new actor in the place of one that failed; it begins with nothing remembered. Jobs that were waiting
    /// are answered as interrupted, which their callers treat as an unknown outcome.
    async fn replace(&self, failed: ractor::ActorId, supervisor: ractor::ActorCell) -> Result<(), ractor::SpawnErr> {
        for place in &self.places {
            if place.actor.lock().get_id() != failed {
                continue;
            }
            place.depth.store(0, Ordering::Relaxed);
            let depth = Arc::clone(&place.depth);
            let args = SettlementArgs {
                money: Arc::clone(&self.money),
                rules: self.rules.clone(),
                reviewer: Arc::clone(&self.reviewer),
                depth,
            };
            let (actor, _) = Actor::spawn_linked(None, SettlementActor, args, supervisor.clone()).await?;
            *place.actor.lock() = actor;
        }
        Ok(())
    }

    /// Does a step of an order.
    pub(crate) async fn order(&self, job: OrderJob) -> Result<Settled, JobError> {
        let user = job.user_id.clone();
        self.ask(&user, |reply| SettleMsg::Order(Box::new(job), reply)).await
    }

    /// Credits a payment once.
    pub(crate) async fn credit(&self, payment: Payment, now: Timestamp) -> Result<bool, JobError> {
        let user = payment.user_id.clone();
        self.ask(&user, |reply| SettleMsg::Credit(Box::new(payment), now, reply)).await
    }

    /// Moves money by one operation that no order is told of.
    pub(crate) async fn move_money(&self, ask: MoveMoney, now: Timestamp) -> Result<Moved, JobError> {
        let user = ask.user_id.clone();
        self.ask(&user, |reply| SettleMsg::Move(Box::new(ask), now, reply)).await
    }

    /// Writes facts in turn with the account's money.
    pub(crate) async fn write(&self, user: &UserId, commit: Commit) -> Result<(), JobError> {
        self.ask(user, |reply| SettleMsg::Write(commit, reply)).await
    }

    /// How many messages wait for those actors for which the most do, deepest first.
    pub(crate) fn depths(&self) -> Vec<u32> {
        let depths = self.places.iter().map(|place| place.depth.load(Ordering::Relaxed));
        let mut depths: Vec<u32> = depths.filter(|depth| *depth > 0).collect();
        depths.sort_unstable_by(|one, other| other.cmp(one));
        depths.truncate(limits::TOP_LEN_MAX);
        depths
    }

    /// Lets every actor finish what it has.
    pub(crate) fn drain(&self) {
        for place in &self.places {
            if let Err(error) = place.actor.lock().drain() {
                tracing::debug!(%error, "settlement actor is gone already");
            }
        }
    }

    async fn ask<T>(
        &self,
        user: &UserId,
        msg: impl FnOnce(oneshot::Sender<Result<T, JobError>>) -> SettleMsg,
    ) -> Result<T, JobError> {
        let mut hasher = DefaultHasher::new();
        user.hash(&mut hasher);
        let shards = u64::try_from(self.places.len()).unwrap_or(1).max(1);
        let shard = usize::try_from(hasher.finish() % shards).unwrap_or(0);
        let place = self.places.get(shard).ok_or_else(|| JobError::Away("no settlement actors".to_owned()))?;
        let Place { actor, depth } = place;
        if depth.load(Ordering::Relaxed) >= limits::SETTLEMENT_QUEUE_LEN_MAX {
            return Err(JobError::Away("too many settlements are waiting".to_owned()));
        }
        depth.fetch_add(1, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        let actor = actor.lock().clone();
        if actor.cast(msg(reply)).is_err() {
            depth.fetch_sub(1, Ordering::Relaxed);
            return Err(JobError::Away("the hub is stopping".to_owned()));
        }
        answer.await.unwrap_or_else(|_| Err(JobError::Away("the settlement was interrupted".to_owned())))
    }
}

/// Replaces settlement actors that fail. Its only message is the pool, once.
struct SettlementSupervisor;

impl Actor for SettlementSupervisor {
    type Msg = Weak<SettlementPool>;
    type State = Weak<SettlementPool>;
    type Arguments = ();

    async fn pre_start(&self, _me: ActorRef<Self::Msg>, (): ()) -> Result<Self::State, ActorProcessingErr> {
        Ok(Weak::new())
    }

    async fn handle(
        &self,
        _me: ActorRef<Self::Msg>,
        pool: Self::Msg,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        *state = pool;
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        me: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        pool: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        if let (SupervisionEvent::ActorFailed(who, why), Some(pool)) = (event, pool.upgrade()) {
            metrics::counter!(metric::RESTARTS, "kind" => "settlement").increment(1);
            tracing::warn!(actor = %who.get_id(), %why, "settlement actor failed, replacing it");
            if let Err(error) = pool.replace(who.get_id(), me.get_cell()).await {
                tracing::error!(%error, "settlement actor cannot be replaced");
            }
        }
        Ok(())
    }
}
