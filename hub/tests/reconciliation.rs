//! A day's reconciliation over HTTP: bills of the channels, items, decisions, the close by two persons, reports.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests fail loudly")]

mod support;

use std::collections::BTreeMap;

use domain::Timestamp;
use loadtest::pay::Channel;
use serde_json::{Value, json};
use settlement::reconcile::Day;
use support::{
    Hub, Reply,
    charger::finished,
    pay::{World, refund_no},
    scene::Scene,
    token,
    wait::now_ms,
};

const HEAD: &str = "kind,paymentNo,transactionId,refundNo,amountFen,at\n";

/// So that nothing runs but what a test asks for: yesterday is not due before the last minute of the day.
const BY_HAND: [(&str, &str); 2] = [("reconciliation.at", "23:59"), ("reconciliation.intraday_s", "0")];

fn fay() -> String {
    token("finance", "fay")
}

fn gus() -> String {
    token("finance", "gus")
}

/// The present day of the station.
fn today() -> Day {
    Day::of(Timestamp::from_millis(now_ms()).unwrap(), "Asia/Shanghai").unwrap()
}

/// Noon of a day in China, in epoch milliseconds.
fn noon(day: Day) -> i64 {
    day.window("Asia/Shanghai").unwrap().0.as_millis() + 12 * 3_600_000
}

/// A line of the sandbox's bill at noon.
fn line(payment_no: &str, transaction: &str, fen: i64, day: Day) -> String {
    format!("PAY,{payment_no},{transaction},,{fen},{}\n", Timestamp::from_millis(noon(day)).unwrap())
}

fn import(hub: &Hub, day: Day, channel: &str, text: &str) -> Reply {
    let bearer = format!("Bearer {}", fay());
    let headers = [("authorization", bearer.as_str()), ("content-type", "text/csv")];
    let path = format!("/api/v1/reconciliations/{day}/bills?channel={channel}");
    hub.call("POST", &path, &headers, text.as_bytes())
}

fn run(hub: &Hub, day: Day) -> Reply {
    hub.post(&fay(), "/reconciliations", &json!({"day": day}))
}

fn look(hub: &Hub, day: Day) -> Value {
    hub.get(&token("auditor", "ada"), &format!("/reconciliations/{day}")).expect(200)
}

/// States of the items of a day, by what follows the day in their names.
fn states(hub: &Hub, day: Day) -> BTreeMap<String, String> {
    let items = look(hub, day)["items"].as_array().unwrap().clone();
    let text = |item: &Value, field: &str| item[field].as_str().unwrap().to_owned();
    items.iter().map(|item| (text(item, "itemId")[11..].to_owned(), text(item, "state"))).collect()
}

fn resolve(hub: &Hub, day: Day, id: &str, decided: &Value) -> Reply {
    hub.post(&fay(), &format!("/reconciliations/{day}/items/{day}:{id}/resolve"), decided)
}

/// Pays through the sandbox; answers the payment's number and the channel's name for it.
fn pay(hub: &Hub, sub: &str, fen: i64) -> (String, String) {
    let driver = token("driver", sub);
    let topup = hub.post(&driver, "/wallet/topups", &json!({"amountFen": fen, "channel": "sandbox"})).expect(201);
    let url = topup["payUrl"].as_str().unwrap();
    let path = url.strip_prefix(&format!("http://{}", hub.http)).unwrap();
    hub.call("POST", path, &[], b"").expect(200);
    let no = topup["paymentNo"].as_str().unwrap().to_owned();
    let store = rusqlite::Connection::open(hub.dir().join("money.db")).unwrap();
    let sql = "SELECT transaction_id FROM payments WHERE payment_no = ?1";
    let transaction = store.query_row(sql, [&no], |row| row.get(0)).unwrap();
    (no, transaction)
}

/// A charge of yesterday whose register says half a kWh more than was billed.
fn wrong_meter(scene: &mut Scene, day: Day) -> String {
    let order = scene.charging();
    let end = noon(day);
    let mut record = finished(&order, 1, "10.000", 1, end - 3_600_000, end);
    record["meterStart"] = json!(100.0);
    record["meterEnd"] = json!(110.5);
    scene.charger.send("charging/finished", &record);
    assert_eq!(scene.charger.record_ack(&order), "stored");
    order
}

