//! Waiting without sleeping blindly: look until it is so, and give up at a deadline.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a harness that fails shall fail loudly")]
#![allow(clippy::disallowed_methods, reason = "tests look at the hub from outside, by the wall's clock")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// How long a test waits for what must come. Generous: machines are shared.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// When to give up, from this moment.
pub fn deadline() -> Instant {
    Instant::now() + DEADLINE
}

/// What is left until then; never nothing, for a read time-out must not be zero.
pub fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}

/// Looks until there is something; panics at the deadline.
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    look_for(look).unwrap_or_else(|| panic!("{what} did not come about within {DEADLINE:?}"))
}

/// Looks until there is something; `None` at the deadline.
pub fn look_for<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = deadline();
    loop {
        let found = look();
        if found.is_some() || Instant::now() >= end {
            return found;
        }
        // Between two looks the hub shall have the processor.
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// Epoch milliseconds.
pub fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// Epoch milliseconds of an RFC 3339 time.
pub fn ms(time: &str) -> i64 {
    time.parse::<Timestamp>().unwrap_or_else(|error| panic!("{time}: {error}")).as_millisecond()
}

/// RFC 3339 in UTC with milliseconds, as the hub writes it.
pub fn rfc3339(ms: i64) -> String {
    format!("{:.3}", Timestamp::from_millisecond(ms).unwrap())
}
