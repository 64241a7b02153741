//! A payment channel to test against: it plays WeChat Pay v3 and Alipay on one loopback port. It takes prepays, queries
//! and refunds, believes only what a merchant's key has signed, signs what it says itself, and misbehaves on demand.
//!
//! Its keys are its own and made anew, so nothing it signs means anything outside of a test.

pub mod bills;
pub mod hostile;
pub mod keys;

mod alipay;
mod server;
mod wechat;
mod world;

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context as _;
use bytes::Bytes;
use domain::{Clock as _, Millis, Timestamp};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Request;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use parking_lot::Mutex;
use tokio::net::TcpListener;

use self::world::World;
pub use self::{
    keys::Keys,
    world::{Behaviour, Channel, RefundMode, RefundRow, RefundStatus, Trade, TradeState},
};
use crate::{limits, pace::WallClock};

/// The merchant that a hub under test is.
pub const MCH_ID: &str = "1900000001";
/// Its WeChat app.
pub const WECHAT_APP: &str = "wx0123456789abcdef";
/// Serial number of its certificate.
pub const MERCHANT_SERIAL: &str = "5157F09EFDC096DE15EBE81A47057A7232F1B8E1";
/// Serial number of the key that WeChat signs with.
pub const PLATFORM_SERIAL: &str = "PUB_KEY_ID_0119000000012026";
/// Serial number of the key that WeChat signs with after a change.
pub const NEXT_SERIAL: &str = "PUB_KEY_ID_0119000000012027";
/// Its Alipay app.
pub const ALIPAY_APP: &str = "2021000000000001";
/// Who is paid there.
pub const SELLER_ID: &str = "2088000000000001";

/// A running simulator; cheap to clone.
#[derive(Debug, Clone)]
pub struct PaySim {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) keys: Arc<Keys>,
    pub(crate) world: Mutex<World>,
    address: SocketAddr,
    /// Where the hub is, whatever its notify URLs say.
    target: Mutex<String>,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// A callback, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callback {
    /// Path at the hub.
    pub path: String,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

/// What is said of a payment in a callback; everything can be bent before it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telling {
    /// Through which channel.
    pub channel: Channel,
    /// WeChat's app or Alipay's.
    pub app: String,
    /// WeChat's merchant or Alipay's seller.
    pub merchant: String,
    /// The merchant's name for the payment.
    pub out_trade_no: String,
    /// The channel's name for it.
    pub transaction_id: String,
    /// How much.
    pub fen: i64,
    /// WeChat only.
    pub currency: String,
    /// In the channel's words.
    pub state: String,
    /// When it was paid.
    pub paid_at: Timestamp,
    /// When the callback is signed.
    pub signed_at: Timestamp,
    /// Which key signs.
    pub signer: Signer,
}

/// Which key signs a callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signer {
    /// The channel's.
    Channel,
    /// The channel's after a change (WeChat only).
    Next,
    /// Somebody else's, in the channel's name.
    Stranger,
}

impl PaySim {
    /// Listens on an address and serves for as long as the runtime lives.
    ///
    /// # Errors
    /// The address cannot be had.
    pub async fn start(listen: SocketAddr, keys: Arc<Keys>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(listen).await.with_context(|| format!("listening on {listen}"))?;
        let address = listener.local_addr()?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client =
            Client::builder(TokioExecutor::new()).pool_max_idle_per_host(limits::HTTP_IN_FLIGHT_MAX).build(connector);
        let inner = Inner { keys, world: Mutex::default(), address, target: Mutex::default(), client };
        let sim = Self { inner: Arc::new(inner) };
        tokio::spawn(server::serve(listener, sim.clone()));
        Ok(sim)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.inner.address
    }

    /// Sends callbacks to this origin (`http://host:port`) from now on.
    pub fn point_at(&self, origin: &str) {
        origin.trim_end_matches('/').clone_into(&mut self.inner.target.lock());
    }

