//! The only actors that commit money: one writer per account, because an account always has the same actor.
//!
//! An actor plans with the pure functions of `settlement::settle`, stores the plan in one commit, and answers only
//! when that is durable. It keeps the accounts and open orders it has seen; after anything but a clean commit it
//! forgets them and reads again, so an unknown outcome is resolved by what the store says, never by trying blindly.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use domain::{OrderNo, Timestamp, UserId};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use settlement::{
    ledger::{self, AccountState, LedgerError},
    order::Order,
    settle::{self, MoneyRules, Plan, SettleError},
};
use store::{
    cases::OutboxEvent,
    money::{Commit, CommitOutcome, Conflict, LedgerWrite, Money, OnceRow, Payment, PaymentState, StoreError, Write},
};
use tokio::sync::oneshot;

use crate::{
    api::{MoveMoney, Moved, Once, Refusal, Reviewer},
    jobs::{Job, Planned, World},
    limits, metric, notices,
};

/// What a job came to.
#[derive(Debug, Clone)]
pub(crate) struct Settled {
    /// The order as stored.
    pub(crate) order: Order,
    /// Whether the event changed it.
    pub(crate) applied: bool,
}

/// Why a job came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JobError {
    /// The rules do not allow it; trying again changes nothing.
    #[error("{0}")]
    Refused(Refusal),
    /// The store did not take it; try again later.
    #[error("the store is unavailable: {0}")]
    Away(String),
}

impl From<StoreError> for JobError {
    fn from(error: StoreError) -> Self {
        Self::Away(error.to_string())
    }
}

impl From<JobError> for Refusal {
    fn from(error: JobError) -> Self {
        match error {
            JobError::Refused(refusal) => refusal,
            JobError::Away(reason) => Self::StoreUnavailable(reason),
        }
    }
}

/// One order's step, with what must be stored in the same commit.
#[derive(Debug)]
pub(crate) struct OrderJob {
    pub(crate) user_id: UserId,
    pub(crate) order_no: OrderNo,
    pub(crate) job: Job,
    pub(crate) once: Option<Once>,
    /// Facts that belong to the step: the record, the command, the alarm, the audit row.
    pub(crate) with: Vec<Write>,
    pub(crate) now: Timestamp,
}

/// What settlement actors are asked.
#[derive(Debug)]
pub(crate) enum SettleMsg {
    /// A step of an order.
    Order(Box<OrderJob>, oneshot::Sender<Result<Settled, JobError>>),
    /// A payment arrived; answers whether it was credited now (or before).
    Credit(Box<Payment>, Timestamp, oneshot::Sender<Result<bool, JobError>>),
    /// Moves money by one operation, with what belongs to it.
    Move(Box<MoveMoney>, Timestamp, oneshot::Sender<Result<Moved, JobError>>),
    /// Set or lift a blacklist entry with its audit row; through here because it changes what the account may do.
    Write(Commit, oneshot::Sender<Result<(), JobError>>),
}

pub(crate) struct SettlementActor;

#[derive(Debug)]
pub(crate) struct SettlementArgs {
    pub(crate) money: Arc<dyn Money>,
    pub(crate) rules: MoneyRules,
    pub(crate) reviewer: Arc<dyn Reviewer>,
    pub(crate) depth: Arc<AtomicU32>,
}

pub(crate) struct Books {
    money: Arc<dyn Money>,
    rules: MoneyRules,
    reviewer: Arc<dyn Reviewer>,
    depth: Arc<AtomicU32>,
    accounts: HashMap<UserId, AccountState>,
    orders: HashMap<OrderNo, Order>,
}

impl Actor for SettlementActor {
    type Msg = SettleMsg;
    type State = Box<Books>;
    type Arguments = SettlementArgs;

    async fn pre_start(
        &self,
        _me: ActorRef<SettleMsg>,
        args: SettlementArgs,
    ) -> Result<Box<Books>, ActorProcessingErr> {
        Ok(Box::new(Books {
            money: args.money,
            rules: args.rules,
            reviewer: args.reviewer,
            depth: args.depth,
            accounts: HashMap::new(),
            orders: HashMap::new(),
        }))
    }

