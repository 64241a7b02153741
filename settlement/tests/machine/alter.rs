//! Books with one number in them that is not true: the rules must notice.

use std::collections::BTreeSet;

use domain::{OrderNo, UserId};

use super::Machine;
use crate::support::books::Books;

type Alter = Box<dyn Fn(&mut Books)>;

impl Machine {
    /// Alters one number of the books, chosen by `pick`, and says which if no rule notices it.
    pub(crate) fn unnoticed(&self, pick: u64) -> Option<String> {
        let alterations = self.alterations();
        let count = u64::try_from(alterations.len()).unwrap();
        let (what, alter) = alterations.get(usize::try_from(pick.checked_rem(count)?).unwrap())?;
        let mut books = self.books.clone();
        alter(&mut books);
        let mut breaches = books.conservation(self.model.topped_up);
        // An order may be there without any operation of its account.
        let owners = books.orders.values().map(|order| &order.user_id);
        let users: BTreeSet<&UserId> = books.accounts.keys().chain(owners).collect();
        users.into_iter().for_each(|user| breaches.extend(books.breaches_of(user, true)));
        breaches.is_empty().then(|| what.clone())
    }

    fn alterations(&self) -> Vec<(String, Alter)> {
        let mut all: Vec<(String, Alter)> = Vec::new();
        for (user, entries) in &self.books.entries {
            for i in 0..entries.len() {
                all.extend(of_entry(user, i));
            }
        }
        for (user, account) in &self.books.accounts {
            let mut of_account = |what: &str, alter: fn(&mut settlement::ledger::AccountState)| {
                let user = user.clone();
                let name = format!("{what} of {user}");
                all.push((name, Box::new(move |books: &mut Books| alter(books.accounts.get_mut(&user).unwrap()))));
            };
            of_account("available", |account| account.available.0 += 1);
            of_account("frozen", |account| account.frozen.0 -= 1);
            if !account.debts.is_empty() {
                of_account("a debt", |account| drop(account.debts.pop_first()));
            }
            if !account.transit.is_empty() {
                of_account("a refund under way", |account| drop(account.transit.pop_first()));
            }
            if !account.suspense.is_empty() {
                of_account("money of nobody known", |account| drop(account.suspense.pop_first()));
            }
        }
        for (no, order) in self.books.orders.iter().filter(|(_, order)| order.status.is_over()) {
            all.extend(of_order(no));
            if order.bill.is_some() {
                let no = no.clone();
                let bill = move |books: &mut Books| {
                    let order = books.orders.get_mut(&no).unwrap();
                    order.bill.as_mut().unwrap().total_fen.0 += 1;
                };
                all.push(("the total of a bill".to_owned(), Box::new(bill)));
            }
        }
        all
    }
}

fn of_entry(user: &UserId, i: usize) -> [(String, Alter); 4] {
    let alter = |what: &str, alter: fn(&mut Vec<settlement::ledger::Entry>, usize)| -> (String, Alter) {
        let (name, user) = (format!("entry {i} of {user} {what}"), user.clone());
        (name, Box::new(move |books: &mut Books| alter(books.entries.get_mut(&user).unwrap(), i)))
    };
    [
        alter("one fen more", |entries, i| entries[i].amount.0 += 1),
        alter("taken out", |entries, i| drop(entries.remove(i))),
        alter("written twice", |entries, i| entries.push(entries[i].clone())),
        alter("turned round", |entries, i| {
            let entry = &mut entries[i];
            std::mem::swap(&mut entry.debit, &mut entry.credit);
        }),
    ]
}

fn of_order(no: &OrderNo) -> [(String, Alter); 5] {
    let alter = |what: &str, alter: fn(&mut settlement::order::Order)| -> (String, Alter) {
        let (name, no) = (format!("{what} of order {no}"), no.clone());
        (name, Box::new(move |books: &mut Books| alter(books.orders.get_mut(&no).unwrap())))
    };
    [
        alter("paid", |order| order.paid_fen.0 += 1),
        alter("released", |order| order.released_fen.0 += 1),
        alter("debt", |order| order.debt_fen.0 += 1),
        alter("refunded", |order| order.refunded_fen.0 += 1),
        alter("written off", |order| order.written_off_fen.0 += 1),
    ]
}
