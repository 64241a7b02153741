//! Which connections there are, and which of them is a pile's own: one per pile, the last that showed the secret.
//!
//! A takeover happens here, in one step: the old connection is told `Down`, the new one `Up`, and from then on the
//! old one's end, will, frames and acknowledgements concern nobody. What a pile did lately is remembered with its seat:
//! who comes too often is held down, and two that take each other's seat are told apart from one that moved.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use domain::{PileCode, PileNo};
use parking_lot::{Mutex, RwLock};

use crate::{
    batch::Record,
    collector::Collector,
    conn::{Conn, Who, outbox::Outbox},
    guard::bucket::{Bucket, Rate},
    identity::Credential,
    limits::{CLONE_WINDOW, FLAG_EVERY, FLAPS_BURST, FLAPS_PER_MIN, PILE_NO_MAX, SESSIONS_BYTES_MAX},
    sink::DownCause,
    uptime::Uptime,
};

/// A pile's place in the table.
#[derive(Debug, Default)]
struct Seat {
    /// Number of its last connection.
    epoch: u32,
    conn: Option<Arc<Conn>>,
    /// What it finds again on its next connection (clean session 0).
    session: Option<Box<Outbox>>,
    lately: Lately,
}

/// What a pile did lately.
#[derive(Debug, Default)]
struct Lately {
    connects: Bucket,
    flaps: Bucket,
    /// When it was flagged as flapping.
    flagged: Option<Uptime>,
    /// When it was told of as a clone.
    cloned: Option<Uptime>,
    /// The last takeover by another address: when, and whose seat it took.
    moved: Option<(Uptime, SocketAddr)>,
}

/// All connections, strangers too; a free place is used again.
#[derive(Debug, Default)]
struct Slots {
    conns: Vec<Option<Arc<Conn>>>,
    free: Vec<usize>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    slots: Mutex<Slots>,
    open: AtomicUsize,
    admitted: AtomicUsize,
    seats: RwLock<Vec<Seat>>,
    /// Bytes in the sessions of piles that are away.
    session_bytes: AtomicUsize,
}

/// Why a socket was closed as soon as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TurnedAway {
    /// Too many connections.
    Connections,
    /// Too many that have not said who they are.
    Strangers,
}

impl TurnedAway {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Strangers => "strangers",
        }
    }
}

/// Why a pile that showed its secret is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoSeat {
    /// Its number is beyond the table.
    Beyond,
    /// It comes too often.
    HeldDown,
}

/// It has its seat.
#[derive(Debug)]
pub(crate) struct Seated {
    pub(crate) epoch: u32,
    /// What it finds again of an earlier connection.
    pub(crate) session: Option<Box<Outbox>>,
    pub(crate) odd: Option<Odd>,
}

/// Something about a pile's connections that a person should see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Odd {
    /// It comes and goes.
    Flapping,
    /// Two addresses take its seat from each other.
    Clone { first: SocketAddr, second: SocketAddr },
}

/// What an admitted connection brings.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) pile_no: PileNo,
    pub(crate) code: PileCode,
    pub(crate) by: Credential,
    pub(crate) silence_max: Duration,
    pub(crate) has_will: bool,
    pub(crate) keeps_session: bool,
    pub(crate) connects: Rate,
    pub(crate) now: Uptime,
}

impl Registry {
    /// Enters a connection; `make` gets its slot.
    pub(crate) fn enter(
        &self,
        connections_max: usize,
        strangers_max: usize,
        make: impl FnOnce(usize) -> Conn,
    ) -> Result<Arc<Conn>, TurnedAway> {
        let mut slots = self.slots.lock();
        let open = self.open.load(Ordering::Relaxed);
        if open >= connections_max {
            return Err(TurnedAway::Connections);
        }
        if open.saturating_sub(self.admitted.load(Ordering::Relaxed)) >= strangers_max {
            return Err(TurnedAway::Strangers);
        }
        let slot = slots.free.pop().unwrap_or(slots.conns.len());
        let conn = Arc::new(make(slot));
        if let Some(place) = slots.conns.get_mut(slot) {
            *place = Some(Arc::clone(&conn));
        } else {
            slots.conns.push(Some(Arc::clone(&conn)));
        }
        self.open.fetch_add(1, Ordering::Relaxed);
        Ok(conn)
    }

