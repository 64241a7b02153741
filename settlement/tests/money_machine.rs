//! Any interleaving of everything that may happen to the money of several drivers, against a model that shares no code:
//! repeats, plans that come late, commits of which only a prefix lands, restarts. Compared after every single fact.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
#![allow(clippy::wildcard_enum_match_arm, reason = "what the model does not name changes nothing")]

mod machine;
mod model;
mod support;

use std::{cell::Cell, collections::BTreeMap};

use machine::{Machine, Step, any_steps};
use proptest::{
    prelude::*,
    test_runner::{RngAlgorithm, TestError, TestRng, TestRunner},
};
use support::random::{Random, seed};

const LIVES: u32 = 500;

fn runner(test: &str) -> TestRunner {
    let mut random = Random::new(seed(test));
    let seed: Vec<u8> = (0..4).flat_map(|_| random.bits().to_le_bytes()).collect();
    let config = ProptestConfig { cases: LIVES, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
}

fn live(steps: &[Step]) -> Machine {
    let mut machine = Machine::new();
    steps.iter().for_each(|step| machine.step(step));
    machine.finish();
    machine
}

#[test]
fn any_interleaving_of_everything_keeps_the_money_and_agrees_with_the_model() {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let totals = Cell::new([0_u64; 3]);
    let counted = std::cell::RefCell::new(&mut seen);
    let result = runner("money_machine").run(&any_steps(), |steps| {
        let machine = live(&steps);
        for what in &machine.saw {
            *counted.borrow_mut().entry(what.clone()).or_default() += 1;
        }
        let [facts, cut, conflicts] = totals.get();
        totals.set([facts + machine.facts, cut + machine.cut, conflicts + machine.conflicts]);
        Ok(())
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(why, steps)) => panic!("{why}\nthe shortest road there: {steps:#?}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
    // A run that never got anywhere would prove nothing.
    let [facts, cut, conflicts] = totals.get();
    assert!(facts > 5_000 && cut > 500 && conflicts > 200, "{facts} facts, {cut} cut off, {conflicts} conflicts");
    for &what in machine::MUST_SEE {
        assert!(seen.get(what).copied().unwrap_or(0) >= 3, "{what} happened too rarely: {seen:#?}");
    }
}

#[test]
fn one_untrue_number_in_the_books_of_any_life_is_noticed() {
    let lives = (any_steps(), any::<u64>());
    let result = runner("untrue_number").run(&lives, |(steps, pick)| {
        let unnoticed = live(&steps).unnoticed(pick);
        prop_assert!(unnoticed.is_none(), "nobody notices: {}", unnoticed.unwrap_or_default());
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}
