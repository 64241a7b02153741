//! Money in and money back of one day: what the channels' bills say × what the hub did × what the books say.
//!
//! Lines and payments are matched by number, not by time: a payment shortly before midnight may stand in the channel's
//! bill of one day and be credited on the next. Without a bill of a channel nothing is said about what that channel has.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Fen, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use super::{About, Finding, Item, ItemKind};

/// Money in or money back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum LineKind {
    /// The driver paid.
    Pay,
    /// The channel paid back.
    Refund,
}

impl LineKind {
    /// As the API says it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pay => "PAY",
            Self::Refund => "REFUND",
        }
    }
}

/// One line of a channel's bill.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BillLine {
    /// Money in or money back.
    pub kind: LineKind,
    /// The hub's number of the payment.
    pub payment_no: String,
    /// The hub's number of the refund; empty for a payment.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub refund_no: String,
    /// The channel's name for the payment.
    pub transaction_id: String,
    /// How much, never negative.
    pub amount_fen: Fen,
    /// When, by the channel's clock.
    pub at: Timestamp,
}

/// The lines of one file of a channel.
#[derive(Debug, Clone, Copy)]
pub struct ChannelFile<'a> {
    /// Which channel.
    pub channel: &'a str,
    /// Its lines.
    pub lines: &'a [BillLine],
}

/// A payment or a refund as the hub and its books have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// Money in or money back.
    pub kind: LineKind,
    /// Through which channel.
    pub channel: String,
    /// The hub's number of the payment.
    pub payment_no: String,
    /// The hub's number of the refund; empty for a payment.
    pub refund_no: String,
    /// The channel's name for the payment, as far as the hub was told.
    pub transaction_id: Option<String>,
    /// Whose.
    pub user_id: UserId,
    /// How much.
    pub amount: Fen,
    /// Whether the hub holds it for done: credited, or paid back.
    pub done: bool,
    /// Whether it was done on the day that is looked at.
    pub in_day: bool,
    /// The operation of the ledger that moves it.
    pub op: String,
    /// The sum of that operation; `None` when the books do not have it.
    pub posted: Option<Fen>,
}

/// Everything that is needed to match a day.
#[derive(Debug, Clone, Copy)]
pub struct FundsInput<'a> {
    /// The channels' files of this day.
    pub files: &'a [ChannelFile<'a>],
    /// Those of the day before.
    pub files_before: &'a [ChannelFile<'a>],
    /// Those of the day after, as far as there are any.
    pub files_after: &'a [ChannelFile<'a>],
    /// What was done on this day, and every payment and refund that a line of this day or a carried item names.
    pub movements: &'a [Movement],
    /// LONG and SHORT items of earlier days that are open, or were matched by this day.
    pub carried: &'a [&'a Item],
}

/// What the day's money comes to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FundsFound {
    /// The differences.
    pub findings: Vec<Finding>,
    /// Items of earlier days that this day's lines and payments match.
    pub matched: BTreeSet<String>,
    /// Sums by channel.
    pub channels: BTreeMap<String, ChannelSums>,
}

/// How many, and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sum {
    /// How many.
    pub count: u64,
    /// How much.
    pub fen: Fen,
}

impl Sum {
    fn add(&mut self, amount: Fen) {
        self.count = self.count.saturating_add(1);
        self.fen = Fen(self.fen.0.saturating_add(amount.0));
    }
}

/// One channel's day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ChannelSums {
    /// Whether there is a bill of the channel. Without one, LONG and SHORT cannot be known.
    pub billed: bool,
    /// Payments by the channel's bill.
    pub lines_paid: Sum,
    /// Refunds by the channel's bill.
    pub lines_refunded: Sum,
    /// Payments the hub credited.
    pub hub_paid: Sum,
    /// Refunds the hub holds for done.
    pub hub_refunded: Sum,
    /// Payments whose line, payment and operation agree.
    pub matched_paid: Sum,
    /// Refunds that agree.
    pub matched_refunded: Sum,
}

/// What a line and a movement have in common: channel, kind and the hub's number.
type Key<'a> = (&'a str, LineKind, &'a str);

