//! How often something happened lately: signals with their times, in bounded memory.
//!
//! A signal has a name, so that telling of it twice (live, and again from the store) counts once.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

use domain::{Fen, Millis, Timestamp};

use crate::limits::SIGNALS_PER_SUBJECT_MAX;

/// Something that happened to a driver or at a pile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    /// Names it among those of its kind: the payment, the order, the adjustment.
    pub name: String,
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: SignalKind,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SignalKind {
    /// Money came in.
    Topup(Fen),
    /// A charge was started.
    Start,
    /// A part of what was paid was given back.
    Refund(Fen),
    /// Everything that was paid for an order was given back.
    FullRefund(Fen),
    /// The energy of an order and the pile's meter did not agree.
    MeterMark,
    /// A bill was held because of its pile.
    Held,
}

/// The signals of one driver or pile.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    signals: BTreeMap<(Timestamp, String), SignalKind>,
}

/// The signals of many.
#[derive(Debug, Clone)]
pub struct Tallies<K> {
    horizon: Millis,
    subjects_max: usize,
    tallies: HashMap<K, Tally>,
}

impl Tally {
    /// Notes a signal; the same one again changes nothing. Beyond the limit the oldest goes.
    pub fn note(&mut self, signal: Signal) {
        self.signals.insert((signal.at, signal.name), signal.kind);
        while self.signals.len() > SIGNALS_PER_SUBJECT_MAX {
            self.signals.pop_first();
        }
    }

    /// How many signals that `counts` says yes to lie within `window` before `now`, its beginning not included.
    #[must_use]
    pub fn count(&self, window: Millis, now: Timestamp, counts: impl Fn(SignalKind) -> bool) -> i64 {
        self.since(now.plus(Millis(window.0.saturating_neg())), now, counts)
    }

    /// How many signals that `counts` says yes to lie after `from`, up to and with `to`.
    #[must_use]
    pub fn since(&self, from: Timestamp, to: Timestamp, counts: impl Fn(SignalKind) -> bool) -> i64 {
        let within = self.signals.iter().filter(|((at, _), kind)| *at > from && *at <= to && counts(**kind));
        i64::try_from(within.count()).unwrap_or(i64::MAX)
    }

    fn forget_until(&mut self, at: Timestamp) {
        while self.signals.first_key_value().is_some_and(|((first, _), _)| *first <= at) {
            self.signals.pop_first();
        }
    }

    fn latest(&self) -> Option<Timestamp> {
        self.signals.last_key_value().map(|((at, _), _)| *at)
    }
}

impl<K: Hash + Eq + Clone> Tallies<K> {
    /// Remembers `horizon` back, for at most so many subjects.
    #[must_use]
    pub fn new(horizon: Millis, subjects_max: usize) -> Self {
        Self { horizon, subjects_max: subjects_max.max(1), tallies: HashMap::new() }
    }

    /// Notes a signal of a subject. One beyond the horizon is not remembered; beyond the limit of subjects those that
    /// were silent longest are forgotten, a quarter of them at a time.
    pub fn note(&mut self, subject: &K, signal: Signal, now: Timestamp) {
        let old = now.plus(Millis(self.horizon.0.saturating_neg()));
        if signal.at <= old {
            return;
        }
        if !self.tallies.contains_key(subject) && self.tallies.len() >= self.subjects_max {
            self.make_room(old);
        }
        let tally = self.tallies.entry(subject.clone()).or_default();
        tally.forget_until(old);
        tally.note(signal);
    }

    /// The signals of a subject; none when nothing is remembered.
    #[must_use]
    pub fn of(&self, subject: &K) -> Option<&Tally> {
        self.tallies.get(subject)
    }

    /// How many subjects are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tallies.len()
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tallies.is_empty()
    }

    fn make_room(&mut self, old: Timestamp) {
        self.tallies.retain(|_, tally| tally.latest().is_some_and(|at| at > old));
        if self.tallies.len() < self.subjects_max {
            return;
        }
        let mut times: Vec<Timestamp> = self.tallies.values().filter_map(Tally::latest).collect();
        times.sort_unstable();
        let cut = times.get(times.len() / 4).copied().unwrap_or(Timestamp::MAX);
        self.tallies.retain(|_, tally| tally.latest().is_some_and(|at| at > cut));
    }
}
