//! What callers send, checked at the edge: JSON bodies, query parameters, ids in paths. Every refusal names the field,
//! the value and the rule.

use std::{collections::BTreeMap, fmt::Display, str::FromStr};

use axum::{
    extract::{FromRequestParts, Query},
    http::request::Parts,
};
use domain::{Timestamp, ids::BadId};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::problem::Problem;
use crate::limits::{PAGE_LEN_DEFAULT, PAGE_LEN_MAX, TEXT_LEN_MAX};

/// Reads a JSON body. An empty one counts as `{}`, for calls whose fields are all optional.
pub(crate) fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let bytes = if bytes.iter().all(u8::is_ascii_whitespace) { b"{}" } else { bytes };
    let value: Value = serde_json::from_slice(bytes).map_err(|error| {
        Problem::invalid("body", format!("{} bytes", bytes.len()), format!("must be JSON: {error}"))
    })?;
    serde_path_to_error::deserialize(&value).map_err(|error| {
        let path = error.path().to_string();
        let rule = error.inner().to_string();
        let missing = rule.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
        match missing {
            Some(field) if path == "." => Problem::missing(field),
            Some(field) => Problem::missing(format!("{path}.{field}")),
            None if path == "." => Problem::invalid("body", short(&value), rule),
            None => Problem::invalid(path.as_str(), at(&value, &path).map_or_else(String::new, short), rule),
        }
    })
}

/// The value a path like `periods[2].from` leads to.
fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split(['.', '[', ']'])
        .filter(|step| !step.is_empty())
        .try_fold(value, |value, step| step.parse::<usize>().map_or_else(|_| value.get(step), |index| value.get(index)))
}

/// Enough of a value to recognise it by.
fn short(value: &Value) -> String {
    match value {
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

/// Checks a number against its bounds, both included.
pub(crate) fn within<T: PartialOrd + Display + Copy>(field: &str, value: T, least: T, most: T) -> Result<T, Problem> {
    if value >= least && value <= most {
        return Ok(value);
    }
    Err(Problem::invalid(field, value, format!("must be {least} to {most}")))
}

/// Checks a text for people: not empty, not too long, no control characters.
pub(crate) fn words(field: &str, text: &str) -> Result<String, Problem> {
    let text = text.trim();
    let count = text.chars().count();
    if (1..=TEXT_LEN_MAX).contains(&count) && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(Problem::invalid(field, text, format!("must be 1 to {TEXT_LEN_MAX} characters without control characters")))
}

/// Reads an id out of a body or a query.
pub(crate) fn id<T: FromStr<Err = BadId>>(field: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|bad: BadId| Problem::invalid(field, bad.text, bad.rule))
}

/// A decimal number as an integer of smaller units, rounded; `None` out of range. For coordinates and ratings, never
/// for money or energy.
pub(crate) fn scaled<T: FromStr>(value: f64, scale: f64) -> Option<T> {
    format!("{:.0}", value * scale).parse().ok()
}

/// Query parameters, read one by one. Unknown ones are ignored; of repeated ones the last counts.
#[derive(Debug, Default)]
pub(crate) struct Params(BTreeMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|error| Problem::invalid("query", parts.uri.query().unwrap_or_default(), error.body_text()))?;
        Ok(Self(pairs.0.into_iter().filter(|(_, text)| !text.is_empty()).collect()))
    }
}

impl Params {
    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        self.0.get(field).map(String::as_str)
    }

    pub(crate) fn id<T: FromStr<Err = BadId>>(&self, field: &str) -> Result<Option<T>, Problem> {
        self.text(field).map(|text| id(field, text)).transpose()
    }

    /// One of a few words, in any case.
    pub(crate) fn one_of(&self, field: &str, known: &[&str]) -> Result<Option<String>, Problem> {
        let Some(text) = self.text(field) else { return Ok(None) };
        let found = known.iter().find(|word| word.eq_ignore_ascii_case(text));
        let bad = || Problem::invalid(field, text, format!("must be one of {}", known.join(", ")));
        found.map(|word| Some((*word).to_owned())).ok_or_else(bad)
    }

    pub(crate) fn int(&self, field: &str, least: i64, most: i64) -> Result<Option<i64>, Problem> {
        let Some(text) = self.text(field) else { return Ok(None) };
        let bad = || Problem::invalid(field, text, format!("must be a whole number from {least} to {most}"));
        let value: i64 = text.parse().map_err(|_| bad())?;
        if value < least || value > most { Err(bad()) } else { Ok(Some(value)) }
    }

    pub(crate) fn degrees(&self, field: &str, most: f64) -> Result<f64, Problem> {
        let text = self.text(field).ok_or_else(|| Problem::missing(field))?;
        let value: Option<f64> = text.parse().ok().filter(|value: &f64| value.is_finite() && value.abs() <= most);
        value.ok_or_else(|| Problem::invalid(field, text, format!("must be degrees from -{most} to {most}")))
    }

    /// RFC 3339, or milliseconds since 1970.
    pub(crate) fn time(&self, field: &str) -> Result<Option<Timestamp>, Problem> {
        self.text(field).map(|text| time(field, text)).transpose()
    }

    /// Rows of the page asked for.
    pub(crate) fn limit(&self) -> Result<usize, Problem> {
        let most = i64::try_from(PAGE_LEN_MAX).unwrap_or(i64::MAX);
        let asked = self.int("limit", 1, most)?;
        Ok(asked.and_then(|n| usize::try_from(n).ok()).unwrap_or(PAGE_LEN_DEFAULT))
    }

    pub(crate) fn cursor(&self) -> Option<&str> {
        self.text("cursor")
    }
}

