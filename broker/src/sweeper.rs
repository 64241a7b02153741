//! Looks at every connection once a second and closes those whose patience or ours has run out: one task instead of a
//! timer per socket.

use std::{sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use crate::{shared::Shared, sink::DownCause};

/// Time between two rounds; deadlines are met this much late at most.
const ROUND: Duration = Duration::from_secs(1);
/// A round that comes so late was held up together with everything else: what looks silent was perhaps not read.
/// It is skipped; the next one judges.
const LATE: Duration = Duration::from_secs(3);

/// Runs until the gate is stopped, then closes every connection, again and again until none is left.
pub(crate) async fn sweep(shared: Arc<Shared>) {
    let mut rounds = interval(ROUND);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stopping = shared.stopping.subscribe();
    let mut last = shared.stopwatch.now();
    while !*stopping.borrow_and_update() {
        tokio::select! {
            _ = rounds.tick() => {}
            _ = stopping.changed() => break,
        }
        let now = shared.stopwatch.now();
        let late = now.passed(last, LATE);
        last = now;
        if late {
            tracing::warn!("the sweeper was held up, it skips a round");
            continue;
        }
        for pile_no in shared.identities.locked_out() {
            if let Some(conn) = shared.registry.of(pile_no).filter(|conn| conn.cert.is_none()) {
                conn.close(DownCause::Revoked);
            }
        }
        let unread = shared.flow.is_shut();
        shared.registry.for_each(|conn| {
            if let Some(cause) = conn.overdue(now, unread) {
                conn.close(cause);
            }
        });
    }
    while shared.registry.open() > 0 {
        shared.registry.for_each(|conn| conn.close(DownCause::Shutdown));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
