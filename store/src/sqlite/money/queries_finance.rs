//! The reads of finance: lists by time, payments, cases, the outbox, the chain of the audit trail.

use domain::{Timestamp, UserId};
use rusqlite::{Connection, named_params, params};
use settlement::{ledger::Entry, order::Order};

use super::{
    paging::{After, Before, all, limit, one, page},
    rows,
};
use crate::{
    cases::{Case, CaseFilter, CaseKind, OutboxEvent},
    chain::Chained,
    money::{Page, Payment, StoreError},
    sqlite::names::Name,
};

/// A span of time, `[from, to)`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

const ORDERS_ENDED: &str = "SELECT body FROM orders
  WHERE ended_at IS NOT NULL AND ended_at < ?1 AND (ended_at, order_no) > (?2, ?3)
  ORDER BY ended_at, order_no LIMIT ?4";

pub(super) fn orders_ended(
    conn: &Connection,
    span: Span,
    cursor: Option<&str>,
    max: usize,
) -> Result<Page<Order>, StoreError> {
    let after = After::parse(cursor, span.from)?;
    let cursor_of =
        |order: &Order| Before::cursor(order.ended_at.map_or(0, Timestamp::as_millis), order.order_no.as_str());
    let params = params![span.to.as_millis(), after.at, after.name, limit(max)];
    page(conn, ORDERS_ENDED, params, max, |row| rows::body(row, 0), cursor_of)
}

const OWING: &str = "SELECT body FROM orders WHERE debt_fen > 0 AND (created_at, order_no) < (?1, ?2)
  ORDER BY created_at DESC, order_no DESC LIMIT ?3";

pub(super) fn owing_orders(conn: &Connection, cursor: Option<&str>, max: usize) -> Result<Page<Order>, StoreError> {
    let before = Before::parse(cursor)?;
    let cursor_of = |order: &Order| Before::cursor(order.created_at.as_millis(), order.order_no.as_str());
    page(conn, OWING, params![before.at, before.name, limit(max)], max, |row| rows::body(row, 0), cursor_of)
}

/// An entry's number is that of its account, so the account is part of the place.
fn entries_between_sql() -> String {
    format!(
        "SELECT {} FROM entries INDEXED BY entries_by_time
         WHERE at < ?1 AND (at, user_id, seq) > (?2, ?3, ?4) ORDER BY at, user_id, seq LIMIT ?5",
        rows::ENTRY
    )
}

pub(super) fn entries_between(
    conn: &Connection,
    span: Span,
    cursor: Option<&str>,
    max: usize,
) -> Result<Page<Entry>, StoreError> {
    // `time.seq.user`: a user may have any character in the name, so it comes last.
    let after = After::parse(cursor, span.from)?;
    let (seq, user) = match after.name.split_once('.') {
        Some((seq, user)) => (seq.parse::<i64>().map_err(|_| StoreError::BadCursor(after.name.clone()))?, user),
        None => (0, ""),
    };
    let cursor_of = |entry: &Entry| Before::cursor(entry.at.as_millis(), &format!("{}.{}", entry.seq, entry.user_id));
    let params = params![span.to.as_millis(), after.at, user, seq, limit(max)];
    page(conn, &entries_between_sql(), params, max, rows::entry, cursor_of)
}

fn payments_of_sql() -> String {
    format!(
        "SELECT {} FROM payments WHERE user_id = ?1 AND (created_at, payment_no) < (?2, ?3)
         ORDER BY created_at DESC, payment_no DESC LIMIT ?4",
        rows::PAYMENT
    )
}

pub(super) fn payments_of(
    conn: &Connection,
    user_id: &UserId,
    cursor: Option<&str>,
    max: usize,
) -> Result<Page<Payment>, StoreError> {
    let before = Before::parse(cursor)?;
    let cursor_of = |payment: &Payment| Before::cursor(payment.created_at.as_millis(), &payment.payment_no);
    let params = params![user_id.as_str(), before.at, before.name, limit(max)];
    page(conn, &payments_of_sql(), params, max, rows::payment, cursor_of)
}

fn payments_paid_sql() -> String {
    format!(
        "SELECT {} FROM payments WHERE paid_at IS NOT NULL AND paid_at < ?1 AND (paid_at, payment_no) > (?2, ?3)
         ORDER BY paid_at, payment_no LIMIT ?4",
        rows::PAYMENT
    )
}

pub(super) fn payments_paid(
    conn: &Connection,
    span: Span,
    cursor: Option<&str>,
    max: usize,
) -> Result<Page<Payment>, StoreError> {
    let after = After::parse(cursor, span.from)?;
    let cursor_of =
        |payment: &Payment| Before::cursor(payment.paid_at.map_or(0, Timestamp::as_millis), &payment.payment_no);
    let params = params![span.to.as_millis(), after.at, after.name, limit(max)];
    page(conn, &payments_paid_sql(), params, max, rows::payment, cursor_of)
}

