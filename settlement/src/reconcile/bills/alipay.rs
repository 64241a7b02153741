//! 支付宝 业务明细: remarks behind `#` before and after the table, titles in Chinese, sums in yuan with a refund's below zero,
//! tabs after values. Downloads are in GBK: they are turned into UTF-8 before they come here.

use domain::Fen;

use super::{
    super::{BillLine, Day, LineKind, fen_of_yuan, yuan_of_fen},
    BillError, as_china_time, china_time, name,
    table::{Row, Rows, Style},
};

const TRANSACTION: &str = "支付宝交易号";
const PAYMENT: &str = "商户订单号";
const KIND: &str = "业务类型";
const DONE: &str = "完成时间";
const AMOUNT: &str = "订单金额(元)";
const REFUND: &str = "退款批次号/请求号";
/// Titles of the columns, in the channel's order.
const TITLES: [&str; 25] = [
    TRANSACTION,
    PAYMENT,
    KIND,
    "商品名称",
    "创建时间",
    DONE,
    "门店编号",
    "门店名称",
    "操作员",
    "终端号",
    "对方账户",
    AMOUNT,
    "商家实收(元)",
    "支付宝红包(元)",
    "集分宝(元)",
    "支付宝优惠(元)",
    "商家优惠(元)",
    "券核销金额(元)",
    "券名称",
    "商家红包消费金额(元)",
    "卡消费金额(元)",
    REFUND,
    "服务费(元)",
    "分润(元)",
    "备注",
];
const PAID: &str = "交易";
const BACK: &str = "退款";
/// What the remarks after the table begin with, and of which rows they tell the number.
const COUNTS: [(&str, LineKind); 2] = [("#交易合计：", LineKind::Pay), ("#退款合计：", LineKind::Refund)];

pub(super) fn read(text: &str, day: Day) -> Result<Vec<BillLine>, BillError> {
    let table = Rows::read(text, Style { remark: Some('#'), tick: None })?;
    table.need(&[TRANSACTION, PAYMENT, KIND, DONE, AMOUNT, REFUND])?;
    let mut lines = Vec::with_capacity(table.rows.len());
    for (number, values) in &table.rows {
        lines.push(line(table.row(*number, values)?, day)?);
    }
    check_counts(text, &lines)?;
    Ok(lines)
}

fn line(row: Row<'_>, day: Day) -> Result<BillLine, BillError> {
    let kind = row.value(KIND, |text| match text {
        PAID => Ok(LineKind::Pay),
        BACK => Ok(LineKind::Refund),
        _ => Err(format!("must be {PAID} or {BACK}")),
    })?;
    let amount_fen = row.value(AMOUNT, |text| {
        let rule = || match kind {
            LineKind::Pay => "must be yuan with at most two decimals, not below zero".to_owned(),
            LineKind::Refund => "must be yuan with at most two decimals, not above zero".to_owned(),
        };
        let sum = fen_of_yuan(text).ok_or_else(rule)?;
        let size = match kind {
            LineKind::Pay => Some(sum.0),
            LineKind::Refund => sum.0.checked_neg(),
        };
        size.filter(|size| *size >= 0).map(Fen).ok_or_else(rule)
    })?;
    let refund_no = match (kind, row.text(REFUND)) {
        (LineKind::Pay, _) | (LineKind::Refund, "") => String::new(),
        (LineKind::Refund, _) => row.value(REFUND, name)?,
    };
    Ok(BillLine {
        kind,
        payment_no: row.value(PAYMENT, name)?,
        refund_no,
        transaction_id: row.value(TRANSACTION, name)?,
        amount_fen,
        at: row.value(DONE, |text| china_time(text, day))?,
    })
}

/// `#交易合计：3笔，…` must tell as many rows as there are.
fn check_counts(text: &str, lines: &[BillLine]) -> Result<(), BillError> {
    for (remark, number) in text.lines().zip(1_u64..) {
        let Some((rest, kind)) = COUNTS.iter().find_map(|(start, kind)| Some((remark.strip_prefix(start)?, *kind)))
        else {
            continue;
        };
        let there = lines.iter().filter(|line| line.kind == kind).count();
        let told = rest.split_once('笔').and_then(|(count, _)| count.trim().parse::<usize>().ok());
        if told != Some(there) {
            let rule = format!("there are {there} such rows: fetch the file again");
            return Err(BillError::new(number, "(合计)", remark, rule));
        }
    }
    Ok(())
}

pub(super) fn write(lines: &[BillLine], day: Day) -> String {
    let wide = |title: &str| title.replace('(', "（").replace(')', "）");
    let mut text = format!(
        "#支付宝业务明细查询\r\n#起始日期：[{day} 00:00:00]   终止日期：[{} 00:00:00]\r\n#业务明细列表\r\n",
        day.after()
    );
    text.push_str(&TITLES.map(wide).join(","));
    text.push_str("\r\n");
    for line in lines {
        let value = |title: &str| match title {
            TRANSACTION => line.transaction_id.clone(),
            PAYMENT => line.payment_no.clone(),
            KIND => (if line.kind == LineKind::Pay { PAID } else { BACK }).to_owned(),
            DONE | "创建时间" => as_china_time(line.at),
            AMOUNT | "商家实收(元)" => amount(line),
            REFUND => line.refund_no.clone(),
            _ => String::new(),
        };
        let values: Vec<String> = TITLES.iter().map(|title| format!("{}\t", quoted(&value(title)))).collect();
        text.push_str(&values.join(","));
        text.push_str("\r\n");
    }
    text.push_str("#业务明细列表结束\r\n");
    for (start, kind) in COUNTS {
        let count = lines.iter().filter(|line| line.kind == kind).count();
        text.push_str(&format!("{start}{count}笔\r\n"));
    }
    text
}

/// Money back stands below zero.
fn amount(line: &BillLine) -> String {
    let sign = if line.kind == LineKind::Refund && line.amount_fen.0 > 0 { "-" } else { "" };
    format!("{sign}{}", yuan_of_fen(line.amount_fen))
}

/// A value as it may stand between commas.
fn quoted(value: &str) -> String {
    if value.contains([',', '"']) { format!("\"{}\"", value.replace('"', "\"\"")) } else { value.to_owned() }
}
