//! Rules about a file as a whole: it says its role first, and it stays one idea long.

use crate::tree::{Breach, File};

/// No file is longer. From 400 lines on it is worth a second look.
const LINES_MAX: usize = 600;

/// Every module starts with a `//!` of at least a few words.
pub(crate) fn role(file: &File) -> Vec<Breach> {
    let first = file.text.lines().next().unwrap_or_default();
    let words = first.strip_prefix("//!").map_or(0, |role| role.split_whitespace().count());
    if words >= 3 {
        return Vec::new();
    }
    vec![Breach::at(
        file,
        1,
        "a module starts with a `//!` that says its role",
        "write what the module is for and what it must not know",
    )]
}

pub(crate) fn length(file: &File) -> Vec<Breach> {
    let lines = file.text.lines().count();
    if lines <= LINES_MAX {
        return Vec::new();
    }
    let rule = format!("a file has at most {LINES_MAX} lines, this one has {lines}");
    vec![Breach::at(file, LINES_MAX + 1, rule, "find the second idea in it and give it a file of its own")]
}

#[test]
fn a_module_without_its_role_is_found() {
    for bad in ["//! Stub.\n", "use std::fmt;\n", "//!\nuse std::fmt;\n", "// A plain comment is not enough.\n", ""] {
        assert_eq!(role(&File::new("domain/src/a.rs", bad)).len(), 1, "of {bad:?}");
    }
    assert_eq!(role(&File::new("domain/src/a.rs", "//! The words of a thing.\n")), []);
}

#[test]
fn a_file_of_six_hundred_and_one_lines_is_found() {
    assert_eq!(length(&File::new("a.rs", &"x\n".repeat(LINES_MAX))), []);
    assert_eq!(length(&File::new("a.rs", &"x\n".repeat(LINES_MAX + 1))).len(), 1);
}
