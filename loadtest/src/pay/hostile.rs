//! Callbacks that a hub must not take: forged, changed on the way, stale, replayed, or true words that are not for it.

use super::{Callback, Channel, NEXT_SERIAL, PLATFORM_SERIAL, PaySim, Signer, Telling, seconds_away};
use crate::rng::Rng;

/// What was done to a callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hostility {
    /// One letter of the signature is another.
    Signature,
    /// Signed by somebody else in the channel's name.
    Stranger,
    /// Signed well, but long ago or in the future.
    Stale,
    /// The time is another than the one that was signed.
    Timestamp,
    /// The nonce (or the notice's id) is another than the one that was signed.
    Nonce,
    /// Signed by one key in the name of another, or in the name of none.
    Serial,
    /// One byte of the body is another.
    Body,
    /// A part of the signature is missing.
    Missing,
    /// Signed well, with another sum.
    Amount,
    /// Signed well, for another merchant.
    Merchant,
    /// Signed well, for another app.
    App,
    /// Taken before, sent again byte by byte.
    Replay,
}

/// All of them.
pub const ALL: [Hostility; 12] = [
    Hostility::Signature,
    Hostility::Stranger,
    Hostility::Stale,
    Hostility::Timestamp,
    Hostility::Nonce,
    Hostility::Serial,
    Hostility::Body,
    Hostility::Missing,
    Hostility::Amount,
    Hostility::Merchant,
    Hostility::App,
    Hostility::Replay,
];

/// Spoils a true telling. `taken` are callbacks that the hub has taken before; Alipay repeats its own until they are taken,
/// so of Alipay an old one is signed anew instead.
///
/// # Errors
/// The system has no random numbers.
pub fn spoil(
    sim: &PaySim,
    rng: &mut Rng,
    telling: &Telling,
    taken: &[Callback],
) -> anyhow::Result<(Hostility, Callback)> {
    let kind = ALL.get(rng.index(ALL.len())).copied().unwrap_or(Hostility::Signature);
    let mut telling = telling.clone();
    match kind {
        Hostility::Stranger => telling.signer = Signer::Stranger,
        Hostility::Stale => telling.signed_at = seconds_away(off(rng, telling.channel)),
        Hostility::Amount => telling.fen = other_sum(rng, telling.fen),
        Hostility::Merchant => telling.merchant = other_text(rng, &telling.merchant),
        Hostility::App => telling.app = other_text(rng, &telling.app),
        Hostility::Replay => {
            let again = taken.get(rng.index(taken.len())).filter(|_| telling.channel == Channel::Wechat);
            if let Some(again) = again {
                return Ok((kind, again.clone()));
            }
            telling.signed_at = seconds_away(off(rng, telling.channel));
        }
        Hostility::Signature
        | Hostility::Timestamp
        | Hostility::Nonce
        | Hostility::Serial
        | Hostility::Body
        | Hostility::Missing => {}
    }
    let channel = telling.channel;
    let mut callback = sim.callback(&telling)?;
    match channel {
        Channel::Wechat => bend_wechat(rng, kind, &mut callback),
        Channel::Alipay => bend_alipay(rng, kind, &mut callback),
    }
    Ok((kind, callback))
}

/// Seconds beyond what the hub allows: WeChat's window is 300 s to either side, Alipay repeats for 25 hours.
fn off(rng: &mut Rng, channel: Channel) -> i64 {
    let (past, future) = match channel {
        Channel::Wechat => (-320, 320),
        Channel::Alipay => (-97_000, 320),
    };
    if rng.per_mille(500) { past - rng.range(0, 100_000) } else { future + rng.range(0, 100_000) }
}

fn other_sum(rng: &mut Rng, fen: i64) -> i64 {
    let by = rng.range(1, 1_000_000);
    if rng.per_mille(300) { by.saturating_neg() } else { fen.saturating_add(by) }
}

fn other_text(rng: &mut Rng, text: &str) -> String {
    let at = rng.index(text.len());
    let other = |c: char| if c == '7' { '3' } else { '7' };
    text.chars().enumerate().map(|(index, c)| if index == at { other(c) } else { c }).collect()
}

