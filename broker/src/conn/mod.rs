//! One connection, as those see it who are not its task: the store's writer sends PUBACKs, actors send commands, the
//! sweeper looks at deadlines, a takeover ends it.
//!
//! On plain TCP they write to the socket themselves; what the socket does not take, and everything on other
//! transports, is left to the connection's task.

pub(crate) mod acks;
pub(crate) mod bad;
pub(crate) mod machine;
pub(crate) mod outbox;
mod reading;

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use domain::{PileCode, PileNo, wire::DownTopic};
use parking_lot::Mutex;
use tokio::{io::AsyncWrite, net::TcpStream};

use self::{
    acks::AckQueue,
    bad::BadFrames,
    outbox::{Full, Message, Outbox},
};
use crate::{
    limits::{
        ATTEMPTS_PER_CONNECTION_MAX, CONNECT_WITHIN, LINGER, STORE_WITHIN, UNACKED_PER_CONNECTION_MAX,
        UNWRITTEN_LEN_MAX, WRITE_WITHIN,
    },
    mqtt::write::{self, ConnectCode, SUBSCRIBE_REFUSED},
    readers::Reader,
    sink::DownCause,
    tls::PileCert,
    uptime::Uptime,
};

/// Capacity that an emptied write buffer keeps: an idle connection costs next to nothing.
const OUT_KEPT: usize = 256;

/// See the module.
#[derive(Debug)]
pub(crate) struct Conn {
    /// Its place among all connections.
    pub(crate) slot: usize,
    /// Where it comes from.
    pub(crate) peer: SocketAddr,
    /// Since when it is open.
    since: Uptime,
    tcp: Option<Arc<TcpStream>>,
    /// What its certificate says, if it showed one that is good.
    pub(crate) cert: Option<Box<PileCert>>,
    who: OnceLock<Who>,
    /// Whose it is, if it is an integration's and no pile's.
    reader: OnceLock<Arc<Reader>>,
    /// When its last bytes came, as [`Uptime`].
    heard: AtomicU64,
    /// It sent more than its share and is not read for a while: its silence is our doing.
    resting: AtomicBool,
    /// Forbidden things it tried.
    attempts: AtomicU32,
    state: Mutex<State>,
}

/// Whose connection it is.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    pub(crate) pile_no: PileNo,
    pub(crate) epoch: u32,
    pub(crate) code: PileCode,
    /// Silence after which it is closed: 1.5 times what it asked for.
    pub(crate) silence_max: Duration,
    pub(crate) has_will: bool,
    /// What it subscribed to and has not acknowledged is kept for its next connection.
    pub(crate) keeps_session: bool,
}

#[derive(Debug, Default)]
struct State {
    /// Of the task.
    waker: Option<Waker>,
    closing: Option<DownCause>,
    /// Refused: only kept until the peer has read why.
    refused: Option<Uptime>,
    out: Vec<u8>,
    /// Nothing is written yet.
    held: bool,
    /// Somebody waits for room in `out`.
    waits: bool,
    /// Something was written that a buffering transport may still hold.
    unflushed: bool,
    /// Since when `out` waits without a byte being taken.
    stuck: Option<Uptime>,
    /// The task does not read because too much waits to be acknowledged or written.
    full: bool,
    acks: AckQueue,
    outbox: Outbox,
    bad: BadFrames,
}

/// What the task may do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Read; if the flag is set, only to throw away.
    Read { refused: bool },
    /// Nothing before it is woken.
    Wait,
    /// End.
    Over(DownCause),
}

impl Conn {
    pub(crate) fn new(slot: usize, peer: SocketAddr, tcp: Option<Arc<TcpStream>>, now: Uptime) -> Self {
        Self {
            slot,
            peer,
            since: now,
            tcp,
            cert: None,
            who: OnceLock::new(),
            reader: OnceLock::new(),
            heard: AtomicU64::new(now.as_millis()),
            resting: AtomicBool::new(false),
            attempts: AtomicU32::new(0),
            state: Mutex::default(),
        }
    }

    /// The same, of somebody who showed a certificate.
    pub(crate) fn with(self, cert: Option<Box<PileCert>>) -> Self {
        Self { cert, ..self }
    }

    /// Whether it is plain TCP, which needs no farewell.
    pub(crate) const fn is_plain(&self) -> bool {
        self.tcp.is_some()
    }

