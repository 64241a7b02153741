//! For those who watch the process: alive, ready, figures.

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;

use super::state::App;
use crate::metrics;

/// `/healthz`, `/readyz` and `/metrics`.
pub(crate) fn routes() -> Router<App> {
    Router::new().route("/healthz", get(alive)).route("/readyz", get(ready)).route("/metrics", get(figures))
}

/// What answers before the store is open: alive, and not ready for this reason.
pub(crate) fn starting() -> Router {
    Router::new()
        .route("/healthz", get(alive))
        .fallback(async || not_ready(&["the store is being opened and open orders are being recovered".to_owned()]))
}

async fn alive() -> Json<serde_json::Value> {
    Json(json!({ "status": "alive" }))
}

async fn ready(State(app): State<App>) -> Response {
    let reasons = app.ready.reasons(&*app.money, &*app.telemetry);
    if reasons.is_empty() {
        Json(json!({ "status": "ready", "reasons": [] })).into_response()
    } else {
        not_ready(&reasons)
    }
}

fn not_ready(reasons: &[String]) -> Response {
    let body = json!({ "status": "not ready", "code": "STORE_UNAVAILABLE", "reasons": reasons });
    let mut response = (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

async fn figures(State(app): State<App>) -> Response {
    metrics::sample(&app);
    let text = app.metrics.render();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}
