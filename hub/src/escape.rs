//! Texts of other people's in documents of ours: never markup, never a formula.

/// A text that cannot be taken for markup.
pub(crate) fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

/// Whether a spreadsheet takes a text for a formula; in a table it gets an apostrophe in front.
pub(crate) fn is_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r'])
}
