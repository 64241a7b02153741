//! Chargers on other people's MQTT libraries: the programs in `clients/`, each through one whole charge.
//!
//! The libraries come from their registries at a pinned version, once, into the target directory.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests fail loudly")]

mod support;

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::json;
use support::{Hub, token, wait::until, world::Pile};

const PAHO: &str = "paho-mqtt==2.1.0";
const MQTT_JS: &str = "mqtt@5.14.1";

#[test]
fn a_charger_on_paho_charges_and_is_taken_over_and_billed() {
    charges(&paho());
}

#[test]
fn a_charger_on_mqtt_js_charges_and_is_taken_over_and_billed() {
    charges(&mqtt_js());
}

#[test]
fn a_charger_on_mosquittos_clients_charges_and_is_taken_over_and_billed() {
    charges(&mosquitto());
}

#[test]
fn each_client_charges_over_tls_with_a_certificate_and_no_secret() {
    for program in [paho(), mqtt_js(), mosquitto()] {
        let hub = Hub::start_with_tls();
        charges_at(&hub, &program, true);
    }
}

#[test]
fn a_wrong_secret_is_refused_in_the_words_of_each_client() {
    let hub = Hub::start();
    hub.make_station("S1");
    let pile = Pile { secret: "wrong".to_owned(), ..hub.make_pile("S1", "P1") };
    for (program, words) in [
        (paho(), "refused: Bad user name or password"),
        (mqtt_js(), "refused: 4 Connection refused: Bad username or password"),
        (mosquitto(), "refused: Connection error: Connection Refused: bad user name or password."),
    ] {
        let mut run = Run::start(&program, &hub, &pile);
        assert_eq!(run.until_it_ends(), (Some(3), vec![words.to_owned()]), "{program:?}");
    }
    assert_eq!(metric(&hub, "pilehub_gate_refused_total{code=\"credentials\"}"), 3);
}

/// One whole charge: what the program tells, what is billed, and what the books say.
fn charges(program: &[PathBuf]) {
    charges_at(&Hub::start(), program, false);
}

/// The same over plain TCP with a secret, or over TLS with a certificate.
fn charges_at(hub: &Hub, program: &[PathBuf], tls: bool) {
    hub.make_station("S1");
    let pile = hub.make_pile("S1", "P1");
    let driver = hub.make_driver("anna", 10_000);
    let mut run = if tls { Run::start_over_tls(program, hub, &pile) } else { Run::start(program, hub, &pile) };
    run.line("online");
    let placed = until("an order at the pile that is online", || {
        let reply = hub.post(&driver, "/orders", &json!({"pileCode": "P1", "connectorId": 1}));
        (reply.status == 201).then(|| reply.expect(201))
    });
    let order = placed["orderNo"].as_str().unwrap();
    let told = [format!("started {order}"), "taken over".to_owned(), "charged".to_owned(), "record stored".to_owned()];
    assert_eq!(run.until_it_ends(), (Some(0), told.to_vec()));

    let ended = hub.order(&driver, order);
    assert_eq!((&ended["status"], &ended["paymentStatus"]), (&json!("CLOSED"), &json!("PAID")), "{ended}");
    assert_eq!(
        (&ended["energyWh"], &ended["durationS"], &ended["stopReason"]),
        (&json!(3_333), &json!(180), &json!(2))
    );
    // 3,333 Wh × 0.8 yuan = 266.64 fen, × 0.4 yuan = 133.32 fen; each rounded half up.
    let bill = &ended["bill"];
    let sums = ["electricityFen", "serviceFen", "totalFen", "paidFen", "debtFen"].map(|field| bill[field].as_i64());
    assert_eq!(sums, [267, 133, 400, 400, 0].map(Some), "{bill}");
    assert_eq!(hub.get(&driver, "/wallet").expect(200)["availableFen"], 9_600);
    assert_eq!(hub.get(&token("ops", "olga"), "/quarantine").expect(200)["items"], json!([]));
    assert!(metric(hub, "pilehub_gate_closed_total{cause=\"takeover\"}") >= 1);
    let audit = hub.run(&["audit"]);
    assert_eq!(audit.status.code(), Some(0), "{}", String::from_utf8_lossy(&audit.stdout));
}

