//! The forms in which the work of risk is stored: each a case, found by state, by what it is about and by when it is due.

use domain::{OrderNo, PileCode, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use settlement::{
    adjustment::Adjustment,
    debt::{DebtWatch, WriteOff},
    risk::RiskDecision,
};
use store::cases::{CaseKind, Filed};

/// A value of settlement's as it is filed here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Filing<T>(pub(crate) T);

impl Filed for Filing<Adjustment> {
    const KIND: CaseKind = CaseKind::Adjustment;
    fn id(&self) -> String {
        self.0.adjustment_id.clone()
    }
    fn rev(&self) -> i64 {
        self.0.rev
    }
    fn state(&self) -> String {
        self.0.state_word().to_owned()
    }
    fn is_open(&self) -> bool {
        self.0.approval.is_open()
    }
    fn about(&self) -> String {
        self.0.order_no.to_string()
    }
    fn at(&self) -> Timestamp {
        self.0.approval.requested_at
    }
}

impl Filed for Filing<WriteOff> {
    const KIND: CaseKind = CaseKind::WriteOff;
    fn id(&self) -> String {
        self.0.write_off_id.clone()
    }
    fn rev(&self) -> i64 {
        self.0.rev
    }
    fn state(&self) -> String {
        self.0.state_word().to_owned()
    }
    fn is_open(&self) -> bool {
        self.0.approval.is_open()
    }
    fn about(&self) -> String {
        self.0.order_no.to_string()
    }
    fn at(&self) -> Timestamp {
        self.0.approval.requested_at
    }
}

impl Filed for Filing<RiskDecision> {
    const KIND: CaseKind = CaseKind::RiskDecision;
    fn id(&self) -> String {
        self.0.decision_id.clone()
    }
    /// A decision is written down once.
    fn rev(&self) -> i64 {
        1
    }
    fn state(&self) -> String {
        self.0.outcome.as_str().to_ascii_uppercase()
    }
    fn is_open(&self) -> bool {
        false
    }
    /// The order, else the pile, else the driver.
    fn about(&self) -> String {
        let order = self.0.order_no.as_ref().map(ToString::to_string);
        let pile = || self.0.pile_code.as_ref().map(ToString::to_string);
        let user = || self.0.user_id.as_ref().map(ToString::to_string);
        order.or_else(pile).or_else(user).unwrap_or_default()
    }
    fn at(&self) -> Timestamp {
        self.0.at
    }
}

/// A debt and when something is due for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FiledDebt {
    pub(crate) watch: DebtWatch,
    /// When its order owed something for the first time; a correction may open a debt again.
    pub(crate) first_at: Timestamp,
    /// By the policy in force when it was filed.
    pub(crate) due: Option<Timestamp>,
}

impl Filed for FiledDebt {
    const KIND: CaseKind = CaseKind::Debt;
    fn id(&self) -> String {
        self.watch.order_no.to_string()
    }
    fn rev(&self) -> i64 {
        self.watch.rev
    }
    fn state(&self) -> String {
        self.watch.state.as_str().to_owned()
    }
    fn is_open(&self) -> bool {
        self.watch.state.is_open()
    }
    fn about(&self) -> String {
        self.watch.user_id.to_string()
    }
    fn at(&self) -> Timestamp {
        self.first_at
    }
    fn due(&self) -> Option<Timestamp> {
        self.due
    }
}

/// A bill that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HeldBill {
    pub(crate) order_no: OrderNo,
    pub(crate) user_id: UserId,
    pub(crate) pile_code: PileCode,
    /// Why, as the order says it.
    pub(crate) reason: String,
    pub(crate) held_at: Timestamp,
    /// When somebody should have decided.
    pub(crate) due_at: Timestamp,
    pub(crate) state: HeldState,
    pub(crate) rev: i64,
}

/// Where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum HeldState {
    /// In its time.
    Waiting,
    /// Past its time; the alarm was raised.
    Overdue,
    /// A person has decided.
    Decided,
}

impl HeldState {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "WAITING",
            Self::Overdue => "OVERDUE",
            Self::Decided => "DECIDED",
        }
    }
}

impl Filed for HeldBill {
    const KIND: CaseKind = CaseKind::Hold;
    fn id(&self) -> String {
        self.order_no.to_string()
    }
    fn rev(&self) -> i64 {
        self.rev
    }
    fn state(&self) -> String {
        self.state.as_str().to_owned()
    }
    fn is_open(&self) -> bool {
        self.state != HeldState::Decided
    }
    fn about(&self) -> String {
        self.order_no.to_string()
    }
    fn at(&self) -> Timestamp {
        self.held_at
    }
    fn due(&self) -> Option<Timestamp> {
        (self.state == HeldState::Waiting).then_some(self.due_at)
    }
}

/// How far the outbox was followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Followed {
    pub(crate) since: Timestamp,
    /// The last event that was dealt with.
    pub(crate) after: i64,
    pub(crate) rev: i64,
}

impl Followed {
    /// Its name among those of other jobs.
    pub(crate) const ID: &str = "risk.outbox";
}

impl Filed for Followed {
    const KIND: CaseKind = CaseKind::Progress;
    fn id(&self) -> String {
        Self::ID.to_owned()
    }
    fn rev(&self) -> i64 {
        self.rev
    }
    fn state(&self) -> String {
        "FOLLOWING".to_owned()
    }
    fn is_open(&self) -> bool {
        false
    }
    fn about(&self) -> String {
        "outbox".to_owned()
    }
    fn at(&self) -> Timestamp {
        self.since
    }
}
