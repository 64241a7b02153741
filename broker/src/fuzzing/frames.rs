//! A payload is understood whole or not at all, and what was understood can be said again.

use domain::{
    PileCode, Timestamp,
    wire::{self, RecordName, UpFrame, UpTopic},
};

/// Whose frames they are.
const CODE: &str = "P0001";

/// The input is a payload; it is read as a frame of each topic, as a command and as the answer to a record.
///
/// # Panics
/// When a frame that was printed is not read back as it was.
pub fn frames(input: &[u8]) {
    let Ok(pile) = PileCode::parse(CODE) else { return };
    for topic in UpTopic::ALL {
        let Ok(frame) = wire::parse(topic, CODE, input) else { continue };
        assert_eq!(topic_of(&frame), topic, "{frame:?}");
        let printed = wire::print(&frame, &pile);
        let again = wire::parse(topic, CODE, &printed);
        assert_eq!(again.as_ref(), Ok(&frame), "printed as {}", printed.escape_ascii());
    }
    if let Ok(read) = wire::parse_command(input) {
        let now = read.time.unwrap_or(Timestamp::MIN);
        let printed = wire::encode_command(&read.command, &read.pile, now);
        let again = wire::parse_command(&printed).map(|again| (again.command, again.pile));
        assert_eq!(again, Ok((read.command, read.pile)), "printed as {}", printed.escape_ascii());
    }
    if let Ok(ack) = wire::parse_record_ack(input) {
        let printed = wire::encode_record_ack(&ack.order_no, ack.seq, ack.result, ack.timestamp);
        assert_eq!(wire::parse_record_ack(&printed), Ok(ack), "printed as {}", printed.escape_ascii());
    }
    if let Some(name) = RecordName::find(input) {
        let quoted = format!("\"{}\"", name.order_no);
        assert!(!name.order_no.is_empty() && input.windows(quoted.len()).any(|part| part == quoted.as_bytes()));
    }
}

const fn topic_of(frame: &UpFrame) -> UpTopic {
    match frame {
        UpFrame::Heartbeat(_) => UpTopic::Heartbeat,
        UpFrame::Status(_) => UpTopic::Status,
        UpFrame::Finished(_) => UpTopic::Finished,
        UpFrame::CommandAck(_) => UpTopic::CommandAck,
        UpFrame::Event(_) => UpTopic::Event,
        UpFrame::Meter(_) => UpTopic::Meter,
    }
}
