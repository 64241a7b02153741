//! How many sockets there are, in total, per owner and per order; who may have one more.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use domain::{OrderNo, UserId};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Sockets that may be open at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SeatLimits {
    /// In total.
    pub(crate) total_max: u32,
    /// Of one owner of tickets.
    pub(crate) per_owner_max: u32,
    /// On one order.
    pub(crate) per_order_max: u32,
}

impl Default for SeatLimits {
    fn default() -> Self {
        Self {
            total_max: super::limits::SOCKETS_MAX,
            per_owner_max: super::limits::SOCKETS_PER_OWNER_MAX,
            per_order_max: super::limits::SOCKETS_PER_ORDER_MAX,
        }
    }
}

/// The count of open sockets.
#[derive(Debug)]
pub(super) struct Seats {
    limits: SeatLimits,
    taken: Mutex<Taken>,
    emptied: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    total: u32,
    by_owner: HashMap<UserId, u32>,
    by_order: HashMap<OrderNo, u32>,
}

/// The right to one open socket; given back when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    owner: UserId,
    order_no: Option<OrderNo>,
}

impl Seats {
    pub(super) fn new(limits: SeatLimits) -> Arc<Self> {
        Arc::new(Self { limits, taken: Mutex::default(), emptied: Notify::new() })
    }

    /// A seat for one more socket; `None` when there are too many.
    pub(super) fn take(self: &Arc<Self>, owner: &UserId, order_no: Option<&OrderNo>) -> Option<Seat> {
        let mut taken = self.taken.lock();
        let of_owner = taken.by_owner.get(owner).copied().unwrap_or(0);
        let of_order = order_no.and_then(|no| taken.by_order.get(no)).copied().unwrap_or(0);
        let full = taken.total >= self.limits.total_max
            || of_owner >= self.limits.per_owner_max
            || of_order >= self.limits.per_order_max;
        if full {
            return None;
        }
        taken.total = taken.total.saturating_add(1);
        taken.by_owner.insert(owner.clone(), of_owner.saturating_add(1));
        if let Some(no) = order_no {
            taken.by_order.insert(no.clone(), of_order.saturating_add(1));
        }
        drop(taken);
        Some(Seat { seats: Arc::clone(self), owner: owner.clone(), order_no: order_no.cloned() })
    }

    /// Sockets open now.
    pub(super) fn count(&self) -> u32 {
        self.taken.lock().total
    }

    /// Waits until no socket is open.
    pub(super) async fn wait_empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.count() == 0 {
                return;
            }
            emptied.await;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock();
        taken.total = taken.total.saturating_sub(1);
        give_back(&mut taken.by_owner, &self.owner);
        if let Some(no) = &self.order_no {
            give_back(&mut taken.by_order, no);
        }
        if taken.total == 0 {
            self.seats.emptied.notify_waiters();
        }
    }
}

fn give_back<K: Eq + Hash>(counts: &mut HashMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        UserId::parse(name).unwrap()
    }

    fn order(no: &str) -> OrderNo {
        OrderNo::parse(no).unwrap()
    }

    #[test]
    fn seats_are_counted_per_order_per_owner_and_in_total_and_come_back() {
        let seats = Seats::new(SeatLimits { total_max: 4, per_owner_max: 3, per_order_max: 2 });
        let a = seats.take(&user("anna"), Some(&order("1"))).unwrap();
        let _b = seats.take(&user("anna"), Some(&order("1"))).unwrap();
        assert!(seats.take(&user("bert"), Some(&order("1"))).is_none(), "a third one on order 1");
        let _c = seats.take(&user("anna"), Some(&order("2"))).unwrap();
        assert!(seats.take(&user("anna"), None).is_none(), "a fourth one of anna");
        let _d = seats.take(&user("bert"), None).unwrap();
        assert!(seats.take(&user("carl"), None).is_none(), "a fifth one of all");
        drop(a);
        let _e = seats.take(&user("anna"), Some(&order("1"))).unwrap();
        assert_eq!(seats.count(), 4);
    }

    #[test]
    fn empty_seats_leave_no_trace() {
        let seats = Seats::new(SeatLimits::default());
        drop(seats.take(&user("anna"), Some(&order("1"))));
        let taken = seats.taken.lock();
        assert!(taken.total == 0 && taken.by_owner.is_empty() && taken.by_order.is_empty());
    }
}
