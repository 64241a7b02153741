//! Bills of the channels, in the channels' own forms: text ⇄ lines, exact to the fen.
//!
//! A bill is taken whole or not at all. Every refusal names line and column. Texts are UTF-8; others are refused, not
//! guessed at. Knows no files: a text comes in.

mod alipay;
mod sandbox;
mod table;
mod wechat;

use domain::{Fen, Timestamp};
use jiff::{civil::DateTime, tz::Offset};

use super::{BillLine, Day, fen_of_yuan};
use crate::limits::{BILL_LINES_MAX, BILL_NAME_LEN_MAX};

/// Whose form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BillFormat {
    /// 微信支付 交易账单.
    Wechat,
    /// 支付宝 业务明细.
    Alipay,
    /// The sandbox's own.
    Sandbox,
}

/// Why a bill is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: \"{value}\": {rule}")]
pub struct BillError {
    /// Which line of the text, from 1.
    pub line: u64,
    /// The column by its title, or what else of the line.
    pub column: String,
    /// The offending text, cut to 64 characters.
    pub value: String,
    /// What it must be, and what to do.
    pub rule: String,
}

impl BillError {
    fn new(line: u64, column: &str, value: &str, rule: impl Into<String>) -> Self {
        let value = value.chars().filter(|c| !c.is_control()).take(64).collect();
        Self { line, column: column.to_owned(), value, rule: rule.into() }
    }
}

impl BillFormat {
    /// Every form.
    pub const ALL: [Self; 3] = [Self::Wechat, Self::Alipay, Self::Sandbox];

    /// The channel, as payments name it.
    #[must_use]
    pub const fn channel(self) -> &'static str {
        match self {
            Self::Wechat => "wechat",
            Self::Alipay => "alipay",
            Self::Sandbox => "sandbox",
        }
    }

    /// The form of a channel's bills.
    #[must_use]
    pub fn of(channel: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.channel() == channel)
    }

    /// Reads a bill of a day.
    ///
    /// # Errors
    /// [`BillError`]: not UTF-8, not of this form, not of this day, cut off, or a value that is none.
    pub fn read(self, bytes: &[u8], day: Day) -> Result<Vec<BillLine>, BillError> {
        let text = utf8(bytes)?;
        let lines = match self {
            Self::Wechat => wechat::read(text, day)?,
            Self::Alipay => alipay::read(text, day)?,
            Self::Sandbox => sandbox::read(text, day)?,
        };
        if lines.len() > BILL_LINES_MAX {
            let rule = format!("must be at most {BILL_LINES_MAX} lines: split the file by time");
            return Err(BillError::new(0, "(all)", &format!("{} lines", lines.len()), rule));
        }
        Ok(lines)
    }

    /// Writes lines as the channel would: [`BillFormat::read`] gives them back.
    #[must_use]
    pub fn write(self, lines: &[BillLine], day: Day) -> String {
        match self {
            Self::Wechat => wechat::write(lines),
            Self::Alipay => alipay::write(lines, day),
            Self::Sandbox => sandbox::write(lines),
        }
    }
}

/// The text of a bill, without a byte order mark.
fn utf8(bytes: &[u8]) -> Result<&str, BillError> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = good.iter().filter(|byte| **byte == b'\n').count();
        let line = u64::try_from(line).unwrap_or(u64::MAX).saturating_add(1);
        let rule = "must be UTF-8; a file in GBK becomes so by: iconv -f GBK -t UTF-8";
        BillError::new(line, "(encoding)", "bytes that are no UTF-8", rule)
    })
}

/// Channels write China's time, whatever the station's zone.
const CHINA: Offset = Offset::constant(8);

/// A time like `2026-11-20 08:00:00`, of the day.
fn china_time(text: &str, day: Day) -> Result<Timestamp, String> {
    let plain = text.len() == 19 && text.as_bytes().get(10) == Some(&b' ');
    let time: Option<DateTime> = text.parse().ok().filter(|_| plain);
    let time = time.ok_or_else(|| "must be a time like 2026-11-20 08:00:00".to_owned())?;
    if time.date().to_string() != day.to_string() {
        return Err(format!("is not of the day {day}: give each day its own bill"));
    }
    let at = CHINA.to_timestamp(time).ok().and_then(|at| Timestamp::from_millis(at.as_millisecond()));
    at.ok_or_else(|| "is out of range".to_owned())
}

/// `2026-11-20 08:00:00`.
fn as_china_time(at: Timestamp) -> String {
    // Every `domain::Timestamp` is in range of jiff's; the fallback is never taken.
    let at = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or(jiff::Timestamp::MAX);
    CHINA.to_datetime(at).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A sum that is not below zero.
fn sum(text: &str) -> Result<Fen, String> {
    fen_of_yuan(text).filter(|sum| sum.0 >= 0).ok_or_else(|| "must be yuan with at most two decimals".to_owned())
}

/// A number of a payment or refund, the hub's or the channel's.
fn name(text: &str) -> Result<String, String> {
    let fits = (1..=BILL_NAME_LEN_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if fits { Ok(text.to_owned()) } else { Err(format!("must be 1 to {BILL_NAME_LEN_MAX} visible ASCII characters")) }
}