/// A time in a body: RFC 3339, or milliseconds since 1970 as a number.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum When {
    Millis(i64),
    Text(String),
}

impl When {
    pub(crate) fn read(&self, field: &str) -> Result<Timestamp, Problem> {
        match self {
            Self::Millis(ms) => time(field, &ms.to_string()),
            Self::Text(text) => time(field, text),
        }
    }
}

/// RFC 3339, or milliseconds since 1970.
pub(crate) fn time(field: &str, text: &str) -> Result<Timestamp, Problem> {
    // A "+" of an offset that was not escaped arrives as a space.
    let unescaped = text.replace(' ', "+");
    let parsed = match text.parse::<i64>() {
        Ok(ms) => Timestamp::from_millis(ms),
        Err(_) => Timestamp::parse_rfc3339(&unescaped).ok(),
    };
    parsed.ok_or_else(|| Problem::invalid(field, text, "must be a time like 2026-01-31T08:00:00.000Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase")]
    #[allow(dead_code, reason = "only the reading is tested")]
    struct Outer {
        amount_fen: i64,
        periods: Option<Vec<Inner>>,
    }

    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "only the reading is tested")]
    struct Inner {
        from: String,
    }

    fn broken(text: &str) -> (String, Option<String>) {
        let broken = body::<Outer>(text.as_bytes()).unwrap_err().broken.unwrap();
        (broken.field, broken.value)
    }

    #[test]
    fn a_refused_body_names_the_field_and_the_value() {
        let named = |field: &str, value: Option<&str>| (field.to_owned(), value.map(str::to_owned));
        assert_eq!(broken(""), named("amountFen", None));
        assert_eq!(broken("{"), named("body", Some("1 bytes")));
        assert_eq!(broken("[]"), named("body", Some("an array")));
        assert_eq!(broken(r#"{"amountFen":"x"}"#), named("amountFen", Some("\"x\"")));
        assert_eq!(broken(r#"{"amountFen":1.5}"#), named("amountFen", Some("1.5")));
        assert_eq!(broken(r#"{"amountFen":1,"periods":[{"from":"a"},{}]}"#), named("periods[1].from", None));
        assert_eq!(broken(r#"{"amountFen":1,"periods":[{"from":7}]}"#), named("periods[0].from", Some("7")));
    }

    #[test]
    fn unknown_fields_are_ignored() {
        assert!(body::<Outer>(br#"{"amountFen":1,"colour":"red"}"#).is_ok());
    }

    #[test]
    fn times_are_read_in_both_forms() {
        let expected = Timestamp::from_millis(1_763_690_000_000);
        for text in ["1763690000000", "2025-11-21T01:53:20Z", "2025-11-21T09:53:20+08:00", "2025-11-21T09:53:20 08:00"]
        {
            assert_eq!(time("from", text).ok(), expected, "{text}");
        }
        assert_eq!(time("from", "yesterday").unwrap_err().broken.unwrap().field, "from");
    }

    #[test]
    fn decimals_are_scaled_and_rounded() {
        assert_eq!(scaled::<i32>(121.473_701_2, 1e7), Some(1_214_737_012));
        assert_eq!(scaled::<i32>(7.5, 1e3), Some(7_500));
        assert_eq!(scaled::<i32>(1e300, 1.0), None);
        assert_eq!(scaled::<i32>(f64::NAN, 1.0), None);
    }
}
