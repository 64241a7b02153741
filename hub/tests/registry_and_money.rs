//! Stations, piles, prices and a driver's money over HTTP, before anything charges [CONTRACT 3].
#![allow(clippy::unwrap_used, reason = "the helpers of tests fail loudly")]

mod support;

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use support::{Hub, Reply, SANDBOX_KEY, token};

fn pile(code: &str) -> Value {
    json!({"pileCode": code, "stationId": "S1", "type": "DC", "connectors": 2, "maxPowerKw": 120})
}

fn codes(list: &Value) -> Vec<String> {
    list["items"].as_array().unwrap().iter().map(|item| item["pileCode"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn piles_are_listed_by_code_page_by_page_with_their_price() {
    let hub = Hub::start();
    hub.make_station("S1");
    let (admin, ops) = (token("admin", "root"), token("ops", "olga"));
    let all: Vec<_> = (0..7).map(|n| pile(&format!("P{n}"))).collect();
    hub.post(&admin, "/piles/import", &json!(all)).expect(200);
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = hub.get(&ops, &format!("/piles?limit=3&cursor={cursor}")).expect(200);
        seen.extend(codes(&page));
        match page["nextCursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!(seen, ["P0", "P1", "P2", "P3", "P4", "P5", "P6"]);
    hub.put(&ops, "/piles/P3/maintenance", &json!({"on": true, "reason": "cable"})).expect(200);
    assert_eq!(codes(&hub.get(&ops, "/piles?state=maintenance&station=S1").expect(200)), ["P3"]);
    assert_eq!(codes(&hub.get(&ops, "/piles?state=FAULTED").expect(200)).len(), 0);
    hub.get(&ops, "/piles?state=TIRED").refused(422, "VALIDATION");
    let one = hub.get(&token("driver", "anna"), "/piles/P3").expect(200);
    assert_eq!((&one["state"], &one["maxPowerW"]), (&json!("MAINTENANCE"), &json!(120_000)));
    assert_eq!((&one["tariff"]["electricityE4"], &one["tariff"]["serviceE4"]), (&json!(8_000), &json!(4_000)));
    assert_eq!(one["connectors"].as_array().unwrap().len(), 2);
}

#[test]
fn an_import_is_all_or_nothing_and_names_what_is_wrong() {
    let hub = Hub::start();
    hub.make_station("S1");
    let (admin, ops) = (token("admin", "root"), token("ops", "olga"));
    hub.post(&admin, "/piles", &pile("P1")).expect(201);
    hub.post(&admin, "/piles", &pile("P1")).refused(409, "PILE_EXISTS");
    hub.post(&admin, "/piles/import", &json!([pile("P2"), pile("P1")])).refused(409, "PILE_EXISTS");
    let twice = hub.post(&admin, "/piles/import", &json!([pile("P2"), pile("P2")])).refused(422, "VALIDATION");
    assert_eq!(twice["field"], "[1].pileCode");
    let mut bad = pile("P3");
    bad["connectors"] = json!(0);
    let bad = hub.post(&admin, "/piles/import", &json!([pile("P2"), bad])).refused(422, "VALIDATION");
    assert_eq!(bad["field"], "[1].connectors");
    let mut lost = pile("P4");
    lost["stationId"] = json!("S9");
    hub.post(&admin, "/piles", &lost).refused(404, "STATION_NOT_FOUND");
    assert_eq!(codes(&hub.get(&ops, "/piles").expect(200)), ["P1"]);
}

#[test]
fn fifty_thousand_piles_come_in_one_call() {
    let hub = Hub::start();
    hub.make_station("S1");
    let all: Vec<_> = (0..50_000).map(|n| pile(&format!("P{n:05}"))).collect();
    let made = hub.post(&token("admin", "root"), "/piles/import", &json!(all)).expect(200);
    let made = made.as_array().unwrap();
    assert_eq!(made.len(), 50_000);
    assert_eq!(made[49_999]["pileCode"], "P49999");
    assert_eq!(made[0]["secret"].as_str().unwrap().len(), 64);
    let hub = hub.kill_and_restart();
    assert_eq!(hub.get(&token("ops", "olga"), "/stats").expect(200)["piles"]["total"], 50_000);
}

#[test]
fn stations_nearby_come_by_distance() {
    let hub = Hub::start();
    let admin = token("admin", "root");
    for (id, longitude) in [("FAR", 121.50), ("NEAR", 121.48), ("AWAY", 122.50)] {
        let station = json!({"stationId": id, "name": id, "timezone": "Asia/Shanghai", "longitude": longitude, "latitude": 31.23});
        hub.post(&admin, "/stations", &station).expect(201);
    }
    let found = hub.get(&token("driver", "anna"), "/piles/nearby?lon=121.47&lat=31.23&radiusM=5000").expect(200);
    let items = found["items"].as_array().unwrap();
    let ids: Vec<_> = items.iter().map(|item| item["stationId"].as_str().unwrap()).collect();
    assert_eq!(ids, ["NEAR", "FAR"]);
    let near = &items[0];
    assert!((900..1_000).contains(&near["distanceM"].as_i64().unwrap()), "{near}");
    assert_eq!((&near["priceNow"], &near["freeConnectors"], &near["piles"]), (&Value::Null, &json!(0), &json!([])));
}

#[test]
fn a_tariff_is_published_by_another_person_and_every_version_is_kept() {
    let hub = Hub::start();
    hub.make_station("S1");
    let (ops, finance) = (token("ops", "olga"), token("finance", "fred"));
    let day = |electricity: i64| json!([{"from": "00:00", "to": "24:00", "label": "平", "electricityE4": electricity, "serviceE4": 0}]);
    let draft = hub.post(&ops, "/tariffs", &json!({"stationId": "S1", "periods": day(9_000)})).expect(201);
    let id = draft["tariffId"].as_str().unwrap();
    let publish = format!("/tariffs/{id}/publish");
    hub.post(&ops, &publish, &Value::Null).refused(403, "FORBIDDEN");
    let past = hub.post(&finance, &publish, &json!({"effectiveAt": "2020-01-01T00:00:00Z"})).refused(422, "VALIDATION");
    assert_eq!(past["field"], "effectiveAt");
    assert_eq!(hub.post(&finance, &publish, &Value::Null).expect(200)["version"], 2);
    hub.post(&finance, &publish, &Value::Null).refused(409, "ILLEGAL_STATE");
    let versions = hub.get(&ops, "/tariffs?stationId=S1").expect(200);
    assert_eq!(versions["items"].as_array().unwrap().len(), 2);
    assert_eq!(hub.get(&ops, &format!("/tariffs/{id}")).expect(200)["periods"], day(9_000));
}

#[test]
fn a_tariff_with_a_gap_an_overlap_or_a_wild_price_is_refused() {
    let hub = Hub::start();
    hub.make_station("S1");
    let period = |from: &str, to: &str, e4: i64| json!({"from": from, "to": to, "label": "", "electricityE4": e4, "serviceE4": 0});
    for periods in [
        json!([]),
        json!([period("00:00", "12:00", 1)]),
        json!([period("00:00", "13:00", 1), period("12:00", "24:00", 1)]),
        json!([period("22:00", "06:00", 1), period("06:00", "22:00", 1)]),
        json!([period("00:00", "24:00", 50_001)]),
        json!([period("00:00", "24:00", -1)]),
        json!([period("00:00", "25:00", 1)]),
        json!([period("midnight", "24:00", 1)]),
    ] {
        let draft = json!({"stationId": "S1", "periods": periods});
        hub.post(&token("ops", "olga"), "/tariffs", &draft).refused(422, "VALIDATION");
    }
    let dear = json!({"stationId": "S1", "periods": [period("00:00", "24:00", 50_000)]});
    hub.post(&token("ops", "olga"), "/tariffs", &dear).expect(201);
}

fn now_s() -> u64 {
    #[allow(clippy::disallowed_methods, reason = "the test signs like a payment channel, by the wall's clock")]
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn signature(timestamp: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SANDBOX_KEY.as_bytes()).unwrap();
    mac.update(format!("{timestamp}.{body}").as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn callback(hub: &Hub, timestamp: &str, signature: &str, body: &str) -> Reply {
    let headers = [("x-timestamp", timestamp), ("x-signature", signature)];
    hub.call("POST", "/api/v1/payments/callback", &headers, body.as_bytes())
}

#[test]
fn a_signed_callback_credits_once_and_a_wrong_one_never() {
    let hub = Hub::start();
    let driver = token("driver", "anna");
    let topup = hub.post(&driver, "/wallet/topups", &json!({"amountFen": 5_000, "channel": "sandbox"})).expect(201);
    let say = |amount: i64, status: &str| {
        json!({"paymentNo": topup["paymentNo"], "transactionId": "X1", "amountFen": amount, "status": status})
            .to_string()
    };
    let (now, body) = (now_s().to_string(), say(5_000, "SUCCESS"));
    let old = (now_s() - 400).to_string();
    callback(&hub, &now, &signature(&now, "{}"), &body).refused(401, "UNAUTHENTICATED");
    callback(&hub, &now, "zz", &body).refused(401, "UNAUTHENTICATED");
    callback(&hub, &old, &signature(&old, &body), &body).refused(401, "UNAUTHENTICATED");
    hub.call("POST", "/api/v1/payments/callback", &[], body.as_bytes()).refused(401, "UNAUTHENTICATED");
    let wrong = say(4_999, "SUCCESS");
    callback(&hub, &now, &signature(&now, &wrong), &wrong).refused(422, "VALIDATION");
    assert_eq!(hub.get(&driver, "/wallet").expect(200)["availableFen"], 0);
    for expected in [true, false] {
        let taken = callback(&hub, &now, &signature(&now, &body), &body).expect(200);
        assert_eq!(taken["credited"], expected);
    }
    let hub = hub.kill_and_restart();
    callback(&hub, &now, &signature(&now, &body), &body).expect(200);
    let wallet = hub.get(&driver, "/wallet").expect(200);
    assert_eq!(wallet, json!({"availableFen": 5_000, "frozenFen": 0, "debtFen": 0}));
    let entries = hub.get(&driver, "/wallet/entries").expect(200);
    assert_eq!(entries["items"].as_array().unwrap().len(), 1);
    assert_eq!(entries["items"][0]["availableChangeFen"], 5_000);
}

#[test]
fn the_sandbox_pays_once_however_often_it_is_asked() {
    let hub = Hub::start();
    let driver = hub.make_driver("anna", 700);
    let topup = hub.post(&driver, "/wallet/topups", &json!({"amountFen": 300, "channel": "sandbox"})).expect(201);
    let path = format!("/api/v1/sandbox/pay/{}", topup["paymentNo"].as_str().unwrap());
    for _ in 0..3 {
        hub.call("POST", &path, &[], b"").expect(200);
    }
    assert_eq!(hub.get(&driver, "/wallet").expect(200)["availableFen"], 1_000);
    hub.call("POST", "/api/v1/sandbox/pay/nothing", &[], b"").refused(404, "PAYMENT_NOT_FOUND");
    for bad in [json!({"amountFen": 0, "channel": "sandbox"}), json!({"amountFen": 1, "channel": "gold"})] {
        hub.post(&driver, "/wallet/topups", &bad).refused(422, "VALIDATION");
    }
}

#[test]
fn orders_at_a_pile_that_is_not_there_are_refused_and_operators_leave_a_trail() {
    let hub = Hub::start();
    hub.make_station("S1");
    hub.make_pile("S1", "P1");
    let driver = hub.make_driver("anna", 5_000);
    let order = |pile: &str, gun: u8| json!({"pileCode": pile, "connectorId": gun});
    hub.post(&driver, "/orders", &order("P9", 1)).refused(404, "PILE_NOT_FOUND");
    hub.post(&driver, "/orders", &order("P1", 3)).refused(422, "VALIDATION");
    hub.post(&driver, "/orders", &order("P1", 1)).refused(409, "PILE_OFFLINE");
    let (ops, risk) = (token("ops", "olga"), token("risk", "rita"));
    hub.put(&ops, "/piles/P1/maintenance", &json!({"on": true, "reason": "cable"})).expect(200);
    assert_eq!(hub.get(&ops, "/piles/P1").expect(200)["maintenance"], "cable");
    hub.put(&risk, "/users/anna/blacklist", &json!({"on": true, "reason": "fraud"})).expect(200);
    hub.put(&risk, "/users/anna/blacklist", &json!({"on": true})).refused(422, "VALIDATION");
    let audit = hub.get(&token("auditor", "ada"), "/audit").expect(200);
    let actions: Vec<_> =
        audit["items"].as_array().unwrap().iter().map(|row| row["action"].as_str().unwrap()).collect();
    assert_eq!(actions[..2], ["USER_BLACKLIST", "PILE_MAINTENANCE"]);
}
