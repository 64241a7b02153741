//! Nonces that were used, each once, up to a limit.

use std::collections::{HashSet, VecDeque};

use parking_lot::Mutex;

use crate::limits::NONCES_MAX;

/// The nonces of one channel.
#[derive(Debug, Default)]
pub(crate) struct Nonces(Mutex<Used>);

#[derive(Debug, Default)]
struct Used {
    known: HashSet<String>,
    in_order: VecDeque<String>,
}

impl Nonces {
    /// Notes a nonce; `false` when it was used before. Only those of authentic callbacks are brought here, so strangers
    /// cannot push others out.
    pub(crate) fn is_fresh(&self, nonce: &str) -> bool {
        let mut used = self.0.lock();
        if !used.known.insert(nonce.to_owned()) {
            return false;
        }
        used.in_order.push_back(nonce.to_owned());
        if used.in_order.len() > NONCES_MAX
            && let Some(oldest) = used.in_order.pop_front()
        {
            used.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_fresh_once_and_only_the_oldest_are_forgotten() {
        let nonces = Nonces::default();
        assert!(nonces.is_fresh("a") && nonces.is_fresh("b") && !nonces.is_fresh("a"));
        for n in 0..NONCES_MAX - 1 {
            assert!(nonces.is_fresh(&n.to_string()));
        }
        assert!(!nonces.is_fresh("b"), "the limit is not reached by it");
        assert!(nonces.is_fresh("a"), "the oldest gave way");
        assert_eq!(nonces.0.lock().known.len(), NONCES_MAX);
    }
}
