//! Every transition of an order: one exhaustive match per status, no event left to chance.

use domain::{Fen, StopReason, Timestamp};

use super::{HistoryRow, Order, OrderEvent as E, OrderStatus, Outcome};

impl Order {
    /// Applies an event. What is illegal or repeated changes nothing and is told by the row.
    pub fn apply(&mut self, event: &E, now: Timestamp) -> HistoryRow {
        let from = self.status;
        let outcome = match self.next_status(event) {
            Some(to) => {
                self.status = to;
                self.take(event, now);
                self.rev = self.rev.saturating_add(1);
                Outcome::Applied
            }
            None => Outcome::Ignored,
        };
        HistoryRow { at: now, from, to: self.status, event: event.to_string(), outcome }
    }

    /// Whether the event would change the order.
    #[must_use]
    pub fn accepts(&self, event: &E) -> bool {
        self.next_status(event).is_some()
    }

    /// Where the event leads; `None` when it is illegal or repeated.
    fn next_status(&self, event: &E) -> Option<OrderStatus> {
        match self.status {
            OrderStatus::Placed => placed(event),
            OrderStatus::Starting => starting(event),
            OrderStatus::Charging => self.charging(event),
            OrderStatus::Stopping => self.stopping(event),
            OrderStatus::Settling => self.settling(event),
            OrderStatus::Held => self.held(event),
            OrderStatus::Closed | OrderStatus::ExceptionClosed => self.closed(event),
            OrderStatus::StartFailed | OrderStatus::Canceled => self.never_started(event),
        }
    }

    fn charging(&self, event: &E) -> Option<OrderStatus> {
        match event {
            E::StopAsked { .. } if self.stop_pending => None,
            E::StopAsked { pile_online: true, .. } => Some(OrderStatus::Stopping),
            E::StopAsked { pile_online: false, .. } => Some(OrderStatus::Charging),
            E::StopAccepted => self.stop_pending.then_some(OrderStatus::Stopping),
            E::FaultReported { .. } => Some(OrderStatus::Stopping),
            E::RecordReceived { .. } | E::ProvisionalEnded { .. } => Some(OrderStatus::Settling),
            E::Frozen { .. }
            | E::EvidenceSeen { .. }
            | E::StartRejected { .. }
            | E::StartDeadlinePassed
            | E::StopUnanswered
            | E::HeldForReview { .. }
            | E::Approved { .. }
            | E::Rejected { .. }
            | E::Captured { .. }
            | E::CorrectionMade { .. }
            | E::GhostSeen { .. }
            | E::GhostSettled { .. }
            | E::Repaid { .. }
            | E::WrittenOff { .. }
            | E::Refunded { .. } => None,
        }
    }

    fn stopping(&self, event: &E) -> Option<OrderStatus> {
        match event {
            // After a fault nobody waits for the answer to a stop command, only for the record.
            E::StopUnanswered => (!self.fault_reported()).then_some(OrderStatus::Charging),
            E::FaultReported { .. } => (!self.fault_reported()).then_some(OrderStatus::Stopping),
            E::RecordReceived { .. } | E::ProvisionalEnded { .. } => Some(OrderStatus::Settling),
            E::Frozen { .. }
            | E::EvidenceSeen { .. }
            | E::StartRejected { .. }
            | E::StartDeadlinePassed
            | E::StopAsked { .. }
            | E::StopAccepted
            | E::HeldForReview { .. }
            | E::Approved { .. }
            | E::Rejected { .. }
            | E::Captured { .. }
            | E::CorrectionMade { .. }
            | E::GhostSeen { .. }
            | E::GhostSettled { .. }
            | E::Repaid { .. }
            | E::WrittenOff { .. }
            | E::Refunded { .. } => None,
        }
    }

    fn settling(&self, event: &E) -> Option<OrderStatus> {
        match event {
            E::HeldForReview { .. } => self.review.is_none().then_some(OrderStatus::Held),
            E::Captured { .. } => Some(self.closing_status()),
            E::Frozen { .. }
            | E::EvidenceSeen { .. }
            | E::StartRejected { .. }
            | E::StartDeadlinePassed
            | E::StopAsked { .. }
            | E::StopAccepted
            | E::StopUnanswered
            | E::FaultReported { .. }
            | E::RecordReceived { .. }
            | E::ProvisionalEnded { .. }
            | E::Approved { .. }
            | E::Rejected { .. }
            | E::CorrectionMade { .. }
            | E::GhostSeen { .. }
            | E::GhostSettled { .. }
            | E::Repaid { .. }
            | E::WrittenOff { .. }
            | E::Refunded { .. } => None,
        }
    }

