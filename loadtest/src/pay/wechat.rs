//! WeChat Pay v3 from the channel's side: what it takes, what it answers, how it signs.

use anyhow::Context as _;
use bytes::Bytes;
use domain::Timestamp;
use hyper::{HeaderMap, Method};
use serde_json::{Value, json};

use super::{
    Callback, MCH_ID, MERCHANT_SERIAL, NEXT_SERIAL, PLATFORM_SERIAL, PaySim, Signer, Telling, WECHAT_APP,
    keys::{Keys, nonce},
    now,
    server::Reply,
    world::{Channel, NoRefund, RefundMode, RefundRow, RefundStatus, Trade, TradeState},
};

/// What all boxes of payments are bound to.
const TRANSACTION: &str = "transaction";
/// And those of refunds.
const REFUND: &str = "refund";

/// A callback about a payment.
pub(super) fn callback(keys: &Keys, telling: &Telling) -> anyhow::Result<Callback> {
    let facts = json!({
        "appid": telling.app, "mchid": telling.merchant, "out_trade_no": telling.out_trade_no,
        "transaction_id": telling.transaction_id, "trade_type": "NATIVE", "trade_state": telling.state,
        "trade_state_desc": "支付成功", "bank_type": "OTHERS", "attach": "", "success_time": telling.paid_at,
        "payer": { "openid": "o-simulated" },
        "amount": { "total": telling.fen, "payer_total": telling.fen, "currency": telling.currency, "payer_currency": telling.currency },
    });
    enveloped(keys, "TRANSACTION.SUCCESS", TRANSACTION, &facts, telling.signer, telling.signed_at)
}

/// A callback about a refund.
pub(super) fn refund_callback(keys: &Keys, row: &RefundRow) -> anyhow::Result<Callback> {
    let facts = json!({
        "mchid": MCH_ID, "out_trade_no": row.out_trade_no, "transaction_id": row.transaction_id,
        "out_refund_no": row.refund_no, "refund_id": row.refund_id, "refund_status": status_of(row),
        "success_time": row.at, "user_received_account": "支付用户零钱",
        "amount": { "total": row.fen, "refund": row.fen, "payer_total": row.fen, "payer_refund": row.fen },
    });
    let event = format!("REFUND.{}", status_of(row));
    enveloped(keys, &event, REFUND, &facts, Signer::Channel, now())
}

const fn status_of(row: &RefundRow) -> &'static str {
    match row.status {
        RefundStatus::Processing => "PROCESSING",
        RefundStatus::Success => "SUCCESS",
    }
}

fn enveloped(
    keys: &Keys,
    event: &str,
    associated: &str,
    facts: &Value,
    signer: Signer,
    at: Timestamp,
) -> anyhow::Result<Callback> {
    let box_nonce = nonce::<12>()?;
    let bytes: &[u8; 12] = box_nonce.as_bytes().try_into().context("twelve letters")?;
    let body = json!({
        "id": nonce::<32>()?, "create_time": at, "resource_type": "encrypt-resource", "event_type": event,
        "summary": "支付成功",
        "resource": {
            "original_type": associated, "algorithm": "AEAD_AES_256_GCM", "associated_data": associated,
            "nonce": box_nonce, "ciphertext": keys.seal(bytes, associated, &facts.to_string())?,
        },
    });
    let body = body.to_string().into_bytes();
    let mut headers = signature(keys, signer, at, &body)?;
    headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
    Ok(Callback { path: "/api/v1/payments/callback/wechat".to_owned(), headers, body })
}

