//! The hub: asks the planners, stores one fact at a time, and sends only what follows from what is stored.

use std::rc::Rc;

use domain::StopReason;
use settlement::{
    order::{Order, OrderStatus, ProvisionalCause, StopBy},
    settle::{self, Planned, StartFailure, Step},
};

use super::{
    AtPile, COSTS, Doing, ESTIMATE, Message, PAYMENT, RULES, World,
    key::{order_key, purse_key},
    order_no, user_id,
};
use crate::support::{bill, facts, new_order, risk_officer, ts};

const NOW: &str = "12:00:00";

impl World {
    pub(super) fn at_hub(&mut self, driver: usize, message: Message) {
        let now = ts(NOW);
        if let Message::Callback | Message::SecondCallback = message {
            return self.credit(driver, if message == Message::Callback { "A" } else { "B" });
        }
        if message == Message::Start {
            return self.start(driver);
        }
        let Some(order) = self.orders[driver].clone() else { return };
        let account = self.purses[driver].account.clone();
        match message {
            Message::Stop => {
                let plan = settle::ask_stop(&order, &account, StopBy::Driver, true, now);
                let command = if order.status == OrderStatus::Charging { vec![Message::StopCommand] } else { vec![] };
                self.begin(driver, plan, command);
            }
            Message::Repay => self.begin(driver, settle::repay(&order, &account, None, "r", now), vec![]),
            Message::Evidence => {
                // A charge nobody may be asked to pay for is stopped.
                let ghost = matches!(order.status, OrderStatus::StartFailed | OrderStatus::Canceled);
                let command = if ghost { vec![Message::StopCommand] } else { vec![] };
                self.begin(driver, settle::evidence(&order, &account, now, None, now), command);
            }
            Message::Rejected => {
                let why = StartFailure::Rejected { code: None };
                self.begin(driver, settle::fail_start(&order, &account, &why, now), vec![]);
            }
            Message::Record => self.record(driver, &order),
            Message::Start
            | Message::Callback
            | Message::SecondCallback
            | Message::StartCommand
            | Message::StopCommand
            | Message::RecordAck => unreachable!(),
        }
    }

    fn start(&mut self, driver: usize) {
        if self.orders[driver].is_some() || !self.gun_is_free() {
            return;
        }
        let new = Order { user_id: user_id(driver), ..new_order(order_no(driver).as_str()) };
        let plan = settle::place(&new, &self.purses[driver].account, &RULES, ts(NOW));
        self.begin(driver, plan, vec![Message::StartCommand]);
    }

    /// The stored answer of an earlier copy is all that a repeated callback gets.
    fn credit(&mut self, driver: usize, payment: &str) {
        let payment_no = format!("{payment}{}", driver + 1);
        if !self.is_done(driver, &format!("topup:{payment_no}")) {
            let change = settle::top_up(&self.purses[driver].account, &payment_no, PAYMENT, ts(NOW)).unwrap();
            let steps = Rc::new(vec![Step::Ledger(Box::new(change))]);
            self.doing = Doing::Storing { steps, next: 0, driver, then: vec![] };
        }
    }

    fn record(&mut self, driver: usize, order: &Order) {
        let (AtPile::Ended(which) | AtPile::Acknowledged(which)) = self.pile[driver] else { return };
        let name =
            if matches!(order.status, OrderStatus::StartFailed | OrderStatus::Canceled) { "ghost" } else { "correct" };
        let done = self.is_done(driver, &format!("{name}:{}", order.order_no));
        let (account, now) = (&self.purses[driver].account, ts(NOW));
        let bill = bill(COSTS[which], 0);
        let plan = settle::record(order, account, &facts(StopReason::Full), &bill, &RULES, done, now);
        self.begin(driver, plan, vec![Message::RecordAck]);
    }

    pub(super) fn start_deadline(&mut self, driver: usize) {
        let (order, account) = (self.orders[driver].clone().unwrap(), self.purses[driver].account.clone());
        let plan = settle::fail_start(&order, &account, &StartFailure::DeadlinePassed, ts(NOW));
        self.begin(driver, plan, vec![]);
    }

