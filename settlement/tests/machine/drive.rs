//! Plans on both sides, and lands the facts of both in step.

use domain::{Fen, OrderNo, StopReason, UserId};
use settlement::{
    ledger::{self, LedgerChange, LedgerOp, SUSPENSE_ACCOUNT},
    order::{Order, OrderLimit, OrderStatus, PayMode, ProvisionalCause, StopBy},
    settle::{self, MoneyRules, Plan, SettleError, StartFailure},
};

use super::{
    Machine, SUSPECT,
    steps::{Lands, Step},
};
use crate::{
    model::{Act, Case, Clash, Effect, Mode, Move, Phase, Seen, Sum},
    support::{RULES, bill, books::Conflict, facts, new_order, no, risk_officer, ts},
};

const NOW: &str = "12:00:00";
const DRIVERS: u8 = 2;

/// A commit that has not landed yet, and may.
#[derive(Debug, Clone)]
pub(super) struct Late {
    user: String,
    order: String,
    pairs: Vec<(settle::Step, Effect)>,
    seen: Seen,
}

fn fen(sum: Sum) -> Fen {
    Fen(i64::try_from(sum).unwrap())
}

fn user(driver: u8) -> String {
    format!("driver{}", driver % DRIVERS + 1)
}

/// The n-th of what there is.
fn nth<T: Clone>(all: impl Iterator<Item = T>, n: u8) -> Option<T> {
    let all: Vec<T> = all.collect();
    (!all.is_empty()).then(|| all[usize::from(n) % all.len()].clone())
}

impl Machine {
    pub(crate) fn step(&mut self, step: &Step) {
        match step {
            Step::Place { driver, limit, mode, lands } => {
                self.placed += 1;
                let act = Act::Place { user: user(*driver), limit: *limit, mode: *mode };
                self.ask(&self.placed.to_string(), &act, *lands);
            }
            Step::Order { order, act, lands } => {
                if let Some(order) = self.order(*order) {
                    self.ask(&order, act, *lands);
                }
            }
            Step::TopUp { driver, amount, repeat } => {
                let name = self.name(*repeat);
                let op = LedgerOp::TopUp { payment_no: name.clone(), amount: fen(*amount) };
                self.move_money(&user(*driver), format!("topup:{name}"), &op, Move::TopUp(*amount));
            }
            Step::Withdraw { driver, amount, repeat } => {
                let refund_no = self.name(*repeat);
                let op = LedgerOp::Withdraw { refund_no: refund_no.clone(), amount: fen(*amount) };
                self.move_money(
                    &user(*driver),
                    format!("withdraw:{refund_no}"),
                    &op,
                    Move::Withdraw(refund_no, *amount),
                );
            }
            Step::Withdrawn { driver, which, back } => {
                let user = user(*driver);
                let refund_no = nth(self.model.purse(&user).transit.into_keys(), *which).unwrap_or_default();
                if *back {
                    let op = LedgerOp::WithdrawBack { refund_no: refund_no.clone() };
                    self.move_money(&user, format!("withdraw-back:{refund_no}"), &op, Move::WithdrawBack(refund_no));
                } else {
                    let op = LedgerOp::Withdrawn { refund_no: refund_no.clone() };
                    self.move_money(&user, format!("withdrawn:{refund_no}"), &op, Move::Withdrawn(refund_no));
                }
            }
            Step::Suspend { amount, repeat } => {
                let item = self.name(*repeat);
                let op = LedgerOp::Suspend { item: item.clone(), amount: fen(*amount) };
                self.move_money(SUSPENSE_ACCOUNT, format!("suspend:{item}"), &op, Move::Suspend(item, *amount));
            }
            Step::Resolve { which, back } => {
                let item = nth(self.model.purse(SUSPENSE_ACCOUNT).suspense.into_keys(), *which).unwrap_or_default();
                if *back {
                    let op = LedgerOp::SendBack { item: item.clone() };
                    self.move_money(SUSPENSE_ACCOUNT, format!("send-back:{item}"), &op, Move::SendBack(item));
                } else {
                    let op = LedgerOp::Claim { item: item.clone() };
                    self.move_money(SUSPENSE_ACCOUNT, format!("claim:{item}"), &op, Move::Claim(item));
                }
            }
            Step::Receive { which } => {
                if let Some((item, amount)) = nth(self.model.claimed.clone().into_iter(), *which) {
                    let op = LedgerOp::Receive { item: item.clone(), amount: fen(amount) };
                    self.move_money(&user(*which), format!("receive:{item}"), &op, Move::Receive(item, amount));
                }
            }
            Step::Late { which, at } => self.land_late(usize::from(*which), usize::from(*at)),
            Step::Restart => self.restart(),
        }
    }

