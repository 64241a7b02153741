//! What only the embedded engine promises: the lock, the snapshot, the schema version, the bounds on its files.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::wildcard_enum_match_arm,
    reason = "tests: failing loudly is their job"
)]

mod common;

use std::{path::Path, sync::Arc};

use common::{account, at, nth_commit, open, options, order_no, reading, token, until, user};
use domain::{ConnectorId, Fen, Millis, PileCode, PileNo, StationId, Timestamp, UserId, Watts};
use rusqlite::Connection;
use settlement::ledger::AccountState;
use store::{
    limits::{QUARANTINE_LEN_MAX, QUARANTINE_QUEUE_LEN_MAX, RECORDS_PER_ORDER_MAX},
    money::{Commit, CommitOutcome, Money, RecordRow, Standing, StoreError, Write},
    registry::{AuditRow, Pile, PileKind},
    sqlite::{self, MONEY_FILE, Options, SqliteStore, TELEMETRY_FILE},
    telemetry::{Append, Quarantined, Sample, SampleKind, TelemetryFull},
};

async fn commits(money: &dyn Money, task: usize, n: i64) -> AccountState {
    let mut state = account(money, task).await;
    for _ in 0..n {
        let (commit, next) = nth_commit(task, &state);
        assert_eq!(money.commit(commit).await, CommitOutcome::Applied);
        state = next;
    }
    state
}

/// A count from a file, past the engine.
fn count(dir: &Path, file: &str, sql: &str) -> i64 {
    Connection::open(dir.join(file)).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

fn pile() -> Pile {
    Pile {
        pile_no: PileNo(1),
        pile_code: PileCode::parse("P1").unwrap(),
        station_id: StationId::parse("S1").unwrap(),
        kind: PileKind::Dc,
        connectors: 2,
        max_power: Watts(120_000),
        verifier: [7; 32],
    }
}

fn heartbeat(pile: u32, received: i64) -> Append {
    Append::Sample(Sample {
        pile_no: PileNo(pile),
        connector: ConnectorId::PILE,
        received: at(received),
        device: at(received),
        kind: SampleKind::Heartbeat { status: 1, temperature: None },
        voltage: None,
        current: None,
        power: None,
    })
}

#[tokio::test]
async fn a_directory_in_use_is_refused_and_free_again_after_closing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let refused = sqlite::open(dir.path(), options().0).unwrap_err();
    assert_eq!(refused, StoreError::InUse(dir.path().display().to_string()));
    commits(store.money().as_ref(), 0, 1).await;

    // Handles that are still held do not keep a closed store's directory.
    let (money, telemetry) = (store.money(), store.telemetry());
    store.close();
    store.close();
    assert!(matches!(money.commit(Commit::default()).await, CommitOutcome::Unavailable(_)));
    assert!(money.reserve_pile_nos(1).await.is_err());
    assert_eq!(telemetry.push(Append::Nothing, Some(token(1))), Err(TelemetryFull));
    assert!(telemetry.flush().await.is_err());
    let again = open(dir.path());
    assert_eq!(account(again.money().as_ref(), 0).await.version, 1);
}

#[tokio::test]
async fn a_snapshot_beside_a_running_store_sees_one_moment_and_cannot_write() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let before = commits(store.money().as_ref(), 0, 3).await;
    let snapshot = sqlite::open_read_only(dir.path()).unwrap();
    let after = commits(store.money().as_ref(), 0, 2).await;

    assert_eq!(account(snapshot.money().as_ref(), 0).await, before);
    assert_eq!(snapshot.money().entries(&user(0), None, 10).await.unwrap().items.len(), 3);
    assert_eq!(snapshot.audit().accounts(None, 10).await.unwrap().items, [before]);
    let ops = snapshot.audit().ops(&user(0), None, 2).await.unwrap();
    assert_eq!(ops.items, [(1, "hold:1".to_owned()), (2, "hold:2".to_owned())]);
    let rest = snapshot.audit().ops(&user(0), ops.next_cursor.as_deref(), 2).await.unwrap();
    assert_eq!(rest.items, [(3, "hold:3".to_owned())]);
    assert!(matches!(snapshot.money().commit(Commit::default()).await, CommitOutcome::Unavailable(_)));
    assert!(snapshot.money().health().is_err());
    assert_eq!(account(sqlite::open_read_only(dir.path()).unwrap().money().as_ref(), 0).await, after);
    drop(store);
    assert_eq!(account(sqlite::open_read_only(dir.path()).unwrap().money().as_ref(), 0).await, after, "also alone");
}

