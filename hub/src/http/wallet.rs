//! A driver's own money: what there is, how it moved, asking for more.

use std::sync::Arc;

use axum::{Json, extract::State, http::HeaderMap};
use domain::{Fen, Millis, OrderNo, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use settlement::{
    ledger::{BookAccount, Entry, EntryKind},
    payment::query_wait,
    risk::Gate,
};
use store::money::{Payment, Write};
use utoipa::ToSchema;

use super::{
    answer::{Answer, Listed},
    auth::By,
    idempotency::{Call, once},
    input::{Params, body, within},
    ledger::kind,
    problem::{Code, Problem},
    public_url::public_url,
    rights::{WALLET_ENTRIES, WALLET_GET, WALLET_TOPUP},
    risk::may,
    sift::{Sift, sift},
    state::App,
};
use crate::{
    ids::{derived_id, new_id},
    limits::{CLOCK_STEP_MS_MAX, TOPUP_FEN_MAX},
    pay::{ChannelError, PayChannel},
};

/// What a driver has.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Wallet {
    available_fen: i64,
    frozen_fen: i64,
    debt_fen: i64,
}

/// One movement of a driver's money.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EntryView {
    /// Rising, per driver.
    entry_id: String,
    #[schema(value_type = String)]
    kind: EntryKind,
    /// Always positive.
    amount_fen: i64,
    /// What it did to the available sum.
    available_change_fen: i64,
    /// What it did to the frozen sum.
    frozen_change_fen: i64,
    #[schema(value_type = String)]
    debit: BookAccount,
    #[schema(value_type = String)]
    credit: BookAccount,
    #[schema(value_type = Option<String>)]
    order_no: Option<OrderNo>,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

/// Money asked for through a channel.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewTopup {
    amount_fen: i64,
    /// `sandbox`, or one that the hub's settings open: `wechat`, `alipay`.
    channel: String,
}

/// A payment that waits to be paid.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Topup {
    payment_no: String,
    /// Where to pay; in the sandbox: `POST` it; else what the phone shows as a code.
    pay_url: String,
}

/// The caller's money (driver).
#[utoipa::path(get, path = "/wallet", tag = "wallet", responses((status = 200, body = Wallet)))]
pub(crate) async fn wallet(State(app): State<App>, by: By<WALLET_GET>) -> Result<Json<Wallet>, Problem> {
    let account = app.money.account(&by.sub).await?;
    let debt = |debts: std::collections::btree_map::Values<'_, OrderNo, Fen>| debts.map(|debt| debt.0).sum();
    Ok(Json(account.map_or(Wallet { available_fen: 0, frozen_fen: 0, debt_fen: 0 }, |account| Wallet {
        available_fen: account.available.0,
        frozen_fen: account.frozen.0,
        debt_fen: debt(account.debts.values()),
    })))
}

/// How the caller's money moved in `[from, to)`, newest first (driver). A page may be short while its cursor leads on.
#[utoipa::path(get, path = "/wallet/entries", tag = "wallet",
    params(("from" = Option<String>, Query), ("to" = Option<String>, Query), ("kind" = Option<String>, Query),
        ("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query)),
    responses((status = 200, body = Listed<EntryView>)))]
pub(crate) async fn entries(
    State(app): State<App>,
    by: By<WALLET_ENTRIES>,
    params: Params,
) -> Result<Json<Listed<EntryView>>, Problem> {
    let (from, to, kind) = (params.time("from")?, params.time("to")?, kind(&params)?);
    let begins = from.map(|from| from.plus(Millis(-CLOCK_STEP_MS_MAX)));
    let judge = |entry: &Entry| {
        let fits = from.is_none_or(|from| entry.at >= from) && to.is_none_or(|to| entry.at < to);
        match (fits, begins) {
            (true, _) if kind.is_none_or(|kind| entry.kind == kind) => Sift::Keep,
            (false, Some(begins)) if entry.at < begins => Sift::Stop,
            (true | false, _) => Sift::Skip,
        }
    };
    let page = sift(params.cursor(), params.limit()?, judge, |cursor, max| {
        let (money, user) = (Arc::clone(&app.money), by.sub.clone());
        async move { money.entries(&user, cursor.as_deref(), max).await }
    });
    Ok(Json(Listed::page(page.await?, entry_view)))
}

