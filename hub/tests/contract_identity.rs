//! With what piles come in: secrets that are changed, tokens, stations of certificates, the master key [CONTRACT 1, 3].
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests fail loudly")]

mod support;

use rusqlite::Connection;
use serde_json::{Value, json};
use support::{
    Hub,
    charger::Charger,
    pilehub, token,
    wait::{ms, now_ms, until},
    world::Pile,
};

const REFUSED: u8 = 4;

fn admin() -> String {
    token("admin", "root")
}

fn world() -> (Hub, Pile) {
    let hub = Hub::start();
    hub.make_station("S1");
    let pile = hub.make_pile("S1", "P1");
    (hub, pile)
}

/// Begins a change of the secret; answers until when both are good.
fn rotate(hub: &Hub) -> i64 {
    let begun = hub.post(&admin(), "/piles/P1/secret", &Value::Null).expect(202);
    assert_eq!(begun.as_object().unwrap().keys().collect::<Vec<_>>(), ["pileCode", "until"], "no secret is told");
    ms(begun["until"].as_str().unwrap())
}

/// The pile with the secret that a command brought.
fn with_secret(command: &Value) -> Pile {
    Pile { code: "P1".to_owned(), secret: command["secret"].as_str().unwrap().to_owned() }
}

/// Connects and hangs up; the return code of the CONNACK.
fn answer(hub: &Hub, pile: &Pile) -> u8 {
    Charger::dial(hub, &pile.code, Some(&pile.secret)).1
}

fn rotation_of(hub: &Hub) -> Value {
    hub.get(&token("ops", "olga"), "/piles/P1").expect(200)["secretRotation"].clone()
}

fn until_over(hub: &Hub) {
    until("the end of the change", || rotation_of(hub).is_null().then_some(()));
}

fn audited(hub: &Hub, action: &str) -> usize {
    let rows = hub.get(&token("auditor", "ada"), "/audit").expect(200);
    rows["items"].as_array().unwrap().iter().filter(|row| row["action"] == action && row["target"] == "P1").count()
}

/// Changes the pile's row in the store of a hub that is not running.
fn in_the_store(hub: &Hub, sql: &str) {
    let changed = Connection::open(hub.dir().join("money.db")).unwrap().execute(sql, []).unwrap();
    assert_eq!(changed, 1);
}

#[test]
fn a_new_secret_is_pushed_and_the_old_one_dies_at_the_first_login_with_it() {
    let (hub, old) = world();
    let mut charger = Charger::online(&hub, &old);
    let until = rotate(&hub);
    assert!((until - now_ms() - 86_400_000).abs() < 60_000);
    let command = charger.command("setSecret");
    assert_eq!(command["expiresAt"], until);
    let new = with_secret(&command);
    assert_eq!(new.secret.len(), 64);
    assert_eq!(ms(rotation_of(&hub)["until"].as_str().unwrap()), until);
    let driver = hub.get(&token("driver", "anna"), "/piles/P1").expect(200);
    assert!(driver.get("secretRotation").is_none(), "{driver}");
    charger.accept(&command);
    assert_eq!(answer(&hub, &old), 0, "both are good until the new one is used");
    assert_eq!(answer(&hub, &new), 0);
    assert_eq!(answer(&hub, &old), REFUSED, "at once");
    until_over(&hub);
    assert_eq!((audited(&hub, "PILE_SECRET_ROTATION"), audited(&hub, "PILE_SECRET_CHANGED")), (1, 1));
    let hub = hub.kill_and_restart();
    assert_eq!((answer(&hub, &old), answer(&hub, &new)), (REFUSED, 0), "for ever");
    rotate(&hub);
}

#[test]
fn a_second_change_while_one_runs_is_refused_and_a_repeated_call_is_not_a_second() {
    let (hub, _) = world();
    let first = hub.post_once(&admin(), "/piles/P1/secret", "k", &Value::Null).expect(202);
    hub.post(&admin(), "/piles/P1/secret", &Value::Null).refused(409, "ROTATION_RUNNING");
    assert_eq!(hub.post_once(&admin(), "/piles/P1/secret", "k", &Value::Null).expect(202), first);
    let hub = hub.kill_and_restart();
    hub.post(&admin(), "/piles/P1/secret", &Value::Null).refused(409, "ROTATION_RUNNING");
    hub.post(&token("ops", "olga"), "/piles/P1/secret", &Value::Null).refused(403, "FORBIDDEN");
    hub.post(&admin(), "/piles/P9/secret", &Value::Null).refused(404, "PILE_NOT_FOUND");
}

