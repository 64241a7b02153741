//! Money on its way back to the channel it came from.
//!
//! ```text
//! REQUESTED ──set aside──▶ REQUESTED, covered ──▶ SENT ──▶ SUCCESS
//!     │ too little              ▲                  │ ▲ │
//!     ▼                         └── (asked again) ─┘ │ ├─ refused ─▶ FAILED ──(later)──▶ SENT
//!  REFUSED                                           │ └─ refused too often, or never clear ─▶ MANUAL
//!                                                    └── a person: MANUAL, FAILED ─▶ SUCCESS (paid) | RETURNED (back)
//! ```
//! A refund has one number for ever: whatever is unclear is asked about under it, and sent again under it. Knows nothing
//! of how a channel is reached.

use domain::{Fen, Millis, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use crate::{
    ledger::LedgerOp,
    limits::{REFUND_ASKS_MAX, REFUND_WAIT_MAX},
    payment::query_wait,
};

/// How many times as long the next pause after a refusal is.
const WAIT_GROWTH: i64 = 5;

/// A refund, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refund {
    /// The hub's name for it, the channel's too.
    pub refund_no: String,
    /// Counts its changes, from 1.
    pub rev: i64,
    /// Where it is.
    pub state: RefundState,
    /// Whether the money is set aside in the books.
    pub covered: bool,
    /// Where the money comes from.
    pub source: RefundSource,
    /// Through which channel.
    pub channel: String,
    /// Of which payment, as the channel knows it.
    pub payment_no: String,
    /// The channel's name for what was paid.
    pub transaction_id: String,
    /// What was paid by that transaction.
    pub paid: Fen,
    /// What goes back.
    pub amount: Fen,
    /// Why.
    pub reason: String,
    /// Who asked.
    pub by: UserId,
    /// When.
    pub requested_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
    /// When something is to be done next; `None`: nothing by itself.
    pub due: Option<Timestamp>,
    /// How often the channel refused.
    pub tries: u32,
    /// Questions since it was last sent.
    pub asks: u32,
    /// The channel's name for the refund.
    pub channel_refund_id: Option<String>,
    /// What the channel said last.
    pub last_words: Option<String>,
    /// What a person decided.
    pub decision: Option<RefundDecision>,
}

/// Where a refund is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RefundState {
    /// Asked for.
    Requested,
    /// The channel was told, or may have been.
    Sent,
    /// The channel refused; it is sent again later.
    Failed,
    /// A person decides.
    Manual,
    /// Over: the money left.
    Success,
    /// Over: the money stayed.
    Returned,
    /// Over before it began: there was too little.
    Refused,
}

/// Where the money of a refund comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum RefundSource {
    /// A driver's available balance.
    Wallet {
        /// Whose.
        user_id: UserId,
    },
    /// Money nobody knows the owner of.
    Suspense {
        /// Which.
        item: String,
    },
}

/// What a person decided of a refund that the channel does not finish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefundDecision {
    /// Who; not who asked for the refund.
    pub by: UserId,
    /// What.
    pub outcome: RefundOutcome,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// How a refund ended by a person's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RefundOutcome {
    /// The money has left, by another way or unseen.
    Paid,
    /// It stays here.
    Back,
}

/// What a channel says of a refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundSaid {
    /// The money left.
    Success {
        /// The channel's name for it.
        channel_refund_id: Option<String>,
    },
    /// It is under way.
    Processing,
    /// It was refused, for certain.
    Failed {
        /// The channel's words.
        why: String,
    },
    /// The channel knows no refund of this number.
    NotFound,
    /// No answer, or none that can be trusted: it may have been done.
    Unknown {
        /// What went wrong.
        why: String,
    },
}

/// What happens to a refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundEvent {
    /// Its money can be set aside.
    Cover,
    /// There was too little.
    NotCovered {
        /// The ledger's words.
        why: String,
    },
    /// The channel is about to be told.
    Send,
    /// The channel spoke.
    Said(RefundSaid),
    /// A person decided.
    Decide(RefundDecision),
}

/// What is to be done for a refund that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundTask {
    /// Set its money aside.
    Cover,
    /// Tell the channel.
    Send,
    /// Ask the channel, and tell it again if it knows nothing.
    Ask,
    /// Nothing: it is over, or waits for a person.
    Rest,
}

