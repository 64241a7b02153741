//! What two persons do together: a refund of an order, a debt given up. Asked for and decided over HTTP; the money moves
//! in the commit that says that it has moved, and what a crash cut off between approval and money is finished here.

use actors::api::Refusal;
use async_trait::async_trait;
use domain::UserId;
use settlement::{
    adjustment::Adjustment,
    approval::{Applied, Approval, ApprovalError, ApprovalEvent, ApprovalState},
    debt::WriteOff,
    order::Order,
    risk::{Signal, SignalKind},
};
use store::{
    cases::{CaseFilter, Filed},
    money::Write,
};

use super::{Desk, Kept, away, filed::Filing};
use crate::limits::FOLLOW_LEN_MAX;

/// Something that two persons do together.
#[async_trait]
pub(crate) trait Joint: Filed + Clone + Send + Sync + 'static {
    /// What it is called in the audit trail: `{WORD}_APPROVED`.
    const WORD: &'static str;
    /// Where its approval is.
    fn approval(&self) -> &Approval;
    /// Its approval, and the count of its stored forms.
    fn parts(&mut self) -> (&mut Approval, &mut i64);
    /// Whose money it is about.
    fn user_id(&self) -> &UserId;
    /// Moves the money and writes `with` in the same commit.
    async fn move_money(&self, desk: &Desk, with: Vec<Write>) -> Result<Order, Refusal>;
    /// The money has moved.
    fn moved(&self, desk: &Desk);
}

#[async_trait]
impl Joint for Filing<Adjustment> {
    const WORD: &'static str = "ADJUSTMENT";
    fn approval(&self) -> &Approval {
        &self.0.approval
    }
    fn parts(&mut self) -> (&mut Approval, &mut i64) {
        (&mut self.0.approval, &mut self.0.rev)
    }
    fn user_id(&self) -> &UserId {
        &self.0.user_id
    }
    async fn move_money(&self, desk: &Desk, with: Vec<Write>) -> Result<Order, Refusal> {
        let Adjustment { order_no, adjustment_id, approval, .. } = &self.0;
        desk.actors.refund_order(order_no, adjustment_id, approval.amount_fen, with).await
    }
    fn moved(&self, desk: &Desk) {
        if let Some(signal) = signal_of(&self.0) {
            desk.risk.note_user(&self.0.user_id, signal);
        }
    }
}

#[async_trait]
impl Joint for Filing<WriteOff> {
    const WORD: &'static str = "WRITE_OFF";
    fn approval(&self) -> &Approval {
        &self.0.approval
    }
    fn parts(&mut self) -> (&mut Approval, &mut i64) {
        (&mut self.0.approval, &mut self.0.rev)
    }
    fn user_id(&self) -> &UserId {
        &self.0.user_id
    }
    async fn move_money(&self, desk: &Desk, with: Vec<Write>) -> Result<Order, Refusal> {
        let WriteOff { order_no, write_off_id, approval, .. } = &self.0;
        desk.actors.write_off(order_no, write_off_id, approval.amount_fen, with).await
    }
    fn moved(&self, _: &Desk) {}
}

/// What a credited refund tells the counters; nothing before it is credited.
pub(super) fn signal_of(adjustment: &Adjustment) -> Option<Signal> {
    let at = adjustment.approval.done_at?;
    let amount = adjustment.approval.amount_fen;
    let kind = if amount == adjustment.paid_fen { SignalKind::FullRefund(amount) } else { SignalKind::Refund(amount) };
    Some(Signal { name: adjustment.adjustment_id.clone(), at, kind })
}

impl Desk {
    /// One of them, in its present form.
    pub(crate) async fn joint<T: Joint>(&self, id: &str) -> Result<Option<T>, Refusal> {
        let case = self.money.case(T::KIND, id).await.map_err(away)?;
        case.map(|case| case.read()).transpose().map_err(away)
    }

    /// Stores that an event happened to one; `with` goes with it. Nothing is stored when it was so already.
    ///
    /// # Errors
    /// [`ApprovalError`] inside when the rules do not allow it.
    pub(crate) async fn apply<T: Joint>(
        &self,
        one: &mut T,
        event: &ApprovalEvent,
        with: Vec<Write>,
    ) -> Result<Result<Applied, ApprovalError>, Refusal> {
        let now = self.now();
        let (approval, rev) = one.parts();
        let applied = match approval.apply(event, now) {
            Ok(Applied::Changed) => {
                *rev = rev.saturating_add(1);
                Applied::Changed
            }
            Ok(Applied::Repeated) => return Ok(Ok(Applied::Repeated)),
            Err(error) => return Ok(Err(error)),
        };
        let mut writes = vec![Write::Case(Box::new(one.case()))];
        writes.extend(with);
        match self.keep(writes).await? {
            Kept::Written => Ok(Ok(applied)),
            Kept::Outrun => Err(Refusal::IllegalState("it was changed by another call".to_owned())),
        }
    }

    /// Moves the money of an approved one, once, with its last form and what `with` makes of that. The caller has the turn
    /// of its driver. When the ledger says no, that is stored and told.
    pub(crate) async fn finish<T: Joint>(
        &self,
        mut one: T,
        with: impl FnOnce(&T) -> Vec<Write> + Send,
    ) -> Result<T, Refusal> {
        let approved = one.clone();
        let now = self.now();
        let (approval, rev) = one.parts();
        if approval.state == ApprovalState::Done {
            return Ok(one);
        }
        approval.apply(&ApprovalEvent::Done, now).map_err(|error| Refusal::IllegalState(error.to_string()))?;
        *rev = rev.saturating_add(1);
        let mut writes = vec![Write::Case(Box::new(one.case()))];
        writes.extend(with(&one));
        match one.move_money(self, writes).await {
            Ok(_) => {
                one.moved(self);
                Ok(one)
            }
            // The ledger says no, and will say so again.
            Err(Refusal::Validation(why) | Refusal::IllegalState(why)) => {
                let mut refused = approved;
                let event = ApprovalEvent::Refused { why: why.clone() };
                if let Err(error) = self.apply(&mut refused, &event, vec![]).await? {
                    tracing::warn!(id = refused.id(), %error, "a refusal of the ledger was not stored");
                }
                Err(Refusal::IllegalState(why))
            }
            Err(other) => Err(other),
        }
    }

    /// Finishes what was approved and cut off before the money moved.
    pub(super) async fn finish_approved(&self) -> Result<(), Refusal> {
        self.finish_all::<Filing<Adjustment>>().await?;
        self.finish_all::<Filing<WriteOff>>().await
    }

    async fn finish_all<T: Joint>(&self) -> Result<(), Refusal> {
        let filter = CaseFilter { state: Some("APPROVED".to_owned()), ..CaseFilter::all(T::KIND) };
        let page = self.money.cases(&filter, None, FOLLOW_LEN_MAX).await.map_err(away)?;
        for case in page.items {
            let seen: T = case.read().map_err(away)?;
            let _turn = self.turn(seen.user_id()).await;
            // A call may have been at it while this waited for its turn.
            let Some(one) = self.joint::<T>(&case.id).await? else { continue };
            if one.approval().state != ApprovalState::Approved {
                continue;
            }
            match self.finish(one, |_| Vec::new()).await {
                Ok(done) => tracing::info!(id = done.id(), "an approval that was cut off is finished"),
                Err(error @ Refusal::StoreUnavailable(_)) => return Err(error),
                Err(error) => tracing::warn!(id = case.id, %error, "an approval comes to nothing"),
            }
        }
        Ok(())
    }
}
