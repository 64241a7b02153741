//! Every target on its committed inputs, and on inputs made of them that a printed seed repeats.

use std::{
    fs,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    path::{Path, PathBuf},
};

use super::{TARGETS, Target};

/// Inputs made per target, unless [`MADE_VARIABLE`] says otherwise: enough for the quick round.
const MADE: usize = 50_000;
/// How many inputs to make per target; `make test` makes a million.
const MADE_VARIABLE: &str = "PILEHUB_TEST_INPUTS";
/// Longest input that is made, in bytes.
const LEN_MAX: usize = 2_048;
/// A seed to run again.
const SEED_VARIABLE: &str = "PILEHUB_TEST_SEED";

#[test]
fn every_target_holds_for_its_committed_inputs() {
    for (name, target) in TARGETS {
        for input in committed(name) {
            target(&input);
        }
    }
}

#[test]
fn packets_hold_for_made_inputs() {
    holds("packets");
}

#[test]
fn connects_hold_for_made_inputs() {
    holds("connect");
}

#[test]
fn topics_hold_for_made_inputs() {
    holds("topics");
}

#[test]
fn frames_hold_for_made_inputs() {
    holds("frames");
}

#[test]
fn conversations_hold_for_made_inputs() {
    holds("conversation");
}

#[test]
fn every_target_has_its_program_for_libfuzzer() {
    let text = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let (manifest, makefile) = (text("fuzz/Cargo.toml"), text("Makefile"));
    let run = makefile.lines().find_map(|line| line.strip_prefix("FUZZ_TARGETS := ")).unwrap();
    assert_eq!(run.split(' ').collect::<Vec<_>>(), TARGETS.map(|(name, _)| name));
    for name in run.split(' ') {
        assert!(text(&format!("fuzz/fuzz_targets/{name}.rs")).contains(&format!("broker::fuzzing::{name}(input)")));
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
    }
}

#[test]
fn the_committed_inputs_are_few_and_small() {
    for (name, _) in TARGETS {
        let inputs = committed(name);
        assert!((5..=50).contains(&inputs.len()), "{name} has {} inputs", inputs.len());
        assert!(inputs.iter().all(|input| input.len() <= LEN_MAX), "{name}");
    }
}

#[allow(clippy::print_stdout, reason = "a failed random test is worth nothing without its seed")]
fn holds(name: &str) {
    let (_, target): (_, Target) = *TARGETS.iter().find(|(other, _)| *other == name).unwrap();
    let given = std::env::var(SEED_VARIABLE).ok().map(|text| text.parse().unwrap());
    let seed = given.unwrap_or_else(|| RandomState::new().build_hasher().finish());
    println!("{name}: {SEED_VARIABLE}={seed}");
    let (mut random, inputs) = (Random(seed), committed(name));
    for _ in 0..std::env::var(MADE_VARIABLE).map_or(MADE, |text| text.parse().unwrap()) {
        target(&made(&mut random, &inputs));
    }
}

/// The repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The inputs of a target that lie in the repository, in the order of their names.
fn committed(name: &str) -> Vec<Vec<u8>> {
    let folder = root().join("fuzz/seeds").join(name);
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// A committed input, changed in a few places; now and then bytes of no sense at all.
fn made(random: &mut Random, inputs: &[Vec<u8>]) -> Vec<u8> {
    if random.below(16) == 0 {
        let len = random.below(64);
        return (0..len).map(|_| random.byte()).collect();
    }
    let mut input = inputs[random.below(inputs.len())].clone();
    for _ in 0..=random.below(4) {
        change(random, &mut input, inputs);
    }
    input.truncate(LEN_MAX);
    input
}

fn change(random: &mut Random, input: &mut Vec<u8>, inputs: &[Vec<u8>]) {
    let (at, to) = (random.below(input.len() + 1), random.below(input.len() + 1));
    let (from, until) = (at.min(to), at.max(to));
    match random.below(7) {
        0 => input.insert(at, random.byte()),
        1 => drop(input.drain(from..until.min(from + 4))),
        2 => {
            let again = input[from..until].to_vec();
            input.splice(until..until, again);
        }
        3 => {
            let other = &inputs[random.below(inputs.len())];
            let part = &other[random.below(other.len() + 1)..];
            input.splice(from..until, part.iter().copied());
        }
        _ if at == input.len() => input.push(random.byte()),
        4 => input[at] ^= 1 << random.below(8),
        5 => input[at] = [0, 1, 0x7f, 0x80, 0xff, b'/', b'+', b'#', b'"', b'-'][random.below(10)],
        _ => input[at] = random.byte(),
    }
}

/// Random numbers that a seed repeats (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}
