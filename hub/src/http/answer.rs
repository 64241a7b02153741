//! A JSON answer whose bytes are fixed, so that it can be stored with its effect and given again.

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use store::money::{OnceRow, Page};
use utoipa::ToSchema;

/// Says that an answer is the stored one of an earlier call.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Status and body of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: String,
    replayed: bool,
}

impl Answer {
    pub(crate) fn new(status: StatusCode, body: &impl Serialize) -> Self {
        // Views are structs of numbers and texts, which always serialise.
        Self { status, body: serde_json::to_string(body).unwrap_or_default(), replayed: false }
    }

    pub(crate) fn ok(body: &impl Serialize) -> Self {
        Self::new(StatusCode::OK, body)
    }

    pub(crate) fn created(body: &impl Serialize) -> Self {
        Self::new(StatusCode::CREATED, body)
    }

    pub(crate) fn accepted(body: &impl Serialize) -> Self {
        Self::new(StatusCode::ACCEPTED, body)
    }

    /// The stored answer of an earlier call.
    pub(crate) fn stored(row: OnceRow) -> Self {
        let status = StatusCode::from_u16(row.status).unwrap_or(StatusCode::OK);
        Self { status, body: row.body, replayed: true }
    }

    /// The same answer with another body: what must not be stored is put back in.
    pub(crate) fn with_body(mut self, body: String) -> Self {
        self.body = body;
        self
    }

    pub(crate) const fn is_replayed(&self) -> bool {
        self.replayed
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.replayed {
            headers.insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Listed<T> {
    pub(crate) items: Vec<T>,
    /// Ask again with `?cursor=` this for the next page; `null` at the end.
    pub(crate) next_cursor: Option<String>,
}

impl<T> Listed<T> {
    /// A list that is never long enough to be cut.
    pub(crate) const fn whole(items: Vec<T>) -> Self {
        Self { items, next_cursor: None }
    }

    /// A page of the store, each row as its view.
    pub(crate) fn page<R>(page: Page<R>, view: impl FnMut(R) -> T) -> Self {
        Self { items: page.items.into_iter().map(view).collect(), next_cursor: page.next_cursor }
    }
}
