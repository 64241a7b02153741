//! The life of a refund, as a table: every event in every state, what moves, and when it is looked at again.
#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used, reason = "tests fail loudly")]

use domain::{Fen, Millis, Timestamp, UserId};
use settlement::{
    ledger::LedgerOp,
    limits::REFUND_ASKS_MAX,
    refund::{
        Refund, RefundDecision, RefundError, RefundEvent, RefundOutcome, RefundRules, RefundSaid, RefundSource,
        RefundState, RefundTask, refundable,
    },
};

const RULES: RefundRules = RefundRules { retry: Millis::from_secs(60), tries_max: 3 };

fn at(s: i64) -> Timestamp {
    Timestamp::from_millis(1_763_690_000_000 + s * 1_000).unwrap()
}

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn refund(state: RefundState, covered: bool) -> Refund {
    Refund {
        refund_no: "R1".to_owned(),
        rev: 7,
        state,
        covered,
        source: RefundSource::Wallet { user_id: user("anna") },
        channel: "wechat".to_owned(),
        payment_no: "Y1".to_owned(),
        transaction_id: "T1".to_owned(),
        paid: Fen(1_000),
        amount: Fen(400),
        reason: "unused".to_owned(),
        by: user("anna"),
        requested_at: at(0),
        updated_at: at(0),
        due: Some(at(0)),
        tries: 0,
        asks: 0,
        channel_refund_id: None,
        last_words: None,
        decision: None,
    }
}

fn decide(by: &str, outcome: RefundOutcome) -> RefundEvent {
    RefundEvent::Decide(RefundDecision { by: user(by), outcome, reason: "seen".to_owned(), at: at(1) })
}

/// What a step came to, in one word: the state with what moves, `-` for nothing new, or why not.
fn outcome(refund: &Refund, event: RefundEvent) -> String {
    match refund.apply(event, &RULES, at(1)) {
        Ok(None) => "-".to_owned(),
        Ok(Some(step)) => {
            assert_eq!(step.refund.rev, refund.rev + 1);
            assert_eq!((step.refund.amount, step.refund.refund_no.as_str()), (refund.amount, "R1"));
            let op = step.op.map(|op| op.name().split(':').next().unwrap().to_owned());
            format!("{}{}", step.refund.state.as_str(), op.map(|op| format!("+{op}")).unwrap_or_default())
        }
        Err(RefundError::IllegalState(_)) => "illegal".to_owned(),
        Err(RefundError::SamePerson(_)) => "same".to_owned(),
        Err(RefundError::PaidAfterReturn) => "odd".to_owned(),
    }
}

#[test]
fn every_event_has_its_outcome_in_every_state() {
    use RefundState::{Failed, Manual, Refused, Requested, Returned, Sent, Success};
    let said = RefundEvent::Said;
    let states = [
        (Requested, false),
        (Requested, true),
        (Sent, true),
        (Failed, true),
        (Manual, true),
        (Success, true),
        (Returned, true),
        (Refused, false),
    ];
    let why = || "no".to_owned();
    let good = RefundSaid::Success { channel_refund_id: Some("50".to_owned()) };
    #[rustfmt::skip]
    let table: [(RefundEvent, [&str; 8]); 10] = [
        //                                        REQUESTED            covered              SENT                 FAILED               MANUAL                  SUCCESS    RETURNED   REFUSED
        (RefundEvent::Cover,                      ["REQUESTED+withdraw", "illegal",          "illegal",           "illegal",           "illegal",              "illegal", "illegal", "illegal"]),
        (RefundEvent::NotCovered { why: why() },  ["REFUSED",          "illegal",            "illegal",           "illegal",           "illegal",              "illegal", "illegal", "illegal"]),
        (RefundEvent::Send,                       ["illegal",          "SENT",               "SENT",              "SENT",              "illegal",              "illegal", "illegal", "illegal"]),
        (said(good),                              ["odd",              "SUCCESS+withdrawn",  "SUCCESS+withdrawn", "SUCCESS+withdrawn", "SUCCESS+withdrawn",    "-",       "odd",     "odd"]),
        (said(RefundSaid::Processing),            ["-",                "-",                  "SENT",              "-",                 "-",                    "-",       "-",       "-"]),
        (said(RefundSaid::Failed { why: why() }), ["-",                "-",                  "FAILED",            "-",                 "-",                    "-",       "-",       "-"]),
        (said(RefundSaid::Unknown { why: why() }),["-",                "-",                  "SENT",              "-",                 "-",                    "-",       "-",       "-"]),
        (decide("fiona", RefundOutcome::Paid),    ["illegal",          "illegal",            "illegal",           "SUCCESS+withdrawn", "SUCCESS+withdrawn",    "illegal", "illegal", "illegal"]),
        (decide("fiona", RefundOutcome::Back),    ["illegal",          "illegal",            "illegal",           "RETURNED+withdraw-back", "RETURNED+withdraw-back", "illegal", "illegal", "illegal"]),
        (decide("anna", RefundOutcome::Back),     ["illegal",          "illegal",            "illegal",           "same",              "same",                 "illegal", "illegal", "illegal"]),
    ];
    for (event, row) in table {
        for ((state, covered), expected) in states.into_iter().zip(row) {
            let found = outcome(&refund(state, covered), event.clone());
            assert_eq!(found, expected, "{event:?} of one that is {state:?}, covered {covered}");
        }
    }
}

