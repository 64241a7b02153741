//! The chargers' JSON over MQTT ⇄ typed frames [CONTRACT 1].
//!
//! Bytes go in, frames or a typed error come out; nothing is half-used. Decimals are read from their text, never
//! through a float.

pub mod decimal;
mod down;
mod error;
mod fields;
mod frames;
mod json;
mod print;
mod record_name;
mod topic;
mod up;

pub use down::{
    CommandFrame, RecordAck, RecordAckResult, encode_command, encode_record_ack, parse_command, parse_record_ack,
};
pub use error::{FrameError, Reason};
pub use frames::{
    AckResult, ChargingStatus, CommandAck, ConnectorReport, EventKind, Finished, Heartbeat, Meter, PileEvent,
    ReportedStatus, UpFrame,
};
pub use print::print;
pub use record_name::RecordName;
pub use topic::{DownTopic, TopicError, UpTopic, filter_allowed};
pub use up::parse;
