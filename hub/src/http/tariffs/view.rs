//! Tariffs as callers write and read them, and the words of their refusals.

use domain::{PriceE4, StationId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use settlement::tariff::{
    DayPlan, LocalDate, Period, PlanName, Tariff, TariffError, Weekdays, format_minute, parse_minute,
};
use utoipa::ToSchema;

use super::super::problem::{Code, Problem};
use crate::limits::TARIFF_PERIODS_MAX;

/// One price between two times of day, half-open, in the station's time zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PeriodView {
    #[schema(example = "00:00")]
    from: String,
    #[schema(example = "08:00")]
    to: String,
    #[serde(default)]
    label: String,
    /// 0.0001 yuan per kWh, at most 50,000.
    #[serde(rename = "electricityE4")]
    electricity_e4: i64,
    /// 0.0001 yuan per kWh, at most 50,000.
    #[serde(rename = "serviceE4")]
    service_e4: i64,
}

/// Prices of certain days of the station's calendar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlanView {
    #[serde(default)]
    #[schema(example = "周末")]
    name: String,
    /// Monday = 1 to Sunday = 7; all of them when left out.
    #[schema(example = json!([6, 7]))]
    weekdays: Option<Vec<i64>>,
    /// First day.
    #[schema(example = "2026-10-01")]
    from_date: Option<String>,
    /// Last day, included.
    #[schema(example = "2026-10-08")]
    to_date: Option<String>,
    /// Cover 00:00 to 24:00 without gap or overlap.
    periods: Vec<PeriodView>,
}

/// A version of a station's prices, or a draft.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TariffView {
    tariff_id: String,
    #[schema(value_type = String)]
    station_id: StationId,
    /// 1, 2, 3 … per station; 0 while a draft.
    version: u32,
    /// `DRAFT` or `PUBLISHED`.
    status: &'static str,
    timezone: String,
    /// For days that no plan fits.
    periods: Vec<PeriodView>,
    /// The first that fits a day is used.
    plans: Vec<PlanView>,
    /// The version it was copied from.
    based_on: Option<String>,
    reason: Option<String>,
    #[schema(value_type = String)]
    author: UserId,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>)]
    publisher: Option<UserId>,
    #[schema(value_type = Option<String>, format = DateTime)]
    effective_at: Option<Timestamp>,
}

pub(super) fn view(tariff: &Tariff) -> TariffView {
    TariffView {
        tariff_id: tariff.tariff_id.clone(),
        station_id: tariff.station_id.clone(),
        version: tariff.version,
        status: if tariff.effective_at.is_some() { "PUBLISHED" } else { "DRAFT" },
        timezone: tariff.timezone.clone(),
        periods: period_views(&tariff.periods),
        plans: tariff.plans.iter().map(plan_view).collect(),
        based_on: tariff.based_on.clone(),
        reason: tariff.reason.clone(),
        author: tariff.author.clone(),
        created_at: tariff.created_at,
        publisher: tariff.publisher.clone(),
        effective_at: tariff.effective_at,
    }
}

fn plan_view(plan: &DayPlan) -> PlanView {
    let text = |date: Option<LocalDate>| date.map(|date| date.to_string());
    PlanView {
        name: plan.name.clone(),
        weekdays: Some(plan.weekdays.numbers()),
        from_date: text(plan.from_date),
        to_date: text(plan.to_date),
        periods: period_views(&plan.periods),
    }
}

fn period_views(periods: &[Period]) -> Vec<PeriodView> {
    let view = |period: &Period| PeriodView {
        from: format_minute(period.from_min),
        to: format_minute(period.to_min),
        label: period.label.clone(),
        electricity_e4: period.electricity.0,
        service_e4: period.service.0,
    };
    periods.iter().map(view).collect()
}

/// Reads periods; `field` is where they stand in the body.
pub(super) fn periods_of(field: &str, periods: &[PeriodView]) -> Result<Vec<Period>, Problem> {
    if periods.len() > TARIFF_PERIODS_MAX {
        return Err(Problem::invalid(field, periods.len(), format!("must be at most {TARIFF_PERIODS_MAX} periods")));
    }
    let minute = |index: usize, name: &str, text: &str| {
        parse_minute(text)
            .map_err(|error| Problem::invalid(format!("{field}[{index}].{name}"), text, error.to_string()))
    };
    periods
        .iter()
        .enumerate()
        .map(|(index, period)| {
            Ok(Period {
                from_min: minute(index, "from", &period.from)?,
                to_min: minute(index, "to", &period.to)?,
                label: period.label.clone(),
                electricity: PriceE4(period.electricity_e4),
                service: PriceE4(period.service_e4),
            })
        })
        .collect()
}

