//! One account: each operation once, from the version it was computed from.

use domain::Fen;

use super::{
    Engine, Store,
    facts::{account, at, commit, ledger, order_no, top_up, user},
};
use crate::money::{BlacklistEntry, CommitOutcome, Conflict, LedgerWrite, Write};

/// The name of the operation decides, before the version does.
pub async fn an_operation_is_done_once_and_answers_its_first_result(engine: &dyn Engine) {
    let Store { money, .. } = &Store::open(engine).await;
    let first = top_up(&account("u1"), "topup:1", 100);
    assert_eq!(money.commit(commit([ledger(&first)])).await, CommitOutcome::Applied);
    let done = CommitOutcome::Conflict(Conflict::OpDone { op: first.op.clone(), result: first.result.clone() });
    assert_eq!(money.commit(commit([ledger(&first)])).await, done, "the same again");
    let recomputed = LedgerWrite { result: "other".to_owned(), ..top_up(&first.next, "topup:1", 100) };
    assert_eq!(money.commit(commit([ledger(&recomputed)])).await, done, "computed anew from the present state");
    assert_eq!(money.account(&user("u1")).await.unwrap(), Some(first.next));
    let elsewhere = top_up(&account("u2"), "topup:1", 5);
    assert_eq!(money.commit(commit([ledger(&elsewhere)])).await, CommitOutcome::Applied, "names are per account");
    assert_eq!(money.op_result(&user("u3"), "topup:1").await.unwrap(), None);
}

/// Compare and set; 0 is an account without operations.
pub async fn an_account_changes_only_from_its_version(engine: &dyn Engine) {
    let Store { money, .. } = &Store::open(engine).await;
    let first = top_up(&account("u1"), "one", 100);
    let second = top_up(&first.next, "two", 50);
    let stale = CommitOutcome::Conflict(Conflict::AccountVersion(user("u1")));
    assert_eq!(money.commit(commit([ledger(&second)])).await, stale, "ahead of the store");
    assert_eq!(money.commit(commit([ledger(&first)])).await, CommitOutcome::Applied);
    assert_eq!(money.commit(commit([ledger(&top_up(&account("u1"), "three", 1))])).await, stale, "behind the store");
    assert_eq!(money.commit(commit([ledger(&second)])).await, CommitOutcome::Applied);
    assert_eq!(money.account(&user("u1")).await.unwrap(), Some(second.next));
}

/// They are part of the account: added, changed and gone with it.
pub async fn holds_and_debts_are_what_the_last_operation_said(engine: &dyn Engine) {
    let mut store = Store::open(engine).await;
    let mut state = account("u1");
    type Sums<'a> = &'a [(&'a str, i64)];
    let steps: [(Sums<'_>, Sums<'_>); 4] = [
        (&[("1001", 500)], &[]),
        (&[("1001", 700), ("1002", 300)], &[("900", 40)]),
        (&[("1002", 300)], &[("900", 15), ("901", 5)]),
        (&[], &[]),
    ];
    for (n, (holds, debts)) in steps.into_iter().enumerate() {
        let sums = |rows: Sums<'_>| rows.iter().map(|(no, fen)| (order_no(no), Fen(*fen))).collect();
        let mut write = top_up(&state, &format!("op {n}"), 10);
        write.next.holds = sums(holds);
        write.next.debts = sums(debts);
        write.next.frozen = Fen(holds.iter().map(|(_, fen)| fen).sum());
        assert_eq!(store.money.commit(commit([ledger(&write)])).await, CommitOutcome::Applied);
        store = store.reopen(engine).await;
        state = store.money.account(&user("u1")).await.unwrap().unwrap();
        assert_eq!(state, write.next, "step {n}");
    }
}

/// Mistakes that no repetition mends are named and leave no trace.
pub async fn an_operation_that_contradicts_itself_is_refused(engine: &dyn Engine) {
    let Store { money, .. } = &Store::open(engine).await;
    let good = top_up(&account("u1"), "one", 100);
    let mut gap = good.clone();
    gap.next.entry_seq = 2;
    gap.entries[0].seq = 2;
    let mut version = good.clone();
    version.next.version = 2;
    let mut foreign = good.clone();
    foreign.entries[0].user_id = user("u2");
    let mut uncounted = good.clone();
    uncounted.next.entry_seq = 0;
    for (name, bad) in [("gap", gap), ("version", version), ("foreign", foreign), ("uncounted", uncounted)] {
        let outcome = money.commit(commit([ledger(&bad)])).await;
        assert!(matches!(outcome, CommitOutcome::Conflict(Conflict::Malformed(_))), "{name}: {outcome:?}");
    }
    assert_eq!(money.account(&user("u1")).await.unwrap(), None);
    assert_eq!(money.commit(commit([ledger(&good)])).await, CommitOutcome::Applied);
}

/// Pages join without gap or overlap.
pub async fn entries_are_listed_newest_first_without_gaps(engine: &dyn Engine) {
    let Store { money, .. } = &Store::open(engine).await;
    let mut state = account("u1");
    for n in 1..=7 {
        let write = top_up(&state, &format!("op {n}"), n);
        assert_eq!(money.commit(commit([ledger(&write)])).await, CommitOutcome::Applied);
        state = write.next;
    }
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let page = money.entries(&user("u1"), cursor.as_deref(), 3).await.unwrap();
        assert!(page.items.len() <= 3);
        seen.extend(page.items.iter().map(|entry| entry.seq));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, [7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(money.entries(&user("u2"), None, 3).await.unwrap().items, []);
}

/// On, changed, off.
pub async fn the_blacklist_names_its_reason(engine: &dyn Engine) {
    let Store { money, .. } = &Store::open(engine).await;
    let entry =
        |reason: &str, until| BlacklistEntry { reason: reason.to_owned(), by: "rita".to_owned(), at: at(1), until };
    for entry in [Some(entry("owes", None)), Some(entry("owes more", Some(at(9)))), None, None] {
        let write = Write::Blacklist(user("u1"), entry.clone());
        assert_eq!(money.commit(commit([write])).await, CommitOutcome::Applied);
        assert_eq!(money.blacklisted(&user("u1")).await.unwrap(), entry);
    }
}

/// What few accounts have is part of the account too.
pub async fn what_is_given_up_under_way_or_of_nobody_known_is_kept(engine: &dyn Engine) {
    let mut store = Store::open(engine).await;
    let mut state = account("u1");
    for n in [3, 1, 0] {
        let mut write = top_up(&state, &format!("op {n}"), 10);
        write.next.written_off = (0..n).map(|k| (order_no(&format!("{k}")), Fen(k + 1))).collect();
        write.next.refunded = (0..n).map(|k| (order_no(&format!("{k}")), Fen(k + 5))).collect();
        write.next.transit = (0..n).map(|k| (format!("R{k}"), Fen(k + 10))).collect();
        write.next.suspense = (0..n).map(|k| (format!("wechat:{k}"), Fen(k + 100))).collect();
        assert_eq!(store.money.commit(commit([ledger(&write)])).await, CommitOutcome::Applied);
        store = store.reopen(engine).await;
        state = store.money.account(&user("u1")).await.unwrap().unwrap();
        assert_eq!(state, write.next, "{n} of each");
    }
}
