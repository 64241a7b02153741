//! The payment channel's side: its signed callback, and the sandbox that stands in for a channel. A payment is credited
//! once, however often the channel says so.

use axum::{
    body::Bytes,
    extract::{Path, Request, State},
    http::HeaderMap,
};
use domain::Fen;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::Sha256;
use store::money::{Payment, PaymentState, Write};
use utoipa::ToSchema;

use super::{
    answer::Answer,
    idempotency::read_body,
    input::body,
    problem::{Code, Problem},
    state::App,
};
use crate::{
    ids::{hex, unhex},
    limits::CALLBACK_SKEW_S,
};

/// The only channel of this build.
pub(crate) const CHANNEL: &str = "sandbox";

/// What the channel says of a payment.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Callback {
    payment_no: String,
    /// The channel's name for it.
    transaction_id: String,
    amount_fen: i64,
    /// `SUCCESS` or `FAILED`.
    status: String,
}

/// Path of a payment's page in the sandbox.
pub(crate) fn pay_path(payment_no: &str) -> String {
    format!("/api/v1/sandbox/pay/{payment_no}")
}

/// Pays in the sandbox: the sandbox signs a callback and the hub takes it like any other.
#[utoipa::path(post, path = "/sandbox/pay/{paymentNo}", tag = "wallet", security(()), params(("paymentNo" = String, Path)),
    responses((status = 200, body = Object, example = json!({"paymentNo": "Y…", "status": "SUCCESS"}))))]
pub(crate) async fn pay(State(app): State<App>, Path(payment_no): Path<String>) -> Result<Answer, Problem> {
    let payment = app.money.payment(&payment_no).await?.ok_or_else(|| unknown(&payment_no))?;
    let said = Callback {
        transaction_id: format!("SANDBOX-{payment_no}"),
        payment_no,
        amount_fen: payment.amount_fen.0,
        status: "SUCCESS".to_owned(),
    };
    let raw = serde_json::to_vec(&said).unwrap_or_default();
    let timestamp = app.wall.now().as_millis().div_euclid(1000).to_string();
    let signature = hex(&signed(&app, &timestamp, &raw)?.finalize().into_bytes());
    take(&app, &timestamp, &signature, raw.into()).await
}

/// What a channel reports, signed: hex HMAC-SHA256 over `X-Timestamp`, a full stop and the raw body.
#[utoipa::path(post, path = "/payments/callback", tag = "wallet", security(()), request_body = Callback,
    params(("X-Timestamp" = String, Header), ("X-Signature" = String, Header)),
    responses((status = 200, body = Object, example = json!({"paymentNo": "Y…", "status": "SUCCESS"}))))]
pub(crate) async fn callback(State(app): State<App>, request: Request) -> Result<Answer, Problem> {
    let timestamp = header(request.headers(), "x-timestamp")?;
    let signature = header(request.headers(), "x-signature")?;
    let max = usize::try_from(app.config.limits.http_body_bytes_max).unwrap_or(usize::MAX);
    let raw = read_body(request, max).await?;
    take(&app, &timestamp, &signature, raw).await
}

fn header(headers: &HeaderMap, name: &str) -> Result<String, Problem> {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.map(str::to_owned).ok_or_else(|| Problem::new(Code::Unauthenticated, format!("the header {name} is missing")))
}

/// Runs in a task of its own, so that a channel that hangs up does not cut it in half.
async fn take(app: &App, timestamp: &str, signature: &str, raw: Bytes) -> Result<Answer, Problem> {
    verify(app, timestamp, signature, &raw)?;
    let task = app.clone();
    let done = tokio::spawn(async move { apply(&task, body(&raw)?).await });
    done.await.unwrap_or_else(|error| {
        tracing::error!(%error, "taking a payment callback panicked");
        Err(Problem::new(Code::Internal, ""))
    })
}

fn verify(app: &App, timestamp: &str, signature: &str, raw: &[u8]) -> Result<(), Problem> {
    let bad = |why: &str| Problem::new(Code::Unauthenticated, why);
    let claimed = unhex(signature).ok_or_else(|| bad("X-Signature is no hexadecimal text"))?;
    signed(app, timestamp, raw)?.verify_slice(&claimed).map_err(|_| bad("X-Signature does not match"))?;
    let at = seconds(timestamp).ok_or_else(|| bad("X-Timestamp is no time"))?;
    let off = app.wall.now().as_millis().div_euclid(1000).abs_diff(at);
    if off > CALLBACK_SKEW_S.unsigned_abs() {
        return Err(bad(&format!("X-Timestamp is {off} s off; at most {CALLBACK_SKEW_S} s are allowed")));
    }
    Ok(())
}

fn signed(app: &App, timestamp: &str, raw: &[u8]) -> Result<Hmac<Sha256>, Problem> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&app.keys.sandbox).map_err(|error| {
        tracing::error!(%error, "payment.sandbox_key cannot be used");
        Problem::new(Code::Internal, "")
    })?;
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(raw);
    Ok(mac)
}

/// Seconds or milliseconds since 1970, or RFC 3339, as seconds.
fn seconds(timestamp: &str) -> Option<i64> {
    const LEAST_MILLIS: i64 = 100_000_000_000;
    match timestamp.parse::<i64>() {
        Ok(number) if number.abs() < LEAST_MILLIS => Some(number),
        Ok(number) => Some(number.div_euclid(1000)),
        Err(_) => domain::Timestamp::parse_rfc3339(timestamp).ok().map(|at| at.as_millis().div_euclid(1000)),
    }
}

async fn apply(app: &App, said: Callback) -> Result<Answer, Problem> {
    let payment = app.money.payment(&said.payment_no).await?.ok_or_else(|| unknown(&said.payment_no))?;
    if payment.amount_fen != Fen(said.amount_fen) {
        let rule = format!("must be the {} of the payment", payment.amount_fen);
        return Err(Problem::invalid("amountFen", said.amount_fen, rule));
    }
    let answer = |state: PaymentState, credited: bool| {
        Answer::ok(&json!({ "paymentNo": said.payment_no, "status": state, "credited": credited }))
    };
    match (said.status.to_ascii_uppercase().as_str(), payment.state) {
        ("SUCCESS", _) => {
            let credited = app.actors.credit(payment, said.transaction_id.clone()).await?;
            Ok(answer(PaymentState::Success, credited))
        }
        ("FAILED", PaymentState::Pending) => {
            let failed =
                Payment { state: PaymentState::Failed, transaction_id: Some(said.transaction_id.clone()), ..payment };
            app.commit(vec![Write::Payment(Box::new(failed), Some(PaymentState::Pending))]).await?;
            Ok(answer(PaymentState::Failed, false))
        }
        ("FAILED", state) => Ok(answer(state, false)),
        _ => Err(Problem::invalid("status", &said.status, "must be SUCCESS or FAILED")),
    }
}

fn unknown(payment_no: &str) -> Problem {
    Problem::new(Code::PaymentNotFound, format!("there is no payment {payment_no}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_callback_is_read_in_every_usual_form() {
        for text in ["1763690000", "1763690000123", "2025-11-21T01:53:20Z"] {
            assert_eq!(seconds(text), Some(1_763_690_000), "{text}");
        }
        assert_eq!(seconds("now"), None);
    }
}
