//! Every limit of the money rules, in one place, with what happens at it.

use domain::{Millis, PriceE4};

/// Highest price of one kWh, of either kind: 5 yuan. Beyond: the tariff is refused [CONTRACT 3].
pub const PRICE_MAX: PriceE4 = PriceE4(50_000);
/// Longest label of a tariff period, in bytes. Beyond: the tariff is refused.
pub const LABEL_LEN_MAX: usize = 64;
/// Offset of a pile's clock that is left as it is. Beyond: the readings are corrected [CONTRACT 2.1].
pub const CLOCK_OFFSET_IGNORED_MAX: Millis = domain::clock_offset::TOLERANCE;
/// Offset of a pile's clock that is believed without a second look. Beyond: the bill is flagged [CONTRACT 2.1].
pub const CLOCK_OFFSET_TRUSTED_MAX: Millis = Millis(300_000);
/// Longest charge that is priced period by period. Beyond: the start is not believed, the next best one is taken,
/// and the bill is flagged. It bounds the number of segments of a bill.
pub const CHARGE_LEN_MAX: Millis = Millis(366 * 86_400_000);
/// Difference between a bill's energy and what the pile's register counted, in percent of the register. Beyond, and beyond
/// [`ENERGY_TOLERANCE_WH`]: a receipt does not hold.
pub const ENERGY_TOLERANCE_PERCENT: i64 = 1;
/// The same difference in Wh, for charges so small that a percent is nothing. Beyond: see [`ENERGY_TOLERANCE_PERCENT`].
pub const ENERGY_TOLERANCE_WH: i64 = 100;

const _: () = assert!(CLOCK_OFFSET_IGNORED_MAX.0 < CLOCK_OFFSET_TRUSTED_MAX.0, "a flagged offset is also corrected");
