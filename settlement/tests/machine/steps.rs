//! What may happen, drawn at random. Numbers are turned into orders and drivers by what there is at that moment.

use proptest::{collection::vec, prelude::*};

use crate::model::{Act, Mode, Sum};

/// How much of a commit lands, and what its caller does then.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lands {
    /// All of it.
    All,
    /// Only the first facts (modulo their number); then the same again, with what the store says was done.
    Cut { at: u8, again: bool },
    /// Nothing yet: it comes when nobody expects it any more.
    Late,
}

/// One step of a life.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// An order, of the driver with this number.
    Place { driver: u8, limit: Option<Sum>, mode: Mode, lands: Lands },
    /// Something happens to an order.
    Order { order: u8, act: Act, lands: Lands },
    /// Money comes in; `repeat` says with the name of an earlier payment.
    TopUp { driver: u8, amount: Sum, repeat: bool },
    /// Unused money is to go back through its channel.
    Withdraw { driver: u8, amount: Sum, repeat: bool },
    /// The channel gave it back, or will not.
    Withdrawn { driver: u8, which: u8, back: bool },
    /// Money came in for nobody known.
    Suspend { amount: Sum, repeat: bool },
    /// It is claimed for a driver, or sent back.
    Resolve { which: u8, back: bool },
    /// What was claimed reaches its driver.
    Receive { which: u8 },
    /// A commit that was thought lost lands after all, so many facts of it.
    Late { which: u8, at: u8 },
    /// The hub starts again and resumes every order.
    Restart,
}

fn fees() -> impl Strategy<Value = [Sum; 3]> {
    // The threshold and the hold themselves, and one fen beside them.
    let electricity = prop_oneof![
        3 => prop::sample::select(vec![0, 1, 999, 3_333, 3_750, 3_751, 5_000, 15_000, 15_001, 18_000]),
        2 => 0_i128..=9_000,
    ];
    electricity.prop_map(|electricity| [electricity, electricity / 3, 0])
}

fn lands() -> impl Strategy<Value = Lands> {
    prop_oneof![
        7 => Just(Lands::All),
        3 => (any::<u8>(), any::<bool>()).prop_map(|(at, again)| Lands::Cut { at, again }),
        1 => Just(Lands::Late),
    ]
}

/// Few, so that they repeat.
fn ids() -> impl Strategy<Value = String> {
    (0_u8..6).prop_map(|id| format!("I{id}"))
}

fn refund_amount() -> impl Strategy<Value = Sum> {
    prop_oneof![Just(0_i128), Just(1_000), 1_i128..=6_000]
}

fn act() -> impl Strategy<Value = Act> {
    let amount = prop_oneof![2 => Just(None), 3 => (1_i128..=4_000).prop_map(Some), 1 => Just(Some(0))];
    prop_oneof![
        8 => Just(Act::Evidence),
        1 => Just(Act::StartFails),
        1 => any::<bool>().prop_map(|online| Act::Stop { online }),
        1 => Just(Act::StopTaken),
        1 => Just(Act::StopUnanswered),
        1 => Just(Act::Fault),
        5 => fees().prop_map(Act::Record),
        5 => fees().prop_map(Act::EndSilently),
        3 => Just(Act::Approve),
        2 => Just(Act::Reject),
        4 => (amount, 0_u8..8).prop_map(|(amount, name)| Act::Repay { amount, request: format!("r{name}") }),
        3 => (ids(), refund_amount()).prop_map(|(id, amount)| Act::Refund { id, amount }),
        2 => (ids(), refund_amount()).prop_map(|(id, amount)| Act::WriteOff { id, amount }),
        1 => Just(Act::Resume),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let amount = || prop_oneof![Just(1_000_i128), 1_i128..=12_000];
    let limit = prop_oneof![2 => Just(None), 2 => (900_i128..=9_000).prop_map(Some)];
    let mode = prop_oneof![6 => Just(Mode::Freeze), 2 => Just(Mode::Prepaid), 1 => Just(Mode::Postpaid)];
    let rare = || prop::bool::weighted(0.2);
    prop_oneof![
        5 => (any::<u8>(), limit, mode, lands())
            .prop_map(|(driver, limit, mode, lands)| Step::Place { driver, limit, mode, lands }),
        30 => (any::<u8>(), act(), lands()).prop_map(|(order, act, lands)| Step::Order { order, act, lands }),
        8 => (any::<u8>(), amount(), rare()).prop_map(|(driver, amount, repeat)| Step::TopUp { driver, amount, repeat }),
        2 => (any::<u8>(), amount(), rare())
            .prop_map(|(driver, amount, repeat)| Step::Withdraw { driver, amount, repeat }),
        2 => (any::<u8>(), any::<u8>(), any::<bool>())
            .prop_map(|(driver, which, back)| Step::Withdrawn { driver, which, back }),
        1 => (amount(), rare()).prop_map(|(amount, repeat)| Step::Suspend { amount, repeat }),
        1 => (any::<u8>(), any::<bool>()).prop_map(|(which, back)| Step::Resolve { which, back }),
        1 => any::<u8>().prop_map(|which| Step::Receive { which }),
        3 => (any::<u8>(), any::<u8>()).prop_map(|(which, at)| Step::Late { which, at }),
        2 => Just(Step::Restart),
    ]
}

/// A life of several drivers.
pub(crate) fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    vec(step(), 20..150)
}
