//! Random commits against an independent model: a few maps that say what must be there.

use std::{collections::BTreeMap, sync::Arc};

use domain::{Fen, OrderNo, UserId};
use settlement::{
    ledger::AccountState,
    order::{Order, OrderStatus},
};

use super::{
    Engine, Store,
    facts::{account, change_order, changed, commit, ledger, new_order, order_no, order_of, top_up, user},
    random::Random,
};
use crate::money::{Commit, CommitOutcome, Conflict, Money, OrderFilter};

const USERS: u64 = 4;
const ORDERS: u64 = 12;
const STEPS: usize = 400;

#[derive(Default)]
struct Model {
    orders: BTreeMap<OrderNo, Order>,
    accounts: BTreeMap<UserId, AccountState>,
    ops: BTreeMap<(UserId, String), String>,
}

impl Model {
    fn account(&self, user: &UserId) -> AccountState {
        self.accounts.get(user).cloned().unwrap_or_else(|| account(user.as_str()))
    }

    /// A random commit, right or wrong, with what must become of it; a right one is applied to the model.
    fn step(&mut self, random: &mut Random) -> (Commit, CommitOutcome) {
        let no = order_no(&format!("{}", 1000 + random.below(ORDERS)));
        let who = user(&format!("u{}", random.below(USERS)));
        let mut base = self.account(&who);
        let op = format!("op {}", random.below(40));
        let stale = random.one_in(5);
        if stale {
            base.version += 1;
        }
        let mut write = top_up(&base, &op, 1 + random.below(100) as i64);
        if random.one_in(2) {
            write.next.holds.insert(no.clone(), Fen(1 + random.below(50) as i64));
        } else {
            write.next.holds.pop_first();
        }
        let (order, order_write, order_conflict) = match self.orders.get(&no) {
            Some(stored) if random.one_in(4) => {
                (stored.clone(), new_order(stored), Some(Conflict::OrderExists(no.clone())))
            }
            Some(stored) => {
                let status = if random.one_in(3) { OrderStatus::Closed } else { OrderStatus::Charging };
                let mut next = changed(stored, status);
                let skipped = random.one_in(5);
                next.rev += i64::from(skipped);
                (next.clone(), change_order(&next), skipped.then(|| Conflict::OrderRev(no.clone())))
            }
            None => {
                let order = order_of(no.as_str(), who.as_str(), "P1", random.below(1000) as i64);
                (order.clone(), new_order(&order), None)
            }
        };
        let done = self.ops.get(&(who.clone(), op.clone()));
        let conflict = order_conflict
            .or_else(|| done.map(|result| Conflict::OpDone { op: op.clone(), result: result.clone() }))
            .or_else(|| stale.then(|| Conflict::AccountVersion(who.clone())));
        let writes = commit([order_write, ledger(&write)]);
        if let Some(conflict) = conflict {
            return (writes, CommitOutcome::Conflict(conflict));
        }
        self.orders.insert(no, order);
        self.ops.insert((who.clone(), op), write.result.clone());
        self.accounts.insert(who, write.next);
        (writes, CommitOutcome::Applied)
    }

    async fn compare(&self, money: &Arc<dyn Money>) {
        for (no, order) in &self.orders {
            assert_eq!(money.order(no).await.unwrap().as_ref(), Some(order));
        }
        for (who, state) in &self.accounts {
            assert_eq!(money.account(who).await.unwrap().as_ref(), Some(state));
            let entries = money.entries(who, None, 500).await.unwrap().items;
            assert_eq!(entries.len() as i64, state.entry_seq);
            assert_eq!(entries.iter().map(|entry| entry.amount.0).sum::<i64>(), state.available.0);
        }
        for ((who, op), result) in &self.ops {
            assert_eq!(money.op_result(who, op).await.unwrap().as_ref(), Some(result));
        }
        let open = self.orders.values().filter(|order| !order.status.is_over()).count();
        assert_eq!(money.open_orders().await.unwrap().len(), open);
        let listed = money.orders(&OrderFilter::default(), None, 500).await.unwrap().items;
        assert_eq!(listed.len(), self.orders.len());
    }
}

/// Right and wrong commits in any order, some at once.
pub async fn random_operations_agree_with_a_model_and_survive_reopening(engine: &dyn Engine) {
    let mut random = Random::from_environment("random_operations_agree_with_a_model_and_survive_reopening");
    let mut model = Model::default();
    let mut store = Store::open(engine).await;
    let mut step = 0;
    while step < STEPS {
        // A run of commits sent without waiting: they share groups, in their order.
        let mut sent = Vec::new();
        for _ in 0..=random.below(20) {
            let (writes, expected) = model.step(&mut random);
            let money = Arc::clone(&store.money);
            let answer = tokio::spawn(async move { money.commit(writes).await });
            tokio::task::yield_now().await;
            sent.push((step, answer, expected));
            step += 1;
        }
        for (step, answer, expected) in sent {
            assert_eq!(answer.await.unwrap(), expected, "step {step}");
        }
        if random.one_in(6) {
            store = store.reopen(engine).await;
            model.compare(&store.money).await;
        }
    }
    model.compare(&store.reopen(engine).await.money).await;
}
