//! `Idempotency-Key` [CONTRACT 3]: a call with an effect is done once, whatever the network does to its answer.
//!
//! The answer is stored in the same commit as the effect, so the key survives a crash. Effects run in tasks of their
//! own: a client that hangs up does not cut one in half. Refusals have no effect and are not stored: the same call may
//! succeed later. The key belongs to the caller and the path.

use std::{collections::HashMap, sync::Arc};

use actors::api::Once;
use axum::{
    body::{Bytes, to_bytes},
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use domain::{Timestamp, UserId};
use parking_lot::Mutex;
use serde::{Serialize, de::DeserializeOwned};
use settlement::order::Order;
use sha2::{Digest, Sha256};
use store::money::OnceRow;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    answer::Answer,
    problem::{Code, Problem},
    state::App,
};
use crate::limits::{CALLS_RUNNING_MAX, IDEMPOTENCY_KEY_LEN_MAX};

/// How the paths end whose bodies may be as large as an import.
const IMPORT_PATHS: [&str; 2] = ["/piles/import", "/bills"];

/// A call with an effect, its body read.
#[derive(Debug)]
pub(crate) struct Call {
    key: Option<String>,
    /// Method and path.
    path: String,
    fingerprint: [u8; 32],
    body: Bytes,
}

impl FromRequest<App> for Call {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let key = key_of(request.headers())?;
        let path = format!("{} {}", request.method(), request.uri().path());
        let query = request.uri().query().map(str::to_owned);
        let limits = &app.config.limits;
        let is_import = IMPORT_PATHS.iter().any(|end| path.ends_with(end));
        let max = if is_import { limits.http_import_bytes_max } else { limits.http_body_bytes_max };
        let body = read_body(request, usize::try_from(max).unwrap_or(usize::MAX)).await?;
        Ok(Self { key, path, fingerprint: fingerprint(query.as_deref(), &body), body })
    }
}

impl Call {
    /// The name under which the call's answer is kept, when it has a key.
    pub(crate) fn key_of(&self, caller: &UserId) -> Option<OnceKey> {
        let key = self.key.clone()?;
        Some(OnceKey { caller: caller.clone(), path: self.path.clone(), key, fingerprint: self.fingerprint })
    }
}

/// Of what is asked: the body, and the query if there is one.
fn fingerprint(query: Option<&str>, body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    if let Some(query) = query {
        hash.update(query);
        hash.update([0]);
    }
    hash.update(body);
    hash.finalize().into()
}

fn key_of(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    if (1..=IDEMPOTENCY_KEY_LEN_MAX).contains(&text.len()) {
        return Ok(Some(text.to_owned()));
    }
    let rule = format!("must be 1 to {IDEMPOTENCY_KEY_LEN_MAX} visible ASCII characters");
    Err(Problem::invalid("Idempotency-Key", text, rule))
}

/// Reads a body of at most `max` bytes; one that says it is longer is refused unread.
pub(crate) async fn read_body(request: Request, max: usize) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(Code::BodyTooLarge, format!("the body is larger than {max} bytes"));
    let claimed = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if claimed.is_some_and(|claimed: usize| claimed > max) {
        return Err(too_large());
    }
    to_bytes(request.into_body(), max).await.map_err(|_| too_large())
}

/// Names an idempotent call that is being done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OnceKey {
    caller: UserId,
    path: String,
    key: String,
    fingerprint: [u8; 32],
}

impl OnceKey {
    /// The row to store with the effect.
    pub(crate) fn row(&self, answer: &Answer, at: Timestamp) -> OnceRow {
        OnceRow {
            caller: self.caller.clone(),
            path: self.path.clone(),
            key: self.key.clone(),
            fingerprint: self.fingerprint,
            status: answer.status.as_u16(),
            body: answer.body.clone(),
            at,
        }
    }

    /// For effects whose answer is known only with the stored order.
    pub(crate) fn with(self, answer: fn(&Order) -> Answer) -> Once {
        Once {
            caller: self.caller,
            path: self.path,
            key: self.key,
            fingerprint: self.fingerprint,
            answer: Box::new(move |order| {
                let answer = answer(order);
                (answer.status.as_u16(), answer.body)
            }),
        }
    }

    /// What makes this call different from any other, as bytes to derive from.
    pub(crate) fn seed(&self) -> Vec<u8> {
        [self.caller.as_str().as_bytes(), self.path.as_bytes(), self.key.as_bytes(), &self.fingerprint].join(&0)
    }
}

/// Puts back what a stored answer must not have: secrets, derived again from the call. An answer that is given for the
/// first time has them.
pub(crate) fn refilled<T: Serialize + DeserializeOwned>(
    answer: Answer,
    key: Option<&OnceKey>,
    fill: impl FnOnce(&mut T, &[u8]),
) -> Answer {
    let Some(key) = key.filter(|_| answer.is_replayed()) else { return answer };
    let Ok(mut view) = serde_json::from_str::<T>(&answer.body) else { return answer };
    fill(&mut view, &key.seed());
    let body = serde_json::to_string(&view).unwrap_or_default();
    answer.with_body(body)
}