    /// Everything is brought to rest: a restart, and every cut-off correction sent again by its charger.
    pub(crate) fn finish(&mut self) {
        self.restart();
        for order in self.orders() {
            if !self.model.is_whole(&order) && self.model.orders[&order].phase.is_over() {
                self.ask(&order, &Act::Record([0; 3]), Lands::All);
            }
            let case = &self.model.orders[&order];
            assert!(self.model.is_whole(&order), "order {order} cannot be finished: {case:?}");
        }
        self.compare();
    }

    fn orders(&self) -> Vec<String> {
        self.model.orders.keys().cloned().collect()
    }

    /// Mostly the latest: a life gets further when it stays with its orders for a while.
    fn order(&self, number: u8) -> Option<String> {
        let latest = self.placed.to_string();
        if !number.is_multiple_of(3) && self.model.orders.contains_key(&latest) {
            return Some(latest);
        }
        let orders = self.orders();
        (!orders.is_empty()).then(|| orders[usize::from(number) % orders.len()].clone())
    }

    /// A new name, or one that was used before.
    fn name(&mut self, repeat: bool) -> String {
        self.names += u32::from(!repeat || self.names == 0);
        format!("N{}", self.names)
    }

    /// Plans on both sides; they must agree on every fact, and on refusing.
    fn plan(&mut self, order: &str, act: &Act) -> Option<Late> {
        let user = match act {
            Act::Place { user, .. } => user.clone(),
            _ => self.model.orders[order].user.clone(),
        };
        let seen = self.model.seen(&user, order);
        let expected = self.model.plan(order, act);
        let effects = match (self.plan_with_crate(&user, order, act), expected) {
            (Err(_), Err(_)) => return None,
            (Ok(plan), Ok(effects)) => {
                let facts: Vec<settle::Step> =
                    plan.steps.into_iter().filter(|step| !matches!(step, settle::Step::History(..))).collect();
                let kinds: Vec<String> = facts.iter().map(kind).collect();
                let wanted: Vec<String> = effects.iter().map(Effect::kind).collect();
                assert_eq!(kinds, wanted, "the facts of {act:?} of order {order}");
                facts.into_iter().zip(effects).collect()
            }
            (Ok(plan), Err(why)) => panic!("{act:?} of order {order} must be refused: {why}\n{plan:#?}"),
            (Err(error), Ok(effects)) => panic!("{act:?} of order {order} was refused: {error}\n{effects:?}"),
        };
        Some(Late { user, order: order.to_owned(), pairs: effects, seen })
    }

