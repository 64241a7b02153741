//! What finance waits for, with the real binary on a real store of 100,000 orders and 100,000 payments: a reconciled day,
//! without a bill of the channel, as during the day, and with one; and what a draft of a tariff would have cost.

#[path = "../restart/fill.rs"]
#[allow(dead_code, reason = "the other bench fills a whole store")]
mod fill;

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use domain::{Fen, Millis, Timestamp, UserId, WattHours};
use settlement::{ledger::AccountState, reconcile::Day, settle, tariff::Tariff};
use store::{
    money::{Money, Payment, PaymentState, Write},
    sqlite::{self, Options},
};
use tokio::{task::JoinSet, time::Instant};

const ZONE: &str = "Asia/Shanghai";
const JWT_KEY: &str = "a key of the bench, 32 bytes long";
const PILES: u32 = 5_000;
const DRIVERS: u32 = 2_000;
const WITHIN: Duration = Duration::from_secs(600);

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // `cargo test --benches` only wants to know that it builds and runs.
    let orders = if std::env::args().any(|arg| arg == "--bench") { 100_000 } else { 2_000 };
    runtime.block_on(Box::pin(measure(orders)))
}

async fn measure(orders: u32) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("data");
    let day = Day::of(now(), ZONE)?.before();
    let began = Instant::now();
    let bill = fill_day(&data, day, orders).await?;
    say(&format!("filled in {:.1} s: {orders} orders and payments of {day}", began.elapsed().as_secs_f64()))?;
    let http = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let _hub = start(&data, http).await?;
    let (token, author) = (token("finance")?, token("ops")?);
    let run = || post(http, &token, "/api/v1/reconciliations", &format!("{{\"day\":\"{day}\"}}"));
    let day_path = format!("/api/v1/reconciliations/{day}/bills?channel=sandbox");
    for what in ["without a bill", "without a bill, again"] {
        say(&format!("{what}: {:.2} s", timed(run)?.as_secs_f64()))?;
    }
    let began = Instant::now();
    post(http, &token, &day_path, &bill)?;
    say(&format!("bill taken: {:.2} s", began.elapsed().as_secs_f64()))?;
    for what in ["with the bill", "with the bill, again"] {
        say(&format!("{what}: {:.2} s", timed(run)?.as_secs_f64()))?;
    }
    let last = run()?;
    ensure!(last.contains("\"openItems\":0"), "everything agrees: {last}");
    let matched = format!("\"matchedPaid\":{{\"count\":{orders},");
    ensure!(last.contains(&matched), "everything is matched: {last}");
    let draft = post(http, &author, "/api/v1/tariffs", &draft())?;
    let tariff = draft.split("\"tariffId\":\"").nth(1).and_then(|rest| rest.split('"').next());
    let dry_run = format!("/api/v1/tariffs/{}/dry-run", tariff.context("the draft has a name")?);
    let began = Instant::now();
    let told = post(http, &author, &dry_run, "{}")?;
    say(&format!("dry run: {:.2} s", began.elapsed().as_secs_f64()))?;
    ensure!(told.contains(&format!("\"orders\":{orders},")), "every order is looked at: {told}");
    Ok(())
}

/// Another price every quarter of an hour.
fn draft() -> String {
    let time = |minute: u32| format!("{:02}:{:02}", minute / 60, minute % 60);
    let period = |n: u32| {
        let (from, to) = (time(n * 15), time(n * 15 + 15));
        serde_json::json!({ "from": from, "to": to, "label": n.to_string(), "electricityE4": 5_000 + n, "serviceE4": 4_000 })
    };
    let periods: Vec<_> = (0..96).map(period).collect();
    serde_json::json!({ "stationId": fill::STATION, "periods": periods, "reason": "bench" }).to_string()
}

fn timed(run: impl Fn() -> anyhow::Result<String>) -> anyhow::Result<Duration> {
    let began = Instant::now();
    run()?;
    Ok(began.elapsed())
}

