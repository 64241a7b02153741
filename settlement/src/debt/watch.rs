//! What happens while a debt stays open: reminders, then the blacklist, by the operator's policy.

use domain::{Fen, Millis, OrderNo, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use super::DebtState;

/// Under this name the policy puts a driver on the blacklist; it takes off only what it has put on.
pub const POLICY: &str = "policy:debt";

const DAY_MS: i64 = 86_400_000;

/// When a debt is spoken of, and when it closes the account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DebtPolicy {
    /// Days after its beginning on which its driver is reminded, rising.
    pub reminder_days: Vec<u32>,
    /// Days after its beginning on which its driver is put on the blacklist; 0: never.
    pub blacklist_after_days: u32,
}

/// A debt that is watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DebtWatch {
    /// Of which order.
    pub order_no: OrderNo,
    /// Who owes.
    pub user_id: UserId,
    /// When it began.
    pub opened_at: Timestamp,
    /// How much it was then.
    pub opened_fen: Fen,
    /// Where it was when it was last looked at.
    pub state: DebtState,
    /// When it was paid or given up.
    pub closed_at: Option<Timestamp>,
    /// The last day of a reminder that was sent.
    pub reminded_day: Option<u32>,
    /// The policy has put its driver on the blacklist.
    pub blacklisted: bool,
    /// Counts the stored changes.
    pub rev: i64,
}

/// What is due for a debt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DebtStep {
    /// Tell the driver; `day` of the policy. Days that passed unnoticed are not told after the event.
    Remind {
        /// Which day of the policy.
        day: u32,
    },
    /// Put the driver on the blacklist.
    Blacklist,
}

impl DebtWatch {
    /// A debt that has begun.
    #[must_use]
    pub const fn opened(order_no: OrderNo, user_id: UserId, at: Timestamp, fen: Fen) -> Self {
        Self {
            order_no,
            user_id,
            opened_at: at,
            opened_fen: fen,
            state: DebtState::Open,
            closed_at: None,
            reminded_day: None,
            blacklisted: false,
            rev: 1,
        }
    }

    /// When it is to be looked at next; `None`: never again.
    #[must_use]
    pub fn due(&self, policy: &DebtPolicy) -> Option<Timestamp> {
        if !self.state.is_open() {
            return None;
        }
        let reminder = policy.reminder_days.iter().copied().find(|day| self.is_new(*day));
        let blacklist = self.may_blacklist(policy).then_some(policy.blacklist_after_days);
        reminder.into_iter().chain(blacklist).min().map(|day| self.on_day(day))
    }

    /// What is due at `now`, and the watch afterwards. Nothing is due twice.
    #[must_use]
    pub fn steps(&self, policy: &DebtPolicy, now: Timestamp) -> (Self, Vec<DebtStep>) {
        let mut after = self.clone();
        let mut steps = Vec::new();
        if !self.state.is_open() {
            return (after, steps);
        }
        let passed = |day: &u32| self.is_new(*day) && self.on_day(*day) <= now;
        if let Some(day) = policy.reminder_days.iter().copied().filter(|day| passed(day)).max() {
            after.reminded_day = Some(day);
            steps.push(DebtStep::Remind { day });
        }
        if self.may_blacklist(policy) && self.on_day(policy.blacklist_after_days) <= now {
            after.blacklisted = true;
            steps.push(DebtStep::Blacklist);
        }
        (after, steps)
    }

    /// The debt is over, or was found to be in another state.
    #[must_use]
    pub fn in_state(&self, state: DebtState, now: Timestamp) -> Self {
        Self { state, closed_at: (!state.is_open()).then_some(now), ..self.clone() }
    }

    fn is_new(&self, day: u32) -> bool {
        self.reminded_day.is_none_or(|told| day > told)
    }

    const fn may_blacklist(&self, policy: &DebtPolicy) -> bool {
        policy.blacklist_after_days > 0 && !self.blacklisted
    }

    fn on_day(&self, day: u32) -> Timestamp {
        self.opened_at.plus(Millis(DAY_MS.saturating_mul(i64::from(day))))
    }
}
