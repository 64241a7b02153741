//! What may be asked, and the effects it comes to, in the order in which they may become true.

use super::{Books, Case, Mode, Money, Phase, Sum};

/// What is asked of an order or an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    Place { user: String, limit: Option<Sum>, mode: Mode },
    Evidence,
    StartFails,
    Stop { online: bool },
    StopTaken,
    StopUnanswered,
    Fault,
    Record([Sum; 3]),
    EndSilently([Sum; 3]),
    Approve,
    Reject,
    Repay { amount: Option<Sum>, request: String },
    Refund { id: String, amount: Sum },
    WriteOff { id: String, amount: Sum },
    Resume,
}

/// One thing that becomes true, whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    // The order.
    New { user: String, limit: Option<Sum>, mode: Mode },
    Frozen,
    Evidence,
    Never,
    Stopping,
    StopWaits,
    Unanswered,
    Fault,
    Billed { fees: [Sum; 3], provisional: bool },
    Held,
    Approved,
    Rejected,
    Closed,
    Corrected([Sum; 3]),
    GhostSeen,
    GhostSettled([Sum; 3]),
    Repaid(Sum),
    Refunded(Sum),
    WrittenOff(Sum),
    // The money.
    Money(String, Move),
}

/// A movement of money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Move {
    TopUp(Sum),
    Hold(Sum),
    Void,
    Capture([Sum; 3], Mode),
    Correct([Sum; 3]),
    Ghost([Sum; 3]),
    Repay(Sum),
    Refund(Sum),
    WriteOff(Sum),
    Withdraw(String, Sum),
    Withdrawn(String),
    WithdrawBack(String),
    Suspend(String, Sum),
    Claim(String),
    Receive(String, Sum),
    SendBack(String),
}

/// The effects of an action, none when there is nothing to do; `Err` when the action is refused, and why.
pub(crate) type Planned = Result<Vec<Effect>, &'static str>;

impl Books {
    /// What an action on an order comes to.
    pub(crate) fn plan(&self, order: &str, act: &Act) -> Planned {
        if let Act::Place { user, limit, mode } = act {
            return self.place(order, user, *limit, *mode);
        }
        let case = &self.orders[order];
        match act {
            Act::Place { .. } => unreachable!(),
            Act::Evidence => Ok(match case.phase {
                // It was given up already, and had not heard of it.
                Phase::Starting if !self.has_hold(order) => vec![Effect::Never, Effect::GhostSeen],
                Phase::Starting => vec![Effect::Evidence],
                Phase::Never if !case.ghost_seen => vec![Effect::GhostSeen],
                _ => vec![],
            }),
            Act::StartFails => Ok(match case.phase {
                Phase::Placed if self.has_hold(order) => {
                    [vec![Effect::Frozen], self.give_back(order, Effect::Never)].concat()
                }
                Phase::Starting => self.give_back(order, Effect::Never),
                _ => vec![],
            }),
            Act::Stop { online } => Ok(match case.phase {
                // It hears of its hold before it gives it back.
                Phase::Placed if self.has_hold(order) => {
                    [vec![Effect::Frozen], self.give_back(order, Effect::Never)].concat()
                }
                Phase::Placed | Phase::Starting => self.give_back(order, Effect::Never),
                Phase::Charging if case.stop_waits => vec![],
                Phase::Charging => vec![if *online { Effect::Stopping } else { Effect::StopWaits }],
                _ => vec![],
            }),
            Act::StopTaken => Ok(match case.phase {
                Phase::Charging if case.stop_waits => vec![Effect::Stopping],
                _ => vec![],
            }),
            Act::StopUnanswered => Ok(match case.phase {
                Phase::Stopping if !case.fault => vec![Effect::Unanswered],
                _ => vec![],
            }),
            Act::Fault => Ok(match case.phase {
                Phase::Charging => vec![Effect::Fault],
                Phase::Stopping if !case.fault => vec![Effect::Fault],
                _ => vec![],
            }),
            Act::Record(fees) => self.record(order, case, *fees),
            Act::EndSilently(fees) => match case.phase {
                Phase::Charging | Phase::Stopping => self.end(order, *fees, true),
                _ => Ok(vec![]),
            },
            Act::Approve => match case.phase {
                Phase::Held => {
                    let take = self.take(order, case.bill.unwrap_or_default())?;
                    Ok([vec![Effect::Approved], take].concat())
                }
                _ => Ok(vec![]),
            },
            Act::Reject => Ok(match case.phase {
                Phase::Held => self.give_back(order, Effect::Rejected),
                _ => vec![],
            }),
            Act::Repay { amount, request } => self.repay(order, case, *amount, request),
            Act::Refund { id, amount } => self.refund(case, id, *amount),
            Act::WriteOff { id, amount } => self.write_off(order, case, id, *amount),
            Act::Resume => self.resume(order, case),
        }
    }

