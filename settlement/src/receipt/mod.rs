//! A receipt: everything somebody else needs to work the bill of one order out again, and to see where its money went.
//!
//! [`Receipt::of`] puts it together from stored facts, [`verify`] works it out again from its text alone: no store, no
//! clock, no network. The hash is over the canonical form ([`canonical()`]), so that spaces and the order of the fields do
//! not matter and nothing else can be changed. The hash is no signature: who wants to know that a receipt is the hub's
//! asks the hub for it again and compares the two hashes.

mod canonical;
mod money;
mod priced;
mod terms;
mod verify;

use domain::{ConnectorId, Fen, OrderNo, PileCode, StationId, StopReason, Timestamp, UserId, WattHours};
use serde::{Deserialize, Serialize};

use crate::{
    ledger::{BookAccount, Entry, EntryKind},
    order::{Correction, Order, OrderStatus, PayMode, PaymentStatus},
    pricing::{Bill, Reading, RecordTimes},
    tariff::Tariff,
};

pub use canonical::{NotCanonical, canonical, hash};
pub use priced::{Frame, Priced, PricedEnd};
pub use terms::{Terms, TermsPeriod, TermsPlan};
pub use verify::{Check, Verdict, verify};

/// The form of the receipts this release writes and reads.
pub const FORMAT: &str = "pilehub-receipt/1";

/// The version of the rule that bills are made by.
pub const RULE_VERSION: u32 = 1;

/// The rule in one sentence [CONTRACT 2.1].
pub const RULE: &str = "Between two readings energy is spread evenly over time, E(b) = E_i + floor((E_{i+1} - E_i) * \
    (b - t_i) / (t_{i+1} - t_i)) in Wh and ms at every boundary b of the tariff's half-open periods in the station's time \
    zone; each fee is (sum of Wh * price in 0.0001 yuan per kWh + 50000) div 100000 fen over all segments, rounded once, \
    half up.";

/// The receipt of one order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// [`FORMAT`].
    pub format: String,
    /// Which order.
    pub order_no: OrderNo,
    /// Who pays.
    pub user_id: UserId,
    /// Where.
    pub station_id: StationId,
    /// Where.
    pub pile_code: PileCode,
    /// Which gun.
    pub connector_id: ConnectorId,
    /// Where the order is in its life.
    pub status: OrderStatus,
    /// Where its money is.
    pub payment_status: PaymentStatus,
    /// How it is paid for.
    pub pay_mode: PayMode,
    /// Settled without the charger's record, which may still come.
    pub provisional: bool,
    /// Why the charge ended.
    pub stop_reason: Option<StopReason>,
    /// When the order was placed, by the hub's clock.
    pub created_at: Timestamp,
    /// The pile's energy register at the start, as its record says.
    pub meter_start_wh: Option<WattHours>,
    /// The pile's energy register at the end.
    pub meter_end_wh: Option<WattHours>,
    /// The prices in force when the order was created.
    pub tariff: Terms,
    /// How the bill is made.
    pub rule: Rule,
    /// The bill, corrections included; `None` before settlement.
    pub bill: Option<Bill>,
    /// Differences to the provisional bill.
    pub corrections: Vec<Correction>,
    /// Where the money of the bill is.
    pub sums: Sums,
    /// Every line of the books about this order, oldest first.
    pub entries: Vec<Line>,
    /// What was priced; `None` when it is no longer stored in full.
    pub readings: Option<Priced>,
    /// SHA-256 of the canonical form of all other fields, in hexadecimal.
    pub hash: String,
}

/// How a bill is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// [`RULE_VERSION`].
    pub version: u32,
    /// [`RULE`].
    pub text: String,
}

/// Where the money of an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sums {
    /// Set aside at the start.
    pub frozen_fen: Fen,
    /// Given back of what was set aside.
    pub released_fen: Fen,
    /// Taken, repayments included.
    pub paid_fen: Fen,
    /// Still owed.
    pub debt_fen: Fen,
    /// Given back afterwards of what was paid.
    pub refunded_fen: Fen,
    /// Given up of the debt.
    pub written_off_fen: Fen,
}

/// A line of the books: `fen` leave nothing out, they are debited to one account and credited to the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// Its number among the lines of the driver's account.
    pub seq: i64,
    /// The operation it belongs to.
    pub op: String,
    /// Account debited.
    pub debit: BookAccount,
    /// Account credited.
    pub credit: BookAccount,
    /// Always positive.
    pub fen: Fen,
    /// Why.
    pub kind: EntryKind,
    /// When.
    pub at: Timestamp,
}

/// What a receipt is made from, as stored.
#[derive(Debug, Clone, Copy)]
pub struct ReceiptFacts<'a> {
    /// The order.
    pub order: &'a Order,
    /// Its tariff version.
    pub tariff: &'a Tariff,
    /// Lines of the driver's account, oldest first; those of other orders are left out.
    pub entries: &'a [Entry],
    /// The times of the record that stands, if one came.
    pub record: Option<RecordTimes>,
    /// The status frames that were there when the order was settled, in the order received; `None` when they are not
    /// known.
    pub readings: Option<&'a [Reading]>,
}

impl Receipt {
    /// The receipt of an order as it stands.
    #[must_use]
    pub fn of(facts: &ReceiptFacts<'_>) -> Self {
        let order = facts.order;
        let about = |entry: &&Entry| entry.order_no.as_ref() == Some(&order.order_no);
        let mut receipt = Self {
            format: FORMAT.to_owned(),
            order_no: order.order_no.clone(),
            user_id: order.user_id.clone(),
            station_id: order.station_id.clone(),
            pile_code: order.pile_code.clone(),
            connector_id: order.connector_id,
            status: order.status,
            payment_status: order.payment_status,
            pay_mode: order.pay_mode,
            provisional: order.provisional,
            stop_reason: order.stop_reason,
            created_at: order.created_at,
            meter_start_wh: order.meter_start,
            meter_end_wh: order.meter_end,
            tariff: Terms::of(facts.tariff),
            rule: Rule { version: RULE_VERSION, text: RULE.to_owned() },
            bill: order.bill.clone(),
            corrections: order.corrections.clone(),
            sums: Sums {
                frozen_fen: order.frozen_fen,
                released_fen: order.released_fen,
                paid_fen: order.paid_fen,
                debt_fen: order.debt_fen,
                refunded_fen: order.refunded_fen,
                written_off_fen: order.written_off_fen,
            },
            entries: facts.entries.iter().filter(about).map(Line::of).collect(),
            readings: Priced::of(facts),
            hash: String::new(),
        };
        receipt.hash = hash(&receipt).unwrap_or_default();
        receipt
    }
}

impl Line {
    fn of(entry: &Entry) -> Self {
        Self {
            seq: entry.seq,
            op: entry.op.clone(),
            debit: entry.debit,
            credit: entry.credit,
            fen: entry.amount,
            kind: entry.kind,
            at: entry.at,
        }
    }
}
