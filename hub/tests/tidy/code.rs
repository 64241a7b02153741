//! Rust text without its comments and literals, so that a rule about code is not fooled by prose.

/// `text` with every comment and every literal blanked, character by character: lines and columns stay the same.
pub(crate) fn only(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let end = blank_end(&chars, at);
        if end > at {
            out.extend(chars.iter().take(end).skip(at).map(|&c| if c == '\n' { '\n' } else { ' ' }));
            at = end;
        } else {
            out.push(c);
            at += 1;
        }
    }
    out
}

/// Where the comment or literal that starts at `at` ends; `at` itself if none starts there.
fn blank_end(chars: &[char], at: usize) -> usize {
    let next = |offset: usize| chars.get(at + offset).copied();
    match (next(0), next(1)) {
        (Some('/'), Some('/')) => find(chars, at, |rest| rest.first() == Some(&'\n')),
        (Some('/'), Some('*')) => block_comment_end(chars, at),
        (Some('"'), _) => string_end(chars, at + 1),
        (Some('r'), Some('"' | '#')) if !continues_word(chars, at) => raw_string_end(chars, at),
        (Some('b'), Some('r')) if !continues_word(chars, at) => match raw_string_end(chars, at + 1) {
            end if end > at + 1 => end,
            _ => at,
        },
        // A lifetime has no closing quote one or two characters on; an escape always belongs to a literal.
        (Some('\''), Some('\\')) => find(chars, at + 3, |rest| rest.first() == Some(&'\'')) + 1,
        (Some('\''), Some(_)) if next(2) == Some('\'') => at + 3,
        _ => at,
    }
}

fn continues_word(chars: &[char], at: usize) -> bool {
    at.checked_sub(1).and_then(|before| chars.get(before)).is_some_and(|c| c.is_alphanumeric() || *c == '_')
}

fn find(chars: &[char], from: usize, stop: impl Fn(&[char]) -> bool) -> usize {
    (from..chars.len()).find(|&at| stop(chars.get(at..).unwrap_or_default())).unwrap_or(chars.len())
}

fn string_end(chars: &[char], mut at: usize) -> usize {
    while let Some(&c) = chars.get(at) {
        at += if c == '\\' { 2 } else { 1 };
        if c == '"' {
            return at;
        }
    }
    chars.len()
}

fn raw_string_end(chars: &[char], at: usize) -> usize {
    let hashes = chars.iter().skip(at + 1).take_while(|&&c| c == '#').count();
    if chars.get(at + 1 + hashes) != Some(&'"') {
        return at;
    }
    let mut closing = vec!['"'];
    closing.extend(std::iter::repeat_n('#', hashes));
    find(chars, at + 2 + hashes, |rest| rest.starts_with(&closing)) + closing.len()
}

fn block_comment_end(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while at < chars.len() {
        match (chars.get(at), chars.get(at + 1)) {
            (Some('/'), Some('*')) => depth += 1,
            (Some('*'), Some('/')) => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

/// Whether `word` stands in `line` with no letter, digit or underscore beside it.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    let part_of_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at + word.len()..).and_then(|text| text.chars().next());
        !part_of_word(before) && !part_of_word(after)
    })
}

#[test]
fn comments_and_literals_are_blanked_and_code_stays_in_its_place() {
    let cases = [
        ("a // b\nc", "a     \nc"),
        ("a /* b /* c */ d */ e", "a                   e"),
        ("f(\"x \\\" y\", z)", "f(        , z)"),
        ("f(r#\"a \" b\"#, z)", "f(          , z)"),
        ("f(br\"ab\", z)", "f(      , z)"),
        ("f::<'a>('b', '\\'', '\"')", "f::<'a>(   ,     ,    )"),
        ("for_r\"x\"", "for_r   "),
        ("r#type", "r#type"),
    ];
    for (text, expected) in cases {
        assert_eq!(only(text), expected, "of {text:?}");
    }
}

#[test]
fn a_word_is_not_found_inside_a_longer_one() {
    assert!(has_word("use axum::Router;", "axum"));
    assert!(!has_word("use utoipa_axum::router;", "axum"));
    assert!(!has_word("let axums = 1;", "axum"));
}
