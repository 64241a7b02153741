//! Work that people and jobs move through states: refunds, adjustments, write-offs, suspense, decisions, reconciliations.
//!
//! The store knows a case by its kind and id, keeps one present form of it, and finds it by state, by what it is about and
//! by when it is due. What the form means is the business of the rules that made it: see [`Filed`].

use domain::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::money::StoreError;

/// One piece of work in its present form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Case {
    /// What kind of work.
    pub kind: CaseKind,
    /// Its name, unique within the kind.
    pub id: String,
    /// 1, 2, 3 … counts the stored forms.
    pub rev: i64,
    /// Where it is, in UPPER_SNAKE.
    pub state: String,
    /// Whether a person or a job still has something to do.
    pub open: bool,
    /// What it belongs to: an order, a payment, a user, a day.
    pub about: String,
    /// When it began; sorts lists. Never changes.
    pub at: Timestamp,
    /// When a job is to look at it.
    pub due: Option<Timestamp>,
    /// Everything else, as JSON.
    pub body: String,
}

/// The kinds of case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CaseKind {
    /// Money given back for an order, asked for by one person and approved by another.
    Adjustment,
    /// Unused money on its way back through its channel.
    Refund,
    /// A debt given up, asked for by one person and approved by another.
    WriteOff,
    /// Money that came in for nobody known.
    Suspense,
    /// What a risk rule decided.
    RiskDecision,
    /// The reconciliation of a day.
    ReconDay,
    /// A difference that a reconciliation found.
    ReconItem,
    /// A channel's bill of a day.
    ChannelBill,
    /// The last link of a day's audit trail.
    AuditHead,
    /// A pile whose meter or money looks wrong.
    PileMark,
    /// How far a job has come through a list that grows.
    Progress,
    /// A debt, and what is due while it is open.
    Debt,
    /// A bill that waits for a person, and until when.
    Hold,
}

/// Which cases to list; newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseFilter {
    /// Of this kind.
    pub kind: CaseKind,
    /// Only in this state.
    pub state: Option<String>,
    /// Only about this.
    pub about: Option<String>,
    /// Only those that are open.
    pub open_only: bool,
}

impl CaseFilter {
    /// All cases of a kind.
    #[must_use]
    pub const fn all(kind: CaseKind) -> Self {
        Self { kind, state: None, about: None, open_only: false }
    }
}

/// A value that is kept as a case.
pub trait Filed: Serialize + DeserializeOwned {
    /// Its kind.
    const KIND: CaseKind;
    /// Its name.
    fn id(&self) -> String;
    /// Counts its stored forms from 1.
    fn rev(&self) -> i64;
    /// Where it is, in UPPER_SNAKE.
    fn state(&self) -> String;
    /// Whether a person or a job still has something to do.
    fn is_open(&self) -> bool;
    /// What it belongs to.
    fn about(&self) -> String;
    /// When it began.
    fn at(&self) -> Timestamp;
    /// When a job is to look at it.
    fn due(&self) -> Option<Timestamp> {
        None
    }

    /// Its form to store.
    fn case(&self) -> Case {
        Case {
            kind: Self::KIND,
            id: self.id(),
            rev: self.rev(),
            state: self.state(),
            open: self.is_open(),
            about: self.about(),
            at: self.at(),
            due: self.due(),
            // Values of ours always serialise.
            body: serde_json::to_string(self).unwrap_or_default(),
        }
    }
}

impl Case {
    /// The value that is kept as this case.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it is none of that kind.
    pub fn read<T: Filed>(&self) -> Result<T, StoreError> {
        serde_json::from_str(&self.body)
            .map_err(|error| StoreError::Corrupt(format!("case {:?} {}: {error}", self.kind, self.id)))
    }
}

/// Something that other systems may want to know of; kept until it is delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutboxEvent {
    /// Its name; the same name again is the same event.
    pub event_id: String,
    /// What happened: `debt.opened`, `tariff.published`, …
    pub name: String,
    /// When.
    pub at: Timestamp,
    /// To what: an order, a user, a station.
    pub subject: String,
    /// The rest, as JSON.
    pub data: String,
}
