//! Who may publish, subscribe and leave a will where: the whole of it, in one place. What is not allowed here is
//! forbidden.
//!
//! | credential | publish, will | subscribe |
//! |---|---|---|
//! | pile `P` (secret or certificate) | its own up topics: `pile/P/heartbeat` … | its own down topics: `pile/P/command`, `pile/P/record/ack` |
//!
//! A pile code contains no separator and no wildcard, so a topic that begins with `pile/P/` is P's and nobody else's.

use domain::wire::{DownTopic, UpTopic};

/// The up topic of its own that the pile `code` publishes on, or leaves a will on: a will is a promise to publish.
pub(crate) fn publish(code: &str, topic: &str) -> Option<UpTopic> {
    UpTopic::parse(topic).ok().filter(|(whose, _)| *whose == code).map(|(_, topic)| topic)
}

/// The down topic of its own that the pile `code` asks for with a filter. Every filter that is granted stands for
/// exactly one topic.
pub(crate) fn subscribe(code: &str, filter: &str) -> Option<DownTopic> {
    DownTopic::of_filter(filter, code)
}

#[cfg(test)]
mod tests {
    use domain::PileCode;

    use super::*;

    #[test]
    fn a_pile_has_six_topics_to_publish_on_and_two_to_hear() {
        for (topic, publish_on, hear) in [
            ("pile/P1/heartbeat", Some(UpTopic::Heartbeat), None),
            ("pile/P1/charging/status", Some(UpTopic::Status), None),
            ("pile/P1/charging/finished", Some(UpTopic::Finished), None),
            ("pile/P1/command/ack", Some(UpTopic::CommandAck), None),
            ("pile/P1/event", Some(UpTopic::Event), None),
            ("pile/P1/meter", Some(UpTopic::Meter), None),
            ("pile/P1/command", None, Some(DownTopic::Command)),
            ("pile/P1/record/ack", None, Some(DownTopic::RecordAck)),
            ("pile/P1/record/+", None, Some(DownTopic::RecordAck)),
        ] {
            assert_eq!((publish("P1", topic), subscribe("P1", topic)), (publish_on, hear), "{topic}");
            assert_eq!((publish("P2", topic), subscribe("P2", topic)), (None, None), "{topic} of another");
        }
    }

    #[test]
    fn whatever_is_not_its_own_by_the_letter_is_forbidden() {
        for topic in [
            "",
            "/",
            "#",
            "+",
            "$SYS/#",
            "$share/g/pile/P1/command",
            "pile",
            "pile/",
            "pile/P1",
            "pile/P1/",
            "pile/P1/#",
            "pile/P1/+",
            "pile/+/command",
            "pile/#",
            "pile/P1/heartbeat/",
            "/pile/P1/heartbeat",
            "pile//heartbeat",
            "pile/P1/command/",
            "pile/P1/command/#",
            "pile/P1/Command",
            "PILE/P1/command",
            "pile/P10/command",
            "pile/P/command",
            "pile/P1 /command",
            "pile/P1/../P2/command",
            "pile/P1/record/#",
            "桩/P1/heartbeat",
            "pile/桩/heartbeat",
            "pile/P1/heartbeat\0",
            "up",
            "pile/p1/heartbeat",
        ] {
            assert_eq!((publish("P1", topic), subscribe("P1", topic)), (None, None), "{topic:?}");
        }
    }

    /// A small generator of its own: the same numbers for the same seed, everywhere.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, below: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 % u64::try_from(below).unwrap()).unwrap()
        }

        fn one_of<'a>(&mut self, words: &[&'a str]) -> &'a str {
            words[self.roll(words.len())]
        }
    }

    #[test]
    fn of_a_million_random_credentials_verbs_and_topics_none_leaks() {
        const CODES: [&str; 8] = ["P1", "P10", "P", "p1", "pile", "command", "_", "-"];
        const LEVELS: [&str; 22] = [
            "pile",
            "P1",
            "P10",
            "P",
            "p1",
            "_",
            "-",
            "+",
            "#",
            "",
            "command",
            "ack",
            "record",
            "heartbeat",
            "charging",
            "status",
            "finished",
            "event",
            "meter",
            "$SYS",
            "桩",
            "$share",
        ];
        const UP: [&str; 6] = ["heartbeat", "charging/status", "charging/finished", "command/ack", "event", "meter"];
        const DOWN: [&str; 3] = ["command", "record/ack", "record/+"];
        const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
        let (mut dice, mut allowed) = (Dice(SEED), 0);
        for _ in 0..1_000_000 {
            let code = dice.one_of(&CODES);
            assert!(PileCode::parse(code).is_ok());
            let mut topic = String::new();
            // Half of them begin like an honest one: else next to nothing would be allowed.
            if dice.roll(2) == 0 {
                topic = format!("pile/{}/{}", dice.one_of(&CODES), dice.one_of(&[UP.as_slice(), &DOWN].concat()));
            } else {
                for level in 0..1 + dice.roll(5) {
                    topic.push_str(if level > 0 { "/" } else { "" });
                    topic.push_str(dice.one_of(&LEVELS));
                }
            }
            let own = topic.strip_prefix(&format!("pile/{code}/")).unwrap_or_default();
            assert_eq!(publish(code, &topic).is_some(), UP.contains(&own), "{code} publishes on {topic}");
            assert_eq!(subscribe(code, &topic).is_some(), DOWN.contains(&own), "{code} subscribes to {topic}");
            allowed += usize::from(UP.contains(&own) || DOWN.contains(&own));
        }
        assert!(allowed > 10_000, "the dice must roll what is allowed too: {allowed}");
    }
}
