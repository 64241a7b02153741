//! One run over one day: facts, comparison, items, figures.

use std::collections::BTreeMap;

use domain::Timestamp;
use settlement::reconcile::{
    BillLine, ChannelFile, Day, DayBook, EnergyFound, Figures, Finding, FundsFound, FundsInput, Item, Registers, Run,
    match_energy, match_funds, merge,
};
use store::{
    cases::{CaseFilter, CaseKind, Filed},
    money::{StoreError, Write},
};

use super::{
    Reconciler, Trouble, With,
    facts::{self, Files, Window},
    filed::{KeptDay, KeptItem, KeptRegisters},
};
use crate::limits::{RECON_BACK_DAYS, RECON_ITEMS_MAX, RECON_WRITES_PER_COMMIT_MAX};

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ran {
    /// The books of the day.
    pub(crate) book: DayBook,
    /// Whether it was the first run over the day.
    pub(crate) first: bool,
    /// Items in its books that somebody must look at.
    pub(crate) open_items: u64,
}

/// What was found, and what it was compared with.
struct Compared {
    funds: FundsFound,
    energy: EnergyFound,
    cut: bool,
    known: BTreeMap<String, Item>,
}

impl Compared {
    /// All findings, taken out, as many as are kept.
    fn findings(&mut self) -> Vec<Finding> {
        let mut findings = std::mem::take(&mut self.funds.findings);
        findings.append(&mut self.energy.findings);
        self.cut |= findings.len() > RECON_ITEMS_MAX;
        findings.truncate(RECON_ITEMS_MAX);
        findings
    }

    /// What the findings do to the items that are there. The registers before a day are kept for a few days only: without
    /// them a gap that is not found again may still be there.
    fn changes(&self, of_day: Day, books: Day, findings: &[Finding], recent: bool, now: Timestamp) -> Vec<Item> {
        let (funds_complete, energy_complete) = (!self.cut, !self.cut && recent);
        let run = Run { of_day, books, findings, matched: &self.funds.matched, funds_complete, energy_complete };
        merge(&self.known, &run, now)
    }
}

impl Reconciler {
    /// Compares a day and keeps what is new; the same facts again change nothing. `with` is stored last, with the figures.
    pub(crate) async fn run(&self, day: Day, with: With<'_, Ran>) -> Result<Ran, Trouble> {
        let _turn = self.turn.lock().await;
        self.run_in_turn(day, false, with).await
    }

    /// The same by the timetable: a day on which nothing happened is not written down.
    pub(super) async fn run_by_itself(&self, day: Day) -> Result<Ran, Trouble> {
        let _turn = self.turn.lock().await;
        self.run_in_turn(day, true, Box::new(|_| Vec::new())).await
    }

    async fn run_in_turn(&self, day: Day, skip_empty: bool, with: With<'_, Ran>) -> Result<Ran, Trouble> {
        let earlier = self.book(day).await?;
        let timezone = match &earlier {
            Some(book) => book.timezone.clone(),
            None => self.timezone()?,
        };
        let (from, to) = day.window(&timezone)?;
        let now = self.now();
        if now < from {
            return Err(Trouble::NotBegun(day));
        }
        let mut compared = self.compare(day, &Window { money: self.money.as_ref(), from, to }).await?;
        let findings = compared.findings();
        let closed = earlier.as_ref().is_some_and(DayBook::is_closed);
        let books = if closed { self.open_book_after(day, &timezone).await? } else { day };
        if closed {
            self.look_up_late(&findings, day, &mut compared.known).await?;
        }
        let recent = Day::of(now, &timezone)? <= day.plus(RECON_BACK_DAYS);
        let changed = compared.changes(day, books, &findings, recent, now);
        let figures = Figures {
            funds: compared.funds.channels,
            energy: compared.energy.sums,
            truncated: compared.cut,
            whole_day: now >= to,
        };
        let first = earlier.is_none();
        let (book, is_new) = match earlier {
            None => (DayBook::new(day, timezone, figures, now), true),
            Some(book) => match book.run_again(&figures, !changed.is_empty(), now) {
                Some(book) => (book, true),
                None => (book, false),
            },
        };
        if first && skip_empty && book.funds.is_empty() && book.energy.orders == 0 && changed.is_empty() {
            return Ok(Ran { book, first, open_items: 0 });
        }
        // Marks follow from what changes: they come first, or a crash after the items would lose them.
        self.commit(self.marks(day, &findings, &changed).await?).await?;
        self.keep_items(&changed).await?;
        let mut writes = Vec::from_iter(self.keep_registers(day, &compared.energy.registers).await?);
        if is_new {
            writes.push(Write::Case(Box::new(KeptDay(book.clone()).case())));
        }
        let ran = Ran { open_items: self.open_items(day).await?, book, first };
        writes.extend(with(&ran));
        self.commit(writes).await?;
        Ok(ran)
    }

