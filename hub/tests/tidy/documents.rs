//! Rules about the documents: links lead somewhere, names are true, and the map (ARCHITECTURE.md) stays short.

use crate::code::has_word;
use crate::tree::{Breach, File};

const MAP: &str = "ARCHITECTURE.md";
const MAP_LINES_MAX: usize = 200;

/// Links to files lead to files.
pub(crate) fn links(page: &File, exists: &dyn Fn(&str) -> bool) -> Vec<Breach> {
    let folder = page.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut found = Vec::new();
    for (index, line) in outside_code_blocks(&page.text) {
        for target in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = target.split('#').next().unwrap_or_default();
            let is_outside = target.contains("://") || target.starts_with("mailto:") || path.is_empty();
            if !is_outside && !exists(&join(folder, path)) {
                let rule = format!("the link to `{target}` leads nowhere");
                found.push(Breach::at(page, index + 1, rule, "mend the path, or take the link out"));
            }
        }
    }
    found
}

pub(crate) fn length(page: &File) -> Vec<Breach> {
    let lines = page.text.lines().count();
    if page.path != MAP || lines <= MAP_LINES_MAX {
        return Vec::new();
    }
    let rule = format!("{MAP} has at most {MAP_LINES_MAX} lines, and it has {lines}");
    vec![Breach::at(page, MAP_LINES_MAX + 1, rule, "a map that shows everything shows nothing: take something out")]
}

/// Files and functions that a document names exist. A code span with the ending of a file, or a `/` at its end, is a
/// path from the root (a bare file name may lie anywhere); one that ends in `()` is a function, looked for in the Rust
/// files named on the same line, else in every source. What stands before `::` in it is a type, a trait or a module. `sources` are without comments and literals.
pub(crate) fn names(page: &File, sources: &[File], exists: &dyn Fn(&str) -> bool) -> Vec<Breach> {
    let mut found = Vec::new();
    for (index, line) in outside_code_blocks(&page.text) {
        let spans: Vec<&str> = line.split('`').skip(1).step_by(2).collect();
        let paths: Vec<&str> = spans.iter().copied().filter(|span| is_path(span)).collect();
        let is_bare_name = |path: &str| sources.iter().any(|source| source.path.rsplit('/').next() == Some(path));
        for path in paths.iter().filter(|path| !exists(path) && !is_bare_name(path)) {
            let rule = format!("there is no `{path}`");
            found.push(Breach::at(page, index + 1, rule, "write the path as it is from the root"));
        }
        let rust: Vec<&str> = paths.into_iter().filter(|path| path.ends_with(".rs") || path.ends_with('/')).collect();
        let here = |source: &&File| rust.is_empty() || rust.iter().any(|path| source.path.starts_with(path));
        let near: Vec<&str> = sources.iter().filter(here).map(|source| source.text.as_str()).collect();
        for span in spans.iter().filter_map(|span| span.strip_suffix("()")) {
            if let Some(missing) = missing_part(span, &near) {
                let rule = format!("there is no `{missing}` for `{span}()` in what this line names");
                found.push(Breach::at(page, index + 1, rule, "write the name as it is in the source"));
            }
        }
    }
    found
}

/// A path of the repository, and not a topic, an address, a command or a pattern.
fn is_path(span: &str) -> bool {
    let is_plain = !span.starts_with(['/', '.', '*']) && !span.contains([' ', '{', '<', ':', '*', '$']);
    is_plain && (span.ends_with('/') || [".rs", ".toml", ".md", ".yml"].iter().any(|ending| span.ends_with(ending)))
}

/// The part of a function's path that no source defines.
fn missing_part<'a>(span: &'a str, codes: &[&str]) -> Option<&'a str> {
    let mut parts: Vec<&str> = span.split("::").collect();
    let function = parts.pop()?;
    let declared = |keyword: &str, name: &str| {
        let declaration = format!("{keyword} {name}");
        codes.iter().any(|code| code.lines().any(|line| has_word(line, &declaration)))
    };
    if !declared("fn", function) {
        return Some(function);
    }
    let is_known =
        |name: &&str| ["struct", "enum", "trait", "mod", "type"].iter().any(|keyword| declared(keyword, name));
    let is_near = |name: &&str| codes.iter().any(|code| code.lines().any(|line| has_word(line, name)));
    parts.into_iter().find(|name| !is_known(name) && !is_near(name))
}

/// The lines of a page that are not inside a fenced block, with their index.
fn outside_code_blocks(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut inside = false;
    text.lines().enumerate().filter(move |(_, line)| {
        let is_fence = line.trim_start().starts_with("```");
        inside ^= is_fence;
        !inside && !is_fence
    })
}

fn join(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let page =
        File::new("docs/a.md", "[a](../README.md) [b](b.md#top) [c](https://x.y/z) [d](#here)\n```\n[e](e.md)\n```\n");
    let none = links(&page, &|path| ["README.md", "docs/b.md"].contains(&path));
    assert_eq!(none, []);
    let bad = links(&page, &|path| path == "README.md");
    assert_eq!(bad.len(), 1);
    assert!(bad.iter().all(|breach| breach.line == 1 && breach.rule.contains("b.md#top")), "{bad:?}");
}

#[test]
fn a_map_that_has_grown_too_long_is_found() {
    assert_eq!(length(&File::new(MAP, &"x\n".repeat(MAP_LINES_MAX))), []);
    assert_eq!(length(&File::new(MAP, &"x\n".repeat(MAP_LINES_MAX + 1))).len(), 1);
    assert_eq!(length(&File::new("README.md", &"x\n".repeat(MAP_LINES_MAX + 1))), []);
}

#[test]
fn a_file_or_function_in_a_document_that_does_not_exist_is_found() {
    use crate::code::only;

    let sources = [
        File::new("a/src/one.rs", &only("struct Gate;\nimpl Gate {\n    fn accept() {}\n}\n// fn hidden() {}\n")),
        File::new("a/src/two.rs", "fn other() {}\n"),
    ];
    let exists = |path: &str| ["a/src/one.rs", "a/src/two.rs", "a/src/"].contains(&path);
    let breaches = |text: &str| names(&File::new("README.md", text), &sources, &exists).len();
    assert_eq!(breaches("`a/src/one.rs` `Gate::accept()` and `other`"), 0);
    assert_eq!(breaches("`accept()` then `other()` in `a/src/`"), 0);
    assert_eq!(breaches("`a/src/three.rs`"), 1);
    assert_eq!(breaches("`a/src/one.rs` `other()`"), 1, "a function is looked for in the file of its line");
    assert_eq!(breaches("`hidden()`"), 1, "a comment is no function");
    assert_eq!(breaches("`Door::accept()`"), 1, "its type does not exist");
    assert_eq!(breaches("every `one.rs` and `pile/{code}/` and `/data/`"), 0);
    assert_eq!(breaches("`config/none.toml`"), 1);
    assert_eq!(breaches("```\n`nothing()`\n```"), 0);
}
