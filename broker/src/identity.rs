//! Who a pile is: its code, its number, and a keyed verifier of its secret. The secret itself is shown once, at
//! registration, and kept nowhere.
//!
//! Knows no connection and no storage; the hub fills it at the start and on every registration.

use std::{collections::HashMap, fmt};

use domain::{PileCode, PileNo};
use hmac::{Hmac, KeyInit, Mac};
use parking_lot::RwLock;
use sha2::Sha256;

/// Bytes of the master key.
pub const MASTER_KEY_LEN: usize = 32;
/// Random bytes of a secret.
const SECRET_LEN: usize = 32;
/// Block of SHA-256.
const HMAC_BLOCK_LEN: usize = 64;

/// What is stored of a pile's secret: HMAC-SHA256 under the master key, over the pile's code and the secret.
pub type Verifier = [u8; 32];

/// A pile that may connect.
#[derive(Clone)]
pub struct Identity {
    /// The hub's number of it.
    pub pile_no: PileNo,
    /// Its client id and username.
    pub code: PileCode,
    /// Of its secret; see [`Identities::verifier_of`].
    pub verifier: Verifier,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("pile_no", &self.pile_no).field("code", &self.code).finish_non_exhaustive()
    }
}

/// No random bytes can be had from the system.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random bytes: {0}")]
pub struct NoRandomness(#[from] getrandom::Error);

/// A fresh secret for a pile, 64 hexadecimal digits of 32 random bytes. Show it once and keep its verifier.
///
/// # Errors
/// [`NoRandomness`] when the system has none to give.
pub fn new_secret() -> Result<String, NoRandomness> {
    let mut bytes = [0_u8; SECRET_LEN];
    getrandom::fill(&mut bytes)?;
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    Ok(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0x0f)]).collect())
}

/// Every pile that may connect, shared between the gate and those who register piles.
pub struct Identities {
    keyed: Hmac<Sha256>,
    by_code: RwLock<HashMap<PileCode, (PileNo, Verifier)>>,
}

impl Identities {
    /// Nobody yet. The key must stay the same for as long as the verifiers made with it are kept.
    #[must_use]
    pub fn new(master_key: &[u8; MASTER_KEY_LEN]) -> Self {
        // HMAC pads a key that is shorter than its block with zeros [RFC 2104]; done here, it cannot fail.
        let mut block = [0; HMAC_BLOCK_LEN];
        block.iter_mut().zip(master_key).for_each(|(to, from)| *to = *from);
        Self { keyed: Hmac::new(&block.into()), by_code: RwLock::default() }
    }

    /// What to store of a pile's secret.
    #[must_use]
    pub fn verifier_of(&self, code: &PileCode, secret: &str) -> Verifier {
        self.mac(code.as_str(), secret.as_bytes()).finalize().into_bytes().into()
    }

    /// Admits a pile, or replaces what was known of it (a new secret holds for the next CONNECT).
    pub fn insert(&self, identity: Identity) {
        self.by_code.write().insert(identity.code, (identity.pile_no, identity.verifier));
    }

    /// Admits many piles under one lock.
    pub fn extend(&self, identities: impl IntoIterator<Item = Identity>) {
        self.by_code.write().extend(identities.into_iter().map(|one| (one.code, (one.pile_no, one.verifier))));
    }

    /// Forgets a pile. A connection it has stays; its next CONNECT is refused.
    pub fn remove(&self, code: &PileCode) {
        self.by_code.write().remove(code);
    }

