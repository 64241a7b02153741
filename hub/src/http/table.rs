//! Tables to download (RFC 4180). Texts are never formulas; numbers of the hub's own stay numbers.

use std::fmt::Write as _;

use axum::{
    body::Body,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};

use super::problem::{Code, Problem};
use crate::escape;

/// One field of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    /// Written as it is.
    Number(i64),
    /// Quoted where it must be, and never a formula.
    Text(String),
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl<T: ToString + ?Sized> From<&T> for Cell {
    fn from(text: &T) -> Self {
        Self::Text(text.to_string())
    }
}

/// A row, with its line end.
pub(crate) fn line(cells: &[Cell]) -> String {
    let mut text = String::new();
    for (index, cell) in cells.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        match cell {
            Cell::Number(number) => {
                // Writing into memory does not fail.
                let _ = write!(text, "{number}");
            }
            Cell::Text(words) => text.push_str(&escape::csv(words)),
        }
    }
    text.push_str("\r\n");
    text
}

/// A table as a file of this name.
pub(crate) fn download(name: &str, body: impl Into<Body>) -> Result<Response, Problem> {
    let mut response = body.into().into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    let name = HeaderValue::try_from(format!("attachment; filename=\"{name}\""));
    headers.insert(header::CONTENT_DISPOSITION, name.map_err(|error| Problem::new(Code::Internal, error.to_string()))?);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_keeps_its_numbers_and_quotes_its_texts() {
        assert_eq!(line(&[Cell::from(-1), Cell::from("b,c"), Cell::from("=2")]), "-1,\"b,c\",\"'=2\"\r\n");
    }
}
