//! A commit applies all of its writes or none; each condition of the port, held and broken.

use domain::{Fen, PileNo};
use settlement::order::OrderStatus;

use super::{
    Engine, Store,
    facts::{
        account, alarm, audit, blacklisted, change_order, changed, command, commit, event, history, integration,
        ledger, new_order, once, order, order_no, payment, pile, record, station, tariff, top_up, user,
    },
};
use crate::{
    money::{AlarmState, CommandState, Commit, CommitOutcome, Conflict, PaymentState, Standing, Write},
    registry::PileState,
};

fn refused(conflict: Conflict) -> CommitOutcome {
    CommitOutcome::Conflict(conflict)
}

/// Every kind of write, in one commit.
pub async fn a_commit_is_there_after_reopening(engine: &dyn Engine) {
    let store = Store::open(engine).await;
    let order = order("1001");
    let closed = changed(&order, OrderStatus::Closed);
    let operation = top_up(&account("u1"), "topup:1", 10_000);
    let state = PileState { maintenance: Some("wet".to_owned()), faults: vec![(1, "E106".to_owned())] };
    let writes = commit([
        new_order(&order),
        Write::History(order.order_no.clone(), vec![history(0), history(1)]),
        change_order(&closed),
        ledger(&operation),
        Write::Once(Box::new(once("u1", "POST /orders", "k1"))),
        Write::Record(Box::new(record("1001", 1, Standing::Stands))),
        Write::Payment(Box::new(payment("pay1", PaymentState::Pending)), None),
        Write::Command(Box::new(command("c1", CommandState::Sent, 1))),
        Write::Alarm(Box::new(alarm("a1", AlarmState::Raised, 1))),
        Write::Event(Box::new(event(7, "e1"))),
        Write::Station(Box::new(station("S1"))),
        Write::Piles(vec![pile(7, "P1")]),
        Write::PileState(PileNo(7), state.clone()),
        Write::Tariff(Box::new(tariff("T1", 1, true))),
        Write::Blacklist(user("u9"), Some(blacklisted())),
        Write::Integration(Box::new(integration("monitor", 1))),
        Write::Audit(Box::new(audit(1))),
    ]);
    assert_eq!(store.money.commit(writes).await, CommitOutcome::Applied);

    let money = store.reopen(engine).await.money;
    assert_eq!(money.order(&order.order_no).await.unwrap(), Some(closed));
    assert_eq!(money.history(&order.order_no).await.unwrap(), [history(0), history(1)]);
    assert_eq!(money.account(&user("u1")).await.unwrap(), Some(operation.next));
    assert_eq!(money.entries(&user("u1"), None, 10).await.unwrap().items, operation.entries);
    assert_eq!(money.op_result(&user("u1"), "topup:1").await.unwrap(), Some(operation.result));
    assert_eq!(money.once(&user("u1"), "POST /orders", "k1").await.unwrap(), Some(once("u1", "POST /orders", "k1")));
    assert_eq!(money.record(&order.order_no).await.unwrap(), Some(record("1001", 1, Standing::Stands)));
    assert_eq!(money.payment("pay1").await.unwrap(), Some(payment("pay1", PaymentState::Pending)));
    let sent = command("c1", CommandState::Sent, 1);
    assert_eq!(money.command(&sent.command.command_id).await.unwrap(), Some(sent));
    assert_eq!(money.alarm("a1").await.unwrap(), Some(alarm("a1", AlarmState::Raised, 1)));
    assert!(money.event_seen(PileNo(7), &event(7, "e1").event_id).await.unwrap());
    assert_eq!(money.stations().await.unwrap(), [station("S1")]);
    assert_eq!(money.piles().await.unwrap(), [(pile(7, "P1"), state)]);
    assert_eq!(money.tariff("T1").await.unwrap(), Some(tariff("T1", 1, true)));
    assert_eq!(money.blacklisted(&user("u9")).await.unwrap(), Some(blacklisted()));
    assert_eq!(money.integrations().await.unwrap(), [integration("monitor", 1)]);
    assert_eq!(money.audit_rows(None, 10).await.unwrap().items, [audit(1)]);
    assert_eq!(money.health(), Ok(()));
}