impl BillLine {
    /// The hub's number that it goes by. A refund without one of its own goes by its payment.
    #[must_use]
    pub fn name(&self) -> &str {
        if self.kind == LineKind::Refund && !self.refund_no.is_empty() { &self.refund_no } else { &self.payment_no }
    }
}

impl Movement {
    /// The hub's number that it goes by.
    #[must_use]
    pub fn name(&self) -> &str {
        match self.kind {
            LineKind::Pay => &self.payment_no,
            LineKind::Refund => &self.refund_no,
        }
    }

    fn key(&self) -> Key<'_> {
        (&self.channel, self.kind, self.name())
    }

    fn about(&self) -> About {
        About {
            channel: Some(self.channel.clone()),
            line: Some(self.kind),
            payment_no: Some(self.payment_no.clone()),
            refund_no: some(&self.refund_no),
            transaction_id: self.transaction_id.clone(),
            op: Some(self.op.clone()),
            user_id: Some(self.user_id.clone()),
            hub_fen: self.done.then_some(self.amount),
            ledger_fen: self.posted,
            ..About::default()
        }
    }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// The lines of several files by what they are about. A line that stands in two files of a channel is one line: a file that
/// was given in part and then whole says nothing twice. A line that stands twice in one file is two.
fn by_key<'a>(files: &[ChannelFile<'a>]) -> BTreeMap<Key<'a>, Vec<&'a BillLine>> {
    let mut all: BTreeMap<Key<'a>, Vec<&'a BillLine>> = BTreeMap::new();
    for file in files {
        let mut own: BTreeMap<Key<'a>, Vec<&'a BillLine>> = BTreeMap::new();
        for line in file.lines {
            own.entry((file.channel, line.kind, line.name())).or_default().push(line);
        }
        for (key, lines) in own {
            let known = all.entry(key).or_default();
            let mut earlier = known.clone();
            for line in lines {
                match earlier.iter().position(|other| *other == line) {
                    Some(same) => drop(earlier.swap_remove(same)),
                    None => known.push(line),
                }
            }
        }
    }
    for lines in all.values_mut() {
        lines.sort_by(|a, b| (a.at, &a.transaction_id, a.amount_fen).cmp(&(b.at, &b.transaction_id, b.amount_fen)));
    }
    all
}

/// Matches a day.
#[must_use]
pub fn match_funds(input: &FundsInput<'_>) -> FundsFound {
    let (lines, before, after) = (by_key(input.files), by_key(input.files_before), by_key(input.files_after));
    let movements: BTreeMap<Key<'_>, &Movement> = input.movements.iter().map(|one| (one.key(), one)).collect();
    let mut out = FundsFound::default();
    for file in input.files {
        out.channels.entry(file.channel.to_owned()).or_default().billed = true;
    }
    for (key, lines) in &lines {
        let seen_before = before.contains_key(key);
        one_name(*key, lines, movements.get(key).copied(), seen_before, &mut out);
    }
    let long_before = carried(input, ItemKind::Long);
    for movement in movements.values() {
        let key = movement.key();
        let told = lines.contains_key(&key) || before.contains_key(&key) || after.contains_key(&key);
        one_movement(movement, told || long_before.contains_key(&key), &mut out);
    }
    for (key, item) in &long_before {
        if let Some(movement) = movements.get(key).filter(|movement| movement.done) {
            long_credited(item, movement, &mut out);
        }
    }
    for (key, item) in carried(input, ItemKind::Short) {
        if lines.contains_key(&key) {
            out.matched.insert(item.item_id.clone());
        }
    }
    out
}

/// Earlier items of one kind by what they are about.
fn carried<'a>(input: &FundsInput<'a>, kind: ItemKind) -> BTreeMap<Key<'a>, &'a Item> {
    let of_kind = input.carried.iter().copied().filter(|item| item.kind == kind);
    of_kind.filter_map(|item| Some((key_of(&item.about)?, item))).collect()
}

fn key_of(about: &About) -> Option<Key<'_>> {
    let line = about.line?;
    let payment_no = about.payment_no.as_deref()?;
    let name = match line {
        LineKind::Pay => payment_no,
        LineKind::Refund => about.refund_no.as_deref().unwrap_or(payment_no),
    };
    Some((about.channel.as_deref()?, line, name))
}

