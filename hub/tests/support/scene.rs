//! The usual beginning of a test: a hub, a station with one price all day, a pile that is online, a driver with money.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a harness that fails shall fail loudly")]

use serde_json::{Value, json};

use super::{
    Hub,
    charger::{Charger, finished, status},
    token,
    wait::{look_for, now_ms, until},
    world::Pile,
};

/// One pile `P1` at `S1` (electricity 0.8, service 0.4 yuan per kWh) and the driver `anna` with 100 yuan.
#[derive(Debug)]
pub struct Scene {
    pub charger: Charger,
    pub pile: Pile,
    pub driver: String,
    pub hub: Hub,
}

impl Scene {
    pub fn new() -> Self {
        Self::with(&[])
    }

    /// With settings like `("order.start_deadline_s", "2")`.
    pub fn with(settings: &[(&str, &str)]) -> Self {
        Self::rich(settings, 10_000)
    }

    /// With settings, and `fen` for anna.
    pub fn rich(settings: &[(&str, &str)], fen: i64) -> Self {
        let hub = Hub::start_with(settings);
        hub.make_station("S1");
        let pile = hub.make_pile("S1", "P1");
        let charger = Charger::online(&hub, &pile);
        let driver = if fen > 0 { hub.make_driver("anna", fen) } else { token("driver", "anna") };
        Self { charger, pile, driver, hub }
    }

    /// Places an order on connector 1; answers its number.
    pub fn place(&self) -> String {
        order_no(&self.hub.post(&self.driver, "/orders", &json!({"pileCode": "P1", "connectorId": 1})).expect(201))
    }

    /// Places an order and lets the charger accept it.
    pub fn charging(&mut self) -> String {
        let order = self.place();
        let start = self.charger.command("startCharging");
        assert_eq!(start["orderNo"], order.as_str());
        self.charger.accept(&start);
        self.hub.until_status(&self.driver, &order, "CHARGING");
        order
    }

    /// Charges `kwh` with one status frame and a record, both by the charger's clock within the last minute.
    pub fn charge(&mut self, kwh: &str, reason: u8) -> String {
        let order = self.charging();
        let end = now_ms();
        self.charger.send("charging/status", &status(&order, 1, "0", end - 59_000));
        self.charger.send("charging/finished", &finished(&order, 2, kwh, reason, end - 60_000, end));
        assert_eq!(self.charger.record_ack(&order), "stored");
        order
    }

    pub fn order(&self, order: &str) -> Value {
        self.hub.order(&self.driver, order)
    }

    pub fn wallet(&self) -> Value {
        self.hub.get(&self.driver, "/wallet").expect(200)
    }
}

impl Hub {
    pub fn order(&self, token: &str, order: &str) -> Value {
        self.get(token, &format!("/orders/{order}")).expect(200)
    }

    /// Waits until an order has a status; answers the order.
    pub fn until_status(&self, token: &str, order: &str, status: &str) -> Value {
        self.until_order(token, order, status, |order| order["status"] == status)
    }

    /// Waits until an order is as wanted; answers it.
    pub fn until_order(&self, token: &str, order: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let found = look_for(|| {
            last = self.order(token, order);
            wanted(&last).then(|| last.clone())
        });
        found.unwrap_or_else(|| panic!("order {order} never became {what}: {last}"))
    }

    /// An order's history.
    pub fn history(&self, token: &str, order: &str) -> Vec<Value> {
        let rows = self.get(token, &format!("/orders/{order}/history")).expect(200);
        rows["items"].as_array().unwrap().clone()
    }

    /// Alarms, newest first.
    pub fn alarms(&self) -> Vec<Value> {
        let alarms = self.get(&token("ops", "olga"), "/alarms").expect(200);
        alarms["items"].as_array().unwrap().clone()
    }

    /// Waits for an alarm that is as wanted.
    pub fn until_alarm(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        until(what, || self.alarms().into_iter().find(&wanted))
    }

    /// Quarantined frames, newest first.
    pub fn quarantine(&self) -> Vec<Value> {
        let frames = self.get(&token("ops", "olga"), "/quarantine").expect(200);
        frames["items"].as_array().unwrap().clone()
    }

    /// One connector of a pile as operators see it.
    pub fn connector(&self, pile: &str, connector: usize) -> Value {
        let pile = self.get(&token("ops", "olga"), &format!("/piles/{pile}")).expect(200);
        pile["connectors"][connector - 1].clone()
    }
}

/// The number of a placed order.
pub fn order_no(placed: &Value) -> String {
    placed["orderNo"].as_str().unwrap().to_owned()
}
