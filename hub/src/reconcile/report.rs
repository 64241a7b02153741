//! A day's reconciliation for people: sums by channel, by account of the books, and every item, as a table and as a page,
//! in both languages. Knows neither the store nor HTTP.

use std::{collections::BTreeMap, fmt::Write as _};

use domain::Fen;
use settlement::{
    ledger::{BookAccount, Entry},
    reconcile::{DayBook, Item, Sum, yuan_of_fen},
};

use crate::{escape, http::problem::Language};

/// What finance reads about a day.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) book: DayBook,
    /// Debits and credits of the day by account.
    pub(crate) accounts: BTreeMap<BookAccount, Turnover>,
    pub(crate) items: Vec<Item>,
    /// More than the report can show.
    pub(crate) cut: bool,
}

/// What moved on one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Turnover {
    pub(crate) debit: Fen,
    pub(crate) credit: Fen,
    pub(crate) entries: u64,
}

/// Adds an entry to both of its accounts.
pub(crate) fn add(accounts: &mut BTreeMap<BookAccount, Turnover>, entry: &Entry) {
    let debit = accounts.entry(entry.debit).or_default();
    debit.debit.0 = debit.debit.0.saturating_add(entry.amount.0);
    debit.entries = debit.entries.saturating_add(1);
    let credit = accounts.entry(entry.credit).or_default();
    credit.credit.0 = credit.credit.0.saturating_add(entry.amount.0);
    credit.entries = credit.entries.saturating_add(1);
}

/// One table of a report.
struct Table {
    title: &'static str,
    columns: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

/// The report as a table to download: three tables, one below the other. A cell that a spreadsheet would take for a
/// formula begins with an apostrophe.
pub(crate) fn csv(report: &Report, language: Language) -> String {
    // Spreadsheets take a file without this mark for one in the system's own encoding.
    let mut text = String::from("\u{feff}");
    text.push_str(&row_of([heading(report, language)].iter()));
    for table in tables(report, language) {
        text.push_str("\r\n");
        text.push_str(&row_of([table.title].iter()));
        text.push_str(&row_of(table.columns.iter()));
        for row in &table.rows {
            text.push_str(&row_of(row.iter()));
        }
    }
    text
}

fn row_of<T: AsRef<str>>(cells: impl Iterator<Item = T>) -> String {
    let cells: Vec<String> = cells.map(|cell| escape::csv(cell.as_ref()).into_owned()).collect();
    format!("{}\r\n", cells.join(","))
}

/// The report as a page that prints well.
pub(crate) fn html(report: &Report, language: Language) -> String {
    let lang = match language {
        Language::Zh => "zh-CN",
        Language::En => "en",
    };
    let heading = escape::html(&heading(report, language));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"{lang}\"><head><meta charset=\"utf-8\"><title>{heading}</title>\n<style>\n\
         body{{font:14px/1.5 system-ui,sans-serif;margin:2em;color:#111;background:#fff}}\n\
         table{{border-collapse:collapse;margin-bottom:2em}}\n\
         th,td{{border:1px solid #bbb;padding:.2em .5em;text-align:left;vertical-align:top}}\n\
         th{{background:#f2f2f2}}\n@media print{{body{{margin:0;font-size:10px}}}}\n\
         </style></head><body>\n<h1>{heading}</h1>\n"
    );
    for table in tables(report, language) {
        // Writing into memory does not fail.
        let _ = writeln!(page, "<h2>{}</h2>\n<table><thead><tr>", escape::html(table.title));
        for column in &table.columns {
            let _ = write!(page, "<th>{}</th>", escape::html(column));
        }
        page.push_str("</tr></thead><tbody>\n");
        for row in &table.rows {
            page.push_str("<tr>");
            for cell in row {
                let _ = write!(page, "<td>{}</td>", escape::html(cell));
            }
            page.push_str("</tr>\n");
        }
        page.push_str("</tbody></table>\n");
    }
    page.push_str("</body></html>\n");
    page
}

