//! Live push [CONTRACT 4]: phones follow their order, dashboards follow the fleet, over WebSocket.
//!
//! ```text
//! actors ── Audience ─▶ Live ─▶ Track (newest facts, ring of deltas) ◀── one task per phone ── WebSocket
//!                         └───▶ Fleet (one picture per second for all) ◀─ one task per viewer ─ WebSocket
//! ```
//!
//! It shows what it is told and decides nothing; it must not know the broker, nor how anything is stored or priced.
//! The actors' side never waits. [`Live`] is made before the actors (it is their audience), [`routes`] after them.
//! `http` owns the calls that hand out tickets, with their authorisation:
//! `POST /orders/{no}/ticket` → [`Live::issue_ticket`], `POST /orders/{no}/link` → [`Live::page_link`] (a path, to be
//! put after the address the caller knows the hub by), `POST /ops/ticket` → [`Live::issue_ops_ticket`].

mod bucket;
mod directory;
mod fields;
mod fleet;
pub(crate) mod limits;
mod line;
mod link;
mod phone;
mod ring;
#[cfg(test)]
mod samples;
mod seats;
#[cfg(test)]
mod tests;
mod tickets;
mod track;
pub(crate) mod world;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actors::api::{Audience, FleetEvent, LinkState, Live as Values};
use axum::{Router, routing::get};
use domain::{OrderNo, Timestamp, UserId};
use parking_lot::Mutex;
use settlement::order::Order;
use store::money::StoreError;
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout},
};

use self::{
    directory::Directory,
    fleet::Fleet,
    limits::{SEND_TIMEOUT, SHUTDOWN_TIMEOUT},
    line::Pace,
    link::{Claim, LinkKey},
    seats::Seats,
    tickets::{Pass, Tickets},
    track::{Epochs, Greeting},
};
pub(crate) use self::{seats::SeatLimits, tickets::TicketError, world::World};
use crate::ids::{NoRandomness, random_bytes};

/// What an operator may set [CONTRACT 5].
#[derive(Clone)]
pub(crate) struct Settings {
    /// `live.ping_every_s`.
    pub(crate) ping_every: Duration,
    /// `auth.ticket_ttl_s`, by the wall's clock.
    pub(crate) ticket_ttl: Duration,
    /// The key of the HTTP tokens; links are signed with one derived from it.
    pub(crate) jwt_key: Vec<u8>,
    /// How many sockets may be open.
    pub(crate) seats: SeatLimits,
    /// How much faster than the wall's the demo's clock runs; `None`: this is no demo.
    pub(crate) demo_speed: Option<u32>,
    /// Time for a phone to take one message.
    pub(crate) send_timeout: Duration,
}

impl Settings {
    /// The defaults, with a key.
    pub(crate) fn new(jwt_key: &[u8]) -> Self {
        Self {
            ping_every: Duration::from_secs(15),
            ticket_ttl: Duration::from_secs(60),
            jwt_key: jwt_key.to_vec(),
            seats: SeatLimits::default(),
            demo_speed: None,
            send_timeout: SEND_TIMEOUT,
        }
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("ping_every", &self.ping_every).finish_non_exhaustive()
    }
}

/// The audience of the actors, and everything its sockets share.
#[derive(Debug)]
pub(crate) struct Live {
    pace: Pace,
    greeting: Greeting,
    ticket_ttl: Duration,
    link_key: LinkKey,
    tickets: Mutex<Tickets>,
    seats: Arc<Seats>,
    directory: Directory,
    fleet: Fleet,
    closing: AtomicBool,
}

impl Live {
    /// An audience without listeners.
    ///
    /// # Errors
    /// [`NoRandomness`] when the system gives no random numbers.
    pub(crate) fn new(settings: &Settings) -> Result<Arc<Self>, NoRandomness> {
        let process = u64::from_be_bytes(random_bytes()?);
        Ok(Arc::new(Self {
            pace: Pace { ping_every: settings.ping_every, send_timeout: settings.send_timeout },
            greeting: Greeting {
                hb: u64::try_from(settings.ping_every.as_millis()).unwrap_or(u64::MAX),
                demo_speed: settings.demo_speed,
            },
            ticket_ttl: settings.ticket_ttl,
            link_key: LinkKey::derive(&settings.jwt_key),
            tickets: Mutex::default(),
            seats: Seats::new(settings.seats),
            directory: Directory::new(Epochs::new(process)),
            fleet: Fleet::default(),
            closing: AtomicBool::new(false),
        }))
    }

