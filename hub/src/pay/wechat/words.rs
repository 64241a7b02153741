//! WeChat Pay's words, as far as the hub reads them, and what they mean.

use domain::{Fen, Timestamp};
use serde::{Deserialize, Serialize};
use settlement::refund::RefundSaid;

use super::super::channel::{CallbackError, Reason, Said, name_of};

/// A callback.
#[derive(Debug, Deserialize)]
pub(super) struct Envelope {
    pub(super) event_type: String,
    pub(super) resource: Sealed,
}

/// Its box.
#[derive(Debug, Deserialize)]
pub(super) struct Sealed {
    pub(super) algorithm: String,
    pub(super) ciphertext: String,
    pub(super) nonce: String,
    #[serde(default)]
    pub(super) associated_data: String,
}

/// A payment in a box or in an answer.
#[derive(Debug, Deserialize)]
pub(super) struct Transaction {
    pub(super) appid: String,
    pub(super) mchid: String,
    pub(super) out_trade_no: String,
    pub(super) trade_state: String,
    pub(super) transaction_id: Option<String>,
    pub(super) success_time: Option<String>,
    pub(super) amount: Option<Amount>,
}

/// A sum, in fen.
#[derive(Debug, Deserialize)]
pub(super) struct Amount {
    pub(super) total: i64,
    pub(super) currency: Option<String>,
}

impl Transaction {
    /// What it says of the payment.
    pub(super) fn said(&self, currency: &str) -> Result<Said, CallbackError> {
        let missing = |field: &str| CallbackError::new(Reason::Malformed, format!("{field} is missing"));
        Ok(match self.trade_state.as_str() {
            "SUCCESS" => {
                let amount = self.amount.as_ref().ok_or_else(|| missing("amount"))?;
                // Left out, it is the only one there is.
                let told = amount.currency.as_deref().unwrap_or(currency);
                if told != currency {
                    return Err(CallbackError::new(Reason::WrongCurrency, format!("amount.currency is {told}")));
                }
                let id = self.transaction_id.as_deref().ok_or_else(|| missing("transaction_id"))?;
                Said::Paid {
                    transaction_id: name_of("transaction_id", id)?,
                    amount: Fen(amount.total),
                    paid_at: self.success_time.as_deref().and_then(|at| Timestamp::parse_rfc3339(at).ok()),
                }
            }
            "NOTPAY" | "USERPAYING" | "ACCEPT" => Said::NotPaid,
            // Given back by hand at the channel: the money is not there.
            "CLOSED" | "REVOKED" | "REFUND" => Said::Closed,
            "PAYERROR" => Said::Failed,
            other => return Err(CallbackError::new(Reason::Malformed, format!("trade_state is {other}"))),
        })
    }
}

/// A refund in a box (`refund_status`) or in an answer (`status`).
#[derive(Debug, Deserialize)]
pub(super) struct RefundFacts {
    pub(super) mchid: Option<String>,
    pub(super) out_refund_no: String,
    pub(super) refund_id: Option<String>,
    #[serde(alias = "refund_status")]
    pub(super) status: String,
    pub(super) amount: RefundAmount,
}

/// What of a payment goes back, in fen.
#[derive(Debug, Deserialize)]
pub(super) struct RefundAmount {
    pub(super) refund: i64,
}

impl RefundFacts {
    /// What it says of the refund.
    pub(super) fn said(&self) -> RefundSaid {
        match self.status.as_str() {
            "SUCCESS" => RefundSaid::Success { channel_refund_id: self.refund_id.clone() },
            "PROCESSING" => RefundSaid::Processing,
            "CLOSED" | "ABNORMAL" => RefundSaid::Failed { why: format!("the channel says {}", self.status) },
            other => RefundSaid::Unknown { why: format!("the channel says {other}") },
        }
    }
}

/// A refusal.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Refusal {
    #[serde(default)]
    pub(super) code: String,
    #[serde(default)]
    pub(super) message: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.code, self.message)
    }
}

/// The answer to a prepay.
#[derive(Debug, Deserialize)]
pub(super) struct Prepaid {
    pub(super) code_url: String,
}

/// A prepay.
#[derive(Debug, Serialize)]
pub(super) struct AskPrepay<'a> {
    pub(super) appid: &'a str,
    pub(super) mchid: &'a str,
    pub(super) description: &'a str,
    pub(super) out_trade_no: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) time_expire: Option<String>,
    pub(super) notify_url: &'a str,
    pub(super) amount: AskAmount,
}

/// A sum, in fen.
#[derive(Debug, Serialize)]
pub(super) struct AskAmount {
    pub(super) total: i64,
    pub(super) currency: &'static str,
}

/// A refund.
#[derive(Debug, Serialize)]
pub(super) struct AskRefund<'a> {
    pub(super) transaction_id: &'a str,
    pub(super) out_refund_no: &'a str,
    pub(super) reason: &'a str,
    pub(super) notify_url: &'a str,
    pub(super) amount: AskRefundAmount,
}

/// What goes back of what was paid, in fen.
#[derive(Debug, Serialize)]
pub(super) struct AskRefundAmount {
    pub(super) refund: i64,
    pub(super) total: i64,
    pub(super) currency: &'static str,
}
