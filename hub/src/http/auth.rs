//! Who calls: HS256 tokens with `sub`, `role` and `exp` [CONTRACT 3]. The role column of the contract is exact, so a
//! handler says in its signature which right it takes: `By<STATIONS_CREATE>`. Which roles have it says the table in
//! [`rights`](super::rights).

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{header, request::Parts},
};
use domain::UserId;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::{
    listener::Peer,
    problem::{Code, Problem},
    state::App,
};
use crate::limits::TOKEN_LEN_MAX;

/// A set of roles.
pub(crate) type Roles = u8;
pub(crate) const DRIVER: Roles = 1;
pub(crate) const SERVICE: Roles = 1 << 1;
pub(crate) const OPS: Roles = 1 << 2;
pub(crate) const FINANCE: Roles = 1 << 3;
pub(crate) const RISK: Roles = 1 << 4;
pub(crate) const ADMIN: Roles = 1 << 5;
pub(crate) const AUDITOR: Roles = 1 << 6;
/// All but drivers.
pub(crate) const STAFF: Roles = SERVICE | OPS | FINANCE | RISK | ADMIN | AUDITOR;
/// Everybody with a token.
pub(crate) const ANYONE: Roles = DRIVER | STAFF;
pub(crate) const OPS_FINANCE: Roles = OPS | FINANCE;
pub(crate) const FINANCE_SERVICE: Roles = FINANCE | SERVICE;
pub(crate) const FINANCE_ADMIN: Roles = FINANCE | ADMIN;
pub(crate) const DRIVER_FINANCE: Roles = DRIVER | FINANCE;
pub(crate) const DRIVER_FINANCE_SERVICE: Roles = DRIVER | FINANCE | SERVICE;
pub(crate) const FINANCE_AUDITOR: Roles = FINANCE | AUDITOR;
pub(crate) const DRIVER_OPS_SERVICE: Roles = DRIVER | OPS | SERVICE;
pub(crate) const RISK_AUDITOR: Roles = RISK | AUDITOR;
pub(crate) const RISK_SERVICE: Roles = RISK | SERVICE;

/// What a caller may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    Driver,
    Service,
    Ops,
    Finance,
    Risk,
    Admin,
    Auditor,
}

impl Role {
    /// Every role.
    pub(crate) const ALL: [Self; 7] =
        [Self::Driver, Self::Service, Self::Ops, Self::Finance, Self::Risk, Self::Admin, Self::Auditor];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Driver => "driver",
            Self::Service => "service",
            Self::Ops => "ops",
            Self::Finance => "finance",
            Self::Risk => "risk",
            Self::Admin => "admin",
            Self::Auditor => "auditor",
        }
    }

    pub(crate) const fn bit(self) -> Roles {
        match self {
            Self::Driver => DRIVER,
            Self::Service => SERVICE,
            Self::Ops => OPS,
            Self::Finance => FINANCE,
            Self::Risk => RISK,
            Self::Admin => ADMIN,
            Self::Auditor => AUDITOR,
        }
    }
}

/// The roles of a set.
pub(crate) fn roles_of(roles: Roles) -> impl Iterator<Item = Role> {
    Role::ALL.into_iter().filter(move |role| role.bit() & roles != 0)
}

/// What a token says; other claims are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Claims {
    sub: UserId,
    role: Role,
    /// Seconds since 1970, by the wall's clock.
    exp: u64,
}

/// Makes and checks tokens.
#[derive(Clone)]
pub(crate) struct Tokens {
    signing: EncodingKey,
    checking: DecodingKey,
    validation: Validation,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

impl Tokens {
    pub(crate) fn new(key: &[u8]) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        validation.validate_aud = false;
        validation.set_required_spec_claims(&["exp", "sub"]);
        Self { signing: EncodingKey::from_secret(key), checking: DecodingKey::from_secret(key), validation }
    }