    async fn compare(&self, day: Day, window: &Window<'_>) -> Result<Compared, Trouble> {
        let money = self.money.as_ref();
        let [today, before, after] = [
            facts::files(money, day).await?,
            facts::files(money, day.before()).await?,
            facts::files(money, day.after()).await?,
        ];
        let (known, cut) = self.known_items(day).await?;
        let carried: Vec<&Item> = known
            .values()
            .filter(|item| item.about_day() < day && (item.is_open() || item.matched_by == Some(day)))
            .collect();
        let of_carried: Vec<BillLine> = carried.iter().filter_map(|item| line_of(item)).collect();
        let mut named: Vec<&[BillLine]> = today.iter().map(|(_, lines)| lines.as_slice()).collect();
        named.push(&of_carried);
        let movements = window.movements(&named).await?;
        let orders = window.metered().await?;
        let (today, before, after) = (as_files(&today), as_files(&before), as_files(&after));
        let funds = match_funds(&FundsInput {
            files: &today,
            files_before: &before,
            files_after: &after,
            movements: &movements.rows,
            carried: &carried,
        });
        let energy = match_energy(&orders.rows, &self.registers_before(day).await?);
        Ok(Compared { funds, energy, cut: cut || movements.cut || orders.cut, known })
    }

    /// Items of the day and of the days before it, and all that are open; whether there were too many.
    async fn known_items(&self, day: Day) -> Result<(BTreeMap<String, Item>, bool), Trouble> {
        let mut filters = vec![CaseFilter { open_only: true, ..CaseFilter::all(CaseKind::ReconItem) }];
        filters.extend(
            (0..=RECON_BACK_DAYS).map(|back| facts::about(CaseKind::ReconItem, day.plus(back.saturating_neg()))),
        );
        let (mut known, mut cut) = (BTreeMap::new(), false);
        for filter in filters {
            let cases = facts::items(self.money.as_ref(), &filter).await?;
            cut |= cases.cut;
            for case in &cases.rows {
                let KeptItem(item) = case.read()?;
                known.insert(item.item_id.clone(), item);
            }
        }
        Ok((known, cut))
    }

    /// What was found about a closed day before stands in the books of a later one.
    async fn look_up_late(
        &self,
        findings: &[Finding],
        day: Day,
        known: &mut BTreeMap<String, Item>,
    ) -> Result<(), Trouble> {
        for finding in findings {
            let id = finding.id(day);
            for id in [format!("{id}:late"), id] {
                if known.contains_key(&id) {
                    continue;
                }
                if let Some(case) = self.money.case(CaseKind::ReconItem, &id).await? {
                    known.insert(id, case.read::<KeptItem>()?.0);
                }
            }
        }
        Ok(())
    }

    /// The first later day whose books are open; today's always are.
    async fn open_book_after(&self, day: Day, timezone: &str) -> Result<Day, Trouble> {
        let today = Day::of(self.now(), timezone)?;
        let mut next = day.after();
        while next < today && self.book(next).await?.is_some_and(|book| book.is_closed()) {
            next = next.after();
        }
        Ok(next)
    }

    /// Where the registers were at the end of the last day that is known.
    async fn registers_before(&self, day: Day) -> Result<Registers, StoreError> {
        for back in 1..=RECON_BACK_DAYS {
            let earlier = day.plus(back.saturating_neg());
            if let Some(kept) = self.kept_registers(earlier).await?.filter(|kept| kept.day == earlier) {
                return Ok(kept.registers());
            }
        }
        Ok(Registers::new())
    }

    /// What is in the place of a day, maybe of another day.
    async fn kept_registers(&self, day: Day) -> Result<Option<KeptRegisters>, StoreError> {
        let case = self.money.case(CaseKind::Progress, &KeptRegisters::name(day)).await?;
        case.map(|case| case.read()).transpose()
    }

    async fn keep_registers(&self, day: Day, registers: &Registers) -> Result<Option<Write>, StoreError> {
        let stored = self.kept_registers(day).await?;
        let last = KeptRegisters::new(day, stored.as_ref().map_or(1, |stored| stored.rev.saturating_add(1)), registers);
        // A later day may have the place by now.
        let stands = stored.is_some_and(|stored| stored.day > day || stored.same(&last));
        Ok((!stands).then(|| Write::Case(Box::new(last.case()))))
    }

    async fn keep_items(&self, changed: &[Item]) -> Result<(), Trouble> {
        for some in changed.chunks(RECON_WRITES_PER_COMMIT_MAX) {
            let write = |item: &Item| Write::Case(Box::new(KeptItem(item.clone()).case()));
            self.commit(some.iter().map(write).collect()).await?;
            store::failpoint::hit("reconcile.items");
        }
        Ok(())
    }
}

fn as_files(files: &Files) -> Vec<ChannelFile<'_>> {
    files.iter().map(|(channel, lines)| ChannelFile { channel, lines }).collect()
}

/// A carried item as a line that names its payment, so that what became of it is looked up.
fn line_of(item: &Item) -> Option<BillLine> {
    Some(BillLine {
        kind: item.about.line?,
        payment_no: item.about.payment_no.clone()?,
        refund_no: item.about.refund_no.clone().unwrap_or_default(),
        transaction_id: item.about.transaction_id.clone().unwrap_or_default(),
        amount_fen: item.about.channel_fen.unwrap_or_default(),
        at: item.found_at,
    })
}
