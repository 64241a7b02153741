//! One commit inside the group's transaction: its conditions and its writes, all or none.

use domain::PileNo;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params};
use settlement::{ledger::AccountState, order::Order};

use super::{apply_cases, apply_ledger, apply_orders, apply_registry, apply_rotations};
use crate::money::{Commit, Conflict, LedgerWrite, Write};

/// Applied, or the condition that failed. An error of the outer kind is the engine's: the whole group is off.
pub(super) type Applied = rusqlite::Result<Result<(), Conflict>>;

/// The condition holds.
pub(super) const OK: Applied = Ok(Ok(()));

/// Writes one commit; when a condition fails the transaction is as it was before.
pub(super) fn guarded(conn: &Connection, commit: &Commit) -> Applied {
    conn.prepare_cached("SAVEPOINT one")?.execute([])?;
    let applied = unguarded(conn, commit)?;
    if applied.is_err() {
        conn.prepare_cached("ROLLBACK TO one")?.execute([])?;
    }
    conn.prepare_cached("RELEASE one")?.execute([])?;
    Ok(applied)
}

/// Writes one commit; when a condition fails the transaction holds a part of it, and must not be kept.
pub(super) fn unguarded(conn: &Connection, commit: &Commit) -> Applied {
    match writes(conn, commit) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            Ok(Err(Conflict::Malformed(error.to_string())))
        }
        Err(rusqlite::Error::ToSqlConversionFailure(error)) => Ok(Err(Conflict::Malformed(error.to_string()))),
        other => other,
    }
}

fn writes(conn: &Connection, commit: &Commit) -> Applied {
    let mut before = Before::default();
    let mut rest = commit.writes.as_slice();
    while let Some((write, after)) = rest.split_first() {
        rest = after;
        if let Err(conflict) = write_one(conn, write, &mut before, after)? {
            return Ok(Err(conflict));
        }
    }
    OK
}

/// What the writes before one in the same commit have done. Of an order or an account that a commit changes several times
/// only the last form is written: nobody ever sees those before it, and they are the largest part of a settlement.
#[derive(Default)]
struct Before<'a> {
    /// Forms of orders that are not to be written any more.
    passed: Vec<&'a Order>,
    accounts: Vec<&'a AccountState>,
}

impl<'a> Before<'a> {
    fn order(&mut self, conn: &Connection, order: &'a Order, after: &'a [Write]) -> Applied {
        if self.passed.iter().any(|passed| std::ptr::eq(*passed, order)) {
            return OK;
        }
        let forms = forms(order, after);
        let last = forms.last().copied().unwrap_or(order);
        self.passed.extend(forms);
        apply_orders::update(conn, order, last)
    }

    fn ledger(&mut self, conn: &Connection, ledger: &'a LedgerWrite, after: &[Write]) -> Applied {
        let account = self.accounts.iter().rfind(|account| account.user_id == ledger.next.user_id).copied();
        self.accounts.push(&ledger.next);
        apply_ledger::ledger(conn, ledger, account, goes_on(&ledger.next, after))
    }
}

/// The later forms of an order in the same commit, one revision after the other.
fn forms<'a>(order: &Order, after: &'a [Write]) -> Vec<&'a Order> {
    let (mut rev, mut forms) = (order.rev, Vec::new());
    for write in after {
        let Write::Order(later) = write else { continue };
        if later.order_no == order.order_no {
            rev = rev.saturating_add(1);
            if later.rev != rev {
                break;
            }
            forms.push(later.as_ref());
        }
    }
    forms
}

/// Whether an operation of the same account comes later in the same commit; it begins where this one ends, or nothing is
/// written.
fn goes_on(account: &AccountState, after: &[Write]) -> bool {
    after.iter().any(|write| matches!(write, Write::Ledger(next) if next.next.user_id == account.user_id))
}

fn write_one<'a>(conn: &Connection, write: &'a Write, before: &mut Before<'a>, after: &'a [Write]) -> Applied {
    match write {
        Write::NewOrder(order) => apply_orders::insert(conn, order),
        Write::Order(order) => before.order(conn, order, after),
        Write::History(order_no, rows) => apply_orders::history(conn, order_no, rows),
        Write::Record(record) => apply_orders::record(conn, record),
        Write::Ledger(ledger) => before.ledger(conn, ledger, after),
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
