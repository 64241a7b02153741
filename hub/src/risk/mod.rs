//! Risk at work: the rules in force, what happened lately in memory, and the jobs around held bills, debts, refunds by
//! rule and suspect piles. What a rule means is settlement's; here it is asked, stored and told.
//!
//! | file | does |
//! |---|---|
//! | `rules` | reads the files of rules |
//! | `follow` | follows the outbox, so that nothing is missed over a restart |
//! | `recall` | fills the counters from the store at the start |
//! | `joint` | what two persons do together: refunds and write-offs, finished after a crash |
//! | `compensate` | refunds by rule, once per order |
//! | `holds` | the deadline of held bills, and the decision log |
//! | `debts` | reminders, the blacklist by policy, repayment by top-ups |
//! | `piles` | piles that look wrong too often |
//! | `filed` | the forms in which all of it is stored |

mod compensate;
mod debts;
mod filed;
mod follow;
mod holds;
mod joint;
mod piles;
mod recall;
mod rules;

use std::{
    collections::HashSet,
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use actors::{
    Handle,
    api::{Refusal, Reviewer},
};
use domain::{Clock, Fen, Millis, PileCode, Timestamp, UserId};
use parking_lot::Mutex;
use settlement::{
    compensation::CompensationRules,
    debt::DebtPolicy,
    order::Order,
    pricing::Bill,
    risk::{Gate, Outcome, Question, RiskRules, Signal, Strike, Tallies, credit::CreditRules, decide, worst},
    settle,
};
use store::money::{Commit, CommitOutcome, Conflict, Money, StoreError, Write};
use tokio::sync::{Mutex as AsyncMutex, MutexGuard};

pub(crate) use filed::{Filing, HeldBill};
pub(crate) use joint::Joint;
pub(crate) use rules::{RulesError, read as read_rules};

use crate::{
    config::Config,
    limits::{RISK_SUBJECTS_MAX, RISK_TURNS},
};

/// The rules in force and the counters they look at. Never blocks: bills are asked about from the settlement actors.
#[derive(Debug)]
pub(crate) struct Risk {
    pub(crate) rules: RiskRules,
    pub(crate) compensation: CompensationRules,
    pub(crate) settings: Settings,
    clock: Arc<dyn Clock>,
    users: Mutex<Tallies<UserId>>,
    piles: Mutex<Tallies<PileCode>>,
}

/// What the configuration says of all this.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) hold_over: Fen,
    pub(crate) hold_deadline: Millis,
    pub(crate) log_pass_over: Fen,
    pub(crate) pile_after: u32,
    pub(crate) pile_window: Millis,
    pub(crate) auto_max: Fen,
    pub(crate) finance_max: Fen,
    pub(crate) debts: DebtPolicy,
    /// How long the policy keeps a driver on the blacklist; 0: until nothing is owed.
    pub(crate) blacklist_for_days: u32,
    pub(crate) repay_on_topup: bool,
    pub(crate) credit: CreditRules,
}

impl Settings {
    fn of(config: &Config) -> Self {
        let span = |s: u32| Millis::from_secs(s.into());
        Self {
            hold_over: Fen(config.money.hold_over_fen),
            hold_deadline: span(config.risk.hold_deadline_s),
            log_pass_over: Fen(config.risk.log_pass_over_fen),
            pile_after: config.risk.pile_maintenance_after,
            pile_window: span(config.risk.pile_window_s),
            auto_max: Fen(config.compensation.auto_max_fen),
            finance_max: Fen(config.adjustment.finance_max_fen),
            debts: DebtPolicy {
                reminder_days: config.debt.reminder_days.clone(),
                blacklist_after_days: config.debt.blacklist_after_days,
            },
            blacklist_for_days: config.debt.blacklist_for_days,
            repay_on_topup: config.money.repay_on_topup,
            credit: CreditRules {
                limit: Fen(config.money.credit_limit_fen),
                paid_orders_min: config.money.credit_paid_orders_min,
            },
        }
    }
}

