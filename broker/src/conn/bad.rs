//! When a connection sent its last bad frames: too many in a minute and it is closed [CONTRACT 1.6].

use std::collections::VecDeque;

use crate::{
    limits::{BAD_FRAMES_MAX, BAD_FRAMES_WINDOW},
    uptime::Uptime,
};

/// The times of the last bad frames, never more than [`BAD_FRAMES_MAX`]. Takes no memory while there are none.
#[derive(Debug, Default)]
pub(crate) struct BadFrames(VecDeque<Uptime>);

impl BadFrames {
    /// Counts one more; whether it was one too many.
    pub(crate) fn one_more(&mut self, now: Uptime) -> bool {
        while self.0.front().is_some_and(|first| now.passed(*first, BAD_FRAMES_WINDOW)) {
            self.0.pop_front();
        }
        if self.0.len() < BAD_FRAMES_MAX {
            self.0.push_back(now);
        }
        self.0.len() >= BAD_FRAMES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_twentieth_within_a_minute_is_one_too_many() {
        let mut bad = BadFrames::default();
        for n in 1..BAD_FRAMES_MAX {
            assert!(!bad.one_more(Uptime::from_millis(100)), "the {n}th");
        }
        assert!(bad.one_more(Uptime::from_millis(60_099)));
    }

    #[test]
    fn nineteen_a_minute_are_borne_for_ever() {
        let mut bad = BadFrames::default();
        for n in 0_u64..10_000 {
            assert!(!bad.one_more(Uptime::from_millis(n * 60_000 / 19)), "the {n}th");
        }
    }
}
