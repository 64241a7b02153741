//! Changes of piles' secrets: who has a next one, when it is pushed, when the earlier one dies.
//!
//! A secret is never kept: it is derived again from the master key and the name of the change whenever it is sent; the
//! store has its verifier. What piles do is noted by the hot thread, which waits for nothing ([`Credentials::linked`],
//! [`Credentials::answered`]), and worked off by one task beside it ([`Credentials::run`]). In memory the earlier secret
//! dies with the login itself, in [`Identities`]; a crash before that is stored leaves both good until the next login.

mod book;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actors::{Handle, api::PileLink};
use broker::{Credential, Identities, NextSecret};
use domain::{
    AckToken, Clock, CommandId, Millis, PileCode, PileNo, Timestamp, UserId,
    command::{Command, CommandKind, PileSecret},
    wire::{AckResult, CommandAck},
};
use parking_lot::Mutex;
use serde_json::json;
use store::{
    failpoint,
    money::{Commit, CommitOutcome, Money, StoreError, Write},
    registry::{AuditRow, Rotation, RotationEnd},
};
use tokio::{
    sync::{MutexGuard, Notify},
    time::sleep,
};

use self::book::Book;
use crate::{
    ids::new_id,
    keys::Keys,
    limits::{ROTATION_S, ROTATIONS_PER_COMMIT_MAX},
    links::ToPiles,
};

/// How often ends, and what could not be done before, are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What changes of secrets need of the hub.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) keys: Keys,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) money: Arc<dyn Money>,
    pub(crate) identities: Arc<Identities>,
    pub(crate) actors: Handle,
    pub(crate) piles: Arc<ToPiles>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Credentials {
    parts: Parts,
    /// Held while a change begins or ends, until memory says what the store says.
    changing: tokio::sync::Mutex<()>,
    book: Mutex<Book>,
    /// What the hot thread saw, one entry per pile however often it comes.
    news: Mutex<HashMap<PileNo, News>>,
    wake: Notify,
    /// A commit may have landed or not: the store is read before anything else is done.
    doubtful: AtomicBool,
}

/// What the hot thread saw of a pile.
#[derive(Debug, Default)]
struct News {
    /// It came in with a token.
    enrolled: bool,
    /// It connected.
    linked: bool,
    /// Its last answer.
    answer: Option<CommandAck>,
    /// The receipts of its answers.
    tokens: Vec<AckToken>,
}

/// A change that may begin: nothing else changes a secret meanwhile.
#[derive(Debug)]
pub(crate) struct Beginning<'a> {
    credentials: &'a Credentials,
    code: PileCode,
    rotation: Rotation,
    _changing: MutexGuard<'a, ()>,
}

impl Credentials {
    /// Knows the changes that are under way and finishes those whose time is over. Piles are in `identities` already.
    pub(crate) async fn open(parts: Parts) -> Result<Arc<Self>, StoreError> {
        let new = Self {
            parts,
            changing: tokio::sync::Mutex::default(),
            book: Mutex::default(),
            news: Mutex::default(),
            wake: Notify::new(),
            doubtful: AtomicBool::new(false),
        };
        new.read_back().await?;
        new.work().await;
        Ok(Arc::new(new))
    }

    // The hot thread --------------------------------------------------------------------------------------------

    /// A pile has connected.
    pub(crate) fn linked(&self, pile_no: PileNo, by: Credential) {
        let enrolled = by == Credential::Enrolment;
        if enrolled || self.book.lock().has(pile_no) {
            self.note(pile_no, |news| {
                news.linked = true;
                news.enrolled |= enrolled;
            });
        }
    }

    /// A pile has answered a command; `false` when it was not its next secret. The frame is acknowledged when what
    /// follows from it is stored.
    pub(crate) fn answered(&self, pile_no: PileNo, ack: &CommandAck, token: Option<AckToken>) -> bool {
        let is_ours = self.book.lock().is_named(pile_no, &ack.command_id);
        if is_ours {
            self.note(pile_no, |news| {
                news.answer = Some(ack.clone());
                news.tokens.extend(token);
            });
        }
        is_ours
    }

