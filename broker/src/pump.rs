//! Carries batches from the collector through the router to ingest, and replaces a router that fails.
//!
//! A batch is kept until it came out: a new router gets it again, so no frame is lost with the old one and none is
//! delivered twice.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};

use crate::{
    batch,
    collector::Batch,
    ingest::Ingest,
    limits::{
        BATCHES_IN_FLIGHT_MAX, ROUTER_CANARY_EVERY, ROUTER_RETRY_MAX, ROUTER_RETRY_MIN, ROUTER_STALL, ROUTER_WITHIN,
    },
    names,
    router::{Router, RouterFault},
    shared::Shared,
    sink::UpSink,
    uptime::Uptime,
};

/// How often a sink without room is asked again.
const SINK_RETRY: Duration = Duration::from_millis(2);
/// How often the pump looks at its router when nothing comes.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Debug)]
pub(crate) struct Pump<S> {
    shared: Arc<Shared>,
    ingest: Ingest<S>,
    /// Not in the router yet.
    waiting: VecDeque<Batch>,
    /// In the router, the oldest first.
    in_flight: VecDeque<Batch>,
    /// When the router last showed life, or was last idle.
    alive: Uptime,
    /// When something was put into the router last.
    fed: Uptime,
}

impl<S: UpSink> Pump<S> {
    pub(crate) fn new(shared: Arc<Shared>, sink: S) -> Self {
        Self {
            ingest: Ingest::new(Arc::clone(&shared), sink),
            alive: shared.stopwatch.now(),
            fed: shared.stopwatch.now(),
            shared,
            waiting: VecDeque::new(),
            in_flight: VecDeque::new(),
        }
    }

    /// Runs until the gate is stopped, every connection closed and everything delivered.
    pub(crate) async fn run(mut self) {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut router = self.start().await;
        loop {
            let fault = match self.carry(&mut router, &mut look).await {
                Ok(()) => break,
                Err(fault) => fault,
            };
            tracing::warn!(%fault, in_flight = self.in_flight.len(), "the router is replaced");
            metrics::counter!(names::ROUTERS_REPLACED, "why" => fault.as_str()).increment(1);
            self.shared.readers.router_is(None);
            router.abandon().await;
            router = self.start().await;
        }
        self.shared.readers.router_is(None);
        router.abandon().await;
    }

    /// A router that has everything in it that had not come out of the one before.
    async fn start(&mut self) -> Router {
        let mut pause = ROUTER_RETRY_MIN;
        loop {
            match Router::start(self.shared.config.router).await {
                Ok(mut router) => {
                    let again = self.in_flight.iter().try_for_each(|batch| router.publish(batch.bytes.clone()));
                    if again.is_ok() {
                        self.alive = self.shared.stopwatch.now();
                        self.shared.readers.router_is(router.source());
                        #[cfg(test)]
                        self.shared.router.lock().clone_from(&router.killer());
                        return router;
                    }
                    router.abandon().await;
                }
                Err(fault) => tracing::warn!(%fault, ?pause, "no router can be started"),
            }
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(ROUTER_RETRY_MAX);
        }
    }

    async fn carry(&mut self, router: &mut Router, look: &mut Interval) -> Result<(), RouterFault> {
        loop {
            while !self.ingest.may_go_on() {
                sleep(SINK_RETRY).await;
                // It was not the router that stood still.
                self.alive = self.shared.stopwatch.now();
            }
            self.publish(router)?;
            self.turn_around(router)?;
            tokio::select! {
                biased;
                batch = router.next() => self.arrived(batch?)?,
                () = self.shared.collector.something(), if self.waiting.is_empty() => {
                    self.shared.collector.fetch(&mut self.waiting);
                }
                _ = look.tick() => if self.is_over()? { return Ok(()) },
            }
        }
    }

    fn publish(&mut self, router: &mut Router) -> Result<(), RouterFault> {
        while self.in_flight.len() < BATCHES_IN_FLIGHT_MAX {
            let Some(batch) = self.waiting.pop_front() else { break };
            self.fed = self.shared.stopwatch.now();
            if self.in_flight.is_empty() {
                self.alive = self.fed;
            }
            let bytes = batch.bytes.clone();
            self.in_flight.push_back(batch);
            self.shared.meters.batches.increment(1);
            router.publish(bytes)?;
        }
        Ok(())
    }

    /// Under load, waits for what was just published by standing still: the router needs some ten microseconds, and a
    /// wake-up by way of the sockets would cost a whole tick.
    #[allow(clippy::disallowed_methods, reason = "how long the thread really stands still")]
    fn turn_around(&mut self, router: &mut Router) -> Result<(), RouterFault> {
        if self.in_flight.is_empty() || !self.shared.pacer.is_paced() {
            return Ok(());
        }
        let deadline = Instant::now() + ROUTER_WITHIN;
        while !self.in_flight.is_empty() && self.ingest.may_go_on() {
            let Some(batch) = router.next_by(deadline)? else { break };
            self.arrived(batch)?;
        }
        Ok(())
    }

