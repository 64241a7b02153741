//! Sums as Alipay writes them: yuan with at most two decimals, exactly, never through a float.

use domain::Fen;

/// Digits before the point at most: more than there is money.
const WHOLE_LEN_MAX: usize = 13;

/// `"12"`, `"12.3"` or `"12.34"` in fen; `None` for anything else: a sign, an exponent, a third decimal.
pub(crate) fn fen_of(text: &str) -> Option<Fen> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || whole.len() > WHOLE_LEN_MAX || !digits(fraction) || fraction.len() > 2 {
        return None;
    }
    let hundredths: i64 = format!("{fraction:0<2}").parse().ok()?;
    let yuan: i64 = whole.parse().ok()?;
    yuan.checked_mul(100)?.checked_add(hundredths).map(Fen)
}

/// Fen as yuan with two decimals.
pub(crate) fn yuan_of(fen: Fen) -> String {
    let sign = if fen.0 < 0 { "-" } else { "" };
    let fen = fen.0.unsigned_abs();
    format!("{sign}{}.{:02}", fen / 100, fen % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yuan_are_read_exactly_or_not_at_all() {
        for (text, fen) in [
            ("0.01", Some(1)),
            ("1", Some(100)),
            ("12.3", Some(1_230)),
            ("88.88", Some(8_888)),
            ("0019.90", Some(1_990)),
            ("9999999999999.99", Some(999_999_999_999_999)),
            ("99999999999999", None),
            ("1.234", None),
            ("1.", None),
            (".5", None),
            ("-1.00", None),
            ("+1.00", None),
            ("1e2", None),
            (" 1.00", None),
            ("1,00", None),
            ("", None),
            ("一", None),
        ] {
            assert_eq!(fen_of(text), fen.map(Fen), "{text}");
        }
    }

    #[test]
    fn fen_are_written_as_they_are_read() {
        for fen in [0, 1, 10, 99, 100, 12_345, 1_000_000] {
            assert_eq!(fen_of(&yuan_of(Fen(fen))), Some(Fen(fen)));
        }
        assert_eq!(yuan_of(Fen(-5)), "-0.05");
    }
}
