//! Prices by the calendar, the way back to an earlier version, the way on to other stations, and what a draft would have
//! earned: over HTTP, with real charges.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests fail loudly")]

mod support;

use rusqlite::Connection;
use serde_json::{Value, json};
use support::{
    Hub,
    charger::{Charger, finished, status},
    scene::{Scene, order_no},
    token,
    wait::{ms, now_ms, rfc3339},
};

fn day(label: &str, electricity: i64, service: i64) -> Value {
    json!([{"from": "00:00", "to": "24:00", "label": label, "electricityE4": electricity, "serviceE4": service}])
}

fn author() -> String {
    token("ops", "author")
}

fn publisher() -> String {
    token("finance", "publisher")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

impl Hub {
    /// Writes a draft; answers its id.
    fn draft(&self, body: &Value) -> String {
        text(&self.post(&author(), "/tariffs", body).expect(201)["tariffId"])
    }

    fn publish(&self, tariff: &str) -> Value {
        self.post(&publisher(), &format!("/tariffs/{tariff}/publish"), &Value::Null).expect(200)
    }

    /// A station's versions as (version, whether published).
    fn versions(&self, station: &str) -> Vec<Value> {
        let listed = self.get(&author(), &format!("/tariffs?stationId={station}")).expect(200);
        listed["items"].as_array().unwrap().clone()
    }

    /// The newest audit row of an action.
    fn audited(&self, action: &str) -> Value {
        let rows = self.get(&token("auditor", "ada"), "/audit").expect(200);
        rows["items"].as_array().unwrap().iter().find(|row| row["action"] == action).unwrap().clone()
    }

    /// The notices of versions that go into force, oldest first, as (station, what they say).
    fn notices(&self) -> Vec<(String, Value)> {
        let db = Connection::open(self.dir().join("money.db")).unwrap();
        let sql = "SELECT subject, data FROM outbox WHERE name = 'tariff.published' ORDER BY id";
        let mut rows = db.prepare(sql).unwrap();
        let told = rows.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?))).unwrap();
        told.map(|row| row.map(|(station, data)| (station, serde_json::from_str(&data).unwrap())).unwrap()).collect()
    }

    fn station_in(&self, station: &str, timezone: &str) {
        let new =
            json!({"stationId": station, "name": station, "timezone": timezone, "longitude": 13.4, "latitude": 52.5});
        self.post(&token("admin", "root"), "/stations", &new).expect(201);
    }
}

impl Scene {
    /// Ends an order with a record; answers it.
    fn record(&mut self, order: &str, kwh: &str, from: i64, to: i64) -> Value {
        self.charger.send("charging/finished", &finished(order, 1, kwh, 2, from, to));
        assert_eq!(self.charger.record_ack(order), "stored");
        self.order(order)
    }
}

fn total(order: &Value) -> i64 {
    order["bill"]["totalFen"].as_i64().unwrap()
}

#[test]
fn a_plan_for_weekends_and_one_for_a_feast_price_a_charge_over_midnight() {
    let mut scene = Scene::new();
    let feast =
        json!({"name": "劳动节", "fromDate": "2026-05-02", "toDate": "2026-05-02", "periods": day("节", 2_000, 1_000)});
    let weekend = json!({"name": "周末", "weekdays": [7, 6], "periods": day("周末", 4_000, 2_000)});
    let body =
        json!({"stationId": "S1", "periods": day("平", 10_000, 5_000), "plans": [feast, weekend], "reason": "五月"});
    let id = scene.hub.draft(&body);
    let version = scene.hub.publish(&id);
    let shown = json!([
        {"name": "劳动节", "weekdays": [1, 2, 3, 4, 5, 6, 7], "fromDate": "2026-05-02", "toDate": "2026-05-02",
            "periods": day("节", 2_000, 1_000)},
        {"name": "周末", "weekdays": [6, 7], "fromDate": null, "toDate": null, "periods": day("周末", 4_000, 2_000)}]);
    assert_eq!((&version["plans"], &version["reason"], &version["basedOn"]), (&shown, &json!("五月"), &Value::Null));

    // Friday 2026-05-01 23:00 to Sunday 01:00 in Shanghai: 26 hours, 1 kWh each.
    let order = scene.charging();
    let begin = ms("2026-05-01T15:00:00Z");
    let ended = scene.record(&order, "26.000", begin, begin + 26 * 3_600_000);
    let segments = ended["bill"]["segments"].as_array().unwrap();
    let parts: Vec<_> = segments.iter().map(|s| (text(&s["label"]), s["energyWh"].as_i64().unwrap())).collect();
    let expected = [("平", 1_000), ("节", 24_000), ("周末", 1_000)];
    assert_eq!(parts, expected.map(|(label, wh)| (label.to_owned(), wh)));
    // 1 × 1.0 + 24 × 0.2 + 1 × 0.4 = 6.2 yuan, and half of it for the service.
    assert_eq!((&ended["bill"]["electricityFen"], &ended["bill"]["serviceFen"]), (&json!(620), &json!(310)));
}

