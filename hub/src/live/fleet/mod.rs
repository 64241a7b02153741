//! `GET /ws/v1/ops`: the fleet at a glance, drawn once for all viewers, at most once a second, when something changed.
//!
//! While nobody looks nothing is drawn; only the last events are kept.

mod picture;
mod today;

use std::collections::VecDeque;

use actors::api::FleetEvent;
use axum::{
    extract::{Query, State, ws::Utf8Bytes, ws::WebSocketUpgrade},
    response::Response,
};
use domain::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;
use settlement::order::Order;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, sleep_until},
};
use tracing::{Instrument, info, info_span};

use self::{picture::Picture, today::Today};
use super::{
    Door, Live,
    bucket::Bucket,
    limits::{FLEET_DUTY, FLEET_EVENTS_MAX, FLEET_EVERY, RESYNC_BURST, RESYNC_EVERY},
    line::{Close, Heard, Line, Over, sized},
    phone::Ask,
    seats::Seat,
    tickets::Pass,
    track::Greeting,
};

/// What the viewers share.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    events: Mutex<VecDeque<FleetEvent>>,
    today: Mutex<Today>,
    /// The newest message; none while nobody looks.
    picture: watch::Sender<Option<Utf8Bytes>>,
    has_viewer: Notify,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    t: &'static str,
    seq: u64,
    #[serde(flatten)]
    greeting: Greeting,
    as_of: Timestamp,
    d: &'a serde_json::value::RawValue,
}

impl Fleet {
    /// A line for the list of events.
    pub(super) fn event(&self, event: &FleetEvent) {
        let mut events = self.events.lock();
        if events.len() >= FLEET_EVENTS_MAX {
            events.pop_back();
        }
        events.push_front(event.clone());
    }

    /// An order may count for today's sums.
    pub(super) fn order_changed(&self, order: &Order) {
        self.today.lock().add(order);
    }

    /// Wakes every viewer.
    pub(super) fn wake(&self) {
        self.picture.send_modify(|_| {});
    }

    /// The newest events, newest first.
    fn events(&self) -> Vec<FleetEvent> {
        self.events.lock().iter().cloned().collect()
    }
}

/// Draws for as long as somebody looks, for ever.
pub(super) async fn paint(door: &Door) {
    let fleet = &door.live.fleet;
    let (mut seq, mut drawn) = (0_u64, String::new());
    loop {
        while fleet.picture.receiver_count() == 0 {
            fleet.picture.send_replace(None);
            drawn.clear();
            fleet.has_viewer.notified().await;
        }
        today::load_some(fleet, &*door.world).await;
        let begun = Instant::now();
        let now = door.world.now();
        let next = Picture::draw(&*door.world, fleet.events(), &fleet.today).await.json();
        if next.get() != drawn {
            seq = seq.saturating_add(1);
            let message = Message { t: "fleet", seq, greeting: door.live.greeting(), as_of: now, d: &next };
            let text = serde_json::to_string(&message).unwrap_or_default();
            fleet.picture.send_replace(Some(Utf8Bytes::from(text)));
            next.get().clone_into(&mut drawn);
        }
        sleep(FLEET_EVERY.max(begun.elapsed() * FLEET_DUTY)).await;
    }
}

/// Opens a viewer's socket; a refusal is an accepted upgrade and then a close.
pub(super) async fn ops(State(door): State<Door>, Query(ask): Query<Ask>, upgrade: WebSocketUpgrade) -> Response {
    sized(upgrade).on_upgrade(move |socket| {
        let line = Line::new(socket, door.live.pace());
        serve(door, ask, line).instrument(info_span!("viewer"))
    })
}

async fn serve(door: Door, ask: Ask, mut line: Line) {
    let over = match admit(&door.live, &ask.ticket) {
        Ok(seat) => {
            info!("viewer connected");
            view(&door.live, seat, &mut line).await
        }
        Err(close) => Over::Close(close),
    };
    info!(?over, "viewer leaves");
    line.finish(over).await;
}

fn admit(live: &Live, ticket: &str) -> Result<Seat, Close> {
    if live.is_closing() {
        return Err(Close::Restart);
    }
    match live.redeem(ticket).ok_or(Close::BadTicket)? {
        Pass::Ops { owner } => live.seats.take(&owner, None).ok_or(Close::TooMany),
        Pass::Order { .. } => Err(Close::Forbidden),
    }
}

async fn view(live: &Live, _seat: Seat, line: &mut Line) -> Over {
    let mut picture = live.fleet.picture.subscribe();
    live.fleet.has_viewer.notify_one();
    picture.mark_changed();
    let mut resyncs = Bucket::new(RESYNC_EVERY, RESYNC_BURST);
    loop {
        let ping_at = line.ping_at;
        let step = tokio::select! {
            heard = line.hear() => heard,
            _ = picture.changed() => if live.is_closing() {
                Err(Over::Close(Close::Restart))
            } else {
                show(&mut picture, line).await
            },
            () = sleep_until(ping_at) => line.ping().await.map(|()| Heard::Nothing),
        };
        match step {
            Ok(Heard::Nothing) => {}
            // Beyond its share, a viewer gets the next picture like everybody else.
            Ok(Heard::Resync) => {
                if resyncs.take(Instant::now()).is_ok() {
                    picture.mark_changed();
                }
            }
            Err(over) => return over,
        }
    }
}

/// Sends the newest picture; those that came while the last one was written are skipped.
async fn show(picture: &mut watch::Receiver<Option<Utf8Bytes>>, line: &mut Line) -> Result<Heard, Over> {
    let newest = picture.borrow_and_update().clone();
    match newest {
        Some(text) => line.send(text).await.map(|()| Heard::Nothing),
        None => Ok(Heard::Nothing),
    }
}
