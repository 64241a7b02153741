//! One commit inside the group's transaction: its conditions and its writes, all or none.

use domain::PileNo;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params};

use super::{apply_cases, apply_ledger, apply_orders, apply_registry, apply_rotations};
use crate::money::{Commit, Conflict, Write};

/// Applied, or the condition that failed. An error of the outer kind is the engine's: the whole group is off.
pub(super) type Applied = rusqlite::Result<Result<(), Conflict>>;

/// The condition holds.
pub(super) const OK: Applied = Ok(Ok(()));

/// Writes one commit; when a condition fails the transaction is as it was before.
pub(super) fn commit(conn: &Connection, commit: &Commit) -> Applied {
    conn.prepare_cached("SAVEPOINT one")?.execute([])?;
    let applied = match writes(conn, commit) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            Ok(Err(Conflict::Malformed(error.to_string())))
        }
        Err(rusqlite::Error::ToSqlConversionFailure(error)) => Ok(Err(Conflict::Malformed(error.to_string()))),
        other => other,
    };
    if let Ok(Err(_)) = applied {
        conn.prepare_cached("ROLLBACK TO one")?.execute([])?;
    }
    if applied.is_ok() {
        conn.prepare_cached("RELEASE one")?.execute([])?;
    }
    applied
}

fn writes(conn: &Connection, commit: &Commit) -> Applied {
    for write in &commit.writes {
        if let Err(conflict) = write_one(conn, write)? {
            return Ok(Err(conflict));
        }
    }
    OK
}

fn write_one(conn: &Connection, write: &Write) -> Applied {
    match write {
        Write::NewOrder(order) => apply_orders::insert(conn, order),
        Write::Order(order) => apply_orders::update(conn, order),
        Write::History(order_no, rows) => apply_orders::history(conn, order_no, rows),
        Write::Record(record) => apply_orders::record(conn, record),
        Write::Ledger(ledger) => apply_ledger::ledger(conn, ledger),
        Write::Once(once) => apply_ledger::once(conn, once),
        Write::Payment(payment, expected) => apply_ledger::payment(conn, payment, *expected),
        Write::Blacklist(user_id, entry) => apply_ledger::blacklist(conn, user_id, entry.as_ref()),
        Write::Command(command) => apply_registry::command(conn, command),
        Write::Alarm(alarm) => apply_registry::alarm(conn, alarm),
        Write::Event(event) => apply_registry::event(conn, event),
        Write::PileState(pile_no, state) => apply_registry::pile_state(conn, *pile_no, state),
        Write::Station(station) => apply_registry::station(conn, station),
        Write::Piles(piles) => apply_registry::piles(conn, piles),
        Write::Rotation(rotation, replaces) => apply_rotations::begin(conn, rotation, replaces.as_ref()),
        Write::RotationAccepted(pile_no, id) => apply_rotations::accepted(conn, *pile_no, id),
        Write::RotationOver(pile_no, id, end) => apply_rotations::over(conn, *pile_no, id, *end),
        Write::Tariff(tariff) => apply_registry::tariff(conn, tariff),
        Write::Integration(integration) => apply_registry::integration(conn, integration),
        Write::IntegrationRemoved(name) => apply_registry::integration_removed(conn, name),
        Write::Audit(row) => apply_cases::audit(conn, row),
        Write::Case(case) => apply_cases::case(conn, case),
        Write::Outbox(event) => apply_cases::outbox(conn, event),
    }
}

/// Takes `n` numbers out of the counter; `None` when so many are not left.
pub(super) fn reserve_pile_nos(conn: &Connection, n: u32) -> rusqlite::Result<Option<PileNo>> {
    let sql = "UPDATE counter SET value = value + ?1 WHERE name = 'next_pile_no' AND value + ?1 <= ?2
               RETURNING value - ?1";
    let first = conn.prepare_cached(sql)?.query_row(params![n, u32::MAX], |row| row.get(0)).optional()?;
    Ok(first.map(PileNo))
}

/// A value as JSON for a `body` column.
pub(super) fn json<T: serde::Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))
}