    pub(super) fn silence(&mut self, driver: usize) {
        let (order, account) = (self.orders[driver].clone().unwrap(), self.purses[driver].account.clone());
        let cause = ProvisionalCause::Silence;
        let plan = settle::end_provisionally(&order, &account, cause, &bill(ESTIMATE, 0), &RULES, ts(NOW));
        self.begin(driver, plan, vec![]);
    }

    pub(super) fn decide(&mut self, driver: usize, approve: bool) {
        let (order, account) = (self.orders[driver].clone().unwrap(), self.purses[driver].account.clone());
        let decide = if approve { settle::approve } else { settle::reject };
        self.begin(driver, decide(&order, &account, &risk_officer(), ts(NOW)), vec![]);
    }

    /// Nobody is answered and nothing is sent before the last fact is stored. A refusal stores nothing.
    fn begin(&mut self, driver: usize, planned: Planned, then: Vec<Message>) {
        let Ok(plan) = planned else { return };
        // History rows are conditions of nothing: they do not make a state of their own.
        let steps = plan.steps.into_iter().filter(|step| !matches!(step, Step::History(..))).collect();
        self.doing = Doing::Storing { steps: Rc::new(steps), next: 0, driver, then };
        self.rest();
    }

    pub(super) fn store(&mut self) {
        let Doing::Storing { steps, next, driver, .. } = &mut self.doing else { unreachable!() };
        let (step, driver) = (steps[*next].clone(), *driver);
        *next += 1;
        self.write(driver, &step);
        self.rest();
    }

    /// When everything is stored, sends what follows.
    fn rest(&mut self) {
        if let Doing::Storing { steps, next, driver, then } = &self.doing
            && *next == steps.len()
        {
            let (driver, then) = (*driver, then.clone());
            self.doing = Doing::Nothing;
            then.into_iter().for_each(|message| self.send(driver, message));
        }
    }

    fn write(&mut self, driver: usize, step: &Step) {
        if let Step::NewOrder(order) | Step::Order(order) = step {
            self.order_keys[driver] = order_key(order);
        }
        match step {
            Step::NewOrder(order) => {
                assert!(self.orders[driver].is_none(), "an order is new once");
                self.orders[driver] = Some(Rc::new(Order::clone(order)));
            }
            Step::Order(order) => {
                let stored = self.orders[driver].as_ref().unwrap();
                assert_eq!(stored.rev + 1, order.rev, "revisions count by one");
                assert!(order.status.is_over() || !stored.status.is_over(), "an order that is over stays over");
                self.ends[driver] += u8::from(!stored.status.is_over() && order.status.is_over());
                self.orders[driver] = Some(Rc::new(Order::clone(order)));
            }
            Step::History(..) => {}
            Step::Ledger(change) => {
                let purse = Rc::make_mut(&mut self.purses[driver]);
                assert_eq!(change.expect_version, purse.account.version);
                assert!(purse.ops.insert(change.op.clone()), "{} is done twice", change.op);
                purse.entries.extend(change.entries.iter().cloned());
                purse.account = change.next.clone();
                purse.key = purse_key(purse);
            }
        }
    }

    /// What was not stored never was.
    pub(super) fn kill(&mut self) {
        let open = |driver: usize| self.order(driver).is_some_and(|order| !order.status.is_over());
        let left = [open(0), open(1)];
        self.doing = if left == [false; 2] { Doing::Nothing } else { Doing::Down { left } };
    }

    pub(super) fn resume(&mut self, driver: usize) {
        let (order, account) = (self.orders[driver].clone().unwrap(), self.purses[driver].account.clone());
        let plan = settle::resume(&order, &account, &RULES, ts(NOW)).unwrap();
        plan.steps.iter().for_each(|step| self.write(driver, step));
        if let Doing::Down { left } = &mut self.doing {
            left[driver] = false;
            if *left == [false; 2] {
                self.doing = Doing::Nothing;
            }
        }
    }
}