#[test]
fn a_directory_without_a_store_has_no_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(sqlite::open_read_only(dir.path()), Err(StoreError::Unavailable(_))));
    assert!(dir.path().read_dir().unwrap().next().is_none(), "looking makes no file");
}

#[test]
fn a_file_of_a_later_release_is_refused_and_left_alone() {
    for file in [MONEY_FILE, TELEMETRY_FILE] {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path()).close();
        let conn = Connection::open(dir.path().join(file)).unwrap();
        conn.pragma_update(None, "user_version", 99).unwrap();
        drop(conn);
        let refused = sqlite::open(dir.path(), options().0).unwrap_err();
        assert!(matches!(refused, StoreError::Newer { found: 99, .. }), "{refused}");
        assert!(refused.to_string().contains(file), "{refused}");
        assert_eq!(count(dir.path(), file, "SELECT user_version FROM pragma_user_version"), 99);
    }
}

#[tokio::test]
async fn a_file_of_the_first_release_is_brought_up_to_date_with_its_piles() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert_eq!(store.money().commit(Commit { writes: vec![Write::Piles(vec![pile()])] }).await, CommitOutcome::Applied);
    store.close();
    drop(store);
    let conn = Connection::open(dir.path().join(MONEY_FILE)).unwrap();
    for index in
        ["payments_by_user", "payments_by_paid", "payments_due", "orders_by_end", "orders_owing", "entries_by_time"]
    {
        conn.execute_batch(&format!("DROP INDEX {index}")).unwrap();
    }
    for (table, columns) in [
        ("piles", &["rotation_id", "next_verifier", "next_until", "next_accepted"][..]),
        ("accounts", &["sums"]),
        ("payments", &["due", "body"]),
        ("blacklist", &["body"]),
        ("audit", &["address", "prev", "hash"]),
    ] {
        for column in columns {
            conn.execute_batch(&format!("ALTER TABLE {table} DROP COLUMN {column}")).unwrap();
        }
    }
    conn.execute_batch(
        "DROP TABLE integrations; DROP TABLE cases; DROP TABLE outbox;
         INSERT INTO blacklist VALUES ('anna', 'fraud');
         INSERT INTO payments VALUES ('Y1', 'anna', 500, 'sandbox', 'PENDING', NULL, 1000, NULL);
         INSERT INTO accounts VALUES ('anna', 7, 0, 1, 1);
         INSERT INTO audit VALUES (1, 5, 'root', 'admin', 'PILE_REGISTERED', 'P1', '{}')",
    )
    .unwrap();
    conn.pragma_update(None, "user_version", 1).unwrap();
    drop(conn);
    let money = open(dir.path()).money();
    assert_eq!(money.piles().await.unwrap()[0].0, pile());
    assert_eq!(money.rotations().await.unwrap(), []);
    assert_eq!(money.integrations().await.unwrap(), []);
    let anna = UserId::parse("anna").unwrap();
    assert_eq!(money.blacklisted(&anna).await.unwrap().map(|entry| entry.reason).as_deref(), Some("fraud"));
    let payment = money.payment("Y1").await.unwrap().unwrap();
    assert_eq!((payment.amount_fen, payment.due, payment.queries), (Fen(500), None, 0));
    let account = money.account(&anna).await.unwrap().unwrap();
    assert_eq!((account.available, account.transit.len(), account.written_off.len()), (Fen(7), 0, 0));
    // A row from before there was a chain has no link; the chain begins with the next one.
    let row = AuditRow { action: "PILE_MOVED".to_owned(), ..money.audit_chain(0, 1).await.unwrap()[0].row.clone() };
    let commit = Commit { writes: vec![Write::Audit(Box::new(row.clone()))] };
    assert_eq!(money.commit(commit).await, CommitOutcome::Applied);
    let chain = money.audit_chain(0, 10).await.unwrap();
    let first = store::chain::hash(&store::chain::START, 2, &row);
    assert_eq!(chain.iter().map(|row| row.links).collect::<Vec<_>>(), [None, Some((store::chain::START, first))]);
}

