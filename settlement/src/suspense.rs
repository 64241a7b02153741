//! Authentic money nobody knows the owner of: it lies in the suspense account until two persons say where it belongs.
//!
//! ```text
//! OPEN ──resolve (one person)──▶ REQUESTED ──approve (another)──▶ APPROVED (to a driver) ──▶ RESOLVED
//!   ▲                              │   ▲ └──────────────────────▶ RETURNING (to the channel) ──▶ RESOLVED
//!   │                              └───┘ (asked otherwise)            │
//!   └──────────────────────── the channel does not take it ───────────┘
//! ```
//! Money that came twice for one payment goes back by itself: it begins as RETURNING.

use domain::{Fen, Timestamp, UserId};
use serde::{Deserialize, Serialize};

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// Money in suspense, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Suspense {
    /// Names it; follows from channel and transaction, so that the same money is never kept twice.
    pub item: String,
    /// Counts its changes, from 1.
    pub rev: i64,
    /// Where it is.
    pub state: SuspenseState,
    /// Why it is here.
    pub why: SuspenseCause,
    /// Through which channel it came.
    pub channel: String,
    /// The channel's name for it.
    pub transaction_id: String,
    /// The payment it was for, as the channel told.
    pub payment_no: String,
    /// How much.
    pub amount: Fen,
    /// When it was paid, by the channel's word.
    pub paid_at: Option<Timestamp>,
    /// When the hub learnt of it.
    pub received_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
    /// When something is to be done next; `None`: a person must.
    pub due: Option<Timestamp>,
    /// Where it shall go.
    pub resolution: Option<Resolution>,
    /// The refund that takes it back to the channel.
    pub refund_no: Option<String>,
    /// How many refunds were tried: makes the next one's number.
    pub returns: u32,
}

/// Where money in suspense is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SuspenseState {
    /// Nobody has looked.
    Open,
    /// One person said where it belongs.
    Requested,
    /// Two persons said that it belongs to a driver; it is on its way.
    Approved,
    /// It is on its way back to the channel.
    Returning,
    /// It is where it belongs.
    Resolved,
}

/// Why money is in suspense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SuspenseCause {
    /// The hub does not know the payment.
    UnknownPayment,
    /// The payment was paid twice.
    DuplicatePayment,
}

/// Where money in suspense shall go, and who says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resolution {
    /// Where to.
    pub to: Destination,
    /// Who asked.
    pub by: UserId,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// Who agreed; not who asked.
    pub approved_by: Option<UserId>,
}

/// Where money in suspense can go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "to", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub enum Destination {
    /// To a driver's available balance.
    Driver {
        /// Whose.
        sub: UserId,
    },
    /// Back where it came from.
    Channel,
}

/// What happens to money in suspense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SuspenseEvent {
    /// A person says where it belongs.
    Resolve {
        /// Where to.
        to: Destination,
        /// Who.
        by: UserId,
        /// Why.
        reason: String,
    },
    /// Another person agrees.
    Approve {
        /// Who.
        by: UserId,
        /// The number of the refund, if it goes back to the channel.
        refund_no: String,
    },
    /// The driver has it.
    Received,
    /// The channel has it.
    SentBack,
    /// The channel did not take it.
    NotTaken,
}

/// Why money in suspense does not take a step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SuspenseError {
    /// Its state does not allow it.
    #[error("the money in suspense is {0:?}: look at it again")]
    IllegalState(SuspenseState),
    /// Who asked also agrees.
    #[error("{0} said where it belongs: another person must agree")]
    SamePerson(UserId),
}

impl SuspenseState {
    /// Whether nothing more happens.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Resolved)
    }

    /// As it is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Requested => "REQUESTED",
            Self::Approved => "APPROVED",
            Self::Returning => "RETURNING",
            Self::Resolved => "RESOLVED",
        }
    }
}

