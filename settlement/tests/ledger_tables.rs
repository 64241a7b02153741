//! Money tables: an account and an operation in, what the account and the books show out.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod support;

use domain::Fen;
use settlement::ledger::{
    AccountState, BookAccount as B, EntryKind as K, Fees, LedgerChange, LedgerError, LedgerOp, OpResult, apply,
};
use support::{account, no, ts};

fn fees(electricity: i64, service: i64) -> Fees {
    Fees { electricity: Fen(electricity), service: Fen(service), occupancy: Fen(0) }
}

fn run(account: &AccountState, op: &LedgerOp) -> Result<LedgerChange, LedgerError> {
    let change = apply(account, op, ts("08:00:00"))?;
    assert_eq!(change.expect_version, account.version);
    assert_eq!(change.next.version, account.version + 1);
    for (entry, seq) in change.entries.iter().zip(account.entry_seq + 1..) {
        assert_eq!((entry.seq, &entry.op, entry.at), (seq, &change.op, ts("08:00:00")));
        assert!(entry.amount > Fen(0) && entry.debit != entry.credit && entry.user_id == account.user_id);
    }
    assert_eq!(change.next.entry_seq, account.entry_seq + i64::try_from(change.entries.len()).unwrap());
    Ok(change)
}

fn hold(want: i64, min: i64) -> LedgerOp {
    LedgerOp::Hold { order_no: no("1"), want: Fen(want), min: Fen(min) }
}

fn capture(electricity: i64, service: i64) -> LedgerOp {
    LedgerOp::Capture { order_no: no("1"), fees: fees(electricity, service), from_hold_only: false }
}

fn correct(electricity: i64, service: i64) -> LedgerOp {
    LedgerOp::Correct { order_no: no("1"), fees: fees(electricity, service) }
}

fn repay(amount: i64) -> LedgerOp {
    LedgerOp::Repay { order_no: no("1"), amount: Fen(amount), request: "r1".to_owned() }
}

fn lines(change: &LedgerChange) -> Vec<(B, B, i64, K)> {
    change.entries.iter().map(|entry| (entry.debit, entry.credit, entry.amount.0, entry.kind)).collect()
}

/// An account with `available` left beside a hold of `held` for order 1.
fn with_hold(available: i64, held: i64) -> AccountState {
    let (account, _) = account(available + held);
    run(&account, &hold(held, 0)).unwrap().next
}

/// An account with `available` and a debt of `debt` for order 1.
fn with_debt(available: i64, debt: i64) -> AccountState {
    let taken = run(&with_hold(0, 0), &capture(debt, 0)).unwrap().next;
    if available == 0 {
        return taken;
    }
    run(&taken, &LedgerOp::TopUp { payment_no: "P2".to_owned(), amount: Fen(available) }).unwrap().next
}

#[test]
fn a_hold_freezes_the_lesser_of_limit_and_balance_and_never_less_than_the_minimum() {
    #[rustfmt::skip]
    let table = [
        // available  want   min    frozen, or why not
        ( 10_000,    5_000, 1_000, Ok(5_000)),
        (  5_000,    5_000, 1_000, Ok(5_000)),
        (  3_000,    5_000, 1_000, Ok(3_000)),
        (  1_000,    5_000, 1_000, Ok(1_000)),
        (    999,    5_000, 1_000, Err(LedgerError::InsufficientBalance { available: Fen(999), needed: Fen(1_000) })),
        (      0,    5_000, 1_000, Err(LedgerError::InsufficientBalance { available: Fen(0), needed: Fen(1_000) })),
        ( 10_000,      999, 1_000, Err(LedgerError::LimitBelowMinimum { limit: Fen(999), min: Fen(1_000) })),
        ( 10_000,    1_000, 1_000, Ok(1_000)),
        (      0,    5_000,     0, Ok(0)),
        ( 10_000,       -1,     0, Err(LedgerError::LimitBelowMinimum { limit: Fen(-1), min: Fen(0) })),
    ];
    for (available, want, min, expected) in table {
        let (account, _) = account(available);
        match (run(&account, &hold(want, min)), expected) {
            (Ok(change), Ok(frozen)) => {
                assert_eq!(change.result, OpResult::Held { amount: Fen(frozen) });
                assert_eq!((change.next.available.0, change.next.frozen.0), (available - frozen, frozen));
                assert_eq!(change.next.holds.get(&no("1")), Some(&Fen(frozen)));
            }
            (Err(refused), Err(expected)) => assert_eq!(refused, expected),
            (got, expected) => panic!("{available} {want} {min}: {got:?} is not {expected:?}"),
        }
    }
}

