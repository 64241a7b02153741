//! I8: the books and the cases that move them say the same.

use std::collections::BTreeMap;

use domain::{Fen, UserId};

use super::Breach;
use crate::{
    ledger::AccountState,
    refund::{Refund, RefundSource},
    suspense::{Suspense, SuspenseState},
};

/// Refunds and money in suspense, to be compared with accounts and payments. Add all cases first, then check every
/// account and every payment once, then [`Cases::rest`]. Keeps what is under way, and a sum per refunded payment.
#[derive(Debug, Default)]
pub struct Cases {
    under_way: BTreeMap<(UserId, String), Fen>,
    suspense: BTreeMap<String, Suspended>,
    refunded: BTreeMap<String, i128>,
}

#[derive(Debug)]
struct Suspended {
    amount: Fen,
    /// Its owner was found: it may have left the suspense account already.
    may_be_gone: bool,
}

impl Cases {
    /// Adds a refund.
    pub fn add_refund(&mut self, refund: &Refund) {
        let RefundSource::Wallet { user_id } = &refund.source else { return };
        if refund.is_under_way() {
            self.under_way.insert((user_id.clone(), refund.refund_no.clone()), refund.amount);
        }
        if refund.covered && refund.state.counts() {
            let sum = self.refunded.entry(refund.payment_no.clone()).or_default();
            *sum = sum.saturating_add(refund.amount.0.into());
        }
    }

    /// Adds money in suspense.
    pub fn add_suspense(&mut self, suspense: &Suspense) {
        let may_be_gone = match suspense.state {
            SuspenseState::Open | SuspenseState::Requested | SuspenseState::Returning => false,
            SuspenseState::Approved => true,
            SuspenseState::Resolved => return,
        };
        self.suspense.insert(suspense.item.clone(), Suspended { amount: suspense.amount, may_be_gone });
    }

    /// What an account has under way or in suspense has a case, of the same amount.
    #[must_use]
    pub fn check_account(&mut self, account: &AccountState) -> Vec<Breach> {
        let user = &account.user_id;
        let transit = account.transit.iter().filter_map(|(refund_no, amount)| {
            let case = self.under_way.remove(&(user.clone(), refund_no.clone()));
            differs(&format!("account {user}: set aside for refund {refund_no}"), *amount, case)
        });
        let mut breaches: Vec<Breach> = transit.collect();
        breaches.extend(account.suspense.iter().filter_map(|(item, amount)| {
            let case = self.suspense.remove(item).map(|suspended| suspended.amount);
            differs(&format!("account {user}: in suspense as {item}"), *amount, case)
        }));
        breaches
    }

    /// What a payment says went back is the sum of its refunds.
    #[must_use]
    pub fn check_payment(&mut self, payment_no: &str, refunded: Fen) -> Option<Breach> {
        let sum = self.refunded.remove(payment_no).unwrap_or_default();
        (sum != i128::from(refunded.0)).then(|| {
            breach(format!("payment {payment_no}: says that {} fen went back, its refunds make {sum}", refunded.0))
        })
    }

    /// Cases whose money no account has, and refunds of payments there are not.
    #[must_use]
    pub fn rest(self) -> Vec<Breach> {
        let under_way = self.under_way.into_iter().map(|((user, refund_no), amount)| {
            breach(format!("refund {refund_no}: {} fen are not set aside in account {user}", amount.0))
        });
        let suspense = self.suspense.into_iter().filter(|(_, suspended)| !suspended.may_be_gone);
        let suspense = suspense.map(|(item, suspended)| {
            breach(format!("suspense {item}: {} fen are not in the suspense account", suspended.amount.0))
        });
        let refunded = self.refunded.into_iter().filter(|(_, sum)| *sum != 0);
        let refunded = refunded
            .map(|(payment_no, sum)| breach(format!("payment {payment_no}: {sum} fen went back, it is not there")));
        under_way.chain(suspense).chain(refunded).collect()
    }
}

fn differs(what: &str, amount: Fen, case: Option<Fen>) -> Option<Breach> {
    match case {
        Some(case) if case == amount => None,
        Some(case) => Some(breach(format!("{what}: {} fen, its case says {}", amount.0, case.0))),
        None => Some(breach(format!("{what}: {} fen without a case that is under way", amount.0))),
    }
}

const fn breach(what: String) -> Breach {
    Breach { rule: "I8", what }
}

#[cfg(test)]
mod tests {
    use domain::Timestamp;

    use super::*;
    use crate::{
        ledger::suspense_account,
        refund::RefundState,
        suspense::{SuspenseCause, SuspenseState},
    };

    const NOW: Timestamp = Timestamp::from_millis_clamped(1_763_690_000_000);

    fn anna() -> UserId {
        UserId::parse("anna").unwrap()
    }

    fn refund(no: &str, state: RefundState, covered: bool, amount: i64) -> Refund {
        Refund {
            refund_no: no.to_owned(),
            rev: 1,
            state,
            covered,
            source: RefundSource::Wallet { user_id: anna() },
            channel: "sandbox".to_owned(),
            payment_no: "Y1".to_owned(),
            transaction_id: "T1".to_owned(),
            paid: Fen(1_000),
            amount: Fen(amount),
            reason: "asked".to_owned(),
            by: anna(),
            requested_at: NOW,
            updated_at: NOW,
            due: None,
            tries: 0,
            asks: 0,
            channel_refund_id: None,
            last_words: None,
            decision: None,
        }
    }

