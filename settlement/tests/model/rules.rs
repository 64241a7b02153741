//! What an effect does once it is true.

use super::{
    Books, Case, Clash, Mode, Phase, Purse, Sum,
    acts::{Effect, Move},
};

/// What an action saw when it was planned: it lands only on the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Changes of the order.
    pub(crate) order: u64,
    /// Operations of the account.
    pub(crate) account: usize,
}

impl Books {
    pub(crate) fn seen(&self, user: &str, order: &str) -> Seen {
        Seen { order: self.orders.get(order).map_or(0, |case| case.changes), account: self.purse(user).done.len() }
    }

    /// Makes one effect true, if what it was planned on still is; `seen` goes on with it.
    pub(crate) fn land(&mut self, user: &str, order: &str, effect: &Effect, seen: &mut Seen) -> Result<(), Clash> {
        if let Effect::Money(name, movement) = effect {
            self.land_money(user, order, name, movement, seen)?;
            seen.account += 1;
            return Ok(());
        }
        if let Effect::New { user, limit, mode } = effect {
            if self.orders.contains_key(order) {
                return Err(Clash::Exists);
            }
            self.orders.insert(order.to_owned(), Case::new(user, *limit, *mode));
            return Ok(());
        }
        let case = self.orders.get_mut(order).ok_or(Clash::Order)?;
        if case.changes != seen.order {
            return Err(Clash::Order);
        }
        let was_over = case.phase.is_over();
        case.tell(effect);
        case.changes += 1;
        case.ends += u32::from(!was_over && case.phase.is_over());
        seen.order += 1;
        Ok(())
    }

    fn land_money(&mut self, user: &str, order: &str, name: &str, movement: &Move, seen: &Seen) -> Result<(), Clash> {
        let purse = self.purses.entry(user.to_owned()).or_default();
        if purse.done.contains(name) {
            return Err(Clash::Done);
        }
        if purse.done.len() != seen.account {
            return Err(Clash::Account);
        }
        purse.done.insert(name.to_owned());
        match movement {
            Move::TopUp(amount) => {
                purse.available += amount;
                self.topped_up += amount;
                self.channel += amount;
            }
            Move::Hold(amount) => {
                purse.available -= amount;
                purse.holds.insert(order.to_owned(), *amount);
                self.case(order).money.set_aside = *amount;
            }
            Move::Void => {
                let hold = purse.holds.remove(order).unwrap();
                purse.available += hold;
                self.case(order).money.released += hold;
            }
            Move::Capture(fees, mode) => self.capture(user, order, *fees, *mode),
            Move::Correct(fees) => self.correct(user, order, *fees),
            Move::Ghost(fees) => {
                let total: Sum = fees.iter().sum();
                self.case(order).money.lost += total;
                self.lost += total;
                self.earn(order, *fees);
            }
            Move::Repay(amount) => {
                purse.available -= amount;
                purse.owe(order, -amount);
                let money = &mut self.case(order).money;
                money.paid += amount;
                money.debt -= amount;
            }
            Move::Refund(amount) => {
                purse.available += amount;
                self.given += amount;
                self.case(order).money.refunded += amount;
            }
            Move::WriteOff(amount) => {
                purse.owe(order, -amount);
                self.given += amount;
                let money = &mut self.case(order).money;
                money.written_off += amount;
                money.debt -= amount;
            }
            other => self.land_transit(user, other),
        }
        Ok(())
    }

    /// Money that is neither a driver's nor earned.
    fn land_transit(&mut self, user: &str, movement: &Move) {
        let purse = self.purses.get_mut(user).unwrap();
        match movement {
            Move::Withdraw(refund, amount) => {
                purse.available -= amount;
                purse.transit.insert(refund.clone(), *amount);
            }
            Move::Withdrawn(refund) => self.channel -= purse.transit.remove(refund).unwrap(),
            Move::WithdrawBack(refund) => purse.available += purse.transit.remove(refund).unwrap(),
            Move::Suspend(item, amount) => {
                purse.suspense.insert(item.clone(), *amount);
                self.channel += amount;
            }
            Move::Claim(item) => {
                let amount = purse.suspense.remove(item).unwrap();
                self.claimed.insert(item.clone(), amount);
            }
            Move::Receive(item, amount) => {
                purse.available += amount;
                assert_eq!(self.claimed.remove(item), Some(*amount), "what was claimed is received, once");
            }
            Move::SendBack(item) => self.channel -= purse.suspense.remove(item).unwrap(),
            other => unreachable!("{other:?}"),
        }
    }

