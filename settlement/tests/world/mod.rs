//! A small world in which every state can be visited: two drivers who want one gun, the hub's stored facts, and a network
//! between driver, hub, pile, channel and risk officer that loses, repeats and reorders.
//!
//! The hub does one thing at a time: it plans, stores the facts of the plan one by one, and only then sends what follows.
//! It may be killed between any two facts; what was stored stays, the rest never was. It comes back, resumes every order
//! that is not over, and answers whoever asks again.

mod hub;
mod key;
mod moves;

use std::{collections::BTreeSet, rc::Rc};

use domain::{Fen, OrderNo, UserId};
use settlement::{
    invariants::{self, Breach, Conservation, Facts},
    ledger::{AccountState, Entry},
    order::{Order, OrderStatus},
    settle::MoneyRules,
};

pub(crate) use moves::Move;

/// How far a search goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound {
    /// 1 or 2.
    pub(crate) drivers: usize,
    /// How often, along one road, a message may be lost, repeated or late, or the hub be killed.
    pub(crate) faults: u8,
}

/// What one payment brings.
const PAYMENT: Fen = Fen(1_000);
const RULES: MoneyRules =
    MoneyRules { freeze_default: Fen(800), freeze_min: Fen(500), hold_over: Fen(1_500), suspect: None };
/// What a charge may cost: less than its hold, more than the driver has, more than goes without a person.
const COSTS: [i64; 3] = [600, 1_200, 1_600];
/// What a charge is thought to have cost when its pile fell silent.
const ESTIMATE: i64 = 900;

/// Messages, at most one of each kind and driver under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Message {
    Start,
    Stop,
    Repay,
    Callback,
    SecondCallback,
    StartCommand,
    StopCommand,
    Evidence,
    Rejected,
    Record,
    RecordAck,
}

const MESSAGES: [Message; 11] = [
    Message::Start,
    Message::Stop,
    Message::Repay,
    Message::Callback,
    Message::SecondCallback,
    Message::StartCommand,
    Message::StopCommand,
    Message::Evidence,
    Message::Rejected,
    Message::Record,
    Message::RecordAck,
];

/// What is stored of one account.
#[derive(Debug, Clone)]
struct Purse {
    account: AccountState,
    entries: Vec<Entry>,
    ops: BTreeSet<String>,
    /// Of all of the above.
    key: u64,
}

/// What the pile knows of one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum AtPile {
    /// Nothing.
    Unknown,
    /// It refused to start.
    Refused,
    Charging,
    /// The charge is over; the record (which of `COSTS`) is kept until it is acknowledged.
    Ended(usize),
    Acknowledged(usize),
}

/// What the hub is about.
#[derive(Debug, Clone)]
enum Doing {
    Nothing,
    /// Stores these facts from `next` on, then sends.
    Storing {
        steps: Rc<Vec<settlement::settle::Step>>,
        next: usize,
        driver: usize,
        then: Vec<Message>,
    },
    /// It was killed: these orders are still to be resumed.
    Down {
        left: [bool; 2],
    },
}

/// One state of everything.
#[derive(Debug, Clone)]
pub(crate) struct World {
    bound: Bound,
    purses: [Rc<Purse>; 2],
    orders: [Option<Rc<Order>>; 2],
    order_keys: [u64; 2],
    /// How often each order ended.
    ends: [u8; 2],
    doing: Doing,
    /// Under way, by driver.
    network: [u16; 2],
    pile: [AtPile; 2],
    faults: u8,
}

fn order_no(driver: usize) -> OrderNo {
    OrderNo::parse(&format!("{}", driver + 1)).unwrap()
}

fn user_id(driver: usize) -> UserId {
    UserId::parse(&format!("driver{}", driver + 1)).unwrap()
}

impl World {
    pub(crate) fn new(bound: Bound) -> Self {
        let purse = |driver| {
            let account = AccountState::new(user_id(driver));
            Rc::new(Purse { account, entries: Vec::new(), ops: BTreeSet::new(), key: 0 })
        };
        Self {
            bound,
            purses: [purse(0), purse(1)],
            orders: [None, None],
            order_keys: [0; 2],
            ends: [0; 2],
            doing: Doing::Nothing,
            network: [0; 2],
            pile: [AtPile::Unknown; 2],
            faults: 0,
        }
    }

    fn is_under_way(&self, driver: usize, message: Message) -> bool {
        self.network[driver] & (1 << message as u16) != 0
    }

    fn send(&mut self, driver: usize, message: Message) {
        self.network[driver] |= 1 << message as u16;
    }

