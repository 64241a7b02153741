//! The books as drivers and finance read them: receipts, statements, entries, the audit trail, end to end.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests fail loudly")]

mod support;

use std::{path::Path, process::Output};

use domain::{Timestamp, UserId};
use rusqlite::Connection;
use serde_json::{Value, json};
use store::{
    money::{Commit, CommitOutcome, Write},
    registry::AuditRow,
    sqlite,
};
use support::{
    Hub, JWT_KEY,
    charger::{finished, status},
    pilehub,
    scene::Scene,
    token,
    wait::{DEADLINE, ms, now_ms, rfc3339, until},
};

/// A charge over a boundary of the tariff, with frames, a register and a debt; answers its number.
fn charged(scene: &mut Scene) -> String {
    let periods = json!([
        {"from": "00:00", "to": "08:00", "label": "谷", "electricityE4": 3_001, "serviceE4": 4_000},
        {"from": "08:00", "to": "24:00", "label": "<b>峰</b>", "electricityE4": 12_345, "serviceE4": 4_000}]);
    scene.hub.publish_tariff("S1", &periods);
    let order = scene.charging();
    // 07:10 to 08:50 in Shanghai.
    let begin = ms("2026-03-01T23:10:00Z");
    for (seq, minute, kwh) in [(1, 10, "3.001"), (2, 49, "17.5"), (3, 77, "33.333")] {
        scene.charger.send("charging/status", &status(&order, seq, kwh, begin + minute * 60_000));
    }
    let mut record = finished(&order, 4, "41.007", 2, begin, begin + 100 * 60_000);
    record["meterStart"] = json!(10_021.310);
    record["meterEnd"] = json!(10_062.317);
    scene.charger.send("charging/finished", &record);
    assert_eq!(scene.charger.record_ack(&order), "stored");
    order
}

