//! Facts to write: small, valid, and different in every field that can be mixed up.

use domain::{
    CommandId, ConnectorId, EventId, Fen, IntegrationName, OrderNo, PileCode, PileNo, PriceE4, StationId, Timestamp,
    UserId, WattHours, Watts,
    command::{Command, CommandKind},
};
use settlement::{
    ledger::{AccountState, BookAccount, Entry, EntryKind},
    order::{HistoryRow, NewOrder, Order, OrderLimit, OrderStatus, Outcome, PayMode},
    tariff::{Period, Tariff},
};

use crate::{
    money::{
        Alarm, AlarmState, BlacklistEntry, CommandRow, CommandState, Commit, EventRow, LedgerWrite, OnceRow, Payment,
        PaymentState, RecordRow, Severity, Standing, Write,
    },
    registry::{AuditRow, Integration, Pile, PileKind, Rotation, Station},
};

pub(super) const START: i64 = 1_763_690_000_000;

pub(super) fn at(n: i64) -> Timestamp {
    Timestamp::from_millis_clamped(START + n)
}

pub(super) fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

pub(super) fn order_no(text: &str) -> OrderNo {
    OrderNo::parse(text).unwrap()
}

pub(super) fn order_of(no: &str, who: &str, pile: &str, created: i64) -> Order {
    Order::new(NewOrder {
        order_no: order_no(no),
        user_id: user(who),
        pile_code: PileCode::parse(pile).unwrap(),
        pile_no: PileNo(7),
        station_id: StationId::parse("S1").unwrap(),
        connector_id: ConnectorId(2),
        limit: OrderLimit { amount_fen: Some(Fen(5000)), ..OrderLimit::default() },
        pay_mode: PayMode::Prepaid,
        tariff_id: "T1".to_owned(),
        tariff_version: 3,
        created_at: at(created),
    })
}

pub(super) fn order(no: &str) -> Order {
    order_of(no, "u1", "P1", 0)
}

/// The order after one more change.
pub(super) fn changed(order: &Order, status: OrderStatus) -> Order {
    let mut next = order.clone();
    next.status = status;
    next.energy_wh = WattHours(order.energy_wh.0 + 10);
    next.rev += 1;
    next
}

pub(super) fn commit<const N: usize>(writes: [Write; N]) -> Commit {
    Commit { writes: writes.into_iter().collect() }
}

pub(super) fn new_order(order: &Order) -> Write {
    Write::NewOrder(Box::new(order.clone()))
}

pub(super) fn change_order(order: &Order) -> Write {
    Write::Order(Box::new(order.clone()))
}

pub(super) fn history(n: i64) -> HistoryRow {
    HistoryRow {
        at: at(n),
        from: OrderStatus::Starting,
        to: OrderStatus::Charging,
        event: format!("FIRST_STATUS {n}"),
        outcome: if n % 2 == 0 { Outcome::Applied } else { Outcome::Ignored },
    }
}

pub(super) fn account(who: &str) -> AccountState {
    AccountState::new(user(who))
}

pub(super) fn blacklisted() -> BlacklistEntry {
    BlacklistEntry { reason: "owes".to_owned(), by: "rita".to_owned(), at: at(1), until: Some(at(2)) }
}

/// An operation that adds one entry of `amount` and that much to what is available.
pub(super) fn top_up(account: &AccountState, op: &str, amount: i64) -> LedgerWrite {
    let mut next = account.clone();
    next.available = Fen(account.available.0 + amount);
    next.version += 1;
    next.entry_seq += 1;
    let entry = Entry {
        user_id: account.user_id.clone(),
        seq: next.entry_seq,
        op: op.to_owned(),
        debit: BookAccount::Channel,
        credit: BookAccount::DriverAvailable,
        amount: Fen(amount),
        order_no: None,
        kind: EntryKind::TopUp,
        at: at(next.version),
    };
    LedgerWrite {
        op: op.to_owned(),
        expect_version: account.version,
        next,
        entries: vec![entry],
        result: format!("{op} added {amount}"),
    }
}

pub(super) fn ledger(write: &LedgerWrite) -> Write {
    Write::Ledger(Box::new(write.clone()))
}

pub(super) fn once(caller: &str, path: &str, key: &str) -> OnceRow {
    OnceRow {
        caller: user(caller),
        path: path.to_owned(),
        key: key.to_owned(),
        fingerprint: [7; 32],
        status: 201,
        body: format!("{{\"of\":\"{caller}\"}}"),
        at: at(1),
    }
}

pub(super) fn record(order: &str, content: u8, standing: Standing) -> RecordRow {
    RecordRow {
        order_no: order_no(order),
        pile_no: PileNo(7),
        content: [content; 32],
        raw: vec![content, 0, 255],
        received: at(i64::from(content)),
        standing,
    }
}

