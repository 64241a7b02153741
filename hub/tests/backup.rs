//! `pilehub backup` beside a hub at work, and `pilehub restore`: what was acknowledged before is in the copy, the books of
//! the copy hold, and a hub goes on from it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests fail loudly")]

mod support;

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Output,
    sync::atomic::{AtomicBool, AtomicI64, Ordering},
    thread,
};

use support::{
    Hub,
    charger::{Charger, finished},
    pilehub,
    scene::Scene,
    token,
    wait::{look_for, now_ms, until},
};

fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn copy(command: &str, data_dir: &Path, flag: &str, other: &Path) -> Output {
    pilehub().args([command, "--data-dir"]).arg(data_dir).arg(flag).arg(other).output().unwrap()
}

fn back_up(hub: &Hub, to: &Path) -> Output {
    copy("backup", hub.dir(), "--to", to)
}

fn restore(dir: &Path, from: &Path) -> Output {
    copy("restore", dir, "--from", from)
}

#[test]
fn a_hub_goes_on_from_a_backup_that_was_made_while_a_car_charged() {
    let mut scene = Scene::rich(&[], 20_000);
    let closed = scene.charge("2.000", 1);
    let order = scene.charging();
    let (elsewhere, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let backup = elsewhere.path().join("backup.tar");
    let made = back_up(&scene.hub, &backup);
    assert!(made.status.success() && words(&made).contains("every invariant holds"), "{}", words(&made));
    let wallet = scene.wallet();
    // What comes after it is not in it.
    scene.hub.make_driver("bert", 700);

    let restored = restore(data.path(), &backup);
    assert!(restored.status.success() && words(&restored).contains("every invariant holds"), "{}", words(&restored));
    for path in [&backup, &data.path().join("money.db"), &data.path().join("master.key")] {
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o77, 0, "{} is nobody else's", path.display());
    }
    let Scene { charger, pile, driver, hub } = scene;
    drop(charger);
    let hub = hub.kill_and_restart_in(data);
    assert_eq!(hub.get(&driver, "/wallet").expect(200), wallet);
    assert_eq!(hub.get(&token("driver", "bert"), "/wallet").expect(200)["availableFen"], 0);
    assert_eq!(hub.order(&driver, &closed)["status"], "CLOSED");
    let mut charger = Charger::online(&hub, &pile);
    let end = now_ms();
    charger.send("charging/finished", &finished(&order, 1, "3.000", 1, end - 60_000, end));
    assert_eq!(charger.record_ack(&order), "stored");
    hub.until_status(&driver, &order, "CLOSED");
    let audit = hub.run(&["audit"]);
    assert!(audit.status.success(), "{}", words(&audit));
}

/// Lets the others end, also when the test fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_backup_beside_a_busy_hub_has_all_that_was_acknowledged_before_and_nothing_by_halves() {
    let hub = Hub::start();
    hub.make_station("S1");
    let (paid, done) = (AtomicI64::new(0), AtomicBool::new(false));
    let elsewhere = tempfile::tempdir().unwrap();
    thread::scope(|scope| {
        let pay = || {
            while !done.load(Ordering::SeqCst) {
                hub.make_driver("anna", 100);
                paid.fetch_add(1, Ordering::SeqCst);
            }
        };
        scope.spawn(pay);
        let _done = Done(&done);
        for round in 0..5 {
            let before = paid.load(Ordering::SeqCst);
            until("more payments", || (paid.load(Ordering::SeqCst) > before + 5).then_some(()));
            let acknowledged = paid.load(Ordering::SeqCst);
            let [backup, data] = ["tar", "data"].map(|what| elsewhere.path().join(format!("{round}.{what}")));
            let made = back_up(&hub, &backup);
            assert!(made.status.success(), "{}", words(&made));
            // One may have been stored whose answer is still on its way.
            let most = paid.load(Ordering::SeqCst) + 1;
            let restored = restore(&data, &backup);
            assert!(restored.status.success(), "{}", words(&restored));
            let db = rusqlite::Connection::open(data.join("money.db")).unwrap();
            let sql = "SELECT count(*), available FROM payments, accounts WHERE state = 'SUCCESS'";
            let (count, available): (i64, i64) = db.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            assert!((acknowledged..=most).contains(&count), "{count} of {acknowledged} to {most}");
            assert_eq!(available, count * 100);
        }
    });
}

