//! Alipay from the channel's side: what it takes, what it answers, how it signs.

use std::collections::BTreeMap;

use anyhow::Context as _;
use bytes::Bytes;
use domain::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::{
    ALIPAY_APP, Callback, PaySim, Signer, Telling,
    keys::{Keys, nonce},
    now,
    server::Reply,
    world::{Channel, NoRefund, RefundMode, RefundStatus, Trade, TradeState},
};

type Form = BTreeMap<String, String>;

/// A callback about a payment.
pub(super) fn callback(keys: &Keys, telling: &Telling) -> anyhow::Result<Callback> {
    let (paid_at, sum) = (shanghai(telling.paid_at)?, yuan(telling.fen));
    let fields = [
        ("notify_time", shanghai(telling.signed_at)?),
        ("notify_type", "trade_status_sync".to_owned()),
        ("notify_id", nonce::<32>()?),
        ("app_id", telling.app.clone()),
        ("charset", "utf-8".to_owned()),
        ("version", "1.0".to_owned()),
        ("trade_no", telling.transaction_id.clone()),
        ("out_trade_no", telling.out_trade_no.clone()),
        ("buyer_id", "2088000000000099".to_owned()),
        ("seller_id", telling.merchant.clone()),
        ("trade_status", telling.state.clone()),
        ("total_amount", sum.clone()),
        ("receipt_amount", sum),
        ("subject", "充电钱包充值".to_owned()),
        ("gmt_create", paid_at.clone()),
        ("gmt_payment", paid_at),
    ];
    let form = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    signed_callback(keys, form, telling.signer)
}

/// A callback with these fields, signed.
pub(super) fn signed_callback(keys: &Keys, mut form: Form, signer: Signer) -> anyhow::Result<Callback> {
    let signature = keys.signer(signer, Channel::Alipay).sign(signed_text(&form, false).as_bytes())?;
    form.insert("sign_type".to_owned(), "RSA2".to_owned());
    form.insert("sign".to_owned(), signature);
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(&form).finish().into_bytes();
    let kind = "application/x-www-form-urlencoded; charset=utf-8";
    let headers = vec![("Content-Type".to_owned(), kind.to_owned())];
    Ok(Callback { path: "/api/v1/payments/callback/alipay".to_owned(), headers, body })
}

