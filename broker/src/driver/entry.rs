//! How a connection gets in: who it is, whether it is listened to, whether there is room, and what is odd about it.

use std::{ops::ControlFlow, time::Duration};

use domain::PileCode;

use super::{Reading, Stop};
use crate::{
    attempts::Attempt,
    conn::machine::{Claim, Machine, ReaderClaim},
    guard::{Ban, Storm},
    identity::{Proof, Rejected, Verified},
    mqtt::{read::Password, write::ConnectCode},
    names,
    registry::{Admission, NoSeat, Odd, Seated},
    tls::PileCert,
};

/// Characters of a name that was guessed at that are told.
const GUESSED_LEN_MAX: usize = 44;

impl Reading<'_> {
    pub(super) fn examine(&self, machine: &mut Machine, claim: &Claim<'_>) -> ControlFlow<Stop> {
        let Verified { pile_no, code, by } = match self.identify(claim) {
            Ok(verified) => verified,
            Err(refused) => return ControlFlow::Break(Stop::Refuse(refused)),
        };
        let new = Admission {
            pile_no,
            code: code.clone(),
            by,
            silence_max: self.silence_max(claim.keep_alive_s),
            has_will: claim.has_will,
            keeps_session: !claim.clean_session,
            connects: self.shared.config.limits.connects_per_pile(),
            now: self.now,
        };
        match self.shared.registry.admit(self.conn, new, &self.shared.collector) {
            Ok(Seated { epoch, session, odd }) => {
                let resumed = session.is_some();
                tracing::info!(pile = %code, epoch, peer = %self.conn.peer, resumed, ?by, "pile connected");
                self.odd(&code, odd);
                machine.admit(code);
                self.shared.guard.known(self.conn.peer.ip());
                self.conn.accept(session, self.now);
                ControlFlow::Continue(())
            }
            Err(no_seat @ (NoSeat::Beyond | NoSeat::HeldDown)) => {
                self.shared.guard.was_not_admitted();
                tracing::warn!(pile = %code, pile_no = pile_no.0, ?no_seat, "a known pile is not let in");
                ControlFlow::Break(Stop::Refuse(ConnectCode::ServerUnavailable))
            }
        }
    }

    /// 1.5 times what it asked for.
    fn silence_max(&self, keep_alive_s: u16) -> Duration {
        let keep_alive = match keep_alive_s {
            0 => self.shared.config.keep_alive_max,
            seconds => Duration::from_secs(seconds.into()),
        };
        keep_alive.saturating_mul(3) / 2
    }

    /// An integration shows its secret. Nothing is taken over: connections of one account stand beside each other.
    pub(super) fn examine_reader(&self, machine: &mut Machine, claim: &ReaderClaim<'_>) -> ControlFlow<Stop> {
        let Self { shared, conn, now, .. } = self;
        let refuse = |code| ControlFlow::Break(Stop::Refuse(code));
        let Some(Password(password)) = claim.password else { return refuse(ConnectCode::BadCredentials) };
        if !self.is_listened_to(claim.username) {
            return refuse(ConnectCode::NotAuthorized);
        }
        let accounts = shared.readers.accounts();
        let Some(account) = accounts.verify(&shared.identities, claim.username, password) else {
            self.guessed_wrong(claim.username);
            return refuse(ConnectCode::BadCredentials);
        };
        shared.guard.right(claim.username, conn.peer.ip(), *now);
        if !self.has_room() {
            return refuse(ConnectCode::ServerUnavailable);
        }
        match shared.readers.let_in(shared, conn, &account, self.silence_max(claim.keep_alive_s)) {
            Ok(()) => {
                tracing::info!(user = claim.username, peer = %conn.peer, "integration connected");
                machine.admit_reader();
                shared.guard.known(conn.peer.ip());
                conn.accept(None, *now);
                ControlFlow::Continue(())
            }
            Err(no_seat) => {
                shared.guard.was_not_admitted();
                tracing::warn!(user = claim.username, peer = %conn.peer, ?no_seat, "an integration is not let in");
                refuse(ConnectCode::ServerUnavailable)
            }
        }
    }

    /// Who it is, by its certificate or its secret; else the refusal. A guess never touches the pile's own connection,
    /// and takes nobody's place among those who are let in.
    fn identify(&self, claim: &Claim<'_>) -> Result<Verified, ConnectCode> {
        let proof = match (&self.conn.cert, claim.password) {
            (Some(cert), _) if cert.common_name == claim.code && !cert.is_denied() => Proof::Certificate,
            (Some(cert), _) => return Err(self.of_another(claim.code, cert)),
            (None, None) => return Err(ConnectCode::BadCredentials),
            (None, Some(_)) if !self.is_listened_to(claim.code) => return Err(ConnectCode::NotAuthorized),
            (None, Some(Password(password))) => Proof::Password(password),
        };
        // Before the secret is looked at: a token that is right is used up by that.
        if !self.has_room() {
            return Err(ConnectCode::ServerUnavailable);
        }
        let rejected = match self.shared.identities.verify(claim.code, proof, self.received) {
            Ok(verified) => {
                if self.conn.cert.is_none() {
                    self.shared.guard.right(claim.code, self.conn.peer.ip(), self.now);
                }
                return Ok(verified);
            }
            Err(rejected) => rejected,
        };
        self.shared.guard.was_not_admitted();
        Err(match (rejected, &self.conn.cert) {
            (_, Some(cert)) => self.of_another(claim.code, cert),
            (Rejected::CertificateOnly, None) => {
                tracing::warn!(target: "audit", peer = %self.conn.peer, pile = claim.code, "certificate needed");
                ConnectCode::NotAuthorized
            }
            (Rejected::Wrong, None) => {
                self.guessed_wrong(claim.code);
                ConnectCode::BadCredentials
            }
        })
    }

    /// A certificate that was good at the handshake and is not this pile's, or was revoked since.
    fn of_another(&self, pile: &str, cert: &PileCert) -> ConnectCode {
        let (peer, cn, serial) = (self.conn.peer, &cert.common_name, &cert.serial);
        let why = if cert.is_denied() { "certificate_revoked" } else { "certificate_of_another" };
        tracing::warn!(target: "audit", %peer, pile, cn, %serial, why, "certificate refused");
        self.shared.certificate_refused(peer, why, self.now);
        ConnectCode::NotAuthorized
    }

    /// Whether one more is let in at present.
    fn has_room(&self) -> bool {
        match self.shared.guard.admit(self.now) {
            Ok(()) => true,
            Err(Storm { is_news }) => {
                if is_news {
                    let connections = self.shared.registry.open();
                    tracing::warn!(connections, "more come than are let in at once; they are told to come again");
                    self.shared.attempts.tell(Attempt::Storm { connections }, self.now);
                }
                false
            }
        }
    }

    /// Whether a claim to be `who` is looked at at all.
    fn is_listened_to(&self, who: &str) -> bool {
        let Self { shared, conn, now, .. } = self;
        let may_try = shared.guard.may_try(who, conn.peer.ip(), *now);
        if !may_try {
            shared.meters.banned.increment(1);
            tracing::debug!(peer = %conn.peer, who, "not listened to");
        }
        may_try
    }

    /// A claim to be `who` was wrong.
    fn guessed_wrong(&self, who: &str) {
        let Self { shared, conn, now, .. } = self;
        let from = conn.peer.ip();
        let pile: String = who.chars().take(GUESSED_LEN_MAX).collect();
        tracing::warn!(target: "audit", peer = %conn.peer, pile, "wrong name or secret");
        if let Some(ban) = shared.guard.wrong(who, from, *now) {
            let Ban { whole_address, guesses, lasts } = ban;
            tracing::warn!(target: "audit", %from, pile, whole_address, guesses, ?lasts, "banned");
            metrics::counter!(names::BANS).increment(1);
            shared.attempts.tell(Attempt::Banned { from, pile, whole_address, guesses, lasts }, *now);
        }
    }

    fn odd(&self, code: &PileCode, odd: Option<Odd>) {
        let pile = code.clone();
        let (label, attempt) = match odd {
            None => return,
            Some(Odd::Flapping) => ("flapping", Attempt::Flapping { pile, peer: self.conn.peer }),
            Some(Odd::Clone { first, second }) => ("clone", Attempt::Clone { pile, first, second }),
        };
        metrics::counter!(names::ODD, "what" => label).increment(1);
        tracing::warn!(target: "audit", ?attempt, "odd");
        self.shared.attempts.tell(attempt, self.now);
    }
}
