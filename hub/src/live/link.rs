//! Tickets of the driver's page: signed, stateless, good any number of times for the life of the order plus a day.
//!
//! `{orderNo}.{issued, seconds since 1970 in hex}.{first 128 bits of the HMAC-SHA256}` over order, user and issue time.
//! The user is not in the text: it is the order's owner, read with the order. Nothing is kept, so a link survives
//! restarts for as long as the signing key does.

use domain::{Millis, OrderNo, Timestamp, UserId};
use hmac::{Hmac, KeyInit, Mac};
use settlement::order::Order;
use sha2::{Digest, Sha256};

use crate::ids::hex;

/// How long a link is good after the end of its order.
const AFTER_THE_END: Millis = Millis::from_secs(24 * 3600);
const TAG_LEN: usize = 16;

/// Signs and checks links.
#[derive(Clone)]
pub(super) struct LinkKey([u8; 64]);

impl std::fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LinkKey")
    }
}

/// A link as it was read, not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) order_no: OrderNo,
    issued_s: i64,
    tag: [u8; TAG_LEN],
}

impl LinkKey {
    /// A key of its own, derived from the key that signs the HTTP tokens.
    pub(super) fn derive(jwt_key: &[u8]) -> Self {
        let digest = Sha256::new().chain_update(b"pilehub page link 1\0").chain_update(jwt_key).finalize();
        let mut key = [0; 64];
        key.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        Self(key)
    }

    /// The text of a link.
    pub(super) fn sign(&self, order_no: &OrderNo, owner: &UserId, now: Timestamp) -> String {
        let issued_s = now.as_millis().div_euclid(1000);
        let digest = self.mac(order_no, owner, issued_s).finalize().into_bytes();
        let tag = hex(digest.get(..TAG_LEN).unwrap_or_default());
        format!("{order_no}.{issued_s:x}.{tag}")
    }

    /// Whether a link was signed here for this order and its owner, and is still good.
    pub(super) fn allows(&self, claim: &Claim, order: &Order, now: Timestamp) -> bool {
        let signed =
            self.mac(&order.order_no, &order.user_id, claim.issued_s).verify_truncated_left(&claim.tag).is_ok();
        signed && claim.order_no == order.order_no && now < good_until(order, claim.issued_s)
    }

    fn mac(&self, order_no: &OrderNo, owner: &UserId, issued_s: i64) -> Hmac<Sha256> {
        // Neither a number nor a user has a zero byte, so the parts cannot be shifted into one another.
        Hmac::<Sha256>::new((&self.0).into())
            .chain_update(order_no.as_str())
            .chain_update(b"\0")
            .chain_update(owner.as_str())
            .chain_update(b"\0")
            .chain_update(issued_s.to_be_bytes())
    }
}

impl Claim {
    /// Reads a link; `None` when the text is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let (order_no, issued, tag) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || tag.len() != TAG_LEN * 2 || !tag.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        Some(Self {
            order_no: OrderNo::parse(order_no).ok()?,
            issued_s: i64::from_str_radix(issued, 16).ok()?,
            tag: u128::from_str_radix(tag, 16).ok()?.to_be_bytes(),
        })
    }
}

/// The pile's clock may be years off: a link is good for a day from its own issue in any case.
fn good_until(order: &Order, issued_s: i64) -> Timestamp {
    if !order.status.is_over() {
        return Timestamp::MAX;
    }
    let issued = Timestamp::EPOCH.plus(Millis::from_secs(issued_s));
    order.ended_at.unwrap_or(order.created_at).max(order.created_at).max(issued).plus(AFTER_THE_END)
}

#[cfg(test)]
mod tests {
    use settlement::order::OrderStatus;

    use super::*;
    use crate::live::samples::{changed, order};

    const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn at(s: i64) -> Timestamp {
        Timestamp::EPOCH.plus(Millis::from_secs(1_763_690_000 + s))
    }

    #[test]
    fn a_link_opens_its_order_and_no_other_after_a_restart_too() {
        let order = order("1001");
        let text = LinkKey::derive(KEY).sign(&order.order_no, &order.user_id, at(0));
        let claim = Claim::parse(&text).unwrap();
        assert!(LinkKey::derive(KEY).allows(&claim, &order, at(1)));
        assert!(!LinkKey::derive(b"another key").allows(&claim, &order, at(1)));
        let other = changed(&order, |o| o.order_no = OrderNo::parse("1002").unwrap());
        assert!(!LinkKey::derive(KEY).allows(&claim, &other, at(1)));
        let stranger = changed(&order, |o| o.user_id = UserId::parse("mallory").unwrap());
        assert!(!LinkKey::derive(KEY).allows(&claim, &stranger, at(1)));
    }

    #[test]
    fn any_changed_character_spoils_a_link() {
        let order = order("1001");
        let key = LinkKey::derive(KEY);
        let text = key.sign(&order.order_no, &order.user_id, at(0));
        for (i, _) in text.char_indices() {
            let mut bytes = text.clone().into_bytes();
            bytes[i] = if bytes[i] == b'1' { b'2' } else { b'1' };
            let spoiled = String::from_utf8(bytes).unwrap();
            let opens = Claim::parse(&spoiled).is_some_and(|claim| key.allows(&claim, &order, at(1)));
            assert!(!opens, "{spoiled}");
        }
        for text in ["", "1001", "1001.0.", "1001.0.zz", "..", &format!("{text}.0"), &text.replace('.', "-")] {
            assert_eq!(Claim::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_link_is_good_for_the_life_of_the_order_and_a_day() {
        let key = LinkKey::derive(KEY);
        let running = order("1001");
        let claim = Claim::parse(&key.sign(&running.order_no, &running.user_id, at(0))).unwrap();
        assert!(key.allows(&claim, &running, at(400 * 24 * 3600)));
        let over = changed(&running, |o| {
            o.status = OrderStatus::Closed;
            o.ended_at = Some(at(3600));
        });
        assert!(key.allows(&claim, &over, at(25 * 3600 - 1)));
        assert!(!key.allows(&claim, &over, at(25 * 3600)));
        let odd_clock = changed(&over, |o| o.ended_at = Some(Timestamp::EPOCH));
        assert!(key.allows(&claim, &odd_clock, at(3600)));
    }
}
