//! The task of one connection: carries bytes between its transport and the machine that understands them.
//!
//! Decides nothing. One read serves the whole thread: the buffer belongs to nobody between two polls.

mod entry;

use std::{
    cell::{Cell, RefCell},
    ops::ControlFlow,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use domain::Timestamp;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use crate::{
    allowance::Allowance,
    attempts::Attempt,
    batch::{FrameRecord, Record},
    conn::{
        Conn, Turn,
        machine::{Action, Forbidden, Frame, Machine},
    },
    limits::{FAIR_READ_LEN, FRAME_UNIT_LEN, PAYLOAD_LEN_MAX, READ_BUFFER_LEN},
    mqtt::{
        framer::{Framer, Raw, Unframed},
        read::{Malformed, Packet},
        write::{self, ConnectCode},
    },
    names,
    shared::Shared,
    sink::DownCause,
    uptime::Uptime,
};

/// First byte of a CONNECT.
const CONNECT: u8 = 0x10;
/// Reads in one turn. Beyond: the others first.
const READS_PER_TURN: usize = 4;

thread_local! {
    static READ_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BUFFER_LEN].into_boxed_slice());
}

/// See the module. Ends when the connection does.
#[derive(Debug)]
pub(crate) struct Driver<S> {
    shared: Arc<Shared>,
    conn: Arc<Conn>,
    io: S,
    machine: Machine,
    framer: Framer,
    allowance: Allowance,
    /// It sent more than its share: it is not read before this is over.
    nap: Option<Pin<Box<Sleep>>>,
    /// Bytes of its that count as come in part.
    held: usize,
    /// Its end was told.
    over: bool,
    /// The opening of the sluice it last waited for.
    entered: u64,
}