#[test]
fn a_file_that_is_no_database_is_called_corrupt() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(MONEY_FILE), vec![b'x'; 8192]).unwrap();
    assert!(matches!(sqlite::open(dir.path(), options().0), Err(StoreError::Corrupt(_))));
}

#[tokio::test]
async fn an_amount_altered_by_hand_is_found() {
    for sql in [
        "UPDATE orders SET paid_fen = paid_fen + 1 WHERE order_no = '10000000002'",
        "UPDATE orders SET total_fen = 5 WHERE order_no = '10000000002'",
        "UPDATE orders SET body = replace(body, '\"frozenFen\":0', '\"frozenFen\":7') WHERE order_no = '10000000002'",
        "UPDATE orders SET body = '{}' WHERE order_no = '10000000002'",
        "UPDATE orders SET status = 'CANCELED' WHERE order_no = '10000000002'",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        commits(store.money().as_ref(), 0, 3).await;
        assert_eq!(store.audit().disagreements().await.unwrap(), []);
        assert_eq!(Connection::open(dir.path().join(MONEY_FILE)).unwrap().execute(sql, []).unwrap(), 1, "{sql}");
        let found = sqlite::open_read_only(dir.path()).unwrap().audit().disagreements().await.unwrap();
        let of: Vec<&str> = found.iter().map(|disagreement| disagreement.of.as_str()).collect();
        assert_eq!(of, ["order 10000000002"], "{sql}");
    }
}

#[tokio::test]
async fn telemetry_older_than_the_retention_goes_and_the_log_stays_short() {
    let dir = tempfile::tempdir().unwrap();
    let (mut options, _) = options();
    options.retention = Millis::from_secs(3600);
    let store = sqlite::open(dir.path(), options).unwrap();
    let telemetry = store.telemetry();
    let minute = 60_000;
    let mut sizes = Vec::new();
    for hour in 0..8 {
        for n in 0..60 {
            for pile in 1..=40 {
                telemetry.push(heartbeat(pile, (hour * 60 + n) * minute), None).unwrap();
            }
            telemetry.flush().await.unwrap();
        }
        sizes.push(std::fs::metadata(dir.path().join(TELEMETRY_FILE)).unwrap().len());
    }
    let newest = (8 * 60 - 1) * minute;
    let found = telemetry.samples(PileNo(7), Timestamp::MIN, Timestamp::MAX, 10_000).await.unwrap();
    let oldest = found.first().unwrap().received.since(at(newest)).0 / -minute;
    assert!((60..=150).contains(&oldest), "the oldest is {oldest} minutes old");
    assert_eq!(found.len() as i64, oldest + 1, "nothing within the retention is missing");
    let cutoff = at(newest).plus(Millis::from_secs(-3600)).as_millis();
    assert_eq!(count(dir.path(), TELEMETRY_FILE, &format!("SELECT count(*) FROM generation WHERE t1 < {cutoff}")), 0);
    assert!(count(dir.path(), TELEMETRY_FILE, "SELECT count(*) FROM chunk") <= 40 * 5);
    assert!(count(dir.path(), TELEMETRY_FILE, "SELECT count(*) FROM log") <= 100, "sealed rows leave the log");
    assert_eq!(sizes[4], sizes[7], "the file does not grow any more: {sizes:?}");
}

