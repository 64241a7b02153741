//! Which form of an answer a caller wants.

use axum::http::{HeaderMap, header};

/// Whether the caller asks for `kind` (`text/csv`, `text/html`): `Accept` names it, and JSON not before it.
pub(crate) fn prefers(headers: &HeaderMap, kind: &str) -> bool {
    let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<&str> = accepts.flat_map(|value| value.split(',')).collect();
    let weight = |kind: &str| ranges.iter().filter_map(|range| weight_of(range, kind)).fold(0.0, f32::max);
    let wanted = weight(kind);
    wanted > 0.0 && wanted >= weight("application/json")
}

/// The weight of a media range when it names `kind` itself.
fn weight_of(range: &str, kind: &str) -> Option<f32> {
    let mut parts = range.split(';').map(str::trim);
    let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(kind));
    let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |weight| weight.trim().parse().ok());
    weight.filter(|_| named)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn another_form_is_for_those_who_name_it_and_json_for_all_others() {
        for (accept, kind, wanted) in [
            ("text/csv", "text/csv", true),
            ("Text/CSV; charset=utf-8, */*;q=0.1", "text/csv", true),
            ("application/json;q=0.5, text/csv", "text/csv", true),
            ("text/csv;q=0.5, application/json", "text/csv", false),
            ("text/csv;q=0", "text/csv", false),
            ("application/json", "text/csv", false),
            ("*/*", "text/csv", false),
            ("text/*", "text/csv", false),
            ("", "text/csv", false),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html", true),
            ("text/html", "text/csv", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(prefers(&headers, kind), wanted, "{accept}");
        }
        assert!(!prefers(&HeaderMap::new(), "text/csv"));
    }
}