#[test]
fn a_change_goes_on_over_a_crash_with_the_same_command_until_the_pile_uses_it() {
    let (hub, old) = world();
    rotate(&hub);
    let mut charger = Charger::connect(&hub, &old);
    let first = charger.command("setSecret");
    charger.cut();
    let hub = hub.kill_and_restart();
    assert_eq!(Charger::connect(&hub, &old).command("setSecret"), first, "the secret can be made again");
    let mut again = Charger::connect(&hub, &old);
    assert_eq!(again.command("setSecret"), first, "with every connection by the old secret");
    let mut charger = Charger::connect(&hub, &with_secret(&first));
    until_over(&hub);
    assert_eq!(charger.so_far().len(), 0, "it has it");
    assert_eq!(answer(&hub, &old), REFUSED);
}

#[test]
fn a_crash_right_after_the_first_login_leaves_the_new_secret_good() {
    let (hub, old) = world();
    rotate(&hub);
    let new = with_secret(&Charger::connect(&hub, &old).command("setSecret"));
    assert_eq!(answer(&hub, &new), 0);
    let hub = hub.kill_and_restart();
    // Whether the old one is still good depends on the moment; a login with the new one ends that.
    assert_eq!(answer(&hub, &new), 0);
    assert_eq!(answer(&hub, &old), REFUSED);
}

#[test]
fn a_change_that_was_accepted_and_never_used_ends_with_the_new_secret() {
    let (mut hub, old) = world();
    rotate(&hub);
    let mut charger = Charger::connect(&hub, &old);
    let command = charger.command("setSecret");
    // Its word is acknowledged, so it is stored.
    charger.accept(&command);
    hub.kill();
    in_the_store(&hub, "UPDATE piles SET next_until = 1");
    let hub = hub.again();
    until_over(&hub);
    assert_eq!((answer(&hub, &old), answer(&hub, &with_secret(&command))), (REFUSED, 0));
    assert_eq!(hub.alarms().len(), 0);
}

#[test]
fn a_change_that_the_pile_did_not_take_lapses_with_an_alarm_and_the_old_secret_stays() {
    let (mut hub, old) = world();
    rotate(&hub);
    let mut charger = Charger::connect(&hub, &old);
    let command = charger.command("setSecret");
    charger.reject(&command);
    hub.kill();
    in_the_store(&hub, "UPDATE piles SET next_until = 1");
    let hub = hub.again();
    until_over(&hub);
    assert_eq!((answer(&hub, &with_secret(&command)), answer(&hub, &old)), (REFUSED, 0));
    let alarm = hub.until_alarm("the alarm", |alarm| alarm["code"] == "SECRET_NOT_TAKEN");
    assert_eq!((&alarm["pileCode"], &alarm["state"]), (&json!("P1"), &json!("RAISED")));
    assert_eq!(audited(&hub, "PILE_SECRET_LAPSED"), 1);
    rotate(&hub);
    let next = with_secret(&Charger::connect(&hub, &old).command("setSecret"));
    assert_eq!(answer(&hub, &next), 0);
    hub.until_alarm("the end of the alarm", |alarm| alarm["code"] == "SECRET_NOT_TAKEN" && alarm["state"] == "CLEARED");
}

