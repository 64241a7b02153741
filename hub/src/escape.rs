//! Texts of other people's in documents of ours: never markup, never a formula.

use std::borrow::Cow;

/// A text that cannot be taken for markup.
pub(crate) fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

/// A text as a field of a table (RFC 4180). A spreadsheet takes one that begins like a formula for one: it is quoted and
/// gets an apostrophe in front. A negative number stays one.
pub(crate) fn csv(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) && !is_negative(text) {
        Cow::Owned(format!("\"'{}\"", text.replace('"', "\"\"")))
    } else if text.contains(['"', ',', '\r', '\n']) {
        Cow::Owned(format!("\"{}\"", text.replace('"', "\"\"")))
    } else {
        Cow::Borrowed(text)
    }
}

/// A number below zero as the hub writes it: `-12`, `-12.34`.
fn is_negative(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let Some(number) = text.strip_prefix('-') else { return false };
    match number.split_once('.') {
        Some((whole, part)) => digits(whole) && digits(part),
        None => digits(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_and_never_formulas_and_numbers_stay_numbers() {
        for (text, written) in [
            ("plain", "plain"),
            ("", ""),
            ("12.50", "12.50"),
            ("-12", "-12"),
            ("-12.34", "-12.34"),
            ("a=1", "a=1"),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=1+1", "\"'=1+1\""),
            ("+86", "\"'+86\""),
            ("-x", "\"'-x\""),
            ("-1-1", "\"'-1-1\""),
            ("-1.", "\"'-1.\""),
            ("-.5", "\"'-.5\""),
            ("-1.2.3", "\"'-1.2.3\""),
            ("-", "\"'-\""),
            ("@sum", "\"'@sum\""),
            ("\t=1", "\"'\t=1\""),
            ("=a\"b\nc", "\"'=a\"\"b\nc\""),
        ] {
            assert_eq!(csv(text), written, "{text:?}");
        }
    }
}
