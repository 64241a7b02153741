//! Every limit of the charging world, in one place, with what happens at it.

/// Largest payload of a charger's frame, in bytes. Beyond: quarantined, the first `PAYLOAD_LEN_MAX` bytes kept.
pub const PAYLOAD_LEN_MAX: usize = 16 * 1024;
/// Most guns of one pile. Beyond: the pile is not registered, the frame is quarantined.
pub const CONNECTORS_MAX: u8 = 64;
/// Longest free text in a frame (firmware, detail, message, fault code), in bytes. Beyond: cut at a character.
pub const TEXT_LEN_MAX: usize = 256;
/// Most energy one order can have, in Wh: 1,000 MWh. Beyond: no reading but garbage, the frame is quarantined.
pub const ENERGY_WH_MAX: i64 = 1_000_000_000;
/// Highest reading of an energy register, in Wh. Beyond: the frame is quarantined.
pub const METER_WH_MAX: i64 = 1_000_000_000_000;
/// Heartbeats whose offset from the receive time is remembered per pile. Beyond: the oldest is forgotten.
pub const CLOCK_SAMPLES_MAX: usize = 25;
/// Status frames kept in memory per order for the bill. Beyond: every second one in the middle is dropped, flagged.
pub const READINGS_PER_ORDER_MAX: usize = 20_000;
/// Commands one pile may have waiting. Beyond: the newest is refused.
pub const COMMANDS_PER_PILE_MAX: usize = 32;

/// Faults one pile may hold at once. Beyond: the alarm is raised, the fault is not remembered.
pub const FAULTS_PER_PILE_MAX: u8 = 64;
/// How often an unanswered command of an order is sent in all. Beyond: alarm, the order waits.
pub const COMMAND_TRIES_MAX: u32 = 4;
/// Seconds between two sends of an unanswered command.
pub const COMMAND_RETRY_S: i64 = 10;
/// IGNORED rows kept per order in a row. Beyond: counted only.
pub const IGNORED_ROWS_PER_ORDER_MAX: u32 = 64;

const _: () = assert!(CLOCK_SAMPLES_MAX % 2 == 1, "the median is one of the samples");
