//! Every status × every event of the order machine, as one table.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod support;

use domain::{Fen, StopReason};
use settlement::order::{Order, OrderEvent as E, OrderStatus as S, Outcome, PaymentStatus, ProvisionalCause, StopBy};
use support::{bill, facts, new_order, risk_officer, ts};

fn record(reason: StopReason) -> E {
    E::RecordReceived { facts: facts(reason), bill: Box::new(bill(800, 200)) }
}

fn correction(paid: i64, debt: i64) -> E {
    let bill = Box::new(bill(900, 300));
    E::CorrectionMade { facts: facts(StopReason::Full), bill, paid: Fen(paid), debt: Fen(debt) }
}

fn provisional(cause: ProvisionalCause) -> E {
    E::ProvisionalEnded { cause, bill: Box::new(bill(800, 200)) }
}

fn stop(pile_online: bool) -> E {
    E::StopAsked { by: StopBy::Driver, pile_online }
}

fn fault(code: &str) -> E {
    E::FaultReported { code: Some(code.to_owned()) }
}

fn captured(paid: i64, debt: i64) -> E {
    E::Captured { paid: Fen(paid), released: Fen(5_000 - paid), debt: Fen(debt) }
}

/// The events of the table's columns, in order.
fn columns() -> Vec<(&'static str, E)> {
    vec![
        ("FRZ", E::Frozen { amount: Fen(5_000) }),
        ("EVI", E::EvidenceSeen { at: ts("08:01:00"), start_soc: None }),
        ("REJ", E::StartRejected { code: Some("17".to_owned()) }),
        ("DDL", E::StartDeadlinePassed),
        ("SON", stop(true)),
        ("SOF", stop(false)),
        ("SAC", E::StopAccepted),
        ("SUN", E::StopUnanswered),
        ("FLT", fault("E106")),
        ("REC", record(StopReason::Full)),
        ("PRV", provisional(ProvisionalCause::Silence)),
        ("HLD", held()),
        ("APP", E::Approved { by: risk_officer() }),
        ("RJT", E::Rejected { by: Some(risk_officer()) }),
        ("CAP", captured(1_000, 0)),
        ("COR", correction(200, 0)),
        ("GSE", E::GhostSeen { at: ts("08:05:00") }),
        ("GST", E::GhostSettled { bill: Box::new(bill(800, 200)) }),
        ("REP", E::Repaid { amount: Fen(100) }),
        ("WOF", E::WrittenOff { amount: Fen(100) }),
        ("RFD", E::Refunded { amount: Fen(100) }),
    ]
}

fn held() -> E {
    E::HeldForReview { reason: "large_order".to_owned() }
}

/// How an order comes into the state of a row.
fn road(row: &str) -> Vec<E> {
    let frozen = E::Frozen { amount: Fen(5_000) };
    let evidence = E::EvidenceSeen { at: ts("08:01:00"), start_soc: None };
    let full = || record(StopReason::Full);
    let lost = || provisional(ProvisionalCause::Silence);
    let approved = E::Approved { by: risk_officer() };
    let rejected = E::Rejected { by: Some(risk_officer()) };
    match row {
        "placed" => vec![],
        "starting" => vec![frozen],
        "charging" => vec![frozen, evidence],
        "charging stop-pending" => vec![frozen, evidence, stop(false)],
        "stopping" => vec![frozen, evidence, stop(true)],
        "stopping faulted" => vec![frozen, evidence, fault("E1")],
        "settling" => vec![frozen, evidence, full()],
        "settling approved" => vec![frozen, evidence, full(), held(), approved],
        "held" => vec![frozen, evidence, full(), held()],
        "held provisional" => vec![frozen, evidence, lost(), held()],
        "closed" => vec![frozen, evidence, full(), captured(1_000, 0)],
        "closed owing" => vec![frozen, evidence, full(), captured(900, 100)],
        "exception" => vec![frozen, evidence, record(StopReason::Bms), captured(1_000, 0)],
        "exception provisional" => vec![frozen, evidence, lost(), captured(1_000, 0)],
        "exception rejected" => vec![frozen, evidence, full(), held(), rejected],
        "start-failed" => vec![frozen, E::StartDeadlinePassed],
        "start-failed ghost" => vec![frozen, E::StartDeadlinePassed, E::GhostSeen { at: ts("08:05:00") }],
        "canceled" => vec![frozen, stop(true)],
        "canceled ghost settled" => {
            vec![frozen, stop(true), E::GhostSettled { bill: Box::new(bill(1, 1)) }]
        }
        _ => panic!("no road to {row}"),
    }
}

fn letter(status: S) -> char {
    match status {
        S::Placed => 'P',
        S::Starting => 'S',
        S::Charging => 'C',
        S::Stopping => 'X',
        S::Settling => 'T',
        S::Held => 'H',
        S::Closed => 'Z',
        S::ExceptionClosed => 'E',
        S::StartFailed => 'F',
        S::Canceled => 'N',
    }
}

