//! What strangers may do before anybody knows who they are: how many sockets an address has, how fast it opens them,
//! how often it guesses, and how many are let in per second.
//!
//! One entry per address (an IPv6 host counts as its /64) and one per pile and address; both tables are bounded. No
//! socket, no secret, no clock: the gate asks and tells.

pub(crate) mod bucket;
pub(crate) mod guesses;
mod rates;

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use parking_lot::Mutex;

use self::{
    bucket::{Bucket, Rate},
    guesses::Guesses,
};
use crate::{
    gate::GateLimits,
    limits::{
        ADDRESSES_MAX, BAN_MAX, BAN_OF_GOOD_MAX, PAIRS_MAX, STORM_TOLD_EVERY, TOLD_PER_ADDRESS_BURST,
        TOLD_PER_ADDRESS_PER_MIN,
    },
    uptime::Uptime,
};

/// How often the tables are searched for what may be forgotten, at most.
const TIDY_EVERY: Duration = Duration::from_secs(1);

/// Why a socket is closed as soon as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crowded {
    /// Its address has too many.
    Sockets,
    /// Too many from its address have not said who they are.
    Strangers,
    /// Its address opens them too fast.
    Rate,
    /// Too many addresses at once.
    Addresses,
    /// Its address shakes too many hands at once.
    Handshakes,
}

impl Crowded {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Sockets => "address_sockets",
            Self::Strangers => "address_strangers",
            Self::Rate => "address_rate",
            Self::Addresses => "addresses",
            Self::Handshakes => "address_handshakes",
        }
    }
}

/// More come than can be let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Storm {
    /// Nobody was told of it for a while.
    pub(crate) is_news: bool,
}

/// A ban that has just begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ban {
    /// For the whole address, or for one pile from it.
    pub(crate) whole_address: bool,
    pub(crate) guesses: u32,
    pub(crate) lasts: Duration,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Guard {
    limits: GateLimits,
    /// How many of one address may be strangers: a quarter of all, so that one cannot keep the others out.
    strangers_per_address_max: u32,
    hasher: RandomState,
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    addresses: HashMap<IpAddr, Address>,
    /// By the hash of pile code and address.
    pairs: HashMap<u64, Pair>,
    admissions: Bucket,
    surplus: Bucket,
    storm_told: Option<Uptime>,
    tidied: Uptime,
    pairs_tidied: Uptime,
}

#[derive(Debug, Default)]
struct Address {
    sockets: u32,
    /// Those of them that have not shown who they are.
    strangers: u32,
    handshakes: u32,
    connects: Bucket,
    /// What of it the audit trail was told.
    told: Bucket,
    guesses: Guesses,
}

/// One pile, seen from one address.
#[derive(Debug, Default)]
struct Pair {
    /// It showed its secret from there: a ban of the address does not concern it.
    good: bool,
    guesses: Guesses,
}

impl Guard {
    pub(crate) fn new(limits: GateLimits, strangers_max: usize) -> Self {
        let strangers_per_address_max = u32::try_from(strangers_max / 4).unwrap_or(u32::MAX).max(1);
        Self { limits, strangers_per_address_max, hasher: RandomState::new(), tables: Mutex::default() }
    }

    /// A socket came; [`Self::leave`] when it goes.
    pub(crate) fn enter(&self, from: IpAddr, now: Uptime) -> Result<(), Crowded> {
        let limits = &self.limits;
        let mut tables = self.tables.lock();
        let address = tables.address(from, limits, now).ok_or(Crowded::Addresses)?;
        if limits.sockets_per_address_max > 0 && address.sockets >= limits.sockets_per_address_max {
            return Err(Crowded::Sockets);
        }
        if !address.connects.take(limits.connects_per_address(), now) {
            return Err(Crowded::Rate);
        }
        if address.strangers >= self.strangers_per_address_max {
            return Err(Crowded::Strangers);
        }
        address.sockets = address.sockets.saturating_add(1);
        address.strangers = address.strangers.saturating_add(1);
        Ok(())
    }

    /// A socket that had entered has shown who it is.
    pub(crate) fn known(&self, from: IpAddr) {
        if let Some(address) = self.tables.lock().addresses.get_mut(&origin(from)) {
            address.strangers = address.strangers.saturating_sub(1);
        }
    }

