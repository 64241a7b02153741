//! The name of a finished record that was not understood, as far as it can be made out.
//!
//! A charger keeps a record until it is answered by order number [CONTRACT 1.3, 1.6], so even a broken one must be
//! answered. Looks at the bytes only; nothing it finds is used for anything but that answer.

use super::decimal;

/// Longest order number that is sent back, in bytes. Beyond: the record stays without an answer.
const NAME_LEN_MAX: usize = 64;

/// What to call a record in its `record/ack`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordName {
    /// The text in `orderNo`; not necessarily an order number.
    pub order_no: String,
    /// The number in `seq`.
    pub seq: Option<u32>,
}

impl RecordName {
    /// Finds the name in a payload of any bytes; `None` when there is none to be found.
    ///
    /// The first `"orderNo": "…"` counts, wherever it stands.
    #[must_use]
    pub fn find(payload: &[u8]) -> Option<Self> {
        let order_no = value_of(payload, br#""orderNo""#)?.strip_prefix(b"\"")?;
        let end = order_no.iter().position(|byte| *byte == b'"')?;
        let order_no = std::str::from_utf8(order_no.get(..end)?).ok()?;
        if order_no.is_empty() || order_no.len() > NAME_LEN_MAX || order_no.contains(['\\', '\u{7f}']) {
            return None;
        }
        if order_no.bytes().any(|byte| byte < b' ') {
            return None;
        }
        Some(Self { order_no: order_no.to_owned(), seq: seq(payload) })
    }
}

fn seq(payload: &[u8]) -> Option<u32> {
    let value = value_of(payload, br#""seq""#)?;
    let value = value.strip_prefix(b"\"").unwrap_or(value);
    let end = value.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(value.len());
    let digits = std::str::from_utf8(value.get(..end)?).ok()?;
    u32::try_from(decimal::whole(digits).ok()?).ok()
}

/// What follows `key`, a colon and any spaces.
fn value_of<'a>(payload: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let at = payload.windows(key.len()).position(|window| window == key)?;
    let rest = payload.get(at.saturating_add(key.len())..)?;
    rest.trim_ascii_start().strip_prefix(b":").map(<[u8]>::trim_ascii_start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_is_not_understood_can_still_be_answered() {
        let name = |order_no: &str, seq| Some(RecordName { order_no: order_no.to_owned(), seq });
        for (payload, found) in [
            (r#"{"orderNo":"42","seq":31,"totalPower":-1}"#, name("42", Some(31))),
            (r#"{"totalPower":NaN, "seq" : "31" , "orderNo" : "42" "#, name("42", Some(31))),
            (r#"{"orderNo":"no such-order","totalPower":1}"#, name("no such-order", None)),
            (r#"{"orderNo":"42","seq":4294967296}"#, name("42", None)),
            (r#"{"orderNo":"42","seq":null}"#, name("42", None)),
            (r#"{"orderNo":"42","seq":"#, name("42", None)),
            (r#"{"orderNo":"订单"}"#, name("订单", None)),
            (r#"{"orderNo":42}"#, None),
            (r#"{"orderNo":"4\"2"}"#, None),
            (r#"{"orderNo":""}"#, None),
            (r#"{"orderNo":"42"#, None),
            (r#"{"orderNo""#, None),
            ("", None),
        ] {
            assert_eq!(RecordName::find(payload.as_bytes()), found, "{payload}");
        }
        assert_eq!(RecordName::find(format!(r#"{{"orderNo":"{}"}}"#, "9".repeat(65)).as_bytes()), None);
        assert_eq!(RecordName::find(b"\"orderNo\":\"\xff\""), None);
    }
}
