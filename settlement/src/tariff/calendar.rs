//! Which periods hold on which day: plans for weekdays and dates, and the everyday periods on all other days.
//!
//! A day is a day of the station's wall calendar. The first plan that fits it is used, from its 00:00 to its 24:00; so a
//! charge over midnight goes from one plan to the next. A plan that could never be used is a mistake, and refused.

use std::{collections::BTreeSet, fmt};

use jiff::{SignedDuration, civil::Date};
use serde::{Deserialize, Serialize};

use super::{Period, Tariff, TariffError, validate_periods};
use crate::limits::{PLAN_NAME_LEN_MAX, PLANS_MAX};

const DAYS_PER_WEEK: i64 = 7;
const DAY_S: i64 = 86_400;
const EPOCH: Date = Date::constant(1970, 1, 1);
/// 1970-01-01 was a Thursday: its distance from Monday.
const EPOCH_FROM_MONDAY: i64 = 3;

/// Prices of certain days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DayPlan {
    /// What the operator calls it; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// On which weekdays.
    #[serde(default)]
    pub weekdays: Weekdays,
    /// First day; `None`: since ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_date: Option<LocalDate>,
    /// Last day, included; `None`: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_date: Option<LocalDate>,
    /// Covers 00:00 to 24:00 without gap or overlap, sorted.
    pub periods: Vec<Period>,
}

impl DayPlan {
    /// Whether it is for a local day, counted from 1970-01-01.
    #[must_use]
    pub fn fits(&self, day: i64) -> bool {
        self.from_date.is_none_or(|from| from.0 <= day)
            && self.to_date.is_none_or(|to| day <= to.0)
            && self.weekdays.has(day)
    }

    /// The rules that concern it alone.
    fn check(&self) -> Result<(), TariffError> {
        if self.name.len() > PLAN_NAME_LEN_MAX {
            return Err(TariffError::PlanName);
        }
        if let (Some(from), Some(to)) = (self.from_date, self.to_date)
            && from > to
        {
            return Err(TariffError::DatesReversed { from, to });
        }
        validate_periods(&self.periods)
    }

    /// Its first day and the first day after it, where there are such.
    fn edges(&self) -> impl Iterator<Item = i64> {
        [self.from_date.map(|from| from.0), self.to_date.map(|to| to.0.saturating_add(1))].into_iter().flatten()
    }
}

/// A set of weekdays, never empty; in JSON their ISO numbers, Monday = 1 to Sunday = 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<i64>", into = "Vec<i64>")]
pub struct Weekdays(u8);

impl Weekdays {
    /// Every day.
    pub const ALL: Self = Self(0b111_1111);

    /// The days with these ISO numbers, in any order; a repeated one counts once.
    ///
    /// # Errors
    /// [`TariffError::NoWeekday`], [`TariffError::NotAWeekday`].
    pub fn of(numbers: &[i64]) -> Result<Self, TariffError> {
        let bit = |number: &i64| match number {
            1..=DAYS_PER_WEEK => Ok(Self::bit(number.saturating_sub(1))),
            _ => Err(TariffError::NotAWeekday { number: *number }),
        };
        let bits = numbers.iter().map(bit).try_fold(0, |bits, bit| Ok(bits | bit?))?;
        if bits == 0 { Err(TariffError::NoWeekday) } else { Ok(Self(bits)) }
    }

    /// Their ISO numbers, rising.
    #[must_use]
    pub fn numbers(self) -> Vec<i64> {
        (1..=DAYS_PER_WEEK).filter(|number| self.0 & Self::bit(number.saturating_sub(1)) != 0).collect()
    }

    /// Whether a local day, counted from 1970-01-01, is one of them.
    #[must_use]
    pub const fn has(self, day: i64) -> bool {
        self.0 & Self::bit(day.saturating_add(EPOCH_FROM_MONDAY).rem_euclid(DAYS_PER_WEEK)) != 0
    }

    /// The bit of a weekday, counted from Monday = 0.
    const fn bit(from_monday: i64) -> u8 {
        match from_monday {
            0 => 1,
            1 => 1 << 1,
            2 => 1 << 2,
            3 => 1 << 3,
            4 => 1 << 4,
            5 => 1 << 5,
            _ => 1 << 6,
        }
    }
}

impl Default for Weekdays {
    fn default() -> Self {
        Self::ALL
    }
}

impl TryFrom<Vec<i64>> for Weekdays {
    type Error = TariffError;

    fn try_from(numbers: Vec<i64>) -> Result<Self, TariffError> {
        Self::of(&numbers)
    }
}

impl From<Weekdays> for Vec<i64> {
    fn from(days: Weekdays) -> Self {
        days.numbers()
    }
}