#[test]
fn a_day_is_reconciled_decided_item_by_item_and_closed_by_two_persons() {
    let mut scene = Scene::with(&BY_HAND);
    let (now, day) = (today(), today().before());
    let order = wrong_meter(&mut scene, day);
    let hub = &scene.hub;
    import(hub, day, "sandbox", &format!("{HEAD}{}", line("X1", "T1", 700, day))).expect(200);
    hub.get(&fay(), &format!("/reconciliations/{day}")).refused(404, "RECONCILIATION_NOT_FOUND");
    let first = run(hub, day).expect(201);
    assert_eq!(
        (&first["openItems"], &first["funds"]["billed"], &first["wholeDay"]),
        (&json!(2), &json!(true), &json!(true))
    );
    assert_eq!(first["energy"]["meteredWh"], 10_500);

    let seen = look(hub, day);
    let energy = seen["items"].as_array().unwrap().iter().find(|item| item["kind"] == "ENERGY_DIFF").unwrap().clone();
    assert_eq!(
        [&energy["orderNo"], &energy["pileCode"], &energy["userId"], &energy["billedWh"], &energy["meteredWh"]],
        [&json!(order), &json!("P1"), &json!("anna"), &json!(10_000), &json!(10_500)]
    );
    assert_eq!(run(hub, day).expect(200), first);
    assert_eq!(look(hub, day), seen, "the same run again changes nothing");
    assert_eq!(marks(hub), [format!("P1:{day} MARKED")]);

    let close = format!("/reconciliations/{day}/close");
    hub.post(&fay(), &close, &Value::Null).refused(409, "ITEMS_OPEN");
    let (long, diff) = ("LONG:PAY:X1".to_owned(), format!("ENERGY_DIFF:{order}"));
    resolve(hub, day, &long, &json!({"as": "LOST", "reason": "?"})).refused(422, "VALIDATION");
    resolve(hub, day, "LONG:PAY:X2", &json!({"as": "RETURNED", "reason": "?"})).refused(404, "ITEM_NOT_FOUND");
    let decided =
        resolve(hub, day, &long, &json!({"as": "RETURNED", "reason": "=the channel paid it back"})).expect(200);
    assert_eq!((&decided["state"], &decided["decision"]["by"]), (&json!("RESOLVED"), &json!("fay")));
    resolve(hub, day, &long, &json!({"as": "ACCEPTED", "reason": "again"})).refused(409, "ILLEGAL_STATE");
    resolve(hub, day, &diff, &json!({"as": "CORRECTED", "reason": "meter exchanged"})).expect(200);
    assert_eq!(run(hub, day).expect(200)["openItems"], 0, "what people decided stays");
    assert_eq!(states(hub, day).into_values().collect::<Vec<_>>(), ["RESOLVED"; 2]);

    hub.post(&fay(), &format!("{close}/approve"), &Value::Null).refused(409, "ILLEGAL_STATE");
    assert_eq!(hub.post(&fay(), &close, &Value::Null).expect(200)["closeAskedBy"], "fay");
    hub.post(&fay(), &format!("{close}/approve"), &Value::Null).refused(403, "FORBIDDEN");
    let closed = hub.post(&gus(), &format!("{close}/approve"), &Value::Null).expect(200);
    assert_eq!((&closed["state"], &closed["closedBy"]), (&json!("CLOSED"), &json!("gus")));
    hub.post(&gus(), &close, &Value::Null).refused(409, "DAY_CLOSED");
    let for_ever = look(hub, day);

    import(hub, day, "sandbox", &format!("{HEAD}{}", line("X2", "T2", 900, day))).expect(200);
    run(hub, day).expect(200);
    assert_eq!(look(hub, day), for_ever, "a closed day never changes");
    run(hub, now).expect(201);
    let late = look(hub, now)["items"].as_array().unwrap().clone();
    let late: Vec<_> = late.iter().map(|item| (&item["paymentNo"], &item["ofDay"], &item["state"])).collect();
    assert_eq!(late, [(&json!("X2"), &json!(day), &json!("OPEN"))]);
    assert!(hub.run(&["audit"]).status.success());
}

