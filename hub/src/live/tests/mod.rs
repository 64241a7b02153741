//! The push over real sockets: a server on loopback, an audience fed by hand, tungstenite as the phone.

mod codes;
mod crowd;
mod ops;
mod pages;
mod phone;

use std::{sync::Arc, time::Duration};

use actors::api::{Audience, LinkState, Live as Values};
use domain::{Fen, UserId, WattHours, Watts};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use settlement::order::Order;
use tokio::{
    net::{TcpSocket, TcpStream},
    task::JoinHandle,
    time::timeout,
};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

use super::{
    Door, Live, Settings, routes,
    samples::{FakeWorld, order},
    spawn,
};

const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";
/// Far beyond what anything here takes: a test that meets it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// A hub that has nothing but its live push.
struct Hub {
    live: Arc<Live>,
    world: Arc<FakeWorld>,
    order: Order,
    address: std::net::SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Hub {
    fn start() -> Self {
        Self::with(|_| {})
    }

    /// With one charging order of `anna`, 1001, and other settings.
    fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::new(KEY);
        change(&mut settings);
        let live = Live::new(&settings).unwrap();
        let world = Arc::new(FakeWorld::default());
        let order = order("1001");
        world.put(&order);
        let door = Door { live: Arc::clone(&live), world: world.clone() };
        // Small buffers, so that a phone that does not read is felt at once.
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_send_buffer_size(4096).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1024).unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = Vec::from(spawn(&door));
        let app = routes(door.clone()).merge(crate::pages::routes(door));
        tasks.push(tokio::spawn(async move { axum::serve(listener, app).await.unwrap() }));
        Self { live, world, order, address, tasks }
    }

    /// Anna's phone on order 1001.
    async fn phone(&self) -> Phone {
        self.phone_at("").await
    }

    /// The same, with more in the query.
    async fn phone_at(&self, more: &str) -> Phone {
        let ticket = self.live.issue_ticket(&self.order.order_no, &self.order.user_id).unwrap();
        self.open(&format!("/ws/v1/track?ticket={ticket}{more}")).await
    }

    async fn viewer(&self) -> Phone {
        let ticket = self.live.issue_ops_ticket(&UserId::parse("otto").unwrap()).unwrap();
        self.open(&format!("/ws/v1/ops?ticket={ticket}")).await
    }

    async fn open(&self, path: &str) -> Phone {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let stream = socket.connect(self.address).await.unwrap();
        let url = format!("ws://{}{path}", self.address);
        let (socket, answer) = client_async(url, stream).await.unwrap();
        assert_eq!(answer.status(), 101, "a refusal is an accepted upgrade and then a close");
        Phone(socket)
    }

    fn progress(&self, energy: i64, amount: i64) {
        let values =
            Values { energy: WattHours(energy), amount: Fen(amount), power: Some(Watts(47_800)), ..Values::default() };
        self.live.progress(&self.order.order_no, &values);
    }

    /// Stores a changed order and tells the audience.
    fn change(&mut self, change: impl FnOnce(&mut Order)) {
        self.order.rev += 1;
        change(&mut self.order);
        self.world.put(&self.order);
        self.live.order_changed(&self.order, LinkState::Live);
    }
}

struct Phone(WebSocketStream<TcpStream>);

#[derive(Debug, PartialEq)]
enum Got {
    Text(Value),
    Closed(u16),
    /// The connection ended without a close.
    Lost,
}

impl Phone {
    async fn next(&mut self) -> Got {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("a message in time") {
                Some(Ok(Message::Text(text))) => return Got::Text(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(frame))) => return Got::Closed(frame.map_or(1005, |f| f.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Got::Lost,
            }
        }
    }

    /// The next message, which must be one of this kind.
    async fn expect(&mut self, kind: &str) -> Value {
        match self.next().await {
            Got::Text(message) if message["t"] == kind => message,
            other @ (Got::Text(_) | Got::Closed(_) | Got::Lost) => panic!("wanted {kind}, got {other:?}"),
        }
    }

    async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }
}
