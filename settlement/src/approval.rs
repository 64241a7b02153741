//! Two persons for one movement of money: somebody asks, somebody else approves, and only then it moves.
//!
//! ```text
//!   REQUESTED ──Approve──▶ APPROVED ──Done──▶ DONE
//!       │                      │
//!       └──Reject──▶ REJECTED ◀┘ Refused (the ledger said no)
//! ```
//!
//! APPROVED is stored before the money moves, so that a crash in between is finished and never decided anew. It knows
//! no roles: the most that an approver may approve comes in as a number.

use std::fmt;

use domain::{Fen, Timestamp, UserId};
use serde::{Deserialize, Serialize};

/// A movement of money that needs a second person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// How much; positive.
    pub amount_fen: Fen,
    /// Who asked.
    pub author: Actor,
    /// Why, in the author's words.
    pub reason: String,
    /// When.
    pub requested_at: Timestamp,
    /// Where it is.
    pub state: ApprovalState,
    /// Who decided.
    pub decided_by: Option<Actor>,
    /// When.
    pub decided_at: Option<Timestamp>,
    /// Why it was rejected.
    pub rejection: Option<String>,
    /// When the money had moved.
    pub done_at: Option<Timestamp>,
}

/// Who acts: a person, or a rule that an operator has set up. A person cannot take the name of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Actor {
    /// The `sub` of a person's token.
    Person(UserId),
    /// A rule, by its name.
    Rule(String),
}

/// Where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ApprovalState {
    /// Asked for.
    Requested,
    /// A second person agreed; the money is about to move.
    Approved,
    /// The money has moved.
    Done,
    /// It does not move.
    Rejected,
}

/// What may happen to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApprovalEvent {
    /// Somebody agrees.
    Approve {
        /// Who.
        by: Actor,
        /// The most they may approve; `None`: any sum.
        most: Option<Fen>,
    },
    /// Somebody does not.
    Reject {
        /// Who.
        by: UserId,
        /// Why.
        reason: String,
    },
    /// The money has moved.
    Done,
    /// The ledger said no after the approval, for example because another refund came first.
    Refused {
        /// Its words.
        why: String,
    },
}

/// What an event did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It changed something.
    Changed,
    /// It was so already.
    Repeated,
}

/// Why an event is refused; nothing changes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApprovalError {
    /// Nobody approves what they asked for themselves.
    #[error("{0} asked for it: another person must approve it")]
    OwnRequest(Actor),
    /// Too much for this approver.
    #[error("{amount} are over the {most} that this role may approve: ask somebody whose limit is higher")]
    OverLimit {
        /// What was asked for.
        amount: Fen,
        /// The most.
        most: Fen,
    },
    /// It is decided already.
    #[error("it is {0:?} already")]
    Decided(ApprovalState),
    /// The money cannot have moved before somebody approved.
    #[error("it is {0:?}, not approved")]
    NotApproved(ApprovalState),
}

impl fmt::Display for Actor {
    /// As people read it: the person's name, or `rule:` and the name of the rule.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(sub) => write!(f, "{sub}"),
            Self::Rule(name) => write!(f, "rule:{name}"),
        }
    }
}

impl Approval {
    /// Something asked for.
    #[must_use]
    pub const fn new(amount_fen: Fen, author: Actor, reason: String, now: Timestamp) -> Self {
        Self {
            amount_fen,
            author,
            reason,
            requested_at: now,
            state: ApprovalState::Requested,
            decided_by: None,
            decided_at: None,
            rejection: None,
            done_at: None,
        }
    }

