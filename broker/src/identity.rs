//! Who a pile is: its code, its number, and keyed verifiers of what it may show: its secret, the next one while that
//! is being changed, a token that lets it in once. What is shown itself is kept nowhere.
//!
//! Knows no connection and no storage; the hub fills it at the start and on every change of the registry.

use std::{collections::HashMap, fmt};

use domain::{PileCode, PileNo, Timestamp};
use hmac::{Hmac, KeyInit, Mac, digest::CtOutput};
use parking_lot::{Mutex, RwLock};
use sha2::Sha256;

use crate::enrolment;

/// Bytes of the master key.
pub const MASTER_KEY_LEN: usize = 32;
/// Random bytes of a secret.
const SECRET_LEN: usize = 32;
/// Block of SHA-256.
const HMAC_BLOCK_LEN: usize = 64;
/// Stands where a pile has no verifier, so that strangers are compared with something too.
const NOBODY: Verifier = [0; 32];

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
    /// Of the secret that is to replace it, while a change is under way.
    pub next: Option<NextSecret>,
    /// Its station admits certificates only.
    pub certificate_only: bool,
}

impl Identity {
    /// A pile with one secret, at a station that admits secrets.
    #[must_use]
    pub const fn new(pile_no: PileNo, code: PileCode, verifier: Verifier) -> Self {
        Self { pile_no, code, verifier, next: None, certificate_only: false }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("pile_no", &self.pile_no).field("code", &self.code).finish_non_exhaustive()
    }
}

/// A secret that is good beside the present one, until it is used for the first time or its time is over.
#[derive(Clone, PartialEq, Eq)]
pub struct NextSecret {
    /// Of the next secret.
    pub verifier: Verifier,
    /// From then on it is not accepted.
    pub until: Timestamp,
}

impl fmt::Debug for NextSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NextSecret").field("until", &self.until).finish_non_exhaustive()
    }
}

/// What somebody shows to be let in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Proof<'a> {
    /// The password of a CONNECT: a secret, or a token.
    Password(&'a [u8]),
    /// The TLS layer has verified a client certificate whose CN is the code.
    Certificate,
}

impl fmt::Debug for Proof<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password(_) => "Password(..)",
            Self::Certificate => "Certificate",
        })
    }
}

/// With what a pile was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Credential {
    /// Its secret.
    Secret,
    /// The secret that was to replace it, for the first time: the earlier one is dead from here on.
    NextSecret,
    /// A token, which is dead from here on.
    Enrolment,
    /// A client certificate.
    Certificate,
}

impl Credential {
    /// All of them; the place in this list is the number one has inside the gate.
    pub(crate) const ALL: [Self; 4] = [Self::Secret, Self::NextSecret, Self::Enrolment, Self::Certificate];
}

