//! `pilehub token`: a token for the HTTP calls, signed with the configured key.

use std::time::Duration;

use domain::{Clock, UserId};

use crate::{
    cli::{Failure, print},
    clock::SystemClock,
    config::Config,
    http::auth::{Role, Tokens},
    keys,
};

/// Longest life of a token.
const SPAN_MAX: Duration = Duration::from_secs(366 * 86_400);

/// Prints a token and nothing else.
pub(crate) fn run(config: &Config, role: Role, sub: &str, ttl: Duration) -> Result<(), Failure> {
    let sub = UserId::parse(sub).map_err(|bad| Failure::Usage(format!("--sub: {bad}")))?;
    // Whoever may print tokens need not be able to read the master key.
    let key = keys::jwt(config).map_err(|error| Failure::Failed(error.into()))?;
    let token = issue(&Tokens::new(&key), role, sub, ttl)?;
    print(&format!("{token}\n"))
}

/// A token that holds for `ttl` by the wall's clock.
pub(crate) fn issue(tokens: &Tokens, role: Role, sub: UserId, ttl: Duration) -> Result<String, anyhow::Error> {
    let now_s = u64::try_from(SystemClock::default().now().as_millis().div_euclid(1000)).unwrap_or(0);
    Ok(tokens.issue(sub, role, now_s.saturating_add(ttl.as_secs()))?)
}

/// Reads a span like `90s`, `15m`, `1h` or `7d`.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let rule = || format!("\"{text}\" is no span: write a number with s, m, h or d, at most 366d");
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(rule)?;
    let (number, unit) = text.split_at(split);
    let unit_s: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(rule()),
    };
    let seconds = number.parse::<u64>().ok().and_then(|n| n.checked_mul(unit_s)).ok_or_else(rule)?;
    let span = Duration::from_secs(seconds);
    if span.is_zero() || span > SPAN_MAX { Err(rule()) } else { Ok(span) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_with_their_unit() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("1h", 3_600), ("7d", 604_800)] {
            assert_eq!(span(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "h", "1", "0s", "1w", "-1h", "367d", "99999999999999999999s"] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }
}
