//! Refunds and money in suspense as cases of the store.

use domain::Timestamp;
use serde::{Deserialize, Serialize};
use settlement::{
    refund::{Refund, RefundSource},
    suspense::Suspense,
};
use store::cases::{CaseKind, Filed};

/// A refund as a case. It is about its payment, or about the money in suspense that it takes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct FiledRefund(pub(crate) Refund);

impl Filed for FiledRefund {
    const KIND: CaseKind = CaseKind::Refund;

    fn id(&self) -> String {
        self.0.refund_no.clone()
    }

    fn rev(&self) -> i64 {
        self.0.rev
    }

    fn state(&self) -> String {
        self.0.state.as_str().to_owned()
    }

    fn is_open(&self) -> bool {
        !self.0.state.is_over()
    }

    fn about(&self) -> String {
        match &self.0.source {
            RefundSource::Wallet { .. } => self.0.payment_no.clone(),
            RefundSource::Suspense { item } => item.clone(),
        }
    }

    fn at(&self) -> Timestamp {
        self.0.requested_at
    }

    fn due(&self) -> Option<Timestamp> {
        self.0.due
    }
}

/// Money in suspense as a case, about the payment it was for as the channel told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct FiledSuspense(pub(crate) Suspense);

impl Filed for FiledSuspense {
    const KIND: CaseKind = CaseKind::Suspense;

    fn id(&self) -> String {
        self.0.item.clone()
    }

    fn rev(&self) -> i64 {
        self.0.rev
    }

    fn state(&self) -> String {
        self.0.state.as_str().to_owned()
    }

    fn is_open(&self) -> bool {
        !self.0.state.is_over()
    }

    fn about(&self) -> String {
        self.0.payment_no.clone()
    }

    fn at(&self) -> Timestamp {
        self.0.received_at
    }

    fn due(&self) -> Option<Timestamp> {
        self.0.due
    }
}
