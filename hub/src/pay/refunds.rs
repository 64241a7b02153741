//! Refunds to the channel: asked for, set aside, sent, asked about, decided. The steps are those of `settlement::refund`;
//! here they are stored, each with the money that moves, and carried to the channel.
//!
//! A refund is stored before its money is set aside, and marked as sent before the channel is told, so that whatever a
//! crash cuts off is found and finished by [`Pay::drive_refund`].

use actors::api::MoveMoney;
use domain::{Fen, UserId};
use serde_json::json;
use settlement::{
    ledger::{self, AccountState},
    refund::{
        Refund, RefundError, RefundEvent, RefundSaid, RefundSource, RefundState, RefundStep, RefundTask, refundable,
    },
    suspense::{Suspense, SuspenseEvent},
};
use store::{
    cases::{CaseFilter, CaseKind, Filed as _, OutboxEvent},
    money::{OnceRow, Payment, PaymentState, Write},
};

use super::{FiledRefund, FiledSuspense, Pay, hub_row};
use crate::{
    http::problem::{Code, Problem},
    limits::REFUNDS_OF_PAYMENT_MAX,
};

/// How often a step is tried anew when the refund was changed by another step in between.
const STEPS_TRIED_MAX: usize = 4;

/// A person wants unused money to go back.
#[derive(Debug)]
pub(crate) struct AskRefund {
    /// Follows from the call when it has a key, so that a repetition finds the same refund.
    pub(crate) refund_no: String,
    pub(crate) payment: Payment,
    pub(crate) amount: Fen,
    pub(crate) reason: String,
    pub(crate) by: UserId,
    /// Whether open debts forbid it.
    pub(crate) own: bool,
    /// Written with the refund.
    pub(crate) with: Vec<Write>,
}

impl Pay {
    /// Stores a refund and sets its money aside. `once` makes the stored answer out of the refund.
    pub(crate) async fn request_refund(
        &self,
        ask: AskRefund,
        once: impl FnOnce(&Refund) -> Option<OnceRow> + Send,
    ) -> Result<Refund, Problem> {
        let payment_no = ask.payment.payment_no.clone();
        let _turn = self.turn(&payment_no).await;
        let refund = match self.refund(&ask.refund_no).await? {
            Some(refund) => refund,
            None => self.store_refund(ask).await?,
        };
        if refund.covered || refund.state != RefundState::Requested {
            return Ok(refund);
        }
        let covered = self.cover(&refund, once).await?;
        self.hurry.notify_one();
        Ok(covered)
    }

    async fn store_refund(&self, ask: AskRefund) -> Result<Refund, Problem> {
        let AskRefund { refund_no, payment, amount, reason, by, own, with } = ask;
        let (PaymentState::Success, Some(transaction_id)) = (payment.state, payment.transaction_id.clone()) else {
            let state = payment.state;
            return Err(Problem::new(
                Code::IllegalState,
                format!("the payment is {state:?}: only what was paid can go back"),
            ));
        };
        let left = self.refundable(&payment).await?;
        if amount > left {
            return Err(Problem::invalid(
                "amountFen",
                amount.0,
                format!("must be at most the {left} that are left of the payment"),
            ));
        }
        let account = self.money.account(&payment.user_id).await?;
        enough(account.as_ref(), amount, own)?;
        let now = self.now();
        let refund = Refund {
            refund_no,
            rev: 1,
            state: RefundState::Requested,
            covered: false,
            source: RefundSource::Wallet { user_id: payment.user_id },
            channel: payment.channel,
            payment_no: payment.payment_no,
            transaction_id,
            paid: payment.amount_fen,
            amount,
            reason,
            by,
            requested_at: now,
            updated_at: now,
            due: Some(now),
            tries: 0,
            asks: 0,
            channel_refund_id: None,
            last_words: None,
            decision: None,
        };
        let mut writes = vec![filed(&refund)];
        writes.extend(with);
        self.commit(writes).await?;
        Ok(refund)
    }

