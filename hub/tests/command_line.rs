//! The command line as its users meet it: output, exit codes, configuration [CONTRACT 5].
#![allow(clippy::unwrap_used, reason = "the helpers of tests fail loudly")]

mod support;

use std::{net::TcpListener, path::Path, process::Output};

use support::{Hub, JWT_KEY, pilehub, token, variable};

/// The documented configuration file of the repository.
fn documented() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/hub.toml").display().to_string()
}

fn run(arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    let mut command = pilehub();
    for (key, value) in settings {
        command.env(variable(key), value);
    }
    command.args(arguments).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn the_documented_file_changes_nothing() {
    let (built_in, file) = (run(&["config", "show"], &[]), run(&["config", "show", "--config", &documented()], &[]));
    assert_eq!((code(&built_in), code(&file)), (0, 0));
    assert_eq!(stdout(&built_in), stdout(&file));
    assert!(stdout(&built_in).contains("listen = \"127.0.0.1:8080\""));
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hub.toml");
    std::fs::write(&file, "[pile]\nstale_afer_s = 10\n").unwrap();
    let by_file = run(&["config", "show", "--config", file.to_str().unwrap()], &[]);
    let by_variable = run(&["serve"], &[("money.freeze_minimum_fen", "1")]);
    assert_eq!((code(&by_file), code(&by_variable)), (78, 78));
    assert!(stderr(&by_file).contains("pile.stale_after_s"), "{}", stderr(&by_file));
    assert!(stderr(&by_variable).contains("money.freeze_min_fen"), "{}", stderr(&by_variable));
}

#[test]
fn bad_values_are_refused_all_at_once_with_key_and_remedy() {
    let output =
        run(&["serve"], &[("auth.jwt_key", "too short"), ("http.listen", "everywhere"), ("pile.stale_after_s", "0")]);
    assert_eq!(code(&output), 78);
    let told = stderr(&output);
    for expected in
        ["auth.jwt_key = (9 bytes)", "at least 32 bytes", "http.listen = \"everywhere\"", "pile.stale_after_s = 0"]
    {
        assert!(told.contains(expected), "{told}");
    }
    assert!(!told.contains("too short"), "a secret is never shown: {told}");
}

#[test]
fn the_cluster_engine_is_known_but_refused_by_this_build() {
    let cql = [("store.engine", "cql"), ("store.cql.nodes", "127.0.0.1:9042")];
    assert_eq!(code(&run(&["config", "show"], &cql)), 0);
    let output = run(&["serve"], &cql);
    assert_eq!(code(&output), 78);
    assert!(stderr(&output).contains("embedded engine only"), "{}", stderr(&output));
}

#[test]
fn secrets_are_masked() {
    let output = run(&["config", "show"], &[("auth.jwt_key", JWT_KEY)]);
    assert!(stdout(&output).contains("********") && !stdout(&output).contains(JWT_KEY));
}

#[test]
fn misuse_is_exit_code_two() {
    for arguments in [&["fly"][..], &["token", "--role", "king", "--sub", "x"], &["token", "--role", "ops"], &[]] {
        assert_eq!(code(&run(arguments, &[])), 2, "{arguments:?}");
    }
}

#[test]
fn a_printed_token_opens_what_its_role_may() {
    let hub = Hub::start();
    let printed = hub.run(&["token", "--role", "ops", "--sub", "olga", "--ttl", "5m"]);
    let token = stdout(&printed);
    hub.get(token.trim(), "/quarantine").expect(200);
    hub.get(token.trim(), "/wallet").refused(403, "FORBIDDEN");
}

#[test]
fn sigterm_drains_and_exits_zero() {
    let mut hub = Hub::start();
    hub.make_station("S1");
    assert_eq!(hub.terminate().code(), Some(0), "{}", hub.log());
    let hub = hub.again();
    assert_eq!(hub.get(&token("ops", "olga"), "/stations").expect(200)["items"][0]["stationId"], "S1");
}

#[test]
fn a_taken_port_and_a_directory_in_use_exit_one_with_the_reason() {
    let hub = Hub::start();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let here = ["serve", "--data-dir", dir.path().to_str().unwrap()];
    let any = "127.0.0.1:0";
    for (http, mqtt) in [(address.as_str(), any), (any, address.as_str())] {
        let output = run(&here, &[("http.listen", http), ("mqtt.listen", mqtt)]);
        assert_eq!(code(&output), 1);
        assert!(stderr(&output).contains(&address), "{}", stderr(&output));
    }
    let there = ["serve", "--data-dir", hub.dir().to_str().unwrap()];
    let output = run(&there, &[("http.listen", any), ("mqtt.listen", any)]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("in use"), "{}", stderr(&output));
}

#[test]
fn an_audit_runs_beside_a_hub_and_finds_an_amount_that_was_altered() {
    let mut hub = Hub::start();
    hub.make_driver("anna", 12_300);
    let good = hub.run(&["audit"]);
    assert_eq!(code(&good), 0, "{}", stdout(&good));
    assert!(
        stdout(&good).contains("1 accounts") && stdout(&good).contains("every invariant holds"),
        "{}",
        stdout(&good)
    );
    hub.terminate();
    alter_one_amount(&hub.dir().join("money.db"));
    let bad = hub.run(&["audit"]);
    assert_eq!(code(&bad), 1, "{}", stdout(&bad));
    assert!(stdout(&bad).contains("BREACHED"), "{}", stdout(&bad));
}

/// Changes the amount of the ledger entry, wherever this release keeps it.
fn alter_one_amount(file: &Path) {
    let db = rusqlite::Connection::open(file).unwrap();
    let column = "SELECT m.name, p.name FROM sqlite_master m, pragma_table_info(m.name) p \
        WHERE m.type = 'table' AND m.name LIKE '%entr%' AND p.name LIKE '%amount%'";
    let (table, amount): (String, String) = db.query_row(column, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    // The account has one entry.
    let changed = db.execute(&format!("UPDATE {table} SET {amount} = {amount} + 1"), []).unwrap();
    assert_eq!(changed, 1);
}

#[test]
fn the_doctor_finds_nothing_wrong_with_a_fresh_place_and_names_a_taken_port() {
    let dir = tempfile::tempdir().unwrap();
    let here = ["doctor", "--data-dir", dir.path().to_str().unwrap()];
    let free = [("http.listen", "127.0.0.1:0"), ("mqtt.listen", "127.0.0.1:0")];
    let well = run(&here, &free);
    assert_eq!(code(&well), 0, "{}", stdout(&well));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ill = run(&here, &[("http.listen", &address), ("mqtt.listen", "127.0.0.1:0")]);
    assert_eq!(code(&ill), 1);
    assert!(stdout(&ill).contains(&format!("FAIL  http.listen = {address} is taken")), "{}", stdout(&ill));
}
