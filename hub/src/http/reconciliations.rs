//! Reconciliation of a day: bills of the channels in and out, runs, items, decisions, the close by two persons, reports.
//! The rules are settlement's, the work is `reconcile`'s.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::{Timestamp, UserId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use settlement::reconcile::{
    BillLine, ChannelSums, Day, DayBook, EnergySums, Item, ItemState, LineKind, Sum, Verdict, bills::BillFormat,
};
use store::money::Write;
use utoipa::ToSchema;

use super::{
    answer::{Answer, Listed},
    audit::audit_row,
    auth::{By, FINANCE},
    idempotency::{Call, OnceKey, once},
    input::{Params, body, words},
    problem::{Code, Language, Problem},
    rights::{
        RECONCILIATIONS_APPROVE, RECONCILIATIONS_BILLS, RECONCILIATIONS_CLOSE, RECONCILIATIONS_EXPORT,
        RECONCILIATIONS_GET, RECONCILIATIONS_IMPORT, RECONCILIATIONS_LIST, RECONCILIATIONS_PAGE,
        RECONCILIATIONS_RESOLVE, RECONCILIATIONS_RUN, RECONCILIATIONS_TABLE,
    },
    state::App,
};
use crate::reconcile::{self, CloseStep, KeptBill, Ran, Trouble};

/// Which day to reconcile.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Asked {
    /// In the zone of the first station by id.
    #[schema(example = "2026-11-20")]
    day: String,
}

/// What a person decides about an item.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Decided {
    reason: String,
    /// `MATCHED`, `CREDITED`, `RETURNED`, `CORRECTED`, `WRITTEN_OFF` or `ACCEPTED`. It moves no money.
    #[serde(rename = "as")]
    verdict: String,
}

/// How many, and how much.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SumView {
    count: u64,
    fen: i64,
}

/// One channel's day.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChannelView {
    channel: String,
    /// Whether there is a bill. Without one, nothing is LONG or SHORT.
    billed: bool,
    lines_paid: SumView,
    lines_refunded: SumView,
    hub_paid: SumView,
    hub_refunded: SumView,
    matched_paid: SumView,
    matched_refunded: SumView,
}

/// The day's money.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FundsView {
    /// Whether every channel that moved money has a bill.
    billed: bool,
    channels: Vec<ChannelView>,
}

/// The day's energy.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EnergyView {
    orders: u64,
    billed_wh: i64,
    /// Orders whose record has both registers, in order.
    metered_orders: u64,
    metered_billed_wh: i64,
    metered_wh: i64,
    /// Flowed between orders.
    gap_wh: i64,
    /// Orders that wait for their record.
    provisional_orders: u64,
}

/// The books of a day.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BookView {
    #[schema(value_type = String)]
    day: Day,
    /// `OPEN` or `CLOSED`.
    state: &'static str,
    timezone: String,
    /// Whether the day was over when it was last looked at; only then it can be closed.
    whole_day: bool,
    /// More than one run can look at.
    truncated: bool,
    /// When these figures were first found.
    #[schema(value_type = String, format = DateTime)]
    figures_at: Timestamp,
    funds: FundsView,
    energy: EnergyView,
    #[schema(value_type = Option<String>)]
    close_asked_by: Option<UserId>,
    #[schema(value_type = Option<String>)]
    closed_by: Option<UserId>,
    #[schema(value_type = Option<String>, format = DateTime)]
    closed_at: Option<Timestamp>,
}

/// The books of a day with a page of their items.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DayView {
    #[serde(flatten)]
    book: BookView,
    /// Items somebody must look at.
    open_items: u64,
    /// Latest first: `itemId`, `kind`, `state`, the names and both sides of the difference.
    #[schema(value_type = Vec<Object>)]
    items: Vec<Item>,
    next_cursor: Option<String>,
}

/// What a run came to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RanView {
    #[serde(flatten)]
    book: BookView,
    open_items: u64,
}

/// A channel's bill that was taken.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BillView {
    /// Follows from day, channel and content.
    bill_id: String,
    #[schema(value_type = String)]
    day: Day,
    channel: String,
    #[schema(value_type = String)]
    by: UserId,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    paid: SumView,
    refunded: SumView,
}

