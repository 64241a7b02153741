//! The reads of the money port, one function each.

use domain::{CommandId, EventId, OrderNo, PileNo, StationId, Timestamp, UserId};
use rusqlite::{Connection, named_params, params};
use settlement::{
    ledger::{AccountState, Entry},
    order::{HistoryRow, Order},
    tariff::Tariff,
};

use super::{
    paging::{Before, all, limit, number, one, page},
    rows,
};
use crate::{
    money::{
        Alarm, AlarmState, BlacklistEntry, CommandRow, OrderFilter, Page, Payment, RecordRow, Standing, StoreError,
    },
    registry::{AuditRow, Integration, Pile, PileState, Rotation, Station},
    sqlite::{connection::broken, names::Name},
};

pub(super) fn order(conn: &Connection, order_no: &OrderNo) -> Result<Option<Order>, StoreError> {
    one(conn, "SELECT body FROM orders WHERE order_no = ?1", [order_no.as_str()], |row| rows::body(row, 0))
}

/// Uses the partial index: closed orders are not looked at, however many there are.
const OPEN_ORDERS: &str = "SELECT body FROM orders WHERE open = 1 ORDER BY created_at, order_no";

pub(super) fn open_orders(conn: &Connection) -> Result<Vec<Order>, StoreError> {
    all(conn, OPEN_ORDERS, [], |row| rows::body(row, 0))
}

/// One text per kind of filter, each with an index that gives its order.
fn orders_sql(filter: &OrderFilter) -> String {
    let chosen = match (&filter.user_id, &filter.pile_code) {
        (None, None) => ":user IS NULL AND :pile IS NULL",
        (Some(_), None) => "user_id = :user AND :pile IS NULL",
        (None, Some(_)) => "pile_code = :pile AND :user IS NULL",
        (Some(_), Some(_)) => "user_id = :user AND pile_code = :pile",
    };
    format!(
        "SELECT body FROM orders WHERE {chosen} AND (created_at, order_no) < (:at, :name)
         ORDER BY created_at DESC, order_no DESC LIMIT :limit"
    )
}

pub(super) fn orders(
    conn: &Connection,
    filter: &OrderFilter,
    cursor: Option<&str>,
    max: usize,
) -> Result<Page<Order>, StoreError> {
    let before = Before::parse(cursor)?;
    let params = named_params! {
        ":user": filter.user_id.as_ref().map(UserId::as_str),
        ":pile": filter.pile_code.as_ref().map(domain::PileCode::as_str),
        ":at": before.at, ":name": before.name, ":limit": limit(max),
    };
    let cursor_of = |order: &Order| Before::cursor(order.created_at.as_millis(), order.order_no.as_str());
    page(conn, &orders_sql(filter), params, max, |row| rows::body(row, 0), cursor_of)
}

pub(super) fn history(conn: &Connection, order_no: &OrderNo) -> Result<Vec<HistoryRow>, StoreError> {
    let sql = format!("SELECT {} FROM history WHERE order_no = ?1 ORDER BY id", rows::HISTORY);
    all(conn, &sql, [order_no.as_str()], rows::history_row)
}

pub(super) fn record(conn: &Connection, order_no: &OrderNo) -> Result<Option<RecordRow>, StoreError> {
    let sql = format!("SELECT {} FROM records WHERE order_no = ?1 AND standing = ?2", rows::RECORD);
    one(conn, &sql, params![order_no.as_str(), Name(Standing::Stands)], rows::record)
}

/// Reads the account and its holds and debts in one transaction: no operation can come between.
pub(super) fn account(conn: &Connection, user_id: &UserId) -> Result<Option<AccountState>, StoreError> {
    let sql = format!("SELECT {} FROM accounts WHERE user_id = ?1", rows::ACCOUNT);
    // The outer statement is still being read while holds and debts are: they see the same moment.
    one(conn, &sql, [user_id.as_str()], |row| rows::account(conn, row))
}

pub(super) fn entries(
    conn: &Connection,
    user_id: &UserId,
    cursor: Option<&str>,
    max: usize,
) -> Result<Page<Entry>, StoreError> {
    let before = number(cursor, i64::MAX)?;
    let sql = format!("SELECT {} FROM entries WHERE user_id = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3", rows::ENTRY);
    page(conn, &sql, params![user_id.as_str(), before, limit(max)], max, rows::entry, |entry| entry.seq.to_string())
}

