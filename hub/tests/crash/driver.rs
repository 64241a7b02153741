//! A driver with an app that never gives up: every call has a key and is repeated until it is answered.

use std::sync::{Arc, mpsc::Receiver};

use serde_json::{Value, json};

use crate::{
    charger::Told,
    support::{crash::Watched, wait::DEADLINE},
};

/// A driver who charges at one gun.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) token: String,
    pub(crate) paid_in: i64,
    pub(crate) pile: String,
    pub(crate) gun: u8,
    pub(crate) told: Receiver<Told>,
}

impl Driver {
    /// Starts a charge; answers its order.
    pub(crate) fn start(&self, watched: &Watched, key: &str) -> String {
        let ask = json!({"pileCode": self.pile, "connectorId": self.gun});
        let placed = watched.post_until(&self.token, "/orders", key, &ask, 201);
        placed["orderNo"].as_str().unwrap().to_owned()
    }

    /// Waits until the hub has acknowledged so many more status frames of an order.
    pub(crate) fn watch(&self, order_no: &str, frames: usize) {
        let mut seen = 0;
        while seen < frames {
            match self.next() {
                // The PUBACK of a frame may come after the answer to its order's record.
                Told::Measured(measured) => seen += usize::from(measured == order_no),
                Told::Answered { .. } => panic!("order {order_no} ended by itself"),
            }
        }
    }

    /// Stops a charge and waits until the charger's record was answered.
    pub(crate) fn stop(&self, watched: &Watched, key: &str, order_no: &str) {
        watched.post_until(&self.token, &format!("/orders/{order_no}/stop"), key, &Value::Null, 202);
        self.answered(order_no);
    }

    /// Waits until the charger's record of an order was answered.
    pub(crate) fn answered(&self, order_no: &str) {
        loop {
            match self.next() {
                Told::Measured(_) => {}
                Told::Answered { order_no: answered, result } => {
                    assert_eq!(answered, order_no);
                    assert!(["stored", "duplicate"].contains(&result.as_str()), "{order_no}: {result}");
                    return;
                }
            }
        }
    }

    fn next(&self) -> Told {
        self.told.recv_timeout(DEADLINE).expect("the charger has nothing to tell")
    }
}

/// Two drivers at the two guns of each pile.
pub(crate) fn drivers(watched: &Arc<Watched>, piles: Vec<(String, [Receiver<Told>; 2])>, fen: i64) -> Vec<Driver> {
    let mut drivers = Vec::new();
    for (pile, guns) in piles {
        for (gun, told) in (1..).zip(guns) {
            let token = watched.hub().make_driver(&format!("{pile}-{gun}"), fen);
            drivers.push(Driver { token, paid_in: fen, pile: pile.clone(), gun, told });
        }
    }
    drivers
}
