//! The actors at work, for people who look after the hub.

use actors::Supervision;
use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::{auth::By, rights::SUPERVISION, state::App};

/// Actors, their queues, and the sockets of the live push.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SupervisionView {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    actors: Supervision,
    /// Sockets of phones and dashboards.
    sockets: u32,
    /// Orders somebody follows.
    followed: usize,
    /// Piles that may connect.
    identities: usize,
}

/// The actors at work (staff).
#[utoipa::path(get, path = "/supervision", tag = "operation", responses((status = 200, body = SupervisionView)))]
pub(crate) async fn supervision(State(app): State<App>, _by: By<SUPERVISION>) -> Json<SupervisionView> {
    Json(SupervisionView {
        actors: app.actors.supervision(),
        sockets: app.live.sockets(),
        followed: app.live.followed(),
        identities: app.identities.len(),
    })
}
