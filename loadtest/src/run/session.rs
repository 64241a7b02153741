//! One driver's session against a hub: pays in, plugs in, starts, watches, stops, and notes everything for the judge.

use std::sync::Arc;

use domain::{ConnectorId, Millis, OrderNo, StopReason};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{Duration, Instant},
};

use super::plan::{Ending, SessionPlan};
use crate::{
    api::{Api, ApiError, Caller, Order, OrderLimit, Placed, Wallet},
    client::{
        agent::PileHandle,
        probes::{Probes, Track},
    },
    limits,
    pace::Pace,
    phone::{self, PhoneLine, PhonePlan, PhoneReport},
    pile::Event,
    rng::Rng,
    token::Role,
};

const GUN: ConnectorId = ConnectorId(1);
/// A car that was plugged in a moment ago may not be known yet.
const START_PATIENCE: Duration = Duration::from_secs(20);

/// What all sessions of a run share.
#[derive(Debug, Clone)]
pub struct Scene {
    /// Seed of the run.
    pub seed: u64,
    /// The run's name.
    pub run_id: String,
    /// The hub.
    pub api: Api,
    /// Measurements and truths.
    pub probes: Arc<Probes>,
    /// The world's time.
    pub pace: Pace,
    /// When the load began.
    pub began: Instant,
    /// Bounds the calls in flight.
    pub http: Arc<Semaphore>,
    /// Turns true when everybody is to go home.
    pub stop: watch::Receiver<bool>,
}

/// What came of a session; the judge reads it.
#[derive(Debug, Clone, Default)]
pub struct Session {
    /// Which plan.
    pub index: usize,
    /// Who.
    pub driver: String,
    /// At which pile.
    pub pile_code: String,
    /// What happened, with times from the start of the load.
    pub timeline: Vec<String>,
    /// Money paid in, in order.
    pub top_ups: Vec<i64>,
    /// The order as it was placed, with the limit it was asked with.
    pub placed: Option<(OrderNo, i64)>,
    /// The order at its end.
    pub last: Option<Order>,
    /// The account at the end.
    pub wallet: Option<Wallet>,
    /// The debt was repaid after the bill.
    pub repaid: bool,
    /// Orders that the hub lists for this driver.
    pub orders: Option<Vec<String>>,
    /// What the phones saw.
    pub phones: Vec<PhoneReport>,
    /// What the hub did wrong on the way.
    pub findings: Vec<String>,
    /// The run was stopped before the session was over.
    pub interrupted: bool,
}

struct Driver<'a> {
    scene: &'a Scene,
    plan: &'a SessionPlan,
    pile: &'a PileHandle,
    caller: Caller,
    session: Session,
    track: Arc<Track>,
    phones: JoinSet<PhoneReport>,
}

/// Plays a session to its end.
pub async fn play(scene: &Scene, plan: &SessionPlan, pile: &PileHandle, pile_code: &str) -> Session {
    let driver = format!("{}d{}", scene.run_id, plan.index);
    let session =
        Session { index: plan.index, driver: driver.clone(), pile_code: pile_code.to_owned(), ..Session::default() };
    let caller = match scene.api.caller(Role::Driver, &driver) {
        Ok(caller) => caller,
        Err(error) => return Session { findings: vec![format!("{error:#}")], ..session },
    };
    let begin = scene.began.checked_add(real(plan.at)).unwrap_or(scene.began);
    let mut player = Driver { scene, plan, pile, caller, session, track: Arc::default(), phones: JoinSet::new() };
    if player.sleep_until(begin).await {
        player.play().await;
    }
    player.session.interrupted = *scene.stop.borrow();
    player.session
}

fn real(span: Millis) -> Duration {
    Duration::from_millis(u64::try_from(span.0).unwrap_or(0))
}

