//! The rules of the house as ordinary tests: what a reviewer would otherwise have to notice.
//!
//! A rule is a pure function from a file to its breaches, so that each is tried here on a small bad example too. It
//! looks at text and manifests only; it must not know what any crate does. CONTRIBUTING.md tells the rules in words.

mod code;
mod documents;
mod layers;
mod limits;
mod modules;
mod names;
mod tree;
mod words;

use tree::{Breach, File, Tree, rust_files};

/// Fails with one line per breach: file, line, rule, remedy.
fn assert_none(breaches: &[Breach]) {
    let told: Vec<String> = breaches.iter().map(ToString::to_string).collect();
    assert!(told.is_empty(), "{} breach(es) of the house rules\n{}\n", told.len(), told.join("\n"));
}

#[test]
fn every_module_starts_with_its_role() {
    assert_none(&Tree::read().rust(modules::role));
}

#[test]
fn no_file_is_longer_than_one_idea() {
    assert_none(&Tree::read().rust(modules::length));
}

#[test]
fn nothing_is_left_for_later() {
    assert_none(&Tree::read().rust(words::unfinished));
}

#[test]
fn no_code_is_kept_as_a_comment() {
    assert_none(&Tree::read().rust(words::commented_out));
}

#[test]
fn no_test_sleeps_to_wait() {
    assert_none(&Tree::read().rust(words::sleeping));
}

#[test]
fn every_test_is_named_by_a_sentence() {
    assert_none(&Tree::read().rust(names::sentences));
}

#[test]
fn every_limit_says_what_happens_at_it() {
    assert_none(&Tree::read().rust(limits::told));
}

#[test]
fn no_source_names_a_crate_that_belongs_to_another_layer() {
    assert_none(&Tree::read().rust(layers::sources));
}

#[test]
fn no_manifest_turns_an_arrow_of_the_layers_around() {
    assert_none(&Tree::read().manifests(layers::manifest));
}

#[test]
fn no_document_links_to_a_file_that_is_not_there() {
    let tree = Tree::read();
    assert_none(&tree.documents(|page| documents::links(page, &|path| tree.has(path))));
}

#[test]
fn the_map_fits_on_two_hundred_lines() {
    assert_none(&Tree::read().documents(documents::length));
}

#[test]
fn documents_name_only_files_and_functions_that_exist() {
    let tree = Tree::read();
    let code = |file: File| File { text: code::only(&file.text), ..file };
    let sources: Vec<File> = rust_files(&tree.root).into_iter().map(code).collect();
    assert_none(&tree.documents(|page| documents::names(page, &sources, &|path| tree.has(path))));
}

#[test]
fn the_tree_is_really_looked_at() {
    let tree = Tree::read();
    let sources = rust_files(&tree.root);
    for crate_name in layers::CRATES {
        let below = format!("{crate_name}/src/");
        assert!(sources.iter().any(|file| file.path.starts_with(&below)), "nothing was found below {below}");
    }
    assert!(sources.len() > 100, "only {} Rust files were found", sources.len());
    assert!(tree.has("ARCHITECTURE.md"), "the documents were not found");
}
