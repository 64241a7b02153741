//! What may happen to an order.

use std::fmt;

use domain::{Fen, SocTenths, StopReason, Timestamp, UserId, WattHours, wire::Finished};

use crate::pricing::Bill;

/// What happened to an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderEvent {
    /// The money was set aside.
    Frozen {
        /// How much.
        amount: Fen,
    },
    /// The charger showed that current flows: an accepted start, or the first status frame.
    EvidenceSeen {
        /// The hub's time of it.
        at: Timestamp,
        /// Battery at the start, if known.
        start_soc: Option<SocTenths>,
    },
    /// The charger refused to start.
    StartRejected {
        /// The charger's code.
        code: Option<String>,
    },
    /// No evidence came in time.
    StartDeadlinePassed,
    /// Somebody asked for a stop.
    StopAsked {
        /// Who.
        by: StopBy,
        /// Whether the pile can be told at once.
        pile_online: bool,
    },
    /// The charger took the stop command that had waited for it.
    StopAccepted,
    /// The charger did not answer the stop command.
    StopUnanswered,
    /// The charger reported a fault.
    FaultReported {
        /// The charger's code.
        code: Option<String>,
    },
    /// The charger's record came and was priced.
    RecordReceived {
        /// What the record says beside the energy.
        facts: RecordFacts,
        /// Its price.
        bill: Box<Bill>,
    },
    /// The order is settled without the charger's record.
    ProvisionalEnded {
        /// Why.
        cause: ProvisionalCause,
        /// Priced from the last reading.
        bill: Box<Bill>,
    },
    /// The bill is over the risk threshold, or suspect.
    HeldForReview {
        /// The rule that says so.
        reason: String,
    },
    /// A person approved the held bill.
    Approved {
        /// Who.
        by: UserId,
    },
    /// A person rejected the held bill; the hold was released.
    Rejected {
        /// Who; `None` when the order is resumed after a crash and only the released hold is known.
        by: Option<UserId>,
    },
    /// The money was moved.
    Captured {
        /// Taken.
        paid: Fen,
        /// Given back.
        released: Fen,
        /// Still owed.
        debt: Fen,
    },
    /// The record of a provisionally settled order came.
    CorrectionMade {
        /// What the record says beside the energy.
        facts: RecordFacts,
        /// The corrected sums.
        bill: Box<Bill>,
        /// Signed change of what was paid.
        paid: Fen,
        /// Signed change of what is owed.
        debt: Fen,
    },
    /// Evidence came after the start had failed or was canceled.
    GhostSeen {
        /// The hub's time of it.
        at: Timestamp,
    },
    /// What the ghost charge cost is known.
    GhostSettled {
        /// Its price; the platform's loss.
        bill: Box<Bill>,
    },
    /// Part of the debt was paid.
    Repaid {
        /// How much.
        amount: Fen,
    },
    /// Part of the debt was given up.
    WrittenOff {
        /// How much.
        amount: Fen,
    },
    /// Part of what was paid was given back.
    Refunded {
        /// How much.
        amount: Fen,
    },
}

/// Who asked for a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StopBy {
    /// The driver.
    Driver,
    /// Staff.
    Operator,
    /// The hub: a limit of the order was reached.
    Limit,
    /// The hub: an order that was never fully placed.
    Hub,
}

/// Why an order is settled without a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProvisionalCause {
    /// A fault was reported and no record followed in time.
    Fault,
    /// No frame of any kind came for the grace time.
    Silence,
}

/// What the charger's record says beside energy and times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordFacts {
    /// Why it ended.
    pub stop_reason: StopReason,
    /// Code of the fault that ended it.
    pub fault_code: Option<String>,
    /// Battery at the start.
    pub start_soc: Option<SocTenths>,
    /// Battery at the end.
    pub end_soc: Option<SocTenths>,
    /// The pile's energy register at the start.
    pub meter_start: Option<WattHours>,
    /// The pile's energy register at the end.
    pub meter_end: Option<WattHours>,
}

