//! The files of the repository, and what a breach of a rule looks like. Knows no rule.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::layers::CRATES;

/// Folders that hold no source of ours.
const SKIPPED: [&str; 5] = ["target", "node_modules", "dist", "data", ".git"];

/// One text file, its path relative to the root, with `/`.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// The crate (first folder) this file lies in.
    pub(crate) fn crate_name(&self) -> &str {
        self.path.split('/').next().unwrap_or_default()
    }

    /// Whether the whole file is test code: an integration test, or a `tests.rs` or `tests/` below `src`.
    pub(crate) fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    /// The index of the first line of test code; behind the last line when there is none. A test module is the last
    /// thing in its file.
    pub(crate) fn tests_from(&self) -> usize {
        if self.is_test() {
            return 0;
        }
        let lines: Vec<&str> = self.text.lines().collect();
        let is_module = |after: &&str| after.starts_with("mod ") && after.ends_with('{');
        let starts = |at: usize| {
            lines.get(at) == Some(&"#[cfg(test)]")
                && lines.iter().skip(at + 1).find(|line| !line.starts_with("#[")).is_some_and(is_module)
        };
        (0..lines.len()).find(|&at| starts(at)).unwrap_or(lines.len())
    }
}

/// A place where a rule is not kept. `line` counts from 1.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) rule: String,
    pub(crate) remedy: String,
}

impl Breach {
    pub(crate) fn at(file: &File, line: usize, rule: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { path: file.path.clone(), line, rule: rule.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}; {}", self.path, self.line, self.rule, self.remedy)
    }
}

/// The repository.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) root: PathBuf,
}

impl Tree {
    /// The repository this test was built from.
    pub(crate) fn read() -> Self {
        let hub = Path::new(env!("CARGO_MANIFEST_DIR"));
        Self { root: hub.parent().expect("hub lies in the repository").to_owned() }
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    pub(crate) fn rust(&self, rule: impl Fn(&File) -> Vec<Breach>) -> Vec<Breach> {
        rust_files(&self.root).iter().flat_map(rule).collect()
    }

    pub(crate) fn manifests(&self, rule: impl Fn(&File) -> Vec<Breach>) -> Vec<Breach> {
        CRATES.iter().map(|name| read(&self.root, format!("{name}/Cargo.toml"))).flat_map(|file| rule(&file)).collect()
    }

    pub(crate) fn documents(&self, rule: impl Fn(&File) -> Vec<Breach>) -> Vec<Breach> {
        let mut found = Vec::new();
        walk(&self.root, "", "md", &mut found);
        found.into_iter().map(|path| read(&self.root, path)).flat_map(|file| rule(&file)).collect()
    }
}

/// Every Rust file of the workspace.
pub(crate) fn rust_files(root: &Path) -> Vec<File> {
    let mut found = Vec::new();
    for name in CRATES {
        walk(root, name, "rs", &mut found);
    }
    found.into_iter().map(|path| read(root, path)).collect()
}

fn read(root: &Path, path: String) -> File {
    let text = fs::read_to_string(root.join(&path)).unwrap_or_else(|error| panic!("{path} cannot be read: {error}"));
    File { path, text }
}

fn walk(root: &Path, below: &str, extension: &str, found: &mut Vec<String>) {
    let entries = fs::read_dir(root.join(below)).unwrap_or_else(|error| panic!("{below} cannot be listed: {error}"));
    let mut names: Vec<(String, bool)> = entries
        .map(|entry| entry.expect("an entry can be read"))
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path().is_dir()))
        .collect();
    names.sort();
    for (name, is_dir) in names {
        let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
        if is_dir && !SKIPPED.contains(&name.as_str()) {
            walk(root, &path, extension, found);
        } else if !is_dir && Path::new(&name).extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
}

#[test]
fn code_of_tests_begins_at_the_test_module_and_not_at_an_item_for_tests() {
    let module = "fn a() {}\n#[cfg(test)]\nfn for_tests() {}\n#[cfg(test)]\n#[allow(x)]\nmod tests {\n}\n";
    assert_eq!(File::new("hub/src/a.rs", module).tests_from(), 3);
    assert_eq!(File::new("hub/src/a.rs", "#[cfg(test)]\nmod tests;\nfn a() {}\n").tests_from(), 3);
    assert_eq!(File::new("hub/tests/a.rs", module).tests_from(), 0);
}

#[test]
fn a_breach_says_file_line_rule_and_remedy() {
    let breach = Breach::at(&File::new("domain/src/lib.rs", ""), 7, "the rule", "the remedy");
    assert_eq!(breach.to_string(), "domain/src/lib.rs:7: the rule; the remedy");
}