#[test]
fn money_from_suspense_moves_only_when_the_channel_has_it() {
    let source = RefundSource::Suspense { item: "wechat-T1".to_owned() };
    let begin = Refund { source, ..refund(RefundState::Requested, false) };
    let covered = begin.apply(RefundEvent::Cover, &RULES, at(1)).unwrap().unwrap();
    assert_eq!(covered.op, None);
    let sent = covered.refund.apply(RefundEvent::Send, &RULES, at(1)).unwrap().unwrap().refund;
    let good = RefundSaid::Success { channel_refund_id: None };
    let done = sent.apply(RefundEvent::Said(good), &RULES, at(1)).unwrap().unwrap();
    assert_eq!(done.op, Some(LedgerOp::SendBack { item: "wechat-T1".to_owned() }));
    let manual = Refund { state: RefundState::Manual, ..sent };
    let back = manual.apply(decide("fiona", RefundOutcome::Back), &RULES, at(1)).unwrap().unwrap();
    assert_eq!((back.refund.state, back.op), (RefundState::Returned, None));
}

#[test]
fn refusals_are_tried_again_later_and_later_until_a_person_must_decide() {
    let mut now = refund(RefundState::Requested, true);
    let mut waits = Vec::new();
    while now.state != RefundState::Manual {
        now = now.apply(RefundEvent::Send, &RULES, at(0)).unwrap().unwrap().refund;
        let no = RefundEvent::Said(RefundSaid::Failed { why: "NOT_ENOUGH".to_owned() });
        now = now.apply(no, &RULES, at(0)).unwrap().unwrap().refund;
        waits.push(now.due.map(|due| due.since(at(0)).as_secs()));
    }
    assert_eq!(waits, [Some(60), Some(300), None]);
    assert_eq!((now.tries, now.last_words.as_deref()), (3, Some("NOT_ENOUGH")));
}

#[test]
fn an_unclear_sending_is_asked_about_and_in_the_end_a_person_must_decide() {
    let mut now = refund(RefundState::Requested, true).apply(RefundEvent::Send, &RULES, at(0)).unwrap().unwrap().refund;
    assert_eq!((now.task(), now.due), (RefundTask::Ask, Some(at(5))), "a hub that dies over the call asks first");
    let mut asked = 0;
    while now.state == RefundState::Sent {
        let unclear = RefundEvent::Said(RefundSaid::Unknown { why: "no answer".to_owned() });
        now = now.apply(unclear, &RULES, at(0)).unwrap().unwrap().refund;
        asked += 1;
        assert!(asked <= REFUND_ASKS_MAX, "it ends");
    }
    assert_eq!((now.state, now.due), (RefundState::Manual, None));
}

#[test]
fn what_is_to_be_done_follows_from_the_state_alone() {
    for (state, covered, task) in [
        (RefundState::Requested, false, RefundTask::Cover),
        (RefundState::Requested, true, RefundTask::Send),
        (RefundState::Sent, true, RefundTask::Ask),
        (RefundState::Failed, true, RefundTask::Send),
        (RefundState::Manual, true, RefundTask::Rest),
        (RefundState::Success, true, RefundTask::Rest),
        (RefundState::Returned, true, RefundTask::Rest),
        (RefundState::Refused, false, RefundTask::Rest),
    ] {
        assert_eq!(refund(state, covered).task(), task, "{state:?}");
    }
}

#[test]
fn refunds_never_sum_to_more_than_was_paid() {
    let of = |fen: i64, state: RefundState| Refund { amount: Fen(fen), ..refund(state, true) };
    let refunds = [
        of(400, RefundState::Success),
        of(300, RefundState::Manual),
        of(900, RefundState::Returned),
        of(900, RefundState::Refused),
    ];
    assert_eq!(refundable(Fen(1_000), &refunds), Some(Fen(300)));
    assert_eq!(refundable(Fen(700), &refunds), Some(Fen(0)));
    assert_eq!(refundable(Fen(699), &refunds), None);
    assert_eq!(refundable(Fen(1_000), []), Some(Fen(1_000)));
}
