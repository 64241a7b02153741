//! When reconciliation runs by itself: every night over the day that ended, and during the day over the present one.

use std::{sync::Arc, time::Duration};

use domain::{Millis, Timestamp};
use settlement::reconcile::Day;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{Reconciler, Trouble};
use crate::{
    limits::RECON_BACK_DAYS,
    metrics::{RECON_FAILED, RECON_OPEN_ITEMS, RECON_SECONDS},
};

/// How often the clock is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The pause after a run that failed.
const PAUSE: Millis = Millis::from_secs(60);

/// When.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timetable {
    /// Minute of the day, in the first station's zone, at which the day before is looked at.
    pub(crate) at_min: u16,
    /// Time between two looks at the present day; `None`: none.
    pub(crate) intraday: Option<Millis>,
}

/// What was done.
#[derive(Debug, Clone, Copy)]
struct Done {
    /// The last day that was looked at after its end.
    through: Option<Day>,
    /// When the present day was last looked at.
    intraday: Timestamp,
    /// Nothing is tried before.
    not_before: Timestamp,
}

/// Runs until it is aborted.
pub(crate) async fn keep(reconciler: Arc<Reconciler>, timetable: Timetable) {
    let start = reconciler.now();
    let mut done = Done { through: None, intraday: start, not_before: start };
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = reconciler.now();
        if now < done.not_before {
            continue;
        }
        match look(&reconciler, timetable, &mut done, now).await {
            Ok(()) | Err(Trouble::NoStation) => {}
            Err(error) => {
                metrics::counter!(RECON_FAILED).increment(1);
                tracing::warn!(%error, "reconciliation did not run; it is tried again");
                done.not_before = now.plus(PAUSE);
            }
        }
    }
}

async fn look(reconciler: &Reconciler, timetable: Timetable, done: &mut Done, now: Timestamp) -> Result<(), Trouble> {
    let timezone = reconciler.timezone()?;
    // Before the hour of the night run, the day before is not yet due.
    let due = now.plus(Millis::from_secs(i64::from(timetable.at_min).saturating_mul(-60)));
    let last = Day::of(due, &timezone)?.before();
    if done.through.is_none_or(|through| through < last) {
        nightly(reconciler, last).await?;
        done.through = Some(last);
    }
    if timetable.intraday.is_some_and(|every| now.since(done.intraday) >= every) {
        timed(reconciler, Day::of(now, &timezone)?).await?;
        done.intraday = now;
    }
    Ok(())
}

/// The day that ended, those that were missed while the hub was down, and those with something open: a late record or a
/// late bill may have settled it.
async fn nightly(reconciler: &Reconciler, last: Day) -> Result<(), Trouble> {
    for back in (0..RECON_BACK_DAYS).rev() {
        let day = last.plus(back.saturating_neg());
        let needed = match reconciler.book(day).await? {
            None => true,
            Some(book) if book.is_closed() => false,
            Some(book) if !book.whole_day || day == last => true,
            Some(_) => reconciler.open_items(day).await? > 0,
        };
        if needed {
            timed(reconciler, day).await?;
        }
    }
    Ok(())
}

async fn timed(reconciler: &Reconciler, day: Day) -> Result<(), Trouble> {
    let began = Instant::now();
    let ran = reconciler.run_by_itself(day).await?;
    let seconds = began.elapsed().as_secs_f64();
    metrics::histogram!(RECON_SECONDS).record(seconds);
    metrics::gauge!(RECON_OPEN_ITEMS).set(f64::from(u32::try_from(ran.open_items).unwrap_or(u32::MAX)));
    tracing::info!(%day, seconds, open_items = ran.open_items, "a day was reconciled");
    Ok(())
}
