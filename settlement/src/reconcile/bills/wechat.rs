//! 微信支付 交易账单: titles in Chinese, every value behind a backtick, sums in yuan, and at the end a line of titles and a
//! line of totals, which tell a whole file from one that was cut off.

use domain::Fen;

use super::{
    super::{BillLine, Day, LineKind, yuan_of_fen},
    BillError, as_china_time, china_time, name, sum,
    table::{Row, Rows, Style},
};

const TIME: &str = "交易时间";
const TRANSACTION: &str = "微信订单号";
const PAYMENT: &str = "商户订单号";
const STATUS: &str = "交易状态";
const CURRENCY: &str = "货币种类";
const PAID: &str = "应结订单金额";
const ORDERED: &str = "订单金额";
const REFUND: &str = "商户退款单号";
const REFUNDED: &str = "退款金额";
const ASKED_BACK: &str = "申请退款金额";
/// Titles of the columns of a bill of all kinds of transactions, in the channel's order.
const TITLES: [&str; 27] = [
    TIME,
    "公众账号ID",
    "商户号",
    "特约商户号",
    "设备号",
    TRANSACTION,
    PAYMENT,
    "用户标识",
    "交易类型",
    STATUS,
    "付款银行",
    CURRENCY,
    PAID,
    "代金券金额",
    "微信退款单号",
    REFUND,
    REFUNDED,
    "充值券退款金额",
    "退款类型",
    "退款状态",
    "商品名称",
    "商户数据包",
    "手续费",
    "费率",
    ORDERED,
    ASKED_BACK,
    "费率备注",
];
const COUNT_TOTAL: &str = "总交易单数";
/// Columns and the titles of their totals.
const TOTALS: [(&str, &str); 4] =
    [(PAID, "应结订单总金额"), (REFUNDED, "退款总金额"), (ORDERED, "订单总金额"), (ASKED_BACK, "申请退款总金额")];
const STYLE: Style = Style { remark: None, tick: Some('`') };

pub(super) fn read(text: &str, day: Day) -> Result<Vec<BillLine>, BillError> {
    let (rows, totals) = split(text)?;
    let table = Rows::read(rows, STYLE)?;
    table.need(&[TIME, TRANSACTION, PAYMENT, STATUS, CURRENCY])?;
    if !table.has(ORDERED) {
        table.need(&[PAID])?;
    }
    let mut lines = Vec::with_capacity(table.rows.len());
    let mut sums = [Fen::ZERO; TOTALS.len()];
    for (number, values) in &table.rows {
        let row = table.row(*number, values)?;
        lines.push(line(&table, row, day)?);
        for ((column, _), total) in TOTALS.iter().zip(&mut sums) {
            if table.has(column) {
                let more = row.value(column, sum)?;
                let too_much = || BillError::new(*number, column, row.text(column), "the sum is too large");
                *total = total.checked_add(more).ok_or_else(too_much)?;
            }
        }
    }
    check_totals(&table, &totals, &sums)?;
    Ok(lines)
}

/// The text up to the totals; the titles and values of the totals, and their line.
fn split(text: &str) -> Result<(&str, Totals), BillError> {
    let mut from = 0_usize;
    for (line, number) in text.split_inclusive('\n').zip(1_u64..) {
        if line.starts_with(COUNT_TOTAL) {
            let rest = text.get(from..).unwrap_or_default();
            let mut table = Rows::read(rest, STYLE)?;
            let values = table.rows.pop().filter(|_| table.rows.is_empty()).map(|(_, values)| values);
            let line = number.saturating_add(1);
            let values = values.ok_or_else(|| {
                BillError::new(line, COUNT_TOTAL, "", "must be one line of totals, and nothing after it")
            })?;
            return Ok((text.get(..from).unwrap_or_default(), Totals { table, values, line }));
        }
        from = from.saturating_add(line.len());
    }
    let line = u64::try_from(text.lines().count()).unwrap_or(u64::MAX);
    let last = text.lines().next_back().unwrap_or_default();
    Err(BillError::new(line, COUNT_TOTAL, last, "the line of totals is missing: the file was cut off; fetch it again"))
}

