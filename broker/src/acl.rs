//! Who may publish, subscribe and leave a will where: the whole of it, in one place. What is not allowed here is
//! forbidden.
//!
//! | credential | publish, will | subscribe |
//! |---|---|---|
//! | pile `P` (secret or certificate) | its own up topics: `pile/P/heartbeat` … | its own down topics: `pile/P/command`, `pile/P/record/ack` |
//! | integration `integration:N` (secret) | nothing, no will | `pile/+/T`, `pile/P/T`, `pile/+/#`, `pile/P/#`: of the piles of its stations the up topics it was granted |
//!
//! A pile code contains no separator and no wildcard, so a topic that begins with `pile/P/` is P's and nobody else's.

use domain::{
    PileCode, StationId,
    wire::{DownTopic, UpTopic},
};

use crate::readers::Grants;

/// The up topic of its own that the pile `code` publishes on, or leaves a will on: a will is a promise to publish.
pub(crate) fn publish(code: &str, topic: &str) -> Option<UpTopic> {
    UpTopic::parse(topic).ok().filter(|(whose, _)| *whose == code).map(|(_, topic)| topic)
}

/// The down topic of its own that the pile `code` asks for with a filter. Every filter that is granted stands for
/// exactly one topic.
pub(crate) fn subscribe(code: &str, filter: &str) -> Option<DownTopic> {
    DownTopic::of_filter(filter, code)
}

/// What an integration asked for with a filter that was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    /// `None`: every pile.
    pile: Option<PileCode>,
    /// `None`: every topic.
    topic: Option<UpTopic>,
}

impl Filter {
    fn covers(&self, code: &str, topic: UpTopic) -> bool {
        self.pile.as_ref().is_none_or(|pile| pile.as_str() == code) && self.topic.is_none_or(|one| one == topic)
    }
}

/// What an integration asks for with a filter. One that names a topic it was not granted, or a pile of a station it was
/// not, is refused; one that names neither is granted, and [`deliver`] keeps to what it may read.
pub(crate) fn read(
    grants: &Grants,
    filter: &str,
    station_of: impl FnOnce(&str) -> Option<StationId>,
) -> Option<Filter> {
    let (whose, what) = filter.strip_prefix("pile/")?.split_once('/')?;
    let topic = match what {
        "#" => None,
        text => Some(UpTopic::ALL.into_iter().find(|topic| topic.as_str() == text && grants.has_topic(*topic))?),
    };
    let pile = match whose {
        "+" => None,
        text => {
            let code = PileCode::parse(text).ok()?;
            let granted = || station_of(text).is_some_and(|station| grants.has_station(station.as_str()));
            Some(code).filter(|_| grants.has_every_station() || granted())
        }
        .map(Some)?,
    };
    Some(Filter { pile, topic })
}

/// Whether an integration that asked for `filters` gets a frame of the pile `code`, which stands at `station`.
pub(crate) fn deliver(grants: &Grants, filters: &[Filter], code: &str, station: &str, topic: UpTopic) -> bool {
    grants.has_topic(topic) && grants.has_station(station) && filters.iter().any(|filter| filter.covers(code, topic))
}

#[cfg(test)]
mod tests {
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

    fn station(text: &str) -> StationId {
        StationId::parse(text).unwrap()
    }

    /// P1 and P2 stand at S1, P3 at S2, no other pile is known.
    fn station_of(code: &str) -> Option<StationId> {
        match code {
            "P1" | "P2" => Some(station("S1")),
            "P3" => Some(station("S2")),
            _ => None,
        }
    }