/// Compares a day: channels × payments × books, and bills × registers (finance). The same facts again change nothing.
#[utoipa::path(post, path = "/reconciliations", tag = "reconciliation", request_body = Asked,
    responses((status = 201, body = RanView), (status = 200, body = RanView)))]
pub(crate) async fn run(State(app): State<App>, by: By<RECONCILIATIONS_RUN>, call: Call) -> Result<Answer, Problem> {
    let (task, caller) = (app.clone(), by.sub.clone());
    once(&app, &caller, call, move |key, bytes| async move {
        let asked: Asked = body(&bytes)?;
        let day = day_of("day", &asked.day)?;
        let now = task.now();
        let with = |ran: &Ran| {
            let detail = json!({ "openItems": ran.open_items });
            let audit = audit_row(&by, now, "RECONCILED", &day.to_string(), &detail);
            stored(audit, key.as_ref(), &ran_answer(ran), now)
        };
        Ok(ran_answer(&task.reconciler.run(day, Box::new(with)).await?))
    })
    .await
}

/// Days that were reconciled, latest first (finance, auditor).
#[utoipa::path(get, path = "/reconciliations", tag = "reconciliation",
    params(("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query)),
    responses((status = 200, body = Listed<BookView>)))]
pub(crate) async fn list(
    State(app): State<App>,
    _by: By<RECONCILIATIONS_LIST>,
    params: Params,
) -> Result<Json<Listed<BookView>>, Problem> {
    let page = app.reconciler.books(params.cursor(), params.limit()?).await?;
    Ok(Json(Listed::page(page, |book| book_view(&book))))
}

/// One day with its items (finance, auditor).
#[utoipa::path(get, path = "/reconciliations/{day}", tag = "reconciliation",
    params(("day" = String, Path), ("state" = Option<String>, Query), ("cursor" = Option<String>, Query),
        ("limit" = Option<u32>, Query)),
    responses((status = 200, body = DayView)))]
pub(crate) async fn get(
    State(app): State<App>,
    _by: By<RECONCILIATIONS_GET>,
    Path(day): Path<String>,
    params: Params,
) -> Result<Json<DayView>, Problem> {
    let day = day_of("day", &day)?;
    let state = params.text("state").map(|text| {
        let names: Vec<_> = ItemState::ALL.iter().map(|state| state.as_str()).collect();
        ItemState::read(text).ok_or_else(|| Problem::invalid("state", text, format!("must be {}", names.join(" or "))))
    });
    let book = app.reconciler.book(day).await?.ok_or(Trouble::NoDay(day))?;
    let page = app.reconciler.items(day, state.transpose()?, params.cursor(), params.limit()?).await?;
    let open_items = app.reconciler.open_items(day).await?;
    Ok(Json(DayView { book: book_view(&book), open_items, items: page.items, next_cursor: page.next_cursor }))
}

/// Takes a channel's bill of a day, whole or not at all (finance). The same content again changes nothing.
#[utoipa::path(post, path = "/reconciliations/{day}/bills", tag = "reconciliation",
    params(("day" = String, Path), ("channel" = String, Query, description = "`wechat`, `alipay` or `sandbox`")),
    request_body(content = String, content_type = "text/csv", description = "微信 交易账单, 支付宝 业务明细 in UTF-8, or kind,paymentNo,transactionId,refundNo,amountFen,at"),
    responses((status = 200, body = BillView)))]
pub(crate) async fn import(
    State(app): State<App>,
    by: By<RECONCILIATIONS_IMPORT>,
    Path(day): Path<String>,
    params: Params,
    call: Call,
) -> Result<Answer, Problem> {
    let day = day_of("day", &day)?;
    let format = format_of(&params)?;
    let (task, caller) = (app.clone(), by.sub.clone());
    once(&app, &caller, call, move |key, bytes| async move {
        let now = task.now();
        let with = |bill: &KeptBill| {
            let detail = json!({ "channel": bill.channel, "day": day, "lines": bill.lines.len() });
            let audit = audit_row(&by, now, "BILL_IMPORTED", &bill.bill_id, &detail);
            stored(audit, key.as_ref(), &Answer::ok(&bill_view(bill)), now)
        };
        let bill = task.reconciler.take_bill(day, format, &bytes, by.sub.clone(), Box::new(with)).await?;
        Ok(Answer::ok(&bill_view(&bill)))
    })
    .await
}

