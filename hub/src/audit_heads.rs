//! The head of every day's audit trail: the last link of the day, written down and logged, so that whoever keeps the log
//! elsewhere holds a proof of all rows before it.
//!
//! A head covers the rows up to the first one that is later than its day; what was written down late belongs to the next
//! head. It is never written twice. Days are those of [`Calendar`].

use std::{sync::Arc, time::Duration};

use actors::Handle;
use domain::{Clock, Timestamp};
use serde::{Deserialize, Serialize};
use settlement::reconcile::Day;
use store::{
    cases::{CaseFilter, CaseKind, Filed},
    chain::{Chained, START},
    money::{Commit, CommitOutcome, Conflict, Money, StoreError, Write},
};
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    calendar::Calendar,
    ids::hex,
    limits::{AUDIT_HEADS_EVERY_S, AUDIT_HEADS_PER_ROUND_MAX, PAGE_LEN_MAX},
};

/// The last link of a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Head {
    /// "2026-01-31".
    pub(crate) day: Day,
    /// The number of the last row; that of the earlier head when the day has no row.
    pub(crate) last_id: i64,
    /// Rows after the earlier head.
    pub(crate) rows: u64,
    /// The hash of the last row, in hexadecimal.
    pub(crate) hash: String,
    /// The end of the day.
    pub(crate) at: Timestamp,
}

impl Filed for Head {
    const KIND: CaseKind = CaseKind::AuditHead;

    fn id(&self) -> String {
        self.day.to_string()
    }

    fn rev(&self) -> i64 {
        1
    }

    fn state(&self) -> String {
        "WRITTEN".to_owned()
    }

    fn is_open(&self) -> bool {
        false
    }

    fn about(&self) -> String {
        self.day.to_string()
    }

    fn at(&self) -> Timestamp {
        self.at
    }
}

/// Writes the heads of the days that are over, for as long as the hub runs; at once those of days it did not.
pub(crate) async fn keep(actors: Handle, money: Arc<dyn Money>, clock: Arc<dyn Clock>) {
    let mut rounds = interval(Duration::from_secs(AUDIT_HEADS_EVERY_S));
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        let calendar = Calendar::of(&actors.stations());
        if let Err(error) = catch_up(money.as_ref(), &calendar, clock.now()).await {
            tracing::warn!(%error, "the head of the audit trail waits for the store");
        }
    }
}

/// Writes the heads that are missing up to yesterday.
async fn catch_up(money: &dyn Money, calendar: &Calendar, now: Timestamp) -> Result<(), StoreError> {
    let newest = money.cases(&CaseFilter::all(CaseKind::AuditHead), None, 1).await?.items;
    let newest = newest.first().map(store::cases::Case::read::<Head>).transpose()?;
    let mut rows = Rows::after(newest.as_ref().map_or(0, |head| head.last_id));
    let (mut last, mut next_day) = match newest {
        Some(head) => (Last { id: head.last_id, hash: head.hash }, Some(head.day.after())),
        None => {
            let first = rows.peek(money).await?.map(|first| calendar.day_of(first.at));
            (Last { id: 0, hash: hex(&START) }, first)
        }
    };
    let today = calendar.day_of(now);
    for _ in 0..AUDIT_HEADS_PER_ROUND_MAX {
        let Some(day) = next_day.filter(|day| *day < today) else { return Ok(()) };
        let end = calendar.end_of(day);
        let mut count = 0_u64;
        while let Some(row) = rows.peek(money).await?.filter(|row| row.at < end) {
            last = Last { id: row.id, hash: row.hash.clone() };
            rows.take();
            count = count.saturating_add(1);
        }
        let head = Head { day, last_id: last.id, rows: count, hash: last.hash.clone(), at: end };
        if !written(money, &head).await? {
            return Ok(());
        }
        next_day = Some(day.after());
    }
    Ok(())
}

/// Where the last head ends.
struct Last {
    id: i64,
    hash: String,
}

/// Whether the head is stored now; a head of this day that is there already ends the round.
async fn written(money: &dyn Money, head: &Head) -> Result<bool, StoreError> {
    match money.commit(Commit { writes: vec![Write::Case(Box::new(head.case()))] }).await {
        CommitOutcome::Applied => {
            let Head { day, last_id, rows, hash, at: _ } = head;
            tracing::info!(%day, last_id, rows, hash, "head of the audit trail");
            Ok(true)
        }
        CommitOutcome::Conflict(Conflict::CaseRev(..)) => Ok(false),
        CommitOutcome::Conflict(other) => Err(StoreError::Corrupt(format!("{other:?}"))),
        CommitOutcome::Unavailable(why) | CommitOutcome::Unknown(why) => Err(StoreError::Unavailable(why)),
    }
}

/// A row as far as a head is concerned.
#[derive(Debug, Clone)]
struct Row {
    id: i64,
    at: Timestamp,
    hash: String,
}

/// The chained rows after a number, one by one; rows from before there was a chain are passed over.
struct Rows {
    after: i64,
    page: std::vec::IntoIter<Chained>,
    peeked: Option<Row>,
    is_over: bool,
}

impl Rows {
    fn after(id: i64) -> Self {
        Self { after: id, page: Vec::new().into_iter(), peeked: None, is_over: false }
    }

    async fn peek(&mut self, money: &dyn Money) -> Result<Option<Row>, StoreError> {
        while self.peeked.is_none() && !self.is_over {
            match self.page.next() {
                Some(Chained { id, row, links }) => {
                    self.after = id;
                    self.peeked = links.map(|(_, hash)| Row { id, at: row.at, hash: hex(&hash) });
                }
                None => {
                    let page = money.audit_chain(self.after, PAGE_LEN_MAX).await?;
                    self.is_over = page.is_empty();
                    self.page = page.into_iter();
                }
            }
        }
        Ok(self.peeked.clone())
    }

    fn take(&mut self) {
        self.peeked = None;
    }
}
