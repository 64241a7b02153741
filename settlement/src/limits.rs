//! Every limit of the money rules, in one place, with what happens at it.

use domain::{Millis, PriceE4, WattHours};

/// Highest price of one kWh, of either kind: 5 yuan. Beyond: the tariff is refused [CONTRACT 3].
pub const PRICE_MAX: PriceE4 = PriceE4(50_000);
/// Longest label of a tariff period, in bytes. Beyond: the tariff is refused.
pub const LABEL_LEN_MAX: usize = 64;
/// Plans of one tariff, beside its everyday periods. Beyond: the tariff is refused.
pub const PLANS_MAX: usize = 32;
/// Longest name of a plan, in bytes. Beyond: the tariff is refused.
pub const PLAN_NAME_LEN_MAX: usize = 64;
/// Orders that a dry run of a tariff names. Beyond: those with smaller differences are in the sums only.
pub const DRY_RUN_WORST_MAX: usize = 20;
/// Different prices (with their labels) that a dry run keeps apart. Beyond: further ones are in the sums but under no
/// label, and the report says so.
pub const DRY_RUN_PRICES_MAX: usize = 10_000;
/// Offset of a pile's clock that is left as it is. Beyond: the readings are corrected [CONTRACT 2.1].
pub const CLOCK_OFFSET_IGNORED_MAX: Millis = domain::clock_offset::TOLERANCE;
/// Offset of a pile's clock that is believed without a second look. Beyond: the bill is flagged [CONTRACT 2.1].
pub const CLOCK_OFFSET_TRUSTED_MAX: Millis = Millis(300_000);
/// Longest charge that is priced period by period. Beyond: the start is not believed, the next best one is taken,
/// and the bill is flagged. It bounds the number of segments of a bill.
pub const CHARGE_LEN_MAX: Millis = Millis(366 * 86_400_000);
/// Pauses before the questions about a payment or a refund that is under way; after the last one it stays. They close the
/// gap that a lost callback leaves without tiring the channel.
pub const QUERY_WAITS: [Millis; 6] = [
    Millis::from_secs(5),
    Millis::from_secs(15),
    Millis::from_secs(60),
    Millis::from_secs(300),
    Millis::from_secs(1_800),
    Millis::from_secs(7_200),
];
/// Longest pause before a refund that the channel refused is sent again. Beyond: this one.
pub const REFUND_WAIT_MAX: Millis = Millis::from_secs(7_200);
/// Questions about one sending of a refund that stay without a clear answer. Beyond: a person decides.
pub const REFUND_ASKS_MAX: u32 = 50;
/// Lines of one bill of a channel. Beyond: the file is refused; it can be split by time.
pub const BILL_LINES_MAX: usize = 400_000;
/// Longest number of a payment or refund in a bill, in bytes. Beyond: the file is refused, naming line and column.
pub const BILL_NAME_LEN_MAX: usize = 64;
/// Energy by which a bill and a register may differ, whatever the percentage: chargers round. Beyond: see
/// [`ENERGY_DIFF_PERCENT_MAX`].
pub const ENERGY_DIFF_IGNORED_MAX: WattHours = WattHours(100);
/// Percentage of the register's energy by which a bill may differ. Beyond: an item, and a mark for the pile.
pub const ENERGY_DIFF_PERCENT_MAX: i64 = 1;
/// Days with a mark within [`PILE_MARK_DAYS`] at which a pile's meter counts as abnormal. At it: an event.
pub const PILE_MARKS_MAX: usize = 3;
/// Days that marks of a pile are counted over.
pub const PILE_MARK_DAYS: i64 = 7;
/// Rules in one file, of risk or of compensation. Beyond: the file is refused.
pub const RULES_MAX: usize = 100;
/// Longest name of a rule, in bytes. Beyond: the file is refused.
pub const RULE_NAME_LEN_MAX: usize = 40;
/// Longest text of a rule in one language, in bytes. Beyond: the file is refused.
pub const RULE_TEXT_LEN_MAX: usize = 600;
/// Longest window of a rule, in seconds: a quarter. Beyond: the file is refused. It bounds what a start reads back.
pub const WINDOW_S_MAX: i64 = 90 * 86_400;
/// Signals remembered of one driver or pile, and the most a rule may count to. Beyond: the oldest is forgotten.
pub const SIGNALS_PER_SUBJECT_MAX: usize = 1_000;

const _: () = assert!(CLOCK_OFFSET_IGNORED_MAX.0 < CLOCK_OFFSET_TRUSTED_MAX.0, "a flagged offset is also corrected");
