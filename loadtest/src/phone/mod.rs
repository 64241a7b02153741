//! A driver's phone: watches one order over a WebSocket to its end, is cut, comes back, and checks everything it hears.

pub mod check;

use std::sync::Arc;

use anyhow::{Context as _, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::{
    net::TcpStream,
    sync::watch,
    time::{Duration, Instant, timeout},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig, protocol::frame::coding::CloseCode},
};

use self::check::{Checker, Heard};
use crate::{
    api::{Caller, Http, Order},
    client::probes::{Probes, Track},
    limits,
    rng::Rng,
};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What a phone is for.
#[derive(Debug, Clone)]
pub struct PhonePlan {
    /// Which order it watches.
    pub order_no: String,
    /// A name for its idempotency keys.
    pub name: String,
    /// After so many messages the socket is cut without a goodbye, once.
    pub cut_after: Option<u32>,
    /// After so many messages it asks for a new snap, once.
    pub resync_after: Option<u32>,
}

impl PhonePlan {
    /// A phone that now and then loses its network or asks for a new snap.
    #[must_use]
    pub fn draw(order_no: &str, name: &str, rng: &mut Rng) -> Self {
        let mut after = |per_mille| rng.per_mille(per_mille).then(|| u32::try_from(rng.range(3, 20)).unwrap_or(3));
        Self { order_no: order_no.to_owned(), name: name.to_owned(), cut_after: after(150), resync_after: after(100) }
    }
}

/// What a phone saw.
#[derive(Debug, Clone)]
pub struct PhoneReport {
    /// What the hub did wrong.
    pub findings: Vec<String>,
    /// The order as it ended; `None` when the phone never saw that.
    pub end: Option<Order>,
    /// Deltas seen.
    pub deltas: u64,
    /// Sockets that were resumed with deltas only.
    pub resumed: u64,
    /// Sockets opened.
    pub sockets: u64,
}

/// How a socket ended.
enum Ended {
    /// `end` came and the hub closed with 1000.
    Over(Box<Order>),
    /// Redial.
    Cut,
    /// Everybody goes home.
    Stopped,
}

/// Where a phone gets its tickets and reports its latencies.
#[derive(Debug, Clone)]
pub struct PhoneLine {
    /// Whose order it is.
    pub caller: Caller,
    /// For the address.
    pub http: Http,
    /// For the latencies.
    pub probes: Arc<Probes>,
    /// Turns true when everybody is to go home.
    pub stop: watch::Receiver<bool>,
}

/// Watches an order until its end or the run's stop.
pub async fn watch(plan: PhonePlan, line: PhoneLine) -> PhoneReport {
    let track = domain::OrderNo::parse(&plan.order_no).map(|no| line.probes.track(&no)).unwrap_or_default();
    let mut phone = Phone { plan, line, track, checker: Checker::default(), heard: 0, sockets: 0, bill_seen: false };
    let mut end = None;
    let mut failures = 0_u32;
    while end.is_none() && failures < 5 && !*phone.line.stop.borrow() {
        match Box::pin(phone.one_socket()).await {
            Ok(Ended::Over(order)) => end = Some(*order),
            Ok(Ended::Cut) => phone.checker.cut(),
            Ok(Ended::Stopped) => break,
            Err(error) => {
                failures = failures.saturating_add(1);
                phone.checker.findings.push(format!("{error:#}"));
                phone.checker.cut();
                tokio::time::sleep(Duration::from_millis(200).saturating_mul(failures)).await;
            }
        }
    }
    let Checker { findings, deltas, resumed, .. } = phone.checker;
    PhoneReport { findings, end, deltas, resumed, sockets: phone.sockets }
}

struct Phone {
    plan: PhonePlan,
    line: PhoneLine,
    track: Arc<Track>,
    checker: Checker,
    heard: u32,
    sockets: u64,
    bill_seen: bool,
}

