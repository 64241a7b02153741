//! Money nobody knows the owner of: taken into suspense once, resolved by two persons, carried on after a crash.

use actors::api::MoveMoney;
use domain::UserId;
use serde_json::json;
use settlement::{
    ledger::{self, LedgerOp},
    refund::{Refund, RefundSource, RefundState},
    suspense::{Destination, SuspendedMoney, Suspense, SuspenseCause, SuspenseError, SuspenseEvent, SuspenseState},
};
use store::{
    cases::{CaseKind, Filed as _, OutboxEvent},
    money::Write,
};

use super::{FiledSuspense, Pay, Taken, hub_row, hub_user, refunds::filed};
use crate::{
    http::problem::{Code, Problem},
    ids::derived_id,
};

/// How often a step is tried anew when the case was changed by another step in between.
const STEPS_TRIED_MAX: usize = 4;

impl Pay {
    /// Takes money into suspense, once. What came twice for one payment begins its way back at once.
    pub(super) async fn suspend(&self, why: SuspenseCause, money: SuspendedMoney) -> Result<Taken, Problem> {
        let item = item_of(&money.channel, &money.transaction_id);
        if self.suspense(&item).await?.is_some() {
            return Ok(Taken::Repeated);
        }
        let now = self.now();
        let amount = money.amount;
        let new = Suspense::new(item.clone(), why, money, now);
        let mut with = Vec::new();
        let (suspense, taken) = match why {
            SuspenseCause::UnknownPayment => (new, Taken::Suspended),
            SuspenseCause::DuplicatePayment => {
                let refund_no = refund_no_of(&new);
                let suspense = new.going_back(hub_user()?, refund_no.clone());
                // A crash may have left the refund behind without its case.
                if self.refund(&refund_no).await?.is_none() {
                    with.push(filed(&refund_of(&suspense, refund_no, hub_user()?)));
                }
                (suspense, Taken::Duplicate)
            }
        };
        let detail =
            json!({ "channel": suspense.channel, "paymentNo": suspense.payment_no, "amountFen": amount, "why": why });
        with.push(Write::Case(Box::new(FiledSuspense(suspense.clone()).case())));
        with.push(Write::Audit(Box::new(hub_row(now, "MONEY_SUSPENDED", &item, &detail)?)));
        with.push(Write::Outbox(Box::new(OutboxEvent {
            event_id: format!("suspense.opened:{item}"),
            name: "suspense.opened".to_owned(),
            at: now,
            subject: item.clone(),
            data: detail.to_string(),
        })));
        tracing::warn!(item, %amount, ?why, "money came that belongs to no payment");
        let op = LedgerOp::Suspend { item, amount };
        self.actors.move_money(MoveMoney { user_id: ledger::suspense_account(), op, with, once: None }).await?;
        self.hurry.notify_one();
        Ok(taken)
    }

    /// One item.
    pub(crate) async fn suspense(&self, item: &str) -> Result<Option<Suspense>, Problem> {
        let case = self.money.case(CaseKind::Suspense, item).await?;
        Ok(case.map(|case| case.read::<FiledSuspense>()).transpose()?.map(|filed| filed.0))
    }

    /// A person says where the money belongs, or agrees. `with`: what is to be stored with the step, made out of the item
    /// as it will be.
    pub(crate) async fn step_suspense(
        &self,
        item: &str,
        event: impl Fn(&Suspense) -> SuspenseEvent + Send,
        with: impl Fn(&Suspense) -> Vec<Write> + Send,
    ) -> Result<Suspense, Problem> {
        let unknown = || Problem::new(Code::SuspenseNotFound, format!("there is no money {item} in suspense"));
        let mut last = Problem::new(Code::IllegalState, "the money is being moved by another call");
        for _ in 0..STEPS_TRIED_MAX {
            let suspense = self.suspense(item).await?.ok_or_else(unknown)?;
            let next = suspense.apply(event(&suspense), self.now()).map_err(refused)?;
            let Some(next) = next else { return Ok(suspense) };
            let mut writes = Vec::new();
            if let (SuspenseState::Returning, Some(refund_no), Some(resolution)) =
                (next.state, &next.refund_no, &next.resolution)
            {
                writes.push(filed(&refund_of(&next, refund_no.clone(), resolution.by.clone())));
            }
            writes.push(Write::Case(Box::new(FiledSuspense(next.clone()).case())));
            writes.extend(with(&next));
            match self.commit(writes).await {
                Ok(()) => {
                    self.hurry.notify_one();
                    return Ok(next);
                }
                Err(problem) if problem.code == Code::IllegalState => last = problem,
                Err(problem) => return Err(problem),
            }
        }
        Err(last)
    }

    /// Carries approved money to its driver: out of suspense, then into the account. Either may have been done before.
    pub(super) async fn carry(&self, suspense: Suspense) -> Result<(), Problem> {
        let to = suspense.resolution.as_ref().map(|resolution| &resolution.to);
        let (SuspenseState::Approved, Some(Destination::Driver { sub })) = (suspense.state, to) else { return Ok(()) };
        let item = suspense.item.clone();
        let claim = MoveMoney {
            user_id: ledger::suspense_account(),
            op: LedgerOp::Claim { item: item.clone() },
            with: Vec::new(),
            once: None,
        };
        self.actors.move_money(claim).await?;
        let Some(done) = suspense.apply(SuspenseEvent::Received, self.now()).map_err(refused)? else { return Ok(()) };
        let receive = MoveMoney {
            user_id: sub.clone(),
            op: LedgerOp::Receive { item, amount: suspense.amount },
            with: vec![Write::Case(Box::new(FiledSuspense(done).case()))],
            once: None,
        };
        self.actors.move_money(receive).await?;
        Ok(())
    }
}

/// The number of the refund that takes an item back next.
pub(crate) fn refund_no_of(suspense: &Suspense) -> String {
    derived_id("R", format!("{} {}", suspense.item, suspense.returns).as_bytes())
}

fn refund_of(suspense: &Suspense, refund_no: String, by: UserId) -> Refund {
    Refund {
        refund_no,
        rev: 1,
        state: RefundState::Requested,
        covered: false,
        source: RefundSource::Suspense { item: suspense.item.clone() },
        channel: suspense.channel.clone(),
        payment_no: suspense.payment_no.clone(),
        transaction_id: suspense.transaction_id.clone(),
        paid: suspense.amount,
        amount: suspense.amount,
        reason: suspense.resolution.as_ref().map(|resolution| resolution.reason.clone()).unwrap_or_default(),
        by,
        requested_at: suspense.updated_at,
        updated_at: suspense.updated_at,
        due: Some(suspense.updated_at),
        tries: 0,
        asks: 0,
        channel_refund_id: None,
        last_words: None,
        decision: None,
    }
}

/// The name of an item: channel and transaction, in letters that fit into an address.
fn item_of(channel: &str, transaction_id: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    format!("{channel}-{}", transaction_id.chars().map(fit).collect::<String>())
}

#[allow(clippy::needless_pass_by_value, reason = "the shape `map_err` wants")]
fn refused(error: SuspenseError) -> Problem {
    let code = match error {
        SuspenseError::IllegalState(_) => Code::IllegalState,
        SuspenseError::SamePerson(_) => Code::Forbidden,
    };
    Problem::new(code, error.to_string())
}