/// The lines of one payment or refund against what the hub has of it.
fn one_name(key: Key<'_>, lines: &[&BillLine], movement: Option<&Movement>, seen_before: bool, out: &mut FundsFound) {
    let (channel, kind, name) = key;
    let sums = out.channels.entry(channel.to_owned()).or_default();
    for line in lines {
        let sum = match kind {
            LineKind::Pay => &mut sums.lines_paid,
            LineKind::Refund => &mut sums.lines_refunded,
        };
        sum.add(line.amount_fen);
    }
    let known = movement.and_then(|movement| movement.transaction_id.as_deref());
    let as_known = lines.iter().position(|line| known.is_some_and(|known| line.transaction_id == known));
    // The line of the day before was the first one already.
    let first = if seen_before { None } else { Some(as_known.unwrap_or(0)) };
    let mut of_transaction: BTreeMap<&str, u32> = BTreeMap::new();
    for (index, line) in lines.iter().enumerate() {
        let about = about_line(channel, line, movement);
        let nth = of_transaction.entry(&line.transaction_id).or_default();
        *nth = nth.saturating_add(1);
        if first == Some(index) {
            only_line(line, movement, about, name, out);
        } else {
            let key = format!("{}:{name}:{}:{nth}", kind.as_str(), line.transaction_id);
            out.findings.push(Finding { kind: ItemKind::Duplicate, key, about });
        }
    }
}

fn about_line(channel: &str, line: &BillLine, movement: Option<&Movement>) -> About {
    let known = movement.map(Movement::about).unwrap_or_default();
    About {
        channel: Some(channel.to_owned()),
        line: Some(line.kind),
        payment_no: some(&line.payment_no),
        refund_no: some(&line.refund_no),
        transaction_id: some(&line.transaction_id),
        channel_fen: Some(line.amount_fen),
        ..known
    }
}

fn only_line(line: &BillLine, movement: Option<&Movement>, about: About, name: &str, out: &mut FundsFound) {
    let key = format!("{}:{name}", line.kind.as_str());
    let Some(movement) = movement.filter(|movement| movement.done) else {
        out.findings.push(Finding { kind: ItemKind::Long, key, about });
        return;
    };
    let other_name = movement.transaction_id.as_deref().is_some_and(|known| known != line.transaction_id);
    let kind = if line.amount_fen != movement.amount {
        ItemKind::AmountDiff
    } else if other_name && !line.transaction_id.is_empty() {
        ItemKind::TransactionDiff
    } else {
        if movement.posted == Some(movement.amount) {
            let sums = out.channels.entry(movement.channel.clone()).or_default();
            match line.kind {
                LineKind::Pay => sums.matched_paid.add(line.amount_fen),
                LineKind::Refund => sums.matched_refunded.add(line.amount_fen),
            }
        }
        return;
    };
    out.findings.push(Finding { kind, key, about });
}

/// What the hub did against the books, and against what the channel should have told.
fn one_movement(movement: &Movement, told: bool, out: &mut FundsFound) {
    let key = || format!("{}:{}", movement.kind.as_str(), movement.name());
    let wrong = if movement.done {
        // One of another day is that day's.
        movement.in_day && movement.posted != Some(movement.amount)
    } else {
        movement.posted.is_some()
    };
    if wrong {
        out.findings.push(Finding { kind: ItemKind::LedgerDiff, key: key(), about: movement.about() });
    }
    if !(movement.in_day && movement.done) {
        return;
    }
    let sums = out.channels.entry(movement.channel.clone()).or_default();
    match movement.kind {
        LineKind::Pay => sums.hub_paid.add(movement.amount),
        LineKind::Refund => sums.hub_refunded.add(movement.amount),
    }
    if sums.billed && !told {
        out.findings.push(Finding { kind: ItemKind::Short, key: key(), about: movement.about() });
    }
}

/// A line of an earlier day whose payment was credited since.
fn long_credited(item: &Item, movement: &Movement, out: &mut FundsFound) {
    out.matched.insert(item.item_id.clone());
    if item.about.channel_fen != Some(movement.amount) && movement.in_day {
        let key = format!("{}:{}", movement.kind.as_str(), movement.name());
        let about = About { channel_fen: item.about.channel_fen, ..movement.about() };
        out.findings.push(Finding { kind: ItemKind::AmountDiff, key, about });
    }
}