    /// Notes that it tried what it must not; whether that is worth a row in the audit trail.
    pub(crate) fn tried(&self) -> bool {
        self.attempts.fetch_add(1, Ordering::Relaxed) < ATTEMPTS_PER_CONNECTION_MAX
    }

    /// Whose it is, once that is shown.
    pub(crate) fn who(&self) -> Option<&Who> {
        self.who.get()
    }

    /// Notes whose it is. The first note stands.
    pub(crate) fn admit(&self, who: Who) {
        // A second CONNECT closes the connection before it could come here.
        let _ = self.who.set(who);
    }

    /// Answers that it is let in; with the session of an earlier connection it goes on where that one ended.
    pub(crate) fn accept(&self, session: Option<Box<Outbox>>, now: Uptime) {
        let mut state = self.state.lock();
        write::connack(&mut state.out, ConnectCode::Accepted, session.is_some());
        if let Some(session) = session {
            let since = std::mem::take(&mut state.outbox);
            state.outbox = session.resume(since, now);
        }
        self.release(&mut state, now);
    }

    /// What the pile subscribed to, and what it has not acknowledged.
    pub(crate) fn take_session(&self) -> Box<Outbox> {
        Box::new(std::mem::take(&mut self.state.lock().outbox))
    }

    /// Is not read for a while, or is read again.
    pub(crate) fn rests(&self, yes: bool) {
        self.resting.store(yes, Ordering::Relaxed);
    }

    /// Bytes came. Only this, never anything sent, counts as life [MQTT-3.1.2-24].
    pub(crate) fn heard(&self, now: Uptime) {
        self.heard.store(now.as_millis(), Ordering::Relaxed);
    }

    fn last_heard(&self) -> Uptime {
        Uptime::from_millis(self.heard.load(Ordering::Relaxed))
    }

    /// Ends it, for the first reason given.
    pub(crate) fn close(&self, cause: DownCause) {
        let mut state = self.state.lock();
        state.closing.get_or_insert(cause);
        state.wake();
    }

