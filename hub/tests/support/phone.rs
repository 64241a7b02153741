//! A driver's phone: one WebSocket, read frame by frame.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a harness that fails shall fail loudly")]

use std::{io::ErrorKind, net::TcpStream};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, client::client};

use super::{
    Hub,
    wait::{deadline, left},
};

/// What came from the hub.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    Frame(Value),
    /// The close code.
    Closed(u16),
}

impl Told {
    /// The frame of type `t`.
    pub fn frame(self, t: &str) -> Value {
        match self {
            Self::Frame(frame) => {
                assert_eq!(frame["t"], t, "{frame}");
                frame
            }
            Self::Closed(code) => panic!("expected \"{t}\", the hub closed with {code}"),
        }
    }
}

/// An open socket.
#[derive(Debug)]
pub struct Phone {
    socket: WebSocket<TcpStream>,
}

impl Phone {
    /// Opens `/ws/v1/track?{query}`.
    pub fn open(hub: &Hub, query: &str) -> Self {
        let stream = TcpStream::connect(hub.http).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(super::wait::DEADLINE)).unwrap();
        let (socket, _) = client(format!("ws://{}/ws/v1/track?{query}", hub.http), stream).unwrap();
        Self { socket }
    }

    /// Gets a ticket for an order and opens a socket with it.
    pub fn follow(hub: &Hub, token: &str, order_no: &str) -> Self {
        Self::open(hub, &format!("ticket={}", ticket(hub, token, order_no)))
    }

    /// The next frame or the close. WebSocket pings are answered by the library.
    pub fn next(&mut self) -> Told {
        let until = deadline();
        loop {
            self.socket.get_ref().set_read_timeout(Some(left(until))).unwrap();
            match self.socket.read() {
                Ok(Message::Text(text)) => return Told::Frame(serde_json::from_str(&text).unwrap()),
                Ok(Message::Close(frame)) => return Told::Closed(frame.map_or(1005, |frame| frame.code.into())),
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => panic!("nothing came to the phone"),
                Err(error) => panic!("the phone's socket: {error}"),
            }
        }
    }

    /// The next frame that is no application ping (pings are answered).
    pub fn news(&mut self) -> Told {
        loop {
            let told = self.next();
            match &told {
                Told::Frame(frame) if frame["t"] == "ping" => self.say(&json!({"t": "pong", "n": frame["n"]})),
                Told::Frame(_) | Told::Closed(_) => return told,
            }
        }
    }

    /// Sends a frame.
    pub fn say(&mut self, frame: &Value) {
        self.say_text(&frame.to_string());
    }

    /// Sends any words.
    pub fn say_text(&mut self, words: &str) {
        self.socket.send(Message::text(words.to_owned())).unwrap();
    }
}

/// A ticket for an order's socket.
pub fn ticket(hub: &Hub, token: &str, order_no: &str) -> String {
    let made = hub.post(token, &format!("/orders/{order_no}/ticket"), &Value::Null);
    assert!(matches!(made.status, 200 | 201), "{}", made.text());
    made.json()["ticket"].as_str().unwrap().to_owned()
}
