//! The task of one pile: feeds the machine with what the socket and the run say, carries its effects out.

use std::{collections::HashMap, sync::Arc, time::Duration};

use domain::{
    OrderNo,
    wire::{self, UpFrame, UpTopic},
};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::JoinHandle,
    time::Instant,
};

use super::{
    Endpoint, Incoming, Link,
    lean::KEEP_ALIVE_S,
    probes::{Probes, Track},
};
use crate::{
    limits,
    pace::Pace,
    pile::{Effect, Event, Pile, PileConfig},
    rng::Rng,
};

/// What all piles of a run share.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The world's time.
    pub pace: Pace,
    /// Measurements.
    pub probes: Arc<Probes>,
    /// Bounds how many connections are in their handshake.
    pub connecting: Arc<Semaphore>,
    /// Turns true when everybody is to go home.
    pub stop: watch::Receiver<bool>,
}

impl Shared {
    /// Shared parts for one run.
    #[must_use]
    pub fn new(pace: Pace, stop: watch::Receiver<bool>) -> Self {
        let connecting = Arc::new(Semaphore::new(limits::CONNECTING_MAX));
        Self { pace, probes: Arc::default(), connecting, stop }
    }
}

/// A running pile.
#[derive(Debug)]
pub struct PileHandle {
    inbox: mpsc::Sender<Event>,
    state: watch::Receiver<PileState>,
    task: JoinHandle<()>,
}

/// What is known of a running pile from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PileState {
    /// The hub accepted its connection.
    pub connected: bool,
    /// Nothing waits for an acknowledgement.
    pub quiet: bool,
}

impl PileHandle {
    /// Tells the pile what happens to it; waits while its inbox is full.
    pub async fn tell(&self, event: Event) {
        // A pile that has gone home needs no news.
        let _ = self.inbox.send(event).await;
    }

    /// Waits until the pile is in a state; false when it does not come within `patience`.
    pub async fn wait_for(&self, patience: Duration, wanted: impl Fn(&PileState) -> bool + Send + Sync) -> bool {
        let mut state = self.state.clone();
        let waited = tokio::time::timeout(patience, state.wait_for(|state| wanted(state))).await;
        matches!(waited, Ok(Ok(_)))
    }

    /// Waits until the pile's task has ended; it does so when the run's stop is given.
    pub async fn join(self) {
        // A panic of the task is in the log; there is nothing to wait for any more.
        let _ = self.task.await;
    }
}

/// Lets a pile live: connects it to a hub and keeps it there until the run's stop.
#[must_use]
pub fn spawn(config: PileConfig, endpoint: Endpoint, shared: Shared) -> PileHandle {
    let (inbox, receiver) = mpsc::channel(limits::PILE_INBOX_LEN_MAX);
    let (state_sender, state) = watch::channel(PileState::default());
    let rng = Rng::for_part(config.seed, "redial");
    let agent = Agent {
        pile: Box::new(Pile::new(config, shared.pace.now())),
        endpoint,
        shared,
        rng,
        link: None,
        inbox: receiver,
        state: state_sender,
        redial_at: Instant::now(),
        redial_wait: limits::REDIAL_WAIT_MIN,
        written_at: Instant::now(),
        sent: HashMap::new(),
        tracks: HashMap::new(),
    };
    PileHandle { inbox, state, task: tokio::spawn(Box::pin(agent.live())) }
}

struct Agent {
    pile: Box<Pile>,
    endpoint: Endpoint,
    shared: Shared,
    rng: Rng,
    link: Option<Link>,
    inbox: mpsc::Receiver<Event>,
    state: watch::Sender<PileState>,
    redial_at: Instant,
    redial_wait: Duration,
    written_at: Instant,
    /// When each unacknowledged publish was written.
    sent: HashMap<u64, Instant>,
    tracks: HashMap<OrderNo, Arc<Track>>,
}

enum Wake {
    Stop,
    Event(Option<Event>),
    Incoming(anyhow::Result<Incoming>),
    Timer,
}

impl Agent {
    async fn live(mut self) {
        loop {
            if self.link.is_none() && self.pile.wants_connection(self.now()) && Instant::now() >= self.redial_at {
                self.dial().await;
            }
            if let Err(error) = self.carry_out().await {
                self.cut(&error);
            }
            self.tell_state();
            match self.wake().await {
                Wake::Stop | Wake::Event(None) => break,
                Wake::Event(Some(event)) => self.pile.handle_event(event, self.now()),
                Wake::Incoming(Ok(incoming)) => self.take(incoming),
                Wake::Incoming(Err(error)) => self.cut(&error),
                Wake::Timer => self.pile.handle_timeout(self.now()),
            }
        }
        for truth in self.pile.unfinished() {
            self.shared.probes.note_truth(truth);
        }
        if let Some(link) = self.link.take() {
            link.close().await;
        }
    }

    fn now(&self) -> domain::Timestamp {
        self.shared.pace.now()
    }