    /// A socket that had entered is gone; whether it was a stranger to the end.
    pub(crate) fn leave(&self, from: IpAddr, was_stranger: bool) {
        if let Some(address) = self.tables.lock().addresses.get_mut(&origin(from)) {
            address.sockets = address.sockets.saturating_sub(1);
            address.strangers = address.strangers.saturating_sub(u32::from(was_stranger));
        }
    }

    /// A handshake begins beside so many `others`; [`Self::shaken`] when it is over.
    pub(crate) fn shakes(&self, from: IpAddr, others: u32, now: Uptime) -> Result<(), Crowded> {
        let mut tables = self.tables.lock();
        let most = self.limits.handshakes_per_address_max(others);
        let address = tables.address(from, &self.limits, now).ok_or(Crowded::Addresses)?;
        if address.handshakes >= most {
            return Err(Crowded::Handshakes);
        }
        address.handshakes = address.handshakes.saturating_add(1);
        Ok(())
    }

    /// See [`Self::shakes`].
    pub(crate) fn shaken(&self, from: IpAddr) {
        if let Some(address) = self.tables.lock().addresses.get_mut(&origin(from)) {
            address.handshakes = address.handshakes.saturating_sub(1);
        }
    }

    /// Whether a claim is looked at at all: not for a pile that was guessed at too often from there, and when the
    /// address is banned, for none that was guessed at from there without ever being right. So guesses at some piles
    /// keep out no other pile behind the same address.
    pub(crate) fn may_try(&self, code: &str, from: IpAddr, now: Uptime) -> bool {
        let tables = self.tables.lock();
        let Some(pair) = tables.pairs.get(&self.key(code, from)) else { return true };
        let is_banned = || tables.addresses.get(&origin(from)).is_some_and(|address| address.guesses.is_banned(now));
        !pair.guesses.is_banned(now) && (pair.good || !is_banned())
    }

    /// A claim was wrong; the ban that begins with it.
    pub(crate) fn wrong(&self, code: &str, from: IpAddr, now: Uptime) -> Option<Ban> {
        let key = self.key(code, from);
        let mut tables = self.tables.lock();
        let of_pair = tables.pair(key, now).and_then(|pair| {
            // The pile itself lives there: it is not kept out for long.
            let longest = if pair.good { BAN_OF_GOOD_MAX } else { BAN_MAX };
            let lasts = pair.guesses.wrong(self.limits.failures_per_pile_max, longest, now)?;
            Some(Ban { whole_address: false, guesses: pair.guesses.count(), lasts })
        });
        let Some(address) = tables.address(from, &self.limits, now) else { return of_pair };
        let of_address = address.guesses.wrong(self.limits.failures_per_address_max, BAN_MAX, now).map(|lasts| Ban {
            whole_address: true,
            guesses: address.guesses.count(),
            lasts,
        });
        of_address.or(of_pair)
    }

    /// A claim was right.
    pub(crate) fn right(&self, code: &str, from: IpAddr, now: Uptime) {
        let key = self.key(code, from);
        if let Some(pair) = self.tables.lock().pair(key, now) {
            *pair = Pair { good: true, guesses: Guesses::default() };
        }
    }

    /// Whether one more thing that came from there is worth a row in the audit trail.
    pub(crate) fn is_worth_telling(&self, from: IpAddr, now: Uptime) -> bool {
        let rate = Rate::per_minute(TOLD_PER_ADDRESS_PER_MIN, TOLD_PER_ADDRESS_BURST);
        self.tables.lock().address(from, &self.limits, now).is_some_and(|address| address.told.take(rate, now))
    }

    /// Whether one more may be let in: a fleet that comes back at once is let in as fast as it can be served.
    pub(crate) fn admit(&self, now: Uptime) -> Result<(), Storm> {
        let mut tables = self.tables.lock();
        if tables.admissions.take(self.limits.admissions(), now) {
            return Ok(());
        }
        let is_news = tables.storm_told.is_none_or(|told| now.passed(told, STORM_TOLD_EVERY));
        if is_news {
            tables.storm_told = Some(now);
        }
        Err(Storm { is_news })
    }

    /// Who was let in by [`Self::admit`] is sent away after all.
    pub(crate) fn was_not_admitted(&self) {
        self.tables.lock().admissions.give_back(self.limits.admissions());
    }