/// The bills of a day that were taken (finance, auditor).
#[utoipa::path(get, path = "/reconciliations/{day}/bills", tag = "reconciliation", params(("day" = String, Path)),
    responses((status = 200, body = Listed<BillView>)))]
pub(crate) async fn bills(
    State(app): State<App>,
    _by: By<RECONCILIATIONS_BILLS>,
    Path(day): Path<String>,
) -> Result<Json<Listed<BillView>>, Problem> {
    let bills = app.reconciler.bills(day_of("day", &day)?).await?;
    Ok(Json(Listed::whole(bills.iter().map(bill_view).collect())))
}

/// The lines of a channel's bills of a day, in the channel's own form (finance, auditor).
#[utoipa::path(get, path = "/reconciliations/{day}/bills.csv", tag = "reconciliation",
    params(("day" = String, Path), ("channel" = String, Query)),
    responses((status = 200, content_type = "text/csv", body = String)))]
pub(crate) async fn export(
    State(app): State<App>,
    _by: By<RECONCILIATIONS_EXPORT>,
    Path(day): Path<String>,
    params: Params,
) -> Result<Response, Problem> {
    let (day, format) = (day_of("day", &day)?, format_of(&params)?);
    let bills = app.reconciler.bills(day).await?;
    let lines: Vec<BillLine> =
        bills.into_iter().filter(|bill| bill.channel == format.channel()).flat_map(|bill| bill.lines).collect();
    let name = format!("{}-{day}.csv", format.channel());
    Ok(file(format.write(&lines, day), "text/csv; charset=utf-8", Some(&name)))
}

/// Keeps what a person decided about an open item (finance).
#[utoipa::path(post, path = "/reconciliations/{day}/items/{id}/resolve", tag = "reconciliation",
    params(("day" = String, Path), ("id" = String, Path)), request_body = Decided,
    responses((status = 200, body = Object)))]
pub(crate) async fn resolve(
    State(app): State<App>,
    by: By<RECONCILIATIONS_RESOLVE>,
    Path((day, id)): Path<(String, String)>,
    call: Call,
) -> Result<Answer, Problem> {
    let day = day_of("day", &day)?;
    let (task, caller) = (app.clone(), by.sub.clone());
    once(&app, &caller, call, move |key, bytes| async move {
        let decided: Decided = body(&bytes)?;
        let reason = words("reason", &decided.reason)?;
        let names: Vec<_> = Verdict::ALL.iter().map(|verdict| verdict.as_str()).collect();
        let verdict = Verdict::read(&decided.verdict)
            .ok_or_else(|| Problem::invalid("as", &decided.verdict, format!("must be {}", names.join(" or "))))?;
        let now = task.now();
        let with = |item: &Item| {
            let detail = json!({ "as": verdict.as_str(), "reason": reason, "before": ItemState::Open.as_str() });
            let audit = audit_row(&by, now, "RECONCILIATION_ITEM_RESOLVED", &item.item_id, &detail);
            stored(audit, key.as_ref(), &Answer::ok(item), now)
        };
        let decision = (by.sub.clone(), verdict, reason.clone());
        Ok(Answer::ok(&task.reconciler.resolve(day, &id, decision, Box::new(with)).await?))
    })
    .await
}

/// Asks to close a day that is over and has nothing open (finance).
#[utoipa::path(post, path = "/reconciliations/{day}/close", tag = "reconciliation", params(("day" = String, Path)),
    responses((status = 200, body = BookView)))]
pub(crate) async fn close(
    State(app): State<App>,
    by: By<RECONCILIATIONS_CLOSE>,
    Path(day): Path<String>,
    call: Call,
) -> Result<Answer, Problem> {
    close_step(app, by, day, call, CloseStep::Ask).await
}

