//! What the hub does with the words of channels: it counts them, judges them, and has money credited once.

use std::sync::Arc;

use axum::http::HeaderMap;
use bytes::Bytes;
use metrics::counter;
use serde_json::json;
use settlement::{
    payment::{KnownPayment, PaymentPhase, Verdict, judge},
    refund::RefundEvent,
    suspense::{SuspendedMoney, SuspenseCause},
};
use store::money::{Payment, PaymentState, Write};

use super::{
    CallbackError, Pay, PayChannel, Reason, Said,
    channel::{Notice, Verified},
    hub_row,
};
use crate::{
    http::problem::{Code, Problem},
    metrics::PAY_CALLBACKS,
};

/// What became of an authentic word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    Credited,
    /// Known before.
    Repeated,
    /// The payment came to nothing or can be paid no more.
    Ended,
    /// A second payment of the same: it goes back.
    Duplicate,
    /// Money for a payment the hub does not know.
    Suspended,
    /// A refund's word.
    Refund,
    /// Nothing to do.
    Nothing,
}

impl Taken {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Credited => "credited",
            Self::Repeated => "repeated",
            Self::Ended => "ended",
            Self::Duplicate => "duplicate",
            Self::Suspended => "suspended",
            Self::Refund => "refund",
            Self::Nothing => "nothing",
        }
    }
}

/// A store that is away is the channel's cue to try again.
impl From<Problem> for CallbackError {
    fn from(problem: Problem) -> Self {
        if problem.code != Code::StoreUnavailable {
            tracing::warn!(code = problem.code.as_str(), detail = problem.detail, "a channel's word was not taken");
        }
        Self::new(Reason::Away, problem.detail)
    }
}

impl Pay {
    /// Takes a callback: reads it, and does what it says. Counted by outcome; an authentic one that is refused is audited.
    pub(crate) async fn take_callback(
        &self,
        channel: &Arc<dyn PayChannel>,
        headers: &HeaderMap,
        raw: &Bytes,
    ) -> Result<Taken, CallbackError> {
        let taken = match channel.read_callback(headers, raw, self.wall.now()) {
            Ok(verified) => self.take_verified(channel, verified).await,
            Err(error) => Err(error),
        };
        self.count(channel.as_ref(), &taken);
        if let Err(error) = &taken
            && error.reason.is_authentic()
        {
            self.note_refused(channel.name(), error).await;
        }
        taken
    }

    async fn take_verified(&self, channel: &Arc<dyn PayChannel>, said: Verified) -> Result<Taken, CallbackError> {
        if let Some(nonce) = &said.nonce
            && !self.nonces.is_fresh(&format!("{} {nonce}", channel.name()))
        {
            return Err(CallbackError::new(Reason::Replayed, "the nonce was used before"));
        }
        match said.notice {
            Notice::Payment { payment_no, said } => {
                let said = self.confirmed(channel.as_ref(), &payment_no, said).await?;
                self.take_said(channel.name(), &payment_no, &said).await
            }
            Notice::Refund { refund_no, said } => self.take_refund_said(&refund_no, said).await,
            Notice::Other => Ok(Taken::Nothing),
        }
    }

    async fn take_refund_said(
        &self,
        refund_no: &str,
        said: settlement::refund::RefundSaid,
    ) -> Result<Taken, CallbackError> {
        match self.step_refund(refund_no, RefundEvent::Said(said)).await {
            Ok(_) => Ok(Taken::Refund),
            Err(problem) if problem.code == Code::RefundNotFound => {
                Err(CallbackError::new(Reason::Unknown, problem.detail))
            }
            // What was given back here was paid there too.
            Err(problem) if problem.code == Code::IllegalState => {
                self.note_odd_refund(refund_no, &problem).await;
                Ok(Taken::Refund)
            }
            Err(problem) => Err(problem.into()),
        }
    }

    /// A callback of a large sum, once the channel has said the same when asked.
    async fn confirmed(&self, channel: &dyn PayChannel, payment_no: &str, said: Said) -> Result<Said, CallbackError> {
        let over = |amount| self.confirm_over.is_some_and(|limit| amount > limit);
        let Said::Paid { transaction_id, amount, .. } = &said else { return Ok(said) };
        if !over(*amount) || !channel.answers_queries() {
            return Ok(said);
        }
        match channel.query(payment_no).await {
            Ok(Said::Paid { transaction_id: id, amount: sum, .. }) if id == *transaction_id && sum == *amount => {
                Ok(said)
            }
            Ok(other) => Err(CallbackError::new(Reason::Unconfirmed, format!("asked, the channel says {other:?}"))),
            Err(error) => {
                self.ask_soon(payment_no).await;
                Err(CallbackError::new(Reason::Away, error.to_string()))
            }
        }
    }

