//! The receipt of an order: everything somebody else needs to work its bill out again. The rules are settlement's.

mod page;

use actors::limits::READINGS_BEFORE_MS;
use axum::{
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, header},
    response::{Html, IntoResponse, Response},
};
use domain::{
    Millis, Timestamp,
    wire::{UpFrame, UpTopic, parse},
};
use settlement::{
    ledger::Entry,
    order::{Order, OrderStatus, Outcome},
    pricing::{Reading, RecordTimes},
    receipt::{Receipt, ReceiptFacts},
};
use store::{money::RecordRow, telemetry::SampleKind};

use self::page::Page;
use super::{
    accept::prefers,
    auth::By,
    orders::visible,
    problem::{Code, Problem, language_of},
    rights::ORDERS_RECEIPT,
    state::App,
};
use crate::{
    ids::{hex, random_bytes},
    limits::{CLOCK_STEP_MS_MAX, PAGE_LEN_MAX, RECEIPT_ENTRIES_MAX, SAMPLES_MAX},
};

/// The receipt of an order that is over (its owner, staff): JSON, or a page to print when `Accept` prefers `text/html`,
/// in the language of `Accept-Language`. `pilehub verify-receipt FILE` works the JSON out again.
#[utoipa::path(get, path = "/orders/{no}/receipt", tag = "orders", params(("no" = String, Path)),
    responses((status = 200, description = "The receipt", content((serde_json::Value = "application/json"),
        (String = "text/html")))))]
pub(crate) async fn receipt(
    State(app): State<App>,
    by: By<ORDERS_RECEIPT>,
    Path(no): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let order = visible(&app, &by, &no).await?;
    if !order.status.is_over() {
        let status = order.status.as_str();
        let detail = format!("order {no} is {status}: its receipt is there once it is over");
        return Err(Problem::new(Code::IllegalState, detail));
    }
    let receipt = of(&app, &order).await?;
    let mut response = if prefers(&headers, "text/html") {
        let nonce = hex(&random_bytes::<16>().map_err(|error| Problem::new(Code::Internal, error.to_string()))?);
        let page = Page { receipt: &receipt, station: station_name(&app, &order), language: language_of(&headers) };
        let mut response = Html(page.write(&nonce)).into_response();
        let policy = format!("default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; frame-ancestors 'none'");
        let policy = HeaderValue::try_from(policy).map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
        response
    } else {
        axum::Json(receipt).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("accept, accept-language"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

async fn of(app: &App, order: &Order) -> Result<Receipt, Problem> {
    let unknown = || Problem::new(Code::TariffNotFound, format!("there is no tariff {}", order.tariff_id));
    let tariff = app.money.tariff(&order.tariff_id).await?.ok_or_else(unknown)?;
    let entries = entries(app, order).await?;
    let record = app.money.record(&order.order_no).await?;
    let readings = readings(app, order, record.as_ref()).await?;
    let facts = ReceiptFacts {
        order,
        tariff: &tariff,
        entries: &entries,
        record: record.and_then(|row| times(order, &row)),
        readings: readings.as_deref(),
    };
    Ok(Receipt::of(&facts))
}

/// The lines of an order, oldest first.
async fn entries(app: &App, order: &Order) -> Result<Vec<Entry>, Problem> {
    let begins = order.created_at.plus(Millis(-CLOCK_STEP_MS_MAX));
    let (mut found, mut cursor, mut seen): (Vec<Entry>, Option<String>, usize) = (Vec::new(), None, 0);
    loop {
        let page = app.money.entries(&order.user_id, cursor.as_deref(), PAGE_LEN_MAX).await?;
        seen = seen.saturating_add(page.items.len());
        let is_past = page.items.last().is_none_or(|entry| entry.at < begins);
        found.extend(page.items.into_iter().filter(|entry| entry.order_no.as_ref() == Some(&order.order_no)));
        cursor = page.next_cursor;
        if cursor.is_none() || is_past {
            found.reverse();
            return Ok(found);
        }
        if seen > RECEIPT_ENTRIES_MAX {
            let detail =
                format!("the account of order {} moved more than {RECEIPT_ENTRIES_MAX} times since", order.order_no);
            return Err(Problem::new(Code::TooLong, detail));
        }
    }
}

/// What the record that stands says of times and energy.
fn times(order: &Order, row: &RecordRow) -> Option<RecordTimes> {
    match parse(UpTopic::Finished, order.pile_code.as_str(), &row.raw) {
        Ok(UpFrame::Finished(frame)) => Some(RecordTimes::from(&frame)),
        Ok(
            UpFrame::Heartbeat(_) | UpFrame::Status(_) | UpFrame::CommandAck(_) | UpFrame::Event(_) | UpFrame::Meter(_),
        )
        | Err(_) => None,
    }
}

/// The status frames that were there when the bill was made, in the order received; `None` when there are too many rows
/// to look through.
async fn readings(app: &App, order: &Order, record: Option<&RecordRow>) -> Result<Option<Vec<Reading>>, Problem> {
    let settled = match record {
        Some(record) => Some(record.received),
        None => settled_at(app, order).await?,
    };
    let Some(settled) = settled else { return Ok(None) };
    let from = order.created_at.plus(Millis(-READINGS_BEFORE_MS));
    let samples = app.telemetry.samples(order.pile_no, from, settled.plus(Millis(1)), SAMPLES_MAX).await?;
    if samples.len() >= SAMPLES_MAX {
        return Ok(None);
    }
    let reading = |sample: store::telemetry::Sample| match sample.kind {
        SampleKind::Charging { order_no, seq, energy, total_time_s, soc: _ } => {
            (order_no == order.order_no).then_some(Reading { at: sample.device, seq, energy, total_time_s })
        }
        SampleKind::Heartbeat { .. } | SampleKind::Meter { .. } => None,
    };
    Ok(Some(samples.into_iter().filter_map(reading).collect()))
}

/// When the hub made the bill of an order that got no record.
async fn settled_at(app: &App, order: &Order) -> Result<Option<Timestamp>, Problem> {
    let rows = app.money.history(&order.order_no).await?;
    let settles = rows.iter().find(|row| row.outcome == Outcome::Applied && row.to == OrderStatus::Settling);
    Ok(settles.map(|row| row.at))
}

fn station_name(app: &App, order: &Order) -> String {
    app.actors.station(&order.station_id).map_or_else(|| order.station_id.to_string(), |station| station.name)
}
