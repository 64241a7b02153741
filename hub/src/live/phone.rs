//! `GET /ws/v1/track`: one phone follows one order [CONTRACT 4].

use std::{future::pending, sync::Arc};

use axum::{
    extract::{Query, State, ws::WebSocketUpgrade},
    response::Response,
};
use serde::Deserialize;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tracing::{Instrument, info, info_span};

use super::{
    Door, Live,
    bucket::Bucket,
    limits::{RESYNC_BURST, RESYNC_EVERY},
    line::{Close, Heard, Line, Over, sized},
    seats::Seat,
    tickets::Pass,
    track::{Cursor, Next, Track},
    world::World,
};

/// Everything is a text: what cannot be read means nothing, and the socket is told so by a close code.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Ask {
    #[serde(default)]
    pub(super) ticket: String,
    epoch: Option<String>,
    since: Option<String>,
}

/// Opens the socket; a refusal is an accepted upgrade and then a close.
pub(super) async fn track(State(door): State<Door>, Query(ask): Query<Ask>, upgrade: WebSocketUpgrade) -> Response {
    sized(upgrade).on_upgrade(move |socket| {
        let line = Line::new(socket, door.live.pace());
        serve(door, ask, line).instrument(info_span!("phone", order_no = tracing::field::Empty))
    })
}

async fn serve(door: Door, ask: Ask, mut line: Line) {
    let over = match admit(&door, &ask.ticket).await {
        Ok(seated) => {
            tracing::Span::current().record("order_no", seated.track.order_no.as_str());
            info!("phone connected");
            let since = ask.since.and_then(|since| since.parse().ok());
            let cursor = seated.track.cursor(ask.epoch.as_deref(), since);
            follow(&door.live, seated, cursor, &mut line).await
        }
        Err(close) => Over::Close(close),
    };
    info!(?over, "phone leaves");
    line.finish(over).await;
}

/// A phone that was let in.
#[derive(Debug)]
struct Seated {
    track: Arc<Track>,
    changed: watch::Receiver<()>,
    _seat: Seat,
}

async fn admit(door: &Door, ticket: &str) -> Result<Seated, Close> {
    if door.live.is_closing() {
        return Err(Close::Restart);
    }
    let (order_no, owner) = match door.live.redeem(ticket) {
        Some(Pass::Order { order_no, owner }) => (order_no, owner),
        Some(Pass::Ops { .. }) => return Err(Close::Forbidden),
        None => {
            let order = door.opens(ticket).await.map_err(|_| Close::TryLater)?.ok_or(Close::BadTicket)?;
            (order.order_no, order.user_id)
        }
    };
    let seat = door.live.seats.take(&owner, Some(&order_no)).ok_or(Close::TooMany)?;
    let (track, changed) = door.live.directory.watch(&order_no).ok_or(Close::TooMany)?;
    if !track.is_loaded() {
        // Followed first and read then: what the actors say in between is not lost.
        load(&*door.world, &track).await?;
    }
    Ok(Seated { track, changed, _seat: seat })
}

async fn load(world: &dyn World, track: &Track) -> Result<(), Close> {
    let order = world.order(&track.order_no).await.map_err(|_| Close::TryLater)?.ok_or(Close::Forbidden)?;
    let (link, values) = (world.link_of(order.pile_no), world.values(&order.order_no));
    track.loaded(order, link, values);
    Ok(())
}

async fn follow(live: &Live, seated: Seated, mut cursor: Cursor, line: &mut Line) -> Over {
    let Seated { track, mut changed, _seat } = seated;
    let mut resyncs = Bucket::new(RESYNC_EVERY, RESYNC_BURST);
    let mut resync_at: Option<Instant> = None;
    loop {
        match tell(live, &track, &mut cursor, line).await {
            Ok(()) => {}
            Err(over) => return over,
        }
        let ping_at = line.ping_at;
        let step = tokio::select! {
            heard = line.hear() => heard,
            _ = changed.changed() => Ok(Heard::Nothing),
            () = sleep_until(ping_at) => Ok(Heard::Nothing),
            () = at(resync_at) => {
                resync_at = None;
                Ok(Heard::Resync)
            }
        };
        match step {
            Ok(Heard::Nothing) => {}
            Ok(Heard::Resync) if resync_at.is_some() => {}
            Ok(Heard::Resync) => match resyncs.take(Instant::now()) {
                Ok(()) => cursor.rewind(),
                Err(due) => resync_at = Some(due),
            },
            Err(over) => return over,
        }
    }
}

/// Writes everything that is owed, one message at a time; who is too slow for the ring gets a snapshot.
async fn tell(live: &Live, track: &Track, cursor: &mut Cursor, line: &mut Line) -> Result<(), Over> {
    loop {
        if live.is_closing() {
            return Err(Over::Close(Close::Restart));
        }
        if line.ping_at <= Instant::now() {
            line.ping().await?;
        }
        match track.next(cursor, live.greeting()) {
            Next::Send(text) => line.send(text).await?,
            Next::End(text) => {
                line.send(text).await?;
                return Err(Over::Close(Close::Done));
            }
            Next::Wait => return Ok(()),
        }
    }
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}