/// The marks of piles in the store.
fn marks(hub: &Hub) -> Vec<String> {
    let store = rusqlite::Connection::open(hub.dir().join("money.db")).unwrap();
    let mut rows = store.prepare("SELECT id || ' ' || state FROM cases WHERE kind = 'PILE_MARK' ORDER BY id").unwrap();
    let rows = rows.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn payments_and_a_channel_s_bill_disagree_by_name_and_by_sum() {
    let hub = Hub::start_with(&BY_HAND);
    hub.make_station("S1");
    let day = today();
    let [(good, t1), (short, _), (other, t3)] =
        [pay(&hub, "anna", 5_000), pay(&hub, "bert", 700), pay(&hub, "carl", 900)];
    let unbilled = run(&hub, day).expect(201);
    assert_eq!((&unbilled["funds"]["billed"], &unbilled["openItems"]), (&json!(false), &json!(0)));
    let text = [
        HEAD.to_owned(),
        line(&good, &t1, 5_000, day),
        line(&other, &t3, 901, day),
        line(&other, "again", 900, day),
        line("X1", "T9", 100, day),
    ];
    let taken = import(&hub, day, "sandbox", &text.concat()).expect(200);
    assert_eq!((&taken["paid"]["count"], &taken["paid"]["fen"]), (&json!(4), &json!(6_901)));
    assert_eq!(import(&hub, day, "sandbox", &text.concat()).expect(200), taken, "the same file again is the same file");
    let bills = hub.get(&fay(), &format!("/reconciliations/{day}/bills")).expect(200);
    assert_eq!(bills["items"].as_array().unwrap().len(), 1);
    let ran = run(&hub, day).expect(200);
    let channel = &ran["funds"]["channels"][0];
    assert_eq!((&channel["channel"], &channel["billed"]), (&json!("sandbox"), &json!(true)));
    assert_eq!((&channel["hubPaid"]["fen"], &channel["matchedPaid"]["fen"]), (&json!(6_600), &json!(5_000)));
    let expected = [
        format!("AMOUNT_DIFF:PAY:{other}"),
        format!("DUPLICATE:PAY:{other}:again:1"),
        "LONG:PAY:X1".to_owned(),
        format!("SHORT:PAY:{short}"),
    ];
    assert_eq!(states(&hub, day).into_keys().collect::<Vec<_>>(), expected);
    let out = hub.get(&fay(), &format!("/reconciliations/{day}/bills.csv?channel=sandbox"));
    assert_eq!((out.status, out.text()), (200, text.concat()));
    let more = format!("{HEAD}{}", line(&short, "T", 700, day));
    import(&hub, day, "sandbox", &more).expect(200);
    run(&hub, day).expect(200);
    assert_eq!(states(&hub, day)[&format!("SHORT:PAY:{short}")], "MATCHED", "a later file has the line");
    assert_eq!(states(&hub, day)[&format!("TRANSACTION_DIFF:PAY:{short}")], "OPEN");
    let one = hub.get(&fay(), &format!("/reconciliations/{day}?state=MATCHED&limit=1")).expect(200);
    assert_eq!(one["items"].as_array().unwrap().len(), 1);
}

/// The bills are those of the channels that took the money, in their own columns.
#[test]
fn the_bills_of_the_channels_agree_with_payments_and_refunds_and_what_they_lack_is_found() {
    let world = World::with(&BY_HAND);
    let hub = &world.hub;
    hub.make_station("S1");
    let day = today();
    let refund = |no: &str, fen: i64| {
        let refund = refund_no(&world.refund("fay", "finance", no, fen).expect(201));
        world.until_refund(&refund, "SUCCESS");
        refund
    };
    for channel in [Channel::Wechat, Channel::Alipay] {
        let bill = || world.sim.bill(channel, &day.to_string()).unwrap();
        let paid = world.paid("anna", channel, 800);
        refund(&paid, 300);
        let early = bill();
        let later = [format!("PAY:{}", world.paid("bert", channel, 1_000)), format!("REFUND:{}", refund(&paid, 250))];
        let later = later.map(|id| format!("SHORT:{id}"));
        let state_of_later = || later.clone().map(|id| states(hub, day).get(&id).cloned().unwrap_or_default());

        import(hub, day, channel.name(), &early).expect(200);
        run(hub, day);
        assert_eq!(state_of_later(), ["OPEN", "OPEN"], "{early}");
        let full = bill();
        let torn =
            full.lines().filter(|line| !line.contains(&paid)).fold(String::new(), |text, line| text + line + "\n");
        let refused = import(hub, day, channel.name(), &torn).refused(422, "VALIDATION");
        assert!(refused["detail"].as_str().unwrap().contains("fetch the file again"), "{refused}");
        import(hub, day, channel.name(), &full).expect(200);
        let ran = run(hub, day).expect(200);
        assert_eq!((state_of_later(), &ran["openItems"]), (["MATCHED", "MATCHED"].map(str::to_owned), &json!(0)));
        let funds = ran["funds"]["channels"].as_array().unwrap();
        let funds = funds.iter().find(|funds| funds["channel"] == channel.name()).unwrap();
        assert_eq!(funds["matchedPaid"], json!({"count": 2, "fen": 1_800}));
        assert_eq!(funds["matchedRefunded"], json!({"count": 2, "fen": 550}));
    }
    world.is_sound();
}

#[test]
fn what_cannot_be_done_is_refused_with_its_reason() {
    let hub = Hub::start_with(&BY_HAND);
    let (day, fay) = (today(), fay());
    run(&hub, day).refused(409, "ILLEGAL_STATE");
    hub.make_station("S1");
    run(&hub, day.after()).refused(422, "VALIDATION");
    hub.post(&fay, "/reconciliations", &json!({"day": "20.11.2026"})).refused(422, "VALIDATION");
    run(&hub, day).expect(201);
    hub.post(&fay, &format!("/reconciliations/{day}/close"), &Value::Null).refused(409, "ILLEGAL_STATE");
    let bad = import(&hub, day, "sandbox", &format!("{HEAD}{}", line("P1", "T1", 1, day).replace(",1,", ",1.5,")));
    assert_eq!(bad.refused(422, "VALIDATION")["field"], "line 2, column amountFen");
    let gbk = hub.call(
        "POST",
        &format!("/api/v1/reconciliations/{day}/bills?channel=alipay"),
        &[("authorization", &format!("Bearer {fay}"))],
        &[0xD6, 0xA7, 0xB8, 0xB6],
    );
    assert_eq!(gbk.refused(422, "VALIDATION")["field"], "line 1, column (encoding)");
    import(&hub, day, "cash", HEAD).refused(422, "VALIDATION");
    let large = format!("{HEAD}{}", line("P1", "T1", 1, day).repeat(2_000));
    assert!(large.len() > 65_536);
    import(&hub, day, "sandbox", &large).expect(200);
    for role in ["driver", "service", "ops", "risk", "admin"] {
        let token = token(role, "olga");
        hub.post(&token, "/reconciliations", &json!({"day": day})).refused(403, "FORBIDDEN");
        hub.get(&token, &format!("/reconciliations/{day}")).refused(403, "FORBIDDEN");
    }
    let auditor = token("auditor", "ada");
    hub.post(&auditor, "/reconciliations", &json!({"day": day})).refused(403, "FORBIDDEN");
    let days = hub.get(&auditor, "/reconciliations").expect(200);
    assert_eq!(days["items"][0]["day"], json!(day));
}

#[test]
fn the_report_is_read_in_both_languages_and_runs_nothing() {
    let hub = Hub::start_with(&BY_HAND);
    hub.make_station("S1");
    let day = today();
    pay(&hub, "anna", 5_000);
    import(&hub, day, "sandbox", &format!("{HEAD}{}", line("X1", "=cmd()", 100, day))).expect(200);
    run(&hub, day).expect(201);
    resolve(&hub, day, "LONG:PAY:X1", &json!({"as": "ACCEPTED", "reason": "<b>@x</b>"})).expect(200);
    let read = |kind: &str, language: &str| {
        let bearer = format!("Bearer {}", token("auditor", "ada"));
        let headers = [("authorization", bearer.as_str()), ("accept-language", language)];
        let answer = hub.call("GET", &format!("/api/v1/reconciliations/{day}/report.{kind}"), &headers, b"");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text()
    };
    let table = read("csv", "zh-CN");
    assert!(table.contains("长款") && table.contains(",\"'=cmd()\","), "{table}");
    assert!(table.contains("channel,1,5000,50.00,0,0.00"), "debits and credits by account: {table}");
    assert!(read("csv", "en").contains("LONG"));
    let page = read("html", "en");
    assert!(page.contains("&lt;b&gt;@x&lt;/b&gt;") && !page.contains("<b>") && !page.contains("<script"), "{page}");
    assert!(read("html", "zh").contains("<html lang=\"zh-CN\">"));
}

#[test]
fn the_day_that_ended_is_reconciled_by_itself_and_the_present_one_during_the_day() {
    let mut scene = Scene::with(&[("reconciliation.at", "00:00"), ("reconciliation.intraday_s", "1")]);
    let day = today().before();
    wrong_meter(&mut scene, day);
    pay(&scene.hub, "bert", 700);
    let hub = scene.hub.kill_and_restart();
    let until = |what: &str, day: Day, wanted: fn(&Value) -> bool| {
        let path = format!("/reconciliations/{day}");
        let look = || Some(hub.get(&fay(), &path)).filter(|reply| reply.status == 200).map(|reply| reply.json());
        support::wait::until(what, || look().filter(wanted))
    };
    until("the day that ended", day, |seen| seen["openItems"] == 1 && seen["wholeDay"] == true);
    until("the present day", day.after(), |seen| {
        seen["funds"]["channels"][0]["hubPaid"]["count"] == 2 && seen["wholeDay"] == false
    });
}
