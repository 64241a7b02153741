//! What a reconciliation found, and what became of it.
//!
//! ```text
//!            found again, figures as they are now
//!                 ┌──┐
//!                 ▼  │     not found any more, or matched by another day's line
//!   (found) ───▶ OPEN ─────────────────────────────▶ MATCHED
//!                 │   ◀─────────────────────────────
//!                 │       found again (not when another day matched it)
//!                 └──▶ RESOLVED   a person, with a reason; stays whatever is found later
//!   (found) ───▶ NOTED            nothing is known to be wrong; blocks nothing
//! ```

use domain::{ConnectorId, Fen, OrderNo, PileCode, Timestamp, UserId, WattHours};
use serde::{Deserialize, Serialize};

use super::{Day, LineKind};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$of])* #[serde(rename = $text)] $variant,)* }

        impl $name {
            /// Every one of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As the API says it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The one of this name.
            #[must_use]
            pub fn read(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == text)
            }
        }
    };
}

words! {
    /// Kinds of differences.
    ItemKind {
        /// 长款: the channel has it, the hub has not credited (or paid back) it.
        Long "LONG",
        /// 短款: the hub credited (or paid back) it, the channel's bill has no line.
        Short "SHORT",
        /// Both have it, with different sums.
        AmountDiff "AMOUNT_DIFF",
        /// Both have it, under different names of the channel.
        TransactionDiff "TRANSACTION_DIFF",
        /// The books do not say the same as the payment or refund.
        LedgerDiff "LEDGER_DIFF",
        /// A further line of one payment or refund.
        Duplicate "DUPLICATE",
        /// An order's energy against the pile's register.
        EnergyDiff "ENERGY_DIFF",
        /// All orders of a pile together against its registers, though each by itself was near enough.
        PileEnergyDiff "PILE_ENERGY_DIFF",
        /// The register went on between two orders: energy that nobody was billed for.
        MeterGap "METER_GAP",
        /// A register below zero, or one that went backwards.
        MeterBackwards "METER_BACKWARDS",
        /// Records of a pile without registers: their energy cannot be checked.
        MeterMissing "METER_MISSING",
    }
}

words! {
    /// Where an item is.
    ItemState {
        /// Somebody must look; blocks the close of its day.
        Open "OPEN",
        /// It went away by itself.
        Matched "MATCHED",
        /// A person decided.
        Resolved "RESOLVED",
        /// To be known, not to be decided.
        Noted "NOTED",
    }
}

words! {
    /// What a person decided about an item. It says what was done; it moves no money by itself.
    Verdict {
        /// Both sides are the same after all.
        Matched "MATCHED",
        /// The driver was credited by hand.
        Credited "CREDITED",
        /// The channel gave the money back to the payer.
        Returned "RETURNED",
        /// An adjustment or a correction put it right.
        Corrected "CORRECTED",
        /// The platform bears it.
        WrittenOff "WRITTEN_OFF",
        /// Looked at: nothing is wrong.
        Accepted "ACCEPTED",
    }
}

impl ItemKind {
    /// Whether somebody must decide before the day can be closed.
    #[must_use]
    pub const fn must_be_decided(self) -> bool {
        match self {
            Self::Long
            | Self::Short
            | Self::AmountDiff
            | Self::TransactionDiff
            | Self::LedgerDiff
            | Self::Duplicate
            | Self::EnergyDiff
            | Self::PileEnergyDiff
            | Self::MeterGap
            | Self::MeterBackwards => true,
            // A register is optional for chargers: a pile without one must not keep every day open.
            Self::MeterMissing => false,
        }
    }

    /// Whether it is about money, not energy.
    #[must_use]
    pub const fn is_of_funds(self) -> bool {
        match self {
            Self::Long
            | Self::Short
            | Self::AmountDiff
            | Self::TransactionDiff
            | Self::LedgerDiff
            | Self::Duplicate => true,
            Self::EnergyDiff | Self::PileEnergyDiff | Self::MeterGap | Self::MeterBackwards | Self::MeterMissing => {
                false
            }
        }
    }

    /// Whether the register of the pile that shows it is not to be trusted.
    #[must_use]
    pub const fn marks_the_pile(self) -> bool {
        match self {
            Self::EnergyDiff | Self::PileEnergyDiff => true,
            Self::Long
            | Self::Short
            | Self::AmountDiff
            | Self::TransactionDiff
            | Self::LedgerDiff
            | Self::Duplicate
            | Self::MeterGap
            | Self::MeterBackwards
            | Self::MeterMissing => false,
        }
    }
}

