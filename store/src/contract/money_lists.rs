//! What is kept in order, listed by pages, or kept once.

use domain::{OrderNo, PileNo};
use settlement::order::{Order, OrderStatus};

use super::{
    Engine, Store,
    facts::{
        alarm, audit, change_order, changed, command, commit, event, history, new_order, order, order_no, order_of,
        station, user,
    },
};
use crate::{
    money::{AlarmState, CommandState, CommitOutcome, Money, OrderFilter, StoreError, Write},
    registry::PileState,
};

/// Also across commits.
pub async fn history_keeps_its_order_and_repeats_add_nothing(engine: &dyn Engine) {
    let Store { money, .. } = &Store::open(engine).await;
    let write = |rows: &[i64]| commit([Write::History(order_no("1001"), rows.iter().copied().map(history).collect())]);
    for rows in [[0, 1], [2, 1], [0, 3]] {
        assert_eq!(money.commit(write(&rows)).await, CommitOutcome::Applied);
    }
    assert_eq!(money.history(&order_no("1001")).await.unwrap(), [history(0), history(1), history(2), history(3)]);
    assert_eq!(money.history(&order_no("1002")).await.unwrap(), []);
}

async fn all_orders(money: &dyn Money, filter: &OrderFilter, max: usize) -> Vec<String> {
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let page = money.orders(filter, cursor.as_deref(), max).await.unwrap();
        assert!(page.items.len() <= max);
        seen.extend(page.items.iter().map(|order: &Order| order.order_no.to_string()));
        cursor = page.next_cursor;
        if cursor.is_none() {
            return seen;
        }
    }
}

/// Orders of the same millisecond too; pages join without gap or overlap.
pub async fn orders_are_listed_newest_first_by_user_and_by_pile(engine: &dyn Engine) {
    let Store { money, .. } = &Store::open(engine).await;
    for (no, who, pile, created) in [
        ("1001", "u1", "P1", 10),
        ("1002", "u2", "P1", 20),
        ("1003", "u1", "P2", 20),
        ("1004", "u1", "P1", 20),
        ("1005", "u2", "P2", 5),
    ] {
        let outcome = money.commit(commit([new_order(&order_of(no, who, pile, created))])).await;
        assert_eq!(outcome, CommitOutcome::Applied);
    }
    let filter = |who: Option<&str>, pile: Option<&str>| OrderFilter {
        user_id: who.map(user),
        pile_code: pile.map(|code| code.parse().unwrap()),
    };
    for max in [1, 2, 500] {
        let list = async |who, pile| all_orders(money.as_ref(), &filter(who, pile), max).await;
        assert_eq!(list(None, None).await, ["1004", "1003", "1002", "1001", "1005"]);
        assert_eq!(list(Some("u1"), None).await, ["1004", "1003", "1001"]);
        assert_eq!(list(None, Some("P1")).await, ["1004", "1002", "1001"]);
        assert_eq!(list(Some("u2"), Some("P2")).await, ["1005"]);
        assert!(list(Some("u3"), None).await.is_empty());
    }
}

/// For every status.
pub async fn open_orders_are_those_that_are_not_over(engine: &dyn Engine) {
    let Store { money, .. } = &Store::open(engine).await;
    let statuses = [
        (OrderStatus::Placed, true),
        (OrderStatus::Starting, true),
        (OrderStatus::Charging, true),
        (OrderStatus::Stopping, true),
        (OrderStatus::Settling, true),
        (OrderStatus::Held, true),
        (OrderStatus::Closed, false),
        (OrderStatus::ExceptionClosed, false),
        (OrderStatus::StartFailed, false),
        (OrderStatus::Canceled, false),
    ];
    let mut open = Vec::new();
    for (n, (status, is_open)) in statuses.into_iter().enumerate() {
        let first = order(&format!("{}", 1001 + n));
        let then = changed(&first, status);
        let outcome = money.commit(commit([new_order(&first), change_order(&then)])).await;
        assert_eq!(outcome, CommitOutcome::Applied);
        open.extend(is_open.then_some(then.order_no));
    }
    let mut found: Vec<OrderNo> = money.open_orders().await.unwrap().into_iter().map(|order| order.order_no).collect();
    found.sort();
    assert_eq!(found, open);
}

/// A command is replaced by its later state.
pub async fn commands_are_open_until_answered(engine: &dyn Engine) {
    let Store { money, .. } = &Store::open(engine).await;
    let states = [
        ("c1", CommandState::Queued, true),
        ("c2", CommandState::Sent, true),
        ("c3", CommandState::Acked, false),
        ("c4", CommandState::Rejected, false),
        ("c5", CommandState::Timeout, false),
    ];
    for (id, state, _) in states {
        for state in [CommandState::Queued, state] {
            let outcome = money.commit(commit([Write::Command(Box::new(command(id, state, 1)))])).await;
            assert_eq!(outcome, CommitOutcome::Applied);
        }
    }
    let expected: Vec<_> =
        states.into_iter().filter(|(_, _, open)| *open).map(|(id, state, _)| command(id, state, 1)).collect();
    assert_eq!(money.open_commands().await.unwrap(), expected);
    assert_eq!(money.command(&"c9".parse().unwrap()).await.unwrap(), None);
}