    /// What one pile may always send.
    pub(crate) fn frames_per_pile(&self) -> Rate {
        self.limits.frames_per_pile()
    }

    /// A pile has used up its own frames and wants so many more; how many it does not get.
    pub(crate) fn surplus(&self, frames: u32, now: Uptime) -> u32 {
        match self.limits.surplus() {
            None => frames,
            Some(rate) => self.tables.lock().surplus.take_up_to(frames, rate, now),
        }
    }

    fn key(&self, code: &str, from: IpAddr) -> u64 {
        self.hasher.hash_one((code, origin(from)))
    }
}

impl Tables {
    fn address(&mut self, from: IpAddr, limits: &GateLimits, now: Uptime) -> Option<&mut Address> {
        let from = origin(from);
        if self.addresses.len() >= ADDRESSES_MAX && !self.addresses.contains_key(&from) {
            self.tidy(limits, now);
            if self.addresses.len() >= ADDRESSES_MAX {
                return None;
            }
        }
        Some(self.addresses.entry(from).or_default())
    }

    /// `None` when there is no room: then only the address is counted.
    fn pair(&mut self, key: u64, now: Uptime) -> Option<&mut Pair> {
        if self.pairs.len() >= PAIRS_MAX && !self.pairs.contains_key(&key) {
            if now.passed(self.pairs_tidied, TIDY_EVERY) {
                self.pairs_tidied = now;
                self.pairs.retain(|_, pair| pair.good || !pair.guesses.is_stale(now));
                if self.pairs.len() >= PAIRS_MAX {
                    // Guesses from everywhere: what is known of honest piles is worth more.
                    self.pairs.retain(|_, pair| pair.good);
                }
            }
            if self.pairs.len() >= PAIRS_MAX {
                return None;
            }
        }
        Some(self.pairs.entry(key).or_default())
    }

    fn tidy(&mut self, limits: &GateLimits, now: Uptime) {
        if now.passed(self.tidied, TIDY_EVERY) {
            self.tidied = now;
            let rate = limits.connects_per_address();
            self.addresses.retain(|_, address| {
                let idle = address.sockets == 0 && address.handshakes == 0;
                !(idle && address.guesses.is_stale(now) && address.connects.is_full(rate, now))
            });
            if self.addresses.len() >= ADDRESSES_MAX {
                // Guesses from everywhere: those who have a socket are worth more than the memory of those who had.
                self.addresses.retain(|_, address| address.sockets > 0 || address.handshakes > 0);
            }
        }
    }
}

