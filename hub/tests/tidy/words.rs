//! Rules about single lines: nothing unfinished, no dead code in comments, no sleeping in tests.

use crate::code::{has_word, only};
use crate::tree::{Breach, File};

/// Macros and attributes that put work off, as they stand in code. In pieces, so that this file keeps its own rule.
const PUT_OFF_IN_CODE: [&str; 4] = [concat!("to", "do!"), concat!("unimpl", "emented!"), "#[ignore", "dbg!("];
/// Words that put work off, wherever they stand.
const PUT_OFF_ANYWHERE: [&str; 4] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];
/// How a line of code begins that somebody kept as a comment.
const CODE_STARTS: [&str; 9] = ["let ", "use ", "pub ", "fn ", "return ", "self.", "impl ", "match ", "#["];

/// Nothing is put off: it is done, or an issue tells of it.
pub(crate) fn unfinished(file: &File) -> Vec<Breach> {
    let code = only(&file.text);
    let lines = file.text.lines().zip(code.lines()).enumerate();
    lines
        .filter_map(|(index, (text, code))| {
            let in_code = PUT_OFF_IN_CODE.iter().find(|word| code.contains(**word));
            let anywhere = PUT_OFF_ANYWHERE.iter().find(|word| has_word(text, word));
            in_code.or(anywhere).map(|word| {
                let rule = format!("`{word}` puts work off");
                Breach::at(file, index + 1, rule, "do it, delete it, or tell of it in an issue")
            })
        })
        .collect()
}

/// Old code lives in the history, not in comments.
pub(crate) fn commented_out(file: &File) -> Vec<Breach> {
    let looks_like_code = |line: &str| {
        let comment = line.trim_start().strip_prefix("// ").unwrap_or_default();
        CODE_STARTS.iter().any(|start| comment.starts_with(start)) && comment.ends_with([';', '{', '}', ']'])
    };
    let lines = file.text.lines().enumerate();
    lines
        .filter(|(_, line)| looks_like_code(line))
        .map(|(index, _)| Breach::at(file, index + 1, "code is kept as a comment", "delete it; the history keeps it"))
        .collect()
}

/// A test waits for what it tests, never for time to pass. In a test with a paused clock a sleep takes no time: there it
/// says what happens when.
pub(crate) fn sleeping(file: &File) -> Vec<Breach> {
    let code = only(&file.text);
    let mut paused_until = None;
    let mut found = Vec::new();
    for (index, line) in code.lines().enumerate().skip(file.tests_from()) {
        if line.contains("start_paused = true") {
            let indent = line.len().saturating_sub(line.trim_start().len());
            paused_until = Some(format!("{}}}", " ".repeat(indent)));
        } else if paused_until.as_deref() == Some(line) {
            paused_until = None;
        }
        if paused_until.is_none() && has_word(line, "sleep") && line.contains("sleep(") {
            let remedy = "wait for the event itself (a channel, a `timeout` around it), or pause the clock";
            found.push(Breach::at(file, index + 1, "a test does not sleep", remedy));
        }
    }
    found
}

#[test]
fn work_that_is_put_off_is_found_in_code_and_in_comments() {
    let [macro_word, ..] = PUT_OFF_IN_CODE;
    let [comment_word, ..] = PUT_OFF_ANYWHERE;
    let bad = format!("fn a() {{\n    {macro_word}()\n}}\n// {comment_word}: later\n#[ignore = \"slow\"]\n");
    let lines: Vec<usize> = unfinished(&File::new("a.rs", &bad)).iter().map(|breach| breach.line).collect();
    assert_eq!(lines, [2, 4, 5]);
    assert_eq!(
        unfinished(&File::new("a.rs", "// The word ignored is not an attribute.\nlet s = \"#[ignore]\";\n")),
        []
    );
}

#[test]
fn code_kept_as_a_comment_is_found_and_prose_is_not() {
    let bad = "    // let x = 1;\n// pub fn a() {\n";
    assert_eq!(commented_out(&File::new("a.rs", bad)).len(), 2);
    let prose = "// let the first one win; the others are told\n/// use it like this;\n// The end.\n";
    assert_eq!(commented_out(&File::new("a.rs", prose)), []);
}

#[test]
fn a_test_that_sleeps_is_found_and_a_driver_that_paces_itself_is_not() {
    let sleeps = "async fn a() {\n    tokio::time::sleep(A_SECOND).await;\n}\n";
    assert_eq!(sleeping(&File::new("hub/src/a.rs", sleeps)), []);
    assert_eq!(sleeping(&File::new("hub/tests/a.rs", sleeps)).len(), 1);
    assert_eq!(sleeping(&File::new("hub/src/a/tests.rs", sleeps)).len(), 1);
    assert_eq!(sleeping(&File::new("hub/src/a.rs", &format!("#[cfg(test)]\nmod tests {{\n{sleeps}}}\n"))).len(), 1);
    assert_eq!(sleeping(&File::new("hub/tests/a.rs", "// It does not sleep.\nuse tokio::time::sleep;\n")), []);
    let paused = format!("#[tokio::test(start_paused = true)]\n{sleeps}");
    assert_eq!(sleeping(&File::new("hub/tests/a.rs", &paused)), []);
    assert_eq!(sleeping(&File::new("hub/tests/a.rs", &format!("{paused}\n#[tokio::test]\n{sleeps}"))).len(), 1);
}
