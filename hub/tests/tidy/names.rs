//! The names of tests: a sentence tells what broke before anybody reads the test.

use crate::code::only;
use crate::tree::{Breach, File};

/// Words a name needs to be a sentence.
const WORDS_MIN: usize = 3;

pub(crate) fn sentences(file: &File) -> Vec<Breach> {
    let code = only(&file.text);
    let mut is_test = false;
    let mut found = Vec::new();
    for (index, line) in code.lines().enumerate() {
        let line = line.trim();
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        }
        let Some(name) = function_name(line) else { continue };
        if std::mem::take(&mut is_test) && (name.starts_with("test_") || name.split('_').count() < WORDS_MIN) {
            let rule = format!("the name of test `{name}` is not a sentence");
            found.push(Breach::at(
                file,
                index + 1,
                rule,
                "say what holds, as in `a_silent_pile_goes_offline`, without `test_`",
            ));
        }
    }
    found
}

/// The name of the function that `line` begins.
fn function_name(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let is_start = before.is_empty() || before.ends_with(' ');
    let name = after.split(|c: char| !(c.is_alphanumeric() || c == '_')).next()?;
    (is_start && !name.is_empty()).then_some(name)
}

#[test]
fn a_test_without_a_sentence_for_a_name_is_found() {
    let bad = "#[test]\nfn test_of_a_long_thing() {}\n#[tokio::test(start_paused = true)]\nasync fn parse() {}\nfn helper() {}\n";
    let lines: Vec<usize> = sentences(&File::new("a.rs", bad)).iter().map(|breach| breach.line).collect();
    assert_eq!(lines, [2, 4]);
    assert_eq!(sentences(&File::new("a.rs", "#[test]\nfn zero_energy_costs_nothing() {}\n")), []);
}