fn walk(events: &[E]) -> Order {
    let mut order = new_order("1001");
    for event in events {
        let row = order.apply(event, ts("08:02:00"));
        assert_eq!(row.outcome, Outcome::Applied, "{event} on the road");
    }
    order
}

/// A letter: applied, and the status afterwards (P S C X=STOPPING T=SETTLING H Z=CLOSED E F N=CANCELED); a dot: ignored.
const TABLE: &str = "
                       | FRZ EVI REJ DDL SON SOF SAC SUN FLT REC PRV HLD APP RJT CAP COR GSE GST REP WOF RFD
placed                 |  S   .   .   .   N   N   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .
starting               |  .   C   F   F   N   N   .   .   .   T   .   .   .   .   .   .   .   .   .   .   .
charging               |  .   .   .   .   X   C   .   .   X   T   T   .   .   .   .   .   .   .   .   .   .
charging stop-pending  |  .   .   .   .   .   .   X   .   X   T   T   .   .   .   .   .   .   .   .   .   .
stopping               |  .   .   .   .   .   .   .   C   X   T   T   .   .   .   .   .   .   .   .   .   .
stopping faulted       |  .   .   .   .   .   .   .   .   .   T   T   .   .   .   .   .   .   .   .   .   .
settling               |  .   .   .   .   .   .   .   .   .   .   .   H   .   .   Z   .   .   .   .   .   .
settling approved      |  .   .   .   .   .   .   .   .   .   .   .   .   .   .   Z   .   .   .   .   .   .
held                   |  .   .   .   .   .   .   .   .   .   .   .   .   T   E   .   .   .   .   .   .   .
held provisional       |  .   .   .   .   .   .   .   .   .   .   .   .   T   E   .   H   .   .   .   .   .
closed                 |  .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   Z
closed owing           |  .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   Z   Z   Z
exception              |  .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   E
exception provisional  |  .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   E   .   .   .   .   E
exception rejected     |  .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .
start-failed           |  .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   F   F   .   .   .
start-failed ghost     |  .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   F   .   .   .
canceled               |  .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   N   N   .   .   .
canceled ghost settled |  .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .
";

