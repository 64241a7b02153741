//! The HTTP side of the hub [CONTRACT 3]: one file per family of calls, and the layers around them all.
//!
//! It checks what callers send, asks the actors or the store, and shapes answers. It decides nothing about charging
//! or money, and knows neither MQTT nor SQL.

mod accept;
mod adjustments;
mod alarms;
mod answer;
mod audit;
pub(crate) mod auth;
mod commands;
mod debts;
pub(crate) mod health;
mod holds;
mod idempotency;
mod input;
pub(crate) mod integrations;
mod joint;
mod ledger;
mod limiter;
pub(crate) mod listener;
mod openapi;
mod orders;
mod pay_modes;
mod payments;
mod piles;
pub(crate) mod problem;
mod public_url;
mod quarantine;
mod receipts;
mod reconciliations;
mod refunds;
pub(crate) mod rights;
mod risk;
mod sift;
mod state;
mod statements;
mod stations;
mod stats;
mod supervision;
mod suspense;
mod table;
mod tariffs;
mod tickets;
mod users;
mod wallet;
mod write_offs;

use axum::{
    Router,
    extract::{MatchedPath, Request},
    http::header,
    middleware::{Next, from_fn, from_fn_with_state},
    response::Response,
    routing::get,
};
use tokio::time::Instant;
use utoipa::OpenApi as _;
use utoipa_axum::{router::OpenApiRouter, routes};
use utoipa_swagger_ui::SwaggerUi;

pub(crate) use idempotency::Calls;
pub(crate) use state::{App, Parts};

use crate::metrics::{HTTP_ANSWERS, HTTP_SECONDS};

/// The MQTT and WebSocket channels, written by hand.
const ASYNCAPI: &str = include_str!("../api/asyncapi.yaml");

/// Every call of the hub. `others` are the routes of the live push and the pages.
pub(crate) fn router(app: &App, others: Router) -> Router {
    let (router, document) = described();
    let limiter = limiter::Limiter::new(app.config.limits.http_requests_per_address_per_s_max);
    router
        .merge(health::routes())
        .route("/api/asyncapi.yaml", get(async || ([(header::CONTENT_TYPE, "application/yaml")], ASYNCAPI)))
        .with_state(app.clone())
        .merge(SwaggerUi::new("/api/docs").url("/api/openapi.json", document))
        .merge(others)
        .fallback(problem::no_route)
        .method_not_allowed_fallback(problem::no_method)
        .layer(from_fn_with_state(limiter, limiter::limit))
        .layer(from_fn(problem::speak))
        .layer(from_fn(measured))
}

/// The API and its document.
fn described() -> (Router<App>, utoipa::openapi::OpenApi) {
    let (router, document) =
        OpenApiRouter::with_openapi(openapi::Document::openapi()).nest("/api/v1", api()).split_for_parts();
    (router, openapi::complete(document))
}

/// What `/api/openapi.json` says.
#[cfg(test)]
pub(crate) fn document() -> utoipa::openapi::OpenApi {
    described().1
}

fn api() -> OpenApiRouter<App> {
    of_charging().merge(of_money())
}

fn of_charging() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(stations::create, stations::list))
        .routes(routes!(stations::access))
        .routes(routes!(piles::register::create, piles::list))
        .routes(routes!(piles::register::import))
        .routes(routes!(piles::secrets::rotate))
        .routes(routes!(piles::secrets::enrol))
        .routes(routes!(piles::nearby::nearby))
        .routes(routes!(piles::get))
        .routes(routes!(piles::maintenance))
        .routes(routes!(piles::telemetry::telemetry))
        .routes(routes!(integrations::create, integrations::list))
        .routes(routes!(integrations::remove))
        .routes(routes!(commands::create))
        .routes(routes!(commands::get))
        .routes(routes!(orders::create, orders::list))
        .routes(routes!(orders::get))
        .routes(routes!(orders::stop))
        .routes(routes!(orders::history))
        .routes(routes!(tickets::ticket))
        .routes(routes!(tickets::link))
        .routes(routes!(tickets::ops_ticket))
        .routes(routes!(alarms::list))
        .routes(routes!(alarms::ack))
        .routes(routes!(quarantine::list))
        .routes(routes!(quarantine::get))
        .routes(routes!(quarantine::replay))
        .routes(routes!(audit::list))
        .routes(routes!(audit::heads))
        .routes(routes!(stats::stats))
        .routes(routes!(supervision::supervision))
}

fn of_money() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(tariffs::create, tariffs::list))
        .routes(routes!(tariffs::get))
        .routes(routes!(tariffs::publish))
        .routes(routes!(tariffs::carry::roll_back))
        .routes(routes!(tariffs::carry::roll_out))
        .routes(routes!(tariffs::dry_run::dry_run))
        .routes(routes!(receipts::receipt))
        .routes(routes!(wallet::wallet))
        .routes(routes!(wallet::entries))
        .routes(routes!(statements::months))
        .routes(routes!(statements::statement))
        .routes(routes!(wallet::topup))
        .routes(routes!(payments::callback))
        .routes(routes!(payments::channel_callback))
        .routes(routes!(payments::pay))
        .routes(routes!(payments::list))
        .routes(routes!(payments::get))
        .routes(routes!(refunds::create))
        .routes(routes!(refunds::list))
        .routes(routes!(refunds::get))
        .routes(routes!(refunds::resolve))
        .routes(routes!(suspense::list))
        .routes(routes!(suspense::resolve))
        .routes(routes!(suspense::approve))
        .routes(routes!(debts::list))
        .routes(routes!(debts::repay))
        .routes(routes!(ledger::entries))
        .routes(routes!(ledger::export))
        .routes(routes!(write_offs::create))
        .routes(routes!(write_offs::list))
        .routes(routes!(write_offs::get))
        .routes(routes!(write_offs::approve))
        .routes(routes!(write_offs::reject))
        .routes(routes!(adjustments::create, adjustments::list))
        .routes(routes!(adjustments::get))
        .routes(routes!(adjustments::approve))
        .routes(routes!(adjustments::reject))
        .routes(routes!(risk::decisions))
        .routes(routes!(holds::list))
        .routes(routes!(holds::approve))
        .routes(routes!(holds::reject))
        .routes(routes!(reconciliations::run, reconciliations::list))
        .routes(routes!(reconciliations::get))
        .routes(routes!(reconciliations::import, reconciliations::bills))
        .routes(routes!(reconciliations::export))
        .routes(routes!(reconciliations::resolve))
        .routes(routes!(reconciliations::close))
        .routes(routes!(reconciliations::approve))
        .routes(routes!(reconciliations::report_csv))
        .routes(routes!(reconciliations::report_html))
        .routes(routes!(users::blacklist, users::blacklisted))
}

/// Counts and times answers by route, never by address.
async fn measured(request: Request, next: Next) -> Response {
    let path =
        request.extensions().get::<MatchedPath>().map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let method = request.method().as_str().to_owned();
    let began = Instant::now();
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    tracing::trace!(method, path, status, "answered");
    metrics::histogram!(HTTP_SECONDS, "method" => method.clone(), "path" => path.clone())
        .record(began.elapsed().as_secs_f64());
    metrics::counter!(HTTP_ANSWERS, "method" => method, "path" => path, "status" => status).increment(1);
    response
}
