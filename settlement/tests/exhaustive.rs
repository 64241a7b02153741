//! Every reachable state of two drivers, one gun, one order each, with messages lost, repeated, late and reordered and the
//! hub killed between any two stored facts: in every state the money is right, and from every state everything ends well.
//!
//! Bound: so many faults ([`Bound`]) along one road; in which order things happen has no bound. Breadth first, so that
//! what is found comes with the shortest road to it. The number of states is printed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::as_conversions, reason = "a test may panic")]

mod support;
mod world;

use std::collections::{HashMap, HashSet, VecDeque};

use world::{Bound, Move, World};

/// How a state was first reached.
#[derive(Debug, Clone, Copy)]
struct From {
    state: usize,
    by: Option<Move>,
}

#[derive(Debug, Default)]
struct Search {
    number_of: HashMap<u64, usize>,
    /// Situations of one driver whose money was looked at.
    checked: HashSet<u64>,
    from: Vec<From>,
    /// Where each state was reached from; every edge.
    back: Vec<Vec<u32>>,
    settled: Vec<usize>,
}

impl Search {
    fn road_to(&self, state: usize) -> Vec<Move> {
        let mut road = Vec::new();
        let mut at = self.from[state];
        while let Some(by) = at.by {
            road.push(by);
            at = self.from[at.state];
        }
        road.reverse();
        road
    }

    /// The number of a state, and whether it is new.
    fn note(&mut self, key: u64, from: From) -> (usize, bool) {
        let next = self.from.len();
        let number = *self.number_of.entry(key).or_insert(next);
        let is_new = number == next;
        if is_new {
            self.from.push(from);
            self.back.push(Vec::new());
        }
        if from.by.is_some() {
            self.back[number].push(u32::try_from(from.state).unwrap());
        }
        (number, is_new)
    }

    /// The money of each driver, in every situation of that driver once.
    fn check(&mut self, world: &World, keys: [u64; 2], from: From) {
        for (driver, key) in keys.into_iter().enumerate() {
            if self.checked.insert(key) {
                let wrong = world.wrong(driver);
                let road = || (self.road_to(from.state), from.by);
                assert!(wrong.is_empty(), "{wrong:#?}\nthe road there: {:#?}\n{world:#?}", road());
            }
        }
    }

    fn run(&mut self, bound: Bound) {
        let first = World::new(bound);
        self.note(first.key(first.keys()), From { state: 0, by: None });
        let mut open = VecDeque::from([(0, first)]);
        while let Some((number, world)) = open.pop_front() {
            if world.is_settled() {
                self.settled.push(number);
            }
            for what in world.moves() {
                let next = world.after(what);
                let (keys, from) = (next.keys(), From { state: number, by: Some(what) });
                self.check(&next, keys, from);
                let (reached, is_new) = self.note(next.key(keys), from);
                if is_new {
                    open.push_back((reached, next));
                }
            }
        }
    }

    /// The first state from which the end cannot be reached any more.
    fn stuck(&self) -> Option<usize> {
        let mut reaches = vec![false; self.from.len()];
        let mut open = self.settled.clone();
        self.settled.iter().for_each(|state| reaches[*state] = true);
        while let Some(state) = open.pop() {
            for &before in &self.back[state] {
                let before = usize::try_from(before).unwrap();
                if !reaches[before] {
                    reaches[before] = true;
                    open.push(before);
                }
            }
        }
        reaches.iter().position(|reaches| !reaches)
    }
}

#[allow(clippy::print_stdout, reason = "the number of states is what the search shows")]
fn every_state_is_right_and_leads_to_the_end(bound: Bound, at_least: usize) {
    let mut search = Search::default();
    search.run(bound);
    let (states, edges) = (search.from.len(), search.back.iter().map(Vec::len).sum::<usize>());
    let (settled, situations) = (search.settled.len(), search.checked.len());
    println!("{bound:?}: {states} states, {edges} steps, {situations} situations of one driver, {settled} ends");
    if let Some(stuck) = search.stuck() {
        panic!("nothing leads from here to the end: {:#?}", search.road_to(stuck));
    }
    assert!(states >= at_least, "a search of {states} states has left something out");
}

#[test]
fn two_drivers_at_one_gun_come_to_a_right_end_from_every_state() {
    every_state_is_right_and_leads_to_the_end(Bound { drivers: 2, faults: 1 }, 500_000);
}

#[test]
fn one_driver_comes_to_a_right_end_from_every_state_of_many_faults() {
    every_state_is_right_and_leads_to_the_end(Bound { drivers: 1, faults: 4 }, 100_000);
}