    async fn handle(
        &self,
        _me: ActorRef<SettleMsg>,
        msg: SettleMsg,
        books: &mut Box<Books>,
    ) -> Result<(), ActorProcessingErr> {
        let less = |n: u32| Some(n.saturating_sub(1));
        let _ = books.depth.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        match msg {
            SettleMsg::Order(job, reply) => {
                let kind = job.job.kind();
                let result = Box::pin(books.order_job(*job)).await;
                let outcome = match &result {
                    Ok(settled) if settled.applied => "applied",
                    Ok(_) => "ignored",
                    Err(JobError::Refused(_)) => "refused",
                    Err(JobError::Away(_)) => "away",
                };
                metrics::counter!(metric::JOBS, "kind" => kind, "outcome" => outcome).increment(1);
                drop(reply.send(result));
            }
            SettleMsg::Credit(payment, now, reply) => {
                drop(reply.send(Box::pin(books.credit(*payment, now)).await));
            }
            SettleMsg::Move(ask, now, reply) => {
                drop(reply.send(Box::pin(books.move_money(*ask, now)).await));
            }
            SettleMsg::Write(commit, reply) => {
                let result = match books.money.commit(commit).await {
                    CommitOutcome::Applied => Ok(()),
                    CommitOutcome::Conflict(conflict) => Err(conflicting(conflict)),
                    CommitOutcome::Unavailable(why) | CommitOutcome::Unknown(why) => Err(JobError::Away(why)),
                };
                drop(reply.send(result));
            }
        }
        Ok(())
    }
}

impl Books {
    async fn order_job(&mut self, mut job: OrderJob) -> Result<Settled, JobError> {
        if self.orders.len() > limits::SETTLEMENT_CACHE_LEN_MAX
            || self.accounts.len() > limits::SETTLEMENT_CACHE_LEN_MAX
        {
            self.forget_all();
        }
        let mut answer: Option<OnceRow> = None;
        // A conflict means that what was cached was old, or that an earlier try has landed: look again, once.
        for _ in 0..2 {
            let account = self.account(&job.user_id).await?;
            let order =
                if let Job::Place(new) = &job.job { (**new).clone() } else { self.order(&job.order_no).await? };
            self.check_start(&job).await?;
            let planned = self.plan(&job, &order, &account).await?;
            let Planned::Plan(mut plan) = planned else {
                return Ok(Settled { order, applied: false });
            };
            let mut commit = Commit::of(std::mem::take(&mut plan.steps))?;
            commit.writes.extend(notices::of_step(&order, &plan.order, job.now));
            commit.writes.extend(job.with.iter().cloned());
            if let Some(once) = job.once.take() {
                answer = Some(once.row(&plan.order, job.now));
            }
            // It is the same for the same effect, also when that takes a second try.
            commit.writes.extend(answer.iter().map(|row| Write::Once(Box::new(row.clone()))));
            match self.money.commit(commit).await {
                CommitOutcome::Applied => return Ok(self.remember(*plan)),
                CommitOutcome::Conflict(Conflict::OnceExists(row)) => {
                    return Err(JobError::Refused(Refusal::OnceExists(row)));
                }
                CommitOutcome::Conflict(conflict) => {
                    tracing::debug!(?conflict, order = %job.order_no, "conflict, reading again");
                    self.forget(&job.user_id, &job.order_no);
                }
                CommitOutcome::Unknown(why) => return self.resolve(&job, *plan, &why).await,
                CommitOutcome::Unavailable(why) => {
                    self.forget(&job.user_id, &job.order_no);
                    return Err(JobError::Away(why));
                }
            }
        }
        Err(JobError::Away("the order was changed by somebody else".to_owned()))
    }

    /// The commit may have landed: the store's word decides.
    async fn resolve(&mut self, job: &OrderJob, plan: Plan, why: &str) -> Result<Settled, JobError> {
        tracing::warn!(order = %job.order_no, why, "unknown outcome of a commit, reading back");
        self.forget(&job.user_id, &job.order_no);
        match self.money.order(&job.order_no).await? {
            Some(stored) if stored.rev >= plan.order.rev => Ok(Settled { order: stored, applied: true }),
            Some(_) | None => Err(JobError::Away(why.to_owned())),
        }
    }