fn due_payments_sql() -> String {
    format!(
        "SELECT {} FROM payments WHERE due IS NOT NULL AND due <= ?1 ORDER BY due, payment_no LIMIT ?2",
        rows::PAYMENT
    )
}

pub(super) fn due_payments(conn: &Connection, now: Timestamp, max: usize) -> Result<Vec<Payment>, StoreError> {
    all(conn, &due_payments_sql(), params![now.as_millis(), most(max)], rows::payment)
}

pub(super) fn case(conn: &Connection, kind: CaseKind, id: &str) -> Result<Option<Case>, StoreError> {
    let sql = format!("SELECT {} FROM cases WHERE kind = ?1 AND id = ?2", rows::CASE);
    one(conn, &sql, params![Name(kind), id], rows::case)
}

/// One text per kind of filter, each with an index that gives its order.
fn cases_sql(filter: &CaseFilter) -> String {
    let state = if filter.state.is_some() { "state = :state" } else { ":state IS NULL" };
    let about = if filter.about.is_some() { "about = :about" } else { ":about IS NULL" };
    let open = if filter.open_only { "open = 1" } else { "1" };
    let index = match (&filter.about, &filter.state, filter.open_only) {
        (Some(_), _, _) => "cases_by_about",
        (None, Some(_), _) => "cases_by_state",
        (None, None, true) => "cases_open",
        (None, None, false) => "cases_by_time",
    };
    format!(
        "SELECT {} FROM cases INDEXED BY {index} WHERE kind = :kind AND {state} AND {about} AND {open}
         AND (at, id) < (:at, :id) ORDER BY at DESC, id DESC LIMIT :limit",
        rows::CASE
    )
}

pub(super) fn cases(
    conn: &Connection,
    filter: &CaseFilter,
    cursor: Option<&str>,
    max: usize,
) -> Result<Page<Case>, StoreError> {
    let before = Before::parse(cursor)?;
    let params = named_params! {
        ":kind": Name(filter.kind), ":state": filter.state, ":about": filter.about,
        ":at": before.at, ":id": before.name, ":limit": limit(max),
    };
    let cursor_of = |case: &Case| Before::cursor(case.at.as_millis(), &case.id);
    page(conn, &cases_sql(filter), params, max, rows::case, cursor_of)
}

fn due_cases_sql() -> String {
    format!(
        "SELECT {} FROM cases WHERE kind = ?1 AND open = 1 AND due IS NOT NULL AND due <= ?2
         ORDER BY due, id LIMIT ?3",
        rows::CASE
    )
}

pub(super) fn due_cases(
    conn: &Connection,
    kind: CaseKind,
    now: Timestamp,
    max: usize,
) -> Result<Vec<Case>, StoreError> {
    all(conn, &due_cases_sql(), params![Name(kind), now.as_millis(), most(max)], rows::case)
}

pub(super) fn outbox(conn: &Connection, after: i64, max: usize) -> Result<Vec<(i64, OutboxEvent)>, StoreError> {
    let sql = format!("SELECT {} FROM outbox WHERE id > ?1 ORDER BY id LIMIT ?2", rows::OUTBOX);
    all(conn, &sql, params![after, most(max)], rows::outbox_event)
}

pub(super) fn audit_chain(conn: &Connection, after: i64, max: usize) -> Result<Vec<Chained>, StoreError> {
    let sql = format!("SELECT {} FROM audit WHERE id > ?1 ORDER BY id LIMIT ?2", rows::AUDIT);
    all(conn, &sql, params![after, most(max)], rows::chained)
}

/// What to bind to `LIMIT` of a list without a cursor.
fn most(max: usize) -> i64 {
    limit(max).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_of_finance_is_read_along_its_index_and_never_sorted() {
        let filter = |state: Option<&str>, about: Option<&str>, open_only| {
            cases_sql(&CaseFilter {
                kind: CaseKind::Refund,
                state: state.map(str::to_owned),
                about: about.map(str::to_owned),
                open_only,
            })
        };
        for (sql, index) in [
            (ORDERS_ENDED.to_owned(), "orders_by_end"),
            (OWING.to_owned(), "orders_owing"),
            (entries_between_sql(), "entries_by_time"),
            (payments_of_sql(), "payments_by_user"),
            (payments_paid_sql(), "payments_by_paid"),
            (due_payments_sql(), "payments_due"),
            (due_cases_sql(), "cases_due"),
            (filter(None, None, false), "cases_by_time"),
            (filter(None, None, true), "cases_open"),
            (filter(Some("SENT"), None, true), "cases_by_state"),
            (filter(Some("SENT"), Some("P1"), false), "cases_by_about"),
        ] {
            let plan = super::super::queries::tests::plan(&sql);
            assert!(plan.contains(&format!("USING INDEX {index}")), "{sql}: {plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{sql}: {plan}");
        }
    }
}