fn names(dir: &Path) -> BTreeSet<String> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_backup_takes_and_removes_only_what_is_its_own() {
    let hub = Hub::start();
    hub.make_station("S1");
    let elsewhere = tempfile::tempdir().unwrap();
    let path = |name: &str| elsewhere.path().join(name);
    let notes = path("backup.tar.databases").join("notes");
    fs::create_dir(path("backup.tar.databases")).unwrap();
    fs::write(&notes, "mine").unwrap();
    // What a killed restore left in the data directory is no part of it.
    fs::create_dir(hub.dir().join("unfinished")).unwrap();
    fs::write(hub.dir().join("unfinished").join("money.db"), "half").unwrap();
    back_up(&hub, &path("backup.tar"));
    assert_eq!(fs::read_to_string(notes).unwrap(), "mine");
    assert!(restore(&path("data"), &path("backup.tar")).status.success());
    assert!(!path("data").join("unfinished").exists());
}

#[test]
fn nothing_is_replaced_and_a_backup_that_is_not_whole_is_refused() {
    let mut hub = Hub::start();
    hub.make_station("S1");
    let elsewhere = tempfile::tempdir().unwrap();
    let path = |name: &str| elsewhere.path().join(name);
    let backup = path("backup.tar");
    // What a backup leaves behind that was cut off is in nobody's way.
    fs::create_dir(path("backup.tar.databases")).unwrap();
    fs::write(path("backup.tar.part"), "half").unwrap();
    assert!(back_up(&hub, &backup).status.success());
    assert_eq!(names(elsewhere.path()), BTreeSet::from(["backup.tar".to_owned()]));

    let whole = fs::read(&backup).unwrap();
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 1;
    fs::write(path("changed.tar"), changed).unwrap();
    fs::write(path("short.tar"), &whole[..whole.len() / 2]).unwrap();
    fs::write(path("other.tar"), [b'x'; 2_048]).unwrap();
    let new = path("new");
    for (made, told) in [
        (back_up(&hub, &backup), "is there already: name a file that is not"),
        (
            copy("backup", &path("nowhere"), "--to", &path("none.tar")),
            "holds no store: name the data directory of a hub",
        ),
        (restore(hub.dir(), &backup), "in use by another process"),
        (restore(&new, &path("missing.tar")), "missing.tar: No such file"),
        (restore(&new, &path("changed.tar")), "changed.tar is no good backup: "),
        (restore(&new, &path("short.tar")), "short.tar is no good backup: "),
        (restore(&new, &path("other.tar")), "other.tar is no good backup: "),
    ] {
        assert_eq!(made.status.code(), Some(1), "{told}: {}", words(&made));
        assert!(words(&made).contains(told), "{told}: {}", words(&made));
    }
    assert!(!path("none.tar").exists() && !new.join("money.db").exists());
    assert_eq!(names(&new), BTreeSet::from(["store.lock".to_owned()]), "a restore that failed leaves nothing");

    hub.make_station("S2");
    hub.kill();
    let restored = restore(hub.dir(), &backup);
    assert!(
        restored.status.success() && words(&restored).contains("what was there before is in"),
        "{}",
        words(&restored)
    );
    let replaced = names(hub.dir()).into_iter().find(|name| name.starts_with("replaced-")).unwrap();
    assert!(
        names(&hub.dir().join(replaced)).is_superset(&BTreeSet::from(["money.db", "master.key"].map(str::to_owned)))
    );
    // Cut off between the old files and the new ones: no hub takes that for a new store.
    fs::create_dir(hub.dir().join("restoring")).unwrap();
    fs::remove_file(hub.dir().join("money.db")).unwrap();
    let log = fs::File::create(path("refused.log")).unwrap();
    let mut serve = pilehub();
    serve.args(["serve", "--data-dir"]).arg(hub.dir());
    serve.env("PILEHUB__HTTP__LISTEN", "127.0.0.1:0").env("PILEHUB__MQTT__LISTEN", "127.0.0.1:0");
    let mut serve = serve.stderr(log).spawn().unwrap();
    let ended = look_for(|| serve.try_wait().unwrap());
    serve.kill().unwrap();
    assert_eq!(ended.and_then(|ended| ended.code()), Some(1));
    let told = fs::read_to_string(path("refused.log")).unwrap();
    assert!(told.contains("restore again"), "{told}");
    assert!(!hub.dir().join("money.db").exists(), "none was made");
    let restored = restore(hub.dir(), &backup);
    assert!(restored.status.success() && !hub.dir().join("restoring").exists(), "{}", words(&restored));
    let asides = names(hub.dir()).into_iter().filter(|name| name.starts_with("replaced-"));
    assert_eq!(asides.count(), 2, "one for each restore, none inside another");
    let hub = hub.again();
    let stations = hub.get(&token("ops", "olga"), "/stations").expect(200);
    assert_eq!(stations["items"].as_array().unwrap().len(), 1, "S2 came after the backup");
}
