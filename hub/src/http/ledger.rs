//! The books as finance reads them: everybody's entries by time, in pages or as one table.

use std::sync::Arc;

use axum::{Json, body::Body, extract::State, response::Response};
use domain::{OrderNo, Timestamp, UserId};
use futures_util::stream;
use serde::{Serialize, de::IntoDeserializer};
use settlement::{
    ledger::{BookAccount, Entry, EntryKind},
    statement::kind_name,
};
use store::money::{Money, StoreError};
use utoipa::ToSchema;

use super::{
    answer::Listed,
    auth::By,
    input::Params,
    problem::Problem,
    rights::{LEDGER_ENTRIES, LEDGER_EXPORT},
    sift::{Sift, sift},
    state::App,
    table::{self, Cell},
};
use crate::limits::{EXPORT_ROWS_MAX, PAGE_LEN_MAX};

/// A line of the books: its amount is debited to one account and credited to the other.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LineView {
    /// In whose partition of the books.
    #[schema(value_type = String)]
    user_id: UserId,
    /// Rising, per partition.
    entry_id: String,
    /// The operation it belongs to, done once.
    op: String,
    #[schema(value_type = String)]
    kind: EntryKind,
    #[schema(value_type = String)]
    debit: BookAccount,
    #[schema(value_type = String)]
    credit: BookAccount,
    /// Always positive.
    amount_fen: i64,
    #[schema(value_type = Option<String>)]
    order_no: Option<OrderNo>,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

/// Everybody's entries in `[from, to)`, oldest first (finance, auditor). A page may be short while its cursor leads on.
#[utoipa::path(get, path = "/ledger/entries", tag = "wallet",
    params(("from" = String, Query), ("to" = Option<String>, Query), ("userId" = Option<String>, Query),
        ("kind" = Option<String>, Query), ("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query)),
    responses((status = 200, body = Listed<LineView>)))]
pub(crate) async fn entries(
    State(app): State<App>,
    _by: By<LEDGER_ENTRIES>,
    params: Params,
) -> Result<Json<Listed<LineView>>, Problem> {
    let (from, to) = span(&app, &params)?;
    let wanted = Wanted::read(&params)?;
    let judge = |entry: &Entry| if wanted.fits(entry) { Sift::Keep } else { Sift::Skip };
    let page = sift(params.cursor(), params.limit()?, judge, |cursor, max| {
        let money = Arc::clone(&app.money);
        async move { money.entries_between(from, to, cursor.as_deref(), max).await }
    });
    Ok(Json(Listed::page(page.await?, view)))
}

/// The same as one table, written while it is read (finance, auditor).
#[utoipa::path(get, path = "/ledger/entries.csv", tag = "wallet",
    params(("from" = String, Query), ("to" = Option<String>, Query), ("userId" = Option<String>, Query),
        ("kind" = Option<String>, Query)),
    responses((status = 200, description = "A table", body = String, content_type = "text/csv")))]
pub(crate) async fn export(
    State(app): State<App>,
    _by: By<LEDGER_EXPORT>,
    params: Params,
) -> Result<Response, Problem> {
    let (from, to) = span(&app, &params)?;
    let export = Export {
        money: Arc::clone(&app.money),
        span: (from, to),
        wanted: Wanted::read(&params)?,
        cursor: None,
        rows: 0,
        state: Progress::Head,
    };
    let pages = stream::try_unfold(export, Export::step);
    table::download("ledger.csv", Body::from_stream(pages))
}

fn span(app: &App, params: &Params) -> Result<(Timestamp, Timestamp), Problem> {
    let from = params.time("from")?.ok_or_else(|| Problem::missing("from"))?;
    let to = params.time("to")?.unwrap_or_else(|| app.now());
    if from > to {
        return Err(Problem::invalid("from", from, format!("must not be after {to}")));
    }
    Ok((from, to))
}

/// Which entries are asked for.
#[derive(Debug)]
struct Wanted {
    user: Option<UserId>,
    kind: Option<EntryKind>,
}

impl Wanted {
    fn read(params: &Params) -> Result<Self, Problem> {
        Ok(Self { user: params.id("userId")?, kind: kind(params)? })
    }

    fn fits(&self, entry: &Entry) -> bool {
        self.user.as_ref().is_none_or(|user| entry.user_id == *user) && self.kind.is_none_or(|kind| entry.kind == kind)
    }
}

/// The parameter `kind`: `TOP_UP`, `CHARGE`, …
pub(crate) fn kind(params: &Params) -> Result<Option<EntryKind>, Problem> {
    use serde::Deserialize as _;
    let Some(text) = params.text("kind") else { return Ok(None) };
    let read: Result<EntryKind, serde::de::value::Error> = EntryKind::deserialize(text.into_deserializer());
    read.map(Some).map_err(|error| Problem::invalid("kind", text, error.to_string()))
}

/// A table that is being written.
struct Export {
    money: Arc<dyn Money>,
    span: (Timestamp, Timestamp),
    wanted: Wanted,
    cursor: Option<String>,
    rows: usize,
    state: Progress,
}

/// Where a table is.
enum Progress {
    Head,
    Rows,
    Done,
}

impl Export {
    /// The next lines; nothing at the end. An error breaks the answer off, so that nobody takes it for whole.
    async fn step(mut self) -> Result<Option<(String, Self)>, StoreError> {
        match self.state {
            Progress::Done => Ok(None),
            Progress::Head => {
                self.state = Progress::Rows;
                let heads = ["at", "userId", "entryId", "op", "kind", "debit", "credit", "amountFen", "orderNo"];
                Ok(Some((table::line(&heads.map(Cell::from)), self)))
            }
            Progress::Rows => {
                let (from, to) = self.span;
                let page = self.money.entries_between(from, to, self.cursor.as_deref(), PAGE_LEN_MAX).await?;
                let mut text = String::new();
                for entry in page.items.iter().filter(|entry| self.wanted.fits(entry)) {
                    text.push_str(&row(entry));
                    self.rows = self.rows.saturating_add(1);
                }
                self.cursor = page.next_cursor;
                if self.cursor.is_none() {
                    self.state = Progress::Done;
                } else if self.rows >= EXPORT_ROWS_MAX {
                    let last = page.items.last().map_or(from, |entry| entry.at);
                    let words =
                        format!("more follow: ask again with from={last}; its rows of that instant are here too");
                    text.push_str(&table::line(&[Cell::from(&words)]));
                    self.state = Progress::Done;
                }
                Ok(Some((text, self)))
            }
        }
    }
}

fn row(entry: &Entry) -> String {
    table::line(&[
        Cell::from(&entry.at),
        Cell::from(entry.user_id.as_str()),
        Cell::from(entry.seq),
        Cell::from(&entry.op),
        Cell::from(&kind_name(entry.kind)),
        Cell::from(&account_name(entry.debit)),
        Cell::from(&account_name(entry.credit)),
        Cell::from(entry.amount.0),
        entry.order_no.as_ref().map_or_else(|| Cell::from(""), Cell::from),
    ])
}

fn account_name(account: BookAccount) -> String {
    serde_json::to_value(account).ok().and_then(|name| Some(name.as_str()?.to_owned())).unwrap_or_default()
}

fn view(entry: Entry) -> LineView {
    LineView {
        user_id: entry.user_id,
        entry_id: entry.seq.to_string(),
        op: entry.op,
        kind: entry.kind,
        debit: entry.debit,
        credit: entry.credit,
        amount_fen: entry.amount.0,
        order_no: entry.order_no,
        at: entry.at,
    }
}