/// A repeat of a create is a refusal, not a second order.
pub async fn a_new_order_must_be_new(engine: &dyn Engine) {
    let Store { money, .. } = &Store::open(engine).await;
    let first = order("1001");
    assert_eq!(money.commit(commit([new_order(&first)])).await, CommitOutcome::Applied);
    let mut other = first.clone();
    other.user_id = user("u2");
    let outcome = money.commit(commit([new_order(&other)])).await;
    assert_eq!(outcome, refused(Conflict::OrderExists(order_no("1001"))));
    assert_eq!(money.order(&order_no("1001")).await.unwrap(), Some(first));
}

/// Compare and set on the revision; an order that does not exist has none.
pub async fn an_order_changes_only_from_the_revision_before(engine: &dyn Engine) {
    let Store { money, .. } = &Store::open(engine).await;
    let first = order("1001");
    let second = changed(&first, OrderStatus::Starting);
    let third = changed(&second, OrderStatus::Charging);
    let stale = refused(Conflict::OrderRev(order_no("1001")));
    assert_eq!(money.commit(commit([change_order(&second)])).await, stale, "it does not exist");
    assert_eq!(money.commit(commit([new_order(&first)])).await, CommitOutcome::Applied);
    assert_eq!(money.commit(commit([change_order(&third)])).await, stale, "one was left out");
    assert_eq!(money.commit(commit([change_order(&second)])).await, CommitOutcome::Applied);
    assert_eq!(money.commit(commit([change_order(&second)])).await, stale, "it was done");
    let stolen = settlement::order::Order { user_id: user("u2"), ..third };
    let outcome = money.commit(commit([change_order(&stolen)])).await;
    assert!(matches!(outcome, CommitOutcome::Conflict(Conflict::Malformed(_))), "an order keeps its user: {outcome:?}");
    assert_eq!(money.order(&order_no("1001")).await.unwrap(), Some(second));
}

/// Whatever stands before or after the write whose condition fails.
pub async fn a_failed_condition_applies_nothing_of_its_commit(engine: &dyn Engine) {
    let Store { money, .. } = &Store::open(engine).await;
    let stale = top_up(&changed_version(5), "topup:1", 10);
    let writes = commit([
        new_order(&order("1001")),
        Write::History(order_no("1001"), vec![history(0)]),
        Write::Once(Box::new(once("u1", "p", "k"))),
        ledger(&top_up(&account("u2"), "topup:2", 10)),
        ledger(&stale),
        Write::Audit(Box::new(audit(1))),
        Write::Event(Box::new(event(7, "e1"))),
    ]);
    assert_eq!(money.commit(writes).await, refused(Conflict::AccountVersion(user("u1"))));
    assert_eq!(money.order(&order_no("1001")).await.unwrap(), None);
    assert_eq!(money.history(&order_no("1001")).await.unwrap(), []);
    assert_eq!(money.once(&user("u1"), "p", "k").await.unwrap(), None);
    assert_eq!(money.account(&user("u2")).await.unwrap(), None);
    assert_eq!(money.op_result(&user("u2"), "topup:2").await.unwrap(), None);
    assert_eq!(money.audit_rows(None, 10).await.unwrap().items, []);
    assert!(!money.event_seen(PileNo(7), &event(7, "e1").event_id).await.unwrap());
}

fn changed_version(version: i64) -> settlement::ledger::AccountState {
    settlement::ledger::AccountState { version, ..account("u1") }
}