#[test]
fn a_capture_takes_the_hold_then_what_is_available_then_makes_a_debt() {
    #[rustfmt::skip]
    let table = [
        // available  hold   electricity service | paid  released debt | available after
        (  7_000,    5_000,    2_000,   1_000,     3_000,  2_000,    0,   9_000),
        (  7_000,    5_000,    3_000,   2_000,     5_000,      0,    0,   7_000),
        (  7_000,    5_000,    4_000,   2_000,     6_000,      0,    0,   6_000),
        (  7_000,    5_000,    8_000,   4_000,    12_000,      0,    0,       0),
        (  7_000,    5_000,    8_000,   4_001,    12_000,      0,    1,       0),
        (      0,    1_000,    3_000,   1_500,     1_000,      0, 3_500,      0),
        (      0,    1_000,        0,       0,         0,  1_000,    0,   1_000),
        (      0,        0,       70,      30,         0,      0,  100,       0),
        (    100,        0,       70,      30,       100,      0,    0,       0),
    ];
    for row @ (available, held, electricity, service, paid, released, debt, left) in table {
        let before = with_hold(available, held);
        let change = run(&before, &capture(electricity, service)).unwrap();
        let result = OpResult::Captured { paid: Fen(paid), released: Fen(released), debt: Fen(debt) };
        assert_eq!(change.result, result, "{row:?}");
        assert_eq!((change.next.available.0, change.next.frozen.0), (left, 0), "{row:?}");
        assert!(change.next.holds.is_empty());
        assert_eq!(change.next.debts.get(&no("1")).map_or(0, |debt| debt.0), debt, "{row:?}");
        let to = |account: B| lines(&change).iter().filter(|line| line.1 == account).map(|line| line.2).sum::<i64>();
        assert_eq!((to(B::EnergyRevenue), to(B::ServiceRevenue)), (electricity, service), "{row:?}");
    }
}

#[test]
fn a_capture_books_the_fees_in_their_order_from_its_sources_in_theirs() {
    let change = run(&with_hold(500, 1_000), &capture(1_200, 800)).unwrap();
    #[rustfmt::skip]
    assert_eq!(lines(&change), [
        (B::DriverFrozen,    B::EnergyRevenue,  1_000, K::Charge),
        (B::DriverAvailable, B::EnergyRevenue,    200, K::Charge),
        (B::DriverAvailable, B::ServiceRevenue,   300, K::Charge),
        (B::Receivable,      B::ServiceRevenue,   500, K::Debt),
    ]);
    let change = run(&with_hold(0, 1_000), &capture(300, 100)).unwrap();
    #[rustfmt::skip]
    assert_eq!(lines(&change), [
        (B::DriverFrozen, B::EnergyRevenue,   300, K::Charge),
        (B::DriverFrozen, B::ServiceRevenue,  100, K::Charge),
        (B::DriverFrozen, B::DriverAvailable, 600, K::Release),
    ]);
}

#[test]
fn occupancy_is_revenue_of_its_own() {
    let op = LedgerOp::Capture {
        order_no: no("1"),
        fees: Fees { electricity: Fen(1), service: Fen(2), occupancy: Fen(3) },
        from_hold_only: false,
    };
    let change = run(&with_hold(0, 10), &op).unwrap();
    assert_eq!(lines(&change)[2], (B::DriverFrozen, B::OccupancyRevenue, 3, K::Charge));
}