fn verify(receipt: &str) -> (i32, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), receipt).unwrap();
    let output: Output = pilehub().arg("verify-receipt").arg(file.path()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

fn receipt(scene: &Scene, order: &str) -> String {
    let reply = scene.hub.get(&scene.driver, &format!("/orders/{order}/receipt"));
    reply.expect(200);
    reply.text()
}

#[test]
fn a_receipt_is_worked_out_again_offline_and_whatever_is_changed_in_it_is_found() {
    let mut scene = Scene::rich(&[], 3_000);
    let order = charged(&mut scene);
    let text = receipt(&scene, &order);
    let whole: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(whole["readings"]["frames"].as_array().unwrap().len(), 3, "{whole}");
    assert_eq!((&whole["meterStartWh"], &whole["meterEndWh"]), (&json!(10_021_310), &json!(10_062_317)));
    assert!(whole["sums"]["debtFen"].as_i64() > Some(0));
    let (code, said) = verify(&text);
    assert_eq!(code, 0, "{said}");
    for check in ["hash", "rule", "tariff", "fees", "segments", "readings", "meter", "entries"] {
        assert!(said.lines().any(|line| line.starts_with(&format!("holds {check}"))), "{check}: {said}");
    }
    assert_eq!(verify(&serde_json::to_string_pretty(&whole).unwrap()).0, 0, "spaces do not matter");
    for (path, value, check) in [
        ("/bill/electricityFen", json!(1), "fees"),
        ("/bill/segments/0/electricityE4", json!(3_000), "segments"),
        ("/tariff/periods/1/electricityE4", json!(12_344), "segments"),
        ("/readings/frames/1/energyWh", json!(17_600), "readings"),
        ("/meterEndWh", json!(10_092_317), "meter"),
        ("/entries/0/fen", json!(1), "entries"),
        ("/sums/debtFen", json!(0), "entries"),
        ("/hash", json!("00"), "hash"),
    ] {
        let mut tampered = whole.clone();
        *tampered.pointer_mut(path).unwrap() = value;
        let (code, said) = verify(&tampered.to_string());
        assert_eq!(code, 1, "{path}: {said}");
        for name in ["hash", check] {
            assert!(said.lines().any(|line| line.starts_with(&format!("FAILS {name}"))), "{path}: {name}: {said}");
        }
    }
    assert_eq!(verify("{}").0, 1);
    assert_eq!(pilehub().arg("verify-receipt").output().unwrap().status.code(), Some(2));
    assert_eq!(pilehub().args(["verify-receipt", "/nowhere"]).output().unwrap().status.code(), Some(2));
}

#[test]
fn a_receipt_follows_what_becomes_of_the_order_and_is_its_owners() {
    let mut scene = Scene::rich(&[], 3_000);
    let order = charged(&mut scene);
    let path = format!("/orders/{order}/receipt");
    scene.hub.get(&token("driver", "bert"), &path).refused(404, "ORDER_NOT_FOUND");
    scene.hub.get(&token("auditor", "otto"), &path).expect(200);
    scene.hub.make_driver("anna", 5_000);
    scene.hub.post(&scene.driver, &format!("/debts/{order}/repay"), &json!({"amountFen": 100})).expect(200);
    assert_eq!(verify(&receipt(&scene, &order)).0, 0, "after a repayment");
    scene.hub.post(&scene.driver, &format!("/debts/{order}/repay"), &Value::Null).expect(200);
    let after = receipt(&scene, &order);
    assert_eq!(verify(&after).0, 0, "{after}");
    let running = scene.charging();
    let refused = scene.hub.get(&scene.driver, &format!("/orders/{running}/receipt")).refused(409, "ILLEGAL_STATE");
    assert!(refused["detail"].as_str().unwrap().contains("CHARGING"), "{refused}");
    let scene = Scene { hub: scene.hub.kill_and_restart(), ..scene };
    assert_eq!(receipt(&scene, &order), after, "a receipt survives the hub");
}

#[test]
fn receipts_of_wrong_clocks_silence_and_failed_starts_hold_too() {
    let mut scene = Scene::with(&[("order.fault_wait_s", "1"), ("order.start_deadline_s", "1")]);
    // Ten minutes ahead.
    for _ in 0..25 {
        scene.charger.send("heartbeat", &json!({"timestamp": now_ms() + 600_000, "status": 1}));
    }
    let order = scene.charge("5.000", 1);
    let text = receipt(&scene, &order);
    let (code, said) = verify(&text);
    assert!(code == 0 && said.contains("holds readings"), "{said}");
    let offset = serde_json::from_str::<Value>(&text).unwrap()["readings"]["clockOffsetMs"].as_i64().unwrap();
    assert!((-601_000..=-595_000).contains(&offset), "{offset}");

    let order = scene.charging();
    scene.charger.send("charging/status", &status(&order, 1, "2.000", now_ms() + 590_000));
    let fault = json!({"eventId": "f", "type": "fault", "connectorId": 1, "faultCode": "E1", "timestamp": now_ms()});
    scene.charger.send("event", &fault);
    scene.hub.until_status(&scene.driver, &order, "EXCEPTION_CLOSED");
    let (code, said) = verify(&receipt(&scene, &order));
    assert!(code == 0 && said.contains("holds readings"), "provisional: {said}");
    let end = now_ms() + 600_000;
    scene.charger.send("charging/finished", &finished(&order, 2, "2.500", 3, end - 120_000, end));
    assert_eq!(scene.charger.record_ack(&order), "stored");
    let (code, said) = verify(&receipt(&scene, &order));
    assert!(code == 0 && said.contains("holds corrections") && said.contains("holds readings"), "corrected: {said}");
    scene
        .charger
        .send("event", &json!({"eventId": "g", "type": "faultCleared", "connectorId": 1, "timestamp": now_ms()}));

    let order = scene.place();
    scene.hub.until_status(&scene.driver, &order, "START_FAILED");
    let (code, said) = verify(&receipt(&scene, &order));
    assert_eq!(code, 0, "{said}");
}

#[test]
fn the_page_of_a_receipt_is_whole_escaped_and_in_the_readers_language() {
    let mut scene = Scene::rich(&[], 3_000);
    let order = charged(&mut scene);
    let page = |language: &str| {
        let bearer = format!("Bearer {}", scene.driver);
        let headers = [("authorization", bearer.as_str()), ("accept", "text/html"), ("accept-language", language)];
        scene.hub.call("GET", &format!("/api/v1/orders/{order}/receipt"), &headers, b"")
    };
    for (language, words) in [("zh-CN", "充电收据"), ("en", "Charging receipt")] {
        let reply = page(language);
        let text = reply.text();
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
        assert!(reply.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
        let hash =
            serde_json::from_str::<Value>(&receipt(&scene, &order)).unwrap()["hash"].as_str().unwrap().to_owned();
        for part in
            [words, &order, "人民广场", "41.007", "10021.310", "1.2345", "07:10:00", &hash, "&lt;b&gt;峰&lt;/b&gt;"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("<script") && !text.contains("<b>"), "{text}");
    }
}

#[test]
fn statements_open_with_what_the_month_before_closed_with_and_their_tables_add_up() {
    let mut scene = Scene::rich(&[], 3_000);
    let order = charged(&mut scene);
    scene.hub.make_driver("anna", 9_000);
    scene.hub.post(&scene.driver, &format!("/debts/{order}/repay"), &Value::Null).expect(200);
    let months = scene.hub.get(&scene.driver, "/wallet/statements").expect(200);
    let month = months["items"][0]["month"].as_str().unwrap().to_owned();
    let path = format!("/wallet/statements/{month}");
    let statement = scene.hub.get(&scene.driver, &path).expect(200);
    assert_eq!(statement["timezone"], "Asia/Shanghai");
    assert_eq!((&statement["opening"]["availableFen"], &statement["complete"]), (&json!(0), &json!(false)));
    assert_eq!(statement["closing"], scene.wallet());
    assert_eq!(months["items"][0]["entries"], statement["entries"]);
    let kinds = statement["kinds"].as_array().unwrap();
    let topups = kinds.iter().find(|kind| kind["kind"] == "TOP_UP").unwrap();
    assert_eq!((&topups["entries"], &topups["availableChangeFen"]), (&json!(2), &json!(12_000)));

    let table = scene.hub.get(&scene.driver, &format!("{path}.csv"));
    assert_eq!(table.header("content-type"), Some("text/csv; charset=utf-8"));
    let text = table.text();
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    let count = usize::try_from(statement["entries"].as_i64().unwrap()).unwrap();
    assert_eq!(lines.len(), count + 3, "{text}");
    assert_eq!(lines[0][..3], ["entryId", "at", "kind"]);
    let sum: i64 = lines[2..lines.len() - 1].iter().map(|line| line[3].parse::<i64>().unwrap()).sum();
    assert_eq!(json!(sum), statement["closing"]["availableFen"], "{text}");

    scene.hub.get(&scene.driver, "/wallet/statements/2020-01").expect(200);
    for month in ["9999-01", "2026-13", "x"] {
        scene.hub.get(&scene.driver, &format!("/wallet/statements/{month}")).refused(422, "VALIDATION");
    }
    let other = scene.hub.get(&token("driver", "bert"), "/wallet/statements").expect(200);
    assert_eq!(other["items"], json!([]));
}

#[test]
fn entries_are_found_by_time_and_kind_in_pages_that_follow_each_other() {
    let scene = Scene::rich(&[], 1_000);
    let driver = scene.driver.clone();
    let begin = rfc3339(now_ms());
    for _ in 0..3 {
        scene.hub.make_driver("anna", 500);
        let order = scene.place();
        scene.hub.post(&driver, &format!("/orders/{order}/stop"), &Value::Null).expect(202);
        scene.hub.until_status(&driver, &order, "CANCELED");
    }
    let walk = |path: &str, token: &str| {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = scene.hub.get(token, &format!("{path}&limit=2{cursor}")).expect(200);
            let items = page["items"].as_array().unwrap().clone();
            assert!(items.len() <= 2);
            all.extend(items);
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return all,
            }
        }
    };
    let kinds = |rows: &[Value]| rows.iter().map(|row| row["kind"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let topups = walk(&format!("/wallet/entries?kind=TOP_UP&from={begin}"), &driver);
    assert_eq!(kinds(&topups), ["TOP_UP"; 3]);
    assert_eq!(walk("/wallet/entries?kind=TOP_UP", &driver).len(), 4);
    assert_eq!(walk(&format!("/wallet/entries?to={begin}"), &driver).len(), 1);
    scene.hub.get(&driver, "/wallet/entries?kind=GOLD").refused(422, "VALIDATION");

    let finance = token("finance", "fred");
    let all = walk(&format!("/ledger/entries?from={begin}"), &finance);
    assert_eq!(kinds(&all).iter().filter(|kind| *kind == "FREEZE").count(), 3);
    let times: Vec<&str> = all.iter().map(|row| row["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(walk(&format!("/ledger/entries?from={begin}&userId=anna&kind=RELEASE"), &finance).len(), 3);
    assert_eq!(walk(&format!("/ledger/entries?from={begin}&userId=bert"), &finance).len(), 0);
    scene.hub.get(&finance, "/ledger/entries").refused(422, "VALIDATION");
    let table = scene.hub.get(&token("auditor", "otto"), &format!("/ledger/entries.csv?from={begin}"));
    assert_eq!(table.status, 200);
    assert_eq!(table.text().lines().count(), all.len() + 1, "{}", table.text());
    assert!(table.text().lines().nth(1).unwrap().contains(",anna,"), "{}", table.text());
}

#[test]
fn the_audit_trail_says_from_where_and_is_searched() {
    let hub = Hub::start();
    hub.make_station("S1");
    hub.make_pile("S1", "P1");
    let auditor = token("auditor", "otto");
    let all = hub.get(&auditor, "/audit").expect(200);
    let rows = all["items"].as_array().unwrap();
    assert!(rows.len() >= 4 && rows.iter().all(|row| row["address"] == "127.0.0.1"), "{all}");
    for (query, wanted) in [
        ("action=TARIFF_PUBLISHED", 1),
        ("actor=author", 1),
        ("actor=author&action=TARIFF_PUBLISHED", 0),
        ("target=P1", 1),
        ("to=2020-01-01T00:00:00Z", 0),
        ("from=2020-01-01T00:00:00Z&actor=root", 2),
        ("from=2999-01-01T00:00:00Z", 0),
    ] {
        let found = hub.get(&auditor, &format!("/audit?{query}")).expect(200);
        assert_eq!(found["items"].as_array().unwrap().len(), wanted, "{query}: {found}");
    }
    assert_eq!(hub.get(&auditor, "/audit/heads").expect(200)["items"], json!([]), "no day is over yet");
    hub.get(&token("ops", "olga"), "/audit/heads").refused(403, "FORBIDDEN");
    let output = pilehub().args(["audit", "--data-dir"]).arg(hub.dir()).env("PILEHUB__AUTH__JWT_KEY", JWT_KEY).output();
    assert!(output.unwrap().status.success());
}

/// Rows of the audit trail, so many days ago each, written while no hub runs.
fn write_rows(dir: &Path, days_ago: &[i64]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = sqlite::open(dir, sqlite::Options::new(Box::new(|_| {}))).unwrap();
        for (n, days) in days_ago.iter().enumerate() {
            let row = AuditRow {
                at: Timestamp::from_millis(now_ms() - days * 86_400_000).unwrap(),
                actor: UserId::parse("anna").unwrap(),
                role: "ops".to_owned(),
                address: None,
                action: "TRIED".to_owned(),
                target: n.to_string(),
                detail: "{}".to_owned(),
            };
            let commit = Commit { writes: vec![Write::Audit(Box::new(row))] };
            assert_eq!(store.money().commit(commit).await, CommitOutcome::Applied);
        }
        store.close();
    });
}

#[test]
fn days_that_are_over_get_their_heads_which_prove_the_rows_before() {
    let mut hub = Hub::start();
    assert!(hub.terminate().success());
    write_rows(hub.dir(), &[3, 3, 1]);
    let hub = hub.again();
    let auditor = token("auditor", "otto");
    let heads = until("three heads", || {
        let heads = hub.get(&auditor, "/audit/heads").expect(200)["items"].as_array().unwrap().clone();
        (heads.len() == 3).then_some(heads)
    });
    let told: Vec<(i64, i64)> =
        heads.iter().map(|head| (head["lastId"].as_i64().unwrap(), head["rows"].as_i64().unwrap())).collect();
    assert_eq!(told, [(3, 1), (2, 0), (2, 2)], "{heads:?}");
    assert_eq!(heads[1]["hash"], heads[2]["hash"], "a day without rows ends where the day before did");
    assert!(hub.log().contains(heads[0]["hash"].as_str().unwrap()), "{}", hub.log());
    let hub = hub.kill_and_restart();
    assert_eq!(hub.get(&auditor, "/audit/heads").expect(200)["items"], Value::from(heads.clone()), "written once");
    assert!(hub.run(&["audit"]).status.success());

    // Who changes a row and mends the chain behind it is found by the head.
    let row = "UPDATE cases SET body = json_set(body, '$.hash', 'x') WHERE kind = 'AUDIT_HEAD' AND id = ?1";
    let db = Connection::open(hub.dir().join("money.db")).unwrap();
    db.busy_timeout(DEADLINE).unwrap();
    assert_eq!(db.execute(row, [heads[0]["day"].as_str().unwrap()]).unwrap(), 1);
    let audit = hub.run(&["audit"]);
    let said = String::from_utf8(audit.stdout).unwrap() + &String::from_utf8(audit.stderr).unwrap();
    assert_eq!(audit.status.code(), Some(1));
    assert!(said.contains("1 breach, the first: audit trail: the head of"), "{said}");
}
