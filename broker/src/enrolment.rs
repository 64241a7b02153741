//! Tokens with which a pile that has no secret comes in once: short enough to be typed on a keypad, good for minutes.
//!
//! Knows no pile and no clock. Only the spelling is here; who has a token, and that it works once, is in
//! [`Identities`](crate::Identities).

/// Characters of a token: 60 bits. At the gate's pace of guessing that is out of reach within its minutes of life.
pub const TOKEN_LEN: usize = 12;
/// Bits of one character.
const CHAR_BITS: usize = 5;

/// Digits and letters that cannot be mistaken for each other, as Crockford chose them.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The token that random bytes spell; the last four bits are not used.
#[must_use]
pub fn token_from(random: [u8; 8]) -> String {
    let bits = u64::from_be_bytes(random);
    let letter = |place: usize| {
        let shift = 64 - CHAR_BITS * (place + 1);
        let index = usize::try_from((bits >> shift) & 31).unwrap_or(0);
        ALPHABET.get(index).map_or('0', |byte| char::from(*byte))
    };
    (0..TOKEN_LEN).map(letter).collect()
}

/// What somebody typed, as the token is spelt: any case, `O` for zero, `I` and `L` for one, hyphens and spaces between.
/// `None` when no token looks like it.
pub(crate) fn spelt(typed: &[u8]) -> Option<[u8; TOKEN_LEN]> {
    let mut token = [0; TOKEN_LEN];
    let mut places = token.iter_mut();
    for byte in typed.iter().filter(|byte| !matches!(byte, b'-' | b' ')) {
        let letter = match byte.to_ascii_uppercase() {
            b'O' => b'0',
            b'I' | b'L' => b'1',
            other => other,
        };
        if !ALPHABET.contains(&letter) {
            return None;
        }
        *places.next()? = letter;
    }
    places.next().is_none().then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_twelve_characters_that_follow_from_all_its_bits() {
        assert_eq!(token_from([0; 8]), "000000000000");
        assert_eq!(token_from([0xff; 8]), "ZZZZZZZZZZZZ");
        assert_eq!(token_from([0x08, 0, 0, 0, 0, 0, 0, 0x10]), "100000000001");
    }

    #[test]
    fn a_token_is_understood_as_people_type_it() {
        let token = b"01ABCDEFGHJK";
        for typed in ["01ABCDEFGHJK", "01abcdefghjk", "oi-ABCD-EFGH-JK", "OL ab cd ef gh jk"] {
            assert_eq!(spelt(typed.as_bytes()).as_ref(), Some(token), "{typed}");
        }
        for other in ["", "01ABCDEFGHJ", "01ABCDEFGHJKM", "01ABCDEFGHJU", "01ABCDEFGH,K", &"0".repeat(64)] {
            assert_eq!(spelt(other.as_bytes()), None, "{other}");
        }
    }
}
