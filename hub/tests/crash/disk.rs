//! The disk takes no more bytes: the kernel refuses every write beyond a file size (`RLIMIT_FSIZE`), set on the running
//! process from outside and lifted again. The hub refuses what needs a commit, says so, and loses nothing.

use std::{os::unix::fs::MetadataExt, sync::Arc};

use rustix::process::{Resource, Rlimit, prlimit};
use serde_json::{Value, json};

use crate::{
    books,
    charger::Charger,
    driver::Driver,
    support::{Hub, crash::Watched, wait::until},
};

/// Lets no file of the hub grow beyond `bytes`; `None` lifts it. What lies below may be written over, as on a full disk.
fn limit_files(watched: &Watched, bytes: Option<u64>) {
    let limit = Rlimit { current: bytes, maximum: None };
    prlimit(Some(watched.pid()), Resource::Fsize, limit).unwrap();
}

#[test]
fn a_full_disk_stops_money_says_so_and_loses_nothing() {
    let hub = Hub::start();
    hub.make_station("S1");
    let pile = hub.make_pile("S1", "P1");
    let tokens = ["anna", "bert"].map(|sub| hub.make_driver(sub, 20_000));
    let watched = Arc::new(hub.armed(None));
    let (charger, guns) = Charger::start(Arc::clone(&watched), &pile);
    let driver = |(gun, (token, told))| Driver { token, paid_in: 20_000, pile: pile.code.clone(), gun, told };
    let mut drivers = (1..).zip(tokens.into_iter().zip(guns)).map(driver);
    let (anna, bert) = (drivers.next().unwrap(), drivers.next().unwrap());
    let running = anna.start(&watched, "start");
    anna.watch(&running, 5);

    let hub = watched.hub();
    let log = std::fs::metadata(hub.dir().join("money.db-wal")).unwrap().size();
    limit_files(&watched, Some(log));
    let ask = json!({"pileCode": bert.pile, "connectorId": bert.gun});
    hub.post_once(&bert.token, "/orders", "start", &ask).refused(503, "STORE_UNAVAILABLE");
    assert_eq!(hub.call("GET", "/readyz", &[], b"").status, 503);
    hub.post_once(&bert.token, "/orders", "start", &ask).refused(503, "STORE_UNAVAILABLE");
    let stop = format!("/orders/{running}/stop");
    hub.post_once(&anna.token, &stop, "stop", &Value::Null).refused(503, "STORE_UNAVAILABLE");
    assert_eq!(hub.get(&anna.token, &format!("/orders/{running}")).expect(200)["status"], "CHARGING");
    assert_eq!(hub.call("GET", "/healthz", &[], b"").status, 200);
    charger.press_stop(anna.gun);
    until("a record that waits for the store", || hub.log().contains("record waits for the store").then_some(()));

    limit_files(&watched, None);
    until("a ready hub", || (hub.call("GET", "/readyz", &[], b"").status == 200).then_some(()));
    anna.answered(&running);
    let later = bert.start(&watched, "start");
    // Not by PUBACKs: they wait behind the record that was never acknowledged, until the gate ends that connection.
    hub.until_status(&bert.token, &later, "CHARGING");
    bert.stop(&watched, "stop", &later);
    let totals = charger.end();
    assert_eq!(watched.restarts(), 0, "nothing ended the process");
    books::check(&hub, &[(anna, vec![running]), (bert, vec![later])], &totals);
}

#[test]
fn a_disk_that_takes_no_telemetry_is_not_ready_either() {
    let hub = Hub::start();
    hub.make_station("S1");
    let pile = hub.make_pile("S1", "P1");
    let watched = Arc::new(hub.armed(None));
    let (charger, _guns) = Charger::start(Arc::clone(&watched), &pile);
    let hub = watched.hub();
    until("a ready hub", || (hub.call("GET", "/readyz", &[], b"").status == 200).then_some(()));
    limit_files(&watched, Some(0));
    // The charger's own heartbeats are what cannot be written; nobody asks for money.
    let reasons = until("a hub that says what it cannot write", || {
        let ready = hub.call("GET", "/readyz", &[], b"");
        (ready.status == 503).then(|| ready.json()["reasons"].to_string())
    });
    assert!(reasons.contains("telemetry cannot be written"), "{reasons}");
    limit_files(&watched, None);
    until("a ready hub", || (hub.call("GET", "/readyz", &[], b"").status == 200).then_some(()));
    charger.end();
    assert_eq!(watched.restarts(), 0, "nothing ended the process");
}
