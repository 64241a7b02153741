//! Supervisors of pile actors, by shard: a failed pile pauses, one that fails again and again rests; nobody else is
//! touched, and there is no meltdown.

use std::sync::{Arc, atomic::Ordering};

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};

use crate::{core::Core, limits, metric};

/// A shard of pile actors.
#[derive(Debug)]
pub(crate) struct PileSupervisor;

/// Supervisors are asked nothing.
#[derive(Debug)]
pub(crate) enum Never {}

impl Actor for PileSupervisor {
    type Msg = Never;
    type State = Arc<Core>;
    type Arguments = Arc<Core>;

    async fn pre_start(&self, _me: ActorRef<Never>, core: Arc<Core>) -> Result<Arc<Core>, ActorProcessingErr> {
        Ok(core)
    }

    async fn handle_supervisor_evt(
        &self,
        _me: ActorRef<Never>,
        event: SupervisionEvent,
        core: &mut Arc<Core>,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(who, why) => failed(core, who.get_id(), &why.to_string()),
            SupervisionEvent::ActorTerminated(who, _, _) => forget(core, who.get_id()),
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }
}

/// The next message wakes the pile anew, after a pause. What its mailbox held was not acknowledged.
fn failed(core: &Core, who: ractor::ActorId, why: &str) {
    metrics::counter!(metric::RESTARTS, "kind" => "pile").increment(1);
    core.each_slot(|slot| {
        let mut place = slot.actor.lock();
        if place.as_ref().is_none_or(|actor| actor.get_id() != who) {
            return;
        }
        *place = None;
        let failures = slot.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let pause = if failures >= limits::ACTOR_FAILURES_MAX {
            slot.failures.store(0, Ordering::Relaxed);
            limits::ACTOR_REST_MS
        } else {
            limits::ACTOR_BACKOFF_MS.saturating_mul(1_i64.checked_shl(failures).unwrap_or(i64::MAX))
        };
        let until = core.now().as_millis().saturating_add(pause);
        slot.blocked_until.store(until, Ordering::Relaxed);
        let lost = slot.depth.swap(0, Ordering::Relaxed);
        let less = |n: u32| Some(n.saturating_sub(lost));
        let _ = core.inflight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        // Its deadlines and open orders wake it when the pause is over.
        slot.deadline.store(until, Ordering::Relaxed);
        tracing::warn!(pile = %slot.facts.pile_code, failures, pause_ms = pause, why, "pile's actor failed");
    });
}

fn forget(core: &Core, who: ractor::ActorId) {
    core.each_slot(|slot| {
        let mut place = slot.actor.lock();
        if place.as_ref().is_some_and(|actor| actor.get_id() == who) {
            *place = None;
        }
    });
}
