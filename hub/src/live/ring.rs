//! The last deltas of one order, for phones that come back and for those that read slowly.
//!
//! Pure: texts in, texts out. Numbers are without gaps; the newest has number `last`.

use std::collections::VecDeque;

use axum::extract::ws::Utf8Bytes;

use super::limits::{RING_BYTES_MAX, RING_LEN_MAX};

/// The window of deltas that can be sent again.
#[derive(Debug, Default)]
pub(super) struct Ring {
    texts: VecDeque<Utf8Bytes>,
    bytes: usize,
    last: u64,
}

impl Ring {
    /// An empty window after number `last`.
    pub(super) fn after(last: u64) -> Self {
        Self { texts: VecDeque::new(), bytes: 0, last }
    }

    /// Number of the newest delta.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Adds the delta with number `last() + 1`.
    pub(super) fn push(&mut self, text: Utf8Bytes) {
        self.bytes = self.bytes.saturating_add(text.len());
        self.texts.push_back(text);
        self.last = self.last.saturating_add(1);
        while self.texts.len() > RING_LEN_MAX || (self.bytes > RING_BYTES_MAX && self.texts.len() > 1) {
            let Some(oldest) = self.texts.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(oldest.len());
        }
    }

    /// Whether everything after number `since` is here, so that a reader may go on from there.
    pub(super) fn reaches(&self, since: u64) -> bool {
        since <= self.last && usize::try_from(self.last.saturating_sub(since)).is_ok_and(|n| n <= self.texts.len())
    }

    /// The delta after number `since`; `None` when it is gone or not there yet.
    pub(super) fn after_seq(&self, since: u64) -> Option<&Utf8Bytes> {
        let behind = usize::try_from(self.last.checked_sub(since)?).ok()?;
        if behind == 0 {
            return None;
        }
        self.texts.get(self.texts.len().checked_sub(behind)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(n: u64) -> Ring {
        let mut ring = Ring::after(0);
        for seq in 1..=n {
            ring.push(Utf8Bytes::from(seq.to_string()));
        }
        ring
    }

    #[test]
    fn the_last_256_deltas_can_be_sent_again_and_no_older_one() {
        let ring = filled(1000);
        assert_eq!(ring.last(), 1000);
        assert!(ring.reaches(1000) && ring.reaches(744));
        assert!(!ring.reaches(743), "one too old");
        assert!(!ring.reaches(1001), "not there yet");
        for since in 744..1000 {
            assert_eq!(ring.after_seq(since).unwrap().as_str(), (since + 1).to_string());
        }
        assert_eq!(ring.after_seq(1000), None);
        assert_eq!(ring.after_seq(743), None);
    }

    #[test]
    fn a_window_that_was_never_full_reaches_back_to_its_beginning() {
        let mut ring = Ring::after(41);
        assert!(ring.reaches(41) && !ring.reaches(40));
        ring.push(Utf8Bytes::from_static("42"));
        assert!(ring.reaches(41));
        assert_eq!(ring.after_seq(41).unwrap().as_str(), "42");
    }

    #[test]
    fn big_deltas_push_old_ones_out_by_their_bytes() {
        let mut ring = Ring::after(0);
        for _ in 0..100 {
            ring.push(Utf8Bytes::from("x".repeat(10_000)));
        }
        assert!(ring.bytes <= RING_BYTES_MAX);
        assert!(ring.reaches(100 - 26) && !ring.reaches(100 - 27), "26 of 10,000 bytes fit into 256 KiB");
        ring.push(Utf8Bytes::from("x".repeat(RING_BYTES_MAX + 1)));
        assert!(ring.reaches(100), "the newest is always kept");
    }
}
