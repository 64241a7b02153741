//! `pilehub audit` after one amount or one row of the audit trail in `money.db` was altered by hand: exit 1, and the breach
//! is named.

use std::{path::Path, sync::Arc};

use rusqlite::Connection;

use crate::{
    charger::Charger,
    driver::Driver,
    support::{Hub, JWT_KEY, pilehub},
};

/// What is altered, and what the audit must say of it.
const ALTERATIONS: [(&str, &[&str]); 16] = [
    ("UPDATE entries SET amount = amount + 1 WHERE seq = 1", &["account anna"]),
    ("UPDATE entries SET amount = amount - 1 WHERE credit = 'energy_revenue'", &["account anna"]),
    ("DELETE FROM entries WHERE seq = (SELECT max(seq) FROM entries)", &["account anna"]),
    ("UPDATE accounts SET available = available + 100", &["account anna", "available"]),
    ("UPDATE debts SET amount = amount - 1", &["account anna", "debtFen of order"]),
    ("UPDATE orders SET body = json_set(body, '$.bill.totalFen', 1)", &["totalFen of order"]),
    ("UPDATE orders SET body = json_set(body, '$.debtFen', 0)", &["debtFen of order"]),
    ("UPDATE orders SET total_fen = total_fen - 1", &["column total_fen differs from the order"]),
    ("UPDATE payments SET amount_fen = amount_fen + 1 WHERE state = 'SUCCESS'", &["payments that succeeded"]),
    ("UPDATE audit SET actor = 'eve' WHERE id = 2", &["audit trail: row 2", "by eve", "not what was written"]),
    ("UPDATE audit SET at = at + 1 WHERE id = 1", &["audit trail: row 1", "not what was written"]),
    ("DELETE FROM audit WHERE id = 2", &["audit trail: row 3", "does not follow row 1"]),
    ("DELETE FROM audit WHERE id = (SELECT max(id) FROM audit)", &["audit trail: it ends with row"]),
    (
        "INSERT INTO audit (at, actor, role, action, target, detail) VALUES (0, 'eve', 'ops', 'X', 'Y', '{}')",
        &["audit trail: row", "has no link"],
    ),
    (
        "UPDATE audit SET (actor, role, action, target, detail, at) =
            (SELECT actor, role, action, target, detail, at FROM audit other WHERE other.id = 5 - audit.id)
         WHERE id IN (2, 3)",
        &["audit trail: row 2", "not what was written"],
    ),
    ("UPDATE audit SET prev = NULL, hash = NULL WHERE id = 2", &["audit trail: row 2 has no link"]),
];

#[test]
fn one_altered_amount_anywhere_is_found_and_named() {
    let hub = Hub::start_with(&[("money.freeze_min_fen", "1")]);
    hub.make_station("S1");
    let pile = hub.make_pile("S1", "P1");
    // So little money that the charge ends in a debt.
    let token = hub.make_driver("anna", 20);
    let watched = Arc::new(hub.armed(None));
    let (charger, [told, _]) = Charger::start(Arc::clone(&watched), &pile);
    let driver = Driver { token, paid_in: 20, pile: pile.code, gun: 1, told };
    let order_no = driver.start(&watched, "start");
    driver.watch(&order_no, 10);
    driver.stop(&watched, "stop", &order_no);
    charger.end();
    assert!(watched.hub().get(&driver.token, "/wallet").expect(200)["debtFen"].as_i64() > Some(0));
    assert_eq!(audit(watched.hub().dir()).0, 0);

    let mut missed = Vec::new();
    for (alteration, named) in ALTERATIONS {
        let copy = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(watched.hub().dir()).unwrap().map(Result::unwrap) {
            std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
        let db = Connection::open(copy.path().join("money.db")).unwrap();
        assert!(db.execute(alteration, []).unwrap() > 0, "{alteration}: nothing to alter");
        drop(db);
        let (code, said) = audit(copy.path());
        let is_named = code == 1 && said.contains("BREACHED") && named.iter().all(|words| said.contains(words));
        missed.extend((!is_named).then(|| format!("{alteration}: exit {code}: {said}")));
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

fn audit(dir: &Path) -> (i32, String) {
    let mut command = pilehub();
    command.args(["audit", "--data-dir"]).arg(dir).env("PILEHUB__AUTH__JWT_KEY", JWT_KEY);
    let output = command.output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}
