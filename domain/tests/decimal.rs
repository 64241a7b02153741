//! Decimals against tables, and against a reference that knows no integer arithmetic: it moves the point in the text
//! and adds one to a row of digits.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use domain::wire::decimal::{
    DecimalError::{self, Negative, NotANumber, NotWhole, TooLarge},
    scaled, scaled_non_negative, truncated, whole, write_scaled,
};
use proptest::prelude::*;

#[test]
fn half_a_unit_is_rounded_away_from_zero() {
    for (text, scale, expected) in [
        ("0", 3, 0),
        ("-0", 3, 0),
        ("007.50", 1, 75),
        ("0.4", 0, 0),
        ("0.5", 0, 1),
        ("-0.4", 0, 0),
        ("-0.5", 0, -1),
        ("-1.25", 1, -13),
        ("1.25", 1, 13),
        ("1.2499999999999999999999999999", 1, 12),
        ("0.05", 0, 0),
        ("9.9995", 3, 10_000),
        ("5e-1", 0, 1),
        ("5e-2", 0, 0),
        ("49e-2", 0, 0),
        ("1.25e2", 3, 125_000),
        ("1.25E+2", 3, 125_000),
        ("0e999999999999999999999999", 3, 0),
        ("0.000e-99999999999999999999", 3, 0),
        ("1e-99999999999999999999", 3, 0),
        ("9223372036854775.807", 3, i64::MAX),
        ("-9223372036854775.807", 3, -i64::MAX),
        ("9223372036854775.8074", 3, i64::MAX),
        ("0.0000000000000000000000000001e28", 0, 1),
        ("10000000000000000000000000000e-28", 0, 1),
    ] {
        assert_eq!(scaled(text, scale), Ok(expected), "{text}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    for text in [
        "9223372036854775808",
        "9223372036854775807.5",
        "-9223372036854775808",
        "1e19",
        "1e999999999999999999999",
        "1e9223372036854775807",
    ] {
        assert_eq!(scaled(text, 0), Err(TooLarge), "{text}");
        assert_eq!(truncated(text).is_err(), text != "9223372036854775807.5", "{text}");
    }
}

#[test]
fn what_is_no_number_is_refused() {
    for text in [
        "",
        "-",
        ".",
        "1.",
        ".5",
        "+1",
        "--1",
        "1e",
        "1e+",
        "1e-",
        "e1",
        "1e1.5",
        "1e1e1",
        "1.2.3",
        " 1",
        "1 ",
        "1_000",
        "1,5",
        "0x10",
        "NaN",
        "nan",
        "Infinity",
        "-Infinity",
        "inf",
        "one",
        "１",
        "1\0",
        "\n",
    ] {
        for read in [|text: &str| scaled(text, 3), |text: &str| scaled_non_negative(text, 3), whole, truncated] {
            assert_eq!(read(text), Err(NotANumber), "{text:?}");
        }
    }
}

#[test]
fn below_zero_is_refused_even_where_it_rounds_to_zero() {
    for (text, expected) in [
        ("-0", Ok(0)),
        ("-0.000e5", Ok(0)),
        ("-1", Err(Negative)),
        ("-0.0000001", Err(Negative)),
        ("-1e-99999999999999999999", Err(Negative)),
        ("-1e400", Err(Negative)),
    ] {
        assert_eq!(scaled_non_negative(text, 3), expected, "{text}");
    }
}

#[test]
fn whole_numbers_may_be_written_as_decimals() {
    for (text, expected) in [
        ("7", Ok(7)),
        ("7.000", Ok(7)),
        ("70e-1", Ok(7)),
        ("0.7e1", Ok(7)),
        ("-7.0", Ok(-7)),
        ("0e-5", Ok(0)),
        ("7.5", Err(NotWhole)),
        ("7.0000000000000000000000001", Err(NotWhole)),
        ("7e-1", Err(NotWhole)),
        ("1e-999999999999999999999", Err(NotWhole)),
    ] {
        assert_eq!(whole(text), expected, "{text}");
    }
    assert_eq!(truncated("7.999"), Ok(7));
    assert_eq!(truncated("-7.999"), Ok(-7));
}

#[test]
fn numbers_are_written_exactly_and_short() {
    for (value, scale, expected) in [
        (0, 3, "0"),
        (1, 3, "0.001"),
        (-1, 3, "-0.001"),
        (60_000, 3, "60"),
        (12_480, 3, "12.48"),
        (-7_005, 3, "-7.005"),
        (315, 1, "31.5"),
        (42, 0, "42"),
        (i64::MAX, 3, "9223372036854775.807"),
        (i64::MIN, 3, "-9223372036854775.808"),
    ] {
        let mut out = Vec::new();
        write_scaled(&mut out, value, scale);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

/// The same rule on paper: write all digits, put the point where it belongs, look at the digit behind it.
fn on_paper(negative: bool, int: &str, frac: &str, exponent: i32, scale: u8) -> Result<i64, DecimalError> {
    let pad = 120;
    let digits = format!("{}{int}{frac}{}", "0".repeat(pad), "0".repeat(pad));
    let point = i32::try_from(pad + int.len()).unwrap() + exponent + i32::from(scale);
    let (left, right) = digits.split_at(usize::try_from(point).unwrap());
    let mut kept: Vec<char> = format!("0{left}").chars().collect();
    if right.starts_with(['5', '6', '7', '8', '9']) {
        for digit in kept.iter_mut().rev() {
            if *digit == '9' {
                *digit = '0';
            } else {
                *digit = char::from_digit(digit.to_digit(10).unwrap() + 1, 10).unwrap();
                break;
            }
        }
    }
    let magnitude: String = kept.into_iter().collect();
    let magnitude = magnitude.trim_start_matches('0');
    let magnitude = if magnitude.is_empty() { "0" } else { magnitude };
    let value: i64 = magnitude.parse().map_err(|_| TooLarge)?;
    Ok(if negative { -value } else { value })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn every_decimal_agrees_with_the_one_on_paper(
        negative in any::<bool>(), int in "[0-9]{1,30}|0{0,3}[0-9]{1,12}", frac in "[0-9]{0,30}|[0-9]{3}[45]9{0,20}",
        exponent in prop_oneof![Just(0), -80..80_i32, -6..6_i32], written in any::<bool>(), scale in 0..=6_u8,
    ) {
        let point = if frac.is_empty() { "" } else { "." };
        let power = if written || exponent != 0 { format!("e{exponent}") } else { String::new() };
        let text = format!("{}{int}{point}{frac}{power}", if negative { "-" } else { "" });
        prop_assert_eq!(scaled(&text, scale), on_paper(negative, &int, &frac, exponent, scale), "{}", text);
    }

    #[test]
    fn what_is_written_reads_back(value in -i64::MAX..=i64::MAX, scale in 0..=18_u8) {
        let mut out = Vec::new();
        write_scaled(&mut out, value, scale);
        prop_assert_eq!(scaled(std::str::from_utf8(&out).unwrap(), scale), Ok(value));
    }

    #[test]
    fn any_text_is_read_without_panic(text in ".{0,40}|[-+0-9.eE]{0,40}") {
        let _ = (scaled(&text, 3), scaled_non_negative(&text, 3), whole(&text), truncated(&text));
    }
}