impl Suspense {
    /// Money that has just come.
    #[must_use]
    pub fn new(item: String, why: SuspenseCause, money: SuspendedMoney, now: Timestamp) -> Self {
        Self {
            item,
            rev: 1,
            state: SuspenseState::Open,
            why,
            channel: money.channel,
            transaction_id: money.transaction_id,
            payment_no: money.payment_no,
            amount: money.amount,
            paid_at: money.paid_at,
            received_at: now,
            updated_at: now,
            due: None,
            resolution: None,
            refund_no: None,
            returns: 0,
        }
    }

    /// Money that came twice and goes back by itself, under this refund number, in the name of `by`.
    #[must_use]
    pub fn going_back(self, by: UserId, refund_no: String) -> Self {
        let reason = "paid twice".to_owned();
        let resolution = Resolution { to: Destination::Channel, by, reason, at: self.received_at, approved_by: None };
        Self {
            state: SuspenseState::Returning,
            resolution: Some(resolution),
            refund_no: Some(refund_no),
            returns: 1,
            ..self
        }
    }

    /// Whole days since the hub learnt of it.
    #[must_use]
    pub const fn age_days(&self, now: Timestamp) -> i64 {
        now.since(self.received_at).0.div_euclid(DAY_MS)
    }

    /// Takes a step. `Ok(None)`: it was taken before.
    ///
    /// # Errors
    /// [`SuspenseError`]; it stays as it is.
    pub fn apply(&self, event: SuspenseEvent, now: Timestamp) -> Result<Option<Self>, SuspenseError> {
        use SuspenseState::{Approved, Open, Requested, Resolved, Returning};
        let next = match (event, self.state) {
            (SuspenseEvent::Resolve { to, by, reason }, Open | Requested) => {
                let resolution = Resolution { to, by, reason, at: now, approved_by: None };
                Self { resolution: Some(resolution), ..self.becomes(Requested, None, now) }
            }
            (SuspenseEvent::Approve { by, refund_no }, Requested) => {
                return self.approved(by, refund_no, now).map(Some);
            }
            (SuspenseEvent::Received, Approved) | (SuspenseEvent::SentBack, Returning) => {
                self.becomes(Resolved, None, now)
            }
            (SuspenseEvent::Received | SuspenseEvent::SentBack, Resolved) => return Ok(None),
            (SuspenseEvent::NotTaken, Returning) => {
                Self { resolution: None, refund_no: None, ..self.becomes(Open, None, now) }
            }
            (SuspenseEvent::Resolve { .. }, Approved | Returning | Resolved)
            | (SuspenseEvent::Approve { .. }, Open | Approved | Returning | Resolved)
            | (SuspenseEvent::Received, Open | Requested | Returning)
            | (SuspenseEvent::SentBack, Open | Requested | Approved)
            | (SuspenseEvent::NotTaken, Open | Requested | Approved | Resolved) => {
                return Err(SuspenseError::IllegalState(self.state));
            }
        };
        Ok(Some(next))
    }

    fn approved(&self, by: UserId, refund_no: String, now: Timestamp) -> Result<Self, SuspenseError> {
        let Some(asked) = &self.resolution else { return Err(SuspenseError::IllegalState(self.state)) };
        if asked.by == by {
            return Err(SuspenseError::SamePerson(by));
        }
        let resolution = Some(Resolution { approved_by: Some(by), ..asked.clone() });
        Ok(match asked.to {
            Destination::Driver { .. } => Self { resolution, ..self.becomes(SuspenseState::Approved, Some(now), now) },
            Destination::Channel => Self {
                resolution,
                refund_no: Some(refund_no),
                returns: self.returns.saturating_add(1),
                ..self.becomes(SuspenseState::Returning, None, now)
            },
        })
    }

    fn becomes(&self, state: SuspenseState, due: Option<Timestamp>, now: Timestamp) -> Self {
        Self { state, due, rev: self.rev.saturating_add(1), updated_at: now, ..self.clone() }
    }
}

/// What a channel says of money that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuspendedMoney {
    /// Which channel.
    pub channel: String,
    /// Its name for the money.
    pub transaction_id: String,
    /// The payment it was for.
    pub payment_no: String,
    /// How much.
    pub amount: Fen,
    /// When it was paid.
    pub paid_at: Option<Timestamp>,
}