#[test]
fn a_correction_takes_from_available_then_owes_and_gives_back_to_the_debt_first() {
    #[rustfmt::skip]
    let table = [
        // available debt  electricity service | paid   debt | available debt after
        (  1_000,      0,     300,      200,      500,      0,    500,       0),
        (    400,      0,     300,      200,      400,    100,      0,     100),
        (      0,    250,     300,      200,        0,    500,      0,     750),
        (  1_000,    250,     300,      200,      500,      0,    500,     250),
        (  1_000,      0,    -300,     -200,     -500,      0,  1_500,       0),
        (  1_000,    250,    -300,     -200,     -250,   -250,  1_250,       0),
        (      0,    800,    -300,     -200,        0,   -500,      0,     300),
        (      0,    500,    -300,     -200,        0,   -500,      0,       0),
        (    100,      0,     300,     -250,       50,      0,     50,       0),
        (    100,      0,    -300,      250,      -50,      0,    150,       0),
        (    100,     30,    -300,      300,        0,      0,    100,      30),
    ];
    for row @ (available, debt, electricity, service, paid, owed, available_after, debt_after) in table {
        let before = if debt == 0 { account(available).0 } else { with_debt(available, debt) };
        let change = run(&before, &correct(electricity, service)).unwrap();
        assert_eq!(change.result, OpResult::Corrected { paid: Fen(paid), debt: Fen(owed) }, "{row:?}");
        let left = change.next.debts.get(&no("1")).map_or(0, |debt| debt.0);
        assert_eq!((change.next.available.0, left), (available_after, debt_after), "{row:?}");
        let earned = |account: B| {
            let side = |line: &(B, B, i64, K)| i64::from(line.1 == account) - i64::from(line.0 == account);
            lines(&change).iter().map(|line| side(line) * line.2).sum::<i64>()
        };
        assert_eq!((earned(B::EnergyRevenue), earned(B::ServiceRevenue)), (electricity, service), "{row:?}");
    }
}

#[test]
fn a_repayment_takes_at_most_the_debt_and_what_is_there() {
    #[rustfmt::skip]
    let table = [
        // available debt  amount
        (  1_000,    300,   300, Ok((700, 0))),
        (  1_000,    300,   100, Ok((900, 200))),
        (    300,    300,   300, Ok((0, 0))),
        (  1_000,    300,   301, Err(LedgerError::MoreThanDebt { order_no: no("1"), amount: Fen(301), debt: Fen(300) })),
        (    299,    300,   300, Err(LedgerError::InsufficientBalance { available: Fen(299), needed: Fen(300) })),
        (  1_000,    300,     0, Err(LedgerError::NotPositive(Fen(0)))),
        (  1_000,    300,    -5, Err(LedgerError::NotPositive(Fen(-5)))),
    ];
    for (available, debt, amount, expected) in table {
        let got = run(&with_debt(available, debt), &repay(amount));
        let got = got.map(|change| (change.next.available.0, change.next.debts.get(&no("1")).map_or(0, |debt| debt.0)));
        assert_eq!(got, expected);
    }
    assert_eq!(run(&account(100).0, &repay(1)).unwrap_err(), LedgerError::NoDebt(no("1")));
}

#[test]
fn a_void_gives_the_whole_hold_back() {
    let change = run(&with_hold(100, 900), &LedgerOp::Void { order_no: no("1") }).unwrap();
    assert_eq!(
        (change.next.available, change.next.frozen, change.result),
        (Fen(1_000), Fen(0), OpResult::Voided { released: Fen(900) })
    );
    let again = run(&change.next, &LedgerOp::Void { order_no: no("1") });
    assert_eq!(again.unwrap_err(), LedgerError::NoHold(no("1")));
}

#[test]
fn a_second_hold_of_an_order_and_any_hold_beside_a_debt_are_refused() {
    assert_eq!(run(&with_hold(9_000, 900), &hold(1_000, 1_000)).unwrap_err(), LedgerError::HoldExists(no("1")));
    let other = LedgerOp::Hold { order_no: no("2"), want: Fen(1_000), min: Fen(1_000) };
    let refused = run(&with_debt(9_000, 1), &other).unwrap_err();
    assert_eq!(refused, LedgerError::OpenDebt { order_no: no("1"), debt: Fen(1) });
    assert!(run(&with_hold(9_000, 900), &other).is_ok(), "two orders at once may each have a hold");
}

