//! What the lines of a receipt add up to.

use std::collections::{BTreeMap, BTreeSet};

use domain::Fen;

use super::{Line, Receipt};
use crate::ledger::{BookAccount, EntryKind};

const CAPTURE: &str = "capture";
const CORRECT: &str = "correct";

/// Sums over some lines, wide enough for any number of them.
#[derive(Debug, Default)]
pub(super) struct Totals(BTreeMap<BookAccount, i128>);

impl Totals {
    pub(super) fn of<'a>(lines: impl IntoIterator<Item = &'a Line>) -> Self {
        let mut sums: BTreeMap<BookAccount, i128> = BTreeMap::new();
        for line in lines {
            let fen = i128::from(line.fen.0);
            let mut add = |account, fen: i128| {
                let sum = sums.entry(account).or_default();
                *sum = sum.saturating_add(fen);
            };
            add(line.credit, fen);
            add(line.debit, fen.saturating_neg());
        }
        Self(sums)
    }

    /// Credits less debits: what came to an account.
    pub(super) fn credited(&self, account: BookAccount) -> i128 {
        self.0.get(&account).copied().unwrap_or(0)
    }

    /// Debits less credits: what left an account.
    pub(super) fn debited(&self, account: BookAccount) -> i128 {
        self.credited(account).saturating_neg()
    }

    /// What the three kinds of fee earned: electricity, service, occupancy.
    pub(super) fn earned(&self) -> [i128; 3] {
        [BookAccount::EnergyRevenue, BookAccount::ServiceRevenue, BookAccount::OccupancyRevenue]
            .map(|account| self.credited(account))
    }
}

/// What is wrong with the sums of a receipt's lines, in words; nothing when they are those of the order.
pub(super) fn faults(receipt: &Receipt) -> Vec<String> {
    let mut faults = lines(receipt);
    let sums = &receipt.sums;
    // What was given back afterwards is no part of the bill, nor is a charge that the platform pays for.
    let beside = [EntryKind::AfterSalesRefund, EntryKind::PlatformLoss];
    let of_bill = Totals::of(receipt.entries.iter().filter(|line| !beside.contains(&line.kind)));
    let total = |kind: EntryKind| {
        let lines = receipt.entries.iter().filter(|line| line.kind == kind);
        lines.fold(0_i128, |sum, line| sum.saturating_add(line.fen.0.into()))
    };
    let from_driver =
        of_bill.debited(BookAccount::DriverAvailable).saturating_add(of_bill.debited(BookAccount::DriverFrozen));
    let still_frozen = if receipt.status.is_over() { 0 } else { i128::from(sums.frozen_fen.0) };
    for (what, said, found) in [
        ("frozenFen", sums.frozen_fen.0.into(), total(EntryKind::Freeze)),
        ("releasedFen", sums.released_fen.0.into(), total(EntryKind::Release)),
        ("paidFen", sums.paid_fen.0.into(), from_driver),
        ("debtFen", sums.debt_fen.0.into(), of_bill.debited(BookAccount::Receivable)),
        ("refundedFen", sums.refunded_fen.0.into(), total(EntryKind::AfterSalesRefund)),
        ("writtenOffFen", sums.written_off_fen.0.into(), total(EntryKind::WriteOff)),
        ("what is still set aside", still_frozen, of_bill.credited(BookAccount::DriverFrozen)),
    ] {
        if said != found {
            faults.push(format!("{what} is {said} fen, the lines make {found}"));
        }
    }
    faults.extend(bill(receipt, &of_bill));
    faults
}

/// Every line moves something from one account to another, once.
fn lines(receipt: &Receipt) -> Vec<String> {
    let mut faults = Vec::new();
    let mut last = 0;
    let mut ended: BTreeSet<&str> = BTreeSet::new();
    for operation in receipt.entries.chunk_by(|a, b| a.op == b.op) {
        for line in operation {
            if line.fen.0 <= 0 || line.debit == line.credit {
                faults.push(format!("line {} moves nothing: {} fen", line.seq, line.fen.0));
            }
            if line.seq <= last {
                faults.push(format!("line {} stands after line {last}", line.seq));
            }
            last = line.seq;
        }
        let name = operation.first().map_or("", |line| line.op.as_str());
        if !is_of(receipt, name) {
            faults.push(format!("{name} is no operation of order {}", receipt.order_no));
        }
        if !ended.insert(name) {
            faults.push(format!("{name} was done twice"));
        }
    }
    faults
}

/// Whether an operation of this name may stand in the receipt: those that name an order name this one.
fn is_of(receipt: &Receipt, op: &str) -> bool {
    let (kind, of) = op.split_once(':').unwrap_or((op, ""));
    let no = receipt.order_no.as_str();
    match kind {
        "hold" | "void" | CAPTURE | CORRECT | "ghost" => of == no,
        "repay" => of.split_once(':').is_some_and(|(order, _)| order == no),
        "refund" | "writeoff" => !of.is_empty(),
        _ => false,
    }
}

/// The bill is earned, once, and is paid, owed or given up; or nothing of it was taken.
fn bill(receipt: &Receipt, lines: &Totals) -> Vec<String> {
    let sums = &receipt.sums;
    let accounted = [sums.paid_fen, sums.debt_fen, sums.written_off_fen]
        .iter()
        .fold(0_i128, |sum, part| sum.saturating_add(part.0.into()));
    let of = |kind: &'static str| {
        receipt.entries.iter().filter(move |line| line.op.split_once(':').is_some_and(|(of, _)| of == kind))
    };
    let captured = of(CAPTURE).next().is_some();
    let billed = receipt.bill.as_ref().filter(|_| captured || accounted != 0);
    let fees = billed.map_or([0; 3], |bill| {
        [bill.electricity_fen, bill.service_fen, bill.occupancy_fen].map(|fee| i128::from(fee.0))
    });
    let mut faults = Vec::new();
    let earned = lines.earned();
    if earned != fees {
        faults
            .push(format!("electricity, service and occupancy are billed as {fees:?} fen, the lines earn {earned:?}"));
    }
    let corrected = Totals::of(of(CORRECT)).earned();
    let differences = receipt.corrections.iter().fold([0_i128; 3], |[electricity, service, occupancy], one| {
        let plus = |sum: i128, fee: Fen| sum.saturating_add(fee.0.into());
        [plus(electricity, one.electricity_fen), plus(service, one.service_fen), occupancy]
    });
    if of(CORRECT).next().is_some() && corrected != differences {
        faults.push(format!("the corrections say {differences:?} fen, their lines make {corrected:?}"));
    }
    let total = fees.iter().fold(0_i128, |sum, fee| sum.saturating_add(*fee));
    if accounted != total {
        faults.push(format!("paid, owed and given up make {accounted} fen of a bill of {total}"));
    }
    faults
}