/// How patient one is with a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefundRules {
    /// Pause after the first refusal; the next ones are longer.
    pub retry: Millis,
    /// Refusals after which a person decides.
    pub tries_max: u32,
}

/// A step of a refund: what to store, with the movement of money that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundStep {
    /// The refund afterwards.
    pub refund: Refund,
    /// What moves; stored before the refund.
    pub op: Option<LedgerOp>,
}

/// Why a refund does not take a step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefundError {
    /// Its state does not allow it.
    #[error("the refund is {0:?}: look at it again")]
    IllegalState(RefundState),
    /// The one who asked for it decides on it.
    #[error("{0} asked for the refund: another person must decide")]
    SamePerson(UserId),
    /// The channel paid what was given back to the driver.
    #[error("the channel paid a refund that had been given back: a person must look")]
    PaidAfterReturn,
}

impl RefundState {
    /// Whether nothing more happens.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Success | Self::Returned | Self::Refused)
    }

    /// Whether its amount counts against what was paid.
    #[must_use]
    pub const fn counts(self) -> bool {
        !matches!(self, Self::Returned | Self::Refused)
    }

    /// As it is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "REQUESTED",
            Self::Sent => "SENT",
            Self::Failed => "FAILED",
            Self::Manual => "MANUAL",
            Self::Success => "SUCCESS",
            Self::Returned => "RETURNED",
            Self::Refused => "REFUSED",
        }
    }
}

impl Refund {
    /// What is to be done when it is due.
    #[must_use]
    pub const fn task(&self) -> RefundTask {
        match self.state {
            RefundState::Requested if !self.covered => RefundTask::Cover,
            RefundState::Requested | RefundState::Failed => RefundTask::Send,
            RefundState::Sent => RefundTask::Ask,
            RefundState::Manual | RefundState::Success | RefundState::Returned | RefundState::Refused => {
                RefundTask::Rest
            }
        }
    }

    /// Whether its money is set aside and neither left nor came back.
    #[must_use]
    pub const fn is_under_way(&self) -> bool {
        let over = matches!(self.state, RefundState::Success | RefundState::Returned | RefundState::Refused);
        self.covered && !over
    }

    /// Takes a step. `Ok(None)`: the event says nothing new.
    ///
    /// # Errors
    /// [`RefundError`]; the refund stays as it is.
    pub fn apply(
        &self,
        event: RefundEvent,
        rules: &RefundRules,
        now: Timestamp,
    ) -> Result<Option<RefundStep>, RefundError> {
        use RefundState::{Failed, Manual, Refused, Requested, Returned, Sent, Success};
        let illegal = Err(RefundError::IllegalState(self.state));
        let step = match (event, self.state) {
            (RefundEvent::Cover, Requested) if !self.covered => self.cover(now),
            (RefundEvent::NotCovered { why }, Requested) if !self.covered => {
                self.becomes(Refused, None, Some(why), now).step(None)
            }
            (RefundEvent::Send, Requested) if self.covered => self.send(now),
            (RefundEvent::Send, Sent | Failed) => self.send(now),
            (RefundEvent::Said(said), Sent) => self.said(said, rules, now),
            (RefundEvent::Said(RefundSaid::Success { channel_refund_id }), Requested | Failed | Manual)
                if self.covered =>
            {
                self.paid(channel_refund_id, None, now)
            }
            (RefundEvent::Said(RefundSaid::Success { .. }), Returned | Refused | Requested) => {
                return Err(RefundError::PaidAfterReturn);
            }
            (RefundEvent::Said(_), Requested | Failed | Manual | Success | Returned | Refused) => return Ok(None),
            (RefundEvent::Decide(decision), Failed | Manual) => {
                if decision.by == self.by {
                    return Err(RefundError::SamePerson(decision.by));
                }
                self.decided(decision, now)
            }
            (
                RefundEvent::Cover | RefundEvent::NotCovered { .. } | RefundEvent::Send,
                Requested | Sent | Failed | Manual | Success | Returned | Refused,
            )
            | (RefundEvent::Decide(_), Requested | Sent | Success | Returned | Refused) => return illegal,
        };
        Ok(Some(step))
    }

    fn cover(&self, now: Timestamp) -> RefundStep {
        let op = match &self.source {
            RefundSource::Wallet { .. } => {
                Some(LedgerOp::Withdraw { refund_no: self.refund_no.clone(), amount: self.amount })
            }
            RefundSource::Suspense { .. } => None,
        };
        let next = self.becomes(RefundState::Requested, Some(now), None, now);
        Self { covered: true, ..next }.step(op)
    }

