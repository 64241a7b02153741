//! A channel in the form of WeChat Pay v3: RSA-SHA256 over time, nonce and raw body, the facts in a box sealed with
//! AES-256-GCM. Which keys may sign is pinned by serial number; several at once, so that they can be changed.

mod calls;
mod words;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use axum::http::{HeaderMap, StatusCode};
use domain::{Clock, Timestamp};
use serde_json::json;
use settlement::refund::{Refund, RefundSaid};
use store::money::Payment;

use self::words::{Envelope, RefundFacts, Transaction};
use super::{
    caller::Caller,
    channel::{Acknowledgement, CallbackError, ChannelError, Notice, PayChannel, Reason, Said, Verified, name_of},
    crypto::{BoxKey, PayKeyError, PrivateKey, PublicKey},
    sandbox::header,
};
use crate::{
    config,
    limits::{CALLBACK_SKEW_S, CHANNEL_WORD_LEN_MAX},
};

/// Its name.
pub(crate) const WECHAT: &str = "wechat";
/// The only way in which its boxes are sealed.
const ALGORITHM: &str = "AEAD_AES_256_GCM";
/// The only currency.
const CURRENCY: &str = "CNY";

/// WeChat Pay and the keys of its merchant.
#[derive(Debug)]
pub(crate) struct Wechat {
    mch_id: String,
    app_id: String,
    /// Serial number of our own certificate.
    serial: String,
    key: PrivateKey,
    boxes: BoxKey,
    /// The keys that may sign, by serial number.
    platform: BTreeMap<String, PublicKey>,
    base_url: String,
    notify_url: String,
    wall: Arc<dyn Clock>,
    caller: Caller,
}

impl Wechat {
    /// Reads the keys that the settings name. `notify_url`: where the channel is to send its callbacks.
    pub(crate) fn open(
        settings: &config::Wechat,
        notify_url: String,
        wall: Arc<dyn Clock>,
        caller: Caller,
    ) -> Result<Self, PayKeyError> {
        let mut platform = BTreeMap::new();
        for entry in &settings.platform_keys {
            let (serial, path) = entry.split_once('=').ok_or_else(|| PayKeyError::NoSerial(entry.clone()))?;
            platform.insert(serial.to_owned(), PublicKey::open("payment.wechat.platform_keys", path)?);
        }
        Ok(Self {
            mch_id: settings.mch_id.clone(),
            app_id: settings.app_id.clone(),
            serial: settings.serial.clone(),
            key: PrivateKey::open("payment.wechat.private_key_file", &settings.private_key_file)?,
            boxes: BoxKey::open("payment.wechat.api_key_file", &settings.api_key_file)?,
            platform,
            base_url: settings.base_url.trim_end_matches('/').to_owned(),
            notify_url,
            wall,
            caller,
        })
    }

    /// Checks the signature of a message from the channel; answers its nonce.
    fn verify(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<String, CallbackError> {
        let bad = |reason: Reason, why: String| CallbackError::new(reason, why);
        let [timestamp, nonce, signature, serial] =
            ["wechatpay-timestamp", "wechatpay-nonce", "wechatpay-signature", "wechatpay-serial"]
                .map(|name| header(headers, name));
        let (timestamp, nonce, signature, serial) = (timestamp?, nonce?, signature?, serial?);
        if nonce.is_empty() || nonce.len() > CHANNEL_WORD_LEN_MAX {
            return Err(bad(Reason::Unsigned, format!("Wechatpay-Nonce has 1 to {CHANNEL_WORD_LEN_MAX} characters")));
        }
        let unpinned = || bad(Reason::UnknownKey, format!("Wechatpay-Serial {serial} is not pinned"));
        let key = self.platform.get(serial).ok_or_else(unpinned)?;
        let at: i64 =
            timestamp.parse().map_err(|_| bad(Reason::Unsigned, "Wechatpay-Timestamp is no time".to_owned()))?;
        let off = now.as_millis().div_euclid(1000).abs_diff(at);
        if off > CALLBACK_SKEW_S.unsigned_abs() {
            let why = format!("Wechatpay-Timestamp is {off} s off; at most {CALLBACK_SKEW_S} s are allowed");
            return Err(bad(Reason::Stale, why));
        }
        let message = [timestamp.as_bytes(), b"\n", nonce.as_bytes(), b"\n", body, b"\n"].concat();
        if !key.verifies(&message, signature) {
            return Err(bad(Reason::BadSignature, "Wechatpay-Signature does not match".to_owned()));
        }
        Ok(nonce.to_owned())
    }

    fn open_box(&self, envelope: &Envelope) -> Result<Vec<u8>, CallbackError> {
        let sealed = &envelope.resource;
        if sealed.algorithm != ALGORITHM {
            let why = format!("resource.algorithm is {}, not {ALGORITHM}", sealed.algorithm);
            return Err(CallbackError::new(Reason::Malformed, why));
        }
        let opened = self.boxes.unseal(&sealed.nonce, &sealed.associated_data, &sealed.ciphertext);
        opened.ok_or_else(|| CallbackError::new(Reason::Sealed, "resource does not open with our key"))
    }

    /// What a transaction says, if it is ours.
    fn said_of(&self, facts: &Transaction) -> Result<Said, CallbackError> {
        if facts.mchid != self.mch_id {
            return Err(CallbackError::new(Reason::WrongMerchant, format!("mchid is {}", facts.mchid)));
        }
        if facts.appid != self.app_id {
            return Err(CallbackError::new(Reason::WrongApp, format!("appid is {}", facts.appid)));
        }
        facts.said(CURRENCY)
    }

    fn read_notice(&self, body: &[u8]) -> Result<Notice, CallbackError> {
        let envelope: Envelope = parse(body)?;
        if envelope.event_type.starts_with("TRANSACTION.") {
            let facts: Transaction = parse(&self.open_box(&envelope)?)?;
            let said = self.said_of(&facts)?;
            return Ok(Notice::Payment { payment_no: name_of("out_trade_no", &facts.out_trade_no)?, said });
        }
        if envelope.event_type.starts_with("REFUND.") {
            let facts: RefundFacts = parse(&self.open_box(&envelope)?)?;
            if facts.mchid.as_ref().is_some_and(|mchid| *mchid != self.mch_id) {
                return Err(CallbackError::new(Reason::WrongMerchant, "mchid is another"));
            }
            let refund_no = name_of("out_refund_no", &facts.out_refund_no)?;
            return Ok(Notice::Refund { refund_no, said: facts.said() });
        }
        Ok(Notice::Other)
    }
}

fn parse<'a, T: serde::Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, CallbackError> {
    serde_json::from_slice(bytes).map_err(|error| CallbackError::new(Reason::Malformed, error.to_string()))
}

#[async_trait]
impl PayChannel for Wechat {
    fn name(&self) -> &'static str {
        WECHAT
    }

    fn answers_queries(&self) -> bool {
        true
    }

    async fn prepay(&self, payment: &Payment) -> Result<String, ChannelError> {
        self.ask_prepay(payment).await
    }

    fn read_callback(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<Verified, CallbackError> {
        let nonce = self.verify(headers, body, now)?;
        Ok(Verified { notice: self.read_notice(body)?, nonce: Some(nonce) })
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
            Ok(()) => (StatusCode::OK, json!({ "code": "SUCCESS" })),
            Err((status, why)) => (status, json!({ "code": "FAIL", "message": why })),
        };
        Acknowledgement { status, content_type: "application/json", body: body.to_string() }
    }
}
