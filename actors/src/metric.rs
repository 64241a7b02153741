//! Names of the metrics of this crate.

/// Frames put into quarantine, by reason.
pub(crate) const QUARANTINED: &str = "pilehub_frames_quarantined_total";
/// QoS 0 frames shed because a pile's mailbox was full.
pub(crate) const SHED: &str = "pilehub_frames_shed_total";
/// Actors that failed and were started anew, by kind.
pub(crate) const RESTARTS: &str = "pilehub_actor_restarts_total";
/// Settlement jobs, by kind and outcome.
pub(crate) const JOBS: &str = "pilehub_settlement_jobs_total";
/// Sweeps that were skipped because they came late.
pub(crate) const SWEEPS_SKIPPED: &str = "pilehub_sweeps_skipped_total";
/// Alarms raised, by severity.
pub(crate) const ALARMS: &str = "pilehub_alarms_raised_total";
