//! Prices, compared with sums done by hand from the contract [CONTRACT 2.1].
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests fail loudly")]

mod support;

use serde_json::{Value, json};
use support::{
    charger::{finished, status},
    scene::{Scene, order_no},
    wait::{ms, now_ms, rfc3339},
};

/// Valley until 08:00, peak until 22:00, valley again; in Shanghai.
fn valley_and_peak() -> Value {
    json!([
        {"from": "00:00", "to": "08:00", "label": "谷", "electricityE4": 3_000, "serviceE4": 2_000},
        {"from": "08:00", "to": "22:00", "label": "峰", "electricityE4": 12_000, "serviceE4": 5_000},
        {"from": "22:00", "to": "24:00", "label": "晚", "electricityE4": 4_000, "serviceE4": 2_500}])
}

fn flat(electricity: i64, service: i64) -> Value {
    json!([{"from": "00:00", "to": "24:00", "label": "平", "electricityE4": electricity, "serviceE4": service}])
}

fn scene(periods: &Value) -> Scene {
    let scene = Scene::new();
    scene.hub.publish_tariff("S1", periods);
    scene
}

impl Scene {
    /// Sends the record of an order; answers the order once it is stored.
    fn record(&mut self, order: &str, record: &Value) -> Value {
        self.charger.send("charging/finished", record);
        assert_eq!(self.charger.record_ack(order), "stored");
        self.order(order)
    }
}

/// The energy of the bill's segments by label, in order.
fn parts(order: &Value) -> Vec<(String, i64)> {
    let segments = order["bill"]["segments"].as_array().unwrap();
    segments.iter().map(|s| (s["label"].as_str().unwrap().to_owned(), s["energyWh"].as_i64().unwrap())).collect()
}

fn fees(order: &Value) -> [i64; 3] {
    ["electricityFen", "serviceFen", "totalFen"].map(|field| order["bill"][field].as_i64().unwrap())
}

#[test]
fn at_a_tariff_edge_inside_a_sample_the_first_part_is_rounded_down_to_whole_watt_hours() {
    let mut scene = scene(&valley_and_peak());
    let order = scene.charging();
    // 07:59:59 to 08:00:02: 1,000 Wh in 3 s, a third of them before the edge: floor(333.3).
    let edge = ms("2026-03-02T00:00:00Z");
    let ended = scene.record(&order, &finished(&order, 1, "1.000", 2, edge - 1_000, edge + 2_000));
    assert_eq!(parts(&ended), [("谷".to_owned(), 333), ("峰".to_owned(), 667)]);
    // 333 × 3,000 + 667 × 12,000 = 9,003,000: 90.03 fen; 333 × 2,000 + 667 × 5,000 = 4,001,000: 40.01 fen.
    assert_eq!(fees(&ended), [90, 40, 130]);
}

#[test]
fn a_session_across_midnight_uses_the_next_days_periods_and_the_bill_has_the_fields_of_the_contract() {
    let mut scene = scene(&valley_and_peak());
    let order = scene.charging();
    // 21:00 to 01:00 in Shanghai, 4 kWh each hour.
    let begin = ms("2026-03-01T13:00:00Z");
    scene.charger.send("charging/status", &status(&order, 1, "8.000", begin + 2 * 3_600_000));
    let ended = scene.record(&order, &finished(&order, 2, "16.000", 2, begin, begin + 4 * 3_600_000));
    assert_eq!(parts(&ended), [("峰".to_owned(), 4_000), ("晚".to_owned(), 8_000), ("谷".to_owned(), 4_000)]);
    // 4,000 × 12,000 + 8,000 × 4,000 + 4,000 × 3,000 = 92,000,000; 4,000 × (5,000 + 2,000) + 8,000 × 2,500 = 48,000,000.
    assert_eq!(fees(&ended), [920, 480, 1_400]);
    let mut bill = ended["bill"].clone();
    let segment = &bill["segments"][1];
    assert_eq!(
        (&segment["from"], &segment["to"]),
        (&json!(rfc3339(begin + 3_600_000)), &json!(rfc3339(begin + 3 * 3_600_000)))
    );
    let fields: Vec<_> = segment.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["electricityE4", "energyWh", "from", "label", "serviceE4", "to"]);
    assert!(bill["tariffId"].is_string() && bill["tariffVersion"] == 2, "{bill}");
    for gone in ["segments", "tariffId", "flags"] {
        bill.as_object_mut().unwrap().remove(gone);
    }
    let expected = json!({"electricityFen": 920, "serviceFen": 480, "occupancyFen": 0, "totalFen": 1_400,
        "paidFen": 1_400, "releasedFen": 3_600, "debtFen": 0, "tariffVersion": 2});
    assert_eq!(bill, expected);
    assert_eq!(ended["durationS"], 4 * 3_600);
}