    /// How many piles may connect.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_code.read().len()
    }

    /// Whether nobody may connect.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_code.read().is_empty()
    }

    /// Who this is, if the password is right. Takes as long for a stranger as for a wrong password, and compares in
    /// constant time.
    #[must_use]
    pub fn verify(&self, code: &str, password: &[u8]) -> Option<(PileNo, PileCode)> {
        let known =
            self.by_code.read().get_key_value(code).map(|(code, (no, verifier))| (*no, code.clone(), *verifier));
        let stored = known.as_ref().map_or([0; 32], |(_, _, verifier)| *verifier);
        let right = self.mac(code, password).verify_slice(&stored).is_ok();
        known.filter(|_| right).map(|(no, code, _)| (no, code))
    }

    /// What to store of the secret of whoever connects under another kind of name, which no pile code can be.
    pub(crate) fn verifier_for(&self, username: &str, secret: &str) -> Verifier {
        self.mac(username, secret.as_bytes()).finalize().into_bytes().into()
    }

    /// Whether a password is the one of a verifier, compared in constant time.
    pub(crate) fn verifies(&self, username: &str, password: &[u8], verifier: &Verifier) -> bool {
        self.mac(username, password).verify_slice(verifier).is_ok()
    }

    /// Who this is that has shown a good certificate of that name.
    #[must_use]
    pub(crate) fn by_certificate(&self, code: &str) -> Option<(PileNo, PileCode)> {
        self.by_code.read().get_key_value(code).map(|(code, (no, _))| (*no, code.clone()))
    }

    /// The code is part of it, so that a verifier copied to another pile's row opens nothing. The zero byte keeps
    /// code and secret apart: no code contains it.
    fn mac(&self, code: &str, secret: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.keyed.clone();
        mac.update(code.as_bytes());
        mac.update(&[0]);
        mac.update(secret);
        mac
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identities").field("piles", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> PileCode {
        PileCode::parse(text).unwrap()
    }

    fn with(piles: &[(&str, u32, &str)]) -> Identities {
        let identities = Identities::new(&[7; MASTER_KEY_LEN]);
        for (text, no, secret) in piles {
            let verifier = identities.verifier_of(&code(text), secret);
            identities.insert(Identity { pile_no: PileNo(*no), code: code(text), verifier });
        }
        identities
    }

    #[test]
    fn only_the_right_secret_of_the_right_pile_is_accepted() {
        let identities = with(&[("P1", 1, "one"), ("P2", 2, "two")]);
        assert_eq!(identities.verify("P1", b"one"), Some((PileNo(1), code("P1"))));
        assert_eq!(identities.verify("P2", b"two"), Some((PileNo(2), code("P2"))));
        for (who, secret) in [("P1", "two"), ("P2", "one"), ("P1", ""), ("P3", "one"), ("", ""), ("P1\0one", "")] {
            assert_eq!(identities.verify(who, secret.as_bytes()), None, "{who:?} {secret:?}");
        }
    }

    #[test]
    fn a_verifier_copied_to_another_pile_opens_nothing() {
        let identities = with(&[("P1", 1, "one")]);
        let verifier = identities.verifier_of(&code("P1"), "one");
        identities.insert(Identity { pile_no: PileNo(2), code: code("P2"), verifier });
        assert_eq!(identities.verify("P2", b"one"), None);
    }

    #[test]
    fn a_replaced_secret_and_a_removed_pile_no_longer_open() {
        let identities = with(&[("P1", 1, "old")]);
        let verifier = identities.verifier_of(&code("P1"), "new");
        identities.insert(Identity { pile_no: PileNo(1), code: code("P1"), verifier });
        assert_eq!(identities.verify("P1", b"old"), None);
        assert!(identities.verify("P1", b"new").is_some());
        identities.remove(&code("P1"));
        assert_eq!(identities.verify("P1", b"new"), None);
        assert!(identities.is_empty());
    }

    #[test]
    fn another_master_key_gives_other_verifiers() {
        let other = Identities::new(&[8; MASTER_KEY_LEN]);
        assert_ne!(with(&[]).verifier_of(&code("P1"), "s"), other.verifier_of(&code("P1"), "s"));
    }

    #[test]
    fn secrets_are_long_and_never_the_same() {
        let (one, two) = (new_secret().unwrap(), new_secret().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.len(), 64);
        assert!(one.bytes().all(|b| b.is_ascii_hexdigit()));
    }

    #[test]
    fn fifty_thousand_piles_are_admitted() {
        let identities = Identities::new(&[1; MASTER_KEY_LEN]);
        identities.extend((0..50_000).map(|no| {
            let code = code(&format!("P{no}"));
            let verifier = identities.verifier_of(&code, &format!("secret of {no}"));
            Identity { pile_no: PileNo(no), code, verifier }
        }));
        assert_eq!(identities.len(), 50_000);
        assert_eq!(identities.verify("P49999", b"secret of 49999"), Some((PileNo(49_999), code("P49999"))));
        assert_eq!(identities.verify("P49999", b"secret of 49998"), None);
    }

    #[test]
    fn nothing_secret_is_printed() {
        let identities = with(&[("P1", 1, "one")]);
        let verifier = identities.verifier_of(&code("P1"), "one");
        let shown = format!("{identities:?} {:?}", Identity { pile_no: PileNo(1), code: code("P1"), verifier });
        assert_eq!(shown, "Identities { piles: 1, .. } Identity { pile_no: PileNo(1), code: \"P1\", .. }");
    }
}
