//! Calls to payment channels: TLS with the public authorities (bundled), a bounded wait, a bounded answer.

use std::time::Duration;

use axum::http::{HeaderMap, Request};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::time::timeout;

use super::ChannelError;
use crate::limits::{CHANNEL_ANSWER_LEN_MAX, CHANNEL_CONNECTIONS_IDLE_MAX, CHANNEL_WITHIN_S};

/// A pool of connections to channels; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Caller(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

/// What a channel answered.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Caller {
    /// Plain HTTP is for channels on this machine; the configuration refuses it elsewhere.
    pub(crate) fn new() -> Self {
        let connector = HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().build();
        let client =
            Client::builder(TokioExecutor::new()).pool_max_idle_per_host(CHANNEL_CONNECTIONS_IDLE_MAX).build(connector);
        Self(client)
    }

    /// One exchange. An error says that the call may or may not have been heard.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answered, ChannelError> {
        let exchange = async {
            let response = self.0.request(request).await.map_err(|error| away(&error))?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, CHANNEL_ANSWER_LEN_MAX).collect().await;
            let body = body.map_err(|error| ChannelError::Away(error.to_string()))?.to_bytes();
            Ok(Answered { status: head.status.as_u16(), headers: head.headers, body })
        };
        let late = |_| ChannelError::Away(format!("no answer within {CHANNEL_WITHIN_S} s"));
        timeout(Duration::from_secs(CHANNEL_WITHIN_S), exchange).await.map_err(late)?
    }
}

/// An error with its causes: the first line says only "client error".
fn away(error: &dyn std::error::Error) -> ChannelError {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    ChannelError::Away(text)
}