    /// A one-use ticket for `/ws/v1/track` of an order the user may see (its owner, or staff: checked by the caller).
    ///
    /// # Errors
    /// [`TicketError`]; too many is 429.
    pub(crate) fn issue_ticket(&self, order_no: &OrderNo, user: &UserId) -> Result<String, TicketError> {
        self.issue(Pass::Order { order_no: order_no.clone(), owner: user.clone() })
    }

    /// A one-use ticket for `/ws/v1/ops`, for staff (checked by the caller).
    ///
    /// # Errors
    /// See [`Self::issue_ticket`].
    pub(crate) fn issue_ops_ticket(&self, user: &UserId) -> Result<String, TicketError> {
        self.issue(Pass::Ops { owner: user.clone() })
    }

    /// Path of the driver's page of an order, for its owner (checked by the caller): `/t/{ticket}`.
    pub(crate) fn page_link(&self, order_no: &OrderNo, owner: &UserId, now: Timestamp) -> String {
        format!("/t/{}", self.link_key.sign(order_no, owner, now))
    }

    /// Sockets open now.
    pub(crate) fn sockets(&self) -> u32 {
        self.seats.count()
    }

    /// Orders followed now.
    pub(crate) fn followed(&self) -> usize {
        self.directory.len()
    }

    /// Closes every socket with 1012 and lets no other in; returns when they are closed, or after a few seconds.
    pub(crate) async fn shutdown(&self) {
        self.closing.store(true, Ordering::Release);
        self.directory.wake_all();
        self.fleet.wake();
        if timeout(SHUTDOWN_TIMEOUT, self.seats.wait_empty()).await.is_err() {
            tracing::warn!(sockets = self.sockets(), "sockets did not close in time");
        }
    }

    fn issue(&self, pass: Pass) -> Result<String, TicketError> {
        let random = random_bytes().map_err(|error| TicketError::NoRandomness(error.to_string()))?;
        let drawn = u128::from_be_bytes(random);
        let now = Instant::now();
        self.tickets.lock().issue(pass, drawn, now, now + self.ticket_ttl)
    }

    fn redeem(&self, ticket: &str) -> Option<Pass> {
        self.tickets.lock().redeem(ticket, Instant::now())
    }

    fn pace(&self) -> Pace {
        self.pace
    }

    fn greeting(&self) -> Greeting {
        self.greeting
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }
}

impl Audience for Live {
    fn progress(&self, order_no: &OrderNo, live: &Values) {
        self.directory.with(order_no, |track| self.directory.show(track, track.progress(live, Instant::now())));
    }

    fn order_changed(&self, order: &Order, link: LinkState) {
        self.directory.with(&order.order_no, |track| track.order_changed(order, link));
        self.fleet.order_changed(order);
    }

    fn link_changed(&self, order_no: &OrderNo, link: LinkState) {
        self.directory.with(order_no, |track| track.link_changed(link));
    }

    fn event(&self, event: &FleetEvent) {
        self.fleet.event(event);
    }
}

/// What the handlers of this module and of the pages share.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub(crate) live: Arc<Live>,
    pub(crate) world: Arc<dyn World>,
}

impl Door {
    /// The order that the ticket of a driver's page opens; `None` when the ticket is not good, or no longer.
    pub(crate) async fn opens(&self, ticket: &str) -> Result<Option<Order>, StoreError> {
        let Some(claim) = Claim::parse(ticket) else { return Ok(None) };
        let order = self.world.order(&claim.order_no).await?;
        Ok(order.filter(|order| self.live.link_key.allows(&claim, order, self.world.now())))
    }
}

/// `/ws/v1/track` and `/ws/v1/ops`.
pub(crate) fn routes(door: Door) -> Router {
    Router::new().route("/ws/v1/track", get(phone::track)).route("/ws/v1/ops", get(fleet::ops)).with_state(door)
}

/// Starts what runs beside the sockets: the sweeps and the picture of the fleet. Abort the tasks at the end.
pub(crate) fn spawn(door: &Door) -> [JoinHandle<()>; 4] {
    let [ready, due, unwatched] = [(); 3].map(|()| Arc::clone(&door.live));
    let picture = door.clone();
    [
        tokio::spawn(async move { ready.directory.deliver_ready().await }),
        tokio::spawn(async move { due.directory.deliver_due().await }),
        tokio::spawn(async move { unwatched.directory.drop_unwatched().await }),
        tokio::spawn(async move { fleet::paint(&picture).await }),
    ]
}