    /// A token that ends at `exp`, in seconds since 1970.
    pub(crate) fn issue(&self, sub: UserId, role: Role, exp: u64) -> Result<String, jsonwebtoken::errors::Error> {
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &Claims { sub, role, exp }, &self.signing)
    }

    /// Whom a token names, if it holds by the wall's clock.
    pub(crate) fn check(&self, token: &str) -> Result<(UserId, Role), Problem> {
        let refused = |why: String| Problem::new(Code::Unauthenticated, why);
        if token.len() > TOKEN_LEN_MAX {
            return Err(refused("the token is too long".to_owned()));
        }
        let claims = jsonwebtoken::decode::<Claims>(token, &self.checking, &self.validation)
            .map_err(|error| refused(format!("the token does not hold: {error}")))?
            .claims;
        // Names with a tilde are those of the hub's own accounts.
        if claims.sub.as_str().starts_with('~') {
            return Err(refused(format!("the name {} is the hub's own", claims.sub)));
        }
        Ok((claims.sub, claims.role))
    }
}

/// A caller in one of `ROLES`.
#[derive(Debug, Clone)]
pub(crate) struct By<const ROLES: Roles> {
    pub(crate) sub: UserId,
    pub(crate) role: Role,
    /// Where the call came from, as the socket says.
    pub(crate) address: Option<SocketAddr>,
}

impl<const ROLES: Roles> By<ROLES> {
    pub(crate) fn is_driver(&self) -> bool {
        self.role == Role::Driver
    }

    pub(crate) fn is_staff(&self) -> bool {
        !self.is_driver()
    }
}

impl<const ROLES: Roles> FromRequestParts<App> for By<ROLES> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let header = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .ok_or_else(|| Problem::new(Code::Unauthenticated, "the header Authorization is missing"))?;
        let token = header
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim())
            .ok_or_else(|| Problem::new(Code::Unauthenticated, "the header Authorization is no bearer token"))?;
        let (sub, role) = app.tokens.check(token)?;
        if role.bit() & ROLES == 0 {
            let allowed: Vec<_> = roles_of(ROLES).map(Role::as_str).collect();
            let detail = format!("the role {} may not do this; it takes {}", role.as_str(), allowed.join(" or "));
            return Err(Problem::new(Code::Forbidden, detail));
        }
        let address = parts.extensions.get::<ConnectInfo<Peer>>().map(|ConnectInfo(Peer(peer))| *peer);
        Ok(Self { sub, role, address })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR: u64 = 4_000_000_000;

    fn anna() -> UserId {
        UserId::parse("anna").unwrap()
    }

    #[test]
    fn a_token_names_its_bearer_until_it_ends() {
        let tokens = Tokens::new(&[1; 32]);
        let token = tokens.issue(anna(), Role::Risk, FAR).unwrap();
        assert_eq!(tokens.check(&token), Ok((anna(), Role::Risk)));
        let ended = tokens.issue(anna(), Role::Risk, 1_700_000_000).unwrap();
        assert_eq!(tokens.check(&ended).unwrap_err().code, Code::Unauthenticated);
    }

    #[test]
    fn nobody_is_one_of_the_hubs_own_accounts() {
        let tokens = Tokens::new(&[1; 32]);
        let token = tokens.issue(settlement::ledger::suspense_account(), Role::Driver, FAR).unwrap();
        assert_eq!(tokens.check(&token).unwrap_err().code, Code::Unauthenticated);
    }

    #[test]
    fn tokens_of_another_key_or_without_signature_are_refused() {
        let ours = Tokens::new(&[1; 32]);
        let theirs = Tokens::new(&[2; 32]).issue(anna(), Role::Admin, FAR).unwrap();
        // {"alg":"none"} . {"sub":"anna","role":"admin","exp":4000000000} .
        let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm5hIiwicm9sZSI6ImFkbWluIiwiZXhwIjo0MDAwMDAwMDAwfQ.";
        for token in [theirs.as_str(), unsigned, "", "a.b.c", &"x".repeat(5000)] {
            assert_eq!(ours.check(token).unwrap_err().code, Code::Unauthenticated, "{token}");
        }
    }

    #[test]
    fn staff_is_everybody_but_the_driver() {
        for role in Role::ALL {
            assert_eq!(role.bit() & STAFF == 0, role == Role::Driver, "{role:?}");
            assert_eq!(role.bit() & ANYONE, role.bit());
        }
    }
}
