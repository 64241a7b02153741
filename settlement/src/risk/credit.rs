//! Who may charge first and pay later.

use domain::{Fen, OrderNo};

/// What is known of a driver who asks for credit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreditFacts {
    /// Orders that were closed and paid in full, as far as was looked.
    pub paid_orders: u32,
    /// What is owed at present.
    pub debt: Fen,
    /// An order on credit that is not over.
    pub open_order: Option<OrderNo>,
    /// Whether the driver is on the blacklist.
    pub blacklisted: bool,
}

/// What an operator asks of drivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreditRules {
    /// The most that is given on credit; 0: nobody gets any.
    pub limit: Fen,
    /// Orders that must have been paid in full before.
    pub paid_orders_min: u32,
}

/// Why no credit is given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CreditRefused {
    /// The operator gives none.
    #[error("this operator gives no credit: choose FREEZE or PREPAID")]
    Off,
    /// On the blacklist.
    #[error("the account is blocked")]
    Blacklisted,
    /// Something is owed.
    #[error("{0} are owed: repay first")]
    Debt(Fen),
    /// One at a time.
    #[error("order {0} on credit is not over: wait for its end")]
    OpenOrder(OrderNo),
    /// Not known well enough.
    #[error("{paid} orders were paid in full so far, {needed} are needed: choose FREEZE or PREPAID")]
    TooFewOrders {
        /// How many there are.
        paid: u32,
        /// How many are needed.
        needed: u32,
    },
}

/// How much may be charged on credit: the smaller of what is asked for and the operator's limit.
///
/// # Errors
/// [`CreditRefused`], the gravest reason first.
pub fn credit(facts: &CreditFacts, rules: &CreditRules, asked: Option<Fen>) -> Result<Fen, CreditRefused> {
    if rules.limit <= Fen::ZERO {
        return Err(CreditRefused::Off);
    }
    if facts.blacklisted {
        return Err(CreditRefused::Blacklisted);
    }
    if facts.debt > Fen::ZERO {
        return Err(CreditRefused::Debt(facts.debt));
    }
    if let Some(open) = &facts.open_order {
        return Err(CreditRefused::OpenOrder(open.clone()));
    }
    if facts.paid_orders < rules.paid_orders_min {
        return Err(CreditRefused::TooFewOrders { paid: facts.paid_orders, needed: rules.paid_orders_min });
    }
    Ok(asked.map_or(rules.limit, |asked| asked.min(rules.limit)))
}
