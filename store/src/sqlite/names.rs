//! How enumerated values are spelt in typed columns: exactly as in JSON, so that both can be read side by side.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use settlement::{
    ledger::{BookAccount, EntryKind},
    order::{OrderStatus, Outcome, PaymentStatus},
};

use crate::{
    cases::CaseKind,
    money::{AlarmState, CommandState, PaymentState, Standing},
    registry::PileKind,
};

/// A value with a fixed spelling.
pub(super) trait Spelt: Copy + 'static {
    /// All values.
    const ALL: &'static [Self];
    /// Its spelling.
    fn text(self) -> &'static str;
}

/// A [`Spelt`] value as a column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name<T>(pub(super) T);

impl<T: Spelt> ToSql for Name<T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.0.text()))
    }
}

impl<T: Spelt> FromSql for Name<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let text = value.as_str()?;
        let found = T::ALL.iter().copied().find(|value| value.text() == text);
        found.map(Self).ok_or_else(|| FromSqlError::Other(format!("unknown value {text:?}").into()))
    }
}

macro_rules! spelt {
    ($($type:ident { $($variant:ident = $text:literal),+ $(,)? })+) => {
        $(impl Spelt for $type {
            const ALL: &'static [Self] = &[$(Self::$variant),+];
            fn text(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        })+

        #[cfg(test)]
        mod tests {
            use super::*;

            #[test]
            fn every_value_is_spelt_as_in_json() {
                $(for value in $type::ALL {
                    assert_eq!(serde_json::to_string(value).unwrap(), format!("\"{}\"", value.text()));
                })+
            }
        }
    };
}

spelt! {
    OrderStatus {
        Placed = "PLACED", Starting = "STARTING", Charging = "CHARGING", Stopping = "STOPPING",
        Settling = "SETTLING", Held = "HELD", Closed = "CLOSED", ExceptionClosed = "EXCEPTION_CLOSED",
        StartFailed = "START_FAILED", Canceled = "CANCELED",
    }
    PaymentStatus {
        None = "NONE", Frozen = "FROZEN", Paid = "PAID", Unpaid = "UNPAID",
        PartiallyRefunded = "PARTIALLY_REFUNDED", Refunded = "REFUNDED",
    }
    Outcome { Applied = "APPLIED", Ignored = "IGNORED" }
    BookAccount {
        DriverAvailable = "driver_available", DriverFrozen = "driver_frozen", Receivable = "receivable",
        EnergyRevenue = "energy_revenue", ServiceRevenue = "service_revenue",
        OccupancyRevenue = "occupancy_revenue", Channel = "channel", PlatformLoss = "platform_loss",
        Adjustment = "adjustment", RefundTransit = "refund_transit", Suspense = "suspense", Transfer = "transfer",
    }
    EntryKind {
        TopUp = "TOP_UP", Freeze = "FREEZE", Release = "RELEASE", Charge = "CHARGE", Debt = "DEBT",
        Repay = "REPAY", Correction = "CORRECTION", PlatformLoss = "PLATFORM_LOSS",
        AfterSalesRefund = "AFTER_SALES_REFUND", WriteOff = "WRITE_OFF", Withdrawal = "WITHDRAWAL",
        WithdrawalBack = "WITHDRAWAL_BACK", Suspense = "SUSPENSE", SuspenseResolved = "SUSPENSE_RESOLVED",
    }
    PaymentState { Pending = "PENDING", Success = "SUCCESS", Failed = "FAILED", Closed = "CLOSED" }
    CommandState {
        Queued = "QUEUED", Sent = "SENT", Acked = "ACKED", Rejected = "REJECTED", Timeout = "TIMEOUT",
    }
    AlarmState { Raised = "RAISED", Acked = "ACKED", Cleared = "CLEARED", Closed = "CLOSED" }
    CaseKind {
        Adjustment = "ADJUSTMENT", Refund = "REFUND", WriteOff = "WRITE_OFF", Suspense = "SUSPENSE",
        RiskDecision = "RISK_DECISION", ReconDay = "RECON_DAY", ReconItem = "RECON_ITEM",
        ChannelBill = "CHANNEL_BILL", AuditHead = "AUDIT_HEAD", PileMark = "PILE_MARK", Progress = "PROGRESS",
        Debt = "DEBT", Hold = "HOLD",
    }
    Standing { Stands = "STANDS", Conflicting = "CONFLICTING" }
    PileKind { Dc = "DC", Ac = "AC" }
}
