//! How the hub says no: RFC 9457 problems with a stable code, in the caller's language, and what to do next.
//!
//! A handler returns a [`Problem`]; the layer [`speak`] writes it in the language of the request, and turns what axum
//! or a panic would answer into the same form.

mod codes;
mod refusals;

use std::panic::AssertUnwindSafe;

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use serde::Serialize;

pub(crate) use codes::{Code, Language};

/// A refusal on its way to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) code: Code,
    /// What exactly was wrong.
    pub(crate) detail: String,
    /// The value that broke a rule.
    pub(crate) broken: Option<Box<Broken>>,
}

/// A value that broke a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Broken {
    /// Where: a path like `periods[2].from`.
    pub(crate) field: String,
    /// What was there, cut to 100 characters.
    pub(crate) value: Option<String>,
    /// What should have been there.
    pub(crate) rule: String,
}

impl Problem {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), broken: None }
    }

    /// A value that breaks a rule; names the field, the value and the rule.
    pub(crate) fn invalid(field: impl Into<String>, value: impl std::fmt::Display, rule: impl Into<String>) -> Self {
        Self::broken(field.into(), Some(value.to_string().chars().take(100).collect()), rule.into())
    }

    /// A value that is not there.
    pub(crate) fn missing(field: impl Into<String>) -> Self {
        Self::broken(field.into(), None, "is required".to_owned())
    }

    fn broken(field: String, value: Option<String>, rule: String) -> Self {
        let detail =
            value.as_ref().map_or_else(|| format!("{field} {rule}"), |value| format!("{field} = {value}: {rule}"));
        Self { code: Code::Validation, detail, broken: Some(Box::new(Broken { field, value, rule })) }
    }
}

#[derive(Serialize)]
struct Body9457<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: &'a str,
    next: &'static str,
    #[serde(flatten)]
    broken: Option<&'a Broken>,
}

impl Problem {
    /// The body in one language.
    fn body(&self, language: Language) -> String {
        let body = Body9457 {
            kind: format!("urn:pilehub:problem:{}", self.code.as_str().to_ascii_lowercase().replace('_', "-")),
            title: self.code.title(language),
            status: self.code.status().as_u16(),
            code: self.code.as_str(),
            detail: &self.detail,
            next: self.code.next(language),
            broken: self.broken.as_deref(),
        };
        serde_json::to_string(&body).unwrap_or_default()
    }

    fn response(&self, language: Language) -> Response {
        let mut response = (self.code.status(), self.body(language)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(
            header::CONTENT_LANGUAGE,
            HeaderValue::from_static(if language == Language::Zh { "zh-CN" } else { "en" }),
        );
        if self.code == Code::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// The language is not known here: the problem travels as an extension until [`speak`] writes it.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes problems in the language of the request; a panic becomes `INTERNAL` without detail.
pub(crate) async fn speak(request: Request, next: Next) -> Response {
    let language = language_of(request.headers());
    let Ok(mut response) = AssertUnwindSafe(next.run(request)).catch_unwind().await else {
        tracing::error!("a handler panicked");
        return Problem::new(Code::Internal, "").response(language);
    };
    let problem = response.extensions_mut().remove::<Problem>().or_else(|| unread(&response));
    match problem {
        Some(problem) => {
            let mut written = problem.response(language);
            written.headers_mut().extend(std::mem::take(response.headers_mut()).into_iter().filter_map(kept));
            written
        }
        None => response,
    }
}

/// What axum itself refuses: an address that is no UTF-8, a WebSocket without an upgrade.
fn unread(response: &Response) -> Option<Problem> {
    let plain =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    let refused = response.status() == StatusCode::BAD_REQUEST && plain;
    refused.then(|| Problem::new(Code::Validation, "the address or the headers cannot be read"))
}

/// What other layers added stays, except the description of the empty body.
fn kept(header: (Option<header::HeaderName>, HeaderValue)) -> Option<(header::HeaderName, HeaderValue)> {
    let name = header.0?;
    (name != header::CONTENT_TYPE && name != header::CONTENT_LENGTH).then_some((name, header.1))
}

/// The language a caller wants.
pub(crate) fn language_of(headers: &HeaderMap) -> Language {
    let wanted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    wanted.map_or(Language::En, Language::accepted)
}

/// No such route.
pub(crate) async fn no_route(request: Request<Body>) -> Problem {
    Problem::new(Code::NotFound, format!("{} does not exist", request.uri().path()))
}

/// The route exists, the method does not.
pub(crate) async fn no_method(request: Request<Body>) -> Problem {
    Problem::new(Code::MethodNotAllowed, format!("{} is not possible on {}", request.method(), request.uri().path()))
}
