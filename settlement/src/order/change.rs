//! What an applied event changes in an order beside its status.

use domain::{Fen, StopReason, Timestamp, UserId, WattHours};

use super::{Correction, Ghost, Order, OrderEvent as E, OrderStatus, PaymentStatus, RecordFacts, Review, Verdict};
use crate::pricing::Bill;

impl Order {
    /// Writes down what `event` says; the status is the new one already.
    pub(super) fn take(&mut self, event: &E, now: Timestamp) {
        match event {
            E::Frozen { amount } => {
                self.frozen_fen = *amount;
                self.payment_status = PaymentStatus::Frozen;
            }
            E::EvidenceSeen { at, start_soc } => {
                self.started_at = Some(*at);
                self.start_soc = *start_soc;
            }
            E::StartRejected { .. } | E::StartDeadlinePassed => self.release_all(),
            E::StopAsked { .. } if self.status == OrderStatus::Canceled => self.release_all(),
            E::StopAsked { .. } => self.stop_pending = self.status == OrderStatus::Charging,
            E::StopAccepted => self.stop_pending = false,
            E::StopUnanswered => self.stop_pending = true,
            E::FaultReported { code } => {
                self.stop_pending = false;
                self.stop_reason = Some(StopReason::Fault);
                self.fault_code.clone_from(code);
            }
            E::RecordReceived { facts, bill } => {
                self.take_facts(facts);
                self.take_bill(bill);
            }
            E::ProvisionalEnded { bill, .. } => {
                self.provisional = true;
                self.take_bill(bill);
            }
            E::HeldForReview { reason } => self.hold_reason = Some(reason.clone()),
            E::Approved { by } => self.review = Some(review(Some(by.clone()), Verdict::Approved, now)),
            E::Rejected { by } => {
                self.review = Some(review(by.clone(), Verdict::Rejected, now));
                self.release_all();
            }
            E::Captured { paid, released, debt } => {
                self.paid_fen = *paid;
                self.released_fen = *released;
                self.debt_fen = *debt;
                self.payment_status = PaymentStatus::Paid;
                self.note_debt();
            }
            E::CorrectionMade { facts, bill, paid, debt } => self.correct(facts, bill, *paid, *debt, now),
            E::GhostSeen { at } => self.ghost = Some(Ghost { since: *at, bill: None }),
            E::GhostSettled { bill } => {
                let since = self.ghost.as_ref().map_or(now, |ghost| ghost.since);
                self.ghost = Some(Ghost { since, bill: Some(Bill::clone(bill)) });
            }
            E::Repaid { amount } => {
                self.paid_fen = plus(self.paid_fen, *amount);
                self.debt_fen = minus(self.debt_fen, *amount);
                self.note_debt();
            }
            E::WrittenOff { amount } => {
                self.written_off_fen = plus(self.written_off_fen, *amount);
                self.debt_fen = minus(self.debt_fen, *amount);
                self.note_debt();
            }
            E::Refunded { amount } => {
                self.refunded_fen = plus(self.refunded_fen, *amount);
                self.note_debt();
            }
        }
    }

    /// Everything that was set aside goes back; nothing is taken.
    fn release_all(&mut self) {
        self.stop_pending = false;
        self.released_fen = self.frozen_fen;
        self.payment_status = PaymentStatus::None;
    }

    fn take_facts(&mut self, facts: &RecordFacts) {
        // A reported fault stands, whatever the record says [CONTRACT 2].
        if self.fault_reported() {
            self.fault_code = self.fault_code.take().or_else(|| facts.fault_code.clone());
        } else {
            self.stop_reason = Some(facts.stop_reason);
            self.fault_code.clone_from(&facts.fault_code);
        }
        self.start_soc = facts.start_soc.or(self.start_soc);
        self.end_soc = facts.end_soc.or(self.end_soc);
        self.meter_start = facts.meter_start.or(self.meter_start);
        self.meter_end = facts.meter_end.or(self.meter_end);
    }

    fn take_bill(&mut self, bill: &Bill) {
        self.stop_pending = false;
        self.energy_wh = bill.energy_wh;
        self.started_at = Some(bill.started_at);
        self.ended_at = Some(bill.ended_at);
        self.bill = Some(bill.clone());
    }

    fn correct(&mut self, facts: &RecordFacts, bill: &Bill, paid: Fen, debt: Fen, now: Timestamp) {
        if let Some(earlier) = &self.bill {
            self.corrections.push(Correction {
                at: now,
                energy_wh: WattHours(bill.energy_wh.0.saturating_sub(earlier.energy_wh.0)),
                electricity_fen: minus(bill.electricity_fen, earlier.electricity_fen),
                service_fen: minus(bill.service_fen, earlier.service_fen),
                total_fen: minus(bill.total_fen, earlier.total_fen),
            });
        }
        self.provisional = false;
        self.take_facts(facts);
        self.take_bill(bill);
        self.paid_fen = plus(self.paid_fen, paid);
        self.debt_fen = plus(self.debt_fen, debt);
        self.note_debt();
    }

    /// Keeps `payment_status` in step with what is owed and what was given back. It says nothing of a bill that was never
    /// taken.
    fn note_debt(&mut self) {
        if matches!(self.payment_status, PaymentStatus::None | PaymentStatus::Frozen) {
            return;
        }
        self.payment_status = if self.debt_fen > Fen::ZERO {
            PaymentStatus::Unpaid
        } else if self.refunded_fen == Fen::ZERO {
            PaymentStatus::Paid
        } else if self.refunded_fen < self.paid_fen {
            PaymentStatus::PartiallyRefunded
        } else {
            PaymentStatus::Refunded
        };
    }
}

const fn review(by: Option<UserId>, verdict: Verdict, at: Timestamp) -> Review {
    Review { by, verdict, at }
}

// The ledger has checked these sums before the order hears of them.
const fn plus(a: Fen, b: Fen) -> Fen {
    Fen(a.0.saturating_add(b.0))
}

const fn minus(a: Fen, b: Fen) -> Fen {
    Fen(a.0.saturating_sub(b.0))
}