    fn note(&self, pile_no: PileNo, change: impl FnOnce(&mut News)) {
        change(self.news.lock().entry(pile_no).or_default());
        self.wake.notify_one();
    }

    // HTTP ------------------------------------------------------------------------------------------------------

    /// Until when the next secret of a pile is good, if it has one.
    pub(crate) fn until(&self, pile_no: PileNo) -> Option<Timestamp> {
        self.book.lock().until(pile_no)
    }

    /// A change of a pile's secret, to be committed by the caller with its own rows; `None` when one is under way.
    pub(crate) async fn begin(&self, pile_no: PileNo, code: &PileCode) -> anyhow::Result<Option<Beginning<'_>>> {
        let changing = self.changing.lock().await;
        if self.book.lock().has(pile_no) {
            return Ok(None);
        }
        let rotation = self.rotation(pile_no, code)?;
        Ok(Some(Beginning { credentials: self, code: code.clone(), rotation, _changing: changing }))
    }

    fn rotation(&self, pile_no: PileNo, code: &PileCode) -> anyhow::Result<Rotation> {
        let Parts { keys, clock, identities, .. } = &self.parts;
        let now = clock.now();
        // It is the id of the command too, and without a hyphen nobody takes it for one of an order.
        let rotation_id = CommandId::parse(&new_id("S", now)?)?;
        let verifier = identities.verifier_of(code, &keys.next_secret(&rotation_id, code));
        let until = now.plus(Millis::from_secs(ROTATION_S));
        Ok(Rotation { pile_no, rotation_id, verifier, until, accepted: false })
    }

    // The task --------------------------------------------------------------------------------------------------

    /// Works off what the hot thread noted and what time brings, for ever.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            let in_doubt = self.doubtful.load(Ordering::Relaxed);
            let idle = !in_doubt && self.book.lock().is_empty() && self.news.lock().is_empty();
            tokio::select! {
                () = self.wake.notified() => {}
                () = sleep(LOOK_EVERY), if !idle => {}
            }
            self.work().await;
        }
    }

    async fn work(&self) {
        let _changing = self.changing.lock().await;
        if self.doubtful.load(Ordering::Relaxed) {
            match self.read_back().await {
                Ok(()) => self.doubtful.store(false, Ordering::Relaxed),
                Err(error) => return tracing::debug!(%error, "changes of secrets wait for the store"),
            }
        }
        let news = std::mem::take(&mut *self.news.lock());
        let (mut accepted, mut tokens) = (Vec::new(), Vec::new());
        for (pile_no, mut news) in news {
            let mut theirs = std::mem::take(&mut news.tokens);
            match self.hear(pile_no, news) {
                Some(rotation) => accepted.push((rotation, theirs)),
                None => tokens.append(&mut theirs),
            }
        }
        self.parts.piles.stored(&mut tokens);
        self.look_at_ends();
        self.store_accepted(accepted).await;
        self.store_ends().await;
        self.store_enrolments().await;
        self.send();
    }

    /// Takes down what was seen of a pile; its rotation when it has said for the first time that it took the secret.
    fn hear(&self, pile_no: PileNo, news: News) -> Option<Rotation> {
        let mut book = self.book.lock();
        if news.enrolled {
            book.to_enrol.insert(pile_no, None);
        }
        let running = book.running_mut(pile_no)?;
        if news.linked {
            // With a login by the next secret the earlier one has died.
            if !self.parts.identities.has_next(&running.code) {
                book.end(pile_no, RotationEnd::Taken);
                return None;
            }
            book.to_send.insert(pile_no);
        }
        let answer = news.answer?;
        let running = book.running_mut(pile_no)?;
        match answer.result {
            AckResult::Accepted if answer.command_id == running.rotation.rotation_id && !running.rotation.accepted => {
                Some(running.rotation.clone())
            }
            AckResult::Accepted => None,
            AckResult::Rejected => {
                let (code, why) = (answer.code.unwrap_or_default(), answer.message.unwrap_or_default());
                tracing::warn!(pile = %running.code, code, why, "the pile refuses its next secret");
                None
            }
        }
    }

    /// Decides about the changes whose time is over: the pile's word counts, else the earlier secret stays.
    fn look_at_ends(&self) {
        let now = self.parts.clock.now();
        let mut book = self.book.lock();
        for pile_no in book.due(now) {
            let Some(running) = book.running_mut(pile_no) else { continue };
            // Whoever came in with the next secret a moment ago has decided it.
            let lapses = !running.rotation.accepted && self.parts.identities.drop_next(&running.code);
            book.end(pile_no, if lapses { RotationEnd::Lapsed } else { RotationEnd::Taken });
        }
    }

    async fn store_accepted(&self, mut accepted: Vec<(Rotation, Vec<AckToken>)>) {
        for some in accepted.chunks_mut(ROTATIONS_PER_COMMIT_MAX) {
            let write = |one: &Rotation| Write::RotationAccepted(one.pile_no, one.rotation_id.clone());
            if !self.commit(some.iter().map(|(one, _)| write(one)).collect()).await {
                // Not acknowledged either: the pile says it again.
                return;
            }
            let mut tokens = Vec::new();
            let mut book = self.book.lock();
            for (one, theirs) in some {
                if let Some(running) = book.running_mut(one.pile_no) {
                    running.rotation.accepted = true;
                }
                tokens.append(theirs);
            }
            drop(book);
            self.parts.piles.stored(&mut tokens);
        }
    }

    async fn store_ends(&self) {
        let (taken, lapsed): (Vec<_>, Vec<_>) =
            self.book.lock().ending().into_iter().partition(|(_, end)| *end == RotationEnd::Taken);
        let now = self.parts.clock.now();
        for some in taken.chunks(ROTATIONS_PER_COMMIT_MAX) {
            let writes = some.iter().flat_map(|(running, end)| {
                let Rotation { pile_no, rotation_id, .. } = &running.rotation;
                let audit = audit(&running.code, now, "PILE_SECRET_CHANGED").map(|row| Write::Audit(Box::new(row)));
                [Some(Write::RotationOver(*pile_no, rotation_id.clone(), *end)), audit].into_iter().flatten()
            });
            failpoint::hit("secret.used");
            if !self.commit(writes.collect()).await {
                return;
            }
            for (running, _) in some {
                self.parts.identities.take_next(&running.code);
                self.book.lock().forget(running.rotation.pile_no);
                self.parts.actors.secret_taken(&running.code).await;
                tracing::info!(pile = %running.code, "the pile has its next secret, the earlier one is dead");
            }
        }
        for (running, end) in lapsed {
            let Rotation { pile_no, rotation_id, .. } = &running.rotation;
            let mut with = vec![Write::RotationOver(*pile_no, rotation_id.clone(), end)];
            with.extend(audit(&running.code, now, "PILE_SECRET_LAPSED").map(|row| Write::Audit(Box::new(row))));
            match self.parts.actors.secret_not_taken(&running.code, with).await {
                Ok(()) => {
                    self.book.lock().forget(*pile_no);
                    tracing::warn!(pile = %running.code, "the pile never used its next secret, the earlier one stays");
                }
                Err(error) => {
                    tracing::debug!(%error, "the end of a change waits for the store");
                    return self.doubtful.store(true, Ordering::Relaxed);
                }
            }
        }
    }

    /// A pile that came in with a token gets a secret, in place of one that may be on its way.
    async fn store_enrolments(&self) {
        let to_enrol: Vec<_> = self.book.lock().to_enrol.iter().map(|(no, begun)| (*no, begun.clone())).collect();
        for (pile_no, begun) in to_enrol {
            let Some(code) = self.parts.actors.code_of(pile_no) else { continue };
            let rotation = match begun.map_or_else(|| self.rotation(pile_no, &code), Ok) {
                Ok(rotation) => rotation,
                Err(error) => return tracing::error!(%error, "no secret can be made"),
            };
            let replaces = {
                let mut book = self.book.lock();
                // The same again when its commit fails: it may have landed.
                book.to_enrol.insert(pile_no, Some(rotation.clone()));
                book.running_mut(pile_no).map(|running| running.rotation.rotation_id.clone())
            };
            let row = audit(&code, self.parts.clock.now(), "PILE_ENROLLED").map(|row| Write::Audit(Box::new(row)));
            let replaces = replaces.filter(|replaced| *replaced != rotation.rotation_id);
            let begin = Write::Rotation(Box::new(rotation.clone()), replaces);
            if !self.commit([Some(begin), row].into_iter().flatten().collect()).await {
                return;
            }
            self.book.lock().to_enrol.remove(&pile_no);
            self.enter(code, rotation);
        }
    }

    /// Pushes next secrets to piles that are connected; the others get theirs with their next link.
    fn send(&self) {
        let Parts { keys, clock, piles, .. } = &self.parts;
        let now = clock.now();
        let to_send = std::mem::take(&mut self.book.lock().to_send);
        for pile_no in to_send {
            let Some((code, rotation)) = self.book.lock().pushed_to(pile_no) else { continue };
            let secret = PileSecret(keys.next_secret(&rotation.rotation_id, &code));
            let command = Command {
                command_id: rotation.rotation_id,
                kind: CommandKind::SetSecret { secret },
                expires_at: Some(rotation.until),
            };
            if !piles.send_command(pile_no, &code, &command, now) && piles.is_connected(pile_no) {
                // Too much waits for it already: a little later.
                self.book.lock().to_send.insert(pile_no);
            }
        }
    }

    // Helpers ---------------------------------------------------------------------------------------------------

    /// A change is stored: the next secret is good and on its way.
    fn enter(&self, code: PileCode, rotation: Rotation) {
        failpoint::hit("secret.begun");
        self.parts.identities.set_next(&code, NextSecret { verifier: rotation.verifier, until: rotation.until });
        self.book.lock().enter(code, rotation);
        self.wake.notify_one();
    }

    /// Makes memory say what the store says.
    async fn read_back(&self) -> Result<(), StoreError> {
        let stored = self.parts.money.rotations().await?;
        for gone in self.book.lock().without(&stored) {
            // Its end was decided and is stored, although nobody said so.
            match gone.end {
                Some(RotationEnd::Taken) => self.parts.identities.take_next(&gone.code),
                Some(RotationEnd::Lapsed) | None => self.parts.identities.drop_next(&gone.code),
            };
        }
        for rotation in stored {
            let known = self.book.lock().is_named(rotation.pile_no, &rotation.rotation_id);
            if let Some(code) = self.parts.actors.code_of(rotation.pile_no).filter(|_| !known) {
                self.enter(code, rotation);
            }
        }
        Ok(())
    }

    async fn commit(&self, writes: Vec<Write>) -> bool {
        match self.parts.money.commit(Commit { writes }).await {
            CommitOutcome::Applied => true,
            not @ (CommitOutcome::Conflict(_) | CommitOutcome::Unavailable(_) | CommitOutcome::Unknown(_)) => {
                tracing::debug!(?not, "a change of a secret waits for the store");
                self.doubtful.store(true, Ordering::Relaxed);
                false
            }
        }
    }
}

impl Beginning<'_> {
    /// What to commit.
    pub(crate) fn write(&self) -> Write {
        Write::Rotation(Box::new(self.rotation.clone()), None)
    }

    /// Until when both secrets are good.
    pub(crate) const fn until(&self) -> Timestamp {
        self.rotation.until
    }

    /// It is committed.
    pub(crate) fn stored(self) {
        self.credentials.enter(self.code, self.rotation);
    }

    /// Nobody knows whether it is committed: the store will be asked.
    pub(crate) fn in_doubt(self) {
        self.credentials.doubtful.store(true, Ordering::Relaxed);
        self.credentials.wake.notify_one();
    }
}

/// The row that says what a pile did, without any of its secrets.
fn audit(code: &PileCode, at: Timestamp, action: &str) -> Option<AuditRow> {
    let actor = UserId::parse(code.as_str()).ok()?;
    let (role, target, detail) = ("pile".to_owned(), code.to_string(), json!({}).to_string());
    Some(AuditRow { at, actor, role, address: None, action: action.to_owned(), target, detail })
}
