//! Plain TCP: one socket shared by the connection's task, which reads, and by whoever has something to send.
//!
//! No second file descriptor: the process has only so many.

use std::{
    io,
    net::Shutdown,
    os::fd::AsFd,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
};

/// A socket that may be written from any thread.
#[derive(Debug, Clone)]
pub(crate) struct SharedTcp(pub(crate) Arc<TcpStream>);

impl AsyncRead for SharedTcp {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            match read_once(&self.0, buf.initialize_unfilled()) {
                Ok(len) => {
                    buf.advance(len);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

/// Reads, and when the socket gave less than there is room for, takes it as drained. That spares the second `recv` per
/// frame which would only say so: the next bytes make a new event (edge-triggered epoll).
fn read_once(tcp: &TcpStream, room: &mut [u8]) -> io::Result<usize> {
    let mut drained = None;
    let read = tcp.try_io(Interest::READABLE, || {
        let len = tcp.try_read(room)?;
        if len > 0 && len < room.len() {
            drained = Some(len);
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(len)
    });
    drained.map_or(read, Ok)
}

impl AsyncWrite for SharedTcp {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(cx))?;
            match self.0.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// tokio shuts down only a socket it owns alone; the standard library does it on a copy of the descriptor that
    /// lives for this call.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let copy = self.0.as_fd().try_clone_to_owned().map(std::net::TcpStream::from);
        Poll::Ready(copy.and_then(|socket| socket.shutdown(Shutdown::Write)))
    }
}