/// What counts as one address: whoever has an IPv6 host has at least a /64.
fn origin(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::ADMISSIONS_BURST_S;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    const fn at(ms: u64) -> Uptime {
        Uptime::from_millis(ms)
    }

    fn guard(change: impl FnOnce(&mut GateLimits)) -> Guard {
        let mut limits = GateLimits::default();
        change(&mut limits);
        Guard::new(limits, 4_096)
    }

    #[test]
    fn sockets_of_one_address_are_bounded_and_the_others_do_not_care() {
        let guard = guard(|limits| limits.sockets_per_address_max = 2);
        assert_eq!((guard.enter(HERE, at(0)), guard.enter(HERE, at(0))), (Ok(()), Ok(())));
        assert_eq!(guard.enter(HERE, at(0)), Err(Crowded::Sockets));
        assert_eq!(guard.enter(THERE, at(0)), Ok(()));
        guard.leave(HERE, true);
        assert_eq!(guard.enter(HERE, at(0)), Ok(()));
    }

    #[test]
    fn sockets_opened_too_fast_are_turned_away_until_time_has_passed() {
        let guard = guard(|limits| limits.connects_per_address_per_min_max = 60);
        for _ in 0..60 {
            assert_eq!(guard.enter(HERE, at(0)), Ok(()));
            guard.leave(HERE, true);
        }
        assert_eq!(guard.enter(HERE, at(0)), Err(Crowded::Rate));
        assert_eq!(guard.enter(HERE, at(1_001)), Ok(()));
    }

    #[test]
    fn guesses_at_one_pile_ban_that_pile_from_that_address_only() {
        let guard = guard(|limits| limits.failures_per_pile_max = 3);
        guard.right("P1", THERE, at(0));
        let bans: Vec<_> = (0..3).map(|_| guard.wrong("P1", HERE, at(0))).collect();
        assert_eq!(bans, [None, None, Some(Ban { whole_address: false, guesses: 3, lasts: Duration::from_secs(1) })]);
        assert!(!guard.may_try("P1", HERE, at(999)));
        assert!(guard.may_try("P2", HERE, at(0)), "another pile");
        assert!(guard.may_try("P1", THERE, at(0)), "the pile itself, from where it is");
        assert!(guard.may_try("P1", HERE, at(1_000)));
        guard.right("P1", HERE, at(1_000));
        assert_eq!(guard.wrong("P1", HERE, at(1_001)), None, "the right secret makes good");
    }

    #[test]
    fn guesses_at_many_piles_ban_the_address_but_not_those_who_were_right_from_there() {
        let guard = guard(|limits| limits.failures_per_address_max = 10);
        guard.right("GOOD", HERE, at(0));
        let ban = (0..10).map(|n| guard.wrong(&format!("P{n}"), HERE, at(0))).last().flatten();
        assert!(ban.is_some_and(|ban| ban.whole_address));
        assert!(!guard.may_try("P9", HERE, at(0)));
        assert!(
            guard.may_try("GOOD", HERE, at(0)) && guard.may_try("P99", HERE, at(0)),
            "a carrier's address is many piles'"
        );
        assert!(guard.may_try("P99", THERE, at(0)));
    }

    #[test]
    fn as_many_are_let_in_at_once_as_can_be_served() {
        let guard = guard(|limits| limits.admissions_per_s_max = 10);
        let burst = usize::try_from(10 * ADMISSIONS_BURST_S).unwrap();
        let let_in = |ms| (0..1_000).filter(|_| guard.admit(at(ms)).is_ok()).count();
        assert_eq!((let_in(0), let_in(1_000)), (burst, 10));
        assert_eq!(guard.admit(at(1_000)), Err(Storm { is_news: false }), "a storm is told once");
        let news = (0..1_000).filter(|_| guard.admit(at(100_000)) == Err(Storm { is_news: true })).count();
        assert_eq!(news, 1);
    }

    #[test]
    fn one_address_has_a_quarter_of_the_handshakes() {
        let guard = guard(|limits| limits.handshakes_max = 8);
        assert!(guard.shakes(HERE, 0, at(0)).is_ok() && guard.shakes(HERE, 1, at(0)).is_ok());
        assert_eq!(guard.shakes(HERE, 2, at(0)), Err(Crowded::Handshakes));
        assert!(guard.shakes(THERE, 2, at(0)).is_ok());
        guard.shaken(HERE);
        assert!(guard.shakes(HERE, 2, at(0)).is_ok());
    }

    #[test]
    fn once_half_of_the_handshakes_are_taken_an_address_has_a_64th() {
        let guard = guard(|limits| limits.handshakes_max = 128);
        assert!((0..3).all(|_| guard.shakes(HERE, 63, at(0)).is_ok()));
        assert!((0..2).all(|_| guard.shakes(THERE, 64, at(0)).is_ok()));
        assert_eq!(guard.shakes(THERE, 64, at(0)), Err(Crowded::Handshakes));
    }

    #[test]
    fn the_tables_stay_bounded_under_guesses_from_everywhere() {
        let guard = guard(|_| ());
        for n in 0..u32::try_from(PAIRS_MAX + ADDRESSES_MAX).unwrap() {
            let from = IpAddr::from(n.to_be_bytes());
            guard.wrong("P1", from, at(0));
        }
        let tables = guard.tables.lock();
        assert_eq!((tables.addresses.len(), tables.pairs.len()), (ADDRESSES_MAX, PAIRS_MAX));
    }

    #[test]
    fn hosts_of_one_ipv6_network_are_one_address() {
        let ip = |text: &str| origin(text.parse().unwrap());
        assert_eq!(ip("2001:db8:1:2:3:4:5:6"), ip("2001:db8:1:2:ffff::1"));
        assert_ne!(ip("2001:db8:1:2::1"), ip("2001:db8:1:3::1"));
        assert_eq!(ip("::ffff:10.0.0.1"), HERE);
    }
}