/// What an item is about: names to go on with (payment → operation → entry, order → record), and both sides of the
/// difference. What does not apply is left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct About {
    /// Through which channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Money in or money back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<LineKind>,
    /// The payment, by the hub's number (the channel's `out_trade_no`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment_no: Option<String>,
    /// The refund, by the hub's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refund_no: Option<String>,
    /// The channel's name for the payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
    /// The operation of the ledger.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub op: Option<String>,
    /// Whose account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The order; for a gap between two orders, the later one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_no: Option<OrderNo>,
    /// The order before a gap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub earlier_order_no: Option<OrderNo>,
    /// The pile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pile_code: Option<PileCode>,
    /// Its gun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector_id: Option<ConnectorId>,
    /// What the channel says, in fen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel_fen: Option<Fen>,
    /// What the hub says, in fen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hub_fen: Option<Fen>,
    /// What the books say, in fen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger_fen: Option<Fen>,
    /// What was billed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billed_wh: Option<WattHours>,
    /// What the register says was delivered; for a gap, what flowed between the orders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metered_wh: Option<WattHours>,
    /// The register before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meter_start: Option<WattHours>,
    /// The register after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meter_end: Option<WattHours>,
    /// How many orders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orders: Option<u32>,
}

/// A difference, before it is known whether it was there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which kind.
    pub kind: ItemKind,
    /// Names it among those of its kind and day.
    pub key: String,
    /// What it is about.
    pub about: About,
}

impl Finding {
    /// The name of its item: the same finding of the same day always has the same.
    #[must_use]
    pub fn id(&self, of_day: Day) -> String {
        let mut id = format!("{of_day}:{}:", self.kind.as_str());
        for byte in self.key.bytes() {
            // The name goes into addresses as it is.
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':') {
                id.push(char::from(byte));
            } else {
                id.push_str(&format!("~{byte:02x}"));
            }
        }
        id
    }
}

/// A difference, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// `{day it is about}:{kind}:{key}`.
    pub item_id: String,
    /// In whose books it stands.
    pub day: Day,
    /// The day it is about, when that one was closed before it turned up.
    pub of_day: Option<Day>,
    /// Which kind.
    pub kind: ItemKind,
    /// Where it is.
    pub state: ItemState,
    /// What it is about.
    #[serde(flatten)]
    pub about: About,
    /// When it was first found.
    pub found_at: Timestamp,
    /// The day whose line or payment matched it, when that was another one.
    pub matched_by: Option<Day>,
    /// What a person decided.
    pub decision: Option<Decision>,
    /// Counts the stored changes.
    pub rev: i64,
}

/// A person's word about an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// What.
    #[serde(rename = "as")]
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// Who.
    pub by: UserId,
    /// When.
    pub at: Timestamp,
}

/// Why an item cannot be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ItemRefusal {
    /// It is not open.
    #[error("the item is {}: only an open item can be resolved", .0.as_str())]
    NotOpen(ItemState),
}

impl Item {
    /// The item a finding becomes in the books of `day`.
    #[must_use]
    pub fn new(finding: &Finding, of_day: Day, day: Day, now: Timestamp) -> Self {
        Self {
            item_id: finding.id(of_day),
            day,
            of_day: (of_day != day).then_some(of_day),
            kind: finding.kind,
            state: if finding.kind.must_be_decided() { ItemState::Open } else { ItemState::Noted },
            about: finding.about.clone(),
            found_at: now,
            matched_by: None,
            decision: None,
            rev: 1,
        }
    }

    /// The day it is about.
    #[must_use]
    pub fn about_day(&self) -> Day {
        self.of_day.unwrap_or(self.day)
    }

    /// Whether somebody must look.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == ItemState::Open
    }

    /// The item as a person decided it.
    ///
    /// # Errors
    /// [`ItemRefusal::NotOpen`].
    pub fn resolve(&self, decision: Decision) -> Result<Self, ItemRefusal> {
        if !self.is_open() {
            return Err(ItemRefusal::NotOpen(self.state));
        }
        Ok(Self { state: ItemState::Resolved, decision: Some(decision), rev: next(self.rev), ..self.clone() })
    }
}

/// The next revision.
pub(super) const fn next(rev: i64) -> i64 {
    rev.saturating_add(1)
}
