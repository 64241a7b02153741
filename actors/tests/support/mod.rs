//! A hub without sockets: real actors, real settlement, real store files; the test is the charger and the phone.
#![allow(dead_code, unreachable_pub, missing_debug_implementations, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::as_conversions, reason = "a test that cannot be set up must fail")]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test listens for one thing among many")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU32, Ordering},
    },
    time::Duration,
};

use actors::{
    Handle,
    api::{Audience, FleetEvent, LinkState, Live, PileLink, Ports, Refusal, Reviewer, StartOrder, StopBy, Timing, Up},
};
use domain::{
    AckToken, Clock, ConnectorId, EventId, Fen, Millis, OrderNo, PileCode, PileNo, PriceE4, StationId, StopReason,
    Timestamp, UserId, WattHours, Watts,
    command::{Command, CommandKind},
    wire::{
        self, AckResult, ChargingStatus, CommandAck, EventKind, Finished, Heartbeat, PileEvent, RecordAckResult,
        ReportedStatus, UpFrame, UpTopic,
    },
};
use settlement::{
    order::{Order, OrderLimit, OrderStatus, PayMode},
    pricing::Bill,
    settle::MoneyRules,
    tariff::{Period, Tariff},
};
use store::{
    money::{Commit, CommitOutcome, Money, Payment, Write},
    registry::{Pile, PileKind, Station},
    sqlite::{Options, SqliteStore},
};
use tokio::sync::mpsc;

pub const START: i64 = 1_763_690_000_000;

/// A clock that only the test moves.
#[derive(Debug)]
pub struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

/// What the hub said to chargers and phones, in order.
#[derive(Debug, Clone)]
pub enum Said {
    Command(PileNo, Command),
    RecordAck(PileNo, String, RecordAckResult),
    Stored(AckToken),
    BadFrame(PileNo),
    Progress(OrderNo, Live),
    Order(Box<Order>),
    Link(OrderNo, LinkState),
    Fleet(&'static str),
}

#[derive(Debug)]
struct Ear(mpsc::Sender<Said>);

impl Ear {
    fn say(&self, said: Said) {
        self.0.try_send(said).expect("the test reads what is said");
    }
}

impl PileLink for Ear {
    fn send_command(&self, pile: PileNo, _: &PileCode, command: &Command, _: Timestamp) -> bool {
        self.say(Said::Command(pile, command.clone()));
        true
    }
    fn send_record_ack(
        &self,
        pile: PileNo,
        _: &PileCode,
        order: &str,
        _: Option<u32>,
        result: RecordAckResult,
        _: Timestamp,
    ) -> bool {
        self.say(Said::RecordAck(pile, order.to_owned(), result));
        true
    }
    fn stored(&self, tokens: &mut Vec<AckToken>) {
        for token in tokens.drain(..) {
            self.say(Said::Stored(token));
        }
    }
    fn bad_frame(&self, pile: PileNo) {
        self.say(Said::BadFrame(pile));
    }
}

impl Audience for Ear {
    fn progress(&self, order: &OrderNo, live: &Live) {
        self.say(Said::Progress(order.clone(), live.clone()));
    }
    fn order_changed(&self, order: &Order, _: LinkState) {
        self.say(Said::Order(Box::new(order.clone())));
    }
    fn link_changed(&self, order: &OrderNo, link: LinkState) {
        self.say(Said::Link(order.clone(), link));
    }
    fn event(&self, event: &FleetEvent) {
        self.say(Said::Fleet(event.code));
    }
}

/// One running hub with one station, two piles and some drivers.
pub struct World {
    pub hub: Handle,
    pub money: Arc<dyn Money>,
    pub clock: Arc<TestClock>,
    pub heard: Vec<Said>,
    said: mpsc::Receiver<Said>,
    store: Option<SqliteStore>,
    dir: Arc<tempfile::TempDir>,
    hot: Option<tokio::runtime::Runtime>,
    epoch: u32,
    token: AtomicU32,
}

pub fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

pub fn pile(n: u32) -> PileCode {
    PileCode::parse(&format!("P{n:04}")).unwrap()
}

fn station() -> StationId {
    StationId::parse("S1").unwrap()
}

pub const TIMING: Timing = Timing {
    stale_after: Millis::from_secs(90),
    offline_after: Millis::from_secs(300),
    start_deadline: Millis::from_secs(60),
    fault_wait: Millis::from_secs(30),
    offline_grace: Millis::from_secs(86_400),
};

/// Suspects no bill.
#[derive(Debug)]
struct Trusting;

impl Reviewer for Trusting {
    fn suspect(&self, _: &Order, _: &Bill) -> Option<String> {
        None
    }
}

pub const RULES: MoneyRules =
    MoneyRules { freeze_default: Fen(5000), freeze_min: Fen(1000), hold_over: Fen(20_000), suspect: None };

impl World {
    /// A new hub; `wallet` fen for the driver `d1`.
    pub async fn new(wallet: i64) -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let mut world = Self::open(dir, START).await;
        world.register().await;
        world.top_up("d1", wallet).await;
        world
    }

