//! Piles on real sockets: two MQTT drivers, and the task that lets a pile machine live on one of them.

pub mod agent;
pub mod codec;
pub mod full;
pub mod lean;
pub mod probes;
pub mod socket;

use std::net::{IpAddr, SocketAddr};

use domain::{PileCode, wire::DownTopic};

use self::{full::Full, lean::Lean};

/// What a hub says to a connected pile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A publish was acknowledged.
    Puback {
        /// Which.
        tag: u64,
    },
    /// A command or an answer to a record.
    Publish {
        /// On which topic.
        topic: String,
        /// What it says.
        payload: Vec<u8>,
    },
}

/// Which MQTT driver a pile uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// Small: thousands per process.
    Lean,
    /// `rumqttc`: some hundreds per process.
    Rumqttc,
}

/// Where a pile connects and as whom.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The hub's MQTT address.
    pub mqtt: SocketAddr,
    /// Address to connect from (lean driver only).
    pub source: Option<IpAddr>,
    /// The pile.
    pub code: PileCode,
    /// Its password; `None` connects anonymously.
    pub secret: Option<String>,
    /// Through which driver.
    pub driver: Driver,
}

/// An open connection through either driver.
#[derive(Debug)]
pub enum Link {
    /// See [`Lean`].
    Lean(Box<Lean>),
    /// See [`Full`].
    Rumqttc(Box<Full>),
}

impl Link {
    /// Connects, authenticates, subscribes.
    ///
    /// # Errors
    /// When any of the three is refused or takes too long.
    pub async fn open(endpoint: &Endpoint) -> anyhow::Result<Self> {
        let secret = endpoint.secret.as_deref();
        match endpoint.driver {
            Driver::Lean => {
                let filters = [DownTopic::Command, DownTopic::RecordAck].map(|topic| topic.topic(&endpoint.code));
                let filters = filters.each_ref().map(String::as_str);
                let lean = Lean::open(endpoint.mqtt, endpoint.source, None, &endpoint.code, secret, &filters).await?;
                Ok(Self::Lean(Box::new(lean)))
            }
            Driver::Rumqttc => Ok(Self::Rumqttc(Box::new(Full::open(endpoint.mqtt, &endpoint.code, secret).await?))),
        }
    }

    /// The next thing the hub says. Cancel-safe.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn next(&mut self) -> anyhow::Result<Incoming> {
        match self {
            Self::Lean(lean) => lean.next().await,
            Self::Rumqttc(full) => full.next().await,
        }
    }

    /// Queues a publish.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn publish(&mut self, tag: u64, qos1: bool, topic: &str, payload: Vec<u8>) -> anyhow::Result<()> {
        match self {
            Self::Lean(lean) => {
                lean.publish(tag, qos1, topic, &payload);
                Ok(())
            }
            Self::Rumqttc(full) => full.publish(tag, qos1, topic, payload),
        }
    }

    /// Sends a ping if the driver does not do so by itself.
    pub fn ping(&mut self) {
        match self {
            Self::Lean(lean) => lean.ping(),
            Self::Rumqttc(_) => {}
        }
    }

    /// Writes what is queued. Not cancel-safe.
    ///
    /// # Errors
    /// When the hub does not read.
    pub async fn flush(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Lean(lean) => lean.flush().await,
            Self::Rumqttc(_) => Ok(()),
        }
    }

    /// Says goodbye.
    pub async fn close(self) {
        match self {
            Self::Lean(lean) => lean.close().await,
            Self::Rumqttc(full) => full.close(),
        }
    }
}