#[test]
fn each_kind_of_fee_is_rounded_once_half_up() {
    // Wh, electricity and service price, and the fees: 50,000 is half a fen.
    for (kwh, electricity, service, expected) in [
        ("0.010", 5_000, 4_999, [1, 0, 1]),
        ("0.009", 5_000, 5_556, [0, 1, 1]),
        ("1.000", 1, 49, [0, 0, 0]),
        ("1.000", 50, 149, [1, 1, 2]),
        ("12.480", 8_123, 4_321, [1_014, 539, 1_553]),
    ] {
        let mut scene = scene(&flat(electricity, service));
        let order = scene.charging();
        let begin = ms("2026-03-02T03:00:00Z");
        let ended = scene.record(&order, &finished(&order, 1, kwh, 2, begin, begin + 60_000));
        assert_eq!(fees(&ended), expected, "{kwh} kWh at {electricity} and {service}");
    }
    let mut scene = scene(&json!([
        {"from": "00:00", "to": "08:00", "label": "a", "electricityE4": 5_000, "serviceE4": 0},
        {"from": "08:00", "to": "24:00", "label": "b", "electricityE4": 5_000, "serviceE4": 0}]));
    let order = scene.charging();
    let edge = ms("2026-03-02T00:00:00Z");
    let ended = scene.record(&order, &finished(&order, 1, "0.010", 2, edge - 1_000, edge + 1_000));
    assert_eq!(parts(&ended), [("a".to_owned(), 5), ("b".to_owned(), 5)]);
    assert_eq!(fees(&ended)[0], 1, "twice 0.25 fen are half a fen, rounded once");
}

#[test]
fn kwh_become_wh_on_the_decimal_text_half_up_beyond_three_places() {
    let mut scene = Scene::new();
    for (kwh, wh) in [
        (json!("0.0105"), 11),
        (json!("0.0104999999999999999"), 10),
        (json!("1.0005"), 1_001),
        (json!("2.675"), 2_675),
        (json!(0.5), 500),
        (json!("1e1"), 10_000),
        (json!(0), 0),
    ] {
        let order = scene.charging();
        let begin = ms("2026-03-02T03:00:00Z");
        let mut record = finished(&order, 1, "0", 2, begin, begin + 600_000);
        record["totalPower"] = kwh.clone();
        let ended = scene.record(&order, &record);
        assert_eq!(ended["energyWh"], wh, "{kwh}");
        assert_eq!((&ended["status"], &ended["paymentStatus"]), (&json!("CLOSED"), &json!("PAID")));
    }
}

#[test]
fn a_clock_that_is_wrong_by_more_than_2_s_is_corrected_by_the_median_of_25_heartbeats() {
    let mut scene = scene(&valley_and_peak());
    let order = scene.charging();
    // Thirty beats that no longer count, then 13 of 25 an hour ahead.
    for ahead in [86_400_000; 30].into_iter().chain([0; 12]).chain([3_600_000; 13]) {
        scene.charger.send("heartbeat", &json!({"timestamp": now_ms() + ahead, "status": 2}));
    }
    // 08:10 to 08:50 by the pile's clock, 07:10 to 07:50 in truth.
    let begin = ms("2026-03-02T00:10:00Z");
    scene.charger.send("charging/status", &status(&order, 1, "2.000", begin + 20 * 60_000));
    let ended = scene.record(&order, &finished(&order, 2, "4.000", 2, begin, begin + 40 * 60_000));
    assert_eq!(parts(&ended), [("谷".to_owned(), 4_000)]);
    let started = ms(ended["startedAt"].as_str().unwrap());
    assert!((started - (begin - 3_600_000)).abs() < 2_000, "{started}");
    assert_eq!(ended["durationS"], 40 * 60);
}

#[test]
fn a_clock_that_is_wrong_by_less_than_2_s_is_believed() {
    let mut scene = scene(&valley_and_peak());
    let order = scene.charging();
    for _ in 0..25 {
        scene.charger.send("heartbeat", &json!({"timestamp": now_ms() + 1_500, "status": 2}));
    }
    let edge = ms("2026-03-02T00:00:00Z");
    let ended = scene.record(&order, &finished(&order, 1, "1.000", 2, edge, edge + 1_000));
    assert_eq!(parts(&ended), [("峰".to_owned(), 1_000)]);
    assert_eq!(ended["startedAt"], rfc3339(edge));
}

#[test]
fn without_a_start_time_the_start_is_the_first_frames_time_minus_its_total_time() {
    let mut scene = scene(&valley_and_peak());
    let order = scene.charging();
    let edge = ms("2026-03-02T00:00:00Z");
    let mut frame = status(&order, 1, "1.000", edge + 600_000);
    frame["totalTime"] = json!(1_200);
    scene.charger.send("charging/status", &frame);
    let mut record = finished(&order, 2, "2.000", 2, edge, edge + 1_200_000);
    record.as_object_mut().unwrap().remove("startTime");
    let ended = scene.record(&order, &record);
    assert_eq!(ended["startedAt"], rfc3339(edge - 600_000));
    assert_eq!(parts(&ended), [("谷".to_owned(), 500), ("峰".to_owned(), 1_500)]);
}