    async fn open(dir: Arc<tempfile::TempDir>, now: i64) -> Self {
        let (tx, said) = mpsc::channel(100_000);
        let stored = tx.clone();
        let listener = Box::new(move |tokens: &mut Vec<AckToken>| {
            for token in tokens.drain(..) {
                stored.try_send(Said::Stored(token)).expect("the test reads what is said");
            }
        });
        let store = store::sqlite::open(dir.path(), Options::new(listener)).unwrap();
        let money = store.money();
        let clock = Arc::new(TestClock(AtomicI64::new(now)));
        let ear = Arc::new(Ear(tx));
        let hot = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let ports = Ports {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            money: Arc::clone(&money),
            telemetry: store.telemetry(),
            piles: Arc::clone(&ear) as Arc<dyn PileLink>,
            audience: ear,
            reviewer: Arc::new(Trusting),
        };
        let hub = Handle::start(ports, TIMING, RULES, hot.handle().clone()).await.unwrap();
        Self {
            hub,
            money,
            clock,
            heard: Vec::new(),
            said,
            store: Some(store),
            dir,
            hot: Some(hot),
            epoch: 0,
            token: AtomicU32::new(0),
        }
    }

    async fn register(&mut self) {
        let home = Station {
            station_id: station(),
            name: "One".into(),
            timezone: "Asia/Shanghai".into(),
            longitude_e7: 0,
            latitude_e7: 0,
            certificate_only: false,
        };
        let first = self.money.reserve_pile_nos(2).await.unwrap();
        let piles: Vec<_> = (0..2)
            .map(|n| Pile {
                pile_no: PileNo(first.0 + n),
                pile_code: pile(n + 1),
                station_id: station(),
                kind: PileKind::Dc,
                connectors: 2,
                max_power: Watts(120_000),
                verifier: [0; 32],
            })
            .collect();
        let tariff = Tariff {
            tariff_id: "T1".into(),
            station_id: station(),
            version: 1,
            timezone: "Asia/Shanghai".into(),
            periods: vec![Period {
                from_min: 0,
                to_min: 1440,
                label: "平".into(),
                electricity: PriceE4(6000),
                service: PriceE4(4000),
            }],
            plans: Vec::new(),
            based_on: None,
            reason: None,
            author: user("a"),
            created_at: self.now(),
            publisher: Some(user("b")),
            effective_at: Some(self.now()),
        };
        let writes = vec![
            Write::Station(Box::new(home.clone())),
            Write::Piles(piles.clone()),
            Write::Tariff(Box::new(tariff.clone())),
        ];
        assert_eq!(self.money.commit(Commit { writes }).await, CommitOutcome::Applied);
        self.hub.add_station(home);
        self.hub.add_piles(&piles);
        self.hub.add_tariff(tariff);
    }

    pub async fn top_up(&mut self, driver: &str, amount: i64) {
        if amount == 0 {
            return;
        }
        let payment_no = format!("PAY{driver}{}", self.token.fetch_add(1, Ordering::SeqCst));
        let payment = Payment::new(payment_no, user(driver), Fen(amount), "sandbox".into(), self.now());
        let writes = vec![Write::Payment(Box::new(payment.clone()), None)];
        assert_eq!(self.money.commit(Commit { writes }).await, CommitOutcome::Applied);
        assert!(self.hub.credit(payment, "TX".into()).await.unwrap());
    }

