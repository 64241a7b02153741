//! Writes about one order: its row, its history, its records.

use domain::OrderNo;
use rusqlite::{Connection, OptionalExtension as _, named_params, params};
use settlement::order::{HistoryRow, Order};

use super::apply::{Applied, OK, json};
use crate::{
    limits::RECORDS_PER_ORDER_MAX,
    metric,
    money::{Conflict, RecordRow, Standing},
    sqlite::names::Name,
};

const INSERT: &str = "
INSERT INTO orders (order_no, user_id, pile_code, station_id, status, payment_status, open, rev, created_at, ended_at,
  energy_wh, frozen_fen, total_fen, paid_fen, released_fen, debt_fen, body)
VALUES (:order_no, :user_id, :pile_code, :station_id, :status, :payment_status, :open, :rev, :created_at, :ended_at,
  :energy_wh, :frozen_fen, :total_fen, :paid_fen, :released_fen, :debt_fen, :body)
ON CONFLICT (order_no) DO NOTHING";

/// Sets what an order's life changes. Naming an indexed column here would write its index anew, changed or not, which
/// costs about a fifth of a settlement. So the identity stands in the condition instead.
const UPDATE: &str = "
UPDATE orders SET status = :status, payment_status = :payment_status, open = :open, rev = :rev, ended_at = :ended_at,
  energy_wh = :energy_wh, frozen_fen = :frozen_fen, total_fen = :total_fen, paid_fen = :paid_fen,
  released_fen = :released_fen, debt_fen = :debt_fen, body = :body
WHERE order_no = :order_no AND rev = :rev - 1 AND user_id = :user_id AND pile_code = :pile_code
  AND station_id = :station_id AND created_at = :created_at";

/// A new order.
pub(super) fn insert(conn: &Connection, order: &Order) -> Applied {
    let inserted = put(conn, INSERT, order)?;
    Ok(if inserted { Ok(()) } else { Err(Conflict::OrderExists(order.order_no.clone())) })
}

/// A changed order.
pub(super) fn update(conn: &Connection, order: &Order) -> Applied {
    if put(conn, UPDATE, order)? {
        return OK;
    }
    let rev: Option<i64> = conn
        .prepare_cached("SELECT rev FROM orders WHERE order_no = ?1")?
        .query_row([order.order_no.as_str()], |row| row.get(0))
        .optional()?;
    Ok(Err(if rev == order.rev.checked_sub(1) {
        Conflict::Malformed(format!("order {} changed its user, pile, station or time of creation", order.order_no))
    } else {
        Conflict::OrderRev(order.order_no.clone())
    }))
}

/// Every column comes from the order that is also the body, in this one place: they cannot disagree.
fn put(conn: &Connection, sql: &str, order: &Order) -> rusqlite::Result<bool> {
    let changed = conn.prepare_cached(sql)?.execute(named_params! {
        ":order_no": order.order_no.as_str(),
        ":user_id": order.user_id.as_str(),
        ":pile_code": order.pile_code.as_str(),
        ":station_id": order.station_id.as_str(),
        ":status": Name(order.status),
        ":payment_status": Name(order.payment_status),
        ":open": !order.status.is_over(),
        ":rev": order.rev,
        ":created_at": order.created_at.as_millis(),
        ":ended_at": order.ended_at.map(domain::Timestamp::as_millis),
        ":energy_wh": order.energy_wh.0,
        ":frozen_fen": order.frozen_fen.0,
        ":total_fen": order.bill.as_ref().map(|bill| bill.total_fen.0),
        ":paid_fen": order.paid_fen.0,
        ":released_fen": order.released_fen.0,
        ":debt_fen": order.debt_fen.0,
        ":body": json(order)?,
    })?;
    Ok(changed > 0)
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
