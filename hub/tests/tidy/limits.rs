//! The rule of `limits.rs`: a limit without what happens at it is only half a limit.

use crate::tree::{Breach, File};

/// How the documentation of a limit begins to tell what happens, or where it is told.
const TELLS: [&str; 6] = ["Beyond", "At it", "See [", "bounds", "close", "rests"];

/// Every constant of a `limits.rs` is documented, and every `_MAX` says what happens beyond it.
pub(crate) fn told(file: &File) -> Vec<Breach> {
    if !file.path.ends_with("/limits.rs") || file.is_test() {
        return Vec::new();
    }
    let mut doc = String::new();
    let mut found = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        let line = line.trim_start();
        if let Some(text) = line.strip_prefix("///") {
            doc.push_str(text);
        } else if let Some(name) = constant_name(line) {
            if doc.is_empty() {
                let rule = format!("`{name}` is not documented");
                found.push(Breach::at(file, index + 1, rule, "say its unit, and what happens beyond it"));
            } else if name.ends_with("_MAX") && !TELLS.iter().any(|tells| doc.contains(tells)) {
                let rule = format!("`{name}` does not say what happens at it");
                found.push(Breach::at(file, index + 1, rule, "add `Beyond: …` to its documentation"));
            }
            doc.clear();
        } else if !line.starts_with("#[") {
            doc.clear();
        }
    }
    found
}

/// The name of the constant that `line` declares; `_` (an assertion) has none.
fn constant_name(line: &str) -> Option<&str> {
    let declared = ["pub(crate) const ", "pub const ", "const "].iter().find_map(|start| line.strip_prefix(start))?;
    let (name, _) = declared.split_once(':')?;
    (name != "_").then_some(name)
}

#[test]
fn a_limit_that_does_not_say_what_happens_is_found() {
    let bad = "/// Frames in one batch.\npub const FRAMES_MAX: usize = 4;\n\npub(crate) const WAIT: u64 = 1;\n";
    let lines: Vec<usize> = told(&File::new("hub/src/limits.rs", bad)).iter().map(|breach| breach.line).collect();
    assert_eq!(lines, [2, 4]);
    let good = "/// Frames in one batch. Beyond: the next batch.\npub const FRAMES_MAX: usize = 4;\nconst _: () = assert!(true);\n";
    assert_eq!(told(&File::new("hub/src/limits.rs", good)), []);
    assert_eq!(told(&File::new("hub/src/other.rs", bad)), []);
}