#[test]
fn three_hundred_piles_change_their_secrets_over_one_crash() {
    let hub = Hub::start();
    hub.make_station("S1");
    let new = |n: u32| json!({"pileCode": format!("P{n}"), "stationId": "S1", "type": "DC", "connectors": 1, "maxPowerKw": 7});
    let made = hub.post(&admin(), "/piles/import", &json!((0..300).map(new).collect::<Vec<_>>())).expect(200);
    let pile =
        |made: &Value, code: &str| Pile { code: code.to_owned(), secret: made["secret"].as_str().unwrap().to_owned() };
    let old: Vec<_> =
        made.as_array().unwrap().iter().map(|made| pile(made, made["pileCode"].as_str().unwrap())).collect();
    for one in &old {
        hub.post(&admin(), &format!("/piles/{}/secret", one.code), &Value::Null).expect(202);
    }
    let hub = hub.kill_and_restart();
    let mut chargers: Vec<_> = old.iter().map(|one| Charger::connect(&hub, one)).collect();
    let new: Vec<_> = chargers
        .iter_mut()
        .map(|charger| {
            let command = charger.command("setSecret");
            charger.accept(&command);
            pile(&command, &charger.code)
        })
        .collect();
    assert!(new.iter().all(|one| answer(&hub, one) == 0));
    assert!(old.iter().all(|one| answer(&hub, one) == REFUSED));
    let rotating = || {
        let left = "SELECT count(*) FROM piles WHERE rotation_id IS NOT NULL";
        Connection::open(hub.dir().join("money.db")).unwrap().query_row(left, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    until("the end of all changes", || (rotating() == 0).then_some(()));
}

fn enrol(hub: &Hub) -> Pile {
    let made = hub.post(&admin(), "/piles/P1/enrolment", &Value::Null).expect(201);
    let left = ms(made["expiresAt"].as_str().unwrap()) - now_ms();
    assert!((840_000..=900_000).contains(&left), "{left}");
    let secret = made["token"].as_str().unwrap().to_owned();
    assert_eq!(secret.len(), 12);
    Pile { code: "P1".to_owned(), secret }
}

#[test]
fn a_token_lets_a_pile_in_once_and_brings_it_a_secret() {
    let (hub, old) = world();
    let dead = enrol(&hub);
    let token = enrol(&hub);
    assert_eq!(answer(&hub, &dead), REFUSED, "a later one takes its place");
    let mut charger = Charger::connect(&hub, &token);
    assert_eq!(answer(&hub, &token), REFUSED, "once");
    let new = with_secret(&charger.command("setSecret"));
    assert_eq!(answer(&hub, &old), REFUSED, "whoever has the old one cannot take the new one from it");
    assert_eq!(answer(&hub, &new), 0);
    assert_eq!(answer(&hub, &old), REFUSED);
    until_over(&hub);
    assert_eq!((audited(&hub, "PILE_ENROLMENT"), audited(&hub, "PILE_ENROLLED")), (2, 1));
    assert_eq!(answer(&hub.kill_and_restart(), &new), 0);
}

#[test]
fn a_pile_that_enrols_while_its_secret_is_changed_gets_another_one() {
    let (hub, old) = world();
    rotate(&hub);
    let first = Charger::connect(&hub, &old).command("setSecret");
    let mut charger = Charger::connect(&hub, &enrol(&hub));
    let second = loop {
        let command = charger.command("setSecret");
        if command["commandId"] != first["commandId"] {
            break command;
        }
    };
    assert_eq!(answer(&hub, &with_secret(&first)), REFUSED);
    assert_eq!(answer(&hub, &with_secret(&second)), 0);
    assert_eq!(answer(&hub, &old), REFUSED);
}

#[test]
fn a_restart_forgets_tokens_but_not_the_secret_that_one_brought() {
    let (hub, _) = world();
    let unused = enrol(&hub);
    let hub = hub.kill_and_restart();
    assert_eq!(answer(&hub, &unused), REFUSED);
    let new = with_secret(&Charger::connect(&hub, &enrol(&hub)).command("setSecret"));
    assert_eq!(answer(&hub.kill_and_restart(), &new), 0);
}

#[test]
fn a_repeated_call_answers_the_same_token_although_it_is_kept_nowhere() {
    let (hub, _) = world();
    let made = hub.post_once(&admin(), "/piles/P1/enrolment", "k", &Value::Null).expect(201);
    assert_eq!(hub.post_once(&admin(), "/piles/P1/enrolment", "k", &Value::Null).expect(201), made);
    let kept = Connection::open(hub.dir().join("money.db")).unwrap();
    let body: String = kept.query_row("SELECT body FROM once WHERE key = 'k'", [], |row| row.get(0)).unwrap();
    assert!(!body.contains(made["token"].as_str().unwrap()), "{body}");
    hub.post(&token("ops", "olga"), "/piles/P1/enrolment", &Value::Null).refused(403, "FORBIDDEN");
    hub.post(&admin(), "/piles/P9/enrolment", &Value::Null).refused(404, "PILE_NOT_FOUND");
}

#[test]
fn a_station_of_certificates_refuses_passwords_at_once_and_after_a_restart() {
    let (hub, pile) = world();
    let mut charger = Charger::online(&hub, &pile);
    let token = enrol(&hub);
    let set = |hub: &Hub, only: bool| {
        let station = hub.put(&admin(), "/stations/S1/access", &json!({"certificateOnly": only})).expect(200);
        assert_eq!(station["certificateOnly"], only);
    };
    charger.heartbeat();
    set(&hub, true);
    charger.closed();
    assert_eq!((answer(&hub, &pile), answer(&hub, &token)), (5, 5));
    let later = hub.make_pile("S1", "P2");
    assert_eq!(answer(&hub, &later), 5, "piles that come later too");
    hub.post(&admin(), "/piles/P1/secret", &Value::Null).refused(409, "ILLEGAL_STATE");
    let hub = hub.kill_and_restart();
    assert_eq!(answer(&hub, &pile), 5);
    let stations = hub.get(&support::token("ops", "olga"), "/stations").expect(200);
    assert_eq!(stations["items"][0]["certificateOnly"], true);
    set(&hub, false);
    assert_eq!((answer(&hub, &pile), answer(&hub, &later)), (0, 0));
    hub.put(&admin(), "/stations/S9/access", &json!({"certificateOnly": true})).refused(404, "STATION_NOT_FOUND");
    hub.put(&admin(), "/stations/S1/access", &json!({})).refused(422, "VALIDATION");
    hub.put(&support::token("ops", "olga"), "/stations/S1/access", &json!({})).refused(403, "FORBIDDEN");
}

#[test]
fn an_import_of_fifty_thousand_is_a_table_for_those_who_ask_for_one() {
    let hub = Hub::start();
    hub.make_station("S1");
    let new = |n: u32| json!({"pileCode": format!("P{n:05}"), "stationId": "S1", "type": "DC", "connectors": 2, "maxPowerKw": 120});
    let body = serde_json::to_vec(&(0..50_000).map(new).collect::<Vec<_>>()).unwrap();
    let bearer = format!("Bearer {}", admin());
    let import = |accept: &str| {
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", "import"), ("accept", accept)];
        hub.call("POST", "/api/v1/piles/import", &headers, &body)
    };
    let table = import("text/csv");
    assert_eq!(table.status, 200, "{}", table.text());
    assert_eq!(table.header("content-type"), Some("text/csv; charset=utf-8"));
    assert!(table.header("content-disposition").unwrap().starts_with("attachment"));
    let text = table.text();
    let rows: Vec<_> = text.lines().collect();
    assert_eq!((rows.len(), rows[0]), (50_001, "pileCode,secret"));
    let (code, secret) = rows[50_000].split_once(',').unwrap();
    assert_eq!((code, secret.len()), ("P49999", 64));
    assert_eq!(answer(&hub, &Pile { code: code.to_owned(), secret: secret.to_owned() }), 0);
    let json = import("*/*");
    assert_eq!(json.header("content-type"), Some("application/json"));
    assert_eq!(json.json()[49_999], json!({"pileCode": code, "secret": secret}), "the same answer in the other form");
}

/// What must never be written down, by name.
#[derive(Default)]
struct Hushed(Vec<(&'static str, String)>);

impl Hushed {
    fn keep(&mut self, name: &'static str, secret: &str) -> String {
        assert!(secret.len() >= 12, "{name} is too short to be looked for: {secret}");
        self.0.push((name, secret.to_owned()));
        secret.to_owned()
    }

    /// Looked for as it is, and as binary data is often shown: the list of its bytes, or without its case.
    fn found_in(&self, log: &str) -> Vec<&'static str> {
        let lower = log.to_ascii_lowercase();
        let shown = |secret: &String| {
            let bytes = format!("{:?}", secret.as_bytes());
            log.contains(bytes.trim_matches(['[', ']'])) || lower.contains(&secret.to_ascii_lowercase())
        };
        self.0.iter().filter(|(_, secret)| shown(secret)).map(|(name, _)| *name).collect()
    }
}

#[test]
fn no_secret_is_ever_logged_however_much_is_logged() {
    let mut hush = Hushed::default();
    let master = hush.keep("the master key", &"5ec2e7aa".repeat(8));
    let mut hub = Hub::start_with(&[("log.filter", "trace"), ("auth.master_key", &master)]);
    hush.keep("the key of tokens", support::JWT_KEY);
    hush.keep("the key of the sandbox", support::SANDBOX_KEY);
    let root = hush.keep("the admin's token", &admin());
    hub.make_station("S1");
    let mut old = hub.make_pile("S1", "P1");
    old.secret = hush.keep("the pile's secret", &old.secret);
    let mut charger = Charger::online(&hub, &old);
    for (name, wrong) in [("a wrong secret", "0123456789abcdef".repeat(4)), ("no token", "7K3MZQ0V5XWA".to_owned())] {
        let wrong = hush.keep(name, &wrong);
        assert_eq!(answer(&hub, &Pile { code: "P1".to_owned(), secret: wrong }), REFUSED);
    }
    hub.post(&root, "/piles/P1/secret", &Value::Null).expect(202);
    let command = charger.command("setSecret");
    let new = with_secret(&command);
    hush.keep("the next secret", &new.secret);
    charger.accept(&command);
    assert_eq!(answer(&hub, &new), 0);
    until_over(&hub);
    let token = enrol(&hub);
    hush.keep("the enrolment token", &token.secret);
    let mut charger = Charger::online(&hub, &token);
    let last = with_secret(&charger.command("setSecret"));
    hush.keep("the secret of the enrolment", &last.secret);
    let mut charger = Charger::online(&hub, &last);
    let driver = hub.make_driver("anna", 10_000);
    hush.keep("the driver's token", &driver);
    let order = hub.post(&driver, "/orders", &json!({"pileCode": "P1", "connectorId": 1})).expect(201);
    let start = charger.command("startCharging");
    charger.accept(&start);
    let path = format!("/orders/{}/ticket", order["orderNo"].as_str().unwrap());
    let ticket = hub.post(&driver, &path, &Value::Null).json()["ticket"].as_str().unwrap().to_owned();
    hush.keep("the ticket", &ticket);
    support::phone::Phone::open(&hub, &format!("ticket={ticket}")).news().frame("snap");
    let wrong = hush.keep("a wrong token", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm5hIn0.");
    hub.get(&wrong, "/wallet").refused(401, "UNAUTHENTICATED");
    let said = hub.last_words();
    assert!(said.contains("TRACE") && said.contains("pile connected"), "the log is there");
    assert_eq!(hush.found_in(&said), [""; 0]);
}

#[test]
fn a_master_key_is_taken_from_the_variable_the_file_or_the_credential_in_this_order() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "22".repeat(32)).unwrap();
    std::fs::write(dir.path().join("pilehub-master-key"), "33".repeat(32)).unwrap();
    let (file, credentials) = (file.to_str().unwrap(), dir.path().to_str().unwrap());
    let variable = ("PILEHUB__AUTH__MASTER_KEY", "11".repeat(32));
    let file = ("PILEHUB__AUTH__MASTER_KEY_FILE", file.to_owned());
    let credential = ("CREDENTIALS_DIRECTORY", credentials.to_owned());
    // The same call under the same key gives the same secret: it follows from both.
    let secret_with = |settings: &[&(&str, String)]| {
        let mut command = pilehub();
        let settings: Vec<_> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
        command.args(["config", "show"]).envs(settings.iter().copied());
        let shown = String::from_utf8(command.output().unwrap().stdout).unwrap();
        assert!(!shown.contains(&"11".repeat(32)), "it is masked");
        let hub = Hub::start_with(&settings);
        hub.make_station("S1");
        let new = json!({"pileCode": "P1", "stationId": "S1", "type": "DC", "connectors": 1, "maxPowerKw": 7});
        let made = hub.post_once(&admin(), "/piles", "key", &new).expect(201);
        (made["secret"].as_str().unwrap().to_owned(), hub.dir().join("master.key").exists())
    };
    let [one, two, three] = [&[&variable][..], &[&file], &[&credential]].map(secret_with);
    assert!(one.0 != two.0 && two.0 != three.0 && three.0 != one.0);
    assert!(!one.1 && !two.1 && !three.1, "no key is made beside a given one");
    assert_eq!(secret_with(&[&variable, &file, &credential]), one);
    assert_eq!(secret_with(&[&file, &credential]), two);
    let (_, made) = secret_with(&[]);
    assert!(made, "without any it is made in the data directory");
}

#[test]
fn a_master_key_of_wrong_length_refuses_the_start_without_being_shown() {
    let dir = tempfile::tempdir().unwrap();
    let wrong = "deadbeef".repeat(7);
    std::fs::write(dir.path().join("pilehub-master-key"), &wrong).unwrap();
    let path = dir.path().join("pilehub-master-key").display().to_string();
    for (key, value) in [
        ("PILEHUB__AUTH__MASTER_KEY", wrong.as_str()),
        ("PILEHUB__AUTH__MASTER_KEY_FILE", path.as_str()),
        ("PILEHUB__AUTH__MASTER_KEY_FILE", "/nowhere/at/all"),
        ("CREDENTIALS_DIRECTORY", dir.path().to_str().unwrap()),
    ] {
        let data = tempfile::tempdir().unwrap();
        let mut command = pilehub();
        command.env(key, value).args(["serve", "--data-dir", data.path().to_str().unwrap()]);
        let output = command.output().unwrap();
        let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(78), "{key}: {told}");
        assert!(told.contains("auth.master_key") && !told.contains("deadbeef"), "{key}: {told}");
    }
}