/// The headers that sign a body.
pub(super) fn signature(
    keys: &Keys,
    signer: Signer,
    at: Timestamp,
    body: &[u8],
) -> anyhow::Result<Vec<(String, String)>> {
    let timestamp = at.as_millis().div_euclid(1000).to_string();
    let nonce = nonce::<32>()?;
    let message = [timestamp.as_bytes(), b"\n", nonce.as_bytes(), b"\n", body, b"\n"].concat();
    let serial = if signer == Signer::Next { NEXT_SERIAL } else { PLATFORM_SERIAL };
    let signature = keys.signer(signer, Channel::Wechat).sign(&message)?;
    Ok([
        ("Wechatpay-Timestamp", timestamp),
        ("Wechatpay-Nonce", nonce),
        ("Wechatpay-Signature", signature),
        ("Wechatpay-Serial", serial.to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec())
}

/// Takes a call of the merchant; `None`: no answer at all.
pub(super) fn take(
    sim: &PaySim,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    body: &Bytes,
) -> anyhow::Result<Option<Reply>> {
    let inner = sim.inner();
    let answered = if is_signed(&inner.keys, method, path, headers, body) {
        answer(sim, method, path, body)?
    } else {
        let mut world = inner.world.lock();
        world.unsigned = world.unsigned.saturating_add(1);
        Some((401, json!({"code": "SIGN_ERROR", "message": "签名错误"})))
    };
    let Some((status, value)) = answered else { return Ok(None) };
    let body = value.to_string().into_bytes();
    let headers = signature(&inner.keys, Signer::Channel, now(), &body)?;
    Ok(Some(Reply { status, headers, content_type: "application/json", body }))
}

/// Whether the merchant's key signed this very call.
fn is_signed(keys: &Keys, method: &Method, path: &str, headers: &HeaderMap, body: &Bytes) -> bool {
    let value = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Some(fields) = value.strip_prefix("WECHATPAY2-SHA256-RSA2048 ") else { return false };
    let field = |name: &str| {
        let of = |part: &str| Some(part.strip_prefix(name)?.strip_prefix("=\"")?.strip_suffix('"')?.to_owned());
        fields.split(',').find_map(of).unwrap_or_default()
    };
    let head = format!("{method}\n{path}\n{}\n{}\n", field("timestamp"), field("nonce_str"));
    let message = [head.as_bytes(), body, b"\n"].concat();
    field("mchid") == MCH_ID
        && field("serial_no") == MERCHANT_SERIAL
        && keys.merchant.verifies(&message, &field("signature"))
}

type Answered = Option<(u16, Value)>;

fn answer(sim: &PaySim, method: &Method, path: &str, body: &Bytes) -> anyhow::Result<Answered> {
    let plain = path.split('?').next().unwrap_or_default();
    let said = || serde_json::from_slice::<Value>(body).context("a body that is no JSON");
    let last = plain.rsplit('/').next().unwrap_or_default();
    if *method == Method::POST && plain == "/v3/pay/transactions/native" {
        return prepay(sim, &said()?);
    }
    if *method == Method::POST && plain == "/v3/refund/domestic/refunds" {
        return Ok(refund(sim, &said()?));
    }
    let world = sim.inner().world.lock();
    if *method == Method::GET && plain.starts_with("/v3/pay/transactions/out-trade-no/") {
        if world.behaviour.queries_lost {
            return Ok(None);
        }
        let missing = || (404, json!({"code": "ORDER_NOT_EXIST", "message": "订单不存在"}));
        let trade = world.trades.get(last).filter(|trade| trade.channel == Channel::Wechat);
        return Ok(Some(trade.map_or_else(missing, |trade| (200, facts_of(last, trade, world.behaviour.misprice)))));
    }
    if *method == Method::GET && plain.starts_with("/v3/refund/domestic/refunds/") {
        let missing = || (404, json!({"code": "RESOURCE_NOT_EXISTS", "message": "退款单不存在"}));
        return Ok(Some(world.refunds.get(last).map_or_else(missing, |row| (200, refund_facts(row)))));
    }
    Ok(Some((404, json!({"code": "NOT_FOUND", "message": plain}))))
}

fn prepay(sim: &PaySim, said: &Value) -> anyhow::Result<Answered> {
    let text = |field: &str| said.get(field).and_then(Value::as_str);
    let no = text("out_trade_no").context("no out_trade_no")?;
    let fen = said.pointer("/amount/total").and_then(Value::as_i64).context("no amount.total")?;
    let ours = text("appid") == Some(WECHAT_APP) && text("mchid") == Some(MCH_ID) && text("notify_url").is_some();
    if !ours || fen <= 0 {
        return Ok(Some((400, json!({"code": "PARAM_ERROR", "message": "参数错误"}))));
    }
    if !sim.inner().world.lock().ask(Channel::Wechat, no, fen, now()) {
        return Ok(Some((400, json!({"code": "INVALID_REQUEST", "message": "订单号重复"}))));
    }
    Ok(Some((200, json!({"code_url": format!("weixin://wxpay/bizpayurl?pr={no}")}))))
}

fn refund(sim: &PaySim, said: &Value) -> Answered {
    let text = |field: &str| said.get(field).and_then(Value::as_str).unwrap_or_default();
    let fen = said.pointer("/amount/refund").and_then(Value::as_i64).unwrap_or_default();
    let mut world = sim.inner().world.lock();
    if world.behaviour.refunds == RefundMode::LoseCall {
        return None;
    }
    let done = world.refund(text("transaction_id"), text("out_refund_no"), fen, now());
    if world.behaviour.refunds == RefundMode::LoseAnswer {
        return None;
    }
    Some(match done {
        Ok(row) => (200, refund_facts(&row)),
        Err(NoRefund::NoTrade) => (404, json!({"code": "RESOURCE_NOT_EXISTS", "message": "订单不存在"})),
        Err(NoRefund::TooMuch) => (400, json!({"code": "INVALID_REQUEST", "message": "退款金额超限"})),
        Err(NoRefund::Unwilling) => (403, json!({"code": "NOT_ENOUGH", "message": "基本账户余额不足"})),
    })
}

fn facts_of(no: &str, trade: &Trade, misprice: i64) -> Value {
    let state = match trade.state {
        TradeState::Waiting => "NOTPAY",
        TradeState::Paid => "SUCCESS",
        TradeState::Closed => "CLOSED",
    };
    let paid = trade.paid.first();
    let fen = trade.fen.saturating_add(misprice);
    json!({
        "appid": WECHAT_APP, "mchid": MCH_ID, "out_trade_no": no, "trade_state": state,
        "transaction_id": paid.map(|paid| &paid.transaction_id), "success_time": paid.map(|paid| paid.at),
        "amount": { "total": fen, "currency": "CNY" },
    })
}

fn refund_facts(row: &RefundRow) -> Value {
    json!({
        "refund_id": row.refund_id, "out_refund_no": row.refund_no, "transaction_id": row.transaction_id,
        "out_trade_no": row.out_trade_no, "channel": "ORIGINAL", "status": status_of(row), "create_time": row.at,
        "amount": { "refund": row.fen, "total": row.fen, "currency": "CNY" },
    })
}
