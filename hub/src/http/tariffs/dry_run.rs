//! What a draft would have earned on the orders of the last days. Changes nothing.

use axum::extract::{Path, State};
use domain::{Millis, Timestamp};
use serde::{Deserialize, Serialize};
use settlement::{
    dry_run::{DryRun, DryRunReport, LabelSums, OrderDifference},
    tariff::Tariff,
};
use store::money::Write;
use utoipa::ToSchema;

use super::{
    super::{
        answer::Answer,
        audit::audit_row,
        auth::By,
        idempotency::{Call, once},
        input::{body, within},
        problem::{Code, Problem},
        rights::TARIFFS_DRY_RUN,
        state::App,
    },
    stored,
};
use crate::limits::{DRY_RUN_DAYS_DEFAULT, DRY_RUN_DAYS_MAX, DRY_RUN_ORDERS_MAX, PAGE_LEN_MAX};

const DAY_S: i64 = 86_400;

/// Which orders to look at.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct LastDays {
    /// Those that ended in so many times 24 hours before now: 1 to 31, 7 when left out.
    days: Option<i64>,
}

/// What the station's orders cost, and what they would have cost with this tariff: the energy of each segment of a bill
/// spread evenly over its time. All sums are those of the bills, whatever was paid of them.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DryRunView {
    tariff_id: String,
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    to: Timestamp,
    /// Orders priced again.
    orders: u64,
    /// Orders without a bill that counts: never charged, or rejected by a person.
    skipped: u64,
    revenue_now_fen: i64,
    revenue_then_fen: i64,
    /// The second less the first.
    difference_fen: i64,
    /// Rounded once per label: need not add up to the revenue to the fen.
    by_label: Vec<LabelView>,
    /// The orders whose bills differ most, either way; at most 20.
    worst: Vec<WorstView>,
    /// There were more orders, or more different prices, than are looked at: not everything is in the answer.
    truncated: bool,
}

/// Energy, and electricity and service to pay for it, in the periods of one label.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LabelView {
    label: String,
    energy_now_wh: i64,
    energy_then_wh: i64,
    now_fen: i64,
    then_fen: i64,
}

/// What an order cost, and what it would have cost.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WorstView {
    order_no: String,
    now_fen: i64,
    then_fen: i64,
    difference_fen: i64,
}

/// What the audit trail keeps of a dry run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    days: i64,
    orders: u64,
    difference_fen: i64,
}

/// Prices the station's orders of the last days with a draft, or with an earlier version (ops, finance).
#[utoipa::path(post, path = "/tariffs/{id}/dry-run", tag = "tariffs", params(("id" = String, Path)),
    request_body = LastDays, responses((status = 200, body = DryRunView)))]
pub(crate) async fn dry_run(
    State(app): State<App>,
    by: By<TARIFFS_DRY_RUN>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Answer, Problem> {
    let (task, caller) = (app.clone(), by.sub.clone());
    once(&app, &caller, call, move |key, bytes| async move {
        let asked: LastDays = body(&bytes)?;
        let days = within("days", asked.days.unwrap_or(DRY_RUN_DAYS_DEFAULT), 1, DRY_RUN_DAYS_MAX)?;
        let tariff = stored(&task, &id).await?;
        let to = task.now();
        let from = to.plus(Millis::from_secs(days.saturating_mul(DAY_S).saturating_neg()));
        let (report, truncated) = look(&task, &tariff, from, to).await?;
        let detail = Detail { days, orders: report.orders, difference_fen: report.difference.0 };
        let audit = audit_row(&by, to, "TARIFF_DRY_RUN", &tariff.tariff_id, &detail);
        let answer = Answer::ok(&view(tariff.tariff_id, (from, to), report, truncated));
        let mut writes = vec![Write::Audit(Box::new(audit))];
        writes.extend(key.map(|key| Write::Once(Box::new(key.row(&answer, to)))));
        task.commit(writes).await?;
        Ok(answer)
    })
    .await
}

/// Shows the tariff every order that ended in a span, page by page; whether there were more than are looked at.
async fn look(app: &App, tariff: &Tariff, from: Timestamp, to: Timestamp) -> Result<(DryRunReport, bool), Problem> {
    let too_large = |error| Problem::new(Code::Internal, format!("{error}"));
    let (mut run, mut read, mut cursor) = (DryRun::new(tariff), 0_usize, None::<String>);
    loop {
        let page = app.money.orders_ended(from, to, cursor.as_deref(), PAGE_LEN_MAX).await?;
        page.items.iter().try_for_each(|order| run.add(order)).map_err(too_large)?;
        read = read.saturating_add(page.items.len());
        cursor = page.next_cursor;
        if cursor.is_none() || read >= DRY_RUN_ORDERS_MAX {
            return Ok((run.report().map_err(too_large)?, cursor.is_some()));
        }
    }
}

fn view(tariff_id: String, (from, to): (Timestamp, Timestamp), report: DryRunReport, truncated: bool) -> DryRunView {
    let label = |sums: LabelSums| LabelView {
        label: sums.label,
        energy_now_wh: sums.energy_now.0,
        energy_then_wh: sums.energy_then.0,
        now_fen: sums.now.0,
        then_fen: sums.then.0,
    };
    let worst = |order: OrderDifference| WorstView {
        order_no: order.order_no.to_string(),
        now_fen: order.now.0,
        then_fen: order.then.0,
        difference_fen: order.difference.0,
    };
    DryRunView {
        tariff_id,
        from,
        to,
        orders: report.orders,
        skipped: report.skipped,
        revenue_now_fen: report.revenue_now.0,
        revenue_then_fen: report.revenue_then.0,
        difference_fen: report.difference.0,
        truncated: truncated || report.labels_cut,
        by_label: report.by_label.into_iter().map(label).collect(),
        worst: report.worst.into_iter().map(worst).collect(),
    }
}
