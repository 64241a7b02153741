//! Payments over HTTP: the channels' signed callbacks, the sandbox that stands in for a channel, and looking at payments.
//! What a callback means is decided in [`crate::pay`].

use std::time::Duration;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::{Fen, Timestamp, UserId};
use serde::Serialize;
use serde_json::json;
use store::money::{Payment, PaymentState};
use tokio::time::timeout;
use utoipa::ToSchema;

use super::{
    answer::{Answer, Listed},
    auth::By,
    idempotency::read_body,
    input::{Params, body},
    problem::{Code, Problem},
    rights::{PAYMENTS_GET, PAYMENTS_LIST},
    state::App,
};
use crate::{
    limits::CALLBACK_WITHIN_MS,
    pay::{Callback, CallbackError, Reason, SANDBOX, Taken},
};

/// A day, in milliseconds: how far back the list of paid payments goes when nobody says.
const DAY_MS: i64 = 86_400_000;

/// A payment through a channel.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PaymentView {
    payment_no: String,
    #[schema(value_type = String)]
    user_id: UserId,
    #[schema(value_type = i64)]
    amount_fen: Fen,
    channel: String,
    /// `PENDING`, `SUCCESS`, `FAILED` or `CLOSED`.
    #[schema(value_type = String)]
    state: PaymentState,
    /// The channel's name for it.
    transaction_id: Option<String>,
    /// What of it went back, or is on its way.
    #[schema(value_type = i64)]
    refunded_fen: Fen,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    paid_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// When the channel is asked next, and how often it was.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_query_at: Option<Timestamp>,
    queries: u32,
}

/// Payments: of a driver (`user`, newest first), else those paid from `from` to `to`, by that time; the last day when
/// nobody says (finance, service).
#[utoipa::path(get, path = "/payments", tag = "finance",
    params(("user" = Option<String>, Query), ("from" = Option<String>, Query), ("to" = Option<String>, Query),
        ("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query)),
    responses((status = 200, body = Listed<PaymentView>)))]
pub(crate) async fn list(
    State(app): State<App>,
    _by: By<PAYMENTS_LIST>,
    params: Params,
) -> Result<Json<Listed<PaymentView>>, Problem> {
    let (cursor, max) = (params.cursor(), params.limit()?);
    let page = match params.id::<UserId>("user")? {
        Some(user) => app.money.payments_of(&user, cursor, max).await?,
        None => {
            // A payment of this very moment is among them.
            let to = params.time("to")?.unwrap_or_else(|| app.now().plus(domain::Millis(1)));
            let from = params.time("from")?.unwrap_or_else(|| to.plus(domain::Millis(-DAY_MS)));
            app.money.payments_paid(from, to, cursor, max).await?
        }
    };
    Ok(Json(Listed::page(page, view)))
}

/// One payment (its driver, finance, service).
#[utoipa::path(get, path = "/payments/{paymentNo}", tag = "finance", params(("paymentNo" = String, Path)),
    responses((status = 200, body = PaymentView)))]
pub(crate) async fn get(
    State(app): State<App>,
    by: By<PAYMENTS_GET>,
    Path(no): Path<String>,
) -> Result<Json<PaymentView>, Problem> {
    Ok(Json(view(visible(&app, &by, &no).await?)))
}

/// A payment that the caller may see.
pub(super) async fn visible<const ROLES: super::auth::Roles>(
    app: &App,
    by: &By<ROLES>,
    no: &str,
) -> Result<Payment, Problem> {
    let payment = app.money.payment(no).await?;
    payment.filter(|payment| by.is_staff() || payment.user_id == by.sub).ok_or_else(|| unknown(no))
}

fn view(payment: Payment) -> PaymentView {
    PaymentView {
        payment_no: payment.payment_no,
        user_id: payment.user_id,
        amount_fen: payment.amount_fen,
        channel: payment.channel,
        state: payment.state,
        transaction_id: payment.transaction_id,
        refunded_fen: payment.refunded_fen,
        created_at: payment.created_at,
        paid_at: payment.paid_at,
        expires_at: payment.expires_at,
        next_query_at: payment.due,
        queries: payment.queries,
    }
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
    let signature = app.pay.sandbox.sign(&timestamp, &raw).map_err(refused)?;
    take(&app, &timestamp, &signature, raw.into()).await
}

/// What the sandbox reports, signed: hex HMAC-SHA256 over `X-Timestamp`, a full stop and the raw body.
#[utoipa::path(post, path = "/payments/callback", tag = "wallet", security(()), request_body = Callback,
    params(("X-Timestamp" = String, Header), ("X-Signature" = String, Header)),
    responses((status = 200, body = Object, example = json!({"paymentNo": "Y…", "status": "SUCCESS"}))))]
