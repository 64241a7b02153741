//! Writes about one account, and the answers that make calls happen once.

use std::collections::BTreeMap;

use domain::{Fen, OrderNo, UserId};
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, params};
use settlement::ledger::{AccountState, Entry};

use super::{
    apply::{Applied, OK, json},
    rows::{self, RareSums},
};
use crate::{
    money::{BlacklistEntry, Conflict, LedgerWrite, OnceRow, Payment, PaymentState},
    sqlite::names::Name,
};

/// A ledger operation: done once, on the account it was computed from. `before`: the account as an operation before it in
/// the same commit makes it; `goes_on`: the one after it writes the account.
pub(super) fn ledger(conn: &Connection, write: &LedgerWrite, before: Option<&AccountState>, goes_on: bool) -> Applied {
    let user = write.next.user_id.as_str();
    let done: Option<String> = conn
        .prepare_cached("SELECT result FROM ops WHERE user_id = ?1 AND op = ?2")?
        .query_row(params![user, write.op], |row| row.get(0))
        .optional()?;
    if let Some(result) = done {
        return Ok(Err(Conflict::OpDone { op: write.op.clone(), result }));
    }
    let (version, entry_seq): (i64, i64) = match before {
        Some(before) => (before.version, before.entry_seq),
        None => conn
            .prepare_cached("SELECT version, entry_seq FROM accounts WHERE user_id = ?1")?
            .query_row([user], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?
            .unwrap_or_default(),
    };
    if version != write.expect_version {
        return Ok(Err(Conflict::AccountVersion(write.next.user_id.clone())));
    }
    if let Some(mistake) = mistake(write, entry_seq) {
        return Ok(Err(Conflict::Malformed(mistake)));
    }
    conn.prepare_cached("INSERT INTO ops (user_id, op, version, result) VALUES (?1, ?2, ?3, ?4)")?.execute(params![
        user,
        write.op,
        write.next.version,
        write.result
    ])?;
    if !goes_on {
        account(conn, &write.next)?;
    }
    entries(conn, &write.entries)?;
    OK
}

/// What in the operation contradicts itself or the stored account.
fn mistake(write: &LedgerWrite, entry_seq: i64) -> Option<String> {
    let next = &write.next;
    if next.version != write.expect_version.saturating_add(1) {
        return Some(format!("version {} does not follow {}", next.version, write.expect_version));
    }
    let mut seq = entry_seq;
    for entry in &write.entries {
        seq = seq.saturating_add(1);
        if entry.seq != seq || entry.user_id != next.user_id || entry.op != write.op {
            return Some(format!(
                "entry {} of {} ({}) is not entry {seq} of {}",
                entry.seq, entry.user_id, entry.op, write.op
            ));
        }
    }
    (next.entry_seq != seq).then(|| format!("entry_seq is {}, the last entry is {seq}", next.entry_seq))
}

fn account(conn: &Connection, next: &AccountState) -> rusqlite::Result<()> {
    let user = next.user_id.as_str();
    conn.prepare_cached(
        "INSERT INTO accounts (user_id, available, frozen, version, entry_seq, sums) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (user_id) DO UPDATE SET available = ?2, frozen = ?3, version = ?4, entry_seq = ?5, sums = ?6",
    )?
    .execute(params![user, next.available.0, next.frozen.0, next.version, next.entry_seq, rare_sums(next)?])?;
    sums(
        &rows::holds(conn, user)?,
        &next.holds,
        user,
        &mut conn.prepare_cached("INSERT OR REPLACE INTO holds (user_id, order_no, amount) VALUES (?1, ?2, ?3)")?,
        &mut conn.prepare_cached("DELETE FROM holds WHERE user_id = ?1 AND order_no = ?2")?,
    )?;
    sums(
        &rows::debts(conn, user)?,
        &next.debts,
        user,
        &mut conn.prepare_cached("INSERT OR REPLACE INTO debts (user_id, order_no, amount) VALUES (?1, ?2, ?3)")?,
        &mut conn.prepare_cached("DELETE FROM debts WHERE user_id = ?1 AND order_no = ?2")?,
    )
}

/// Writes what differs between the stored and the next holds or debts.
fn sums(
    stored: &BTreeMap<OrderNo, Fen>,
    next: &BTreeMap<OrderNo, Fen>,
    user: &str,
    put: &mut CachedStatement<'_>,
    delete: &mut CachedStatement<'_>,
) -> rusqlite::Result<()> {
    for order_no in stored.keys().filter(|order_no| !next.contains_key(*order_no)) {
        delete.execute(params![user, order_no.as_str()])?;
    }
    for (order_no, amount) in next.iter().filter(|(order_no, amount)| stored.get(*order_no) != Some(*amount)) {
        put.execute(params![user, order_no.as_str(), amount.0])?;
    }
    Ok(())
}

/// What most accounts have nothing of, as JSON.
fn rare_sums(next: &AccountState) -> rusqlite::Result<Option<String>> {
    let rare = RareSums {
        written_off: next.written_off.clone(),
        refunded: next.refunded.clone(),
        transit: next.transit.clone(),
        suspense: next.suspense.clone(),
    };
    if rare == RareSums::default() { Ok(None) } else { json(&rare).map(Some) }
}

fn entries(conn: &Connection, entries: &[Entry]) -> rusqlite::Result<()> {
    let mut insert = conn.prepare_cached(
        "INSERT INTO entries (user_id, seq, op, debit, credit, amount, order_no, kind, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    for entry in entries {
        insert.execute(params![
            entry.user_id.as_str(),
            entry.seq,
            entry.op,
            Name(entry.debit),
            Name(entry.credit),
            entry.amount.0,
            entry.order_no.as_ref().map(OrderNo::as_str),
            Name(entry.kind),
            entry.at.as_millis()
        ])?;
    }
    Ok(())
}

/// The answer to a call; the key must be new.
pub(super) fn once(conn: &Connection, once: &OnceRow) -> Applied {
    let inserted = conn
        .prepare_cached(
            "INSERT INTO once (caller, path, key, fingerprint, status, body, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (caller, path, key) DO NOTHING",
        )?
        .execute(params![
            once.caller.as_str(),
            once.path,
            once.key,
            once.fingerprint,
            once.status,
            once.body,
            once.at.as_millis()
        ])?;
    if inserted > 0 {
        return OK;
    }
    let stored = rows::once(conn, once.caller.as_str(), &once.path, &once.key)?;
    Ok(Err(
        stored.map_or_else(|| Conflict::Malformed(once.key.clone()), |stored| Conflict::OnceExists(Box::new(stored)))
    ))
}

/// A payment in the state the caller saw, or a new one.
pub(super) fn payment(conn: &Connection, payment: &Payment, expected: Option<PaymentState>) -> Applied {
    let sql = if expected.is_some() {
        "UPDATE payments SET user_id = ?2, amount_fen = ?3, channel = ?4, state = ?5, transaction_id = ?6,
           created_at = ?7, paid_at = ?8, due = ?10, body = ?11 WHERE payment_no = ?1 AND state = ?9"
    } else {
        "INSERT INTO payments (payment_no, user_id, amount_fen, channel, state, transaction_id, created_at, paid_at,
           due, body)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?10, ?11 WHERE ?9 IS NULL ON CONFLICT (payment_no) DO NOTHING"
    };
    let written = conn.prepare_cached(sql)?.execute(params![
        payment.payment_no,
        payment.user_id.as_str(),
        payment.amount_fen.0,
        payment.channel,
        Name(payment.state),
        payment.transaction_id,
        payment.created_at.as_millis(),
        payment.paid_at.map(domain::Timestamp::as_millis),
        expected.map(Name),
        payment.due.map(domain::Timestamp::as_millis),
        json(payment)?
    ])?;
    Ok(if written > 0 { Ok(()) } else { Err(Conflict::PaymentState(payment.payment_no.clone())) })
}

/// Puts a user on the blacklist or takes them off.
pub(super) fn blacklist(conn: &Connection, user_id: &UserId, entry: Option<&BlacklistEntry>) -> Applied {
    match entry {
        Some(entry) => conn
            .prepare_cached("INSERT OR REPLACE INTO blacklist (user_id, reason, body) VALUES (?1, ?2, ?3)")?
            .execute(params![user_id.as_str(), entry.reason, json(entry)?])?,
        None => conn.prepare_cached("DELETE FROM blacklist WHERE user_id = ?1")?.execute([user_id.as_str()])?,
    };
    OK
}