    fn suspense(item: &str, state: SuspenseState, amount: i64) -> Suspense {
        Suspense {
            item: item.to_owned(),
            rev: 1,
            state,
            why: SuspenseCause::UnknownPayment,
            channel: "sandbox".to_owned(),
            transaction_id: item.to_owned(),
            payment_no: "Y9".to_owned(),
            amount: Fen(amount),
            paid_at: None,
            received_at: NOW,
            updated_at: NOW,
            due: None,
            resolution: None,
            refund_no: None,
            returns: 0,
        }
    }

    fn account(transit: &[(&str, i64)]) -> AccountState {
        let transit = transit.iter().map(|(no, amount)| ((*no).to_owned(), Fen(*amount))).collect();
        AccountState { transit, ..AccountState::new(anna()) }
    }

    fn suspended(items: &[(&str, i64)]) -> AccountState {
        let suspense = items.iter().map(|(item, amount)| ((*item).to_owned(), Fen(*amount))).collect();
        AccountState { suspense, ..AccountState::new(suspense_account()) }
    }

    /// One of each state.
    fn all() -> Cases {
        let mut cases = Cases::default();
        for refund in [
            refund("asked", RefundState::Requested, false, 1),
            refund("covered", RefundState::Requested, true, 2),
            refund("sent", RefundState::Sent, true, 4),
            refund("failed", RefundState::Failed, true, 8),
            refund("manual", RefundState::Manual, true, 16),
            refund("success", RefundState::Success, true, 32),
            refund("returned", RefundState::Returned, true, 64),
            refund("refused", RefundState::Refused, false, 128),
        ] {
            cases.add_refund(&refund);
        }
        for suspense in [
            suspense("open", SuspenseState::Open, 1),
            suspense("requested", SuspenseState::Requested, 2),
            suspense("approved", SuspenseState::Approved, 4),
            suspense("returning", SuspenseState::Returning, 8),
            suspense("resolved", SuspenseState::Resolved, 16),
        ] {
            cases.add_suspense(&suspense);
        }
        cases
    }

    const UNDER_WAY: [(&str, i64); 4] = [("covered", 2), ("sent", 4), ("failed", 8), ("manual", 16)];
    const SUSPENDED: [(&str, i64); 4] = [("open", 1), ("requested", 2), ("approved", 4), ("returning", 8)];
    const REFUNDED: Fen = Fen(2 + 4 + 8 + 16 + 32);

    /// What the checks say of these books.
    fn said(transit: &[(&str, i64)], items: &[(&str, i64)], refunded: Option<Fen>) -> Vec<String> {
        let mut cases = all();
        let mut breaches = cases.check_account(&account(transit));
        breaches.extend(cases.check_account(&suspended(items)));
        breaches.extend(refunded.and_then(|refunded| cases.check_payment("Y1", refunded)));
        breaches.extend(cases.check_payment("Y2", Fen::ZERO));
        breaches.extend(cases.rest());
        breaches.into_iter().map(|breach| breach.what).collect()
    }

    #[test]
    fn books_that_agree_with_their_cases_breach_nothing() {
        assert_eq!(said(&UNDER_WAY, &SUSPENDED, Some(REFUNDED)), [""; 0]);
        let without_the_claimed: Vec<_> = SUSPENDED.into_iter().filter(|(item, _)| *item != "approved").collect();
        assert_eq!(said(&UNDER_WAY, &without_the_claimed, Some(REFUNDED)), [""; 0]);
    }

    #[test]
    fn every_difference_is_told() {
        let first = |said: Vec<String>| (said.len(), said.into_iter().next().unwrap_or_default());
        let less = first(said(&UNDER_WAY[1..], &SUSPENDED, Some(REFUNDED)));
        assert_eq!(less, (1, "refund covered: 2 fen are not set aside in account anna".to_owned()));
        let more = first(said(&[&UNDER_WAY[..], &[("success", 32)]].concat(), &SUSPENDED, Some(REFUNDED)));
        let without = "account anna: set aside for refund success: 32 fen without a case that is under way";
        assert_eq!(more, (1, without.to_owned()));
        let other =
            first(said(&[("covered", 3), ("sent", 4), ("failed", 8), ("manual", 16)], &SUSPENDED, Some(REFUNDED)));
        assert_eq!(other, (1, "account anna: set aside for refund covered: 3 fen, its case says 2".to_owned()));
        let gone = first(said(&UNDER_WAY, &SUSPENDED[1..], Some(REFUNDED)));
        assert_eq!(gone, (1, "suspense open: 1 fen are not in the suspense account".to_owned()));
        let ownerless = first(said(&UNDER_WAY, &[&SUSPENDED[..], &[("resolved", 16)]].concat(), Some(REFUNDED)));
        let without = "account ~suspense: in suspense as resolved: 16 fen without a case that is under way";
        assert_eq!(ownerless, (1, without.to_owned()));
        let payment = first(said(&UNDER_WAY, &SUSPENDED, Some(Fen(63))));
        assert_eq!(payment, (1, "payment Y1: says that 63 fen went back, its refunds make 62".to_owned()));
        let nowhere = first(said(&UNDER_WAY, &SUSPENDED, None));
        assert_eq!(nowhere, (1, "payment Y1: 62 fen went back, it is not there".to_owned()));
    }
}