fn bend_wechat(rng: &mut Rng, kind: Hostility, callback: &mut Callback) {
    match kind {
        Hostility::Signature => change(callback, "Wechatpay-Signature", |text| other_letter(rng, text)),
        Hostility::Timestamp => change(callback, "Wechatpay-Timestamp", |text| {
            let at: i64 = text.parse().unwrap_or_default();
            at.saturating_add(rng.range(1, 200)).to_string()
        }),
        Hostility::Nonce => change(callback, "Wechatpay-Nonce", |text| other_text(rng, text)),
        Hostility::Serial => change(callback, "Wechatpay-Serial", |text| {
            let others = [NEXT_SERIAL, "", "PUB_KEY_ID_0000000000000000", "../../etc/passwd"];
            let other = others.get(rng.index(others.len())).copied().unwrap_or_default();
            if other == text { PLATFORM_SERIAL.to_owned() } else { other.to_owned() }
        }),
        Hostility::Body => {
            let at = rng.index(callback.body.len());
            if let Some(byte) = callback.body.get_mut(at) {
                *byte ^= u8::try_from(rng.range(1, 255)).unwrap_or(1);
            }
        }
        Hostility::Missing => {
            let names = ["Wechatpay-Timestamp", "Wechatpay-Nonce", "Wechatpay-Signature", "Wechatpay-Serial"];
            let gone = names.get(rng.index(names.len())).copied().unwrap_or_default();
            callback.headers.retain(|(name, _)| name != gone);
        }
        Hostility::Stranger
        | Hostility::Stale
        | Hostility::Amount
        | Hostility::Merchant
        | Hostility::App
        | Hostility::Replay => {}
    }
}

fn change(callback: &mut Callback, header: &str, change: impl FnOnce(&str) -> String) {
    if let Some((_, value)) = callback.headers.iter_mut().find(|(name, _)| name == header) {
        *value = change(value);
    }
}

/// Another letter of base64, away from the end, where letters may mean the same.
fn other_letter(rng: &mut Rng, text: &str) -> String {
    let at = rng.index(text.len().saturating_sub(8));
    let other = |c: char| if c == 'A' { 'B' } else { 'A' };
    text.chars().enumerate().map(|(index, c)| if index == at { other(c) } else { c }).collect()
}

fn bend_alipay(rng: &mut Rng, kind: Hostility, callback: &mut Callback) {
    let mut form: Vec<(String, String)> = form_urlencoded::parse(&callback.body).into_owned().collect();
    let mut on = |name: &str, change: &mut dyn FnMut(&str) -> String| {
        if let Some((_, value)) = form.iter_mut().find(|(known, _)| known == name) {
            *value = change(value);
        }
    };
    match kind {
        Hostility::Signature => on("sign", &mut |text| other_letter(rng, text)),
        Hostility::Timestamp => on("notify_time", &mut |text| text.replace(':', "-")),
        Hostility::Nonce => on("notify_id", &mut |text| other_text(rng, text)),
        Hostility::Serial => on("sign_type", &mut |_| "RSA".to_owned()),
        Hostility::Body => {
            let signed = ["total_amount", "out_trade_no", "trade_no", "seller_id", "app_id", "trade_status", "subject"];
            let name = signed.get(rng.index(signed.len())).copied().unwrap_or_default();
            on(name, &mut |text| format!("{text}1"));
        }
        Hostility::Missing => {
            let names = ["sign", "sign_type", "notify_time", "app_id", "trade_no", "total_amount", "out_trade_no"];
            let gone = names.get(rng.index(names.len())).copied().unwrap_or_default();
            form.retain(|(name, _)| name != gone);
        }
        Hostility::Stranger
        | Hostility::Stale
        | Hostility::Amount
        | Hostility::Merchant
        | Hostility::App
        | Hostility::Replay => {}
    }
    callback.body = form_urlencoded::Serializer::new(String::new()).extend_pairs(&form).finish().into_bytes();
}
