//! Decimals as whole numbers of a small unit, read from and written to their text: never through a float.
//!
//! A number is the text of a JSON number; leading zeros are allowed too, because chargers pad numeric strings.
//! Digits finer than the unit are rounded half up on the text itself, which for a negative number means away from
//! zero, as on paper. There is no exponent, however large, that costs more than reading its digits.

/// kWh to Wh, kW to W, V to mV, A to mA: a thousand small units make one on the wire.
pub const MILLI: u8 = 3;
/// °C to 0.1 °C, % to 0.1 %: ten small units make one on the wire.
pub const DECI: u8 = 1;

/// Why a text is no acceptable number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// Not the text of a number: empty, spaces, `NaN`, `Infinity`, letters …
    #[error("not a number")]
    NotANumber,
    /// Below zero where that makes no sense.
    #[error("must not be negative")]
    Negative,
    /// A part of a unit where only whole ones make sense.
    #[error("must be a whole number")]
    NotWhole,
    /// More than fits into 63 bits.
    #[error("too large")]
    TooLarge,
}

/// `text` times 10 to the power of `scale`, rounded half up (a negative number: half away from zero).
///
/// # Errors
/// [`DecimalError::NotANumber`], [`DecimalError::TooLarge`].
pub fn scaled(text: &str, scale: u8) -> Result<i64, DecimalError> {
    let number = Number::read(text)?;
    number.signed(number.cut(scale)?.rounded()?)
}

/// Like [`scaled`], for what cannot be negative. `-0` is zero; `-0.0001` is negative even where it rounds to zero.
///
/// # Errors
/// [`DecimalError::NotANumber`], [`DecimalError::Negative`], [`DecimalError::TooLarge`].
pub fn scaled_non_negative(text: &str, scale: u8) -> Result<i64, DecimalError> {
    let number = Number::read(text)?;
    if number.negative && !number.is_zero() {
        return Err(DecimalError::Negative);
    }
    to_i64(number.cut(scale)?.rounded()?)
}

/// A whole number: `7`, `7.0` and `70e-1` are, `7.5` is not.
///
/// # Errors
/// [`DecimalError::NotANumber`], [`DecimalError::NotWhole`], [`DecimalError::TooLarge`].
pub fn whole(text: &str) -> Result<i64, DecimalError> {
    let number = Number::read(text)?;
    let cut = number.cut(0)?;
    if !cut.exact {
        return Err(DecimalError::NotWhole);
    }
    number.signed(cut.floor)
}

/// The whole part of a number, its fraction cut off.
///
/// # Errors
/// [`DecimalError::NotANumber`], [`DecimalError::TooLarge`].
pub fn truncated(text: &str) -> Result<i64, DecimalError> {
    let number = Number::read(text)?;
    number.signed(number.cut(0)?.floor)
}

/// Appends `value` / 10 to the power of `scale` as the shortest JSON number that is exactly it.
pub fn write_scaled(out: &mut Vec<u8>, value: i64, scale: u8) {
    let mut digits = value.unsigned_abs().to_string();
    let places = usize::from(scale);
    if digits.len() <= places {
        let zeros = places.saturating_add(1).saturating_sub(digits.len());
        digits.insert_str(0, &"0".repeat(zeros));
    }
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(places));
    let fraction = fraction.trim_end_matches('0');
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(whole.as_bytes());
    if !fraction.is_empty() {
        out.push(b'.');
        out.extend_from_slice(fraction.as_bytes());
    }
}

/// A number taken apart: ± `int` . `frac` × 10 to the power of `exponent`.
struct Number<'a> {
    negative: bool,
    int: &'a [u8],
    frac: &'a [u8],
    exponent: i64,
}

/// The digits left of the cut, and what is to be known of those right of it.
struct Cut {
    floor: u64,
    half_or_more: bool,
    exact: bool,
}

impl<'a> Number<'a> {
    fn read(text: &'a str) -> Result<Self, DecimalError> {
        let bytes = text.as_bytes();
        let (negative, bytes) = match bytes.strip_prefix(b"-") {
            Some(rest) => (true, rest),
            None => (false, bytes),
        };
        let (int, bytes) = leading_digits(bytes)?;
        let (frac, bytes) = match bytes.strip_prefix(b".") {
            Some(rest) => leading_digits(rest)?,
            None => (&[][..], bytes),
        };
        let exponent = match bytes {
            [] => 0,
            [b'e' | b'E', b'-', rest @ ..] => read_exponent(rest)?.saturating_neg(),
            [b'e' | b'E', b'+', rest @ ..] | [b'e' | b'E', rest @ ..] => read_exponent(rest)?,
            _ => return Err(DecimalError::NotANumber),
        };
        Ok(Self { negative, int, frac, exponent })
    }

    fn digits(&self) -> impl Iterator<Item = u8> {
        self.int.iter().chain(self.frac).map(|byte| byte.wrapping_sub(b'0'))
    }

    fn is_zero(&self) -> bool {
        self.digits().all(|digit| digit == 0)
    }

    /// Cuts the number `scale` digits right of its point.
    fn cut(&self, scale: u8) -> Result<Cut, DecimalError> {
        let int_len = i64::try_from(self.int.len()).unwrap_or(i64::MAX);
        let kept = int_len.saturating_add(self.exponent).saturating_add(i64::from(scale));
        let mut digits = self.digits();
        let mut floor: u64 = 0;
        let mut left = kept;
        while left > 0 {
            let digit = match digits.next() {
                Some(digit) => digit,
                // Zeros after nothing but zeros change nothing; after anything else the loop overflows by the 20th.
                None if floor == 0 => break,
                None => 0,
            };
            floor = floor
                .checked_mul(10)
                .and_then(|tens| tens.checked_add(u64::from(digit)))
                .ok_or(DecimalError::TooLarge)?;
            left = left.saturating_sub(1);
        }
        // With `kept` below zero the first digit right of the cut is one of the zeros that are not written.
        let first = if kept < 0 { 0 } else { digits.next().unwrap_or(0) };
        Ok(Cut { floor, half_or_more: first >= 5, exact: first == 0 && digits.all(|digit| digit == 0) })
    }

    fn signed(&self, magnitude: u64) -> Result<i64, DecimalError> {
        let value = to_i64(magnitude)?;
        Ok(if self.negative { value.saturating_neg() } else { value })
    }
}

impl Cut {
    fn rounded(&self) -> Result<u64, DecimalError> {
        self.floor.checked_add(u64::from(self.half_or_more)).ok_or(DecimalError::TooLarge)
    }
}

fn to_i64(magnitude: u64) -> Result<i64, DecimalError> {
    i64::try_from(magnitude).map_err(|_| DecimalError::TooLarge)
}

/// At least one digit, and what follows.
fn leading_digits(bytes: &[u8]) -> Result<(&[u8], &[u8]), DecimalError> {
    let len = bytes.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len());
    if len == 0 {
        return Err(DecimalError::NotANumber);
    }
    Ok(bytes.split_at(len))
}

fn read_exponent(bytes: &[u8]) -> Result<i64, DecimalError> {
    let (digits, rest) = leading_digits(bytes)?;
    if !rest.is_empty() {
        return Err(DecimalError::NotANumber);
    }
    let add = |sum: i64, byte: &u8| sum.saturating_mul(10).saturating_add(i64::from(byte.wrapping_sub(b'0')));
    Ok(digits.iter().fold(0, add))
}