    async fn plan(&self, job: &OrderJob, order: &Order, account: &AccountState) -> Result<Planned, JobError> {
        let done = match job.job.marker(order) {
            Some(op) => self.money.op_result(&job.user_id, &op).await?.is_some(),
            None => false,
        };
        let world = World { rules: &self.rules, reviewer: self.reviewer.as_ref() };
        job.job.plan(order, account, world, done, job.now).map_err(JobError::Refused)
    }

    /// Before an order is placed: the driver must be welcome.
    async fn check_start(&self, job: &OrderJob) -> Result<(), JobError> {
        if !matches!(job.job, Job::Place(_)) {
            return Ok(());
        }
        match self.money.blacklisted(&job.user_id).await? {
            Some(entry) if entry.holds_at(job.now) => Err(JobError::Refused(Refusal::Blacklisted(entry.reason))),
            Some(_) | None => Ok(()),
        }
    }

    async fn credit(&mut self, mut payment: Payment, now: Timestamp) -> Result<bool, JobError> {
        self.accounts.remove(&payment.user_id);
        let account = self.account(&payment.user_id).await?;
        let change = settle::top_up(&account, &payment.payment_no, payment.amount_fen, now)
            .map_err(|error| JobError::Refused(refusal_of_ledger(&error)))?;
        // Money that is there counts, even after the payment failed or was closed.
        let was = payment.state;
        payment.state = PaymentState::Success;
        payment.paid_at = Some(now);
        let credited = credited(&payment, now);
        let user = payment.user_id.clone();
        let next = change.next.clone();
        let commit = Commit {
            writes: vec![
                Write::Payment(Box::new(payment), Some(was)),
                Write::Ledger(Box::new(LedgerWrite::of(change)?)),
                Write::Outbox(Box::new(credited)),
            ],
        };
        match self.money.commit(commit).await {
            CommitOutcome::Applied => {
                self.accounts.insert(user, next);
                Ok(true)
            }
            // Credited before, by an earlier copy of the callback.
            CommitOutcome::Conflict(Conflict::PaymentState(_) | Conflict::OpDone { .. }) => Ok(false),
            CommitOutcome::Conflict(conflict) => Err(conflicting(conflict)),
            // Unknown: the next copy of the callback finds out.
            CommitOutcome::Unavailable(why) | CommitOutcome::Unknown(why) => Err(JobError::Away(why)),
        }
    }

    /// One operation of an account that no order is told of. One that was done before moves nothing, but what belongs to
    /// it is written: a crash may have cut it off.
    async fn move_money(&mut self, ask: MoveMoney, now: Timestamp) -> Result<Moved, JobError> {
        let MoveMoney { user_id, op, with, once } = ask;
        // What is cached may be older than an operation whose outcome was unknown.
        self.accounts.remove(&user_id);
        let account = self.account(&user_id).await?;
        let name = op.name();
        let done = self.money.op_result(&user_id, &name).await?;
        let repeated = done.is_some();
        let (result, next, mut writes) = match done {
            Some(stored) => (serde_json::from_str(&stored).map_err(corrupt)?, account, Vec::new()),
            None => {
                let change =
                    ledger::apply(&account, &op, now).map_err(|error| JobError::Refused(refusal_of_ledger(&error)))?;
                let (result, next) = (change.result, change.next.clone());
                (result, next, vec![Write::Ledger(Box::new(LedgerWrite::of(change)?))])
            }
        };
        writes.extend(with);
        writes.extend(once.map(|once| Write::Once(Box::new(once))));
        if writes.is_empty() {
            return Ok(Moved { result, repeated, account: next });
        }
        match self.money.commit(Commit { writes }).await {
            CommitOutcome::Applied => {
                self.accounts.insert(user_id, next.clone());
                Ok(Moved { result, repeated, account: next })
            }
            CommitOutcome::Conflict(conflict) => {
                self.accounts.remove(&user_id);
                Err(conflicting(conflict))
            }
            // Unknown: whoever asks again finds the operation done, or not.
            CommitOutcome::Unavailable(why) | CommitOutcome::Unknown(why) => {
                self.accounts.remove(&user_id);
                Err(JobError::Away(why))
            }
        }
    }

