//! The simulator's HTTP side: routes calls to the channel they are for, and lets a person play the driver.
//!
//! `POST /sim/pay/{no}?fault=…` pays and tells the hub; `POST /sim/behave?refunds=…` changes what refunds come to;
//! `GET /sim/bills/{channel}?day=2026-11-21` gives out a bill.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, Response, body::Incoming, header, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

use super::{Channel, PaySim, RefundMode, Signer, alipay, seconds_away, wechat};
use crate::limits::{HTTP_BODY_LEN_MAX, PAY_CONNECTIONS_MAX};

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
}

impl Reply {
    fn text(status: u16, text: impl Into<String>) -> Self {
        let body = text.into().into_bytes();
        Self { status, headers: Vec::new(), content_type: "text/plain; charset=utf-8", body }
    }
}

/// Takes connections for as long as the runtime lives.
pub(super) async fn serve(listener: TcpListener, sim: PaySim) {
    let seats = Arc::new(Semaphore::new(PAY_CONNECTIONS_MAX));
    loop {
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let sim = sim.clone();
                tokio::spawn(async move {
                    serve_one(stream, sim).await;
                    drop(seat);
                });
            }
            Err(error) => tracing::debug!(%error, "the simulator could not accept a connection"),
        }
    }
}

async fn serve_one(stream: TcpStream, sim: PaySim) {
    let service = service_fn(move |request| {
        let sim = sim.clone();
        async move { answer(sim, request).await }
    });
    if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection to the simulator ended");
    }
}

/// A lost answer: the connection closes without one.
#[derive(Debug)]
struct Lost;

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the answer is lost")
    }
}

impl std::error::Error for Lost {}

async fn answer(sim: PaySim, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Lost> {
    let reply = match take(&sim, request).await {
        Ok(Some(reply)) => reply,
        Ok(None) => return Err(Lost),
        Err(error) => Reply::text(400, format!("{error:#}")),
    };
    let mut response = Response::builder().status(reply.status).header(header::CONTENT_TYPE, reply.content_type);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(Full::new(Bytes::from(reply.body))).map_err(|_| Lost)
}

async fn take(sim: &PaySim, request: Request<Incoming>) -> anyhow::Result<Option<Reply>> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, HTTP_BODY_LEN_MAX).collect().await.map_err(|error| anyhow::anyhow!("{error}"))?;
    let body = body.to_bytes();
    let path = head.uri.path_and_query().map_or_else(|| head.uri.path().to_owned(), |path| path.as_str().to_owned());
    if head.uri.path() == "/gateway.do" {
        return alipay::take(sim, &body);
    }
    if head.uri.path().starts_with("/v3/") {
        return wechat::take(sim, &head.method, &path, &head.headers, &body);
    }
    let query = form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    by_hand(sim, head.uri.path(), &query).await.map(Some)
}

/// What a person asks for.
async fn by_hand(sim: &PaySim, path: &str, query: &BTreeMap<String, String>) -> anyhow::Result<Reply> {
    let text = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    let mut steps = path.trim_start_matches('/').split('/').skip(1);
    match (steps.next(), steps.next()) {
        (Some("pay"), Some(no)) => {
            let fault = Fault::of(text("fault"))
                .context("fault is one of drop, repeat, twice, delay, forge, misprice, stale")?;
            pay_with(sim, no, fault).await
        }
        (Some("behave"), None) => {
            let mode = refund_mode(text("refunds"))
                .context("refunds is one of succeed, process, refuse, lose-answer, lose-call")?;
            sim.behave(|behaviour| behaviour.refunds = mode);
            Ok(Reply::text(200, format!("{mode:?}\n")))
        }
        (Some("bills"), Some(channel)) => {
            let channel = Channel::of(channel).context("a channel is wechat or alipay")?;
            let body = sim.bill(channel, text("day"))?.into_bytes();
            Ok(Reply { status: 200, headers: Vec::new(), content_type: "text/csv; charset=utf-8", body })
        }
        _ => Ok(Reply::text(404, "POST /sim/pay/{no}, POST /sim/behave, GET /sim/bills/{channel}\n")),
    }
}

/// What goes wrong with a callback.
#[derive(Debug, Clone, Copy)]
enum Fault {
    None,
    /// It never comes.
    Drop,
    /// It comes three times.
    Repeat,
    /// The driver pays twice, and the second is told first.
    Twice,
    /// It comes late.
    Delay,
    /// Somebody else signs it.
    Forge,
    /// It tells of another sum.
    Misprice,
    /// It was signed long ago.
    Stale,
}

impl Fault {
    fn of(text: &str) -> Option<Self> {
        Some(match text {
            "" => Self::None,
            "drop" => Self::Drop,
            "repeat" => Self::Repeat,
            "twice" => Self::Twice,
            "delay" => Self::Delay,
            "forge" => Self::Forge,
            "misprice" => Self::Misprice,
            "stale" => Self::Stale,
            _ => return None,
        })
    }
}

fn refund_mode(text: &str) -> Option<RefundMode> {
    Some(match text {
        "succeed" => RefundMode::Succeed,
        "process" => RefundMode::Process,
        "refuse" => RefundMode::Refuse,
        "lose-answer" => RefundMode::LoseAnswer,
        "lose-call" => RefundMode::LoseCall,
        _ => return None,
    })
}

async fn pay_with(sim: &PaySim, no: &str, fault: Fault) -> anyhow::Result<Reply> {
    const LATE: Duration = Duration::from_secs(30);
    const LONG_AGO_S: i64 = -100_000;
    let mut tellings = vec![sim.telling(no, &sim.pay(no)?)?];
    match fault {
        Fault::None => {}
        Fault::Drop => tellings.clear(),
        Fault::Repeat => tellings = tellings.iter().cycle().take(3).cloned().collect(),
        Fault::Twice => tellings.insert(0, sim.telling(no, &sim.pay_again(no)?)?),
        Fault::Delay => tokio::time::sleep(LATE).await,
        Fault::Forge => tellings.iter_mut().for_each(|telling| telling.signer = Signer::Stranger),
        Fault::Misprice => tellings.iter_mut().for_each(|telling| telling.fen = telling.fen.saturating_add(1)),
        Fault::Stale => tellings.iter_mut().for_each(|telling| telling.signed_at = seconds_away(LONG_AGO_S)),
    }
    let mut told = String::new();
    for telling in &tellings {
        let (status, body) = sim.send(&sim.callback(telling)?).await?;
        told.push_str(&format!("{} {status} {body}\n", telling.transaction_id));
    }
    Ok(Reply::text(200, told))
}
