//! What reconciliation keeps, as cases of the store. Knows the forms, not the rules.

use domain::{PileCode, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use settlement::reconcile::{BillLine, Day, DayBook, Item, Register, Registers};
use store::cases::{CaseKind, Filed};

use crate::limits::RECON_BACK_DAYS;

const DAY_MS: i64 = 86_400_000;

/// The first instant of a day in UTC: sorts cases of days.
fn begin(day: Day) -> Timestamp {
    day.window("UTC").map_or(Timestamp::EPOCH, |(from, _)| from)
}

/// The books of a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct KeptDay(pub(crate) DayBook);

impl Filed for KeptDay {
    const KIND: CaseKind = CaseKind::ReconDay;

    fn id(&self) -> String {
        self.0.day.to_string()
    }

    fn rev(&self) -> i64 {
        self.0.rev
    }

    fn state(&self) -> String {
        (if self.0.is_closed() { "CLOSED" } else { "OPEN" }).to_owned()
    }

    fn is_open(&self) -> bool {
        !self.0.is_closed()
    }

    fn about(&self) -> String {
        self.0.day.to_string()
    }

    fn at(&self) -> Timestamp {
        begin(self.0.day)
    }
}

/// An item, about the day in whose books it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct KeptItem(pub(crate) Item);

impl Filed for KeptItem {
    const KIND: CaseKind = CaseKind::ReconItem;

    fn id(&self) -> String {
        self.0.item_id.clone()
    }

    fn rev(&self) -> i64 {
        self.0.rev
    }

    fn state(&self) -> String {
        self.0.state.as_str().to_owned()
    }

    fn is_open(&self) -> bool {
        self.0.is_open()
    }

    fn about(&self) -> String {
        self.0.day.to_string()
    }

    fn at(&self) -> Timestamp {
        self.0.found_at
    }
}

/// A channel's bill of a day, as it was read. Never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeptBill {
    /// SHA-256 of day, channel and content.
    pub(crate) bill_id: String,
    pub(crate) day: Day,
    pub(crate) channel: String,
    /// Who gave it.
    pub(crate) by: UserId,
    pub(crate) at: Timestamp,
    pub(crate) lines: Vec<BillLine>,
}

impl Filed for KeptBill {
    const KIND: CaseKind = CaseKind::ChannelBill;

    fn id(&self) -> String {
        self.bill_id.clone()
    }

    fn rev(&self) -> i64 {
        1
    }

    fn state(&self) -> String {
        self.channel.to_ascii_uppercase()
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

/// Where the piles' registers were at the end of a day. A few days have a place each, which is used again: a fleet's
/// registers are large, and only the last days' are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeptRegisters {
    pub(crate) day: Day,
    pub(crate) rev: i64,
    registers: Vec<KeptRegister>,
}

/// One connector's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeptRegister {
    pile_code: PileCode,
    connector_id: domain::ConnectorId,
    #[serde(flatten)]
    register: Register,
}

impl KeptRegisters {
    pub(crate) fn new(day: Day, rev: i64, registers: &Registers) -> Self {
        let kept = |((pile, connector), register): (&(PileCode, domain::ConnectorId), &Register)| KeptRegister {
            pile_code: pile.clone(),
            connector_id: *connector,
            register: register.clone(),
        };
        Self { day, rev, registers: registers.iter().map(kept).collect() }
    }

    /// The place of a day.
    pub(crate) fn name(day: Day) -> String {
        let number = begin(day).as_millis().div_euclid(DAY_MS);
        format!("registers:{}", number.rem_euclid(RECON_BACK_DAYS.saturating_add(1)))
    }

    pub(crate) fn registers(self) -> Registers {
        self.registers.into_iter().map(|one| ((one.pile_code, one.connector_id), one.register)).collect()
    }

    /// Whether both say the same, whatever their revisions.
    pub(crate) fn same(&self, other: &Self) -> bool {
        self.day == other.day && self.registers == other.registers
    }
}

impl Filed for KeptRegisters {
    const KIND: CaseKind = CaseKind::Progress;

    fn id(&self) -> String {
        Self::name(self.day)
    }

    fn rev(&self) -> i64 {
        self.rev
    }

    fn state(&self) -> String {
        "KEPT".to_owned()
    }

    fn is_open(&self) -> bool {
        false
    }

    fn about(&self) -> String {
        "reconciliation".to_owned()
    }

    fn at(&self) -> Timestamp {
        // That of its place, which never changes.
        Timestamp::EPOCH
    }
}

/// A pile whose meter and bills disagreed on a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PileMark {
    pub(crate) pile_code: PileCode,
    pub(crate) day: Day,
    /// Whether the difference is still there; one that went away does not count.
    pub(crate) stands: bool,
    pub(crate) at: Timestamp,
    pub(crate) rev: i64,
}

impl PileMark {
    pub(crate) fn name(pile: &PileCode, day: Day) -> String {
        format!("{pile}:{day}")
    }
}

impl Filed for PileMark {
    const KIND: CaseKind = CaseKind::PileMark;

    fn id(&self) -> String {
        Self::name(&self.pile_code, self.day)
    }

    fn rev(&self) -> i64 {
        self.rev
    }

    fn state(&self) -> String {
        (if self.stands { "MARKED" } else { "CLEARED" }).to_owned()
    }

    fn is_open(&self) -> bool {
        self.stands
    }

    fn about(&self) -> String {
        self.pile_code.to_string()
    }

    fn at(&self) -> Timestamp {
        self.at
    }
}
