//! Whole numbers in as few bytes as they need, and the reading of them from bytes that may be damaged.

/// The bytes are not what an encoder wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Damaged(pub(super) &'static str);

/// Writes 7 bits per byte, low ones first; the high bit says that more follow.
pub(super) fn put(buf: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        let [low, ..] = value.to_le_bytes();
        buf.push(low | 0x80);
        value >>= 7;
    }
    let [low, ..] = value.to_le_bytes();
    buf.push(low);
}

/// Writes a signed number; small ones of either sign are short.
pub(super) fn put_signed(buf: &mut Vec<u8>, value: i64) {
    put(buf, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

/// Takes one byte off the front.
pub(super) fn byte(rest: &mut &[u8]) -> Result<u8, Damaged> {
    let (first, others) = rest.split_first().ok_or(Damaged("ends in the middle"))?;
    *rest = others;
    Ok(*first)
}

/// Takes `len` bytes off the front.
pub(super) fn bytes<'a>(rest: &mut &'a [u8], len: usize) -> Result<&'a [u8], Damaged> {
    let (taken, others) = rest.split_at_checked(len).ok_or(Damaged("ends in the middle"))?;
    *rest = others;
    Ok(taken)
}

/// Takes an unsigned number off the front.
pub(super) fn take(rest: &mut &[u8]) -> Result<u64, Damaged> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let next = byte(rest)?;
        value |= u64::from(next & 0x7f) << shift;
        if next & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Damaged("number without end"))
}

/// Takes a signed number off the front.
pub(super) fn take_signed(rest: &mut &[u8]) -> Result<i64, Damaged> {
    let value = take(rest)?;
    Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_back_and_small_ones_are_short() {
        for (value, len) in [(0, 1), (-1, 1), (63, 1), (64, 2), (-65, 2), (220_100, 3), (i64::MAX, 10), (i64::MIN, 10)]
        {
            let mut buf = Vec::new();
            put_signed(&mut buf, value);
            assert_eq!(buf.len(), len, "{value}");
            let mut rest = buf.as_slice();
            assert_eq!(take_signed(&mut rest), Ok(value));
            assert!(rest.is_empty());
        }
    }

    #[test]
    fn what_was_cut_or_never_ends_is_damaged() {
        assert!(take(&mut [0x80].as_slice()).is_err());
        assert!(take(&mut [0xff; 11].as_slice()).is_err());
        assert!(bytes(&mut [1, 2].as_slice(), 3).is_err());
    }
}
