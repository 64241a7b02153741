//! New names for things, and the hexadecimal form of keys and digests.

use domain::Timestamp;
use sha2::{Digest as _, Sha256};

/// Digits and letters that cannot be mistaken for each other, as Crockford chose them.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters of the time part: 45 bits of milliseconds, good until the year 3084.
const TIME_LEN: u32 = 9;
/// Characters of the random part: 80 bits.
const RANDOM_LEN: usize = 16;
/// Characters of a derived name: 125 bits.
const DERIVED_LEN: usize = 25;

/// The system gives no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random bytes: {0}")]
pub(crate) struct NoRandomness(#[from] getrandom::Error);

/// A name nobody can guess, rising with time: `prefix`, then 25 letters and digits.
pub(crate) fn new_id(prefix: &str, now: Timestamp) -> Result<String, NoRandomness> {
    let random: [u8; RANDOM_LEN] = random_bytes()?;
    let ms = now.as_millis();
    let time = (0..TIME_LEN).rev().map(|place| letter((ms >> (5 * place)) & 31));
    let noise = random.iter().map(|byte| letter(i64::from(byte & 31)));
    Ok(prefix.chars().chain(time).chain(noise).collect())
}

/// A name that follows from what it is made from: `prefix`, then 25 letters and digits.
pub(crate) fn derived_id(prefix: &str, seed: &[u8]) -> String {
    let digest = Sha256::digest(seed);
    let letters = digest.iter().take(DERIVED_LEN).map(|byte| letter(i64::from(byte & 31)));
    prefix.chars().chain(letters).collect()
}

/// Random bytes from the system.
pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

fn letter(index: i64) -> char {
    usize::try_from(index).ok().and_then(|index| ALPHABET.get(index)).map_or('0', |byte| char::from(*byte))
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Hexadecimal digits of either case as bytes; `None` when it is none or of odd length.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_letters_and_digits_and_rise_with_time() {
        let at = |ms| new_id("T", Timestamp::from_millis(ms).unwrap()).unwrap();
        let (early, late) = (at(1_763_690_000_000), at(1_763_690_000_001));
        assert_eq!(early.len(), 26);
        assert!(early.bytes().all(|b| b.is_ascii_alphanumeric()));
        assert!(early < late);
    }

    #[test]
    fn a_derived_id_follows_from_its_seed_alone() {
        assert_eq!(derived_id("R", b"call"), derived_id("R", b"call"));
        assert_ne!(derived_id("R", b"call"), derived_id("R", b"other"));
        assert_eq!(derived_id("R", b"call").len(), 26);
    }

    #[test]
    fn hexadecimal_goes_both_ways() {
        assert_eq!(hex(&[0, 0x1f, 0xff]), "001fff");
        assert_eq!(unhex("001FfF"), Some(vec![0, 0x1f, 0xff]));
        for bad in ["0", "0g", "é0", "+1"] {
            assert_eq!(unhex(bad), None, "{bad}");
        }
    }
}
