//! Yuan as channels write them ⇄ fen, on the digits themselves: no float, no rounding.

use domain::Fen;

/// Fen of a text such as `12.5`, `0.00`, `-3`: an optional sign, digits, at most two decimals. Nothing else.
#[must_use]
pub fn fen_of_yuan(text: &str) -> Option<Fen> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, cents) = match digits.split_once('.') {
        Some((_, "")) => return None,
        Some((whole, cents)) => (whole, cents),
        None => (digits, ""),
    };
    let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || cents.len() > 2 || !is_number(whole) || !is_number(cents) {
        return None;
    }
    let yuan: i64 = whole.parse().ok()?;
    // "5" after the point is fifty fen.
    let fen: i64 = format!("{cents:0<2}").parse().ok()?;
    let sum = yuan.checked_mul(100)?.checked_add(fen)?;
    Some(Fen(if negative { sum.checked_neg()? } else { sum }))
}

/// The text of a sum in yuan, with two decimals.
#[must_use]
pub fn yuan_of_fen(sum: Fen) -> String {
    let sign = if sum.0 < 0 { "-" } else { "" };
    let size = sum.0.unsigned_abs();
    format!("{sign}{}.{:02}", size.div_euclid(100), size.rem_euclid(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yuan_become_fen_digit_by_digit() {
        for (text, fen) in [
            ("0", 0),
            ("0.00", 0),
            ("0.0", 0),
            ("0.01", 1),
            ("0.1", 10),
            ("12.5", 1_250),
            ("12.05", 1_205),
            ("-0.01", -1),
            ("+3", 300),
            ("-3.10", -310),
            ("19.99", 1_999),
            ("0007.00", 700),
            ("92233720368547758.07", i64::MAX),
        ] {
            assert_eq!(fen_of_yuan(text), Some(Fen(fen)), "{text}");
        }
    }

    #[test]
    fn what_is_no_sum_of_yuan_is_refused() {
        for text in [
            "",
            "-",
            ".",
            ".5",
            "5.",
            "1.234",
            "1,000.00",
            "1e3",
            "1E3",
            "0x10",
            "--1",
            "+-1",
            "1 ",
            " 1",
            "¥1",
            "1.-5",
            "NaN",
            "inf",
            "92233720368547758.08",
            "99999999999999999999",
            "1.2.3",
            "１",
        ] {
            assert_eq!(fen_of_yuan(text), None, "{text}");
        }
    }

    #[test]
    fn fen_are_written_so_that_they_read_back() {
        for fen in [0, 1, 9, 10, 99, 100, 101, -1, -99, -100, 123_456_789, i64::MAX, i64::MIN + 1] {
            assert_eq!(fen_of_yuan(&yuan_of_fen(Fen(fen))), Some(Fen(fen)), "{fen}");
        }
        assert_eq!((yuan_of_fen(Fen(5)), yuan_of_fen(Fen(-1_205))), ("0.05".to_owned(), "-12.05".to_owned()));
    }
}