    fn plan_with_crate(&self, user: &str, order: &str, act: &Act) -> Result<Plan, SettleError> {
        let user = UserId::parse(user).unwrap();
        let (account, now) = (self.books.account(&user), ts(NOW));
        if let Act::Place { limit, mode, .. } = act {
            let limit = OrderLimit { amount_fen: limit.map(fen), ..OrderLimit::default() };
            let pay_mode = match mode {
                Mode::Freeze => PayMode::Freeze,
                Mode::Prepaid => PayMode::Prepaid,
                Mode::Postpaid => PayMode::Postpaid,
            };
            return settle::place(&Order { user_id: user, limit, pay_mode, ..new_order(order) }, &account, &RULES, now);
        }
        let order = &self.books.orders[&no(order)];
        let rules = |fees: Option<[Sum; 3]>| {
            let suspect = fees.is_some_and(|fees| fees[0] == SUSPECT).then(|| "meter".to_owned());
            MoneyRules { suspect, ..RULES }
        };
        let bill = |fees: &[Sum; 3]| bill(fen(fees[0]).0, fen(fees[1]).0);
        match act {
            Act::Place { .. } => unreachable!(),
            Act::Evidence => settle::evidence(order, &account, now, None, now),
            Act::StartFails => settle::fail_start(order, &account, &StartFailure::DeadlinePassed, now),
            Act::Stop { online } => settle::ask_stop(order, &account, StopBy::Driver, *online, now),
            Act::StopTaken => settle::stop_accepted(order, &account, now),
            Act::StopUnanswered => settle::stop_unanswered(order, &account, now),
            Act::Fault => settle::fault(order, &account, None, now),
            Act::Record(fees) => {
                let done = self.is_done(order, &user);
                settle::record(order, &account, &facts(StopReason::Full), &bill(fees), &rules(Some(*fees)), done, now)
            }
            Act::EndSilently(fees) => {
                let cause = ProvisionalCause::Silence;
                settle::end_provisionally(order, &account, cause, &bill(fees), &rules(Some(*fees)), now)
            }
            Act::Approve => settle::approve(order, &account, &risk_officer(), now),
            Act::Reject => settle::reject(order, &account, &risk_officer(), now),
            Act::Repay { amount, request } => settle::repay(order, &account, amount.map(fen), request, now),
            Act::Refund { id, amount } => {
                let done = self.books.is_done(&user, &format!("refund:{id}"));
                settle::refund(order, &account, id, fen(*amount), done, now)
            }
            Act::WriteOff { id, amount } => {
                let done = self.books.is_done(&user, &format!("writeoff:{id}"));
                settle::write_off(order, &account, id, fen(*amount), done, now)
            }
            Act::Resume => settle::resume(order, &account, &rules(self.bill_of(order)), now),
        }
    }

    fn bill_of(&self, order: &Order) -> Option<[Sum; 3]> {
        self.model.orders[order.order_no.as_str()].bill
    }

    /// What the store says of the operation that leaves no trace in the account.
    fn is_done(&self, order: &Order, user: &UserId) -> bool {
        let name = match order.status {
            OrderStatus::StartFailed | OrderStatus::Canceled => "ghost",
            _ => "correct",
        };
        self.books.is_done(user, &format!("{name}:{}", order.order_no))
    }

    fn ask(&mut self, order: &str, act: &Act, lands: Lands) {
        let cut = self.records.get(order).copied().filter(|_| !self.model.is_whole(order));
        let act = match (cut, act) {
            (Some(fees), Act::Record(_)) => &Act::Record(fees),
            // Two persons take longer than a charger that has no acknowledgement: it has sent its record again by then.
            (Some(fees), Act::Refund { .. }) => {
                self.ask(order, &Act::Record(fees), Lands::All);
                act
            }
            _ => act,
        };
        let Some(plan) = self.plan(order, act) else { return };
        self.note_corrected(order, act, &plan);
        match lands {
            Lands::All => {
                let all = plan.pairs.len();
                self.land_now(act, &plan, all);
            }
            Lands::Cut { at, again } => {
                let at = usize::from(at) % (plan.pairs.len() + 1);
                self.cut += u64::from(at < plan.pairs.len());
                self.land_now(act, &plan, at);
                if again && self.model.orders.contains_key(order) && !matches!(act, Act::Place { .. }) {
                    self.ask_again(order, act);
                }
            }
            Lands::Late => self.late.push(plan),
        }
    }