    /// Ends the process as far as the hub is concerned, and opens another on the same files.
    pub async fn restart(mut self) -> Self {
        let (dir, now) = (Arc::clone(&self.dir), self.now().as_millis());
        self.shut();
        Self::open(dir, now).await
    }

    fn shut(&mut self) {
        if let Some(hot) = self.hot.take() {
            hot.shutdown_background();
        }
        if let Some(store) = self.store.take() {
            store.close();
        }
    }

    // Time ------------------------------------------------------------------------------------------------------

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn pass(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }

    // What the hub says -----------------------------------------------------------------------------------------

    /// Waits for the first thing said that fits, dropping what came before.
    pub async fn until<T>(&mut self, what: &str, mut fits: impl FnMut(&Said) -> Option<T>) -> T {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            let said = match tokio::time::timeout_at(deadline, self.said.recv()).await {
                Ok(Some(said)) => said,
                Ok(None) | Err(_) => panic!("never heard: {what}; heard {:#?}", self.heard),
            };
            let found = fits(&said);
            self.heard.push(said);
            if let Some(found) = found {
                return found;
            }
        }
    }

    pub async fn until_status(&mut self, status: OrderStatus) -> Order {
        let what = format!("{status:?}");
        self.until(&what, |said| match said {
            Said::Order(order) if order.status == status => Some((**order).clone()),
            _ => None,
        })
        .await
    }

    pub async fn until_start(&mut self) -> Command {
        self.until("a start command", |said| match said {
            Said::Command(_, command) if matches!(command.kind, CommandKind::StartCharging { .. }) => {
                Some(command.clone())
            }
            _ => None,
        })
        .await
    }

    pub async fn until_stop(&mut self) -> (Command, StopReason) {
        self.until("a stop command", |said| match said {
            Said::Command(_, command) => match &command.kind {
                CommandKind::StopCharging { stop_reason, .. } => Some((command.clone(), *stop_reason)),
                _ => None,
            },
            _ => None,
        })
        .await
    }

    pub async fn until_record_ack(&mut self) -> RecordAckResult {
        self.until("a record ack", |said| match said {
            Said::RecordAck(_, _, result) => Some(*result),
            _ => None,
        })
        .await
    }

    pub async fn until_stored(&mut self, token: AckToken) {
        self.until("PUBACK", |said| match said {
            Said::Stored(stored) if *stored == token => Some(()),
            _ => None,
        })
        .await;
    }

    pub async fn until_fleet(&mut self, code: &str) {
        self.until(code, |said| match said {
            Said::Fleet(said) if *said == code => Some(()),
            _ => None,
        })
        .await;
    }

    // What chargers do ------------------------------------------------------------------------------------------

    pub fn no(&self, n: u32) -> PileNo {
        self.hub.pile_no(&pile(n)).unwrap()
    }

    pub async fn connect(&mut self, n: u32) {
        self.epoch += 1;
        self.hub.link_up(self.no(n), self.epoch);
        self.until_fleet("PILE_ONLINE").await;
    }

    pub fn connect_quietly(&mut self, n: u32) {
        self.epoch += 1;
        self.hub.link_up(self.no(n), self.epoch);
    }

    pub fn disconnect(&mut self, n: u32) {
        self.hub.link_down(self.no(n), self.epoch);
    }

    pub fn frame(&self, n: u32, frame: UpFrame) -> AckToken {
        let token = AckToken { conn: n, epoch: self.epoch, n: self.token.fetch_add(1, Ordering::SeqCst) };
        let topic = match &frame {
            UpFrame::Heartbeat(_) => UpTopic::Heartbeat,
            UpFrame::Status(_) => UpTopic::Status,
            UpFrame::Finished(_) => UpTopic::Finished,
            UpFrame::CommandAck(_) => UpTopic::CommandAck,
            UpFrame::Event(_) => UpTopic::Event,
            UpFrame::Meter(_) => UpTopic::Meter,
        };
        let raw = wire::print(&frame, &pile(n)).into_boxed_slice();
        let up = Up { pile_no: self.no(n), received: self.now(), frame, topic, raw, token: Some(token) };
        assert!(self.hub.frame(up), "frame taken");
        token
    }

    pub fn heartbeat(&self, n: u32, skew_ms: i64) -> AckToken {
        let beat = Heartbeat {
            status: ReportedStatus::Idle,
            voltage: None,
            current: None,
            power: None,
            temperature: None,
            timestamp: self.now().plus(Millis(skew_ms)),
            seq: None,
            connectors: vec![],
            firmware: None,
        };
        self.frame(n, UpFrame::Heartbeat(beat))
    }

    pub fn ack(&self, n: u32, command: &Command, result: AckResult) -> AckToken {
        let ack = CommandAck {
            command_id: command.command_id.clone(),
            order_no: None,
            result,
            code: None,
            message: None,
            timestamp: None,
        };
        self.frame(n, UpFrame::CommandAck(ack))
    }

    pub fn status(&self, n: u32, order: &OrderNo, seq: u32, wh: i64) -> AckToken {
        let frame = ChargingStatus {
            order_no: order.clone(),
            connector: Some(ConnectorId(1)),
            seq,
            voltage: None,
            current: None,
            power: Some(Watts(60_000)),
            energy: WattHours(wh),
            total_time_s: None,
            soc: None,
            timestamp: self.now(),
        };
        self.frame(n, UpFrame::Status(frame))
    }

    pub fn record(&self, order: &OrderNo, wh: i64, reason: StopReason) -> Finished {
        Finished {
            order_no: order.clone(),
            connector: Some(ConnectorId(1)),
            seq: None,
            energy: WattHours(wh),
            total_time_s: Some(600),
            start_soc: None,
            end_soc: None,
            stop_reason: reason,
            start_time: Some(self.now().plus(Millis(-600_000))),
            end_time: self.now(),
            meter_start: None,
            meter_end: None,
            fault_code: None,
            timestamp: Some(self.now()),
        }
    }

    pub fn finish(&self, n: u32, order: &OrderNo, wh: i64, reason: StopReason) -> AckToken {
        self.frame(n, UpFrame::Finished(self.record(order, wh, reason)))
    }

    pub fn event(&self, n: u32, id: &str, kind: EventKind, connector: u8, code: Option<&str>) -> AckToken {
        let event = PileEvent {
            event_id: EventId::parse(id).unwrap(),
            kind,
            connector: ConnectorId(connector),
            fault_code: code.map(str::to_owned),
            detail: None,
            timestamp: self.now(),
        };
        self.frame(n, UpFrame::Event(event))
    }

    // What drivers do -------------------------------------------------------------------------------------------

    pub async fn start_at(&self, driver: &str, n: u32, connector: u8) -> Result<Order, Refusal> {
        self.start_with(driver, n, connector, OrderLimit::default()).await
    }

    pub async fn start_with(&self, driver: &str, n: u32, connector: u8, limit: OrderLimit) -> Result<Order, Refusal> {
        let ask = StartOrder {
            user_id: user(driver),
            pile_code: pile(n),
            connector_id: ConnectorId(connector),
            limit,
            pay_mode: PayMode::Freeze,
            once: None,
        };
        self.hub.start_order(ask).await
    }

    /// A charge that runs: started, accepted, one status frame in.
    pub async fn charging(&mut self) -> OrderNo {
        self.connect(1).await;
        let order = self.start_at("d1", 1, 1).await.unwrap();
        let command = self.until_start().await;
        self.ack(1, &command, AckResult::Accepted);
        self.until_status(OrderStatus::Charging).await;
        self.status(1, &order.order_no, 1, 100);
        self.until("progress", |said| matches!(said, Said::Progress(..)).then_some(())).await;
        order.order_no
    }

    pub async fn stop(&self, order: &OrderNo) -> Result<Order, Refusal> {
        self.hub.stop_order(order, StopBy::Driver, None).await
    }

    pub async fn wallet(&self, driver: &str) -> (i64, i64, i64) {
        let account = self.money.account(&user(driver)).await.unwrap().unwrap();
        (account.available.0, account.frozen.0, account.debts.values().map(|fen| fen.0).sum())
    }

    pub async fn stored_order(&self, order: &OrderNo) -> Order {
        self.money.order(order).await.unwrap().unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.shut();
    }
}
