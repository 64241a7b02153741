//! Reconciliation, rule by rule: which facts lead to which items, what a repeated run does, when a day can be closed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests fail loudly")]

use std::collections::{BTreeMap, BTreeSet};

use domain::{ConnectorId, Fen, OrderNo, PileCode, Timestamp, UserId, WattHours};
use settlement::reconcile::{
    BillLine, ChannelFile, CloseRefusal, Day, DayBook, Decision, EnergySums, Figures, Finding, FundsFound, FundsInput,
    Item, ItemRefusal, ItemState, LineKind, Metered, Movement, Register, Registers, Run, Verdict, differs,
    match_energy, match_funds, merge, meter_abnormal,
};

fn day() -> Day {
    "2026-11-20".parse().unwrap()
}

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn at(minute: i64) -> Timestamp {
    Timestamp::from_millis(1_795_104_000_000 + minute * 60_000).unwrap()
}

fn pay(no: &str, transaction: &str, fen: i64) -> BillLine {
    BillLine {
        kind: LineKind::Pay,
        payment_no: no.to_owned(),
        refund_no: String::new(),
        transaction_id: transaction.to_owned(),
        amount_fen: Fen(fen),
        at: at(1),
    }
}

/// A payment that was credited this day.
fn paid(no: &str, transaction: &str, fen: i64) -> Movement {
    Movement {
        kind: LineKind::Pay,
        channel: "wechat".to_owned(),
        payment_no: no.to_owned(),
        refund_no: String::new(),
        transaction_id: Some(transaction.to_owned()),
        user_id: user("anna"),
        amount: Fen(fen),
        done: true,
        in_day: true,
        op: format!("topup:{no}"),
        posted: Some(Fen(fen)),
    }
}

fn refunded(no: &str, fen: i64) -> Movement {
    Movement {
        kind: LineKind::Refund,
        refund_no: no.to_owned(),
        op: format!("withdrawn:{no}"),
        ..paid("P1", "T1", fen)
    }
}

#[derive(Default)]
struct Facts {
    today: Vec<BillLine>,
    before: Vec<BillLine>,
    after: Vec<BillLine>,
    movements: Vec<Movement>,
    carried: Vec<Item>,
    no_file: bool,
}

impl Facts {
    fn run(&self) -> FundsFound {
        fn file(lines: &[BillLine]) -> [ChannelFile<'_>; 1] {
            [ChannelFile { channel: "wechat", lines }]
        }
        let (today, before, after) = (file(&self.today), file(&self.before), file(&self.after));
        match_funds(&FundsInput {
            files: if self.no_file { &[] } else { &today },
            files_before: &before,
            files_after: &after,
            movements: &self.movements,
            carried: &self.carried.iter().collect::<Vec<_>>(),
        })
    }

    fn items(&self) -> Vec<String> {
        let found = self.run();
        found.findings.iter().map(|finding| finding.id(day()).replace("2026-11-20:", "")).collect()
    }
}