/// The totals at the end.
struct Totals {
    table: Rows,
    values: Vec<String>,
    line: u64,
}

fn line(table: &Rows, row: Row<'_>, day: Day) -> Result<BillLine, BillError> {
    let kind = row.value(STATUS, |text| match text {
        "SUCCESS" => Ok(LineKind::Pay),
        "REFUND" | "REVOKED" => Ok(LineKind::Refund),
        _ => Err("must be SUCCESS, REFUND or REVOKED".to_owned()),
    })?;
    row.value(CURRENCY, |text| if text == "CNY" { Ok(()) } else { Err("must be CNY".to_owned()) })?;
    // The first of a pair is what was asked for, before the channel's own coupons.
    let either = |first, second| if table.has(first) { first } else { second };
    let (amount, refund_no) = match kind {
        LineKind::Pay => (either(ORDERED, PAID), String::new()),
        LineKind::Refund => (either(ASKED_BACK, REFUNDED), refund_no(row)?),
    };
    Ok(BillLine {
        kind,
        payment_no: row.value(PAYMENT, name)?,
        refund_no,
        transaction_id: row.value(TRANSACTION, name)?,
        amount_fen: row.value(amount, sum)?,
        at: row.value(TIME, |text| china_time(text, day))?,
    })
}

/// Payments that were revoked have none.
fn refund_no(row: Row<'_>) -> Result<String, BillError> {
    match row.text(REFUND) {
        "" | "0" => Ok(String::new()),
        _ => row.value(REFUND, name),
    }
}

fn check_totals(table: &Rows, totals: &Totals, sums: &[Fen]) -> Result<(), BillError> {
    let row = totals.table.row(totals.line, &totals.values)?;
    let count = table.rows.len().to_string();
    row.value(COUNT_TOTAL, |text| {
        if text == count { Ok(()) } else { Err(format!("there are {count} rows: fetch the file again")) }
    })?;
    for ((column, total), summed) in TOTALS.iter().zip(sums) {
        if table.has(column) && totals.table.has(total) {
            let told = row.value(total, sum)?;
            row.value(total, |_| {
                let rule = format!("the column {column} sums to {}: fetch the file again", yuan_of_fen(*summed));
                if told == *summed { Ok(()) } else { Err(rule) }
            })?;
        }
    }
    Ok(())
}

pub(super) fn write(lines: &[BillLine]) -> String {
    let mut text = TITLES.join(",");
    text.push_str("\r\n");
    let (mut paid, mut back) = (0_i64, 0_i64);
    for line in lines {
        let amount = yuan_of_fen(line.amount_fen);
        let (status, is_back) = match line.kind {
            LineKind::Pay => ("SUCCESS", false),
            LineKind::Refund => ("REFUND", true),
        };
        let (sum, other) = if is_back { (&mut back, &amount) } else { (&mut paid, &amount) };
        *sum = sum.saturating_add(line.amount_fen.0);
        let value = |title: &str| match title {
            TIME => as_china_time(line.at),
            TRANSACTION => line.transaction_id.clone(),
            PAYMENT => line.payment_no.clone(),
            STATUS => status.to_owned(),
            CURRENCY => "CNY".to_owned(),
            PAID | ORDERED if !is_back => other.clone(),
            REFUNDED | ASKED_BACK if is_back => other.clone(),
            PAID | ORDERED | REFUNDED | ASKED_BACK => "0.00".to_owned(),
            REFUND if line.refund_no.is_empty() => "0".to_owned(),
            REFUND => line.refund_no.clone(),
            _ => String::new(),
        };
        let values: Vec<String> = TITLES.iter().map(|title| format!("`{}", value(title))).collect();
        text.push_str(&values.join(","));
        text.push_str("\r\n");
    }
    let (paid, back) = (yuan_of_fen(Fen(paid)), yuan_of_fen(Fen(back)));
    text.push_str(&format!(
        "{COUNT_TOTAL},应结订单总金额,退款总金额,订单总金额,申请退款总金额\r\n`{},`{paid},`{back},`{paid},`{back}\r\n",
        lines.len()
    ));
    text
}
