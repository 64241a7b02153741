//! One task that looks at all deadlines and wakes the actors whose time may have come; each actor looks again itself.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::{core::Core, limits, metric, pile_actor::PileMsg, session_actor::SessionMsg, slot::NO_DEADLINE};

/// Runs until the hub stops. A round that comes late is skipped: frames that wait in sockets are handled first, so
/// that a process that was held up does not take everybody for silent.
pub(crate) async fn sweep(core: Arc<Core>) {
    let mut ticks = interval(Duration::from_millis(limits::SWEEP_EVERY_MS));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Instant::now();
    loop {
        let now = ticks.tick().await;
        let late = now.duration_since(last) > Duration::from_millis(limits::SWEEP_LATE_MS);
        last = now;
        if late {
            metrics::counter!(metric::SWEEPS_SKIPPED).increment(1);
            tracing::warn!("the sweeper was held up, skipping a round");
            continue;
        }
        round(&core);
    }
}

/// A deadline is disarmed before its owner is woken; the owner arms the next one.
fn round(core: &Arc<Core>) {
    let now = core.now().as_millis();
    let mut due = Vec::new();
    core.each_slot(|slot| {
        if slot.deadline.load(Ordering::Relaxed) <= now {
            slot.deadline.store(NO_DEADLINE, Ordering::Relaxed);
            due.push(Arc::clone(slot));
        }
    });
    for slot in due {
        if core.tell(&slot, PileMsg::Tick).is_err() {
            // It rests: look again when it may be woken.
            slot.deadline.store(slot.blocked_until.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
    for session in core.sessions.read().values() {
        if session.deadline.load(Ordering::Relaxed) <= now {
            session.deadline.store(NO_DEADLINE, Ordering::Relaxed);
            if let Err(error) = session.actor.cast(SessionMsg::Tick) {
                tracing::debug!(%error, "session is gone");
            }
        }
    }
}