impl Risk {
    /// Reads the rules; nothing is counted yet.
    ///
    /// # Errors
    /// [`RulesError`] when a file cannot be read or makes no sense.
    pub(crate) fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, RulesError> {
        let (rules, compensation) = read_rules(&config.risk.rules, &config.compensation.rules)?;
        let settings = Settings::of(config);
        let pile_horizon = rules.horizon().max(settings.pile_window);
        Ok(Self {
            users: Mutex::new(Tallies::new(rules.horizon(), RISK_SUBJECTS_MAX)),
            piles: Mutex::new(Tallies::new(pile_horizon, RISK_SUBJECTS_MAX)),
            rules,
            compensation,
            settings,
            clock,
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Something happened to a driver; told twice it counts once.
    pub(crate) fn note_user(&self, user: &UserId, signal: Signal) {
        self.users.lock().note(user, signal, self.clock.now());
    }

    /// Something happened at a pile; told twice it counts once.
    pub(crate) fn note_pile(&self, pile: &PileCode, signal: Signal) {
        self.piles.lock().note(pile, signal, self.clock.now());
    }

    /// The rules that strike at a gate for a driver.
    pub(crate) fn strikes(&self, gate: Gate, user: &UserId) -> Vec<Strike<'_>> {
        let users = self.users.lock();
        decide(&self.rules, &Question { user: users.of(user), ..self.question(gate) })
    }

    /// The rules that strike for a bill.
    pub(crate) fn strikes_of_bill(&self, order: &Order, bill: &Bill) -> Vec<Strike<'_>> {
        let (users, piles) = (self.users.lock(), self.piles.lock());
        let (user, pile) = (users.of(&order.user_id), piles.of(&order.pile_code));
        decide(&self.rules, &Question { user, pile, bill: Some(bill), ..self.question(Gate::Bill) })
    }

    /// Signals of a pile after `from`, those that speak against it.
    pub(crate) fn pile_signals(&self, pile: &PileCode, from: Timestamp) -> i64 {
        self.piles.lock().of(pile).map_or(0, |tally| tally.since(from, self.clock.now(), |_| true))
    }

    /// The rule that holds a bill, by the reason its order gives: a rule's name, or the ledger's own threshold.
    pub(crate) fn rule_of_hold(&self, reason: &str) -> Option<&settlement::risk::Rule> {
        let large = |rule: &&settlement::risk::Rule| {
            reason == settle::LARGE_ORDER && matches!(rule.kind, settlement::risk::RuleKind::LargeOrder { .. })
        };
        self.rules.named(reason).or_else(|| self.rules.rules.iter().find(large))
    }

    fn question<'a>(&self, gate: Gate) -> Question<'a> {
        let now = self.clock.now();
        Question { gate, now, user: None, pile: None, bill: None, hold_over: self.settings.hold_over }
    }
}

impl Reviewer for Risk {
    fn suspect(&self, order: &Order, bill: &Bill) -> Option<String> {
        let strikes = self.strikes_of_bill(order, bill);
        let strike = worst(&strikes).filter(|strike| strike.rule.outcome != Outcome::Pass)?;
        Some(strike.rule.name.clone())
    }
}

/// Where the jobs of risk are done: the rules with hands.
pub(crate) struct Desk {
    pub(crate) risk: Arc<Risk>,
    actors: Handle,
    money: Arc<dyn Money>,
    /// The marks on piles that were heard of.
    marks: Mutex<HashSet<String>>,
    /// One place per share of the drivers: what is read about a driver and then changed is not changed in between.
    turns: Vec<AsyncMutex<()>>,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").field("risk", &self.risk).finish_non_exhaustive()
    }
}

/// What became of facts that depend on what was read before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// They are stored.
    Written,
    /// Somebody else was there first; nothing was written.
    Outrun,
}

impl Desk {
    pub(crate) fn new(risk: Arc<Risk>, actors: Handle, money: Arc<dyn Money>) -> Self {
        let turns = (0..RISK_TURNS).map(|_| AsyncMutex::new(())).collect();
        Self { risk, actors, money, marks: Mutex::default(), turns }
    }

    fn now(&self) -> Timestamp {
        self.risk.now()
    }

    /// Held while something about a driver is read and then changed.
    pub(crate) async fn turn(&self, user: &UserId) -> Option<MutexGuard<'_, ()>> {
        let mut hasher = DefaultHasher::new();
        user.hash(&mut hasher);
        let places = u64::try_from(self.turns.len()).unwrap_or(1).max(1);
        let place = usize::try_from(hasher.finish() % places).unwrap_or(0);
        match self.turns.get(place) {
            Some(turn) => Some(turn.lock().await),
            None => None,
        }
    }

    /// Writes facts that belong together.
    pub(crate) async fn keep(&self, writes: Vec<Write>) -> Result<Kept, Refusal> {
        match self.money.commit(Commit { writes }).await {
            CommitOutcome::Applied => Ok(Kept::Written),
            CommitOutcome::Conflict(Conflict::CaseRev(..)) => Ok(Kept::Outrun),
            CommitOutcome::Conflict(conflict) => Err(Refusal::IllegalState(format!("{conflict:?}"))),
            CommitOutcome::Unavailable(why) | CommitOutcome::Unknown(why) => Err(Refusal::StoreUnavailable(why)),
        }
    }
}

fn away(error: StoreError) -> Refusal {
    Refusal::StoreUnavailable(error.to_string())
}