#[test]
fn a_ghost_charge_is_the_platforms_loss_and_leaves_the_driver_alone() {
    let (before, _) = account(1_000);
    let change = run(&before, &LedgerOp::GhostLoss { order_no: no("1"), fees: fees(30, 20) }).unwrap();
    assert_eq!((change.next.available, change.next.frozen), (Fen(1_000), Fen(0)));
    assert_eq!(change.result, OpResult::LossBooked { amount: Fen(50) });
    #[rustfmt::skip]
    assert_eq!(lines(&change), [
        (B::PlatformLoss, B::EnergyRevenue,  30, K::PlatformLoss),
        (B::PlatformLoss, B::ServiceRevenue, 20, K::PlatformLoss),
    ]);
}

#[test]
fn top_ups_and_refunds_are_credited_to_what_is_available() {
    let top_up = run(&account(5).0, &LedgerOp::TopUp { payment_no: "P9".to_owned(), amount: Fen(7) }).unwrap();
    assert_eq!(lines(&top_up), [(B::Channel, B::DriverAvailable, 7, K::TopUp)]);
    let refund = LedgerOp::Refund { order_no: no("1"), adjustment_id: "A1".to_owned(), amount: Fen(7) };
    let refund = run(&with_debt(5, 9), &refund).unwrap();
    assert_eq!(lines(&refund), [(B::Adjustment, B::DriverAvailable, 7, K::AfterSalesRefund)]);
    assert_eq!(refund.next.available, Fen(12));
    for amount in [0, -1] {
        let op = LedgerOp::TopUp { payment_no: "P9".to_owned(), amount: Fen(amount) };
        assert_eq!(run(&account(5).0, &op).unwrap_err(), LedgerError::NotPositive(Fen(amount)));
    }
}

#[test]
fn operations_are_named_after_what_they_are_about() {
    let names = [
        LedgerOp::TopUp { payment_no: "P1".to_owned(), amount: Fen(1) },
        hold(1, 1),
        LedgerOp::Void { order_no: no("1") },
        capture(1, 1),
        repay(1),
        correct(1, 1),
        LedgerOp::GhostLoss { order_no: no("1"), fees: fees(1, 1) },
        LedgerOp::Refund { order_no: no("1"), adjustment_id: "A1".to_owned(), amount: Fen(1) },
    ];
    let names: Vec<String> = names.iter().map(LedgerOp::name).collect();
    assert_eq!(names, ["topup:P1", "hold:1", "void:1", "capture:1", "repay:1:r1", "correct:1", "ghost:1", "refund:A1"]);
}

#[test]
fn sums_past_the_end_of_the_numbers_are_refused() {
    let rich = AccountState { available: Fen(i64::MAX), ..account(1).0 };
    let top_up = LedgerOp::TopUp { payment_no: "P9".to_owned(), amount: Fen(1) };
    let overflows = [
        (rich.clone(), top_up.clone()),
        (rich.clone(), correct(-1, 0)),
        (rich, correct(i64::MIN, 0)),
        (with_hold(0, 1), capture(i64::MAX, 1)),
        (account(1).0, correct(i64::MAX, 1)),
        (AccountState { version: i64::MAX, ..account(1).0 }, top_up.clone()),
        (AccountState { entry_seq: i64::MAX, ..account(1).0 }, top_up),
    ];
    for (account, op) in overflows {
        assert_eq!(apply(&account, &op, ts("08:00:00")), Err(LedgerError::Overflow), "{op:?}");
    }
}

#[test]
fn negative_fees_are_no_bill() {
    assert_eq!(run(&with_hold(0, 10), &capture(5, -1)).unwrap_err(), LedgerError::NegativeFee(Fen(-1)));
    let ghost = LedgerOp::GhostLoss { order_no: no("1"), fees: fees(-1, 5) };
    assert_eq!(run(&account(1).0, &ghost).unwrap_err(), LedgerError::NegativeFee(Fen(-1)));
}

#[test]
fn results_are_read_back_as_they_were_stored() {
    let result = OpResult::Captured { paid: Fen(1), released: Fen(2), debt: Fen(3) };
    let text = serde_json::to_string(&result).unwrap();
    assert_eq!(text, r#"{"did":"captured","paid":1,"released":2,"debt":3}"#);
    assert_eq!(serde_json::from_str::<OpResult>(&text).unwrap(), result);
}
