//! A driver's own money: what there is, how it moved, asking for more.

use std::sync::Arc;

use axum::{Json, extract::State, http::HeaderMap};
use domain::{Fen, Millis, OrderNo, Timestamp};
use serde::{Deserialize, Serialize};
use settlement::ledger::{BookAccount, Entry, EntryKind};
use store::money::{Payment, Write};
use utoipa::ToSchema;

use super::{
    answer::{Answer, Listed},
    auth::By,
    idempotency::{Call, once},
    input::{Params, body, within},
    ledger::kind,
    payments::{CHANNEL, pay_path},
    problem::Problem,
    public_url::public_url,
    rights::{WALLET_ENTRIES, WALLET_GET, WALLET_TOPUP},
    sift::{Sift, sift},
    state::App,
};
use crate::{
    ids::new_id,
    limits::{CLOCK_STEP_MS_MAX, TOPUP_FEN_MAX},
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
    /// `sandbox`.
    channel: String,
}

/// A payment that waits to be paid.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Topup {
    payment_no: String,
    /// Where to pay; in the sandbox: `POST` it.
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
        if new.channel != CHANNEL {
            return Err(Problem::invalid("channel", &new.channel, format!("must be {CHANNEL}")));
        }
        let now = task.now();
        let payment_no = new_id("Y", now)?;
        let pay_url = format!("{}{}", public_url(&task.config.http, &headers), pay_path(&payment_no));
        let answer = Answer::created(&Topup { payment_no: payment_no.clone(), pay_url });
        let payment = Payment::new(payment_no, by.sub, amount_fen, new.channel, now);
        let mut writes = vec![Write::Payment(Box::new(payment), None)];
        writes.extend(key.map(|key| Write::Once(Box::new(key.row(&answer, now)))));
        task.commit(writes).await?;
        Ok(answer)
    })
    .await
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