    /// Appends an answer for the task's next [`Self::poll_turn`].
    pub(crate) fn answer(&self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.state.lock().out);
    }

    /// From here on the peer may read its CONNACK and nothing else.
    pub(crate) fn refuse(&self, now: Uptime) {
        self.state.lock().refused = Some(now);
    }

    /// Notes a QoS 1 frame; its running number.
    pub(crate) fn received(&self, packet_id: u16, now: Uptime) -> u32 {
        self.state.lock().acks.received(packet_id, now)
    }

    /// Frames are stored: sends the PUBACKs that may leave; how many.
    pub(crate) fn stored(&self, frames: impl Iterator<Item = u32>, now: Uptime) -> u32 {
        let mut state = self.state.lock();
        for n in frames {
            state.acks.stored(n);
        }
        let State { acks, out, .. } = &mut *state;
        let released = acks.release(out);
        if released > 0 {
            self.write(&mut state, now);
            if state.full {
                state.wake();
            }
        }
        released
    }

    /// Sends a message or holds it until the pile subscribes.
    pub(crate) fn send(&self, message: Message, now: Uptime) -> Result<(), Full> {
        let mut state = self.state.lock();
        state.outbox.push(message)?;
        self.release(&mut state, now);
        self.write(&mut state, now);
        Ok(())
    }

    /// The pile subscribes: answers, then sends what waited for it. A wish is a topic and a QoS, or `None` when
    /// forbidden.
    pub(crate) fn subscribe(&self, packet_id: u16, wishes: &[Option<(DownTopic, u8)>], now: Uptime) {
        let mut state = self.state.lock();
        let State { outbox, out, .. } = &mut *state;
        let mut grant = |topic, qos| outbox.subscribed(topic, qos);
        let codes = wishes.iter().map(|wish| wish.map_or(SUBSCRIBE_REFUSED, |(topic, qos)| grant(topic, qos)));
        write::suback(out, packet_id, &codes.collect::<Vec<_>>());
        self.release(&mut state, now);
    }

    /// The pile unsubscribes: what comes on these topics is held again.
    pub(crate) fn unsubscribe(&self, packet_id: u16, topics: &[DownTopic]) {
        let mut state = self.state.lock();
        for topic in topics {
            state.outbox.unsubscribed(*topic);
        }
        write::unsuback(&mut state.out, packet_id);
    }

    /// The pile has a message: the next one may leave.
    pub(crate) fn acknowledged(&self, packet_id: u16, now: Uptime) {
        let mut state = self.state.lock();
        state.outbox.acknowledged(packet_id);
        self.release(&mut state, now);
    }

    /// Counts a frame that was not understood; closes at the last that is borne.
    pub(crate) fn bad_frame(&self, now: Uptime) {
        let too_many = self.state.lock().bad.one_more(now);
        if too_many {
            self.close(DownCause::BadFrames);
        }
    }

    /// What has run out, if anything; also sends messages that waited too long for an earlier one's acknowledgement.
    /// While the gate does not read (`unread`), silence is its own doing and does not count.
    pub(crate) fn overdue(&self, now: Uptime, unread: bool) -> Option<DownCause> {
        let mut state = self.state.lock();
        if let Some(since) = state.refused {
            return now.passed(since, LINGER).then_some(DownCause::Refused);
        }
        if self.is_stranger() {
            return (!unread && now.passed(self.since, CONNECT_WITHIN)).then_some(DownCause::ConnectTimeout);
        }
        if unread || state.full || self.resting.load(Ordering::Relaxed) {
            self.heard(now);
        }
        if let Some(reader) = self.reader.get() {
            return self.reader_overdue(&state, reader, now);
        }
        let who = self.who.get()?;
        self.release(&mut state, now);
        self.write(&mut state, now);
        let heard = self.last_heard();
        if state.stuck.is_some_and(|since| now.passed(since, WRITE_WITHIN)) {
            Some(DownCause::WriteTimeout)
        } else if state.acks.oldest().is_some_and(|since| now.passed(since, STORE_WITHIN)) {
            Some(DownCause::StoreTimeout)
        } else if now.passed(heard, who.silence_max) {
            Some(DownCause::KeepAlive)
        } else {
            None
        }
    }

    /// The task's turn: writes what waits, leaves its waker, and says what to do next.
    pub(crate) fn poll_turn<S: AsyncWrite + Unpin>(&self, cx: &mut Context<'_>, io: &mut S, now: Uptime) -> Turn {
        let mut state = self.state.lock();
        if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.waker = Some(cx.waker().clone());
        }
        let written = state.poll_write(cx, io, now);
        if let Some(cause) = state.closing {
            return Turn::Over(cause);
        }
        if written.is_err() {
            return Turn::Over(DownCause::Closed);
        }
        if state.out.is_empty() {
            self.release(&mut state, now);
            if state.poll_write(cx, io, now).is_err() {
                return Turn::Over(DownCause::Closed);
            }
        }
        self.say_room(&mut state);
        state.full = state.out.len() >= UNWRITTEN_LEN_MAX || state.acks.len() >= UNACKED_PER_CONNECTION_MAX;
        if state.full { Turn::Wait } else { Turn::Read { refused: state.refused.is_some() } }
    }

    fn release(&self, state: &mut State, now: Uptime) {
        if let Some(who) = self.who.get() {
            state.release(who.code.as_str(), now);
        }
    }

    /// Writes from whatever thread this is, or leaves it to the task.
    fn write(&self, state: &mut State, now: Uptime) {
        if state.closing.is_some() || state.held || state.out.is_empty() {
            return;
        }
        let Some(tcp) = &self.tcp else { return state.wake() };
        match tcp.try_write(&state.out) {
            Ok(len) => state.written(len, now),
            // The task takes over, and the time from then on.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => {
                state.closing.get_or_insert(DownCause::Closed);
            }
        }
        if !state.out.is_empty() {
            state.wake();
        }
    }
}

impl State {
    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    fn release(&mut self, code: &str, now: Uptime) {
        self.outbox.release(code, now, &mut self.out);
    }

    fn poll_write<S: AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, io: &mut S, now: Uptime) -> io::Result<()> {
        while !self.held && !self.out.is_empty() {
            match Pin::new(&mut *io).poll_write(cx, &self.out) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(len)) => {
                    self.written(len, now);
                    self.unflushed = true;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => {
                    self.stuck.get_or_insert(now);
                    return Ok(());
                }
            }
        }
        // TLS keeps what it encrypted until it is told that this was all.
        if self.unflushed
            && let Poll::Ready(flushed) = Pin::new(io).poll_flush(cx)
        {
            self.unflushed = false;
            return flushed;
        }
        Ok(())
    }

    fn written(&mut self, len: usize, now: Uptime) {
        if len >= self.out.len() {
            self.out.clear();
            self.out.shrink_to(OUT_KEPT);
            self.stuck = None;
        } else {
            self.out.drain(..len);
            self.stuck = Some(now);
        }
    }
}
