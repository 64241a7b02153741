//! The steps of an order that only a settlement actor takes: which planner each calls, and with what.

use std::sync::Arc;

use domain::{Fen, Millis, SocTenths, Timestamp, UserId, Watts};
use settlement::{
    ledger::AccountState,
    order::{Order, OrderStatus, ProvisionalCause, RecordFacts, StopBy},
    pricing::{self, Bill, ChargeEnd, PriceInput, Reading},
    settle::{self, MoneyRules, Plan, StartFailure},
    tariff::Tariff,
};

use crate::{
    api::{Refusal, Reviewer},
    settlement_actor::refusal_of_plan,
};

/// What a charge is priced from, collected by its session.
#[derive(Debug, Clone)]
pub(crate) struct Charge {
    pub(crate) tariff: Arc<Tariff>,
    pub(crate) created_at: Timestamp,
    pub(crate) rated_power: Watts,
    pub(crate) readings: Vec<Reading>,
    pub(crate) thinned: bool,
    pub(crate) end: ChargeEnd,
    pub(crate) clock_offset: Option<Millis>,
}

impl Charge {
    fn price(&self) -> Result<Bill, Refusal> {
        let input = PriceInput {
            tariff: &self.tariff,
            created_at: self.created_at,
            rated_power: self.rated_power,
            readings: &self.readings,
            readings_thinned: self.thinned,
            end: self.end,
            clock_offset: self.clock_offset,
        };
        pricing::price(&input).map_err(|error| Refusal::IllegalState(error.to_string()))
    }
}

/// One step of an order.
#[derive(Debug)]
pub(crate) enum Job {
    /// A new order, money set aside.
    Place(Box<Order>),
    /// The charger has shown that current flows.
    Evidence { at: Timestamp, start_soc: Option<SocTenths> },
    /// The start came to nothing.
    FailStart(StartFailure),
    /// Somebody wants it to end.
    Stop { by: StopBy, online: bool },
    /// The charger took a stop that had waited.
    StopAccepted,
    /// The charger did not answer the stop.
    StopUnanswered,
    /// The charger reported a fault.
    Fault { code: Option<String> },
    /// The charger's record, whatever has become of its order: settles, corrects, or is the platform's loss.
    Record { facts: RecordFacts, charge: Box<Charge> },
    /// No record came.
    EndProvisionally { cause: ProvisionalCause, charge: Box<Charge> },
    /// Evidence of a charge whose order was over before it began.
    GhostSeen { at: Timestamp },
    /// Such a charge ended without a record.
    GhostEnded { at: Timestamp, charge: Box<Charge> },
    /// A person approves a held bill.
    Approve { by: UserId },
    /// A person rejects it.
    Reject { by: UserId },
    /// A debt is repaid.
    Repay { amount: Option<Fen>, request: String },
    /// An approved adjustment is credited.
    Refund { adjustment_id: String, amount: Fen },
    /// A debt is given up.
    WriteOff { write_off_id: String, amount: Fen },
    /// Whatever a crash interrupted is finished.
    Resume,
}

/// What a step is worked out by, beside order and account.
#[derive(Debug, Clone, Copy)]
pub(crate) struct World<'a> {
    pub(crate) rules: &'a MoneyRules,
    pub(crate) reviewer: &'a dyn Reviewer,
}

impl World<'_> {
    /// The rules for a bill: a suspect one waits for a person.
    fn rules_for(&self, order: &Order, bill: &Bill) -> MoneyRules {
        MoneyRules { suspect: self.reviewer.suspect(order, bill), ..self.rules.clone() }
    }
}

/// What a step comes to.
#[derive(Debug)]
pub(crate) enum Planned {
    /// Store this.
    Plan(Box<Plan>),
    /// Nothing to store.
    Nothing,
}

