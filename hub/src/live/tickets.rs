//! One-use tickets for sockets: 128 random bits, good for one opening within a minute, kept in memory only.
//!
//! A restart forgets them all; a phone asks for a new one by HTTP, where it is known by its token. This module knows
//! neither sockets nor HTTP, and `now` is an argument.

use std::collections::{HashMap, VecDeque};

use domain::{OrderNo, UserId};
use tokio::time::Instant;

use super::limits::{TICKETS_MAX, TICKETS_PER_OWNER_MAX};

/// What a ticket opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pass {
    /// One order, followed on behalf of a user (its owner or one of the staff).
    Order { order_no: OrderNo, owner: UserId },
    /// The dashboard's feed.
    Ops { owner: UserId },
}

impl Pass {
    pub(super) fn owner(&self) -> &UserId {
        match self {
            Self::Order { owner, .. } | Self::Ops { owner } => owner,
        }
    }
}

/// Why no ticket was issued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TicketError {
    /// This owner, or everybody together, has too many tickets that were not used yet.
    #[error("too many tickets wait to be used")]
    TooMany,
    /// The system gives no random numbers.
    #[error("{0}")]
    NoRandomness(String),
}

/// The tickets that were issued and not yet used.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    open: HashMap<u128, (Pass, Instant)>,
    /// In order of expiry, since all live equally long; also names tickets that were used meanwhile.
    expiring: VecDeque<(Instant, u128)>,
    by_owner: HashMap<UserId, u32>,
}

impl Tickets {
    /// Issues a ticket with the number `drawn`, which must be random, good until `until`.
    pub(super) fn issue(
        &mut self,
        pass: Pass,
        drawn: u128,
        now: Instant,
        until: Instant,
    ) -> Result<String, TicketError> {
        self.forget_expired(now);
        let of_owner = self.by_owner.get(pass.owner()).copied().unwrap_or(0);
        if self.expiring.len() >= TICKETS_MAX || of_owner >= TICKETS_PER_OWNER_MAX {
            return Err(TicketError::TooMany);
        }
        self.by_owner.insert(pass.owner().clone(), of_owner.saturating_add(1));
        self.expiring.push_back((until, drawn));
        self.open.insert(drawn, (pass, until));
        Ok(format!("{drawn:032x}"))
    }

    /// Takes a ticket: what it opens, or `None` when it is unknown, used or expired.
    pub(super) fn redeem(&mut self, ticket: &str, now: Instant) -> Option<Pass> {
        if ticket.len() != 32 || !ticket.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let (pass, until) = self.take(u128::from_str_radix(ticket, 16).ok()?)?;
        (now < until).then_some(pass)
    }

    fn forget_expired(&mut self, now: Instant) {
        while let Some((until, number)) = self.expiring.front().copied() {
            if until > now {
                return;
            }
            self.expiring.pop_front();
            self.take(number);
        }
    }

    fn take(&mut self, number: u128) -> Option<(Pass, Instant)> {
        let (pass, until) = self.open.remove(&number)?;
        if let Some(count) = self.by_owner.get_mut(pass.owner()) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.by_owner.remove(pass.owner());
            }
        }
        Some((pass, until))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const TTL: Duration = Duration::from_secs(60);

    fn pass(owner: &str) -> Pass {
        Pass::Ops { owner: UserId::parse(owner).unwrap() }
    }

    #[test]
    fn a_ticket_opens_once() {
        let (now, mut tickets) = (Instant::now(), Tickets::default());
        let ticket = tickets.issue(pass("anna"), 7, now, now + TTL).unwrap();
        assert_eq!(ticket, "00000000000000000000000000000007");
        assert_eq!(tickets.redeem(&ticket, now), Some(pass("anna")));
        assert_eq!(tickets.redeem(&ticket, now), None);
    }

    #[test]
    fn a_ticket_is_worth_nothing_after_its_minute() {
        let (now, mut tickets) = (Instant::now(), Tickets::default());
        let ticket = tickets.issue(pass("anna"), 7, now, now + TTL).unwrap();
        assert_eq!(tickets.redeem(&ticket, now + TTL), None);
    }

    #[test]
    fn what_is_no_ticket_opens_nothing() {
        let (now, mut tickets) = (Instant::now(), Tickets::default());
        tickets.issue(pass("anna"), 0xab, now, now + TTL).unwrap();
        for text in ["", "ab", "000000000000000000000000000000AG", "+00000000000000000000000000000ab", "ü"] {
            assert_eq!(tickets.redeem(text, now), None, "{text:?}");
        }
    }

    #[test]
    fn one_owner_cannot_take_the_tickets_of_others() {
        let (now, mut tickets) = (Instant::now(), Tickets::default());
        for n in 0..TICKETS_PER_OWNER_MAX {
            tickets.issue(pass("anna"), n.into(), now, now + TTL).unwrap();
        }
        assert_eq!(tickets.issue(pass("anna"), 1 << 100, now, now + TTL), Err(TicketError::TooMany));
        tickets.issue(pass("bert"), 1 << 101, now, now + TTL).unwrap();
        tickets.redeem(&format!("{:032x}", 5), now).unwrap();
        tickets.issue(pass("anna"), 1 << 100, now, now + TTL).unwrap();
    }

    #[test]
    fn expired_tickets_leave_no_trace() {
        let (now, mut tickets) = (Instant::now(), Tickets::default());
        for n in 0..1000 {
            tickets.issue(pass("anna"), n, now, now + TTL).unwrap();
        }
        tickets.issue(pass("bert"), 1000, now + TTL, now + TTL * 2).unwrap();
        assert_eq!((tickets.open.len(), tickets.expiring.len(), tickets.by_owner.len()), (1, 1, 1));
    }
}
