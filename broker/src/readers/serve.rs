//! The task of one integration's connection: from its place in the router's log to its socket, not on the hot thread.

use std::sync::Arc;

use domain::wire::UpTopic;
use tokio::{sync::watch, time::timeout};

use super::{Desk, Reader, Source, link::Link};
use crate::{
    acl,
    batch::{FrameRecord, HEAD_LEN, Record, Records},
    conn::Conn,
    limits::{CONNECT_WITHIN, PAYLOAD_LEN_MAX, UNWRITTEN_LEN_MAX},
    mqtt::write::{self, Sending},
    router::RouterFault,
    shared::Shared,
    sink::DownCause,
};

/// Runs until the connection is over, and closes it when it cannot go on.
pub(super) async fn serve(shared: Arc<Shared>, conn: Arc<Conn>, reader: Arc<Reader>) {
    let cause = tokio::select! {
        cause = carry(&shared, &conn, &reader) => cause,
        () = reader.over.notified() => return,
    };
    conn.close(cause);
}

/// Why it ends.
async fn carry(shared: &Shared, conn: &Conn, reader: &Reader) -> DownCause {
    let mut source = shared.readers.source.subscribe();
    let Ok(Some(mut link)) = timeout(CONNECT_WITHIN, link(&mut source)).await else { return DownCause::Router };
    conn.go_on(shared.stopwatch.now());
    let mut packets = Vec::new();
    loop {
        let batch = tokio::select! {
            biased;
            _replaced = source.changed() => return DownCause::Router,
            batch = link.next() => batch,
        };
        let frames = match batch {
            Ok(batch) => shared.readers.pick(reader, &batch, &mut packets),
            Err(RouterFault::Gap) => return DownCause::Lagging,
            Err(RouterFault::Dead | RouterFault::Stalled) => return DownCause::Router,
        };
        if frames > 0 && !hand_over(shared, conn, reader, &packets).await {
            return DownCause::Lagging;
        }
        shared.readers.frames.increment(frames);
        packets.clear();
        packets.shrink_to(UNWRITTEN_LEN_MAX);
    }
}

/// A place in the log of the router at work; one that is dead is waited out.
async fn link(source: &mut watch::Receiver<Option<Source>>) -> Option<Link> {
    loop {
        let running = source.wait_for(Option::is_some).await.ok()?.clone()?;
        // rumqttd waits for its thread when it links.
        if let Ok(Ok(link)) = tokio::task::spawn_blocking(move || running.link()).await {
            return Some(link);
        }
        source.changed().await.ok()?;
    }
}

/// Puts packets into the connection's buffer once there is room; `false` when there is none for too long. Meanwhile the
/// router keeps what comes, as long as its log has room.
async fn hand_over(shared: &Shared, conn: &Conn, reader: &Reader, packets: &[u8]) -> bool {
    let room = async {
        while !conn.offer(packets, shared.stopwatch.now()) {
            reader.room.notified().await;
        }
    };
    timeout(shared.config.integration_lag_max, room).await.is_ok()
}

impl Desk {
    /// Appends what the integration reads of a batch, as packets; how many frames.
    fn pick(&self, reader: &Reader, batch: &[u8], packets: &mut Vec<u8>) -> u64 {
        let places = self.fleet.places();
        reader.with_filters(|filters| {
            let mut picked = 0;
            for record in Records::at(batch, HEAD_LEN) {
                let Record::Frame(frame) = record else { continue };
                let Some((topic, payload)) = whole(&frame) else { continue };
                let place = places.get(frame.pile_no.index()).and_then(Option::as_ref);
                let Some(place) = place else { continue };
                let (code, station) = (place.code.as_str(), place.station.as_str());
                if acl::deliver(&reader.account.grants, filters, code, station, topic) {
                    write::publish(packets, code, topic.as_str(), Sending::AtMostOnce, payload);
                    picked += 1;
                }
            }
            picked
        })
    }
}

/// A frame that can be passed on as it came: not one that asked to be kept, not one that was cut.
fn whole<'a>(frame: &FrameRecord<'a>) -> Option<(UpTopic, &'a [u8])> {
    let uncut = frame.payload.len() <= PAYLOAD_LEN_MAX && u32::try_from(frame.payload.len()) == Ok(frame.payload_len);
    (uncut && !frame.retain).then_some((frame.topic, frame.payload))
}
