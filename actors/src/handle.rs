//! The one way into the actors from outside: frames from the gate, calls from HTTP, views for everybody.

use std::sync::{Arc, atomic::Ordering};

use domain::{AckToken, Fen, Millis, OrderNo, PileCode, PileNo, UserId, wire};
use ractor::Actor;
use settlement::{
    order::{NewOrder, Order, OrderStatus},
    settle::MoneyRules,
};
use store::{
    money::{Alarm, AlarmState, CommandRow, CommandState, Commit, OnceRow, Payment, StoreError, Write},
    registry::{AuditRow, PileState},
    telemetry::Quarantined,
};
use tokio::sync::oneshot;

use crate::{
    api::{AskCommand, MoveMoney, Moved, Once, Ports, Refusal, StartOrder, StopBy, Timing, Up},
    core::Core,
    jobs::Job,
    limits, metric,
    pile_actor::PileMsg,
    settlement_actor::{JobError, OrderJob},
    settlement_pool::SettlementPool,
    slot::Slot,
    supervisor::PileSupervisor,
    sweeper,
};

/// How long a command of a person waits for its pile.
const COMMAND_LIFE: Millis = Millis::from_secs(60);

/// The actors, from outside. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(crate) core: Arc<Core>,
}

impl Handle {
    /// Loads the registry, starts the supervisors and the sweeper, and revives every order that was open.
    ///
    /// Actors of piles and sessions live on `hot`; settlement actors on the runtime this is called from.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read, or the actors cannot be started.
    pub async fn start(
        ports: Ports,
        timing: Timing,
        rules: MoneyRules,
        hot: tokio::runtime::Handle,
    ) -> Result<Self, StoreError> {
        let money = Arc::clone(&ports.money);
        let failed = |error: ractor::SpawnErr| StoreError::Unavailable(format!("actors cannot be started: {error}"));
        let reviewer = Arc::clone(&ports.reviewer);
        let settlement = SettlementPool::spawn(Arc::clone(&money), rules, reviewer).await.map_err(failed)?;
        let alarms = money.open_alarms().await?;
        let core = Arc::new(Core::new(ports, timing, settlement, alarms, hot.clone()));
        for station in money.stations().await? {
            core.add_station(station);
        }
        for tariff in money.tariffs(None).await? {
            core.add_tariff(tariff);
        }
        for (pile, state) in money.piles().await? {
            core.add_pile(pile, state);
        }
        let handle = Self { core: Arc::clone(&core) };
        let on_hot = Arc::clone(&core);
        hot.spawn(async move {
            for _ in 0..limits::PILE_SHARDS {
                let (supervisor, _) = Actor::spawn(None, PileSupervisor, Arc::clone(&on_hot)).await?;
                on_hot.supervisors.write().push(supervisor.get_cell());
            }
            Ok(())
        })
        .await
        .map_err(|error| StoreError::Unavailable(error.to_string()))?
        .map_err(failed)?;
        handle.recover().await?;
        drop(hot.spawn(sweeper::sweep(core)));
        Ok(handle)
    }

    /// Finishes what a crash interrupted, then wakes the piles that have open orders and commands.
    async fn recover(&self) -> Result<(), StoreError> {
        let money = &self.core.ports.money;
        let mut piles = std::collections::BTreeSet::new();
        for order in money.open_orders().await? {
            let order = match self.job(&order, Job::Resume, vec![], None).await {
                Ok(resumed) => resumed,
                Err(error) => {
                    tracing::warn!(order = %order.order_no, %error, "open order cannot be resumed");
                    order
                }
            };
            if order.status.is_over() || order.status == OrderStatus::Held {
                continue;
            }
            if let Some(slot) = self.core.slot(order.pile_no) {
                slot.note_order(&order.order_no, true);
                piles.insert(order.pile_no);
            }
        }
        for no in &piles {
            if let Some(slot) = self.core.slot(*no)
                && self.core.tell(&slot, PileMsg::Tick).is_err()
            {
                tracing::warn!(pile = %slot.facts.pile_code, "pile with open orders cannot be woken");
            }
        }
        for row in money.open_commands().await? {
            // Commands of orders are sent by their sessions.
            if row.command.kind.order_no().is_none()
                && let Some(slot) = self.core.slot(row.pile_no)
            {
                let woken = self.core.tell(&slot, PileMsg::Command(Box::new(row)));
                tracing::debug!(?woken, "open command revived");
            }
        }
        tracing::info!(piles = piles.len(), "recovery done");
        Ok(())
    }

