//! A hub beside payment channels that sign, forge, repeat, lose and refuse as a test likes.

use std::sync::{Arc, OnceLock};

use loadtest::pay::{Callback, Channel, Keys, PaySim, Telling};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use super::{Hub, Reply, token, wait::until};

/// A hub, and the channels it deals with.
pub struct World {
    pub hub: Hub,
    pub sim: PaySim,
    pub runtime: Runtime,
    _keys: TempDir,
}

impl World {
    pub fn new() -> Self {
        Self::with(&[])
    }

    pub fn with(settings: &[(&str, &str)]) -> Self {
        static KEYS: OnceLock<Arc<Keys>> = OnceLock::new();
        let keys = KEYS.get_or_init(|| Arc::new(Keys::generate().unwrap()));
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let any = ([127, 0, 0, 1], 0).into();
        let sim = runtime.block_on(PaySim::start(any, Arc::clone(keys))).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let written = keys.write(dir.path(), &format!("http://{}", sim.address())).unwrap();
        let mut all: Vec<(&str, &str)> = written.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        all.push(("http.public_url", "https://pile.example"));
        all.extend(settings);
        let hub = Hub::start_with(&all);
        sim.point_at(&format!("http://{}", hub.http));
        Self { hub, sim, runtime, _keys: dir }
    }

    pub fn ask(&self, sub: &str, channel: Channel, fen: i64) -> String {
        let ask = json!({"amountFen": fen, "channel": channel.name()});
        let made = self.hub.post(&token("driver", sub), "/wallet/topups", &ask).expect(201);
        let no = made["paymentNo"].as_str().unwrap().to_owned();
        assert!(made["payUrl"].as_str().unwrap().contains(&no), "{made}");
        no
    }

    /// Asks for a payment and pays it, all being well.
    pub fn paid(&self, sub: &str, channel: Channel, fen: i64) -> String {
        let no = self.ask(sub, channel, fen);
        let (status, body) = self.runtime.block_on(self.sim.pay_and_tell(&no)).unwrap();
        assert_eq!(status, 200, "{body}");
        no
    }

    /// A telling of what was paid, to be bent.
    pub fn telling(&self, no: &str) -> Telling {
        self.sim.telling(no, &self.sim.pay(no).unwrap()).unwrap()
    }

    pub fn tell(&self, telling: &Telling) -> (u16, String) {
        self.send(&self.sim.callback(telling).unwrap())
    }

    pub fn send(&self, callback: &Callback) -> (u16, String) {
        self.runtime.block_on(self.sim.send(callback)).unwrap()
    }

    pub fn available(&self, sub: &str) -> i64 {
        self.hub.get(&token("driver", sub), "/wallet").expect(200)["availableFen"].as_i64().unwrap()
    }

    pub fn payment(&self, no: &str) -> Value {
        self.hub.get(&token("finance", "fiona"), &format!("/payments/{no}")).expect(200)
    }

    pub fn refund(&self, by: &str, role: &str, no: &str, fen: i64) -> Reply {
        let ask = json!({"amountFen": fen, "reason": "unused", "to": "channel"});
        self.hub.post(&token(role, by), &format!("/payments/{no}/refunds"), &ask)
    }

    pub fn until_refund(&self, refund_no: &str, state: &str) -> Value {
        until(state, || {
            let refund = self.hub.get(&token("finance", "fiona"), &format!("/refunds/{refund_no}")).expect(200);
            (refund["state"] == state).then_some(refund)
        })
    }

    pub fn suspense(&self) -> Vec<Value> {
        let list = self.hub.get(&token("finance", "fiona"), "/suspense").expect(200);
        list["items"].as_array().unwrap().clone()
    }

    /// Every invariant holds, and the channel never had to refuse a call for its signature.
    pub fn is_sound(&self) {
        let audit = self.hub.run(&["audit"]);
        assert!(audit.status.success(), "{}", String::from_utf8_lossy(&audit.stdout));
        assert_eq!(self.sim.unsigned_calls(), 0);
    }
}

/// The number of a refund that was asked for.
pub fn refund_no(made: &Value) -> String {
    made["refundNo"].as_str().unwrap().to_owned()
}