    /// Does what an authentic word means, once.
    pub(crate) async fn take_said(&self, channel: &str, payment_no: &str, said: &Said) -> Result<Taken, CallbackError> {
        let _turn = self.turn(payment_no).await;
        let stored = self.money.payment(payment_no).await.map_err(Problem::from)?;
        // A payment of another channel is not the one that this channel speaks of.
        let Some(payment) = stored.filter(|payment| payment.channel == channel) else {
            return self.take_unknown(channel, payment_no, said).await;
        };
        let known = KnownPayment {
            phase: phase_of(payment.state),
            amount: payment.amount_fen,
            transaction: payment.transaction_id.as_deref(),
        };
        match (judge(&known, &said.word()), said) {
            (Verdict::Credit, Said::Paid { transaction_id, .. }) => self.credit(payment, transaction_id).await,
            (Verdict::Duplicate, Said::Paid { .. }) => {
                self.suspend_said(channel, payment_no, said, SuspenseCause::DuplicatePayment).await
            }
            (Verdict::WrongAmount, Said::Paid { amount, .. }) => {
                let why = format!("{payment_no}: {} was asked for, {amount} paid", payment.amount_fen);
                Err(CallbackError::new(Reason::WrongAmount, why))
            }
            (Verdict::Fail, _) => self.end(payment, PaymentState::Failed).await,
            (Verdict::Close, _) => self.end(payment, PaymentState::Closed).await,
            (Verdict::Repeated, _) => Ok(Taken::Repeated),
            (Verdict::Nothing | Verdict::Credit | Verdict::Duplicate | Verdict::WrongAmount, _) => Ok(Taken::Nothing),
        }
    }

    async fn take_unknown(&self, channel: &str, payment_no: &str, said: &Said) -> Result<Taken, CallbackError> {
        match said {
            Said::Paid { .. } => self.suspend_said(channel, payment_no, said, SuspenseCause::UnknownPayment).await,
            Said::NotPaid | Said::Failed | Said::Closed => Ok(Taken::Nothing),
        }
    }

    async fn suspend_said(
        &self,
        channel: &str,
        payment_no: &str,
        said: &Said,
        why: SuspenseCause,
    ) -> Result<Taken, CallbackError> {
        let Said::Paid { transaction_id, amount, paid_at } = said else { return Ok(Taken::Nothing) };
        let money = SuspendedMoney {
            channel: channel.to_owned(),
            transaction_id: transaction_id.clone(),
            payment_no: payment_no.to_owned(),
            amount: *amount,
            paid_at: *paid_at,
        };
        Ok(self.suspend(why, money).await?)
    }

    async fn credit(&self, payment: Payment, transaction_id: &str) -> Result<Taken, CallbackError> {
        let payment = Payment { due: None, ..payment };
        let credited = self.actors.credit(payment, transaction_id.to_owned()).await.map_err(Problem::from)?;
        Ok(if credited { Taken::Credited } else { Taken::Repeated })
    }

    async fn end(&self, payment: Payment, state: PaymentState) -> Result<Taken, CallbackError> {
        let ended = Payment { state, due: None, ..payment };
        self.commit(vec![Write::Payment(Box::new(ended), Some(PaymentState::Pending))]).await?;
        Ok(Taken::Ended)
    }

    /// Counts what became of a channel's word.
    pub(crate) fn count(&self, channel: &dyn PayChannel, taken: &Result<Taken, CallbackError>) {
        let outcome = match taken {
            Ok(taken) => taken.as_str(),
            Err(error) => error.reason.as_str(),
        };
        counter!(PAY_CALLBACKS, "channel" => channel.name(), "outcome" => outcome).increment(1);
    }

    /// An authentic word that was refused: somebody should look.
    pub(crate) async fn note_refused(&self, channel: &str, error: &CallbackError) {
        tracing::warn!(channel, reason = error.reason.as_str(), detail = error.detail, "an authentic word was refused");
        let detail = json!({ "reason": error.reason.as_str(), "detail": error.detail });
        let Ok(row) = hub_row(self.now(), "PAYMENT_WORD_REFUSED", channel, &detail) else { return };
        if let Err(problem) = self.commit(vec![Write::Audit(Box::new(row))]).await {
            tracing::warn!(detail = problem.detail, "an audit row could not be written");
        }
    }
}

/// A payment's state in the words of the rules.
pub(super) const fn phase_of(state: PaymentState) -> PaymentPhase {
    match state {
        PaymentState::Pending => PaymentPhase::Pending,
        PaymentState::Success => PaymentPhase::Success,
        PaymentState::Failed => PaymentPhase::Failed,
        PaymentState::Closed => PaymentPhase::Closed,
    }
}
