//! The port to payment channels: what every adapter can do, and the words they share.
//!
//! An adapter turns bytes into words and words into calls. It decides nothing about money: what an authentic word means
//! for a payment is judged by `settlement::payment`.

use async_trait::async_trait;
use axum::http::{HeaderMap, StatusCode};
use domain::{Fen, Timestamp};
use settlement::{
    payment::ChannelWord,
    refund::{Refund, RefundSaid},
};
use store::money::Payment;

use crate::limits::CHANNEL_WORD_LEN_MAX;

/// A way for money to come and go.
#[async_trait]
pub(crate) trait PayChannel: Send + Sync + std::fmt::Debug {
    /// As drivers name it in `POST /wallet/topups`.
    fn name(&self) -> &'static str;

    /// Whether the channel can be asked what became of a payment.
    fn answers_queries(&self) -> bool;

    /// Tells the channel of a payment that will be made; answers where or with what to pay. Safe to repeat.
    async fn prepay(&self, payment: &Payment) -> Result<String, ChannelError>;

    /// Reads a callback and checks that it is authentic and meant for us. Pure: `now` is the wall's time, and whether it
    /// was seen before is for the caller to know ([`Verified::nonce`]).
    fn read_callback(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<Verified, CallbackError>;

    /// Asks what became of a payment.
    async fn query(&self, payment_no: &str) -> Result<Said, ChannelError>;

    /// Asks for a refund. Safe to repeat under the same number.
    async fn refund(&self, refund: &Refund) -> RefundSaid;

    /// Asks what became of a refund.
    async fn query_refund(&self, refund: &Refund) -> RefundSaid;

    /// The answer to a callback in the channel's own form; `Err`: the status and the words of a refusal.
    fn acknowledge(&self, taken: Result<(), (StatusCode, &str)>) -> Acknowledgement;
}

/// An authentic callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verified {
    pub(crate) notice: Notice,
    /// What must not come twice.
    pub(crate) nonce: Option<String>,
}

/// What an authentic callback says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    /// Of a payment.
    Payment { payment_no: String, said: Said },
    /// Of a refund.
    Refund { refund_no: String, said: RefundSaid },
    /// Nothing the hub wants to know.
    Other,
}

/// What a channel says of a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// Money came.
    Paid {
        transaction_id: String,
        amount: Fen,
        paid_at: Option<Timestamp>,
    },
    /// Nobody has paid yet, or the channel has not heard of it.
    NotPaid,
    Failed,
    Closed,
}

impl Said {
    /// In the words of the rules.
    pub(crate) fn word(&self) -> ChannelWord<'_> {
        match self {
            Self::Paid { transaction_id, amount, .. } => {
                ChannelWord::Paid { transaction: transaction_id, amount: *amount }
            }
            Self::NotPaid => ChannelWord::NotPaid,
            Self::Failed => ChannelWord::Failed,
            Self::Closed => ChannelWord::Closed,
        }
    }
}

/// Why a callback is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallbackError {
    pub(crate) reason: Reason,
    /// For the channel's people and ours.
    pub(crate) detail: String,
}

impl CallbackError {
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

/// The reasons, as they are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A header or a field of the signature is missing or unreadable.
    Unsigned,
    /// Signed with a key that is not pinned.
    UnknownKey,
    BadSignature,
    /// Signed too long ago, or in the future.
    Stale,
    /// The nonce was used before.
    Replayed,
    /// The box does not open.
    Sealed,
    /// Authentic and not understood.
    Malformed,
    WrongMerchant,
    WrongApp,
    WrongCurrency,
    WrongAmount,
    /// The channel, when asked, said something else.
    Unconfirmed,
    /// The store or the channel could not be asked.
    Away,
    /// No payment or refund of that number.
    Unknown,
}

impl Reason {
    /// As a metric's label and in the audit trail.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::UnknownKey => "unknown_key",
            Self::BadSignature => "bad_signature",
            Self::Stale => "stale",
            Self::Replayed => "replayed",
            Self::Sealed => "sealed",
            Self::Malformed => "malformed",
            Self::WrongMerchant => "wrong_merchant",
            Self::WrongApp => "wrong_app",
            Self::WrongCurrency => "wrong_currency",
            Self::WrongAmount => "wrong_amount",
            Self::Unconfirmed => "unconfirmed",
            Self::Away => "away",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the words were authentic, so that a person should know that they were refused.
    pub(crate) const fn is_authentic(self) -> bool {
        match self {
            Self::Unsigned
            | Self::UnknownKey
            | Self::BadSignature
            | Self::Stale
            | Self::Replayed
            | Self::Sealed
            | Self::Away => false,
            Self::Malformed
            | Self::WrongMerchant
            | Self::WrongApp
            | Self::WrongCurrency
            | Self::WrongAmount
            | Self::Unconfirmed
            | Self::Unknown => true,
        }
    }

    /// As an HTTP status.
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::Unsigned | Self::UnknownKey | Self::BadSignature | Self::Stale | Self::Replayed => {
                StatusCode::UNAUTHORIZED
            }
            Self::Away => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unknown => StatusCode::NOT_FOUND,
            Self::Sealed
            | Self::Malformed
            | Self::WrongMerchant
            | Self::WrongApp
            | Self::WrongCurrency
            | Self::WrongAmount
            | Self::Unconfirmed => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }
}

/// Why a call to a channel came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChannelError {
    /// No answer, or none that can be trusted: the call may have been heard.
    #[error("the channel did not answer: {0}")]
    Away(String),
    /// It said no.
    #[error("the channel refused: {0}")]
    Refused(String),
    /// It said something that is not meant for us.
    #[error("the channel answered something else: {0}")]
    Wrong(String),
}

/// The answer to a callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Acknowledgement {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
}

/// A name in a channel's words that is fit to be kept and shown: printable, without spaces, not too long.
pub(crate) fn name_of(field: &str, text: &str) -> Result<String, CallbackError> {
    let fit = (1..=CHANNEL_WORD_LEN_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if fit { Ok(text.to_owned()) } else { Err(CallbackError::new(Reason::Malformed, format!("{field} is no name"))) }
}