    /// What of a payment may still go back.
    async fn refundable(&self, payment: &Payment) -> Result<Fen, Problem> {
        let refunds = self.refunds_of(&payment.payment_no).await?;
        if refunds.len() >= REFUNDS_OF_PAYMENT_MAX {
            let why = format!("the payment has {REFUNDS_OF_PAYMENT_MAX} refunds already");
            return Err(Problem::new(Code::IllegalState, why));
        }
        Ok(refundable(payment.amount_fen, &refunds).unwrap_or(Fen::ZERO))
    }

    async fn refunds_of(&self, payment_no: &str) -> Result<Vec<Refund>, Problem> {
        let filter = CaseFilter { about: Some(payment_no.to_owned()), ..CaseFilter::all(CaseKind::Refund) };
        let page = self.money.cases(&filter, None, REFUNDS_OF_PAYMENT_MAX).await?;
        let read = page.items.iter().map(|case| case.read::<FiledRefund>().map(|filed| filed.0));
        Ok(read.collect::<Result<_, _>>()?)
    }

    /// Sets the money of a refund aside; the caller has the turn of its payment.
    async fn cover(
        &self,
        refund: &Refund,
        once: impl FnOnce(&Refund) -> Option<OnceRow> + Send,
    ) -> Result<Refund, Problem> {
        let step = self.applied(refund, RefundEvent::Cover)?;
        let Some(step) = step else { return Ok(refund.clone()) };
        let mut with = vec![filed(&step.refund)];
        with.extend(self.marked(&step.refund, true).await?);
        match self.store_step(&step, with, once(&step.refund)).await {
            Ok(()) => Ok(step.refund),
            Err(problem) if problem.code == Code::StoreUnavailable => Err(problem),
            Err(problem) => {
                // The balance was used in between: nothing was moved, and nothing will be.
                let refused = RefundEvent::NotCovered { why: problem.detail.clone() };
                if let Some(step) = self.applied(refund, refused)? {
                    self.commit(vec![filed(&step.refund)]).await?;
                }
                Err(problem)
            }
        }
    }

    /// The payment with what went back of it, if the refund is of a wallet. `counts`: whether this refund's amount does.
    async fn marked(&self, refund: &Refund, counts: bool) -> Result<Option<Write>, Problem> {
        let RefundSource::Wallet { .. } = refund.source else { return Ok(None) };
        let Some(payment) = self.money.payment(&refund.payment_no).await? else { return Ok(None) };
        let others = self.refunds_of(&refund.payment_no).await?;
        let covered = others.iter().filter(|other| other.covered && other.refund_no != refund.refund_no);
        let Some(left) = refundable(payment.amount_fen, covered) else { return Ok(None) };
        let own = if counts { refund.amount } else { Fen::ZERO };
        let refunded = payment.amount_fen.checked_sub(left).and_then(|others| others.checked_add(own));
        let refunded_fen = refunded.unwrap_or(payment.refunded_fen);
        Ok(Some(Write::Payment(Box::new(Payment { refunded_fen, ..payment }), Some(PaymentState::Success))))
    }

    /// One refund.
    pub(crate) async fn refund(&self, refund_no: &str) -> Result<Option<Refund>, Problem> {
        let case = self.money.case(CaseKind::Refund, refund_no).await?;
        Ok(case.map(|case| case.read::<FiledRefund>()).transpose()?.map(|filed| filed.0))
    }

    /// Takes a step and stores it with the money that moves.
    pub(crate) async fn step_refund(&self, refund_no: &str, event: RefundEvent) -> Result<Refund, Problem> {
        self.decide_refund(refund_no, event, |_| Vec::new()).await
    }