    fn place(&self, order: &str, user: &str, limit: Option<Sum>, mode: Mode) -> Planned {
        let purse = self.purse(user);
        let want = limit.unwrap_or(self.amounts.freeze);
        if !purse.debts.is_empty() {
            return Err("owes");
        }
        if purse.holds.contains_key(order) {
            return Err("set aside already");
        }
        let amount = match mode {
            Mode::Freeze => want.min(purse.available),
            Mode::Prepaid => want,
            Mode::Postpaid => 0,
        };
        if mode != Mode::Postpaid && (amount < self.amounts.least || amount > purse.available) {
            return Err("too little");
        }
        let hold = Effect::Money(format!("hold:{order}"), Move::Hold(amount));
        Ok(vec![Effect::New { user: user.to_owned(), limit, mode }, hold, Effect::Frozen])
    }

    /// The charger's record, whatever has become of the order.
    fn record(&self, order: &str, case: &Case, fees: [Sum; 3]) -> Planned {
        match case.phase {
            Phase::Starting | Phase::Charging | Phase::Stopping => self.end(order, fees, false),
            Phase::Settling if case.provisional => Err("interrupted"),
            Phase::Held | Phase::Rejected if case.provisional => Ok(vec![Effect::Corrected(fees)]),
            Phase::Taken if case.provisional => {
                let earlier = case.bill.unwrap_or_default();
                let more = [0, 1, 2].map(|kind| fees[kind] - earlier[kind]);
                let correct = Effect::Money(format!("correct:{order}"), Move::Correct(more));
                let moves = more != [0; 3] && !self.is_done(&case.user, &correct);
                let correct = moves.then_some(correct);
                let before = case.unheard().filter(|effect| matches!(effect, Effect::Refunded(_)));
                let given_up = case.money.written_off - case.told.written_off;
                let after = (given_up > 0).then_some(Effect::WrittenOff(given_up));
                Ok(before.chain(correct).chain([Effect::Corrected(fees)]).chain(after).collect())
            }
            Phase::Never if case.ghost.is_none() => {
                let seen = (!case.ghost_seen).then_some(Effect::GhostSeen);
                let loss = Effect::Money(format!("ghost:{order}"), Move::Ghost(fees));
                let moves = fees != [0; 3] && !self.is_done(&case.user, &loss);
                let effects = seen.into_iter().chain(moves.then_some(loss)).chain([Effect::GhostSettled(fees)]);
                Ok(effects.collect())
            }
            _ => Ok(vec![]),
        }
    }

    fn is_done(&self, user: &str, effect: &Effect) -> bool {
        matches!(effect, Effect::Money(name, _) if self.purse(user).done.contains(name))
    }

    /// A charge is over: its bill is fixed, then taken or held.
    fn end(&self, order: &str, fees: [Sum; 3], provisional: bool) -> Planned {
        let next = self.hold_or_take(order, fees, false)?;
        Ok([vec![Effect::Billed { fees, provisional }], next].concat())
    }

    fn hold_or_take(&self, order: &str, fees: [Sum; 3], approved: bool) -> Planned {
        let take = self.take(order, fees)?;
        let is_odd = fees.iter().sum::<Sum>() > self.amounts.hold_over || fees[0] == self.amounts.suspect;
        Ok(if is_odd && !approved { vec![Effect::Held] } else { take })
    }

    fn take(&self, order: &str, fees: [Sum; 3]) -> Planned {
        if !self.has_hold(order) {
            return Err("nothing set aside");
        }
        let mode = self.orders[order].mode;
        Ok(vec![Effect::Money(format!("capture:{order}"), Move::Capture(fees, mode)), Effect::Closed])
    }

    fn has_hold(&self, order: &str) -> bool {
        self.purse(&self.orders[order].user).holds.contains_key(order)
    }

    fn give_back(&self, order: &str, end: Effect) -> Vec<Effect> {
        let void = Effect::Money(format!("void:{order}"), Move::Void);
        self.has_hold(order).then_some(void).into_iter().chain([end]).collect()
    }