impl From<&Finished> for RecordFacts {
    fn from(record: &Finished) -> Self {
        Self {
            stop_reason: record.stop_reason,
            fault_code: record.fault_code.clone(),
            start_soc: record.start_soc,
            end_soc: record.end_soc,
            meter_start: record.meter_start,
            meter_end: record.meter_end,
        }
    }
}

impl StopBy {
    /// What the stop command tells the charger.
    #[must_use]
    pub const fn reason(self) -> StopReason {
        match self {
            Self::Driver => StopReason::User,
            Self::Operator => StopReason::Operator,
            Self::Limit => StopReason::LimitReached,
            Self::Hub => StopReason::Other,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Driver => "DRIVER",
            Self::Operator => "OPERATOR",
            Self::Limit => "LIMIT",
            Self::Hub => "HUB",
        }
    }
}

impl fmt::Display for OrderEvent {
    /// The event as an order's history shows it: its name in UPPER_SNAKE and what matters of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = |code: &Option<String>| code.clone().unwrap_or_else(|| "none".to_owned());
        match self {
            Self::Frozen { amount } => write!(f, "FROZEN fen={}", amount.0),
            Self::EvidenceSeen { at, .. } => write!(f, "EVIDENCE_SEEN at={at}"),
            Self::StartRejected { code: why } => write!(f, "START_REJECTED code={}", code(why)),
            Self::StartDeadlinePassed => write!(f, "START_DEADLINE_PASSED"),
            Self::StopAsked { by, pile_online } => write!(f, "STOP_ASKED by={} online={pile_online}", by.word()),
            Self::StopAccepted => write!(f, "STOP_ACCEPTED"),
            Self::StopUnanswered => write!(f, "STOP_UNANSWERED"),
            Self::FaultReported { code: why } => write!(f, "FAULT_REPORTED code={}", code(why)),
            Self::RecordReceived { facts, bill } => {
                let (reason, wh, fen) = (facts.stop_reason.code(), bill.energy_wh.0, bill.total_fen.0);
                write!(f, "RECORD_RECEIVED stopReason={reason} wh={wh} fen={fen}")
            }
            Self::ProvisionalEnded { cause, bill } => {
                let (cause, wh, fen) = (cause.word(), bill.energy_wh.0, bill.total_fen.0);
                write!(f, "PROVISIONAL_ENDED cause={cause} wh={wh} fen={fen}")
            }
            Self::HeldForReview { reason } => write!(f, "HELD_FOR_REVIEW reason={reason}"),
            Self::Approved { by } => write!(f, "APPROVED by={by}"),
            Self::Rejected { by: Some(by) } => write!(f, "REJECTED by={by}"),
            Self::Rejected { by: None } => write!(f, "REJECTED"),
            Self::Captured { paid, released, debt } => {
                write!(f, "CAPTURED paid={} released={} debt={}", paid.0, released.0, debt.0)
            }
            Self::CorrectionMade { bill, paid, debt, .. } => {
                let (wh, fen) = (bill.energy_wh.0, bill.total_fen.0);
                write!(f, "CORRECTION_MADE wh={wh} fen={fen} paid={:+} debt={:+}", paid.0, debt.0)
            }
            Self::GhostSeen { at } => write!(f, "GHOST_SEEN at={at}"),
            Self::GhostSettled { bill } => write!(f, "GHOST_SETTLED wh={} fen={}", bill.energy_wh.0, bill.total_fen.0),
            Self::Repaid { amount } => write!(f, "REPAID fen={}", amount.0),
            Self::WrittenOff { amount } => write!(f, "WRITTEN_OFF fen={}", amount.0),
            Self::Refunded { amount } => write!(f, "REFUNDED fen={}", amount.0),
        }
    }
}

impl ProvisionalCause {
    const fn word(self) -> &'static str {
        match self {
            Self::Fault => "FAULT",
            Self::Silence => "SILENCE",
        }
    }
}
