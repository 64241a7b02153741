//! One slot per pile, outside its actor: what anybody may know of it without asking, and the way to wake it.

use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use domain::{ConnectorId, Millis, OrderNo, PileNo, Timestamp, Watts, connector::ConnectorState, pile::Link};
use parking_lot::Mutex;
use ractor::ActorRef;
use store::registry::{Pile, PileState};

use crate::{api::LinkState, pile_actor::PileMsg};

/// No deadline is armed.
pub(crate) const NO_DEADLINE: i64 = i64::MAX;
/// No clock offset was measured.
const NO_OFFSET: i64 = i64::MIN;

/// What a pile's actor shows to others.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    pub(crate) connectors: Vec<ShownConnector>,
    pub(crate) power: Option<Watts>,
    pub(crate) firmware: Option<String>,
}

/// What a pile's actor shows of a gun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShownConnector {
    pub(crate) id: ConnectorId,
    pub(crate) state: ConnectorState,
    pub(crate) plugged: Option<bool>,
    pub(crate) order_no: Option<OrderNo>,
}

/// One pile's slot. Atomics are read by the sweeper and by HTTP, written by the pile's actor.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) facts: Pile,
    pub(crate) actor: Mutex<Option<ActorRef<PileMsg>>>,
    pub(crate) depth: AtomicU32,
    pub(crate) handled: AtomicU64,
    pub(crate) failures: AtomicU32,
    pub(crate) commands: AtomicUsize,
    pub(crate) blocked_until: AtomicI64,
    pub(crate) deadline: AtomicI64,
    last_seen: AtomicI64,
    link: AtomicU8,
    socket: AtomicU64,
    offset: AtomicI64,
    pub(crate) durable: Mutex<PileState>,
    pub(crate) orders: Mutex<Vec<OrderNo>>,
    pub(crate) shown: Mutex<Shown>,
}

impl Slot {
    pub(crate) fn new(facts: Pile, durable: PileState) -> Self {
        let connectors = (1..=facts.connectors)
            .map(|n| ShownConnector {
                id: ConnectorId(n),
                state: ConnectorState::Available,
                plugged: None,
                order_no: None,
            })
            .collect();
        Self {
            facts,
            actor: Mutex::new(None),
            depth: AtomicU32::new(0),
            handled: AtomicU64::new(0),
            failures: AtomicU32::new(0),
            commands: AtomicUsize::new(0),
            blocked_until: AtomicI64::new(i64::MIN),
            deadline: AtomicI64::new(NO_DEADLINE),
            last_seen: AtomicI64::new(i64::MIN),
            link: AtomicU8::new(link_code(Link::Unknown)),
            socket: AtomicU64::new(0),
            offset: AtomicI64::new(NO_OFFSET),
            durable: Mutex::new(durable),
            orders: Mutex::new(Vec::new()),
            shown: Mutex::new(Shown { connectors, ..Shown::default() }),
        }
    }

    pub(crate) const fn no(&self) -> PileNo {
        self.facts.pile_no
    }

    pub(crate) fn last_seen(&self) -> Option<Timestamp> {
        Timestamp::from_millis(self.last_seen.load(Ordering::Relaxed))
    }

    pub(crate) fn set_last_seen(&self, at: Timestamp) {
        self.last_seen.fetch_max(at.as_millis(), Ordering::Relaxed);
    }

    pub(crate) fn set_link(&self, link: Link) {
        self.link.store(link_code(link), Ordering::Relaxed);
    }

    /// Unknown counts as stale: the hub has just started and the pile was not heard of yet.
    pub(crate) fn link(&self) -> LinkState {
        match self.link.load(Ordering::Relaxed) {
            1 => LinkState::Live,
            3 => LinkState::Offline,
            _ => LinkState::Stale,
        }
    }

    /// Whether the pile was heard of since the hub started.
    pub(crate) fn was_heard(&self) -> bool {
        self.link.load(Ordering::Relaxed) != link_code(Link::Unknown)
    }

    /// The epoch of the present connection.
    pub(crate) fn socket(&self) -> Option<u32> {
        u32::try_from(self.socket.load(Ordering::Acquire).checked_sub(1)?).ok()
    }

    pub(crate) fn set_socket(&self, epoch: Option<u32>) {
        self.socket.store(epoch.map_or(0, |epoch| u64::from(epoch).saturating_add(1)), Ordering::Release);
    }

    /// The median of receive − device, if it was measured.
    pub(crate) fn clock_offset(&self) -> Option<Millis> {
        let offset = self.offset.load(Ordering::Relaxed);
        (offset != NO_OFFSET).then_some(Millis(offset))
    }

    pub(crate) fn set_clock_offset(&self, offset: Option<Millis>) {
        self.offset.store(offset.map_or(NO_OFFSET, |offset| offset.0), Ordering::Relaxed);
    }

    pub(crate) fn arm(&self, deadline: Option<Timestamp>) {
        self.deadline.store(deadline.map_or(NO_DEADLINE, Timestamp::as_millis), Ordering::Relaxed);
    }

    /// An order has, or no longer has, a session at this pile.
    pub(crate) fn note_order(&self, order_no: &OrderNo, open: bool) {
        let mut orders = self.orders.lock();
        orders.retain(|known| known != order_no);
        if open {
            orders.push(order_no.clone());
        }
    }
}

const fn link_code(link: Link) -> u8 {
    match link {
        Link::Unknown => 0,
        Link::Live => 1,
        Link::Stale => 2,
        Link::Offline => 3,
    }
}