pub(super) fn payment(no: &str, state: PaymentState) -> Payment {
    let paid = state == PaymentState::Success;
    Payment {
        state,
        transaction_id: paid.then(|| format!("tx-{no}")),
        paid_at: paid.then(|| at(2)),
        refunded_fen: Fen(if paid { 7 } else { 0 }),
        due: (!paid).then(|| at(5)),
        queries: 3,
        expires_at: Some(at(9)),
        detail: "{\"prepayId\":\"wx\"}".to_owned(),
        ..Payment::new(no.to_owned(), user("u1"), Fen(10_000), "sandbox".to_owned(), at(1))
    }
}

pub(super) fn command(id: &str, state: CommandState, created: i64) -> CommandRow {
    CommandRow {
        command: Command {
            command_id: CommandId::parse(id).unwrap(),
            kind: CommandKind::StartCharging {
                connector: ConnectorId(2),
                order_no: order_no("1001"),
                max_power: Some(Watts(60_000)),
                max_time_s: None,
                max_energy: Some(WattHours(50_000)),
            },
            expires_at: Some(at(60_000)),
        },
        pile_no: PileNo(7),
        pile_code: PileCode::parse("P1").unwrap(),
        state,
        actor: "u1".to_owned(),
        created_at: at(created),
        sent_at: None,
        tries: 1,
        done_at: None,
        answer: None,
    }
}

pub(super) fn alarm(id: &str, state: AlarmState, raised: i64) -> Alarm {
    Alarm {
        alarm_id: id.to_owned(),
        pile_code: PileCode::parse("P1").unwrap(),
        connector_id: ConnectorId(1),
        code: "E106".to_owned(),
        severity: Severity::High,
        count: 2,
        state,
        raised_at: at(raised),
        updated_at: at(raised + 1),
        text: "过温".to_owned(),
        order_no: Some(order_no("1001")),
    }
}

pub(super) fn event(pile_no: u32, id: &str) -> EventRow {
    EventRow {
        pile_no: PileNo(pile_no),
        event_id: EventId::parse(id).unwrap(),
        kind: "fault".to_owned(),
        connector_id: ConnectorId(1),
        fault_code: Some("E106".to_owned()),
        detail: None,
        device: at(1),
        received: at(2),
    }
}

pub(super) fn station(id: &str) -> Station {
    Station {
        station_id: StationId::parse(id).unwrap(),
        name: format!("站 {id}"),
        timezone: "Asia/Shanghai".to_owned(),
        longitude_e7: 1_214_737_000,
        latitude_e7: -312_304_000,
        certificate_only: false,
    }
}

pub(super) fn pile(no: u32, code: &str) -> Pile {
    Pile {
        pile_no: PileNo(no),
        pile_code: PileCode::parse(code).unwrap(),
        station_id: StationId::parse("S1").unwrap(),
        kind: if no.is_multiple_of(2) { PileKind::Dc } else { PileKind::Ac },
        connectors: 2,
        max_power: Watts(120_000),
        verifier: [no as u8; 32],
    }
}

pub(super) fn rotation(no: u32, id: &str) -> Rotation {
    Rotation {
        pile_no: PileNo(no),
        rotation_id: CommandId::parse(id).unwrap(),
        verifier: [no as u8 + 100; 32],
        until: at(86_400_000),
        accepted: false,
    }
}

pub(super) fn tariff(id: &str, version: u32, published: bool) -> Tariff {
    Tariff {
        tariff_id: id.to_owned(),
        station_id: StationId::parse("S1").unwrap(),
        version,
        timezone: "Asia/Shanghai".to_owned(),
        periods: vec![Period {
            from_min: 0,
            to_min: 1440,
            label: "平".to_owned(),
            electricity: PriceE4(6000),
            service: PriceE4(4000),
        }],
        plans: Vec::new(),
        based_on: None,
        reason: None,
        author: user("ops1"),
        created_at: at(1),
        publisher: published.then(|| user("fin1")),
        effective_at: published.then(|| at(2)),
    }
}

pub(super) fn integration(name: &str, secret: u8) -> Integration {
    let all = name == "all";
    Integration {
        name: IntegrationName::parse(name).unwrap(),
        verifier: [secret; 32],
        stations: (!all).then(|| vec![StationId::parse("S1").unwrap(), StationId::parse("S2").unwrap()]),
        topics: vec!["heartbeat".to_owned(), "charging/status".to_owned()],
        created_at: at(1),
    }
}

pub(super) fn audit(n: i64) -> AuditRow {
    AuditRow {
        at: at(n / 2),
        actor: user("ops1"),
        role: "ops".to_owned(),
        address: None,
        action: "PILE_MAINTENANCE".to_owned(),
        target: format!("P{n}"),
        detail: "{}".to_owned(),
    }
}