    // Frames and links ------------------------------------------------------------------------------------------

    /// Hands an understood frame to its pile's actor. `false`: nothing was taken, and nothing will be acknowledged.
    pub fn frame(&self, up: Up) -> bool {
        let Some(slot) = self.core.slot(up.pile_no) else { return false };
        let may_shed = up.token.is_none() && matches!(up.frame, wire::UpFrame::Heartbeat(_) | wire::UpFrame::Status(_));
        if may_shed && slot.depth.load(Ordering::Relaxed) >= limits::PILE_MAILBOX_LEN_MAX {
            self.core.shed.fetch_add(1, Ordering::Relaxed);
            metrics::counter!(metric::SHED).increment(1);
            return true;
        }
        self.core.tell(&slot, PileMsg::Frame(Box::new(up))).is_ok()
    }

    /// Keeps a frame that was not understood; acknowledged once it is durable [CONTRACT 1.6].
    pub fn quarantine(&self, pile_no: PileNo, frame: Quarantined, token: Option<AckToken>) {
        if let Some(slot) = self.core.slot(pile_no) {
            self.core.quarantine(&slot, frame, token);
        }
    }

    /// A connection of a pile was accepted.
    pub fn link_up(&self, pile_no: PileNo, epoch: u32) {
        let Some(slot) = self.core.slot(pile_no) else { return };
        slot.set_socket(Some(epoch));
        slot.set_last_seen(self.core.now());
        self.tell(&slot, PileMsg::LinkUp(epoch));
    }

    /// A connection of a pile ended; one that was taken over changes nothing.
    pub fn link_down(&self, pile_no: PileNo, epoch: u32) {
        let Some(slot) = self.core.slot(pile_no) else { return };
        if slot.socket() == Some(epoch) {
            slot.set_socket(None);
        }
        self.tell(&slot, PileMsg::LinkDown(epoch));
    }