    /// Takes a step and stores it with the money that moves, and with what `with` makes out of the refund as it will be;
    /// reads anew when another step came between.
    pub(crate) async fn decide_refund(
        &self,
        refund_no: &str,
        event: RefundEvent,
        with: impl Fn(&Refund) -> Vec<Write> + Send,
    ) -> Result<Refund, Problem> {
        let unknown = || Problem::new(Code::RefundNotFound, format!("there is no refund {refund_no}"));
        let payment_no = self.refund(refund_no).await?.ok_or_else(unknown)?.payment_no;
        let _turn = self.turn(&payment_no).await;
        let mut last = Problem::new(Code::IllegalState, "the refund is being changed by another call");
        for _ in 0..STEPS_TRIED_MAX {
            let refund = self.refund(refund_no).await?.ok_or_else(unknown)?;
            let Some(step) = self.applied(&refund, event.clone())? else { return Ok(refund) };
            let mut writes = vec![filed(&step.refund)];
            if step.refund.state == RefundState::Returned {
                writes.extend(self.marked(&step.refund, false).await?);
            }
            writes.extend(self.suspense_after(&step.refund).await?);
            writes.extend(told(&step.refund));
            writes.extend(with(&step.refund));
            match self.store_step(&step, writes, None).await {
                Ok(()) => return Ok(step.refund),
                Err(problem) if problem.code == Code::IllegalState => last = problem,
                Err(problem) => return Err(problem),
            }
        }
        Err(last)
    }

    fn applied(&self, refund: &Refund, event: RefundEvent) -> Result<Option<RefundStep>, Problem> {
        refund.apply(event, &self.refund_rules, self.now()).map_err(|error| match error {
            RefundError::IllegalState(_) | RefundError::PaidAfterReturn => {
                Problem::new(Code::IllegalState, error.to_string())
            }
            RefundError::SamePerson(_) => Problem::new(Code::Forbidden, error.to_string()),
        })
    }

    async fn store_step(&self, step: &RefundStep, with: Vec<Write>, once: Option<OnceRow>) -> Result<(), Problem> {
        let Some(op) = step.op.clone() else {
            let once = once.map(|row| Write::Once(Box::new(row)));
            return self.commit(with.into_iter().chain(once).collect()).await;
        };
        let user_id = match &step.refund.source {
            RefundSource::Wallet { user_id } => user_id.clone(),
            RefundSource::Suspense { .. } => ledger::suspense_account(),
        };
        self.actors.move_money(MoveMoney { user_id, op, with, once }).await?;
        Ok(())
    }

    /// The money in suspense that a refund took back, or did not.
    async fn suspense_after(&self, refund: &Refund) -> Result<Option<Write>, Problem> {
        let RefundSource::Suspense { item } = &refund.source else { return Ok(None) };
        let event = match refund.state {
            RefundState::Success => SuspenseEvent::SentBack,
            RefundState::Returned => SuspenseEvent::NotTaken,
            RefundState::Requested
            | RefundState::Sent
            | RefundState::Failed
            | RefundState::Manual
            | RefundState::Refused => return Ok(None),
        };
        let Some(suspense): Option<Suspense> = self.suspense(item).await? else { return Ok(None) };
        let next = suspense.apply(event, self.now()).map_err(|error| {
            tracing::warn!(item, %error, "money in suspense does not follow its refund");
            Problem::new(Code::Internal, error.to_string())
        })?;
        Ok(next.map(|next| Write::Case(Box::new(FiledSuspense(next).case()))))
    }

    /// Does what is to be done for a refund that is due.
    pub(super) async fn drive_refund(&self, refund: Refund) -> Result<(), Problem> {
        match refund.task() {
            RefundTask::Rest => Ok(()),
            RefundTask::Cover => {
                let _turn = self.turn(&refund.payment_no).await;
                let present = self.refund(&refund.refund_no).await?;
                let waiting = present.filter(|now| now.task() == RefundTask::Cover);
                let Some(refund) = waiting else { return Ok(()) };
                match self.cover(&refund, |_| None).await {
                    Err(problem) if problem.code != Code::StoreUnavailable => Ok(()),
                    done => done.map(|_| self.hurry.notify_one()),
                }
            }
            RefundTask::Send => self.send(&refund).await,
            RefundTask::Ask => self.ask(&refund).await,
        }
    }

