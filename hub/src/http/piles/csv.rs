//! The answer of an import as a table to download, for those who carry secrets to piles with a spreadsheet.

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::register::Registered;
use crate::http::answer::Answer;

/// Whether the caller asks for a table: it names `text/csv`, and JSON not before it.
pub(crate) fn wanted(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<&str> = accepts.flat_map(|value| value.split(',')).collect();
    let weight = |kind: &str| ranges.iter().filter_map(|range| weight_of(range, kind)).fold(0.0, f32::max);
    let csv = weight("text/csv");
    csv > 0.0 && csv >= weight("application/json")
}

/// The weight of a media range when it names `kind` itself.
fn weight_of(range: &str, kind: &str) -> Option<f32> {
    let mut parts = range.split(';').map(str::trim);
    let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(kind));
    let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |weight| weight.trim().parse().ok());
    weight.filter(|_| named)
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_for_those_who_name_it_and_json_for_all_others() {
        for (accept, csv) in [
            ("text/csv", true),
            ("Text/CSV; charset=utf-8, */*;q=0.1", true),
            ("application/json;q=0.5, text/csv", true),
            ("text/csv;q=0.5, application/json", false),
            ("text/csv;q=0", false),
            ("application/json", false),
            ("*/*", false),
            ("text/*", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(wanted(&headers), csv, "{accept}");
        }
        assert!(!wanted(&HeaderMap::new()));
    }
}