/// The second write of a commit sees the first.
pub async fn writes_of_one_commit_build_on_each_other(engine: &dyn Engine) {
    let Store { money, .. } = &Store::open(engine).await;
    let first = order("1001");
    let second = changed(&first, OrderStatus::Settling);
    let third = changed(&second, OrderStatus::Closed);
    let one = top_up(&account("u1"), "one", 10);
    let two = top_up(&one.next, "two", 20);
    let writes = commit([new_order(&first), ledger(&one), change_order(&second), ledger(&two), change_order(&third)]);
    assert_eq!(money.commit(writes).await, CommitOutcome::Applied);
    assert_eq!(money.order(&order_no("1001")).await.unwrap(), Some(third));
    assert_eq!(money.account(&user("u1")).await.unwrap().map(|a| (a.available, a.version)), Some((Fen(30), 2)));
}

/// Each write of a commit follows the one before, as if it had been stored in between.
pub async fn forms_within_one_commit_have_no_gaps(engine: &dyn Engine) {
    let Store { money, .. } = &Store::open(engine).await;
    let first = order("1001");
    let second = changed(&first, OrderStatus::Starting);
    let third = changed(&second, OrderStatus::Charging);
    let one = top_up(&account("u1"), "one", 10);
    let two = top_up(&one.next, "two", 20);
    let three = top_up(&two.next, "three", 40);
    let before = commit([new_order(&first), ledger(&top_up(&account("u2"), "other", 5))]);
    assert_eq!(money.commit(before).await, CommitOutcome::Applied);
    let stale = refused(Conflict::OrderRev(order_no("1001")));
    for forms in [[&second, &second], [&third, &third], [&third, &second], [&second, &first]] {
        let writes = forms.map(change_order).into_iter().chain([ledger(&one)]).collect();
        assert_eq!(money.commit(Commit { writes }).await, stale, "{:?}", forms.map(|form| form.rev));
    }
    let stale = refused(Conflict::AccountVersion(user("u1")));
    for operations in [[&one, &three], [&two, &three], [&two, &one]] {
        let writes = operations.map(ledger).into_iter().chain([change_order(&second)]).collect();
        assert_eq!(money.commit(Commit { writes }).await, stale, "{:?}", operations.map(|operation| &operation.op));
    }
    assert_eq!(money.order(&order_no("1001")).await.unwrap(), Some(first));
    assert_eq!(money.account(&user("u1")).await.unwrap(), None);
    let between = ledger(&top_up(&top_up(&account("u2"), "other", 5).next, "between", 5));
    let writes =
        commit([ledger(&one), change_order(&second), between, ledger(&two), change_order(&third), ledger(&three)]);
    assert_eq!(money.commit(writes).await, CommitOutcome::Applied);
    assert_eq!(money.order(&order_no("1001")).await.unwrap(), Some(third));
    let balance = |account: Option<settlement::ledger::AccountState>| account.map(|a| (a.available, a.version));
    assert_eq!(balance(money.account(&user("u1")).await.unwrap()), Some((Fen(70), 3)));
    assert_eq!(balance(money.account(&user("u2")).await.unwrap()), Some((Fen(10), 2)));
    assert_eq!(money.op_result(&user("u1"), "two").await.unwrap(), Some(two.result));
}

/// Fifty callers with the same state in hand.
pub async fn one_of_many_racing_changes_wins(engine: &dyn Engine) {
    let store = Store::open(engine).await;
    let first = order("1001");
    assert_eq!(store.money.commit(commit([new_order(&first)])).await, CommitOutcome::Applied);
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..50 {
        let money = std::sync::Arc::clone(&store.money);
        let mut mine = changed(&first, OrderStatus::Starting);
        mine.fault_code = Some(format!("caller {n}"));
        let operation = top_up(&account("u1"), &format!("op {n}"), n + 1);
        tasks.spawn(async move { money.commit(commit([change_order(&mine), ledger(&operation)])).await });
    }
    let outcomes = tasks.join_all().await;
    let won = outcomes.iter().filter(|outcome| **outcome == CommitOutcome::Applied).count();
    let lost = refused(Conflict::OrderRev(order_no("1001")));
    assert_eq!((won, outcomes.iter().filter(|outcome| **outcome == lost).count()), (1, 49));
    assert_eq!(store.money.account(&user("u1")).await.unwrap().map(|a| (a.version, a.entry_seq)), Some((1, 1)));
}