pub(super) fn op_result(conn: &Connection, user_id: &UserId, op: &str) -> Result<Option<String>, StoreError> {
    one(conn, "SELECT result FROM ops WHERE user_id = ?1 AND op = ?2", [user_id.as_str(), op], |row| row.get(0))
}

pub(super) fn blacklisted(conn: &Connection, user_id: &UserId) -> Result<Option<BlacklistEntry>, StoreError> {
    one(conn, "SELECT reason, body FROM blacklist WHERE user_id = ?1", [user_id.as_str()], |row| {
        let stored: Option<BlacklistEntry> = rows::optional_body(row, 1)?;
        // An entry of an earlier release has a reason only.
        let bare =
            |reason| BlacklistEntry { reason, by: String::new(), at: Timestamp::from_millis_clamped(0), until: None };
        stored.map_or_else(|| row.get(0).map(bare), Ok)
    })
}

pub(super) fn payment(conn: &Connection, payment_no: &str) -> Result<Option<Payment>, StoreError> {
    let sql = format!("SELECT {} FROM payments WHERE payment_no = ?1", rows::PAYMENT);
    one(conn, &sql, [payment_no], rows::payment)
}

pub(super) fn command(conn: &Connection, command_id: &CommandId) -> Result<Option<CommandRow>, StoreError> {
    one(conn, "SELECT body FROM commands WHERE command_id = ?1", [command_id.as_str()], |row| rows::body(row, 0))
}

const OPEN_COMMANDS: &str = "SELECT body FROM commands WHERE open = 1 ORDER BY created_at, command_id";

pub(super) fn open_commands(conn: &Connection) -> Result<Vec<CommandRow>, StoreError> {
    all(conn, OPEN_COMMANDS, [], |row| rows::body(row, 0))
}

fn alarms_sql(state: Option<AlarmState>) -> String {
    let chosen = if state.is_some() { "state = ?1" } else { "?1 IS NULL" };
    format!(
        "SELECT body FROM alarms WHERE {chosen} AND (raised_at, alarm_id) < (?2, ?3)
         ORDER BY raised_at DESC, alarm_id DESC LIMIT ?4"
    )
}

pub(super) fn alarms(
    conn: &Connection,
    state: Option<AlarmState>,
    cursor: Option<&str>,
    max: usize,
) -> Result<Page<Alarm>, StoreError> {
    let before = Before::parse(cursor)?;
    let sql = alarms_sql(state);
    let cursor_of = |alarm: &Alarm| Before::cursor(alarm.raised_at.as_millis(), &alarm.alarm_id);
    let params = params![state.map(Name), before.at, before.name, limit(max)];
    page(conn, &sql, params, max, |row| rows::body(row, 0), cursor_of)
}

pub(super) fn alarm(conn: &Connection, alarm_id: &str) -> Result<Option<Alarm>, StoreError> {
    one(conn, "SELECT body FROM alarms WHERE alarm_id = ?1", [alarm_id], |row| rows::body(row, 0))
}

const OPEN_ALARMS: &str = "SELECT body FROM alarms WHERE open = 1 ORDER BY raised_at, alarm_id";

pub(super) fn open_alarms(conn: &Connection) -> Result<Vec<Alarm>, StoreError> {
    all(conn, OPEN_ALARMS, [], |row| rows::body(row, 0))
}

pub(super) fn event_seen(conn: &Connection, pile_no: PileNo, event_id: &EventId) -> Result<bool, StoreError> {
    conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM events WHERE pile_no = ?1 AND event_id = ?2)")
        .and_then(|mut statement| statement.query_row(params![pile_no.0, event_id.as_str()], |row| row.get(0)))
        .map_err(broken)
}

pub(super) fn stations(conn: &Connection) -> Result<Vec<Station>, StoreError> {
    all(conn, "SELECT body FROM stations ORDER BY station_id", [], |row| rows::body(row, 0))
}

