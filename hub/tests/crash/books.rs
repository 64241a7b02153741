//! What must be true at the end, whatever died in between: one order per start, one bill and one settlement per order,
//! and every fen where it belongs. The sums are made here, from what the chargers measured and from the stored lines,
//! and share no code with the hub.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;
use serde_json::Value;

use crate::{driver::Driver, support::Hub};

/// Checks the books of a hub at rest. `orders` are the orders of each driver, `totals` what the chargers measured.
pub(crate) fn check(hub: &Hub, drivers: &[(Driver, Vec<String>)], totals: &BTreeMap<String, i64>) {
    let audit = hub.run(&["audit"]);
    assert_eq!(audit.status.code(), Some(0), "{}", String::from_utf8_lossy(&audit.stdout));
    let (mut earned, mut paid_in) = (0, 0);
    for (driver, placed) in drivers {
        let bills = bills_of(hub, driver, placed, totals);
        let wallet = hub.get(&driver.token, "/wallet").expect(200);
        assert_eq!(wallet["availableFen"], driver.paid_in - bills, "{wallet}");
        assert_eq!((&wallet["frozenFen"], &wallet["debtFen"]), (&Value::from(0), &Value::from(0)));
        earned += bills;
        paid_in += driver.paid_in;
    }
    let placed: BTreeSet<&String> = drivers.iter().flat_map(|(_, placed)| placed).collect();
    assert_eq!(placed, totals.keys().collect(), "the orders of the drivers are those the chargers charged");
    let db = Connection::open(hub.dir().join("money.db")).unwrap();
    ledger(&db, earned, paid_in);
    for order_no in placed {
        once(&db, order_no);
    }
}

/// Every order of a driver, as the driver sees it; answers the sum of the bills.
fn bills_of(hub: &Hub, driver: &Driver, placed: &[String], totals: &BTreeMap<String, i64>) -> i64 {
    let list = hub.get(&driver.token, "/orders?limit=500").expect(200);
    let orders = list["items"].as_array().unwrap();
    let shown: BTreeSet<&str> = orders.iter().map(|order| order["orderNo"].as_str().unwrap()).collect();
    assert_eq!(orders.len(), placed.len(), "one order per start");
    assert_eq!(
        shown,
        placed.iter().map(String::as_str).collect(),
        "the orders are those the starts were answered with"
    );
    let mut sum = 0;
    for order in orders {
        let wh = totals[order["orderNo"].as_str().unwrap()];
        assert_eq!((&order["status"], &order["paymentStatus"]), (&"CLOSED".into(), &"PAID".into()), "{order}");
        assert_eq!((&order["provisional"], &order["energyWh"]), (&false.into(), &wh.into()), "{order}");
        let bill = &order["bill"];
        // Electricity 0.8 and service 0.4 yuan per kWh, each rounded once, half up [CONTRACT 2.1].
        let fees = [(wh * 8_000 + 50_000) / 100_000, (wh * 4_000 + 50_000) / 100_000];
        assert_eq!([&bill["electricityFen"], &bill["serviceFen"]], [fees[0], fees[1]], "{order}");
        assert_eq!((&bill["totalFen"], &bill["paidFen"]), (&(fees[0] + fees[1]).into(), &(fees[0] + fees[1]).into()));
        // The charger forgot what was acknowledged: had the hub lost a frame of it, the bill would say so.
        let flags = bill["flags"].as_array().unwrap();
        assert!(!flags.iter().any(|flag| flag == "MISSING_FRAMES"), "an acknowledged frame was lost: {order}");
        sum += fees[0] + fees[1];
    }
    sum
}

/// The sums over all lines of the books: what came in is what drivers still have and what was earned.
fn ledger(db: &Connection, earned: i64, paid_in: i64) {
    let mut sums: BTreeMap<String, i64> = BTreeMap::new();
    let mut select = db.prepare("SELECT debit, credit, amount FROM entries").unwrap();
    let mut rows = select.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let (debit, credit, amount): (String, String, i64) =
            (row.get(0).unwrap(), row.get(1).unwrap(), row.get(2).unwrap());
        assert!(amount > 0);
        *sums.entry(debit).or_default() -= amount;
        *sums.entry(credit).or_default() += amount;
    }
    let sum = |account: &str| sums.get(account).copied().unwrap_or(0);
    assert_eq!(sum("channel"), -paid_in);
    assert_eq!(sum("energy_revenue") + sum("service_revenue"), earned);
    assert_eq!(sum("driver_available"), paid_in - earned);
    assert_eq!((sum("driver_frozen"), sum("receivable"), sum("platform_loss")), (0, 0, 0));
}

/// One hold, one capture, one record.
fn once(db: &Connection, order_no: &str) {
    let count = |sql: &str, name: &str| -> i64 { db.query_row(sql, [name], |row| row.get(0)).unwrap() };
    for op in ["hold", "capture"] {
        let name = format!("{op}:{order_no}");
        assert_eq!(count("SELECT count(*) FROM ops WHERE op = ?1", &name), 1, "{name}");
    }
    let others = "SELECT count(*) FROM ops WHERE op LIKE '%' || ?1 || '%'";
    assert_eq!(count(others, order_no), 2, "operations of order {order_no}");
    assert_eq!(count("SELECT count(*) FROM records WHERE order_no = ?1", order_no), 1, "records of order {order_no}");
}
