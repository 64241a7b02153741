//! What opens a socket or a page without a token in its address: one-use tickets and the driver's link.

use axum::{
    extract::{Path, State},
    http::HeaderMap,
};
use serde_json::json;

use super::{
    answer::Answer,
    auth::By,
    orders::visible,
    problem::{Code, Problem},
    public_url::public_url,
    rights::{OPS_TICKET, ORDERS_LINK, ORDERS_TICKET},
    state::App,
};
use crate::live::TicketError;

/// A ticket for the WebSocket of an order: one use, a minute (its owner, staff). A ticket has no effect that could be
/// repeated, so there is no idempotency: a second call gives a second ticket.
#[utoipa::path(post, path = "/orders/{no}/ticket", tag = "live", params(("no" = String, Path)),
    responses((status = 200, body = Object, example = json!({"ticket": "…"}))))]
pub(crate) async fn ticket(
    State(app): State<App>,
    by: By<ORDERS_TICKET>,
    Path(no): Path<String>,
) -> Result<Answer, Problem> {
    let order = visible(&app, &by, &no).await?;
    let ticket = app.live.issue_ticket(&order.order_no, &by.sub).map_err(refused)?;
    Ok(Answer::ok(&json!({ "ticket": ticket, "expiresInS": app.config.auth.ticket_ttl_s })))
}

/// The driver's page of an order, good for the life of the order and a day (its owner).
#[utoipa::path(post, path = "/orders/{no}/link", tag = "live", params(("no" = String, Path)),
    responses((status = 200, body = Object, example = json!({"url": "http://127.0.0.1:8080/t/…"}))))]
pub(crate) async fn link(
    State(app): State<App>,
    by: By<ORDERS_LINK>,
    Path(no): Path<String>,
    headers: HeaderMap,
) -> Result<Answer, Problem> {
    let order = visible(&app, &by, &no).await?;
    let path = app.live.page_link(&order.order_no, &by.sub, app.now());
    Ok(Answer::ok(&json!({ "url": format!("{}{path}", public_url(&app.config.http, &headers)) })))
}

/// A ticket for the dashboard's WebSocket: one use, a minute (staff).
#[utoipa::path(post, path = "/ops/ticket", tag = "live",
    responses((status = 200, body = Object, example = json!({"ticket": "…"}))))]
pub(crate) async fn ops_ticket(State(app): State<App>, by: By<OPS_TICKET>) -> Result<Answer, Problem> {
    let ticket = app.live.issue_ops_ticket(&by.sub).map_err(refused)?;
    Ok(Answer::ok(&json!({ "ticket": ticket, "expiresInS": app.config.auth.ticket_ttl_s })))
}

fn refused(error: TicketError) -> Problem {
    match error {
        TicketError::TooMany => Problem::new(Code::TooManyRequests, error.to_string()),
        TicketError::NoRandomness(why) => {
            tracing::error!(why, "cannot make a ticket");
            Problem::new(Code::Internal, "")
        }
    }
}
