//! Payments whose callback has not come: the channel is asked, less and less often, until their time is over.

use settlement::payment::{AfterQuery, after_query, query_wait};
use store::money::{Payment, PaymentState, Write};

use super::{ChannelError, Pay, Said};
use crate::http::problem::Problem;

impl Pay {
    /// Asks the channel of a payment that is due what became of it.
    pub(super) async fn ask_about(&self, payment: Payment) -> Result<(), Problem> {
        let said = match self.channel(&payment.channel) {
            Some(channel) => channel.query(&payment.payment_no).await,
            None => Err(ChannelError::Away(format!("{} is switched off", payment.channel))),
        };
        match said {
            Ok(Said::NotPaid) => self.not_paid(&payment.payment_no).await,
            Ok(said) => self.answered(payment, &said).await,
            Err(error) => {
                tracing::debug!(payment = payment.payment_no, %error, "a payment could not be asked about");
                let at = self.now().plus(query_wait(payment.queries));
                self.ask_later(&payment.payment_no, Some(at)).await
            }
        }
    }

    async fn answered(&self, payment: Payment, said: &Said) -> Result<(), Problem> {
        let taken = self.take_said(&payment.channel, &payment.payment_no, said).await;
        if let Some(channel) = self.channel(&payment.channel) {
            self.count(channel.as_ref(), &taken);
        }
        match taken {
            Ok(_) => Ok(()),
            Err(error) if error.reason.is_authentic() => {
                // Asking again changes nothing: a person must look.
                self.note_refused(&payment.channel, &error).await;
                self.ask_later(&payment.payment_no, None).await
            }
            Err(_) => self.ask_later(&payment.payment_no, Some(self.now().plus(query_wait(payment.queries)))).await,
        }
    }

    async fn not_paid(&self, payment_no: &str) -> Result<(), Problem> {
        let now = self.now();
        self.change_pending(payment_no, |payment| {
            let queries = payment.queries.saturating_add(1);
            let over = payment.expires_at.unwrap_or_else(|| payment.created_at.plus(self.life));
            match after_query(queries, now, over) {
                AfterQuery::AskAt(due) => Payment { queries, due: Some(due), ..payment },
                AfterQuery::Close => Payment { queries, due: None, state: PaymentState::Closed, ..payment },
            }
        })
        .await
    }

    async fn ask_later(&self, payment_no: &str, due: Option<domain::Timestamp>) -> Result<(), Problem> {
        self.change_pending(payment_no, |payment| {
            let queries = payment.queries.saturating_add(1);
            Payment { queries, due, ..payment }
        })
        .await
    }

    /// Asks at the next look, because a callback could not be confirmed.
    pub(super) async fn ask_soon(&self, payment_no: &str) {
        let now = self.now();
        if let Err(problem) = self.change_pending(payment_no, |payment| Payment { due: Some(now), ..payment }).await {
            tracing::debug!(payment = payment_no, detail = problem.detail, "a payment is asked about in its turn");
        }
        self.hurry.notify_one();
    }

    async fn change_pending(&self, payment_no: &str, change: impl FnOnce(Payment) -> Payment) -> Result<(), Problem> {
        let _turn = self.turn(payment_no).await;
        match self.money.payment(payment_no).await? {
            Some(payment) if payment.state == PaymentState::Pending => {
                let changed = Box::new(change(payment));
                self.commit(vec![Write::Payment(changed, Some(PaymentState::Pending))]).await
            }
            Some(_) | None => Ok(()),
        }
    }
}
