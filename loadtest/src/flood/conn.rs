//! One flooding connection: written by the pacer without waiting, read by a small task of its own.

use std::{
    collections::VecDeque,
    io::ErrorKind,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::BytesMut;
use domain::PileCode;
use parking_lot::Mutex;
use tokio::{net::TcpStream, task::AbortHandle, time::Instant};

use crate::{
    client::{
        codec::{self, FromHub},
        lean::Lean,
        probes::Latency,
    },
    limits,
};

/// Counters of a flood.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) sent: AtomicU64,
    pub(super) acked: AtomicU64,
    pub(super) not_sent: AtomicU64,
    pub(super) broken: AtomicU64,
    pub(super) received: AtomicU64,
    pub(super) puback: Latency,
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Messages that wait for their PUBACK: packet id and when they were due.
type Waiting = Arc<Mutex<VecDeque<(u16, Instant)>>>;

/// A flooding connection.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) code: PileCode,
    stream: Arc<TcpStream>,
    waiting: Waiting,
    /// What the socket did not take yet.
    stuck: Vec<u8>,
    last_id: u16,
    reader: AbortHandle,
}

impl Conn {
    /// `None` when the connection is not plain.
    pub(super) fn start(code: PileCode, lean: Lean, totals: &Arc<Totals>) -> Option<Self> {
        let stream = Arc::new(lean.into_plain()?);
        let waiting = Waiting::default();
        let reading = read(Arc::clone(&stream), Arc::clone(&waiting), Arc::clone(totals));
        let reader = tokio::spawn(reading).abort_handle();
        Some(Self { code, stream, waiting, stuck: Vec::new(), last_id: 0, reader })
    }

    pub(super) fn stop(self) {
        self.reader.abort();
    }

    pub(super) fn next_id(&mut self) -> u16 {
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        self.last_id
    }

    pub(super) fn send(&mut self, frame: &[u8], id: Option<u16>, due: Instant, totals: &Totals) {
        if let Some(id) = id {
            let mut waiting = self.waiting.lock();
            if waiting.len() >= limits::FLOOD_WAITING_MAX {
                add(&totals.not_sent);
                return;
            }
            waiting.push_back((id, due));
        }
        add(&totals.sent);
        self.stuck.extend_from_slice(frame);
        self.push();
    }

    pub(super) const fn is_stuck(&self) -> bool {
        !self.stuck.is_empty()
    }

    /// Writes as much as the socket takes now. An error is noticed by the reader.
    pub(super) fn push(&mut self) {
        if let Ok(written) = self.stream.try_write(&self.stuck) {
            self.stuck.drain(..written);
        }
    }
}

async fn read(stream: Arc<TcpStream>, waiting: Waiting, totals: Arc<Totals>) {
    let mut input = BytesMut::new();
    let mut chunk = [0_u8; 256];
    loop {
        if stream.readable().await.is_err() {
            break;
        }
        match stream.try_read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => input.extend_from_slice(chunk.get(..n).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(_) => break,
        }
        let now = Instant::now();
        loop {
            match codec::decode(&mut input) {
                Ok(Some(FromHub::PubAck(id))) => {
                    let first = waiting.lock().pop_front();
                    // PUBACKs come in the order of the publishes [MQTT-4.6.0-2].
                    let Some((_, due)) = first.filter(|(expected, _)| *expected == id) else {
                        add(&totals.broken);
                        return;
                    };
                    add(&totals.acked);
                    totals.puback.record(now.saturating_duration_since(due));
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => {
                    add(&totals.broken);
                    return;
                }
            }
        }
    }
    add(&totals.broken);
}