/// A day of a station's wall calendar, as days since 1970-01-01; in JSON `YYYY-MM-DD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LocalDate(i64);

impl LocalDate {
    /// Reads `YYYY-MM-DD`.
    ///
    /// # Errors
    /// [`TariffError::NotADate`].
    pub fn parse(text: &str) -> Result<Self, TariffError> {
        Self::read(text).ok_or_else(|| TariffError::NotADate { text: text.chars().take(16).collect() })
    }

    fn read(text: &str) -> Option<Self> {
        let (year, rest) = text.split_once('-')?;
        let (month, day) = rest.split_once('-')?;
        let digits = |part: &str, many: usize| part.len() == many && part.bytes().all(|byte| byte.is_ascii_digit());
        if !(digits(year, 4) && digits(month, 2) && digits(day, 2)) {
            return None;
        }
        let date = Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()?;
        Some(Self(date.duration_since(EPOCH).as_secs().div_euclid(DAY_S)))
    }

    /// Days since 1970-01-01.
    #[must_use]
    pub const fn day(self) -> i64 {
        self.0
    }
}

impl fmt::Display for LocalDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        EPOCH.saturating_add(SignedDuration::from_secs(self.0.saturating_mul(DAY_S))).fmt(f)
    }
}

impl TryFrom<String> for LocalDate {
    type Error = TariffError;

    fn try_from(text: String) -> Result<Self, TariffError> {
        Self::parse(&text)
    }
}

impl From<LocalDate> for String {
    fn from(date: LocalDate) -> Self {
        date.to_string()
    }
}

/// Which plan of a tariff, as people count and as the operator calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanName {
    /// 1, 2, 3 …
    pub number: usize,
    /// May be empty.
    pub name: String,
}

impl fmt::Display for PlanName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plan {}", self.number)?;
        if self.name.is_empty() { Ok(()) } else { write!(f, " \"{}\"", self.name) }
    }
}

impl Tariff {
    /// The periods of a local day, counted from 1970-01-01, and the index of their plan; `None` for the everyday ones.
    #[must_use]
    pub fn periods_on(&self, day: i64) -> (Option<usize>, &[Period]) {
        let plan = self.plans.iter().enumerate().find(|(_, plan)| plan.fits(day));
        plan.map_or((None, &self.periods), |(index, plan)| (Some(index), &plan.periods))
    }

    /// The periods of a plan, or the everyday ones; none for a plan that is not there.
    #[must_use]
    pub fn periods_of(&self, plan: Option<usize>) -> &[Period] {
        match plan {
            None => &self.periods,
            Some(index) => self.plans.get(index).map_or(&[], |plan| &plan.periods),
        }
    }
}

/// Checks plans one by one and against each other: their number, their own rules, and that each of them has a day on
/// which it is used.
///
/// # Errors
/// [`TariffError::TooManyPlans`], else the first thing wrong as [`TariffError::InPlan`].
pub fn validate_plans(plans: &[DayPlan]) -> Result<(), TariffError> {
    if plans.len() > PLANS_MAX {
        return Err(TariffError::TooManyPlans { count: plans.len() });
    }
    for (index, plan) in plans.iter().enumerate() {
        let earlier = plans.get(..index).unwrap_or_default();
        plan.check().and_then(|()| check_is_used(plan, earlier)).map_err(|error| {
            let plan = PlanName { number: index.saturating_add(1), name: plan.name.clone() };
            TariffError::InPlan { plan, error: Box::new(error) }
        })?;
    }
    Ok(())
}

/// Looks for a day that a plan fits and no earlier one.
///
/// Between two edges of date ranges the same plans fit every Monday, every Tuesday and so on: the first week after each
/// edge, and the week before the first of them, stand for all days there are.
fn check_is_used(plan: &DayPlan, earlier: &[DayPlan]) -> Result<(), TariffError> {
    let mut edges: BTreeSet<i64> = earlier.iter().flat_map(DayPlan::edges).chain(plan.edges()).collect();
    let before_all = edges.first().map_or(0, |first| first.saturating_sub(DAYS_PER_WEEK));
    edges.insert(before_all);
    let week_after = |edge: i64| (0..DAYS_PER_WEEK).map(move |days| edge.saturating_add(days));
    let mut own_days = edges.into_iter().flat_map(week_after).filter(|day| plan.fits(*day)).peekable();
    if own_days.peek().is_none() {
        return Err(TariffError::NoDay);
    }
    let is_free = |day: i64| !earlier.iter().any(|other| other.fits(day));
    if own_days.any(is_free) { Ok(()) } else { Err(TariffError::NeverUsed) }
}