    /// Whether frames may come: `false` stops the reading of sockets.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.core.inflight.load(Ordering::Relaxed) < limits::INFLIGHT_MAX
    }

    // Orders ----------------------------------------------------------------------------------------------------

    /// Starts a charge: claims the gun, stores the order and sets the money aside, sends the start command.
    ///
    /// # Errors
    /// [`Refusal`]; nothing is left behind then.
    pub async fn start_order(&self, ask: StartOrder) -> Result<Order, Refusal> {
        let slot = self.slot_of(&ask.pile_code)?;
        let connector = ask.connector_id;
        if connector.0 == 0 || connector.0 > slot.facts.connectors {
            let connectors = slot.facts.connectors;
            return Err(Refusal::NoSuchConnector { pile: ask.pile_code, connectors, connector });
        }
        let now = self.core.now();
        let station_id = slot.facts.station_id.clone();
        let tariff = self.core.tariff_at(&station_id, now).ok_or(Refusal::NoTariff(station_id))?;
        let order_no = self.core.order_numbers.lock().next(now);
        let order_no = order_no.ok_or_else(|| Refusal::StoreUnavailable("no order number".to_owned()))?;
        let (reply, claimed) = oneshot::channel();
        self.tell_pile(&slot, PileMsg::Claim { connector, order_no: order_no.clone(), reply })?;
        claimed.await.unwrap_or_else(|_| Err(interrupted()))?;
        let order = Order::new(NewOrder {
            order_no: order_no.clone(),
            user_id: ask.user_id,
            pile_code: ask.pile_code,
            pile_no: slot.no(),
            station_id: slot.facts.station_id.clone(),
            connector_id: connector,
            limit: ask.limit,
            pay_mode: ask.pay_mode,
            tariff_id: tariff.tariff_id.clone(),
            tariff_version: tariff.version,
            created_at: now,
        });
        match self.job(&order, Job::Place(Box::new(order.clone())), vec![], ask.once).await {
            Ok(order) => {
                store::failpoint::hit("order.placed");
                self.core.ports.audience.order_changed(&order, self.core.link_of(&slot));
                self.tell_pile(&slot, PileMsg::Begin(Box::new(order.clone())))?;
                Ok(order)
            }
            Err(error) => {
                self.tell(&slot, PileMsg::Release { connector, order_no });
                Err(error.into())
            }
        }
    }

    /// Asks for the end of a charge. Asking again changes nothing.
    ///
    /// # Errors
    /// [`Refusal`] when there is no such order, it is over, or the store is away.
    pub async fn stop_order(&self, order_no: &OrderNo, by: StopBy, once: Option<Once>) -> Result<Order, Refusal> {
        let order = self.order(order_no).await?;
        if order.status.is_over() || order.status == OrderStatus::Held {
            // Changes nothing, and is kept in the order's history as IGNORED.
            self.job(&order, Job::Stop { by, online: true }, vec![], None).await?;
            return Err(Refusal::IllegalState(format!("order {order_no} is over")));
        }
        let slot = self.core.slot(order.pile_no).ok_or_else(|| Refusal::PileNotFound(order.pile_code.clone()))?;
        let (reply, answer) = oneshot::channel();
        self.tell_pile(&slot, PileMsg::Stop { order_no: order_no.clone(), by, once, reply })?;
        answer.await.unwrap_or_else(|_| Err(interrupted()))
    }

    /// Repays a debt from the available balance; all of it without an amount.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn repay(&self, order_no: &OrderNo, amount: Option<Fen>, once: Option<Once>) -> Result<Order, Refusal> {
        let order = self.order(order_no).await?;
        let request = once.as_ref().map_or_else(|| order.rev.to_string(), |once| once.key.clone());
        self.money_job(&order, Job::Repay { amount, request }, vec![], once).await
    }

    /// Repays a part of a debt from the available balance, once per `request`; a top-up names its repayments so.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn repay_by_request(&self, order_no: &OrderNo, amount: Fen, request: String) -> Result<Order, Refusal> {
        let order = self.order(order_no).await?;
        self.money_job(&order, Job::Repay { amount: Some(amount), request }, vec![], None).await
    }

    /// A person approves a held bill: the money moves.
    ///
    /// # Errors
    /// [`Refusal`]; [`Refusal::IllegalState`] when it is not held, decided bills among them.
    pub async fn approve(&self, order_no: &OrderNo, audit: AuditRow, once: Option<Once>) -> Result<Order, Refusal> {
        let order = self.held(order_no).await?;
        let by = audit.actor.clone();
        self.money_job(&order, Job::Approve { by }, vec![Write::Audit(Box::new(audit))], once).await
    }

    /// A person rejects a held bill: everything is released.
    ///
    /// # Errors
    /// As [`Self::approve`].
    pub async fn reject(&self, order_no: &OrderNo, audit: AuditRow, once: Option<Once>) -> Result<Order, Refusal> {
        let order = self.held(order_no).await?;
        let by = audit.actor.clone();
        self.money_job(&order, Job::Reject { by }, vec![Write::Audit(Box::new(audit))], once).await
    }

    /// Credits a payment exactly once; `false` when it was credited before.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn credit(&self, mut payment: Payment, transaction_id: String) -> Result<bool, Refusal> {
        payment.transaction_id = Some(transaction_id);
        Ok(self.core.settlement.credit(payment, self.core.now()).await?)
    }

    /// Credits an approved adjustment of an order as an after-sales refund, once; `with` is written in the same commit.
    ///
    /// # Errors
    /// [`Refusal::Validation`] when more would be given back than was paid.
    pub async fn refund_order(
        &self,
        order_no: &OrderNo,
        adjustment_id: &str,
        amount: Fen,
        with: Vec<Write>,
    ) -> Result<Order, Refusal> {
        let order = self.order(order_no).await?;
        let job = Job::Refund { adjustment_id: adjustment_id.to_owned(), amount };
        self.money_job(&order, job, with, None).await
    }

    /// Gives a debt up, once; `with` is written in the same commit.
    ///
    /// # Errors
    /// [`Refusal`]: nothing is owed, or less.
    pub async fn write_off(
        &self,
        order_no: &OrderNo,
        write_off_id: &str,
        amount: Fen,
        with: Vec<Write>,
    ) -> Result<Order, Refusal> {
        let order = self.order(order_no).await?;
        let job = Job::WriteOff { write_off_id: write_off_id.to_owned(), amount };
        self.money_job(&order, job, with, None).await
    }

    /// Moves money by one operation that no order is told of; one that was done before moves nothing, but what belongs to
    /// it is written.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn move_money(&self, ask: MoveMoney) -> Result<Moved, Refusal> {
        Ok(self.core.settlement.move_money(ask, self.core.now()).await?)
    }

    /// Stores facts in turn with an account's money (blacklist).
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn write_for(&self, user: &UserId, commit: Commit) -> Result<(), Refusal> {
        Ok(self.core.settlement.write(user, commit).await?)
    }

    // Piles -----------------------------------------------------------------------------------------------------

    /// Stores a command and sends it; it waits for a pile that is away until it expires.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn ask_command(&self, ask: AskCommand) -> Result<CommandRow, Refusal> {
        let slot = self.slot_of(&ask.pile_code)?;
        if slot.commands.load(Ordering::Relaxed) >= domain::limits::COMMANDS_PER_PILE_MAX {
            return Err(Refusal::TooManyCommands(ask.pile_code));
        }
        let now = self.core.now();
        let command = domain::command::Command {
            command_id: ask.command_id,
            kind: ask.kind,
            expires_at: Some(now.plus(COMMAND_LIFE)),
        };
        let row = CommandRow {
            command,
            pile_no: slot.no(),
            pile_code: ask.pile_code,
            state: CommandState::Queued,
            actor: ask.actor,
            created_at: now,
            sent_at: None,
            tries: 0,
            done_at: None,
            answer: None,
        };
        let mut writes = vec![Write::Command(Box::new(row.clone()))];
        writes.extend(ask.once.map(|once| Write::Once(Box::new(once))));
        self.commit(Commit { writes }).await?;
        self.tell_pile(&slot, PileMsg::Command(Box::new(row.clone())))?;
        Ok(row)
    }

    /// Takes a pile out of service (with a reason) or puts it back.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn set_maintenance(
        &self,
        code: &PileCode,
        reason: Option<String>,
        audit: AuditRow,
        once: Option<OnceRow>,
    ) -> Result<(), Refusal> {
        let slot = self.slot_of(code)?;
        let state = PileState { maintenance: reason.clone(), ..slot.durable.lock().clone() };
        let mut writes = vec![Write::PileState(slot.no(), state), Write::Audit(Box::new(audit))];
        writes.extend(once.map(|once| Write::Once(Box::new(once))));
        self.commit(Commit { writes }).await?;
        slot.durable.lock().maintenance.clone_from(&reason);
        self.tell_pile(&slot, PileMsg::Maintenance(reason))
    }

    /// Feeds a quarantined frame to its pile's actor once more.
    ///
    /// # Errors
    /// [`Refusal::Validation`] when it is still not understood.
    pub async fn replay(&self, frame: Quarantined) -> Result<(), Refusal> {
        let slot = self.slot_of(&frame.pile_code)?;
        let not = |why: String| Refusal::Validation(why);
        let (_, topic) = wire::UpTopic::parse(&frame.topic).map_err(|error| not(error.to_string()))?;
        let parsed =
            wire::parse(topic, frame.pile_code.as_str(), &frame.payload).map_err(|error| not(error.to_string()))?;
        let raw = frame.payload.into_boxed_slice();
        let up = Up { pile_no: slot.no(), received: frame.received, frame: parsed, topic, raw, token: None };
        let (reply, answer) = oneshot::channel();
        self.tell_pile(&slot, PileMsg::Replay(Box::new(up), reply))?;
        answer.await.unwrap_or_else(|_| Err(interrupted()))?;
        let now = self.core.now();
        self.core.ports.telemetry.mark_replayed(frame.quarantine_id, now).await.map_err(away)
    }

    /// A person has looked at an alarm.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn ack_alarm(&self, alarm_id: &str, audit: AuditRow) -> Result<Alarm, Refusal> {
        let alarm = self.core.ports.money.alarm(alarm_id).await.map_err(away)?;
        let mut alarm = alarm.ok_or_else(|| Refusal::AlarmNotFound(alarm_id.to_owned()))?;
        if alarm.state != AlarmState::Raised {
            return Ok(alarm);
        }
        alarm.state = AlarmState::Acked;
        alarm.updated_at = self.core.now();
        let writes = vec![Write::Alarm(Box::new(alarm.clone())), Write::Audit(Box::new(audit))];
        self.keep_alarm(&alarm, writes).await?;
        Ok(alarm)
    }

    /// Lets the settlement actors finish what they have. Piles and sessions need no farewell: what matters is stored.
    pub async fn stop(&self) {
        self.core.settlement.drain();
        if let Err(error) = self.core.ports.telemetry.flush().await {
            tracing::warn!(%error, "telemetry could not be flushed");
        }
    }

    // Helpers ---------------------------------------------------------------------------------------------------

    fn slot_of(&self, code: &PileCode) -> Result<Arc<Slot>, Refusal> {
        self.core.slot_by_code(code).ok_or_else(|| Refusal::PileNotFound(code.clone()))
    }

    async fn order(&self, order_no: &OrderNo) -> Result<Order, Refusal> {
        let order = self.core.ports.money.order(order_no).await.map_err(away)?;
        order.ok_or_else(|| Refusal::OrderNotFound(order_no.clone()))
    }

    /// An order whose bill waits for a person. A bill that is just about to be held may be decided too: the step itself
    /// looks again, in turn with the account's other steps.
    async fn held(&self, order_no: &OrderNo) -> Result<Order, Refusal> {
        let order = self.order(order_no).await?;
        match order.status {
            OrderStatus::Held | OrderStatus::Settling => Ok(order),
            OrderStatus::Placed
            | OrderStatus::Starting
            | OrderStatus::Charging
            | OrderStatus::Stopping
            | OrderStatus::Closed
            | OrderStatus::ExceptionClosed
            | OrderStatus::StartFailed
            | OrderStatus::Canceled => Err(Refusal::IllegalState(format!("order {order_no} is not held"))),
        }
    }

    async fn job(&self, order: &Order, job: Job, with: Vec<Write>, once: Option<Once>) -> Result<Order, JobError> {
        let job = OrderJob {
            user_id: order.user_id.clone(),
            order_no: order.order_no.clone(),
            job,
            once,
            with,
            now: self.core.now(),
        };
        Ok(self.core.settlement.order(job).await?.order)
    }

    /// A step that is about money alone; phones hear of it.
    async fn money_job(&self, order: &Order, job: Job, with: Vec<Write>, once: Option<Once>) -> Result<Order, Refusal> {
        let order = self.job(order, job, with, once).await?;
        self.core.ports.audience.order_changed(&order, self.link_of(order.pile_no));
        Ok(order)
    }

    pub(crate) async fn commit(&self, commit: Commit) -> Result<(), Refusal> {
        use store::money::{CommitOutcome, Conflict};
        match self.core.ports.money.commit(commit).await {
            CommitOutcome::Applied => Ok(()),
            CommitOutcome::Conflict(Conflict::OnceExists(row)) => Err(Refusal::OnceExists(row)),
            CommitOutcome::Conflict(conflict) => Err(Refusal::IllegalState(format!("{conflict:?}"))),
            CommitOutcome::Unavailable(why) | CommitOutcome::Unknown(why) => Err(Refusal::StoreUnavailable(why)),
        }
    }

    fn tell(&self, slot: &Arc<Slot>, msg: PileMsg) {
        if self.core.tell(slot, msg).is_err() {
            tracing::debug!(pile = %slot.facts.pile_code, "pile's actor is resting");
        }
    }

    fn tell_pile(&self, slot: &Arc<Slot>, msg: PileMsg) -> Result<(), Refusal> {
        self.core.tell(slot, msg).map_err(|_| Refusal::PileOffline(slot.facts.pile_code.clone()))
    }
}

fn away(error: StoreError) -> Refusal {
    Refusal::StoreUnavailable(error.to_string())
}

fn interrupted() -> Refusal {
    Refusal::StoreUnavailable("the pile's actor was interrupted, try again".to_owned())
}