/// Asks for money through a channel (driver).
#[utoipa::path(post, path = "/wallet/topups", tag = "wallet", request_body = NewTopup,
    responses((status = 201, body = Topup)))]
pub(crate) async fn topup(
    State(app): State<App>,
    by: By<WALLET_TOPUP>,
    headers: HeaderMap,
    call: Call,
) -> Result<Answer, Problem> {
    let (task, caller) = (app.clone(), by.sub.clone());
    once(&app, &caller, call, move |key, bytes| async move {
        let new: NewTopup = body(&bytes)?;
        let amount_fen = Fen(within("amountFen", new.amount_fen, 1, TOPUP_FEN_MAX)?);
        let no_channel = || Problem::invalid("channel", &new.channel, format!("must be {}", task.pay.names()));
        let channel = task.pay.channel(&new.channel).cloned().ok_or_else(no_channel)?;
        may(&task, Gate::Topup, &by.sub, None).await?;
        let now = task.now();
        // The same call again speaks of the same payment to the channel.
        let payment_no = match &key {
            Some(key) => derived_id("Y", &key.seed()),
            None => new_id("Y", now)?,
        };
        let payment = match task.money.payment(&payment_no).await? {
            Some(asked_before) => asked_before,
            None => {
                let payment = new_payment(&task, payment_no, by.sub, amount_fen, channel.as_ref());
                task.commit(vec![Write::Payment(Box::new(payment.clone()), None)]).await?;
                payment
            }
        };
        let place = channel.prepay(&payment).await.map_err(not_prepaid)?;
        // A path is one of ours.
        let ours = place.starts_with('/').then(|| public_url(&task.config.http, &headers));
        let pay_url = format!("{}{place}", ours.unwrap_or_default());
        let answer = Answer::created(&Topup { payment_no: payment.payment_no, pay_url });
        if let Some(key) = key {
            task.commit(vec![Write::Once(Box::new(key.row(&answer, now)))]).await?;
        }
        Ok(answer)
    })
    .await
}

fn new_payment(app: &App, no: String, user_id: UserId, amount_fen: Fen, channel: &dyn PayChannel) -> Payment {
    let now = app.now();
    let payment = Payment::new(no, user_id, amount_fen, channel.name().to_owned(), now);
    if channel.answers_queries() {
        Payment { due: Some(now.plus(query_wait(0))), expires_at: Some(app.pay.expiry(now)), ..payment }
    } else {
        payment
    }
}

#[allow(clippy::needless_pass_by_value, reason = "the shape `map_err` wants")]
fn not_prepaid(error: ChannelError) -> Problem {
    Problem::new(Code::ChannelUnavailable, error.to_string())
}

/// An entry moves its amount from `credit` to `debit`; what drivers have is owed to them, so a credit gives them more.
fn entry_view(entry: Entry) -> EntryView {
    let change = |account: BookAccount| {
        let gained = if entry.credit == account { entry.amount.0 } else { 0 };
        let lost = if entry.debit == account { entry.amount.0 } else { 0 };
        gained.saturating_sub(lost)
    };
    EntryView {
        entry_id: entry.seq.to_string(),
        kind: entry.kind,
        amount_fen: entry.amount.0,
        available_change_fen: change(BookAccount::DriverAvailable),
        frozen_change_fen: change(BookAccount::DriverFrozen),
        debit: entry.debit,
        credit: entry.credit,
        order_no: entry.order_no,
        at: entry.at,
    }
}