    async fn account(&mut self, user: &UserId) -> Result<AccountState, JobError> {
        if let Some(account) = self.accounts.get(user) {
            return Ok(account.clone());
        }
        let account = self.money.account(user).await?.unwrap_or_else(|| AccountState::new(user.clone()));
        self.accounts.insert(user.clone(), account.clone());
        Ok(account)
    }

    async fn order(&mut self, order_no: &OrderNo) -> Result<Order, JobError> {
        if let Some(order) = self.orders.get(order_no) {
            return Ok(order.clone());
        }
        let order = self.money.order(order_no).await?;
        order.ok_or_else(|| JobError::Refused(Refusal::OrderNotFound(order_no.clone())))
    }

    fn remember(&mut self, plan: Plan) -> Settled {
        self.accounts.insert(plan.account.user_id.clone(), plan.account);
        if !plan.order.status.is_over() {
            self.orders.insert(plan.order.order_no.clone(), plan.order.clone());
        } else {
            self.orders.remove(&plan.order.order_no);
        }
        Settled { order: plan.order, applied: plan.outcome == settlement::order::Outcome::Applied }
    }

    fn forget(&mut self, user: &UserId, order_no: &OrderNo) {
        self.accounts.remove(user);
        self.orders.remove(order_no);
    }

    fn forget_all(&mut self) {
        self.accounts.clear();
        self.orders.clear();
    }
}

/// The event that tells other systems of a credited payment.
fn credited(payment: &Payment, now: Timestamp) -> OutboxEvent {
    let data = serde_json::json!({
        "paymentNo": payment.payment_no, "amountFen": payment.amount_fen, "channel": payment.channel,
    });
    OutboxEvent {
        event_id: format!("payment.credited:{}", payment.payment_no),
        name: "payment.credited".to_owned(),
        at: now,
        subject: payment.user_id.to_string(),
        data: data.to_string(),
    }
}

fn corrupt(error: serde_json::Error) -> JobError {
    JobError::Away(format!("the stored result of an operation is unreadable: {error}"))
}

fn conflicting(conflict: Conflict) -> JobError {
    JobError::Refused(match conflict {
        Conflict::OnceExists(row) => Refusal::OnceExists(row),
        Conflict::OrderExists(_)
        | Conflict::OrderRev(_)
        | Conflict::OpDone { .. }
        | Conflict::AccountVersion(_)
        | Conflict::PaymentState(_)
        | Conflict::CaseRev(..)
        | Conflict::PileExists(_)
        | Conflict::IntegrationExists(_)
        | Conflict::RotationRuns(_)
        | Conflict::TariffPublished(_)
        | Conflict::Malformed(_) => Refusal::IllegalState(format!("{conflict:?}")),
    })
}

/// The ledger's no in the words of the API.
pub(crate) fn refusal_of_ledger(error: &LedgerError) -> Refusal {
    match error {
        LedgerError::InsufficientBalance { available, needed } => {
            Refusal::InsufficientBalance { available: *available, required: *needed }
        }
        LedgerError::OpenDebt { debt, .. } => Refusal::OpenDebt(*debt),
        LedgerError::LimitBelowMinimum { .. }
        | LedgerError::NotPositive(_)
        | LedgerError::NegativeFee(_)
        | LedgerError::MoreThanDebt { .. }
        | LedgerError::Overflow => Refusal::Validation(error.to_string()),
        LedgerError::HoldExists(_)
        | LedgerError::NoHold(_)
        | LedgerError::NoDebt(_)
        | LedgerError::InTransit(_)
        | LedgerError::NotInTransit(_)
        | LedgerError::NotSuspense(_) => Refusal::IllegalState(error.to_string()),
    }
}

/// The planner's no in the words of the API.
pub(crate) fn refusal_of_plan(error: &SettleError) -> Refusal {
    match error {
        SettleError::Ledger(ledger) => refusal_of_ledger(ledger),
        SettleError::MoreThanPaid { .. } => Refusal::Validation(error.to_string()),
        SettleError::Interrupted { .. } => Refusal::IllegalState(error.to_string()),
        SettleError::WrongAccount { order_no, .. } => Refusal::OrderNotFound(order_no.clone()),
    }
}
