//! Tables to download (RFC 4180). A spreadsheet takes a text that begins like a formula for one: such a text gets an
//! apostrophe in front. Numbers of the hub's own stay numbers.

use std::fmt::Write as _;

use axum::{
    body::Body,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};

use super::problem::{Code, Problem};
use crate::escape::is_formula;

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
            Cell::Text(words) => push(&mut text, words),
        }
    }
    text.push_str("\r\n");
    text
}

fn push(line: &mut String, words: &str) {
    let formula = is_formula(words);
    let quoted = formula || words.contains(['"', ',', '\r', '\n']);
    if quoted {
        line.push('"');
    }
    if formula {
        line.push('\'');
    }
    line.push_str(&if quoted { words.replace('"', "\"\"") } else { words.to_owned() });
    if quoted {
        line.push('"');
    }
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
    fn texts_are_quoted_and_never_formulas_and_numbers_stay_numbers() {
        for (cell, written) in [
            (Cell::from(-12), "-12"),
            (Cell::from("plain"), "plain"),
            (Cell::from(""), ""),
            (Cell::from("a,b"), "\"a,b\""),
            (Cell::from("say \"x\""), "\"say \"\"x\"\"\""),
            (Cell::from("two\nlines"), "\"two\nlines\""),
            (Cell::from("=1+1"), "\"'=1+1\""),
            (Cell::from("+86"), "\"'+86\""),
            (Cell::from("-x"), "\"'-x\""),
            (Cell::from("@sum"), "\"'@sum\""),
            (Cell::from("\t=1"), "\"'\t=1\""),
            (Cell::from("a=1"), "a=1"),
        ] {
            assert_eq!(line(std::slice::from_ref(&cell)), format!("{written}\r\n"), "{cell:?}");
        }
        assert_eq!(line(&[Cell::from(1), Cell::from("b")]), "1,b\r\n");
    }
}
