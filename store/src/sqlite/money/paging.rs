//! Pages of lists. A cursor is the sort key of the last row of a page: `time.name` or a number, opaque to callers.

use domain::Timestamp;
use rusqlite::{Connection, Params, Row};

use crate::{
    limits::PAGE_LEN_MAX,
    money::{Page, StoreError},
    sqlite::connection::broken,
};

/// Where a list sorted by time and name goes on, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Before {
    pub(super) at: i64,
    pub(super) name: String,
}

impl Before {
    /// The place a cursor names; without one, before everything.
    pub(super) fn parse(cursor: Option<&str>) -> Result<Self, StoreError> {
        let Some(text) = cursor else {
            return Ok(Self { at: i64::MAX, name: String::new() });
        };
        let bad = || StoreError::BadCursor(text.chars().take(64).collect());
        let (at, name) = text.split_once('.').ok_or_else(bad)?;
        Ok(Self { at: at.parse().map_err(|_| bad())?, name: name.to_owned() })
    }

    /// The cursor of a row.
    pub(super) fn cursor(at: i64, name: &str) -> String {
        format!("{at}.{name}")
    }
}

/// Where a list sorted by time and name goes on, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct After {
    pub(super) at: i64,
    pub(super) name: String,
}

impl After {
    /// The place a cursor names; without one, where `from` begins.
    pub(super) fn parse(cursor: Option<&str>, from: Timestamp) -> Result<Self, StoreError> {
        if cursor.is_none() {
            return Ok(Self { at: from.as_millis(), name: String::new() });
        }
        Before::parse(cursor).map(|Before { at, name }| Self { at, name })
    }
}

/// The number a cursor names; without one, `first`.
pub(super) fn number(cursor: Option<&str>, first: i64) -> Result<i64, StoreError> {
    cursor.map_or(Ok(first), |text| text.parse().map_err(|_| StoreError::BadCursor(text.chars().take(64).collect())))
}

/// How many rows a page asked for as `max` has.
pub(super) fn page_len(max: usize) -> usize {
    max.clamp(1, PAGE_LEN_MAX)
}

/// What to bind to `LIMIT`: one row more than the page, to learn whether there is a next one.
pub(super) fn limit(max: usize) -> i64 {
    i64::try_from(page_len(max)).unwrap_or(i64::MAX).saturating_add(1)
}

/// Runs a query that was given [`limit`] and makes a page of it; `cursor` says the cursor of a row.
pub(super) fn page<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    max: usize,
    mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    cursor: impl Fn(&T) -> String,
) -> Result<Page<T>, StoreError> {
    let mut statement = conn.prepare_cached(sql).map_err(broken)?;
    let rows = statement.query_map(params, |row| read(row)).map_err(broken)?;
    let mut items = rows.collect::<rusqlite::Result<Vec<T>>>().map_err(broken)?;
    let more = items.len() > page_len(max);
    items.truncate(page_len(max));
    let next_cursor = items.last().filter(|_| more).map(cursor);
    Ok(Page { items, next_cursor })
}

/// All rows of a query.
pub(super) fn all<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = conn.prepare_cached(sql).map_err(broken)?;
    let rows = statement.query_map(params, |row| read(row)).map_err(broken)?;
    rows.collect::<rusqlite::Result<_>>().map_err(broken)
}

/// The one row of a query, if there is one.
pub(super) fn one<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>, StoreError> {
    use rusqlite::OptionalExtension as _;
    conn.prepare_cached(sql)
        .and_then(|mut statement| statement.query_row(params, |row| read(row)).optional())
        .map_err(broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_names_the_row_it_came_from_and_nonsense_is_refused() {
        let cursor = Before::cursor(-5, "a.b");
        assert_eq!(Before::parse(Some(&cursor)), Ok(Before { at: -5, name: "a.b".to_owned() }));
        for nonsense in ["", "7", "x.y", "7,a"] {
            assert_eq!(Before::parse(Some(nonsense)), Err(StoreError::BadCursor(nonsense.to_owned())));
        }
        assert_eq!(number(Some("12"), 0), Ok(12));
        assert_eq!(number(Some("1x"), 0), Err(StoreError::BadCursor("1x".to_owned())));
    }
}
