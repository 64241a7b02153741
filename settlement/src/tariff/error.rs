//! Why a tariff is refused, in words that name the minute or the price and say what to do.

use std::fmt;

use domain::{PriceE4, Timestamp};

use super::{LocalDate, PlanName, format_minute};
use crate::limits::{LABEL_LEN_MAX, PLAN_NAME_LEN_MAX, PLANS_MAX, PRICE_MAX};

/// Electricity or service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FeeKind {
    /// What the energy costs.
    Electricity,
    /// What the station takes for it.
    Service,
}

impl fmt::Display for FeeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Electricity => "electricity",
            Self::Service => "service",
        })
    }
}

/// Why a tariff is refused, or cannot price. Minutes are minutes of the day, 0..=1440.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TariffError {
    /// No period at all.
    #[error("a tariff needs at least one period: add one from 00:00 to 24:00")]
    Empty,
    /// A time of day without a price.
    #[error("no period covers {} to {}: add one, or lengthen a neighbour", format_minute(*.from_min), format_minute(*.to_min))]
    Gap {
        /// First minute without a price.
        from_min: u16,
        /// First minute with one again, or 1440.
        to_min: u16,
    },
    /// A time of day with two prices.
    #[error("two periods cover {}: end the earlier one there, or begin the later one at {}", format_minute(*.at_min), format_minute(*.end_min))]
    Overlap {
        /// First minute with two prices.
        at_min: u16,
        /// Where the earlier of the two periods ends.
        end_min: u16,
    },
    /// A period that ends before it begins, or where it begins.
    #[error("the period from {} to {} is empty or runs over midnight: split it at 24:00", format_minute(*.from_min), format_minute(*.to_min))]
    OverMidnight {
        /// Where it begins.
        from_min: u16,
        /// Where it ends.
        to_min: u16,
    },
    /// A time past the end of the day.
    #[error("{} is past the end of the day: the last period ends at 24:00", format_minute(*.minute))]
    PastMidnight {
        /// The minute.
        minute: u16,
    },
    /// A price out of bounds.
    #[error("the {kind} price of the period from {} is {price} per kWh: it must be 0 to {PRICE_MAX}", format_minute(*.from_min))]
    Price {
        /// Where the period begins.
        from_min: u16,
        /// Which price.
        kind: FeeKind,
        /// The price.
        price: PriceE4,
    },
    /// A label that no phone can show.
    #[error("the label of the period from {} is longer than {LABEL_LEN_MAX} bytes: shorten it", format_minute(*.from_min))]
    Label {
        /// Where the period begins.
        from_min: u16,
    },
    /// Something wrong with one of its plans.
    #[error("in {plan}: {error}")]
    InPlan {
        /// Which plan.
        plan: PlanName,
        /// What is wrong.
        error: Box<Self>,
    },
    /// More plans than anybody can overlook.
    #[error("{count} plans are too many: at most {PLANS_MAX}, the everyday periods beside them")]
    TooManyPlans {
        /// How many there are.
        count: usize,
    },
    /// A plan for no weekday.
    #[error("it names no weekday: leave the weekdays out for all of them, or name at least one")]
    NoWeekday,
    /// A number that is no weekday.
    #[error("{number} is no weekday: 1 is Monday, 7 is Sunday")]
    NotAWeekday {
        /// The number.
        number: i64,
    },
    /// Not a day.
    #[error("\"{text}\" is no date: write YYYY-MM-DD")]
    NotADate {
        /// The offending text, cut to 16 characters.
        text: String,
    },
    /// A plan that ends before it begins.
    #[error("it begins on {from}, after its last day {to}: exchange them")]
    DatesReversed {
        /// Its first day.
        from: LocalDate,
        /// Its last day.
        to: LocalDate,
    },
    /// A plan whose dates have none of its weekdays.
    #[error("none of its weekdays lies between its dates, so it is never used: widen the dates, or take it out")]
    NoDay,
    /// A plan that others stand before on all of its days.
    #[error("plans before it fit all of its days, so it is never used: move it up, narrow them, or take it out")]
    NeverUsed,
    /// A plan's name that no list can show.
    #[error("its name is longer than {PLAN_NAME_LEN_MAX} bytes: shorten it")]
    PlanName,
    /// Not a time of day.
    #[error("\"{text}\" is no time of day: write HH:MM, from 00:00 to 24:00")]
    NotATime {
        /// The offending text, cut to 16 characters.
        text: String,
    },
    /// Not a time zone.
    #[error("\"{name}\" is no time zone: use an IANA name such as Asia/Shanghai")]
    UnknownTimezone {
        /// The offending name, cut to 64 characters.
        name: String,
    },
    /// Publisher and author are the same person.
    #[error("whoever wrote a tariff may not publish it: ask a colleague")]
    OwnDraft,
    /// It would have held before anybody could know.
    #[error("the tariff cannot hold from {effective_at} on, which is past: leave the time out to let it hold at once")]
    InThePast {
        /// The time asked for.
        effective_at: Timestamp,
    },
    /// Drafts were never in force: there is nothing to go back to or to carry on to other stations.
    #[error("the tariff is a draft: publish it first")]
    NotPublished,
    /// Published tariffs are never changed.
    #[error("the tariff is published already: write a new draft")]
    Published,
}
