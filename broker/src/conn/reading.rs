//! The connection of an integration, which reads what piles send: what is different about it.

use std::sync::Arc;

use super::{Conn, State};
use crate::{
    limits::{UNWRITTEN_LEN_MAX, WRITE_WITHIN},
    readers::Reader,
    sink::DownCause,
    uptime::Uptime,
};

impl Conn {
    /// Notes that it is an integration's. Nothing is written to it until [`Self::go_on`].
    pub(crate) fn read_by(&self, reader: Arc<Reader>) {
        self.state.lock().held = true;
        // A second CONNECT closes the connection before it could come here.
        let _ = self.reader.set(reader);
    }

    /// Whose it is, if it is an integration's.
    pub(crate) fn reader(&self) -> Option<&Arc<Reader>> {
        self.reader.get()
    }

    /// Nobody knows yet whose it is.
    pub(crate) fn is_stranger(&self) -> bool {
        self.who().is_none() && self.reader().is_none()
    }

    /// Writes what was answered so far, and from now on what comes.
    pub(crate) fn go_on(&self, now: Uptime) {
        let mut state = self.state.lock();
        state.held = false;
        self.write(&mut state, now);
        // What it sent meanwhile may wait to be read.
        state.wake();
    }

    /// Takes packets, all or none; `false` while too much waits, and [`Reader::room`] says when to come again.
    pub(crate) fn offer(&self, packets: &[u8], now: Uptime) -> bool {
        let mut state = self.state.lock();
        if state.out.len() >= UNWRITTEN_LEN_MAX {
            state.waits = true;
            return false;
        }
        state.out.extend_from_slice(packets);
        self.write(&mut state, now);
        true
    }

    /// Says that there is room, to who waits for it.
    pub(super) fn say_room(&self, state: &mut State) {
        if state.waits && state.out.len() < UNWRITTEN_LEN_MAX {
            state.waits = false;
            if let Some(reader) = self.reader.get() {
                reader.room.notify_one();
            }
        }
    }

    /// See [`Self::overdue`].
    pub(super) fn reader_overdue(&self, state: &State, reader: &Reader, now: Uptime) -> Option<DownCause> {
        if state.stuck.is_some_and(|since| now.passed(since, WRITE_WITHIN)) {
            Some(DownCause::Lagging)
        } else if now.passed(self.last_heard(), reader.silence_max) {
            Some(DownCause::KeepAlive)
        } else {
            None
        }
    }
}