    fn repay(&self, order: &str, case: &Case, amount: Option<Sum>, request: &str) -> Planned {
        let purse = self.purse(&case.user);
        let mut effects: Vec<Effect> = case.unheard().collect();
        let Some(debt) = purse.debts.get(order).copied() else {
            return if effects.is_empty() { Err("owes nothing") } else { Ok(effects) };
        };
        let amount = amount.unwrap_or(debt);
        if amount <= 0 || amount > debt || amount > purse.available {
            return Err("amount");
        }
        let knows = case.after(&effects).told.debt;
        effects.push(Effect::Money(format!("repay:{order}:{request}"), Move::Repay(amount)));
        effects.extend((case.phase.is_over() && amount <= knows).then_some(Effect::Repaid(amount)));
        Ok(effects)
    }

    fn refund(&self, case: &Case, id: &str, amount: Sum) -> Planned {
        let mut effects: Vec<Effect> = case.unheard().collect();
        let refund = Effect::Money(format!("refund:{id}"), Move::Refund(amount));
        if !self.is_done(&case.user, &refund) {
            let told = case.after(&effects).told;
            if case.phase != Phase::Taken || amount <= 0 || amount > told.paid - told.refunded {
                return Err("more than paid");
            }
            effects.extend([refund, Effect::Refunded(amount)]);
        }
        Ok(effects)
    }

    fn write_off(&self, order: &str, case: &Case, id: &str, amount: Sum) -> Planned {
        if case.phase == Phase::Settling {
            return Err("interrupted");
        }
        let mut effects: Vec<Effect> = case.unheard().collect();
        let write_off = Effect::Money(format!("writeoff:{id}"), Move::WriteOff(amount));
        if !self.is_done(&case.user, &write_off) {
            let debt = self.purse(&case.user).debts.get(order).copied().unwrap_or(0);
            if amount <= 0 || amount > debt {
                return Err("owes less");
            }
            let knows = case.after(&effects).told.debt;
            effects.push(write_off);
            effects.extend((amount <= knows).then_some(Effect::WrittenOff(amount)));
        }
        Ok(effects)
    }

    /// What a restart finishes.
    fn resume(&self, order: &str, case: &Case) -> Planned {
        match (case.phase, self.has_hold(order)) {
            (Phase::Placed, true) => Ok(vec![Effect::Frozen]),
            (Phase::Placed | Phase::Starting, false) => Ok(vec![Effect::Never]),
            (Phase::Settling, true) => self.hold_or_take(order, case.bill.unwrap_or_default(), case.approved),
            (Phase::Settling, false) => Ok(vec![Effect::Closed]),
            (Phase::Held, false) => Ok(vec![Effect::Rejected]),
            (Phase::Taken | Phase::Rejected, false) => Ok(case.unheard().collect()),
            (Phase::Taken | Phase::Rejected | Phase::Never, true) => Err("over, and money is still set aside"),
            (Phase::Starting | Phase::Charging | Phase::Stopping | Phase::Held, true)
            | (Phase::Charging | Phase::Stopping | Phase::Never, false) => Ok(vec![]),
        }
    }
}

impl Effect {
    /// Whether it is about the order's row rather than money; and the operation's name if it is money.
    pub(crate) fn kind(&self) -> String {
        match self {
            Self::New { .. } => "new order".to_owned(),
            Self::Money(name, _) => name.clone(),
            _ => "order".to_owned(),
        }
    }
}

impl Case {
    /// What the ledger did for an order that is over and the order does not know, as far as it can be told of it.
    fn unheard(&self) -> impl Iterator<Item = Effect> + use<> {
        let (money, told) = (&self.money, &self.told);
        let over = matches!(self.phase, Phase::Taken | Phase::Rejected);
        let given_up = money.written_off - told.written_off;
        let given_up = if over && given_up <= told.debt { given_up } else { 0 };
        let repaid = if over { told.debt - given_up - money.debt } else { 0 };
        let refunded = money.refunded - told.refunded;
        let may_refund = over && refunded <= told.paid + repaid.max(0) - told.refunded;
        let effects = [
            (given_up > 0, Effect::WrittenOff(given_up)),
            (repaid > 0, Effect::Repaid(repaid)),
            (refunded > 0 && may_refund, Effect::Refunded(refunded)),
        ];
        effects.into_iter().filter_map(|(tells, effect)| tells.then_some(effect))
    }

    fn after(&self, effects: &[Effect]) -> Self {
        let mut after = self.clone();
        effects.iter().for_each(|effect| after.tell(effect));
        after
    }

    pub(super) fn new(user: &str, limit: Option<Sum>, mode: Mode) -> Self {
        Self {
            user: user.to_owned(),
            phase: Phase::Placed,
            mode,
            limit,
            bill: None,
            provisional: false,
            approved: false,
            stop_waits: false,
            fault: false,
            ghost_seen: false,
            ghost: None,
            corrected_by: 0,
            money: Money::default(),
            told: Money::default(),
            changes: 0,
            ends: 0,
        }
    }
}
