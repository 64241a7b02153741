//! `pilehub audit`: the chain of the audit trail, and every money invariant, recomputed from what is stored. Works beside a
//! running hub, on one moment of its store, an account at a time. The first breach found is told first.

use std::{fmt::Write as _, path::Path, sync::Arc};

use domain::{Fen, UserId};
use settlement::{
    invariants::{Breach, Cases, Conservation, Facts, check},
    ledger::{AccountState, Entry},
    order::Order,
};
use store::{
    audit::Audit,
    cases::{CaseFilter, Filed},
    limits::PAGE_LEN_MAX,
    money::{Money, OrderFilter, PaymentState, StoreError},
    sqlite,
};

use crate::{
    audit_trail,
    cli::{Failure, print},
    config::Config,
    pay::{FiledRefund, FiledSuspense},
};

/// Breaches that are told one by one; the rest is counted.
const BREACHES_SHOWN: usize = 20;

/// Prints what was looked at and the first breaches.
pub(crate) fn run(config: &Config) -> Result<(), Failure> {
    run_in(Path::new(&config.store.data_dir))
}

/// The same of the store in a directory.
pub(crate) fn run_in(dir: &Path) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(anyhow::Error::from)?;
    let report = runtime.block_on(audit(dir)).map_err(anyhow::Error::from)?;
    print(&report.text())?;
    let Some(Breach { rule, what }) = report.breaches.first() else { return Ok(()) };
    let count = if report.count == 1 { "1 breach".to_owned() } else { format!("{} breaches", report.count) };
    Err(anyhow::anyhow!(
        "{count}, the first: {rule}: {what}; stop the hub and restore a backup, or find who changed the store"
    )
    .into())
}

/// What an audit found.
#[derive(Debug, Default)]
struct Report {
    accounts: usize,
    entries: usize,
    orders: usize,
    payments: usize,
    audit_rows: usize,
    breaches: Vec<Breach>,
    count: usize,
}

impl Report {
    fn add(&mut self, breaches: impl IntoIterator<Item = Breach>) {
        for breach in breaches {
            self.count = self.count.saturating_add(1);
            if self.breaches.len() < BREACHES_SHOWN {
                self.breaches.push(breach);
            }
        }
    }

    fn text(&self) -> String {
        let mut text = format!(
            "audited {} accounts, {} entries, {} orders, {} payments, {} rows of the audit trail: ",
            self.accounts, self.entries, self.orders, self.payments, self.audit_rows
        );
        text.push_str(if self.count == 0 { "every invariant holds\n" } else { "BREACHED\n" });
        for Breach { rule, what } in &self.breaches {
            // Writing into memory does not fail.
            let _ = writeln!(text, "{rule}: {what}");
        }
        let hidden = self.count.saturating_sub(self.breaches.len());
        if hidden > 0 {
            let _ = writeln!(text, "… and {hidden} more");
        }
        text
    }
}

async fn audit(dir: &Path) -> Result<Report, StoreError> {
    let snapshot = sqlite::open_read_only(dir)?;
    let (money, audit) = (snapshot.money(), snapshot.audit());
    let mut report = Report::default();
    let (audit_rows, broken) = audit_trail::check(money.as_ref()).await?;
    report.audit_rows = audit_rows;
    report.add(broken);
    let (mut conservation, mut cases) = (Conservation::default(), cases(&money).await?);
    let mut cursor: Option<String> = None;
    loop {
        let page = audit.accounts(cursor.as_deref(), PAGE_LEN_MAX).await?;
        for account in &page.items {
            one_account(&money, &audit, account, &mut conservation, &mut report).await?;
            report.add(cases.check_account(account));
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let paid_in = payments(&audit, &mut cases, &mut report).await?;
    report.add(conservation.check(Some(paid_in)));
    report.add(cases.rest());
    orders_without_account(&money, &mut report).await?;
    let copies = audit.disagreements().await?;
    report.add(copies.into_iter().map(|one| Breach { rule: "store", what: format!("{}: {}", one.of, one.what) }));
    Ok(report)
}

async fn one_account(
    money: &Arc<dyn Money>,
    audit: &Arc<dyn Audit>,
    account: &AccountState,
    conservation: &mut Conservation,
    report: &mut Report,
) -> Result<(), StoreError> {
    let entries = entries(money, &account.user_id).await?;
    let orders = orders(money, &account.user_id).await?;
    let facts = Facts { account, entries: &entries, orders: &orders };
    report.add(check(&facts));
    conservation.add(&facts);
    report.add(operations(audit, account).await?);
    report.accounts = report.accounts.saturating_add(1);
    report.entries = report.entries.saturating_add(entries.len());
    report.orders = report.orders.saturating_add(orders.len());
    Ok(())
}

/// All entries of an account, oldest first.
async fn entries(money: &Arc<dyn Money>, user: &UserId) -> Result<Vec<Entry>, StoreError> {
    let (mut all, mut cursor): (Vec<Entry>, Option<String>) = (Vec::new(), None);
    loop {
        let page = money.entries(user, cursor.as_deref(), PAGE_LEN_MAX).await?;
        all.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            all.reverse();
            return Ok(all);
        }
    }
}

/// All orders of an account.
async fn orders(money: &Arc<dyn Money>, user: &UserId) -> Result<Vec<Order>, StoreError> {
    let filter = OrderFilter { user_id: Some(user.clone()), pile_code: None };
    let (mut all, mut cursor): (Vec<Order>, Option<String>) = (Vec::new(), None);
    loop {
        let page = money.orders(&filter, cursor.as_deref(), PAGE_LEN_MAX).await?;
        all.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(all);
        }
    }
}

