//! What an audit reads, and the comparison of the engine's own copies of one fact.

use domain::UserId;
use rusqlite::{Connection, Row, params};
use settlement::{ledger::AccountState, order::Order};

use super::{
    paging::{limit, number, page},
    rows,
};
use crate::{
    audit::Disagreement,
    limits::DISAGREEMENTS_MAX,
    money::{Page, Payment, StoreError},
    sqlite::{connection::broken, names::Spelt as _},
};

pub(super) fn accounts(conn: &Connection, cursor: Option<&str>, max: usize) -> Result<Page<AccountState>, StoreError> {
    let sql = format!("SELECT {} FROM accounts WHERE user_id > ?1 ORDER BY user_id LIMIT ?2", rows::ACCOUNT);
    let params = params![cursor.unwrap_or_default(), limit(max)];
    page(conn, &sql, params, max, |row| rows::account(conn, row), |account| account.user_id.as_str().to_owned())
}

pub(super) fn payments(conn: &Connection, cursor: Option<&str>, max: usize) -> Result<Page<Payment>, StoreError> {
    let sql = format!("SELECT {} FROM payments WHERE payment_no > ?1 ORDER BY payment_no LIMIT ?2", rows::PAYMENT);
    let params = params![cursor.unwrap_or_default(), limit(max)];
    page(conn, &sql, params, max, rows::payment, |payment| payment.payment_no.clone())
}

pub(super) fn ops(
    conn: &Connection,
    user_id: &UserId,
    cursor: Option<&str>,
    max: usize,
) -> Result<Page<(i64, String)>, StoreError> {
    let after = number(cursor, 0)?;
    let sql = "SELECT version, op FROM ops WHERE user_id = ?1 AND version > ?2 ORDER BY version LIMIT ?3";
    let params = params![user_id.as_str(), after, limit(max)];
    page(conn, sql, params, max, |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)), |(version, _)| version.to_string())
}

/// Every order's columns against its body, the end of the audit trail, and SQLite's own check of the file.
pub(super) fn disagreements(conn: &Connection) -> Result<Vec<Disagreement>, StoreError> {
    let mut found = Vec::new();
    file(conn, &mut found).map_err(broken)?;
    orders(conn, &mut found).map_err(broken)?;
    trail(conn, &mut found).map_err(broken)?;
    found.truncate(DISAGREEMENTS_MAX);
    Ok(found)
}

/// The chain of the audit trail shows no row missing at its end; how many were written does.
fn trail(conn: &Connection, found: &mut Vec<Disagreement>) -> rusqlite::Result<()> {
    let last: i64 = conn.query_row("SELECT coalesce(max(id), 0) FROM audit", [], |row| row.get(0))?;
    let written = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'audit'";
    let written: i64 = conn.query_row(written, [], |row| row.get(0))?;
    if last != written {
        let what = format!("it ends with row {last}, the last one written was {written}");
        found.push(Disagreement { of: "audit trail".to_owned(), what });
    }
    Ok(())
}

fn file(conn: &Connection, found: &mut Vec<Disagreement>) -> rusqlite::Result<()> {
    let mut check = conn.prepare(&format!("PRAGMA integrity_check({DISAGREEMENTS_MAX})"))?;
    let mut lines = check.query([])?;
    while let Some(row) = lines.next()? {
        let what: String = row.get(0)?;
        if what != "ok" {
            found.push(Disagreement { of: "file money.db".to_owned(), what });
        }
    }
    Ok(())
}

fn orders(conn: &Connection, found: &mut Vec<Disagreement>) -> rusqlite::Result<()> {
    let mut select = conn.prepare(
        "SELECT order_no, user_id, pile_code, station_id, status, payment_status, open, rev, created_at, ended_at,
         energy_wh, frozen_fen, total_fen, paid_fen, released_fen, debt_fen, body FROM orders ORDER BY created_at",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()?
        && found.len() < DISAGREEMENTS_MAX
    {
        let order_no: String = row.get(0)?;
        let of = format!("order {order_no}");
        match rows::body::<Order>(row, 16) {
            Err(error) => found.push(Disagreement { of, what: format!("unreadable: {error}") }),
            Ok(order) => {
                for what in differing_columns(row, &order)? {
                    found.push(Disagreement { of: of.clone(), what: format!("column {what} differs from the order") });
                }
            }
        }
    }
    Ok(())
}

/// The columns of a row that are not what its order says.
fn differing_columns(row: &Row<'_>, order: &Order) -> rusqlite::Result<Vec<&'static str>> {
    let text = |column: usize, value: &str| Ok::<_, rusqlite::Error>(row.get::<_, String>(column)? != value);
    let int = |column: usize, value: Option<i64>| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)? != value);
    let checks = [
        ("order_no", text(0, order.order_no.as_str())?),
        ("user_id", text(1, order.user_id.as_str())?),
        ("pile_code", text(2, order.pile_code.as_str())?),
        ("station_id", text(3, order.station_id.as_str())?),
        ("status", text(4, order.status.text())?),
        ("payment_status", text(5, order.payment_status.text())?),
        ("open", int(6, Some(i64::from(!order.status.is_over())))?),
        ("rev", int(7, Some(order.rev))?),
        ("created_at", int(8, Some(order.created_at.as_millis()))?),
        ("ended_at", int(9, order.ended_at.map(domain::Timestamp::as_millis))?),
        ("energy_wh", int(10, Some(order.energy_wh.0))?),
        ("frozen_fen", int(11, Some(order.frozen_fen.0))?),
        ("total_fen", int(12, order.bill.as_ref().map(|bill| bill.total_fen.0))?),
        ("paid_fen", int(13, Some(order.paid_fen.0))?),
        ("released_fen", int(14, Some(order.released_fen.0))?),
        ("debt_fen", int(15, Some(order.debt_fen.0))?),
    ];
    Ok(checks.into_iter().filter(|(_, differs)| *differs).map(|(column, _)| column).collect())
}
