//! The worked order of docs/money.md, recomputed: each row of its tables and each sum in its text.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use domain::{
    ConnectorId, Fen, OrderNo, PileCode, PileNo, PriceE4, StationId, StopReason, Timestamp, UserId, WattHours, Watts,
};
use settlement::{
    ledger::{self, AccountState, Entry, LedgerOp},
    order::{NewOrder, Order, OrderLimit, PayMode, RecordFacts},
    pricing::{self, Bill, ChargeEnd, PriceInput, Reading, RecordTimes},
    settle::{self, MoneyRules, Plan, Step},
    tariff::{Period, Tariff, parse_minute},
};

const PAGE: &str = include_str!("../../docs/money.md");
const RULES: MoneyRules =
    MoneyRules { freeze_default: Fen(5_000), freeze_min: Fen(1_000), hold_over: Fen(20_000), suspect: None };

fn at(time: &str) -> Timestamp {
    Timestamp::parse_rfc3339(&format!("2026-11-20T{time}+08:00")).unwrap()
}

fn clock(at: Timestamp) -> String {
    let local = at.as_millis() + 8 * 3_600_000;
    let seconds = local.rem_euclid(86_400_000) / 1000;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn tariff() -> Tariff {
    let period = |from: &str, to: &str, label: &str, electricity, service| Period {
        from_min: parse_minute(from).unwrap(),
        to_min: parse_minute(to).unwrap(),
        label: label.to_owned(),
        electricity: PriceE4(electricity),
        service: PriceE4(service),
    };
    let periods = vec![
        period("00:00", "08:00", "谷", 3_500, 4_000),
        period("08:00", "10:00", "平", 7_000, 5_000),
        period("10:00", "24:00", "峰", 11_000, 6_000),
    ];
    let user = |name| UserId::parse(name).unwrap();
    let station = StationId::parse("S1").unwrap();
    let draft = Tariff::draft("T1".into(), station, "Asia/Shanghai".into(), periods, user("author"), at("00:00:00"));
    draft.unwrap().publish(&user("publisher"), None, 1, at("00:00:00")).unwrap()
}

fn order(tariff: &Tariff) -> Order {
    Order::new(NewOrder {
        order_no: OrderNo::parse("261120014000000001").unwrap(),
        user_id: UserId::parse("anna").unwrap(),
        pile_code: PileCode::parse("P1").unwrap(),
        pile_no: PileNo(1),
        station_id: tariff.station_id.clone(),
        connector_id: ConnectorId(1),
        limit: OrderLimit { amount_fen: Some(Fen(3_000)), ..OrderLimit::default() },
        pay_mode: PayMode::Freeze,
        tariff_id: tariff.tariff_id.clone(),
        tariff_version: tariff.version,
        created_at: at("09:40:00"),
    })
}

const READINGS: [(&str, i64); 3] = [("09:51:00", 7_100), ("10:06:00", 18_050), ("10:21:00", 28_700)];

fn bill(tariff: &Tariff) -> Bill {
    let reading = |(seq, (time, wh)): (u32, (&str, i64))| Reading {
        at: at(time),
        seq,
        energy: WattHours(wh),
        total_time_s: None,
    };
    let readings: Vec<Reading> = (1_u32..).zip(READINGS).map(reading).collect();
    let end = RecordTimes {
        start: Some(at("09:41:00")),
        end: at("10:26:00"),
        total: WattHours(31_234),
        total_time_s: None,
        frames: Some(3),
    };
    let input = PriceInput {
        tariff,
        created_at: at("09:40:00"),
        rated_power: Watts(120_000),
        readings: &readings,
        readings_thinned: false,
        end: ChargeEnd::Record(end),
        clock_offset: None,
    };
    pricing::price(&input).unwrap()
}

/// One driver's books: what the plans store.
struct Books {
    account: AccountState,
    entries: Vec<Entry>,
}

impl Books {
    fn op(&mut self, op: &LedgerOp) {
        let change = ledger::apply(&self.account, op, at("12:00:00")).unwrap();
        self.entries.extend(change.entries);
        self.account = change.next;
    }

    fn plan(&mut self, plan: Plan) -> Order {
        for step in &plan.steps {
            if let Step::Ledger(change) = step {
                self.entries.extend(change.entries.iter().cloned());
            }
        }
        self.account = plan.account;
        plan.order
    }
}

fn name<T: serde::Serialize>(value: T) -> String {
    serde_json::to_value(value).unwrap().as_str().unwrap().to_owned()
}

fn said(line: &str) {
    assert!(PAGE.contains(line), "docs/money.md lacks:\n{line}");
}

#[test]
fn the_worked_order_of_the_page_is_what_the_rules_say() {
    let tariff = tariff();
    for (n, (time, wh)) in (1..).zip(READINGS) {
        said(&format!("| frame {n} | {time} | {wh} Wh |"));
    }
    let bill = bill(&tariff);
    assert!(bill.flags.is_empty(), "{:?}", bill.flags);
    for segment in &bill.segments {
        let (from, to, wh) = (clock(segment.from), clock(segment.to), segment.energy_wh.0);
        let (electricity, service) = (segment.electricity_e4.0, segment.service_e4.0);
        said(&format!("| {} | {from} | {to} | {wh} Wh | {electricity} e4 | {service} e4 |", segment.label));
    }
    said(&format!("= {} fen,\nservice", bill.electricity_fen.0));
    said(&format!("= {} fen, together {} fen.", bill.service_fen.0, bill.total_fen.0));

    let mut books = Books { account: AccountState::new(UserId::parse("anna").unwrap()), entries: Vec::new() };
    let top_up = |no: &str, fen| LedgerOp::TopUp { payment_no: no.to_owned(), amount: Fen(fen) };
    books.op(&top_up("Y1", 4_000));
    let order = books.plan(settle::place(&order(&tariff), &books.account, &RULES, at("09:40:00")).unwrap());
    let order = books.plan(settle::evidence(&order, &books.account, at("09:41:00"), None, at("09:41:00")).unwrap());
    let facts = RecordFacts {
        stop_reason: StopReason::User,
        fault_code: None,
        start_soc: None,
        end_soc: None,
        meter_start: None,
        meter_end: None,
    };
    let order = books.plan(settle::finish(&order, &books.account, &facts, &bill, &RULES, at("10:26:01")).unwrap());
    books.op(&top_up("Y2", 2_000));
    let order = books.plan(settle::repay(&order, &books.account, None, "r1", at("11:00:00")).unwrap());
    let order = books.plan(settle::refund(&order, &books.account, "A1", Fen(500), false, at("11:30:00")).unwrap());
    books.op(&LedgerOp::Withdraw { refund_no: "R1".to_owned(), amount: Fen(1_000) });
    books.op(&LedgerOp::Withdrawn { refund_no: "R1".to_owned() });

    for entry in &books.entries {
        let (debit, credit, kind) = (name(entry.debit), name(entry.credit), name(entry.kind));
        said(&format!("| {} | `{}` | {debit} | {credit} | {} | {kind} |", entry.seq, entry.op, entry.amount.0));
    }
    assert_eq!(PAGE.matches("| `capture:").count(), 1 + 4, "one line of the table of operations and four entries");
    said(&format!("What is left: {} fen available, nothing frozen, nothing owed.", books.account.available.0));
    assert_eq!((books.account.frozen, books.account.debts.len(), books.account.transit.len()), (Fen(0), 0, 0));
    let (status, payment) = (name(order.status), name(order.payment_status));
    let (paid, refunded) = (order.paid_fen.0, order.refunded_fen.0);
    said(&format!("The order is {status} and {payment}, {paid} fen paid, {refunded} fen\nrefunded."));
    let sum = |account: &str| -> i64 {
        let signed = |entry: &Entry| {
            i64::from(name(entry.debit) == account) * entry.amount.0
                - i64::from(name(entry.credit) == account) * entry.amount.0
        };
        books.entries.iter().map(signed).sum()
    };
    let earned = -sum("energy_revenue") - sum("service_revenue");
    said(&format!(
        "Over all accounts: {} fen at the channel and {} fen given away are {} fen of the driver's and {earned} fen earned.",
        sum("channel"),
        sum("adjustment"),
        -sum("driver_available"),
    ));
}
