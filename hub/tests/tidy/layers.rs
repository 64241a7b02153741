//! The layers: which crate may lean on which, and which outside crate lives in one layer alone.

use toml::{Table, Value};

use crate::code::{has_word, only};
use crate::tree::{Breach, File};

/// The crates of the workspace.
pub(crate) const CRATES: [&str; 7] = ["domain", "settlement", "store", "broker", "actors", "hub", "loadtest"];

/// Who may lean on whom. `hub` runs the simulated piles of `loadtest` in its demo.
const ARROWS: [(&str, &[&str]); 7] = [
    ("domain", &[]),
    ("settlement", &["domain"]),
    ("store", &["domain", "settlement"]),
    ("broker", &["domain"]),
    ("actors", &["domain", "settlement", "store"]),
    ("hub", &["domain", "settlement", "store", "broker", "actors", "loadtest"]),
    ("loadtest", &["domain"]),
];

/// An outside crate that belongs to some layers alone.
struct Owned {
    name: &'static str,
    /// Crates that may use it.
    by: &'static [&'static str],
    /// Crates whose tests may use it too.
    in_tests_of: &'static [&'static str],
    remedy: &'static str,
}

const OWNED: [Owned; 7] = [
    Owned { name: "rumqttd", by: &["broker"], in_tests_of: &[], remedy: "go through the broker crate" },
    Owned { name: "ractor", by: &["actors"], in_tests_of: &[], remedy: "go through actors::Handle" },
    Owned { name: "rusqlite", by: &["store"], in_tests_of: &["hub"], remedy: "go through a port of the store crate" },
    Owned { name: "axum", by: &["hub"], in_tests_of: &[], remedy: "HTTP lives in the hub crate" },
    Owned {
        name: "rumqttc",
        by: &["loadtest"],
        in_tests_of: &["broker", "hub"],
        remedy: "an MQTT client is for tests and load",
    },
    Owned {
        name: "tokio",
        by: &["store", "broker", "actors", "hub", "loadtest"],
        in_tests_of: &[],
        remedy: "keep it pure: `now` is an argument, effects are data",
    },
    Owned {
        name: "anyhow",
        by: &["hub", "loadtest"],
        in_tests_of: &[],
        remedy: "a library has an error enum of its own (thiserror)",
    },
];

/// No source names a crate that belongs to another layer.
pub(crate) fn sources(file: &File) -> Vec<Breach> {
    let code = only(&file.text);
    let of = file.crate_name();
    let mut found = Vec::new();
    for owned in OWNED.iter().filter(|owned| !owned.by.contains(&of)) {
        let looked_at = if owned.in_tests_of.contains(&of) { file.tests_from() } else { usize::MAX };
        let lines = code.lines().enumerate().take(looked_at);
        for (index, _) in lines.filter(|(_, line)| has_word(line, owned.name)) {
            let rule = format!("`{}` is not for `{of}`", owned.name);
            found.push(Breach::at(file, index + 1, rule, owned.remedy));
        }
    }
    found
}

/// No manifest leans the wrong way.
pub(crate) fn manifest(file: &File) -> Vec<Breach> {
    let of = file.crate_name();
    let Ok(table) = file.text.parse::<Table>() else {
        return vec![Breach::at(file, 1, "the manifest is TOML", "mend its syntax")];
    };
    let allowed = ARROWS.iter().find(|(name, _)| *name == of).map_or([].as_slice(), |(_, allowed)| *allowed);
    let mut found = Vec::new();
    for (section, in_tests) in [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)] {
        let names = table.get(section).and_then(Value::as_table).map(|table| table.keys()).into_iter().flatten();
        for name in names.map(String::as_str) {
            let line = line_of(file, section, name);
            // A crate may list itself among its test dependencies, to switch features on.
            if CRATES.contains(&name) && !allowed.contains(&name) && !(in_tests && name == of) {
                let rule = format!("`{of}` must not lean on `{name}`");
                found.push(Breach::at(
                    file,
                    line,
                    rule,
                    "turn the arrow around: a port in the lower crate, wired in hub",
                ));
            }
            let owned = OWNED.iter().find(|owned| owned.name == name);
            let is_own = |owned: &Owned| owned.by.contains(&of) || (in_tests && owned.in_tests_of.contains(&of));
            if let Some(owned) = owned.filter(|owned| !is_own(owned)) {
                found.push(Breach::at(file, line, format!("`{name}` is not for `{of}`"), owned.remedy));
            }
        }
    }
    found
}

fn line_of(file: &File, section: &str, name: &str) -> usize {
    let header = format!("[{section}]");
    let lines = file.text.lines().enumerate().skip_while(|(_, line)| line.trim() != header);
    lines.filter(|(_, line)| line.starts_with(name)).map(|(index, _)| index + 1).next().unwrap_or(1)
}

#[test]
fn every_crate_has_its_row_of_arrows_and_no_arrow_points_back() {
    assert_eq!(ARROWS.map(|(name, _)| name), CRATES);
    for (from, to) in ARROWS {
        for target in to {
            let back = ARROWS.iter().any(|(name, allowed)| name == target && allowed.contains(&from));
            assert!(!back, "{from} and {target} lean on each other");
        }
    }
}

#[test]
fn a_source_that_reaches_into_another_layer_is_found() {
    let file = |path, text| File::new(path, text);
    assert_eq!(sources(&file("hub/src/a.rs", "//! On rumqttd.\nuse rumqttd::Broker;\n")).len(), 1);
    assert_eq!(sources(&file("hub/src/a.rs", "use ractor::Actor;\n")).len(), 1);
    assert_eq!(sources(&file("actors/src/a.rs", "use rusqlite::Connection;\n")).len(), 1);
    assert_eq!(sources(&file("broker/src/a.rs", "use axum::Router;\n")).len(), 1);
    assert_eq!(sources(&file("domain/src/a.rs", "async fn a() { tokio::task::yield_now().await }\n")).len(), 1);
    assert_eq!(sources(&file("store/src/a.rs", "use anyhow::Result;\n")).len(), 1);
    assert_eq!(sources(&file("hub/tests/a.rs", "use rusqlite::Connection;\n")), []);
    assert_eq!(sources(&file("hub/src/a.rs", "/// Not ractor's business.\nuse axum::Router;\n")), []);
}

#[test]
fn a_manifest_that_leans_the_wrong_way_is_found() {
    let bad = "[package]\nname = \"domain\"\n\n[dependencies]\nserde.workspace = true\nstore.workspace = true\ntokio = \"1\"\n";
    let lines: Vec<usize> = manifest(&File::new("domain/Cargo.toml", bad)).iter().map(|breach| breach.line).collect();
    assert_eq!(lines, [6, 7]);
    let hub = "[dependencies]\nactors.workspace = true\nractor.workspace = true\n";
    assert_eq!(manifest(&File::new("hub/Cargo.toml", hub)).len(), 1);
    let store = "[dependencies]\nsettlement.workspace = true\n[dev-dependencies]\nstore = { path = \".\" }\n";
    assert_eq!(manifest(&File::new("store/Cargo.toml", store)), []);
    assert_eq!(manifest(&File::new("loadtest/Cargo.toml", "[dependencies]\nsettlement.workspace = true\n")).len(), 1);
}
