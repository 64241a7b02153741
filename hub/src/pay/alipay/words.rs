//! Alipay's words, as far as the hub reads them, and what they mean. Its times are those of Shanghai.

use std::collections::BTreeMap;

use domain::Timestamp;
use jiff::{civil::DateTime, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::super::{
    channel::{CallbackError, Reason, Said, name_of},
    yuan::fen_of,
};

/// How Alipay writes times.
const TIME: &str = "%Y-%m-%d %H:%M:%S";
/// Where.
const ZONE: &str = "Asia/Shanghai";

/// A time as Alipay writes it.
pub(super) fn time_of(text: &str) -> Option<Timestamp> {
    let zone = TimeZone::get(ZONE).ok()?;
    let at = zone.to_timestamp(DateTime::strptime(TIME, text).ok()?).ok()?;
    Timestamp::from_millis(at.as_millisecond())
}

/// A time for Alipay.
pub(super) fn time_text(at: Timestamp) -> Option<String> {
    let at = jiff::Timestamp::from_millisecond(at.as_millis()).ok()?;
    Some(at.to_zoned(TimeZone::get(ZONE).ok()?).strftime(TIME).to_string())
}

/// A payment in a notice or in an answer.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Trade {
    pub(super) out_trade_no: String,
    #[serde(default)]
    pub(super) trade_no: String,
    #[serde(default)]
    pub(super) trade_status: String,
    /// In yuan.
    #[serde(default)]
    pub(super) total_amount: String,
    #[serde(alias = "send_pay_date")]
    pub(super) gmt_payment: Option<String>,
}

impl Trade {
    /// Out of a notice's fields.
    pub(super) fn of_form(form: &BTreeMap<String, String>) -> Result<Self, CallbackError> {
        let field = |name: &str| {
            let missing = || CallbackError::new(Reason::Malformed, format!("{name} is missing"));
            form.get(name).cloned().ok_or_else(missing)
        };
        Ok(Self {
            out_trade_no: field("out_trade_no")?,
            trade_no: field("trade_no")?,
            trade_status: field("trade_status")?,
            total_amount: field("total_amount")?,
            gmt_payment: form.get("gmt_payment").cloned(),
        })
    }

    /// What it says of the payment.
    pub(super) fn said(&self) -> Result<Said, CallbackError> {
        let malformed = |why: String| CallbackError::new(Reason::Malformed, why);
        Ok(match self.trade_status.as_str() {
            "TRADE_SUCCESS" | "TRADE_FINISHED" => Said::Paid {
                transaction_id: name_of("trade_no", &self.trade_no)?,
                amount: fen_of(&self.total_amount)
                    .ok_or_else(|| malformed(format!("total_amount is {}", self.total_amount)))?,
                paid_at: self.gmt_payment.as_deref().and_then(time_of),
            },
            "WAIT_BUYER_PAY" => Said::NotPaid,
            "TRADE_CLOSED" => Said::Closed,
            other => return Err(malformed(format!("trade_status is {other}"))),
        })
    }
}

/// What every answer of Alipay begins with.
#[derive(Debug, Deserialize)]
pub(super) struct Outcome {
    /// `10000` is good, `40004` a refusal, `20000` a failure of theirs.
    pub(super) code: String,
    #[serde(default)]
    pub(super) sub_code: String,
    #[serde(default)]
    pub(super) sub_msg: String,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.code, self.sub_code, self.sub_msg)
    }
}

/// The answer to a prepay.
#[derive(Debug, Deserialize)]
pub(super) struct Prepaid {
    pub(super) qr_code: String,
}

/// The answer to a refund, or to a question about one.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RefundFacts {
    /// `Y`: money moved with this very call. `N`: it may have moved before.
    pub(super) fund_change: String,
    /// `REFUND_SUCCESS`, or nothing while it is not.
    pub(super) refund_status: String,
    pub(super) out_request_no: String,
    /// In yuan.
    pub(super) refund_amount: String,
}

/// A prepay.
#[derive(Debug, Serialize)]
pub(super) struct AskPrepay<'a> {
    pub(super) out_trade_no: &'a str,
    pub(super) total_amount: String,
    pub(super) subject: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) time_expire: Option<String>,
}

/// A question about a payment.
#[derive(Debug, Serialize)]
pub(super) struct AskQuery<'a> {
    pub(super) out_trade_no: &'a str,
}

/// A refund.
#[derive(Debug, Serialize)]
pub(super) struct AskRefund<'a> {
    pub(super) trade_no: &'a str,
    pub(super) out_request_no: &'a str,
    pub(super) refund_amount: String,
    pub(super) refund_reason: &'a str,
}

/// A question about a refund.
#[derive(Debug, Serialize)]
pub(super) struct AskQueryRefund<'a> {
    pub(super) trade_no: &'a str,
    pub(super) out_request_no: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_shanghai() {
        let at = Timestamp::parse_rfc3339("2025-11-21T01:53:20Z").unwrap();
        assert_eq!(time_of("2025-11-21 09:53:20"), Some(at));
        assert_eq!(time_text(at).as_deref(), Some("2025-11-21 09:53:20"));
        for junk in ["", "2025-11-21", "2025-13-21 09:53:20", "2025-11-21T09:53:20Z", "now"] {
            assert_eq!(time_of(junk), None, "{junk}");
        }
    }

    #[test]
    fn a_paid_trade_has_an_exact_sum_or_none() {
        let trade = |sum: &str| Trade {
            trade_no: "T".to_owned(),
            trade_status: "TRADE_SUCCESS".to_owned(),
            total_amount: sum.to_owned(),
            ..Trade::default()
        };
        assert!(matches!(trade("88.8").said(), Ok(Said::Paid { amount, .. }) if amount.0 == 8_880));
        for bad in ["88.888", "8e1", "-1.00", ""] {
            assert_eq!(trade(bad).said().map_err(|error| error.reason), Err(Reason::Malformed), "{bad}");
        }
    }
}
