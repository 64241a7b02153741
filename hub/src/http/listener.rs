//! The door of HTTP: how many connections may be open, in total and per address, and how long an idle one may stay.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep},
};

use crate::config::Limits;

/// A listener that keeps to the limits.
#[derive(Debug)]
pub(crate) struct Door {
    listener: TcpListener,
    seats: Arc<Semaphore>,
    per_address_max: u32,
    by_address: Arc<Mutex<HashMap<IpAddr, u32>>>,
    idle_max: Duration,
}

/// The address of a caller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

impl Door {
    pub(crate) fn new(listener: TcpListener, limits: &Limits) -> Self {
        let max = usize::try_from(limits.http_connections_max).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            listener,
            seats: Arc::new(Semaphore::new(max)),
            per_address_max: limits.http_connections_per_address_max,
            by_address: Arc::default(),
            idle_max: Duration::from_secs(limits.http_idle_s_max.into()),
        }
    }

    /// A place for one more connection of this address.
    fn admit(&self, address: IpAddr) -> Option<Place> {
        let mut by_address = self.by_address.lock();
        let open = by_address.entry(address).or_insert(0);
        if self.per_address_max != 0 && *open >= self.per_address_max {
            return None;
        }
        *open = open.saturating_add(1);
        Some(Place { address, by_address: Arc::clone(&self.by_address) })
    }
}

impl Listener for Door {
    type Io = Visitor;
    type Addr = SocketAddr;

    /// When all seats are taken, callers wait in the system's own bounded queue.
    async fn accept(&mut self) -> (Visitor, SocketAddr) {
        loop {
            let Ok(seat) = Arc::clone(&self.seats).acquire_owned().await else {
                std::future::pending::<()>().await;
                continue;
            };
            // Waits and tries again when the system has no file descriptor left.
            let (stream, peer) = Listener::accept(&mut self.listener).await;
            let Some(place) = self.admit(peer.ip()) else {
                tracing::debug!(%peer, "too many connections of one address");
                continue;
            };
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%peer, %error, "a connection ended while accepted");
                continue;
            }
            let idle = Box::pin(sleep(self.idle_max));
            return (Visitor { stream, idle, idle_max: self.idle_max, _seat: seat, _place: place }, peer);
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Connected<IncomingStream<'_, Door>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// One connection's share of its address's limit.
#[derive(Debug)]
struct Place {
    address: IpAddr,
    by_address: Arc<Mutex<HashMap<IpAddr, u32>>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_address = self.by_address.lock();
        if let Some(open) = by_address.get_mut(&self.address) {
            *open = open.saturating_sub(1);
            if *open == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

/// An open connection. It fails with a time-out when nothing was read for too long.
#[derive(Debug)]
pub(crate) struct Visitor {
    stream: TcpStream,
    idle: Pin<Box<Sleep>>,
    idle_max: Duration,
    _seat: OwnedSemaphorePermit,
    _place: Place,
}

impl AsyncRead for Visitor {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Poll::Ready(read) = Pin::new(&mut this.stream).poll_read(cx, buf) {
            let until = Instant::now() + this.idle_max;
            this.idle.as_mut().reset(until);
            return Poll::Ready(read);
        }
        this.idle.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Visitor {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn door(per_address_max: u32, idle_max: Duration) -> Door {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let limits = Limits { http_connections_per_address_max: per_address_max, ..Limits::default() };
        Door { idle_max, ..Door::new(listener, &limits) }
    }

    #[tokio::test]
    async fn an_address_has_only_so_many_places_and_gets_them_back() {
        let door = door(2, Duration::from_secs(60)).await;
        let (here, there): (IpAddr, IpAddr) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        let held = [door.admit(here), door.admit(here)];
        assert!(held.iter().all(Option::is_some) && door.admit(here).is_none());
        assert!(door.admit(there).is_some());
        drop(held);
        assert!(door.admit(here).is_some());
        assert!(door.by_address.lock().is_empty(), "nobody is remembered who has gone");
    }

    #[tokio::test]
    async fn a_connection_over_the_limit_is_closed_and_the_next_one_is_served() {
        let mut door = door(1, Duration::from_secs(60)).await;
        let address = door.local_addr().unwrap();
        let _first = TcpStream::connect(address).await.unwrap();
        let (held, _) = Listener::accept(&mut door).await;
        let mut second = TcpStream::connect(address).await.unwrap();
        let accepting = tokio::spawn(async move { Listener::accept(&mut door).await.1 });
        assert_eq!(second.read(&mut [0; 1]).await.unwrap(), 0, "closed without an answer");
        drop(held);
        let third = TcpStream::connect(address).await.unwrap();
        assert_eq!(accepting.await.unwrap(), third.local_addr().unwrap());
    }

    #[tokio::test]
    async fn a_connection_that_says_nothing_fails_with_a_time_out() {
        let mut door = door(0, Duration::from_millis(50)).await;
        let mut caller = TcpStream::connect(door.local_addr().unwrap()).await.unwrap();
        let (mut visitor, _) = Listener::accept(&mut door).await;
        caller.write_all(b"x").await.unwrap();
        assert_eq!(visitor.read_u8().await.unwrap(), b'x');
        assert_eq!(visitor.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
