//! Reconciliation at work: reads a day's facts, lets the rules of `settlement::reconcile` compare them, keeps what they
//! found. Decides nothing about money and moves none.
//!
//! One run at a time, and no decision of a person while one is under way. Items are stored before the figures of their
//! day: a run that is cut off by a crash left some items, and the next run over that day finds the same ones again.

mod facts;
mod filed;
mod job;
mod marks;
mod report;
mod run;

use std::{collections::BTreeMap, sync::Arc};

use actors::Handle;
use domain::{Clock, Timestamp, UserId};
use settlement::{
    reconcile::{
        CloseRefusal, Day, DayBook, Decision, Item, ItemRefusal, ItemState, Verdict,
        bills::{BillError, BillFormat},
    },
    tariff::TariffError,
};
use sha2::{Digest, Sha256};
use store::{
    cases::{CaseFilter, CaseKind, Filed},
    money::{Commit, CommitOutcome, Conflict, Money, Page, StoreError, Write},
};

pub(crate) use filed::KeptBill;
pub(crate) use job::{Timetable, keep};
pub(crate) use report::{Report, csv, html};
pub(crate) use run::Ran;

use crate::{
    ids::hex,
    limits::{RECON_BILLS_PER_DAY_MAX, RECON_ITEMS_MAX},
};
use filed::{KeptDay, KeptItem};