/// An alarm is replaced by its later state and leaves the list of the former.
pub async fn alarms_are_listed_by_state_and_time(engine: &dyn Engine) {
    let Store { money, .. } = &Store::open(engine).await;
    for (id, state, raised) in [
        ("a1", AlarmState::Raised, 1),
        ("a2", AlarmState::Raised, 2),
        ("a3", AlarmState::Raised, 2),
        ("a4", AlarmState::Acked, 3),
        ("a5", AlarmState::Cleared, 4),
        ("a2", AlarmState::Closed, 2),
    ] {
        let outcome = money.commit(commit([Write::Alarm(Box::new(alarm(id, state, raised)))])).await;
        assert_eq!(outcome, CommitOutcome::Applied);
    }
    let list = async |state| {
        let mut seen = Vec::new();
        let mut cursor = None;
        loop {
            let page = money.alarms(state, cursor.as_deref(), 2).await.unwrap();
            seen.extend(page.items.into_iter().map(|alarm| alarm.alarm_id));
            cursor = page.next_cursor;
            if cursor.is_none() {
                return seen;
            }
        }
    };
    assert_eq!(list(None).await, ["a5", "a4", "a3", "a2", "a1"]);
    assert_eq!(list(Some(AlarmState::Raised)).await, ["a3", "a1"]);
    assert_eq!(list(Some(AlarmState::Closed)).await, ["a2"]);
    let open: Vec<String> = money.open_alarms().await.unwrap().into_iter().map(|alarm| alarm.alarm_id).collect();
    assert_eq!(open, ["a1", "a3", "a4"]);
    assert_eq!(money.alarm("a9").await.unwrap(), None);
}

/// The same id from another pile is another event.
pub async fn an_event_is_seen_once_per_pile(engine: &dyn Engine) {
    let Store { money, .. } = &Store::open(engine).await;
    let seen = async |pile_no, id: &str| money.event_seen(PileNo(pile_no), &id.parse().unwrap()).await.unwrap();
    assert!(!seen(7, "e1").await);
    for _ in 0..2 {
        assert_eq!(money.commit(commit([Write::Event(Box::new(event(7, "e1")))])).await, CommitOutcome::Applied);
        assert!(seen(7, "e1").await);
    }
    assert!(!seen(8, "e1").await && !seen(7, "e2").await);
}

/// The last one written counts.
pub async fn stations_and_pile_states_are_replaced(engine: &dyn Engine) {
    let store = Store::open(engine).await;
    let mut renamed = station("S1");
    renamed.name = "新站".to_owned();
    let states = [
        PileState { maintenance: Some("wet".to_owned()), faults: Vec::new() },
        PileState { maintenance: None, faults: vec![(2, "E9".to_owned())] },
    ];
    for (station, state) in [station("S1"), renamed.clone()].into_iter().zip(&states) {
        let writes = commit([Write::Station(Box::new(station)), Write::PileState(PileNo(1), state.clone())]);
        assert_eq!(store.money.commit(writes).await, CommitOutcome::Applied);
    }
    let piles = commit([Write::Station(Box::new(station("S0"))), Write::Piles(vec![super::facts::pile(1, "P1")])]);
    assert_eq!(store.money.commit(piles).await, CommitOutcome::Applied);
    let money = store.reopen(engine).await.money;
    assert_eq!(money.stations().await.unwrap(), [station("S0"), renamed]);
    assert_eq!(money.piles().await.unwrap(), [(super::facts::pile(1, "P1"), states[1].clone())]);
}

/// In the order of writing, whatever their times.
pub async fn the_audit_trail_is_listed_newest_first(engine: &dyn Engine) {
    let Store { money, .. } = &Store::open(engine).await;
    for n in [1, 2, 3, 2, 5, 4] {
        assert_eq!(money.commit(commit([Write::Audit(Box::new(audit(n)))])).await, CommitOutcome::Applied);
    }
    let first = money.audit_rows(None, 2).await.unwrap();
    let second = money.audit_rows(first.next_cursor.as_deref(), 2).await.unwrap();
    let third = money.audit_rows(second.next_cursor.as_deref(), 2).await.unwrap();
    assert_eq!(third.next_cursor, None);
    let targets: Vec<String> =
        [first.items, second.items, third.items].concat().into_iter().map(|row| row.target).collect();
    assert_eq!(targets, ["P4", "P5", "P3", "P2", "P1"], "a repeated row is the same row");
}

/// Refused with its text, never read as the beginning.
pub async fn a_cursor_from_elsewhere_is_refused(engine: &dyn Engine) {
    let Store { money, .. } = &Store::open(engine).await;
    let bad = Some("not a cursor");
    let refused = StoreError::BadCursor("not a cursor".to_owned());
    assert_eq!(money.orders(&OrderFilter::default(), bad, 5).await, Err(refused.clone()));
    assert_eq!(money.entries(&user("u1"), bad, 5).await, Err(refused.clone()));
    assert_eq!(money.alarms(None, bad, 5).await, Err(refused.clone()));
    assert_eq!(money.audit_rows(bad, 5).await, Err(refused));
}
