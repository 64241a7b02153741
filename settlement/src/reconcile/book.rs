//! The books of one day: sums, and whether they are closed.
//!
//! ```text
//!   OPEN ──ask──▶ OPEN, asked ──approve (another person)──▶ CLOSED
//!     ▲               │
//!     └── a run that changes something
//! ```
//!
//! A closed day never changes. What turns up about it later becomes an item of the next open day.

use std::collections::BTreeMap;

use domain::{Timestamp, UserId};
use serde::{Deserialize, Serialize};

use super::{ChannelSums, Day, EnergySums, item::next};

/// The books of one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DayBook {
    /// Which day.
    pub day: Day,
    /// The time zone it is a day of.
    pub timezone: String,
    /// Whether it can still change.
    pub state: BookState,
    /// Money, by channel.
    pub funds: BTreeMap<String, ChannelSums>,
    /// Energy.
    pub energy: EnergySums,
    /// More than could be looked at in one run: what was left out may hide differences.
    pub truncated: bool,
    /// When these figures were first found.
    pub figures_at: Timestamp,
    /// Whether the day was over when it was last looked at.
    pub whole_day: bool,
    /// Who wants it closed.
    pub asked: Option<Word>,
    /// Who closed it.
    pub approved: Option<Word>,
    /// Counts the stored changes.
    pub rev: i64,
}

/// Whether the books of a day can still change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum BookState {
    /// They can.
    Open,
    /// They never do.
    Closed,
}

/// Who said something, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// Who.
    pub by: UserId,
    /// When.
    pub at: Timestamp,
}

/// What a run found out about a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// Money, by channel.
    pub funds: BTreeMap<String, ChannelSums>,
    /// Energy.
    pub energy: EnergySums,
    /// Not everything could be looked at.
    pub truncated: bool,
    /// The day was over.
    pub whole_day: bool,
}

/// Why a day cannot be closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseRefusal {
    /// It still goes on, or was only looked at while it did.
    #[error("the day {0} was not looked at after its end: run its reconciliation first")]
    NotOver(Day),
    /// Something must still be decided.
    #[error("{open} items of {day} are open: resolve them first")]
    ItemsOpen {
        /// Which day.
        day: Day,
        /// How many.
        open: u64,
    },
    /// Not everything was looked at.
    #[error("the run over {0} could not look at everything: it cannot be closed")]
    Truncated(Day),
    /// Closed already.
    #[error("the day {0} is closed")]
    Closed(Day),
    /// Nobody asked.
    #[error("nobody has asked to close {0}: ask first, and let another person approve")]
    NotAsked(Day),
    /// Asked already.
    #[error("{by} has asked to close {day} already: another person approves it")]
    Asked {
        /// Which day.
        day: Day,
        /// Who.
        by: UserId,
    },
    /// Both are the same person.
    #[error("whoever asked to close a day may not approve it: ask a colleague")]
    OwnRequest,
}

impl DayBook {
    /// The books after the first run.
    #[must_use]
    pub fn new(day: Day, timezone: String, figures: Figures, now: Timestamp) -> Self {
        let Figures { funds, energy, truncated, whole_day } = figures;
        Self {
            day,
            timezone,
            state: BookState::Open,
            funds,
            energy,
            truncated,
            figures_at: now,
            whole_day,
            asked: None,
            approved: None,
            rev: 1,
        }
    }

    /// Whether it can no longer change.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state == BookState::Closed
    }

    /// The books after a further run; `None` when nothing changed, or nothing may. A wish to close them ends when
    /// something changed, figures or items: it was about other figures.
    #[must_use]
    pub fn run_again(&self, figures: &Figures, items_changed: bool, now: Timestamp) -> Option<Self> {
        let same = self.funds == figures.funds
            && self.energy == figures.energy
            && self.truncated == figures.truncated
            && self.whole_day == figures.whole_day;
        let wish_stands = !items_changed || self.asked.is_none();
        if self.is_closed() || (same && wish_stands) {
            return None;
        }
        Some(Self {
            funds: figures.funds.clone(),
            energy: figures.energy,
            truncated: figures.truncated,
            whole_day: figures.whole_day,
            figures_at: now,
            asked: None,
            rev: next(self.rev),
            ..self.clone()
        })
    }

    /// The books with the wish of a first person to close them.
    ///
    /// # Errors
    /// [`CloseRefusal`].
    pub fn ask(&self, by: UserId, open: u64, now: Timestamp) -> Result<Self, CloseRefusal> {
        self.closable(open)?;
        if let Some(asked) = &self.asked {
            return Err(CloseRefusal::Asked { day: self.day, by: asked.by.clone() });
        }
        Ok(Self { asked: Some(Word { by, at: now }), rev: next(self.rev), ..self.clone() })
    }

    /// The books, closed by a second person.
    ///
    /// # Errors
    /// [`CloseRefusal`].
    pub fn approve(&self, by: UserId, open: u64, now: Timestamp) -> Result<Self, CloseRefusal> {
        self.closable(open)?;
        let asked = self.asked.as_ref().ok_or(CloseRefusal::NotAsked(self.day))?;
        if asked.by == by {
            return Err(CloseRefusal::OwnRequest);
        }
        let approved = Some(Word { by, at: now });
        Ok(Self { state: BookState::Closed, approved, rev: next(self.rev), ..self.clone() })
    }

    fn closable(&self, open: u64) -> Result<(), CloseRefusal> {
        let day = self.day;
        match self.state {
            BookState::Closed => Err(CloseRefusal::Closed(day)),
            BookState::Open if !self.whole_day => Err(CloseRefusal::NotOver(day)),
            BookState::Open if self.truncated => Err(CloseRefusal::Truncated(day)),
            BookState::Open if open > 0 => Err(CloseRefusal::ItemsOpen { day, open }),
            BookState::Open => Ok(()),
        }
    }
}
