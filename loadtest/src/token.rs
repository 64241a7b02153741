//! Bearer tokens for every role, signed with the hub's key [CONTRACT 3].

use anyhow::Context as _;
use domain::{Millis, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

/// A role of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Charges and pays.
    Driver,
    /// Helps drivers.
    Service,
    /// Runs the stations.
    Ops,
    /// Sees to the money.
    Finance,
    /// Judges what is odd.
    Risk,
    /// Registers stations and piles.
    Admin,
    /// Reads everything.
    Auditor,
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    role: Role,
    exp: i64,
}

/// Signs tokens; cheap to clone.
#[derive(Clone)]
pub struct Signer {
    key: EncodingKey,
    expires: i64,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("expires", &self.expires).finish_non_exhaustive()
    }
}

impl Signer {
    /// A signer with the hub's `auth.jwt_key`; its tokens hold for `ttl` from `now`, by the clock of the hub.
    #[must_use]
    pub fn new(key: &str, now: Timestamp, ttl: Millis) -> Self {
        Self { key: EncodingKey::from_secret(key.as_bytes()), expires: now.plus(ttl).as_millis().div_euclid(1000) }
    }

    /// A token for somebody in a role.
    ///
    /// # Errors
    /// When signing fails, which it does not for HS256.
    pub fn token(&self, role: Role, sub: &str) -> anyhow::Result<String> {
        let claims = Claims { sub, role, exp: self.expires };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.key).context("signing a token")
    }
}
