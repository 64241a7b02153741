//! What a store would hold of several drivers, with the promises of its port: each fact whole, on its condition, in order.

use std::collections::BTreeMap;

use domain::{Fen, OrderNo, UserId};
use settlement::{
    invariants::{self, Breach, Conservation, Facts},
    ledger::{AccountState, Entry, LedgerChange, OpResult},
    order::Order,
    settle::Step,
};

/// Why a fact is not taken; nothing of it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Conflict {
    OrderExists,
    OrderRev,
    /// With what the operation did.
    OpDone(OpResult),
    AccountVersion,
}

/// The stored facts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Books {
    pub(crate) accounts: BTreeMap<UserId, AccountState>,
    pub(crate) entries: BTreeMap<UserId, Vec<Entry>>,
    pub(crate) ops: BTreeMap<(UserId, String), OpResult>,
    pub(crate) orders: BTreeMap<OrderNo, Order>,
    /// How often an order went from not over to over.
    pub(crate) ends: BTreeMap<OrderNo, u32>,
}

impl Books {
    pub(crate) fn account(&self, user: &UserId) -> AccountState {
        self.accounts.get(user).cloned().unwrap_or_else(|| AccountState::new(user.clone()))
    }

    pub(crate) fn is_done(&self, user: &UserId, op: &str) -> bool {
        self.ops.contains_key(&(user.clone(), op.to_owned()))
    }

    /// Stores one fact on its condition.
    pub(crate) fn write(&mut self, step: &Step) -> Result<(), Conflict> {
        match step {
            Step::NewOrder(order) => {
                if self.orders.contains_key(&order.order_no) {
                    return Err(Conflict::OrderExists);
                }
                self.orders.insert(order.order_no.clone(), Order::clone(order));
            }
            Step::Order(order) => {
                let Some(stored) = self.orders.get_mut(&order.order_no) else { return Err(Conflict::OrderRev) };
                if stored.rev + 1 != order.rev {
                    return Err(Conflict::OrderRev);
                }
                assert!(order.status.is_over() || !stored.status.is_over(), "{order:?} came back to life");
                let ended = !stored.status.is_over() && order.status.is_over();
                *self.ends.entry(order.order_no.clone()).or_default() += u32::from(ended);
                *stored = Order::clone(order);
            }
            Step::History(..) => {}
            Step::Ledger(change) => self.ledger(change)?,
        }
        Ok(())
    }

    pub(crate) fn ledger(&mut self, change: &LedgerChange) -> Result<(), Conflict> {
        let user = change.next.user_id.clone();
        let account = self.account(&user);
        let op = (user.clone(), change.op.clone());
        if let Some(result) = self.ops.get(&op) {
            return Err(Conflict::OpDone(*result));
        }
        if change.expect_version != account.version {
            return Err(Conflict::AccountVersion);
        }
        assert_eq!(change.next.version, account.version + 1);
        let entries = self.entries.entry(user.clone()).or_default();
        for (entry, seq) in change.entries.iter().zip(account.entry_seq + 1..) {
            assert_eq!(
                (entry.seq, &entry.op, &entry.user_id),
                (seq, &change.op, &user),
                "only the next line is written"
            );
            entries.push(entry.clone());
        }
        self.ops.insert(op, change.result);
        self.accounts.insert(user, change.next.clone());
        Ok(())
    }

    fn facts_of<'a>(&'a self, account: &'a AccountState, orders: &'a [Order]) -> Facts<'a> {
        let entries = self.entries.get(&account.user_id).map_or(&[][..], Vec::as_slice);
        Facts { account, entries, orders }
    }

    fn orders_of(&self, user: &UserId) -> Vec<Order> {
        self.orders.values().filter(|order| order.user_id == *user).cloned().collect()
    }

    /// The rules of one account: all of them, or only those about entries and sums while a plan is half stored.
    pub(crate) fn breaches_of(&self, user: &UserId, whole: bool) -> Vec<Breach> {
        let (account, orders) = (self.account(user), self.orders_of(user));
        let facts = self.facts_of(&account, &orders);
        if whole {
            invariants::check(&facts)
        } else {
            let rules = [invariants::i1_postings_make_the_account, invariants::i4_nothing_is_overdrawn];
            rules.into_iter().flat_map(|rule| rule(&facts)).collect()
        }
    }

    /// I7 over all accounts.
    pub(crate) fn conservation(&self, channel_in: i128) -> Vec<Breach> {
        let mut all = Conservation::default();
        for (user, account) in &self.accounts {
            all.add(&self.facts_of(account, &self.orders_of(user)));
        }
        all.check(Some(Fen(i64::try_from(channel_in).unwrap())))
    }
}