    fn send(&self, now: Timestamp) -> RefundStep {
        // A hub that dies while it tells the channel asks before it tells it again.
        let due = now.plus(query_wait(self.asks));
        let asks = self.asks.saturating_add(1);
        Self { asks, ..self.becomes(RefundState::Sent, Some(due), None, now) }.step(None)
    }

    fn said(&self, said: RefundSaid, rules: &RefundRules, now: Timestamp) -> RefundStep {
        match said {
            RefundSaid::Success { channel_refund_id } => self.paid(channel_refund_id, None, now),
            RefundSaid::Failed { why } => self.failed(why, rules, now),
            RefundSaid::Processing => self.unclear("under way".to_owned(), now),
            RefundSaid::NotFound => self.unclear("not known to the channel".to_owned(), now),
            RefundSaid::Unknown { why } => self.unclear(why, now),
        }
    }

    fn failed(&self, why: String, rules: &RefundRules, now: Timestamp) -> RefundStep {
        let tries = self.tries.saturating_add(1);
        let (state, due) = if tries >= rules.tries_max {
            (RefundState::Manual, None)
        } else {
            (RefundState::Failed, Some(now.plus(retry_wait(rules.retry, tries))))
        };
        Self { tries, asks: 0, ..self.becomes(state, due, Some(why), now) }.step(None)
    }

    fn unclear(&self, why: String, now: Timestamp) -> RefundStep {
        let asks = self.asks.saturating_add(1);
        let (state, due) = if asks > REFUND_ASKS_MAX {
            (RefundState::Manual, None)
        } else {
            (RefundState::Sent, Some(now.plus(query_wait(self.asks))))
        };
        Self { asks, ..self.becomes(state, due, Some(why), now) }.step(None)
    }

    fn paid(&self, id: Option<String>, decision: Option<RefundDecision>, now: Timestamp) -> RefundStep {
        let op = match &self.source {
            RefundSource::Wallet { .. } => LedgerOp::Withdrawn { refund_no: self.refund_no.clone() },
            RefundSource::Suspense { item } => LedgerOp::SendBack { item: item.clone() },
        };
        let next = self.becomes(RefundState::Success, None, None, now);
        let decision = decision.or_else(|| self.decision.clone());
        Self { channel_refund_id: id.or_else(|| self.channel_refund_id.clone()), decision, ..next }.step(Some(op))
    }

    fn decided(&self, decision: RefundDecision, now: Timestamp) -> RefundStep {
        match decision.outcome {
            RefundOutcome::Paid => self.paid(None, Some(decision), now),
            RefundOutcome::Back => {
                let op = match &self.source {
                    RefundSource::Wallet { .. } => Some(LedgerOp::WithdrawBack { refund_no: self.refund_no.clone() }),
                    RefundSource::Suspense { .. } => None,
                };
                let next = self.becomes(RefundState::Returned, None, None, now);
                Self { decision: Some(decision), ..next }.step(op)
            }
        }
    }

    fn becomes(&self, state: RefundState, due: Option<Timestamp>, words: Option<String>, now: Timestamp) -> Self {
        Self {
            state,
            due,
            rev: self.rev.saturating_add(1),
            updated_at: now,
            last_words: words.or_else(|| self.last_words.clone()),
            ..self.clone()
        }
    }

    const fn step(self, op: Option<LedgerOp>) -> RefundStep {
        RefundStep { refund: self, op }
    }
}

/// The pause after the `tries`-th refusal (from 1).
fn retry_wait(first: Millis, tries: u32) -> Millis {
    let times = WAIT_GROWTH.saturating_pow(tries.saturating_sub(1));
    Millis(first.0.saturating_mul(times)).min(REFUND_WAIT_MAX)
}

/// What of a payment may still go back, given the refunds there are; `None`: they are more than was paid.
#[must_use]
pub fn refundable<'a>(paid: Fen, refunds: impl IntoIterator<Item = &'a Refund>) -> Option<Fen> {
    let counting = refunds.into_iter().filter(|refund| refund.state.counts());
    let left = counting.map(|refund| refund.amount).try_fold(paid, Fen::checked_sub)?;
    (left >= Fen::ZERO).then_some(left)
}