    #[test]
    fn an_integration_reads_what_it_was_granted_by_station_and_topic() {
        let one = Grants::new(Some([station("S1")]), [UpTopic::Heartbeat, UpTopic::Status]);
        let every = Grants::new(None::<[StationId; 0]>, UpTopic::ALL);
        let pile = |code| Some(PileCode::parse(code).unwrap());
        for (filter, of_one, of_every) in [
            ("pile/+/heartbeat", Some((None, Some(UpTopic::Heartbeat))), Some((None, Some(UpTopic::Heartbeat)))),
            ("pile/+/meter", None, Some((None, Some(UpTopic::Meter)))),
            ("pile/+/#", Some((None, None)), Some((None, None))),
            ("pile/P1/#", Some((pile("P1"), None)), Some((pile("P1"), None))),
            (
                "pile/P2/charging/status",
                Some((pile("P2"), Some(UpTopic::Status))),
                Some((pile("P2"), Some(UpTopic::Status))),
            ),
            ("pile/P3/heartbeat", None, Some((pile("P3"), Some(UpTopic::Heartbeat)))),
            ("pile/P3/#", None, Some((pile("P3"), None))),
            ("pile/P9/#", None, Some((pile("P9"), None))),
        ] {
            let filter_of = |(pile, topic)| Filter { pile, topic };
            assert_eq!(read(&one, filter, station_of), of_one.map(filter_of), "{filter}");
            assert_eq!(read(&every, filter, station_of), of_every.map(filter_of), "{filter} of every station");
        }
    }

    #[test]
    fn an_integration_asks_in_four_forms_and_never_for_what_goes_down() {
        let every = Grants::new(None::<[StationId; 0]>, UpTopic::ALL);
        for filter in [
            "",
            "#",
            "+",
            "+/+/#",
            "pile",
            "pile/",
            "pile/#",
            "pile/+",
            "pile/P1",
            "pile/P1/",
            "pile/+/",
            "pile/+/+",
            "pile/P1/+",
            "pile/+/charging/+",
            "pile/+/charging/#",
            "pile/+/command",
            "pile/P1/command",
            "pile/P1/record/ack",
            "pile/+/record/+",
            "pile/#/heartbeat",
            "pile/P+/heartbeat",
            "pile/P1/heartbeat/",
            "pile/P1/heartbeat/#",
            "/pile/P1/heartbeat",
            "$share/g/pile/+/#",
            "$SYS/#",
            "up",
            "桩/+/#",
        ] {
            assert_eq!(read(&every, filter, station_of), None, "{filter:?}");
        }
    }

    #[test]
    fn of_a_million_random_grants_filters_and_frames_nothing_of_another_station_or_topic_is_delivered() {
        const PILES: [(&str, &str); 5] = [("P1", "S1"), ("P10", "S1"), ("P", "S10"), ("S1", "S2"), ("P2", "S2")];
        const STATIONS: [&str; 4] = ["S1", "S10", "S2", "S"];
        let place = |code: &str| PILES.iter().find(|(pile, _)| *pile == code).map(|(_, place)| station(place));
        let seed = 0x5851_f42d_4c95_7f2d;
        let (mut dice, mut delivered) = (Dice(seed), 0);
        for _ in 0..1_000_000 {
            let stations: Option<Vec<&str>> =
                (dice.roll(4) > 0).then(|| STATIONS.into_iter().filter(|_| dice.roll(2) == 0).collect());
            let topics: Vec<UpTopic> = UpTopic::ALL.into_iter().filter(|_| dice.roll(2) == 0).collect();
            let grants = Grants::new(stations.as_ref().map(|all| all.iter().map(|one| station(one))), topics.clone());
            let whose = dice.one_of(&["+", "+", "P1", "P10", "P", "S1", "P2", "#", ""]);
            let asked = UpTopic::ALL[dice.roll(6)].as_str();
            let what = dice.one_of(&["#", "#", asked, asked, "+", "command", "charging/#", ""]);
            let filter = format!("{}/{whose}/{what}", dice.one_of(&["pile", "pile", "pile", "+", "$SYS"]));
            let filters: Vec<Filter> = read(&grants, &filter, place).into_iter().collect();
            let (code, at) = PILES[dice.roll(PILES.len())];
            let topic = UpTopic::ALL[dice.roll(6)];
            let granted = stations.as_ref().is_none_or(|all| all.contains(&at)) && topics.contains(&topic);
            let matches = filter.starts_with("pile/")
                && (whose == "+" || whose == code)
                && (what == "#" || what == topic.as_str());
            let got = deliver(&grants, &filters, code, at, topic);
            assert_eq!(got, granted && matches, "{grants:?} {filter} {code} {topic}");
            delivered += usize::from(got);
        }
        assert!(delivered > 10_000, "the dice must roll what is delivered too: {delivered}");
    }
}