/// Reads plans.
pub(super) fn plans_of(plans: &[PlanView]) -> Result<Vec<DayPlan>, Problem> {
    plans.iter().enumerate().map(|(index, plan)| plan_of(index, plan)).collect()
}

fn plan_of(index: usize, plan: &PlanView) -> Result<DayPlan, Problem> {
    let in_plan = |error: TariffError| {
        let plan = PlanName { number: index.saturating_add(1), name: plan.name.clone() };
        TariffError::InPlan { plan, error: Box::new(error) }
    };
    let date = |name: &str, text: &Option<String>| {
        let read = text.as_deref().map(|text| {
            LocalDate::parse(text)
                .map_err(|error| Problem::invalid(format!("plans[{index}].{name}"), text, in_plan(error).to_string()))
        });
        read.transpose()
    };
    let weekdays = plan.weekdays.as_deref().map(Weekdays::of).transpose();
    Ok(DayPlan {
        name: plan.name.clone(),
        weekdays: weekdays.map_err(|error| refused(in_plan(error)))?.unwrap_or_default(),
        from_date: date("fromDate", &plan.from_date)?,
        to_date: date("toDate", &plan.to_date)?,
        periods: periods_of(&format!("plans[{index}].periods"), &plan.periods)?,
    })
}

/// The answer to what the rules of tariffs refuse.
pub(super) fn refused(error: TariffError) -> Problem {
    let rule = error.to_string();
    match broken(error) {
        Broken::Value { field, value } => Problem::invalid(field, value, rule),
        Broken::Rule(code) => Problem::new(code, rule),
    }
}

/// What of a call breaks a rule.
enum Broken {
    /// A value of the body.
    Value { field: String, value: String },
    /// The call itself.
    Rule(Code),
}

fn broken(error: TariffError) -> Broken {
    let value = |field: &str, value: String| Broken::Value { field: field.to_owned(), value };
    match error {
        TariffError::OwnDraft => Broken::Rule(Code::Forbidden),
        TariffError::Published | TariffError::NotPublished => Broken::Rule(Code::IllegalState),
        TariffError::InThePast { effective_at } => value("effectiveAt", effective_at.to_string()),
        TariffError::UnknownTimezone { name } => value("timezone", name),
        TariffError::NotATime { text } => value("periods", text),
        TariffError::Price { price, .. } => value("periods", price.0.to_string()),
        TariffError::Empty => value("periods", "[]".to_owned()),
        TariffError::Gap { from_min: at, .. }
        | TariffError::Overlap { at_min: at, .. }
        | TariffError::OverMidnight { from_min: at, .. }
        | TariffError::PastMidnight { minute: at }
        | TariffError::Label { from_min: at } => value("periods", format_minute(at)),
        TariffError::TooManyPlans { count } => value("plans", count.to_string()),
        TariffError::NoWeekday => value("weekdays", "[]".to_owned()),
        TariffError::NotAWeekday { number } => value("weekdays", number.to_string()),
        TariffError::NotADate { text } => value("fromDate", text),
        TariffError::DatesReversed { from, .. } => value("fromDate", from.to_string()),
        TariffError::NoDay | TariffError::NeverUsed => value("", String::new()),
        TariffError::PlanName => value("name", String::new()),
        TariffError::InPlan { plan, error } => in_plan(&plan, broken(*error)),
    }
}

/// A value that breaks a rule inside a plan, by its place in the body.
fn in_plan(plan: &PlanName, inner: Broken) -> Broken {
    match inner {
        Broken::Rule(code) => Broken::Rule(code),
        Broken::Value { field, value } => {
            let place = format!("plans[{}]", plan.number.saturating_sub(1));
            let of_plan = field.is_empty() || field == "name";
            let value = if of_plan { plan.name.clone() } else { value };
            Broken::Value { field: if field.is_empty() { place } else { format!("{place}.{field}") }, value }
        }
    }
}