pub(crate) async fn callback(State(app): State<App>, request: Request) -> Result<Answer, Problem> {
    let timestamp = named(request.headers(), "x-timestamp")?;
    let signature = named(request.headers(), "x-signature")?;
    let raw = read_body(request, body_len_max(&app)).await?;
    take(&app, &timestamp, &signature, raw).await
}

fn named(headers: &HeaderMap, name: &str) -> Result<String, Problem> {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.map(str::to_owned).ok_or_else(|| Problem::new(Code::Unauthenticated, format!("the header {name} is missing")))
}

fn body_len_max(app: &App) -> usize {
    usize::try_from(app.config.limits.http_body_bytes_max).unwrap_or(usize::MAX)
}

/// Runs in a task of its own, so that a channel that hangs up does not cut it in half.
async fn take(app: &App, timestamp: &str, signature: &str, raw: Bytes) -> Result<Answer, Problem> {
    app.pay.sandbox.verify(timestamp, signature, &raw, app.wall.now()).map_err(refused)?;
    let task = app.clone();
    let done = tokio::spawn(async move { apply(&task, body(&raw)?).await });
    done.await.unwrap_or_else(|error| {
        tracing::error!(%error, "taking a payment callback panicked");
        Err(Problem::new(Code::Internal, ""))
    })
}

async fn apply(app: &App, callback: Callback) -> Result<Answer, Problem> {
    let no = &callback.payment_no;
    let payment = app.money.payment(no).await?.ok_or_else(|| unknown(no))?;
    if payment.amount_fen != Fen(callback.amount_fen) {
        let rule = format!("must be the {} of the payment", payment.amount_fen);
        return Err(Problem::invalid("amountFen", callback.amount_fen, rule));
    }
    let bad_status = || Problem::invalid("status", &callback.status, "must be SUCCESS or FAILED");
    let said = callback.said().ok_or_else(bad_status)?;
    let taken = app.pay.take_said(SANDBOX, no, &said).await.map_err(refused)?;
    let state = app.money.payment(no).await?.map_or(payment.state, |payment| payment.state);
    Ok(Answer::ok(&json!({ "paymentNo": no, "status": state, "credited": taken == Taken::Credited })))
}

fn refused(error: CallbackError) -> Problem {
    let code = match error.reason {
        Reason::Unsigned | Reason::UnknownKey | Reason::BadSignature | Reason::Stale | Reason::Replayed => {
            Code::Unauthenticated
        }
        Reason::Away => Code::StoreUnavailable,
        Reason::Unknown => Code::PaymentNotFound,
        Reason::Sealed
        | Reason::Malformed
        | Reason::WrongMerchant
        | Reason::WrongApp
        | Reason::WrongCurrency
        | Reason::WrongAmount
        | Reason::Unconfirmed => Code::Validation,
    };
    Problem::new(code, error.detail)
}

/// What a channel reports in its own form (`wechat`, `alipay`), signed with a pinned key; answered in its own form too.
#[utoipa::path(post, path = "/payments/callback/{channel}", tag = "wallet", security(()),
    params(("channel" = String, Path)), request_body(content = String, content_type = "application/octet-stream"),
    responses((status = 200, body = String)))]
pub(crate) async fn channel_callback(
    State(app): State<App>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let unknown = || Problem::new(Code::NotFound, format!("there is no channel {name}; there are {}", app.pay.names()));
    let channel = app.pay.channel(&name).cloned().ok_or_else(unknown)?;
    let headers: HeaderMap = request.headers().clone();
    let raw = read_body(request, body_len_max(&app)).await?;
    let (task, with) = (app.clone(), channel.clone());
    let taking = tokio::spawn(async move { task.pay.take_callback(&with, &headers, &raw).await });
    let told = match timeout(Duration::from_millis(CALLBACK_WITHIN_MS), taking).await {
        Ok(Ok(Ok(_))) => Ok(()),
        Ok(Ok(Err(error))) => Err((error.reason.status(), error.detail)),
        Ok(Err(error)) => {
            tracing::error!(%error, "taking a payment callback panicked");
            Err((StatusCode::INTERNAL_SERVER_ERROR, "try again".to_owned()))
        }
        // It goes on; the channel's repetition finds what it came to.
        Err(_) => Err((StatusCode::SERVICE_UNAVAILABLE, "try again".to_owned())),
    };
    let said = channel.acknowledge(told.as_ref().copied().map_err(|(status, why)| (*status, why.as_str())));
    Ok((said.status, [(header::CONTENT_TYPE, said.content_type)], said.body).into_response())
}

pub(super) fn unknown(payment_no: &str) -> Problem {
    Problem::new(Code::PaymentNotFound, format!("there is no payment {payment_no}"))
}
