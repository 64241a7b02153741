//! What the gate tells the hub: frames, frames nobody understood, and links that go up and down.
//!
//! All of it in one order per pile: a link's `Up` before its frames, its frames before its `Down`.

use std::net::SocketAddr;

use domain::{
    AckToken, PileCode, PileNo, Timestamp,
    wire::{FrameError, UpFrame, UpTopic},
};

use crate::identity::Credential;

/// Implemented by the hub over its actors. Called on the hot thread: it must not block.
pub trait UpSink: Send + 'static {
    /// A frame that was understood. Its token comes back through [`Acks`](crate::Acks) once it is stored.
    fn frame(&mut self, up: Up<'_>) -> Deliver;

    /// A frame that was not understood: to be quarantined, then acknowledged through its token like any other.
    /// It counts against the connection already.
    fn bad_frame(&mut self, bad: BadFrame<'_>) -> Deliver;

    /// A pile came or went. Cannot be refused; at most two per connection.
    fn link(&mut self, event: LinkEvent);

    /// Whether frames may come. While it says no, sockets are not read.
    fn ready(&self) -> bool;
}

/// Whether the sink took a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deliver {
    /// It is the sink's now.
    Taken,
    /// No room: nothing was taken. The frame is offered again, before any other, and no socket is read meanwhile.
    Busy,
}

/// A frame that was understood.
#[derive(Debug)]
pub struct Up<'a> {
    /// Which pile.
    pub pile_no: PileNo,
    /// Which of its connections; the same as in that link's [`LinkEvent::Up`].
    pub epoch: u32,
    /// When the gate read it.
    pub received: Timestamp,
    /// On which topic.
    pub topic: UpTopic,
    /// What it says.
    pub frame: UpFrame,
    /// Its bytes, for those who find later that it must be quarantined.
    pub raw: &'a [u8],
    /// To be given back when it is stored; `None` for QoS 0.
    pub token: Option<AckToken>,
}

/// A frame that was not understood.
#[derive(Debug)]
pub struct BadFrame<'a> {
    /// Which pile.
    pub pile_no: PileNo,
    /// Which of its connections.
    pub epoch: u32,
    /// Its code.
    pub code: &'a PileCode,
    /// When the gate read it.
    pub received: Timestamp,
    /// On which topic; [`UpTopic::topic`] gives the text.
    pub topic: UpTopic,
    /// Its bytes, the first 16 KiB of them.
    pub raw: &'a [u8],
    /// Why.
    pub error: FrameError,
    /// To be given back when it is quarantined; `None` for QoS 0.
    pub token: Option<AckToken>,
}

/// A pile came or went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEvent {
    /// It connected and showed who it is. It subscribes a moment later; what is sent to it at once waits for that.
    Up {
        /// Which pile.
        pile_no: PileNo,
        /// Number of this connection of the pile: larger than that of every earlier one since the start.
        epoch: u32,
        /// From where.
        addr: SocketAddr,
        /// What it showed.
        by: Credential,
    },
    /// That connection is over. After a takeover this comes before the `Up` of the next one.
    Down {
        /// Which pile.
        pile_no: PileNo,
        /// Which of its connections.
        epoch: u32,
        /// Why.
        cause: DownCause,
        /// It had left a will and did not take leave.
        will: bool,
    },
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DownCause {
    /// The pile took leave with DISCONNECT.
    Disconnect,
    /// The pile closed the socket, or the network did.
    Closed,
    /// Nothing came for 1.5 times the keep-alive.
    KeepAlive,
    /// The same pile connected again.
    Takeover,
    /// Too many frames that were not understood.
    BadFrames,
    /// It published on a topic that is not its own.
    Forbidden,
    /// It broke the rules of MQTT 3.1.1.
    Protocol,
    /// It published with QoS 2, which is not offered.
    QosTwo,
    /// It announced a packet that is longer than any may be.
    TooLong,
    /// It did not read what was sent to it.
    WriteTimeout,
    /// A frame of it could not be stored in time; it sends it again on its next connection.
    StoreTimeout,
    /// Its certificate was revoked, or its station closed to secrets.
    Revoked,
    /// Packets that have come in part took too much memory, and it brought the next one.
    Memory,
    /// The hub goes down.
    Shutdown,
    /// It never said who it is. Never in a [`LinkEvent`].
    ConnectTimeout,
    /// Its CONNECT was refused. Never in a [`LinkEvent`].
    Refused,
    /// An integration that did not keep up with what it reads. Never in a [`LinkEvent`].
    Lagging,
    /// The router that an integration read from is gone. Never in a [`LinkEvent`].
    Router,
    /// The account of an integration was removed. Never in a [`LinkEvent`].
    Removed,
}

impl DownCause {
    /// All causes; the place in this list is the number a cause has inside the gate.
    pub(crate) const ALL: [Self; 19] = [
        Self::Disconnect,
        Self::Closed,
        Self::KeepAlive,
        Self::Takeover,
        Self::BadFrames,
        Self::Forbidden,
        Self::Protocol,
        Self::QosTwo,
        Self::TooLong,
        Self::WriteTimeout,
        Self::StoreTimeout,
        Self::Revoked,
        Self::Memory,
        Self::Shutdown,
        Self::ConnectTimeout,
        Self::Refused,
        Self::Lagging,
        Self::Router,
        Self::Removed,
    ];

    /// The label it is counted under.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disconnect => "disconnect",
            Self::Closed => "closed",
            Self::KeepAlive => "keep_alive",
            Self::Takeover => "takeover",
            Self::BadFrames => "bad_frames",
            Self::Forbidden => "forbidden",
            Self::Protocol => "protocol",
            Self::QosTwo => "qos_2",
            Self::TooLong => "too_long",
            Self::WriteTimeout => "write_timeout",
            Self::StoreTimeout => "store_timeout",
            Self::Revoked => "revoked",
            Self::Memory => "memory",
            Self::Shutdown => "shutdown",
            Self::ConnectTimeout => "connect_timeout",
            Self::Refused => "refused",
            Self::Lagging => "lagging",
            Self::Router => "router",
            Self::Removed => "removed",
        }
    }

    /// Whether a connection that ended so is owed its will: not after a leave-taking, not when its pile is back, not
    /// when it was the hub that went.
    #[must_use]
    pub const fn executes_will(self) -> bool {
        !matches!(self, Self::Disconnect | Self::Takeover | Self::Shutdown)
    }
}

impl std::fmt::Display for DownCause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