/// Why no further packet is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Close(DownCause),
    Refuse(ConnectCode),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    pub(crate) fn new(shared: Arc<Shared>, conn: Arc<Conn>, io: S) -> Self {
        Self {
            shared,
            conn,
            io,
            machine: Machine::default(),
            framer: Framer::default(),
            allowance: Allowance::default(),
            nap: None,
            held: 0,
            over: false,
            entered: 0,
        }
    }

    /// One read; `None` when the transport has ended.
    fn poll_read(&mut self, cx: &mut Context<'_>, refused: bool) -> Poll<Option<()>> {
        let fair = self.allowance.is_spent() || self.shared.pacer.is_paced();
        READ_BUFFER.with_borrow_mut(|buffer| {
            let room = if fair { FAIR_READ_LEN } else { READ_BUFFER_LEN };
            let mut buf = ReadBuf::new(buffer.get_mut(..room).unwrap_or_default());
            if ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf)).is_err() || buf.filled().is_empty() {
                return Poll::Ready(None);
            }
            self.shared.pacer.worked();
            if !refused {
                self.feed(cx, buf.filled());
            }
            Poll::Ready(Some(()))
        })
    }

    /// Ready when it may be read as far as its own share goes.
    fn poll_rested(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(nap) = &mut self.nap {
            ready!(nap.as_mut().poll(cx));
            self.nap = None;
            self.conn.rests(false);
        }
        Poll::Ready(())
    }

    fn feed(&mut self, cx: &mut Context<'_>, bytes: &[u8]) {
        let Self { shared, conn, io, machine, framer, allowance, nap, held, .. } = self;
        let (now, received) = (shared.stopwatch.now(), shared.clock.now());
        let at = Reading { shared, conn, now, received, frames: Cell::new(0) };
        conn.heard(at.now);
        if conn.is_stranger() && !framer.is_midway() && bytes.first() != Some(&CONNECT) {
            // Whoever begins otherwise speaks no MQTT; there is no need to wait for the rest.
            return conn.close(DownCause::Protocol);
        }
        let fed = framer.feed(bytes, |raw| at.packet(machine, raw));
        if !shared.may_hold(held, framer.held(), conn.is_stranger()) {
            return conn.close(DownCause::Memory);
        }
        if let Some(wait) = allowance.spend(at.frames.get(), &shared.guard, at.now) {
            shared.meters.throttled.increment(1);
            conn.rests(true);
            *nap = Some(Box::pin(sleep(wait)));
        }
        let stop = match fed {
            Ok(ControlFlow::Continue(())) => return,
            Ok(ControlFlow::Break(stop)) => stop,
            Err(Unframed::TooLong) => Stop::Close(DownCause::TooLong),
            Err(Unframed::BadLength) => Stop::Close(DownCause::Protocol),
        };
        match stop {
            Stop::Close(cause) => conn.close(cause),
            Stop::Refuse(code) => {
                metrics::counter!(names::REFUSED, "code" => code.as_str()).increment(1);
                conn.answer(|out| write::connack(out, code, false));
                conn.refuse(at.now);
                // What is in the socket must leave before its end, and the peer's last words must be read: a socket
                // closed with unread bytes sends a reset, which can swallow the CONNACK.
                let _ = conn.poll_turn(cx, io, at.now);
                let _ = Pin::new(io).poll_shutdown(cx);
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Driver<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        for _ in 0..READS_PER_TURN {
            let refused = match this.conn.poll_turn(cx, &mut this.io, this.shared.stopwatch.now()) {
                Turn::Read { refused } => refused,
                Turn::Wait => return Poll::Pending,
                Turn::Over(cause) => {
                    // Without its farewell a TLS client takes the end for an attack and may not come again by itself.
                    if !this.conn.is_plain() {
                        let _ = Pin::new(&mut this.io).poll_shutdown(cx);
                    }
                    this.over = true;
                    this.shared.finish(&this.conn, cause);
                    return Poll::Ready(());
                }
            };
            if !refused {
                ready!(this.poll_rested(cx));
                ready!(this.shared.flow.poll_open(cx, &mut this.entered));
            }
            if ready!(this.poll_read(cx, refused)).is_none() {
                this.conn.close(if refused { DownCause::Refused } else { DownCause::Closed });
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S> Drop for Driver<S> {
    fn drop(&mut self) {
        self.shared.may_hold(&mut self.held, 0, false);
        // Only a panic, or the end of the runtime, comes here before the connection was over.
        if !self.over {
            self.shared.finish(&self.conn, DownCause::Closed);
        }
    }
}

/// One read of one connection.
struct Reading<'a> {
    shared: &'a Arc<Shared>,
    conn: &'a Arc<Conn>,
    now: Uptime,
    received: Timestamp,
    /// Frames it had, as they count against its allowance.
    frames: Cell<u32>,
}

impl Reading<'_> {
    fn packet(&self, machine: &mut Machine, raw: Raw<'_>) -> ControlFlow<Stop> {
        let packet = match Packet::read(raw) {
            Ok(packet) => packet,
            Err(Malformed(why)) => {
                tracing::debug!(peer = %self.conn.peer, why, "not MQTT 3.1.1");
                return ControlFlow::Break(Stop::Close(DownCause::Protocol));
            }
        };
        self.count(packet.units());
        match machine.handle(packet, |forbidden| self.forbidden(forbidden)) {
            Action::Frame(frame) => self.frame(&frame),
            Action::Examine(claim) => return self.examine(machine, &claim),
            Action::ExamineReader(claim) => return self.examine_reader(machine, &claim),
            Action::Read { packet_id, filters } => {
                let refused = |filter| self.forbidden(Forbidden::Subscribe(filter));
                self.shared.readers.subscribe(self.conn, packet_id, &filters, refused);
            }
            Action::Unread { packet_id, filters } => self.shared.readers.unsubscribe(self.conn, packet_id, &filters),
            Action::Refuse(code) => return ControlFlow::Break(Stop::Refuse(code)),
            Action::Close(cause) => return ControlFlow::Break(Stop::Close(cause)),
            Action::Pong => self.conn.answer(write::pingresp),
            Action::Acknowledged(packet_id) => self.conn.acknowledged(packet_id, self.now),
            Action::Subscribe { packet_id, wishes } => self.conn.subscribe(packet_id, &wishes, self.now),
            Action::Unsubscribe { packet_id, topics } => self.conn.unsubscribe(packet_id, &topics),
        }
        ControlFlow::Continue(())
    }

    /// What it sent counts against its allowance, whatever it is.
    fn count(&self, units: u32) {
        self.frames.set(self.frames.get().saturating_add(units));
    }

    fn frame(&self, frame: &Frame<'_>) {
        let Some(who) = self.conn.who() else { return };
        let kept = frame.payload.get(..PAYLOAD_LEN_MAX).unwrap_or(frame.payload);
        self.shared.flow.taken(kept.len());
        self.count(u32::try_from(frame.payload_len / FRAME_UNIT_LEN).unwrap_or(u32::MAX));
        self.shared.collector.push(&Record::Frame(FrameRecord {
            pile_no: who.pile_no,
            epoch: who.epoch,
            received: self.received,
            topic: frame.topic,
            token: frame.packet_id.map(|id| self.conn.received(id, self.now)),
            retain: frame.retain,
            payload: kept,
            payload_len: u32::try_from(frame.payload_len).unwrap_or(u32::MAX),
        }));
        tracing::trace!(pile = %who.code, topic = %frame.topic, len = frame.payload_len, "frame");
    }

    /// Counts all of it; writes down and logs the first ones of a connection.
    fn forbidden(&self, forbidden: Forbidden<'_>) {
        let (what, peer) = (forbidden.what(), self.conn.peer);
        metrics::counter!(names::FORBIDDEN, "what" => what).increment(1);
        if !self.conn.tried() {
            return;
        }
        let topic: String = forbidden.topic().chars().take(128).collect();
        let who = self.conn.who();
        let pile = who.map(|who| who.code.as_str()).unwrap_or_default();
        tracing::warn!(target: "audit", %peer, pile, what, topic, "forbidden topic");
        let attempt = match (who, self.conn.reader()) {
            (Some(who), _) => Attempt::Forbidden { pile: who.code.clone(), peer, what, topic },
            (None, Some(reader)) => Attempt::Reader { name: reader.account.name.clone(), peer, what, topic },
            (None, None) => return,
        };
        self.shared.attempts.tell(attempt, self.now);
    }
}