#[test]
fn readings_that_go_backwards_exceed_the_record_or_lie_outside_are_left_out_and_flagged() {
    let mut scene = scene(&valley_and_peak());
    let order = scene.charging();
    let edge = ms("2026-03-02T00:00:00Z");
    let begin = edge - 600_000;
    for (seq, kwh, at) in [
        (1, "0.100", begin - 60_000),
        (2, "1.000", begin + 300_000),
        (3, "0.400", begin + 400_000),
        (4, "1.000", begin + 600_000),
        (5, "9.000", begin + 700_000),
    ] {
        scene.charger.send("charging/status", &status(&order, seq, kwh, at));
    }
    let ended = scene.record(&order, &finished(&order, 6, "3.000", 2, begin, edge + 600_000));
    // 1,000 Wh until 07:55, still 1,000 at 08:00, the rest after it.
    assert_eq!(parts(&ended), [("谷".to_owned(), 1_000), ("峰".to_owned(), 2_000)]);
    assert!(!ended["bill"]["flags"].as_array().unwrap().is_empty(), "{ended}");
}

#[test]
fn of_readings_at_the_same_time_the_later_seq_counts_and_back_filled_ones_are_sorted_by_device_time() {
    let mut scene = scene(&valley_and_peak());
    let order = scene.charging();
    let edge = ms("2026-03-02T00:00:00Z");
    for (seq, kwh, at) in [(3, "1.600", edge), (2, "1.500", edge), (1, "0.500", edge - 300_000)] {
        scene.charger.send("charging/status", &status(&order, seq, kwh, at));
    }
    let ended = scene.record(&order, &finished(&order, 4, "3.000", 2, edge - 600_000, edge + 600_000));
    assert_eq!(parts(&ended), [("谷".to_owned(), 1_600), ("峰".to_owned(), 1_400)]);
}

#[test]
fn the_tariff_in_force_when_the_order_was_created_is_used_to_the_end() {
    let mut scene = scene(&flat(8_000, 4_000));
    let order = scene.charging();
    let dear = scene.hub.publish_tariff("S1", &flat(50_000, 50_000));
    let begin = ms("2026-03-02T03:00:00Z");
    let ended = scene.record(&order, &finished(&order, 1, "1.000", 2, begin, begin + 60_000));
    assert_eq!((fees(&ended), &ended["bill"]["tariffVersion"]), ([80, 40, 120], &json!(2)));
    let order = scene.charging();
    let ended = scene.record(&order, &finished(&order, 1, "1.000", 2, begin, begin + 60_000));
    assert_eq!((fees(&ended), &ended["bill"]["tariffId"]), ([500, 500, 1_000], &json!(dear)));
}

#[test]
fn periods_are_of_the_stations_zone_and_an_hour_that_the_clock_skips_is_not_billed() {
    let mut scene = Scene::new();
    let station =
        json!({"stationId": "S2", "name": "Berlin", "timezone": "Europe/Berlin", "longitude": 13.4, "latitude": 52.5});
    scene.hub.post(&support::token("admin", "root"), "/stations", &station).expect(201);
    let hour = |from: &str, to: &str, label: &str, e4: i64| json!({"from": from, "to": to, "label": label, "electricityE4": e4, "serviceE4": 0});
    let periods =
        [hour("00:00", "02:00", "a", 1_000), hour("02:00", "03:00", "b", 2_000), hour("03:00", "24:00", "c", 3_000)];
    scene.hub.publish_tariff("S2", &json!(periods));
    let pile = scene.hub.make_pile("S2", "P2");
    scene.charger = support::charger::Charger::online(&scene.hub, &pile);
    let asked = json!({"pileCode": "P2", "connectorId": 1});
    let order = order_no(&scene.hub.post(&scene.driver, "/orders", &asked).expect(201));
    let start = scene.charger.command("startCharging");
    scene.charger.accept(&start);
    // 01:00 CET to 04:00 CEST are two hours.
    let begin = ms("2026-03-29T00:00:00Z");
    scene.charger.send("charging/finished", &finished(&order, 1, "2.000", 2, begin, begin + 2 * 3_600_000));
    while scene.charger.next().topic != "pile/P2/record/ack" {}
    let ended = scene.order(&order);
    assert_eq!(parts(&ended), [("a".to_owned(), 1_000), ("c".to_owned(), 1_000)]);
    assert_eq!(fees(&ended), [40, 0, 40]);
}
