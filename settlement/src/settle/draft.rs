//! A plan while it is being made.

use domain::{Fen, Timestamp};

use super::{Plan, SettleError, Step};
use crate::{
    ledger::{self, AccountState, LedgerError, LedgerOp, OpResult},
    order::{Order, OrderEvent, Outcome},
};

/// A plan while it is being made: order and account as they are after the steps so far.
#[derive(Debug)]
pub(super) struct Draft {
    steps: Vec<Step>,
    pub(super) order: Order,
    pub(super) account: AccountState,
}

impl Draft {
    pub(super) fn new(order: &Order, account: &AccountState) -> Result<Self, SettleError> {
        if order.user_id != account.user_id {
            return Err(SettleError::WrongAccount {
                order_no: order.order_no.clone(),
                user_id: account.user_id.clone(),
            });
        }
        Ok(Self { steps: Vec::new(), order: order.clone(), account: account.clone() })
    }

    /// Plans the order as it stands as a new one.
    pub(super) fn new_order(&mut self) {
        self.steps.push(Step::NewOrder(Box::new(self.order.clone())));
    }

    /// Tells the order; plans the changed order and its history row.
    pub(super) fn event(&mut self, event: &OrderEvent, now: Timestamp) -> Outcome {
        let row = self.order.apply(event, now);
        let outcome = row.outcome;
        if outcome == Outcome::Applied {
            self.steps.push(Step::Order(Box::new(self.order.clone())));
        }
        self.steps.push(Step::History(self.order.order_no.clone(), vec![row]));
        outcome
    }

    /// Moves money.
    pub(super) fn ledger(&mut self, op: &LedgerOp, now: Timestamp) -> Result<OpResult, LedgerError> {
        let change = ledger::apply(&self.account, op, now)?;
        let result = change.result;
        self.account = change.next.clone();
        self.steps.push(Step::Ledger(Box::new(change)));
        Ok(result)
    }

    /// Gives the hold back, if there still is one.
    pub(super) fn void(&mut self, now: Timestamp) -> Result<(), LedgerError> {
        if self.hold().is_some() {
            self.ledger(&LedgerOp::Void { order_no: self.order.order_no.clone() }, now)?;
        }
        Ok(())
    }

    /// What is set aside for the order.
    pub(super) fn hold(&self) -> Option<Fen> {
        self.account.holds.get(&self.order.order_no).copied()
    }

    /// What is owed for the order, by the account.
    pub(super) fn debt(&self) -> Fen {
        self.account.debts.get(&self.order.order_no).copied().unwrap_or_default()
    }

    /// Whether nothing is planned so far.
    pub(super) const fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    pub(super) fn plan(self, outcome: Outcome) -> Plan {
        Plan { steps: self.steps, order: self.order, account: self.account, outcome }
    }
}
