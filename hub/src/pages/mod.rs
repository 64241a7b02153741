//! The built-in pages: `/` for operators, `/t/{ticket}` for the driver of an order; hand-written, nothing from outside.
//!
//! A page is put together once, from its own file and the style and script that both share. Only a nonce is new in each
//! answer: it lets the page's own style and script run and nothing else. The pages read everything over the WebSocket;
//! the only effect that starts here is the driver's stop, which the ticket of the page authorises.

use std::sync::LazyLock;

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderName, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};

use crate::{
    http::problem::{Code, Problem},
    ids::{hex, random_bytes},
    live::Door,
};

/// Inline, so that no browser asks for one.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E\
    %3Crect width='16' height='16' rx='4' fill='%230b7a4b'/%3E%3Cpath d='M9 2 4 9h3l-1 5 6-8H8z' fill='%23fff'/%3E%3C/svg%3E";

static OPERATOR: LazyLock<Page> = LazyLock::new(|| Page::new(include_str!("operator.html")));
static DRIVER: LazyLock<Page> = LazyLock::new(|| Page::new(include_str!("driver.html")));

/// `/`, `/t/{ticket}` and `/t/{ticket}/stop`.
pub(crate) fn routes(door: Door) -> Router {
    Router::new()
        .route("/", get(operator))
        .route("/t/{ticket}", get(driver))
        .route("/t/{ticket}/stop", post(stop))
        .with_state(door)
}

/// A page with holes where the nonce goes.
#[derive(Debug)]
struct Page(String);

impl Page {
    fn new(own: &str) -> Self {
        let (style, script) = (include_str!("shared.css"), include_str!("shared.js"));
        Self(own.replace("{{icon}}", ICON).replace("{{style}}", style).replace("{{script}}", script))
    }

    fn answer(&self, status: StatusCode) -> Result<Response, Problem> {
        let nonce = hex(&random_bytes::<16>().map_err(|error| Problem::new(Code::Internal, error.to_string()))?);
        let policy = format!(
            "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; \
             connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        let headers: [(HeaderName, &str); 4] = [
            (header::CONTENT_SECURITY_POLICY, &policy),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            // The address of a driver's page is its key: no cache may keep it.
            (header::CACHE_CONTROL, "no-store"),
        ];
        Ok((status, headers, Html(self.0.replace("{{nonce}}", &nonce))).into_response())
    }
}

async fn operator() -> Result<Response, Problem> {
    OPERATOR.answer(StatusCode::OK)
}

/// A ticket that opens nothing gets the page too: it says so in the reader's language.
async fn driver(State(door): State<Door>, Path(ticket): Path<String>) -> Result<Response, Problem> {
    let known = door.opens(&ticket).await?.is_some();
    DRIVER.answer(if known { StatusCode::OK } else { StatusCode::NOT_FOUND })
}

/// Stops the charge as its driver; a second stop answers the same and does nothing more.
async fn stop(State(door): State<Door>, Path(ticket): Path<String>) -> Result<StatusCode, Problem> {
    let order = door.opens(&ticket).await?;
    let order = order.ok_or_else(|| Problem::new(Code::OrderNotFound, "the link is not good, or no longer"))?;
    door.world.stop(&order.order_no).await?;
    Ok(StatusCode::ACCEPTED)
}

#[cfg(test)]
mod tests {
    use settlement::order::OrderStatus::{
        Canceled, Charging, Closed, ExceptionClosed, Held, Placed, Settling, StartFailed, Starting, Stopping,
    };

    #[test]
    fn the_pages_have_words_for_every_state_of_an_order_as_the_hub_says_it() {
        let words = include_str!("shared.js");
        for status in
            [Placed, Starting, Charging, Stopping, Settling, Held, Closed, ExceptionClosed, StartFailed, Canceled]
        {
            assert!(words.contains(&format!("{}: [", status.as_str())), "{}", status.as_str());
        }
    }

    #[test]
    fn the_pages_together_are_no_more_than_25_kib() {
        let parts = [
            include_str!("operator.html"),
            include_str!("driver.html"),
            include_str!("shared.css"),
            include_str!("shared.js"),
        ];
        let len: usize = parts.iter().map(|part| part.len()).sum();
        assert!(len <= 25 * 1024, "{len} bytes");
    }
}
