//! A station, piles, prices and drivers with money, made over HTTP as an operator would.
#![allow(clippy::unwrap_used, reason = "a harness that fails shall fail loudly")]

use serde_json::{Value, json};

use super::{Hub, token};

/// A pile and the secret it connects with.
#[derive(Debug, Clone)]
pub struct Pile {
    pub code: String,
    pub secret: String,
}

impl Hub {
    /// Makes a station in Shanghai with one price all day: electricity 0.8 yuan, service 0.4 yuan per kWh.
    pub fn make_station(&self, station: &str) {
        let new = json!({"stationId": station, "name": "人民广场", "timezone": "Asia/Shanghai",
            "longitude": 121.4737, "latitude": 31.2304});
        self.post(&token("admin", "root"), "/stations", &new).expect(201);
        let day = json!([{"from": "00:00", "to": "24:00", "label": "平", "electricityE4": 8_000, "serviceE4": 4_000}]);
        self.publish_tariff(station, &day);
    }

    /// Puts prices into force at once; answers the tariff's id.
    pub fn publish_tariff(&self, station: &str, periods: &Value) -> String {
        let draft = json!({"stationId": station, "periods": periods});
        let draft = self.post(&token("ops", "author"), "/tariffs", &draft).expect(201);
        let id = draft["tariffId"].as_str().unwrap().to_owned();
        self.post(&token("finance", "publisher"), &format!("/tariffs/{id}/publish"), &Value::Null).expect(200);
        id
    }

    /// Registers a 120 kW pile with two guns.
    pub fn make_pile(&self, station: &str, code: &str) -> Pile {
        let new = json!({"pileCode": code, "stationId": station, "type": "DC", "connectors": 2, "maxPowerKw": 120});
        let made = self.post(&token("admin", "root"), "/piles", &new).expect(201);
        Pile { code: code.to_owned(), secret: made["secret"].as_str().unwrap().to_owned() }
    }

    /// Gives a driver money through the sandbox channel; answers the driver's token.
    pub fn make_driver(&self, sub: &str, fen: i64) -> String {
        let driver = token("driver", sub);
        let topup = self.post(&driver, "/wallet/topups", &json!({"amountFen": fen, "channel": "sandbox"})).expect(201);
        let url = topup["payUrl"].as_str().unwrap();
        let path = url.strip_prefix(&format!("http://{}", self.http)).unwrap();
        self.call("POST", path, &[], b"").expect(200);
        driver
    }
}
