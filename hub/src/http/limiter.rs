//! How many calls an address may make per second. Beyond: `TOO_MANY_REQUESTS`, at once and without reading the body.

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    listener::Peer,
    problem::{Code, Problem},
};
use crate::{limits::ADDRESSES_MAX, metrics::HTTP_LIMITED};

/// A token bucket per address: a second's worth may come at once.
#[derive(Debug, Clone)]
pub(crate) struct Limiter {
    /// Calls per second; 0 = no limit.
    per_s: u32,
    buckets: Arc<Mutex<HashMap<IpAddr, Bucket>>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Limiter {
    pub(crate) fn new(per_s: u32) -> Self {
        Self { per_s, buckets: Arc::default() }
    }

    /// Whether this address may call.
    fn allows(&self, address: IpAddr, now: Instant) -> bool {
        if self.per_s == 0 {
            return true;
        }
        let full = f64::from(self.per_s);
        let mut buckets = self.buckets.lock();
        if buckets.len() >= ADDRESSES_MAX && !buckets.contains_key(&address) {
            forget_idle(&mut buckets, now);
        }
        let bucket = buckets.entry(address).or_insert(Bucket { tokens: full, at: now });
        let gained = now.saturating_duration_since(bucket.at).as_secs_f64() * full;
        bucket.tokens = (bucket.tokens + gained).min(full);
        bucket.at = now;
        let allowed = bucket.tokens >= 1.0;
        if allowed {
            bucket.tokens -= 1.0;
        }
        allowed
    }
}

/// A bucket that was left alone for a second is full again and need not be remembered; if none was, all are forgotten,
/// which errs on the side of the callers.
fn forget_idle(buckets: &mut HashMap<IpAddr, Bucket>, now: Instant) {
    buckets.retain(|_, bucket| now.saturating_duration_since(bucket.at) < Duration::from_secs(1));
    if buckets.len() >= ADDRESSES_MAX {
        buckets.clear();
    }
}

/// The layer. Monitoring is never limited.
pub(crate) async fn limit(
    State(limiter): State<Limiter>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let watched = matches!(request.uri().path(), "/healthz" | "/readyz" | "/metrics");
    if watched || limiter.allows(peer.ip(), Instant::now()) {
        return next.run(request).await;
    }
    metrics::counter!(HTTP_LIMITED).increment(1);
    let detail = format!("more than {} calls per second from {}", limiter.per_s, peer.ip());
    let mut response = Problem::new(Code::TooManyRequests, detail).into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holds_as_many_calls_as_allowed_and_addresses_are_apart() {
        let (limiter, start) = (Limiter::new(3), Instant::now());
        let (one, other): (IpAddr, IpAddr) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        let allowed = |at: Instant| (0..10).filter(|_| limiter.allows(one, at)).count();
        assert_eq!(allowed(start), 3);
        assert!(limiter.allows(other, start));
        assert_eq!(allowed(start + Duration::from_millis(400)), 1);
        assert_eq!(allowed(start + Duration::from_secs(60)), 3);
    }

    #[test]
    fn zero_is_no_limit() {
        let limiter = Limiter::new(0);
        assert!((0..100_000).all(|_| limiter.allows([127, 0, 0, 1].into(), Instant::now())));
    }

    #[test]
    fn addresses_are_forgotten_rather_than_remembered_without_end() {
        let (limiter, now) = (Limiter::new(1), Instant::now());
        for n in 0..=u32::try_from(ADDRESSES_MAX).unwrap() {
            limiter.allows(IpAddr::V4(n.into()), now);
        }
        assert!(limiter.buckets.lock().len() <= ADDRESSES_MAX);
    }
}