/// What is signed; a callback leaves the kind of its signature out, a call does not.
fn signed_text(form: &Form, with_kind: bool) -> String {
    let counts = |name: &str| name != "sign" && (with_kind || name != "sign_type");
    let fields = form.iter().filter(|(name, _)| counts(name));
    fields.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// Takes a call of the app; `None`: no answer at all.
pub(super) fn take(sim: &PaySim, body: &Bytes) -> anyhow::Result<Option<Reply>> {
    let keys = &sim.inner().keys;
    let form: Form = form_urlencoded::parse(body).into_owned().collect();
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let is_signed = field("app_id") == ALIPAY_APP
        && field("sign_type") == "RSA2"
        && keys.merchant.verifies(signed_text(&form, true).as_bytes(), field("sign"));
    let answered = if is_signed {
        let content = serde_json::from_str(field("biz_content")).context("biz_content is no JSON")?;
        answer(sim, field("method"), &content)
    } else {
        let mut world = sim.inner().world.lock();
        world.unsigned = world.unsigned.saturating_add(1);
        Some(
            json!({"code": "40002", "msg": "Invalid Arguments", "sub_code": "isv.invalid-signature", "sub_msg": "无效签名"}),
        )
    };
    let Some(answer) = answered else { return Ok(None) };
    let text = answer.to_string();
    let sign = Value::from(keys.alipay.sign(text.as_bytes())?);
    let body = format!("{{\"{}_response\":{text},\"sign\":{sign}}}", field("method").replace('.', "_")).into_bytes();
    Ok(Some(Reply { status: 200, headers: Vec::new(), content_type: "application/json;charset=utf-8", body }))
}

fn answer(sim: &PaySim, method: &str, content: &Value) -> Option<Value> {
    let text = |field: &str| content.get(field).and_then(Value::as_str).unwrap_or_default();
    let mut world = sim.inner().world.lock();
    match method {
        "alipay.trade.precreate" => {
            let (no, fen) = (text("out_trade_no"), fen(text("total_amount")));
            Some(match fen {
                Some(fen) if fen > 0 && world.ask(Channel::Alipay, no, fen, now()) => {
                    good(json!({"out_trade_no": no, "qr_code": format!("https://qr.alipay.com/{no}")}))
                }
                Some(_) | None => refused("ACQ.INVALID_PARAMETER"),
            })
        }
        "alipay.trade.query" if world.behaviour.queries_lost => None,
        "alipay.trade.query" => {
            let no = text("out_trade_no");
            let trade = world.trades.get(no).filter(|trade| trade.channel == Channel::Alipay);
            let misprice = world.behaviour.misprice;
            Some(trade.map_or_else(|| refused("ACQ.TRADE_NOT_EXIST"), |trade| good(facts_of(no, trade, misprice))))
        }
        "alipay.trade.refund" if world.behaviour.refunds == RefundMode::LoseCall => None,
        "alipay.trade.refund" => {
            let fen = fen(text("refund_amount")).unwrap_or_default();
            let known = world.refunds.contains_key(text("out_request_no"));
            let done = world.refund(text("trade_no"), text("out_request_no"), fen, now());
            if world.behaviour.refunds == RefundMode::LoseAnswer {
                return None;
            }
            Some(match done {
                Ok(row) => {
                    let moved = !known && row.status == RefundStatus::Success;
                    let change = if moved { "Y" } else { "N" };
                    good(
                        json!({"out_trade_no": row.out_trade_no, "trade_no": row.transaction_id, "fund_change": change,
                        "refund_fee": yuan(row.fen)}),
                    )
                }
                Err(NoRefund::NoTrade) => refused("ACQ.TRADE_NOT_EXIST"),
                Err(NoRefund::TooMuch) => refused("ACQ.REFUND_AMT_NOT_EQUAL_TOTAL"),
                Err(NoRefund::Unwilling) => refused("ACQ.SELLER_BALANCE_NOT_ENOUGH"),
            })
        }
        "alipay.trade.fastpay.refund.query" => {
            let row = world.refunds.get(text("out_request_no"));
            Some(row.map_or_else(
                || good(json!({})),
                |row| {
                    let status = match row.status {
                        RefundStatus::Processing => "",
                        RefundStatus::Success => "REFUND_SUCCESS",
                    };
                    good(
                        json!({"out_request_no": row.refund_no, "trade_no": row.transaction_id, "refund_status": status,
                    "refund_amount": yuan(row.fen), "total_amount": yuan(row.fen)}),
                    )
                },
            ))
        }
        _ => Some(json!({"code": "40004", "msg": "Business Failed", "sub_code": "isv.invalid-method"})),
    }
}

fn good(mut facts: Value) -> Value {
    if let Some(fields) = facts.as_object_mut() {
        fields.insert("code".to_owned(), "10000".into());
        fields.insert("msg".to_owned(), "Success".into());
    }
    facts
}

fn refused(sub_code: &str) -> Value {
    json!({"code": "40004", "msg": "Business Failed", "sub_code": sub_code, "sub_msg": "业务失败"})
}

fn facts_of(no: &str, trade: &Trade, misprice: i64) -> Value {
    let state = match trade.state {
        TradeState::Waiting => "WAIT_BUYER_PAY",
        TradeState::Paid => "TRADE_SUCCESS",
        TradeState::Closed => "TRADE_CLOSED",
    };
    let paid = trade.paid.first();
    json!({
        "out_trade_no": no, "trade_no": paid.map_or("", |paid| &paid.transaction_id), "trade_status": state,
        "total_amount": yuan(trade.fen.saturating_add(misprice)),
    })
}

/// Fen as yuan with two decimals.
pub(super) fn yuan(fen: i64) -> String {
    let sign = if fen < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", fen.unsigned_abs() / 100, fen.unsigned_abs() % 100)
}

/// Yuan with two decimals, as the hub writes them, as fen.
fn fen(text: &str) -> Option<i64> {
    let (whole, hundredths) = text.split_once('.')?;
    let good = hundredths.len() == 2 && !text.starts_with(['+', '-']);
    let sum = || whole.parse::<i64>().ok()?.checked_mul(100)?.checked_add(hundredths.parse().ok()?);
    if good { sum() } else { None }
}

/// A time as the channels write it: Shanghai, to the second.
pub(super) fn shanghai(at: Timestamp) -> anyhow::Result<String> {
    let zone = TimeZone::get("Asia/Shanghai")?;
    let at = jiff::Timestamp::from_millisecond(at.as_millis())?.to_zoned(zone);
    Ok(at.strftime("%Y-%m-%d %H:%M:%S").to_string())
}
