//! A place in the router's log beside the gate's own: what is published after it was taken comes out of it, in order.

use std::{
    fmt,
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Waker},
};

use bytes::Bytes;
use rumqttd::{
    Broker,
    local::{LinkRx, LinkTx},
};

use super::link_name;
use crate::router::{RouterFault, TOPIC, farewell, unpack};

/// A running router.
#[derive(Clone)]
pub(crate) struct Source(pub(crate) Arc<Broker>);

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}

impl Source {
    /// Takes a place. Waits for the router's thread, so it must not be called where waiting is not allowed.
    pub(crate) fn link(&self) -> Result<Link, RouterFault> {
        let (into, out) = self.0.link(&link_name())?;
        let mut link = Link { into, out, next_offset: None };
        link.into.subscribe(TOPIC)?;
        Ok(link)
    }
}

/// See the module. The router is told when it is dropped.
pub(crate) struct Link {
    into: LinkTx,
    out: LinkRx,
    /// Of what must come out next; the first may be any.
    next_offset: Option<u64>,
}

impl Link {
    /// The next batch. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// [`RouterFault::Gap`] when the log had no room for so much and forgot the oldest of it.
    pub(crate) async fn next(&mut self) -> Result<Bytes, RouterFault> {
        loop {
            let notification = self.out.next().await?;
            if let Some(batch) = unpack(&self.out, &mut self.next_offset, notification)? {
                return Ok(batch);
            }
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // It never waits, but for the router's channel, which is not full; a dead router needs no farewell.
        let _ = pin!(self.into.send(farewell())).poll(&mut Context::from_waker(Waker::noop()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        limits::{BATCH_LEN_TARGET, ROUTER_SEGMENT_LEN, ROUTER_SEGMENTS_MAX},
        router::{Router, RouterKind},
    };

    async fn link(router: &Router) -> Link {
        let source = router.source().unwrap();
        tokio::task::spawn_blocking(move || source.link()).await.unwrap().unwrap()
    }

    async fn carry(router: &mut Router, batch: &Bytes) {
        router.publish(batch.clone()).unwrap();
        assert_eq!(router.next().await.as_ref(), Ok(batch));
    }

    #[tokio::test]
    async fn a_link_hears_what_is_published_after_it_was_made_and_a_dropped_one_disturbs_nobody() {
        let mut router = Router::start(RouterKind::Embedded).await.unwrap();
        carry(&mut router, &Bytes::from_static(b"before")).await;
        let mut kept = link(&router).await;
        for n in 0..50_u32 {
            let passing = link(&router).await;
            let batch = Bytes::copy_from_slice(&n.to_le_bytes());
            carry(&mut router, &batch).await;
            drop(passing);
            assert_eq!(kept.next().await, Ok(batch));
        }
        drop(kept);
        router.abandon().await;
    }

    #[tokio::test]
    async fn a_link_that_falls_behind_the_log_gets_a_prefix_and_then_a_gap() {
        let mut router = Router::start(RouterKind::Embedded).await.unwrap();
        let mut slow = link(&router).await;
        let batch = |n: u32| Bytes::from([n.to_le_bytes().to_vec(), vec![0; BATCH_LEN_TARGET]].concat());
        // Twice as much as the log holds, beside what the router had handed over already.
        let many = u32::try_from(600 + 2 * ROUTER_SEGMENTS_MAX * ROUTER_SEGMENT_LEN / BATCH_LEN_TARGET).unwrap();
        for n in 0..many {
            carry(&mut router, &batch(n)).await;
        }
        let mut got = 0;
        let end = loop {
            match slow.next().await {
                Ok(next) => assert_eq!(next, batch(got)),
                Err(fault) => break fault,
            }
            got += 1;
        };
        assert_eq!(end, RouterFault::Gap);
        assert!(got < many, "{got}");
        router.abandon().await;
    }
}