/// The value of a metric; 0 when nothing was counted.
fn metric(hub: &Hub, series: &str) -> u64 {
    let text = hub.call("GET", "/metrics", &[], b"").text();
    text.lines().find_map(|line| line.strip_prefix(series)).map_or(0, |value| value.trim().parse().unwrap())
}

/// A program that plays a charger. Killed when dropped.
struct Run {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Run {
    fn start(program: &[PathBuf], hub: &Hub, pile: &Pile) -> Self {
        let mut command = Command::new(&program[0]);
        command.args(&program[1..]).env("PILE_CODE", &pile.code).env("PILE_SECRET", &pile.secret);
        command.env("PILE_HOST", hub.mqtt.ip().to_string()).env("PILE_PORT", hub.mqtt.port().to_string());
        Self::spawn(command, program)
    }

    /// With a certificate that the hub's own authority makes, and without the secret.
    fn start_over_tls(program: &[PathBuf], hub: &Hub, pile: &Pile) -> Self {
        assert!(hub.run(&["cert", "issue", &pile.code]).status.success());
        let path = |name: &str| hub.dir().join("tls").join(name);
        let mut command = Command::new(&program[0]);
        command.args(&program[1..]).env("PILE_CODE", &pile.code);
        command.env("PILE_HOST", "localhost").env("PILE_PORT", hub.mqtts.unwrap().port().to_string());
        command.env("PILE_CA", path("ca.pem"));
        command.env("PILE_CERT", path("piles/P1.pem")).env("PILE_KEY", path("piles/P1.key"));
        Self::spawn(command, program)
    }

    fn spawn(mut command: Command, program: &[PathBuf]) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap_or_else(|error| panic!("{program:?}: {error}"));
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout }
    }

    /// The next line is this one.
    fn line(&mut self, expected: &str) {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        assert_eq!(line.trim_end(), expected);
    }

    /// Its exit code, and the lines it told until then.
    fn until_it_ends(&mut self) -> (Option<i32>, Vec<String>) {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest.lines().map(str::to_owned).collect())
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // It has ended by itself when the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command that runs the program for mosquitto's clients.
fn mosquitto() -> Vec<PathBuf> {
    vec!["bash".into(), script("charge.sh")]
}

/// The command that runs the program for paho, in a Python environment of its own.
fn paho() -> Vec<PathBuf> {
    let home = installed(PAHO, |home| {
        run(Command::new("python3").args(["-m", "venv"]).arg(home));
        run(Command::new(home.join("bin/pip")).args(["install", "--quiet", "--disable-pip-version-check", PAHO]));
    });
    vec![home.join("bin/python"), script("charge.py")]
}

/// The command that runs the program for mqtt.js. Node looks for the library beside the program: it runs a copy.
fn mqtt_js() -> Vec<PathBuf> {
    let home = installed(MQTT_JS, |home| {
        fs::create_dir_all(home).unwrap();
        run(Command::new("npm").args(["install", "--no-audit", "--no-fund", "--prefix"]).arg(home).arg(MQTT_JS));
    });
    let copy = tempfile::Builder::new().suffix(".mjs").tempfile_in(&home).unwrap().into_temp_path().keep().unwrap();
    fs::copy(script("charge.mjs"), &copy).unwrap();
    let charge = home.join("charge.mjs");
    fs::rename(copy, &charge).unwrap();
    vec!["node".into(), charge]
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

/// The directory of a package; made by `install` unless it is there whole. One process at a time looks and makes.
fn installed(package: &str, install: impl FnOnce(&Path)) -> PathBuf {
    let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
    fs::create_dir_all(&all).unwrap();
    let (home, whole) = (all.join(package), all.join(format!("{package}.installed")));
    let lock = File::create(all.join(format!("{package}.lock"))).unwrap();
    lock.lock().unwrap();
    if !whole.exists() {
        if home.exists() {
            fs::remove_dir_all(&home).unwrap();
        }
        install(&home);
        File::create(&whole).unwrap();
    }
    home
}

/// Runs a command to its good end.
fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{command:?} failed; is there a network?\n{said}");
}