/// Reads, compares, keeps.
#[derive(Debug)]
pub(crate) struct Reconciler {
    money: Arc<dyn Money>,
    actors: Handle,
    clock: Arc<dyn Clock>,
    /// Held by a run, and by a decision of a person.
    turn: tokio::sync::Mutex<()>,
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A condition of a commit failed.
    #[error("changed by another call: {0:?}")]
    Conflict(Conflict),
    #[error(transparent)]
    Zone(#[from] TariffError),
    /// There is nothing to reconcile, and no time zone to do it in.
    #[error("there is no station: register one first")]
    NoStation,
    #[error("the day {0} has not begun")]
    NotBegun(Day),
    #[error("{0} was not reconciled")]
    NoDay(Day),
    #[error("there is no item {0}")]
    NoItem(String),
    #[error(transparent)]
    Close(#[from] CloseRefusal),
    #[error(transparent)]
    Item(#[from] ItemRefusal),
    #[error(transparent)]
    Bill(#[from] BillError),
    #[error("the day has {RECON_BILLS_PER_DAY_MAX} files already: give the rest in one")]
    TooManyBills,
}

/// A person's call: what else is stored with its effect.
pub(crate) type With<'a, T> = Box<dyn FnOnce(&T) -> Vec<Write> + Send + 'a>;

impl Reconciler {
    pub(crate) fn new(money: Arc<dyn Money>, actors: Handle, clock: Arc<dyn Clock>) -> Self {
        Self { money, actors, clock, turn: tokio::sync::Mutex::default() }
    }

    /// The zone whose midnight ends a day: that of the first station by id.
    pub(crate) fn timezone(&self) -> Result<String, Trouble> {
        let stations = self.actors.stations();
        let first = stations.into_iter().min_by(|a, b| a.station_id.cmp(&b.station_id));
        first.map(|station| station.timezone).ok_or(Trouble::NoStation)
    }

    pub(crate) async fn book(&self, day: Day) -> Result<Option<DayBook>, Trouble> {
        let case = self.money.case(CaseKind::ReconDay, &day.to_string()).await?;
        Ok(case.map(|case| case.read::<KeptDay>()).transpose()?.map(|kept| kept.0))
    }

    async fn known_book(&self, day: Day) -> Result<DayBook, Trouble> {
        self.book(day).await?.ok_or(Trouble::NoDay(day))
    }

    /// Days that were reconciled, latest first.
    pub(crate) async fn books(&self, cursor: Option<&str>, max: usize) -> Result<Page<DayBook>, Trouble> {
        let page = self.money.cases(&CaseFilter::all(CaseKind::ReconDay), cursor, max).await?;
        let items: Result<Vec<_>, StoreError> =
            page.items.iter().map(|case| case.read::<KeptDay>().map(|kept| kept.0)).collect();
        Ok(Page { items: items?, next_cursor: page.next_cursor })
    }

    /// A page of the items in the books of a day, latest first.
    pub(crate) async fn items(
        &self,
        day: Day,
        state: Option<ItemState>,
        cursor: Option<&str>,
        max: usize,
    ) -> Result<Page<Item>, Trouble> {
        let state = state.map(|state| state.as_str().to_owned());
        let filter = CaseFilter { state, ..facts::about(CaseKind::ReconItem, day) };
        let page = self.money.cases(&filter, cursor, max).await?;
        let items: Result<Vec<_>, StoreError> =
            page.items.iter().map(|case| case.read::<KeptItem>().map(|kept| kept.0)).collect();
        Ok(Page { items: items?, next_cursor: page.next_cursor })
    }

    /// How many items of a day's books somebody must look at.
    pub(crate) async fn open_items(&self, day: Day) -> Result<u64, Trouble> {
        let filter = CaseFilter { open_only: true, ..facts::about(CaseKind::ReconItem, day) };
        let open = facts::items(self.money.as_ref(), &filter).await?.rows.len();
        Ok(u64::try_from(open).unwrap_or(u64::MAX))
    }

    /// The files of a day, without their lines, oldest first.
    pub(crate) async fn bills(&self, day: Day) -> Result<Vec<KeptBill>, Trouble> {
        let filter = facts::about(CaseKind::ChannelBill, day);
        let cases = facts::cases(self.money.as_ref(), &filter, RECON_BILLS_PER_DAY_MAX).await?.rows;
        let mut bills = cases.iter().map(|case| case.read::<KeptBill>()).collect::<Result<Vec<_>, _>>()?;
        bills.reverse();
        Ok(bills)
    }

    /// Keeps a channel's bill of a day; the same content again changes nothing.
    pub(crate) async fn take_bill(
        &self,
        day: Day,
        format: BillFormat,
        content: &[u8],
        by: UserId,
        with: With<'_, KeptBill>,
    ) -> Result<KeptBill, Trouble> {
        let lines = format.read(content, day)?;
        let mut hash = Sha256::new();
        hash.update(format!("{day}\n{}\n", format.channel()));
        hash.update(content);
        let bill_id = hex(&hash.finalize());
        let _turn = self.turn.lock().await;
        if let Some(case) = self.money.case(CaseKind::ChannelBill, &bill_id).await? {
            let bill: KeptBill = case.read()?;
            self.commit(with(&bill)).await?;
            return Ok(bill);
        }
        if self.bills(day).await?.len() >= RECON_BILLS_PER_DAY_MAX {
            return Err(Trouble::TooManyBills);
        }
        let channel = format.channel().to_owned();
        let bill = KeptBill { bill_id, day, channel, by, at: self.clock.now(), lines };
        let mut writes = vec![Write::Case(Box::new(bill.case()))];
        writes.extend(with(&bill));
        self.commit(writes).await?;
        Ok(bill)
    }

    /// Keeps what a person decided about an item.
    pub(crate) async fn resolve(
        &self,
        day: Day,
        item_id: &str,
        (by, verdict, reason): (UserId, Verdict, String),
        with: With<'_, Item>,
    ) -> Result<Item, Trouble> {
        let _turn = self.turn.lock().await;
        let case = self.money.case(CaseKind::ReconItem, item_id).await?;
        let item = case.map(|case| case.read::<KeptItem>()).transpose()?.map(|kept| kept.0);
        let item = item.filter(|item| item.day == day).ok_or_else(|| Trouble::NoItem(item_id.to_owned()))?;
        let item = item.resolve(Decision { verdict, reason, by, at: self.clock.now() })?;
        let mut writes = vec![Write::Case(Box::new(KeptItem(item.clone()).case()))];
        writes.extend(with(&item));
        self.commit(writes).await?;
        Ok(item)
    }

    /// Keeps the wish of a first person to close a day, or the consent of a second one, which closes it.
    pub(crate) async fn close(
        &self,
        day: Day,
        by: UserId,
        step: CloseStep,
        with: With<'_, DayBook>,
    ) -> Result<DayBook, Trouble> {
        let _turn = self.turn.lock().await;
        let (book, open, now) = (self.known_book(day).await?, self.open_items(day).await?, self.clock.now());
        let book = match step {
            CloseStep::Ask => book.ask(by, open, now)?,
            CloseStep::Approve => book.approve(by, open, now)?,
        };
        let mut writes = vec![Write::Case(Box::new(KeptDay(book.clone()).case()))];
        writes.extend(with(&book));
        self.commit(writes).await?;
        Ok(book)
    }

    /// Everything finance wants to read about a day.
    pub(crate) async fn report(&self, day: Day) -> Result<Report, Trouble> {
        let book = self.known_book(day).await?;
        let cases = facts::items(self.money.as_ref(), &facts::about(CaseKind::ReconItem, day)).await?;
        let mut items = cases.rows.iter().map(|case| case.read::<KeptItem>()).collect::<Result<Vec<_>, _>>()?;
        items.sort_by(|a, b| a.0.item_id.cmp(&b.0.item_id));
        let (from, to) = day.window(&book.timezone)?;
        let mut accounts = BTreeMap::new();
        let window = facts::Window { money: self.money.as_ref(), from, to };
        let cut = window.entries(|entry| report::add(&mut accounts, entry)).await?;
        let items = items.into_iter().map(|kept| kept.0).collect();
        Ok(Report { book, accounts, items, cut: cut || cases.cut })
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), Trouble> {
        if writes.is_empty() {
            return Ok(());
        }
        match self.money.commit(Commit { writes }).await {
            CommitOutcome::Applied => Ok(()),
            CommitOutcome::Conflict(conflict) => Err(Trouble::Conflict(conflict)),
            CommitOutcome::Unavailable(why) | CommitOutcome::Unknown(why) => {
                Err(Trouble::Store(StoreError::Unavailable(why)))
            }
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// Which of the two persons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CloseStep {
    Ask,
    Approve,
}

const _: () = assert!(RECON_ITEMS_MAX > crate::limits::PAGE_LEN_MAX, "a day's items are read in pages");
