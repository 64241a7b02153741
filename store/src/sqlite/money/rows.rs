//! Rows back into values, and small reads that the writer and the readers share.

use std::collections::BTreeMap;

use domain::{Fen, OrderNo, Timestamp, UserId};
use rusqlite::{
    Connection, OptionalExtension as _, Row,
    types::{Type, ValueRef},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use settlement::{
    ledger::{AccountState, Entry},
    order::HistoryRow,
};

use crate::{
    cases::{Case, OutboxEvent},
    chain::{Chained, Link},
    money::{OnceRow, Payment, RecordRow},
    registry::{AuditRow, Pile, Rotation},
    sqlite::names::Name,
};

/// A text column as a checked name.
pub(super) fn id<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text = row.get_ref(column)?.as_str().map_err(|e| unreadable(column, e))?;
    text.parse().map_err(|e| unreadable(column, e))
}

/// A column of milliseconds as a time.
pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp::from_millis_clamped)
}

/// A column of JSON as a value.
pub(super) fn body<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str().map_err(|e| unreadable(column, e))?;
    serde_json::from_str(text).map_err(|e| unreadable(column, e))
}

/// A column of JSON that may be empty.
pub(super) fn optional_body<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    if row.get_ref(column)? == ValueRef::Null { Ok(None) } else { body(row, column).map(Some) }
}

fn unreadable(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}

fn optional_id<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text: Option<String> = row.get(column)?;
    text.map(|text| text.parse().map_err(|e| unreadable(column, e))).transpose()
}

/// Open holds of an account.
pub(super) fn holds(conn: &Connection, user: &str) -> rusqlite::Result<BTreeMap<OrderNo, Fen>> {
    sums(conn, "SELECT order_no, amount FROM holds WHERE user_id = ?1", user)
}

/// Open debts of an account.
pub(super) fn debts(conn: &Connection, user: &str) -> rusqlite::Result<BTreeMap<OrderNo, Fen>> {
    sums(conn, "SELECT order_no, amount FROM debts WHERE user_id = ?1", user)
}

fn sums(conn: &Connection, sql: &str, user: &str) -> rusqlite::Result<BTreeMap<OrderNo, Fen>> {
    conn.prepare_cached(sql)?.query_map([user], |row| Ok((id(row, 0)?, Fen(row.get(1)?))))?.collect()
}

/// Columns of [`account`], without holds and debts.
pub(super) const ACCOUNT: &str = "user_id, available, frozen, version, entry_seq, sums";

/// What most accounts have nothing of; kept as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RareSums {
    pub(super) written_off: BTreeMap<OrderNo, Fen>,
    pub(super) refunded: BTreeMap<OrderNo, Fen>,
    pub(super) transit: BTreeMap<String, Fen>,
    pub(super) suspense: BTreeMap<String, Fen>,
}

/// An account from its own row and its holds and debts.
pub(super) fn account(conn: &Connection, row: &Row<'_>) -> rusqlite::Result<AccountState> {
    let user_id: UserId = id(row, 0)?;
    let (holds, debts) = (holds(conn, user_id.as_str())?, debts(conn, user_id.as_str())?);
    let RareSums { written_off, refunded, transit, suspense } = optional_body(row, 5)?.unwrap_or_default();
    Ok(AccountState {
        user_id,
        available: Fen(row.get(1)?),
        frozen: Fen(row.get(2)?),
        version: row.get(3)?,
        entry_seq: row.get(4)?,
        holds,
        debts,
        written_off,
        refunded,
        transit,
        suspense,
    })
}

/// Columns of [`entry`].
pub(super) const ENTRY: &str = "user_id, seq, op, debit, credit, amount, order_no, kind, at";

pub(super) fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        user_id: id(row, 0)?,
        seq: row.get(1)?,
        op: row.get(2)?,
        debit: row.get::<_, Name<_>>(3)?.0,
        credit: row.get::<_, Name<_>>(4)?.0,
        amount: Fen(row.get(5)?),
        order_no: optional_id(row, 6)?,
        kind: row.get::<_, Name<_>>(7)?.0,
        at: time(row, 8)?,
    })
}

/// Columns of [`history_row`].
pub(super) const HISTORY: &str = "at, from_status, to_status, event, outcome";

pub(super) fn history_row(row: &Row<'_>) -> rusqlite::Result<HistoryRow> {
    Ok(HistoryRow {
        at: time(row, 0)?,
        from: row.get::<_, Name<_>>(1)?.0,
        to: row.get::<_, Name<_>>(2)?.0,
        event: row.get(3)?,
        outcome: row.get::<_, Name<_>>(4)?.0,
    })
}

/// Columns of [`record`].
pub(super) const RECORD: &str = "order_no, pile_no, content, raw, received, standing";

pub(super) fn record(row: &Row<'_>) -> rusqlite::Result<RecordRow> {
    Ok(RecordRow {
        order_no: id(row, 0)?,
        pile_no: domain::PileNo(row.get(1)?),
        content: row.get(2)?,
        raw: row.get(3)?,
        received: time(row, 4)?,
        standing: row.get::<_, Name<_>>(5)?.0,
    })
}