#[test]
fn a_plan_that_is_wrong_is_refused_with_its_place_its_name_and_the_minute() {
    let hub = Hub::start();
    hub.make_station("S1");
    let plan = |change: Value| {
        let mut plan = json!({"name": "周末", "weekdays": [6, 7], "periods": day("x", 1, 1)});
        plan.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        plan
    };
    let gap = json!([{"from": "00:00", "to": "08:00", "label": "", "electricityE4": 1, "serviceE4": 1},
        {"from": "09:00", "to": "24:00", "label": "", "electricityE4": 1, "serviceE4": 1}]);
    let table = [
        (json!([plan(json!({"periods": gap}))]), "plans[0].periods", "08:00", "no period covers 08:00 to 09:00"),
        (json!([plan(json!({"periods": day("x", 50_001, 1)}))]), "plans[0].periods", "50001", "must be 0 to 50000"),
        (json!([plan(json!({"periods": []}))]), "plans[0].periods", "[]", "at least one period"),
        (json!([plan(json!({})), plan(json!({"weekdays": [6]}))]), "plans[1]", "周末", "plans before it fit all"),
        (json!([plan(json!({"weekdays": []}))]), "plans[0].weekdays", "[]", "names no weekday"),
        (json!([plan(json!({"weekdays": [8]}))]), "plans[0].weekdays", "8", "8 is no weekday"),
        (json!([plan(json!({"fromDate": "2026-02-30"}))]), "plans[0].fromDate", "2026-02-30", "is no date"),
        (
            json!([plan(json!({"fromDate": "2026-05-03", "toDate": "2026-05-02"}))]),
            "plans[0].fromDate",
            "2026-05-03",
            "after its last day 2026-05-02",
        ),
        (
            // A Monday and a Tuesday.
            json!([plan(json!({"fromDate": "2026-05-04", "toDate": "2026-05-05"}))]),
            "plans[0]",
            "周末",
            "none of its weekdays",
        ),
    ];
    for (plans, field, value, rule) in table {
        let body = json!({"stationId": "S1", "periods": day("x", 1, 1), "plans": plans});
        let refused = hub.post(&author(), "/tariffs", &body).refused(422, "VALIDATION");
        assert_eq!((&refused["field"], &refused["value"]), (&json!(field), &json!(value)), "{refused}");
        let said = text(&refused["rule"]);
        assert!(said.contains(rule) && said.contains("\"周末\""), "{said}");
    }
    let many: Vec<Value> = (1..=33).map(|n| plan(json!({"fromDate": format!("2026-0{}-01", n % 9 + 1)}))).collect();
    let body = json!({"stationId": "S1", "periods": day("x", 1, 1), "plans": many});
    assert_eq!(hub.post(&author(), "/tariffs", &body).refused(422, "VALIDATION")["field"], "plans");
    assert_eq!(hub.versions("S1").len(), 1, "nothing was stored");
}