#[test]
fn each_difference_of_funds_has_its_kind() {
    let line = || vec![pay("P1", "T1", 100)];
    type Row = (&'static str, Vec<BillLine>, Vec<Movement>, &'static [&'static str]);
    let table: [Row; 18] = [
        ("agree", line(), vec![paid("P1", "T1", 100)], &[]),
        ("nothing at all", vec![], vec![], &[]),
        ("unknown to the hub", line(), vec![], &["LONG:PAY:P1"]),
        (
            "not credited",
            line(),
            vec![Movement { done: false, in_day: false, posted: None, ..paid("P1", "T1", 100) }],
            &["LONG:PAY:P1"],
        ),
        ("no line", vec![], vec![paid("P1", "T1", 100)], &["SHORT:PAY:P1"]),
        ("no line, other day", vec![], vec![Movement { in_day: false, ..paid("P1", "T1", 100) }], &[]),
        ("other sum", vec![pay("P1", "T1", 101)], vec![paid("P1", "T1", 100)], &["AMOUNT_DIFF:PAY:P1"]),
        ("other transaction", vec![pay("P1", "T2", 100)], vec![paid("P1", "T1", 100)], &["TRANSACTION_DIFF:PAY:P1"]),
        ("transaction not told", line(), vec![Movement { transaction_id: None, ..paid("P1", "T1", 100) }], &[]),
        ("not in the books", line(), vec![Movement { posted: None, ..paid("P1", "T1", 100) }], &["LEDGER_DIFF:PAY:P1"]),
        (
            "other sum in the books",
            line(),
            vec![Movement { posted: Some(Fen(99)), ..paid("P1", "T1", 100) }],
            &["LEDGER_DIFF:PAY:P1"],
        ),
        (
            "in the books, not credited",
            vec![],
            vec![Movement { done: false, in_day: false, ..paid("P1", "T1", 100) }],
            &["LEDGER_DIFF:PAY:P1"],
        ),
        (
            "paid twice",
            vec![pay("P1", "T0", 100), pay("P1", "T1", 100)],
            vec![paid("P1", "T1", 100)],
            &["DUPLICATE:PAY:P1:T0:1"],
        ),
        (
            "told twice",
            vec![pay("P1", "T1", 100), pay("P1", "T1", 100)],
            vec![paid("P1", "T1", 100)],
            &["DUPLICATE:PAY:P1:T1:2"],
        ),
        (
            "other channel",
            line(),
            vec![Movement { channel: "alipay".to_owned(), ..paid("P1", "T1", 100) }],
            &["LONG:PAY:P1"],
        ),
        ("refund without line", vec![], vec![refunded("R1", 50)], &["SHORT:REFUND:R1"]),
        (
            "refund not in the books",
            vec![BillLine { kind: LineKind::Refund, refund_no: "R1".to_owned(), ..pay("P1", "T1", 50) }],
            vec![Movement { posted: None, ..refunded("R1", 50) }],
            &["LEDGER_DIFF:REFUND:R1"],
        ),
        (
            "refund nobody asked for",
            vec![BillLine { kind: LineKind::Refund, refund_no: "R 9".to_owned(), ..pay("P1", "T1", 50) }],
            vec![],
            &["LONG:REFUND:R~209"],
        ),
    ];
    for (what, today, movements, expected) in table {
        assert_eq!(Facts { today, movements, ..Facts::default() }.items(), expected, "{what}");
    }
}

#[test]
fn without_a_bill_nothing_is_short_and_the_books_are_looked_at_all_the_same() {
    let movements = vec![paid("P1", "T1", 100), Movement { posted: None, ..paid("P2", "T2", 100) }];
    let facts = Facts { movements, no_file: true, ..Facts::default() };
    assert_eq!(facts.items(), ["LEDGER_DIFF:PAY:P2"]);
    let sums = facts.run().channels["wechat"];
    assert!(!sums.billed && sums.hub_paid.count == 2 && sums.hub_paid.fen == Fen(200));
}

#[test]
fn a_payment_at_midnight_matches_the_line_of_the_neighbouring_day() {
    let movements = vec![paid("P1", "T1", 100)];
    let line = vec![pay("P1", "T1", 100)];
    assert_eq!(Facts { before: line.clone(), movements: movements.clone(), ..Facts::default() }.items(), [""; 0]);
    assert_eq!(Facts { after: line.clone(), movements, ..Facts::default() }.items(), [""; 0]);
    let other_day = vec![Movement { in_day: false, ..paid("P1", "T1", 100) }];
    assert_eq!(Facts { today: line.clone(), movements: other_day.clone(), ..Facts::default() }.items(), [""; 0]);
    let twice = Facts { today: line.clone(), before: line, movements: other_day, ..Facts::default() };
    assert_eq!(twice.items(), ["DUPLICATE:PAY:P1:T1:1"], "the line of the day before was the first");
}

fn earlier(facts: &Facts) -> Vec<Item> {
    let findings = facts.run().findings;
    findings.iter().map(|finding| Item::new(finding, day().before(), day().before(), at(0))).collect()
}

#[test]
fn a_line_or_a_payment_of_a_later_day_closes_what_was_open() {
    let short = earlier(&Facts { movements: vec![paid("P1", "T1", 100)], ..Facts::default() });
    let facts = Facts {
        today: vec![pay("P1", "T1", 100)],
        movements: vec![Movement { in_day: false, ..paid("P1", "T1", 100) }],
        carried: short,
        ..Facts::default()
    };
    assert_eq!(
        (facts.items().len(), facts.run().matched.into_iter().collect::<Vec<_>>()),
        (0, vec!["2026-11-19:SHORT:PAY:P1".to_owned()])
    );

    let long = earlier(&Facts { today: vec![pay("P1", "T1", 100)], ..Facts::default() });
    let facts = Facts { movements: vec![paid("P1", "T1", 100)], carried: long.clone(), ..Facts::default() };
    assert_eq!(facts.items(), [""; 0], "its line was the one of the open item");
    assert!(facts.run().matched.contains("2026-11-19:LONG:PAY:P1"));

    let facts = Facts { movements: vec![paid("P1", "T1", 90)], carried: long.clone(), ..Facts::default() };
    assert_eq!(facts.items(), ["AMOUNT_DIFF:PAY:P1"], "credited with another sum");
    let facts = Facts { carried: long, ..Facts::default() };
    assert!(facts.run().matched.is_empty());
}

fn order(no: &str, billed: i64, meters: Option<(i64, i64)>) -> Metered {
    Metered {
        order_no: OrderNo::parse(no).unwrap(),
        user_id: user("anna"),
        pile_code: PileCode::parse("P1").unwrap(),
        connector_id: ConnectorId(1),
        ended_at: at(no.bytes().map(i64::from).sum()),
        billed: WattHours(billed),
        meter_start: meters.map(|meters| WattHours(meters.0)),
        meter_end: meters.map(|meters| WattHours(meters.1)),
        provisional: false,
    }
}

fn energy(orders: &[Metered], before: Option<i64>) -> Vec<String> {
    let last =
        |wh| Register { wh: WattHours(wh), order_no: OrderNo::parse("Z").unwrap(), unmetered_wh: WattHours::ZERO };
    let key = (PileCode::parse("P1").unwrap(), ConnectorId(1));
    let before: Registers = before.map(|wh| (key, last(wh))).into_iter().collect();
    let found = match_energy(orders, &before).findings;
    found.iter().map(|finding| finding.id(day()).replace("2026-11-20:", "")).collect()
}

#[test]
fn energy_differs_beyond_one_percent_and_a_hundred_watt_hours() {
    for (billed, metered, expected) in [
        (10_000, 10_000, false),
        (10_100, 10_000, false),
        (10_101, 10_000, true),
        (9_899, 10_000, true),
        (9_900, 10_000, false),
        (600, 500, false),
        (601, 500, true),
        (0, 100, false),
        (0, 101, true),
        (101, 0, true),
        (1_010_000, 1_000_000, false),
        (1_010_001, 1_000_000, true),
        (i64::MAX, i64::MIN, true),
        (i64::MIN, i64::MAX, true),
    ] {
        assert_eq!(differs(WattHours(billed), WattHours(metered)), expected, "{billed} against {metered}");
    }
}

#[test]
fn each_difference_of_energy_has_its_kind() {
    let none: &[&str] = &[];
    assert_eq!(energy(&[order("A", 10_000, Some((500, 10_500)))], Some(500)), none);
    assert_eq!(energy(&[order("A", 10_200, Some((500, 10_500)))], None), ["ENERGY_DIFF:A"]);
    assert_eq!(energy(&[order("A", 10_000, Some((500, 499)))], None), ["METER_BACKWARDS:A"]);
    assert_eq!(energy(&[order("A", 10_000, Some((-1, 9_999)))], None), ["METER_BACKWARDS:A"]);
    assert_eq!(energy(&[order("A", 10, Some((i64::MIN, i64::MAX)))], None), ["METER_BACKWARDS:A"]);
    assert_eq!(energy(&[order("A", 10_000, None)], None), ["METER_MISSING:P1"]);
    let half = Metered { meter_end: None, ..order("A", 10_000, Some((500, 0))) };
    assert_eq!(energy(&[half], None), ["METER_MISSING:P1"]);
    let waits = Metered { provisional: true, ..order("A", 10_000, None) };
    assert_eq!(energy(&[waits], None), none, "its record may still come");
    assert_eq!(energy(&[order("A", 1_000, Some((601, 1_601)))], Some(500)), ["METER_GAP:A"]);
    assert_eq!(energy(&[order("A", 1_000, Some((600, 1_600)))], Some(500)), none);
    assert_eq!(energy(&[order("A", 1_000, Some((0, 1_000)))], Some(90_000)), ["METER_BACKWARDS:A:since"]);
    let many: Vec<Metered> = ["A", "B", "C"]
        .into_iter()
        .zip(0..)
        .map(|(no, n)| order(no, 950, Some((n * 1_000, n * 1_000 + 1_000))))
        .collect();
    assert_eq!(energy(&many[..2], None), none, "each is near enough, and so are two");
    assert_eq!(energy(&many, None), ["PILE_ENERGY_DIFF:P1"]);
}

#[test]
fn an_order_without_registers_explains_the_energy_between_its_neighbours() {
    let orders =
        [order("A", 1_000, Some((0, 1_000))), order("B", 20_000, None), order("C", 1_000, Some((21_150, 22_150)))];
    assert_eq!(energy(&orders, None), ["METER_MISSING:P1"], "its bill may be one percent off");
    let more = [orders[0].clone(), orders[1].clone(), order("C", 1_000, Some((21_301, 22_301)))];
    assert_eq!(energy(&more, None), ["METER_GAP:C", "METER_MISSING:P1"]);
}

#[test]
fn a_meter_is_abnormal_at_the_third_marked_day_of_a_week() {
    let marks = |back: &[i64]| back.iter().map(|days| day().plus(-days)).collect::<Vec<_>>();
    for (back, abnormal) in [
        (&[0, 1][..], false),
        (&[0, 1, 2], true),
        (&[0, 3, 6], true),
        (&[0, 3, 7], false),
        (&[0, 0, 0], false),
        (&[-1, 0, 1], false),
        (&[0, 1, 2, 8], true),
    ] {
        assert_eq!(meter_abnormal(&marks(back), day()), abnormal, "{back:?}");
    }
}

// --- what a run does to items

struct Books {
    known: BTreeMap<String, Item>,
}

impl Books {
    fn new() -> Self {
        Self { known: BTreeMap::new() }
    }

    fn run(&mut self, findings: &[Finding], matched: &[&str], books: Day) -> usize {
        let matched: BTreeSet<String> = matched.iter().map(|id| (*id).to_owned()).collect();
        let run =
            Run { of_day: day(), books, findings, matched: &matched, funds_complete: true, energy_complete: true };
        let changed = merge(&self.known, &run, at(5));
        let count = changed.len();
        for item in changed {
            let rev = self.known.get(&item.item_id).map_or(0, |known| known.rev);
            assert_eq!(item.rev, rev + 1, "revisions count by one");
            self.known.insert(item.item_id.clone(), item);
        }
        assert_eq!(merge(&self.known, &run, at(6)), [], "the same run again changes nothing");
        count
    }

    fn state(&self, id: &str) -> ItemState {
        self.known[&format!("2026-11-20:{id}")].state
    }

    fn resolve(&mut self, id: &str) {
        let id = format!("2026-11-20:{id}");
        let word = Decision { verdict: Verdict::WrittenOff, reason: "small".to_owned(), by: user("fay"), at: at(7) };
        let item = self.known[&id].resolve(word.clone()).unwrap();
        assert_eq!(item.resolve(word), Err(ItemRefusal::NotOpen(ItemState::Resolved)));
        self.known.insert(id, item);
    }
}

fn findings(facts: &Facts) -> Vec<Finding> {
    facts.run().findings
}

#[test]
fn a_run_keeps_what_people_decided_and_closes_what_is_gone() {
    let facts = Facts { today: vec![pay("P1", "T1", 100), pay("P2", "T2", 5)], ..Facts::default() };
    let mut books = Books::new();
    assert_eq!(books.run(&findings(&facts), &[], day()), 2);
    books.resolve("LONG:PAY:P1");
    assert_eq!(books.run(&[], &[], day()), 1);
    assert_eq!((books.state("LONG:PAY:P1"), books.state("LONG:PAY:P2")), (ItemState::Resolved, ItemState::Matched));
    assert_eq!(books.run(&findings(&facts), &[], day()), 1, "what was gone is there again");
    assert_eq!((books.state("LONG:PAY:P1"), books.state("LONG:PAY:P2")), (ItemState::Resolved, ItemState::Open));
    let more = Facts { today: vec![pay("P1", "T1", 100), pay("P2", "T2", 6)], ..Facts::default() };
    assert_eq!(books.run(&findings(&more), &[], day()), 1, "the figures of an open item follow");
    assert_eq!(books.known["2026-11-20:LONG:PAY:P2"].about.channel_fen, Some(Fen(6)));
}

#[test]
fn a_run_that_saw_only_a_part_closes_nothing_of_the_rest() {
    let facts = Facts { today: vec![pay("P1", "T1", 100)], ..Facts::default() };
    let mut books = Books::new();
    books.run(&findings(&facts), &[], day());
    let matched = BTreeSet::new();
    let part = Run {
        of_day: day(),
        books: day(),
        findings: &[],
        matched: &matched,
        funds_complete: false,
        energy_complete: true,
    };
    assert_eq!(merge(&books.known, &part, at(5)), []);
}

#[test]
fn what_another_day_matched_is_not_opened_again() {
    let facts = Facts { movements: vec![paid("P1", "T1", 100)], ..Facts::default() };
    let short = findings(&facts);
    let mut books = Books::new();
    books.run(&short, &[], day());
    let id = "2026-11-20:SHORT:PAY:P1".to_owned();
    let matched = BTreeSet::from([id.clone()]);
    let later = Run {
        of_day: day().plus(5),
        books: day().plus(5),
        findings: &[],
        matched: &matched,
        funds_complete: true,
        energy_complete: true,
    };
    let changed = merge(&books.known, &later, at(5));
    assert_eq!((changed.len(), changed[0].state, changed[0].matched_by), (1, ItemState::Matched, Some(day().plus(5))));
    books.known.insert(id, changed[0].clone());
    assert_eq!(merge(&books.known, &later, at(5)), []);
    assert_eq!(books.run(&short, &[], day()), 0);
}

#[test]
fn what_turns_up_about_a_closed_day_is_an_item_of_the_next_open_one() {
    let facts = Facts { today: vec![pay("P1", "T1", 100)], ..Facts::default() };
    let mut books = Books::new();
    books.run(&findings(&facts), &[], day());
    books.run(&[], &[], day());
    let closed = books.known.clone();
    let late = Facts { today: vec![pay("P1", "T1", 100), pay("P2", "T2", 5)], ..Facts::default() };
    assert_eq!(books.run(&findings(&late), &[], day().plus(2)), 2);
    for (id, item) in &closed {
        assert_eq!(&books.known[id], item, "the items of a closed day stay as they were");
    }
    let again = &books.known["2026-11-20:LONG:PAY:P1:late"];
    let new = &books.known["2026-11-20:LONG:PAY:P2"];
    for item in [again, new] {
        assert_eq!((item.day, item.of_day, item.state), (day().plus(2), Some(day()), ItemState::Open));
    }
    assert_eq!(books.run(&findings(&late), &[], day().plus(3)), 0, "not again when those books were closed too");
}

// --- the close of a day

fn figures(whole_day: bool) -> Figures {
    Figures { funds: BTreeMap::new(), energy: EnergySums::default(), truncated: false, whole_day }
}

fn book() -> DayBook {
    DayBook::new(day(), "Asia/Shanghai".to_owned(), figures(true), at(0))
}

#[test]
fn a_day_is_closed_by_two_persons_and_never_changes_afterwards() {
    let (fay, gus) = (user("fay"), user("gus"));
    let asked = book().ask(fay.clone(), 0, at(1)).unwrap();
    assert!(!asked.is_closed());
    assert_eq!(asked.approve(fay.clone(), 0, at(2)), Err(CloseRefusal::OwnRequest));
    let closed = asked.approve(gus.clone(), 0, at(2)).unwrap();
    assert_eq!((closed.is_closed(), closed.rev), (true, 3));
    for refused in [closed.ask(fay, 0, at(3)), closed.approve(gus, 0, at(3))] {
        assert_eq!(refused, Err(CloseRefusal::Closed(day())));
    }
    assert_eq!(closed.run_again(&figures(false), true, at(4)), None);
}

#[test]
fn a_day_with_something_open_is_not_closed() {
    let fay = user("fay");
    assert_eq!(book().approve(fay.clone(), 0, at(1)), Err(CloseRefusal::NotAsked(day())));
    assert_eq!(book().ask(fay.clone(), 2, at(1)), Err(CloseRefusal::ItemsOpen { day: day(), open: 2 }));
    let asked = book().ask(fay.clone(), 0, at(1)).unwrap();
    assert_eq!(asked.approve(user("gus"), 1, at(1)), Err(CloseRefusal::ItemsOpen { day: day(), open: 1 }));
    assert_eq!(asked.ask(user("gus"), 0, at(1)), Err(CloseRefusal::Asked { day: day(), by: fay.clone() }));
    let going_on = DayBook::new(day(), "Asia/Shanghai".to_owned(), figures(false), at(0));
    assert_eq!(going_on.ask(fay.clone(), 0, at(1)), Err(CloseRefusal::NotOver(day())));
    let cut = Figures { truncated: true, ..figures(true) };
    let cut = DayBook::new(day(), "Asia/Shanghai".to_owned(), cut, at(0));
    assert_eq!(cut.ask(fay, 0, at(1)), Err(CloseRefusal::Truncated(day())));
}

#[test]
fn a_run_that_changes_something_ends_the_wish_to_close() {
    let asked = book().ask(user("fay"), 0, at(1)).unwrap();
    assert_eq!(asked.run_again(&figures(true), false, at(2)), None, "nothing changed");
    let again = asked.run_again(&figures(true), true, at(2)).unwrap();
    assert_eq!((again.asked, again.rev), (None, 3));
    assert_eq!(book().run_again(&figures(true), true, at(2)), None, "only items changed, and nobody had asked");
}