/// Closes a day for ever (finance; never who asked).
#[utoipa::path(post, path = "/reconciliations/{day}/close/approve", tag = "reconciliation",
    params(("day" = String, Path)), responses((status = 200, body = BookView)))]
pub(crate) async fn approve(
    State(app): State<App>,
    by: By<RECONCILIATIONS_APPROVE>,
    Path(day): Path<String>,
    call: Call,
) -> Result<Answer, Problem> {
    close_step(app, by, day, call, CloseStep::Approve).await
}

async fn close_step(app: App, by: By<FINANCE>, day: String, call: Call, step: CloseStep) -> Result<Answer, Problem> {
    let day = day_of("day", &day)?;
    let (task, caller) = (app.clone(), by.sub.clone());
    once(&app, &caller, call, move |key, _| async move {
        let now = task.now();
        let with = |book: &DayBook| {
            let action = match step {
                CloseStep::Ask => "RECONCILIATION_CLOSE_ASKED",
                CloseStep::Approve => "RECONCILIATION_CLOSED",
            };
            let audit = audit_row(&by, now, action, &day.to_string(), &book_view(book));
            stored(audit, key.as_ref(), &Answer::ok(&book_view(book)), now)
        };
        Ok(Answer::ok(&book_view(&task.reconciler.close(day, by.sub.clone(), step, Box::new(with)).await?)))
    })
    .await
}

/// A day's report as a table (finance, auditor).
#[utoipa::path(get, path = "/reconciliations/{day}/report.csv", tag = "reconciliation",
    params(("day" = String, Path)), responses((status = 200, content_type = "text/csv", body = String)))]
pub(crate) async fn report_csv(
    State(app): State<App>,
    _by: By<RECONCILIATIONS_TABLE>,
    Path(day): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let day = day_of("day", &day)?;
    let report = app.reconciler.report(day).await?;
    let name = format!("reconciliation-{day}.csv");
    Ok(file(reconcile::csv(&report, language(&headers)), "text/csv; charset=utf-8", Some(&name)))
}

/// A day's report as a page (finance, auditor).
#[utoipa::path(get, path = "/reconciliations/{day}/report.html", tag = "reconciliation",
    params(("day" = String, Path)), responses((status = 200, content_type = "text/html", body = String)))]
pub(crate) async fn report_html(
    State(app): State<App>,
    _by: By<RECONCILIATIONS_PAGE>,
    Path(day): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let report = app.reconciler.report(day_of("day", &day)?).await?;
    Ok(file(reconcile::html(&report, language(&headers)), "text/html; charset=utf-8", None))
}

fn language(headers: &HeaderMap) -> Language {
    let header = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    Language::accepted(header.unwrap_or_default())
}

/// A text of its own kind; one with a name is to be saved.
fn file(text: String, kind: &'static str, name: Option<&str>) -> Response {
    let mut response = (StatusCode::OK, text).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'"),
    );
    let saved = name.and_then(|name| HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")).ok());
    if let Some(saved) = saved {
        headers.insert(header::CONTENT_DISPOSITION, saved);
    }
    response
}

fn day_of(field: &str, text: &str) -> Result<Day, Problem> {
    text.parse().map_err(|_| Problem::invalid(field, text, "must be a day like 2026-11-20"))
}

fn format_of(params: &Params) -> Result<BillFormat, Problem> {
    let text = params.text("channel").ok_or_else(|| Problem::missing("channel"))?;
    let names = BillFormat::ALL.map(BillFormat::channel).join(" or ");
    BillFormat::of(text).ok_or_else(|| Problem::invalid("channel", text, format!("must be {names}")))
}

/// What is stored beside an effect.
fn stored(audit: store::registry::AuditRow, key: Option<&OnceKey>, answer: &Answer, now: Timestamp) -> Vec<Write> {
    let once = key.map(|key| Write::Once(Box::new(key.row(answer, now))));
    std::iter::once(Write::Audit(Box::new(audit))).chain(once).collect()
}