    /// Whether somebody or something still has to act.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        match self.state {
            ApprovalState::Requested | ApprovalState::Approved => true,
            ApprovalState::Done | ApprovalState::Rejected => false,
        }
    }

    /// Applies an event.
    ///
    /// # Errors
    /// [`ApprovalError`]; nothing changes then.
    pub fn apply(&mut self, event: &ApprovalEvent, now: Timestamp) -> Result<Applied, ApprovalError> {
        match self.state {
            ApprovalState::Requested => self.requested(event, now),
            ApprovalState::Approved => self.approved(event, now),
            ApprovalState::Done => self.done(event),
            ApprovalState::Rejected => match event {
                ApprovalEvent::Approve { .. } | ApprovalEvent::Reject { .. } => Err(ApprovalError::Decided(self.state)),
                ApprovalEvent::Done | ApprovalEvent::Refused { .. } => Err(ApprovalError::NotApproved(self.state)),
            },
        }
    }

    fn requested(&mut self, event: &ApprovalEvent, now: Timestamp) -> Result<Applied, ApprovalError> {
        match event {
            ApprovalEvent::Approve { by, most } => {
                // A rule that is allowed to give by itself is its own approver; a person never is.
                if *by == self.author && matches!(by, Actor::Person(_)) {
                    return Err(ApprovalError::OwnRequest(by.clone()));
                }
                if let Some(most) = most.filter(|most| self.amount_fen > *most) {
                    return Err(ApprovalError::OverLimit { amount: self.amount_fen, most });
                }
                self.decide(ApprovalState::Approved, Some(by.clone()), now);
                Ok(Applied::Changed)
            }
            ApprovalEvent::Reject { by, reason } => {
                self.rejection = Some(reason.clone());
                self.decide(ApprovalState::Rejected, Some(Actor::Person(by.clone())), now);
                Ok(Applied::Changed)
            }
            ApprovalEvent::Done | ApprovalEvent::Refused { .. } => Err(ApprovalError::NotApproved(self.state)),
        }
    }

    fn approved(&mut self, event: &ApprovalEvent, now: Timestamp) -> Result<Applied, ApprovalError> {
        match event {
            ApprovalEvent::Approve { by, .. } if self.decided_by.as_ref() == Some(by) => Ok(Applied::Repeated),
            ApprovalEvent::Approve { by, .. } if *by == self.author => Err(ApprovalError::OwnRequest(by.clone())),
            ApprovalEvent::Approve { .. } | ApprovalEvent::Reject { .. } => Err(ApprovalError::Decided(self.state)),
            ApprovalEvent::Done => {
                self.state = ApprovalState::Done;
                self.done_at = Some(now);
                Ok(Applied::Changed)
            }
            ApprovalEvent::Refused { why } => {
                self.state = ApprovalState::Rejected;
                self.rejection = Some(why.clone());
                Ok(Applied::Changed)
            }
        }
    }

    fn done(&self, event: &ApprovalEvent) -> Result<Applied, ApprovalError> {
        match event {
            ApprovalEvent::Done => Ok(Applied::Repeated),
            ApprovalEvent::Approve { .. } | ApprovalEvent::Reject { .. } | ApprovalEvent::Refused { .. } => {
                Err(ApprovalError::Decided(self.state))
            }
        }
    }

    fn decide(&mut self, state: ApprovalState, by: Option<Actor>, now: Timestamp) {
        self.state = state;
        self.decided_by = by;
        self.decided_at = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis_clamped(1_763_690_000_000);

    fn person(sub: &str) -> Actor {
        Actor::Person(UserId::parse(sub).unwrap())
    }

    fn events() -> Vec<(&'static str, ApprovalEvent)> {
        let approve = |by: Actor| ApprovalEvent::Approve { by, most: Some(Fen(500)) };
        vec![
            ("own", approve(person("anna"))),
            ("bert", approve(person("bert"))),
            ("carl", approve(person("carl"))),
            ("low", ApprovalEvent::Approve { by: person("bert"), most: Some(Fen(499)) }),
            ("any", ApprovalEvent::Approve { by: person("bert"), most: None }),
            ("rej", ApprovalEvent::Reject { by: UserId::parse("carl").unwrap(), reason: "no".to_owned() }),
            ("done", ApprovalEvent::Done),
            ("ref", ApprovalEvent::Refused { why: "more than paid".to_owned() }),
        ]
    }

    fn in_state(state: ApprovalState) -> Approval {
        let mut approval = Approval::new(Fen(500), person("anna"), "late".to_owned(), NOW);
        let approve = ApprovalEvent::Approve { by: person("bert"), most: None };
        let reject = ApprovalEvent::Reject { by: UserId::parse("carl").unwrap(), reason: "no".to_owned() };
        let road: &[ApprovalEvent] = match state {
            ApprovalState::Requested => &[],
            ApprovalState::Approved => &[approve],
            ApprovalState::Done => &[approve, ApprovalEvent::Done],
            ApprovalState::Rejected => &[reject],
        };
        for event in road {
            assert_eq!(approval.apply(event, NOW), Ok(Applied::Changed));
        }
        approval
    }

    /// A letter: the state afterwards (A D X=REJECTED); `=`: repeated; `o` own, `l` over the limit, `d` decided, `n` not
    /// approved.
    const TABLE: &str = "
              | own bert carl low any rej done ref
    requested |  o    A    A    l   A   X   n   n
    approved  |  o    =    d    =   =   d   D   X
    done      |  d    d    d    d   d   d   =   d
    rejected  |  d    d    d    d   d   d   n   n
    ";

    #[test]
    fn every_state_meets_every_event_as_the_table_says() {
        let rows = TABLE.lines().filter_map(|line| line.split_once('|')).skip(1);
        for (name, cells) in rows {
            let state = match name.trim() {
                "requested" => ApprovalState::Requested,
                "approved" => ApprovalState::Approved,
                "done" => ApprovalState::Done,
                _ => ApprovalState::Rejected,
            };
            for (cell, (event_name, event)) in cells.split_whitespace().zip(events()) {
                let before = in_state(state);
                let mut after = before.clone();
                let got = match after.apply(&event, NOW) {
                    Ok(Applied::Repeated) => "=",
                    Ok(Applied::Changed) => match after.state {
                        ApprovalState::Requested => "R",
                        ApprovalState::Approved => "A",
                        ApprovalState::Done => "D",
                        ApprovalState::Rejected => "X",
                    },
                    Err(ApprovalError::OwnRequest(_)) => "o",
                    Err(ApprovalError::OverLimit { .. }) => "l",
                    Err(ApprovalError::Decided(_)) => "d",
                    Err(ApprovalError::NotApproved(_)) => "n",
                };
                assert_eq!(got, cell, "{name} {event_name}");
                let changed = "ADX".contains(got);
                assert_eq!(after == before, !changed, "{name} {event_name}: only what is applied changes anything");
            }
        }
    }

    #[test]
    fn a_rule_that_may_give_by_itself_is_its_own_approver_and_no_person_can_take_its_name() {
        let rule = Actor::Rule("power-loss".to_owned());
        let mut approval = Approval::new(Fen(500), rule.clone(), String::new(), NOW);
        let by_rule = ApprovalEvent::Approve { by: rule.clone(), most: Some(Fen(500)) };
        assert_eq!(approval.apply(&by_rule, NOW), Ok(Applied::Changed));
        assert_eq!((approval.state, approval.decided_by), (ApprovalState::Approved, Some(rule.clone())));
        assert_ne!(person("rule:power-loss"), rule);
        assert_eq!(person("rule:power-loss").to_string(), rule.to_string());
    }
}