impl Phone {
    async fn one_socket(&mut self) -> anyhow::Result<Ended> {
        let mut socket = self.dial().await?;
        let mut stop = self.line.stop.clone();
        let mut order = None;
        loop {
            let message = tokio::select! {
                message = timeout(limits::PHONE_SILENCE_MAX, socket.next()) => message,
                _ = stop.wait_for(|stop| *stop) => return Ok(Ended::Stopped),
            };
            let at = Instant::now();
            let message = message.context("the socket was silent, without even a ping")?;
            match message {
                Some(Ok(Message::Text(text))) => {
                    let heard = self.checker.hear(&text);
                    if let Some(ended) = self.act(heard, at, &mut socket, &mut order).await? {
                        return Ok(ended);
                    }
                }
                Some(Ok(Message::Close(frame))) => {
                    let code = frame.map_or(CloseCode::Status, |frame| frame.code);
                    return match (order, code) {
                        (Some(order), CloseCode::Normal) => Ok(Ended::Over(order)),
                        (None, CloseCode::Restart) => Ok(Ended::Cut),
                        (_, code) => bail!("closed with {code} before the end"),
                    };
                }
                Some(Ok(Message::Binary(_))) => bail!("a binary message"),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(error)) => bail!("the socket broke: {error}"),
                None if order.is_some() => bail!("no close frame after the end"),
                None => bail!("the socket ended without a close frame"),
            }
        }
    }

    async fn dial(&mut self) -> anyhow::Result<Socket> {
        self.sockets = self.sockets.saturating_add(1);
        let key = format!("{}-ticket-{}", self.plan.name, self.sockets);
        let ticket = self.line.caller.ticket(&key, &self.plan.order_no).await.context("asking for a ticket")?;
        let resume = self.checker.position().map(|(epoch, seq)| format!("&epoch={epoch}&since={seq}"));
        let path = format!("/ws/v1/track?ticket={ticket}{}", resume.unwrap_or_default());
        let config = WebSocketConfig::default()
            .read_buffer_size(2048)
            .write_buffer_size(0)
            .max_write_buffer_size(64 * 1024)
            .max_message_size(Some(limits::WS_MESSAGE_LEN_MAX));
        let dial = connect_async_with_config(self.line.http.ws_url(&path), Some(config), true);
        let (socket, _) = timeout(limits::CONNECT_TIMEOUT, Box::pin(dial)).await.context("no upgrade in time")??;
        Ok(socket)
    }

    async fn act(
        &mut self,
        heard: Option<Heard>,
        at: Instant,
        socket: &mut Socket,
        order: &mut Option<Box<Order>>,
    ) -> anyhow::Result<Option<Ended>> {
        self.heard = self.heard.saturating_add(1);
        match heard {
            Some(Heard::Ping(n)) => self.say(socket, &json!({"t": "pong", "n": n})).await?,
            Some(Heard::Delta { energy: Some(energy) }) => {
                if let Some(sent) = self.track.sent_at(energy) {
                    self.line.probes.pile_to_phone.record(at.saturating_duration_since(sent));
                }
            }
            Some(Heard::End(last)) => *order = Some(last),
            Some(Heard::Snap | Heard::Delta { energy: None }) | None => {}
        }
        if !self.bill_seen && self.checker.shows_bill() {
            self.bill_seen = true;
            if let Some(asked) = self.track.stop_asked_at() {
                self.line.probes.stop_to_bill.record(at.saturating_duration_since(asked));
            }
        }
        if self.plan.resync_after.take_if(|after| *after <= self.heard).is_some() {
            self.say(socket, &json!({"t": "resync"})).await?;
        }
        // Dropping the socket without a goodbye is what a tunnel does to a phone.
        Ok(self.plan.cut_after.take_if(|after| *after <= self.heard && order.is_none()).map(|_| Ended::Cut))
    }

    async fn say(&self, socket: &mut Socket, message: &serde_json::Value) -> anyhow::Result<()> {
        let text = Message::text(message.to_string());
        timeout(limits::WRITE_TIMEOUT, socket.send(text)).await.context("the hub does not read")??;
        Ok(())
    }
}
