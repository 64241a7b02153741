//! The faithful driver: `rumqttc`, the client that many chargers' makers use. A task per connection.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use anyhow::{Context as _, bail, ensure};
use domain::{PileCode, wire::DownTopic};
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Outgoing, Packet, QoS, SubscribeFilter};
use tokio::{sync::mpsc, task::AbortHandle, time::timeout};

use super::{Incoming, lean::KEEP_ALIVE_S};
use crate::limits;

/// A connection of one pile through `rumqttc`.
#[derive(Debug)]
pub struct Full {
    client: AsyncClient,
    events: mpsc::Receiver<anyhow::Result<Event>>,
    task: AbortHandle,
    /// Tags in the order of their publishing; the packet id is known once the event loop has sent them.
    handed_over: VecDeque<u64>,
    waiting: VecDeque<(u16, u64)>,
}

impl Drop for Full {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Full {
    /// Connects, authenticates and subscribes to the pile's down topics.
    ///
    /// # Errors
    /// When the socket, the CONNACK or the SUBACK say no.
    pub async fn open(mqtt: SocketAddr, code: &PileCode, secret: Option<&str>) -> anyhow::Result<Self> {
        let mut options = MqttOptions::new(code.as_str(), mqtt.ip().to_string(), mqtt.port());
        options.set_keep_alive(Duration::from_secs(u64::from(KEEP_ALIVE_S)));
        options.set_inflight(u16::try_from(limits::IN_FLIGHT_MAX)?);
        options.set_max_packet_size(limits::PACKET_LEN_MAX, limits::PACKET_LEN_MAX);
        if let Some(secret) = secret {
            options.set_credentials(code.as_str(), secret);
        }
        let (client, event_loop) = AsyncClient::new(options, limits::RUMQTTC_QUEUE_LEN_MAX);
        let (sender, events) = mpsc::channel(limits::RUMQTTC_QUEUE_LEN_MAX);
        let task = tokio::spawn(Box::pin(poll(event_loop, sender))).abort_handle();
        let mut full = Self { client, events, task, handed_over: VecDeque::new(), waiting: VecDeque::new() };
        timeout(limits::CONNECT_TIMEOUT, full.handshake(code)).await.context("no CONNACK or SUBACK in time")??;
        Ok(full)
    }

    async fn handshake(&mut self, code: &PileCode) -> anyhow::Result<()> {
        let filters =
            [DownTopic::Command, DownTopic::RecordAck].map(|t| SubscribeFilter::new(t.topic(code), QoS::AtLeastOnce));
        let mut subscribed = false;
        loop {
            match self.events.recv().await.context("the event loop ended")?? {
                Event::Incoming(Packet::ConnAck(_)) if !subscribed => {
                    self.client.try_subscribe_many(filters.clone())?;
                    subscribed = true;
                }
                Event::Incoming(Packet::SubAck(ack)) => {
                    let refused = ack.return_codes.contains(&rumqttc::SubscribeReasonCode::Failure);
                    ensure!(!refused, "SUBSCRIBE refused");
                    return Ok(());
                }
                Event::Incoming(_) | Event::Outgoing(_) => {}
            }
        }
    }

    /// The next thing the hub says. Cancel-safe.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn next(&mut self) -> anyhow::Result<Incoming> {
        loop {
            match self.events.recv().await.context("the event loop ended")?? {
                Event::Outgoing(Outgoing::Publish(id)) if id > 0 => {
                    let tag = self.handed_over.pop_front().context("rumqttc published something of its own")?;
                    self.waiting.push_back((id, tag));
                }
                Event::Incoming(Packet::PubAck(ack)) => {
                    let at = self.waiting.iter().position(|(waiting, _)| *waiting == ack.pkid);
                    let found = at.and_then(|at| self.waiting.remove(at));
                    let (_, tag) = found.with_context(|| format!("PUBACK {} for nothing", ack.pkid))?;
                    return Ok(Incoming::Puback { tag });
                }
                Event::Incoming(Packet::Publish(publish)) => {
                    return Ok(Incoming::Publish { topic: publish.topic, payload: publish.payload.to_vec() });
                }
                Event::Incoming(Packet::Disconnect) => bail!("the hub sent DISCONNECT"),
                Event::Incoming(_) | Event::Outgoing(_) => {}
            }
        }
    }

    /// Hands a publish to the event loop.
    ///
    /// # Errors
    /// When its queue is full, which the pile's window does not allow.
    pub fn publish(&mut self, tag: u64, qos1: bool, topic: &str, payload: Vec<u8>) -> anyhow::Result<()> {
        let qos = if qos1 { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        self.client.try_publish(topic, qos, false, payload)?;
        if qos1 {
            self.handed_over.push_back(tag);
        }
        Ok(())
    }

    /// Says goodbye.
    pub fn close(self) {
        // The hub may be gone already; then there is nobody to say goodbye to.
        let _ = self.client.try_disconnect();
    }
}

/// Polls until the first error: a new connection is a new [`Full`], so that the pile decides what is sent again.
async fn poll(mut event_loop: EventLoop, sender: mpsc::Sender<anyhow::Result<Event>>) {
    loop {
        let event = event_loop.poll().await;
        let failed = event.is_err();
        if sender.send(event.map_err(anyhow::Error::from)).await.is_err() || failed {
            return;
        }
    }
}