    fn held(&self, event: &E) -> Option<OrderStatus> {
        match event {
            E::Approved { .. } => Some(OrderStatus::Settling),
            E::Rejected { .. } => Some(OrderStatus::ExceptionClosed),
            E::CorrectionMade { .. } => self.provisional.then_some(OrderStatus::Held),
            E::Frozen { .. }
            | E::EvidenceSeen { .. }
            | E::StartRejected { .. }
            | E::StartDeadlinePassed
            | E::StopAsked { .. }
            | E::StopAccepted
            | E::StopUnanswered
            | E::FaultReported { .. }
            | E::RecordReceived { .. }
            | E::ProvisionalEnded { .. }
            | E::HeldForReview { .. }
            | E::Captured { .. }
            | E::GhostSeen { .. }
            | E::GhostSettled { .. }
            | E::Repaid { .. }
            | E::WrittenOff { .. }
            | E::Refunded { .. } => None,
        }
    }

    fn closed(&self, event: &E) -> Option<OrderStatus> {
        match event {
            E::CorrectionMade { .. } => self.provisional.then_some(self.status),
            E::Repaid { amount } | E::WrittenOff { amount } => {
                (1..=self.debt_fen.0).contains(&amount.0).then_some(self.status)
            }
            E::Refunded { amount } => (1..=self.refundable().0).contains(&amount.0).then_some(self.status),
            E::Frozen { .. }
            | E::EvidenceSeen { .. }
            | E::StartRejected { .. }
            | E::StartDeadlinePassed
            | E::StopAsked { .. }
            | E::StopAccepted
            | E::StopUnanswered
            | E::FaultReported { .. }
            | E::RecordReceived { .. }
            | E::ProvisionalEnded { .. }
            | E::HeldForReview { .. }
            | E::Approved { .. }
            | E::Rejected { .. }
            | E::Captured { .. }
            | E::GhostSeen { .. }
            | E::GhostSettled { .. } => None,
        }
    }

    fn never_started(&self, event: &E) -> Option<OrderStatus> {
        match event {
            E::GhostSeen { .. } => self.ghost.is_none().then_some(self.status),
            E::GhostSettled { .. } => {
                let settled = self.ghost.as_ref().is_some_and(|ghost| ghost.bill.is_some());
                (!settled).then_some(self.status)
            }
            E::Frozen { .. }
            | E::EvidenceSeen { .. }
            | E::StartRejected { .. }
            | E::StartDeadlinePassed
            | E::StopAsked { .. }
            | E::StopAccepted
            | E::StopUnanswered
            | E::FaultReported { .. }
            | E::RecordReceived { .. }
            | E::ProvisionalEnded { .. }
            | E::HeldForReview { .. }
            | E::Approved { .. }
            | E::Rejected { .. }
            | E::Captured { .. }
            | E::CorrectionMade { .. }
            | E::Repaid { .. }
            | E::WrittenOff { .. }
            | E::Refunded { .. } => None,
        }
    }

    /// What of the payments has not been given back yet.
    #[must_use]
    pub fn refundable(&self) -> Fen {
        // A correction may have lowered what was paid below what was given back before.
        self.paid_fen.checked_sub(self.refunded_fen).unwrap_or_default().max(Fen::ZERO)
    }

    fn closing_status(&self) -> OrderStatus {
        if self.provisional || self.stop_reason.is_some_and(StopReason::is_exception) {
            OrderStatus::ExceptionClosed
        } else {
            OrderStatus::Closed
        }
    }

    /// Whether the charger has reported a fault of this charge.
    pub(super) fn fault_reported(&self) -> bool {
        self.stop_reason == Some(StopReason::Fault)
    }
}

const fn placed(event: &E) -> Option<OrderStatus> {
    match event {
        E::Frozen { .. } => Some(OrderStatus::Starting),
        E::StopAsked { .. } => Some(OrderStatus::Canceled),
        E::EvidenceSeen { .. }
        | E::StartRejected { .. }
        | E::StartDeadlinePassed
        | E::StopAccepted
        | E::StopUnanswered
        | E::FaultReported { .. }
        | E::RecordReceived { .. }
        | E::ProvisionalEnded { .. }
        | E::HeldForReview { .. }
        | E::Approved { .. }
        | E::Rejected { .. }
        | E::Captured { .. }
        | E::CorrectionMade { .. }
        | E::GhostSeen { .. }
        | E::GhostSettled { .. }
        | E::Repaid { .. }
        | E::WrittenOff { .. }
        | E::Refunded { .. } => None,
    }
}

const fn starting(event: &E) -> Option<OrderStatus> {
    match event {
        E::EvidenceSeen { .. } => Some(OrderStatus::Charging),
        E::StartRejected { .. } | E::StartDeadlinePassed => Some(OrderStatus::StartFailed),
        E::StopAsked { .. } => Some(OrderStatus::Canceled),
        E::RecordReceived { .. } => Some(OrderStatus::Settling),
        E::Frozen { .. }
        | E::StopAccepted
        | E::StopUnanswered
        | E::FaultReported { .. }
        | E::ProvisionalEnded { .. }
        | E::HeldForReview { .. }
        | E::Approved { .. }
        | E::Rejected { .. }
        | E::Captured { .. }
        | E::CorrectionMade { .. }
        | E::GhostSeen { .. }
        | E::GhostSettled { .. }
        | E::Repaid { .. }
        | E::WrittenOff { .. }
        | E::Refunded { .. } => None,
    }
}