#[test]
fn the_way_back_to_a_version_is_a_draft_that_another_person_publishes_as_a_new_version() {
    let mut scene = Scene::new();
    let first = text(&scene.hub.versions("S1")[0]["tariffId"]);
    let weekdays = json!([{"weekdays": [1, 2, 3, 4, 5, 6, 7], "periods": day("贵", 20_000, 10_000)}]);
    let dear = scene.hub.draft(&json!({"stationId": "S1", "periods": day("平", 1, 1), "plans": weekdays}));
    let back = |id: &str| format!("/tariffs/{id}/rollback");
    let why = json!({"reason": "too dear"});
    scene.hub.post(&author(), &back(&dear), &why).refused(409, "ILLEGAL_STATE");
    scene.hub.post(&author(), &back("T0"), &why).refused(404, "TARIFF_NOT_FOUND");
    scene.hub.publish(&dear);
    let order = scene.charge("1.000", 1);
    assert_eq!(total(&scene.order(&order)), 300);

    assert_eq!(scene.hub.post(&author(), &back(&first), &json!({})).refused(422, "VALIDATION")["field"], "reason");
    let draft = scene.hub.post_once(&author(), &back(&first), "k", &why);
    let again = scene.hub.post_once(&author(), &back(&first), "k", &why);
    assert_eq!((again.status, &again.body), (201, &draft.body));
    scene
        .hub
        .post_once(&author(), &back(&first), "k", &json!({"reason": "other"}))
        .refused(422, "IDEMPOTENCY_KEY_REUSED");
    let draft = draft.expect(201);
    assert_eq!(
        (&draft["basedOn"], &draft["reason"], &draft["status"]),
        (&json!(first), &json!("too dear"), &json!("DRAFT"))
    );
    assert_eq!((&draft["periods"], &draft["plans"]), (&day("平", 8_000, 4_000), &json!([])));
    assert_eq!(scene.hub.versions("S1").len(), 3);
    let order = scene.charge("1.000", 1);
    assert_eq!(total(&scene.order(&order)), 300, "a draft prices nothing");

    let id = text(&draft["tariffId"]);
    scene.hub.post(&author(), &format!("/tariffs/{id}/publish"), &Value::Null).refused(403, "FORBIDDEN");
    assert_eq!(scene.hub.publish(&id)["version"], 3);
    let order = scene.charge("1.000", 1);
    let bill = scene.order(&order)["bill"].clone();
    assert_eq!((&bill["totalFen"], &bill["tariffVersion"]), (&json!(120), &json!(3)));
    let row = scene.hub.audited("TARIFF_PUBLISHED");
    assert_eq!(
        (&row["actor"], &row["target"], &row["detail"]["reason"]),
        (&json!("publisher"), &json!(id), &json!("too dear"))
    );
    assert_eq!((&row["detail"]["before"]["tariffId"], &row["detail"]["before"]["version"]), (&json!(dear), &json!(2)));
    assert_eq!((&row["detail"]["after"]["version"], &row["detail"]["basedOn"]), (&json!(3), &json!(first)));
}

#[test]
fn a_dry_run_of_a_draft_says_what_the_orders_then_really_cost() {
    let mut scene = Scene::new();
    let kwh = ["1.000", "2.500", "0.337"];
    for kwh in kwh {
        scene.charge(kwh, 1);
    }
    let nightly = json!([{"weekdays": [1, 2, 3, 4, 5, 6, 7], "periods": day("新", 11_111, 3_333)}]);
    let draft = scene.hub.draft(&json!({"stationId": "S1", "periods": day("平", 1, 1), "plans": nightly}));
    let path = format!("/tariffs/{draft}/dry-run");
    for days in [0, 32] {
        let refused = scene.hub.post(&author(), &path, &json!({"days": days})).refused(422, "VALIDATION");
        assert_eq!(refused["field"], "days");
    }
    scene.hub.post(&author(), "/tariffs/T0/dry-run", &Value::Null).refused(404, "TARIFF_NOT_FOUND");
    let first = scene.hub.post_once(&author(), &path, "k", &Value::Null);
    let told = first.expect(200);
    assert_eq!(scene.hub.post_once(&author(), &path, "k", &Value::Null).body, first.body);

    scene.hub.publish(&draft);
    let then: Vec<i64> = kwh
        .iter()
        .map(|kwh| {
            let order = scene.charge(kwh, 1);
            total(&scene.order(&order))
        })
        .collect();
    let then_sum: i64 = then.iter().sum();
    // 120 + 300 + 0.337 × 80 (26.96) + 0.337 × 40 (13.48): 27 and 13 fen.
    assert_eq!((&told["orders"], &told["revenueNowFen"]), (&json!(3), &json!(460)));
    assert_eq!((&told["revenueThenFen"], &told["differenceFen"]), (&json!(then_sum), &json!(then_sum - 460)));
    assert_eq!((&told["truncated"], told["worst"].as_array().unwrap().len()), (&json!(false), 3));
    let worst = &told["worst"][0];
    assert_eq!(
        (&worst["nowFen"], &worst["thenFen"], &worst["differenceFen"]),
        (&json!(300), &json!(then[1]), &json!(then[1] - 300))
    );
    let labels = told["byLabel"].as_array().unwrap();
    assert_eq!(labels.len(), 2, "{told}");
    assert_eq!(
        (&labels[0]["label"], &labels[0]["energyNowWh"], &labels[0]["energyThenWh"]),
        (&json!("平"), &json!(3_837), &json!(0))
    );
    assert_eq!(
        (&labels[1]["label"], &labels[1]["energyNowWh"], &labels[1]["energyThenWh"]),
        (&json!("新"), &json!(0), &json!(3_837))
    );
    assert_eq!(scene.hub.audited("TARIFF_DRY_RUN")["detail"]["differenceFen"], then_sum - 460);
    assert!(scene.hub.run(&["audit"]).status.success());
}