/// The stored answer to an idempotent call.
pub(super) fn once(conn: &Connection, caller: &str, path: &str, key: &str) -> rusqlite::Result<Option<OnceRow>> {
    conn.prepare_cached(
        "SELECT caller, path, key, fingerprint, status, body, at FROM once WHERE caller = ?1 AND path = ?2 AND key = ?3",
    )?
    .query_row([caller, path, key], |row| {
        Ok(OnceRow {
            caller: id(row, 0)?,
            path: row.get(1)?,
            key: row.get(2)?,
            fingerprint: row.get(3)?,
            status: row.get(4)?,
            body: row.get(5)?,
            at: time(row, 6)?,
        })
    })
    .optional()
}

/// Columns of [`payment`].
pub(super) const PAYMENT: &str =
    "payment_no, user_id, amount_fen, channel, state, transaction_id, created_at, paid_at, due, body";

/// The columns are the truth; what has none is in the body, which payments of an earlier release lack.
pub(super) fn payment(row: &Row<'_>) -> rusqlite::Result<Payment> {
    let rest: Option<Payment> = optional_body(row, 9)?;
    let time_of =
        |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_millis_clamped));
    Ok(Payment {
        payment_no: row.get(0)?,
        user_id: id(row, 1)?,
        amount_fen: Fen(row.get(2)?),
        channel: row.get(3)?,
        state: row.get::<_, Name<_>>(4)?.0,
        transaction_id: row.get(5)?,
        created_at: time(row, 6)?,
        paid_at: time_of(7)?,
        due: time_of(8)?,
        refunded_fen: rest.as_ref().map_or(Fen::ZERO, |rest| rest.refunded_fen),
        queries: rest.as_ref().map_or(0, |rest| rest.queries),
        expires_at: rest.as_ref().and_then(|rest| rest.expires_at),
        detail: rest.map_or_else(String::new, |rest| rest.detail),
    })
}

/// Columns of [`pile`].
pub(super) const PILE: &str = "pile_no, pile_code, station_id, kind, connectors, max_power_w, verifier";

pub(super) fn pile(row: &Row<'_>) -> rusqlite::Result<Pile> {
    Ok(Pile {
        pile_no: domain::PileNo(row.get(0)?),
        pile_code: id(row, 1)?,
        station_id: id(row, 2)?,
        kind: row.get::<_, Name<_>>(3)?.0,
        connectors: row.get(4)?,
        max_power: domain::Watts(row.get(5)?),
        verifier: row.get(6)?,
    })
}

/// Columns of [`rotation`].
pub(super) const ROTATION: &str = "pile_no, rotation_id, next_verifier, next_until, next_accepted";

pub(super) fn rotation(row: &Row<'_>) -> rusqlite::Result<Rotation> {
    Ok(Rotation {
        pile_no: domain::PileNo(row.get(0)?),
        rotation_id: id(row, 1)?,
        verifier: row.get(2)?,
        until: time(row, 3)?,
        accepted: row.get(4)?,
    })
}

/// Columns of [`audit_row`], after the row's id.
pub(super) const AUDIT: &str = "id, at, actor, role, action, target, detail, address, prev, hash";

pub(super) fn audit_row(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    Ok(AuditRow {
        at: time(row, 1)?,
        actor: id(row, 2)?,
        role: row.get(3)?,
        action: row.get(4)?,
        target: row.get(5)?,
        detail: row.get(6)?,
        address: row.get(7)?,
    })
}

pub(super) fn chained(row: &Row<'_>) -> rusqlite::Result<Chained> {
    let (prev, hash): (Option<Link>, Option<Link>) = (row.get(8)?, row.get(9)?);
    Ok(Chained { id: row.get(0)?, row: audit_row(row)?, links: prev.zip(hash) })
}

/// Columns of [`case`].
pub(super) const CASE: &str = "kind, id, rev, state, open, about, at, due, body";

pub(super) fn case(row: &Row<'_>) -> rusqlite::Result<Case> {
    Ok(Case {
        kind: row.get::<_, Name<_>>(0)?.0,
        id: row.get(1)?,
        rev: row.get(2)?,
        state: row.get(3)?,
        open: row.get(4)?,
        about: row.get(5)?,
        at: time(row, 6)?,
        due: row.get::<_, Option<i64>>(7)?.map(Timestamp::from_millis_clamped),
        body: row.get(8)?,
    })
}

/// Columns of [`outbox_event`], after the row's number.
pub(super) const OUTBOX: &str = "id, event_id, name, at, subject, data";

pub(super) fn outbox_event(row: &Row<'_>) -> rusqlite::Result<(i64, OutboxEvent)> {
    let event = OutboxEvent {
        event_id: row.get(1)?,
        name: row.get(2)?,
        at: time(row, 3)?,
        subject: row.get(4)?,
        data: row.get(5)?,
    };
    Ok((row.get(0)?, event))
}
