//! Calls to WeChat Pay: signed with the merchant's key, believed only when the answer is signed too.

use axum::http::{Method, Request, header};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http_body_util::Full;
use serde::{Serialize, de::DeserializeOwned};
use settlement::refund::{Refund, RefundSaid};
use store::money::Payment;

use super::{
    super::{
        caller::Answered,
        channel::{ChannelError, Said},
    },
    CURRENCY, Wechat,
    words::{AskAmount, AskPrepay, AskRefund, AskRefundAmount, Prepaid, RefundFacts, Refusal, Transaction},
};
use crate::ids::random_bytes;

/// What the bill of a phone shows.
const DESCRIPTION: &str = "充电钱包充值";
/// Longest reason the channel takes, in bytes.
const REASON_LEN_MAX: usize = 80;

impl Wechat {
    pub(super) async fn ask_prepay(&self, payment: &Payment) -> Result<String, ChannelError> {
        let ask = AskPrepay {
            appid: &self.app_id,
            mchid: &self.mch_id,
            description: DESCRIPTION,
            out_trade_no: &payment.payment_no,
            time_expire: payment.expires_at.map(|at| at.to_string()),
            notify_url: &self.notify_url,
            amount: AskAmount { total: payment.amount_fen.0, currency: CURRENCY },
        };
        let answered = self.call(Method::POST, "/v3/pay/transactions/native", Some(&ask)).await?;
        Ok(good::<Prepaid>(&answered)?.code_url)
    }

    pub(super) async fn ask_query(&self, payment_no: &str) -> Result<Said, ChannelError> {
        let path = format!("/v3/pay/transactions/out-trade-no/{payment_no}?mchid={}", self.mch_id);
        let answered = self.call::<()>(Method::GET, &path, None).await?;
        if answered.status == 404 {
            return Ok(Said::NotPaid);
        }
        let facts: Transaction = good(&answered)?;
        if facts.out_trade_no != payment_no {
            return Err(ChannelError::Wrong(format!("out_trade_no is {}", facts.out_trade_no)));
        }
        self.said_of(&facts).map_err(|error| ChannelError::Wrong(error.detail))
    }

    pub(super) async fn ask_refund(&self, refund: &Refund) -> RefundSaid {
        let ask = AskRefund {
            transaction_id: &refund.transaction_id,
            out_refund_no: &refund.refund_no,
            reason: cut(&refund.reason, REASON_LEN_MAX),
            notify_url: &self.notify_url,
            amount: AskRefundAmount { refund: refund.amount.0, total: refund.paid.0, currency: CURRENCY },
        };
        match self.call(Method::POST, "/v3/refund/domestic/refunds", Some(&ask)).await {
            Ok(answered) => said_of_refund(&answered, refund),
            Err(error) => RefundSaid::Unknown { why: error.to_string() },
        }
    }

    pub(super) async fn ask_query_refund(&self, refund: &Refund) -> RefundSaid {
        let path = format!("/v3/refund/domestic/refunds/{}", refund.refund_no);
        match self.call::<()>(Method::GET, &path, None).await {
            Ok(answered) if answered.status == 404 => RefundSaid::NotFound,
            Ok(answered) if answered.status == 200 => said_of_refund(&answered, refund),
            Ok(answered) => RefundSaid::Unknown { why: refusal(&answered).to_string() },
            Err(error) => RefundSaid::Unknown { why: error.to_string() },
        }
    }

    /// One signed call; an answer that is not signed by a pinned key counts as none.
    async fn call<T: Serialize>(&self, method: Method, path: &str, body: Option<&T>) -> Result<Answered, ChannelError> {
        let unmade = |error: &dyn std::fmt::Display| ChannelError::Away(error.to_string());
        let body = body.map(serde_json::to_vec).transpose().map_err(|error| unmade(&error))?.unwrap_or_default();
        let now = self.wall.now().as_millis().div_euclid(1000);
        let nonce = URL_SAFE_NO_PAD.encode(random_bytes::<24>().map_err(|error| unmade(&error))?);
        let head = format!("{method}\n{path}\n{now}\n{nonce}\n");
        let message = [head.as_bytes(), &body, b"\n"].concat();
        let signature = self.key.sign(&message).ok_or_else(|| unmade(&"no random numbers to sign with"))?;
        let authorization = format!(
            "WECHATPAY2-SHA256-RSA2048 mchid=\"{}\",nonce_str=\"{nonce}\",signature=\"{signature}\",timestamp=\"{now}\",serial_no=\"{}\"",
            self.mch_id, self.serial
        );
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base_url))
            .header(header::AUTHORIZATION, authorization)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, "pilehub")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| unmade(&error))?;
        let answered = self.caller.send(request).await?;
        self.verify(&answered.headers, &answered.body, self.wall.now())
            .map_err(|error| ChannelError::Away(format!("its answer is not signed by it: {}", error.detail)))?;
        Ok(answered)
    }
}

fn refusal(answered: &Answered) -> Refusal {
    serde_json::from_slice(&answered.body).unwrap_or_default()
}

fn good<T: DeserializeOwned>(answered: &Answered) -> Result<T, ChannelError> {
    match answered.status {
        200..=299 => serde_json::from_slice(&answered.body).map_err(|error| ChannelError::Wrong(error.to_string())),
        400..=428 | 430..=499 => Err(ChannelError::Refused(refusal(answered).to_string())),
        status => Err(ChannelError::Away(format!("{status} {}", refusal(answered)))),
    }
}

/// What the channel says of a refund; other words than those about this refund are no answer.
fn said_of_refund(answered: &Answered, refund: &Refund) -> RefundSaid {
    let facts: RefundFacts = match good(answered) {
        Ok(facts) => facts,
        Err(ChannelError::Refused(why)) => return RefundSaid::Failed { why },
        Err(error) => return RefundSaid::Unknown { why: error.to_string() },
    };
    if facts.out_refund_no != refund.refund_no || facts.amount.refund != refund.amount.0 {
        let why = format!("the channel speaks of refund {} of {} fen", facts.out_refund_no, facts.amount.refund);
        return RefundSaid::Unknown { why };
    }
    facts.said()
}

/// The beginning of a text, at most so many bytes, whole characters.
fn cut(text: &str, len_max: usize) -> &str {
    let end = (0..=len_max.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_cut_between_characters() {
        assert_eq!(cut("退款", 4), "退");
        assert_eq!(cut("退款", 6), "退款");
        assert_eq!(cut("", 6), "");
    }
}
