//! Topics and filters mean what the contract says, and a filter that is granted stands for one own topic only.

use domain::{
    PileCode,
    wire::{DownTopic, UpTopic, filter_allowed},
};

use super::reference::{down_topic, matches, up_topic};

/// Its code is the start of the other's, and the other way round.
const OTHERS: [&str; 2] = ["P", "P00011"];

/// The first line is a pile's code, the rest a topic or a filter.
///
/// # Panics
/// When the parser and the reference disagree, or a filter is granted that matches more than one topic.
pub fn topics(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let (code, topic) = text.split_once('\n').unwrap_or(("P0001", text));
    let Ok(pile) = PileCode::parse(code) else { return };

    let read = UpTopic::parse(topic);
    let read = read.as_ref().map(|(whose, topic)| (*whose, topic.to_string()));
    assert_eq!(read.ok(), up_topic(topic), "{topic:?}");

    let granted = DownTopic::of_filter(topic, code);
    assert_eq!(granted.map(DownTopic::as_str), down_topic(topic, code), "{topic:?} of {code}");
    assert_eq!(filter_allowed(topic, code), granted.is_some());
    let Some(granted) = granted else { return };

    let both = [DownTopic::Command, DownTopic::RecordAck];
    let own = both.iter().map(|down| down.topic(&pile)).chain(UpTopic::ALL.iter().map(|up| up.topic(&pile)));
    let matched: Vec<String> = own.filter(|own| matches(topic, own)).collect();
    assert_eq!(matched, [granted.topic(&pile)], "{topic:?}");
    for other in OTHERS.into_iter().filter(|other| *other != code) {
        for leaf in both.map(DownTopic::as_str) {
            assert!(!matches(topic, &format!("pile/{other}/{leaf}")), "{topic:?} reaches pile {other}");
        }
    }
}