    fn arrived(&mut self, bytes: Bytes) -> Result<(), RouterFault> {
        let oldest = self.in_flight.front().map(|batch| batch.number);
        if oldest.is_none() || oldest != batch::number(&bytes) {
            return Err(RouterFault::Gap);
        }
        self.in_flight.pop_front();
        self.alive = self.shared.stopwatch.now();
        self.ingest.batch(bytes);
        Ok(())
    }

    /// Looks around; whether all is done.
    fn is_over(&mut self) -> Result<bool, RouterFault> {
        metrics::gauge!(names::IN_FLIGHT).set(u32::try_from(self.shared.flow.frames()).unwrap_or(u32::MAX));
        metrics::gauge!(names::CONNECTIONS).set(u32::try_from(self.shared.registry.open()).unwrap_or(u32::MAX));
        if !self.in_flight.is_empty() && self.shared.stopwatch.now().passed(self.alive, ROUTER_STALL) {
            return Err(RouterFault::Stalled);
        }
        if !*self.shared.stopping.borrow() || self.shared.registry.open() > 0 {
            if self.in_flight.is_empty() && self.shared.stopwatch.now().passed(self.fed, ROUTER_CANARY_EVERY) {
                self.shared.collector.canary(&mut self.waiting);
            }
            return Ok(false);
        }
        self.shared.collector.fetch(&mut self.waiting);
        Ok(self.waiting.is_empty() && self.in_flight.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use domain::PileNo;
    use tokio::time::{advance, timeout};

    use super::*;
    use crate::{
        batch::Record,
        router::RouterKind,
        shared::tests::{Notes, shared},
        sink::DownCause,
    };

    /// A pump with so many batches in its router.
    async fn with_batches(n: u32) -> (Pump<Notes>, Router) {
        let mut pump = Pump::new(shared(), Notes::default());
        let mut router = Router::start(RouterKind::Loopback).await.unwrap();
        for epoch in 0..n {
            let cause = DownCause::Closed;
            pump.shared.collector.push(&Record::Down { pile_no: PileNo(1), epoch, cause, will: false });
            pump.shared.collector.fetch(&mut pump.waiting);
        }
        pump.publish(&mut router).unwrap();
        (pump, router)
    }

    #[tokio::test]
    async fn a_batch_that_is_skipped_is_a_fault_and_the_next_router_gets_it_again() {
        let (mut pump, mut router) = with_batches(3).await;
        let first = router.next().await.unwrap();
        pump.arrived(first.clone()).unwrap();
        let _lost = router.next().await.unwrap();
        assert_eq!(pump.arrived(router.next().await.unwrap()), Err(RouterFault::Gap));
        assert_eq!(pump.arrived(first), Err(RouterFault::Gap), "what came out once must not come again");
        let mut next = pump.start().await;
        for _ in 0..2 {
            let batch = timeout(Duration::from_secs(10), next.next()).await.expect("it did not get it again").unwrap();
            pump.arrived(batch).unwrap();
        }
        assert!(pump.in_flight.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_router_that_gives_nothing_out_is_given_up_but_an_empty_one_is_not() {
        let (mut pump, mut router) = with_batches(1).await;
        advance(ROUTER_STALL - Duration::from_millis(1)).await;
        assert_eq!(pump.is_over(), Ok(false));
        advance(Duration::from_millis(1)).await;
        assert_eq!(pump.is_over(), Err(RouterFault::Stalled));
        pump.arrived(router.next().await.unwrap()).unwrap();
        advance(ROUTER_STALL * 10).await;
        assert_eq!(pump.is_over(), Ok(false));
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_router_is_given_a_canary_each_second_and_given_up_when_it_keeps_it() {
        let (mut pump, mut router) = with_batches(0).await;
        for _ in 0..3 {
            advance(ROUTER_CANARY_EVERY).await;
            assert_eq!(pump.is_over(), Ok(false));
            pump.publish(&mut router).unwrap();
            assert_eq!(pump.in_flight.len(), 1, "nobody had sent anything");
            pump.arrived(router.next().await.unwrap()).unwrap();
        }
        advance(ROUTER_CANARY_EVERY).await;
        assert_eq!(pump.is_over(), Ok(false));
        pump.publish(&mut router).unwrap();
        advance(ROUTER_STALL).await;
        assert_eq!(pump.is_over(), Err(RouterFault::Stalled));
    }

    #[tokio::test]
    async fn under_load_what_was_published_comes_out_in_the_same_round() {
        let (mut pump, mut router) = with_batches(3).await;
        pump.turn_around(&mut router).unwrap();
        assert_eq!(pump.in_flight.len(), 3, "without load nobody stands still");
        pump.shared.pacer.hurry();
        pump.turn_around(&mut router).unwrap();
        assert!(pump.in_flight.is_empty());
    }

    #[tokio::test]
    async fn no_more_batches_are_in_the_router_than_its_channel_holds() {
        let (mut pump, mut router) = with_batches(u32::try_from(BATCHES_IN_FLIGHT_MAX).unwrap() + 10).await;
        assert_eq!((pump.in_flight.len(), pump.waiting.len()), (BATCHES_IN_FLIGHT_MAX, 10));
        pump.arrived(router.next().await.unwrap()).unwrap();
        pump.publish(&mut router).unwrap();
        assert_eq!((pump.in_flight.len(), pump.waiting.len()), (BATCHES_IN_FLIGHT_MAX, 9));
    }
}
