//! The channel that stands in for one: signed with a shared key, paid by whoever asks, refunded at once [CONTRACT 3].

use async_trait::async_trait;
use axum::http::{HeaderMap, StatusCode};
use domain::{Fen, Timestamp};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use settlement::refund::{Refund, RefundSaid};
use sha2::Sha256;
use store::money::Payment;
use utoipa::ToSchema;

use super::channel::{
    Acknowledgement, CallbackError, ChannelError, Notice, PayChannel, Reason, Said, Verified, name_of,
};
use crate::{
    ids::{hex, unhex},
    limits::CALLBACK_SKEW_S,
};

/// Its name.
pub(crate) const SANDBOX: &str = "sandbox";

/// The sandbox and the key of its signatures.
pub(crate) struct Sandbox {
    key: Vec<u8>,
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox").finish_non_exhaustive()
    }
}

/// What the channel says of a payment.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Callback {
    pub(crate) payment_no: String,
    /// The channel's name for it.
    pub(crate) transaction_id: String,
    pub(crate) amount_fen: i64,
    /// `SUCCESS` or `FAILED`.
    pub(crate) status: String,
}

impl Callback {
    /// In the words of every channel; `None` when the status is none.
    pub(crate) fn said(&self) -> Option<Said> {
        match self.status.to_ascii_uppercase().as_str() {
            "SUCCESS" => Some(Said::Paid {
                transaction_id: self.transaction_id.clone(),
                amount: Fen(self.amount_fen),
                paid_at: None,
            }),
            "FAILED" => Some(Said::Failed),
            _ => None,
        }
    }
}

/// Path of a payment's page in the sandbox.
pub(crate) fn pay_path(payment_no: &str) -> String {
    format!("/api/v1/sandbox/pay/{payment_no}")
}

impl Sandbox {
    pub(crate) const fn new(key: Vec<u8>) -> Self {
        Self { key }
    }

    /// Signature over the time, a full stop and the raw body, in hexadecimal digits.
    pub(crate) fn sign(&self, timestamp: &str, raw: &[u8]) -> Result<String, CallbackError> {
        Ok(hex(&self.mac(timestamp, raw)?.finalize().into_bytes()))
    }

    /// Checks a signature and its time.
    pub(crate) fn verify(
        &self,
        timestamp: &str,
        signature: &str,
        raw: &[u8],
        now: Timestamp,
    ) -> Result<(), CallbackError> {
        let bad = |reason: Reason, why: &str| CallbackError::new(reason, why);
        let claimed = unhex(signature).ok_or_else(|| bad(Reason::Unsigned, "X-Signature is no hexadecimal text"))?;
        let mac = self.mac(timestamp, raw)?;
        mac.verify_slice(&claimed).map_err(|_| bad(Reason::BadSignature, "X-Signature does not match"))?;
        let at = seconds(timestamp).ok_or_else(|| bad(Reason::Unsigned, "X-Timestamp is no time"))?;
        let off = now.as_millis().div_euclid(1000).abs_diff(at);
        if off > CALLBACK_SKEW_S.unsigned_abs() {
            let why = format!("X-Timestamp is {off} s off; at most {CALLBACK_SKEW_S} s are allowed");
            return Err(bad(Reason::Stale, &why));
        }
        Ok(())
    }

    fn mac(&self, timestamp: &str, raw: &[u8]) -> Result<Hmac<Sha256>, CallbackError> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).map_err(|error| {
            tracing::error!(%error, "payment.sandbox_key cannot be used");
            CallbackError::new(Reason::Away, "")
        })?;
        mac.update(timestamp.as_bytes());
        mac.update(b".");
        mac.update(raw);
        Ok(mac)
    }
}

/// A header of the signature.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, CallbackError> {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.ok_or_else(|| CallbackError::new(Reason::Unsigned, format!("the header {name} is missing")))
}

#[async_trait]
impl PayChannel for Sandbox {
    fn name(&self) -> &'static str {
        SANDBOX
    }

    fn answers_queries(&self) -> bool {
        false
    }

    async fn prepay(&self, payment: &Payment) -> Result<String, ChannelError> {
        Ok(pay_path(&payment.payment_no))
    }

    fn read_callback(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<Verified, CallbackError> {
        self.verify(header(headers, "x-timestamp")?, header(headers, "x-signature")?, body, now)?;
        let malformed = |why: String| CallbackError::new(Reason::Malformed, why);
        let said: Callback = serde_json::from_slice(body).map_err(|error| malformed(error.to_string()))?;
        let payment_no = name_of("paymentNo", &said.payment_no)?;
        let said = said.said().ok_or_else(|| malformed("status must be SUCCESS or FAILED".to_owned()))?;
        Ok(Verified { notice: Notice::Payment { payment_no, said }, nonce: None })
    }

    async fn query(&self, _payment_no: &str) -> Result<Said, ChannelError> {
        Err(ChannelError::Refused("the sandbox keeps no payments".to_owned()))
    }

    async fn refund(&self, refund: &Refund) -> RefundSaid {
        RefundSaid::Success { channel_refund_id: Some(format!("SANDBOX-{}", refund.refund_no)) }
    }

    async fn query_refund(&self, refund: &Refund) -> RefundSaid {
        self.refund(refund).await
    }

    fn acknowledge(&self, taken: Result<(), (StatusCode, &str)>) -> Acknowledgement {
        let (status, body) = match taken {
            Ok(()) => (StatusCode::OK, "{}".to_owned()),
            Err((status, _)) => (status, "{}".to_owned()),
        };
        Acknowledgement { status, content_type: "application/json", body }
    }
}

/// Seconds or milliseconds since 1970, or RFC 3339, as seconds.
fn seconds(timestamp: &str) -> Option<i64> {
    const LEAST_MILLIS: i64 = 100_000_000_000;
    match timestamp.parse::<i64>() {
        Ok(number) if number.abs() < LEAST_MILLIS => Some(number),
        Ok(number) => Some(number.div_euclid(1000)),
        Err(_) => Timestamp::parse_rfc3339(timestamp).ok().map(|at| at.as_millis().div_euclid(1000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_callback_is_read_in_every_usual_form() {
        for text in ["1763690000", "1763690000123", "2025-11-21T01:53:20Z"] {
            assert_eq!(seconds(text), Some(1_763_690_000), "{text}");
        }
        assert_eq!(seconds("now"), None);
    }
}