    /// Changes how it behaves.
    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.inner.world.lock().behaviour);
    }

    /// A payment that was asked for.
    #[must_use]
    pub fn trade(&self, out_trade_no: &str) -> Option<Trade> {
        self.inner.world.lock().trades.get(out_trade_no).cloned()
    }

    /// The refunds that were asked for, by number.
    #[must_use]
    pub fn refunds(&self) -> Vec<RefundRow> {
        self.inner.world.lock().refunds.values().cloned().collect()
    }

    /// A refund that was under way is done.
    pub fn finish_refund(&self, refund_no: &str) {
        if let Some(row) = self.inner.world.lock().refunds.get_mut(refund_no) {
            row.status = RefundStatus::Success;
        }
    }

    /// Calls that were refused because nobody's key had signed them.
    #[must_use]
    pub fn unsigned_calls(&self) -> u64 {
        self.inner.world.lock().unsigned
    }

    /// The driver pays; nobody is told. Answers the transaction.
    ///
    /// # Errors
    /// There is no such payment.
    pub fn pay(&self, out_trade_no: &str) -> anyhow::Result<String> {
        self.inner.world.lock().pay(out_trade_no, now())
    }

    /// The driver pays a second time.
    ///
    /// # Errors
    /// There is no such payment.
    pub fn pay_again(&self, out_trade_no: &str) -> anyhow::Result<String> {
        self.inner.world.lock().pay_again(out_trade_no, now())
    }

    /// Money that nobody asked for.
    pub fn stray(&self, channel: Channel, out_trade_no: &str, fen: i64) -> String {
        self.inner.world.lock().stray(channel, out_trade_no, fen, now())
    }

    /// What there is to tell of a payment's transaction, as it is.
    ///
    /// # Errors
    /// There is no such payment, or it has no such transaction.
    pub fn telling(&self, out_trade_no: &str, transaction_id: &str) -> anyhow::Result<Telling> {
        let trade = self.trade(out_trade_no).with_context(|| format!("no payment {out_trade_no}"))?;
        let paid = trade.paid.iter().find(|paid| paid.transaction_id == transaction_id);
        let paid = paid.with_context(|| format!("{out_trade_no} has no transaction {transaction_id}"))?;
        let (app, merchant, state) = match trade.channel {
            Channel::Wechat => (WECHAT_APP, MCH_ID, "SUCCESS"),
            Channel::Alipay => (ALIPAY_APP, SELLER_ID, "TRADE_SUCCESS"),
        };
        Ok(Telling {
            channel: trade.channel,
            app: app.to_owned(),
            merchant: merchant.to_owned(),
            out_trade_no: out_trade_no.to_owned(),
            transaction_id: transaction_id.to_owned(),
            fen: trade.fen,
            currency: "CNY".to_owned(),
            state: state.to_owned(),
            paid_at: paid.at,
            signed_at: now(),
            signer: Signer::Channel,
        })
    }

    /// A callback that tells this; each one has a nonce of its own.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn callback(&self, telling: &Telling) -> anyhow::Result<Callback> {
        match telling.channel {
            Channel::Wechat => wechat::callback(&self.inner.keys, telling),
            Channel::Alipay => alipay::callback(&self.inner.keys, telling),
        }
    }

    /// The callback about a refund as it stands (WeChat only: Alipay answers at once).
    ///
    /// # Errors
    /// There is no such refund.
    pub fn refund_callback(&self, refund_no: &str) -> anyhow::Result<Callback> {
        let row = self.inner.world.lock().refunds.get(refund_no).cloned();
        wechat::refund_callback(&self.inner.keys, &row.with_context(|| format!("no refund {refund_no}"))?)
    }

    /// Pays and tells the hub of it, as a channel does when all is well.
    ///
    /// # Errors
    /// There is no such payment, or the hub does not answer.
    pub async fn pay_and_tell(&self, out_trade_no: &str) -> anyhow::Result<(u16, String)> {
        let transaction = self.pay(out_trade_no)?;
        let callback = self.callback(&self.telling(out_trade_no, &transaction)?)?;
        self.send(&callback).await
    }

    /// Sends a callback to the hub, over connections that are kept.
    ///
    /// # Errors
    /// The hub does not answer.
    pub async fn send(&self, callback: &Callback) -> anyhow::Result<(u16, String)> {
        let mut request = Request::post(format!("{}{}", self.inner.target.lock(), callback.path));
        for (name, value) in &callback.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(Bytes::from(callback.body.clone())))?;
        let exchange = async {
            let response = self.inner.client.request(request).await?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), limits::HTTP_BODY_LEN_MAX).collect().await;
            let body = body.map_err(|error| anyhow::anyhow!("{error}"))?.to_bytes();
            Ok((status, String::from_utf8_lossy(&body).into_owned()))
        };
        tokio::time::timeout(limits::HTTP_TIMEOUT, exchange).await.context("the hub does not answer")?
    }

    /// The channel's bill of a day (`2026-11-21`, Shanghai), as it gives it out.
    ///
    /// # Errors
    /// That is no day.
    pub fn bill(&self, channel: Channel, day: &str) -> anyhow::Result<String> {
        bills::bill(&self.inner.world.lock(), channel, day)
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }
}

/// The wall's time: what is signed is looked at by it.
pub(crate) fn now() -> Timestamp {
    WallClock.now()
}

/// A time some seconds away from now.
#[must_use]
pub fn seconds_away(s: i64) -> Timestamp {
    now().plus(Millis::from_secs(s))
}
