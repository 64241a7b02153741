//! The lean driver: one socket, two small buffers, no task of its own. Thousands fit into one process.

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
};

use anyhow::{Context as _, bail, ensure};
use bytes::BytesMut;
use domain::PileCode;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{
    Incoming,
    codec::{self, FromHub},
    socket::{Socket, Trust},
};
use crate::limits;

/// Keep-alive that is announced to the hub, in seconds.
pub const KEEP_ALIVE_S: u16 = 120;

/// A connection of one pile.
#[derive(Debug)]
pub struct Lean {
    stream: Socket,
    input: BytesMut,
    output: Vec<u8>,
    next_id: u16,
    /// Tags of publishes that wait for their PUBACK, with their packet id.
    waiting: VecDeque<(u16, u64)>,
}

impl Lean {
    /// Connects, authenticates and subscribes to the pile's down topics unless `anonymous`.
    ///
    /// # Errors
    /// When the socket, the CONNACK or the SUBACK say no.
    pub async fn open(
        mqtt: SocketAddr,
        source: Option<IpAddr>,
        trust: Option<&Trust>,
        code: &PileCode,
        secret: Option<&str>,
        filters: &[&str],
    ) -> anyhow::Result<Self> {
        timeout(limits::CONNECT_TIMEOUT, Self::handshake(mqtt, source, trust, code, secret, filters))
            .await
            .context("the hub did not answer to CONNECT in time")?
    }

    async fn handshake(
        mqtt: SocketAddr,
        source: Option<IpAddr>,
        trust: Option<&Trust>,
        code: &PileCode,
        secret: Option<&str>,
        filters: &[&str],
    ) -> anyhow::Result<Self> {
        let stream = Socket::open(mqtt, source, trust).await?;
        let mut lean =
            Self { stream, input: BytesMut::new(), output: Vec::new(), next_id: 1, waiting: VecDeque::new() };
        codec::connect(&mut lean.output, code.as_str(), secret, KEEP_ALIVE_S);
        lean.flush().await?;
        match lean.packet().await? {
            FromHub::ConnAck(0) => {}
            FromHub::ConnAck(code) => bail!("refused with CONNACK {code}"),
            other @ (FromHub::SubAck(_) | FromHub::PubAck(_) | FromHub::Publish { .. } | FromHub::PingResp) => {
                bail!("expected CONNACK, got {other:?}")
            }
        }
        if !filters.is_empty() {
            codec::subscribe(&mut lean.output, 1, filters);
            lean.flush().await?;
            lean.expect_suback().await?;
        }
        Ok(lean)
    }

    async fn expect_suback(&mut self) -> anyhow::Result<()> {
        match self.packet().await? {
            FromHub::SubAck(codes) => ensure!(codes.iter().all(|code| *code < 0x80), "SUBSCRIBE refused: {codes:?}"),
            other @ (FromHub::ConnAck(_) | FromHub::PubAck(_) | FromHub::Publish { .. } | FromHub::PingResp) => {
                bail!("expected SUBACK, got {other:?}")
            }
        }
        Ok(())
    }

    async fn packet(&mut self) -> anyhow::Result<FromHub> {
        loop {
            if let Some(packet) = codec::decode(&mut self.input)? {
                return Ok(packet);
            }
            if self.input.capacity() == self.input.len() {
                self.input.reserve(512);
            }
            ensure!(self.stream.read_buf(&mut self.input).await? > 0, "the hub closed the connection");
        }
    }

    /// The next thing the hub says. Cancel-safe.
    ///
    /// # Errors
    /// When the connection is gone or the hub breaks the protocol.
    pub async fn next(&mut self) -> anyhow::Result<Incoming> {
        loop {
            match self.packet().await? {
                FromHub::PubAck(id) => {
                    let at = self.waiting.iter().position(|(waiting, _)| *waiting == id);
                    let found = at.and_then(|at| self.waiting.remove(at));
                    let (_, tag) = found.with_context(|| format!("PUBACK {id} for nothing"))?;
                    return Ok(Incoming::Puback { tag });
                }
                FromHub::Publish { id, topic, payload } => {
                    if let Some(id) = id {
                        codec::puback(&mut self.output, id);
                    }
                    return Ok(Incoming::Publish { topic, payload });
                }
                FromHub::PingResp => {}
                FromHub::ConnAck(_) | FromHub::SubAck(_) => bail!("a second CONNACK or an unasked SUBACK"),
            }
        }
    }

    /// Queues a publish; it leaves with [`Self::flush`].
    pub fn publish(&mut self, tag: u64, qos1: bool, topic: &str, payload: &[u8]) {
        let id = qos1.then(|| {
            let id = self.next_id;
            self.next_id = self.next_id.checked_add(1).unwrap_or(1);
            self.waiting.push_back((id, tag));
            id
        });
        codec::publish(&mut self.output, topic, id, payload);
    }

    /// Queues a ping.
    pub fn ping(&mut self) {
        codec::ping(&mut self.output);
    }

    /// Writes everything that is queued. Not cancel-safe: run it to its end.
    ///
    /// # Errors
    /// When the socket does not take it in time.
    pub async fn flush(&mut self) -> anyhow::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        let writing = async {
            self.stream.write_all(&self.output).await?;
            self.stream.flush().await
        };
        timeout(limits::WRITE_TIMEOUT, writing).await.context("the hub does not read")??;
        self.output.clear();
        self.output.shrink_to(1024);
        Ok(())
    }

    /// The plain socket itself, once nothing is queued on either side: for callers that write frames of their own.
    #[must_use]
    pub fn into_plain(self) -> Option<TcpStream> {
        match self.stream {
            Socket::Plain(stream) => Some(stream),
            Socket::Tls(_) => None,
        }
    }

    /// Says goodbye.
    pub async fn close(mut self) {
        codec::disconnect(&mut self.output);
        // The hub may be gone already; then there is nobody to say goodbye to.
        let _ = self.flush().await;
    }
}