    async fn wake(&mut self) -> Wake {
        let keep_alive = Duration::from_secs(u64::from(KEEP_ALIVE_S / 2));
        let mut due = self.written_at.checked_add(keep_alive).unwrap_or(self.written_at);
        if let Some(deadline) = self.pile.poll_timeout() {
            let wait = self.shared.pace.until(deadline);
            due = due.min(Instant::now().checked_add(wait).unwrap_or(due));
        }
        if self.link.is_none() && self.pile.wants_connection(self.shared.pace.now()) {
            due = due.min(self.redial_at);
        }
        let stop = &mut self.shared.stop;
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => Wake::Stop,
            event = self.inbox.recv() => Wake::Event(event),
            incoming = next(&mut self.link) => Wake::Incoming(incoming),
            () = tokio::time::sleep_until(due) => Wake::Timer,
        }
    }

    async fn dial(&mut self) {
        let opened = {
            let mut stop = self.shared.stop.clone();
            let open = async {
                let _permit = self.shared.connecting.acquire().await?;
                Box::pin(Link::open(&self.endpoint)).await
            };
            tokio::select! {
                opened = open => opened,
                _ = stop.wait_for(|stop| *stop) => return,
            }
        };
        match opened {
            Ok(link) => {
                Probes::count(&self.shared.probes.connects);
                self.link = Some(link);
                self.redial_wait = limits::REDIAL_WAIT_MIN;
                self.written_at = Instant::now();
                self.pile.handle_event(Event::Connected, self.now());
            }
            Err(error) => self.cut(&error),
        }
    }

    fn cut(&mut self, error: &anyhow::Error) {
        tracing::info!(pile = %self.pile.code(), error = format!("{error:#}"), "connection lost");
        Probes::count(&self.shared.probes.broken);
        self.lose_link();
        let jitter = self.rng.range(500, 1000);
        let wait = self.redial_wait.saturating_mul(u32::try_from(jitter).unwrap_or(1000)) / 1000;
        self.redial_at = Instant::now().checked_add(wait).unwrap_or(self.redial_at);
        self.redial_wait = self.redial_wait.saturating_mul(2).min(limits::REDIAL_WAIT_MAX);
    }

    fn lose_link(&mut self) {
        self.link = None;
        self.sent.clear();
        self.pile.handle_event(Event::Disconnected, self.now());
    }

    fn take(&mut self, incoming: Incoming) {
        let now = self.now();
        match incoming {
            Incoming::Puback { tag } => {
                if let Some(sent) = self.sent.remove(&tag) {
                    self.shared.probes.puback.record(sent.elapsed());
                }
                self.pile.handle_event(Event::Puback { tag }, now);
            }
            Incoming::Publish { topic, payload } => {
                let event = if topic.ends_with("/record/ack") { record_ack(&payload) } else { command(&payload) };
                match event {
                    Ok(event) => self.pile.handle_event(event, now),
                    Err(error) => tracing::warn!(pile = %self.pile.code(), topic, %error, "the hub sent nonsense"),
                }
            }
        }
    }

    async fn carry_out(&mut self) -> anyhow::Result<()> {
        while let Some(effect) = self.pile.poll_effect() {
            match effect {
                Effect::Publish(out) => {
                    let topic = topic_of(&out.frame).topic(self.pile.code());
                    let payload = wire::print(&out.frame, self.pile.code());
                    self.note_sending(&out.frame, out.qos1.then_some(out.tag));
                    if let Some(link) = &mut self.link {
                        link.publish(out.tag, out.qos1, &topic, payload)?;
                    }
                }
                Effect::Disconnect => {
                    if let Some(link) = &mut self.link {
                        link.flush().await?;
                    }
                    self.lose_link();
                }
                Effect::Over(truth) => {
                    self.tracks.remove(&truth.order_no);
                    self.shared.probes.note_truth(*truth);
                }
            }
        }
        let Some(link) = &mut self.link else { return Ok(()) };
        if self.written_at.elapsed() >= Duration::from_secs(u64::from(KEEP_ALIVE_S / 2)) {
            link.ping();
            self.written_at = Instant::now();
        }
        link.flush().await
    }

    fn note_sending(&mut self, frame: &UpFrame, tag: Option<u64>) {
        let now = Instant::now();
        self.written_at = now;
        Probes::count(&self.shared.probes.published);
        if let Some(tag) = tag {
            self.sent.insert(tag, now);
        }
        if let UpFrame::Status(status) = frame {
            let track = self
                .tracks
                .entry(status.order_no.clone())
                .or_insert_with(|| self.shared.probes.track(&status.order_no));
            track.sent(status.energy, now);
        }
    }

    fn tell_state(&self) {
        let state = PileState { connected: self.link.is_some(), quiet: self.pile.is_quiet() };
        self.state.send_if_modified(|known| std::mem::replace(known, state) != state);
    }
}

async fn next(link: &mut Option<Link>) -> anyhow::Result<Incoming> {
    match link {
        Some(link) => link.next().await,
        None => std::future::pending().await,
    }
}

fn record_ack(payload: &[u8]) -> anyhow::Result<Event> {
    let ack = wire::parse_record_ack(payload)?;
    Ok(Event::RecordAck { order_no: OrderNo::parse(&ack.order_no)?, answer: ack.result })
}

fn command(payload: &[u8]) -> anyhow::Result<Event> {
    Ok(Event::Command(wire::parse_command(payload)?.command))
}

const fn topic_of(frame: &UpFrame) -> UpTopic {
    match frame {
        UpFrame::Heartbeat(_) => UpTopic::Heartbeat,
        UpFrame::Status(_) => UpTopic::Status,
        UpFrame::Finished(_) => UpTopic::Finished,
        UpFrame::CommandAck(_) => UpTopic::CommandAck,
        UpFrame::Event(_) => UpTopic::Event,
        UpFrame::Meter(_) => UpTopic::Meter,
    }
}