    fn note_corrected(&mut self, order: &str, act: &Act, plan: &Late) {
        let repaid = self.model.orders.get(order).is_some_and(|case| case.told.paid > 0 && case.provisional);
        if repaid && matches!(act, Act::Record(_)) && plan.pairs.len() > 1 {
            self.saw("correction after repayment");
        }
    }

    /// The caller does not know what landed: it resumes, or asks the same once more, and the store refuses what is done.
    fn ask_again(&mut self, order: &str, act: &Act) {
        self.resume(order);
        if let Some(plan) = self.plan(order, act) {
            let all = plan.pairs.len();
            self.land_now(act, &plan, all);
        }
    }

    /// A plan of this moment lands, unless it is the repayment of a name that was used before.
    fn land_now(&mut self, act: &Act, plan: &Late, at: usize) {
        match (self.land(plan, at), act) {
            (Ok(()), _) => {}
            (Err(Conflict::OpDone(_)), Act::Repay { .. }) => self.saw("repeat refused"),
            (Err(conflict), _) => panic!("{act:?}: {conflict:?}"),
        }
    }

    /// When nothing moved on since, a prefix of it may land as of any other commit. Else it was thought lost, and lands
    /// whole or not at all: an engine that keeps prefixes promises that what was not there when its caller read back
    /// never comes.
    fn land_late(&mut self, which: usize, at: usize) {
        if self.late.is_empty() {
            return;
        }
        let plan = self.late.swap_remove(which % self.late.len());
        let is_stale = self.model.seen(&plan.user, &plan.order) != plan.seen;
        let is_cut = |(order, case): (&String, &Case)| case.user == plan.user && !self.model.is_whole(order);
        if is_stale && self.model.orders.iter().any(is_cut) {
            return;
        }
        let at = if is_stale { plan.pairs.len() } else { at % (plan.pairs.len() + 1) };
        let before = (self.model.clone(), self.books.clone());
        let landed = self.land(&plan, at);
        if landed.is_err() {
            (self.model, self.books) = before;
        }
        self.saw(if landed.is_ok() { "late plan landed" } else { "late plan refused" });
    }

    fn restart(&mut self) {
        self.orders().iter().for_each(|order| self.resume(order));
    }

    fn resume(&mut self, order: &str) {
        if let Some(plan) = self.plan(order, &Act::Resume) {
            let all = plan.pairs.len();
            assert_eq!(self.land(&plan, all), Ok(()));
            if all > 0 {
                self.saw("resume finished");
            }
        }
        let again = self.plan(order, &Act::Resume);
        assert!(again.is_none_or(|plan| plan.pairs.is_empty()), "resuming twice is resuming once: order {order}");
    }

    /// Lands the first `at` facts on both sides, which must agree on each; stops at the first that is refused.
    fn land(&mut self, plan: &Late, at: usize) -> Result<(), Conflict> {
        let mut seen = plan.seen;
        for (fact, effect) in plan.pairs.iter().take(at) {
            let before = self.books.entries.clone();
            let stored = self.books.write(fact);
            let expected = self.model.land(&plan.user, &plan.order, effect, &mut seen);
            assert_eq!(stored.as_ref().map_err(clash), expected.as_ref().map_err(|c| *c), "{effect:?} of {plan:?}");
            self.no_entry_was_touched(&before);
            if let Err(conflict) = stored {
                self.conflicts += 1;
                return Err(conflict);
            }
            self.facts += 1;
            if let (Effect::Money(..), Some((_, Effect::Corrected(fees) | Effect::GhostSettled(fees)))) =
                (effect, plan.pairs.last())
            {
                self.records.insert(plan.order.clone(), *fees);
            }
            self.note(&plan.order, effect);
            self.compare();
        }
        Ok(())
    }