impl Job {
    /// Its name in metrics.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Place(_) => "place",
            Self::Evidence { .. } => "evidence",
            Self::FailStart(_) => "fail_start",
            Self::Stop { .. } => "stop",
            Self::StopAccepted => "stop_accepted",
            Self::StopUnanswered => "stop_unanswered",
            Self::Fault { .. } => "fault",
            Self::Record { .. } => "record",
            Self::EndProvisionally { .. } => "end_provisionally",
            Self::GhostSeen { .. } => "ghost_seen",
            Self::GhostEnded { .. } => "ghost_ended",
            Self::Approve { .. } => "approve",
            Self::Reject { .. } => "reject",
            Self::Repay { .. } => "repay",
            Self::Refund { .. } => "refund",
            Self::WriteOff { .. } => "write_off",
            Self::Resume => "resume",
        }
    }

    /// The ledger operation that a crash may have cut from its order: whether it was done must be asked.
    pub(crate) fn marker(&self, order: &Order) -> Option<String> {
        match self {
            Self::Refund { adjustment_id, .. } => return Some(format!("refund:{adjustment_id}")),
            Self::WriteOff { write_off_id, .. } => return Some(format!("writeoff:{write_off_id}")),
            Self::Place(_)
            | Self::Evidence { .. }
            | Self::FailStart(_)
            | Self::Stop { .. }
            | Self::StopAccepted
            | Self::StopUnanswered
            | Self::Fault { .. }
            | Self::Record { .. }
            | Self::EndProvisionally { .. }
            | Self::GhostSeen { .. }
            | Self::GhostEnded { .. }
            | Self::Approve { .. }
            | Self::Reject { .. }
            | Self::Repay { .. }
            | Self::Resume => {}
        }
        let ends = matches!(self, Self::Record { .. } | Self::GhostEnded { .. });
        match order.status {
            OrderStatus::StartFailed | OrderStatus::Canceled if ends => Some(format!("ghost:{}", order.order_no)),
            OrderStatus::Held | OrderStatus::Closed | OrderStatus::ExceptionClosed if ends && order.provisional => {
                Some(format!("correct:{}", order.order_no))
            }
            OrderStatus::Placed
            | OrderStatus::Starting
            | OrderStatus::Charging
            | OrderStatus::Stopping
            | OrderStatus::Settling
            | OrderStatus::Held
            | OrderStatus::Closed
            | OrderStatus::ExceptionClosed
            | OrderStatus::StartFailed
            | OrderStatus::Canceled => None,
        }
    }

    /// Works the step out. `done`: the operation of [`Self::marker`] was done before.
    pub(crate) fn plan(
        &self,
        order: &Order,
        account: &AccountState,
        world: World<'_>,
        done: bool,
        now: Timestamp,
    ) -> Result<Planned, Refusal> {
        let World { rules, .. } = world;
        let plan = match self {
            Self::Place(_) => settle::place(order, account, rules, now),
            Self::Evidence { at, start_soc } => settle::evidence(order, account, *at, *start_soc, now),
            Self::FailStart(why) => settle::fail_start(order, account, why, now),
            Self::Stop { by, online } => settle::ask_stop(order, account, *by, *online, now),
            Self::StopAccepted => settle::stop_accepted(order, account, now),
            Self::StopUnanswered => settle::stop_unanswered(order, account, now),
            Self::Fault { code } => settle::fault(order, account, code.clone(), now),
            Self::Record { facts, charge } => {
                let bill = charge.price()?;
                settle::record(order, account, facts, &bill, &world.rules_for(order, &bill), done, now)
            }
            Self::EndProvisionally { cause, charge } => {
                let bill = charge.price()?;
                settle::end_provisionally(order, account, *cause, &bill, &world.rules_for(order, &bill), now)
            }
            Self::GhostSeen { at } => settle::ghost(order, account, *at, None, false, now),
            Self::GhostEnded { at, charge } => settle::ghost(order, account, *at, Some(&charge.price()?), done, now),
            Self::Approve { by } => settle::approve(order, account, by, now),
            Self::Reject { by } => settle::reject(order, account, by, now),
            Self::Repay { amount, request } => settle::repay(order, account, *amount, request, now),
            Self::Refund { adjustment_id, amount } => settle::refund(order, account, adjustment_id, *amount, done, now),
            Self::WriteOff { write_off_id, amount } => {
                settle::write_off(order, account, write_off_id, *amount, done, now)
            }
            Self::Resume => match &order.bill {
                Some(bill) => settle::resume(order, account, &world.rules_for(order, bill), now),
                None => settle::resume(order, account, rules, now),
            },
        };
        let plan = plan.map_err(|error| refusal_of_plan(&error))?;
        Ok(if plan.steps.is_empty() { Planned::Nothing } else { Planned::Plan(Box::new(plan)) })
    }
}