pub(super) fn piles(conn: &Connection) -> Result<Vec<(Pile, PileState)>, StoreError> {
    let sql = format!("SELECT {}, body FROM piles LEFT JOIN pile_states USING (pile_no) ORDER BY pile_no", rows::PILE);
    all(conn, &sql, [], |row| {
        let kept: Option<PileState> =
            if row.get_ref(7)? == rusqlite::types::ValueRef::Null { None } else { Some(rows::body(row, 7)?) };
        Ok((rows::pile(row)?, kept.unwrap_or_default()))
    })
}

pub(super) fn rotations(conn: &Connection) -> Result<Vec<Rotation>, StoreError> {
    let sql = format!("SELECT {} FROM piles WHERE rotation_id IS NOT NULL ORDER BY pile_no", rows::ROTATION);
    all(conn, &sql, [], rows::rotation)
}

pub(super) fn tariffs(conn: &Connection, station_id: Option<&StationId>) -> Result<Vec<Tariff>, StoreError> {
    match station_id {
        Some(station_id) => {
            let sql = "SELECT body FROM tariffs WHERE station_id = ?1 ORDER BY version, tariff_id";
            all(conn, sql, [station_id.as_str()], |row| rows::body(row, 0))
        }
        None => {
            all(conn, "SELECT body FROM tariffs ORDER BY station_id, version, tariff_id", [], |row| rows::body(row, 0))
        }
    }
}

pub(super) fn tariff(conn: &Connection, tariff_id: &str) -> Result<Option<Tariff>, StoreError> {
    one(conn, "SELECT body FROM tariffs WHERE tariff_id = ?1", [tariff_id], |row| rows::body(row, 0))
}

pub(super) fn integrations(conn: &Connection) -> Result<Vec<Integration>, StoreError> {
    all(conn, "SELECT body, verifier FROM integrations ORDER BY name", [], |row| {
        Ok(Integration { verifier: row.get(1)?, ..rows::body(row, 0)? })
    })
}

pub(super) fn audit_rows(conn: &Connection, cursor: Option<&str>, max: usize) -> Result<Page<AuditRow>, StoreError> {
    let before = number(cursor, i64::MAX)?;
    let sql = format!("SELECT {} FROM audit WHERE id < ?1 ORDER BY id DESC LIMIT ?2", rows::AUDIT);
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, rows::audit_row(row)?));
    let rows = page(conn, &sql, params![before, limit(max)], max, read, |(id, _)| id.to_string())?;
    Ok(Page { items: rows.items.into_iter().map(|(_, row)| row).collect(), next_cursor: rows.next_cursor })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// How SQLite would run a query on an empty file.
    pub(in super::super) fn plan(sql: &str) -> String {
        let conn = Connection::open_in_memory().unwrap();
        crate::sqlite::money::schema::SCHEMA.steps.iter().for_each(|step| conn.execute_batch(step).unwrap());
        let mut explain = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let nulls = vec![rusqlite::types::Null; explain.parameter_count()];
        let steps = explain.query_map(rusqlite::params_from_iter(nulls), |row| row.get::<_, String>(3)).unwrap();
        steps.collect::<rusqlite::Result<Vec<_>>>().unwrap().join("; ")
    }

    #[test]
    fn every_list_is_read_along_its_index_and_never_sorted() {
        let filter = |user: Option<&str>, pile: Option<&str>| {
            orders_sql(&OrderFilter {
                user_id: user.map(|text| text.parse().unwrap()),
                pile_code: pile.map(|text| text.parse().unwrap()),
            })
        };
        for (sql, index) in [
            (OPEN_ORDERS.to_owned(), "orders_open"),
            (OPEN_COMMANDS.to_owned(), "commands_open"),
            (OPEN_ALARMS.to_owned(), "alarms_open"),
            (filter(None, None), "orders_by_time"),
            (filter(Some("u1"), None), "orders_by_user"),
            (filter(None, Some("P1")), "orders_by_pile"),
            (alarms_sql(None), "alarms_by_time"),
            (alarms_sql(Some(AlarmState::Raised)), "alarms_by_state"),
        ] {
            let plan = plan(&sql);
            assert!(plan.contains(&format!("USING INDEX {index}")), "{sql}: {plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{sql}: {plan}");
        }
    }
}