fn ran_answer(ran: &Ran) -> Answer {
    let view = RanView { book: book_view(&ran.book), open_items: ran.open_items };
    if ran.first { Answer::created(&view) } else { Answer::ok(&view) }
}

impl From<Trouble> for Problem {
    fn from(trouble: Trouble) -> Self {
        use settlement::reconcile::CloseRefusal;
        let detail = trouble.to_string();
        match trouble {
            Trouble::Store(error) => error.into(),
            Trouble::Conflict(conflict) => conflict.into(),
            Trouble::Bill(error) => {
                let field = format!("line {}, column {}", error.line, error.column);
                Self::invalid(field, error.value, error.rule)
            }
            Trouble::NotBegun(day) => Self::invalid("day", day, "must not be in the future"),
            Trouble::NoDay(_) => Self::new(Code::ReconciliationNotFound, detail),
            Trouble::NoItem(_) => Self::new(Code::ItemNotFound, detail),
            Trouble::Close(CloseRefusal::OwnRequest) => Self::new(Code::Forbidden, detail),
            Trouble::Close(CloseRefusal::ItemsOpen { .. }) => Self::new(Code::ItemsOpen, detail),
            Trouble::Close(CloseRefusal::Closed(_)) => Self::new(Code::DayClosed, detail),
            Trouble::Close(
                CloseRefusal::NotOver(_)
                | CloseRefusal::Truncated(_)
                | CloseRefusal::NotAsked(_)
                | CloseRefusal::Asked { .. },
            )
            | Trouble::Zone(_)
            | Trouble::NoStation
            | Trouble::Item(_)
            | Trouble::TooManyBills => Self::new(Code::IllegalState, detail),
        }
    }
}

fn sum_view(sum: Sum) -> SumView {
    SumView { count: sum.count, fen: sum.fen.0 }
}

fn book_view(book: &DayBook) -> BookView {
    let channel = |(channel, sums): (&String, &ChannelSums)| ChannelView {
        channel: channel.clone(),
        billed: sums.billed,
        lines_paid: sum_view(sums.lines_paid),
        lines_refunded: sum_view(sums.lines_refunded),
        hub_paid: sum_view(sums.hub_paid),
        hub_refunded: sum_view(sums.hub_refunded),
        matched_paid: sum_view(sums.matched_paid),
        matched_refunded: sum_view(sums.matched_refunded),
    };
    let EnergySums { orders, billed_wh, metered_orders, metered_billed_wh, metered_wh, gap_wh, provisional_orders } =
        book.energy;
    BookView {
        day: book.day,
        state: if book.is_closed() { "CLOSED" } else { "OPEN" },
        timezone: book.timezone.clone(),
        whole_day: book.whole_day,
        truncated: book.truncated,
        figures_at: book.figures_at,
        funds: FundsView {
            billed: !book.funds.is_empty() && book.funds.values().all(|sums| sums.billed),
            channels: book.funds.iter().map(channel).collect(),
        },
        energy: EnergyView {
            orders,
            billed_wh: billed_wh.0,
            metered_orders,
            metered_billed_wh: metered_billed_wh.0,
            metered_wh: metered_wh.0,
            gap_wh: gap_wh.0,
            provisional_orders,
        },
        close_asked_by: book.asked.as_ref().map(|word| word.by.clone()),
        closed_by: book.approved.as_ref().map(|word| word.by.clone()),
        closed_at: book.approved.as_ref().map(|word| word.at),
    }
}

fn bill_view(bill: &KeptBill) -> BillView {
    let sum = |kind: LineKind| {
        let of_kind = bill.lines.iter().filter(|line| line.kind == kind);
        of_kind.fold(SumView { count: 0, fen: 0 }, |sum, line| SumView {
            count: sum.count.saturating_add(1),
            fen: sum.fen.saturating_add(line.amount_fen.0),
        })
    };
    BillView {
        bill_id: bill.bill_id.clone(),
        day: bill.day,
        channel: bill.channel.clone(),
        by: bill.by.clone(),
        at: bill.at,
        paid: sum(LineKind::Pay),
        refunded: sum(LineKind::Refund),
    }
}
