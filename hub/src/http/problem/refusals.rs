//! What the actors and the store say no with, as problems.

use actors::api::Refusal;
use store::money::{Conflict, StoreError};

use super::{Code, Problem};
use crate::ids::NoRandomness;

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        let code = match &refusal {
            Refusal::PileNotFound(_) => Code::PileNotFound,
            Refusal::NoSuchConnector { connectors, connector, .. } => {
                return Self::invalid("connectorId", connector, format!("1 to {connectors}"));
            }
            Refusal::OrderNotFound(_) => Code::OrderNotFound,
            Refusal::AlarmNotFound(_) => Code::AlarmNotFound,
            Refusal::PileOffline(_) => Code::PileOffline,
            Refusal::PileFaulted { .. } => Code::PileFaulted,
            Refusal::PileMaintenance { .. } => Code::PileMaintenance,
            Refusal::ConnectorBusy { .. } => Code::ConnectorBusy,
            Refusal::NotPlugged { .. } => Code::NotPlugged,
            Refusal::NoTariff(_) => Code::NoTariff,
            Refusal::InsufficientBalance { .. } => Code::InsufficientBalance,
            Refusal::OpenDebt(_) => Code::OpenDebt,
            Refusal::Blacklisted(_) => Code::Blacklisted,
            Refusal::IllegalState(_) => Code::IllegalState,
            Refusal::Validation(_) => Code::Validation,
            Refusal::OnceExists(_) => Code::IdempotencyKeyReused,
            Refusal::TooManyCommands(_) => Code::TooManyRequests,
            Refusal::StoreUnavailable(_) => Code::StoreUnavailable,
        };
        Self::new(code, detail)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Unavailable(_) | StoreError::InUse(_) => Self::new(Code::StoreUnavailable, error.to_string()),
            StoreError::BadCursor(cursor) => Self::invalid("cursor", cursor, "must be the nextCursor of this list"),
            StoreError::Corrupt(_) | StoreError::Newer { .. } => {
                tracing::error!(%error, "the store holds something unreadable; run pilehub audit");
                Self::new(Code::Internal, "")
            }
        }
    }
}

impl From<Conflict> for Problem {
    fn from(conflict: Conflict) -> Self {
        match conflict {
            Conflict::PileExists(code) => Self::new(Code::PileExists, format!("pile {code} is registered already")),
            Conflict::IntegrationExists(name) => {
                Self::new(Code::IntegrationExists, format!("integration {name} exists already"))
            }
            Conflict::RotationRuns(_) => {
                Self::new(Code::RotationRunning, "the secret of this pile is being changed already")
            }
            Conflict::OnceExists(_) => Self::new(Code::IdempotencyKeyReused, "the idempotency key was used before"),
            Conflict::TariffPublished(id) => Self::new(Code::IllegalState, format!("tariff {id} is published already")),
            Conflict::OrderExists(order) | Conflict::OrderRev(order) => {
                Self::new(Code::IllegalState, format!("order {order} was changed by another call"))
            }
            Conflict::OpDone { op, .. } => Self::new(Code::IllegalState, format!("{op} was done before")),
            Conflict::AccountVersion(_) => Self::new(Code::IllegalState, "the account was changed by another call"),
            Conflict::Malformed(why) => {
                tracing::error!(why, "the store refused a commit that contradicts itself");
                Self::new(Code::Internal, "")
            }
            Conflict::CaseRev(kind, id) => {
                Self::new(Code::IllegalState, format!("{kind:?} {id} was changed by another call"))
            }
            Conflict::PaymentState(no) => {
                Self::new(Code::IllegalState, format!("payment {no} was changed by another call"))
            }
        }
    }
}

impl From<NoRandomness> for Problem {
    fn from(error: NoRandomness) -> Self {
        tracing::error!(%error, "cannot make an id");
        Self::new(Code::Internal, "")
    }
}