#[test]
fn a_dry_run_looks_at_the_tariffs_own_station_and_the_days_asked_for() {
    let mut scene = Scene::new();
    scene.charge("1.000", 1);
    // By the charger's clock it ended ten days ago.
    let order = scene.charging();
    let end = now_ms() - 10 * 86_400_000;
    scene.record(&order, "2.000", end - 60_000, end);
    scene.hub.make_station("S2");
    let other = scene.hub.draft(&json!({"stationId": "S2", "periods": day("x", 1, 1)}));
    let told = scene.hub.post(&author(), &format!("/tariffs/{other}/dry-run"), &json!({"days": 31})).expect(200);
    assert_eq!((&told["orders"], &told["skipped"], &told["differenceFen"]), (&json!(0), &json!(0), &json!(0)));
    let own = scene.hub.draft(&json!({"stationId": "S1", "periods": day("x", 8_000, 0)}));
    for (days, orders, difference) in [(7, 1, -40), (31, 2, -120)] {
        let told = scene.hub.post(&author(), &format!("/tariffs/{own}/dry-run"), &json!({"days": days})).expect(200);
        assert_eq!((&told["orders"], &told["differenceFen"]), (&json!(orders), &json!(difference)), "{days} days");
    }
}

#[test]
fn a_version_is_carried_on_to_two_stations_and_an_order_that_runs_there_keeps_its_own() {
    let mut scene = Scene::new();
    scene.hub.make_station("S2");
    scene.hub.station_in("S3", "Europe/Berlin");
    let pile = scene.hub.make_pile("S2", "P2");
    let mut charger = Charger::online(&scene.hub, &pile);
    let placed = scene.hub.post(&scene.driver, "/orders", &json!({"pileCode": "P2", "connectorId": 1})).expect(201);
    let order = order_no(&placed);
    let start = charger.command("startCharging");
    charger.accept(&start);
    scene.hub.until_status(&scene.driver, &order, "CHARGING");

    let plans = json!([{"name": "all", "periods": day("新", 20_000, 10_000)}]);
    let source = scene.hub.draft(&json!({"stationId": "S1", "periods": day("平", 1, 1), "plans": plans}));
    scene.hub.publish(&source);
    let path = format!("/tariffs/{source}/rollout");
    let to = json!({"stationIds": ["S2", "S3"], "reason": "the first week went well"});
    let answer = scene.hub.post_once(&publisher(), &path, "k", &to);
    let made = answer.expect(200);
    assert_eq!(scene.hub.post_once(&publisher(), &path, "k", &to).body, answer.body);
    let shown: Vec<_> =
        made["stations"].as_array().unwrap().iter().map(|s| (text(&s["stationId"]), &s["version"])).collect();
    assert_eq!(shown, [("S2".to_owned(), &json!(2)), ("S3".to_owned(), &json!(1))]);
    let berlin = &scene.hub.versions("S3")[0];
    assert_eq!(
        (&berlin["timezone"], &berlin["basedOn"], &berlin["publisher"]),
        (&json!("Europe/Berlin"), &json!(source), &json!("publisher"))
    );
    assert_eq!((&berlin["author"], &berlin["plans"][0]["periods"]), (&json!("author"), &day("新", 20_000, 10_000)));
    let row = scene.hub.audited("TARIFF_ROLLED_OUT");
    assert_eq!((&row["detail"]["stationId"], &row["detail"]["reason"]), (&json!("S3"), &to["reason"]));
    assert_eq!((&row["detail"]["before"], &row["detail"]["after"]["version"]), (&Value::Null, &json!(1)));

    let notices = scene.hub.notices();
    let stations: Vec<_> = notices.iter().map(|(station, _)| station.as_str()).collect();
    assert_eq!(stations, ["S1", "S2", "S1", "S2", "S3"], "one for every version that was published, and no more");
    let told = json!({"stationId": "S2", "tariffId": made["stations"][0]["tariffId"], "version": 2,
        "effectiveAt": made["stations"][0]["effectiveAt"]});
    assert_eq!(notices[3].1, told);

    // The order that ran all the while keeps 0.8 + 0.4 yuan; the next one at the station has the new prices.
    let end = now_ms();
    charger.send("charging/status", &status(&order, 1, "0", end - 59_000));
    charger.send("charging/finished", &finished(&order, 2, "1.000", 2, end - 60_000, end));
    assert_eq!(charger.record_ack(&order), "stored");
    let bill = scene.order(&order)["bill"].clone();
    assert_eq!((&bill["totalFen"], &bill["tariffVersion"]), (&json!(120), &json!(1)));
    let now = scene.hub.get(&scene.driver, "/piles/P2").expect(200)["tariff"].clone();
    assert_eq!((&now["tariffVersion"], &now["electricityE4"]), (&json!(2), &json!(20_000)));
    // So it is after a crash.
    scene.hub = scene.hub.kill_and_restart();
    let now = scene.hub.get(&scene.driver, "/piles/P2").expect(200)["tariff"].clone();
    assert_eq!((&now["tariffVersion"], &now["electricityE4"]), (&json!(2), &json!(20_000)));
}

