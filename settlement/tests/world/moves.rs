//! What may happen next, and what it makes of the world.

use domain::Fen;
use settlement::order::OrderStatus;

use super::{AtPile, COSTS, Doing, MESSAGES, Message, World};

impl Message {
    fn is_of_the_hub(self) -> bool {
        matches!(self, Self::StartCommand | Self::StopCommand | Self::RecordAck)
    }
}

/// One thing that may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    /// Somebody who has reason to sends (again), and it arrives at once.
    Say(usize, Message),
    /// Somebody who has reason to sends (again), and it is still under way: later it may be out of date.
    Delay(usize, Message),
    Deliver(usize, Message),
    /// It arrives, and will arrive once more.
    DeliverAndRepeat(usize, Message),
    Lose(usize, Message),
    /// The hub stores the next fact of its plan, or sends what follows from it.
    Store,
    Kill,
    Resume(usize),
    StartDeadline(usize),
    /// No frame for the whole grace time.
    Silence(usize),
    Approve(usize),
    Reject(usize),
    /// The charge ends at the pile: full, unplugged, limit.
    EndsAtPile(usize, usize),
}

impl World {
    /// Everything that may happen now.
    pub(crate) fn moves(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        let may_fail = self.faults < self.bound.faults;
        // While the hub stores or resumes, nothing else is looked at: whatever pile and network do meanwhile touches
        // nothing stored, so that it may as well happen before or after.
        match &self.doing {
            Doing::Nothing => {}
            Doing::Storing { .. } => {
                return [Move::Store].into_iter().chain(may_fail.then_some(Move::Kill)).collect();
            }
            Doing::Down { left } => return (0..2).filter(|driver| left[*driver]).map(Move::Resume).collect(),
        }
        for driver in 0..self.bound.drivers {
            for message in MESSAGES {
                if self.would_send(driver, message) {
                    moves.push(Move::Say(driver, message));
                    if may_fail && !self.is_under_way(driver, message) {
                        moves.push(Move::Delay(driver, message));
                    }
                }
                if !self.is_under_way(driver, message) {
                    continue;
                }
                moves.push(Move::Deliver(driver, message));
                if may_fail {
                    moves.push(Move::DeliverAndRepeat(driver, message));
                }
                // What is not said is lost already; what the hub says it says once.
                if may_fail && message.is_of_the_hub() {
                    moves.push(Move::Lose(driver, message));
                }
            }
            if self.pile[driver] == AtPile::Charging {
                moves.extend((0..COSTS.len()).map(|which| Move::EndsAtPile(driver, which)));
            }
            match self.status(driver) {
                Some(OrderStatus::Starting) => moves.push(Move::StartDeadline(driver)),
                Some(OrderStatus::Charging | OrderStatus::Stopping) => moves.push(Move::Silence(driver)),
                Some(OrderStatus::Held) => moves.extend([Move::Approve(driver), Move::Reject(driver)]),
                Some(_) | None => {}
            }
        }
        if may_fail {
            moves.push(Move::Kill);
        }
        moves
    }

    /// Whether whoever sends it has reason to (once more).
    fn would_send(&self, driver: usize, message: Message) -> bool {
        let status = self.status(driver);
        let stored = |payment: &str| self.is_done(driver, &format!("topup:{payment}{}", driver + 1));
        match message {
            // Until there is an answer.
            Message::Start => status.is_none() && stored("A") && self.gun_is_free(),
            Message::Stop => matches!(status, Some(OrderStatus::Starting | OrderStatus::Charging)),
            Message::Repay => {
                let owes = self.order(driver).is_some_and(|order| order.status.is_over() && order.debt_fen > Fen::ZERO);
                owes && stored("B")
            }
            Message::Callback => !stored("A"),
            // The driver tops up again when something is owed.
            Message::SecondCallback => !stored("B") && !self.purses[driver].account.debts.is_empty(),
            // The hub sends a command with the step it follows from, and again to a pile that should have acted.
            Message::StartCommand | Message::StopCommand | Message::RecordAck => false,
            Message::Rejected => self.pile[driver] == AtPile::Refused && status == Some(OrderStatus::Starting),
            // Status frames, as long as it charges and the hub has not understood.
            Message::Evidence => {
                let ghost = self.order(driver).is_some_and(|order| order.ghost.is_some());
                let waits =
                    matches!(status, Some(OrderStatus::Starting | OrderStatus::StartFailed | OrderStatus::Canceled));
                self.pile[driver] == AtPile::Charging && waits && !ghost
            }
            Message::Record => matches!(self.pile[driver], AtPile::Ended(_)),
        }
    }

    /// The gun is claimed by an order that is not over.
    pub(super) fn gun_is_free(&self) -> bool {
        self.orders.iter().flatten().all(|order| order.status.is_over())
    }

    pub(crate) fn after(&self, what: Move) -> Self {
        let mut next = self.clone();
        match what {
            Move::Say(driver, message) => next.receive(driver, message),
            Move::Delay(driver, message) => {
                next.faults += 1;
                next.send(driver, message);
            }
            Move::Lose(driver, message) => {
                next.faults += 1;
                next.network[driver] &= !(1 << message as u16);
            }
            Move::Deliver(driver, message) => {
                next.network[driver] &= !(1 << message as u16);
                next.receive(driver, message);
            }
            Move::DeliverAndRepeat(driver, message) => {
                next.faults += 1;
                next.receive(driver, message);
            }
            Move::Store => next.store(),
            Move::Kill => {
                next.faults += 1;
                next.kill();
            }
            Move::Resume(driver) => next.resume(driver),
            Move::StartDeadline(driver) => next.start_deadline(driver),
            Move::Silence(driver) => next.silence(driver),
            Move::Approve(driver) => next.decide(driver, true),
            Move::Reject(driver) => next.decide(driver, false),
            Move::EndsAtPile(driver, which) => next.pile[driver] = AtPile::Ended(which),
        }
        next
    }

    fn receive(&mut self, driver: usize, message: Message) {
        match message {
            Message::StartCommand => {
                // The pile does not act twice on one command.
                if self.pile[driver] == AtPile::Unknown {
                    let busy = self.pile.contains(&AtPile::Charging);
                    self.pile[driver] = if busy { AtPile::Refused } else { AtPile::Charging };
                }
            }
            Message::StopCommand => {
                if self.pile[driver] == AtPile::Charging {
                    self.pile[driver] = AtPile::Ended(0);
                }
            }
            Message::RecordAck => {
                if let AtPile::Ended(which) = self.pile[driver] {
                    self.pile[driver] = AtPile::Acknowledged(which);
                }
            }
            Message::Start
            | Message::Stop
            | Message::Repay
            | Message::Callback
            | Message::SecondCallback
            | Message::Evidence
            | Message::Rejected
            | Message::Record => self.at_hub(driver, message),
        }
    }
}
