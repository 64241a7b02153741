//! What happens when the disk is full: nothing half applied, said aloud, and over when there is room again.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::wildcard_enum_match_arm,
    reason = "tests: failing loudly is their job"
)]

mod common;

use std::{path::Path, process::Command, sync::Arc};

use common::{account, is_there, nth_commit, options, order_no, reading, token, until};
use domain::{PileNo, Timestamp};
use store::{
    money::{CommitOutcome, StoreError},
    sqlite::{self, PageLimit},
    telemetry::TelemetryFull,
};

/// In the child: the directory to write into.
const CHILD_DIR: &str = "PILEHUB_STORE_TEST_DIR";

#[tokio::test]
async fn money_stops_when_the_file_is_full_and_goes_on_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let (mut options, _) = options();
    let limit = PageLimit::pages(120);
    options.money_pages = limit.clone();
    let store = sqlite::open(dir.path(), options).unwrap();
    let money = store.money();

    let mut states = Vec::new();
    for task in 0..8 {
        states.push(account(money.as_ref(), task).await);
    }
    let mut refused = None;
    while refused.is_none() {
        let answers = states.iter().enumerate().map(|(task, state)| {
            let money = Arc::clone(&money);
            let (commit, next) = nth_commit(task, state);
            tokio::spawn(async move { (money.commit(commit).await, next) })
        });
        let answers: Vec<_> = answers.collect();
        for (task, answer) in answers.into_iter().enumerate() {
            match answer.await.unwrap() {
                (CommitOutcome::Applied, next) => states[task] = next,
                (CommitOutcome::Unavailable(reason), _) => refused = Some(reason),
                (other, _) => panic!("{other:?}"),
            }
        }
    }
    assert!(matches!(money.health(), Err(StoreError::Unavailable(reason)) if reason.contains("full")));
    for (task, state) in states.iter().enumerate() {
        assert_eq!(account(money.as_ref(), task).await, *state, "reads go on and see what was applied");
        assert!(!is_there(money.as_ref(), task, state.version + 1).await);
    }
    let (commit, next) = nth_commit(0, &states[0]);
    assert!(matches!(money.commit(commit.clone()).await, CommitOutcome::Unavailable(_)));
    assert!(money.reserve_pile_nos(1).await.is_err());

    limit.set(0);
    until("the store recovers", || money.health().is_ok()).await;
    assert_eq!(money.commit(commit).await, CommitOutcome::Applied);
    assert_eq!(account(money.as_ref(), 0).await, next);
    assert_eq!(store.audit().disagreements().await.unwrap(), []);
}

#[tokio::test]
async fn telemetry_is_not_acknowledged_while_the_file_is_full_and_nothing_of_it_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let (mut options, stored) = options();
    let limit = PageLimit::pages(40);
    options.telemetry_pages = limit.clone();
    let store = sqlite::open(dir.path(), options).unwrap();
    let telemetry = store.telemetry();

    let mut pushed = 0;
    loop {
        for _ in 0..500 {
            pushed += 1;
            telemetry.push(reading(1, pushed), Some(token(pushed))).unwrap();
        }
        if telemetry.flush().await.is_err() {
            break;
        }
    }
    assert!(matches!(telemetry.health(), Err(StoreError::Unavailable(reason)) if reason.contains("full")));
    let acknowledged = stored.lock().len() as u32;
    assert!(acknowledged < pushed);
    let order = order_no(1, 1);
    let readable = telemetry.readings(PileNo(1), &order, Timestamp::MIN).await.unwrap().len() as u32;
    assert_eq!(readable, acknowledged, "what is acknowledged is there, what is not is not");

    let mut more = 0;
    while telemetry.push(reading(1, pushed + 1), Some(token(pushed + 1))).is_ok() {
        pushed += 1;
        more += 1;
    }
    assert_eq!(telemetry.push(reading(1, pushed + 1), None), Err(TelemetryFull), "after {more} more the queue is full");

    limit.set(0);
    until("the writer recovers", || telemetry.health().is_ok()).await;
    telemetry.flush().await.unwrap();
    assert!(stored.lock().iter().map(|token| token.n).eq(1..=pushed), "every token, once, in order");
    let readings = telemetry.readings(PileNo(1), &order, Timestamp::MIN).await.unwrap();
    assert!(readings.iter().map(|reading| reading.seq).eq(1..=pushed));
}

/// The child: every file it writes ends at a limit of the kernel, so that the log cannot grow *in* a COMMIT.
#[tokio::main(flavor = "current_thread")]
async fn commit_into_a_wall(dir: &Path) {
    let store = sqlite::open(dir, options().0).unwrap();
    let money = store.money();
    let mut state = account(money.as_ref(), 0).await;
    let (mut applied, mut unknown, mut landed) = (0, 0, 0);
    while unknown < 3 {
        let (commit, next) = nth_commit(0, &state);
        match money.commit(commit).await {
            CommitOutcome::Applied => {
                applied += 1;
                state = next;
            }
            CommitOutcome::Unknown(_) => {
                unknown += 1;
                assert!(money.health().is_err(), "an unknown outcome is a failed write");
                until("the probe cuts the log and succeeds", || money.health().is_ok()).await;
                if is_there(money.as_ref(), 0, next.version).await {
                    landed += 1;
                    state = next;
                }
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(applied > 30, "{applied}");
    assert_eq!(account(money.as_ref(), 0).await, state);
    assert_eq!(state.version, applied + landed);
    assert_eq!(store.audit().disagreements().await.unwrap(), []);
}

#[test]
fn a_commit_that_the_disk_breaks_off_is_unknown_and_reading_back_decides() {
    if let Some(dir) = std::env::var_os(CHILD_DIR) {
        return commit_into_a_wall(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new("sh")
        // The signal is ignored so that the write fails instead; 4,096 blocks are 2 or 4 MiB, by the shell.
        .args(["-c", "trap '' XFSZ; ulimit -S -f 4096; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "a_commit_that_the_disk_breaks_off_is_unknown_and_reading_back_decides", "--nocapture"])
        .env(CHILD_DIR, dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
