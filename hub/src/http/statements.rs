//! A driver's months: what there was, what happened by kind, what is left. The sums are settlement's.

use axum::{
    Json,
    extract::{Path, State},
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use domain::{Millis, Timestamp, UserId};
use serde::Serialize;
use settlement::{
    ledger::Entry,
    statement::{Builder, KindSum, Standing, Statement, kind_name},
};
use utoipa::ToSchema;

use super::{
    accept::prefers,
    answer::Listed,
    auth::By,
    problem::{Code, Problem},
    rights::{WALLET_STATEMENT, WALLET_STATEMENTS},
    state::App,
    table::{self, Cell},
};
use crate::{
    calendar::Calendar,
    limits::{CLOCK_STEP_MS_MAX, PAGE_LEN_MAX, STATEMENT_ENTRIES_MAX},
};

/// A month in which something moved.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MonthView {
    #[schema(example = "2026-11")]
    month: String,
    /// Movements in it.
    entries: u64,
}

/// A month of a driver's money. Months begin and end by the clock of the first station by id.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StatementView {
    #[schema(value_type = String)]
    user_id: UserId,
    #[schema(example = "2026-11")]
    month: String,
    timezone: String,
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    to: Timestamp,
    /// The month is over: nothing will be added.
    complete: bool,
    #[schema(value_type = Object)]
    opening: Standing,
    /// What movements of one kind did.
    #[schema(value_type = Vec<Object>)]
    kinds: Vec<KindView>,
    #[schema(value_type = Object)]
    closing: Standing,
    entries: u64,
}

/// What movements of one kind did.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KindView {
    kind: String,
    #[serde(flatten)]
    sum: KindSum,
}

/// The months in which the caller's money moved, newest first (driver).
#[utoipa::path(get, path = "/wallet/statements", tag = "wallet",
    responses((status = 200, body = Listed<MonthView>)))]
pub(crate) async fn months(
    State(app): State<App>,
    by: By<WALLET_STATEMENTS>,
) -> Result<Json<Listed<MonthView>>, Problem> {
    let calendar = Calendar::of(&app.actors.stations());
    let mut months: Vec<MonthView> = Vec::new();
    each_entry(&app, &by.sub, Timestamp::MIN, |entry| {
        let month = calendar.month_of(entry.at);
        match months.iter_mut().rev().find(|known| known.month == month) {
            Some(known) => known.entries = known.entries.saturating_add(1),
            None => months.push(MonthView { month, entries: 1 }),
        }
    })
    .await?;
    months.sort_by(|a, b| b.month.cmp(&a.month));
    Ok(Json(Listed::whole(months)))
}

/// A month of the caller's money (driver): opening, sums per kind, closing. As a table of every movement when the month
/// is followed by `.csv`, or `Accept` prefers `text/csv`.
#[utoipa::path(get, path = "/wallet/statements/{month}", tag = "wallet", params(("month" = String, Path)),
    responses((status = 200, body = StatementView)))]
pub(crate) async fn statement(
    State(app): State<App>,
    by: By<WALLET_STATEMENT>,
    Path(month): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (month, named) = month.strip_suffix(".csv").map_or((month.as_str(), false), |month| (month, true));
    let now = app.now();
    let calendar = Calendar::of(&app.actors.stations());
    let span = calendar.month(month).filter(|(from, _)| *from <= now);
    let rule = "must be a month that has begun, like 2026-01";
    let (from, to) = span.ok_or_else(|| Problem::invalid("month", month, rule))?;
    let standing = app.money.account(&by.sub).await?.map_or_else(Standing::default, |account| Standing::of(&account));
    let mut builder = Builder::new(from, to, standing);
    let (mut lines, as_table) = (Vec::new(), named || prefers(&headers, "text/csv"));
    each_entry(&app, &by.sub, from, |entry| {
        builder.take(&entry);
        if as_table && (from..to).contains(&entry.at) {
            lines.push(entry);
        }
    })
    .await?;
    let statement = builder.finish();
    if as_table {
        return table::download(&format!("statement-{month}.csv"), in_lines(&statement, (from, to), &lines));
    }
    let view = StatementView {
        user_id: by.sub,
        month: month.to_owned(),
        timezone: calendar.timezone().to_owned(),
        from,
        to,
        complete: now >= to,
        opening: statement.opening,
        kinds: statement.kinds.into_iter().map(|(kind, sum)| KindView { kind, sum }).collect(),
        closing: statement.closing,
        entries: statement.entries,
    };
    Ok(Json(view).into_response())
}

/// Every movement between the opening and the closing line, oldest first.
fn in_lines(statement: &Statement, (from, to): (Timestamp, Timestamp), newest_first: &[Entry]) -> String {
    let heads = ["entryId", "at", "kind", "availableChangeFen", "frozenChangeFen", "debtChangeFen", "orderNo"];
    let mut text = table::line(&heads.map(Cell::from));
    let standing = |name: &str, at: Timestamp, sums: &Standing| {
        let [available, frozen, debt] = [sums.available_fen, sums.frozen_fen, sums.debt_fen].map(Cell::from);
        table::line(&[Cell::from(""), Cell::from(&at), Cell::from(name), available, frozen, debt, Cell::from("")])
    };
    text.push_str(&standing("OPENING", from, &statement.opening));
    for entry in newest_first.iter().rev() {
        let did = KindSum::of(entry);
        let order = entry.order_no.as_ref().map_or_else(|| Cell::from(""), Cell::from);
        text.push_str(&table::line(&[
            Cell::from(entry.seq),
            Cell::from(&entry.at),
            Cell::from(&kind_name(entry.kind)),
            Cell::from(did.available_change_fen),
            Cell::from(did.frozen_change_fen),
            Cell::from(did.debt_change_fen),
            order,
        ]));
    }
    text.push_str(&standing("CLOSING", to, &statement.closing));
    text
}

/// Goes through an account's movements, newest first, at least back to `from`.
async fn each_entry(app: &App, user: &UserId, from: Timestamp, mut each: impl FnMut(Entry)) -> Result<(), Problem> {
    let begins = from.plus(Millis(-CLOCK_STEP_MS_MAX));
    let (mut cursor, mut seen): (Option<String>, usize) = (None, 0);
    loop {
        let page = app.money.entries(user, cursor.as_deref(), PAGE_LEN_MAX).await?;
        seen = seen.saturating_add(page.items.len());
        let is_past = page.items.last().is_none_or(|entry| entry.at < begins);
        page.items.into_iter().for_each(&mut each);
        cursor = page.next_cursor;
        if cursor.is_none() || is_past {
            return Ok(());
        }
        if seen > STATEMENT_ENTRIES_MAX {
            let detail = format!("the account moved more than {STATEMENT_ENTRIES_MAX} times since");
            return Err(Problem::new(Code::TooLong, detail));
        }
    }
}
