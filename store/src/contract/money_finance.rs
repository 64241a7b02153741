//! Cases, events for other systems, the audit trail's chain, and the lists that finance reads by time.

use domain::{Fen, Timestamp};
use settlement::order::OrderStatus;

use super::{
    Engine, Store,
    facts::{account, at, audit, changed, commit, ledger, new_order, order_of, payment, top_up, user},
};
use crate::{
    cases::{Case, CaseFilter, CaseKind, OutboxEvent},
    chain,
    money::{CommitOutcome, Conflict, Page, Payment, PaymentState, StoreError, Write},
};

fn case(id: &str, rev: i64, state: &str, about: &str, began: i64) -> Case {
    Case {
        kind: CaseKind::Refund,
        id: id.to_owned(),
        rev,
        state: state.to_owned(),
        open: state != "DONE",
        about: about.to_owned(),
        at: at(began),
        due: (state == "SENT").then(|| at(began + 100)),
        body: format!("{{\"of\":\"{id}\",\"rev\":{rev}}}"),
    }
}

fn write(case: &Case) -> Write {
    Write::Case(Box::new(case.clone()))
}

/// Compare and set by revision; the same form again changes nothing.
pub async fn a_case_goes_from_revision_to_revision(engine: &dyn Engine) {
    let mut store = Store::open(engine).await;
    let forms = [case("R1", 1, "REQUESTED", "P1", 1), case("R1", 2, "SENT", "P1", 1), case("R1", 3, "DONE", "P1", 1)];
    let refused = CommitOutcome::Conflict(Conflict::CaseRev(CaseKind::Refund, "R1".to_owned()));
    assert_eq!(store.money.commit(commit([write(&forms[1])])).await, refused, "the first form is missing");
    for form in &forms {
        for time in ["first", "again"] {
            assert_eq!(store.money.commit(commit([write(form)])).await, CommitOutcome::Applied, "{time}");
        }
        let other = Case { state: "ELSE".to_owned(), ..form.clone() };
        assert_eq!(store.money.commit(commit([write(&other)])).await, refused, "another form of one revision");
        store = store.reopen(engine).await;
        assert_eq!(store.money.case(CaseKind::Refund, "R1").await.unwrap().as_ref(), Some(form));
    }
    assert_eq!(store.money.commit(commit([write(&forms[0])])).await, refused, "back");
    assert_eq!(store.money.case(CaseKind::Adjustment, "R1").await.unwrap(), None, "names are per kind");
}

/// By everything a list may be asked for; pages join without gap or overlap.
pub async fn cases_are_found_by_state_by_what_they_are_about_and_by_when_they_are_due(engine: &dyn Engine) {
    let Store { money, .. } = &Store::open(engine).await;
    let states = ["REQUESTED", "SENT", "DONE"];
    for n in 0..30_u8 {
        let state = states[usize::from(n) % 3];
        let made = case(&format!("R{n:02}"), 1, state, &format!("P{}", n % 2), i64::from(n / 2));
        assert_eq!(money.commit(commit([write(&made)])).await, CommitOutcome::Applied);
    }
    let all = CaseFilter::all(CaseKind::Refund);
    for (filter, expected) in [
        (all.clone(), 30),
        (CaseFilter { state: Some("SENT".to_owned()), ..all.clone() }, 10),
        (CaseFilter { about: Some("P1".to_owned()), ..all.clone() }, 15),
        (CaseFilter { state: Some("DONE".to_owned()), about: Some("P1".to_owned()), ..all.clone() }, 5),
        (CaseFilter { open_only: true, ..all.clone() }, 20),
        (CaseFilter { open_only: true, about: Some("P0".to_owned()), ..all.clone() }, 10),
        (CaseFilter::all(CaseKind::Suspense), 0),
    ] {
        let (mut seen, mut cursor): (Vec<Case>, Option<String>) = (Vec::new(), None);
        loop {
            let page = money.cases(&filter, cursor.as_deref(), 4).await.unwrap();
            seen.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen.len(), expected, "{filter:?}");
        assert!(seen.windows(2).all(|pair| (pair[0].at, &pair[0].id) > (pair[1].at, &pair[1].id)), "{filter:?}");
    }
    let due = money.due_cases(CaseKind::Refund, at(105), 50).await.unwrap();
    let names: Vec<_> = due.iter().map(|case| case.id.as_str()).collect();
    assert_eq!(names, ["R01", "R04", "R07", "R10"], "sent at 0, 2, 3 and 5, due 100 later");
    assert_eq!(money.due_cases(CaseKind::Refund, at(105), 2).await.unwrap().len(), 2);
}

/// In the order they were written; a repeat is the same event.
pub async fn events_for_other_systems_are_kept_once_and_in_order(engine: &dyn Engine) {
    let Store { money, .. } = &Store::open(engine).await;
    let event = |n: i64| OutboxEvent {
        event_id: format!("debt.opened:{n}"),
        name: "debt.opened".to_owned(),
        at: at(-n),
        subject: format!("{n}"),
        data: "{}".to_owned(),
    };
    for n in [1, 2, 1, 3, 2] {
        let write = Write::Outbox(Box::new(event(n)));
        assert_eq!(money.commit(commit([write])).await, CommitOutcome::Applied);
    }
    let all = money.outbox(0, 50).await.unwrap();
    assert_eq!(all.iter().map(|(_, event)| event.clone()).collect::<Vec<_>>(), [event(1), event(2), event(3)]);
    let after = money.outbox(all[0].0, 1).await.unwrap();
    assert_eq!(after, all[1..2]);
}