impl Driver<'_> {
    async fn play(&mut self) {
        let top_up = self.plan.top_up_fen;
        if !self.top_up("first", top_up).await {
            return;
        }
        self.pile.tell(Event::Plug { connector: GUN, car: self.plan.car }).await;
        self.note(format!("car plugged in at {}", self.session.pile_code));
        let limit = self.plan.limit;
        let Some(placed) = self.start(limit).await else { return };
        self.call_phones(&placed);
        self.end(&placed).await;
        self.collect(&placed).await;
        self.settle_debt(&placed).await;
        self.pile.tell(Event::ClearFault { connector: GUN }).await;
        self.pile.tell(Event::Unplug { connector: GUN }).await;
        self.look_at_account().await;
        self.scene.probes.forget(&placed.order_no);
    }

    fn note(&mut self, what: impl Into<String>) {
        if self.session.timeline.len() < limits::TIMELINE_LEN_MAX {
            let at = self.scene.began.elapsed().as_millis();
            self.session.timeline.push(format!("+{}.{:03} s {}", at / 1000, at % 1000, what.into()));
        }
    }

    fn blame(&mut self, what: impl Into<String>) {
        let what = what.into();
        self.note(format!("WRONG: {what}"));
        self.session.findings.push(what);
    }

    fn key(&self, what: &str) -> String {
        format!("{}-{what}", self.session.driver)
    }

    /// False when the run was stopped meanwhile.
    async fn sleep_until(&self, at: Instant) -> bool {
        let mut stop = self.scene.stop.clone();
        tokio::select! {
            () = tokio::time::sleep_until(at) => true,
            _ = stop.wait_for(|stop| *stop) => false,
        }
    }

    async fn sleep(&self, span: Duration) -> bool {
        self.sleep_until(Instant::now().checked_add(span).unwrap_or_else(Instant::now)).await
    }

    async fn top_up(&mut self, what: &str, fen: i64) -> bool {
        let _permit = self.scene.http.acquire().await;
        match self.caller.top_up(&self.key(what), fen).await {
            Ok(()) => {
                self.session.top_ups.push(fen);
                self.note(format!("paid in {fen} fen"));
                true
            }
            Err(error) => {
                self.blame(format!("top-up of {fen} fen: {error}"));
                false
            }
        }
    }

    async fn start(&mut self, limit: OrderLimit) -> Option<Placed> {
        let give_up = Instant::now().checked_add(START_PATIENCE)?;
        for attempt in 0_u32.. {
            let answer = {
                let _permit = self.scene.http.acquire().await;
                let key = self.key(&format!("start-{attempt}"));
                self.caller.start(&key, &self.session.pile_code, GUN.0, limit).await
            };
            match answer {
                Ok(placed) => {
                    let (no, frozen) = (placed.order_no.clone(), placed.frozen_fen.0);
                    self.note(format!("order {no} {}, {frozen} fen frozen", placed.status));
                    self.track = self.scene.probes.track(&no);
                    self.session.placed = Some((no, frozen));
                    return Some(placed);
                }
                Err(error) => {
                    let not_yet =
                        matches!(error.code(), "NOT_PLUGGED" | "PILE_OFFLINE" | "PILE_FAULTED" | "CONNECTOR_BUSY");
                    if !not_yet || Instant::now() > give_up || !self.sleep(Duration::from_millis(300)).await {
                        self.blame(format!("start at {}: {error}", self.session.pile_code));
                        return None;
                    }
                }
            }
        }
        None
    }

    fn call_phones(&mut self, placed: &Placed) {
        let mut rng = Rng::for_part(self.scene.seed, &format!("phones of {}", self.plan.index));
        for n in 0..self.plan.phones {
            let name = self.key(&format!("phone-{n}"));
            let plan = PhonePlan::draw(placed.order_no.as_str(), &name, &mut rng);
            let line = PhoneLine {
                caller: self.caller.clone(),
                http: self.scene.api.http.clone(),
                probes: Arc::clone(&self.scene.probes),
                stop: self.scene.stop.clone(),
            };
            self.phones.spawn(Box::pin(phone::watch(plan, line)));
        }
    }

    async fn end(&mut self, placed: &Placed) {
        let hold = real(self.plan.hold);
        if self.plan.ending == Ending::DarkThenDriver {
            self.sleep(hold / 3).await;
            let until = self.scene.pace.now().plus(Millis(self.plan.hold.0 / 3));
            self.pile.tell(Event::GoDark { until }).await;
            self.note(format!("the pile loses its network until {until}"));
            self.sleep(hold / 2).await;
        } else {
            self.sleep(hold).await;
        }
        match self.plan.ending {
            Ending::Driver | Ending::DarkThenDriver => self.ask_stop(placed, "stop").await,
            Ending::DriverTwice => {
                self.ask_stop(placed, "stop").await;
                self.ask_stop(placed, "stop-again").await;
            }
            Ending::Local => {
                self.note("stopped at the pile");
                self.pile.tell(Event::LocalStop { connector: GUN, reason: StopReason::Local }).await;
            }
            Ending::Unplugged => {
                self.note("the gun is pulled");
                self.pile.tell(Event::Unplug { connector: GUN }).await;
            }
            Ending::Fault => {
                self.note("the gun breaks with E106");
                self.pile.tell(Event::Fault { connector: GUN, code: "E106".to_owned() }).await;
            }
            // A car that was too slow to reach the limit is stopped by its driver.
            Ending::EnergyLimit => self.stop_if_running(placed).await,
        }
    }

    async fn stop_if_running(&mut self, placed: &Placed) {
        let over = self.caller.order(placed.order_no.as_str()).await.is_ok_and(|order| order.is_over());
        if !over {
            self.ask_stop(placed, "stop").await;
        }
    }

    async fn ask_stop(&mut self, placed: &Placed, what: &str) {
        self.track.stop_asked(Instant::now());
        let key = self.key(what);
        self.note("the driver asks for the stop");
        if let Err(error) = self.caller.stop(&key, placed.order_no.as_str()).await {
            // It may have ended by itself a moment before: a limit, a full battery.
            if error.code() != "ILLEGAL_STATE" {
                self.blame(format!("stop: {error}"));
            }
        }
    }

    /// Waits for the bill, the truth and the phones.
    async fn collect(&mut self, placed: &Placed) {
        let no = placed.order_no.as_str();
        let give_up = Instant::now().checked_add(limits::BILL_WAIT_MAX).unwrap_or_else(Instant::now);
        loop {
            let answer = {
                let _permit = self.scene.http.acquire().await;
                self.caller.order(no).await
            };
            match answer {
                Ok(order) if order.is_over() && self.truth_is_known(placed, &order) => {
                    self.note(format!("order is {} {}", order.status, order.payment_status));
                    self.session.last = Some(order);
                    break;
                }
                Ok(order) if Instant::now() > give_up => {
                    self.blame(format!("no end within {:?}: still {}", limits::BILL_WAIT_MAX, order.status));
                    self.session.last = Some(order);
                    break;
                }
                Ok(_) => {}
                Err(error) if Instant::now() > give_up => {
                    self.blame(format!("reading the order: {error}"));
                    break;
                }
                Err(_) => {}
            }
            if !self.sleep(Duration::from_millis(400)).await {
                break;
            }
        }
        self.hang_up().await;
    }

    /// An order that never charged has no truth to wait for.
    fn truth_is_known(&self, placed: &Placed, order: &Order) -> bool {
        matches!(order.status.as_str(), "START_FAILED" | "CANCELED")
            || self.scene.probes.truth(&placed.order_no).is_some()
    }

    async fn hang_up(&mut self) {
        let give_up = Instant::now().checked_add(limits::HTTP_TIMEOUT).unwrap_or_else(Instant::now);
        loop {
            match tokio::time::timeout_at(give_up, self.phones.join_next()).await {
                Ok(Some(Ok(report))) => self.session.phones.push(report),
                Ok(Some(Err(error))) => self.blame(format!("a phone broke down: {error}")),
                Ok(None) => return,
                Err(_) => {
                    let left = self.phones.len();
                    self.blame(format!("{left} phones never saw the end"));
                    self.phones.shutdown().await;
                    return;
                }
            }
        }
    }

    /// A debtor is refused, pays in, repays.
    async fn settle_debt(&mut self, placed: &Placed) {
        let bill = self.session.last.as_ref().and_then(|order| order.bill.as_ref());
        let Some(debt) = bill.map(|bill| bill.debt_fen.0).filter(|debt| *debt > 0) else { return };
        // At a gun that is pulled or broken the refusal may rightly name that instead of the debt.
        let gun_is_fine = !matches!(self.plan.ending, Ending::Fault | Ending::Unplugged);
        if self.plan.index % 2 == 1 || !gun_is_fine {
            return;
        }
        let refused =
            self.caller.start(&self.key("debtor"), &self.session.pile_code, GUN.0, OrderLimit::default()).await;
        match refused {
            Err(ApiError::Refused { status: 409, problem }) if problem.code == "OPEN_DEBT" => {
                self.note("a debtor is refused")
            }
            Err(error) => self.blame(format!("a debtor must be refused with OPEN_DEBT, not {error}")),
            Ok(order) => self.blame(format!("a debtor was given order {}", order.order_no)),
        }
        if !self.top_up("second", debt.saturating_add(500)).await {
            return;
        }
        match self.caller.repay(&self.key("repay"), placed.order_no.as_str()).await {
            Ok(()) => {
                self.note(format!("repaid {debt} fen"));
                self.session.repaid = true;
                self.session.last = self.caller.order(placed.order_no.as_str()).await.ok();
            }
            Err(error) => self.blame(format!("repaying {debt} fen: {error}")),
        }
    }

    async fn look_at_account(&mut self) {
        let _permit = self.scene.http.acquire().await;
        match self.caller.wallet().await {
            Ok(wallet) => self.session.wallet = Some(wallet),
            Err(error) => self.blame(format!("reading the wallet: {error}")),
        }
        match self.caller.orders().await {
            Ok(orders) => {
                self.session.orders = Some(orders.into_iter().map(|order| order.order_no.to_string()).collect())
            }
            Err(error) => self.blame(format!("listing the orders: {error}")),
        }
    }
}