    /// Gives a connection the seat of its pile, taking it from an earlier one.
    pub(crate) fn admit(&self, conn: &Arc<Conn>, new: Admission, collector: &Collector) -> Result<Seated, NoSeat> {
        let Admission { pile_no, code, by, silence_max, has_will, keeps_session, connects, now } = new;
        if pile_no.0 > PILE_NO_MAX {
            return Err(NoSeat::Beyond);
        }
        let mut seats = self.seats.write();
        if seats.len() <= pile_no.index() {
            seats.resize_with(pile_no.index() + 1, Seat::default);
        }
        let seat = seats.get_mut(pile_no.index()).ok_or(NoSeat::Beyond)?;
        if !seat.lately.connects.take(connects, now) {
            return Err(NoSeat::HeldDown);
        }
        seat.epoch = seat.epoch.wrapping_add(1);
        let epoch = seat.epoch;
        let old = seat.conn.replace(Arc::clone(conn));
        let odd = seat.lately.odd(old.as_ref().map(|old| old.peer), conn.peer, now);
        let mut session = seat.session.take();
        if let Some(session) = &session {
            self.session_bytes.fetch_sub(session.bytes(), Ordering::Relaxed);
        }
        if let Some((old, who)) = old.as_ref().and_then(|old| Some((old, old.who()?))) {
            let cause = DownCause::Takeover;
            collector.push(&Record::Down { pile_no, epoch: who.epoch, cause, will: cause.executes_will() });
            session = who.keeps_session.then(|| old.take_session());
        }
        collector.push(&Record::Up { pile_no, epoch, code: code.as_str(), addr: conn.peer, by });
        conn.admit(Who { pile_no, epoch, code, silence_max, has_will, keeps_session });
        self.admitted.fetch_add(1, Ordering::Relaxed);
        drop(seats);
        if let Some(old) = old {
            old.close(DownCause::Takeover);
        }
        Ok(Seated { epoch, session: session.filter(|_| keeps_session), odd })
    }