/// The operations of an account are numbered 1, 2, 3 … up to its version.
async fn operations(audit: &Arc<dyn Audit>, account: &AccountState) -> Result<Option<Breach>, StoreError> {
    let (mut last, mut cursor): (i64, Option<String>) = (0, None);
    let breach = |what: String| Breach { rule: "store", what: format!("account {}: {what}", account.user_id) };
    loop {
        let page = audit.ops(&account.user_id, cursor.as_deref(), PAGE_LEN_MAX).await?;
        for (version, op) in &page.items {
            if *version != last.saturating_add(1) {
                return Ok(Some(breach(format!("operation {op} made version {version}, after version {last}"))));
            }
            last = *version;
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            let same = last == account.version;
            return Ok((!same).then(|| breach(format!("has version {}, its operations made {last}", account.version))));
        }
    }
}

/// Refunds and money in suspense.
async fn cases(money: &Arc<dyn Money>) -> Result<Cases, StoreError> {
    let mut cases = Cases::default();
    each_case(money, |FiledRefund(refund)| cases.add_refund(&refund)).await?;
    each_case(money, |FiledSuspense(suspense)| cases.add_suspense(&suspense)).await?;
    Ok(cases)
}

async fn each_case<T: Filed>(money: &Arc<dyn Money>, mut each: impl FnMut(T)) -> Result<(), StoreError> {
    let mut cursor: Option<String> = None;
    loop {
        let page = money.cases(&CaseFilter::all(T::KIND), cursor.as_deref(), PAGE_LEN_MAX).await?;
        for case in &page.items {
            each(case.read()?);
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

/// What came in through channels.
async fn payments(audit: &Arc<dyn Audit>, cases: &mut Cases, report: &mut Report) -> Result<Fen, StoreError> {
    let (mut sum, mut cursor): (i64, Option<String>) = (0, None);
    loop {
        let page = audit.payments(cursor.as_deref(), PAGE_LEN_MAX).await?;
        report.payments = report.payments.saturating_add(page.items.len());
        let credited = page.items.iter().filter(|payment| payment.state == PaymentState::Success);
        sum = credited.fold(sum, |sum, payment| sum.saturating_add(payment.amount_fen.0));
        report.add(page.items.iter().filter_map(|one| cases.check_payment(&one.payment_no, one.refunded_fen)));
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(Fen(sum));
        }
    }
}

/// Every order was looked at with its account: an order that was not belongs to nobody.
async fn orders_without_account(money: &Arc<dyn Money>, report: &mut Report) -> Result<(), StoreError> {
    let (mut stored, mut cursor): (usize, Option<String>) = (0, None);
    loop {
        let page = money.orders(&OrderFilter::default(), cursor.as_deref(), PAGE_LEN_MAX).await?;
        stored = stored.saturating_add(page.items.len());
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    if stored != report.orders {
        let what = format!("{stored} orders are stored, {} belong to an account", report.orders);
        report.add([Breach { rule: "store", what }]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_breaches_are_told_and_the_rest_is_counted() {
        let mut report = Report::default();
        assert!(report.text().ends_with("every invariant holds\n"));
        report.add((0..25).map(|n| Breach { rule: "I1", what: format!("number {n}") }));
        let text = report.text();
        assert!(text.contains("BREACHED\nI1: number 0\n") && text.ends_with("I1: number 19\n… and 5 more\n"), "{text}");
    }
}