    async fn send(&self, refund: &Refund) -> Result<(), Problem> {
        let sent = self.step_refund(&refund.refund_no, RefundEvent::Send).await?;
        let said = match self.channel(&sent.channel) {
            Some(channel) => channel.refund(&sent).await,
            None => RefundSaid::Unknown { why: format!("{} is switched off", sent.channel) },
        };
        self.said_of_refund(&sent, said).await
    }

    async fn ask(&self, refund: &Refund) -> Result<(), Problem> {
        let said = match self.channel(&refund.channel) {
            Some(channel) => channel.query_refund(refund).await,
            None => RefundSaid::Unknown { why: format!("{} is switched off", refund.channel) },
        };
        if said == RefundSaid::NotFound {
            return self.send(refund).await;
        }
        self.said_of_refund(refund, said).await
    }

    async fn said_of_refund(&self, refund: &Refund, said: RefundSaid) -> Result<(), Problem> {
        let refund_no = &refund.refund_no;
        match self.step_refund(refund_no, RefundEvent::Said(said)).await {
            Ok(refund) => {
                tracing::debug!(refund_no, state = refund.state.as_str(), words = refund.last_words, "refund");
                if refund.state == RefundState::Manual {
                    let (channel, words) = (&refund.channel, &refund.last_words);
                    tracing::warn!(
                        refund_no,
                        channel,
                        ?words,
                        "the channel does not finish a refund: a person must decide"
                    );
                }
                Ok(())
            }
            Err(problem) => Err(problem),
        }
    }

    /// What a channel paid although it was given back here must be seen by a person.
    pub(super) async fn note_odd_refund(&self, refund_no: &str, problem: &Problem) {
        let detail = json!({ "detail": problem.detail });
        let Ok(row) = hub_row(self.now(), "REFUND_ODD", refund_no, &detail) else { return };
        if let Err(problem) = self.commit(vec![Write::Audit(Box::new(row))]).await {
            tracing::warn!(detail = problem.detail, "an audit row could not be written");
        }
    }
}

fn enough(account: Option<&AccountState>, amount: Fen, own: bool) -> Result<(), Problem> {
    let debt = account.and_then(|account| account.debts.first_key_value());
    if let Some((order_no, debt)) = debt.filter(|_| own) {
        return Err(Problem::new(Code::OpenDebt, format!("{debt} are owed for order {order_no}")));
    }
    let available = account.map_or(Fen::ZERO, |account| account.available);
    if available < amount {
        let why = format!("{available} are available, {amount} are to go back");
        return Err(Problem::new(Code::InsufficientBalance, why));
    }
    Ok(())
}

/// A refund in its present form.
pub(super) fn filed(refund: &Refund) -> Write {
    Write::Case(Box::new(FiledRefund(refund.clone()).case()))
}

/// The event that tells other systems where a refund has come.
fn told(refund: &Refund) -> Option<Write> {
    let name = match refund.state {
        RefundState::Success => "refund.succeeded",
        RefundState::Manual => "refund.manual",
        RefundState::Returned => "refund.returned",
        RefundState::Requested | RefundState::Sent | RefundState::Failed | RefundState::Refused => return None,
    };
    let data = json!({
        "refundNo": refund.refund_no, "paymentNo": refund.payment_no, "amountFen": refund.amount, "channel": refund.channel,
    });
    Some(Write::Outbox(Box::new(OutboxEvent {
        event_id: format!("{name}:{}:{}", refund.refund_no, refund.rev),
        name: name.to_owned(),
        at: refund.updated_at,
        subject: refund.refund_no.clone(),
        data: data.to_string(),
    })))
}
