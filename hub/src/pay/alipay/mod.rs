//! A channel in the form of Alipay: forms whose fields are signed with RSA2 (SHA256withRSA over the sorted `k=v`).

mod calls;
mod words;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use axum::http::{HeaderMap, StatusCode};
use domain::{Clock, Timestamp};
use settlement::refund::{Refund, RefundSaid};
use store::money::Payment;

use self::words::{Trade, time_of};
use super::{
    caller::Caller,
    channel::{Acknowledgement, CallbackError, ChannelError, Notice, PayChannel, Reason, Said, Verified, name_of},
    crypto::{PayKeyError, PrivateKey, PublicKey},
};
use crate::{
    config,
    limits::{ALIPAY_NOTICE_AGE_H, CALLBACK_SKEW_S},
};

/// Its name.
pub(crate) const ALIPAY: &str = "alipay";
/// The only kind of signature.
const SIGN_TYPE: &str = "RSA2";

/// Alipay and the keys of its app.
#[derive(Debug)]
pub(crate) struct Alipay {
    app_id: String,
    seller_id: String,
    key: PrivateKey,
    /// The keys that may sign; Alipay does not say which one it used.
    theirs: Vec<PublicKey>,
    base_url: String,
    notify_url: String,
    wall: Arc<dyn Clock>,
    caller: Caller,
}

impl Alipay {
    /// Reads the keys that the settings name. `notify_url`: where the channel is to send its callbacks.
    pub(crate) fn open(
        settings: &config::Alipay,
        notify_url: String,
        wall: Arc<dyn Clock>,
        caller: Caller,
    ) -> Result<Self, PayKeyError> {
        let theirs = settings.alipay_keys.iter().map(|path| PublicKey::open("payment.alipay.alipay_keys", path));
        Ok(Self {
            app_id: settings.app_id.clone(),
            seller_id: settings.seller_id.clone(),
            key: PrivateKey::open("payment.alipay.private_key_file", &settings.private_key_file)?,
            theirs: theirs.collect::<Result<_, _>>()?,
            base_url: settings.base_url.trim_end_matches('/').to_owned(),
            notify_url,
            wall,
            caller,
        })
    }

    fn verifies(&self, message: &[u8], signature: &str) -> bool {
        self.theirs.iter().any(|key| key.verifies(message, signature))
    }

    fn read_notice(&self, form: &BTreeMap<String, String>) -> Result<Notice, CallbackError> {
        let trade = Trade::of_form(form)?;
        if form.get("app_id") != Some(&self.app_id) {
            return Err(CallbackError::new(Reason::WrongApp, "app_id is another"));
        }
        if form.get("seller_id").is_some_and(|seller| *seller != self.seller_id) {
            return Err(CallbackError::new(Reason::WrongMerchant, "seller_id is another"));
        }
        // A refund is told in the words of its payment.
        if let Some(refund_no) = form.get("out_biz_no").filter(|_| form.contains_key("gmt_refund")) {
            let said = RefundSaid::Success { channel_refund_id: None };
            return Ok(Notice::Refund { refund_no: name_of("out_biz_no", refund_no)?, said });
        }
        Ok(Notice::Payment { payment_no: name_of("out_trade_no", &trade.out_trade_no)?, said: trade.said()? })
    }
}

/// Names and values of a form; of repeated names the last counts. What is no UTF-8 is changed, and so no longer signed.
fn form_of(body: &[u8]) -> BTreeMap<String, String> {
    form_urlencoded::parse(body).into_owned().collect()
}

/// What is signed: the fields but the signature itself, by name.
fn signed_text(form: &BTreeMap<String, String>, left_out: &[&str]) -> String {
    let fields = form.iter().filter(|(name, _)| !left_out.contains(&name.as_str()));
    fields.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

#[async_trait]
impl PayChannel for Alipay {
    fn name(&self) -> &'static str {
        ALIPAY
    }

    fn answers_queries(&self) -> bool {
        true
    }

    async fn prepay(&self, payment: &Payment) -> Result<String, ChannelError> {
        self.ask_prepay(payment).await
    }

    fn read_callback(&self, _headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<Verified, CallbackError> {
        let bad = |reason: Reason, why: &str| CallbackError::new(reason, why);
        let form = form_of(body);
        let signature = form.get("sign").ok_or_else(|| bad(Reason::Unsigned, "sign is missing"))?;
        if form.get("sign_type").map(String::as_str) != Some(SIGN_TYPE) {
            return Err(bad(Reason::Unsigned, "sign_type must be RSA2"));
        }
        if !self.verifies(signed_text(&form, &["sign", "sign_type"]).as_bytes(), signature) {
            return Err(bad(Reason::BadSignature, "sign does not match"));
        }
        let at = form.get("notify_time").and_then(|at| time_of(at));
        let age_s = now.since(at.ok_or_else(|| bad(Reason::Malformed, "notify_time is no time"))?).as_secs();
        if !(-CALLBACK_SKEW_S..=ALIPAY_NOTICE_AGE_H * 3_600).contains(&age_s) {
            let why = format!("notify_time is {age_s} s ago; at most {ALIPAY_NOTICE_AGE_H} h are allowed");
            return Err(bad(Reason::Stale, &why));
        }
        // Alipay repeats a notice under its own id until it is taken, so a repetition is no replay.
        Ok(Verified { notice: self.read_notice(&form)?, nonce: None })
    }

    async fn query(&self, payment_no: &str) -> Result<Said, ChannelError> {
        self.ask_query(payment_no).await
    }

    async fn refund(&self, refund: &Refund) -> RefundSaid {
        self.ask_refund(refund).await
    }

    async fn query_refund(&self, refund: &Refund) -> RefundSaid {
        self.ask_query_refund(refund).await
    }

    fn acknowledge(&self, taken: Result<(), (StatusCode, &str)>) -> Acknowledgement {
        let (status, body) = match taken {
            Ok(()) => (StatusCode::OK, "success"),
            Err((status, _)) => (status, "failure"),
        };
        Acknowledgement { status, content_type: "text/plain; charset=utf-8", body: body.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signed_text_is_sorted_and_has_neither_signature_nor_its_kind() {
        let form = form_of(b"sign=x%2By&b=%E5%85%85%E7%94%B5&a=1+2&sign_type=RSA2&c=");
        assert_eq!(signed_text(&form, &["sign", "sign_type"]), "a=1 2&b=充电&c=");
        assert_eq!(signed_text(&form, &["sign"]), "a=1 2&b=充电&c=&sign_type=RSA2");
        assert_eq!(form.get("sign").map(String::as_str), Some("x+y"));
    }
}