/// Each row follows the one before; a commit that came to nothing breaks nothing.
pub async fn the_audit_trail_is_a_chain(engine: &dyn Engine) {
    let store = Store::open(engine).await;
    for n in 0..6 {
        let mut row = audit(n);
        row.address = (n % 2 == 0).then(|| "203.0.113.7".to_owned());
        let twice = [Write::Audit(Box::new(row.clone())), Write::Audit(Box::new(row))];
        assert_eq!(store.money.commit(commit(twice)).await, CommitOutcome::Applied);
        let nothing = [Write::Audit(Box::new(audit(100 + n))), write(&case("R9", 7, "SENT", "P", 1))];
        assert!(matches!(store.money.commit(commit(nothing)).await, CommitOutcome::Conflict(_)));
    }
    let store = store.reopen(engine).await;
    let chain = store.money.audit_chain(0, 50).await.unwrap();
    assert_eq!(chain.len(), 6);
    let mut last = chain::START;
    for link in &chain {
        let (prev, hash) = link.links.unwrap();
        assert_eq!((prev, hash), (last, chain::hash(&last, link.id, &link.row)), "{link:?}");
        last = hash;
    }
    assert_eq!(store.money.audit_chain(chain[2].id, 2).await.unwrap(), chain[3..5]);
}

/// Half-open spans; pages join without gap or overlap.
pub async fn what_finance_reads_by_time_is_complete(engine: &dyn Engine) {
    let Store { money, .. } = &Store::open(engine).await;
    let mut state = [account("a"), account("b.1"), account("~suspense")];
    for n in 0..24_i64 {
        let mut order = order_of(&format!("{}", 1000 + n), "a", "P1", n);
        assert_eq!(money.commit(commit([new_order(&order)])).await, CommitOutcome::Applied);
        order = changed(&order, OrderStatus::Closed);
        order.ended_at = (n != 5).then(|| at(100 + n / 3));
        order.debt_fen = Fen(n % 2);
        let mut paid = payment(&format!("Y{n:02}"), PaymentState::Success);
        paid.paid_at = Some(at(200 + n / 3));
        let who = &mut state[usize::try_from(n % 3).unwrap()];
        let mut entry = top_up(who, &format!("op {n}"), 1);
        entry.entries[0].at = at(300 + n / 4);
        *who = entry.next.clone();
        let writes = [Write::Order(Box::new(order)), Write::Payment(Box::new(paid), None), ledger(&entry)];
        assert_eq!(money.commit(commit(writes)).await, CommitOutcome::Applied);
    }
    async fn walk<T>(read: impl AsyncFn(Option<String>) -> Result<Page<T>, StoreError>) -> Vec<T> {
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = read(cursor).await.unwrap();
            seen.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() {
                return seen;
            }
        }
    }
    let ended = walk(async |cursor: Option<String>| money.orders_ended(at(101), at(107), cursor.as_deref(), 4).await);
    let ended: Vec<_> = ended.await.into_iter().map(|order| order.order_no.to_string()).collect();
    let expected: Vec<_> = (3..21).filter(|n| *n != 5).map(|n| format!("{}", 1000 + n)).collect();
    assert_eq!(ended, expected);
    let owing = walk(async |cursor: Option<String>| money.owing_orders(cursor.as_deref(), 5).await).await;
    let owing: Vec<_> = owing.into_iter().map(|order| order.order_no.to_string()).collect();
    assert_eq!(owing, (0..24).rev().filter(|n| n % 2 == 1).map(|n| format!("{}", 1000 + n)).collect::<Vec<_>>());
    let paid = walk(async |cursor: Option<String>| money.payments_paid(at(201), at(207), cursor.as_deref(), 4).await);
    let numbers = |payments: Vec<Payment>| payments.into_iter().map(|payment| payment.payment_no).collect::<Vec<_>>();
    assert_eq!(numbers(paid.await), (3..21).map(|n| format!("Y{n:02}")).collect::<Vec<_>>());
    let own = walk(async |cursor: Option<String>| money.payments_of(&user("u1"), cursor.as_deref(), 7).await).await;
    assert_eq!(numbers(own), (0..24).rev().map(|n| format!("Y{n:02}")).collect::<Vec<_>>());
    let entries =
        walk(async |cursor: Option<String>| money.entries_between(at(301), at(305), cursor.as_deref(), 3).await).await;
    assert_eq!(entries.len(), 16);
    let place = |entry: &settlement::ledger::Entry| (entry.at, entry.user_id.clone(), entry.seq);
    assert!(entries.windows(2).all(|pair| place(&pair[0]) < place(&pair[1])));
    assert!(entries.iter().all(|entry| entry.at >= at(301) && entry.at < at(305)));
}

/// The longest due first, and only those that wait.
pub async fn payments_are_due_when_their_channel_is_to_be_asked(engine: &dyn Engine) {
    let Store { money, .. } = &Store::open(engine).await;
    let due_at = |no: &str, due: Option<Timestamp>| Payment { due, ..payment(no, PaymentState::Pending) };
    for (no, due) in [("Y1", Some(at(30))), ("Y2", None), ("Y3", Some(at(10))), ("Y4", Some(at(50)))] {
        let write = Write::Payment(Box::new(due_at(no, due)), None);
        assert_eq!(money.commit(commit([write])).await, CommitOutcome::Applied);
    }
    let due = money.due_payments(at(30), 10).await.unwrap();
    assert_eq!(due, [due_at("Y3", Some(at(10))), due_at("Y1", Some(at(30)))]);
    let asked = Payment { queries: 4, ..due_at("Y3", None) };
    let write = Write::Payment(Box::new(asked), Some(PaymentState::Pending));
    assert_eq!(money.commit(commit([write])).await, CommitOutcome::Applied);
    assert_eq!(money.due_payments(at(30), 10).await.unwrap(), [due_at("Y1", Some(at(30)))]);
}