    /// Whether a movement without an order is allowed.
    pub(crate) fn allows(&self, user: &str, movement: &Move) -> bool {
        let purse = self.purse(user);
        match movement {
            Move::TopUp(amount) => *amount > 0,
            Move::Withdraw(refund, amount) => {
                (1..=purse.available).contains(amount) && !purse.transit.contains_key(refund)
            }
            Move::Withdrawn(refund) | Move::WithdrawBack(refund) => purse.transit.contains_key(refund),
            Move::Suspend(item, amount) => *amount > 0 && !purse.suspense.contains_key(item),
            Move::Claim(item) | Move::SendBack(item) => purse.suspense.contains_key(item),
            Move::Receive(_, amount) => *amount > 0,
            other => unreachable!("{other:?}"),
        }
    }

    fn capture(&mut self, user: &str, order: &str, fees: [Sum; 3], mode: Mode) {
        let purse = self.purses.get_mut(user).unwrap();
        let total: Sum = fees.iter().sum();
        let hold = purse.holds.remove(order).unwrap();
        let captured = total.min(hold);
        // Another road to the same end: all of it back, then all of it out again.
        let untouched = if mode == Mode::Prepaid { std::mem::take(&mut purse.available) } else { 0 };
        purse.available += hold;
        let debt = purse.pay(total);
        purse.available += untouched;
        purse.owe(order, debt);
        let money = &mut self.case(order).money;
        money.captured += captured;
        money.released += hold - captured;
        money.paid += total - debt;
        money.debt += debt;
        self.earn(order, fees);
    }

    fn correct(&mut self, user: &str, order: &str, fees: [Sum; 3]) {
        let purse = self.purses.get_mut(user).unwrap();
        let more: Sum = fees.iter().sum();
        let debt = if more > 0 {
            purse.pay(more)
        } else {
            let relief = purse.debts.get(order).copied().unwrap_or(0).min(-more);
            purse.available += -more - relief;
            -relief
        };
        purse.owe(order, debt);
        let case = self.case(order);
        case.corrected_by = more;
        case.money.paid += more - debt;
        case.money.debt += debt;
        self.earn(order, fees);
    }

    fn case(&mut self, order: &str) -> &mut Case {
        self.orders.get_mut(order).unwrap()
    }

    fn earn(&mut self, order: &str, fees: [Sum; 3]) {
        for (kind, fee) in fees.into_iter().enumerate() {
            self.earned[kind] += fee;
            self.case(order).money.earned[kind] += fee;
        }
    }
}

impl Purse {
    /// Takes what is there, up to `amount`; answers what was missing.
    fn pay(&mut self, amount: Sum) -> Sum {
        let paid = amount.min(self.available);
        self.available -= paid;
        amount - paid
    }

    fn owe(&mut self, order: &str, more: Sum) {
        let debt = self.debts.remove(order).unwrap_or(0) + more;
        if debt != 0 {
            self.debts.insert(order.to_owned(), debt);
        }
    }
}

impl Case {
    pub(super) fn tell(&mut self, effect: &Effect) {
        match effect {
            Effect::New { .. } | Effect::Money(..) => unreachable!(),
            Effect::Frozen => {
                self.phase = Phase::Starting;
                self.told = self.money.clone();
            }
            Effect::Evidence => self.phase = Phase::Charging,
            Effect::Never => {
                self.phase = Phase::Never;
                self.told = self.money.clone();
            }
            Effect::Stopping => (self.phase, self.stop_waits) = (Phase::Stopping, false),
            Effect::StopWaits => self.stop_waits = true,
            Effect::Unanswered => (self.phase, self.stop_waits) = (Phase::Charging, true),
            Effect::Fault => (self.phase, self.stop_waits, self.fault) = (Phase::Stopping, false, true),
            Effect::Billed { fees, provisional } => {
                self.phase = Phase::Settling;
                self.bill = Some(*fees);
                self.provisional = *provisional;
            }
            Effect::Held => self.phase = Phase::Held,
            Effect::Approved => (self.phase, self.approved) = (Phase::Settling, true),
            Effect::Rejected => {
                self.phase = Phase::Rejected;
                self.told = self.money.clone();
            }
            Effect::Closed => {
                self.phase = Phase::Taken;
                self.told = self.money.clone();
            }
            Effect::Corrected(fees) => {
                self.bill = Some(*fees);
                self.provisional = false;
                // Of a write-off it has not heard of it hears by itself.
                let given_up = self.money.written_off - self.told.written_off;
                (self.told.paid, self.told.debt) = (self.money.paid, self.money.debt + given_up);
                self.told.earned = self.money.earned;
            }
            Effect::GhostSeen => self.ghost_seen = true,
            Effect::GhostSettled(fees) => {
                self.ghost = Some(*fees);
                self.told = self.money.clone();
            }
            Effect::Repaid(amount) => {
                // Both sums, and no more: a correction that the order has not heard of stays unheard of.
                self.told.paid += amount;
                self.told.debt -= amount;
            }
            Effect::Refunded(amount) => self.told.refunded += amount,
            Effect::WrittenOff(amount) => {
                self.told.written_off += amount;
                self.told.debt -= amount;
            }
        }
    }
}
