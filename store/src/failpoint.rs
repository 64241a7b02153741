//! Points in the code at which a test may end the process, to show what survives.
//!
//! `PILEHUB_FAILPOINT=name` ends it at the first hit of that name, `name:n` at the n-th. Without the feature
//! `failpoints` a hit compiles to nothing. The end is `abort`: no destructor runs, nothing is flushed, no file is
//! closed in order, which for everything on disk is the same as `kill -9`.

/// The group is written, its COMMIT not begun.
pub const MONEY_BEFORE_COMMIT: &str = "money.before_commit";
/// The group is durable, nobody has been told.
pub const MONEY_AFTER_COMMIT: &str = "money.after_commit";
/// The batch is written, its COMMIT not begun.
pub const TELEMETRY_BEFORE_COMMIT: &str = "telemetry.before_commit";
/// The batch is durable, no token has been handed out.
pub const TELEMETRY_AFTER_COMMIT: &str = "telemetry.after_commit";

/// The environment variable that arms one point.
pub const VARIABLE: &str = "PILEHUB_FAILPOINT";

/// Passes the named point; ends the process when the point is armed and its turn has come.
#[cfg(feature = "failpoints")]
pub fn hit(name: &str) {
    use std::sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    };

    static ARMED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static HITS: AtomicU64 = AtomicU64::new(0);

    let armed = ARMED.get_or_init(|| std::env::var(VARIABLE).ok().map(|text| parse(&text)));
    if let Some((armed_name, turn)) = armed
        && armed_name == name
        && HITS.fetch_add(1, Ordering::SeqCst).saturating_add(1) == *turn
    {
        linger();
        std::process::abort();
    }
}

/// Whoever was told too early gets the time to hear it before the process dies: otherwise a wrong order of steps would
/// not show. It holds up this thread alone; what other threads have in hand still leaves.
#[cfg(feature = "failpoints")]
fn linger() {
    let end = tokio::time::Instant::now() + std::time::Duration::from_millis(50);
    loop {
        let left = end.saturating_duration_since(tokio::time::Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::park_timeout(left);
    }
}

/// Passes the named point: nothing happens without the feature `failpoints`.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub const fn hit(_name: &str) {}

#[cfg(feature = "failpoints")]
fn parse(text: &str) -> (String, u64) {
    match text.rsplit_once(':').map(|(name, turn)| (name, turn.parse())) {
        Some((name, Ok(turn))) => (name.to_owned(), turn),
        Some((_, Err(_))) | None => (text.to_owned(), 1),
    }
}

#[cfg(all(test, feature = "failpoints"))]
mod tests {
    use super::parse;

    #[test]
    fn a_point_is_armed_for_its_first_or_its_nth_hit() {
        assert_eq!(parse("money.after_commit"), ("money.after_commit".to_owned(), 1));
        assert_eq!(parse("money.after_commit:7"), ("money.after_commit".to_owned(), 7));
        assert_eq!(parse("odd:name"), ("odd:name".to_owned(), 1));
    }
}