/// The stored answer comes back with the refusal.
pub async fn an_idempotency_key_belongs_to_caller_and_path(engine: &dyn Engine) {
    let Store { money, .. } = &Store::open(engine).await;
    let first = once("u1", "POST /orders", "k");
    assert_eq!(money.commit(commit([Write::Once(Box::new(first.clone()))])).await, CommitOutcome::Applied);
    let mut again = first.clone();
    again.body = "other".to_owned();
    again.fingerprint = [8; 32];
    let outcome = money.commit(commit([new_order(&order("1002")), Write::Once(Box::new(again))])).await;
    assert_eq!(outcome, refused(Conflict::OnceExists(Box::new(first))));
    assert_eq!(money.order(&order_no("1002")).await.unwrap(), None);
    for other in [once("u2", "POST /orders", "k"), once("u1", "POST /wallet", "k"), once("u1", "POST /orders", "k2")] {
        assert_eq!(money.commit(commit([Write::Once(Box::new(other.clone()))])).await, CommitOutcome::Applied);
        assert_eq!(money.once(&other.caller, &other.path, &other.key).await.unwrap(), Some(other));
    }
}

/// A repeat changes nothing, another content never displaces the first.
pub async fn the_first_record_of_an_order_stands_and_others_are_kept_beside_it(engine: &dyn Engine) {
    let Store { money, .. } = &Store::open(engine).await;
    let write = |content, standing| commit([Write::Record(Box::new(record("1001", content, standing)))]);
    assert_eq!(money.commit(write(9, Standing::Conflicting)).await, CommitOutcome::Applied);
    assert_eq!(money.record(&order_no("1001")).await.unwrap(), None, "a conflicting one never stands");
    for (content, standing) in
        [(1, Standing::Stands), (1, Standing::Stands), (2, Standing::Conflicting), (3, Standing::Stands)]
    {
        assert_eq!(money.commit(write(content, standing)).await, CommitOutcome::Applied);
        assert_eq!(money.record(&order_no("1001")).await.unwrap(), Some(record("1001", 1, Standing::Stands)));
    }
    assert_eq!(money.record(&order_no("1002")).await.unwrap(), None);
}

/// A callback that is repeated credits once.
pub async fn a_payment_changes_only_from_the_expected_state(engine: &dyn Engine) {
    let Store { money, .. } = &Store::open(engine).await;
    let wrong = refused(Conflict::PaymentState("pay1".to_owned()));
    let write = |state, expected| commit([Write::Payment(Box::new(payment("pay1", state)), expected)]);
    let pending = Some(PaymentState::Pending);
    assert_eq!(money.commit(write(PaymentState::Success, pending)).await, wrong, "it does not exist");
    assert_eq!(money.commit(write(PaymentState::Pending, None)).await, CommitOutcome::Applied);
    assert_eq!(money.commit(write(PaymentState::Pending, None)).await, wrong, "it exists");
    assert_eq!(money.commit(write(PaymentState::Success, pending)).await, CommitOutcome::Applied);
    assert_eq!(money.commit(write(PaymentState::Success, pending)).await, wrong, "it was paid");
    assert_eq!(money.payment("pay1").await.unwrap(), Some(payment("pay1", PaymentState::Success)));
}