/// One word of each language.
const fn either(language: Language, zh: &'static str, en: &'static str) -> &'static str {
    match language {
        Language::Zh => zh,
        Language::En => en,
    }
}

fn heading(report: &Report, language: Language) -> String {
    let book = &report.book;
    let state =
        if book.is_closed() { either(language, "已关账", "closed") } else { either(language, "未关账", "open") };
    let cut = if report.cut || book.truncated {
        either(language, "；数据过多，未全部列出", "; too much to show everything")
    } else {
        ""
    };
    let title = either(language, "对账报告", "Reconciliation");
    format!("{title} {} ({}) · {state}{cut}", book.day, book.timezone)
}

fn tables(report: &Report, language: Language) -> [Table; 4] {
    [channels(report, language), energy(report, language), accounts(report, language), items(report, language)]
}

fn channels(report: &Report, language: Language) -> Table {
    let word = |zh, en| either(language, zh, en);
    let mut rows = Vec::new();
    for (channel, sums) in &report.book.funds {
        let billed = if sums.billed { word("有账单", "billed") } else { word("无账单", "no bill") };
        let lines: [(&str, Sum); 6] = [
            (word("渠道账单收款", "payments by the bill"), sums.lines_paid),
            (word("渠道账单退款", "refunds by the bill"), sums.lines_refunded),
            (word("平台收款", "payments by the hub"), sums.hub_paid),
            (word("平台退款", "refunds by the hub"), sums.hub_refunded),
            (word("收款相符", "payments that agree"), sums.matched_paid),
            (word("退款相符", "refunds that agree"), sums.matched_refunded),
        ];
        rows.extend(lines.into_iter().map(|(name, sum)| {
            let (count, fen, yuan) = (sum.count.to_string(), sum.fen.0.to_string(), yuan_of_fen(sum.fen));
            vec![channel.clone(), billed.to_owned(), name.to_owned(), count, fen, yuan]
        }));
    }
    Table {
        title: word("资金", "Funds by channel"),
        columns: vec![
            word("渠道", "channel"),
            word("账单", "bill"),
            word("项目", "what"),
            word("笔数", "count"),
            word("分", "fen"),
            word("元", "yuan"),
        ],
        rows,
    }
}

fn energy(report: &Report, language: Language) -> Table {
    let word = |zh, en| either(language, zh, en);
    let sums = &report.book.energy;
    let rows = [
        (word("订单数", "orders"), sums.orders.to_string()),
        (word("计费电量 Wh", "billed, Wh"), sums.billed_wh.0.to_string()),
        (word("有表底的订单数", "orders with registers"), sums.metered_orders.to_string()),
        (word("其计费电量 Wh", "billed for those, Wh"), sums.metered_billed_wh.0.to_string()),
        (word("其表计电量 Wh", "by their registers, Wh"), sums.metered_wh.0.to_string()),
        (word("订单之间的电量 Wh", "between orders, Wh"), sums.gap_wh.0.to_string()),
        (word("待补充电记录的订单数", "orders that wait for their record"), sums.provisional_orders.to_string()),
    ];
    Table {
        title: word("电量", "Energy"),
        columns: vec![word("项目", "what"), word("数值", "value")],
        rows: rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect(),
    }
}

fn accounts(report: &Report, language: Language) -> Table {
    let word = |zh, en| either(language, zh, en);
    let row = |(account, turnover): (&BookAccount, &Turnover)| {
        let name = serde_json::to_value(account).ok().and_then(|name| name.as_str().map(str::to_owned));
        vec![
            name.unwrap_or_default(),
            turnover.entries.to_string(),
            turnover.debit.0.to_string(),
            yuan_of_fen(turnover.debit),
            turnover.credit.0.to_string(),
            yuan_of_fen(turnover.credit),
        ]
    };
    Table {
        title: word("总账发生额", "Books by account"),
        columns: vec![
            word("科目", "account"),
            word("分录数", "entries"),
            word("借方 分", "debit, fen"),
            word("借方 元", "debit, yuan"),
            word("贷方 分", "credit, fen"),
            word("贷方 元", "credit, yuan"),
        ],
        rows: report.accounts.iter().map(row).collect(),
    }
}

