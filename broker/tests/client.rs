//! A charger that uses a library of its own (rumqttc) instead of ours.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{Hub, PATIENCE, Told, heartbeat, secret};
use domain::{PileNo, wire::DownTopic};
use rumqttc::{AsyncClient, Event, Incoming, MqttOptions, QoS};
use tokio::time::timeout;

#[tokio::test]
async fn a_library_client_connects_subscribes_publishes_and_gets_a_command() {
    let hub = Hub::start().await;
    let mut options = MqttOptions::new("P1", hub.addr.ip().to_string(), hub.addr.port());
    options.set_credentials("P1", secret("P1"));
    options.set_keep_alive(Duration::from_secs(5));
    let (client, mut events) = AsyncClient::new(options, 10);
    client.subscribe("pile/P1/command", QoS::AtLeastOnce).await.unwrap();
    client.publish("pile/P1/heartbeat", QoS::AtLeastOnce, false, heartbeat(1)).await.unwrap();
    let outbound = hub.gate.outbound();
    let talk = async {
        let (mut acknowledged, mut commanded) = (false, false);
        while !(acknowledged && commanded) {
            match events.poll().await.unwrap() {
                Event::Incoming(Incoming::SubAck(_)) => {
                    outbound.send(PileNo(1), DownTopic::Command, Bytes::from_static(b"{}"), true).unwrap();
                }
                Event::Incoming(Incoming::PubAck(_)) => acknowledged = true,
                Event::Incoming(Incoming::Publish(publish)) => {
                    assert_eq!((publish.topic.as_str(), &publish.payload[..]), ("pile/P1/command", &b"{}"[..]));
                    commanded = true;
                }
                Event::Incoming(_) | Event::Outgoing(_) => {}
            }
        }
        client.disconnect().await.unwrap();
        while events.poll().await.is_ok() {}
    };
    timeout(PATIENCE, talk).await.unwrap();
    hub.store.until_told(Told::Down { pile_no: 1, epoch: 1, cause: "disconnect", will: false }).await;
}
