//! Due work: payments to ask about, refunds to send, money in suspense to carry. What is due is in the store, so that a
//! restart forgets nothing.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream};
use settlement::{refund::RefundState, suspense::SuspenseState};
use store::{
    cases::{Case, CaseKind, Filed as _},
    money::{Payment, Write},
};
use tokio::time::{MissedTickBehavior, interval};

use super::{FiledRefund, FiledSuspense, Pay};
use crate::{
    http::problem::{Code, Problem},
    limits::{CHANNEL_CALLS_MAX, DUE_WORK_AGAIN_MS, DUE_WORK_EVERY_MS, DUE_WORK_MAX},
};

/// A piece of work that is due.
#[derive(Debug)]
enum Due {
    Payment(Box<Payment>),
    Refund(Case),
    Suspense(Case),
}

impl Pay {
    /// Does what is due, for ever.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut look = interval(Duration::from_millis(DUE_WORK_EVERY_MS));
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = look.tick() => {}
                () = self.hurry.notified() => {}
            }
            match self.due().await {
                Ok(due) => {
                    let work = stream::iter(due);
                    work.for_each_concurrent(CHANNEL_CALLS_MAX, |one| self.do_one(one)).await;
                }
                Err(problem) => tracing::debug!(detail = problem.detail, "due work of payments cannot be read"),
            }
        }
    }

    async fn due(&self) -> Result<Vec<Due>, Problem> {
        let now = self.now();
        let payments = self.money.due_payments(now, DUE_WORK_MAX).await?;
        let refunds = self.money.due_cases(CaseKind::Refund, now, DUE_WORK_MAX).await?;
        let suspense = self.money.due_cases(CaseKind::Suspense, now, DUE_WORK_MAX).await?;
        let payments = payments.into_iter().map(|payment| Due::Payment(Box::new(payment)));
        Ok(payments
            .chain(refunds.into_iter().map(Due::Refund))
            .chain(suspense.into_iter().map(Due::Suspense))
            .collect())
    }

    async fn do_one(&self, due: Due) {
        match due {
            Due::Payment(payment) => {
                let no = payment.payment_no.clone();
                if let Err(problem) = self.ask_about(*payment).await {
                    tracing::warn!(payment = no, detail = problem.detail, "a payment stays to be asked about");
                }
            }
            Due::Refund(case) => self.do_refund(&case).await,
            Due::Suspense(case) => self.do_suspense(&case).await,
        }
    }

    async fn do_refund(&self, case: &Case) {
        let done = match case.read::<FiledRefund>() {
            Ok(filed) => self.drive_refund(filed.0).await,
            Err(error) => Err(error.into()),
        };
        let Err(problem) = done else { return };
        tracing::warn!(refund = case.id, detail = problem.detail, "a refund stays to be done");
        if problem.code != Code::StoreUnavailable {
            self.put_off_refund(&case.id).await;
        }
    }

    async fn do_suspense(&self, case: &Case) {
        let done = match case.read::<FiledSuspense>() {
            Ok(filed) => self.carry(filed.0).await,
            Err(error) => Err(error.into()),
        };
        let Err(problem) = done else { return };
        tracing::warn!(item = case.id, detail = problem.detail, "money in suspense stays to be carried");
        if problem.code != Code::StoreUnavailable {
            self.put_off_suspense(&case.id).await;
        }
    }

    /// What does not go through is tried again a little later, and not at every look.
    async fn put_off_refund(&self, refund_no: &str) {
        let Ok(Some(mut refund)) = self.refund(refund_no).await else { return };
        if !matches!(refund.state, RefundState::Requested | RefundState::Sent | RefundState::Failed) {
            return;
        }
        refund.rev = refund.rev.saturating_add(1);
        refund.due = Some(self.now().plus(domain::Millis(DUE_WORK_AGAIN_MS)));
        self.put_off(Write::Case(Box::new(FiledRefund(refund).case()))).await;
    }

    async fn put_off_suspense(&self, item: &str) {
        let Ok(Some(mut suspense)) = self.suspense(item).await else { return };
        if suspense.state != SuspenseState::Approved {
            return;
        }
        suspense.rev = suspense.rev.saturating_add(1);
        suspense.due = Some(self.now().plus(domain::Millis(DUE_WORK_AGAIN_MS)));
        self.put_off(Write::Case(Box::new(FiledSuspense(suspense).case()))).await;
    }

    async fn put_off(&self, write: Write) {
        if let Err(problem) = self.commit(vec![write]).await {
            tracing::debug!(detail = problem.detail, "due work could not be put off");
        }
    }
}
