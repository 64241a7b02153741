//! Calls to Alipay: a signed form, believed only when the answer is signed too.

use std::collections::BTreeMap;

use axum::http::{Method, Request, header};
use bytes::Bytes;
use http_body_util::Full;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use settlement::refund::{Refund, RefundSaid};
use store::money::Payment;

use super::{
    super::{
        channel::{ChannelError, Said},
        yuan::{fen_of, yuan_of},
    },
    Alipay, SIGN_TYPE, signed_text,
    words::{AskPrepay, AskQuery, AskQueryRefund, AskRefund, Outcome, Prepaid, RefundFacts, Trade, time_text},
};

/// What the bill of a phone shows.
const SUBJECT: &str = "充电钱包充值";
/// The channel knows no such trade: for a payment, nobody has begun to pay.
const NO_SUCH_TRADE: &str = "ACQ.TRADE_NOT_EXIST";

impl Alipay {
    pub(super) async fn ask_prepay(&self, payment: &Payment) -> Result<String, ChannelError> {
        let ask = AskPrepay {
            out_trade_no: &payment.payment_no,
            total_amount: yuan_of(payment.amount_fen),
            subject: SUBJECT,
            time_expire: payment.expires_at.and_then(time_text),
        };
        let answer = self.call("alipay.trade.precreate", &ask).await?;
        Ok(answer.good::<Prepaid>()?.qr_code)
    }

    pub(super) async fn ask_query(&self, payment_no: &str) -> Result<Said, ChannelError> {
        let answer = self.call("alipay.trade.query", &AskQuery { out_trade_no: payment_no }).await?;
        if answer.outcome.sub_code == NO_SUCH_TRADE {
            return Ok(Said::NotPaid);
        }
        let trade: Trade = answer.good()?;
        if trade.out_trade_no != payment_no {
            return Err(ChannelError::Wrong(format!("out_trade_no is {}", trade.out_trade_no)));
        }
        trade.said().map_err(|error| ChannelError::Wrong(error.detail))
    }

    pub(super) async fn ask_refund(&self, refund: &Refund) -> RefundSaid {
        let ask = AskRefund {
            trade_no: &refund.transaction_id,
            out_request_no: &refund.refund_no,
            refund_amount: yuan_of(refund.amount),
            refund_reason: &refund.reason,
        };
        let unknown = |error: ChannelError| RefundSaid::Unknown { why: error.to_string() };
        let answer = match self.call("alipay.trade.refund", &ask).await {
            Ok(answer) => answer,
            Err(error) => return unknown(error),
        };
        match answer.good::<RefundFacts>() {
            Ok(facts) if facts.fund_change == "Y" => RefundSaid::Success { channel_refund_id: None },
            // It was asked for before: the question about it tells what became of it.
            Ok(_) => RefundSaid::Processing,
            Err(ChannelError::Refused(why)) => RefundSaid::Failed { why },
            Err(error) => unknown(error),
        }
    }

    pub(super) async fn ask_query_refund(&self, refund: &Refund) -> RefundSaid {
        let ask = AskQueryRefund { trade_no: &refund.transaction_id, out_request_no: &refund.refund_no };
        let answered = self.call("alipay.trade.fastpay.refund.query", &ask).await;
        match answered.and_then(|answer| answer.good::<RefundFacts>()) {
            Ok(facts) if facts.refund_status.is_empty() => RefundSaid::NotFound,
            Ok(facts)
                if facts.refund_status == "REFUND_SUCCESS"
                    && facts.out_request_no == refund.refund_no
                    && fen_of(&facts.refund_amount) == Some(refund.amount) =>
            {
                RefundSaid::Success { channel_refund_id: None }
            }
            Ok(facts) => {
                let RefundFacts { refund_status, out_request_no, refund_amount, .. } = facts;
                RefundSaid::Unknown { why: format!("{refund_status} {out_request_no} {refund_amount}") }
            }
            Err(ChannelError::Refused(why)) if why.contains(NO_SUCH_TRADE) => RefundSaid::NotFound,
            Err(error) => RefundSaid::Unknown { why: error.to_string() },
        }
    }

    /// One signed call; an answer that is not signed by a pinned key counts as none.
    async fn call<T: Serialize>(&self, method: &str, content: &T) -> Result<Answer, ChannelError> {
        let unmade = |error: &dyn std::fmt::Display| ChannelError::Away(error.to_string());
        let content = serde_json::to_string(content).map_err(|error| unmade(&error))?;
        let timestamp = time_text(self.wall.now()).unwrap_or_default();
        let fields = [
            ("app_id", self.app_id.as_str()),
            ("method", method),
            ("format", "JSON"),
            ("charset", "utf-8"),
            ("sign_type", SIGN_TYPE),
            ("timestamp", &timestamp),
            ("version", "1.0"),
            ("notify_url", &self.notify_url),
            ("biz_content", &content),
        ];
        let mut form: BTreeMap<String, String> =
            fields.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let signature = self.key.sign(signed_text(&form, &["sign"]).as_bytes());
        form.insert("sign".to_owned(), signature.ok_or_else(|| unmade(&"no random numbers to sign with"))?);
        let encoded = form_urlencoded::Serializer::new(String::new()).extend_pairs(&form).finish();
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}/gateway.do?charset=utf-8", self.base_url))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded;charset=utf-8")
            .header(header::USER_AGENT, "pilehub")
            .body(Full::new(Bytes::from(encoded)))
            .map_err(|error| unmade(&error))?;
        let answered = self.caller.send(request).await?;
        self.read_answer(method, &answered.body)
    }

    fn read_answer(&self, method: &str, body: &[u8]) -> Result<Answer, ChannelError> {
        let away = |why: String| ChannelError::Away(why);
        let fields: BTreeMap<String, &RawValue> =
            serde_json::from_slice(body).map_err(|error| away(error.to_string()))?;
        let name = format!("{}_response", method.replace('.', "_"));
        let text = fields.get(&name).ok_or_else(|| away(format!("no {name} in the answer")))?.get();
        let sign: String = fields.get("sign").and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
        if !self.verifies(text.as_bytes(), &sign) {
            return Err(away("its answer is not signed by it".to_owned()));
        }
        let outcome = serde_json::from_str(text).map_err(|error| away(error.to_string()))?;
        Ok(Answer { outcome, text: text.to_owned() })
    }
}

/// An answer that is signed.
struct Answer {
    outcome: Outcome,
    text: String,
}

impl Answer {
    fn good<T: DeserializeOwned>(&self) -> Result<T, ChannelError> {
        match self.outcome.code.as_str() {
            "10000" => serde_json::from_str(&self.text).map_err(|error| ChannelError::Wrong(error.to_string())),
            "40004" => Err(ChannelError::Refused(self.outcome.to_string())),
            _ => Err(ChannelError::Away(self.outcome.to_string())),
        }
    }
}