/// Somebody who has shown who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The hub's number of it.
    pub pile_no: PileNo,
    /// Its code.
    pub code: PileCode,
    /// How it was shown.
    pub by: Credential,
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejected {
    /// No such pile, or not what it must show.
    Wrong,
    /// The pile's station admits certificates only; whether the password was right is not looked at.
    CertificateOnly,
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

/// What is kept of a pile. Few are changing their secret at a time: only those pay for a second verifier.
struct Known {
    pile_no: PileNo,
    verifier: Verifier,
    certificate_only: bool,
    next: Option<Box<NextSecret>>,
}

/// Every pile that may connect, shared between the gate and those who register piles.
pub struct Identities {
    keyed: Hmac<Sha256>,
    by_code: RwLock<HashMap<PileCode, Known>>,
    /// Tokens, at most one per pile: verifier and end. A restart forgets them.
    tokens: Mutex<HashMap<PileCode, NextSecret>>,
    /// Piles whose connections by secret are to be closed.
    locked_out: Mutex<Vec<PileNo>>,
}

impl Identities {
    /// Nobody yet. The key must stay the same for as long as the verifiers made with it are kept.
    #[must_use]
    pub fn new(master_key: &[u8; MASTER_KEY_LEN]) -> Self {
        // HMAC pads a key that is shorter than its block with zeros [RFC 2104]; done here, it cannot fail.
        let mut block = [0; HMAC_BLOCK_LEN];
        block.iter_mut().zip(master_key).for_each(|(to, from)| *to = *from);
        Self {
            keyed: Hmac::new(&block.into()),
            by_code: RwLock::default(),
            tokens: Mutex::default(),
            locked_out: Mutex::default(),
        }
    }

    /// What to store of a pile's secret.
    #[must_use]
    pub fn verifier_of(&self, code: &PileCode, secret: &str) -> Verifier {
        self.mac(code.as_str(), b"", secret.as_bytes()).into_bytes().into()
    }

    /// Admits a pile, or replaces what was known of it (a new secret holds for the next CONNECT).
    pub fn insert(&self, identity: Identity) {
        self.extend([identity]);
    }

    /// Admits many piles under one lock.
    pub fn extend(&self, identities: impl IntoIterator<Item = Identity>) {
        self.by_code.write().extend(identities.into_iter().map(|one| {
            let Identity { pile_no, code, verifier, next, certificate_only } = one;
            (code, Known { pile_no, verifier, certificate_only, next: next.map(Box::new) })
        }));
    }

    /// Forgets a pile. A connection it has stays; its next CONNECT is refused.
    pub fn remove(&self, code: &PileCode) {
        self.by_code.write().remove(code);
        self.tokens.lock().remove(code);
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

    /// Accepts a second secret of a pile beside the present one; an earlier second one is forgotten.
    pub fn set_next(&self, code: &PileCode, next: NextSecret) {
        if let Some(known) = self.by_code.write().get_mut(code) {
            known.next = Some(Box::new(next));
        }
    }

    /// What to store of the secret of whoever connects under another kind of name, which no pile code can be.
    pub(crate) fn verifier_for(&self, username: &str, secret: &str) -> Verifier {
        self.mac(username, b"", secret.as_bytes()).into_bytes().into()
    }

    /// Whether a password is the one of a verifier, compared in constant time.
    pub(crate) fn verifies(&self, username: &str, password: &[u8], verifier: &Verifier) -> bool {
        is(&self.mac(username, b"", password), verifier)
    }

    /// Whether a pile has a second secret that it was not seen with yet.
    #[must_use]
    pub fn has_next(&self, code: &PileCode) -> bool {
        self.by_code.read().get(code).is_some_and(|known| known.next.is_some())
    }

    /// Makes the second secret of a pile its only one; `false` when there is none (any more).
    pub fn take_next(&self, code: &PileCode) -> bool {
        self.by_code.write().get_mut(code).is_some_and(Known::take_next)
    }

    /// Forgets the second secret of a pile; `false` when there is none (any more).
    pub fn drop_next(&self, code: &PileCode) -> bool {
        self.by_code.write().get_mut(code).is_some_and(|known| known.next.take().is_some())
    }

    /// Whether piles are admitted with a certificate only. Connections that were let in by a secret are closed soon.
    pub fn set_certificate_only<'a>(&self, codes: impl IntoIterator<Item = &'a PileCode>, only: bool) {
        let mut by_code = self.by_code.write();
        let mut locked_out = self.locked_out.lock();
        for code in codes {
            if let Some(known) = by_code.get_mut(code) {
                known.certificate_only = only;
                locked_out.extend(only.then_some(known.pile_no));
            }
        }
    }

    /// The piles whose secrets no longer count since this was asked last.
    pub(crate) fn locked_out(&self) -> Vec<PileNo> {
        std::mem::take(&mut self.locked_out.lock())
    }

    /// Lets a pile in once with a token of [`enrolment::token_from`] before `until`. An earlier token of it is dead.
    pub fn enrol(&self, code: &PileCode, token: &str, until: Timestamp, now: Timestamp) {
        let spelt = enrolment::spelt(token.as_bytes());
        let verifier = spelt.map_or(NOBODY, |token| self.token_mac(code.as_str(), &token).into_bytes().into());
        let mut tokens = self.tokens.lock();
        tokens.retain(|_, token| token.until > now);
        tokens.insert(code.clone(), NextSecret { verifier, until });
    }

    /// Who this is, if what it shows is right. Takes as long for a stranger as for a wrong password, and compares in
    /// constant time. A token that is right is used up; a next secret that is right becomes the only one.
    ///
    /// # Errors
    /// [`Rejected`].
    pub fn verify(&self, code: &str, proof: Proof<'_>, now: Timestamp) -> Result<Verified, Rejected> {
        let Proof::Password(password) = proof else {
            let by_code = self.by_code.read();
            let (code, known) = by_code.get_key_value(code).ok_or(Rejected::Wrong)?;
            return Ok(Verified { pile_no: known.pile_no, code: code.clone(), by: Credential::Certificate });
        };
        let shown = self.mac(code, b"", password);
        let token = enrolment::spelt(password).map(|token| self.token_mac(code, &token));
        let (pile_no, code, by) = self.compare(code, &shown, now)?;
        let by = match by {
            Some(Credential::NextSecret) => self.first_use(&code, &shown).ok_or(Rejected::Wrong)?,
            Some(by) => by,
            None if token.is_some_and(|token| self.use_token(&code, &token, now)) => Credential::Enrolment,
            None => return Err(Rejected::Wrong),
        };
        Ok(Verified { pile_no, code, by })
    }

    /// The pile that is named, and which of its secrets was shown.
    fn compare(
        &self,
        code: &str,
        shown: &CtOutput<Hmac<Sha256>>,
        now: Timestamp,
    ) -> Result<(PileNo, PileCode, Option<Credential>), Rejected> {
        let by_code = self.by_code.read();
        let found = by_code.get_key_value(code);
        let verifier = found.map_or(&NOBODY, |(_, known)| &known.verifier);
        let next = found.and_then(|(_, known)| known.next.as_deref()).filter(|next| now < next.until);
        let (is_secret, is_next) = (is(shown, verifier), is(shown, next.map_or(&NOBODY, |next| &next.verifier)));
        let by = match (is_secret, is_next) {
            (true, _) => Some(Credential::Secret),
            (false, true) => Some(Credential::NextSecret),
            (false, false) => None,
        };
        let (code, known) = found.ok_or(Rejected::Wrong)?;
        if known.certificate_only {
            return Err(Rejected::CertificateOnly);
        }
        Ok((known.pile_no, code.clone(), by))
    }

    /// The next secret was shown: the earlier one dies. `None` when somebody has forgotten it meanwhile.
    fn first_use(&self, code: &PileCode, shown: &CtOutput<Hmac<Sha256>>) -> Option<Credential> {
        let mut by_code = self.by_code.write();
        let known = by_code.get_mut(code)?;
        if known.next.as_deref().is_some_and(|next| is(shown, &next.verifier)) {
            known.take_next();
            return Some(Credential::NextSecret);
        }
        // Another connection of the pile was faster.
        is(shown, &known.verifier).then_some(Credential::Secret)
    }

    fn use_token(&self, code: &PileCode, shown: &CtOutput<Hmac<Sha256>>, now: Timestamp) -> bool {
        let mut tokens = self.tokens.lock();
        let right = tokens.get(code).is_some_and(|token| is(shown, &token.verifier) && now < token.until);
        if right {
            tokens.remove(code);
            // Whoever has the secret it had is perhaps the reason why it enrols.
            if let Some(known) = self.by_code.write().get_mut(code) {
                known.verifier = NOBODY;
            }
        }
        right
    }

    fn token_mac(&self, code: &str, token: &[u8]) -> CtOutput<Hmac<Sha256>> {
        self.mac(code, b"enrolment\0", token)
    }

    /// The code is part of it, so that a verifier copied to another pile's row opens nothing. The zero byte keeps
    /// code and secret apart: no code contains it.
    fn mac(&self, code: &str, kind: &[u8], secret: &[u8]) -> CtOutput<Hmac<Sha256>> {
        let mut mac = self.keyed.clone();
        mac.update(code.as_bytes());
        mac.update(&[0]);
        mac.update(kind);
        mac.update(secret);
        mac.finalize()
    }
}

impl Known {
    fn take_next(&mut self) -> bool {
        self.next.take().is_some_and(|next| {
            self.verifier = next.verifier;
            true
        })
    }
}

/// Compares in constant time.
fn is(shown: &CtOutput<Hmac<Sha256>>, stored: &Verifier) -> bool {
    *shown == CtOutput::new((*stored).into())
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identities").field("piles", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