/// Drafts change; the published form is for ever, publishing it again is no change, and versions are not given twice.
pub async fn a_published_tariff_is_never_replaced(engine: &dyn Engine) {
    let Store { money, .. } = &Store::open(engine).await;
    let write = |tariff: &settlement::tariff::Tariff| commit([Write::Tariff(Box::new(tariff.clone()))]);
    let draft = tariff("T1", 0, false);
    let mut edited = draft.clone();
    edited.author = user("ops2");
    let published = tariff("T1", 1, true);
    let mut dearer = published.clone();
    dearer.periods[0].service.0 += 1;
    for (tariff, outcome) in [
        (&draft, CommitOutcome::Applied),
        (&edited, CommitOutcome::Applied),
        (&published, CommitOutcome::Applied),
        (&published, CommitOutcome::Applied),
        (&dearer, refused(Conflict::TariffPublished("T1".to_owned()))),
        (&draft, refused(Conflict::TariffPublished("T1".to_owned()))),
        (&tariff("T2", 1, true), refused(Conflict::TariffPublished("T2".to_owned()))),
        (&tariff("T2", 2, true), CommitOutcome::Applied),
        (&tariff("T3", 0, false), CommitOutcome::Applied),
        (&tariff("T4", 0, false), CommitOutcome::Applied),
    ] {
        assert_eq!(money.commit(write(tariff)).await, outcome, "{} {}", tariff.tariff_id, tariff.version);
    }
    assert_eq!(money.tariff("T1").await.unwrap(), Some(published));
    let ids = |tariffs: Vec<settlement::tariff::Tariff>| tariffs.into_iter().map(|t| t.tariff_id).collect::<Vec<_>>();
    assert_eq!(ids(money.tariffs(None).await.unwrap()), ["T3", "T4", "T1", "T2"]);
    assert_eq!(ids(money.tariffs(Some(&station("S1").station_id)).await.unwrap()), ["T3", "T4", "T1", "T2"]);
    assert_eq!(money.tariffs(Some(&station("S2").station_id)).await.unwrap(), []);
}

/// Numbers are not used again, whatever came of them.
pub async fn pile_numbers_are_given_once_and_a_taken_code_refuses_all(engine: &dyn Engine) {
    let store = Store::open(engine).await;
    assert_eq!(store.money.reserve_pile_nos(3).await, Ok(PileNo(1)));
    assert_eq!(store.money.reserve_pile_nos(1).await, Ok(PileNo(4)));
    let store = store.reopen(engine).await;
    assert_eq!(store.money.reserve_pile_nos(2).await, Ok(PileNo(5)));
    let piles = |piles| commit([Write::Piles(piles)]);
    assert_eq!(store.money.commit(piles(vec![pile(2, "B"), pile(1, "A")])).await, CommitOutcome::Applied);
    let taken = store.money.commit(piles(vec![pile(5, "C"), pile(6, "A")])).await;
    assert_eq!(taken, refused(Conflict::PileExists(pile(1, "A").pile_code)));
    let state = PileState { maintenance: None, faults: vec![(0, "E1".to_owned())] };
    let written = store.money.commit(commit([Write::PileState(PileNo(2), state.clone())])).await;
    assert_eq!(written, CommitOutcome::Applied);
    let expected = [(pile(1, "A"), PileState::default()), (pile(2, "B"), state)];
    assert_eq!(store.money.piles().await.unwrap(), expected);
}

/// A name that is free again may be given again, with another secret.
pub async fn an_integration_is_made_once_and_can_be_removed(engine: &dyn Engine) {
    let store = Store::open(engine).await;
    let (platform, all) = (integration("platform", 1), integration("all", 2));
    let add = |one: &crate::registry::Integration| commit([Write::Integration(Box::new(one.clone()))]);
    for one in [&platform, &all, &platform] {
        assert_eq!(store.money.commit(add(one)).await, CommitOutcome::Applied);
    }
    let other = integration("platform", 3);
    let taken = refused(Conflict::IntegrationExists(platform.name.clone()));
    assert_eq!(store.money.commit(add(&other)).await, taken);
    let store = store.reopen(engine).await;
    assert_eq!(store.money.integrations().await.unwrap(), [all.clone(), platform.clone()]);
    let remove = || commit([Write::IntegrationRemoved(platform.name.clone())]);
    for _ in 0..2 {
        assert_eq!(store.money.commit(remove()).await, CommitOutcome::Applied);
        assert_eq!(store.money.integrations().await.unwrap(), std::slice::from_ref(&all));
    }
    assert_eq!(store.money.commit(add(&other)).await, CommitOutcome::Applied);
    assert_eq!(store.reopen(engine).await.money.integrations().await.unwrap(), [all, other]);
}
