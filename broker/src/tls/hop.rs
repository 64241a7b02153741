//! A socket that changes its runtime between the handshake and the conversation: the handshake burns CPU away from the
//! hot thread, the conversation must be woken on it.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::tcp::SharedTcp;

/// See the module.
#[derive(Debug)]
pub(crate) struct Hop(Option<SharedTcp>);

impl Hop {
    pub(crate) fn new(socket: TcpStream) -> Self {
        Self(Some(SharedTcp(Arc::new(socket))))
    }

    /// Leaves the runtime it is on.
    pub(crate) fn leave(&mut self) -> io::Result<std::net::TcpStream> {
        let socket = self.0.take().and_then(|shared| Arc::into_inner(shared.0));
        socket.ok_or_else(gone)?.into_std()
    }

    /// Enters the runtime it is called on.
    pub(crate) fn enter(&mut self, socket: std::net::TcpStream) -> io::Result<()> {
        self.0 = Some(SharedTcp(Arc::new(TcpStream::from_std(socket)?)));
        Ok(())
    }

    fn socket(&mut self) -> io::Result<Pin<&mut SharedTcp>> {
        self.0.as_mut().map(Pin::new).ok_or_else(gone)
    }
}

fn gone() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

impl AsyncRead for Hop {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.socket()?.poll_read(cx, buf)
    }
}

impl AsyncWrite for Hop {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.socket()?.poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket()?.poll_shutdown(cx)
    }
}