#[tokio::test]
async fn the_quarantine_keeps_the_newest_frames() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let telemetry = store.telemetry();
    let frame = Quarantined {
        quarantine_id: 0,
        pile_code: PileCode::parse("P1").unwrap(),
        topic: "pile/P1/meter".to_owned(),
        payload: Vec::new(),
        reason: "MALFORMED".to_owned(),
        detail: String::new(),
        received: at(0),
        replayed_at: None,
    };
    let extra = 50;
    for n in 0..QUARANTINE_LEN_MAX + extra {
        if telemetry.push(Append::Quarantine(frame.clone()), None).is_err() {
            panic!("the queue is full at {n}");
        }
        if n % QUARANTINE_QUEUE_LEN_MAX as u64 == QUARANTINE_QUEUE_LEN_MAX as u64 - 1 {
            telemetry.flush().await.unwrap();
        }
    }
    telemetry.flush().await.unwrap();
    let kept = count(dir.path(), TELEMETRY_FILE, "SELECT count(*) FROM quarantine");
    assert_eq!(kept, QUARANTINE_LEN_MAX as i64);
    let oldest = count(dir.path(), TELEMETRY_FILE, "SELECT min(id) FROM quarantine");
    assert_eq!(oldest, extra as i64 + 1);
}

#[tokio::test]
async fn an_order_keeps_a_bounded_number_of_records() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for n in 0..RECORDS_PER_ORDER_MAX as u8 + 10 {
        let record = RecordRow {
            order_no: order_no(0, 1),
            pile_no: PileNo(1),
            content: [n; 32],
            raw: vec![n],
            received: at(0),
            standing: if n == 0 { Standing::Stands } else { Standing::Conflicting },
        };
        let outcome = store.money().commit(Commit { writes: vec![Write::Record(Box::new(record))] }).await;
        assert_eq!(outcome, CommitOutcome::Applied);
    }
    assert_eq!(count(dir.path(), MONEY_FILE, "SELECT count(*) FROM records"), RECORDS_PER_ORDER_MAX);
    assert_eq!(store.money().record(&order_no(0, 1)).await.unwrap().map(|record| record.content), Some([0; 32]));
}

#[tokio::test]
async fn pile_numbers_run_out_with_a_refusal_and_the_store_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert_eq!(store.money().reserve_pile_nos(u32::MAX - 1).await, Ok(PileNo(1)));
    assert!(matches!(store.money().reserve_pile_nos(2).await, Err(StoreError::Unavailable(_))));
    assert_eq!(store.money().health(), Ok(()));
    assert_eq!(commits(store.money().as_ref(), 0, 1).await.available, Fen(1));
}

#[tokio::test]
async fn a_listener_that_panics_is_noticed_and_pushes_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store: SqliteStore = sqlite::open(dir.path(), Options::new(Box::new(|_| panic!("a broken listener")))).unwrap();
    let telemetry = store.telemetry();
    telemetry.push(reading(1, 1), Some(token(1))).unwrap();
    until("the writer is gone", || telemetry.health().is_err()).await;
    assert_eq!(telemetry.push(Append::Nothing, Some(token(2))), Err(TelemetryFull));
    assert!(telemetry.flush().await.is_err());
    let found = telemetry.readings(PileNo(1), &order_no(1, 1), Timestamp::MIN).await.unwrap();
    assert_eq!(found.len(), 1, "what was durable is still read");
}

#[tokio::test]
async fn commits_sent_together_share_a_disk_write_and_keep_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let money = store.money();
    let mut state = account(money.as_ref(), 0).await;
    let mut sent = Vec::new();
    for _ in 0..1000 {
        let (commit, next) = nth_commit(0, &state);
        let money = Arc::clone(&money);
        sent.push(tokio::spawn(async move { money.commit(commit).await }));
        state = next;
    }
    for answer in sent {
        assert_eq!(answer.await.unwrap(), CommitOutcome::Applied, "each one rests on the one before");
    }
    assert_eq!(account(money.as_ref(), 0).await, state);
}