fn items(report: &Report, language: Language) -> Table {
    let word = |zh, en| either(language, zh, en);
    Table {
        title: word("差异", "Items"),
        columns: vec![
            word("编号", "item"),
            word("类型", "kind"),
            word("状态", "state"),
            word("原日期", "of day"),
            word("渠道", "channel"),
            word("支付单号", "payment"),
            word("退款单号", "refund"),
            word("渠道交易号", "transaction"),
            word("记账操作", "operation"),
            word("用户", "user"),
            word("订单号", "order"),
            word("前一订单", "earlier order"),
            word("充电桩", "pile"),
            word("枪", "connector"),
            word("渠道 分", "channel, fen"),
            word("平台 分", "hub, fen"),
            word("账本 分", "books, fen"),
            word("计费 Wh", "billed, Wh"),
            word("表计 Wh", "metered, Wh"),
            word("表底起", "meter start"),
            word("表底止", "meter end"),
            word("处理", "decided as"),
            word("原因", "reason"),
            word("处理人", "by"),
            word("处理时间", "at"),
        ],
        rows: report.items.iter().map(|item| item_row(item, language)).collect(),
    }
}

fn item_row(item: &Item, language: Language) -> Vec<String> {
    fn text<T: ToString>(value: Option<&T>) -> String {
        value.map(ToString::to_string).unwrap_or_default()
    }
    let about = &item.about;
    let fen = |sum: Option<Fen>| text(sum.map(|sum| sum.0).as_ref());
    let wh = |energy: Option<domain::WattHours>| text(energy.map(|energy| energy.0).as_ref());
    let decision = item.decision.as_ref();
    vec![
        item.item_id.clone(),
        kind(item, language).to_owned(),
        item.state.as_str().to_owned(),
        text(item.of_day.as_ref()),
        text(about.channel.as_ref()),
        text(about.payment_no.as_ref()),
        text(about.refund_no.as_ref()),
        text(about.transaction_id.as_ref()),
        text(about.op.as_ref()),
        text(about.user_id.as_ref()),
        text(about.order_no.as_ref()),
        text(about.earlier_order_no.as_ref()),
        text(about.pile_code.as_ref()),
        text(about.connector_id.as_ref()),
        fen(about.channel_fen),
        fen(about.hub_fen),
        fen(about.ledger_fen),
        wh(about.billed_wh),
        wh(about.metered_wh),
        wh(about.meter_start),
        wh(about.meter_end),
        decision.map(|decision| decision.verdict.as_str().to_owned()).unwrap_or_default(),
        decision.map(|decision| decision.reason.clone()).unwrap_or_default(),
        text(decision.map(|decision| &decision.by)),
        text(decision.map(|decision| &decision.at)),
    ]
}

fn kind(item: &Item, language: Language) -> &'static str {
    use settlement::reconcile::ItemKind as Kind;
    let zh = match item.kind {
        Kind::Long => "长款",
        Kind::Short => "短款",
        Kind::AmountDiff => "金额不符",
        Kind::TransactionDiff => "交易号不符",
        Kind::LedgerDiff => "账本不符",
        Kind::Duplicate => "重复",
        Kind::EnergyDiff => "电量不符",
        Kind::PileEnergyDiff => "桩电量不符",
        Kind::MeterGap => "表底不连续",
        Kind::MeterBackwards => "表底倒走",
        Kind::MeterMissing => "缺表底",
    };
    either(language, zh, item.kind.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_shows_text_and_never_runs_it() {
        assert_eq!(
            escape::html("<script>alert('1')&\"</script>"),
            "&lt;script&gt;alert(&#39;1&#39;)&amp;&quot;&lt;/script&gt;"
        );
    }
}
