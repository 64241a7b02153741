//! What the tests of the embedded engine share.
#![allow(dead_code, reason = "each test binary uses its own part of it")]

use std::{path::Path, sync::Arc, time::Duration};

use domain::{AckToken, ConnectorId, Fen, OrderNo, PileCode, PileNo, StationId, Timestamp, UserId, WattHours};
use parking_lot::Mutex;
use settlement::{
    ledger::{AccountState, BookAccount, Entry, EntryKind},
    order::{HistoryRow, NewOrder, Order, OrderLimit, OrderStatus, Outcome, PayMode},
};
use store::{
    money::{Commit, LedgerWrite, OnceRow, Write},
    sqlite::{self, Options, SqliteStore},
    telemetry::{Append, Sample, SampleKind},
};

pub(crate) const START: i64 = 1_763_690_000_000;

pub(crate) fn at(n: i64) -> Timestamp {
    Timestamp::from_millis_clamped(START + n)
}

pub(crate) fn user(task: usize) -> UserId {
    UserId::parse(&format!("u{task}")).unwrap()
}

pub(crate) fn order_no(task: usize, n: i64) -> OrderNo {
    OrderNo::parse(&format!("{}{n:010}", task + 1)).unwrap()
}

pub(crate) fn new_order(task: usize, n: i64) -> Order {
    Order::new(NewOrder {
        order_no: order_no(task, n),
        user_id: user(task),
        pile_code: PileCode::parse(&format!("P{task}")).unwrap(),
        pile_no: PileNo(1),
        station_id: StationId::parse("S1").unwrap(),
        connector_id: ConnectorId(1),
        limit: OrderLimit::default(),
        pay_mode: PayMode::Freeze,
        tariff_id: "T1".to_owned(),
        tariff_version: 1,
        created_at: at(n),
    })
}

pub(crate) fn op(n: i64) -> String {
    format!("hold:{n}")
}

/// The n-th commit of an account: a new order and its change, history, a ledger operation and a key, all for one.
pub(crate) fn nth_commit(task: usize, account: &AccountState) -> (Commit, AccountState) {
    let n = account.version + 1;
    let order = new_order(task, n);
    let mut closed = order.clone();
    closed.status = if n % 5 == 0 { OrderStatus::Charging } else { OrderStatus::Closed };
    closed.rev += 1;
    let mut next = account.clone();
    next.version = n;
    next.entry_seq += 1;
    next.available = Fen(account.available.0 + n);
    next.holds.clear();
    next.holds.insert(order.order_no.clone(), Fen(n));
    next.frozen = Fen(n);
    let entry = Entry {
        user_id: user(task),
        seq: next.entry_seq,
        op: op(n),
        debit: BookAccount::Channel,
        credit: BookAccount::DriverAvailable,
        amount: Fen(n),
        order_no: Some(order.order_no.clone()),
        kind: EntryKind::TopUp,
        at: at(n),
    };
    let ledger = LedgerWrite {
        op: op(n),
        expect_version: account.version,
        next: next.clone(),
        entries: vec![entry],
        result: n.to_string(),
    };
    let history = HistoryRow {
        at: at(n),
        from: OrderStatus::Placed,
        to: closed.status,
        event: "TEST".to_owned(),
        outcome: Outcome::Applied,
    };
    let once = OnceRow {
        caller: user(task),
        path: "POST /orders".to_owned(),
        key: n.to_string(),
        fingerprint: [1; 32],
        status: 201,
        body: "{}".to_owned(),
        at: at(n),
    };
    let writes = vec![
        Write::NewOrder(Box::new(order.clone())),
        Write::Ledger(Box::new(ledger)),
        Write::History(order.order_no.clone(), vec![history]),
        Write::Once(Box::new(once)),
        Write::Order(Box::new(closed)),
    ];
    (Commit { writes }, next)
}

/// Whether the n-th commit of an account is there: all of it, or panics because it is there in part.
pub(crate) async fn is_there(money: &dyn store::money::Money, task: usize, n: i64) -> bool {
    let no = order_no(task, n);
    let parts = [
        money.order(&no).await.unwrap().is_some_and(|order| order.rev == 2),
        money.history(&no).await.unwrap().len() == 1,
        money.op_result(&user(task), &op(n)).await.unwrap().is_some(),
        money.once(&user(task), "POST /orders", &n.to_string()).await.unwrap().is_some(),
        money.account(&user(task)).await.unwrap().is_some_and(|account| account.version >= n && account.entry_seq >= n),
    ];
    assert!(parts.iter().all(|there| *there == parts[0]), "commit {n} of account {task} is there in part: {parts:?}");
    parts[0]
}

pub(crate) async fn account(money: &dyn store::money::Money, task: usize) -> AccountState {
    money.account(&user(task)).await.unwrap().unwrap_or_else(|| AccountState::new(user(task)))
}

/// The n-th status frame of a pile's order.
pub(crate) fn reading(pile: u32, n: u32) -> Append {
    Append::Sample(Sample {
        pile_no: PileNo(pile),
        connector: ConnectorId(1),
        received: at(i64::from(n) * 100),
        device: at(i64::from(n) * 100 - 30),
        kind: SampleKind::Charging {
            order_no: order_no(pile as usize, 1),
            seq: n,
            energy: WattHours(i64::from(n) * 7),
            total_time_s: None,
            soc: None,
        },
        voltage: None,
        current: None,
        power: None,
    })
}

pub(crate) fn token(n: u32) -> AckToken {
    AckToken { conn: 0, epoch: 0, n }
}

/// Options whose listener keeps all tokens.
pub(crate) fn options() -> (Options, Arc<Mutex<Vec<AckToken>>>) {
    let stored = Arc::new(Mutex::new(Vec::new()));
    let tokens = Arc::clone(&stored);
    let mut options = Options::new(Box::new(move |new| tokens.lock().append(new)));
    options.probe_interval = Duration::from_millis(20);
    (options, stored)
}

pub(crate) fn open(dir: &Path) -> SqliteStore {
    sqlite::open(dir, options().0).unwrap()
}

/// Yields until the condition holds; half a minute is a failure.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), met).await.unwrap_or_else(|_| panic!("never: {what}"));
}
