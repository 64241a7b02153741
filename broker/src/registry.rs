//! Which connections there are, and which of them is a pile's own: one per pile, the last that showed the secret.
//!
//! A takeover happens here, in one step: the old connection is told `Down`, the new one `Up`, and from then on the
//! old one's end, will, frames and acknowledgements concern nobody.

use std::{
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
    conn::{Conn, Who},
    identity::Credential,
    limits::PILE_NO_MAX,
    sink::DownCause,
};

/// A pile's place in the table.
#[derive(Debug, Default)]
struct Seat {
    /// Number of its last connection.
    epoch: u32,
    conn: Option<Arc<Conn>>,
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

/// The pile's number is beyond the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoSeat;

/// What an admitted connection brings.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) pile_no: PileNo,
    pub(crate) code: PileCode,
    pub(crate) by: Credential,
    pub(crate) silence_max: Duration,
    pub(crate) has_will: bool,
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

    /// Gives a connection the seat of its pile, taking it from an earlier one; its epoch.
    pub(crate) fn admit(&self, conn: &Arc<Conn>, new: Admission, collector: &Collector) -> Result<u32, NoSeat> {
        let Admission { pile_no, code, by, silence_max, has_will } = new;
        if pile_no.0 > PILE_NO_MAX {
            return Err(NoSeat);
        }
        let mut seats = self.seats.write();
        if seats.len() <= pile_no.index() {
            seats.resize_with(pile_no.index() + 1, Seat::default);
        }
        let seat = seats.get_mut(pile_no.index()).ok_or(NoSeat)?;
        seat.epoch = seat.epoch.wrapping_add(1);
        let epoch = seat.epoch;
        let old = seat.conn.replace(Arc::clone(conn));
        if let Some(old) = old.as_ref().and_then(|old| old.who()) {
            let cause = DownCause::Takeover;
            collector.push(&Record::Down { pile_no, epoch: old.epoch, cause, will: cause.executes_will() });
        }
        collector.push(&Record::Up { pile_no, epoch, code: code.as_str(), addr: conn.peer, by });
        conn.admit(Who { pile_no, epoch, code, silence_max, has_will });
        self.admitted.fetch_add(1, Ordering::Relaxed);
        drop(seats);
        if let Some(old) = old {
            old.close(DownCause::Takeover);
        }
        Ok(epoch)
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
            }
            self.admitted.fetch_sub(1, Ordering::Relaxed);
        }
        let mut slots = self.slots.lock();
        if let Some(place) = slots.conns.get_mut(conn.slot) {
            *place = None;
            slots.free.push(conn.slot);
            self.open.fetch_sub(1, Ordering::Relaxed);
        }
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

    fn admit(registry: &Registry, conn: &Arc<Conn>, no: u32, collector: &Collector) -> Result<u32, NoSeat> {
        let code = PileCode::parse(&format!("P{no}")).unwrap();
        let by = Credential::Secret;
        let new = Admission { pile_no: PileNo(no), code, by, silence_max: Duration::from_secs(9), has_will: true };
        registry.admit(conn, new, collector)
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
        assert_eq!(admit(&registry, &conn, PILE_NO_MAX + 1, &collector), Err(NoSeat));
        assert_eq!(told(&collector), [""; 0]);
    }
}