/// The calls that are running in this process.
#[derive(Debug)]
pub(crate) struct Calls {
    keys: Mutex<HashMap<(UserId, String, String), [u8; 32]>>,
    seats: Arc<Semaphore>,
}

impl Default for Calls {
    fn default() -> Self {
        Self { keys: Mutex::default(), seats: Arc::new(Semaphore::new(CALLS_RUNNING_MAX)) }
    }
}

impl Calls {
    /// Waits until no call is running. Later ones are refused.
    pub(crate) async fn drain(&self) {
        let all = u32::try_from(CALLS_RUNNING_MAX).unwrap_or(u32::MAX);
        if self.seats.acquire_many(all).await.is_ok() {
            self.seats.close();
        }
    }

    fn enter(self: &Arc<Self>, key: Option<&OnceKey>) -> Result<Running, Problem> {
        let busy = |_| Problem::new(Code::TooManyRequests, "too many calls are running");
        let seat = Arc::clone(&self.seats).try_acquire_owned().map_err(busy)?;
        let name = key.map(|key| (key.caller.clone(), key.path.clone(), key.key.clone()));
        if let (Some(name), Some(key)) = (&name, key) {
            let mut keys = self.keys.lock();
            match keys.get(name) {
                Some(other) if *other != key.fingerprint => return Err(reused()),
                Some(_) => {
                    return Err(Problem::new(Code::RequestInProgress, "a call with this Idempotency-Key is running"));
                }
                None => keys.insert(name.clone(), key.fingerprint),
            };
        }
        Ok(Running { calls: Arc::clone(self), name, _seat: seat })
    }
}

/// A running call; its end frees the key, a panic too.
#[derive(Debug)]
struct Running {
    calls: Arc<Calls>,
    name: Option<(UserId, String, String)>,
    _seat: OwnedSemaphorePermit,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            self.calls.keys.lock().remove(name);
        }
    }
}

fn reused() -> Problem {
    Problem::new(Code::IdempotencyKeyReused, "this Idempotency-Key was used for a call with another body")
}

/// Does a call's effect once. `effect` gets the key to store its answer with, and the body.
pub(crate) async fn once<F, Fut>(app: &App, caller: &UserId, call: Call, effect: F) -> Result<Answer, Problem>
where
    F: FnOnce(Option<OnceKey>, Bytes) -> Fut + Send + 'static,
    Fut: Future<Output = Result<Answer, Problem>> + Send + 'static,
{
    let key = call.key_of(caller);
    let body = call.body;
    let running = app.calls.enter(key.as_ref())?;
    let app = app.clone();
    let task = tokio::spawn(async move {
        let _running = running;
        let Some(key) = key else { return effect(None, body).await };
        if let Some(answer) = stored(&app, &key).await? {
            return Ok(answer);
        }
        match effect(Some(key.clone()), body).await {
            // The commit may have landed although its answer was lost: the stored answer decides.
            Err(problem) if matches!(problem.code, Code::StoreUnavailable | Code::IdempotencyKeyReused) => {
                stored(&app, &key).await?.ok_or(problem)
            }
            done => done,
        }
    });
    task.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a call with an effect panicked");
        Err(Problem::new(Code::Internal, ""))
    })
}

async fn stored(app: &App, key: &OnceKey) -> Result<Option<Answer>, Problem> {
    match app.money.once(&key.caller, &key.path, &key.key).await? {
        Some(row) if row.fingerprint == key.fingerprint => Ok(Some(Answer::stored(row))),
        Some(_) => Err(reused()),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(caller: &str, path: &str, key: &str, body: u8) -> OnceKey {
        let caller = UserId::parse(caller).unwrap();
        OnceKey { caller, path: path.to_owned(), key: key.to_owned(), fingerprint: [body; 32] }
    }

    #[test]
    fn a_key_belongs_to_caller_and_path_and_is_free_after_the_call() {
        let calls = Arc::new(Calls::default());
        let first = calls.enter(Some(&key("anna", "POST /orders", "k", 1))).unwrap();
        for (other, code) in [
            (key("anna", "POST /orders", "k", 1), Some(Code::RequestInProgress)),
            (key("anna", "POST /orders", "k", 2), Some(Code::IdempotencyKeyReused)),
            (key("anna", "POST /orders", "l", 1), None),
            (key("anna", "POST /wallet/topups", "k", 2), None),
            (key("bert", "POST /orders", "k", 2), None),
        ] {
            assert_eq!(calls.enter(Some(&other)).err().map(|problem| problem.code), code, "{other:?}");
        }
        drop(first);
        assert!(calls.enter(Some(&key("anna", "POST /orders", "k", 2))).is_ok());
    }

    #[tokio::test]
    async fn after_draining_no_call_is_taken() {
        let calls = Arc::new(Calls::default());
        drop(calls.enter(None).unwrap());
        calls.drain().await;
        assert_eq!(calls.enter(None).unwrap_err().code, Code::TooManyRequests);
    }
}