    /// A connection of an integration is let in. It has no seat: several stand beside each other.
    pub(crate) fn admit_reader(&self) {
        self.admitted.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection is over. The seat is given up, and the end told, only if it still has it.
    pub(crate) fn leave(&self, conn: &Conn, cause: DownCause, collector: &Collector) {
        if let Some(who) = conn.who() {
            let mut seats = self.seats.write();
            let seat = seats.get_mut(who.pile_no.index()).filter(|seat| seat.epoch == who.epoch);
            if let Some(seat) = seat
                && seat.conn.take().is_some()
            {
                let will = who.has_will && cause.executes_will();
                collector.push(&Record::Down { pile_no: who.pile_no, epoch: who.epoch, cause, will });
                if who.keeps_session {
                    seat.session = Some(self.kept(conn.take_session()));
                }
            }
            self.admitted.fetch_sub(1, Ordering::Relaxed);
        } else if conn.reader().is_some() {
            self.admitted.fetch_sub(1, Ordering::Relaxed);
        }
        let mut slots = self.slots.lock();
        if let Some(place) = slots.conns.get_mut(conn.slot) {
            *place = None;
            slots.free.push(conn.slot);
            self.open.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// A session as it is kept while its pile is away.
    fn kept(&self, session: Box<Outbox>) -> Box<Outbox> {
        let bytes = session.bytes();
        if self.session_bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= SESSIONS_BYTES_MAX {
            return session;
        }
        self.session_bytes.fetch_sub(bytes, Ordering::Relaxed);
        Box::new(session.subscriptions_only())
    }

    /// The pile's connection.
    pub(crate) fn of(&self, pile_no: PileNo) -> Option<Arc<Conn>> {
        self.seats.read().get(pile_no.index()).and_then(|seat| seat.conn.clone())
    }

    /// The pile's connection, if it is still that one.
    pub(crate) fn of_epoch(&self, pile_no: PileNo, epoch: u32) -> Option<Arc<Conn>> {
        let seats = self.seats.read();
        seats.get(pile_no.index()).filter(|seat| seat.epoch == epoch).and_then(|seat| seat.conn.clone())
    }

    /// Connections open, strangers too.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Calls `each` for every connection.
    pub(crate) fn for_each(&self, mut each: impl FnMut(&Arc<Conn>)) {
        for conn in self.slots.lock().conns.iter().flatten() {
            each(conn);
        }
    }
}

impl Lately {
    /// Notes one more connection, and says what is odd about it.
    fn odd(&mut self, from: Option<SocketAddr>, to: SocketAddr, now: Uptime) -> Option<Odd> {
        let flaps = !self.flaps.take(Rate::per_minute(FLAPS_PER_MIN, FLAPS_BURST), now);
        let moved_from = from.filter(|from| ip(*from) != ip(to));
        let before = self.moved.filter(|(at, _)| !now.passed(*at, CLONE_WINDOW));
        if let Some(from) = moved_from {
            self.moved = Some((now, from));
            let told = self.cloned.is_some_and(|at| !now.passed(at, FLAG_EVERY));
            if before.is_some() && !told {
                self.cloned = Some(now);
                return Some(Odd::Clone { first: from, second: to });
            }
        }
        let told = self.flagged.is_some_and(|at| !now.passed(at, FLAG_EVERY));
        if flaps && !told {
            self.flagged = Some(now);
            return Some(Odd::Flapping);
        }
        None
    }
}

fn ip(peer: SocketAddr) -> IpAddr {
    peer.ip().to_canonical()
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::{
        batch::{HEAD_LEN, Records},
        uptime::Uptime,
    };

    fn enter(registry: &Registry) -> Result<Arc<Conn>, TurnedAway> {
        registry.enter(3, 2, |slot| Conn::new(slot, "127.0.0.1:9".parse().unwrap(), None, Uptime::ZERO))
    }

    fn admission(no: u32, now: Uptime) -> Admission {
        Admission {
            pile_no: PileNo(no),
            code: PileCode::parse(&format!("P{no}")).unwrap(),
            by: Credential::Secret,
            silence_max: Duration::from_secs(9),
            has_will: true,
            keeps_session: false,
            connects: Rate::per_minute(60, 600),
            now,
        }
    }

    fn admit(registry: &Registry, conn: &Arc<Conn>, no: u32, collector: &Collector) -> Result<u32, NoSeat> {
        registry.admit(conn, admission(no, Uptime::ZERO), collector).map(|seated| seated.epoch)
    }

    /// A connection of pile 1 from there, at that second; what was odd about it.
    fn odd(registry: &Registry, collector: &Collector, from: [u8; 4], s: u64) -> Option<Odd> {
        let now = Uptime::from_millis(s * 1000);
        let peer = SocketAddr::from((from, 9));
        let conn = registry.enter(9_999, 9_999, |slot| Conn::new(slot, peer, None, now)).unwrap();
        registry.admit(&conn, admission(1, now), collector).unwrap().odd
    }

    #[test]
    fn two_addresses_that_take_the_seat_from_each_other_are_a_clone_and_one_that_moved_is_not() {
        let (registry, collector) = (Registry::default(), Collector::new());
        let (here, there) = ([10, 0, 0, 1], [10, 0, 0, 2]);
        assert_eq!(odd(&registry, &collector, here, 0), None);
        assert_eq!(odd(&registry, &collector, here, 1), None, "the same address again");
        assert_eq!(odd(&registry, &collector, there, 2), None, "it moved");
        assert_eq!(odd(&registry, &collector, here, 603), None, "and moved back, much later");
        let found = odd(&registry, &collector, there, 700).unwrap();
        assert_eq!(found, Odd::Clone { first: (here, 9).into(), second: (there, 9).into() });
    }

    #[test]
    fn a_pile_that_comes_again_and_again_is_flagged_once_and_held_down_at_last() {
        let (registry, collector) = (Registry::default(), Collector::new());
        let mut flags = 0;
        for _ in 0..600 {
            flags += i32::from(odd(&registry, &collector, [10, 0, 0, 1], 5) == Some(Odd::Flapping));
        }
        assert_eq!(flags, 1);
        let conn = registry.enter(9_999, 9_999, |slot| Conn::new(slot, ([10, 0, 0, 1], 9).into(), None, Uptime::ZERO));
        let at = |ms| admission(1, Uptime::from_millis(ms));
        let conn = conn.unwrap();
        assert_eq!(registry.admit(&conn, at(5_500), &collector).unwrap_err(), NoSeat::HeldDown);
        assert!(registry.of(PileNo(1)).is_some(), "who is held down takes nobody's seat");
        assert!(registry.admit(&conn, at(6_100), &collector).is_ok(), "one a second is borne");
    }

    fn told(collector: &Collector) -> Vec<String> {
        let mut batches = VecDeque::new();
        collector.fetch(&mut batches);
        let line = |record: Record<'_>| match record {
            Record::Up { epoch, code, .. } => format!("{code} up {epoch}"),
            Record::Down { pile_no, epoch, cause, will } => format!("{} down {epoch} {cause} will={will}", pile_no.0),
            Record::Frame(_) => unreachable!("no frame was pushed"),
        };
        batches.iter().flat_map(|batch| Records::at(&batch.bytes, HEAD_LEN).map(line).collect::<Vec<_>>()).collect()
    }

    #[test]
    fn a_takeover_is_told_once_and_the_old_connections_end_disturbs_nobody() {
        let (registry, collector) = (Registry::default(), Collector::new());
        let old = enter(&registry).unwrap();
        assert_eq!(admit(&registry, &old, 5, &collector), Ok(1));
        let new = enter(&registry).unwrap();
        assert_eq!(admit(&registry, &new, 5, &collector), Ok(2));
        registry.leave(&old, DownCause::Closed, &collector);
        assert!(registry.of_epoch(PileNo(5), 1).is_none());
        assert!(Arc::ptr_eq(&registry.of(PileNo(5)).unwrap(), &new));
        registry.leave(&new, DownCause::Closed, &collector);
        assert!(registry.of(PileNo(5)).is_none());
        let expected = ["P5 up 1", "5 down 1 takeover will=false", "P5 up 2", "5 down 2 closed will=true"];
        assert_eq!(told(&collector), expected);
        assert_eq!(registry.open(), 0);
    }

    #[test]
    fn connections_and_strangers_are_bounded_and_places_used_again() {
        let (registry, collector) = (Registry::default(), Collector::new());
        let one = enter(&registry).unwrap();
        let two = enter(&registry).unwrap();
        assert_eq!(enter(&registry).unwrap_err(), TurnedAway::Strangers);
        admit(&registry, &one, 1, &collector).unwrap();
        enter(&registry).unwrap();
        assert_eq!(enter(&registry).unwrap_err(), TurnedAway::Connections);
        registry.leave(&two, DownCause::Closed, &collector);
        assert_eq!(enter(&registry).unwrap().slot, two.slot);
        let mut seen = 0;
        registry.for_each(|_| seen += 1);
        assert_eq!(seen, 3);
    }

    #[test]
    fn a_pile_number_beyond_the_table_gets_no_seat() {
        let (registry, collector) = (Registry::default(), Collector::new());
        let conn = enter(&registry).unwrap();
        assert_eq!(admit(&registry, &conn, PILE_NO_MAX + 1, &collector), Err(NoSeat::Beyond));
        assert_eq!(told(&collector), [""; 0]);
    }
}
