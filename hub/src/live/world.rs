//! What the live push asks of the rest of the hub: an order, its live values, the piles. Read only, but for the stop.

use std::{fmt::Debug, sync::Arc};

use actors::{
    Handle,
    api::{LinkState, Live as Values, PileView, Refusal, StopBy},
};
use async_trait::async_trait;
use domain::{Clock, OrderNo, PileCode, PileNo, Timestamp};
use settlement::order::Order;
use store::{
    money::{Money, OrderFilter, Page, StoreError},
    registry::Station,
};

/// The hub as the live push sees it.
#[async_trait]
pub(crate) trait World: Send + Sync + Debug {
    /// The time of the charging world.
    fn now(&self) -> Timestamp;
    /// One order as stored.
    async fn order(&self, order_no: &OrderNo) -> Result<Option<Order>, StoreError>;
    /// A page of all orders, newest first.
    async fn orders(&self, cursor: Option<&str>, max: usize) -> Result<Page<Order>, StoreError>;
    /// How fresh what we know of a pile is.
    fn link_of(&self, pile_no: PileNo) -> LinkState;
    /// Values of a running order.
    fn values(&self, order_no: &OrderNo) -> Option<Values>;
    /// Stops a charge as its driver.
    async fn stop(&self, order_no: &OrderNo) -> Result<Order, Refusal>;
    /// All stations.
    fn stations(&self) -> Vec<Station>;
    /// Piles in order of code, after one.
    fn piles(&self, after: Option<&PileCode>, max: usize) -> Vec<PileView>;
    /// Alarms that are raised or acknowledged.
    fn alarms_open(&self) -> usize;
}

/// The world of a running hub.
#[derive(Debug)]
pub(crate) struct Running {
    /// The actors.
    pub(crate) handle: Handle,
    /// The store.
    pub(crate) money: Arc<dyn Money>,
    /// The time of the charging world.
    pub(crate) clock: Arc<dyn Clock>,
}

#[async_trait]
impl World for Running {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }
    async fn order(&self, order_no: &OrderNo) -> Result<Option<Order>, StoreError> {
        self.money.order(order_no).await
    }
    async fn orders(&self, cursor: Option<&str>, max: usize) -> Result<Page<Order>, StoreError> {
        self.money.orders(&OrderFilter::default(), cursor, max).await
    }
    fn link_of(&self, pile_no: PileNo) -> LinkState {
        self.handle.link_of(pile_no)
    }
    fn values(&self, order_no: &OrderNo) -> Option<Values> {
        self.handle.live(order_no)
    }
    async fn stop(&self, order_no: &OrderNo) -> Result<Order, Refusal> {
        self.handle.stop_order(order_no, StopBy::Driver, None).await
    }
    fn stations(&self) -> Vec<Station> {
        self.handle.stations()
    }
    fn piles(&self, after: Option<&PileCode>, max: usize) -> Vec<PileView> {
        self.handle.piles(None, after, max)
    }
    fn alarms_open(&self) -> usize {
        self.handle.alarms_open()
    }
}
