//! What the rules of risk say: the gate before a call, and the log of decisions.

use axum::{Json, extract::State};
use domain::{OrderNo, PileCode, Timestamp, UserId};
use serde::Serialize;
use settlement::{
    order::Order,
    risk::{Gate, Outcome, RiskDecision, worst},
};
use store::cases::{CaseFilter, CaseKind};
use utoipa::ToSchema;

use super::{
    answer::Listed,
    auth::By,
    input::Params,
    problem::{Code, Problem},
    rights::RISK_DECISIONS,
    state::App,
};
use crate::risk::Filing;

const OUTCOMES: [&str; 3] = ["PASS", "HOLD", "REFUSE"];

/// What a rule decided.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DecisionView {
    decision_id: String,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// `start`, `topup`, `refund` or `bill`.
    #[schema(value_type = String)]
    gate: Gate,
    /// `pass`, `hold` or `refuse`.
    #[schema(value_type = String)]
    outcome: Outcome,
    /// `null`: no rule struck, the sum alone put it here.
    rule: Option<String>,
    /// What was counted or measured.
    what: String,
    value: i64,
    threshold: i64,
    #[schema(value_type = Option<String>)]
    user_id: Option<UserId>,
    #[schema(value_type = Option<String>)]
    order_no: Option<OrderNo>,
    #[schema(value_type = Option<String>)]
    pile_code: Option<PileCode>,
}

/// What the rules decided, newest first (risk, auditor). `about` is an order, else a pile, else a driver.
#[utoipa::path(get, path = "/risk/decisions", tag = "risk",
    params(("outcome" = Option<String>, Query), ("about" = Option<String>, Query),
        ("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query)),
    responses((status = 200, body = Listed<DecisionView>)))]
pub(crate) async fn decisions(
    State(app): State<App>,
    _by: By<RISK_DECISIONS>,
    params: Params,
) -> Result<Json<Listed<DecisionView>>, Problem> {
    let filter = CaseFilter {
        state: params.one_of("outcome", &OUTCOMES)?,
        about: params.text("about").map(str::to_owned),
        ..CaseFilter::all(CaseKind::RiskDecision)
    };
    let page = app.money.cases(&filter, params.cursor(), params.limit()?).await?;
    let read = page.items.iter().map(|case| Ok(view(case.read::<Filing<RiskDecision>>()?.0)));
    let items = read.collect::<Result<_, Problem>>()?;
    Ok(Json(Listed { items, next_cursor: page.next_cursor }))
}

fn view(decision: RiskDecision) -> DecisionView {
    DecisionView {
        decision_id: decision.decision_id,
        at: decision.at,
        gate: decision.gate,
        outcome: decision.outcome,
        rule: decision.rule,
        what: decision.what,
        value: decision.value,
        threshold: decision.threshold,
        user_id: decision.user_id,
        order_no: decision.order_no,
        pile_code: decision.pile_code,
    }
}

/// Asks the rules before a call. What strikes is written down; a refusal says why in both languages.
pub(super) async fn may(app: &App, gate: Gate, user: &UserId, order: Option<&Order>) -> Result<(), Problem> {
    let strikes = app.desk.risk.strikes(gate, user);
    if strikes.is_empty() {
        return Ok(());
    }
    app.desk.log(gate, user, order, &strikes).await?;
    let Some(strike) = worst(&strikes).filter(|strike| strike.rule.outcome == Outcome::Refuse) else { return Ok(()) };
    let rule = strike.rule;
    Err(Problem::new(Code::RiskRefused, format!("{} / {} ({})", rule.text_zh, rule.text_en, rule.name)))
}
