//! One WebSocket: bounded buffers, writes with a deadline, application pings, close codes [CONTRACT 4].
//!
//! One unsplit task owns it. It knows nothing of orders or of the fleet.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use serde::Deserialize;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Error as WireError;

use super::limits::{
    CLOSE_TIMEOUT, INBOUND_BYTES_MAX, INBOUND_PER_PERIOD_MAX, MISSED_PONGS_MAX, READ_BUFFER_BYTES,
    WRITE_BUFFER_BYTES_MAX,
};

/// Why the hub closes a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Close {
    /// The order is over.
    Done,
    /// The ticket is unknown, used or expired.
    BadTicket,
    /// The ticket does not open this, or no longer.
    Forbidden,
    /// A message was not taken in time, or pings were not answered.
    TooSlow,
    /// Too many sockets.
    TooMany,
    /// The hub goes down; come back with jitter.
    Restart,
    /// A message from the phone was too long.
    TooBig,
    /// Too many messages from the phone.
    Flood,
    /// The store is away; come back later.
    TryLater,
}

impl Close {
    fn frame(self) -> CloseFrame {
        let (code, reason) = match self {
            Self::Done => (1000, "done"),
            Self::BadTicket => (4401, "ticket unknown, used or expired"),
            Self::Forbidden => (4403, "not allowed"),
            Self::TooSlow => (4408, "too slow"),
            Self::TooMany => (4429, "too many sockets"),
            Self::Restart => (1012, "restart"),
            Self::TooBig => (1009, "message too big"),
            Self::Flood => (1008, "too many messages"),
            Self::TryLater => (1013, "try again later"),
        };
        CloseFrame { code, reason: Utf8Bytes::from_static(reason) }
    }
}

/// Why the conversation is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// The connection is lost.
    Gone,
    /// The other side closes.
    Left,
    /// The hub closes.
    Close(Close),
}

/// What the other side said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// It wants a snapshot.
    Resync,
    /// Nothing that asks for an answer.
    Nothing,
}

/// How a socket is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) ping_every: Duration,
    pub(super) send_timeout: Duration,
}

/// An open socket.
#[derive(Debug)]
pub(super) struct Line {
    socket: WebSocket,
    pace: Pace,
    /// When the next ping is due.
    pub(super) ping_at: Instant,
    pinged: u64,
    ponged: u64,
    heard: u32,
}

#[derive(Deserialize)]
struct Inbound<'a> {
    #[serde(borrow)]
    t: std::borrow::Cow<'a, str>,
    #[serde(default)]
    n: Option<u64>,
}

/// The buffers of every socket [ENGINEERING: the defaults cost 138 KB per phone].
pub(super) fn sized(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
        .max_message_size(INBOUND_BYTES_MAX)
        .max_frame_size(INBOUND_BYTES_MAX)
}

impl Line {
    pub(super) fn new(socket: WebSocket, pace: Pace) -> Self {
        let ping_at = Instant::now() + pace.ping_every;
        Self { socket, pace, ping_at, pinged: 0, ponged: 0, heard: 0 }
    }

    /// Writes a text; the phone has [`Pace::send_timeout`] to take it.
    pub(super) async fn send(&mut self, text: Utf8Bytes) -> Result<(), Over> {
        match timeout(self.pace.send_timeout, self.socket.send(Message::Text(text))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Over::Gone),
            Err(_) => Err(Over::Close(Close::TooSlow)),
        }
    }

    /// Sends the ping that is due and plans the next, unless too many were not answered.
    pub(super) async fn ping(&mut self) -> Result<(), Over> {
        if self.pinged.saturating_sub(self.ponged) >= MISSED_PONGS_MAX {
            return Err(Over::Close(Close::TooSlow));
        }
        self.pinged = self.pinged.saturating_add(1);
        self.heard = 0;
        self.ping_at = Instant::now() + self.pace.ping_every;
        self.send(Utf8Bytes::from(format!(r#"{{"t":"ping","n":{}}}"#, self.pinged))).await
    }

    /// Waits for the other side to say something. May be dropped at any time.
    pub(super) async fn hear(&mut self) -> Result<Heard, Over> {
        let message = match self.socket.recv().await {
            None => return Err(Over::Gone),
            Some(Ok(Message::Close(_))) => return Err(Over::Left),
            Some(Err(error)) => return Err(if is_too_big(error) { Over::Close(Close::TooBig) } else { Over::Gone }),
            Some(Ok(message)) => message,
        };
        self.heard = self.heard.saturating_add(1);
        if self.heard > INBOUND_PER_PERIOD_MAX {
            return Err(Over::Close(Close::Flood));
        }
        // Unknown messages are for later versions of the contract.
        let Message::Text(text) = message else { return Ok(Heard::Nothing) };
        let Ok(inbound) = serde_json::from_str::<Inbound<'_>>(&text) else { return Ok(Heard::Nothing) };
        match (&*inbound.t, inbound.n) {
            ("pong", Some(n)) if n <= self.pinged => self.ponged = self.ponged.max(n),
            ("resync", _) => return Ok(Heard::Resync),
            _ => {}
        }
        Ok(Heard::Nothing)
    }

    /// Ends the conversation, and waits a moment for the close to be answered, so that it is not lost in a reset.
    pub(super) async fn finish(mut self, over: Over) {
        let farewell = async {
            match over {
                Over::Gone => return,
                Over::Left => {}
                Over::Close(close) => {
                    if self.socket.send(Message::Close(Some(close.frame()))).await.is_err() {
                        return;
                    }
                }
            }
            while let Some(Ok(_)) = self.socket.recv().await {}
        };
        // In time or not, the connection is dropped now.
        let _in_time = timeout(CLOSE_TIMEOUT, farewell).await.is_ok();
    }
}

fn is_too_big(error: axum::Error) -> bool {
    error.into_inner().downcast::<WireError>().is_ok_and(|error| matches!(*error, WireError::Capacity(_)))
}