#[allow(clippy::disallowed_methods, reason = "a data directory needs the wall's time to lie in the past of its hub")]
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis_clamped(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Fills a new data directory with one day; answers the channel's bill of it.
async fn fill_day(dir: &Path, day: Day, orders: u32) -> anyhow::Result<String> {
    let store = sqlite::open(dir, Options::new(Box::new(|_| {})))?;
    let money = store.money();
    let (from, to) = day.window(ZONE)?;
    let size = fill::Size { piles: PILES, closed: orders, running: 0, readings: 0 };
    let tariff = Arc::new(fill::registry(money.as_ref(), size, now()).await?);
    // The last hour of the day is left for the last charges.
    let each = Millis((to.since(from).0 - 3_600_000) / i64::from(orders));
    let mut drivers = JoinSet::new();
    for driver in 0..DRIVERS {
        let (money, tariff) = (Arc::clone(&money), Arc::clone(&tariff));
        drivers.spawn(async move {
            let mut account = AccountState::new(UserId::parse(&format!("D{driver}"))?);
            let mut lines = String::new();
            for n in (driver..orders).step_by(usize::try_from(DRIVERS)?) {
                let at = from.plus(Millis(each.0 * i64::from(n)));
                lines.push_str(&pay(money.as_ref(), n, at, &mut account).await?);
                charge(money.as_ref(), &tariff, n, at, &mut account).await?;
            }
            anyhow::Ok(lines)
        });
    }
    let mut bill = "kind,paymentNo,transactionId,refundNo,amountFen,at\n".to_owned();
    while let Some(lines) = drivers.join_next().await {
        bill.push_str(&lines??);
    }
    store.close();
    Ok(bill)
}

/// A payment that was credited; answers its line in the channel's bill.
async fn pay(money: &dyn Money, n: u32, at: Timestamp, account: &mut AccountState) -> anyhow::Result<String> {
    let no = format!("Y{n}");
    let change = settle::top_up(account, &no, Fen(2_000), at)?;
    let payment = Payment {
        state: PaymentState::Success,
        transaction_id: Some(format!("T{n}")),
        paid_at: Some(at),
        ..Payment::new(no.clone(), account.user_id.clone(), Fen(2_000), "sandbox".to_owned(), at)
    };
    fill::commit(money, vec![Write::Payment(Box::new(payment), None), fill::ledger(&change)?]).await?;
    *account = change.next;
    Ok(format!("PAY,{no},T{n},,2000,{at}\n"))
}

/// A charge with the registers of its pile.
async fn charge(
    money: &dyn Money,
    tariff: &Tariff,
    n: u32,
    at: Timestamp,
    account: &mut AccountState,
) -> anyhow::Result<()> {
    let user = account.user_id.to_string();
    let order = fill::facts(tariff, n, &user, n % PILES + 1, at)?;
    let order = fill::begin(money, order, account, at).await?;
    let before = WattHours(i64::from(n / PILES) * fill::DELIVERED.0);
    fill::end(money, tariff, &order, account, Some(before)).await
}

/// A child that does not outlive the bench.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn start(data: &Path, http: SocketAddr) -> anyhow::Result<Killed> {
    let child = Command::new(env!("CARGO_BIN_EXE_pilehub"))
        .args(["serve", "--data-dir"])
        .arg(data)
        .env("PILEHUB__HTTP__LISTEN", http.to_string())
        .env("PILEHUB__MQTT__LISTEN", "127.0.0.1:0")
        .env("PILEHUB__AUTH__JWT_KEY", JWT_KEY)
        .env("PILEHUB__RECONCILIATION__AT", "23:59")
        .env("PILEHUB__RECONCILIATION__INTRADAY_S", "0")
        .env("PILEHUB__LOG__FILTER", "warn")
        .stdout(Stdio::null())
        .spawn()
        .context("the hub cannot be started")?;
    let began = Instant::now();
    while !call(http, "GET /readyz", "", "").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")) {
        ensure!(began.elapsed() < WITHIN, "the hub was not ready within {WITHIN:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(Killed(child))
}

fn token(role: &str) -> anyhow::Result<String> {
    let key = jsonwebtoken::EncodingKey::from_secret(JWT_KEY.as_bytes());
    let claims = serde_json::json!({ "sub": "fay", "role": role, "exp": 4_000_000_000_u64 });
    Ok(jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key)?)
}

fn post(http: SocketAddr, token: &str, path: &str, body: &str) -> anyhow::Result<String> {
    let answer = call(http, &format!("POST {path}"), token, body)?;
    ensure!(answer.starts_with("HTTP/1.1 20"), "{answer}");
    Ok(answer)
}

fn call(http: SocketAddr, what: &str, token: &str, body: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(http)?;
    stream.set_read_timeout(Some(WITHIN))?;
    let head = format!(
        "{what} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn say(line: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{line}").context("writing to stdout")
}
