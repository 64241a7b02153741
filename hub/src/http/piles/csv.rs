//! The answer of an import as a table to download, for those who carry secrets to piles with a spreadsheet.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::register::Registered;
use crate::http::answer::Answer;

/// An answer with registered piles as a table. Codes and secrets have no character that a table would have to quote.
pub(crate) fn download(answer: Answer) -> Response {
    let piles = match serde_json::from_str::<Vec<Registered>>(&answer.body) {
        Ok(piles) if answer.status == StatusCode::OK => piles,
        Ok(_) | Err(_) => return answer.into_response(),
    };
    let rows = piles.iter().map(|pile| format!("{},{}\r\n", pile.pile_code, pile.secret));
    let table: String = std::iter::once("pileCode,secret\r\n".to_owned()).chain(rows).collect();
    let mut response = answer.with_body(table).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    headers
        .insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"pilehub-secrets.csv\""));
    // It holds secrets: no cache on the way keeps it.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