    fn note(&mut self, order: &str, effect: &Effect) {
        let case = &self.model.orders.get(order);
        let what = match effect {
            Effect::Money(_, Move::Correct(fees)) if fees.iter().sum::<Sum>() > 0 => "correction up",
            Effect::Money(_, Move::Correct(_)) => "correction down",
            Effect::Money(_, Move::Ghost(_)) => "ghost",
            Effect::Money(_, Move::Repay(_)) => "repaid",
            Effect::Money(_, Move::Capture(..)) if case.is_some_and(|case| case.money.debt > 0) => "debt",
            Effect::Money(_, Move::Refund(_)) => "refund",
            Effect::Money(_, Move::WriteOff(_)) => "write-off",
            Effect::Money(_, Move::Withdrawn(_)) => "withdrawn",
            Effect::Money(_, Move::WithdrawBack(_)) => "withdrawn back",
            Effect::Money(_, Move::Receive(..)) => "received",
            Effect::Money(_, Move::SendBack(_)) => "sent back",
            Effect::Money(_, Move::Capture(_, Mode::Prepaid)) => "prepaid",
            Effect::Money(_, Move::Capture(_, Mode::Postpaid)) => "postpaid",
            Effect::Closed => "Taken",
            Effect::Rejected => "Rejected",
            Effect::Never => "Never",
            Effect::Held => "Held",
            _ => return,
        };
        self.saw(what);
    }

    /// A movement of money that no order is told of.
    /// Its name is the caller's: what is named otherwise could be done twice.
    fn move_money(&mut self, user: &str, name: String, op: &LedgerOp, movement: Move) {
        let account = self.books.account(&UserId::parse(user).unwrap());
        let allowed = self.model.allows(user, &movement);
        let change: LedgerChange = match ledger::apply(&account, op, ts(NOW)) {
            Ok(change) => change,
            Err(error) => return assert!(!allowed, "{op:?} was refused: {error}"),
        };
        assert!(allowed, "{op:?} must be refused");
        assert_eq!(change.op, name);
        let seen = self.model.seen(user, "");
        let pairs = vec![(settle::Step::Ledger(Box::new(change)), Effect::Money(name, movement))];
        let plan = Late { user: user.to_owned(), order: String::new(), pairs, seen };
        match self.land(&plan, 1) {
            Ok(()) => {}
            Err(Conflict::OpDone(_)) => self.saw("repeat refused"),
            Err(conflict) => panic!("{op:?}: {conflict:?}"),
        }
    }

    /// Where the model's order is, for the crate's.
    pub(super) fn status_fits(phase: Phase, order: &Order) -> bool {
        use OrderStatus as S;
        match phase {
            Phase::Placed => order.status == S::Placed,
            Phase::Starting => order.status == S::Starting,
            Phase::Charging => order.status == S::Charging,
            Phase::Stopping => order.status == S::Stopping,
            Phase::Settling => order.status == S::Settling,
            Phase::Held => order.status == S::Held,
            Phase::Taken => matches!(order.status, S::Closed | S::ExceptionClosed),
            Phase::Rejected => order.status == S::ExceptionClosed,
            Phase::Never => matches!(order.status, S::StartFailed | S::Canceled),
        }
    }

    pub(super) fn number(order: &str) -> OrderNo {
        no(order)
    }
}

fn kind(step: &settle::Step) -> String {
    match step {
        settle::Step::NewOrder(_) => "new order".to_owned(),
        settle::Step::Order(_) => "order".to_owned(),
        settle::Step::Ledger(change) => change.op.clone(),
        settle::Step::History(..) => "history".to_owned(),
    }
}

fn clash(conflict: &Conflict) -> Clash {
    match conflict {
        Conflict::OrderExists => Clash::Exists,
        Conflict::OrderRev => Clash::Order,
        Conflict::OpDone(_) => Clash::Done,
        Conflict::AccountVersion => Clash::Account,
    }
}
