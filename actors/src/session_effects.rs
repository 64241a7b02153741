//! What the dialogue's machine asks for, carried out: commands sent, durable steps taken and tried again.

use domain::{
    Millis, Timestamp,
    connector::ConnectorEvent,
    session::{SessionEffect, SessionEvent},
};
use settlement::{
    order::{ProvisionalCause, StopBy},
    pricing::ChargeEnd,
    settle::StartFailure,
};
use store::money::{Severity, Write};

use crate::{alarms::code, api::Refusal, jobs::Job, limits, session_actor::Running, settlement_actor::JobError};

impl Running {
    // Time and effects ------------------------------------------------------------------------------------------

    pub(crate) fn tick(&mut self, now: Timestamp) {
        if let Some(seen) = self.slot.last_seen() {
            self.machine.handle_event(&SessionEvent::PileHeard, seen);
        }
        if self.machine.poll_timeout().is_some_and(|deadline| deadline <= now) {
            self.machine.handle_timeout(now);
        }
    }

    pub(crate) async fn carry_out(&mut self, now: Timestamp) {
        if self.retry_at.is_some_and(|at| now < at) {
            return;
        }
        self.retry_at = None;
        loop {
            while self.waiting.len() < limits::EFFECTS_WAITING_MAX {
                let Some(effect) = self.machine.poll_effect() else { break };
                self.waiting.push_back(effect);
            }
            let Some(effect) = self.waiting.front().copied() else { return };
            if let Err(JobError::Away(why)) = self.effect(effect, now).await {
                tracing::warn!(order = %self.order.order_no, ?effect, why, "the store did not take a step, trying again");
                self.retry_at = Some(now.plus(Millis(limits::EFFECT_RETRY_MS)));
                return;
            }
            self.waiting.pop_front();
        }
    }

    async fn effect(&mut self, effect: SessionEffect, now: Timestamp) -> Result<(), JobError> {
        match effect {
            SessionEffect::SendStart => {
                let command = self.start_command();
                self.send(command, now);
                store::failpoint::hit("session.start_sent");
            }
            SessionEffect::SendStop(reason) => {
                let command = self.stop_command(reason);
                self.send(command, now);
                store::failpoint::hit("session.stop_sent");
            }
            SessionEffect::Evidence => {
                self.told(Job::Evidence { at: now, start_soc: self.live.soc }, vec![]).await?;
                self.tell_pile(ConnectorEvent::Evidence(self.order.order_no.clone()));
                store::failpoint::hit("session.evidence");
            }
            SessionEffect::StartRefused => {
                let code = self.refusal.clone();
                self.told(Job::FailStart(StartFailure::Rejected { code }), vec![]).await?;
                self.over();
            }
            SessionEffect::StartTimedOut => {
                self.told(Job::FailStart(StartFailure::DeadlinePassed), vec![]).await?;
                self.over();
            }
            SessionEffect::Faulted => self.told(Job::Fault { code: self.fault.clone() }, vec![]).await?,
            SessionEffect::StopConfirmed => self.told(Job::StopAccepted, vec![]).await?,
            SessionEffect::StopUnanswered => {
                let alarm =
                    self.alarm(code::STOP_UNANSWERED, Severity::High, "the charger does not answer the stop", now);
                self.told(Job::StopUnanswered, vec![Write::Alarm(Box::new(alarm.clone()))]).await?;
                self.core.alarms.note(&alarm);
            }
            SessionEffect::LimitReached => {
                if let Err(Refusal::StoreUnavailable(why)) = Box::pin(self.stop(StopBy::Limit, None, now)).await {
                    return Err(JobError::Away(why));
                }
            }
            SessionEffect::EndAfterFault => self.end(ProvisionalCause::Fault, now).await?,
            SessionEffect::EndAfterSilence => self.end(ProvisionalCause::Silence, now).await?,
        }
        Ok(())
    }

    /// Settles at the last reading: the charger did not say how it ended.
    async fn end(&mut self, cause: ProvisionalCause, now: Timestamp) -> Result<(), JobError> {
        let evidence_at = self.order.started_at.unwrap_or(self.order.created_at);
        let Some(charge) = self.charge(ChargeEnd::LastReading { evidence_at }) else {
            return Err(JobError::Away("the tariff of the order is not loaded".to_owned()));
        };
        let alarm = self.alarm(code::PROVISIONAL, Severity::High, "settled at the last reading, without a record", now);
        let job = if self.order.ghost.is_some() {
            Job::GhostEnded { at: now, charge }
        } else {
            Job::EndProvisionally { cause, charge }
        };
        self.told(job, vec![Write::Alarm(Box::new(alarm.clone()))]).await?;
        self.core.alarms.note(&alarm);
        self.over();
        Ok(())
    }

    /// A durable step that comes from the machine: phones and pile hear of it. A refusal means that the order is
    /// past that step already.
    async fn told(&mut self, job: Job, with: Vec<Write>) -> Result<(), JobError> {
        match self.step(job, with, None).await {
            Ok(settled) => {
                self.announce(&settled.order);
                Ok(())
            }
            Err(JobError::Refused(refusal)) => {
                tracing::debug!(order = %self.order.order_no, %refusal, "step refused");
                Ok(())
            }
            Err(away) => Err(away),
        }
    }
}
