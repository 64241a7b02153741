//! The sandbox's bill: a plain table of the hub's own units, for tests and trials.

use domain::{Fen, Timestamp};

use super::{
    super::{BillLine, Day, LineKind},
    BillError, CHINA, name,
    table::{Row, Rows, Style},
};

const KIND: &str = "kind";
const PAYMENT: &str = "paymentNo";
const TRANSACTION: &str = "transactionId";
const REFUND: &str = "refundNo";
const AMOUNT: &str = "amountFen";
const AT: &str = "at";

pub(super) fn read(text: &str, day: Day) -> Result<Vec<BillLine>, BillError> {
    let table = Rows::read(text, Style { remark: None, tick: None })?;
    table.need(&[KIND, PAYMENT, TRANSACTION, REFUND, AMOUNT, AT])?;
    table.rows.iter().map(|(number, values)| line(table.row(*number, values)?, day)).collect()
}

fn line(row: Row<'_>, day: Day) -> Result<BillLine, BillError> {
    let kind = row.value(KIND, |text| match text {
        "PAY" => Ok(LineKind::Pay),
        "REFUND" => Ok(LineKind::Refund),
        _ => Err("must be PAY or REFUND".to_owned()),
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
        amount_fen: row.value(AMOUNT, |text| {
            let digits = text.bytes().all(|b| b.is_ascii_digit());
            let fen = text.parse().ok().filter(|_| digits);
            fen.map(Fen).ok_or_else(|| "must be a whole number of fen, not below zero".to_owned())
        })?,
        at: row.value(AT, |text| {
            let rule = |_| "must be a time like 2026-11-20T08:00:00.000Z".to_owned();
            let at = Timestamp::parse_rfc3339(text).map_err(rule)?;
            let date = jiff::Timestamp::from_millisecond(at.as_millis()).map(|at| CHINA.to_datetime(at).date());
            if date.is_ok_and(|date| date.to_string() == day.to_string()) {
                Ok(at)
            } else {
                Err(format!("is not of the day {day} in China: give each day its own bill"))
            }
        })?,
    })
}

pub(super) fn write(lines: &[BillLine]) -> String {
    let mut text = [KIND, PAYMENT, TRANSACTION, REFUND, AMOUNT, AT].join(",");
    text.push('\n');
    for line in lines {
        let BillLine { kind, payment_no, refund_no, transaction_id, amount_fen, at } = line;
        let quoted = [payment_no, transaction_id, refund_no].map(|value| {
            if value.contains([',', '"']) { format!("\"{}\"", value.replace('"', "\"\"")) } else { value.clone() }
        });
        text.push_str(&format!("{},{},{},{at}\n", kind.as_str(), quoted.join(","), amount_fen.0));
    }
    text
}
