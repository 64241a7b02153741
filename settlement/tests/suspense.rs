//! The life of money in suspense, as a table: every event in every state, and who may say so.
#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used, reason = "tests fail loudly")]

use domain::{Fen, Timestamp, UserId};
use settlement::suspense::{
    Destination, SuspendedMoney, Suspense, SuspenseCause, SuspenseError, SuspenseEvent, SuspenseState,
};

fn at(s: i64) -> Timestamp {
    Timestamp::from_millis(1_763_690_000_000 + s * 1_000).unwrap()
}

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn new() -> Suspense {
    let money = SuspendedMoney {
        channel: "wechat".to_owned(),
        transaction_id: "T1".to_owned(),
        payment_no: "Y404".to_owned(),
        amount: Fen(500),
        paid_at: None,
    };
    Suspense::new("wechat-T1".to_owned(), SuspenseCause::UnknownPayment, money, at(0))
}

fn resolve(to: Destination, by: &str) -> SuspenseEvent {
    SuspenseEvent::Resolve { to, by: user(by), reason: "found".to_owned() }
}

fn approve(by: &str) -> SuspenseEvent {
    SuspenseEvent::Approve { by: user(by), refund_no: "R1".to_owned() }
}

fn to_anna() -> Destination {
    Destination::Driver { sub: user("anna") }
}

fn step(suspense: &Suspense, event: SuspenseEvent) -> Suspense {
    let next = suspense.apply(event, at(1)).unwrap().unwrap();
    assert_eq!((next.rev, next.amount), (suspense.rev + 1, suspense.amount));
    next
}

#[test]
fn every_event_has_its_outcome_in_every_state() {
    use SuspenseState::{Approved, Open, Requested, Resolved, Returning};
    let open = new();
    let to_driver = step(&open, resolve(to_anna(), "fiona"));
    let to_channel = step(&open, resolve(Destination::Channel, "fiona"));
    let approved = step(&to_driver, approve("frank"));
    let returning = step(&to_channel, approve("frank"));
    let resolved = step(&approved, SuspenseEvent::Received);
    let cases = [
        (&open, [Some(Requested), None, None, None, None]),
        (&to_driver, [Some(Requested), Some(Approved), None, None, None]),
        (&to_channel, [Some(Requested), Some(Returning), None, None, None]),
        (&approved, [None, None, Some(Resolved), None, None]),
        (&returning, [None, None, None, Some(Resolved), Some(Open)]),
        (&resolved, [None, None, Some(Resolved), Some(Resolved), None]),
    ];
    for (suspense, expected) in cases {
        let events = [
            resolve(to_anna(), "fiona"),
            approve("frank"),
            SuspenseEvent::Received,
            SuspenseEvent::SentBack,
            SuspenseEvent::NotTaken,
        ];
        for (event, expected) in events.into_iter().zip(expected) {
            let next = suspense.apply(event.clone(), at(1)).map(|next| next.unwrap_or_else(|| suspense.clone()));
            assert_eq!(next.ok().map(|next| next.state), expected, "{event:?} of {:?}", suspense.state);
        }
    }
}

#[test]
fn the_one_who_says_where_it_belongs_does_not_agree_to_it() {
    let asked = step(&new(), resolve(to_anna(), "fiona"));
    assert_eq!(asked.apply(approve("fiona"), at(1)), Err(SuspenseError::SamePerson(user("fiona"))));
    let anew = step(&asked, resolve(Destination::Channel, "frank"));
    assert_eq!(anew.apply(approve("frank"), at(1)), Err(SuspenseError::SamePerson(user("frank"))));
    let agreed = step(&anew, approve("fiona"));
    let resolution = agreed.resolution.unwrap();
    assert_eq!((resolution.by, resolution.approved_by), (user("frank"), Some(user("fiona"))));
    assert_eq!(agreed.refund_no.as_deref(), Some("R1"));
}

#[test]
fn approved_money_is_due_at_once_and_what_the_channel_does_not_take_is_open_again() {
    let approved = step(&step(&new(), resolve(to_anna(), "fiona")), approve("frank"));
    assert_eq!(approved.due, Some(at(1)));
    let returning = step(&step(&new(), resolve(Destination::Channel, "fiona")), approve("frank"));
    let open = step(&returning, SuspenseEvent::NotTaken);
    assert_eq!((open.state, open.resolution, open.refund_no, open.returns), (SuspenseState::Open, None, None, 1));
}

#[test]
fn money_that_came_twice_begins_on_its_way_back() {
    let twice = new().going_back(user("hub"), "R9".to_owned());
    assert_eq!((twice.rev, twice.state, twice.returns), (1, SuspenseState::Returning, 1));
    assert_eq!(step(&twice, SuspenseEvent::SentBack).state, SuspenseState::Resolved);
}

#[test]
fn age_counts_whole_days() {
    let days = |s: i64| new().age_days(at(s));
    assert_eq!([days(0), days(86_399), days(86_400), days(10 * 86_400)], [0, 0, 1, 10]);
}
