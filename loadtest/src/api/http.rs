//! One HTTP exchange: a pooled connection, a bounded wait, a bounded body, a typed error.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Method, Request, StatusCode, header};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::de::DeserializeOwned;

use super::types::Problem;
use crate::limits;

/// Why a call came to nothing.
#[derive(Debug)]
pub enum ApiError {
    /// The hub refused.
    Refused {
        /// HTTP status.
        status: u16,
        /// What it said.
        problem: Problem,
    },
    /// No answer, or one that is no HTTP, too long, or not of the contract's form.
    Broken(String),
}

impl ApiError {
    /// The stable code of a refusal; empty when there was none.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Refused { problem, .. } => &problem.code,
            Self::Broken(_) => "",
        }
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused { status, problem } => {
                write!(f, "{status} {} {}", problem.code, problem.title)?;
                problem.detail.as_ref().map_or(Ok(()), |detail| write!(f, ": {detail}"))
            }
            Self::Broken(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for ApiError {}

/// A pool of connections to one hub; cheap to clone.
#[derive(Debug, Clone)]
pub struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
    origin: String,
}

/// What to send beside method and path.
#[derive(Debug, Default)]
pub(super) struct Sending<'a> {
    pub(super) token: Option<&'a str>,
    pub(super) idempotency_key: Option<&'a str>,
    pub(super) body: Option<Vec<u8>>,
}

impl Http {
    /// Calls to a hub at `http://host:port`.
    #[must_use]
    pub fn new(origin: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(limits::CONNECT_TIMEOUT));
        let client =
            Client::builder(TokioExecutor::new()).pool_max_idle_per_host(limits::HTTP_IN_FLIGHT_MAX).build(connector);
        Self { client, origin: origin.trim_end_matches('/').to_owned() }
    }

    /// The hub's WebSocket address for a path.
    #[must_use]
    pub fn ws_url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.origin.trim_start_matches("http://"))
    }

    /// Status and body of a path outside the base, such as `/readyz`.
    ///
    /// # Errors
    /// [`ApiError::Broken`] without an answer.
    pub async fn raw(&self, path: &str) -> Result<(u16, Bytes), ApiError> {
        self.exchange(Method::GET, path, Sending::default()).await
    }

    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        sending: Sending<'_>,
    ) -> Result<T, ApiError> {
        let what = format!("{method} {path}");
        let (status, body) = self.exchange(method, path, sending).await?;
        if !(200..300).contains(&status) {
            let problem = serde_json::from_slice(&body).unwrap_or_default();
            return Err(ApiError::Refused { status, problem });
        }
        let body = if body.is_empty() { Bytes::from_static(b"null") } else { body };
        serde_json::from_slice(&body).map_err(|error| {
            let start: String = String::from_utf8_lossy(&body).chars().take(200).collect();
            ApiError::Broken(format!("{what} answered {status} with an unexpected body ({error}): {start}"))
        })
    }

    async fn exchange(&self, method: Method, path: &str, sending: Sending<'_>) -> Result<(u16, Bytes), ApiError> {
        let what = format!("{method} {path}");
        let broken = |why: &dyn std::fmt::Display| ApiError::Broken(format!("{what}: {why}"));
        let url = if path.starts_with("http://") { path.to_owned() } else { format!("{}{path}", self.origin) };
        let mut request = Request::builder().method(method.clone()).uri(url).header(header::ACCEPT_LANGUAGE, "en");
        if let Some(token) = sending.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(key) = sending.idempotency_key {
            request = request.header("Idempotency-Key", key);
        }
        if sending.body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = Full::new(Bytes::from(sending.body.unwrap_or_default()));
        let request = request.body(body).map_err(|error| broken(&error))?;
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| broken(&chain(&error)))?;
            let status: StatusCode = response.status();
            let body = Limited::new(response.into_body(), limits::HTTP_BODY_LEN_MAX).collect().await;
            Ok((status.as_u16(), body.map_err(|error| broken(&error))?.to_bytes()))
        };
        // Importing 50,000 piles takes longer than anything else.
        let patience =
            if path.ends_with("/import") { limits::HTTP_TIMEOUT.saturating_mul(8) } else { limits::HTTP_TIMEOUT };
        tokio::time::timeout(patience, exchange).await.map_err(|_| broken(&format!("no answer within {patience:?}")))?
    }
}

/// An error with its causes: hyper's own text says only "client error".
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
