//! Writes about one order: its row, its history, its records.

use domain::OrderNo;
use rusqlite::{Connection, OptionalExtension as _, Statement, params};
use settlement::order::{HistoryRow, Order};

use super::apply::{Applied, OK, json};
use crate::{
    limits::RECORDS_PER_ORDER_MAX,
    metric,
    money::{Conflict, RecordRow, Standing},
    sqlite::names::Name,
};

const INSERT: &str = "
INSERT INTO orders (order_no, user_id, pile_code, station_id, created_at, status, payment_status, open, rev, ended_at,
  energy_wh, frozen_fen, total_fen, paid_fen, released_fen, debt_fen, body)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
ON CONFLICT (order_no) DO NOTHING";

/// Sets what an order's life changes. Naming an indexed column here would write its index anew, changed or not, which
/// costs about a fifth of a settlement. So the identity stands in the condition instead.
const UPDATE: &str = "
UPDATE orders SET status = ?6, payment_status = ?7, open = ?8, rev = ?9, ended_at = ?10, energy_wh = ?11,
  frozen_fen = ?12, total_fen = ?13, paid_fen = ?14, released_fen = ?15, debt_fen = ?16, body = ?17
WHERE order_no = ?1 AND rev = ?18 AND user_id = ?2 AND pile_code = ?3 AND station_id = ?4 AND created_at = ?5";

/// A new order.
pub(super) fn insert(conn: &Connection, order: &Order) -> Applied {
    let mut insert = conn.prepare_cached(INSERT)?;
    put(&mut insert, order)?;
    Ok(if insert.raw_execute()? > 0 { Ok(()) } else { Err(Conflict::OrderExists(order.order_no.clone())) })
}

/// A changed order: `first` follows what is stored, `last` is its last form within the commit.
pub(super) fn update(conn: &Connection, first: &Order, last: &Order) -> Applied {
    let before = first.rev.saturating_sub(1);
    let mut update = conn.prepare_cached(UPDATE)?;
    put(&mut update, last)?;
    update.raw_bind_parameter(18, before)?;
    if update.raw_execute()? > 0 {
        return OK;
    }
    let rev: Option<i64> = conn
        .prepare_cached("SELECT rev FROM orders WHERE order_no = ?1")?
        .query_row([first.order_no.as_str()], |row| row.get(0))
        .optional()?;
    Ok(Err(if rev == Some(before) {
        Conflict::Malformed(format!("order {} changed its user, pile, station or time of creation", first.order_no))
    } else {
        Conflict::OrderRev(first.order_no.clone())
    }))
}

/// Every column comes from the order that is also the body, in this one place: they cannot disagree.
fn put(to: &mut Statement<'_>, order: &Order) -> rusqlite::Result<()> {
    to.raw_bind_parameter(1, order.order_no.as_str())?;
    to.raw_bind_parameter(2, order.user_id.as_str())?;
    to.raw_bind_parameter(3, order.pile_code.as_str())?;
    to.raw_bind_parameter(4, order.station_id.as_str())?;
    to.raw_bind_parameter(5, order.created_at.as_millis())?;
    to.raw_bind_parameter(6, Name(order.status))?;
    to.raw_bind_parameter(7, Name(order.payment_status))?;
    to.raw_bind_parameter(8, !order.status.is_over())?;
    to.raw_bind_parameter(9, order.rev)?;
    to.raw_bind_parameter(10, order.ended_at.map(domain::Timestamp::as_millis))?;
    to.raw_bind_parameter(11, order.energy_wh.0)?;
    to.raw_bind_parameter(12, order.frozen_fen.0)?;
    to.raw_bind_parameter(13, order.bill.as_ref().map(|bill| bill.total_fen.0))?;
    to.raw_bind_parameter(14, order.paid_fen.0)?;
    to.raw_bind_parameter(15, order.released_fen.0)?;
    to.raw_bind_parameter(16, order.debt_fen.0)?;
    to.raw_bind_parameter(17, json(order)?)
}

/// Appends history. A row that is there already, equal in everything, is the same row: repeating adds nothing.
pub(super) fn history(conn: &Connection, order_no: &OrderNo, rows: &[HistoryRow]) -> Applied {
    let sql = "
INSERT INTO history (order_no, at, from_status, to_status, event, outcome)
SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE NOT EXISTS (SELECT 1 FROM history WHERE order_no = ?1 AND at = ?2
  AND from_status = ?3 AND to_status = ?4 AND event = ?5 AND outcome = ?6)";
    let mut statement = conn.prepare_cached(sql)?;
    for row in rows {
        statement.execute(params![
            order_no.as_str(),
            row.at.as_millis(),
            Name(row.from),
            Name(row.to),
            row.event,
            Name(row.outcome)
        ])?;
    }
    OK
}

/// Keeps a record: the same content once; one that would stand beside a standing one is kept as conflicting.
pub(super) fn record(conn: &Connection, record: &RecordRow) -> Applied {
    let (kept, repeated, stands): (i64, bool, bool) = conn
        .prepare_cached(
            "SELECT count(*), ifnull(max(content = ?2), 0), ifnull(max(standing = ?3), 0)
             FROM records WHERE order_no = ?1",
        )?
        .query_row(params![record.order_no.as_str(), record.content, Name(Standing::Stands)], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    if repeated {
        return OK;
    }
    if kept >= RECORDS_PER_ORDER_MAX {
        metrics::counter!(metric::RECORDS_REFUSED).increment(1);
        tracing::warn!(order = %record.order_no, kept, "too many different records of one order, this one is not kept");
        return OK;
    }
    let standing = if stands { Standing::Conflicting } else { record.standing };
    conn.prepare_cached(
        "INSERT INTO records (order_no, content, pile_no, raw, received, standing) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        record.order_no.as_str(),
        record.content,
        record.pile_no.0,
        record.raw,
        record.received.as_millis(),
        Name(standing)
    ])?;
    OK
}