    fn order(&self, driver: usize) -> Option<&Order> {
        self.orders[driver].as_deref()
    }

    fn status(&self, driver: usize) -> Option<OrderStatus> {
        self.order(driver).map(|order| order.status)
    }

    fn is_done(&self, driver: usize, op: &str) -> bool {
        self.purses[driver].ops.contains(op)
    }

    /// Both orders are over, everything is paid, and nobody waits for anybody.
    pub(crate) fn is_settled(&self) -> bool {
        (0..self.bound.drivers).all(|driver| self.is_quiet(driver))
    }

    fn is_quiet(&self, driver: usize) -> bool {
        let over = self.order(driver).is_some_and(|order| order.status.is_over() && order.debt_fen == Fen::ZERO);
        let account = &self.purses[driver].account;
        let at_rest = !matches!(self.pile[driver], AtPile::Charging | AtPile::Ended(_));
        let owes_nothing = account.debts.is_empty() && account.holds.is_empty();
        over && at_rest && owes_nothing && !self.is_cut(driver) && self.is_consistent(driver)
    }

    fn is_at_rest(&self, driver: usize) -> bool {
        self.is_quiet(driver) && self.network[driver] == 0
    }

    /// Whether no plan of this driver is half stored.
    fn is_consistent(&self, driver: usize) -> bool {
        match &self.doing {
            Doing::Nothing => true,
            Doing::Storing { driver: whose, .. } => *whose != driver,
            Doing::Down { left } => !left[driver],
        }
    }

    /// Whether the money of a correction or a ghost charge was moved and its order does not know yet: the charger has no
    /// acknowledgement, sends its record again, and the order hears of it. Likewise a repayment, by its driver.
    fn is_cut(&self, driver: usize) -> bool {
        let Some(order) = self.order(driver) else { return false };
        let no = &order.order_no;
        let corrected = self.is_done(driver, &format!("correct:{no}")) && order.provisional;
        let lost = order.ghost.as_ref().is_none_or(|ghost| ghost.bill.is_none());
        let owed = self.purses[driver].account.debts.get(no).copied().unwrap_or_default();
        let unheard = order.status.is_over() && order.debt_fen != owed;
        corrected || unheard || (self.is_done(driver, &format!("ghost:{no}")) && lost)
    }

    /// What is wrong with one driver's money in this state; nothing, or the search ends here. The drivers' money never
    /// meets, so that the sums of both hold when each one's do.
    pub(crate) fn wrong(&self, driver: usize) -> Vec<String> {
        let purse = &self.purses[driver];
        let orders: Vec<Order> = self.order(driver).cloned().into_iter().collect();
        let facts = Facts { account: &purse.account, entries: &purse.entries, orders: &orders };
        let mut breaches: Vec<Breach> = Vec::new();
        if self.is_consistent(driver) && !self.is_cut(driver) {
            breaches.extend(invariants::check(&facts));
            let payments = purse.ops.iter().filter(|op| op.starts_with("topup:")).count();
            let mut all = Conservation::default();
            all.add(&facts);
            breaches.extend(all.check(Some(Fen(i64::try_from(payments).unwrap() * PAYMENT.0))));
        } else {
            breaches.extend(invariants::i1_postings_make_the_account(&facts));
            breaches.extend(invariants::i4_nothing_is_overdrawn(&facts));
        }
        let breaches = breaches.iter().map(|breach| format!("{}: {}", breach.rule, breach.what));
        let ends = self.ends[driver];
        let twice = (ends > 1).then(|| format!("order {} ended {ends} times", driver + 1));
        breaches.chain(twice).chain(self.acknowledged_too_early(driver)).collect()
    }

    /// A record is acknowledged only when its bill is stored, and a pile starts only for an order whose money is set aside.
    fn acknowledged_too_early(&self, driver: usize) -> Option<String> {
        let acknowledged =
            self.is_under_way(driver, Message::RecordAck) || matches!(self.pile[driver], AtPile::Acknowledged(_));
        let cost = match self.pile[driver] {
            AtPile::Ended(which) | AtPile::Acknowledged(which) => COSTS[which],
            AtPile::Unknown | AtPile::Refused | AtPile::Charging => return None,
        };
        let order = self.order(driver)?;
        let ghost = order.ghost.as_ref().and_then(|ghost| ghost.bill.as_ref());
        let billed = order.bill.as_ref().or(ghost).is_some_and(|bill| bill.total_fen == Fen(cost));
        let early = acknowledged && (!billed || order.provisional);
        early.then(|| format!("the record of order {} is acknowledged, and its bill is not stored", driver + 1))
    }
}