#[test]
fn every_event_does_in_every_status_what_the_table_says() {
    let mut lines = TABLE.trim_start_matches('\n').lines();
    let names: Vec<&str> = lines.next().unwrap().split('|').nth(1).unwrap().split_whitespace().collect();
    let columns = columns();
    assert_eq!(names, columns.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    let mut statuses = std::collections::BTreeSet::new();
    for line in lines {
        let (row, cells) = line.split_once('|').unwrap();
        let before = walk(&road(row.trim()));
        statuses.insert(letter(before.status));
        let cells: Vec<&str> = cells.split_whitespace().collect();
        assert_eq!(cells.len(), columns.len(), "{row}");
        for (cell, (name, event)) in cells.iter().zip(&columns) {
            let mut after = before.clone();
            let told = after.apply(event, ts("08:30:00"));
            assert_eq!(before.accepts(event), told.outcome == Outcome::Applied);
            assert_eq!((told.from, told.to, told.at), (before.status, after.status, ts("08:30:00")), "{row} {name}");
            if *cell == "." {
                assert_eq!(told.outcome, Outcome::Ignored, "{row} {name}");
                assert_eq!(after, before, "an ignored event changes nothing: {row} {name}");
            } else {
                assert_eq!(told.outcome, Outcome::Applied, "{row} {name}");
                assert_eq!(letter(after.status).to_string(), *cell, "{row} {name}");
                assert_eq!(after.rev, before.rev + 1, "{row} {name}");
                assert_ne!(after, Order { rev: after.rev, ..before.clone() }, "{row} {name} changes something");
            }
        }
    }
    assert_eq!(statuses.len(), 10, "every status has a row");
}

#[test]
fn every_stop_reason_closes_as_the_contract_says_and_takes_the_money_alike() {
    for reason in StopReason::ALL {
        let order = walk(&[
            E::Frozen { amount: Fen(5_000) },
            E::EvidenceSeen { at: ts("08:01:00"), start_soc: None },
            record(reason),
            captured(1_000, 0),
        ]);
        let expected = if [3, 7, 8, 10].contains(&reason.code()) { S::ExceptionClosed } else { S::Closed };
        assert_eq!(order.status, expected, "{reason:?}");
        assert_eq!((order.paid_fen, order.released_fen, order.debt_fen), (Fen(1_000), Fen(4_000), Fen(0)));
        assert_eq!((order.stop_reason, order.payment_status), (Some(reason), PaymentStatus::Paid));
    }
}

#[test]
fn a_record_cannot_talk_a_reported_fault_away() {
    let mut events = road("stopping faulted");
    events.extend([record(StopReason::User), captured(1_000, 0)]);
    let order = walk(&events);
    assert_eq!(order.status, S::ExceptionClosed);
    assert_eq!((order.stop_reason, order.fault_code.as_deref()), (Some(StopReason::Fault), Some("E1")));
}

#[test]
fn a_fault_without_a_code_takes_the_code_of_the_record() {
    let mut events = road("charging");
    let mut said = facts(StopReason::Other);
    said.fault_code = Some("E9".to_owned());
    events.push(E::FaultReported { code: None });
    events.push(E::RecordReceived { facts: said, bill: Box::new(bill(800, 200)) });
    let order = walk(&events);
    assert_eq!((order.stop_reason, order.fault_code.as_deref()), (Some(StopReason::Fault), Some("E9")));
}

#[test]
fn a_fault_while_a_stop_waits_ends_the_waiting() {
    let mut order = walk(&road("charging stop-pending"));
    assert!(order.stop_pending);
    order.apply(&fault("E1"), ts("08:10:00"));
    assert!(!order.stop_pending);
    assert_eq!(order.status, S::Stopping);
}

#[test]
fn an_unanswered_stop_waits_again_and_is_taken_later() {
    let mut order = walk(&road("stopping"));
    order.apply(&E::StopUnanswered, ts("08:10:00"));
    assert_eq!((order.status, order.stop_pending), (S::Charging, true));
    order.apply(&E::StopAccepted, ts("08:11:00"));
    assert_eq!((order.status, order.stop_pending), (S::Stopping, false));
}

#[test]
fn a_failed_start_gives_everything_back() {
    for event in [E::StartDeadlinePassed, E::StartRejected { code: None }, stop(true), stop(false)] {
        let mut order = walk(&road("starting"));
        assert_eq!(order.payment_status, PaymentStatus::Frozen);
        order.apply(&event, ts("08:10:00"));
        assert_eq!(
            (order.released_fen, order.paid_fen, order.payment_status),
            (Fen(5_000), Fen(0), PaymentStatus::None)
        );
        assert!(order.bill.is_none());
    }
}

#[test]
fn a_correction_keeps_the_status_and_shows_the_differences() {
    let mut order = walk(&road("exception provisional"));
    assert!(order.provisional);
    order.apply(&correction(0, 200), ts("12:00:00"));
    assert_eq!((order.status, order.provisional), (S::ExceptionClosed, false));
    assert_eq!((order.paid_fen, order.debt_fen), (Fen(1_000), Fen(200)));
    assert_eq!(order.payment_status, PaymentStatus::Unpaid);
    assert_eq!(order.bill.as_ref().unwrap().total_fen, Fen(1_200));
    let difference = order.corrections.first().unwrap();
    assert_eq!(
        (difference.electricity_fen, difference.service_fen, difference.total_fen),
        (Fen(100), Fen(100), Fen(200))
    );
    assert_eq!(order.stop_reason, Some(StopReason::Full), "silence knew no reason, the record does");
    order.apply(&E::Repaid { amount: Fen(200) }, ts("13:00:00"));
    assert_eq!((order.paid_fen, order.debt_fen, order.payment_status), (Fen(1_200), Fen(0), PaymentStatus::Paid));
}

#[test]
fn a_repayment_of_more_than_is_owed_or_of_nothing_is_ignored() {
    for amount in [101, 0, -1] {
        let mut order = walk(&road("closed owing"));
        assert_eq!(order.apply(&E::Repaid { amount: Fen(amount) }, ts("13:00:00")).outcome, Outcome::Ignored);
    }
}

#[test]
fn history_rows_name_the_event_in_upper_snake_with_its_detail() {
    let told: Vec<String> = columns().into_iter().map(|(_, event)| event.to_string()).collect();
    let expected = [
        "FROZEN fen=5000",
        "EVIDENCE_SEEN at=2026-03-10T08:01:00.000Z",
        "START_REJECTED code=17",
        "START_DEADLINE_PASSED",
        "STOP_ASKED by=DRIVER online=true",
        "STOP_ASKED by=DRIVER online=false",
        "STOP_ACCEPTED",
        "STOP_UNANSWERED",
        "FAULT_REPORTED code=E106",
        "RECORD_RECEIVED stopReason=2 wh=100000 fen=1000",
        "PROVISIONAL_ENDED cause=SILENCE wh=100000 fen=1000",
        "HELD_FOR_REVIEW reason=large_order",
        "APPROVED by=risk1",
        "REJECTED by=risk1",
        "CAPTURED paid=1000 released=4000 debt=0",
        "CORRECTION_MADE wh=100000 fen=1200 paid=+200 debt=+0",
        "GHOST_SEEN at=2026-03-10T08:05:00.000Z",
        "GHOST_SETTLED wh=100000 fen=1000",
        "REPAID fen=100",
        "WRITTEN_OFF fen=100",
        "REFUNDED fen=100",
    ];
    assert_eq!(told, expected);
}
