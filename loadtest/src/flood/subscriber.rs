//! One subscriber to everything, so that a plain broker has somebody to forward to.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
};

use anyhow::{Context as _, bail};
use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::AbortHandle,
    time::timeout,
};

use super::conn::Totals;
use crate::{
    client::codec::{self, FromHub},
    limits,
};

/// Connects anonymously and counts what arrives.
pub(super) async fn start(mqtt: SocketAddr, qos: u8, totals: Arc<Totals>) -> anyhow::Result<AbortHandle> {
    let mut stream = TcpStream::connect(mqtt).await?;
    stream.set_nodelay(true)?;
    let mut output = Vec::new();
    codec::connect(&mut output, "flood-subscriber", None, 0);
    codec::subscribe_at(&mut output, 1, &["pile/#"], qos);
    stream.write_all(&output).await?;
    let mut input = BytesMut::with_capacity(64 * 1024);
    let ready = async {
        loop {
            match codec::decode(&mut input)? {
                Some(FromHub::SubAck(codes)) if codes.iter().all(|code| *code < 0x80) => return Ok(()),
                Some(FromHub::ConnAck(0)) => {}
                Some(other) => bail!("the subscriber was refused: {other:?}"),
                None => anyhow::ensure!(stream.read_buf(&mut input).await? > 0, "the subscriber was cut off"),
            }
        }
    };
    timeout(limits::CONNECT_TIMEOUT, ready).await.context("no SUBACK for the subscriber")??;
    Ok(tokio::spawn(Box::pin(count(stream, input, totals))).abort_handle())
}

async fn count(mut stream: TcpStream, mut input: BytesMut, totals: Arc<Totals>) {
    let mut acks = Vec::new();
    loop {
        loop {
            match codec::decode(&mut input) {
                Ok(Some(FromHub::Publish { id, .. })) => {
                    totals.received.fetch_add(1, Ordering::Relaxed);
                    if let Some(id) = id {
                        codec::puback(&mut acks, id);
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
        if stream.write_all(&acks).await.is_err() {
            return;
        }
        acks.clear();
        input.reserve(16 * 1024);
        if !matches!(stream.read_buf(&mut input).await, Ok(n) if n > 0) {
            return;
        }
    }
}