#[test]
fn a_rollout_is_refused_as_a_whole_and_names_the_station() {
    let hub = Hub::start();
    hub.make_station("S1");
    hub.make_station("S2");
    let draft = hub.draft(&json!({"stationId": "S1", "periods": day("x", 1, 1)}));
    let path = format!("/tariffs/{draft}/rollout");
    hub.post(&publisher(), &path, &json!({"stationIds": ["S2"]})).refused(409, "ILLEGAL_STATE");
    hub.publish(&draft);
    let own = hub.post(&author(), &path, &json!({"stationIds": ["S2"]})).refused(403, "FORBIDDEN");
    assert!(text(&own["detail"]).contains("S2"), "{own}");
    let unknown = hub.post(&publisher(), &path, &json!({"stationIds": ["S2", "S9"]})).refused(404, "STATION_NOT_FOUND");
    assert!(text(&unknown["detail"]).contains("S9"), "{unknown}");
    for (stations, field) in [
        (json!([]), "stationIds"),
        (json!(["S2", "S1"]), "stationIds[1]"),
        (json!(["S2", "S2"]), "stationIds[1]"),
        (json!(["S2", " "]), "stationIds[1]"),
        (json!(vec!["S2"; 201]), "stationIds"),
    ] {
        let refused = hub.post(&publisher(), &path, &json!({"stationIds": stations})).refused(422, "VALIDATION");
        assert_eq!(refused["field"], field);
    }
    let past = json!({"stationIds": ["S2"], "effectiveAt": "2020-01-01T00:00:00Z"});
    let past = hub.post(&publisher(), &path, &past).refused(422, "VALIDATION");
    assert_eq!(past["field"], "effectiveAt");
    assert!(text(&past["detail"]).contains("S2"), "{past}");
    assert_eq!(hub.versions("S2").len(), 1, "nothing was stored");

    let later = now_ms() + 3_600_000;
    let to = json!({"stationIds": ["S2"], "effectiveAt": rfc3339(later)});
    let made = hub.post(&publisher(), &path, &to).expect(200);
    assert_eq!(made["stations"][0]["effectiveAt"], rfc3339(later));
}

#[test]
fn who_may_go_back_carry_on_and_try_out_is_who_may_publish() {
    let hub = Hub::start();
    for call in ["rollback", "rollout", "dry-run"] {
        for role in ["driver", "service", "ops", "finance", "risk", "admin", "auditor"] {
            let reply = hub.post(&token(role, "somebody"), &format!("/tariffs/T1/{call}"), &Value::Null);
            assert_eq!(reply.status != 403, ["ops", "finance"].contains(&role), "{call} as {role}");
        }
    }
}
